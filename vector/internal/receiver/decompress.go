// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/outkpl/outkpl/vector/internal/body"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// packed tells whether the body has a content encoding.
func (u *upload) packed() bool {
	return u.encoding != "" && !strings.EqualFold(u.encoding, "identity")
}

// unpackBody undoes content encodings and charset. After an error it returns what it has
// got.
func (u *upload) unpackBody(wire []byte) ([]byte, error) {
	raw, err := u.unpack(wire)
	var e *body.Error
	if errors.As(err, &e) && e.Kind == body.KindUnsupported {
		return wire, u.q.s.undeclared(err) // Content-Encoding
	}
	if err != nil {
		return wire, err
	}
	u.q.s.counters.bodyBytes.Add(uint64(len(raw)))
	u.q.route.counters.bodyBytes.Add(uint64(len(raw)))
	return u.decodeCharset(raw)
}

// unpack undoes content encodings. The memory for the result is taken before: first
// for what the body says of itself or a guess, and when that is too little, for more
// and again. To ask for the largest body each time would keep others out.
func (u *upload) unpack(wire []byte) ([]byte, error) {
	limits := u.q.route.body.Limits
	encodings := u.encoding
	if len(wire) == 0 || !u.packed() {
		return u.q.s.unpacker.Unpack(nil, encodings, wire, limits)
	}
	most := limits.UnpackedBytes
	guess := u.guessUnpacked(len(wire))
	if size := body.UnpackedSize(encodings, wire); size >= len(wire) {
		guess = min(size, most)
	}
	// Between two encodings there is a result, too.
	results := int64(1 + strings.Count(encodings, ","))
	cost := int64(body.UnpackCost(encodings, wire)) + minCharge
	for {
		// What was asked for before is not given back for a smaller need.
		if f := u.reserve(max(u.q.lease.n, min(int64(len(wire))+results*int64(guess)+cost, u.q.s.budget.size))); f != nil {
			return nil, f
		}
		limits.UnpackedBytes = guess
		out, err := u.q.s.unpacker.Unpack(nil, encodings, wire, limits)
		var e *body.Error
		if errors.As(err, &e) && e.Kind == body.KindTooLarge && guess < most {
			guess = min(4*guess, most)
			continue
		}
		if err == nil {
			// What was packed is not needed any more.
			_ = u.q.lease.resize(context.Background(), min(u.q.lease.n, int64(cap(out))+u.guessTables(len(out))+minCharge))
		}
		return out, err
	}
}

// decodeCharset makes UTF-8 of a body in another charset. The memory for it is taken before.
func (u *upload) decodeCharset(raw []byte) ([]byte, error) {
	charset, err := body.CharsetOf(u.q.r.Header.Get("Content-Type"), u.dest.format, raw)
	if charset == nil || err != nil {
		return raw, err
	}
	limits := u.q.route.body.Limits
	if f := u.reserve(max(u.q.lease.n, int64(cap(raw)+charset.Room(len(raw), limits))+minCharge)); f != nil {
		return nil, f
	}
	return charset.Decode(raw, limits)
}

// undeclared turns an error about what the headers say of the body into an answer. Where
// they are wrong they are so for each body of that sender, by its settings.
func (s *Server) undeclared(err error) *failure {
	f := s.unreadable(err)
	if f.reason == ReasonUnsupported {
		f.status = http.StatusUnsupportedMediaType
	}
	return f
}

// unreadable turns an error of package body into an answer.
func (s *Server) unreadable(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	var e *body.Error
	if !errors.As(err, &e) {
		return unusable(ReasonMalformed, "the body cannot be read")
	}
	switch e.Kind {
	case body.KindTooLarge:
		return unusable(ReasonTooLarge, e.Error()+s.limitOf(e))
	case body.KindUnsupported:
		return unusable(ReasonUnsupported, e.Error())
	default:
		return unusable(ReasonMalformed, e.Error()+s.limitOf(e))
	}
}

// limitOf names the limit that a body exceeds and the option behind it.
func (s *Server) limitOf(e *body.Error) string {
	switch {
	case e.Nesting():
		return fmt.Sprintf("; at most %d may lie inside each other", body.DefaultDepth) // no option
	case e.Kind != body.KindTooLarge:
		return ""
	case e.Detail == body.DetailEvents:
		return fmt.Sprintf("; the most is limits.events = %d", s.cfg.Limits.MaxEvents)
	case e.Detail == body.DetailWindow:
		return "" // of the format
	}
	return "; the most is limits.body_max_size = " + config.FormatSize(s.cfg.Limits.BodyMaxBytes)
}

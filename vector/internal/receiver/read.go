// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/outkpl/outkpl/vector/internal/body"
	"github.com/outkpl/outkpl/vector/internal/config"
)

const (
	// readStep is how much is read at a time, and where memory for a body of unknown
	// length begins.
	readStep = 64 << 10
	// unpackRatio is the first guess of how much larger the unpacked body is.
	unpackRatio = 8
)

var errSlow = errors.New("the body arrives too slowly")

// upload is the body of a request until its records are made.
type upload struct {
	s      *Server
	w      http.ResponseWriter
	r      *http.Request
	route  *route
	dest   *destination // nil if the request is refused before that is known
	lease  *lease
	native bool
	// The body as it comes, its length or -1, and its content encodings.
	src      io.Reader
	length   int64
	encoding string
	reading  *paced // the reader in use
}

// refuse drains what the client is still sending before the answer goes out.
func (u *upload) refuse(f *failure) *failure {
	if f.reason != ReasonGone && f.reason != ReasonSlow && !u.drain() {
		f.close = true
	}
	return f
}

// read reads the body as it is on the wire.
func (u *upload) read() ([]byte, *failure) {
	if u.native {
		if f := u.openNative(); f != nil {
			return nil, f
		}
	}
	wire, f := u.readBody()
	if f == nil {
		u.s.counters.bodies.Add(1)
		u.s.counters.wireBytes.Add(uint64(len(wire)))
		u.route.counters.wireBytes.Add(uint64(len(wire)))
	}
	return wire, f
}

// paced reads a body that has to keep a pace: at each moment it may be body_grace
// behind body_min_rate, and body_timeout bounds the whole. A fixed deadline would
// either cut large bodies or let small ones dawdle.
type paced struct {
	u     *upload
	rc    *http.ResponseController
	start time.Time
	n     int64
}

func (u *upload) paced() *paced {
	return &paced{u: u, rc: http.NewResponseController(u.w), start: time.Now()}
}

func (p *paced) Read(b []byte) (int, error) {
	srv := &p.u.s.cfg.Server
	if len(b) > readStep {
		b = b[:readStep]
	}
	allowance := srv.BodyGrace + time.Duration(float64(p.n)/float64(srv.BodyMinRate)*float64(time.Second))
	// Not every ResponseWriter has deadlines; then only the tests can be slow.
	_ = p.rc.SetReadDeadline(p.start.Add(min(allowance, srv.BodyTimeout)))
	n, err := p.u.src.Read(b)
	p.n += int64(n)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errSlow
	}
	return n, err
}

// done takes the deadline away. It must not end the wait for the outcome, while
// net/http keeps reading to see whether the client is still there.
func (p *paced) done() { _ = p.rc.SetReadDeadline(time.Time{}) }

// admit waits for memory.
func (u *upload) admit(n int64) *failure {
	ctx, cancel := context.WithTimeout(u.r.Context(), u.s.cfg.Limits.AdmissionTimeout)
	defer cancel()
	err := u.lease.resize(ctx, n)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errTooMuch):
		return unusable(ReasonTooLarge, fmt.Sprintf("the body needs %d bytes of memory; the most is limits.memory = %s", n, config.FormatSize(u.s.cfg.Limits.Memory)))
	case u.r.Context().Err() != nil:
		return goneFailure()
	}
	return retryable(ReasonBudget, "no memory for the body at this moment")
}

// readBody reads the body as it is on the wire. Memory is taken before each byte.
func (u *upload) readBody() ([]byte, *failure) {
	limit := u.s.cfg.Limits.WireMaxBytes
	length := u.length
	tooLarge := unusable(ReasonTooLarge, "the body is larger than limits.wire_max_size = "+config.FormatSize(limit))
	if length > limit {
		return nil, unusable(ReasonTooLarge, fmt.Sprintf("the body has %d bytes; the most is limits.wire_max_size = %s", length, config.FormatSize(limit)))
	}
	room := length + 1 // one byte more, so that the end is seen without growing
	if length < 0 {
		room = readStep
	}
	// With a known length everything that the body is likely to need is asked for at
	// once. To ask for more while holding some makes requests wait for each other.
	need := room
	if length >= 0 {
		need = u.estimate(room)
	}
	// What is asked for ahead is a guess, and a body is not refused for a guess.
	if f := u.admit(max(room+minCharge, min(need+minCharge, u.s.budget.size))); f != nil {
		return nil, f
	}
	p := u.paced()
	u.reading = p
	defer p.done()
	buf := make([]byte, 0, room)
	for {
		if len(buf) == cap(buf) {
			if int64(len(buf)) > limit {
				return nil, tooLarge
			}
			grown := min(2*int64(cap(buf)), limit+1)
			// While it is copied both are there.
			if f := u.admit(int64(cap(buf)) + grown + minCharge); f != nil {
				return nil, f
			}
			next := make([]byte, len(buf), grown)
			copy(next, buf)
			buf = next
			_ = u.lease.resize(context.Background(), grown+minCharge) // less cannot fail
		}
		n, err := p.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > limit:
			return nil, tooLarge
		case errors.Is(err, io.EOF):
			return buf, nil
		case errors.Is(err, errSlow):
			f := retryable(ReasonSlow, "the body arrived too slowly")
			f.close = true
			return nil, f
		case errors.Is(err, errTwoMessages):
			return nil, unusable(ReasonMalformed, err.Error())
		case err != nil:
			if u.r.Context().Err() != nil || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil, goneFailure()
			}
			if f := u.brokenChunks(err); f != nil {
				return nil, f
			}
			f := goneFailure()
			f.text = "the body could not be read"
			return nil, f
		}
	}
}

// brokenChunks is the answer to a body in chunks that are none, or nil if err may be of
// the connection. The same bytes would be refused for ever.
func (u *upload) brokenChunks(err error) *failure {
	var network net.Error
	cut := strings.Contains(err.Error(), io.ErrUnexpectedEOF.Error()) // in a trailer, without being that error
	if cut || u.r.ProtoMajor != 1 || len(u.r.TransferEncoding) == 0 || errors.As(err, &network) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return nil
	}
	f := unusable(ReasonMalformed, "the body is not in chunks as Transfer-Encoding says")
	f.close = true // where the next request begins is unknown
	return f
}

// estimate is what a body of that length on the wire usually needs in all.
func (u *upload) estimate(length int64) int64 {
	if !u.packed() {
		return length + u.guessTables(int(length))
	}
	raw := u.guessUnpacked(int(length))
	return length + int64(raw) + u.guessTables(raw)
}

// guessTables is what the events of an unpacked body usually need besides it.
func (u *upload) guessTables(raw int) int64 {
	return int64(u.guessConverted(raw)) + int64(u.guessEvents(raw))*config.EventCost
}

// guessConverted is the memory for events that cannot be slices of the body: few of
// usual JSON or text, all of other formats.
func (u *upload) guessConverted(raw int) int {
	n := 4<<10 + raw/16
	switch u.dest.format {
	case body.FormatMsgpack, body.FormatOTLP, body.FormatOTLPProto, body.FormatOTLPJSON, body.FormatVector:
		n += 4 * raw
	}
	return min(n, u.route.body.Limits.ConvertedBytes)
}

// packed tells whether the body has a content encoding.
func (u *upload) packed() bool {
	return u.encoding != "" && !strings.EqualFold(u.encoding, "identity")
}

func (u *upload) guessUnpacked(length int) int {
	return min(max(unpackRatio*length, 64<<10), u.route.body.Limits.UnpackedBytes)
}

func (u *upload) guessEvents(raw int) int {
	return min(64+raw/256, u.route.body.Limits.Events)
}

// minCharge is what any request costs, so that many tiny ones are bounded, too.
const minCharge = 8 << 10

// unpack undoes content encodings. The memory for the result is taken before: first
// for what the body says of itself or a guess, and when that is too little, for more
// and again. To ask for the largest body each time would keep others out.
func (u *upload) unpack(wire []byte) ([]byte, error) {
	limits := u.route.body.Limits
	encodings := u.encoding
	if len(wire) == 0 || !u.packed() {
		return u.s.unpacker.Unpack(nil, encodings, wire, limits)
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
		if f := u.admit(max(u.lease.n, min(int64(len(wire))+results*int64(guess)+cost, u.s.budget.size))); f != nil {
			return nil, f
		}
		limits.UnpackedBytes = guess
		out, err := u.s.unpacker.Unpack(nil, encodings, wire, limits)
		var e *body.Error
		if errors.As(err, &e) && e.Kind == body.KindTooLarge && guess < most {
			guess = min(4*guess, most)
			continue
		}
		if err == nil {
			// What was packed is not needed any more.
			_ = u.lease.resize(context.Background(), min(u.lease.n, int64(cap(out))+u.guessTables(len(out))+minCharge))
		}
		return out, err
	}
}

// decode makes UTF-8 of a body in another charset. The memory for it is taken before.
func (u *upload) decode(raw []byte) ([]byte, error) {
	charset, err := body.CharsetOf(u.r.Header.Get("Content-Type"), u.dest.format, raw)
	if charset == nil || err != nil {
		return raw, err
	}
	limits := u.route.body.Limits
	if f := u.admit(max(u.lease.n, int64(cap(raw)+charset.Room(len(raw), limits))+minCharge)); f != nil {
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

// drain reads and forgets what is left of a body that is refused, up to a bound. A
// client that is still writing when the connection is closed sees a broken
// connection, which it retries, instead of the answer. It tells whether nothing is
// left, so that the connection can be used again.
func (u *upload) drain() (all bool) {
	if u.r.Body == nil {
		return true
	}
	if strings.EqualFold(u.r.Header.Get("Expect"), "100-continue") {
		return false // a client that asks first has not sent anything
	}
	p := u.reading
	if p == nil {
		p = u.paced()
	}
	defer p.done()
	limit := 4 * max(u.s.cfg.Limits.WireMaxBytes, u.s.cfg.Limits.BodyMaxBytes)
	n, err := io.Copy(io.Discard, io.LimitReader(p, limit))
	return err == nil && n < limit
}

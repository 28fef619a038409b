// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/outkpl/outkpl/vector/internal/body"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// exchange is one request and the way to its answer.
type exchange struct {
	s    *Server
	w    http.ResponseWriter
	r    *http.Request
	id   string
	conn *connection

	begin   time.Time
	bodyEnd time.Time
	route   *route
	otlp    otlpForm
	lease   *lease
	reading *paced // the body that is being read
	native  bool   // over gRPC
	// The body as it comes, its length or -1, and its content encodings.
	src      io.Reader
	length   int64
	encoding string

	// Set once something may have been put.
	content  *content
	delivery *delivery
}

// serveEvents takes the events of one request.
func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request) {
	s.serveExchange(&exchange{w: w, r: r, length: r.ContentLength, encoding: strings.Trim(strings.Join(r.Header.Values("Content-Encoding"), ","), ", ")})
}

// serveExchange takes the events of one request, over HTTP or gRPC.
func (s *Server) serveExchange(x *exchange) {
	r := x.r
	x.s, x.id, x.conn, x.begin, x.lease, x.src = s, requestID(r), connectionOf(r), time.Now(), &lease{b: s.budget}, r.Body
	s.counters.inFlight.Add(1)
	defer s.counters.inFlight.Add(-1)
	defer func() { x.lease.release() }()
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		s.log.Error("a request failed because of a bug; it is answered with 503", "request_id", x.id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		f := later(ReasonInternal, "internal error")
		f.close = true
		x.count(f.status, f.reason)
		_ = x.write(x.answerFor(success{}, f))
	}()
	ok, f := x.ingest()
	x.answer(ok, f)
}

// answer sends the outcome and counts it.
func (x *exchange) answer(ok success, f *failure) {
	s := x.s
	unseen := func() {
		// The client does not know that everything is in. It will send it again.
		s.park(x.content, x.delivery)
		f = x.goneFailure()
	}
	// Asked before the answer and not behind it: a client may close its connection as
	// soon as it has the answer, and its next equal body would count as sent already.
	if f == nil && x.r.Context().Err() != nil {
		unseen()
	}
	a := x.answerFor(ok, f)
	if err := x.write(a); err != nil && f == nil {
		unseen()
	}
	switch {
	case f == nil:
		x.count(a.status, ReasonNone)
		confirmed := uint64(ok.Events - ok.Dropped - ok.DeadLettered)
		s.counters.confirmed.Add(confirmed)
		x.route.counters.confirmed.Add(confirmed)
		return
	case f.reason == ReasonGone:
		s.counters.gone.Add(1)
		x.count(0, ReasonGone)
	default:
		x.count(a.status, f.reason)
	}
	s.report(x, f)
}

// count counts an answer for the server and its route; status 0 is none.
func (x *exchange) count(status int, reason Reason) {
	x.s.counters.answered(status, reason)
	if x.route != nil {
		x.route.counters.answered(status, reason)
	}
}

// report logs an answer that is not 200, seldom enough not to fill the disk. What a
// client will drop is worth a warning, the rest is routine.
func (s *Server) report(x *exchange, f *failure) {
	s.throttled.log("answer "+f.reason.String(), func(skipped int) {
		level := s.log.Warn
		if f.status == http.StatusServiceUnavailable {
			level = s.log.Info
		}
		level("request was not answered with 200", "request_id", x.id, "client", x.r.RemoteAddr, "status", f.status,
			"reason", f.reason.String(), "detail", f.text, "not_shown", skipped)
	})
}

// goneFailure is the outcome of a request whose client is gone. The answer will not
// arrive; it is made all the same, in case the client is there after all.
func (x *exchange) goneFailure() *failure {
	f := later(ReasonGone, "the client is gone")
	f.close = true
	return f
}

// ingest is the way of a request. Nothing is put before the whole body has been found
// valid, so that whatever is refused has written nothing.
func (x *exchange) ingest() (success, *failure) {
	s, r := x.s, x.r
	rt, number := s.routeOf(r.URL.Path)
	x.route = rt
	if !x.native {
		x.otlp = otlpFormOf(rt, r)
	}
	if (!x.native || s.cfg.Native.Credentials) && !s.auth.allow(r) {
		x.w.Header().Set("WWW-Authenticate", s.auth.schemes)
		return success{}, x.refuse(never(http.StatusUnauthorized, ReasonUnauthorized, "no valid credentials"))
	}
	if r.Method != http.MethodPost && r.Method != http.MethodPut {
		x.w.Header().Set("Allow", "POST, PUT")
		return success{}, x.refuse(never(http.StatusMethodNotAllowed, ReasonMethod, "want POST"))
	}
	if !r.ProtoAtLeast(1, 1) && r.Header.Get("Content-Length") == "" {
		// net/http takes the body for empty then, and 200 would lose it in silence.
		f := never(http.StatusBadRequest, ReasonMalformed, "a request of HTTP/1.0 needs Content-Length")
		f.close = true
		return success{}, f
	}
	if r.URL.Path == nativePush && !x.native {
		return success{}, x.refuse(never(http.StatusNotFound, ReasonPath, "this is the listener for HTTP; want native.listen"))
	}
	dest, f := s.destinationOf(r, rt, number)
	if f != nil {
		return success{}, x.refuse(f)
	}
	if x.native {
		if f := x.openNative(); f != nil {
			return success{}, x.refuse(f)
		}
	}
	wire, f := x.readBody(dest)
	if f != nil {
		return success{}, x.refuse(f)
	}
	x.bodyEnd = time.Now()
	s.counters.bodies.Add(1)
	s.counters.wireBytes.Add(uint64(len(wire)))
	rt.counters.wireBytes.Add(uint64(len(wire)))
	c, f := x.read(dest, wire)
	if f != nil {
		return success{}, f
	}
	s.counters.events.Add(uint64(c.events))
	rt.counters.events.Add(uint64(c.events))
	return x.deliver(c)
}

// refuse drains what the client is still sending before the answer goes out.
func (x *exchange) refuse(f *failure) *failure {
	if f.reason != ReasonGone && f.reason != ReasonSlow && !x.drain() {
		f.close = true
	}
	return f
}

// read makes the content of a body, or applies the policy for what cannot be read.
func (x *exchange) read(dest *destination, wire []byte) (*content, *failure) {
	raw, err := x.unpack(dest, wire)
	var e *body.Error
	if errors.As(err, &e) && e.Kind == body.KindUnsupported {
		return nil, x.s.undeclared(err) // Content-Encoding
	}
	if err == nil {
		x.s.counters.bodyBytes.Add(uint64(len(raw)))
		x.route.counters.bodyBytes.Add(uint64(len(raw)))
		if wire, err = x.decode(dest, raw); err == nil {
			var c *content
			if c, err = x.split(dest, wire); err == nil {
				return c, nil
			}
		}
	}
	if errors.As(err, &e) && e.Kind == body.KindMalformed && (x.route.Malformed == config.DeadLetters || x.route.Malformed == config.Drop) {
		return x.broken(dest, wire, err), nil
	}
	return nil, x.s.unreadable(err)
}

// requestID is the client's id, if it is short and plain, or a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	plain := len(id) >= 1 && len(id) <= 64
	for i := 0; plain && i < len(id); i++ {
		c := id[i]
		plain = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.'
	}
	if plain {
		return id
	}
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

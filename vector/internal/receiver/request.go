// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"
)

// request is one request on its way to its answer: it is checked, its body is read and
// becomes a content, the content is delivered, and the outcome becomes the answer.
type request struct {
	s        *Server
	w        http.ResponseWriter
	r        *http.Request
	id       string
	begin    time.Time
	route    *route
	lease    *lease   // memory of its body
	protocol protocol // how it came
	otlp     otlpForm
}

// serveEvents takes the events of one request.
func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request) {
	s.serveRequest(&request{w: w, r: r})
}

// serveRequest takes the events of one request, over HTTP or gRPC.
func (s *Server) serveRequest(q *request) {
	q.s, q.id, q.begin, q.lease = s, requestID(q.r), time.Now(), &lease{b: s.budget, spares: &s.spares}
	s.counters.protocols[q.protocol].Add(1)
	s.counters.inFlight.Add(1)
	defer s.counters.inFlight.Add(-1)
	defer q.lease.Release()
	res := q.ingest()
	q.sendAnswer(res)
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

// ingest is the way of a body: it is read, it becomes a content, and that is delivered.
// Nothing is put before the whole body has been found valid, so that whatever is refused
// has written nothing.
func (q *request) ingest() (res result) {
	defer func() {
		if p := recover(); p != nil {
			q.s.log.Error("a request failed because of a bug; it is answered with 503", "request_id", q.id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			res = result{failure: retryable(ReasonInternal, "internal error")}
			res.failure.close = true
			q.lease.Spoil() // what refers to its memory is unknown
		}
	}()
	dest, f := q.checkRequest()
	u := newUpload(q, dest)
	if f != nil {
		return result{failure: u.refuse(f)}
	}
	wire, f := u.readWire()
	if f != nil {
		return result{failure: u.refuse(f)}
	}
	end := time.Now()
	c, err := q.s.makeContent(q.r.Context(), dest, wire, q.lease)
	if err != nil {
		return result{failure: q.s.unreadable(err)}
	}
	return q.deliverContent(c, end)
}

// checkRequest finds out where the events go, and whether they may be sent there. The body is
// not looked at.
func (q *request) checkRequest() (*destination, *failure) {
	s, r := q.s, q.r
	rt, number := s.routeOf(r.URL.Path)
	if q.protocol == protocolOTLP && number < 0 {
		rt, number = s.routeOf(otlpPath) // one entry for both ways
	}
	q.route = rt
	if !q.protocol.grpc() {
		q.otlp = otlpFormOf(rt, r)
	}
	if (q.protocol != protocolVector || s.cfg.Native.Credentials) && !s.auth.allow(r) {
		q.w.Header().Set("WWW-Authenticate", s.auth.schemes)
		return nil, permanent(http.StatusUnauthorized, ReasonUnauthorized, "no valid credentials")
	}
	if r.Method != http.MethodPost && r.Method != http.MethodPut {
		q.w.Header().Set("Allow", "POST, PUT")
		return nil, permanent(http.StatusMethodNotAllowed, ReasonMethod, "want POST")
	}
	if !r.ProtoAtLeast(1, 1) && r.Header.Get("Content-Length") == "" {
		// net/http takes the body for empty then, and 200 would lose it in silence.
		f := permanent(http.StatusBadRequest, ReasonMalformed, "a request of HTTP/1.0 needs Content-Length")
		f.close = true
		return nil, f
	}
	if !q.protocol.grpc() && isPush(r.URL.Path) {
		speaks := speaksOf(r)
		s.notServed("server.listen", r.RemoteAddr, speaks)
		return nil, permanent(http.StatusNotFound, ReasonPath, "this is the listener for HTTP; want "+s.want("server.listen", speaks))
	}
	return s.destinationOf(r, rt, number)
}

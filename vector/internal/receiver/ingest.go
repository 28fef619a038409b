// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

// request is one request on its way to its answer: it is checked, its body (upload)
// becomes a content, the content is delivered, and the outcome becomes the answer.
type request struct {
	s      *Server
	w      http.ResponseWriter
	r      *http.Request
	id     string
	begin  time.Time
	route  *route
	lease  *lease // memory of its body
	native bool   // over gRPC
	otlp   otlpForm
}

// serveEvents takes the events of one request.
func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request) {
	s.serveRequest(&request{w: w, r: r})
}

// serveRequest takes the events of one request, over HTTP or gRPC.
func (s *Server) serveRequest(q *request) {
	q.s, q.id, q.begin, q.lease = s, requestID(q.r), time.Now(), &lease{b: s.budget}
	s.counters.inFlight.Add(1)
	defer s.counters.inFlight.Add(-1)
	defer func() { q.lease.Release() }()
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("a request failed because of a bug; it is answered with 503", "request_id", q.id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			q.answerPanic()
		}
	}()
	q.answer(q.ingest())
}

// ingest is the way of a request. Nothing is put before the whole body has been found
// valid, so that whatever is refused has written nothing.
func (q *request) ingest() result {
	dest, f := q.check()
	u := q.upload(dest)
	if f != nil {
		return result{failure: u.refuse(f)}
	}
	wire, f := u.read()
	if f != nil {
		return result{failure: u.refuse(f)}
	}
	end := time.Now()
	c, f := u.content(wire)
	if f != nil {
		return result{failure: f}
	}
	return q.deliver(c, end)
}

// check finds out where the events go, and whether they may be sent there. The body is
// not looked at.
func (q *request) check() (*destination, *failure) {
	s, r := q.s, q.r
	rt, number := s.routeOf(r.URL.Path)
	q.route = rt
	if !q.native {
		q.otlp = otlpFormOf(rt, r)
	}
	if (!q.native || s.cfg.Native.Credentials) && !s.auth.allow(r) {
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
	if r.URL.Path == nativePush && !q.native {
		return nil, permanent(http.StatusNotFound, ReasonPath, "this is the listener for HTTP; want native.listen")
	}
	return s.destinationOf(r, rt, number)
}

// upload is the body of the request, not read yet.
func (q *request) upload(dest *destination) *upload {
	u := &upload{s: q.s, w: q.w, r: q.r, route: q.route, dest: dest, lease: q.lease, native: q.native, src: q.r.Body}
	if !q.native {
		u.length, u.encoding = q.r.ContentLength, strings.Trim(strings.Join(q.r.Header.Values("Content-Encoding"), ","), ", ")
	}
	return u
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

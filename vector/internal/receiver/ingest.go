// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
)

// ingest is the way of a request. Nothing is put before the whole body has been found
// valid, so that whatever is refused has written nothing.
func (q *request) ingest() (res result) {
	defer func() {
		if p := recover(); p != nil {
			q.s.log.Error("a request failed because of a bug; it is answered with 503", "request_id", q.id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			res = result{failure: retryable(ReasonInternal, "internal error")}
			res.failure.close = true
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
	c, f := u.makeContent(wire)
	if f != nil {
		return result{failure: f}
	}
	return q.deliverContent(c, end)
}

// checkRequest finds out where the events go, and whether they may be sent there. The body is
// not looked at.
func (q *request) checkRequest() (*destination, *failure) {
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

// newUpload is the body of the request, not read yet.
func newUpload(q *request, dest *destination) *upload {
	if q.native {
		return &upload{q: q, dest: dest, src: q.r.Body}
	}
	encoding := strings.Trim(strings.Join(q.r.Header.Values("Content-Encoding"), ","), ", ")
	return &upload{q: q, dest: dest, src: q.r.Body, length: q.r.ContentLength, encoding: encoding}
}

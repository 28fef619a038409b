// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
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

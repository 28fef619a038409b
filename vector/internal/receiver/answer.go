// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// maxAnswerBytes bounds status line, headers and body of an answer. Fluent Bit's
// client takes 4096 bytes and retries a request whose answer is larger, although it
// was 200 (include/fluent-bit/flb_http_client.h, FLB_HTTP_DATA_SIZE_MAX, 5.1.1,
// checked 2026-11-24). What net/http adds and request ids take less than the rest.
const maxAnswerBytes = 2048

// failure is why a request is not answered with 200.
//
// The statuses follow one rule. 503 is a status that all shippers retry, so it answers
// whatever may pass, however it came about. 422 is one that all of them give up on, so it
// answers a body that can never be taken, and only if nothing of it was written: on 400
// and 413 syslog-ng would send such a body for ever, and nothing behind it. Other 4xx
// answer a request for which the sender's settings are wrong, or the receiver's: what a
// shipper holds back then is delivered when they are mended. Other statuses are never
// used: each of them loses data with some shipper.
type failure struct {
	status int
	reason Reason
	// text is for people. It never holds contents or credentials.
	text string
	// close ends the connection behind the answer.
	close bool
}

// unusable is a body that can never be taken.
func unusable(reason Reason, text string) *failure {
	return never(http.StatusUnprocessableEntity, reason, text)
}

// never is a request that can never succeed.
func never(status int, reason Reason, text string) *failure {
	return &failure{status: status, reason: reason, text: text}
}

// later is a request that may succeed when it comes again.
func later(reason Reason, text string) *failure {
	return &failure{status: http.StatusServiceUnavailable, reason: reason, text: text}
}

func (f *failure) Error() string { return fmt.Sprintf("%d %s: %s", f.status, f.reason, f.text) }

// success is what a 200 tells.
type success struct {
	Events       int `json:"events"`
	Dropped      int `json:"dropped,omitempty"`
	DeadLettered int `json:"dead_lettered,omitempty"`
}

// problem is the body of an answer that is not 200.
type problem struct {
	Error     string `json:"error"`
	Reason    string `json:"reason"`
	RequestID string `json:"request_id"`
}

// answer is a complete answer, before it is written.
type answer struct {
	status      int
	reason      Reason
	contentType string
	body        []byte
	grpcCode    int // of a native answer
	grpcText    string
	retryAfter  time.Duration
	close       bool
}

// answerFor makes the answer to a request from its outcome: f or, if that is nil, ok.
func (x *exchange) answerFor(ok success, f *failure) *answer {
	a := &answer{status: http.StatusOK, contentType: "application/json"}
	var text string
	if f != nil {
		a.status, a.reason, a.close, text = f.status, f.reason, f.close, f.text
		if f.status == http.StatusServiceUnavailable {
			a.retryAfter = time.Second
			if x.route != nil {
				a.retryAfter = x.route.RetryAfter
			}
		}
	}
	if x.native {
		x.grpcAnswer(a, f)
		return a
	}
	if x.otlp != otlpNone {
		a.contentType, a.body = x.otlp.answer(ok, f)
		return a
	}
	var v any = ok
	if f != nil {
		v = problem{Error: text, Reason: f.reason.String(), RequestID: x.id}
	}
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false) // a->b is for people to read
	if err := e.Encode(v); err != nil {
		body.WriteString("{}\n") // cannot happen: numbers and text only
	}
	a.body = body.Bytes()
	return a
}

// write sends the answer in one piece and reports whether the connection took it.
//
// There is no WriteTimeout of the server: it would run while the request waits for
// Kinesis, and a handler that is late would write into the void without noticing. The
// deadline is set here instead, and the flush shows a connection that is broken.
func (x *exchange) write(a *answer) error {
	if len(a.body) > maxAnswerBytes {
		a.body = a.body[:0]
	}
	h := x.w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	h.Set("X-Request-Id", x.id)
	if a.retryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((a.retryAfter+time.Second-1)/time.Second), 10))
	}
	if a.close || x.s.draining.Load() || x.conn.tooOld() {
		h.Set("Connection", "close")
	}
	rc := http.NewResponseController(x.w)
	// Not every ResponseWriter has deadlines (tests); the write shows what matters.
	deadline := time.Now().Add(x.s.cfg.Server.AnswerTimeout)
	_ = rc.SetWriteDeadline(deadline)
	// net/http reads what is left of a body behind the answer, and a client that stalls
	// there must not hold the connection for ever.
	_ = rc.SetReadDeadline(deadline)
	if x.native {
		h.Del("Content-Length")
		writeGRPC(x.w, a.grpcCode, a.grpcText, a.body)
		return rc.Flush()
	}
	x.w.WriteHeader(a.status)
	if _, err := x.w.Write(a.body); err != nil {
		return err
	}
	return rc.Flush()
}

// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
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
	return permanent(http.StatusUnprocessableEntity, reason, text)
}

// permanent is a request that can never succeed.
func permanent(status int, reason Reason, text string) *failure {
	return &failure{status: status, reason: reason, text: text}
}

// retryable is a request that may succeed when it comes again.
func retryable(reason Reason, text string) *failure {
	return &failure{status: http.StatusServiceUnavailable, reason: reason, text: text}
}

// goneFailure is the outcome of a request whose client is gone. The answer will not
// arrive; it is made all the same, in case the client is there after all.
func goneFailure() *failure {
	f := retryable(ReasonGone, "the client is gone")
	f.close = true
	return f
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

// sendAnswer sends the outcome of a request and counts it.
func (q *request) sendAnswer(res result) {
	// Asked before the answer and not behind it: a client may close its connection as
	// soon as it has the answer, and its next equal body would count as sent already.
	if res.failure == nil && q.r.Context().Err() != nil {
		q.parkUnseen(&res)
	}
	a := q.answerFor(res.success, res.failure)
	if res.failure == nil {
		// Before the client can know: if the process ends in between, the body is written
		// twice. Behind the answer, an equal body could be taken for this one, unless the
		// client has named them.
		q.s.deliverer.Answered(res.delivery, res.content.dest.named)
	}
	if err := q.writeAnswer(a); err != nil && res.failure == nil {
		q.parkUnseen(&res)
	}
	f := res.failure
	switch {
	case f == nil:
		q.count(a.status, ReasonNone)
		ok := &res.success
		confirmed := uint64(ok.Events - ok.Dropped - ok.DeadLettered)
		q.s.counters.confirmed.Add(confirmed)
		q.route.counters.confirmed.Add(confirmed)
		return
	case f.reason == ReasonGone:
		q.s.counters.gone.Add(1)
		q.count(0, ReasonGone)
	default:
		q.count(a.status, f.reason)
	}
	q.reportFailure(f)
}

// count counts an answer for the server and its route; status 0 is none.
func (q *request) count(status int, reason Reason) {
	q.s.counters.answered(status, reason)
	if q.route != nil {
		q.route.counters.answered(status, reason)
	}
}

// reportFailure logs an answer that is not 200, seldom enough not to fill the disk. What a
// client will drop is worth a warning, the rest is routine.
func (q *request) reportFailure(f *failure) {
	s, id, client := q.s, q.id, q.r.RemoteAddr
	s.throttled.log("answer "+f.reason.String(), 0, func(k skipped) {
		level := s.log.Warn
		if f.status == http.StatusServiceUnavailable {
			level = s.log.Info
		}
		level("request was not answered with 200", "request_id", id, "client", client, "status", f.status,
			"reason", f.reason.String(), "detail", f.text, "not_shown", k.lines)
	})
}

// answerFor makes the answer to a request from its outcome: f or, if that is nil, ok.
func (q *request) answerFor(ok success, f *failure) *answer {
	a := &answer{status: http.StatusOK, contentType: "application/json"}
	var text string
	if f != nil {
		a.status, a.reason, a.close, text = f.status, f.reason, f.close, f.text
		if f.status == http.StatusServiceUnavailable {
			a.retryAfter = time.Second
			if q.route != nil {
				a.retryAfter = q.route.RetryAfter
			}
		}
	}
	if q.native {
		q.grpcAnswer(a, f)
		return a
	}
	if q.otlp != otlpNone {
		a.contentType, a.body = q.otlp.answer(ok, f)
		return a
	}
	var v any = ok
	if f != nil {
		v = problem{Error: text, Reason: f.reason.String(), RequestID: q.id}
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

// writeAnswer sends the answer in one piece and reports whether the connection took it.
//
// There is no WriteTimeout of the server: it would run while the request waits for
// Kinesis, and a handler that is late would write into the void without noticing. The
// deadline is set here instead, and the flush shows a connection that is broken.
func (q *request) writeAnswer(a *answer) error {
	if len(a.body) > maxAnswerBytes {
		a.body = a.body[:0]
	}
	h := q.w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	h.Set("X-Request-Id", q.id)
	if a.retryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((a.retryAfter+time.Second-1)/time.Second), 10))
	}
	if a.close || q.s.draining.Load() || connectionOf(q.r).tooOld() {
		h.Set("Connection", "close")
	}
	rc := http.NewResponseController(q.w)
	// Not every ResponseWriter has deadlines (tests); the write shows what matters.
	deadline := time.Now().Add(q.s.cfg.Server.AnswerTimeout)
	_ = rc.SetWriteDeadline(deadline)
	// net/http reads what is left of a body behind the answer, and a client that stalls
	// there must not hold the connection for ever.
	_ = rc.SetReadDeadline(deadline)
	if q.native {
		h.Del("Content-Length")
		writeGRPC(q.w, a.grpcCode, a.grpcText, a.body)
		return rc.Flush()
	}
	q.w.WriteHeader(a.status)
	if _, err := q.w.Write(a.body); err != nil {
		return err
	}
	return rc.Flush()
}

// grpcAnswer is the answer in the form of gRPC.
func (q *request) grpcAnswer(a *answer, f *failure) {
	a.contentType = grpcContentType
	if f != nil {
		a.grpcCode, a.grpcText = int(codeOf(f.status)), f.text
		return
	}
	a.body = frame(nil) // PushEventsResponse has no fields
}

// frame puts the header before a message.
func frame(message []byte) []byte {
	b := make([]byte, grpcHeader, grpcHeader+len(message))
	binary.BigEndian.PutUint32(b[1:], uint32(len(message)))
	return append(b, message...)
}

// writeGRPC sends an answer. framed is empty for one that has only a status.
func writeGRPC(w http.ResponseWriter, code int, text string, framed []byte) {
	h := w.Header()
	h.Set("Content-Type", grpcContentType)
	h.Set(http.TrailerPrefix+"Grpc-Status", strconv.Itoa(code))
	if text != "" {
		// Spaces and what is not printable ASCII are escaped, more than has to be.
		h.Set(http.TrailerPrefix+"Grpc-Message", url.PathEscape(text))
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(framed) // the stream's end says whether it arrived
}

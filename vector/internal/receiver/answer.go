// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/outkpl/outkpl/vector/internal/body"
	"github.com/outkpl/outkpl/vector/internal/config"
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

// unreadable turns an error on the way from a body to its content into an answer. Where
// the headers are wrong they are so for each body of that sender, by its settings.
func (s *Server) unreadable(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	var e *body.Error
	switch {
	case !errors.As(err, &e):
		return unusable(ReasonMalformed, "the body cannot be read")
	case e.Declared:
		return permanent(http.StatusUnsupportedMediaType, ReasonUnsupported, e.Error())
	case e.Kind == body.KindTooLarge:
		return unusable(ReasonTooLarge, e.Error()+s.limitOf(e))
	case e.Kind == body.KindUnsupported:
		return unusable(ReasonUnsupported, e.Error())
	}
	return unusable(ReasonMalformed, e.Error()+s.limitOf(e))
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

// success is what a 200 tells.
type success struct {
	Events       int `json:"events"`
	Dropped      int `json:"dropped,omitempty"`
	DeadLettered int `json:"dead_lettered,omitempty"`
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
	if res.failure != nil {
		q.reportFailure(res.failure)
	}
	q.countAnswer(a.status, &res)
}

// parkUnseen remembers a body of which the client does not know that everything is in. It
// will send it again.
func (q *request) parkUnseen(res *result) {
	q.s.evicted(q.s.deliverer.Park(res.delivery, &res.content.Content))
	res.failure = goneFailure()
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
	if q.protocol.grpc() {
		h.Del("Content-Length")
		writeGRPC(q.w, a)
		return rc.Flush()
	}
	q.w.WriteHeader(a.status)
	if _, err := q.w.Write(a.body); err != nil {
		return err
	}
	return rc.Flush()
}

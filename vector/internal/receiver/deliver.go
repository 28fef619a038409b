// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/delivery"
)

// result is how a request has ended: failure or, if that is nil, success.
type result struct {
	success success
	failure *failure
	// Set if the body was delivered, so that it can be remembered if the client does not
	// hear of it.
	content  *content
	delivery *delivery.Delivery
}

// deliverContent brings a body to its end, or to a point from which the next request of the
// same body goes on.
func (q *request) deliverContent(c *content, bodyEnd time.Time) result {
	d := q.s.resume(c)
	ctx, cancel := context.WithDeadline(q.r.Context(), q.deadline(bodyEnd))
	defer cancel()
	out := q.s.deliverer.Deliver(ctx, d, &c.Content)
	q.s.counters.acked(time.Since(bodyEnd))
	q.s.evicted(out.Evicted)
	if f := failureOf(q.r.Context(), &out); f != nil {
		if out.State == delivery.Stored || out.State == delivery.Lost {
			q.s.deliverer.Answered(d, false) // the client is told that it need not come again
		}
		return result{failure: f}
	}
	ok := success{Events: c.events, Dropped: out.Dropped + out.Lost + out.HopelessDeadLetters, DeadLettered: len(c.known) + out.Kept - out.HopelessDeadLetters}
	for _, n := range c.dropped {
		ok.Dropped += n
	}
	return result{success: ok, content: c, delivery: d}
}

// resume finds out how far the body, or what it begins with, got before, and counts what it
// leaves out.
func (s *Server) resume(c *content) *delivery.Delivery {
	d, known := s.deliverer.Take(c.Scope, c.Bytes)
	reported := 0
	if known {
		reported = c.events
	} else if c.dest.agent != "" {
		if grown, ok := s.deliverer.TakeBeginning(c.Scope, c); ok {
			d, known, reported = grown, true, grown.Parts()
		}
	}
	if known {
		s.counters.resumed.Add(1)
		s.observe(core.MetricLedgerHits, "", 1)
		s.counters.eventsSaved.Add(uint64(d.SavedEvents(&c.Content)))
	}
	var dropped failureCounts
	for why, n := range c.droppedFrom(reported) {
		detail := ""
		if PoisonReason(why) == PoisonMalformed {
			detail = c.detail
		}
		dropped.add(PoisonReason(why), n, detail, nil)
	}
	s.drop(&dropped, c.dest.stream)
	return d
}

// deadline is when the request has to be answered. The client's clock began to run
// before its body was in; but if that took long, a quarter of the time is left in any
// case, or a slow client would never get through.
func (q *request) deadline(bodyEnd time.Time) time.Time {
	t := q.route.AckTimeout
	deadline := q.begin.Add(t)
	if least := bodyEnd.Add(t / 4); deadline.Before(least) {
		deadline = least
	}
	// A client that waits no longer would not hear when to come again.
	if wait := grpcTimeout(q.r); q.protocol.grpc() && wait > 0 && q.begin.Add(wait*9/10).Before(deadline) {
		deadline = q.begin.Add(wait * 9 / 10)
	}
	return deadline
}

// failureOf says why not everything is settled, or nil if it is. Whatever Kinesis says,
// the request may succeed later: even a missing stream or permission is for the operator
// to mend.
func failureOf(client context.Context, out *delivery.Outcome) *failure {
	switch {
	case out.RejectedLate > 0 && (out.State == delivery.Stored || out.State == delivery.Lost):
		return unusable(ReasonPoison, fmt.Sprintf("events that can never be stored: %d, %s; the others were stored before that was known", out.RejectedLate, PoisonTooLarge))
	case out.State == delivery.Stored, out.State == delivery.Lost: // each event that is lost was logged
		return nil
	case out.State == delivery.Rejected:
		return unusable(ReasonPoison, "an event can never be stored: "+PoisonTooLarge.String())
	case out.Stopped:
		return drainingFailure()
	case out.Open && client.Err() != nil:
		return goneFailure()
	case out.Open:
		return retryable(ReasonAckTimeout, "not everything is confirmed yet; send it again, and only what is missing will be written")
	case errors.Is(out.Refused, core.ErrTooManyStreams):
		// A larger limit would help, so the events are not thrown away.
		return retryable(ReasonStreams, "producer.max_streams is reached")
	case out.Refused != nil, out.Worst.Reason == core.ReasonClosed:
		return drainingFailure()
	case out.Worst.Reason != core.ReasonNone:
		text := "Kinesis did not take everything: " + out.Worst.Reason.String()
		if out.Worst.Code != "" {
			text += " (" + out.Worst.Code + ")"
		}
		return retryable(ReasonFailed, text)
	case out.DeadLetterErr != nil:
		return retryable(ReasonDeadLetter, "the dead letters could not be written")
	}
	return retryable(ReasonInternal, "internal error")
}

func drainingFailure() *failure {
	f := retryable(ReasonDraining, "the program is about to end")
	f.close = true
	return f
}

// evicted reports bodies that were delivered in part and will be written whole.
func (s *Server) evicted(n int) {
	if n > 0 {
		s.throttled.log("ledger", n, func(k skipped) {
			s.log.Warn("bodies were evicted from the ledger before their time and may be written twice; raise ledger.entries or ledger.max_size", "bodies", n, "not_shown", k.lines, "bodies_not_shown", k.n)
		})
	}
}

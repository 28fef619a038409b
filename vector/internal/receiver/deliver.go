// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/ledger"
)

// deliver brings a body to its end, or to a point from which the next request of the
// same body goes on: a delivery that is not finished is parked in the ledger.
func (x *exchange) deliver(c *content) (success, *failure) {
	s := x.s
	d, known := s.takeEntry(c)
	var left [poisonCount]int
	if known {
		s.counters.resumed.Add(1)
		s.observe(core.MetricLedgerHits, "", 1)
		s.counters.eventsSaved.Add(uint64(d.saved()))
		left = d.grow(c)
	} else {
		d = newDelivery(c)
		left = d.left
	}
	for why, n := range left {
		if n > 0 {
			detail := ""
			if PoisonReason(why) == PoisonMalformed {
				detail = c.detail
			}
			s.drop(PoisonReason(why), n, c, detail)
		}
	}
	x.content, x.delivery = c, d
	ctx, cancel := context.WithDeadline(x.r.Context(), x.deadline())
	defer cancel()
	f := x.finish(ctx, d, c)
	s.counters.acked(time.Since(x.bodyEnd))
	if f != nil {
		// A client that is told never to send it again does not, and the next equal body
		// is another one.
		if f.status == http.StatusServiceUnavailable {
			s.park(c, d)
		}
		return success{}, f
	}
	ok := success{Events: c.events, Dropped: d.dropped, DeadLettered: d.deadLettered}
	return ok, nil
}

// deadline is when the request has to be answered. The client's clock began to run
// before its body was in; but if that took long, a quarter of the time is left in any
// case, or a slow client would never get through.
func (x *exchange) deadline() time.Time {
	t := x.route.AckTimeout
	deadline := x.begin.Add(t)
	if least := x.bodyEnd.Add(t / 4); deadline.Before(least) {
		deadline = least
	}
	return deadline
}

// finish begins an attempt for what is missing and waits for it and those under way. The
// failures of an attempt that an earlier request began are from then, so after it comes
// one of this request.
func (x *exchange) finish(ctx context.Context, d *delivery, c *content) *failure {
	var own []*attempt
	for !d.finished() {
		if !d.idle() {
			a := x.s.start(d, c, x.lease)
			if a == nil {
				return drainingFailure()
			}
			own = append(own, a)
		}
		a := d.attempts[0]
		select {
		case <-a.done:
		default:
			select {
			case <-a.done:
			case <-ctx.Done():
				if x.r.Context().Err() != nil {
					return x.goneFailure()
				}
				return later(ReasonAckTimeout, "not everything is confirmed yet; send it again, and only what is missing will be written")
			}
		}
		d.take(a)
		if a.rejected {
			return unusable(ReasonPoison, "an event can never be stored: "+PoisonTooLarge.String())
		}
		if slices.Contains(own, a) && !a.ok() {
			return whyLater(a)
		}
	}
	return nil
}

// whyLater says why an attempt failed. Whatever Kinesis says, the request may succeed
// later: even a missing stream or permission is for the operator to mend.
func whyLater(a *attempt) *failure {
	switch {
	case errors.Is(a.refused, core.ErrTooManyStreams):
		// A larger limit would help, so the events are not thrown away.
		return later(ReasonStreams, "producer.max_streams is reached")
	case a.refused != nil, a.worst.Reason == core.ReasonClosed:
		return drainingFailure()
	case a.worst.Reason != core.ReasonNone:
		text := "Kinesis did not take everything: " + a.worst.Reason.String()
		if a.worst.Code != "" {
			text += " (" + a.worst.Code + ")"
		}
		return later(ReasonFailed, text)
	case a.letterErr != nil:
		return later(ReasonDeadLetter, "the dead letters could not be written")
	}
	return later(ReasonInternal, "internal error")
}

func drainingFailure() *failure {
	f := later(ReasonDraining, "the program is about to end")
	f.close = true
	return f
}

// takeEntry looks the body up in the ledger: the whole, or what it begins with.
func (s *Server) takeEntry(c *content) (*delivery, bool) {
	if s.ledger == nil {
		return nil, false
	}
	if d, known := s.ledger.Take(c.dest.scope, c.raw); known {
		return d, true
	}
	if c.dest.agent == "" {
		return nil, false
	}
	return s.ledger.TakeBeginning(c.dest.scope, c)
}

// park remembers a delivery for the next request of the same body, or one that begins
// with it.
func (s *Server) park(c *content, d *delivery) {
	if s.ledger == nil || !d.worthKeeping() {
		return
	}
	var parts ledger.Parts
	if c.dest.agent != "" && c.telling() {
		parts = c
	}
	if n := s.ledger.PutParts(c.dest.scope, c.raw, parts, d); n > 0 {
		s.throttled.log("ledger", func(skipped int) {
			s.log.Warn("bodies were forgotten before their time and may be written twice; raise ledger.entries or ledger.max_size", "bodies", n, "not_shown", skipped)
		})
	}
}

// drop counts and reports events that are lost because the configuration says so.
func (s *Server) drop(why PoisonReason, n int, c *content, detail string) {
	s.counters.dropped[why].Add(uint64(n))
	s.throttled.log("drop "+why.String(), func(skipped int) {
		s.log.Warn("events can never be stored and were dropped", "stream", c.dest.stream, "reason", why.String(), "detail", detail, "events", n, "not_shown", skipped)
	})
}

// lose counts and reports an event that should be kept as a dead letter, but cannot.
func (s *Server) lose(why PoisonReason, c *content, err error) {
	s.counters.dropped[why].Add(1)
	s.throttled.log("lose "+why.String(), func(skipped int) {
		s.log.Error("an event can be stored neither in its stream nor as a dead letter and is lost", "stream", c.dest.stream, "reason", why.String(), "error", err, "not_shown", skipped)
	})
}

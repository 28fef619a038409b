// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/core/delivery"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// Dispose implements delivery.Receiver by the policies of the route.
func (c *content) Dispose(_ *delivery.Content, n int, err *core.RecordError) delivery.Disposition {
	policy := c.route.Invalid
	if err.Reason == core.ReasonTooLarge {
		policy = c.route.TooLarge
	}
	switch keep := c.s.deadLetters != nil && policy == config.DeadLetters; {
	case !err.Reason.Permanent() && !(err.Reason.DeadLetter() && keep):
		return delivery.Retry
	case policy == config.DeadLetters:
		return delivery.Keep
	case policy != config.Reject:
		return delivery.Drop
	case n == c.Probe:
		return delivery.Reject
	// Others may be written: the limit of the stream, or of what is on the way, was not known.
	case c.s.deadLetters != nil:
		return delivery.Keep
	}
	return delivery.RejectLate
}

// Settled implements delivery.Receiver.
func (c *content) Settled(_ *delivery.Content, r *delivery.Report) {
	for i := range r.Failures {
		f := &r.Failures[i]
		why := poisonOf(f.Err.Reason.String())
		switch f.Disposition {
		case delivery.Keep:
			c.s.deadLettered(why, f.Events, c)
		case delivery.Lose:
			c.s.lose(why, f.Events, c, f.DeadLetterErr)
		default:
			c.s.drop(why, f.Events, c, f.Err.Detail)
		}
	}
	c.s.unwritten(r.DeadLetterErr)
}

// Written implements delivery.Receiver.
func (c *content) Written(_ *delivery.Content, kept, hopeless, again []int32, err error) {
	for _, n := range kept {
		c.s.deadLettered(poisonOf(c.known[n].Reason), 1, c)
	}
	for _, n := range hopeless {
		c.s.lose(poisonOf(c.known[n].Reason), 1, c, err)
	}
	if len(again) > 0 {
		c.s.unwritten(err)
	}
}

// Waiting implements delivery.Receiver. Attempts are detached.
func (c *content) Waiting(string, delivery.Batch, bool) {}

// poisonOf is the poison reason for the reason of a dead letter.
func poisonOf(reason string) PoisonReason {
	switch reason {
	case PoisonTooLarge.String():
		return PoisonTooLarge
	case PoisonKeyMissing.String():
		return PoisonKeyMissing
	case deadletter.ReasonBroken:
		return PoisonMalformed
	}
	return PoisonInvalid
}

// deadLettered counts events that are kept as a dead letter.
func (s *Server) deadLettered(why PoisonReason, n int, c *content) {
	s.counters.deadLettered[why].Add(uint64(n))
	s.observe(core.MetricDeadLetters, c.dest.stream, 1)
}

// drop counts and reports events that are lost because the configuration says so.
func (s *Server) drop(why PoisonReason, n int, c *content, detail string) {
	s.counters.dropped[why].Add(uint64(n))
	s.throttled.log("drop "+why.String(), func(skipped int) {
		s.log.Warn("events can never be stored and were dropped", "stream", c.dest.stream, "reason", why.String(), "detail", detail, "events", n, "not_shown", skipped)
	})
}

// lose counts and reports events that should be kept as a dead letter, but cannot.
func (s *Server) lose(why PoisonReason, n int, c *content, err error) {
	s.counters.dropped[why].Add(uint64(n))
	s.throttled.log("lose "+why.String(), func(skipped int) {
		s.log.Error("an event can be stored neither in its stream nor as a dead letter and is lost", "stream", c.dest.stream, "reason", why.String(), "error", err, "events", n, "not_shown", skipped)
	})
}

// unwritten reports dead letters that could not be written, err may be nil.
func (s *Server) unwritten(err error) {
	if err != nil {
		s.throttled.log("dead_letter", func(skipped int) {
			s.log.Error("dead letters cannot be written; their requests are answered with 503", "error", err, "not_shown", skipped)
		})
	}
}

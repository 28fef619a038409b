// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/core/delivery"
	"github.com/outkpl/outkpl/internal/remedy"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// Dispose implements delivery.Receiver by the policies of the route.
func (c *content) Dispose(_ *delivery.Content, n int, err *core.RecordError) delivery.Disposition {
	policy := c.dest.route.Invalid
	if err.Reason == core.ReasonTooLarge {
		policy = c.dest.route.TooLarge
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
	var kept, lost, dropped failureCounts
	for i := range r.Failures {
		f := &r.Failures[i]
		why := poisonOf(f.Err.Reason.String())
		switch f.Disposition {
		case delivery.Keep:
			kept.add(why, f.Events, f.Err.Detail, nil)
			c.s.observe(core.MetricDeadLetters, c.dest.stream, 1)
		case delivery.Lose:
			lost.add(why, f.Events, f.Err.Detail, f.DeadLetterErr)
		default:
			dropped.add(why, f.Events, f.Err.Detail, nil)
		}
	}
	c.s.deadLettered(&kept, c.dest.stream)
	c.s.lose(&lost, c.dest.stream)
	c.s.drop(&dropped, c.dest.stream)
	c.s.unwritten(r.DeadLetterErr)
}

// Written implements delivery.Receiver.
func (c *content) Written(_ *delivery.Content, kept, hopeless, again []int32, err error) {
	var k, lost failureCounts
	for _, n := range kept {
		k.add(poisonOf(c.known[n].Reason), 1, c.known[n].Detail, nil)
		c.s.observe(core.MetricDeadLetters, c.dest.stream, 1)
	}
	for _, n := range hopeless {
		lost.add(poisonOf(c.known[n].Reason), 1, c.known[n].Detail, err)
	}
	c.s.deadLettered(&k, c.dest.stream)
	c.s.lose(&lost, c.dest.stream)
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

// failureCounts are events with one disposition, by why.
type failureCounts [poisonCount]failureCount

// failureCount has the first detail and error of its events.
type failureCount struct {
	events int
	detail string
	err    error
}

// all yields the reasons of which there are events.
func (t *failureCounts) all(yield func(why PoisonReason, e failureCount) bool) {
	for why, e := range t {
		if e.events > 0 && !yield(PoisonReason(why), e) {
			return
		}
	}
}

func (t *failureCounts) add(why PoisonReason, events int, detail string, err error) {
	e := &t[why]
	if e.events == 0 {
		e.detail, e.err = detail, err
	}
	e.events += events
}

// deadLettered counts and reports events that are kept as dead letters.
func (s *Server) deadLettered(t *failureCounts, stream string) {
	for why, e := range t.all {
		s.counters.deadLettered[why].Add(uint64(e.events))
		s.throttled.log("keep "+why.String(), e.events, func(k skipped) {
			s.log.Warn("events can never be stored and are kept as dead letters", "stream", stream, "reason", why.String(), "detail", e.detail,
				"events", e.events, "not_shown", k.lines, "events_not_shown", k.n)
		})
	}
}

// drop counts and reports events that are lost because the configuration says so.
func (s *Server) drop(t *failureCounts, stream string) {
	for why, e := range t.all {
		s.counters.dropped[why].Add(uint64(e.events))
		s.throttled.log("drop "+why.String(), e.events, func(k skipped) {
			s.log.Warn("events can never be stored and were dropped", "stream", stream, "reason", why.String(), "detail", e.detail,
				"events", e.events, "not_shown", k.lines, "events_not_shown", k.n)
		})
	}
}

// lose counts and reports events that should be kept as dead letters, but cannot.
func (s *Server) lose(t *failureCounts, stream string) {
	for why, e := range t.all {
		s.counters.dropped[why].Add(uint64(e.events))
		s.throttled.log("lose "+why.String(), e.events, func(k skipped) {
			s.log.Error("events can be stored neither in their stream nor as dead letters and are lost", "stream", stream, "reason", why.String(), "error", e.err,
				"events", e.events, "not_shown", k.lines, "events_not_shown", k.n)
		})
	}
}

// unwritten reports dead letters that could not be written, err may be nil.
func (s *Server) unwritten(err error) {
	if err != nil {
		s.throttled.log("dead_letter", 0, func(k skipped) {
			r := remedy.Find("dead_letter", err.Error(), err)
			s.log.Error("dead letters cannot be written; their requests are answered with 503", "cause", r.Cause, "advice", r.Advice(remedy.Receiver, ""),
				"error", err, "not_shown", k.lines)
		})
	}
}

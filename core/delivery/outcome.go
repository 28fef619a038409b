// SPDX-License-Identifier: Apache-2.0

package delivery

import "github.com/outkpl/outkpl/core"

// State says how a call of Deliver has ended.
type State uint8

const (
	// Stored: every record is settled for good, and what is not stored is kept, or left
	// out as configured.
	Stored State = iota
	// Lost: every record is settled for good, but a part of the content is nowhere.
	Lost
	// Unfinished: the content should come again. What is stored of it is remembered.
	Unfinished
	// Rejected: the content can never be stored, and nothing of it is.
	Rejected
)

// Outcome is how a call of Deliver has ended, and why.
type Outcome struct {
	State State
	// Open tells that records are still under way.
	Open bool
	// Stopped tells that no attempt is begun any more.
	Stopped bool
	// Refused, Worst and DeadLetterErr are as in Report, of the last attempts.
	Refused       error
	Worst         core.RecordError
	DeadLetterErr error
	// Kept, Dropped, RejectedLate and Lost count the events of records with these dispositions
	// since the content came for the first time, HopelessDeadLetters those of
	// Content.DeadLetters that can never be kept.
	Kept, Dropped, RejectedLate, Lost, HopelessDeadLetters int
	// Evicted is the number of contents that had to leave the ledger for lack of room.
	Evicted int
}

// noteResult keeps why something has to be retried.
func (o *Outcome) noteResult(r *result) {
	if r.rejected {
		o.State = Rejected
	}
	if o.Refused == nil {
		o.Refused = r.refused
	}
	if o.Worst.Reason == core.ReasonNone {
		o.Worst = r.worst
	}
	if o.DeadLetterErr == nil {
		o.DeadLetterErr = r.deadLetterErr
	}
}

// outcome completes what the attempts have said.
func (d *Delivery) outcome(out Outcome) Outcome {
	out.Open = len(d.attempts) > 0
	out.Kept, out.Dropped, out.RejectedLate, out.Lost, out.HopelessDeadLetters = d.kept, d.dropped, d.rejectedLate, d.gone, d.hopeless
	switch {
	case out.State == Rejected:
	case !d.Finished():
		out.State = Unfinished
	case d.lost:
		out.State = Lost
	}
	return out
}

// Park remembers d, of which the client will not hear although Deliver was done. It
// returns how many contents were evicted from the ledger for lack of room.
func (l *Deliverer) Park(d *Delivery, c *Content) (evicted int) {
	if l.ledger == nil || !d.worthKeeping() {
		if len(d.attempts) == 0 || l.ledger == nil {
			d.entry.Abandon()
		}
		return 0
	}
	content := c.Bytes
	if d.content == c {
		c.Bytes = nil // they are the caller's, and c may stay for long
	}
	return l.ledger.PutParts(c.Scope, content, c.Parts, d)
}

// Answered has to be called before the client hears that d, of which nothing is left to
// do, is done. Without a journal it does nothing. mayAsk tells that a client whose answer is
// lost with this process comes again with the same content, and never comes with another
// one that is equal within 10 s.
func (l *Deliverer) Answered(d *Delivery, mayAsk bool) {
	if mayAsk {
		d.entry.Finish()
		return
	}
	d.entry.End()
	d.entry = nil
}

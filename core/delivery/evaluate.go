// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
)

// evaluateEnded evaluates an attempt that is not detached once its batch has settled.
func (a *attempt) evaluateEnded(ctx context.Context, late bool) {
	if a.done != nil {
		return // its goroutine has done so
	}
	a.report.Late = late
	a.evaluateBatch(ctx, a.content, a.batch, a.records, a.numbers)
	a.content.release()
	a.content, a.records, a.report = nil, nil, Report{}
}

// evaluateBatch sorts the failures of a batch that has settled.
func (a *attempt) evaluateBatch(ctx context.Context, c *Content, b Batch, records []core.Record, numbers []int32) {
	confirmed, failed, _ := b.Counts()
	a.report = Report{Stream: a.stream, Confirmed: confirmed, Progress: confirmed > a.seen, Late: a.report.Late}
	if failed > 0 {
		a.sortFailures(ctx, c, b, records, numbers)
	}
	c.Receiver.Settled(c, &a.report)
}

// failed is a record that failed for good, by its place in its batch.
type failed struct {
	i           int
	disposition Disposition
	err         *core.RecordError
}

// sortFailures is apart from evaluateBatch, as it allocates.
func (a *attempt) sortFailures(ctx context.Context, c *Content, b Batch, records []core.Record, numbers []int32) {
	r := &a.report
	var finals []failed
	b.Failures(func(i int, err *core.RecordError) bool {
		n := numberIn(numbers, i)
		switch to := c.Receiver.Dispose(c, int(n), err); {
		case to == Reject:
			a.rejected = true
		case to == Retry || to == Keep && r.Late:
			// What the producer never took says less than any answer of Kinesis.
			if r.Worst.Reason == core.ReasonNone || r.Worst.Reason == core.ReasonNotAccepted {
				r.Worst = *err
			}
			a.missing = append(a.missing, n)
			r.Missing++
		default:
			finals = append(finals, failed{i, to, err})
		}
		return true
	})
	a.worst = r.Worst
	kept, hopeless, err := a.by.writeDeadLetters(ctx, func(yield func(int, deadletter.Entry) bool) {
		for k, f := range finals {
			if f.disposition != Keep {
				continue
			}
			l := deadletter.FromRecord(b, f.i, &records[f.i], f.err, c.Source)
			l.Stream = a.stream // as configured, it may be an ARN
			if c.Events != nil {
				l.Events = c.eventsOf(numberIn(numbers, f.i))
			}
			if !yield(k, l) {
				return
			}
		}
	})
	settled := make([]final, 0, len(finals))
	for k, f := range finals {
		out := Failure{Disposition: f.disposition, Err: f.err, Events: c.eventsOf(numberIn(numbers, f.i)), Bytes: len(records[f.i].Data) + len(records[f.i].PartitionKey)}
		switch {
		case f.disposition == Drop:
			a.dropped += out.Events
		case f.disposition == RejectLate:
			a.rejectedLate += out.Events
		case f.disposition == Lose:
			a.lost += out.Events
		case next(&kept, k):
			a.kept += out.Events
		case next(&hopeless, k):
			out.Disposition, out.DeadLetterErr = Lose, err
			a.lost += out.Events
		default:
			a.missing = append(a.missing, numberIn(numbers, f.i))
			a.deadLetterErr, r.DeadLetterErr = err, err
			r.Missing++
			continue
		}
		r.Failures = append(r.Failures, out)
		settled = append(settled, final{journaled[out.Disposition], numberIn(numbers, f.i), out.Events})
	}
	a.noteFinals(settled)
}

// eventsOf is how many events a record holds.
func (c *Content) eventsOf(n int32) int {
	if c.Events == nil {
		return 1
	}
	return c.Events.EventsOf(int(n))
}

// next takes n off a rising list if it is the first.
func next(list *[]int, n int) bool {
	if len(*list) == 0 || (*list)[0] != n {
		return false
	}
	*list = (*list)[1:]
	return true
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

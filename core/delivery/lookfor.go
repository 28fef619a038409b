// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/journal"
)

// What an earlier process has sent without an answer is looked for before it is resent.
// For the delivery this is a batch like others: it puts what is not found.

// lookingBatch is a batch of which some records may be stored.
type lookingBatch struct {
	a       *attempt
	content *Content // nobody lets go of its memory before all is settled
	records []core.Record
	numbers []int32       // of the records in the content, nil if they are the content's
	begun   chan struct{} // closed when it is known what is stored, and the rest is put
	done    chan struct{} // closed when all is settled

	// Constant once begun is closed.
	found []core.Found // by record, nil if none is stored
	rest  []int32      // the places of those that were put
	inner Batch        // nil: none was taken
	err   *core.RecordError
}

func (b *lookingBatch) run(ctx context.Context, unanswered []journal.UncertainRecord) {
	defer close(b.done)
	b.begin(ctx, unanswered)
	if b.inner != nil {
		<-b.inner.Done()
	}
}

// begin looks for what may be stored and puts the rest.
func (b *lookingBatch) begin(ctx context.Context, unanswered []journal.UncertainRecord) {
	defer close(b.begun)
	defer func() {
		if p := recover(); p != nil {
			b.content.spoil()
			b.found, b.rest = nil, appendNumbers(nil, 0, len(b.records))
			b.inner, b.err = nil, &core.RecordError{Stream: b.a.stream, Reason: core.ReasonNotAccepted, Detail: "internal error"}
			if panicked := b.a.by.cfg.Panicked; panicked != nil {
				panicked(p, debug.Stack())
			}
		}
	}()
	b.look(ctx, unanswered)
	var rest []core.Record
	var numbers []int32
	for i := range b.records {
		if len(b.found) == 0 || b.found[i].Outcome != core.LookStored {
			b.rest = append(b.rest, int32(i))
			rest, numbers = append(rest, b.records[i]), append(numbers, numberIn(b.numbers, i))
		}
	}
	if len(rest) == 0 {
		return
	}
	var err error
	if b.inner, err = b.a.by.cfg.PutBatch(b.a.traced(ctx, numbers), b.a.stream, rest); b.inner == nil {
		b.err = &core.RecordError{Stream: b.a.stream, Reason: core.ReasonNotAccepted, Detail: "the producer took no records", Err: err}
		if errors.Is(err, core.ErrClosed) {
			b.err.Reason = core.ReasonClosed
		}
	}
}

// look fills in what is stored, and tells the journal.
func (b *lookingBatch) look(ctx context.Context, unanswered []journal.UncertainRecord) {
	list := make([]core.Unanswered, len(unanswered))
	for i := range unanswered {
		list[i] = *unanswered[i].Unanswered
		list[i].Records = len(unanswered[i].Numbers)
	}
	var stored []int32
	open := map[int32]bool{}
	for i, f := range b.a.by.lookFor(ctx, b.a.stream, list) {
		for _, n := range unanswered[i].Numbers {
			at := b.place(n)
			switch {
			case at < 0:
			case f.Outcome == core.LookOpen:
				open[n] = true
			case f.Outcome == core.LookStored:
				if b.found == nil {
					b.found = make([]core.Found, len(b.records))
				}
				if b.found[at].Outcome != core.LookStored {
					b.found[at] = f
					stored = append(stored, n)
				}
			}
		}
	}
	for _, n := range stored {
		delete(open, n)
	}
	slices.Sort(stored)
	b.a.entry.Settle(journal.Confirmed, 0, stored)
	b.a.by.cfg.Journal.CountUncertain(len(open))
}

// place is where a record of the content is in the batch, or -1.
func (b *lookingBatch) place(n int32) int {
	if b.numbers == nil {
		if int(n) < len(b.records) {
			return int(n)
		}
		return -1
	}
	if i, ok := slices.BinarySearch(b.numbers, n); ok {
		return i
	}
	return -1
}

// hasBegun tells whether what follows the look is known.
func (b *lookingBatch) hasBegun() bool {
	select {
	case <-b.begun:
		return true
	default:
		return false
	}
}

// Done implements Batch.
func (b *lookingBatch) Done() <-chan struct{} { return b.done }

// WaitSettled implements Batch.
func (b *lookingBatch) WaitSettled(ctx context.Context) error {
	select {
	case <-b.begun:
	case <-ctx.Done():
		return ctx.Err()
	}
	if b.inner != nil { // its aggregates leave when all wait
		if err := b.inner.WaitSettled(ctx); err != nil {
			return err
		}
	}
	<-b.done
	return nil
}

// Counts implements Batch.
func (b *lookingBatch) Counts() (confirmed, failed, pending int) {
	switch {
	case !b.hasBegun():
		return 0, 0, len(b.records)
	case b.inner != nil:
		confirmed, failed, pending = b.inner.Counts()
	default:
		failed = len(b.rest)
	}
	return confirmed + len(b.records) - len(b.rest), failed, pending
}

// Failures implements Batch.
func (b *lookingBatch) Failures(yield func(int, *core.RecordError) bool) {
	switch {
	case !b.hasBegun():
	case b.inner != nil:
		b.inner.Failures(func(i int, err *core.RecordError) bool { return yield(int(b.rest[i]), err) })
	default:
		for _, at := range b.rest {
			if !yield(int(at), b.err) {
				return
			}
		}
	}
}

// Result implements Batch.
func (b *lookingBatch) Result(i int) core.Result {
	if !b.hasBegun() {
		return core.Result{}
	}
	at, put := slices.BinarySearch(b.rest, int32(i))
	switch {
	case !put:
		return core.Result{Settled: true, ShardID: b.found[i].ShardID, SequenceNumber: b.found[i].SequenceNumber}
	case b.inner == nil:
		return core.Result{Settled: true, Err: b.err}
	}
	return b.inner.Result(at)
}

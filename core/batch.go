// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/outkpl/outkpl/aggregation"
)

// Attempt is one try to deliver a user record.
type Attempt struct {
	// Start is when the request was handed to the client, End when its
	// outcome was known.
	Start, End time.Time
	// Delay is the wait before the attempt: since the batch was submitted,
	// or since the end of the attempt before.
	Delay time.Duration
	// ShardID and SequenceNumber are set when Kinesis stored the record. With the
	// code "Wrong Shard", its aggregate has records that are out of the range of
	// the shard, this one or others.
	ShardID, SequenceNumber string
	// Code and Message are empty for the attempt that confirmed the record.
	// Besides the codes of Kinesis there are "Wrong Shard", "Expired",
	// "Record Count Mismatch" and "RequestFailed" (no answer).
	Code, Message string
	// Uncertain is set when the request may have been stored although it
	// failed here, so that a further attempt may have doubled the record.
	Uncertain bool
}

// Duration is how long the attempt took.
func (a *Attempt) Duration() time.Duration { return a.End.Sub(a.Start) }

// Result is what became of one user record.
type Result struct {
	// Settled is false as long as the outcome is open.
	Settled bool
	// ShardID and SequenceNumber say where the confirmed record is; see WithPlaces. All
	// user records of one aggregate share the sequence number.
	ShardID, SequenceNumber string
	// Attempts lists the attempts, oldest first. Of more than 32 the first 30 and the
	// last two are kept; the one before the last is Uncertain if any of those
	// left out was.
	Attempts []Attempt
	// Err is nil when the record is confirmed or still open.
	Err *RecordError
	// Value is that of the Record.
	Value any
}

// Confirmed reports whether Kinesis has confirmed the record.
func (r Result) Confirmed() bool { return r.Settled && r.Err == nil }

// item is one user record on its way. Items of a batch live in one slice. In large
// streams those of one aggregate lie far apart, so what the stages ask for again and
// again is in here, and an item has 64 bytes: one line of the processor's cache.
type item struct {
	batch     *Batch
	hash      aggregation.HashKey // where the record belongs; unset for an unkeyed record
	shard     *shard              // prediction made on submission, checked again under the lock
	last      *attemptNode
	err       *RecordError
	index     int32 // in the batch
	dataBytes int32
	keyBytes  int32 // partition key and explicit hash key
	tries     uint16
	flags     itemFlags
	misplaced uint8 // how many aggregates with it were stored in a wrong shard
}

// record returns the record as it was submitted.
func (it *item) record() *Record { return &it.batch.records[it.index] }

type itemFlags uint8

const (
	itemExplicit itemFlags = 1 << iota // the user gave an explicit hash key
	itemUnkeyed                        // the producer chooses the shard
	itemSettled
	itemAlone    // must not share a Kinesis record again
	itemBuffered // has room in the buffer
)

func (it *item) has(f itemFlags) bool { return it.flags&f != 0 }

// Batch is a set of records submitted together and the place where their
// outcomes appear. It is safe for concurrent use. Once it is settled, it holds the
// outcomes and the values of its records, but not their data and keys.
type Batch struct {
	pipe   *pipeline
	items  []item
	values []any // of the records; nil if none has one
	tag    any   // of WithBatchTag
	done   chan struct{}
	// settledFuncs are the functions of OnSettled, the last first; settledAlready once
	// they have been called.
	settledFuncs atomic.Pointer[settledFunc]

	// Guarded by pipe.mu until done is closed, constant afterwards.
	records     []Record // nil once all are settled
	ownsRecords bool     // the records are not the caller's
	open        int      // records not settled
	failed      int
	waiters     int
	submitting  bool // its submission goes on
	prompt      bool // nothing is waited for; see lingers
	seq         uint64
	wave        uint64 // see lingering; 0 if it has not joined one
	arrived     int64  // when its submission began
	expires     int64  // nanoseconds since the producer's start, 0 for never
	prev        *Batch // list of open batches, oldest first
	next        *Batch
}

// Len returns the number of records.
func (b *Batch) Len() int { return len(b.items) }

// Value returns the Value of record i.
func (b *Batch) Value(i int) any {
	if b.values == nil {
		return nil
	}
	return b.values[i]
}

// Done is closed when every record is settled: confirmed or failed.
func (b *Batch) Done() <-chan struct{} { return b.done }

// Wait waits until every record is settled, and returns nil if all are confirmed.
// Otherwise the error is a *BatchError. If ctx ends first, the error is that of ctx: the
// records go on, and Wait may be called again. See WaitSettled.
func (b *Batch) Wait(ctx context.Context) error {
	if err := b.WaitSettled(ctx); err != nil {
		return err
	}
	return b.Err()
}

// WaitSettled returns nil once every record is settled, whatever the outcomes, and
// the context's error if that ends first. The records go on in that case; WaitSettled
// may be called again. While every open batch of a stream is being waited for,
// the producer sends partly filled aggregates at once, because no caller is
// left that could fill them.
func (b *Batch) WaitSettled(ctx context.Context) error {
	select {
	case <-b.done:
		return nil
	default:
	}
	b.pipe.countWaiters(b, +1)
	defer b.pipe.countWaiters(b, -1)
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Counts returns how many records are confirmed, failed and still open.
func (b *Batch) Counts() (confirmed, failed, pending int) {
	defer b.lockOutcomes()()
	return len(b.items) - b.open - b.failed, b.failed, b.open
}

// Result returns what is known of record i, in the order of submission.
func (b *Batch) Result(i int) Result {
	defer b.lockOutcomes()()
	it := &b.items[i]
	r := Result{Settled: it.has(itemSettled), Err: it.err, Value: b.Value(i)}
	n := 0
	for a := it.last; a != nil; a = a.prev {
		n++
	}
	if n > 0 {
		r.Attempts = make([]Attempt, n)
		for a := it.last; a != nil; a = a.prev {
			n--
			r.Attempts[n] = a.fullAttempt()
		}
		since := b.pipe.p.start.Add(time.Duration(b.arrived))
		for i := range r.Attempts {
			a := &r.Attempts[i]
			a.Delay, since = a.Start.Sub(since), a.End
		}
		if r.Confirmed() {
			r.ShardID, r.SequenceNumber = it.last.shardID, it.last.sequenceNumber
		}
	}
	return r
}

// Err returns nil if every settled record is confirmed, otherwise a *BatchError of those
// that have failed so far.
func (b *Batch) Err() error {
	defer b.lockOutcomes()()
	if b.failed == 0 {
		return nil
	}
	e := &BatchError{Stream: b.pipe.stream.name, Records: len(b.items), Failed: b.failed}
	for i := range b.items {
		err := b.items[i].err
		if err == nil {
			continue
		}
		e.reasons[err.Reason]++
		if len(e.Errors) < maxBatchErrors && !slices.Contains(e.Errors, err) {
			e.Errors = append(e.Errors, err)
		}
	}
	return e
}

// Failures calls yield for each failed record until it returns false.
func (b *Batch) Failures(yield func(i int, err *RecordError) bool) {
	for _, f := range b.failures() {
		if !yield(f.i, f.err) {
			return
		}
	}
}

type failure struct {
	i   int
	err *RecordError
}

// failures lists the records that have failed so far.
func (b *Batch) failures() []failure {
	defer b.lockOutcomes()()
	list := make([]failure, 0, b.failed)
	for i := range b.items {
		if b.items[i].err != nil {
			list = append(list, failure{i, b.items[i].err})
		}
	}
	return list
}

// lockOutcomes gives a consistent view of a batch that may still be settling.
func (b *Batch) lockOutcomes() (unlock func()) {
	select {
	case <-b.done:
		return func() {}
	default:
		b.pipe.mu.Lock()
		return b.pipe.mu.Unlock
	}
}

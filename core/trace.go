// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Trace is told of each call of PutRecords before it is made, of the records that are
// confirmed, and of the end of the call. So it can keep a record of what
// may be in Kinesis and what is, which outlives the process. Batches are recognized by
// their Tag.
//
// Its methods run in the goroutine of the call, without a lock of the producer, several at
// a time, and the call waits for them. They must not use the producer.
type Trace interface {
	// Sending is called before a call. What it returns is given to Answered.
	Sending(c *TracedCall) (token uint64)
	// Confirmed is called for records that are confirmed, before Done of their batches is
	// closed. It must not keep the runs.
	Confirmed(runs *ConfirmedRuns)
	// Answered is called after a call. known tells that for each Kinesis record of the call it
	// is known whether it is stored, and that Confirmed was called for those that are confirmed.
	Answered(token uint64, known bool)
}

// WithTrace sets what is told of calls. Default: nothing, at no cost.
func WithTrace(t Trace) Option {
	return optionFunc(func(c *config) { c.trace = t })
}

// TracedCall is a call of PutRecords that is about to be made. It is valid until Sending
// returns.
type TracedCall struct {
	// Stream is the name of the stream, StreamARN its ARN if the caller has named it by that.
	Stream, StreamARN string
	pl                *pipeline
	req               *request
}

// Len returns the number of Kinesis records.
func (c *TracedCall) Len() int { return len(c.req.records) }

// ShardID returns the shard that Kinesis record i should go to, or "" if that is unknown.
func (c *TracedCall) ShardID(i int) string { return c.req.records[i].shardID() }

// PartitionKey returns the outer partition key of Kinesis record i.
func (c *TracedCall) PartitionKey(i int) string { return c.req.keys[2*i+1] }

// UserRecords calls f for the user records of Kinesis record i, in their order there: the tag of their
// batch, and n numbers in there from first on. It may do so several times for numbers that are behind
// each other.
func (c *TracedCall) UserRecords(i int, f func(tag any, first, n int)) {
	if items := c.req.records[i].items; len(items) != 1 {
		tellItems(items, f)
	} else {
		f(items[0].batch.tag, int(items[0].index), 1)
	}
}

func tellItems(items []*item, f func(tag any, first, n int)) {
	// Items lie apart, and have left the processor's caches since they were made. Fetched by a loop that
	// does nothing else they come many at a time, which takes a fraction of the time.
	var fetched [64]struct {
		batch *Batch
		index int32
	}
	for len(items) > 0 {
		few := items[:min(len(items), len(fetched))]
		items = items[len(few):]
		for k, it := range few {
			fetched[k].batch, fetched[k].index = it.batch, it.index
		}
		for k := 0; k < len(few); {
			first := &fetched[k]
			n := 1
			for k+n < len(few) && fetched[k+n].index == first.index+int32(n) && fetched[k+n].batch == first.batch {
				n++
			}
			f(first.batch.tag, int(first.index), n)
			k += n
		}
	}
}

// runOf is how many of the items at the beginning are behind each other in one batch.
func runOf(items []*item) int {
	n := 1
	for b, next := items[0].batch, items[0].index+1; n < len(items) && items[n].index == next && items[n].batch == b; next++ {
		n++
	}
	return n
}

type batchTagKey struct{}

// WithBatchTag returns a context under which PutBatch gives its batch a tag.
func WithBatchTag(ctx context.Context, tag any) context.Context {
	return context.WithValue(ctx, batchTagKey{}, tag)
}

// Tag is what WithBatchTag has given the batch, or nil.
func (b *Batch) Tag() any { return b.tag }

// traceSending tells the trace of a call.
func (pl *pipeline) traceSending(req *request) (token uint64) {
	if pl.cfg.trace == nil {
		return 0
	}
	defer pl.p.recoverForeign("the trace of calls")
	return pl.cfg.trace.Sending(&TracedCall{Stream: pl.stream.name, StreamARN: aws.ToString(pl.stream.arn), pl: pl, req: req})
}

// traceAnswered tells the trace of the end of a call.
func (pl *pipeline) traceAnswered(token uint64, known bool) {
	if pl.cfg.trace == nil {
		return
	}
	defer pl.p.recoverForeign("the trace of calls")
	pl.cfg.trace.Answered(token, known)
}

// noteConfirmedRuns keeps for the trace that the records of a Kinesis record are confirmed. Called with
// the lock held.
func (pl *pipeline) noteConfirmedRuns(kr *kinesisRecord, a *attemptNode) {
	if pl.settled.confirmed == nil {
		pl.settled.confirmed = pl.p.confirmedRuns.take()
	}
	c := pl.settled.confirmed
	if len(kr.items) == 1 && !pl.cfg.verify {
		c.addBefore(kr.items[0])
		return
	}
	if c.addRuns(kr.items); pl.cfg.verify {
		c.addPlace(a)
	}
}

// traceConfirmed tells the trace of confirmed records. Called without the lock.
func (p *Producer) traceConfirmed(list *ConfirmedRuns) {
	if list == nil {
		return
	}
	func() {
		defer p.recoverForeign("the trace of calls")
		p.cfg.trace.Confirmed(list)
	}()
	p.confirmedRuns.give(list)
}

// uncertainties counts what makes it unknown whether something is stored, or confirmed. If it does
// not change while an answer is worked in, nothing of that call is uncertain. What is looked for
// is.
func (pl *pipeline) uncertainties() int {
	return int(pl.stats.Uncertain+pl.stats.InternalFailures+pl.stats.VerifyOpened) + len(pl.unresolved)
}

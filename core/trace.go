// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Trace is told of each call of PutRecords before it is made, and once all that its answer
// settles has been told to the function of WithOutcomeFunc. So it can keep a record of what
// may be in Kinesis and what is, which outlives the process. Batches are recognized by
// their Tag.
//
// Its methods run in the goroutine of the call, without a lock of the producer, several at
// a time, and the call waits for them. They must not use the producer.
type Trace interface {
	// Sending is called before a call. What it returns is given to Answered.
	Sending(c *TracedCall) (token uint64)
	// Answered is called after it. known tells that for each Kinesis record of the call it
	// is known whether it is stored, and that the outcome function knows of those that are
	// confirmed.
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

// UserRecords returns the number of user records in Kinesis record i.
func (c *TracedCall) UserRecords(i int) int { return len(c.req.records[i].items) }

// UserRecord returns user record k of Kinesis record i: the tag of its batch, and its number
// in there.
func (c *TracedCall) UserRecord(i, k int) (tag any, index int) {
	it := c.req.records[i].items[k]
	return it.batch.tag, int(it.index)
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

// uncertainties counts what makes it unknown whether something is stored, or confirmed. If it does
// not change while an answer is worked in, nothing of that call is uncertain. What is looked for
// is.
func (pl *pipeline) uncertainties() int {
	return int(pl.stats.Uncertain+pl.stats.InternalFailures+pl.stats.VerifyOpened) + len(pl.unresolved)
}

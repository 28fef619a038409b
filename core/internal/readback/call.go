// SPDX-License-Identifier: Apache-2.0

package readback

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/outkpl/outkpl/aggregation"
)

// API is what reads need; *kinesis.Client has it.
type API interface {
	GetShardIterator(ctx context.Context, in *kinesis.GetShardIteratorInput, opts ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error)
	GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error)
}

// position is where a read begins.
type position struct {
	after string    // after this sequence number
	since time.Time // or else with what came since then
	// without both: with the first record of the shard
}

// covers tells whether all that comes after o comes after p, as far as that is known.
func (p position) covers(o position) bool {
	switch {
	case p == position{}:
		return true
	case p.after != "":
		return o.after != "" && !lessNumber(o.after, p.after)
	default:
		return !o.since.IsZero() && !o.since.Before(p.since)
	}
}

// earlier returns a position that covers both. What only one of them has says nothing of the other.
func (p position) earlier(o position) (first position) {
	if p.after != "" && o.after != "" {
		if first.after = p.after; lessNumber(o.after, p.after) {
			first.after = o.after
		}
	}
	if !p.since.IsZero() && !o.since.IsZero() {
		if first.since = p.since; o.since.Before(p.since) {
			first.since = o.since
		}
	}
	return first
}

// lessNumber compares sequence numbers, which are decimal.
func lessNumber(a, b string) bool {
	return len(a) < len(b) || len(a) == len(b) && a < b
}

// Call is one call to Kinesis for a shard: GetRecords, or GetShardIterator before the first one.
type Call struct {
	// Shard is the id of the shard.
	Shard string

	s        *shard
	p        *pass
	began    int64
	iterator string
	from     position
	limit    int
}

// Reads tells whether it is GetRecords.
func (c *Call) Reads() bool { return c.iterator != "" }

// Result is the outcome of a Call.
type Result struct {
	// Err is why the call failed.
	Err error

	iterator string // if that was asked for
	keys     []found
	records  int
	bytes    int
	first    string        // sequence number of the first record
	last     string        // and of the last one
	at       time.Time     // when that one was stored, about
	span     time.Duration // between them
	next     string        // iterator; empty at the end of a closed shard
	tip      bool          // nothing was behind what was read
	children []child
}

// found is a record that was read.
type found struct{ key, number string }

// child is a shard that came out of one that is closed.
type child struct {
	id          string
	first, last aggregation.HashKey
	known       bool // the range is
}

func (c *child) mayContain(h aggregation.HashKey) bool {
	return !c.known || c.first.Compare(h) <= 0 && h.Compare(c.last) <= 0
}

// Do makes the call. It changes nothing of the Reader and needs no lock.
func (c *Call) Do(ctx context.Context, api API, stream, arn *string) (res Result) {
	if !c.Reads() {
		return c.begin(ctx, api, stream, arn)
	}
	out, err := api.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: &c.iterator, Limit: aws.Int32(int32(c.limit)), StreamARN: arn})
	if err != nil {
		res.Err = err
		return res
	}
	for i := range out.Records {
		r := &out.Records[i]
		key, number := aws.ToString(r.PartitionKey), aws.ToString(r.SequenceNumber)
		res.bytes += len(r.Data) + len(key)
		if len(key) == KeyBytes {
			// Cloned, or the answer with all payloads would stay in memory.
			both := key + number
			res.keys = append(res.keys, found{both[:KeyBytes], both[KeyBytes:]})
		}
		if i == 0 {
			res.first = strings.Clone(number)
		}
		res.last, res.at = number, aws.ToTime(r.ApproximateArrivalTimestamp)
	}
	if n := len(out.Records); n > 0 {
		res.span = res.at.Sub(aws.ToTime(out.Records[0].ApproximateArrivalTimestamp))
	}
	res.records, res.last = len(out.Records), strings.Clone(res.last)
	res.next = aws.ToString(out.NextShardIterator)
	res.tip = out.MillisBehindLatest != nil && *out.MillisBehindLatest == 0
	for _, s := range out.ChildShards {
		c := child{id: aws.ToString(s.ShardId)}
		if r := s.HashKeyRange; r != nil {
			var err1, err2 error
			c.first, err1 = aggregation.ParseHashKey(aws.ToString(r.StartingHashKey))
			c.last, err2 = aggregation.ParseHashKey(aws.ToString(r.EndingHashKey))
			c.known = err1 == nil && err2 == nil
		}
		res.children = append(res.children, c)
	}
	return res
}

// begin gets an iterator. It is a call of its own, since it may take its time: the next one would
// follow too soon otherwise.
func (c *Call) begin(ctx context.Context, api API, stream, arn *string) (res Result) {
	in := &kinesis.GetShardIteratorInput{StreamName: stream, StreamARN: arn, ShardId: &c.Shard}
	switch {
	case c.from.after != "":
		in.ShardIteratorType, in.StartingSequenceNumber = types.ShardIteratorTypeAfterSequenceNumber, &c.from.after
	case !c.from.since.IsZero():
		in.ShardIteratorType, in.Timestamp = types.ShardIteratorTypeAtTimestamp, &c.from.since
	default:
		in.ShardIteratorType = types.ShardIteratorTypeTrimHorizon
	}
	out, err := api.GetShardIterator(ctx, in)
	if err != nil {
		return Result{Err: err}
	}
	if res.iterator = aws.ToString(out.ShardIterator); res.iterator == "" {
		res.Err = errNoIterator
	}
	return res
}

var errNoIterator = errors.New("the answer of GetShardIterator has no iterator")

// code returns the error code of a failed call, empty if there is none.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

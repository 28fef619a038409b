// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/internal/kcl"
	"github.com/outkpl/outkpl/internal/plural"
)

// UserRecord is one user record as a consumer built on the Kinesis Client
// Library gets it.
type UserRecord struct {
	ShardID        string
	SequenceNumber string
	// SubSequenceNumber is the place in the aggregate, from 0.
	SubSequenceNumber int
	// Aggregated is false for a plain Kinesis record.
	Aggregated bool
	// PartitionKey is the key as text. In an aggregate, bytes that are not UTF-8 have
	// become U+FFFD, as the library decodes keys.
	PartitionKey string
	// ExplicitHashKey is what the aggregate says; for a plain record it is only
	// known to [Server.Consume], because GetRecords does not return it.
	ExplicitHashKey string
	Data            []byte
	ArrivalTime     time.Time
}

// Consumed is what a consumer got from a stream.
type Consumed struct {
	// Records are in order of their shards, parents before children, and in a
	// shard in order of their sequence numbers.
	Records []UserRecord
	// Dropped are the user records of the aggregates that the Kinesis Client Library
	// drops. It drops an aggregate as a whole, without an error, if the hash key of
	// one of its user records is not in the range of the shard that stores it: the
	// others are lost with it (AggregatorUtil.deaggregate,
	// https://github.com/awslabs/amazon-kinesis-client, 2.x to 3.5.1, checked
	// 2026-11-28). The library decodes partition keys as Java does, so that a key that
	// is not UTF-8 has another hash key there than in Kinesis.
	//
	// An aggregate that the library fails on counts as dropped, too: an explicit hash
	// key is not a number, or an index is past its table. If such an aggregate cannot be
	// disaggregated, it is here as one user record that is not Aggregated.
	Dropped []UserRecord
	// OutOfRange counts the user records of Dropped that are themselves out of the
	// range.
	OutOfRange int
	// KinesisRecords and Aggregates count what was read, DroppedAggregates what the
	// user records in Dropped are of.
	KinesisRecords, Aggregates, DroppedAggregates int
}

// add de-aggregates one Kinesis record. Plain records are always delivered:
// the library checks ranges for aggregates only.
func (c *Consumed) add(base UserRecord, start, end hashKey) {
	c.KinesisRecords++
	recs, aggregated := aggregation.Deaggregate(base.PartitionKey, base.ExplicitHashKey, base.Data)
	read := kcl.Read(base.Data, aggregation.HashKey{Hi: start.hi, Lo: start.lo}, aggregation.HashKey{Hi: end.hi, Lo: end.lo})
	into := &c.Records
	if read.Dropped() {
		into = &c.Dropped
		c.DroppedAggregates++
	}
	for _, out := range read.OutOfRange {
		if out {
			c.OutOfRange++
		}
	}
	if !aggregated {
		*into = append(*into, base)
		return
	}
	c.Aggregates++
	for i, u := range recs {
		r := base
		r.SubSequenceNumber, r.Aggregated = i, true
		r.PartitionKey, r.ExplicitHashKey, r.Data = kcl.DecodeUTF8(u.PartitionKey), u.ExplicitHashKey, u.Data
		*into = append(*into, r)
	}
}

// Consume returns what a stream stores as a consumer built on the Kinesis Client
// Library gets it. It touches neither faults nor counts. It returns nothing for
// a stream that does not exist, and for a server that only counts.
func (s *Server) Consume(stream string) Consumed {
	var c Consumed
	st, f := s.lookup(&stream, nil)
	if f != nil {
		return c
	}
	st.mu.RLock()
	all := st.all // a child's id is always above its parents'
	st.mu.RUnlock()
	for _, sh := range all {
		for _, r := range sh.snapshot() {
			c.add(UserRecord{
				ShardID: r.ShardID, SequenceNumber: r.SequenceNumber, PartitionKey: r.PartitionKey,
				ExplicitHashKey: r.ExplicitHashKey, Data: r.Data, ArrivalTime: r.ArrivalTime,
			}, sh.start, sh.end)
		}
	}
	return c
}

// ReadAPI is what [ReadAll] needs; *kinesis.Client and [Client] have it.
type ReadAPI interface {
	ListShards(ctx context.Context, in *kinesis.ListShardsInput, opts ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error)
	GetShardIterator(ctx context.Context, in *kinesis.GetShardIteratorInput, opts ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error)
	GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error)
}

// maxEmptyPages bounds the empty pages in a row of a shard that claims to hold more.
const maxEmptyPages = 1000

// ReadAll reads a stream of any Kinesis endpoint from the trim horizon to the
// tip, by the same rules as [Server.Consume]. A shard is done at its end if it
// is closed, and else at an empty page with nothing behind it. It follows
// resharding: it lists the shards until no new ones appear. The stream is called by its name,
// which every emulator understands.
func ReadAll(ctx context.Context, api ReadAPI, stream string) (Consumed, error) {
	r := reader{api: api, stream: stream, next: map[string]*string{}}
	for {
		shards, err := r.list(ctx)
		if err != nil {
			return r.out, err
		}
		before := len(r.next)
		for _, sh := range parentsFirst(shards) {
			if err := r.shard(ctx, sh); err != nil {
				return r.out, err
			}
		}
		if len(r.next) == before {
			return r.out, nil
		}
	}
}

type reader struct {
	api    ReadAPI
	stream string
	next   map[string]*string // iterator by shard id; nil at the end of a closed shard
	out    Consumed
}

func (r *reader) list(ctx context.Context) ([]types.Shard, error) {
	var all []types.Shard
	in := &kinesis.ListShardsInput{StreamName: &r.stream}
	for {
		out, err := r.api.ListShards(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("cannot list shards of stream %s: %w", r.stream, err)
		}
		all = append(all, out.Shards...)
		if aws.ToString(out.NextToken) == "" {
			return all, nil
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken}
	}
}

func (r *reader) shard(ctx context.Context, sh types.Shard) error {
	id := aws.ToString(sh.ShardId)
	it, known := r.next[id]
	if !known {
		out, err := r.api.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
			StreamName: &r.stream, ShardId: &id, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
		})
		if err != nil {
			return fmt.Errorf("cannot get an iterator of shard %s of stream %s: %w", id, r.stream, err)
		}
		it = out.ShardIterator
	}
	start, end, err := rangeOf(sh)
	if err != nil {
		return err
	}
	for empty := 0; it != nil; {
		out, err := r.api.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it})
		if err != nil {
			return fmt.Errorf("cannot get records of shard %s of stream %s: %w", id, r.stream, err)
		}
		it = out.NextShardIterator
		for _, rec := range out.Records {
			r.out.add(UserRecord{
				ShardID: id, SequenceNumber: aws.ToString(rec.SequenceNumber), PartitionKey: aws.ToString(rec.PartitionKey),
				Data: rec.Data, ArrivalTime: aws.ToTime(rec.ApproximateArrivalTimestamp),
			}, start, end)
		}
		if len(out.Records) > 0 {
			empty = 0
			continue
		}
		if aws.ToInt64(out.MillisBehindLatest) == 0 {
			break
		}
		if empty++; empty > maxEmptyPages {
			return fmt.Errorf("cannot reach the tip of shard %s of stream %s: %s in a row", id, r.stream, plural.Count(empty, "empty page"))
		}
	}
	r.next[id] = it
	return nil
}

func rangeOf(sh types.Shard) (start, end hashKey, err error) {
	if sh.HashKeyRange == nil {
		return start, end, fmt.Errorf("cannot read shard %s: it has no hash key range", aws.ToString(sh.ShardId))
	}
	lo, hi := aws.ToString(sh.HashKeyRange.StartingHashKey), aws.ToString(sh.HashKeyRange.EndingHashKey)
	start, ok := parseHashKey(lo)
	end, ok2 := parseHashKey(hi)
	if !ok || !ok2 || !matchesHashKeyPattern(lo) || !matchesHashKeyPattern(hi) {
		return start, end, fmt.Errorf("cannot read shard %s: hash key range %q to %q is not two numbers from 0 to 2^128-1", aws.ToString(sh.ShardId), lo, hi)
	}
	return start, end, nil
}

// parentsFirst orders shards so that parents come before their children. Parents that
// are not listed have expired.
func parentsFirst(shards []types.Shard) []types.Shard {
	byID := make(map[string]types.Shard, len(shards))
	for _, sh := range shards {
		byID[aws.ToString(sh.ShardId)] = sh
	}
	out := make([]types.Shard, 0, len(shards))
	done := make(map[string]bool, len(shards))
	var visit func(id string)
	visit = func(id string) {
		sh, ok := byID[id]
		if !ok || done[id] {
			return
		}
		done[id] = true
		visit(aws.ToString(sh.ParentShardId))
		visit(aws.ToString(sh.AdjacentParentShardId))
		out = append(out, sh)
	}
	for _, sh := range shards {
		visit(aws.ToString(sh.ShardId))
	}
	return out
}

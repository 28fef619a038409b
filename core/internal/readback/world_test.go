// SPDX-License-Identifier: Apache-2.0

package readback

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/outkpl/outkpl/aggregation"
)

// world is a stream with a clock of its own, whose shards split.
type world struct {
	now    int64
	rng    *rand.Rand
	shards map[string]*worldShard
	order  []string
	number int
	fails  float64
	behind int64 // how far the clock of its shards is behind that by which entries say when
	reads  map[string][]int64
	bytes  map[string]int
}

type worldShard struct {
	id          string
	first, last uint64 // of the high half of hash keys
	records     []worldRecord
	closed      bool
	children    []string
}

type worldRecord struct {
	key    string
	number int
	at     int64
	size   int
}

func newWorld(seed uint64) *world {
	w := &world{now: int64(time.Hour), rng: rand.New(rand.NewPCG(seed, 0)), shards: map[string]*worldShard{}, reads: map[string][]int64{}, bytes: map[string]int{}}
	w.open(0, 1<<63-1)
	w.open(1<<63, 1<<64-1)
	return w
}

func (w *world) open(first, last uint64) string {
	id := fmt.Sprintf("shard-%d", len(w.order))
	w.shards[id] = &worldShard{id: id, first: first, last: last}
	w.order = append(w.order, id)
	return id
}

func (w *world) shardOf(hash uint64) *worldShard {
	for _, id := range w.order {
		if s := w.shards[id]; !s.closed && s.first <= hash && hash <= s.last {
			return s
		}
	}
	panic("no shard")
}

func (w *world) put(hash uint64, key string, size int) {
	s := w.shardOf(hash)
	w.number++
	s.records = append(s.records, worldRecord{key, w.number, w.now - w.behind, size})
}

func (w *world) split() {
	id := w.order[w.rng.IntN(len(w.order))]
	s := w.shards[id]
	if s.closed || s.last-s.first < 1000 {
		return
	}
	mid := s.first + (s.last-s.first)/2
	s.closed = true
	s.children = []string{w.open(s.first, mid), w.open(mid+1, s.last)}
}

func apiError(code string) error { return &smithy.GenericAPIError{Code: code} }

// GetShardIterator implements API.
func (w *world) GetShardIterator(_ context.Context, in *kinesis.GetShardIteratorInput, _ ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error) {
	w.reads[*in.ShardId] = append(w.reads[*in.ShardId], w.now)
	if w.rng.Float64() < w.fails {
		return nil, apiError([]string{"LimitExceededException", "InternalFailure"}[w.rng.IntN(2)])
	}
	s, pos := w.shards[*in.ShardId], 0
	switch in.ShardIteratorType {
	case types.ShardIteratorTypeAfterSequenceNumber:
		var n int
		_, _ = fmt.Sscan(*in.StartingSequenceNumber, &n)
		for pos < len(s.records) && s.records[pos].number <= n {
			pos++
		}
	case types.ShardIteratorTypeAtTimestamp:
		return &kinesis.GetShardIteratorOutput{ShardIterator: aws.String(fmt.Sprint(s.id, " 0 ", in.Timestamp.UnixNano()))}, nil
	}
	return &kinesis.GetShardIteratorOutput{ShardIterator: aws.String(fmt.Sprint(s.id, " ", pos))}, nil
}

// GetRecords implements API. It has empty pages.
func (w *world) GetRecords(_ context.Context, in *kinesis.GetRecordsInput, _ ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	var id string
	var pos int
	var since int64 // of an iterator that has come to nothing yet
	_, _ = fmt.Sscan(*in.ShardIterator, &id, &pos, &since)
	w.reads[id] = append(w.reads[id], w.now)
	if w.rng.Float64() < w.fails {
		return nil, apiError([]string{"ProvisionedThroughputExceededException", "ExpiredIteratorException", "InternalFailure"}[w.rng.IntN(3)])
	}
	s, out := w.shards[id], &kinesis.GetRecordsOutput{}
	most := int(*in.Limit)
	if w.rng.IntN(4) == 0 {
		most = 0
	}
	for since != 0 && pos < len(s.records) && s.records[pos].at < since {
		pos++
	}
	if pos == len(s.records) && since != 0 && !s.closed {
		out.NextShardIterator, out.MillisBehindLatest = in.ShardIterator, aws.Int64(0)
		return out, nil
	}
	for ; pos < len(s.records) && len(out.Records) < most; pos++ {
		r := s.records[pos]
		w.bytes[id] += r.size
		out.Records = append(out.Records, types.Record{PartitionKey: &r.key, ApproximateArrivalTimestamp: aws.Time(time.Unix(0, r.at)), SequenceNumber: aws.String(fmt.Sprint(r.number)), Data: make([]byte, r.size-len(r.key))})
	}
	behind := int64(len(s.records) - pos)
	out.MillisBehindLatest = &behind
	if pos == len(s.records) && s.closed {
		for _, c := range s.children {
			first, last := aggregation.HashKey{Hi: w.shards[c].first}, aggregation.HashKey{Hi: w.shards[c].last, Lo: 1<<64 - 1}
			out.ChildShards = append(out.ChildShards, types.ChildShard{ShardId: aws.String(c), HashKeyRange: &types.HashKeyRange{
				StartingHashKey: aws.String(string(first.AppendDecimal(nil))), EndingHashKey: aws.String(string(last.AppendDecimal(nil))),
			}})
		}
		return out, nil
	}
	out.NextShardIterator = aws.String(fmt.Sprint(id, " ", pos))
	return out, nil
}

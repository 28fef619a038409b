// SPDX-License-Identifier: Apache-2.0

//go:build unix

package core_test

import (
	"context"
	"crypto/md5"
	"math"
	"sort"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// cpuTime is what this process has used of the processors so far. Unlike time
// on the clock it hardly changes with what else a machine is doing.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRatios puts the cost of the producer in relation to what cannot be
// avoided, in one run: the yardstick and the producer take turns, and the best
// round of each counts. The metrics are:
//
//	distinct/yardstick     each key once
//	repeating/yardstick    100 keys
//	10000shards/16shards   the same records, the same way
//	records/cpu-s          distinct keys, 16 shards
func BenchmarkRatios(b *testing.B) {
	const n = 1 << 20
	distinct, repeating := benchRecords(n, n), benchRecords(n, 100)
	few, many := newAcceptor(b, 16), newAcceptor(b, 10_000)
	best := map[string]float64{}
	measure := func(name string, f func()) {
		before := cpuTime(b)
		f()
		cost := float64(cpuTime(b)-before) / n
		if old, ok := best[name]; !ok || cost < old {
			best[name] = cost
		}
	}
	for b.Loop() {
		for range 15 {
			measure("yardstick", func() { yardstick(distinct) })
			measure("distinct", func() { putAll(b, few, distinct) })
			measure("repeating", func() { putAll(b, few, repeating) })
			measure("many", func() { putAll(b, many, distinct) })
		}
	}
	for name, cost := range best {
		b.Logf("%-10s %6.0f ns of CPU per record", name, math.Round(cost))
	}
	b.ReportMetric(best["distinct"]/best["yardstick"], "distinct/yardstick")
	b.ReportMetric(best["repeating"]/best["yardstick"], "repeating/yardstick")
	b.ReportMetric(best["many"]/best["distinct"], "10000shards/16shards")
	b.ReportMetric(1e9/best["distinct"], "records/cpu-s")
	b.ReportMetric(0, "ns/op")
}

// yardstick does only what cannot be avoided: the MD5 of each key, the lookup of
// the shard, one copy of the data and the MD5 of each aggregate.
func yardstick(records []core.Record) (sum [16]byte) {
	const shards = 16
	var ends [shards]aggregation.HashKey
	var blobs [shards][]byte
	for i := range ends {
		ends[i] = aggregation.HashKey{Hi: uint64(i+1)<<60 - 1, Lo: ^uint64(0)}
		blobs[i] = make([]byte, 0, 60000)
	}
	for i := range records {
		r := &records[i]
		h := aggregation.HashPartitionKey(r.PartitionKey)
		i := sort.Search(shards, func(i int) bool { return ends[i].Compare(h) >= 0 })
		blobs[i] = append(blobs[i], r.Data...)
		if len(blobs[i]) > 50<<10 {
			sum = md5.Sum(blobs[i])
			blobs[i] = blobs[i][:0]
		}
	}
	return sum
}

// putAll delivers the records in batches that do not wait for each other.
func putAll(b *testing.B, c core.Client, records []core.Record) {
	p := newProducer(b, c, core.WithRateLimit(1_000_000), core.WithBufferBytes(1<<30), core.WithBufferRecords(1<<24))
	ctx := context.Background()
	var batches []*core.Batch
	for at := 0; at < len(records); at += benchBatch {
		batch, err := p.PutBatch(ctx, stream, records[at:min(len(records), at+benchBatch)])
		if err != nil {
			b.Fatal(err)
		}
		batches = append(batches, batch)
	}
	for _, batch := range batches {
		wait(b, batch)
		if err := batch.Err(); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.Close(ctx); err != nil {
		b.Fatal(err)
	}
	if st := p.Stats(); st.Confirmed != uint64(len(records)) || st.WrongShard != 0 {
		b.Fatalf("unexpected outcome; got %d confirmed, %d in a wrong shard; want %d and 0", st.Confirmed, st.WrongShard, len(records))
	}
}

// acceptor is a client that takes everything at once and does no more than it must,
// so that the time of its callers is measured and not its own.
type acceptor struct {
	shards []types.Shard
	ends   []aggregation.HashKey
	ids    []*string
	first  [1<<16 + 1]int32 // by the upper bits of a hash key, the first shard that may hold it
}

func newAcceptor(b *testing.B, shards int) *acceptor {
	c := kinesistest.New(kinesistest.WithStream(stream, shards)).Client()
	a := &acceptor{}
	for in := (&kinesis.ListShardsInput{StreamName: aws.String(stream)}); in != nil; {
		out, err := c.ListShards(context.Background(), in)
		if err != nil {
			b.Fatal(err)
		}
		a.shards = append(a.shards, out.Shards...)
		if in = nil; out.NextToken != nil {
			in = &kinesis.ListShardsInput{NextToken: out.NextToken}
		}
	}
	for _, sh := range a.shards {
		a.ends = append(a.ends, parseHashKey(b, *sh.HashKeyRange.EndingHashKey))
		a.ids = append(a.ids, sh.ShardId)
	}
	at := 0
	for i := range a.first {
		for at < shards && a.ends[at].Hi>>48 < uint64(i) {
			at++
		}
		a.first[i] = int32(at)
	}
	return a
}

func parseHashKey(b *testing.B, s string) aggregation.HashKey {
	k, err := aggregation.ParseHashKey(s)
	if err != nil {
		b.Fatal(err)
	}
	return k
}

// PutRecords implements core.Client.
func (a *acceptor) PutRecords(_ context.Context, in *kinesis.PutRecordsInput, _ ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	res := make([]types.PutRecordsResultEntry, len(in.Records))
	number := aws.String("1")
	for i := range in.Records {
		k, err := aggregation.ParseHashKey(*in.Records[i].ExplicitHashKey)
		if err != nil {
			return nil, err
		}
		at := a.first[k.Hi>>48]
		for a.ends[at].Less(k) {
			at++
		}
		res[i].ShardId, res[i].SequenceNumber = a.ids[at], number
	}
	return &kinesis.PutRecordsOutput{Records: res}, nil
}

// ListShards implements core.Client.
func (a *acceptor) ListShards(context.Context, *kinesis.ListShardsInput, ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	return &kinesis.ListShardsOutput{Shards: a.shards}, nil
}

// DescribeStreamSummary implements core.Client.
func (a *acceptor) DescribeStreamSummary(context.Context, *kinesis.DescribeStreamSummaryInput, ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error) {
	return &kinesis.DescribeStreamSummaryOutput{StreamDescriptionSummary: &types.StreamDescriptionSummary{}}, nil
}

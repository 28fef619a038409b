// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"math"
	"math/big"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/aggregation"
)

// testReshard repeats the test where the server contradicts itself about the creation of
// a shard, which kinesis-local does if it gets no processor between two readings of the
// clock. Records of such a shard are taken for another stream's, and resent.
func (g *target) testReshard(t *testing.T) {
	tries := 1
	if g.readsClockTwice {
		tries = 10
	}
	for n := range tries {
		if g.reshard(t, fmt.Sprint("reshard-", n)) {
			return
		}
	}
	t.Fatalf("unexpected sequence numbers; got shards whose numbers contradict the list in %d streams of %d; want one without", tries, tries)
}

// reshard puts batches without a pause while a shard is split and two others are merged.
// It returns false, and nothing is checked, if the server contradicts itself.
func (g *target) reshard(t *testing.T, stream string) bool {
	g.createStream(t, stream, 4)
	p := g.newProducer(t)

	stop := make(chan struct{})
	settled := make(chan struct{}) // one value for each batch, if a test waits
	var all []sent
	var load sync.WaitGroup
	load.Go(func() {
		defer close(settled)
		for i := 0; ; i++ {
			records := keyed(fmt.Sprintf("r%d", i), min(g.records, 300))
			for j := range records {
				records[j].PartitionKey = fmt.Sprintf("key-%d-%d", i, j)
				if j%5 == 0 {
					records[j].PartitionKey = ""
				}
			}
			all = append(all, put(t, p, stream, records))
			select {
			case <-stop:
				return
			default:
			}
			select {
			case settled <- struct{}{}:
			default:
			}
		}
	})
	// The goroutine must have ended before the test does, also if it ends early.
	end := sync.OnceFunc(func() {
		close(stop)
		load.Wait()
	})
	defer end()
	batches := func(n int) {
		for range n {
			<-settled
		}
	}

	batches(2)
	open := g.openShards(t, stream)
	if len(open) != 4 {
		t.Fatalf("unexpected number of open shards; got %d; want 4", len(open))
	}
	middle := middleOf(t, aws.ToString(open[1].HashKeyRange.StartingHashKey), aws.ToString(open[1].HashKeyRange.EndingHashKey))
	if _, err := g.api.SplitShard(t.Context(), &kinesis.SplitShardInput{
		StreamName: aws.String(stream), ShardToSplit: open[1].ShardId, NewStartingHashKey: &middle,
	}); err != nil {
		t.Fatal(err)
	}
	g.waitActive(t, stream)
	batches(3)
	if _, err := g.api.MergeShards(t.Context(), &kinesis.MergeShardsInput{
		StreamName: aws.String(stream), ShardToMerge: open[2].ShardId, AdjacentShardToMerge: open[3].ShardId,
	}); err != nil {
		t.Fatal(err)
	}
	g.waitActive(t, stream)
	batches(3)
	end()

	if !g.sequenceNumbersFit(t, stream, all) {
		return false
	}
	got := g.verify(t, p, stream, all...)
	used := shardIDs(got)
	for _, s := range g.openShards(t, stream) {
		if used[aws.ToString(s.ShardId)] == 0 {
			t.Errorf("shard %s, open at the end, was given nothing", aws.ToString(s.ShardId))
		}
	}
	stats := p.Stats()
	// A record that a consumer drops must be one that was resent.
	if len(got.Dropped) > int(stats.WrongShard) {
		t.Errorf("unexpected records that KCL drops; got %d; want at most the %d that were resent", len(got.Dropped), stats.WrongShard)
	}
	if got.KinesisRecords != int(stats.KinesisRecords) {
		t.Errorf("unexpected number of Kinesis records; got %d stored; want the %d that were counted", got.KinesisRecords, stats.KinesisRecords)
	}
	t.Logf("%d batches, %d user records, %d resent after landing in the wrong shard, %d shard maps", len(all), len(got.Records), stats.WrongShard, stats.MapRefreshes)

	// What comes after the dust has settled goes where it belongs at once.
	before := stats.WrongShard
	put(t, p, stream, keyed("last", 50))
	if after := p.Stats().WrongShard; after != before {
		t.Errorf("unexpected records in the wrong shard after the map was renewed; got %d; want 0", after-before)
	}
	return true
}

// sequenceNumbersFit tells whether the numbers of a shard have the second of its creation,
// as the list of shards tells it, where the producer looks for it: two seconds off at most.
// It fails if they do not have the number of the shard.
func (g *target) sequenceNumbersFit(t *testing.T, stream string, batches []sent) bool {
	t.Helper()
	out, err := g.api.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: &stream})
	if err != nil {
		t.Fatal(err)
	}
	parts := func(sequenceNumber string) (second, shard int64) {
		n, ok := new(big.Int).SetString(sequenceNumber, 10)
		if !ok || n.BitLen() != 186 {
			t.Fatalf("unexpected sequence number %q; want 186 bits", sequenceNumber)
		}
		return new(big.Int).Rsh(n, 148).Int64(), new(big.Int).Rsh(n, 4).Int64() & math.MaxUint32
	}
	began := map[string]int64{}
	for _, s := range out.Shards {
		began[aws.ToString(s.ShardId)], _ = parts(aws.ToString(s.SequenceNumberRange.StartingSequenceNumber))
	}
	for _, b := range batches {
		for i := range b.records {
			r := b.batch.Result(i)
			second, shard := parts(r.SequenceNumber)
			if r.ShardID != fmt.Sprintf("shardId-%012d", shard) {
				t.Fatalf("unexpected sequence number %s; it tells shard %d; want that of %s", r.SequenceNumber, shard, r.ShardID)
			}
			if d := second - began[r.ShardID]; d < -2 || d > 2 {
				t.Logf("sequence number %s is %d s after the creation of %s in stream %s", r.SequenceNumber, d, r.ShardID, stream)
				return false
			}
		}
	}
	return true
}

// middleOf returns the position half-way between two others.
func middleOf(t *testing.T, lo, hi string) string {
	t.Helper()
	a, err := aggregation.ParseHashKey(lo)
	if err != nil {
		t.Fatal(err)
	}
	b, err := aggregation.ParseHashKey(hi)
	if err != nil {
		t.Fatal(err)
	}
	// The upper halves are far apart in a stream of four shards.
	return aggregation.HashKey{Hi: a.Hi + (b.Hi-a.Hi)/2}.String()
}

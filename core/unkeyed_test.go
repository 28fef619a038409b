// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// unkeyedRecords makes records without keys.
func unkeyedRecords(prefix string, n, size int) []core.Record {
	records := batchOf(prefix, n)
	for i := range records {
		records[i].PartitionKey = ""
		records[i].Data = append(records[i].Data, make([]byte, size)...)
	}
	return records
}

func TestTrickleOverManyShardsMakesOneAggregateForEachDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const seconds, perSecond = 20, 200
		s := kinesistest.New(kinesistest.WithStream(stream, 500))
		p := newProducer(t, s.Client(), core.WithMaxBufferedTime(time.Second))
		wait(t, put(t, p, batchOf("warm", 1)))
		var list []*core.Batch
		for i := range seconds * perSecond {
			list = append(list, put(t, p, unkeyedRecords(fmt.Sprint(i), 1, 100)))
			<-time.After(time.Second / perSecond)
		}
		for _, b := range list {
			wait(t, b)
		}
		closeProducer(t, p)
		got := s.Consume(stream)
		if len(got.Dropped) != 0 || len(got.Records) != seconds*perSecond+1 {
			t.Fatalf("unexpected consumption; got %d records, %d dropped; want %d, 0", len(got.Records), len(got.Dropped), seconds*perSecond+1)
		}
		// All of a deadline's records are in one: 20 kB each second.
		if want := seconds + 2; got.KinesisRecords > want {
			t.Errorf("unexpected number of Kinesis records; got %d; want at most %d", got.KinesisRecords, want)
		}
	})
}

// TestUnkeyedTrafficMovesAwayFromABusyShard lets an outside writer use up most of
// one shard of four.
func TestUnkeyedTrafficMovesAwayFromABusyShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4), kinesistest.WithLimits(kinesistest.AWSLimits))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Delay(10 * time.Millisecond)})
		other := newProducer(t, s.Client(), core.WithAdaptiveRate(false), core.WithAggregation(false), core.WithRateLimit(90), core.WithBufferBytes(1<<20))
		p := newProducer(t, s.Client(), core.WithBufferBytes(4<<20))
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			records := make([]core.Record, 100)
			for i := range records {
				records[i] = core.Record{PartitionKey: "other", ExplicitHashKey: "1", Data: make([]byte, 1000)}
			}
			for ctx.Err() == nil {
				_, _ = other.PutBatch(ctx, stream, records) // ends with ctx
			}
		})
		wg.Go(func() {
			// 2 MiB a second: half of the stream.
			for i := 0; ctx.Err() == nil; i++ {
				_, _ = p.PutBatch(ctx, stream, unkeyedRecords(fmt.Sprint(i), 20, 5200))
				<-time.After(50 * time.Millisecond)
			}
		})
		wg.Wait()
		snap := p.Snapshot().Streams[0]
		total, busy := 0.0, 0.0
		for _, sh := range snap.Shards {
			t.Logf("%s: share %.2f, %d records, %d throttled", sh.ID, sh.Share, sh.Stored, sh.Throttled)
			total += float64(sh.StoredBytes)
			if sh.ID == "shardId-000000000000" {
				busy = float64(sh.StoredBytes)
			}
		}
		if rate := total / 30; rate < 0.95*2*(1<<20) {
			t.Errorf("unexpected throughput; got %.0f bytes a second; want about 2 MiB", rate)
		}
		// Blind choice would send a quarter there; a tenth of the shard is free.
		if busy > 0.1*total || busy == 0 {
			t.Errorf("unexpected part of the busy shard; got %.1f %%; want at most 10, and some", 100*busy/total)
		}
		closeProducer(t, other)
		closeProducer(t, p)
	})
}

func TestHashKeysOfUnkeyedRecordsAreInTheirShardAlsoThroughASplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 3))
		p := newProducer(t, s.Client(), core.WithMaxBufferedTime(20*time.Millisecond))
		total := 0
		var list []*core.Batch
		for i := range 200 {
			records := unkeyedRecords(fmt.Sprint(i), 30, 100)
			total += len(records)
			list = append(list, put(t, p, records))
			<-time.After(5 * time.Millisecond)
			if i == 60 || i == 120 {
				if err := s.SplitEven(stream, s.OpenShards(stream)[i/120].ID); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, b := range list {
			wait(t, b)
			if err := b.Err(); err != nil {
				t.Fatal(err)
			}
		}
		closeProducer(t, p)
		got := s.Consume(stream)
		if len(got.Records) != total {
			t.Errorf("unexpected number of records read; got %d; want %d, each once", len(got.Records), total)
		}
		// An aggregate that was under way in the split lands in a child that
		// may not be its own, is resent, and dropped there.
		st := checkAccounts(t, p)
		if len(got.Dropped) != int(st.WrongShard) || st.Confirmed != uint64(total) {
			t.Errorf("unexpected counts; got %d dropped by the consumer, %d known to be in a wrong shard, %d confirmed; want %d confirmed", len(got.Dropped), st.WrongShard, st.Confirmed, total)
		}
		ranges := map[string][2]aggregation.HashKey{}
		for _, sh := range s.Shards(stream) {
			ranges[sh.ID] = [2]aggregation.HashKey{hashKey(t, sh.StartingHashKey), hashKey(t, sh.EndingHashKey)}
		}
		shards := map[string]bool{}
		for _, r := range got.Records {
			shards[r.ShardID] = true
			if h := hashKey(t, r.ExplicitHashKey); h.Compare(ranges[r.ShardID][0]) < 0 || h.Compare(ranges[r.ShardID][1]) > 0 {
				t.Fatalf("unexpected explicit hash key %v in %s", h, r.ShardID)
			}
		}
		if len(shards) < 5 {
			t.Errorf("unexpected number of shards; got %d; want parents and children", len(shards))
		}
	})
}

func hashKey(t *testing.T, decimal string) aggregation.HashKey {
	t.Helper()
	h, err := aggregation.ParseHashKey(decimal)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// sequence numbers the records of each key.
type sequence struct {
	key  string
	next uint64
}

func (q *sequence) record() core.Record {
	q.next++
	return core.Record{PartitionKey: q.key, Data: binary.BigEndian.AppendUint64(nil, q.next)}
}

// checkOrder reads the stream as consumers do, skips what was seen before, and
// fails unless each key's records are complete and in order. It returns the
// number of records that were seen again.
func checkOrder(t *testing.T, s *kinesistest.Server, keys []*sequence) (again int) {
	t.Helper()
	last := map[string]uint64{}
	for _, r := range s.Consume(stream).Records {
		n := binary.BigEndian.Uint64(r.Data)
		switch have := last[r.PartitionKey]; {
		case n <= have:
			again++
		case n == have+1:
			last[r.PartitionKey] = n
		default:
			t.Fatalf("unexpected record of key %s in shard %s; got number %d after %d", r.PartitionKey, r.ShardID, n, have)
		}
	}
	for _, k := range keys {
		if last[k.key] != k.next {
			t.Fatalf("unexpected last record of key %s; got %d; want %d", k.key, last[k.key], k.next)
		}
	}
	return again
}

// TestStrictOrderHoldsUnderFaults lets everything go wrong at once while several
// goroutines write keys of their own, without waiting for outcomes.
func TestStrictOrderHoldsUnderFaults(t *testing.T) {
	for _, aggregation := range []bool{true, false} {
		t.Run(fmt.Sprintf("aggregation=%v", aggregation), func(t *testing.T) {
			for seed := range uint64(4) {
				synctest.Test(t, func(t *testing.T) { strictOrder(t, seed, aggregation) })
			}
		})
	}
}

func strictOrder(t *testing.T, seed uint64, aggregation bool) {
	const workers, keysEach, batches, perBatch = 4, 40, 60, 100
	s := kinesistest.New(kinesistest.WithStream(stream, 4))
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.03, Seed: seed, Effect: kinesistest.LoseReply()})
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.02, Seed: seed + 1, Effect: kinesistest.Effect{HangReply: true}})
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.02, Seed: seed + 2, Effect: kinesistest.Fail("InternalFailure", "no")})
	s.Fault(kinesistest.Fault{
		Operation: "PutRecords", Probability: 0.1, Seed: seed + 3,
		Effect: kinesistest.Effect{EntryCode: "InternalFailure", EntryShare: 0.3},
	})
	s.Fault(kinesistest.Fault{
		Operation: "PutRecords", Probability: 0.2, Seed: seed + 4,
		Effect: kinesistest.Effect{EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.3},
	})
	s.Fault(kinesistest.Fault{Operation: "ListShards", Probability: 0.2, Seed: seed + 5, Effect: kinesistest.Fail("LimitExceededException", "no")})
	delays := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	s.Intercept(func(c *kinesistest.Call) *kinesistest.Effect {
		mu.Lock()
		defer mu.Unlock()
		return &kinesistest.Effect{
			Delay:      time.Duration(delays.IntN(30)) * time.Millisecond,
			DelayReply: time.Duration(delays.IntN(30)) * time.Millisecond,
		}
	})
	p := newProducer(t, s.Client(), core.WithOrdering(core.OrderingStrict), core.WithAggregation(aggregation), core.WithAdaptiveRate(false),
		core.WithAggregationMaxBytes(1000), core.WithRequestTimeout(500*time.Millisecond), core.WithRateLimit(1000),
		core.WithAdaptiveRate(false), // these throttles do not follow the rate
		core.WithRetryBackoff(time.Millisecond, 50*time.Millisecond), core.WithBufferRecords(1000))
	var keys []*sequence
	var wg sync.WaitGroup
	for w := range workers {
		own := make([]*sequence, keysEach)
		for i := range own {
			own[i] = &sequence{key: fmt.Sprintf("%d-%d", w, i)}
		}
		keys = append(keys, own...)
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(w)))
			for range batches {
				records := make([]core.Record, perBatch)
				for i := range records {
					records[i] = own[rng.IntN(keysEach)].record()
				}
				if _, err := p.PutBatch(context.Background(), stream, records); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
			}
		})
	}
	wg.Go(func() {
		for _, change := range []func() error{
			func() error { return s.SplitEven(stream, "shardId-000000000000") },
			func() error { return s.Merge(stream, "shardId-000000000001", "shardId-000000000002") },
			func() error { return s.SplitEven(stream, "shardId-000000000003") },
			func() error { return s.SplitEven(stream, "shardId-000000000006") },
			func() error { return s.Merge(stream, "shardId-000000000004", "shardId-000000000005") },
		} {
			time.Sleep(400 * time.Millisecond)
			if err := change(); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	closeProducer(t, p)
	stats := checkAccounts(t, p)
	if stats.Confirmed != workers*batches*perBatch {
		t.Errorf("unexpected number of confirmed records; got %d; want %d", stats.Confirmed, workers*batches*perBatch)
	}
	again := checkOrder(t, s, keys)
	if again > int(stats.Uncertain) {
		t.Errorf("unexpected duplicates; got %d; want at most the %d uncertain ones", again, stats.Uncertain)
	}
	t.Logf("seed %d: records %d, seen again %d of at most %d, throttled %d, wrong shard %d, maps %d, Kinesis records %d",
		seed, stats.Confirmed, again, stats.Uncertain, stats.Throttled, stats.WrongShard, stats.MapRefreshes, stats.KinesisRecords)
}

func TestStrictOrderPutsOneRecordForAShardAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 8))
		s.Intercept(func(c *kinesistest.Call) *kinesistest.Effect {
			if in, ok := c.Input.(*kinesis.PutRecordsInput); ok && len(in.Records) != len(c.Shards) {
				t.Errorf("unexpected request; got %d records for %d shards; want one each", len(in.Records), len(c.Shards))
			}
			return &kinesistest.Effect{Delay: 10 * time.Millisecond}
		})
		p := newProducer(t, s.Client(), core.WithOrdering(core.OrderingStrict), core.WithAggregationMaxBytes(2000))
		for i := range 50 {
			put(t, p, batchOf(fmt.Sprint("b", i), 200))
			time.Sleep(time.Millisecond)
		}
		closeProducer(t, p)
		for _, sh := range s.Shards(stream) {
			if sh.PeakConcurrency != 1 {
				t.Errorf("unexpected number of requests at once for shard %s; got %d; want 1", sh.ID, sh.PeakConcurrency)
			}
		}
	})
}

// Without the map, one queue stands for all shards; when the map comes at last,
// the queues of the shards wait for it.
func TestStrictOrderHoldsWhenTheMapComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		denied := s.Fault(kinesistest.Fault{Operation: "ListShards", Effect: kinesistest.Fail("AccessDeniedException", "no")})
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.2, Effect: kinesistest.LoseReply()})
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: 10 * time.Millisecond}})
		p := newProducer(t, s.Client(), core.WithOrdering(core.OrderingStrict), core.WithRetryBackoff(time.Millisecond, 20*time.Millisecond))
		keys := make([]*sequence, 20)
		for i := range keys {
			keys[i] = &sequence{key: fmt.Sprint("key ", i)}
		}
		for round := range 100 {
			if round == 50 {
				denied.Remove()
			}
			var records []core.Record
			for range 3 {
				for _, k := range keys {
					records = append(records, k.record())
				}
			}
			put(t, p, records)
			time.Sleep(time.Second)
		}
		closeProducer(t, p)
		checkOrder(t, s, keys)
		if c := s.Consume(stream); c.Aggregates == 0 {
			t.Error("unexpected absence of aggregates after the map came")
		}
	})
}

// A record that expires leaves a gap, and the others keep their order.
func TestStrictOrderHoldsAroundExpiredRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.5, Effect: kinesistest.Effect{
			EntryCode: "InternalFailure", Delay: 30 * time.Millisecond,
		}})
		p := newProducer(t, s.Client(), core.WithOrdering(core.OrderingStrict), core.WithRecordTTL(150*time.Millisecond),
			core.WithRetryBackoff(20*time.Millisecond, 80*time.Millisecond), core.WithAggregationMaxBytes(200))
		k := &sequence{key: "k"}
		for range 200 {
			put(t, p, []core.Record{k.record(), k.record(), k.record()})
			time.Sleep(10 * time.Millisecond)
		}
		closeProducer(t, p)
		last := uint64(0)
		for _, r := range s.Consume(stream).Records {
			n := binary.BigEndian.Uint64(r.Data)
			if n <= last {
				t.Fatalf("unexpected record %d after %d", n, last)
			}
			last = n
		}
		if st := checkAccounts(t, p); st.Failed[core.ReasonExpired] == 0 || st.Confirmed == 0 {
			t.Errorf("unexpected outcome: %d expired, %d confirmed; want some of both", st.Failed[core.ReasonExpired], st.Confirmed)
		}
	})
}

func TestStrictOrderIsSaidToBeImpossibleOnAutoStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		distribute(t, s, auto, 0)
		var log logText
		p := newProducer(t, s.Client(), log.option(), core.WithOrdering(core.OrderingStrict))
		one, two := batchOf("a", 100), batchOf("b", 100)
		wait(t, put(t, p, one))
		time.Sleep(14 * time.Minute) // the metadata is asked for again
		wait(t, put(t, p, two))
		checkDelivered(t, s, one, two)
		closeProducer(t, p)
		synctest.Wait() // a line is written after the lock is given back
		if got := strings.Count(log.String(), "cannot be kept"); got != 1 {
			t.Errorf("unexpected number of warnings; got %d; want 1 in %s", got, log.String())
		}
	})
}

// BenchmarkOrdering is the price of strict ordering: the same load with and without
// it, at once answered and with a round trip of 10 ms. One operation is one record.
func BenchmarkOrdering(b *testing.B) {
	for _, delay := range []time.Duration{0, 10 * time.Millisecond} {
		for _, o := range []core.Ordering{core.OrderingNone, core.OrderingStrict} {
			b.Run(fmt.Sprintf("roundtrip=%v/strict=%v", delay, o == core.OrderingStrict), func(b *testing.B) {
				s := kinesistest.New(kinesistest.WithStream(stream, 16), kinesistest.WithCountOnly())
				if delay > 0 {
					s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: delay}})
				}
				p := newProducer(b, s.Client(), core.WithRateLimit(1_000_000), core.WithOrdering(o))
				records := benchRecords(benchBatch, benchBatch)
				b.SetBytes(200)
				b.ReportAllocs()
				b.ResetTimer()
				var open []*core.Batch
				for n := 0; n < b.N; n += benchBatch {
					batch, err := p.PutBatch(context.Background(), stream, records[:min(benchBatch, b.N-n)])
					if err != nil {
						b.Fatal(err)
					}
					if open = append(open, batch); len(open) > 8 {
						wait(b, open[0])
						open = open[1:]
					}
				}
				for _, batch := range open {
					wait(b, batch)
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			})
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// rest lists what a pipeline still holds although every record is settled.
func rest(p *Producer, stream string) (left []string) {
	p.mu.Lock()
	pl := p.pipelines[stream]
	p.mu.Unlock()
	pl.lock()
	defer pl.unlock()
	check := func(name string, n int) {
		if n != 0 {
			left = append(left, fmt.Sprint(name, " ", n))
		}
	}
	c := &pl.collector
	check("submitting", pl.callers.submitting)
	check("blocked", pl.callers.blocked)
	check("open batches", pl.batches.open)
	check("waited", pl.batches.waited)
	check("present", pl.linger.present)
	for _, w := range pl.linger.left {
		check("under way", w.open)
	}
	check("flushing", pl.callers.flushing)
	check("drain waiters", len(pl.batches.drains))
	check("prompt records under way", len(pl.aggregates.prompts))
	check("awaiting map", len(pl.awaiting.items))
	check("open list bytes", pl.aggregates.open.bytes)
	check("open list records", pl.aggregates.open.records)
	check("wakes", len(pl.wakes))
	check("ready", len(c.ready))
	check("ready bytes", c.bytes)
	check("hot shards", c.hotShards)
	check("requests", len(c.requests))
	check("in flight", c.inFlight)
	check("retries", len(pl.retries.waiting))
	check("draining", len(pl.ordering.draining))
	check("unresolved", len(pl.unresolved))
	if pl.aggregates.open.head != nil || pl.batches.oldest != nil || pl.batches.newest != nil {
		left = append(left, "a list is not empty")
	}
	var shards []*shard
	for _, a := range pl.shardMap.Load().ring {
		shards = append(shards, a.shard)
	}
	if pl.ordering.sole != nil {
		shards = append(shards, pl.ordering.sole)
	}
	for _, sh := range shards {
		check(sh.id+" queue", len(sh.queue))
		check(sh.id+" ready bytes", sh.readyBytes)
		check(sh.id+" request bytes", sh.requestBytes)
		check(sh.id+" blockers", int(sh.blockers))
		check(sh.id+" head", len(sh.head))
		check(sh.id+" open items", len(sh.open.items)+sh.open.bufferedBytes)
		if sh.busy != nil || sh.open.record != nil {
			left = append(left, sh.id+" keeps a record")
		}
	}
	bytes, records := p.buffer.usedRoom()
	check("buffered bytes", bytes)
	check("buffered records", records)
	return left
}

// When every record is settled nothing may be left in any stage, whatever went wrong
// before. What is left would be a leak: of room, of memory, or of a record's turn.
func TestNothingIsLeftInAnyStage(t *testing.T) {
	for _, c := range []struct {
		name string
		opts []Option
	}{
		{"as it is", nil},
		{"no aggregation", []Option{WithAggregation(false)}},
		{"tiny buffer", []Option{WithBufferRecords(50)}},
		{"one call at a time", []Option{WithMaxInFlight(1)}},
		{"single records in calls", []Option{WithCollectionMaxCount(1)}},
		{"no buffered time", []Option{WithMaxBufferedTime(0)}},
		{"records expire", []Option{WithRecordTTL(time.Second)}},
		{"throttled records fail", []Option{WithFailIfThrottled(true)}},
		{"strict", []Option{WithOrdering(OrderingStrict)}},
		{"strict, tiny buffer, records expire", []Option{WithOrdering(OrderingStrict), WithBufferRecords(50), WithRecordTTL(time.Second)}},
		{"strict, no aggregation", []Option{WithOrdering(OrderingStrict), WithAggregation(false)}},
		{"pressed shards", []Option{WithShardLimit(20, 20_000)}},
		{"strict, pressed shards", []Option{WithOrdering(OrderingStrict), WithShardLimit(20, 20_000)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(3) {
				synctest.Test(t, func(t *testing.T) { degradedLoad(t, seed, c.opts, false) })
			}
			synctest.Test(t, func(t *testing.T) { degradedLoad(t, 3, c.opts, true) })
		})
	}
}

// degradedLoad delivers records of all kinds through faults, reshards and changes of the
// distribution, and aborts some if asked to.
func degradedLoad(t *testing.T, seed uint64, opts []Option, aborts bool) {
	const stream = "s"
	rng := rand.New(rand.NewPCG(seed, 7))
	s := kinesistest.New(kinesistest.WithStream(stream, 3))
	for i, e := range []kinesistest.Effect{
		{EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.5},
		{EntryCode: "InternalFailure", EntryShare: 0.3},
		kinesistest.LoseReply(), kinesistest.Status(503),
		{HangReply: true},
		kinesistest.Fail("ValidationException", ""),
	} {
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.06, Seed: seed*10 + uint64(i), Effect: e})
		s.Fault(kinesistest.Fault{Operation: "ListShards", Probability: 0.06, Seed: seed*10 + uint64(i), Effect: e})
	}
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: 5 * time.Millisecond}})
	reported := map[*Batch]int{}
	var mu sync.Mutex
	note := func(list []Outcome) {
		mu.Lock()
		defer mu.Unlock()
		for _, o := range list {
			reported[o.Batch]++
		}
	}
	opts = append([]Option{WithRequestTimeout(500 * time.Millisecond), WithRetryBackoff(5*time.Millisecond, 200*time.Millisecond), WithOutcomeFunc(note)}, opts...)
	p, err := New(s.Client(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	var batches []*Batch
	var work sync.WaitGroup
	auto := false
	for i := range 60 {
		records := make([]Record, rng.IntN(40))
		for j := range records {
			r := &records[j]
			r.Data = make([]byte, rng.IntN(3000))
			switch kind := rng.IntN(20); {
			case kind < 12:
				r.PartitionKey = fmt.Sprint("key-", rng.IntN(50))
			case kind < 14:
				r.PartitionKey, r.ExplicitHashKey = "k", fmt.Sprint(rng.Uint64())
			case kind == 14:
				r.ExplicitHashKey = "no number"
			case kind == 15:
				r.PartitionKey, r.Data = "large", make([]byte, 1<<20)
			} // the others have no key
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rng.IntN(3000))*time.Millisecond)
		switch rng.IntN(4) {
		case 0:
			b, err := p.TryPutBatch(stream, records)
			if errors.Is(err, ErrBufferFull) {
				break
			}
			batches = append(batches, b)
		default:
			if b, _ := p.PutBatch(ctx, stream, records); b != nil { // what ctx cuts off is settled
				batches = append(batches, b)
			}
		}
		switch rng.IntN(6) {
		case 0:
			if len(batches) > 0 {
				_ = batches[rng.IntN(len(batches))].WaitSettled(ctx)
			}
		case 3:
			if aborts {
				_ = p.Abort(ctx)
			}
		case 1:
			_ = p.FlushStream(ctx, stream)
		case 4:
			for j := range 8 {
				work.Go(func() {
					_, _ = p.PutSync(context.Background(), stream, Record{PartitionKey: []string{"a", "b", ""}[j%3], Data: make([]byte, 100)})
				})
			}
		case 2:
			<-time.After(time.Duration(rng.IntN(300)) * time.Millisecond)
		}
		cancel()
		open := s.OpenShards(stream)
		switch at := rng.IntN(len(open)); {
		case i%10 == 3:
			_ = s.SplitEven(stream, open[at].ID)
		case i%10 == 7 && at > 0:
			_ = s.Merge(stream, open[at-1].ID, open[at].ID)
		case i == 25, i == 45:
			auto = !auto
			d := types.RecordDistributionStrategyUserPartitionKey
			if auto {
				d = types.RecordDistributionStrategyAuto
			}
			if err := s.SetDistribution(stream, d); err != nil {
				t.Error(err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for i, b := range batches {
		if err := b.WaitSettled(ctx); err != nil {
			t.Fatalf("batch %d of seed %d is not settled: %v; left: %v", i, seed, err, rest(p, stream))
		}
	}
	work.Wait()
	synctest.Wait()
	if left := rest(p, stream); left != nil {
		t.Errorf("seed %d: unexpected rest: %q", seed, left)
	}
	if st := p.Stats(); st.Pending != 0 || st.Accepted != st.Confirmed+st.FailedTotal() {
		t.Errorf("seed %d: accounts do not add up: %+v", seed, st)
	}
	for _, b := range batches {
		if reported[b] != b.Len() {
			t.Errorf("seed %d: unexpected number of outcomes of a batch of %d records; got %d", seed, b.Len(), reported[b])
		}
	}
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestFlushThatIsGivenUpLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("s", 1))
		outage := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Status(503)})
		p, err := New(s.Client())
		if err != nil {
			t.Fatal(err)
		}
		b, err := p.Put(context.Background(), "s", Record{PartitionKey: "k"})
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			if err := p.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("unexpected error of Flush in an outage: %v", err)
			}
			cancel()
		}
		p.mu.Lock()
		pl := p.pipelines["s"]
		p.mu.Unlock()
		if n := len(pl.batches.drains); n != 0 {
			t.Errorf("unexpected number of flushes that wait; got %d; want 0", n)
		}
		outage.Remove()
		<-b.Done()
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

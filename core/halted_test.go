// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/aggregation"
)

// deafClient answers what the test says, else nothing until the call ends.
type deafClient struct {
	Client
	called  chan struct{} // gets one for each call
	answers chan *kinesis.PutRecordsOutput
}

// PutRecords implements Client.
func (c *deafClient) PutRecords(ctx context.Context, _ *kinesis.PutRecordsInput, _ ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	select {
	case c.called <- struct{}{}:
	case <-ctx.Done():
	}
	select {
	case out := <-c.answers:
		return out, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// GetShardIterator implements ReadClient.
func (c *deafClient) GetShardIterator(ctx context.Context, _ *kinesis.GetShardIteratorInput, _ ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// GetRecords implements ReadClient.
func (c *deafClient) GetRecords(ctx context.Context, _ *kinesis.GetRecordsInput, _ ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// halted is a pipeline with a map of four shards and without a loop: nothing happens in it
// by itself.
func halted(t *testing.T, opts ...Option) *pipeline {
	t.Helper()
	opts = append([]Option{WithMaxBufferedTime(time.Minute), WithMaxInFlight(1), WithRecordTTL(time.Hour), WithRequestTimeout(10 * time.Minute)}, opts...)
	p, err := New(&deafClient{called: make(chan struct{}, 1), answers: make(chan *kinesis.PutRecordsOutput)}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	pl := newPipeline(p, "s", streamID{name: "s"})
	p.pipelines["s"] = pl
	t.Cleanup(func() {
		pl.lock()
		if pl.checks != nil {
			pl.checks.suspended = true // what the test has damaged stays so
		}
		pl.ended = true
		pl.mu.Unlock()
		p.cancel()
		p.work.Wait()
	})
	pl.lock()
	defer pl.unlock()
	pl.meta.known = true
	remap(pl, 0, 4)
	return pl
}

// remap installs a map of n equal shards, whose ids begin with the number given.
func remap(pl *pipeline, first, n int) {
	pl.listing.count++
	pl.installMap(equalShards(first, n, ""), pl.now)
}

// equalShards lists n shards that share the ring equally. Their ids begin with the number
// given, their sequence numbers with start, if that is not empty.
func equalShards(first, n int, start string) (list []types.Shard) {
	part := aggregation.MaxHashKey.Hi/uint64(n) + 1
	for i := range n {
		from, to := aggregation.HashKey{Hi: part * uint64(i)}, aggregation.HashKey{Hi: part*uint64(i+1) - 1, Lo: aggregation.MaxHashKey.Lo}
		if i == n-1 {
			to = aggregation.MaxHashKey
		}
		s := types.Shard{ShardId: aws.String(fmt.Sprintf("shardId-%012d", first+i)), HashKeyRange: &types.HashKeyRange{
			StartingHashKey: aws.String(string(from.AppendDecimal(nil))), EndingHashKey: aws.String(string(to.AppendDecimal(nil))),
		}}
		if start != "" {
			s.SequenceNumberRange = &types.SequenceNumberRange{StartingSequenceNumber: aws.String(start)}
		}
		list = append(list, s)
	}
	return list
}

// hand hands n records with keys over.
func hand(t *testing.T, pl *pipeline, n int) *Batch {
	t.Helper()
	records := make([]Record, n)
	for i := range records {
		records[i] = Record{PartitionKey: fmt.Sprint("k", i), Data: []byte("some data")}
	}
	b, err := pl.p.TryPutBatch("s", records)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// locked runs f under the lock and gives it back with a check.
func locked(pl *pipeline, f func()) {
	pl.lock()
	defer pl.unlock()
	f()
}

// depart closes what is open and sends one request, which nothing reads any more when it
// is with the client.
func depart(pl *pipeline) {
	locked(pl, func() {
		pl.closeSome(never)
		pl.startRequest(pl.formRequest())
	})
	<-pl.p.client.(*deafClient).called
}

// everywhere is a pipeline with records in all places: 40 in each.
func everywhere(t *testing.T) *pipeline {
	t.Helper()
	pl := halted(t)
	hand(t, pl, 40)
	depart(pl)
	taken := func(f func(req *request)) {
		hand(t, pl, 40)
		locked(pl, func() {
			pl.closeSome(never)
			f(pl.formRequest())
		})
	}
	taken(func(req *request) { pl.collector.requests = append(pl.collector.requests, req) })
	taken(func(req *request) {
		for _, kr := range req.records {
			pl.retryLater(kr, int64(time.Hour))
		}
	})
	taken(func(req *request) {
		for _, kr := range req.records {
			pl.unresolved = append(pl.unresolved, unresolved{kr: kr, since: pl.now})
		}
	})
	hand(t, pl, 40)
	locked(pl, func() { pl.closeSome(never) })
	hand(t, pl, 40)
	locked(pl, func() {
		for _, sh := range pl.shards.byID {
			sh.pace.Rest(pl.now + int64(time.Hour))
		}
		pl.closeSome(never)
	})
	hand(t, pl, 40)
	locked(pl, func() { pl.shards.stale = true })
	hand(t, pl, 40)
	locked(pl, func() {})
	return pl
}

// strictPipeline is a pipeline with strict ordering and queues of two maps, records in flight, open
// aggregates in queues, and some that are only open.
func strictPipeline(t *testing.T) *pipeline {
	t.Helper()
	pl := halted(t, WithOrdering(OrderingStrict))
	hand(t, pl, 40)
	depart(pl)
	hand(t, pl, 40)
	locked(pl, func() { pl.closeSome(never) })
	locked(pl, func() { remap(pl, 4, 2) })
	hand(t, pl, 40)
	locked(pl, func() { pl.dispatchAggregate(pl.aggregates.open.head) })
	return pl
}

// One answer throttles an aggregate, which returns to its queue, and shows that the stream
// is AUTO, so that no aggregate may leave any more.
func TestAggregateThatReturnsToItsQueueIsDisaggregatedWhenTheStreamTurnsAuto(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pl := halted(t, WithOrdering(OrderingStrict))
		hand(t, pl, 40)
		depart(pl)
		var out kinesis.PutRecordsOutput
		for _, id := range []string{"shardId-000000000000", "shardId-000000000001", "shardId-000000000002"} {
			out.Records = append(out.Records, types.PutRecordsResultEntry{ShardId: aws.String(id), SequenceNumber: aws.String("1")})
		}
		// Answers are worked off from the last to the first.
		slices.Reverse(out.Records)
		out.Records = append(out.Records, types.PutRecordsResultEntry{ErrorCode: aws.String("ProvisionedThroughputExceededException")})
		pl.p.client.(*deafClient).answers <- &out
		synctest.Wait()
		pl.lock()
		defer pl.unlock()
		if !pl.meta.auto {
			t.Error("unexpected trust in keys")
		}
		for id, sh := range pl.shards.byID {
			if n := len(sh.queue); n != 0 || sh.readyBytes != 0 {
				t.Errorf("unexpected rest at shard %s: %d Kinesis records in the queue, %d bytes ready; want 0", id, n, sh.readyBytes)
			}
		}
	})
}

// A request that waits for its turn holds a record alone and aggregates when the stream
// turns AUTO. The aggregates must not leave, and no record must be lost.
func TestRequestThatWaitsIsDisaggregatedWhenTheStreamTurnsAuto(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pl := halted(t)
		hand(t, pl, 1)
		depart(pl)
		hand(t, pl, 1)
		locked(pl, func() { pl.closeSome(never) })
		hand(t, pl, 40)
		locked(pl, func() {
			pl.closeSome(never)
			pl.collector.requests = append(pl.collector.requests, pl.formRequest())
			pl.setAuto(true)
		})
		answer := types.PutRecordsResultEntry{ShardId: aws.String("shardId-000000000000"), SequenceNumber: aws.String("1")}
		pl.p.client.(*deafClient).answers <- &kinesis.PutRecordsOutput{Records: []types.PutRecordsResultEntry{answer}}
		synctest.Wait()
		pl.lock()
		defer pl.unlock()
		if c := &pl.collector; len(c.requests) != 0 || c.inFlight != 0 || len(c.ready) != 41 {
			t.Errorf("unexpected state; got %d requests that wait, %d in flight, %d records ready; want 0, 0, 41", len(c.requests), c.inFlight, len(c.ready))
		}
	})
}

func (pl *pipeline) anyShard(match func(sh *shard) bool) *shard {
	for _, a := range pl.shardMap.Load().ring {
		if match(a.shard) {
			return a.shard
		}
	}
	panic("no such shard")
}

func queued(sh *shard) bool { return len(sh.queue) > 0 }

// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/internal/invariants"
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
			StartingHashKey: aws.String(string(from.AppendDecimal(nil))), EndingHashKey: aws.String(string(to.AppendDecimal(nil)))}}
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

func needChecks(t *testing.T) {
	t.Helper()
	if !invariants.Enabled {
		t.Skip("the checks are on with -race or the tag invariants")
	}
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

func (pl *pipeline) anyShard(match func(sh *shard) bool) *shard {
	for _, a := range pl.shardMap.Load().ring {
		if match(a.shard) {
			return a.shard
		}
	}
	panic("no such shard")
}

func queued(sh *shard) bool { return len(sh.queue) > 0 }

// A check that sees nothing is worth nothing. Here each is shown the damage that it is
// for, and must name it.
func TestChecksNameWhatDoesNotAddUp(t *testing.T) {
	needChecks(t)
	for _, c := range []struct {
		want   string // part of the message
		damage func(pl *pipeline)
	}{
		// Callers, batches and statistics.
		{"callers: submitting 1", func(pl *pipeline) { pl.callers.submitting++ }},
		{"callers: submitting 0, blocked -1", func(pl *pipeline) { pl.callers.blocked-- }},
		{"room to release is 5 bytes", func(pl *pipeline) { pl.settled.bytes = 5 }},
		{"accepted is 321; confirmed 0, failed 0 and open 320 make 320", func(pl *pipeline) { pl.stats.Accepted++ }},
		{"confirmed 1, failed 0", func(pl *pipeline) { pl.stats.Confirmed++ }},
		{"failed 1 and", func(pl *pipeline) { pl.stats.Failed[ReasonExpired]++ }},
		{"batch 1 of 40 records: open is 39", func(pl *pipeline) { pl.batches.oldest.open-- }},
		{"failed 1; its records", func(pl *pipeline) { pl.batches.oldest.failed++ }},
		{"open batches is 9, the list has 8", func(pl *pipeline) { pl.batches.open++ }},
		{"open batches is 8, the list has 2", func(pl *pipeline) { pl.batches.oldest.next.next = nil }},
		{"open batches is 8, the list has 8 (newest at its end: false)", func(pl *pipeline) { pl.batches.newest = pl.batches.oldest }},
		{"links or order are wrong at batch 2", func(pl *pipeline) { pl.batches.oldest.next.prev = nil }},
		{"links or order are wrong at batch 0", func(pl *pipeline) { pl.batches.oldest.next.seq = 0 }},
		{"waited batches is 1, its parts make 0", func(pl *pipeline) { pl.batches.waited++ }},
		{"waited batches is 0, its parts make 1", func(pl *pipeline) { pl.batches.oldest.waiters++ }},
		{"a flush waits for batches up to 0", func(pl *pipeline) { pl.batches.drains = []drainWaiter{{}} }},
		{"unsubmitted records are 1", func(pl *pipeline) { pl.batches.oldest.items[3].flags &^= itemBuffered }},
		// Places.
		{"awaiting map has record 0 of batch 8; settled true", func(pl *pipeline) {
			it := pl.awaiting.items[0]
			it.flags |= itemSettled
			it.batch.open--
			pl.stats.Confirmed++
		}},
		{"awaiting map has record 0 of batch 8; settled false, submitted false", func(pl *pipeline) {
			pl.awaiting.items[0].flags &^= itemBuffered
			pl.callers.submitting++
			pl.users.Add(1)
		}},
		{"awaiting map has a record that is not of this pipeline", func(pl *pipeline) { pl.awaiting.items[0] = nil }},
		{"pending records are 320 of 44720 bytes, their places have 319 of 44581 bytes", func(pl *pipeline) { pl.awaiting.items = pl.awaiting.items[1:] }},
		{"awaiting map 41 of 5729 bytes, open aggregates 40", func(pl *pipeline) { pl.awaiting.items = append(pl.awaiting.items, pl.awaiting.items[3]) }},
		{"(twice and nowhere: true)", func(pl *pipeline) { pl.awaiting.items[0] = pl.awaiting.items[1] }},
		{"in flight 12 of 1677 bytes", func(pl *pipeline) {
			for req := range pl.checks.underWay {
				req.records = req.records[:0:0]
				req.records = append(req.records, pl.retries.waiting[0])
			}
		}},
		{"retries 40 of", func(pl *pipeline) { pl.collector.requests = nil }},
		{"unresolved 0 of 0 bytes", func(pl *pipeline) { pl.unresolved = nil }},
		{"the buffer has 44719 bytes, 320 records, the pending records are 44720 bytes", func(pl *pipeline) { pl.p.buffer.bytes-- }},
		{"the buffer has 44720 bytes, 321 records", func(pl *pipeline) { pl.p.buffer.records++ }},
		{"expiry of awaiting map is 0", func(pl *pipeline) { pl.awaiting.expires = 0 }},
		// What shares a Kinesis record.
		{"in whose range it is not", func(pl *pipeline) {
			list := pl.retries.waiting
			list[0].items[0], list[1].items[0] = list[1].items[0], list[0].items[0]
			list[0].outer, list[1].outer = list[0].items[0].hash, list[1].items[0].hash
		}},
		{"open aggregates has record", func(pl *pipeline) {
			sh := pl.aggregates.open.head
			sh.open.items[1].hash = sh.open.next.open.outer
		}},
		{"whose outer hash key is not that of its first", func(pl *pipeline) { pl.collector.ready[0].outer.Lo++ }},
		{"in an aggregate, though it must be alone", func(pl *pipeline) { pl.retries.waiting[0].items[0].flags |= itemAlone }},
		{"ready has an empty record", func(pl *pipeline) { pl.collector.ready[0].items = nil }},
		{"retries: expiry of a record", func(pl *pipeline) { pl.retries.waiting[0].expires++ }},
		{"though the stream is AUTO", func(pl *pipeline) { pl.meta.auto = true }},
		{`an aggregate of 2 records, of shard ""`, func(pl *pipeline) {
			kr := pl.retries.waiting[0]
			kr.shard, kr.items = nil, kr.items[:2]
		}},
		{"ready: size of a record", func(pl *pipeline) { pl.collector.ready[0].size = 3 }},
		{"a request leaves with an aggregate", func(pl *pipeline) {
			req := pl.collector.requests[0]
			pl.meta.auto = true
			pl.checks.noteStarted(pl, req)
		}},
		{"bytes of a request that leaves is", func(pl *pipeline) {
			req := pl.collector.requests[0]
			req.bytes--
			pl.checks.noteStarted(pl, req)
		}},
		// Open aggregates.
		{"open aggregates: bytes are 5591, records 40", func(pl *pipeline) { pl.aggregates.open.bytes++ }},
		{"records 39, their parts make", func(pl *pipeline) { pl.aggregates.open.records-- }},
		{"room of the open aggregate of shard", func(pl *pipeline) { pl.aggregates.open.head.open.bufferedBytes++ }},
		{"list of open aggregates: deadline of", func(pl *pipeline) { pl.aggregates.open.head.open.deadline = never }},
		{"list of open aggregates: a link is wrong", func(pl *pipeline) { pl.aggregates.open.head.open.next.open.prev = nil }},
		{"list of open aggregates: its tail", func(pl *pipeline) { pl.aggregates.open.tail = pl.aggregates.open.head }},
		{"shards with an open aggregate are 4, the list has 3", func(pl *pipeline) {
			o := &pl.aggregates.open
			sh := o.tail
			o.tail = sh.open.prev
			o.tail.open.next = nil
			o.bytes -= sh.open.bufferedBytes
			o.records -= len(sh.open.items)
			sh.open.prev = nil
		}},
		{"bound is 7, the data have", func(pl *pipeline) { pl.aggregates.open.head.open.bound = 7 }},
		// The collector.
		{"bytes of ready is", func(pl *pipeline) { pl.collector.bytes-- }},
		{"ready bytes of shard", func(pl *pipeline) { pl.collector.ready[0].shard.readyBytes++ }},
		{"hot shards 0, the collector has 1", func(pl *pipeline) { pl.collector.hotShards++ }},
		{"deadline of ready is", func(pl *pipeline) { pl.collector.deadline++ }},
		{"request bytes 9", func(pl *pipeline) { pl.aggregates.open.head.requestBytes = 9 }},
		{"requests in flight is 2, its parts make 1", func(pl *pipeline) { pl.collector.inFlight++ }},
		{"requests in flight are 2; at most 1", func(pl *pipeline) {
			pl.collector.inFlight++
			pl.checks.underWay[pl.collector.requests[0]] = struct{}{}
		}},
		{"bytes of a request that waits is", func(pl *pipeline) { pl.collector.requests[0].bytes++ }},
		// Queues and heaps.
		{"wakes: shard", func(pl *pipeline) { pl.wakes[0].wakeAt = never }},
		{"wakes: shard", func(pl *pipeline) { pl.wakes[1].wakePos = 0 }},
		{"is at -1 of wakes", func(pl *pipeline) {
			sh := pl.wakes.Pop().(*shard)
			pl.awaiting.items = append(pl.awaiting.items, sh.queue[0].items...)
			pl.awaiting.expires = 1
		}},
		{"with a queue 4, wakes has 3", func(pl *pipeline) {
			last := pl.wakes[3]
			pl.wakes = pl.wakes[:3]
			pl.awaiting.items = append(pl.awaiting.items, last.queue[0].items...)
			pl.awaiting.expires = 1
		}},
		{"wakes has shard", func(pl *pipeline) { pl.wakes[0].queue = nil }},
		{"has a record of shard", func(pl *pipeline) { pl.wakes[0].queue[0].shard = pl.wakes[1] }},
		{"before its parent", func(pl *pipeline) { pl.retries.waiting[3].due = 0 }},
		// The map.
		{"shards is 5, its parts make 4", func(pl *pipeline) { pl.shards.byID["none"] = &shard{} }},
		{"is in the map, but not known", func(pl *pipeline) { pl.shards.byID[pl.aggregates.open.head.id] = &shard{} }},
		{"draining 1, freed 0, sole shard false, without strict ordering", func(pl *pipeline) { pl.ordering.draining = []*shard{{}} }},
	} {
		t.Run(c.want, func(t *testing.T) { bites(t, everywhere(t), c.want, c.damage) })
	}
}

func TestChecksOfStrictOrderingNameWhatDoesNotAddUp(t *testing.T) {
	needChecks(t)
	for _, c := range []struct {
		want   string
		damage func(pl *pipeline)
	}{
		{"that does not keep it busy", func(pl *pipeline) { pl.ordering.draining[0].busy = nil }},
		{"busy shards are 1 and draining 4", func(pl *pipeline) {
			pl.anyShard(func(sh *shard) bool { return sh.busy == nil }).busy = &kinesisRecord{}
		}},
		{"blockers of shard", func(pl *pipeline) { pl.anyShard(func(sh *shard) bool { return sh.blockers > 0 }).blockers-- }},
		{"draining has shard", func(pl *pipeline) { pl.ordering.draining[0].current = true }},
		{"draining has shard", func(pl *pipeline) { pl.ordering.draining[0] = pl.ordering.draining[1] }},
		{"marked as queued", func(pl *pipeline) {
			pl.anyShard(func(sh *shard) bool { return queued(sh) && sh.open.record != nil && sh.open.record.queued }).open.record = &kinesisRecord{queued: true}
		}},
		{"records for the head 1", func(pl *pipeline) {
			sh := pl.anyShard(queued)
			sh.head = []*kinesisRecord{{}}
		}},
		{"is at -1 of wakes", func(pl *pipeline) {
			sh := pl.wakes.Pop().(*shard)
			for _, kr := range sh.queue {
				pl.awaiting.items = append(pl.awaiting.items, kr.items...)
			}
			pl.awaiting.expires = 1
		}},
	} {
		t.Run(c.want, func(t *testing.T) { bites(t, strictPipeline(t), c.want, c.damage) })
	}
}

// The work has ended, but something is left.
func TestChecksSeeWhatIsLeftInTheEnd(t *testing.T) {
	needChecks(t)
	for _, c := range []struct {
		want   string
		damage func(pl *pipeline)
	}{
		{"awaiting map 1, retries 0", func(pl *pipeline) { pl.awaiting.items = []*item{nil} }},
		{"ready 7 bytes", func(pl *pipeline) { pl.collector.bytes = 7 }},
		{"the buffer has 1 bytes", func(pl *pipeline) { pl.p.buffer.bytes++ }},
	} {
		t.Run(c.want, func(t *testing.T) {
			pl := halted(t)
			hand(t, pl, 40)
			pl.failUndelivered()
			bites(t, pl, c.want, c.damage)
		})
	}
}

// bites fails unless the checks find nothing before the damage, and name it after.
func bites(t *testing.T, pl *pipeline, want string, damage func(pl *pipeline)) {
	t.Helper()
	pl.mu.Lock()
	defer pl.mu.Unlock()
	if err := pl.violation(); err != nil {
		t.Fatalf("unexpected violation before the damage: %v", err)
	}
	damage(pl)
	if err := pl.violation(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("unexpected outcome of the checks: %v; want %q", err, want)
	}
}

// Nothing that guards itself against panics may swallow a violation: not the pipeline,
// not an observer's or a logger's guard, and not the caller's.
func TestViolationEndsTheProcess(t *testing.T) {
	needChecks(t)
	const child = "OUT_KPL_TEST_VIOLATION"
	if os.Getenv(child) != "" {
		pl := halted(t)
		hand(t, pl, 3)
		defer func() { _ = recover() }()
		pl.guarded("test", func() {
			pl.lock()
			pl.stats.Accepted++
			pl.unlock()
		})
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestViolationEndsTheProcess$", "-test.count=1")
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.CombinedOutput()
	want := "panic: core: what the pipeline of stream s holds does not add up: accepted is 4; confirmed 0, failed 0 and open 3 make 3"
	if err == nil || !strings.Contains(string(out), want) || !strings.Contains(string(out), "(*pipeline).unlock") {
		t.Errorf("unexpected end of the process: %v\n%s\nwant %q and the stack", err, out, want)
	}
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

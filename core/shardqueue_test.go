// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// handKey submits records of one key, numbered from first.
func handKey(t *testing.T, pl *pipeline, key string, first, n int) *Batch {
	t.Helper()
	records := make([]Record, n)
	for i := range records {
		records[i] = Record{PartitionKey: key, Data: []byte(fmt.Sprint(first + i))}
	}
	b, err := pl.p.TryPutBatch("s", records)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// numbers lists what the items hold.
func numbers(items []*item) (list []string) {
	for _, it := range items {
		list = append(list, string(it.record().Data))
	}
	return list
}

func queuedNumbers(sh *shard) (list []string) {
	for _, kr := range sh.queue {
		list = append(list, numbers(kr.items)...)
	}
	return list
}

func wantNumbers(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: unexpected records; got %q; want %q", what, got, want)
	}
}

// refusedBy has the shards refuse every record of a request.
func refusedBy(pl *pipeline, req *request, code string) {
	out := &kinesis.PutRecordsOutput{}
	for range req.records {
		out.Records = append(out.Records, types.PutRecordsResultEntry{ErrorCode: &code})
	}
	pl.respond(req, out, nil, pl.p.start, pl.p.start)
}

// A record that was under way is older than all that waits, also when what waits has no
// map yet.
func TestRecordsThatReturnGoBeforeThoseThatAwaitTheMap(t *testing.T) {
	pl := halted(t, WithOrdering(OrderingStrict))
	handKey(t, pl, "k", 1, 2)
	var req *request
	locked(pl, func() {
		req = taken(pl)
		pl.dropMap()
		suspendChecks(pl) // the request is in no place that they know
	})
	handKey(t, pl, "k", 3, 2)
	locked(pl, func() {
		first := pl.awaiting.expires
		refusedBy(pl, req, "InternalFailure")
		wantNumbers(t, "awaiting map", numbers(pl.awaiting.items), "1", "2", "3", "4")
		if pl.awaiting.expires == 0 || pl.awaiting.expires > first || pl.awaiting.expires != pl.awaiting.items[0].batch.expires {
			t.Errorf("unexpected expiry of what awaits the map; got %d; want %d", pl.awaiting.expires, pl.awaiting.items[0].batch.expires)
		}
		fetched(pl, equalShards(0, 4, ""), nil)
		if len(pl.awaiting.items) != 0 || pl.awaiting.expires != 0 {
			t.Errorf("unexpected state with a map: %d that wait, the first expires at %d; want none", len(pl.awaiting.items), pl.awaiting.expires)
		}
	})
}

// A key that moves to another shard waits there for what its former shard has under way.
func TestShardsOfANewMapWaitForDrainingShards(t *testing.T) {
	pl := halted(t, WithOrdering(OrderingStrict))
	hand(t, pl, 40)
	locked(pl, func() {
		req := taken(pl)
		busy := len(req.records)
		if busy != 4 {
			t.Fatalf("unexpected number of busy shards; got %d; want 4", busy)
		}
		fetched(pl, equalShards(4, 2, ""), nil)
		blockers := func() (n []int) {
			for _, a := range pl.shardMap.Load().ring {
				n = append(n, int(a.shard.blockers))
			}
			return n
		}
		if got := blockers(); !slices.Equal(got, []int{2, 2}) || len(pl.ordering.draining) != 4 {
			t.Errorf("unexpected blockers; got %v, %d shards draining; want 2 each, 4", got, len(pl.ordering.draining))
		}
		fetched(pl, equalShards(4, 2, ""), nil) // the same queues wait for the same
		if got := blockers(); !slices.Equal(got, []int{2, 2}) || len(pl.ordering.draining) != 4 {
			t.Errorf("unexpected blockers with another map of the same shards; got %v, %d shards draining; want 2 each, 4", got, len(pl.ordering.draining))
		}
		fetched(pl, equalShards(6, 1, ""), nil) // those of the second map have nothing under way
		if got := blockers(); !slices.Equal(got, []int{4}) || len(pl.ordering.draining) != 4 {
			t.Errorf("unexpected blockers; got %v, %d shards draining; want 4, 4", got, len(pl.ordering.draining))
		}
		for i, kr := range slices.Clone(req.records) {
			a := attemptNode{Attempt: &Attempt{}, shardID: kr.shard.id}
			pl.confirmRecord(kr, &a)
			want := 3 - i
			if got := blockers(); !slices.Equal(got, []int{want}) || len(pl.ordering.draining) != want {
				t.Errorf("unexpected blockers after %d answers; got %v, %d shards draining; want %d", i+1, got, len(pl.ordering.draining), want)
			}
			if freed := len(pl.ordering.freed) == 1; freed != (want == 0) {
				t.Errorf("unexpected freedom of the queue after %d answers: %v", i+1, freed)
			}
		}
		req.releaseRequest()
	})
}

// Without a map one queue stands for all shards, and it waits for what earlier maps
// have under way; the queues of the next map wait for it.
func TestShardThatStandsForAllWaitsAndIsWaitedFor(t *testing.T) {
	pl := halted(t, WithOrdering(OrderingStrict))
	hand(t, pl, 40)
	var req *request
	locked(pl, func() {
		req = taken(pl)
		suspendChecks(pl) // the request is in no place that they know
		pl.dropMap()
		pl.shards.unavailable = true
	})
	handKey(t, pl, "k", 1, 3)
	locked(pl, func() {
		if pl.ordering.sole == nil || pl.ordering.sole.blockers != 4 || pl.ordering.sole.busy != nil || len(pl.ordering.sole.queue) != 3 {
			t.Fatalf("unexpected queue %+v; want one with 3 records that waits for 4", pl.ordering.sole)
		}
		for _, kr := range slices.Clone(req.records) {
			pl.confirmRecord(kr, &attemptNode{Attempt: &Attempt{}})
		}
		pl.admitFreed()
		sole := pl.ordering.sole
		if sole.blockers != 0 || sole.busy == nil || len(sole.queue) != 2 {
			t.Errorf("unexpected queue; got %d blockers, %d in its queue, busy %v; want 0, 2, true", sole.blockers, len(sole.queue), sole.busy != nil)
		}
		pl.formRequest() // what keeps it busy leaves
		fetched(pl, equalShards(4, 2, ""), nil)
		for _, a := range pl.shardMap.Load().ring {
			if a.shard.blockers != 1 {
				t.Errorf("unexpected blockers of a new queue; got %d; want the queue that stood for all", a.shard.blockers)
			}
		}
		if pl.ordering.sole != nil || len(pl.ordering.draining) != 1 {
			t.Errorf("unexpected queue %v with a map, %d draining; want none, 1", pl.ordering.sole, len(pl.ordering.draining))
		}
	})
}

// What a shard refused goes first when it is sent again, in its order, and waits.
func TestRefusedRecordReturnsToTheHeadOfItsQueue(t *testing.T) {
	for _, gone := range []bool{false, true} {
		pl := halted(t, WithOrdering(OrderingStrict), WithRetryBackoff(time.Minute, time.Minute))
		handKey(t, pl, "k", 1, 2)
		locked(pl, func() { pl.closeSome(never) })
		handKey(t, pl, "k", 3, 2)
		locked(pl, func() {
			req := taken(pl)
			if gone {
				fetched(pl, equalShards(4, 1, ""), nil)
			}
			refusedBy(pl, req, "InternalFailure")
			pl.admitFreed()
			pl.closeSome(never)
			sh := pl.anyShard(queued)
			wantNumbers(t, "queue", queuedNumbers(sh), "1", "2", "3", "4")
			if sh.busy != nil || sh.wakeAt < pl.now+int64(5*time.Second) {
				t.Errorf("shard gone %v: unexpected haste; wakes in %v; want a tenth of a minute at least", gone, time.Duration(sh.wakeAt-pl.now))
			}
		})
	}
}

// An aggregate for the head has the bounds of every other one.
func TestRecordsThatReturnToTheHeadAreAggregatedWithinBounds(t *testing.T) {
	for _, c := range []struct {
		name  string
		opts  []Option
		alone int // every so many-th record must be alone, 0 for none
		want  int
	}{
		{"as many as the size allows", []Option{WithAggregationMaxBytes(64)}, 0, 2},
		{"as many as the count allows", []Option{WithAggregationMaxCount(4)}, 0, 3},
		{"alone", nil, 1, 10},
		{"every other one alone", nil, 2, 10},
		{"no aggregation", []Option{WithAggregation(false)}, 0, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			pl := halted(t, append(c.opts, WithOrdering(OrderingStrict))...)
			b := handKey(t, pl, "k", 1, 10)
			locked(pl, func() {
				suspendChecks(pl) // the records are in two places here
				sh := b.items[0].shard
				for i := range b.items {
					if c.alone > 0 && i%c.alone == 0 {
						b.items[i].flags |= itemAlone
					}
					pl.addToHead(sh, &b.items[i])
				}
				for _, kr := range sh.head {
					if kr.size > pl.cfg.aggregationMaxBytes || len(kr.items) > pl.cfg.aggregationMaxCount {
						t.Errorf("unexpected aggregate of %d records, %d bytes", len(kr.items), kr.size)
					}
				}
				if len(sh.head) != c.want {
					t.Errorf("unexpected number of Kinesis records; got %d; want %d", len(sh.head), c.want)
				}
				sh.head = nil
			})
		})
	}
}

// A record that fails again and again waits longer each time, whether it failed by itself
// or with its call.
func TestWaitsGrowWithEachAttempt(t *testing.T) {
	for _, c := range []struct {
		name string
		fail func(pl *pipeline, req *request)
	}{
		{"entry", func(pl *pipeline, req *request) { refusedBy(pl, req, "InternalFailure") }},
		{"call", func(pl *pipeline, req *request) {
			pl.requestFailed(req, classifyEntry("InternalFailure", ""), Attempt{Start: pl.p.start, End: pl.p.start})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			most := 0.0 // of the bound, after the first attempt
			for range 3 {
				pl := halted(t, WithRetryBackoff(100*time.Millisecond, 5*time.Minute), WithRecordTTL(0))
				handKey(t, pl, "k", 1, 3)
				locked(pl, func() {
					req := taken(pl)
					for n := 1; n <= 11; n++ {
						c.fail(pl, req)
						// At least a tenth of the bound, which doubles.
						wait, bound := time.Duration(pl.retries.waiting[0].due-pl.now), 100*time.Millisecond<<(n-1)
						if wait < bound/10 || wait > bound {
							t.Errorf("unexpected wait after attempt %d; got %v; want %v to %v", n, wait, bound/10, bound)
						}
						if n > 1 {
							most = max(most, float64(wait)/float64(bound))
						}
						req = pl.newRequest()
						kr := pl.retries.waiting.Pop().(*kinesisRecord)
						req.records, req.bytes = append(req.records, kr), kr.size
					}
					pl.collector.requests = append(pl.collector.requests, req)
					pl.collector.inFlight = 0
				})
			}
			if most < 0.5 { // by chance once in 10^10 runs
				t.Errorf("unexpected longest of 30 waits; got %.2f of its bound; want more than half", most)
			}
		})
	}
}

// Others wait until its answer is there.
func TestRecordThatItsQueueWaitsForLeavesAtOnce(t *testing.T) {
	pl := halted(t, WithOrdering(OrderingStrict))
	handKey(t, pl, "k", 1, 1)
	locked(pl, func() {
		pl.closeSome(never)
		if busy := pl.collector.ready; len(busy) != 1 || busy[0].deadline <= pl.now || pl.collector.deadline <= pl.now {
			t.Fatalf("unexpected requests: %d records ready, due %v from now; want one that waits for company", len(busy), time.Duration(pl.collector.deadline-pl.now))
		}
	})
	handKey(t, pl, "k", 2, 1)
	locked(pl, func() {
		pl.closeSome(never)
		if sh := pl.collector.ready[0].shard; len(sh.queue) != 1 || sh.busy.deadline != pl.now || pl.collector.deadline != pl.now {
			t.Errorf("unexpected deadline with %d records behind it; got %v from now; want none", len(sh.queue), time.Duration(pl.collector.deadline-pl.now))
		}
	})
}

// A call that holds a record which the stream refuses is halved. If the stream is AUTO by
// then, the halves must not leave with aggregates.
func TestHalvesOfARefusedRequestHoldNoAggregatesOnAnAutoStream(t *testing.T) {
	for _, auto := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			pl := halted(t)
			hand(t, pl, 40)
			locked(pl, func() {
				req := taken(pl)
				if auto {
					described(pl, saysAuto, pl.now)
				}
				pl.collector.inFlight = pl.cfg.maxInFlight // so that the halves wait
				pl.requestFailed(req, classifyEntry("ValidationException", ""), Attempt{Start: pl.p.start, End: pl.p.start})
				req.releaseRequest()
				n := len(pl.collector.requests)
				if n != 2 || len(pl.collector.requests[0].records) != 2 || len(pl.collector.requests[1].records) != 2 {
					t.Fatalf("unexpected halves; got %d of a request of 4 records", n)
				}
				for _, half := range pl.collector.requests {
					bytes := half.bytes
					again := pl.disaggregateRequest(half)
					if got := len(again) > 0; got != auto || auto && (half.bytes != 0 || len(half.records) != 0) || !auto && half.bytes != bytes {
						t.Errorf("AUTO %v: unexpected half of %d bytes, %d records; %d user records go again", auto, half.bytes, len(half.records), len(again))
					}
					pl.routeAgain(again, 0)
				}
				pl.collector.inFlight = 0
				if auto {
					pl.collector.requests = nil
				}
			})
		})
	}
}

// What good times save up is bounded, or an outage would be met with a storm.
func TestSavedRetriesAreBounded(t *testing.T) {
	for _, waiting := range []int{0, 7, 10_000} {
		b := newRetryBudget()
		if b.credit != 500 {
			t.Errorf("unexpected credit at first; got %v; want 500", b.credit)
		}
		for range 50_000 {
			b.earnRetry(waiting)
		}
		if want := float64(500 + waiting); b.credit != want {
			t.Errorf("unexpected credit with %d that wait; got %v; want %v", waiting, b.credit, want)
		}
	}
}

// In an outage one call with retries goes every half second, and it is a full one.
func TestRetriesWithoutCreditShareACall(t *testing.T) {
	cfg := &config{collectionMaxCount: 3, collectionMaxBytes: 100}
	second := int64(time.Second)
	for _, c := range []struct {
		name  string
		sizes []int
		want  int // of them go at once
	}{
		{"as many as the call takes", []int{10, 10, 10, 10}, 3},
		{"as many bytes as the call takes", []int{60, 40, 1}, 2},
		{"none that is too large for what is left", []int{60, 41}, 1},
	} {
		b := retryBudget{opened: -1}
		took := 0
		for _, size := range c.sizes {
			if b.spendRetry(second, size, cfg) {
				took++
			}
		}
		if took != c.want {
			t.Errorf("%s: unexpected number of retries; got %d; want %d", c.name, took, c.want)
		}
		if due := b.nextRetryDue(); due != second+second/2 || b.spendRetry(due-1, 1, cfg) || !b.spendRetry(due, 1, cfg) {
			t.Errorf("%s: unexpected moment of the next call; got %d", c.name, due)
		}
	}
	rich := retryBudget{credit: 2, next: math.MaxInt64}
	for i, want := range []bool{true, true, false} {
		if due := rich.nextRetryDue(); (due == 0) != want {
			t.Errorf("unexpected moment of retry %d; got %d", i, due)
		}
		if got := rich.spendRetry(0, 1000, cfg); got != want {
			t.Errorf("unexpected retry %d; got %v; want %v", i, got, want)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/internal/pace"
)

// Nothing but the search looks at these: each is behind something that waits for longer
// than the record has.
func TestRecordsExpireInEachStage(t *testing.T) {
	for _, c := range []struct {
		name string
		put  func(pl *pipeline) // in the stage, what is in open aggregates
	}{
		{"open aggregates", func(*pipeline) {}},
		{"open aggregates that are built", func(pl *pipeline) {
			for sh := pl.aggregates.open.head; sh != nil; sh = sh.open.next {
				pl.buildAggregate(sh)
			}
		}},
		{"ready", func(pl *pipeline) {
			pl.closeSome(never)
			pl.collector.deadline = never
			for _, kr := range pl.collector.ready {
				kr.deadline = never // by itself none waits for longer than half of its TTL
			}
		}},
		{"queues", func(pl *pipeline) {
			for _, sh := range pl.shards.byID {
				sh.pace.Rest(never)
			}
			pl.closeSome(never)
		}},
		{"retries", func(pl *pipeline) {
			for _, kr := range taken(pl).records {
				pl.retryLater(kr, int64(time.Hour))
				kr.due = never
			}
			pl.retries.budget = retryBudget{next: never}
		}},
		{"awaiting map", func(pl *pipeline) { pl.shards.stale = true; pl.reroute(func(*kinesisRecord) bool { return true }) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pl := halted(t, WithRecordTTL(time.Second))
				b := hand(t, pl, 40)
				locked(pl, func() { c.put(pl) })
				time.Sleep(time.Second)
				locked(pl, func() {
					pl.expireLate()
					if n := pl.stats.Failed[ReasonExpired]; n != 0 {
						t.Errorf("unexpected end of %d records at their last moment", n)
					}
				})
				time.Sleep(time.Nanosecond)
				locked(pl, func() {
					if at := pl.nextEvent(); at > pl.now {
						t.Errorf("unexpected sleep of the loop for %v", time.Duration(at-pl.now))
					}
					pl.expireLate()
				})
				if _, failed, _ := b.Counts(); failed != 40 {
					t.Errorf("unexpected number of expired records; got %d; want 40", failed)
				}
			})
		})
	}
}

// Records that their shards refused return to the head of the queue in their order,
// if the shards are still there and the stream goes by keys.
func TestThrottledRecordsReturnInTheirOrder(t *testing.T) {
	const throttled = "ProvisionedThroughputExceededException"
	for _, c := range []struct {
		name    string
		between func(pl *pipeline)
		queue   bool
	}{
		{"as it is", func(*pipeline) {}, true},
		{"the shard is closed", func(pl *pipeline) { fetched(pl, equalShards(4, 1, ""), nil) }, false},
		{"the stream is AUTO", func(pl *pipeline) { described(pl, saysAuto, pl.now) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			pl := halted(t, WithAggregation(false))
			b := handKey(t, pl, "k", 1, 4)
			locked(pl, func() {
				sh := b.items[0].shard
				req := taken(pl)
				c.between(pl)
				refusedBy(pl, req, throttled)
				if c.queue {
					wantNumbers(t, "queue", queuedNumbers(sh), "1", "2", "3", "4")
				} else if len(sh.queue) != 0 || len(pl.retries.waiting) != 4 {
					t.Errorf("unexpected places; got %d in the queue, %d retries; want 0, 4", len(sh.queue), len(pl.retries.waiting))
				}
			})
		})
	}
}

// A record that has waited for its retry does not wait for company, too.
func TestRetriedRecordIsDueAtOnce(t *testing.T) {
	pl := halted(t)
	hand(t, pl, 40)
	locked(pl, func() {
		for _, kr := range taken(pl).records {
			kr.deadline = pl.now + int64(time.Minute)
			pl.retryLater(kr, 0)
		}
		pl.retryDue()
		if n := len(pl.retries.waiting); n != 0 || pl.collector.deadline > pl.now {
			t.Errorf("unexpected state; got %d retries, the request leaves in %v; want 0, at once", n, time.Duration(pl.collector.deadline-pl.now))
		}
	})
}

// A caller that flushes waits for what was submitted before, wherever it is; what is still
// being submitted, or comes later, is aggregated as usual.
func TestFlushHurriesWhatWasSubmittedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pl := halted(t)
		hand(t, pl, 40)
		done := make(chan struct{})
		locked(pl, func() {
			pl.closeSome(never)
			pl.collector.inFlight = pl.cfg.maxInFlight // so that they stay
			suspendChecks(pl)
			pl.beginFlush(done)
			for _, kr := range pl.collector.ready {
				if kr.deadline > pl.now {
					t.Errorf("unexpected wait of a record that is ready for %v", time.Duration(kr.deadline-pl.now))
				}
			}
			if pl.collector.deadline > pl.now {
				t.Errorf("unexpected wait of a request for %v", time.Duration(pl.collector.deadline-pl.now))
			}
			if pl.callers.flushSeq != pl.batches.seq {
				t.Errorf("unexpected last batch of the flush; got %d; want %d", pl.callers.flushSeq, pl.batches.seq)
			}
			pl.beginFlush(make(chan struct{}))
			pl.endFlush(done)
			if pl.callers.flushSeq == 0 || pl.callers.flushing != 1 {
				t.Error("unexpected end of another flush")
			}
			pl.endFlush(nil)
			if pl.callers.flushSeq != 0 {
				t.Errorf("unexpected flush of batches up to %d; nobody waits", pl.callers.flushSeq)
			}
		})
	})
}

// Records that had to wait for the map are not open aggregates when Flush is called. They
// must not wait to be filled up afterwards, however they were submitted.
func TestFlushHurriesRecordsThatWaitForTheMap(t *testing.T) {
	for _, try := range []bool{false, true} {
		pl := halted(t)
		locked(pl, func() { pl.shards.stale = true })
		if try {
			hand(t, pl, 40)
		} else if _, err := pl.p.PutBatch(t.Context(), "s", []Record{{PartitionKey: "k"}}); err != nil {
			t.Fatal(err)
		}
		locked(pl, func() {
			suspendChecks(pl)
			pl.beginFlush(make(chan struct{}))
			fetched(pl, equalShards(0, 4, ""), nil)
			for sh := pl.aggregates.open.head; sh != nil; sh = sh.open.next {
				if sh.open.deadline > pl.now {
					t.Errorf("TryPutBatch %v: unexpected wait of an aggregate for %v", try, time.Duration(sh.open.deadline-pl.now))
				}
			}
		})
	}
}

// A record alone has an exact size, though it was in an open aggregate.
func TestAggregateOfOneRecordHasTheSizeOfTheRecord(t *testing.T) {
	pl := halted(t)
	hand(t, pl, 1)
	locked(pl, func() {
		pl.closeSome(never)
		if kr := pl.collector.ready[0]; kr.size != kr.items[0].sizeAlone() {
			t.Errorf("unexpected size; got %d; want %d", kr.size, kr.items[0].sizeAlone())
		}
	})
}

func TestOpenAggregateIsHurriedForAFlushOnly(t *testing.T) {
	for _, c := range []struct {
		name    string
		flushed uint64 // batches; the item is of the first
		handing bool
		built   bool
		hurried bool
	}{
		{"nobody flushes", 0, false, false, false},
		{"its batch is flushed", 1, false, false, true},
		{"its batch is flushed, and the record is made", 1, false, true, true},
		{"its batch is still being submitted", 1, true, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pl := halted(t)
				b := hand(t, pl, 40)
				time.Sleep(time.Second)
				locked(pl, func() {
					sh := pl.aggregates.open.tail
					if c.built {
						pl.buildAggregate(sh)
					}
					pl.callers.flushSeq, b.submitting = c.flushed, c.handing
					pl.hurryAggregate(sh, &b.items[0])
					first := pl.aggregates.open.head
					due := sh.open.deadline <= pl.now
					if due != c.hurried || (first == sh) != c.hurried {
						t.Errorf("unexpected place; due %v, first %v; want %v", due, first == sh, c.hurried)
					}
					if c.built && sh.open.record.deadline != sh.open.deadline {
						t.Errorf("unexpected deadline of the record; got %d; want %d", sh.open.record.deadline, sh.open.deadline)
					}
					b.submitting = false
				})
			})
		})
	}
}

// A list in which one that is due follows one that is not would make it late.
func TestDeadlinesOfOpenAggregatesRiseAfterAHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pl := halted(t)
		b := hand(t, pl, 40)
		locked(pl, func() {
			head := pl.aggregates.open.head
			head.open.makeOpenDue(pl.now) // due at this moment
		})
		time.Sleep(time.Second)
		locked(pl, func() {
			pl.callers.flushSeq = 1
			pl.hurryAggregate(pl.aggregates.open.tail, &b.items[0])
			for sh := pl.aggregates.open.head; sh.open.next != nil; sh = sh.open.next {
				if sh.open.deadline > sh.open.next.open.deadline {
					t.Errorf("unexpected order of deadlines; got %d before %d", sh.open.deadline, sh.open.next.open.deadline)
				}
			}
		})
	})
}

// Source of the unit: pricing of Kinesis; see PutPayloadUnit.
func TestPayloadUnitsAreOneAtLeast(t *testing.T) {
	for size, want := range map[int]int{0: 1, 1: 1, 25600: 1, 25601: 2, 51200: 2, 51201: 3} {
		if got := payloadUnits(size); got != want {
			t.Errorf("unexpected units of %d bytes; got %d; want %d", size, got, want)
		}
	}
}

func TestRoomAfterIsBoundedByAllThatBoundsARecord(t *testing.T) {
	const unit = PutPayloadUnit
	for _, c := range []struct {
		name                                 string
		size, limit, grow, stream, all, want int
	}{
		{"less than the limit, units used", 2*unit - 10, 2 * unit, 40 * unit, 1 << 20, 1 << 20, 2 * unit},
		{"much of the last unit is empty", unit + unit/2, 2 * unit, 40 * unit, 1 << 20, 1 << 20, 40 * unit},
		{"bounded by the stream", unit + unit/2, 2 * unit, 40 * unit, 10 * unit, 1 << 20, 10 * unit},
		{"bounded by the request", unit + unit/2, 2 * unit, 40 * unit, 1 << 20, 5 * unit, 5 * unit},
		{"a limit that is no whole unit", unit + unit/2, 2*unit + 1, 40 * unit, 1 << 20, 1 << 20, 2*unit + 1},
		{"never less than the limit", unit + unit/2, 2 * unit, 40 * unit, unit, 1 << 20, 2 * unit},
	} {
		pl := &pipeline{cfg: &config{aggregationMaxBytes: c.limit, aggregationGrowBytes: c.grow, collectionMaxBytes: c.all}, meta: streamMetadata{maxRecordBytes: c.stream}}
		pl.limitAggregates()
		if got := pl.roomAfter(c.size); got != c.want {
			t.Errorf("%s: unexpected room; got %d; want %d", c.name, got, c.want)
		}
	}
}

// The bound that stands for the size of an open aggregate is never too small, and the size
// with one more item is the one it gets.
func TestBoundsAndSizesOfAggregatesHold(t *testing.T) {
	for _, kind := range []string{"keys", "hash keys", "unkeyed"} {
		pl := halted(t)
		records := make([]Record, 50)
		for i := range records {
			records[i] = Record{Data: make([]byte, i*7%130)}
			if kind != "unkeyed" {
				records[i].PartitionKey = fmt.Sprint("key ", i%13)
			}
			if kind == "hash keys" {
				records[i].ExplicitHashKey = strconv.Itoa(i*i*i*1e6) + "000000000000000000000000000"
			}
		}
		b := pl.newBatch(records)
		kr := &kinesisRecord{}
		bound := aggregation.MaxFrame + len(aggregatePartitionKey)
		for i := range b.items {
			it := &b.items[i]
			kr.chooseUnkeyedHash(it)
			if kind != "unkeyed" {
				bound += it.maxGrowth(len(kr.items))
			}
			want := it.sizeAlone()
			if i > 0 {
				want = kr.sizeWith(it)
			}
			kr.addItem(it)
			if kr.size != want || kind != "unkeyed" && kr.size > bound {
				t.Fatalf("%s: unexpected size of %d records; got %d; want %d, at most %d", kind, i+1, kr.size, want, bound)
			}
			data, _, key := kr.appendData(nil, nil)
			if got := len(data) + len(key); got != kr.size {
				t.Fatalf("%s: unexpected size of %d records; got %d; want the %d bytes sent", kind, i+1, kr.size, got)
			}
		}
	}
}

// A request never has more bytes than it may, and no more for one shard than the guard says.
func TestRequestsEndExactlyAtTheirBounds(t *testing.T) {
	for _, c := range []struct {
		name  string
		opts  []Option
		sizes []int // of data; a key has one byte
		want  int   // records in the first request
	}{
		{"bytes that just fit", []Option{WithCollectionMaxBytes(60_000)}, []int{19_999, 19_999, 19_999, 5}, 3},
		{"one byte too many", []Option{WithCollectionMaxBytes(60_000)}, []int{19_999, 19_999, 20_000, 5}, 2},
		{"as many for one shard as the guard says", nil, []int{128<<10 - 1, 128<<10 - 1, 1}, 2},
		{"one byte less", nil, []int{128<<10 - 1, 128<<10 - 2, 1}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			pl := halted(t, append(c.opts, WithAggregation(false))...)
			records := make([]Record, len(c.sizes))
			for i, n := range c.sizes {
				records[i] = Record{PartitionKey: "k", Data: make([]byte, n)}
			}
			locked(pl, func() {
				suspendChecks(pl)
				pl.collector.inFlight = pl.cfg.maxInFlight // so that they gather
				for _, sh := range pl.shards.byID {
					sh.pace.Init(&pace.Limits{Records: 1e9, Bytes: 1e12}, pl.now)
				}
			})
			if _, err := pl.p.TryPutBatch("s", records); err != nil {
				t.Fatal(err)
			}
			locked(pl, func() {
				if got := len(pl.formRequest().records); got != c.want {
					t.Errorf("unexpected number of records in the request; got %d; want %d", got, c.want)
				}
			})
		})
	}
}

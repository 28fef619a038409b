// SPDX-License-Identifier: Apache-2.0

//go:build race || invariants

package core

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A check that sees nothing is worth nothing. Here each is shown the damage that it is
// for, and must name it.
func TestChecksNameWhatDoesNotAddUp(t *testing.T) {
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
		{"batches that are present is ", func(pl *pipeline) { pl.linger.present++ }},
		{"batches of wave ", func(pl *pipeline) { pl.linger.left[(pl.linger.wave-1)%earlierWaves].open++ }},
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
		{"has a prompt record under way that is settled", func(pl *pipeline) {
			pl.aggregates.prompts = map[*shard]promptTrip{pl.aggregates.open.head: {batch: &Batch{}}}
		}},
		// Open aggregates.
		{"open aggregates: bytes are 5591, records 40", func(pl *pipeline) { pl.aggregates.open.bytes++ }},
		{"shards in the list of open aggregates is ", func(pl *pipeline) { pl.aggregates.open.shards++ }},
		{"records 39, their parts make", func(pl *pipeline) { pl.aggregates.open.records-- }},
		{"room of the open aggregate of shard", func(pl *pipeline) { pl.aggregates.open.head.open.bufferedBytes++ }},
		{"list of open aggregates: deadline of", func(pl *pipeline) { pl.aggregates.open.head.open.deadline = never }},
		{"list of open aggregates: a link is wrong", func(pl *pipeline) { pl.aggregates.open.head.open.next.open.prev = nil }},
		{"list of open aggregates: its tail", func(pl *pipeline) { pl.aggregates.open.tail = pl.aggregates.open.head }},
		{"shards with an open aggregate are 4, the list has 3", func(pl *pipeline) {
			o := &pl.aggregates.open
			sh := o.tail
			o.tail = sh.open.prev
			o.shards--
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

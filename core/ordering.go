// SPDX-License-Identifier: Apache-2.0

package core

import (
	"container/heap"
	"slices"
	"sort"
	"time"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/internal/pace"
)

// Ordering says what is promised about the order of records with equal keys.
type Ordering uint8

const (
	// OrderingNone promises nothing: a record that is retried is overtaken.
	OrderingNone Ordering = iota
	// OrderingStrict keeps the order of records with equal keys.
	OrderingStrict
)

// WithOrdering sets what is promised about order. Default: OrderingNone.
//
// OrderingStrict: of the records of one stream that have the same explicit hash key or,
// without one, the same partition key, and that were submitted one after the other (by one
// goroutine, or by several that take turns; inside of a batch in the order of the slice),
// those that are confirmed are read in that order. "Read" means shard by shard, parents
// before children, as consumers built on the Kinesis Client Library do; and a reader has to
// skip records that it has seen before, because after a lost reply a record is sent again,
// and the earlier request may even be carried out later; and because a reader that does not
// check the ranges of shards gets both copies of an aggregate that is resent. It holds
// through throttles, failures, lost replies, resharding, and aggregation on or off.
//
// It does not hold for records without a key; for a record that failed and is
// submitted again, which is a new one; while the stream distributes records itself
// (AUTO), where Kinesis ignores keys, which is logged once; and across the moment
// in which a stream is deleted and recreated.
//
// The cost: each shard has one Kinesis record under way at a time, so it carries at most
// one aggregate (WithAggregationMaxBytes) for each round trip to Kinesis. With 50 KiB
// aggregates and 20 ms that is 2.5 MB/s, above the 1 MiB/s that a shard takes.
// BenchmarkOrdering (16 shards without limits, records of 200 bytes, 2 cores): 0.6 times
// the throughput of OrderingNone when answers come at once; 0.12 times with a round trip of
// 10 ms, which is 2.6 MB/s for each shard, so that the shards' limits rule anyway. Without
// aggregation a shard carries one record for each round trip. A record that cannot be
// stored blocks the others of its shard until it is stored or fails; one that is refused as
// invalid only those with the same key. Without the shard map (kinesis:ListShards missing),
// one record of the whole stream is under way at a time. PutRecords promises no order
// inside of a request, hence never two for one shard
// (https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html, checked
// 2026-11-24).
func WithOrdering(o Ordering) Option {
	return optionFunc(func(c *config) { c.ordering = o })
}

// In strict ordering each shard has a queue of Kinesis records of which the first is
// under way (busy), and nothing else moves until it is done. Since
// a key belongs to one shard, this keeps the order of keys. Two things need care:
//
//   - When the map changes, a key moves to another shard. The new one waits (blockers)
//     for every busy shard of an earlier map that has keys in common with it.
//   - What was under way and has to go again is older than all that waits, so it goes
//     to the head of the queue (requeueAtHead); a retry of a whole Kinesis record likewise.

// strictOrder is what strict ordering keeps beside the shards.
type strictOrder struct {
	sole     *shard   // without a map: stands for all shards
	draining []*shard // busy shards of earlier maps
	freed    []*shard // may go on
}

// queueWait is how long a queue sleeps that will be woken by an event.
const queueWait = int64(time.Hour)

// admitStrict is admit for strict ordering.
func (pl *pipeline) admitStrict(sh *shard) {
	wait := queueWait
	for len(sh.queue) > 0 && sh.busy == nil && sh.blockers == 0 {
		kr := sh.queue[0]
		late := pl.hasExpired(kr)
		if !late {
			if wait = pl.waitTime(kr); wait > 0 {
				break
			}
			wait = queueWait
		}
		sh.queue = slices.Delete(sh.queue, 0, 1)
		if sh.open.record == kr {
			sh.closeOpen()
		}
		kr.queued = false
		if late {
			pl.disaggregate(kr)
			continue // what is left of it is at the head
		}
		pl.reserveTokens(kr)
		sh.busy = kr
		pl.collect(kr)
	}
	switch {
	case len(sh.queue) > 0:
		if sh.readyBytes > 0 && sh.busy.deadline > pl.now {
			// It must not wait for other records of a request: its queue waits for it.
			sh.busy.deadline, pl.collector.deadline = pl.now, pl.now
		}
		at := pl.now + wait
		if sh.busy == nil && sh.blockers == 0 {
			at = notAfterExpiry(sh.queue[0], at)
		}
		pl.wakeShard(sh, at)
	case sh.wakePos >= 0:
		heap.Remove(&pl.wakes, int(sh.wakePos))
	}
}

// freeShard is called when a Kinesis record is done with or will be sent again.
func (pl *pipeline) freeShard(kr *kinesisRecord) {
	sh := kr.shard
	if sh == nil {
		return
	}
	if sh.open.record == kr {
		sh.closeOpen()
	}
	if sh.busy != kr {
		return
	}
	sh.busy = nil
	if sh.current {
		pl.ordering.freed = append(pl.ordering.freed, sh)
		return
	}
	if i := slices.Index(pl.ordering.draining, sh); i >= 0 {
		pl.ordering.draining = slices.Delete(pl.ordering.draining, i, i+1)
		pl.eachOverlappingShard(sh, func(other *shard) {
			if other.blockers--; other.blockers == 0 {
				pl.ordering.freed = append(pl.ordering.freed, other)
			}
		})
	}
}

// admitFreed sends from the queues that may go on. It comes after everything that had
// to go to their heads.
func (pl *pipeline) admitFreed() {
	for len(pl.ordering.freed) > 0 {
		list := pl.ordering.freed
		pl.ordering.freed = nil
		for _, sh := range list {
			if sh.current {
				pl.admitStrict(sh)
			}
		}
	}
}

// blockOverlappingShards makes the shards of a new map wait for the draining shards of
// earlier ones.
func (pl *pipeline) blockOverlappingShards(m *shardMap) {
	if pl.cfg.ordering != OrderingStrict {
		return
	}
	if pl.ordering.sole != nil {
		pl.retireShard(pl.ordering.sole)
		pl.ordering.sole = nil
	}
	for _, a := range m.ring {
		a.shard.blockers = 0
	}
	for _, old := range pl.ordering.draining {
		pl.eachOverlappingShard(old, func(other *shard) { other.blockers++ })
	}
}

// eachOverlappingShard calls f for the shards in use that have keys in common with sh.
func (pl *pipeline) eachOverlappingShard(sh *shard, f func(*shard)) {
	if pl.ordering.sole != nil {
		f(pl.ordering.sole)
	}
	m := pl.shardMap.Load()
	if m == nil {
		return
	}
	i := sort.Search(len(m.ring), func(i int) bool { return m.ring[i].end.Compare(sh.start) >= 0 })
	for ; i < len(m.ring) && m.ring[i].shard.start.Compare(sh.end) <= 0; i++ {
		f(m.ring[i].shard)
	}
}

// soleShard returns what stands for all shards as long as they are not known; nil
// without strict ordering. It does not pace, for it is not a shard.
func (pl *pipeline) soleShard() *shard {
	if pl.cfg.ordering != OrderingStrict {
		return nil
	}
	if pl.ordering.sole == nil {
		pl.ordering.sole = &shard{end: aggregation.MaxHashKey, current: true, wakePos: -1, blockers: int32(len(pl.ordering.draining))}
		pl.ordering.sole.pace.Init(&pace.Limits{Records: 1e9, Bytes: 1e12}, pl.now)
	}
	return pl.ordering.sole
}

// retryInPlace puts a Kinesis record back to the head of its queue, where it waits
// for a time. If its shard is gone, its user records go to the heads of theirs.
func (pl *pipeline) retryInPlace(kr *kinesisRecord, wait int64) {
	sh := kr.shard
	if !sh.current {
		pl.disaggregateLater(kr, wait)
		return
	}
	pl.freeShard(kr)
	kr.deadline = pl.now
	sh.pace.Rest(pl.now + wait)
	sh.queue = slices.Insert(sh.queue, 0, kr)
}

// requeueAtHead routes items before everything that waits.
func (pl *pipeline) requeueAtHead(items []*item, wait int64) {
	pl.scratch = nil
	if pl.awaitsMap() {
		pl.awaiting.keepAwaitingFirst(items)
		return
	}
	var changed []*shard
	for _, it := range items {
		sh, ok := pl.predictShard(it)
		if !ok {
			continue
		}
		if sh == nil {
			pl.sendUnaggregated(it, nil)
			continue
		}
		if len(sh.head) == 0 {
			changed = append(changed, sh)
		}
		pl.addToHead(sh, it)
	}
	for _, sh := range changed {
		sh.queue = append(sh.head, sh.queue...)
		sh.head = nil
		sh.pace.Rest(pl.now + wait)
		pl.ordering.freed = append(pl.ordering.freed, sh)
	}
}

// addToHead adds an item to the last of the Kinesis records that will be the head of
// the queue, or makes a new one.
func (pl *pipeline) addToHead(sh *shard, it *item) {
	alone := sh.id == "" || it.has(itemAlone) || !pl.cfg.aggregation || pl.meta.undescribed || sh.originMismatch
	if n := len(sh.head); n > 0 && !alone {
		kr := sh.head[n-1]
		kr.chooseUnkeyedHash(it)
		if len(kr.items) < pl.cfg.aggregationMaxCount && !kr.items[0].has(itemAlone) && kr.sizeWith(it) <= pl.aggregates.maxBytes {
			kr.addItem(it)
			return
		}
	}
	kr := pl.newRecord()
	kr.shard, kr.deadline = sh, pl.now
	if !alone {
		kr.wrapBytes = pl.wrapLimit()
	}
	kr.chooseUnkeyedHash(it)
	kr.addItem(it)
	sh.head = append(sh.head, kr)
}

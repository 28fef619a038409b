// SPDX-License-Identifier: Apache-2.0

package core

import (
	"github.com/outkpl/outkpl/aggregation"
)

// sendUnaggregated makes a Kinesis record of one item.
func (pl *pipeline) sendUnaggregated(it *item, sh *shard) {
	kr := pl.newRecord()
	kr.shard = sh
	if it.has(itemUnkeyed) {
		pl.joinUnkeyedRun(kr, it)
	}
	kr.addItem(it)
	if kr.deadline = pl.now + pl.bufferedNanos; it.batch.prompt {
		kr.deadline = atOnce
	}
	pl.limit(kr)
}

// openAggregate is the aggregate that a shard collects. At first it is only a list
// of items and a bound on its size: with thousands of shards most aggregates leave
// by time, long before they are full, and to keep key tables for each would
// cost more memory and time than the records themselves. The Kinesis record is
// built when the aggregate leaves, or when the bound says that it may be full.
type openAggregate struct {
	items         []*item // as long as there is no record
	bound         int     // the size is at most this
	bufferedBytes int     // in the buffer, by its items
	expires       int64   // when the first of the items does, 0 for never
	record        *kinesisRecord
	outer         aggregation.HashKey // see kinesisRecord
	deadline      int64
	// List of open aggregates, in the order of opening, which is the order of
	// deadlines.
	prev, next *shard
}

// aggregate adds the item to the open aggregate of the shard.
func (pl *pipeline) aggregate(it *item, sh *shard) {
	o := &sh.open
	if o.record == nil && !it.has(itemUnkeyed) {
		bound := o.bound + it.maxGrowth(len(o.items))
		if len(o.items) == 0 {
			bound += aggregation.MaxFrame + pl.cfg.aggregateKeyLen()
		}
		if bound <= pl.aggregates.maxBytes && len(o.items)+1 < pl.cfg.aggregationMaxCount {
			if len(o.items) == 0 {
				o.outer = it.hash
				o.deadline = pl.now + pl.bufferedNanos
				pl.aggregates.open.pushOpen(sh)
				if cap(o.items) <= 1 { // 1: that of a new record
					o.items = make([]*item, 0, firstItems)
				}
			}
			o.items = append(o.items, it)
			o.bound = bound
			o.expires = earlier(o.expires, it.batch.expires)
			pl.aggregates.open.countOpen(sh, it)
			pl.hurryAggregate(sh, it)
			return
		}
	}
	pl.buildAggregate(sh)
	kr := o.record
	kr.chooseUnkeyedHash(it)
	if len(kr.items) > 0 && (len(kr.items) >= pl.cfg.aggregationMaxCount || kr.sizeWith(it) > pl.roomAfter(kr.size)) {
		pl.linger.full++
		pl.closeAggregate(sh)
		if it.has(itemUnkeyed) {
			sh = pl.stickyShard(pl.shardMap.Load())
		}
		pl.aggregate(it, sh)
		return
	}
	kr.addItem(it)
	switch {
	case !kr.queued:
		pl.aggregates.open.countOpen(sh, it)
		pl.hurryAggregate(sh, it)
	case it.batch.prompt:
		kr.deadline = atOnce // it waits for its shard only
	}
	if kr.size >= pl.roomAfter(kr.size) || len(kr.items) >= pl.cfg.aggregationMaxCount {
		pl.linger.full++
		pl.closeAggregate(sh)
	}
}

// hurryAggregate has an open aggregate leave at once that got a prompt item, or soon if it
// got one for which a caller of Flush waits: one that had to wait for the shard map, or is
// routed again. An item of a batch that is still being submitted was not there when Flush
// was called.
func (pl *pipeline) hurryAggregate(sh *shard, it *item) {
	b := it.batch
	if b.wave != pl.linger.wave {
		pl.joinWave(b)
	}
	switch {
	case b.prompt && pl.beginPromptTrip(sh, it):
		pl.makeOpenFirst(sh, atOnce)
	case b.seq <= pl.callers.flushSeq && !b.submitting:
		pl.makeOpenFirst(sh, pl.now)
	}
}

// makeOpenFirst has an open aggregate leave at a time, before all others.
func (pl *pipeline) makeOpenFirst(sh *shard, at int64) {
	if sh.open.deadline <= at {
		return
	}
	pl.aggregates.open.unlinkOpen(sh)
	pl.aggregates.open.pushOpenFirst(sh)
	sh.open.makeOpenDue(at)
}

// makeOpenDue has an open aggregate leave at a time, if it does not leave before.
func (o *openAggregate) makeOpenDue(at int64) {
	o.deadline = min(o.deadline, at)
	if o.record != nil {
		o.record.deadline = o.deadline
	}
}

// roomAfter returns up to which size an aggregate of this size may be filled. As a
// rule that is the maximum. But records of many KiB would leave much of the last
// payload unit empty, which is billed all the same; so such an aggregate goes on
// until its units are used.
func (pl *pipeline) roomAfter(size int) int {
	limit := pl.aggregates.maxBytes
	billed := max(payloadUnits(size)*PutPayloadUnit, limit)
	if billed-size <= billed/25 || limit%PutPayloadUnit != 0 {
		return limit
	}
	return max(limit, min(pl.aggregates.growBytes, pl.meta.maxRecordBytes, pl.cfg.collectionMaxBytes))
}

// buildAggregate makes the Kinesis record of an open aggregate, if it has none yet, and its
// key tables, which the next item needs.
func (pl *pipeline) buildAggregate(sh *shard) {
	pl.packAggregate(sh)
	sh.open.record.countItems()
}

// packAggregate makes the Kinesis record of an open aggregate, if it has none yet. Of its
// size only the bound is known, until it is encoded.
func (pl *pipeline) packAggregate(sh *shard) {
	o := &sh.open
	if o.record != nil {
		return
	}
	kr := pl.newRecord()
	kr.shard, kr.wrapBytes = sh, pl.wrapLimit()
	if len(o.items) == 0 {
		o.deadline = pl.now + pl.bufferedNanos
		pl.aggregates.open.pushOpen(sh)
	}
	kr.deadline = o.deadline
	kr.items, o.items = o.items, kr.items
	kr.size, kr.expires, kr.outer = o.bound, o.expires, o.outer
	if len(kr.items) > 0 {
		if kr.chooseWrapped(); !kr.wrapped {
			kr.size = kr.sizeRaw()
		}
	}
	o.record, o.bound, o.expires = kr, 0, 0
}

// closeAggregate hands the open aggregate of a shard to the limiter.
func (pl *pipeline) closeAggregate(sh *shard) {
	pl.packAggregate(sh)
	queued := sh.open.record.queued
	if kr := pl.detachAggregate(sh); !queued {
		// What is full gains nothing by a wait but company for its request.
		kr.deadline = min(kr.deadline, pl.now+2*pl.shareNanos)
		pl.limit(kr)
	}
}

// detachAggregate takes the aggregate out of the set of open ones.
func (pl *pipeline) detachAggregate(sh *shard) *kinesisRecord {
	pl.packAggregate(sh)
	kr := sh.open.record
	if !kr.queued {
		pl.aggregates.open.removeOpen(sh)
	}
	sh.closeOpen()
	if pl.aggregates.sticky == sh {
		pl.aggregates.sticky = nil // the next unkeyed record selects a shard
	}
	return kr
}

// openAggregates are those that wait to be filled up, and how large they may be.
type openAggregates struct {
	open      openList
	sticky    *shard // which gets the unkeyed records; see stickyShard
	run       unkeyedRun
	maxBytes  int // AggregationMaxBytes, or less; see limitAggregates
	growBytes int // likewise AggregationGrowBytes
	// sharedDue is until when those that are due wait for others; see closeDue.
	sharedDue int64
	prompts   map[*shard]promptTrip
}

// openList is the list of shards with an open aggregate, and their share of the
// buffer.
type openList struct {
	head, tail     *shard
	shards         int // in the list
	bytes, records int
}

// countOpen counts an item that was added to the open aggregate of a shard in the list.
func (l *openList) countOpen(sh *shard, it *item) {
	sh.open.bufferedBytes += it.bufferCost()
	l.bytes += it.bufferCost()
	l.records++
}

func (l *openList) pushOpen(sh *shard) {
	l.shards++
	sh.open.prev, sh.open.next = l.tail, nil
	if l.tail != nil {
		l.tail.open.next = sh
	} else {
		l.head = sh
	}
	l.tail = sh
}

// pushOpenFirst puts a shard before all others, and so gives it a deadline that is not after
// theirs.
func (l *openList) pushOpenFirst(sh *shard) {
	l.shards++
	sh.open.prev, sh.open.next = nil, l.head
	if l.head != nil {
		l.head.open.prev = sh
		sh.open.deadline = min(sh.open.deadline, l.head.open.deadline)
	} else {
		l.tail = sh
	}
	l.head = sh
}

func (l *openList) removeOpen(sh *shard) {
	o := &sh.open
	l.unlinkOpen(sh)
	l.bytes -= o.bufferedBytes
	l.records -= len(o.items)
	if o.record != nil {
		l.records -= len(o.record.items)
	}
}

// unlinkOpen takes a shard out of the list, but not out of the sums.
func (l *openList) unlinkOpen(sh *shard) {
	o := &sh.open
	l.shards--
	if o.prev != nil {
		o.prev.open.next = o.next
	} else {
		l.head = o.next
	}
	if o.next != nil {
		o.next.open.prev = o.prev
	} else {
		l.tail = o.prev
	}
	o.prev, o.next = nil, nil
}

// dispatchAggregate sends an aggregate on that need not wait for more. In strict
// ordering it still takes records until its shard is free.
func (pl *pipeline) dispatchAggregate(sh *shard) {
	if pl.cfg.ordering != OrderingStrict {
		pl.closeAggregate(sh)
		return
	}
	pl.packAggregate(sh)
	pl.aggregates.open.removeOpen(sh)
	kr := sh.open.record
	kr.queued = true
	pl.limit(kr)
}

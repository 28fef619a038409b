// SPDX-License-Identifier: Apache-2.0

//go:build race || invariants

package core

import (
	"fmt"
)

// auditItem takes a user record into the account of a place.
//
//go:norace
func (a *audit) auditItem(p place, it *item) error {
	if it == nil || it.batch == nil || it.batch.pipe != a.pl {
		return fmt.Errorf("%s has a record that is not of this pipeline", placeNames[p])
	}
	if it.has(itemSettled) || !it.has(itemBuffered) {
		return fmt.Errorf("%s has record %d of batch %d; settled %t, submitted %t", placeNames[p], it.index, it.batch.seq, it.has(itemSettled), it.has(itemBuffered))
	}
	a.parts[p].sumItem(it)
	return nil
}

// auditGroup checks user records that share a Kinesis record or will.
//
//go:norace
func (a *audit) auditGroup(p place, items []*item, kr *kinesisRecord) error {
	sh := kr.shard
	switch {
	case len(items) == 0:
		return fmt.Errorf("%s has an empty record of shard %q", placeNames[p], kr.shardID())
	case len(items) > 1 && !kr.wrapped:
		return fmt.Errorf("%s has a record of %d user records of shard %q that is not wrapped", placeNames[p], len(items), kr.shardID())
	case !kr.wrapped:
	case kr.shardID() == "" || !a.pl.cfg.aggregation || len(items) > a.pl.cfg.aggregationMaxCount:
		return fmt.Errorf("%s has an aggregate of %d records, of shard %q; aggregation %t, at most %d", placeNames[p], len(items), kr.shardID(), a.pl.cfg.aggregation, a.pl.cfg.aggregationMaxCount)
	case a.pl.meta.auto && p <= inReady:
		return fmt.Errorf("%s has an aggregate of %d records, of shard %q, though the stream is AUTO", placeNames[p], len(items), kr.shardID())
	}
	expires := int64(0)
	for i, it := range items {
		if err := a.auditItem(p, it); err != nil {
			return err
		}
		expires = earlier(expires, it.batch.expires)
		hash := kr.hashOf(it)
		if sh != nil && (hash.Less(sh.start) || sh.end.Less(hash)) {
			return fmt.Errorf("%s has record %d of batch %d at shard %q, in whose range it is not", placeNames[p], it.index, it.batch.seq, sh.id)
		}
		if i == 0 && kr.outer != hash {
			return fmt.Errorf("%s has a record of shard %q whose outer hash key is not that of its first user record", placeNames[p], kr.shardID())
		}
		if kr.wrapped && it.has(itemAlone) {
			return fmt.Errorf("%s has record %d of batch %d in an aggregate, though it must be alone", placeNames[p], it.index, it.batch.seq)
		}
	}
	if kr.expires != expires {
		return fmt.Errorf("%s: expiry of a record of shard %q is %d, the first of its %d user records expires at %d", placeNames[p], kr.shardID(), kr.expires, len(items), expires)
	}
	return nil
}

// auditRecord checks a Kinesis record that is not in flight.
//
//go:norace
func (a *audit) auditRecord(p place, kr *kinesisRecord) error {
	if err := a.auditGroup(p, kr.items, kr); err != nil {
		return err
	}
	return a.auditSize(p, kr)
}

// auditSize checks the size of a record as far as that is cheap: one whose aggregate is made
// is exact, another is no smaller than its data.
//
//go:norace
func (a *audit) auditSize(p place, kr *kinesisRecord) error {
	least, exact := kr.outerKeyLen(), kr.counted() == len(kr.items)
	for _, it := range kr.items {
		least += int(it.dataBytes)
	}
	switch {
	case !kr.wrapped:
		least, exact = kr.sizeRaw(), true
	case exact:
		least = kr.agg.Size() + kr.outerKeyLen()
	}
	if kr.size < least || exact && kr.size != least {
		return fmt.Errorf("%s: size of a record of shard %q is %d, its %d user records make %d (exact: %t)", placeNames[p], kr.shardID(), kr.size, len(kr.items), least, exact)
	}
	return nil
}

// auditInFlight checks the requests under way. Their sizes must not be read.
//
//go:norace
func (a *audit) auditInFlight() error {
	pl := a.pl
	if err := differ("requests in flight", pl.collector.inFlight, len(pl.checks.underWay)); err != nil {
		return err
	}
	if pl.collector.inFlight > pl.cfg.maxInFlight {
		return fmt.Errorf("requests in flight are %d; at most %d may be", pl.collector.inFlight, pl.cfg.maxInFlight)
	}
	for req := range pl.checks.underWay {
		if len(req.records) == 0 {
			return fmt.Errorf("in flight has a request without records")
		}
		for _, kr := range req.records {
			if err := a.auditGroup(inFlight, kr.items, kr); err != nil {
				return err
			}
		}
	}
	return nil
}

//go:norace
func (a *audit) auditAwaiting() error {
	pl := a.pl
	expires := int64(0)
	for _, it := range pl.awaiting.items {
		if err := a.auditItem(inAwaiting, it); err != nil {
			return err
		}
		expires = earlier(expires, it.batch.expires)
	}
	if earlier(pl.awaiting.expires, expires) != pl.awaiting.expires {
		return fmt.Errorf("expiry of awaiting map is %d, the first of its %d records expires at %d", pl.awaiting.expires, len(pl.awaiting.items), expires)
	}
	return nil
}

// auditOpenList checks the aggregates that wait to be filled up.
//
//go:norace
func (a *audit) auditOpenList() error {
	pl := a.pl
	var last *shard
	bytes, n := 0, 0
	for sh := pl.aggregates.open.head; sh != nil; last, sh = sh, sh.open.next {
		o := &sh.open
		if n++; n > len(pl.shards.byID) || o.prev != last || !sh.current {
			return fmt.Errorf("list of open aggregates: a link is wrong at shard %q (number %d of %d, current %t)", sh.id, n, len(pl.shards.byID), sh.current)
		}
		if last != nil && last.open.deadline > o.deadline {
			return fmt.Errorf("list of open aggregates: deadline of shard %q is %d, that of the one before %d", sh.id, o.deadline, last.open.deadline)
		}
		before := a.parts[inOpen].bytes
		if err := a.auditAggregate(sh); err != nil {
			return err
		}
		room := a.parts[inOpen].bytes - before
		if err := differ(fmt.Sprintf("room of the open aggregate of shard %q", sh.id), o.bufferedBytes, room); err != nil {
			return err
		}
		bytes += room
		a.openShards++
	}
	if last != pl.aggregates.open.tail {
		return fmt.Errorf("list of open aggregates: its tail is not its last")
	}
	if err := differ("shards in the list of open aggregates", pl.aggregates.open.shards, n); err != nil {
		return err
	}
	if o := &pl.aggregates.open; o.bytes != bytes || o.records != a.parts[inOpen].records {
		return fmt.Errorf("open aggregates: bytes are %d, records %d, their parts make %d and %d", o.bytes, o.records, bytes, a.parts[inOpen].records)
	}
	return nil
}

// auditAggregate checks the open aggregate of a shard.
//
//go:norace
func (a *audit) auditAggregate(sh *shard) error {
	o := &sh.open
	if kr := o.record; kr != nil {
		if kr.queued || kr.shard != sh || len(o.items) > 0 || kr.deadline != o.deadline {
			return fmt.Errorf("open aggregate of shard %q: queued %t, of the shard %t, records besides %d, deadline %d and %d", sh.id, kr.queued, kr.shard == sh, len(o.items), o.deadline, kr.deadline)
		}
		return a.auditRecord(inOpen, kr)
	}
	kr := kinesisRecord{shard: sh, outer: o.outer, expires: o.expires, wrapped: len(o.items) > 1}
	if err := a.auditGroup(inOpen, o.items, &kr); err != nil {
		return err
	}
	data := a.pl.cfg.aggregateKeyLen()
	for _, it := range o.items {
		data += int(it.dataBytes)
		if it.has(itemUnkeyed) {
			return fmt.Errorf("open aggregate of shard %q has an unkeyed record, but no hash key for it", sh.id)
		}
	}
	if o.bound < data {
		return fmt.Errorf("open aggregate of shard %q: bound is %d, the data have %d bytes", sh.id, o.bound, data)
	}
	return nil
}

// auditQueues checks the shards that wait for tokens.
//
//go:norace
func (a *audit) auditQueues() error {
	pl := a.pl
	for i, sh := range pl.wakes {
		if int(sh.wakePos) != i || pl.wakes[(i-1)/2].wakeAt > sh.wakeAt && i > 0 {
			return fmt.Errorf("wakes: shard %q is at %d, believes to be at %d, or wakes before its parent", sh.id, i, sh.wakePos)
		}
		if len(sh.queue) == 0 || !sh.current {
			return fmt.Errorf("wakes has shard %q with a queue of %d, current %t", sh.id, len(sh.queue), sh.current)
		}
		open := false
		for _, kr := range sh.queue {
			if kr.shard != sh {
				return fmt.Errorf("queue of shard %q has a record of shard %q", sh.id, kr.shardID())
			}
			if err := a.auditRecord(inQueue, kr); err != nil {
				return err
			}
			open = open || kr == sh.open.record
		}
		if kr := sh.open.record; kr != nil && kr.queued && !open {
			return fmt.Errorf("shard %q has an open aggregate that is marked as queued, but not in its queue of %d", sh.id, len(sh.queue))
		}
	}
	return nil
}

// auditReady checks what the collector has.
//
//go:norace
func (a *audit) auditReady() error {
	pl, c := a.pl, &a.pl.collector
	bytes := 0
	deadline := int64(never)
	clear(pl.checks.ready)
	for _, kr := range c.ready {
		if err := a.auditRecord(inReady, kr); err != nil {
			return err
		}
		bytes += kr.size
		deadline = min(deadline, kr.deadline)
		if sh := kr.shard; sh != nil {
			if !sh.current {
				return fmt.Errorf("ready has a record of shard %q, which is not in the map", sh.id)
			}
			pl.checks.ready[sh] += kr.size
		}
	}
	if err := differ("bytes of ready", c.bytes, bytes); err != nil {
		return err
	}
	// One that has passed may be any that has; see admitStrict.
	if len(c.ready) > 0 && !pl.requestFull() && max(c.deadline, pl.now) != max(deadline, pl.now) {
		return fmt.Errorf("deadline of ready is %d, the first of its %d records must leave at %d", c.deadline, len(c.ready), deadline)
	}
	return nil
}

// auditRequests checks the requests that wait for a free place.
//
//go:norace
func (a *audit) auditRequests() error {
	for _, req := range a.pl.collector.requests {
		bytes := 0
		for _, kr := range req.records {
			if err := a.auditRecord(inRequests, kr); err != nil {
				return err
			}
			bytes += kr.size
		}
		if len(req.records) == 0 || req.bytes != bytes {
			return fmt.Errorf("bytes of a request that waits is %d, its %d records make %d", req.bytes, len(req.records), bytes)
		}
	}
	return nil
}

//go:norace
func (a *audit) auditRetries() error {
	list := a.pl.retries.waiting
	for i, kr := range list {
		if i > 0 && list.Less(i, (i-1)/2) {
			return fmt.Errorf("retries: number %d is due at %d, before its parent at %d", i, kr.due, list[(i-1)/2].due)
		}
		if err := a.auditRecord(inRetries, kr); err != nil {
			return err
		}
	}
	return nil
}

// auditSuspects checks the user records that were refused alone and wait.
//
//go:norace
func (a *audit) auditSuspects() error {
	r := &a.pl.refusals
	due := int64(never)
	for _, s := range r.waiting {
		if len(s.kr.items) != 1 || s.kr.items[0] != s.it || r.suspects[s.it] != s {
			return fmt.Errorf("suspects: a record of %d user records waits; want the suspect alone, and that it is known: %t", len(s.kr.items), r.suspects[s.it] == s)
		}
		due = min(due, s.due)
		if err := a.auditRecord(inSuspects, s.kr); err != nil {
			return err
		}
	}
	if len(r.waiting) > 0 && r.due != due {
		return fmt.Errorf("suspects are due at %d, the first of %d at %d", r.due, len(r.waiting), due)
	}
	for _, s := range r.aside {
		for _, it := range s.behind {
			if err := a.auditItem(inSuspects, it); err != nil {
				return err
			}
		}
	}
	for it := range r.suspects {
		if it.has(itemSettled) || !it.has(itemBuffered) {
			return fmt.Errorf("suspects have record %d of batch %d; settled %t, submitted %t", it.index, it.batch.seq, it.has(itemSettled), it.has(itemBuffered))
		}
	}
	return nil
}

func (a *audit) auditUnresolved() error {
	for _, u := range a.pl.unresolved {
		if err := a.auditRecord(inUnresolved, u.kr); err != nil {
			return err
		}
	}
	return nil
}

// auditUncertain checks the records that are looked for.
func (a *audit) auditUncertain() error {
	if a.pl.verification.reader == nil {
		return nil
	}
	bytes := 0
	for _, e := range a.pl.verification.reader.Entries() {
		bytes += e.Bytes
		u, ok := e.Owner.(*uncertain)
		if !ok {
			continue // of an earlier process: none of its records is here
		}
		kr := u.kr
		if !kr.wrapped || kr.key != e.Key || kr.sentAt == 0 {
			return fmt.Errorf("uncertain has a record of shard %q; wrapped %t, with its key %t, sent at %d", kr.shardID(), kr.wrapped, kr.key == e.Key, kr.sentAt)
		}
		if err := a.auditRecord(inUncertain, kr); err != nil {
			return err
		}
	}
	return differ("bytes of uncertain", a.pl.verification.reader.Bytes(), bytes)
}

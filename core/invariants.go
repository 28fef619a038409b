// SPDX-License-Identifier: Apache-2.0

package core

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/outkpl/outkpl/internal/invariants"
)

// What must hold of a pipeline whenever its lock is given back. It is checked where
// invariants.Enabled is true, that is with the race detector, and a violation ends
// the process. Messages name sums and their parts, never contents of records.
//
// The functions that look at each record are left out by the race detector, which
// would make them several times slower. They only read, and what they read is guarded by
// the lock, or does not change while a request is under way.
//
// idle, snapshot, state and Batch.lock give the lock back without a check: they only
// read, so what was true before still is.

// checks is what the checks of a pipeline keep. There is none where they are off.
type checks struct {
	underWay map[*request]struct{}
	moved    uint64 // see due
	work     int    // of the last check
	wrong    error  // seen since, for the next one to report
	// suspended is set by tests that damage the pipeline on purpose: checks go on
	// when it has broken down.
	suspended bool
	ready     map[*shard]int // scratch
	blockers  map[*shard]int // scratch
}

// checkAlways is up to how much work, in user records and shards looked at, a check is
// done at each unlock.
const checkAlways = 4096

// worthChecking reports whether the check is worth its work, which is what the pipeline holds.
// As long as that is little, it always is. Above, as much must have been moved since the
// last check as this one has to look at: so checks multiply the work of a test by a
// constant, while one at each unlock would make it grow with the square of the records.
//
//go:norace
func (c *checks) worthChecking(pl *pipeline) bool {
	s := &pl.stats
	ended := s.Confirmed + s.FailedTotal()
	moved := s.Accepted + ended + s.Retries + s.Requests
	work := int(s.Accepted-ended) + pl.batches.open + len(pl.shards.byID)
	for b := pl.batches.oldest; b != nil && work <= checkAlways; b = b.next {
		work += len(b.items)
	}
	if work > checkAlways && moved-c.moved < uint64(max(work, c.work)) {
		return false
	}
	c.moved = moved
	return true
}

func newChecks() *checks {
	if !invariants.Enabled {
		return nil
	}
	return &checks{underWay: map[*request]struct{}{}, ready: map[*shard]int{}, blockers: map[*shard]int{}}
}

// noteStarted and noteEnded count the requests under way. While one is, its records are
// read without the lock, and their sizes are written.
func (c *checks) noteStarted(pl *pipeline, req *request) {
	c.underWay[req] = struct{}{}
	bytes := 0
	for _, kr := range req.records {
		bytes += kr.size
		if pl.meta.auto && len(kr.items) > 1 {
			c.wrong = fmt.Errorf("a request leaves with an aggregate of %d records, of shard %q, though the stream is AUTO", len(kr.items), kr.shardID())
		}
	}
	if req.bytes != bytes {
		c.wrong = fmt.Errorf("bytes of a request that leaves is %d, its %d records make %d", req.bytes, len(req.records), bytes)
	}
}

func (c *checks) noteEnded(req *request) { delete(c.underWay, req) }

// checkInvariants ends the process if something does not hold. Called with the lock held, by
// unlock.
func (pl *pipeline) checkInvariants() {
	c := pl.checks
	if c.suspended && pl.broken == nil || !c.worthChecking(pl) {
		return
	}
	if err := pl.violation(); err != nil {
		invariants.Fail(fmt.Sprintf("core: what the pipeline of stream %s holds does not add up: %v", pl.stream.name, err))
	}
}

// violation returns what does not hold, or nil.
func (pl *pipeline) violation() error {
	if err := pl.checks.wrong; err != nil {
		return err
	}
	a := &audit{pl: pl}
	steps := []func() error{a.auditCallers, a.auditBatches, a.auditInFlight}
	if pl.ended {
		steps = append(steps, a.auditNothingLeft)
	} else {
		steps = append(steps, a.auditAwaiting, a.auditOpenList, a.auditQueues, a.auditReady, a.auditRequests, a.auditRetries, a.auditSuspects, a.auditUnresolved, a.auditStrictOrder, a.auditShards)
	}
	for _, step := range append(steps, a.auditPlaces, a.auditBuffer) {
		if err := step(); err != nil {
			return err
		}
	}
	pl.checks.work = a.pending.records + a.looked
	return nil
}

// place is where a user record can be.
type place int

const (
	inAwaiting place = iota
	inOpen
	inQueue
	inReady
	inRequests
	inFlight
	inRetries
	inSuspects
	inUnresolved
	placeCount
)

var placeNames = [placeCount]string{"awaiting map", "open aggregates", "queues", "ready", "requests", "in flight", "retries", "suspects", "unresolved"}

// account sums up user records. Two accounts of the same set are equal, and unequal
// ones of different sets differ but for a chance of 1 in 2^64.
type account struct {
	records, bytes int
	marks          uint64
}

//go:norace
func (a *account) sumItem(it *item) {
	a.records++
	a.bytes += it.bufferCost()
	// Mixed as in splitmix64, so that the sum shows which records are in it.
	x := it.batch.seq<<32 + uint64(it.index) + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	a.marks += x ^ x>>31
}

// audit is one check.
type audit struct {
	pl          *pipeline
	looked      int     // user records of open batches, and shards
	pending     account // submitted and not settled, by the batches
	unsubmitted int     // neither submitted nor settled
	openShards  int     // in the list of open aggregates
	busy        int     // records that keep a shard busy
	parts       [placeCount]account
}

// differ returns an error if a sum is not what its parts say.
func differ[T cmp.Ordered](what string, sum, parts T) error {
	if sum == parts {
		return nil
	}
	return fmt.Errorf("%s is %v, its parts make %v", what, sum, parts)
}

// auditCallers checks the counts of the callers that are submitting.
func (a *audit) auditCallers() error {
	pl := a.pl
	// Read with the lock held: a caller counted in submitting or blocked is still a user. A
	// caller's panic leaves its count.
	if users := int(pl.users.Load()); pl.broken == nil && (pl.callers.submitting < 0 || pl.callers.blocked < 0 || pl.callers.submitting+pl.callers.blocked > users || pl.callers.flushing < 0) {
		return fmt.Errorf("callers: submitting %d, blocked %d, flushing %d, of users %d", pl.callers.submitting, pl.callers.blocked, pl.callers.flushing, users)
	}
	if pl.settled.bytes != 0 || pl.settled.records != 0 {
		return fmt.Errorf("room to release is %d bytes, %d records; want none", pl.settled.bytes, pl.settled.records)
	}
	return nil
}

// auditBatches checks the list of open batches, their counts and the statistics.
//
//go:norace
func (a *audit) auditBatches() error {
	pl := a.pl
	n, waited, open := 0, 0, 0
	var last *Batch
	for b := pl.batches.oldest; b != nil; last, b = b, b.next {
		if n++; n > pl.batches.open {
			break // it may have no end
		}
		if b.prev != last || last != nil && last.seq >= b.seq || b.pipe != pl {
			return fmt.Errorf("list of open batches: links or order are wrong at batch %d", b.seq)
		}
		unsettled, failed := 0, 0
		for i := range b.items {
			switch it := &b.items[i]; {
			case it.has(itemSettled):
				if it.err != nil {
					failed++
				}
			case it.has(itemBuffered):
				unsettled++
				a.pending.sumItem(it)
			default:
				unsettled++
				a.unsubmitted++
			}
		}
		if b.open != unsettled || b.failed != failed || b.open == 0 {
			return fmt.Errorf("batch %d of %d records: open is %d, failed %d; its records make %d and %d, and open must not be 0", b.seq, len(b.items), b.open, b.failed, unsettled, failed)
		}
		open += unsettled
		a.looked += len(b.items)
		if b.waiters > 0 {
			waited++
		}
	}
	if n != pl.batches.open || last != pl.batches.newest {
		return fmt.Errorf("open batches is %d, the list has %d (newest at its end: %t)", pl.batches.open, n, last == pl.batches.newest)
	}
	if err := differ("waited batches", pl.batches.waited, waited); err != nil {
		return err
	}
	for _, w := range pl.batches.drains {
		if pl.batches.oldest == nil || pl.batches.oldest.seq > w.seq {
			return fmt.Errorf("a flush waits for batches up to %d, which are settled", w.seq)
		}
	}
	if s := &pl.stats; s.Accepted != s.Confirmed+s.FailedTotal()+uint64(open) {
		return fmt.Errorf("accepted is %d; confirmed %d, failed %d and open %d make %d", s.Accepted, s.Confirmed, s.FailedTotal(), open, s.Confirmed+s.FailedTotal()+uint64(open))
	}
	if a.unsubmitted > 0 && pl.callers.submitting+pl.callers.blocked == 0 {
		return fmt.Errorf("unsubmitted records are %d, though no caller submits", a.unsubmitted)
	}
	return nil
}

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
	case len(items) == 1:
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
		if len(items) > 1 && it.has(itemAlone) {
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
	least, exact := len(aggregatePartitionKey), kr.agg.Len() == len(kr.items)
	for _, it := range kr.items {
		least += int(it.dataBytes)
	}
	switch {
	case len(kr.items) == 1:
		least, exact = kr.items[0].sizeAlone(), true
	case exact:
		least = kr.agg.Size() + len(aggregatePartitionKey)
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

// auditNothingLeft checks a pipeline that was closed or has broken down.
func (a *audit) auditNothingLeft() error {
	pl := a.pl
	c, o := &pl.collector, &pl.aggregates.open
	if n := len(pl.awaiting.items) + len(pl.retries.waiting) + len(pl.refusals.waiting) + len(pl.unresolved) + len(pl.wakes) + len(pl.ordering.draining) + len(pl.ordering.freed) + len(c.ready) + len(c.requests); n > 0 {
		return fmt.Errorf("awaiting map %d, retries %d, suspects %d, unresolved %d, wakes %d, draining %d, freed %d, ready %d, requests %d, though the work has ended",
			len(pl.awaiting.items), len(pl.retries.waiting), len(pl.refusals.waiting), len(pl.unresolved), len(pl.wakes), len(pl.ordering.draining), len(pl.ordering.freed), len(c.ready), len(c.requests))
	}
	if o.head != nil || o.tail != nil || o.bytes != 0 || o.records != 0 || c.bytes != 0 || c.hotShards != 0 {
		return fmt.Errorf("open aggregates have %d bytes, %d records, ready %d bytes, %d hot shards, though the work has ended", o.bytes, o.records, c.bytes, c.hotShards)
	}
	return nil
}

// auditShards checks what the shards of the map know of themselves. It comes after the stages,
// with whose sums it compares.
//
//go:norace
func (a *audit) auditShards() error {
	pl := a.pl
	t := shardTotals{}
	if m := pl.shardMap.Load(); m != nil {
		for i := range m.ring {
			sh := m.ring[i].shard
			if pl.shards.byID[sh.id] != sh {
				return fmt.Errorf("shard %q is in the map, but not known", sh.id)
			}
			if err := a.auditShard(sh, &t); err != nil {
				return err
			}
		}
	}
	if err := differ("shards", len(pl.shards.byID), t.shards); err != nil {
		return err
	}
	if pl.ordering.sole != nil {
		if err := a.auditShard(pl.ordering.sole, &t); err != nil {
			return err
		}
	}
	a.looked += t.shards
	for sh, bytes := range pl.checks.ready {
		if err := differ(fmt.Sprintf("ready bytes of shard %q", sh.id), sh.readyBytes, bytes); err != nil {
			return err
		}
		t.ready -= bytes
	}
	if t.open != a.openShards || t.queues != len(pl.wakes) || t.ready != 0 || t.hot != pl.collector.hotShards {
		return fmt.Errorf("shards with an open aggregate are %d, the list has %d; with a queue %d, wakes has %d; hot shards %d, the collector has %d; ready bytes of shards without ready records are %d",
			t.open, a.openShards, t.queues, len(pl.wakes), t.hot, pl.collector.hotShards, t.ready)
	}
	if t.busy+len(pl.ordering.draining) != a.busy && pl.ctx.Err() == nil {
		return fmt.Errorf("busy shards are %d and draining %d, records that keep one busy %d", t.busy, len(pl.ordering.draining), a.busy)
	}
	return nil
}

// shardTotals sums up what the shards of a map know.
type shardTotals struct{ shards, open, queues, ready, hot, busy int }

//go:norace
func (a *audit) auditShard(sh *shard, t *shardTotals) error {
	t.shards++
	if !sh.current || sh.requestBytes != 0 || len(sh.head) != 0 {
		return fmt.Errorf("shard %q: current is %t, request bytes %d, records for the head %d; want true, 0, 0", sh.id, sh.current, sh.requestBytes, len(sh.head))
	}
	if o := &sh.open; o.record != nil && !o.record.queued || o.record == nil && len(o.items) > 0 {
		t.open++
	} else if len(o.items) > 0 || o.prev != nil || o.next != nil || o.record != nil && len(sh.queue) == 0 {
		return fmt.Errorf("shard %q: what is left of an open aggregate has %d records, or a link, or is marked as queued with a queue of %d", sh.id, len(o.items), len(sh.queue))
	}
	if len(sh.queue) > 0 {
		t.queues++
	}
	if (len(sh.queue) > 0) != (sh.wakePos >= 0) {
		return fmt.Errorf("shard %q has a queue of %d, and is at %d of wakes", sh.id, len(sh.queue), sh.wakePos)
	}
	t.ready += sh.readyBytes
	if sh.readyBytes >= shardRequestBytes {
		t.hot++
	}
	if sh.busy != nil {
		t.busy++
	}
	blockers := 0
	if len(a.pl.ordering.draining) > 0 {
		blockers = a.pl.checks.blockers[sh]
	}
	if sh.blockers != blockers {
		return fmt.Errorf("blockers of shard %q is %d, of earlier maps there are %d", sh.id, sh.blockers, blockers)
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
	kr := kinesisRecord{shard: sh, outer: o.outer, expires: o.expires}
	if err := a.auditGroup(inOpen, o.items, &kr); err != nil {
		return err
	}
	data := len(aggregatePartitionKey)
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
		if sh.wakePos != i || pl.wakes[(i-1)/2].wakeAt > sh.wakeAt && i > 0 {
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

// auditStrictOrder checks what strict ordering keeps: who is under way, and who waits for whom.
func (a *audit) auditStrictOrder() error {
	pl := a.pl
	if pl.cfg.ordering != OrderingStrict {
		if n := len(pl.ordering.draining) + len(pl.ordering.freed); n > 0 || pl.ordering.sole != nil {
			return fmt.Errorf("draining %d, freed %d, sole shard %t, without strict ordering", len(pl.ordering.draining), len(pl.ordering.freed), pl.ordering.sole != nil)
		}
		return nil
	}
	err := a.beyondQueues(func(kr *kinesisRecord) error {
		if sh := kr.shard; sh != nil && sh.busy != kr {
			return fmt.Errorf("shard %q has a record of %d under way that does not keep it busy", sh.id, len(kr.items))
		}
		if kr.shard != nil {
			a.busy++
		}
		return nil
	})
	if err != nil {
		return err
	}
	clear(pl.checks.blockers)
	for i, sh := range pl.ordering.draining {
		if sh.busy == nil || sh.current || slices.Contains(pl.ordering.draining[:i], sh) {
			return fmt.Errorf("draining has shard %q at %d: busy %t, current %t, or twice", sh.id, i, sh.busy != nil, sh.current)
		}
		pl.eachOverlappingShard(sh, func(other *shard) { pl.checks.blockers[other]++ })
	}
	return nil
}

// beyondQueues calls f for the records that have left the queues and do not wait for a
// retry.
func (a *audit) beyondQueues(f func(*kinesisRecord) error) error {
	pl := a.pl
	all := func(list []*kinesisRecord) error {
		for _, kr := range list {
			if err := f(kr); err != nil {
				return err
			}
		}
		return nil
	}
	if err := all(pl.collector.ready); err != nil {
		return err
	}
	for _, req := range pl.collector.requests {
		if err := all(req.records); err != nil {
			return err
		}
	}
	for req := range pl.checks.underWay {
		if err := all(req.records); err != nil {
			return err
		}
	}
	for _, u := range pl.unresolved {
		if err := f(u.kr); err != nil {
			return err
		}
	}
	for _, s := range pl.refusals.waiting {
		if err := f(s.kr); err != nil {
			return err
		}
	}
	return nil
}

// auditPlaces checks that each user record that was submitted and is not settled is in one
// place, and in one only.
func (a *audit) auditPlaces() error {
	pl := a.pl
	var sum account
	for _, part := range a.parts {
		sum.records += part.records
		sum.bytes += part.bytes
		sum.marks += part.marks
	}
	waitsForCalls := pl.broken != nil && pl.collector.inFlight > 0
	givenUp := !pl.ended && pl.ctx.Err() != nil
	if (waitsForCalls || givenUp) && sum.records <= a.pending.records && sum.bytes <= a.pending.bytes {
		return nil // the last call, or Close, settles those that are nowhere
	}
	if sum == a.pending {
		return nil
	}
	var text strings.Builder
	for p, part := range a.parts {
		fmt.Fprintf(&text, ", %s %d of %d bytes", placeNames[p], part.records, part.bytes)
	}
	return fmt.Errorf("pending records are %d of %d bytes, their places have %d of %d bytes (twice and nowhere: %t)%s",
		a.pending.records, a.pending.bytes, sum.records, sum.bytes, sum.records == a.pending.records && sum.bytes == a.pending.bytes, text.String())
}

// auditBuffer checks that what is pending has its room in the buffer. The buffer may hold more:
// for other streams, and for callers that have not submitted yet. If there are none, the
// sums are equal.
func (a *audit) auditBuffer() error {
	pl := a.pl
	// The list of pipelines may not be waited for, since p.mu comes before pl.mu.
	only := pl.p.mu.TryLock()
	if only {
		defer pl.p.mu.Unlock()
		only = len(pl.p.pipelines) == 1 && pl.p.pipelines[pl.key] == pl
	}
	bytes, records := pl.p.buffer.usedRoom()
	// After used: a caller that had taken room by then, and has not submitted, is still a user.
	exact := only && pl.users.Load() == 0
	if bytes < a.pending.bytes || records < a.pending.records || exact && (bytes != a.pending.bytes || records != a.pending.records) {
		return fmt.Errorf("the buffer has %d bytes, %d records, the pending records are %d bytes, %d records (exact: %t)", bytes, records, a.pending.bytes, a.pending.records, exact)
	}
	return nil
}

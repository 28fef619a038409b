// SPDX-License-Identifier: Apache-2.0

package core

import (
	"container/heap"
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outkpl/outkpl/internal/invariants"
	"github.com/outkpl/outkpl/internal/pace"
)

// never is a moment that does not come.
const never = math.MaxInt64

// pipeline is everything the producer knows and holds of one stream. The stages
// are methods in files of their own, in the order of the data: handover.go,
// aggregator.go, limiter.go, collector.go, sender.go, retrier.go.
//
// One lock guards the state. It is held for short stretches: encoding, hashing
// and calls happen outside. Times are nanoseconds since the producer's start.
type pipeline struct {
	p      *Producer
	cfg    *config
	key    string // in the producer's map: the stream as callers name it
	stream streamID
	ctx    context.Context // ends calls and the loop
	cancel context.CancelFunc
	users  atomic.Int32 // callers in the middle of a hand-over; see Producer.retire
	// shardMap may be read without the lock.
	shardMap atomic.Pointer[shardMap]
	wake     chan struct{} // tells the loop that something is due earlier than it thinks

	bufferedNanos int64 // max buffered time
	slackNanos    int64 // the part of it that is left to the collector

	mu sync.Mutex // guards all that follows
	// now is the time at which the lock was taken.
	now   int64
	armed int64 // when the loop will look next by itself

	// Who is handing records over and who waits; see quiet.
	submitting int
	blocked    int    // of those who were, the callers that wait for room
	open       int    // batches not settled
	waited     int    // open batches that somebody waits for
	flushing   int    // callers of Flush
	flushSeq   uint64 // they wait for the batches up to this one
	closing    bool
	aborted    bool
	seq        uint64
	oldest     *Batch // list of open batches
	newest     *Batch
	drained    []drainWaiter

	// Shard map and stream facts.
	shards         map[string]*shard
	peers          pace.Peers // of all shards that the stream has had
	closed         map[string]hashRange
	refreshing     bool
	refreshAgain   bool
	refreshDue     int64
	refreshBackoff int64
	mapTrouble     string
	mapOutage      bool         // no answer of Kinesis came
	refreshed      int64        // when the last fetch began
	fetches        uint64       // fetches begun
	staleGen       uint64       // maps of fetches up to this one are of no use
	listClosed     bool         // the next fetch lists closed shards, too
	closedListed   bool         // the last one did
	foreignSince   int64        // since when answers do not fit the list of shards; 0: they do
	foreignTold    bool         // the log says so
	stale          bool         // records wait for a new map, though there is one
	missing        *RecordError // the stream does not exist
	unaggregated   bool         // the shard map cannot be had
	undescribed    bool         // DescribeStreamSummary has had no outcome in time
	facts          facts
	factsWarned    bool
	describing     bool
	describeDue    int64
	describeLimits int   // refusals in a row because of the account's call limit
	described      int64 // when the last call ended
	heldSince      int64 // since when records may be held
	placement      placement
	aggregateMax   int   // AggregationMaxBytes, or less; see limitAggregates
	aggregateGrow  int   // likewise AggregationGrowBytes
	idleSince      int64 // while no batch is open: since when

	// Records on their way.
	held        []*item // waiting for the first shard map and the facts
	heldExpires int64   // when the first of them does, 0 for never
	lateSwept   int64   // when all stages were searched for expired records
	openList    openList
	spread      *shard
	wakes       wakeHeap
	collector   collector
	retries     retryHeap
	budget      retryBudget
	refusals    refusals
	lane        *shard   // strict ordering without a map: stands for all shards
	outgoing    []*shard // strict ordering: busy shards of earlier maps
	freed       []*shard // strict ordering: shards that may go on
	unresolved  []unresolved
	scratch     []*item

	// Cache of attempted.
	linkFrom, linkOf, link *attemptNode

	// Bookkeeping.
	broken         *RecordError // a panic ended the work
	accepted       bool         // Kinesis has taken at least one record
	stats          Stats
	troubleCode    string // of the outage that lasts, empty if none does
	troubleSince   int64
	troubleShown   bool   // the outage has been logged
	loggedCode     string // the last that was logged, and when
	logged         int64
	ends           endRun
	finished       []chan struct{} // of batches and drains, to close after the lock
	lines          []line          // to log after the lock
	observed       []Observation
	lastObserved   [metricCount]int // index in observed, by metric
	releaseBytes   int              // to give back after the lock
	releaseRecords int
	checks         *checks // nil unless they are on; see invariants.go
}

func newPipeline(p *Producer, key string, id streamID) *pipeline {
	pl := &pipeline{
		p: p, cfg: &p.cfg, key: key, stream: id,
		wake:          make(chan struct{}, 1),
		bufferedNanos: int64(p.cfg.maxBufferedTime),
		slackNanos:    int64(p.cfg.maxBufferedTime) / 5,
		shards:        map[string]*shard{},
		closed:        map[string]hashRange{},
		armed:         never,
		budget:        newRetryBudget(),
		facts:         facts{maxRecordBytes: defaultMaxRecordBytes},
		checks:        newChecks(),
	}
	now := int64(time.Since(p.start))
	pl.heldSince, pl.refreshDue, pl.describeDue, pl.idleSince = now, now, now, now
	pl.refreshed, pl.described = -int64(time.Hour), -int64(time.Hour)
	pl.facts.auto = p.cfg.distribution == DistributionAuto
	pl.limitAggregates()
	pl.ctx, pl.cancel = context.WithCancel(p.ctx)
	return pl
}

// lock takes the lock and reads the clock.
func (pl *pipeline) lock() {
	pl.mu.Lock()
	pl.now = int64(time.Since(pl.p.start))
}

// locked does a piece of work with the lock held. What the work is called shows in the
// log if it panics. All that changes the pipeline goes through here.
func (pl *pipeline) locked(name string, work func()) {
	pl.lock()
	defer pl.unlock()
	pl.guarded(name, work)
}

// unlock sends on what need not wait, wakes the loop if it would oversleep, and
// gives settled room in the buffer and the lock back. Logger, waiting callers and
// observer come last: what they do must not matter to the pipeline.
func (pl *pipeline) unlock() {
	pl.guarded("move on", pl.moveOn)
	pl.guarded("arm", pl.arm)
	pl.guarded("observe", pl.observeEnds)
	observed, finished, lines := pl.observed, pl.finished, pl.lines
	pl.observed, pl.finished, pl.lines = nil, nil, nil
	bytes, records := pl.releaseBytes, pl.releaseRecords
	pl.releaseBytes, pl.releaseRecords = 0, 0
	// Under the lock: whoever is told later that a batch is settled finds all its room free.
	pl.p.buffer.release(bytes, records)
	if invariants.Enabled {
		pl.check()
	}
	pl.mu.Unlock()
	for _, l := range lines {
		l.write(pl.cfg.logger)
	}
	pl.p.tell(observed) // before those who wait look
	for _, done := range finished {
		close(done)
	}
}

// arm wakes the loop if it would oversleep.
func (pl *pipeline) arm() {
	if pl.nextEvent() < pl.armed {
		select {
		case pl.wake <- struct{}{}:
		default:
		}
	}
}

// idle reports whether nobody uses the pipeline, and since when.
func (pl *pipeline) idle() (since int64, ok bool) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	return pl.idleSince, pl.open == 0 && pl.users.Load() == 0
}

// moveOn sends on what need not wait any longer.
func (pl *pipeline) moveOn() {
	if pl.aborted {
		return
	}
	if len(pl.refusals.released) > 0 {
		pl.releaseBehind()
	}
	pl.admitFreed()
	switch {
	case pl.quiet():
		pl.closeSome(never)
	case pl.blocked > 0:
		pl.makeWay()
	}
	if pl.flushing > 0 {
		pl.closeSome(pl.now)
	}
	pl.pump()
}

// makeWay closes the oldest aggregates if callers wait for room and more than half
// of the buffer is in open aggregates: then too little is under way.
func (pl *pipeline) makeWay() {
	for range maxCloses {
		o := &pl.openList
		if o.head == nil || 2*o.bytes <= pl.cfg.bufferBytes && 2*o.records <= pl.cfg.bufferRecords {
			return
		}
		pl.dispatch(o.head)
	}
}

// closeSome closes the open aggregates whose deadline is not after the time given,
// but not so many that the lock is held for long; the loop goes on with the rest.
func (pl *pipeline) closeSome(until int64) {
	for fetched, i := 0, 0; i < maxCloses; i++ {
		sh := pl.openList.head
		if sh == nil || sh.open.deadline > until {
			return
		}
		if i == fetched {
			fetched += pl.openList.fetch()
		}
		pl.dispatch(sh)
	}
}

// maxCloses bounds the aggregates closed in one go to some milliseconds of work.
const maxCloses = 1000

// quiet reports whether waiting for more records cannot help: everybody who has
// an open batch has handed it over whole and waits for its outcome. Who is blocked
// for room in the buffer gets it from what is under way; only if nothing is,
// what waits to be filled up has to leave to make room.
func (pl *pipeline) quiet() bool {
	switch {
	case pl.closing:
		return true
	case pl.submitting > 0 || pl.open == 0:
		return false
	case pl.blocked > 0:
		return !pl.underWay()
	}
	return pl.waited == pl.open
}

// stuck reports whether everybody who hands records over is blocked for room, so
// that what is closed already finds no company.
func (pl *pipeline) stuck() bool { return pl.blocked > 0 && pl.submitting == 0 }

// underWay reports whether anything is on its way beyond aggregation.
func (pl *pipeline) underWay() bool {
	return len(pl.refusals.waiting) > 0 || pl.underWayUntried()
}

// underWayUntried is underWay but for the suspects that wait.
func (pl *pipeline) underWayUntried() bool {
	c := &pl.collector
	return c.inFlight > 0 || len(c.ready) > 0 || len(c.requests) > 0 ||
		len(pl.retries) > 0 || len(pl.wakes) > 0 || len(pl.held) > 0 || len(pl.unresolved) > 0
}

// holding reports whether records must wait, because it is not known yet which
// shards the stream has and whether it may get aggregates.
func (pl *pipeline) holding() bool {
	if pl.missing != nil {
		return false
	}
	return !pl.facts.known || pl.stale || pl.shardMap.Load() == nil && !pl.unaggregated
}

// heldUntil returns when records go although the map or the facts are missing.
func (pl *pipeline) heldUntil() int64 {
	if pl.facts.known && pl.shardMap.Load() != nil {
		return pl.heldSince + int64(staleGrace)
	}
	return pl.heldSince + int64(startupGrace)
}

// releaseHeld routes the records that waited for the shard map and the facts.
func (pl *pipeline) releaseHeld() {
	if pl.holding() || len(pl.held) == 0 {
		return
	}
	list := pl.held
	pl.held, pl.heldExpires = nil, 0
	for _, it := range list {
		pl.route(it)
	}
}

// reroute takes the Kinesis records that match out of the stages before the
// sender and routes their user records anew.
func (pl *pipeline) reroute(match func(*kinesisRecord) bool) {
	for _, kr := range pl.withdraw(match) {
		again := append(pl.scratch[:0], kr.items...)
		pl.recycle(kr)
		pl.routeAll(again)
	}
}

// withdraw takes the Kinesis records that match out of the stages before the sender.
func (pl *pipeline) withdraw(match func(*kinesisRecord) bool) []*kinesisRecord {
	// In strict ordering, the stages of a shard must come out in their order.
	var open []*kinesisRecord
	for sh := pl.openList.head; sh != nil; {
		next := sh.open.next
		pl.pack(sh)
		if match(sh.open.record) {
			open = append(open, pl.detach(sh))
		}
		sh = next
	}
	return append(pl.pull(match), open...)
}

// filter takes the Kinesis records that match out of a list and adds them to another.
func filter(list []*kinesisRecord, match func(*kinesisRecord) bool, out *[]*kinesisRecord) []*kinesisRecord {
	keep := list[:0]
	for _, kr := range list {
		if match(kr) {
			*out = append(*out, kr)
		} else {
			keep = append(keep, kr)
		}
	}
	clear(list[len(keep):])
	return keep
}

// pullReady takes the Kinesis records that match out of the collector.
func (pl *pipeline) pullReady(match func(*kinesisRecord) bool) (out []*kinesisRecord) {
	c := &pl.collector
	c.requests = slices.DeleteFunc(c.requests, func(req *request) bool {
		n := len(out)
		req.records = filter(req.records, match, &out)
		for _, kr := range out[n:] {
			req.bytes -= kr.size
		}
		if len(req.records) > 0 {
			return false
		}
		req.done()
		return true
	})
	n := len(out)
	c.ready = filter(c.ready, match, &out)
	for _, kr := range out[n:] {
		pl.uncount(kr)
	}
	pl.findDeadline()
	return out
}

// pull takes the Kinesis records that match out of the shards' queues and the
// collector.
func (pl *pipeline) pull(match func(*kinesisRecord) bool) (out []*kinesisRecord) {
	out = pl.pullReady(match)
	for _, sh := range pl.freed {
		// What returned to its lane in this stretch is not in the heap before admitFreed.
		if sh.wakePos < 0 {
			sh.queue = filter(sh.queue, match, &out)
		}
	}
	for i := len(pl.wakes) - 1; i >= 0; i-- {
		// Every other shard with a queue waits in this heap.
		sh := pl.wakes[i]
		if sh.queue = filter(sh.queue, match, &out); len(sh.queue) == 0 {
			sh.wakePos = -1
			pl.wakes[i] = nil
		}
	}
	keep := pl.wakes[:0]
	for _, sh := range pl.wakes {
		if sh != nil {
			keep = append(keep, sh)
		}
	}
	clear(pl.wakes[len(keep):])
	pl.wakes = keep
	for i, sh := range pl.wakes {
		sh.wakePos = i
	}
	heap.Init(&pl.wakes)
	return out
}

// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outkpl/outkpl/core/internal/pace"
	"github.com/outkpl/outkpl/internal/invariants"
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

// idle reports whether nobody uses the pipeline, and since when.
func (pl *pipeline) idle() (since int64, ok bool) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	return pl.idleSince, pl.open == 0 && pl.users.Load() == 0
}

// sinceStart turns a time into the pipeline's clock.
func (pl *pipeline) sinceStart(t time.Time) int64 { return int64(t.Sub(pl.p.start)) }

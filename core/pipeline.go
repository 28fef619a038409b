// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// never is a moment that does not come.
const never = math.MaxInt64

// pipeline is everything the producer knows and has of one stream. What belongs
// together is in groups; each is declared in the file of the stage that it is for. The
// way of a record, with a file of the same name for each step:
//
//	submit -> route -> aggregate -> limit -> collect -> send -> respond -> settle
//	              ^                                                  |
//	              +------------------------ retry <------------------+
//
// One lock guards the state. It is taken for short stretches: encoding, hashing
// and calls happen outside. Times are nanoseconds since the producer's start.
type pipeline struct {
	p      *Producer
	cfg    *config
	key    string // in the producer's map: the stream as callers name it
	stream streamID
	ctx    context.Context // ends calls and the loop
	cancel context.CancelFunc
	users  atomic.Int32 // callers that are submitting; see Producer.retirePipeline
	// shardMap may be read without the lock.
	shardMap atomic.Pointer[shardMap]
	passing  atomic.Int64 // see Producer.PassingRecordBytes
	// serviceTime is the last that was told, with read-back.
	serviceTime atomic.Pointer[serviceTime]
	wake        chan struct{} // something is due earlier than the loop sleeps

	bufferedNanos int64 // max buffered time
	shareNanos    int64 // how much longer what is due waits for what is due by then

	mu sync.Mutex // guards all that follows
	// now is the time at which the lock was taken.
	now     int64
	armed   int64 // when the loop will look next by itself
	closing bool
	ended   bool         // nothing is sent any more
	broken  *RecordError // a panic ended the work

	// The callers, and what they have submitted that is not settled.
	callers callers
	batches openBatches
	linger  lingering

	// What is known of the stream.
	meta      streamMetadata
	placement placement
	shards    knownShards
	listing   listing

	// Where records are on their way.
	awaiting   awaiting
	aggregates openAggregates
	wakes      wakeHeap // the shards with a queue
	shortage   shortage
	ordering   strictOrder
	collector  collector
	unresolved []unresolved
	// Those whose answer was lost are looked for.
	verification verification
	retries      retries
	refusals     refusals
	scratch      []*item       // of routeAll
	spares       *spareRecords // while the lock is held; nil for none

	// What is reported: to callers, to the log, to the observer.
	link    attemptLink
	settled settledNow
	stats   Stats
	logs    streamLog
	metrics observation

	checks *checks // nil unless they are on; see invariants.go and invariants_off.go
}

func newPipeline(p *Producer, key string, id streamID) *pipeline {
	now := int64(time.Since(p.start))
	pl := &pipeline{
		p: p, cfg: &p.cfg, key: key, stream: id,
		wake:          make(chan struct{}, 1),
		bufferedNanos: int64(p.cfg.maxBufferedTime),
		shareNanos:    int64(p.cfg.maxBufferedTime) / 10,
		armed:         never,
		batches:       openBatches{idleSince: now},
		linger:        newLingering(&p.cfg),
		meta: streamMetadata{
			maxRecordBytes: defaultMaxRecordBytes, auto: p.cfg.distribution == DistributionAuto,
			describeDue: now, described: -int64(time.Hour),
		},
		shards:   knownShards{byID: map[string]*shard{}, closed: map[string]hashRange{}},
		listing:  listing{due: now, began: -int64(time.Hour)},
		awaiting: awaiting{since: now},
		retries:  retries{budget: newRetryBudget()},
		metrics:  observation{p: p, stream: id.name},
		checks:   newChecks(),
	}
	if ttl := int64(p.cfg.recordTTL); ttl > 0 {
		pl.bufferedNanos, pl.shareNanos = min(pl.bufferedNanos, ttl/2), min(pl.shareNanos, ttl/20)
	}
	pl.initVerification()
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
	pl.guarded("advance stages", pl.advanceStages)
	pl.guarded("arm", pl.armLoop)
	pl.guarded("observe", pl.metrics.observeRuns)
	pl.returnSpares()
	observed, lines, settled := pl.metrics.list, pl.logs.lines, pl.settled
	pl.metrics.list, pl.logs.lines, pl.settled = nil, nil, settledNow{}
	// Under the lock: a caller that learns that a batch is settled finds all its room free.
	pl.p.buffer.releaseRoom(settled.bytes, settled.records)
	pl.checkInvariants()
	pl.mu.Unlock()
	for _, l := range lines {
		l.writeTo(pl.cfg.logger)
	}
	pl.p.notifyObserver(observed) // before the callers that wait look
	pl.p.traceConfirmed(settled.confirmed)
	pl.p.callOutcomes(settled.items)
	for _, b := range settled.batches {
		b.finishBatch()
	}
	for _, done := range settled.drained {
		close(done)
	}
}

// idleSince reports whether the pipeline is unused, and since when.
func (pl *pipeline) idleSince() (since int64, ok bool) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	return pl.batches.idleSince, pl.batches.open == 0 && pl.users.Load() == 0
}

// clockAt turns a time into the pipeline's clock.
func (pl *pipeline) clockAt(t time.Time) int64 { return int64(t.Sub(pl.p.start)) }

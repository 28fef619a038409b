// SPDX-License-Identifier: Apache-2.0

//go:build race || invariants

package core

import (
	"cmp"
	"fmt"

	"github.com/outkpl/outkpl/internal/invariants"
)

// What must be true of a pipeline whenever its lock is given back. It is checked in builds
// with the race detector or the tag invariants, and a violation ends the process; other
// builds have invariants_off.go instead. Messages name sums and their parts, never contents
// of records.
//
// The functions that look at each record are left out by the race detector, which
// would make them several times slower. They only read, and what they read is guarded by
// the lock, or does not change while a request is under way.
//
// idleSince, isBroken, readLocked and lockOutcomes give the lock back without a check: they
// only read, so what was true before still is.

// checks is what the checks of a pipeline keep.
type checks struct {
	underWay map[*request]struct{}
	moved    uint64 // see worthChecking
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
	return &checks{underWay: map[*request]struct{}{}, ready: map[*shard]int{}, blockers: map[*shard]int{}}
}

// noteStarted and noteEnded count the requests under way. While one is, its records are
// read without the lock, and their sizes are written.
func (c *checks) noteStarted(pl *pipeline, req *request) {
	c.underWay[req] = struct{}{}
	bytes := 0
	for _, kr := range req.records {
		bytes += kr.size
		if pl.meta.auto && kr.wrapped {
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
		steps = append(steps, a.auditAwaiting, a.auditOpenList, a.auditQueues, a.auditReady, a.auditRequests, a.auditRetries, a.auditSuspects, a.auditUnresolved, a.auditUncertain, a.auditStrictOrder, a.auditShards)
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
	inUncertain
	placeCount
)

var placeNames = [placeCount]string{"awaiting map", "open aggregates", "queues", "ready", "requests", "in flight", "retries", "suspects", "unresolved", "uncertain"}

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

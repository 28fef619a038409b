// SPDX-License-Identifier: Apache-2.0

package core

// advanceStages sends on what need not wait any longer.
func (pl *pipeline) advanceStages() {
	if pl.ended {
		return
	}
	if len(pl.refusals.released) > 0 {
		pl.releaseBehind()
	}
	pl.admitFreed()
	switch {
	case pl.allWait():
		if !pl.lingers() {
			pl.closeSome(never)
		} else if pl.linger.since == 0 {
			pl.linger.since = pl.now
		}
	case pl.callers.blocked > 0:
		pl.relieve()
	}
	if pl.callers.flushing > 0 {
		pl.closeSome(pl.now)
	}
	pl.endWave()
	pl.startRequests()
}

// allWait reports whether nobody is left who could add records before something is
// settled: every caller with an open batch has submitted all of it and waits for its outcome.
// Then aggregates need not wait for more, unless callers of settled batches come again so soon
// that they are waited for; see lingers. A caller that is
// blocked for room in the buffer gets it from what is under way; only if nothing is,
// what waits to be filled up has to leave to make room.
func (pl *pipeline) allWait() bool {
	switch {
	case pl.closing:
		return true
	case pl.callers.submitting > 0 || pl.batches.open == 0:
		return false
	case pl.callers.blocked > 0:
		return !pl.underWay()
	}
	return pl.batches.waited == pl.batches.open
}

// allCallersBlocked reports whether all callers that submit records are blocked for
// room, so that no further record joins a request.
func (pl *pipeline) allCallersBlocked() bool {
	return pl.callers.blocked > 0 && pl.callers.submitting == 0
}

// underWay reports whether anything is on its way beyond aggregation.
func (pl *pipeline) underWay() bool {
	return len(pl.refusals.waiting) > 0 || pl.underWayUntried()
}

// underWayUntried is underWay but for the suspects that wait.
func (pl *pipeline) underWayUntried() bool {
	c := &pl.collector
	return c.inFlight > 0 || len(c.ready) > 0 || len(c.requests) > 0 ||
		len(pl.retries.waiting) > 0 || len(pl.wakes) > 0 || len(pl.awaiting.items) > 0 || len(pl.unresolved) > 0 || pl.uncertainRecords() > 0
}

// relieve closes the oldest aggregates if callers wait for room and more than half
// of the buffer is in open aggregates: then too little is under way.
func (pl *pipeline) relieve() {
	for range maxCloses {
		o := &pl.aggregates.open
		if o.head == nil || 2*o.bytes <= pl.cfg.bufferBytes && 2*o.records <= pl.cfg.bufferRecords {
			return
		}
		pl.dispatchAggregate(o.head)
	}
}

// closeSome closes the open aggregates whose deadline is not after the time given,
// but not so many that the lock is held for long; the loop goes on with the rest.
func (pl *pipeline) closeSome(until int64) {
	for fetched, i := 0, 0; i < maxCloses; i++ {
		sh := pl.aggregates.open.head
		if sh == nil || sh.open.deadline > until {
			return
		}
		if i == fetched {
			fetched += pl.aggregates.open.fetchOpen()
		}
		pl.dispatchAggregate(sh)
	}
}

// maxCloses bounds the aggregates closed in one go to some milliseconds of work.
const maxCloses = 1000

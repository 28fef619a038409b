// SPDX-License-Identifier: Apache-2.0

package core

import (
	"container/heap"
	"time"
)

// runLoop is the pipeline's only lasting goroutine. It does what is due by time.
func (pl *pipeline) runLoop() {
	defer pl.p.work.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-pl.wake:
		case <-pl.ctx.Done():
			return
		}
		if at, idle := pl.idleSince(); idle && pl.p.clock()-at >= int64(pl.cfg.streamIdle) && pl.p.retireIdle(pl, pl.cfg.streamIdle) {
			return
		}
		d := time.Second // in case of a panic
		pl.locked("advance due", func() {
			pl.advanceDue()
			pl.advanceStages() // may make something else due
			pl.armed = pl.nextEvent()
			d = time.Duration(pl.armed - pl.now)
		})
		timer.Reset(max(d, 0))
	}
}

// advanceDue does everything that is due.
func (pl *pipeline) advanceDue() {
	if pl.ended {
		return
	}
	if !pl.overridesDeadlines() {
		pl.closeDue()
	}
	for len(pl.wakes) > 0 && pl.wakes[0].wakeAt <= pl.now {
		sh := heap.Pop(&pl.wakes).(*shard)
		pl.admitQueue(sh)
	}
	if pl.shortage.due <= pl.now && (len(pl.wakes) > 0 || pl.shortage.since != 0) {
		pl.reviewCapacity()
	}
	pl.expireLate()
	pl.retryDue()
	pl.suspectsDue()
	pl.verifyDue()
	if pl.listing.due <= pl.now && !pl.listing.active {
		pl.listing.active, pl.listing.due, pl.listing.began = true, never, pl.now
		pl.listing.count++
		pl.p.work.Add(1)
		go pl.refresh(pl.now, pl.listing.withClosed)
		pl.listing.withClosed = false
	}
	if pl.meta.describeDue <= pl.now && !pl.meta.describing {
		pl.meta.describing, pl.meta.describeDue = true, never
		pl.p.work.Add(1)
		go pl.describe(pl.now)
	}
	pl.expireAwaiting()
	if len(pl.awaiting.items) > 0 && pl.awaitsMap() && pl.now >= pl.awaitsUntil() {
		// The records are sent without aggregation rather than not at all; with a map
		// that was good until a while ago, they are sent as before.
		pl.shards.unavailable = pl.shardMap.Load() == nil
		pl.meta.undescribed = pl.meta.undescribed || !pl.meta.known
		pl.meta.known, pl.shards.stale = true, false
		pl.releaseAwaiting()
	}
	if len(pl.unresolved) > 0 && pl.unresolved[0].since+int64(unresolvedGrace) <= pl.now {
		pl.resolveParked()
	}
}

// nextEvent returns when advanceDue has to be called next.
func (pl *pipeline) nextEvent() int64 {
	if pl.ended {
		return never
	}
	at := int64(never)
	// While a call is under way, another one that is due waits for its end.
	if !pl.listing.active {
		at = pl.listing.due
	}
	if !pl.meta.describing {
		at = min(at, pl.meta.describeDue)
	}
	if pl.batches.open == 0 {
		at = min(at, max(pl.batches.idleSince+int64(pl.cfg.streamIdle), pl.now+int64(time.Second)))
	}
	if sh := pl.aggregates.open.head; sh != nil {
		switch {
		case sh.open.deadline == atOnce:
			at = atOnce // closeSome has left some
		case !pl.overridesDeadlines():
			at = min(at, pl.openDue(sh))
		case !pl.allWait():
			at = min(at, pl.newcomerDue())
		}
		switch {
		case !pl.allWait():
		case pl.lingers():
			at = min(at, pl.lingerDue())
		default:
			at = pl.now // closeSome has left some
		}
	}
	if c := &pl.collector; c.inFlight < pl.cfg.maxInFlight {
		switch {
		case !pl.requestsPaused():
			if len(c.ready) > 0 {
				at = min(at, c.deadline)
			}
		case c.inFlight == 0 && len(c.requests)+len(c.ready) > 0:
			at = min(at, pl.refusals.probeAt)
		}
	}
	if len(pl.refusals.waiting) > 0 {
		at = min(at, pl.refusals.due)
	}
	if len(pl.wakes) > 0 {
		at = min(at, pl.wakes[0].wakeAt)
	}
	if pl.shortage.since != 0 {
		at = min(at, pl.shortage.due)
	}
	if len(pl.retries.waiting) > 0 {
		at = min(at, max(pl.retries.waiting[0].due, pl.retries.budget.nextRetryDue()))
	}
	if r := pl.verification.reader; r != nil {
		at = min(at, r.Due(pl.now))
	}
	at = min(at, pl.batches.expiryDue())
	if len(pl.awaiting.items) > 0 && pl.awaitsMap() {
		at = min(at, pl.awaitsUntil())
		if pl.awaiting.expires != 0 {
			at = min(at, pl.awaiting.expires+1)
		}
	}
	if len(pl.unresolved) > 0 {
		at = min(at, pl.unresolved[0].since+int64(unresolvedGrace))
	}
	return at
}

// armLoop wakes the loop if it would oversleep.
func (pl *pipeline) armLoop() {
	if pl.nextEvent() < pl.armed {
		select {
		case pl.wake <- struct{}{}:
		default:
		}
	}
}

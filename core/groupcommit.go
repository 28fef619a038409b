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
	} else {
		pl.closeSome(atOnce)
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

// atOnce is the deadline of what a caller of PutSync waits for: nothing is waited for with it.
const atOnce = 0

// promptTrip is a prompt record that has an aggregate of its shard leave at once, until it is
// settled. Those that come meanwhile share the next aggregate, which leaves when this one is
// back: so callers of PutSync have at most one Kinesis record more for each call to Kinesis.
type promptTrip struct {
	batch *Batch
	next  *Batch // that waits for its end, and
	due   int64  // the deadline of its aggregate, by which that is known
}

// beginPromptTrip reports whether a prompt item need not wait for one of its shard that is
// under way.
func (pl *pipeline) beginPromptTrip(sh *shard, it *item) bool {
	o := &pl.aggregates
	if it.shard != nil && it.shard != sh {
		pl.endPromptTrip(it)
	}
	it.shard = sh // also that of an unkeyed one, which is asked for nowhere else
	trip := o.prompts[sh]
	if b := trip.batch; b != nil && b != it.batch && b.open > 0 {
		if trip.due != sh.open.deadline {
			trip.next, trip.due = it.batch, sh.open.deadline
			o.prompts[sh] = trip
		}
		return false
	}
	if o.prompts == nil {
		o.prompts = map[*shard]promptTrip{}
	}
	o.prompts[sh] = promptTrip{batch: it.batch}
	return true
}

// endPromptTrip has the next aggregate leave that has waited for a prompt item, which is
// settled or goes to another shard.
func (pl *pipeline) endPromptTrip(it *item) {
	sh := it.shard
	trip := pl.aggregates.prompts[sh]
	if trip.batch != it.batch {
		return
	}
	delete(pl.aggregates.prompts, sh)
	if b := trip.next; b != nil && b.open > 0 && b.items[0].shard == sh && sh.open.deadline == trip.due {
		pl.aggregates.prompts[sh] = promptTrip{batch: b}
		if kr := sh.open.record; kr != nil && kr.queued {
			kr.deadline = atOnce
			return
		}
		pl.makeOpenFirst(sh, atOnce)
	}
}

// closeDue closes the open aggregates that are due. But they wait a little longer for others
// that are due by then, so that all leave in one request, and fill up meanwhile.
func (pl *pipeline) closeDue() {
	o := &pl.aggregates
	head := o.open.head
	if head == nil || pl.openDue(head) > pl.now {
		return
	}
	if until := head.open.deadline + pl.shareNanos; pl.now < until && pl.callers.flushing == 0 {
		next := head
		for next != nil && next.open.deadline <= pl.now {
			next = next.open.next
		}
		if next != nil && next.open.deadline <= until {
			o.sharedDue = until
			return
		}
	}
	pl.closeSome(pl.now)
}

// openDue returns when the oldest of the open aggregates leaves by time.
func (pl *pipeline) openDue(head *shard) int64 {
	if pl.callers.flushing > 0 {
		return head.open.deadline
	}
	return max(head.open.deadline, pl.aggregates.sharedDue)
}

// maxCloses bounds the aggregates closed in one go to some milliseconds of work.
const maxCloses = 1000

// SPDX-License-Identifier: Apache-2.0

package core

// openBatches are the batches that are not settled, oldest first.
type openBatches struct {
	oldest, newest *Batch
	seq            uint64 // of the newest there was
	open           int    // how many there are
	waited         int    // of them, those that a caller waits for
	drains         []drainWaiter
	idleSince      int64  // while there is none: since when
	abortedSeq     uint64 // batches up to this one are given up; see Abort
	swept          int64  // when all stages were searched for expired records
}

// pushBatch takes up a new batch.
func (o *openBatches) pushBatch(b *Batch) {
	o.open++
	o.seq++
	b.seq = o.seq
	if b.prev = o.newest; b.prev != nil {
		b.prev.next = b
	} else {
		o.oldest = b
	}
	o.newest = b
}

// removeBatch removes a batch that is settled.
func (o *openBatches) removeBatch(b *Batch, now int64) {
	o.open--
	o.idleSince = now
	if b.waiters > 0 {
		o.waited--
	}
	if b.prev != nil {
		b.prev.next = b.next
	} else {
		o.oldest = b.next
	}
	if b.next != nil {
		b.next.prev = b.prev
	} else {
		o.newest = b.prev
	}
	b.prev, b.next = nil, nil
}

// settledNow is what unlock gives back, and what it reports after the lock.
type settledNow struct {
	items          []*item        // for the outcome function
	confirmed      *ConfirmedRuns // for the trace; nil: none
	batches        []*Batch
	drained        []chan struct{} // of flushes
	bytes, records int             // room in the buffer
}

// settle gives a user record its final outcome. Called with the lock held.
func (pl *pipeline) settle(it *item, err *RecordError) {
	// What can panic comes first, so that breakDown can still settle the record.
	b := it.batch
	pl.metrics.observeEnd(it, err)
	it.err = err
	it.flags |= itemSettled
	if len(pl.refusals.suspects) > 0 {
		pl.settledSuspect(it, err)
	}
	if err != nil {
		b.failed++
		pl.stats.Failed[err.Reason]++
	} else {
		pl.stats.Confirmed++
		pl.stats.ConfirmedBytes += uint64(it.dataBytes)
	}
	if it.has(itemBuffered) {
		pl.settled.bytes += it.bufferCost()
		pl.settled.records++
	}
	if pl.cfg.onOutcomes != nil {
		pl.settled.items = pl.p.appendSettled(pl.settled.items, it)
	}
	b.open--
	if b.open == 0 {
		pl.closeBatch(b)
	}
}

// closeBatch has unlock notify the callers that wait for a batch. They must see its room
// in the buffer free.
func (pl *pipeline) closeBatch(b *Batch) {
	pl.batches.removeBatch(b, pl.now)
	pl.linger.settleInWave(b, pl.now)
	if b.prompt {
		pl.endPromptTrip(&b.items[0])
	}
	if b.ownsRecords {
		clear(b.records)
	}
	b.records = nil
	pl.settled.batches = append(pl.settled.batches, b)
	pl.settled.drained = pl.batches.endDrains(pl.settled.drained)
}

// confirmRecord settles every user record of a stored Kinesis record.
func (pl *pipeline) confirmRecord(kr *kinesisRecord, a *attemptNode) {
	for _, it := range kr.items {
		pl.noteAttempt(it, a)
	}
	for _, it := range kr.items {
		if pl.settle(it, nil); !pl.cfg.places {
			it.last = nil // its memory is used again
		}
	}
	if pl.cfg.trace != nil {
		pl.noteConfirmedRuns(kr, a)
	}
	pl.recycle(kr)
}

// failRecord settles every user record of a Kinesis record with an error.
func (pl *pipeline) failRecord(kr *kinesisRecord, v classification, a Attempt) {
	if v.action == actThrottle {
		v.reason = ReasonThrottled
	}
	a.Uncertain = v.uncertain
	pl.noteAttempts(kr, v, a)
	err := pl.recordError(v)
	for _, it := range kr.items {
		pl.settle(it, err)
	}
	pl.recycle(kr)
}

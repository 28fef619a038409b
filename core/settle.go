// SPDX-License-Identifier: Apache-2.0

package core

// openBatches are the batches that are not settled, oldest first.
type openBatches struct {
	oldest, newest *Batch
	seq            uint64 // of the newest there was
	open           int    // how many there are
	waited         int    // of them, those that somebody waits for
	drains         []drainWaiter
	idleSince      int64 // while there is none: since when
	swept          int64 // when all stages were searched for expired records
}

// push takes up a new batch.
func (o *openBatches) push(b *Batch) {
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

// remove lets go of a batch that is settled.
func (o *openBatches) remove(b *Batch, now int64) {
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

// settled is what unlock gives back.
type settled struct {
	done           []chan struct{} // of batches and drains, to close after the lock
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
	if it.is(itemBuffered) {
		pl.settled.bytes += it.cost()
		pl.settled.records++
	}
	b.open--
	if b.open == 0 {
		pl.closeBatch(b)
	}
}

// closeBatch has unlock tell those who wait for a batch that it is settled. They
// must see its room in the buffer free.
func (pl *pipeline) closeBatch(b *Batch) {
	pl.batches.remove(b, pl.now)
	pl.settled.done = pl.batches.endDrains(append(pl.settled.done, b.done))
}

// confirm settles every user record of a stored Kinesis record.
func (pl *pipeline) confirm(kr *kinesisRecord, a attemptNode) {
	node := &a
	for _, it := range kr.items {
		pl.attempted(it, node)
	}
	for _, it := range kr.items {
		pl.settle(it, nil)
	}
	pl.recycle(kr)
}

// fail settles every user record of a Kinesis record with an error.
func (pl *pipeline) fail(kr *kinesisRecord, v verdict, a Attempt) {
	if v.action == actThrottle {
		v.reason = ReasonThrottled
	}
	a.Uncertain = v.uncertain
	pl.attemptedAll(kr, v, a)
	err := &RecordError{Stream: pl.stream.name, Reason: v.reason, Code: v.code, Detail: v.message}
	for _, it := range kr.items {
		pl.settle(it, err)
	}
	pl.recycle(kr)
}

// SPDX-License-Identifier: Apache-2.0

package core

// settle gives a user record its final outcome. Called with the lock held.
func (pl *pipeline) settle(it *item, err *RecordError) {
	// What can panic comes first, so that breakDown can still settle the record.
	b := it.batch
	pl.observeEnd(it, err)
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
		pl.releaseBytes += it.cost()
		pl.releaseRecords++
	}
	b.open--
	if b.open == 0 {
		pl.closeBatch(b)
	}
}

// closeBatch has unlock tell those who wait for a batch that it is settled. They
// must see its room in the buffer free.
func (pl *pipeline) closeBatch(b *Batch) {
	pl.open--
	pl.idleSince = pl.now
	if b.waiters > 0 {
		pl.waited--
	}
	if b.prev != nil {
		b.prev.next = b.next
	} else {
		pl.oldest = b.next
	}
	if b.next != nil {
		b.next.prev = b.prev
	} else {
		pl.newest = b.prev
	}
	b.prev, b.next = nil, nil
	pl.finished = append(pl.finished, b.done)
	keep := pl.drained[:0]
	for _, w := range pl.drained {
		if pl.oldest == nil || pl.oldest.seq > w.seq {
			pl.finished = append(pl.finished, w.done)
		} else {
			keep = append(keep, w)
		}
	}
	clear(pl.drained[len(keep):])
	pl.drained = keep
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

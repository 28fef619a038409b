// SPDX-License-Identifier: Apache-2.0

package core

import "slices"

// awaitDrain has a channel closed when every batch submitted so far is settled. Called
// with the lock held.
func (o *openBatches) awaitDrain(done chan struct{}) {
	if o.oldest == nil {
		close(done)
	} else {
		o.drains = append(o.drains, drainWaiter{seq: o.seq, done: done})
	}
}

// drainWaiter waits until every batch up to seq is settled.
type drainWaiter struct {
	seq  uint64
	done chan struct{}
}

// cancelDrain removes a channel of awaitDrain, whose caller may have given up. Callers that
// flush again and again in an outage must leave nothing behind. Called with the
// lock held.
func (o *openBatches) cancelDrain(done <-chan struct{}) {
	o.drains = slices.DeleteFunc(o.drains, func(w drainWaiter) bool { return w.done == done })
}

// endDrains takes the channels that are to be closed now, and appends them to done.
func (o *openBatches) endDrains(done []chan struct{}) []chan struct{} {
	keep := o.drains[:0]
	for _, w := range o.drains {
		if o.oldest == nil || o.oldest.seq > w.seq {
			done = append(done, w.done)
		} else {
			keep = append(keep, w)
		}
	}
	clear(o.drains[len(keep):])
	o.drains = keep
	return done
}

// beginFlush is awaitDrain for a caller that does not want to wait for aggregates to be
// filled up: all that is submitted by now leaves. What comes later is not concerned.
func (pl *pipeline) beginFlush(done chan struct{}) {
	pl.callers.flushing++
	pl.callers.flushSeq = pl.batches.seq
	pl.batches.awaitDrain(done)
	for sh := pl.aggregates.open.head; sh != nil; sh = sh.open.next {
		sh.open.makeOpenDue(pl.now)
	}
	for _, kr := range pl.collector.ready {
		kr.deadline = pl.now
	}
	pl.collector.deadline = pl.now
}

// endFlush ends what beginFlush began.
func (pl *pipeline) endFlush(done chan struct{}) {
	if pl.callers.flushing--; pl.callers.flushing == 0 {
		pl.callers.flushSeq = 0
	}
	pl.batches.cancelDrain(done)
}

// countWaiters counts the callers that wait for a batch.
func (pl *pipeline) countWaiters(b *Batch, d int) {
	pl.locked("wait", func() {
		had := b.waiters > 0
		b.waiters += d
		if has := b.waiters > 0; has != had && b.open > 0 {
			pl.batches.waited += d
		}
	})
}

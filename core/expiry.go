// SPDX-License-Identifier: Apache-2.0

package core

import (
	"container/heap"
	"fmt"
	"slices"
	"time"
)

// hasExpired reports whether a Kinesis record has user records that are expired. To
// disaggregate it settles them.
func (pl *pipeline) hasExpired(kr *kinesisRecord) bool { return kr.expiredAt(pl.now) }

func (kr *kinesisRecord) expiredAt(now int64) bool { return kr.expires != 0 && now > kr.expires }

// openExpired is expiredAt for an open aggregate.
func (o *openAggregate) openExpired(now int64) bool {
	expires := o.expires
	if o.record != nil {
		expires = o.record.expires
	}
	return expires != 0 && now > expires
}

// notAfterExpiry returns the moment at which to look at a record that waits.
func notAfterExpiry(kr *kinesisRecord, at int64) int64 {
	if kr.expires != 0 {
		at = min(at, kr.expires+1)
	}
	return at
}

// expireItem settles a user record whose TTL has passed.
func (pl *pipeline) expireItem(it *item) {
	at := pl.p.start.Add(time.Duration(pl.now))
	pl.noteAttempt(it, &attemptNode{Attempt: &Attempt{Start: at, End: at, Code: codeExpired, Message: "the record's TTL has passed"}})
	pl.settle(it, &RecordError{
		Stream: pl.stream.name, Reason: ReasonExpired, Code: codeExpired,
		Detail: fmt.Sprintf("not confirmed within %v", pl.cfg.recordTTL),
	})
}

// expireAwaiting settles what expires while it waits for the shard map and the metadata.
func (pl *pipeline) expireAwaiting() {
	if pl.awaiting.expires != 0 && pl.now > pl.awaiting.expires {
		pl.awaiting.deleteExpiredAwaiting(pl.now, pl.expireItem)
	}
}

// deleteExpiredAwaiting takes out what has expired, and hands it to expire.
func (a *awaiting) deleteExpiredAwaiting(now int64, expire func(*item)) {
	a.expires = 0
	a.items = slices.DeleteFunc(a.items, func(it *item) bool {
		if e := it.batch.expires; e == 0 || now <= e {
			a.expires = earlier(a.expires, e)
			return false
		}
		expire(it)
		return true
	})
}

// expiryDue returns when to search all stages for expired records. Batches expire in
// their order, so the oldest is the first.
func (o *openBatches) expiryDue() int64 {
	if o.oldest == nil || o.oldest.expires == 0 {
		return never
	}
	return max(o.oldest.expires+1, o.swept+int64(lateTick))
}

// expireLate settles what has expired, in whatever stage it waits. No other stage looks at
// a record behind others, or one that waits for the budget of retries. What is at
// Kinesis, or stored and not resolved, keeps its chance.
func (pl *pipeline) expireLate() {
	if pl.batches.expiryDue() > pl.now {
		return
	}
	pl.batches.swept = pl.now
	pl.expireAwaiting()
	late := pl.retries.takeExpired(pl.now)
	if pl.cfg.ordering == OrderingStrict {
		pl.expireShardQueues()
	} else {
		for sh := pl.aggregates.open.head; sh != nil; {
			next := sh.open.next
			if sh.open.openExpired(pl.now) {
				late = append(late, pl.detachAggregate(sh))
			}
			sh = next
		}
		late = append(late, pl.pullQueued(pl.hasExpired)...)
	}
	late = append(late, pl.expireRefused()...)
	pl.giveUpVerified(pl.hasExpired)
	for _, kr := range late {
		pl.disaggregate(kr)
	}
}

// takeExpired takes out what has expired.
func (r *retries) takeExpired(now int64) (late []*kinesisRecord) {
	keep := r.waiting[:0]
	for _, kr := range r.waiting {
		if kr.expiredAt(now) {
			late = append(late, kr)
		} else {
			keep = append(keep, kr)
		}
	}
	clear(r.waiting[len(keep):])
	r.waiting = keep
	heap.Init(&r.waiting)
	return late
}

// expireShardQueues settles what has expired behind a Kinesis record that is under way.
// What is left of a queue keeps its order.
func (pl *pipeline) expireShardQueues() {
	var queues []*shard
	for _, sh := range pl.wakes {
		if (sh.busy != nil || sh.blockers > 0) && len(sh.queue) > 0 && pl.hasExpired(sh.queue[0]) {
			queues = append(queues, sh)
		}
	}
	for _, sh := range queues {
		var items []*item
		for _, kr := range sh.queue {
			items = append(items, kr.items...)
		}
		queue := sh.queue
		sh.queue = nil
		for _, kr := range queue {
			pl.recycle(kr)
		}
		pl.requeueAtHead(items, 0)
		pl.ordering.freed = append(pl.ordering.freed, sh) // nothing may be left of it
	}
}

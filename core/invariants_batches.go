// SPDX-License-Identifier: Apache-2.0

//go:build race || invariants

package core

import (
	"fmt"
	"strings"
)

// auditCallers checks the counts of the callers that are submitting.
func (a *audit) auditCallers() error {
	pl := a.pl
	// Read with the lock held: a caller counted in submitting or blocked is still a user. A
	// caller's panic leaves its count.
	if users := int(pl.users.Load()); pl.broken == nil && (pl.callers.submitting < 0 || pl.callers.blocked < 0 || pl.callers.submitting+pl.callers.blocked > users || pl.callers.flushing < 0) {
		return fmt.Errorf("callers: submitting %d, blocked %d, flushing %d, of users %d", pl.callers.submitting, pl.callers.blocked, pl.callers.flushing, users)
	}
	if pl.settled.bytes != 0 || pl.settled.records != 0 {
		return fmt.Errorf("room to release is %d bytes, %d records; want none", pl.settled.bytes, pl.settled.records)
	}
	return nil
}

// auditBatches checks the list of open batches, their counts and the statistics.
//
//go:norace
func (a *audit) auditBatches() error {
	pl := a.pl
	n, waited, open := 0, 0, 0
	waves := map[uint64]int{} // batches of each
	var last *Batch
	for b := pl.batches.oldest; b != nil; last, b = b, b.next {
		if n++; n > pl.batches.open {
			break // it may have no end
		}
		if b.prev != last || last != nil && last.seq >= b.seq || b.pipe != pl {
			return fmt.Errorf("list of open batches: links or order are wrong at batch %d", b.seq)
		}
		unsettled, failed := 0, 0
		for i := range b.items {
			switch it := &b.items[i]; {
			case it.has(itemSettled):
				if it.err != nil {
					failed++
				}
			case it.has(itemBuffered):
				unsettled++
				a.pending.sumItem(it)
			default:
				unsettled++
				a.unsubmitted++
			}
		}
		if b.open != unsettled || b.failed != failed || b.open == 0 {
			return fmt.Errorf("batch %d of %d records: open is %d, failed %d; its records make %d and %d, and open must not be 0", b.seq, len(b.items), b.open, b.failed, unsettled, failed)
		}
		open += unsettled
		a.looked += len(b.items)
		if b.waiters > 0 {
			waited++
		}
		waves[b.wave]++
	}
	if n != pl.batches.open || last != pl.batches.newest {
		return fmt.Errorf("open batches is %d, the list has %d (newest at its end: %t)", pl.batches.open, n, last == pl.batches.newest)
	}
	if err := differ("waited batches", pl.batches.waited, waited); err != nil {
		return err
	}
	if err := a.auditWaves(waves); err != nil {
		return err
	}
	for sh, trip := range pl.aggregates.prompts {
		if trip.batch.open == 0 || trip.batch.items[0].shard != sh {
			return fmt.Errorf("shard %q has a prompt record under way that is settled or of another shard", sh.id)
		}
	}
	for _, w := range pl.batches.drains {
		if pl.batches.oldest == nil || pl.batches.oldest.seq > w.seq {
			return fmt.Errorf("a flush waits for batches up to %d, which are settled", w.seq)
		}
	}
	if s := &pl.stats; s.Accepted != s.Confirmed+s.FailedTotal()+uint64(open) {
		return fmt.Errorf("accepted is %d; confirmed %d, failed %d and open %d make %d", s.Accepted, s.Confirmed, s.FailedTotal(), open, s.Confirmed+s.FailedTotal()+uint64(open))
	}
	if a.unsubmitted > 0 && pl.callers.submitting+pl.callers.blocked == 0 {
		return fmt.Errorf("unsubmitted records are %d, though no caller submits", a.unsubmitted)
	}
	return nil
}

// auditWaves checks what is counted of batches by their waves.
//
//go:norace
func (a *audit) auditWaves(waves map[uint64]int) error {
	l := &a.pl.linger
	if err := differ("batches that are present", l.present, waves[l.wave]); err != nil {
		return err
	}
	for wave := l.wave - min(l.wave, earlierWaves); wave < l.wave; wave++ {
		if n := l.left[wave%earlierWaves].open; wave > 0 && n != waves[wave] {
			return fmt.Errorf("batches of wave %d under way are %d, its parts make %d", wave, n, waves[wave])
		}
	}
	return nil
}

// auditNothingLeft checks a pipeline that was closed or has broken down.
func (a *audit) auditNothingLeft() error {
	pl := a.pl
	c, o := &pl.collector, &pl.aggregates.open
	if n := len(pl.awaiting.items) + len(pl.retries.waiting) + len(pl.refusals.waiting) + len(pl.unresolved) + len(pl.wakes) + len(pl.ordering.draining) + len(pl.ordering.freed) + len(c.ready) + len(c.requests); n > 0 {
		return fmt.Errorf("awaiting map %d, retries %d, suspects %d, unresolved %d, wakes %d, draining %d, freed %d, ready %d, requests %d, though the work has ended",
			len(pl.awaiting.items), len(pl.retries.waiting), len(pl.refusals.waiting), len(pl.unresolved), len(pl.wakes), len(pl.ordering.draining), len(pl.ordering.freed), len(c.ready), len(c.requests))
	}
	if o.head != nil || o.tail != nil || o.bytes != 0 || o.records != 0 || c.bytes != 0 || c.hotShards != 0 {
		return fmt.Errorf("open aggregates have %d bytes, %d records, ready %d bytes, %d hot shards, though the work has ended", o.bytes, o.records, c.bytes, c.hotShards)
	}
	return nil
}

// auditPlaces checks that each user record that was submitted and is not settled is in one
// place, and in one only.
func (a *audit) auditPlaces() error {
	pl := a.pl
	var sum account
	for _, part := range a.parts {
		sum.records += part.records
		sum.bytes += part.bytes
		sum.marks += part.marks
	}
	waitsForCalls := pl.broken != nil && pl.collector.inFlight > 0
	givenUp := !pl.ended && pl.ctx.Err() != nil
	if (waitsForCalls || givenUp) && sum.records <= a.pending.records && sum.bytes <= a.pending.bytes {
		return nil // the last call, or Close, settles those that are nowhere
	}
	if sum == a.pending {
		return nil
	}
	var text strings.Builder
	for p, part := range a.parts {
		fmt.Fprintf(&text, ", %s %d of %d bytes", placeNames[p], part.records, part.bytes)
	}
	return fmt.Errorf("pending records are %d of %d bytes, their places have %d of %d bytes (twice and nowhere: %t)%s",
		a.pending.records, a.pending.bytes, sum.records, sum.bytes, sum.records == a.pending.records && sum.bytes == a.pending.bytes, text.String())
}

// auditBuffer checks that what is pending has its room in the buffer. The buffer may hold more:
// for other streams, and for callers that have not submitted yet. If there are none, the
// sums are equal.
func (a *audit) auditBuffer() error {
	pl := a.pl
	// The list of pipelines may not be waited for, since p.mu comes before pl.mu.
	only := pl.p.mu.TryLock()
	if only {
		defer pl.p.mu.Unlock()
		only = len(pl.p.pipelines) == 1 && pl.p.pipelines[pl.key] == pl
	}
	bytes, records := pl.p.buffer.usedRoom()
	// After used: a caller that had taken room by then, and has not submitted, is still a user.
	exact := only && pl.users.Load() == 0
	if bytes < a.pending.bytes || records < a.pending.records || exact && (bytes != a.pending.bytes || records != a.pending.records) {
		return fmt.Errorf("the buffer has %d bytes, %d records, the pending records are %d bytes, %d records (exact: %t)", bytes, records, a.pending.bytes, a.pending.records, exact)
	}
	return nil
}

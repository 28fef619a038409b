// SPDX-License-Identifier: Apache-2.0

//go:build race || invariants

package core

import (
	"fmt"
	"slices"
)

// auditShards checks what the shards of the map know of themselves. It comes after the stages,
// with whose sums it compares.
//
//go:norace
func (a *audit) auditShards() error {
	pl := a.pl
	t := shardTotals{}
	if m := pl.shardMap.Load(); m != nil {
		for i := range m.ring {
			sh := m.ring[i].shard
			if pl.shards.byID[sh.id] != sh {
				return fmt.Errorf("shard %q is in the map, but not known", sh.id)
			}
			if err := a.auditShard(sh, &t); err != nil {
				return err
			}
		}
	}
	if err := differ("shards", len(pl.shards.byID), t.shards); err != nil {
		return err
	}
	if pl.ordering.sole != nil {
		if err := a.auditShard(pl.ordering.sole, &t); err != nil {
			return err
		}
	}
	a.looked += t.shards
	for sh, bytes := range pl.checks.ready {
		if err := differ(fmt.Sprintf("ready bytes of shard %q", sh.id), sh.readyBytes, bytes); err != nil {
			return err
		}
		t.ready -= bytes
	}
	if t.open != a.openShards || t.queues != len(pl.wakes) || t.ready != 0 || t.hot != pl.collector.hotShards {
		return fmt.Errorf("shards with an open aggregate are %d, the list has %d; with a queue %d, wakes has %d; hot shards %d, the collector has %d; ready bytes of shards without ready records are %d",
			t.open, a.openShards, t.queues, len(pl.wakes), t.hot, pl.collector.hotShards, t.ready)
	}
	if t.busy+len(pl.ordering.draining) != a.busy && pl.ctx.Err() == nil {
		return fmt.Errorf("busy shards are %d and draining %d, records that keep one busy %d", t.busy, len(pl.ordering.draining), a.busy)
	}
	return nil
}

// shardTotals sums up what the shards of a map know.
type shardTotals struct{ shards, open, queues, ready, hot, busy int }

//go:norace
func (a *audit) auditShard(sh *shard, t *shardTotals) error {
	t.shards++
	if !sh.current || sh.requestBytes != 0 || len(sh.head) != 0 {
		return fmt.Errorf("shard %q: current is %t, request bytes %d, records for the head %d; want true, 0, 0", sh.id, sh.current, sh.requestBytes, len(sh.head))
	}
	if o := &sh.open; o.record != nil && !o.record.queued || o.record == nil && len(o.items) > 0 {
		t.open++
	} else if len(o.items) > 0 || o.prev != nil || o.next != nil || o.record != nil && len(sh.queue) == 0 {
		return fmt.Errorf("shard %q: what is left of an open aggregate has %d records, or a link, or is marked as queued with a queue of %d", sh.id, len(o.items), len(sh.queue))
	}
	if len(sh.queue) > 0 {
		t.queues++
	}
	if (len(sh.queue) > 0) != (sh.wakePos >= 0) {
		return fmt.Errorf("shard %q has a queue of %d, and is at %d of wakes", sh.id, len(sh.queue), sh.wakePos)
	}
	t.ready += sh.readyBytes
	if sh.readyBytes >= shardRequestBytes {
		t.hot++
	}
	if sh.busy != nil {
		t.busy++
	}
	blockers := 0
	if len(a.pl.ordering.draining) > 0 {
		blockers = a.pl.checks.blockers[sh]
	}
	if int(sh.blockers) != blockers {
		return fmt.Errorf("blockers of shard %q is %d, of earlier maps there are %d", sh.id, sh.blockers, blockers)
	}
	return nil
}

// auditStrictOrder checks what strict ordering keeps: which record is under way, and which shard waits for which.
func (a *audit) auditStrictOrder() error {
	pl := a.pl
	if pl.cfg.ordering != OrderingStrict {
		if n := len(pl.ordering.draining) + len(pl.ordering.freed); n > 0 || pl.ordering.sole != nil {
			return fmt.Errorf("draining %d, freed %d, sole shard %t, without strict ordering", len(pl.ordering.draining), len(pl.ordering.freed), pl.ordering.sole != nil)
		}
		return nil
	}
	err := a.beyondQueues(func(kr *kinesisRecord) error {
		if sh := kr.shard; sh != nil && sh.busy != kr {
			return fmt.Errorf("shard %q has a record of %d under way that does not keep it busy", sh.id, len(kr.items))
		}
		if kr.shard != nil {
			a.busy++
		}
		return nil
	})
	if err != nil {
		return err
	}
	clear(pl.checks.blockers)
	for i, sh := range pl.ordering.draining {
		if sh.busy == nil || sh.current || slices.Contains(pl.ordering.draining[:i], sh) {
			return fmt.Errorf("draining has shard %q at %d: busy %t, current %t, or twice", sh.id, i, sh.busy != nil, sh.current)
		}
		pl.eachOverlappingShard(sh, func(other *shard) { pl.checks.blockers[other]++ })
	}
	return nil
}

// beyondQueues calls f for the records that have left the queues and do not wait for a
// retry.
func (a *audit) beyondQueues(f func(*kinesisRecord) error) error {
	pl := a.pl
	all := func(list []*kinesisRecord) error {
		for _, kr := range list {
			if err := f(kr); err != nil {
				return err
			}
		}
		return nil
	}
	if pl.verification.reader != nil {
		for _, e := range pl.verification.reader.Entries() {
			if u, ok := e.Owner.(*uncertain); ok { // else it is of an earlier process
				if err := f(u.kr); err != nil {
					return err
				}
			}
		}
	}
	if err := all(pl.collector.ready); err != nil {
		return err
	}
	for _, req := range pl.collector.requests {
		if err := all(req.records); err != nil {
			return err
		}
	}
	for req := range pl.checks.underWay {
		if err := all(req.records); err != nil {
			return err
		}
	}
	for _, u := range pl.unresolved {
		if err := f(u.kr); err != nil {
			return err
		}
	}
	for _, s := range pl.refusals.waiting {
		if err := f(s.kr); err != nil {
			return err
		}
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package core

import (
	"slices"
)

// reconcile compares a stored aggregate with the range of the shard that took it.
//
// The Kinesis Client Library drops a whole aggregate as soon as one of its user
// records is out of the range of the shard it is read from, those in range too
// (AggregatorUtil.deaggregate of amazon-kinesis-client 2.x to 3.5.1, run on
// 2026-11-28). So the aggregate is confirmed only if all of its user records are
// in that range. Otherwise all of them are resent.
func (pl *pipeline) reconcile(kr *kinesisRecord, a attemptNode, r hashRange) {
	if !slices.ContainsFunc(kr.items, func(it *item) bool { return !r.rangeContains(kr.hashOf(it)) }) {
		pl.confirmRecord(kr, &a)
		return
	}
	wrong := a.withCode(codeWrongShard, "not all records of the aggregate are in the range of the shard that took it, so consumers drop it; it is resent")
	pl.stats.WrongShard += uint64(len(kr.items))
	pl.metrics.observe(MetricWrongShard, kr.shardID(), "", 1, len(kr.items))
	again := pl.scratch[:0]
	for _, it := range kr.items {
		pl.noteAttempt(it, wrong)
		if it.misplaced++; it.misplaced >= maxWrongShards {
			// Whatever places the records does not follow the map. A record that is
			// not aggregated cannot be in the wrong shard.
			it.flags |= itemAlone
		}
		again = append(again, it)
	}
	pl.recycle(kr)
	pl.routeAgain(again, 0)
}

// maxWrongShards is how many times a user record may be in a wrong shard before it is not
// aggregated any more. Other attempts do not count: alone it has no key by which it could be
// looked for after a lost answer.
const maxWrongShards = 3

// unresolved is a stored aggregate whose shard's range is not known yet, so that it
// is open whether consumers get it.
type unresolved struct {
	kr      *kinesisRecord
	attempt attemptNode
	since   int64
	gen     uint64 // of the last map fetch that began before
	fresh   bool   // only a map fetched later will do
}

// parkUnresolved keeps a stored aggregate until a newer map has the range of the shard that
// took it. Resending everything at once would double what is in the right shard.
func (pl *pipeline) parkUnresolved(kr *kinesisRecord, a attemptNode, fresh bool) {
	pl.unresolved = append(pl.unresolved, unresolved{kr: kr, attempt: a, since: pl.now, gen: pl.listing.count, fresh: fresh})
	pl.refreshSoon()
}

// resolveParked looks at the parked aggregates again, after a new map or when time is up.
func (pl *pipeline) resolveParked() {
	list := pl.unresolved
	pl.unresolved = nil
	for _, u := range list {
		m := pl.shardMap.Load()
		newer := m != nil && m.gen > u.gen
		r, known := pl.rangeOf(u.attempt)
		switch {
		case known && (!u.fresh || newer):
			pl.reconcile(u.kr, u.attempt, r)
		case pl.now-u.since >= int64(unresolvedGrace):
			// Resending can double some records; confirming can lose some.
			pl.countUncertain(u.kr)
			a := *u.attempt.Attempt // others share it
			a.Uncertain = true
			u.attempt.Attempt = &a
			pl.reconcile(u.kr, u.attempt, hashRange{empty: true})
		default:
			pl.unresolved = append(pl.unresolved, u)
			if newer {
				// The shard may have come and gone between two maps, or the list of
				// shards lags behind: ask for the closed ones too.
				pl.listing.withClosed = true
				if pl.shards.foreignSince != 0 {
					pl.refreshForeign()
				} else {
					pl.refreshSoon()
				}
			}
		}
	}
}

// rangeOf returns the range of the shard that gave an answer, if it is open or was
// until a short while ago.
func (pl *pipeline) rangeOf(a attemptNode) (hashRange, bool) {
	r, known := pl.shards.closed[a.shardID]
	if sh, ok := pl.shards.byID[a.shardID]; ok {
		r, known = hashRange{start: sh.start, end: sh.end, origin: sh.origin}, true
	}
	switch {
	case !known:
	case r.origin.couldHaveGiven(a.sequenceNumber):
		r.origin.noteOriginMatch(a.sequenceNumber)
	case r.origin.createdAfter(a.sequenceNumber) && pl.originConfirmed():
		// It was given by a shard of a stream that is deleted. No consumer can read there.
		return hashRange{empty: true}, true
	default:
		return hashRange{}, false
	}
	return r, known
}

// SPDX-License-Identifier: Apache-2.0

package core

// judge settles the user records that belong to the shard that answered, and
// writes the others again: consumers drop them there.
func (pl *pipeline) judge(kr *kinesisRecord, a attemptNode, r hashRange) {
	right, wrong := &a, a.with(codeWrongShard, "the record does not belong to the shard that took its aggregate")
	again := pl.scratch[:0]
	for _, it := range kr.items {
		if r.contains(kr.hashOf(it)) {
			pl.attempted(it, right)
			pl.settle(it, nil)
			continue
		}
		pl.attempted(it, wrong)
		pl.stats.WrongShard++
		pl.observe(MetricWrongShard, kr.shardID(), "", 1, 1)
		if it.tries >= maxWrongShards {
			// Whatever places the records does not follow the map. Alone, a
			// record cannot be in the wrong shard.
			it.flags |= itemAlone
		}
		again = append(again, it)
	}
	pl.recycle(kr)
	pl.routeAgain(again, 0)
}

// maxWrongShards is the number of attempts, of whatever outcome, after which a user
// record that ends in a wrong shard goes on alone.
const maxWrongShards = 3

// unresolved is a stored aggregate of which it is not known yet whom of its
// user records the shard that took it may hold.
type unresolved struct {
	kr      *kinesisRecord
	attempt attemptNode
	since   int64
	gen     uint64 // of the last map fetch that began before
	fresh   bool   // only a map fetched later will do
}

// resolve looks at the open cases again, after a new map or when time is up.
func (pl *pipeline) resolve() {
	list := pl.unresolved
	pl.unresolved = nil
	for _, u := range list {
		r, known := pl.rangeOf(u.attempt.shardID)
		m := pl.shardMap.Load()
		switch {
		case known && (!u.fresh || m != nil && m.gen > u.gen):
			pl.judge(u.kr, u.attempt, r)
		case m != nil && m.gen > u.gen || pl.now-u.since >= int64(unresolvedGrace):
			// The shard has come and gone, or the map cannot be had. Writing
			// all again can double some; not writing can lose some.
			pl.uncertain(u.kr)
			a := *u.attempt.Attempt // others share it
			a.Uncertain = true
			u.attempt.Attempt = &a
			pl.judge(u.kr, u.attempt, hashRange{empty: true})
		default:
			pl.unresolved = append(pl.unresolved, u)
		}
	}
}

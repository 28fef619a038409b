// SPDX-License-Identifier: Apache-2.0

package core

import (
	"math/bits"
	"math/rand/v2"

	"github.com/outkpl/outkpl/aggregation"
)

// Records without a partition key (unkeyed) may go to any shard.

// stickyShard returns the shard that unkeyed records go to. It stays the same
// until its aggregate is closed, so that low traffic over many shards still
// fills aggregates. Then the one of a few random shards follows that would take
// an aggregate soonest, so that a throttled or busy shard loses traffic to the
// others. Among those that would take it at once chance decides, by their shares:
// a shard of which this producer has a third gets a third of what the others get.
func (pl *pipeline) stickyShard(m *shardMap) *shard {
	if pl.aggregates.sticky != nil && pl.aggregates.sticky.current {
		return pl.aggregates.sticky
	}
	var best *shard
	bestWait, shares := int64(0), 0.0
	for range min(stickyCandidates, len(m.ring)) {
		sh := m.ring[rand.IntN(len(m.ring))].shard
		switch wait, share := sh.waitEstimate(pl.now), sh.pace.Share(); {
		case best == nil || wait < bestWait:
			best, bestWait, shares = sh, wait, share
		case wait == bestWait:
			if shares += share; rand.Float64()*shares < share {
				best = sh
			}
		}
	}
	pl.aggregates.sticky = best
	return best
}

// stickyCandidates is how many shards are compared. A few random candidates
// balance nearly as well as looking at all of them.
const stickyCandidates = 4

// chooseUnkeyedHash gives the Kinesis record an explicit hash key for its unkeyed
// records if the item is the first of them. It is chosen once, so that the key
// table has one entry for all; at random inside the shard, so that the children
// share the load after a split.
func (kr *kinesisRecord) chooseUnkeyedHash(it *item) {
	if !it.has(itemUnkeyed) || kr.hasUnkeyedHash {
		return
	}
	lo, hi := aggregation.HashKey{}, aggregation.MaxHashKey
	if kr.shard != nil {
		lo, hi = kr.shard.start, kr.shard.end
	}
	kr.hasUnkeyedHash, kr.unkeyedHash = true, randomHash(lo, hi)
}

// randomHash returns a random hash key from lo to hi.
func randomHash(lo, hi aggregation.HashKey) aggregation.HashKey {
	// span = hi - lo; a random 128-bit number is cut to the bits of span and
	// drawn again until it fits, two tries on average.
	spanLo, borrow := bits.Sub64(hi.Lo, lo.Lo, 0)
	spanHi, _ := bits.Sub64(hi.Hi, lo.Hi, borrow)
	maskHi, maskLo := mask(spanHi), ^uint64(0)
	if spanHi == 0 {
		maskLo = mask(spanLo)
	}
	for {
		r := aggregation.HashKey{Hi: rand.Uint64() & maskHi, Lo: rand.Uint64() & maskLo}
		if r.Hi > spanHi || r.Hi == spanHi && r.Lo > spanLo {
			continue
		}
		var carry uint64
		r.Lo, carry = bits.Add64(r.Lo, lo.Lo, 0)
		r.Hi, _ = bits.Add64(r.Hi, lo.Hi, carry)
		return r
	}
}

func mask(n uint64) uint64 { return 1<<bits.Len64(n) - 1 }

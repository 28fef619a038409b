// SPDX-License-Identifier: Apache-2.0

package core

import (
	"math/bits"
	"math/rand/v2"
	"time"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/internal/pace"
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

// unkeyedRun are unkeyed records in a row that are not aggregated and go to one shard. They
// share a hash key: to select a shard and a key for each costs more than all else that
// a record needs here.
type unkeyedRun struct {
	shard          *shard
	key            unkeyedKey // 0: none leads to hash
	hash           aggregation.HashKey
	records, bytes int
}

// A run ends with so many records or bytes. It is short, since shards are to share the load
// at any moment. In a shard that has records that wait it is no longer than what the shard
// takes between two looks at it.
const (
	maxRunRecords = 16
	maxRunBytes   = PutPayloadUnit
)

// runLimits returns at how many records and bytes a run ends.
func (s *shard) runLimits() (records, bytes int) {
	if len(s.queue) == 0 {
		return maxRunRecords, maxRunBytes
	}
	const quantum = float64(wakeQuantum) / float64(time.Second)
	share := s.pace.Share()
	return int(share * quantum * pace.ShardRecords), int(share * quantum * pace.ShardBytes)
}

// joinUnkeyedRun gives a Kinesis record of one unkeyed item the hash key of the run that it
// belongs to, and ends the run if the next one has to select a shard.
func (pl *pipeline) joinUnkeyedRun(kr *kinesisRecord, it *item) {
	r := &pl.aggregates.run
	if r.records == 0 || r.shard != kr.shard || kr.shard == nil {
		*r = unkeyedRun{shard: kr.shard}
		r.key, r.hash = kr.chooseUnkeyedKey()
	}
	kr.hasUnkeyedHash, kr.unkeyedHash = true, r.hash
	if it.dataBytes <= maxUnkeyedKeyData {
		kr.unkeyedKey = r.key
	}
	r.records++
	r.bytes += it.sizeAlone()
	if kr.shard != nil {
		if records, bytes := kr.shard.runLimits(); r.records < records && r.bytes < bytes {
			return
		}
	}
	*r = unkeyedRun{}
	pl.aggregates.sticky = nil
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
	lo, hi := kr.hashRange()
	kr.hasUnkeyedHash, kr.unkeyedHash = true, randomHash(lo, hi)
}

// chooseUnkeyedKey chooses a key for a record that is not aggregated, likewise. Without one, key is 0.
func (kr *kinesisRecord) chooseUnkeyedKey() (key unkeyedKey, hash aggregation.HashKey) {
	lo, hi := kr.hashRange()
	keys := loadUnkeyedKeys()
	if key = keys.randomKey(lo, hi); key != 0 {
		return key, keys.hashes[key]
	}
	return 0, randomHash(lo, hi)
}

// hashRange is the first and the last hash key of where the record goes.
func (kr *kinesisRecord) hashRange() (lo, hi aggregation.HashKey) {
	if kr.shard == nil {
		return aggregation.HashKey{}, aggregation.MaxHashKey
	}
	return kr.shard.start, kr.shard.end
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

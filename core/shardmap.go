// SPDX-License-Identifier: Apache-2.0

package core

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/aggregation"
)

// shardMap is a snapshot of the open shards. It never changes; a new fetch
// makes a new one, and the old one stays in use until then.
type shardMap struct {
	ring    []arc  // by end of range
	gapless bool   // each hash key has a shard
	fetched int64  // when the fetch began
	gen     uint64 // number of the fetch

	// first[b] is the first shard whose range ends in part b of the ring or later.
	// The ring has as many equal parts as first has entries, less one.
	first []int32
	shift uint
}

// arc is the part of the ring that belongs to a shard. What lookupShard needs is in one
// place.
type arc struct {
	end   aggregation.HashKey // inclusive
	shard *shard
}

// newShardMap makes a map of the shards.
func newShardMap(shards []*shard) *shardMap {
	m := &shardMap{ring: make([]arc, len(shards))}
	for i, sh := range shards {
		m.ring[i] = arc{end: sh.end, shard: sh}
	}
	slices.SortFunc(m.ring, func(a, b arc) int { return a.end.Compare(b.end) })
	m.buildIndex()
	return m
}

// buildIndex prepares the map for lookupShard.
func (m *shardMap) buildIndex() {
	parts := uint(bits.Len(uint(len(m.ring)))) + 1 // as a power of two
	m.shift = 64 - parts
	m.first = make([]int32, 1<<parts+1)
	i := 0
	for b := range m.first {
		for i < len(m.ring) && m.ring[i].end.Hi>>m.shift < uint64(b) {
			i++
		}
		m.first[b] = int32(i)
	}
	m.gapless = len(m.ring) > 0 && m.ring[len(m.ring)-1].end == aggregation.MaxHashKey
	var next aggregation.HashKey
	for _, a := range m.ring {
		m.gapless = m.gapless && a.shard.start.Compare(next) <= 0
		next = following(a.end)
	}
}

// lookupShard returns the shard whose range has the hash, or nil if the map has a gap there.
func (m *shardMap) lookupShard(h aggregation.HashKey) *shard {
	part := h.Hi >> m.shift
	lo, hi := int(m.first[part]), int(m.first[part+1])
	for hi-lo > 4 {
		if mid := (lo + hi) / 2; m.ring[mid].end.Less(h) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	for lo < len(m.ring) && m.ring[lo].end.Less(h) {
		lo++
	}
	if lo < len(m.ring) && (m.gapless || m.ring[lo].shard.shardContains(h)) {
		return m.ring[lo].shard
	}
	return nil
}

// partition reports whether the ranges of the shards cover the ring without gaps and
// overlaps.
func partition(list []types.Shard) bool {
	ranges := make([]hashRange, len(list))
	for i, s := range list {
		r, err := parseShard(s)
		if err != nil {
			return false
		}
		ranges[i] = r
	}
	slices.SortFunc(ranges, func(a, b hashRange) int { return a.start.Compare(b.start) })
	var next aggregation.HashKey
	for i, r := range ranges {
		if r.start != next || r.end.Less(r.start) || i > 0 && next == (aggregation.HashKey{}) {
			return false
		}
		next = following(r.end)
	}
	return len(ranges) > 0 && next == (aggregation.HashKey{})
}

// following returns the next hash key, after the last one the first.
func following(k aggregation.HashKey) aggregation.HashKey {
	if k.Lo++; k.Lo == 0 {
		k.Hi++
	}
	return k
}

// hashRange is the range of a shard, both ends inclusive.
type hashRange struct {
	start, end aggregation.HashKey
	empty      bool
	origin     *origin // of the shard, nil if unknown
	until      int64   // for a closed shard: when it is dropped
}

func (r hashRange) rangeContains(h aggregation.HashKey) bool {
	return !r.empty && r.start.Compare(h) <= 0 && h.Compare(r.end) <= 0
}

func parseShard(s types.Shard) (hashRange, error) {
	if s.HashKeyRange == nil {
		return hashRange{}, errors.New("no hash key range")
	}
	start, err := aggregation.ParseHashKey(aws.ToString(s.HashKeyRange.StartingHashKey))
	if err != nil {
		return hashRange{}, fmt.Errorf("cannot parse start of hash key range: %w", err)
	}
	end, err := aggregation.ParseHashKey(aws.ToString(s.HashKeyRange.EndingHashKey))
	if err != nil {
		return hashRange{}, fmt.Errorf("cannot parse end of hash key range: %w", err)
	}
	r := hashRange{start: start, end: end}
	if s.SequenceNumberRange != nil {
		r.origin = originOf(aws.ToString(s.SequenceNumberRange.StartingSequenceNumber))
	}
	return r, nil
}

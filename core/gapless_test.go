// SPDX-License-Identifier: Apache-2.0

package core

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/outkpl/outkpl/aggregation"
)

func mapOf(ranges ...[2]aggregation.HashKey) *shardMap {
	var shards []*shard
	for _, r := range ranges {
		shards = append(shards, &shard{start: r[0], end: r[1]})
	}
	return newShardMap(shards)
}

// A map may have gaps and overlaps: while a stream changes, or if a range cannot be read.
// Whatever it is like, a record must not be put into a shard that does not hold its hash.
func TestLookupNamesOnlyShardsThatHoldTheHash(t *testing.T) {
	key := func(hi, lo uint64) aggregation.HashKey { return aggregation.HashKey{Hi: hi, Lo: lo} }
	end, top := aggregation.MaxHashKey, ^uint64(0)
	type span = [2]aggregation.HashKey
	for _, c := range []struct {
		name    string
		ranges  []span
		gapless bool
	}{
		{"no shard", nil, false},
		{"one shard", []span{{key(0, 0), end}}, true},
		{"two shards", []span{{key(0, 0), key(9, 4)}, {key(9, 5), end}}, true},
		{"end at the carry", []span{{key(0, 0), key(9, top)}, {key(10, 0), end}}, true},
		{"gap at the start", []span{{key(0, 1), end}}, false},
		{"gap at the end", []span{{key(0, 0), key(top, top-1)}}, false},
		{"gap of one", []span{{key(0, 0), key(9, 4)}, {key(9, 6), end}}, false},
		{"gap at the carry", []span{{key(0, 0), key(9, top)}, {key(10, 1), end}}, false},
		{"gap before the last of three", []span{{key(0, 0), key(1, 0)}, {key(1, 1), key(2, 0)}, {key(3, 0), end}}, false},
		{"gap before the second of three", []span{{key(0, 0), key(1, 0)}, {key(2, 0), key(3, 0)}, {key(3, 1), end}}, false},
		{"parent and children", []span{{key(0, 0), key(9, 4)}, {key(0, 0), key(4, 4)}, {key(4, 5), key(9, 4)}, {key(9, 5), end}}, true},
		{"range backwards", []span{{key(0, 0), key(9, 4)}, {key(8, 0), key(3, 0)}, {key(9, 5), end}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mapOf(c.ranges...)
			if m.gapless != c.gapless {
				t.Errorf("unexpected conclusion; got gapless %v; want %v", m.gapless, c.gapless)
			}
			checkLookup(t, m)
		})
	}
	t.Run("random maps", func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 1))
		// Few values, so that ends meet, with the carry among them.
		pick := func() aggregation.HashKey {
			return key([]uint64{0, 1, 1 << 62, top - 1, top}[rng.IntN(5)], []uint64{0, 1, top - 1, top}[rng.IntN(4)])
		}
		gapless := 0
		for range 20_000 {
			ranges := make([]span, rng.IntN(6))
			at := key(0, 0)
			for i := range ranges {
				ranges[i] = span{at, pick()}
				if at = ranges[i][1]; rng.IntN(8) > 0 {
					if at.Lo++; at.Lo == 0 {
						at.Hi++
					}
				}
				if rng.IntN(8) == 0 {
					at = pick()
				}
			}
			if n := len(ranges); n > 0 && rng.IntN(2) == 0 {
				ranges[n-1][1] = end
			}
			m := mapOf(ranges...)
			if m.gapless {
				gapless++
			}
			checkLookup(t, m)
		}
		if gapless < 1000 {
			t.Errorf("unexpected number of maps without a gap; got %d; want 1000 or more", gapless)
		}
	})
}

// checkLookup asks for the ends of each range and what is beside them.
func checkLookup(t *testing.T, m *shardMap) {
	t.Helper()
	ask := []aggregation.HashKey{{}, aggregation.MaxHashKey}
	for _, a := range m.ring {
		for _, k := range []aggregation.HashKey{a.shard.start, a.end} {
			ask = append(ask, k, aggregation.HashKey{Hi: k.Hi, Lo: k.Lo + 1}, aggregation.HashKey{Hi: k.Hi, Lo: k.Lo - 1},
				aggregation.HashKey{Hi: k.Hi + 1}, aggregation.HashKey{Hi: k.Hi - 1, Lo: ^uint64(0)})
		}
	}
	for _, k := range ask {
		// The first by end that could hold it; the map promises no more.
		var want *shard
		if i := slices.IndexFunc(m.ring, func(a arc) bool { return a.end.Compare(k) >= 0 }); i >= 0 && m.ring[i].shard.shardContains(k) {
			want = m.ring[i].shard
		}
		if got := m.lookupShard(k); got != want {
			t.Fatalf("unexpected shard of %v; got %v; want %v", k, describe(got), describe(want))
		}
	}
}

func describe(sh *shard) string {
	if sh == nil {
		return "none"
	}
	return sh.start.String() + " to " + sh.end.String()
}

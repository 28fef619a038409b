// SPDX-License-Identifier: Apache-2.0

package aggregation

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"
)

func TestVarintLen(t *testing.T) {
	for shift := range 63 {
		for _, v := range []int{1<<shift - 1, 1 << shift} {
			if got, want := varintLen(v), len(binary.AppendUvarint(nil, uint64(v))); got != want {
				t.Errorf("unexpected varint length of %d; got %d; want %d", v, got, want)
			}
		}
	}
	if got := varintLen(math.MaxInt64); got != 9 {
		t.Errorf("unexpected varint length of the largest int; got %d; want 9", got)
	}
}

// How many records fit below the KPL's default limit. The figures follow from the
// format.
func TestFlushPoints(t *testing.T) {
	const limitBytes = 51200
	for _, tc := range []struct {
		name             string
		keyLen           int
		distinct, hashed bool
		dataLen          int

		flushed, bytes int
	}{
		{"one key, 100 B", 8, false, false, 100, 482, 51122},
		{"distinct short keys, 100 B", 8, true, false, 100, 438, 51138},
		{"distinct long keys, 200 B", 36, true, false, 200, 207, 51021},
		{"distinct long keys and hash keys, 200 B", 36, true, true, 200, 177, 51094},
		{"one key, 1000 B", 8, false, false, 1000, 50, 50430},
		{"one key, 10 B", 8, false, false, 10, 3198, 51198},
		{"one key, 1 B", 8, false, false, 1, 7310, 51200},
		{"one key, 30000 B", 8, false, false, 30000, 1, 30000},
		{"one key, 51199 B", 8, false, false, 51199, 1, 51199},
		{"one record as large as the limit", 8, false, false, 51200, 1, 51200},
		{"two records over the limit", 8, false, false, 25580, 1, 25580},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var b Builder
			data := make([]byte, tc.dataLen)
			add := func(i int) {
				if !tc.distinct {
					i = 0
				}
				key := fmt.Sprintf("%0*d", tc.keyLen, i)
				if tc.hashed {
					// 10^37 + i has 38 digits.
					b.AddExplicit(key, HashKey{Hi: 0x785ee10d5da46d9, Lo: 0x00f436a000000000 + uint64(i)}, data)
					return
				}
				b.Add(key, data)
			}
			// What the KPL would send: a single record goes out unwrapped.
			sent := func() int {
				if b.Len() == 1 {
					return tc.dataLen
				}
				return b.Size()
			}
			for b.Len() < tc.flushed {
				add(b.Len())
			}
			if sent() != tc.bytes || sent() > limitBytes {
				t.Errorf("unexpected bytes sent; got %d; want %d", sent(), tc.bytes)
			}
			add(b.Len())
			if sent() <= limitBytes {
				t.Errorf("unexpected room for one more record: %d of %d bytes", sent(), limitBytes)
			}
		})
	}
}

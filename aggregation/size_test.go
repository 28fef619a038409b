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

func TestEstimatedSize(t *testing.T) {
	for _, tc := range []struct {
		name string
		recs []UserRecord
		want int
	}{
		{"no record", nil, 0},
		{"one record counts its data only", []UserRecord{record("key", "5", "12345")}, 5},
		{"new keys", []UserRecord{record("a", "", "x"), record("bc", "", "yz")}, 3 + 2*5 + (1 + 3) + (2 + 3)},
		{"known key", []UserRecord{record("a", "", "x"), record("a", "", "yz")}, 3 + 2*5 + 4},
		{"new hash keys", []UserRecord{record("a", "10", "x"), record("a", "200", "y")}, 2 + 2*7 + 4 + 5 + 6},
		{"hash keys equal in canonical form", []UserRecord{record("a", "10", "x"), record("a", "010", "y")}, 2 + 2*7 + 4 + 5},
		{"hash key that is no number", []UserRecord{record("a", "?", "x"), record("a", "?", "y")}, 2 + 2*7 + 4 + 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := EstimatedSize(tc.recs); got != tc.want {
				t.Errorf("unexpected estimate; got %d; want %d", got, tc.want)
			}
		})
	}
	t.Run("builder with one record", func(t *testing.T) {
		var b Builder
		b.Add("key", []byte("12345"))
		if got := b.EstimatedSize(); got != 5 {
			t.Errorf("unexpected estimate; got %d; want 5", got)
		}
	})
}

// The KPL flushes a shard's batch when the estimate reaches the limit and sends as
// many records as fit exactly. The figures follow from its formulas with its
// default limit.
func TestFlushPoints(t *testing.T) {
	const limitBytes = 51200
	for _, tc := range []struct {
		name             string
		keyLen           int
		distinct, hashed bool
		dataLen          int

		trigger, estimate, accurate, flushed, bytes int
	}{
		{"one key, 100 B", 8, false, false, 100, 488, 51251, 51758, 482, 51122},
		{"distinct short keys, 100 B", 8, true, false, 100, 442, 51272, 51606, 438, 51138},
		{"distinct long keys, 200 B", 36, true, false, 200, 210, 51240, 51762, 207, 51021},
		{"distinct long keys and hash keys, 200 B", 36, true, true, 200, 179, 51373, 51674, 177, 51094},
		{"one key, 1000 B", 8, false, false, 1000, 51, 51266, 51438, 50, 50430},
		{"one key, 10 B", 8, false, false, 10, 3413, 51206, 54638, 3198, 51198},
		{"one key, 1 B", 8, false, false, 1, 8532, 51203, 59754, 7310, 51200},
		{"one key, 30000 B", 8, false, false, 30000, 2, 60021, 60050, 1, 30000},
		{"one key, 51199 B", 8, false, false, 51199, 2, 102419, 102448, 1, 51199},
		{"one record as large as the limit", 8, false, false, 51200, 1, 51200, 51200, 1, 51200},
		{"two records under the estimate but over the limit", 8, false, false, 25580, 3, 76766, 76800, 1, 25580},
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
			for b.EstimatedSize() < limitBytes {
				add(b.Len())
			}
			if b.Len() != tc.trigger || b.EstimatedSize() != tc.estimate || sent() != tc.accurate {
				t.Errorf("unexpected trigger at record %d with estimate %d and size %d; want %d, %d, %d",
					b.Len(), b.EstimatedSize(), sent(), tc.trigger, tc.estimate, tc.accurate)
			}
			b.Reset()
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

// SPDX-License-Identifier: Apache-2.0

package core

import (
	"testing"

	"github.com/outkpl/outkpl/aggregation"
)

// Each key is found between two hash keys if it leads to one of them or between them, and to no other
// place.
func TestUnkeyedKeysLeadBetweenTheirBounds(t *testing.T) {
	keys := loadUnkeyedKeys()
	if len(keys.text) != 4097 || keys.randomKey(aggregation.HashKey{}, aggregation.MaxHashKey) == 0 {
		t.Fatalf("unexpected number of keys; got %d; want 4096 and none", len(keys.text))
	}
	for i := 1; i < len(keys.text); i++ {
		h := aggregation.HashPartitionKey(keys.text[i])
		if keys.hashes[i] != h {
			t.Fatalf("unexpected hash key of %q; got %v; want %v", keys.text[i], keys.hashes[i], h)
		}
		below, above := h, h
		below.Lo-- // no hash key of these ends with zeros
		above.Lo++
		for _, c := range []struct {
			lo, hi aggregation.HashKey
			want   unkeyedKey
		}{{h, h, unkeyedKey(i)}, {below, h, unkeyedKey(i)}, {h, above, unkeyedKey(i)}, {below, below, 0}, {above, above, 0}} {
			if got := keys.randomKey(c.lo, c.hi); got != c.want {
				t.Fatalf("unexpected key from %v to %v; got %d; want %d", c.lo, c.hi, got, c.want)
			}
		}
	}
	seen := map[unkeyedKey]bool{}
	for range 2000 {
		seen[keys.randomKey(keys.hashes[10], keys.hashes[29])] = true
	}
	if len(seen) != 20 {
		t.Errorf("unexpected keys of a range; got %d; want all of its 20", len(seen))
	}
}

// SPDX-License-Identifier: Apache-2.0

package aggregation

// keyTable numbers distinct keys by first appearance. It is an open-addressing
// hash set with linear probing over 4-byte slots. A Go map would do the same
// job, but it cannot tell in one step where a missing key belongs, and clearing
// a map that was once large costs its full size ever after.
//
// The zero value is empty and owns no memory. The caller supplies the hashes,
// so the same table serves strings and hash keys.
type keyTable[K comparable] struct {
	keys   []K
	hashes []uint32 // hash of each key: cheap filter when probing, input when growing
	slots  []uint32 // index into keys plus one, 0 for free; a power of two, at most half full

	// The answer to the last search. SizeWith followed by Add, and runs of
	// records with one key, then cost a comparison instead of a hash.
	memo struct {
		key   K
		hash  uint32
		slot  uint32
		index int // len(keys) if the key is not in the table
		ok    bool
	}
}

const minSlots = 8

// recall reports whether memo already answers for key.
func (t *keyTable[K]) recall(key K) bool {
	return t.memo.ok && t.memo.key == key
}

// search looks key up and leaves the answer in memo.
func (t *keyTable[K]) search(key K, hash uint32) {
	index, slot := len(t.keys), uint32(0)
	if len(t.slots) > 0 {
		mask := uint32(len(t.slots) - 1)
		for slot = hash & mask; ; slot = (slot + 1) & mask {
			s := t.slots[slot]
			if s == 0 {
				break
			}
			if i := s - 1; t.hashes[i] == hash && t.keys[i] == key {
				// Remember the table's own copy: Add's contract keeps that one
				// alive and unchanged, while key may belong to SizeWith's caller.
				index, key = int(i), t.keys[i]
				break
			}
		}
	}
	t.memo.key, t.memo.hash, t.memo.slot, t.memo.index, t.memo.ok = key, hash, slot, index, true
}

// fresh reports whether the key last searched is not in the table.
func (t *keyTable[K]) fresh() bool { return t.memo.index == len(t.keys) }

// insert adds the key last searched, which must be fresh.
func (t *keyTable[K]) insert() {
	t.keys = append(t.keys, t.memo.key)
	t.hashes = append(t.hashes, t.memo.hash)
	if len(t.keys)*2 > len(t.slots) {
		t.resize(max(minSlots, len(t.slots)*2))
		return
	}
	t.slots[t.memo.slot] = uint32(len(t.keys))
}

// resize makes n slots, reusing memory where it can, and enters all keys anew.
func (t *keyTable[K]) resize(n int) {
	if n <= cap(t.slots) {
		t.slots = t.slots[:n]
		clear(t.slots)
	} else {
		t.slots = make([]uint32, n)
	}
	mask := uint32(n - 1)
	for i, hash := range t.hashes {
		slot := hash & mask
		for t.slots[slot] != 0 {
			slot = (slot + 1) & mask
		}
		t.slots[slot] = uint32(i + 1)
	}
}

// reset empties the table and keeps its memory, but no reference to a key.
func (t *keyTable[K]) reset() {
	n := len(t.slots)
	// Halve a table that turned out much too large, so that one big batch does
	// not make every later reset clear its slots.
	if n > minSlots && len(t.keys)*8 < n {
		n /= 2
	}
	t.slots = t.slots[:n]
	clear(t.slots)
	clear(t.keys)
	t.keys = t.keys[:0]
	t.hashes = t.hashes[:0]
	var none K
	t.memo.key, t.memo.ok = none, false
}

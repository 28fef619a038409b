// SPDX-License-Identifier: Apache-2.0

package core

import (
	"math/rand/v2"
	"slices"
	"sort"
	"sync"

	"github.com/outkpl/outkpl/aggregation"
)

// unkeyedKey is one of a few thousand short partition keys, of which each leads to a hash key of its
// own. A record that has no key and is not aggregated gets one that leads to its shard: an explicit
// hash key in its place has 57 bytes in a request, a quarter of what a line of a log has. Shards so small
// that none leads there get an explicit hash key.
//
// Consumers that divide the records of a shard by their partition keys find several in it, and not one.
type unkeyedKey uint16 // from 1, by hash; 0 is none

const (
	unkeyedKeyBytes = 2
	// maxUnkeyedKeyData is up to how much data a record gets such a key. With more, the bytes that it
	// saves do not count, and the one that it costs may be the one above a limit.
	maxUnkeyedKeyData = 8 << 10
)

// unkeyedKeys are the keys and where they lead.
type unkeyedKeys struct {
	text   []string              // by unkeyedKey
	hashes []aggregation.HashKey // likewise, rising
}

// loadUnkeyedKeys makes them once: 200 kB, in some milliseconds.
var loadUnkeyedKeys = sync.OnceValue(func() *unkeyedKeys {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
	text := make([]string, 0, len(alphabet)*len(alphabet))
	for _, first := range alphabet {
		for _, second := range alphabet {
			text = append(text, string([]rune{first, second}))
		}
	}
	hashes := make([]aggregation.HashKey, len(text))
	aggregation.HashPartitionKeys(hashes, text)
	type place struct {
		hash aggregation.HashKey
		text string
	}
	places := make([]place, len(text))
	for i := range places {
		places[i] = place{hashes[i], text[i]}
	}
	slices.SortFunc(places, func(a, b place) int { return a.hash.Compare(b.hash) })
	k := &unkeyedKeys{text: make([]string, 1, len(text)+1), hashes: make([]aggregation.HashKey, 1, len(text)+1)}
	for _, p := range places {
		k.text, k.hashes = append(k.text, p.text), append(k.hashes, p.hash)
	}
	return k
})

// randomKey returns a random one that leads to a place from lo to hi, 0 if none does.
func (k *unkeyedKeys) randomKey(lo, hi aggregation.HashKey) unkeyedKey {
	from := 1 + sort.Search(len(k.hashes)-1, func(i int) bool { return !k.hashes[i+1].Less(lo) })
	to := 1 + sort.Search(len(k.hashes)-1, func(i int) bool { return hi.Less(k.hashes[i+1]) })
	if from >= to {
		return 0
	}
	return unkeyedKey(from + rand.IntN(to-from))
}

// size is how many bytes the key has more than the one that a record without a key has otherwise.
func (k unkeyedKey) size() int {
	if k == 0 {
		return 0
	}
	return unkeyedKeyBytes - len(unkeyedPartitionKey)
}

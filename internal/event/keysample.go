// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/outkpl/outkpl/core"
)

// keyMark is what is kept of the sampleHash of a key: its upper half, which says whether
// the key is in the sample. Equal keys have equal marks.
type keyMark uint32

const noKey keyMark = 0

// keyMarks are the marks of the keys of a chunk, taken while those are in the caches of the
// processor: to read each key again when all of the chunk is there takes as long as all
// else that is done to combine nothing.
type keyMarks struct {
	all        []keyMark
	sample     []int32 // which of all are in the sample, and not that of the key before
	neighbours int     // how many are that of the key before
	unkeyed    bool    // an event has no key
	next       int     // how many events there are when the next ones are marked
}

const (
	// markedTogether is how many keys a Builder marks at a time: so few that they are in the
	// nearest cache.
	markedTogether = 64
	// Where that many keys and one of so many are that of the key before, keys come again,
	// and no more are marked. If they do not after all, only time is lost.
	burst, inBurst = 16, 128
)

// givenUp tells whether marks are missing, since keys seemed to come again.
func (k *keyMarks) givenUp() bool { return k.next == math.MaxInt }

// marked is called when some keys were marked.
func (k *keyMarks) marked() {
	if k.next = len(k.all) + markedTogether; k.neighbours > burst+len(k.all)/inBurst {
		k.next = math.MaxInt
	}
}

func (k *keyMarks) reset() {
	*k = keyMarks{all: k.all[:0], sample: k.sample[:0]}
}

func (k *keyMarks) memory() int { return 4 * (cap(k.all) + cap(k.sample)) }

// last is the last of n marks.
func (k *keyMarks) last(n int) keyMark {
	if n == 0 {
		return noKey
	}
	return k.all[n-1]
}

// add adds the mark of the next event.
func (k *keyMarks) add(m keyMark) {
	n := len(k.all)
	before := k.last(n)
	k.all = append(k.all, m)
	if m.counts(before) {
		k.count(m, before, n)
	}
}

// counts tells whether a mark behind the mark before is to be counted. Few are.
func (m keyMark) counts(before keyMark) bool {
	return m < 1<<32/sampledShare || m == before
}

func (k *keyMarks) count(m, before keyMark, i int) {
	switch m {
	case noKey:
		k.unkeyed = true
	case before:
		k.neighbours++
	default:
		k.sample = append(k.sample, int32(i))
	}
}

// markKeys marks the keys that are not marked yet.
func (b *Builder) markKeys() {
	k, arena, done := &b.marks, b.arena, len(b.marks.all)
	spans := b.spans[done:]
	k.all = slices.Grow(k.all, len(spans))[:len(b.spans)]
	marks := k.all[done:][:len(spans)]
	before := k.last(done)
	for i := range spans {
		sp := &spans[i]
		var m keyMark
		// Nearly all keys are that long, and this is most of what combine costs where each
		// event has a key of its own.
		if n := sp.keyEnd - sp.start; n >= 8 {
			m = markOf(wordsHash(words(&arena[sp.start], n)))
		} else {
			m = stringMark(b.keyOf(sp))
		}
		marks[i] = m
		if m.counts(before) {
			k.count(m, before, done+i)
		}
		before = m
	}
	k.marked()
}

// sampleMark is the mark of the key of a record.
func sampleMark(r *core.Record) keyMark {
	if r.ExplicitHashKey != "" {
		h, _ := sampleHash(r)
		return markOf(h)
	}
	return stringMark(r.PartitionKey)
}

// stringMark is the mark of a partition key alone, which may be empty.
func stringMark(key string) keyMark {
	if key == "" {
		return noKey
	}
	h, _ := stringHash(key)
	return markOf(h)
}

// markOf is the mark of a key with that sampleHash.
func markOf(h uint64) keyMark { return max(keyMark(h>>32), noKey+1) }

// sampleHash says by which of its keys the sample is chosen, and what the key ends with. It
// takes a fraction of the time of keyHash, since it looks at three words of a key: its first,
// its last, and one between. If it chooses far too few or too many of the first events,
// keyHash chooses in its place.
func sampleHash(r *core.Record) (h, last uint64) {
	if r.ExplicitHashKey != "" {
		return keyHash(r, 0) << 32, 0
	}
	return stringHash(r.PartitionKey)
}

// stringHash is sampleHash for a partition key alone, which is not empty.
func stringHash(key string) (h, last uint64) {
	s := unsafe.Slice(unsafe.StringData(key), len(key))
	switch n := len(s); {
	case n >= 8:
		first, middle, last := words(&s[0], n)
		return wordsHash(first, middle, last), last
	case n >= 4:
		last = uint64(binary.LittleEndian.Uint32(s[n-4:]))
		h = uint64(binary.LittleEndian.Uint32(s)) * odd
	default:
		last = uint64(s[n-1])<<8 | uint64(s[0])
		h = uint64(s[n/2]) * odd
	}
	return (h ^ last) * odd, last
}

const odd = 0x9e3779b97f4a7c15

// words are three of a key of n bytes, eight or more, at p.
func words(p *byte, n int) (first, middle, last uint64) {
	return wordAt(p, 0), wordAt(p, n/2-4), wordAt(p, n-8)
}

// wordAt is without the checks that words makes needless.
func wordAt(p *byte, at int) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(unsafe.Pointer(p), at))[:])
}

// wordsHash is the hash of a key; its upper bits depend on all of them.
func wordsHash(first, middle, last uint64) uint64 {
	return ((first*odd^middle)*odd ^ last) * odd
}

// sampledOf is how many of the sample are among the first n.
func (k *keyMarks) sampledOf(n int) int {
	i, _ := slices.BinarySearch(k.sample, int32(n))
	return i
}

// isFair tells whether about as many of the first n keys are in the sample as should be.
func (k *keyMarks) isFair(n int) bool {
	sampled := k.sampledOf(n)
	// lookUpSample has a neighbour with an equal mark in the sample if its key is another one.
	return sampled*8*sampledShare >= n && (sampled+k.neighbours)*2 <= n
}

// seenMarks is a table of marks.
type seenMarks []keyMark

// surelyDifferent tells whether lookUpSample will find too few keys that come again: it counts
// them as if equal marks were equal keys, which is no less than there are. It is not sure
// if the table has no room.
func (t *seenMarks) surelyDifferent(k *keyMarks) bool {
	n := len(k.all)
	most := n / enoughFound
	if k.neighbours > most {
		return false
	}
	first := n / sampledShare
	if !k.isFair(first) {
		return false
	}
	size := 1 << bits.Len(uint(4*first)) // twice as many as may be in the sample, and more
	*t = slices.Grow((*t)[:0], size)[:size]
	clear(*t)
	found, room := k.neighbours, true
	see := func(m keyMark) bool {
		var known bool
		if known, room = t.see(m); known {
			found++
		}
		return room && found <= most
	}
	before := noKey
	for _, m := range k.all[:first] {
		if m != noKey && m != before && !see(m) {
			return false
		}
		before = m
	}
	for _, i := range k.sample[k.sampledOf(first):] {
		if !see(k.all[i]) {
			return false
		}
	}
	return true
}

// see notes a mark, if there is room for it near its place, and tells whether it was there.
func (t seenMarks) see(m keyMark) (known, room bool) {
	const near = 32
	place := m.place(len(t))
	for i := range near {
		at := &t[(place+i)&(len(t)-1)]
		switch *at {
		case m:
			return true, true
		case noKey:
			*at = m
			return false, true
		}
	}
	return false, false
}

// place is where the mark is in a table of that length, a power of two. It depends on all bits
// of the mark; those of the sample have the upper ones in common.
func (m keyMark) place(length int) int {
	return int(uint64(uint32(m)*0x9e3779b1) * uint64(length) >> 32)
}

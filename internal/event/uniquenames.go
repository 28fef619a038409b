// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync/atomic"
)

// A JSON object must not have a name twice. Nearly no event does, and the maps of nearly
// all events have the same keys in the same order as those of an event before. So while
// an object is written only a hash of its keys is made, from words that are at hand.
// Objects are read again, name by name, only if no object with the same keys was.

// namesSeed makes hashes that differ from process to process.
var namesSeed = rand.Uint64()

// distinct remembers hashes of keys that gave no name twice. The hash is also the place,
// so a new one may overwrite another; both are then looked at again.
var distinct [4096]atomic.Uint64

// mix adds a word to a hash.
func mix(h, w uint64) uint64 {
	h = (h ^ w) * 0x9e3779b97f4a7c15
	return h ^ h>>32
}

// mixBytes adds bytes to a hash. kind tells apart what is one text and another name.
func mixBytes(h uint64, s []byte, kind uint64) uint64 {
	h = mix(h, kind<<32|uint64(len(s)))
	for ; len(s) >= 8; s = s[8:] {
		h = mix(h, binary.LittleEndian.Uint64(s))
	}
	if len(s) > 0 {
		h = mix(h, lastWord(s)&(1<<(8*uint(len(s)))-1))
	}
	return h
}

// appendName is AppendQuoted for a key, with a comma before it and a colon behind it. It
// adds the key to h.
func appendName(dst, s []byte, h uint64) ([]byte, uint64) {
	n, j := len(s), len(dst)+1
	if cap(dst)-j < n+slack {
		dst = slices.Grow(dst, n+slack+1)
	}
	dst = dst[:j]
	dst[:j+1][j-1], dst[:j+1][j] = ',', '"'
	out := dst[j+1 : j+n+slack]
	if h ^= uint64(n) << 56; n == 0 {
		h = mix(h, 1<<63)
	}
	i := 0
	for ; i <= len(s)-8 && i <= len(out)-8; i += 8 {
		w := binary.LittleEndian.Uint64(s[i : i+8])
		binary.LittleEndian.PutUint64(out[i:i+8], w)
		if special(w) != 0 {
			return append(appendTail(dst, s, i), ':'), mixBytes(h, s[i:], 1)
		}
		h = mix(h, w)
	}
	if i < n {
		w := lastWord(s[i:])
		binary.LittleEndian.PutUint64(out[i:], w)
		beyond := uint(n-i) * 8
		w &= 1<<beyond - 1
		if special(w|spaces<<beyond) != 0 {
			return append(appendTail(dst, s, i), ':'), mixBytes(h, s[i:], 1)
		}
		h = mix(h, w)
	}
	out[n], out[n+1] = '"', ':'
	return dst[: j+n+3 : cap(dst)], h
}

// lastWord returns less than eight bytes as a word, with whatever lies behind them.
func lastWord(s []byte) (w uint64) {
	if cap(s) >= 8 {
		return binary.LittleEndian.Uint64(s[:8])
	}
	for k, c := range s {
		w |= uint64(c) << (8 * k)
	}
	return w
}

// closeObject ends the object whose members are dst[object:], each with a comma before it.
// The bracket takes the place of the first one, so that members need not be told apart.
func closeObject(dst []byte, object int) []byte {
	if len(dst) == object {
		return append(dst, '{', '}')
	}
	dst[object] = '{'
	return append(dst, '}')
}

// endObject returns dst, which ends with the object at dst[object], with one member for
// each name of the object: the last one, at its place. h is the hash of its keys.
func endObject(dst []byte, object int, h uint64) []byte {
	if distinct[h%uint64(len(distinct))].Load() == h {
		return dst
	}
	return endNewObject(dst, object, h)
}

// endNewObject is endObject for keys that are not known. It is apart from that, which is
// inlined so.
func endNewObject(dst []byte, object int, h uint64) []byte {
	out, twice := lastOfEach(dst, object)
	if !twice {
		distinct[h%uint64(len(distinct))].Store(h)
	}
	return out
}

// Names sees to it that an object which is written elsewhere has no name twice. Its zero
// value is ready for one object.
type Names struct {
	h uint64
	n int
}

// Add notes a name. name is the same text for the same name.
func (s *Names) Add(name []byte) {
	s.h = mixBytes(s.h, name, 3)
	s.n++
}

// End returns dst, which ends with the object at dst[object], with one member for each
// name: the last one, at its place. The object was written without blanks, and each of
// its names was added.
func (s *Names) End(dst []byte, object int) []byte {
	if s.n < 2 {
		return dst
	}
	return endObject(dst, object, mix(s.h, namesSeed))
}

// memberAt is where a member of an object lies.
type memberAt struct{ from, colon, to int }

// fewMembers is up to how many members names are compared one by one.
const fewMembers = 32

// lastOfEach removes the members of the object at dst[object] whose name comes again.
func lastOfEach(dst []byte, object int) (out []byte, twice bool) {
	var few [fewMembers]memberAt
	members := few[:0]
	for i := object + 1; dst[i] != '}'; {
		m := memberAt{from: i, colon: skipJSON(dst, i)}
		m.to = skipJSON(dst, m.colon+1)
		members = append(members, m)
		if i = m.to; dst[i] == ',' {
			i++
		}
	}
	var last map[string]int
	if len(members) > fewMembers {
		last = make(map[string]int, len(members))
		for k, m := range members {
			last[string(dst[m.from:m.colon])] = k
		}
		if len(last) == len(members) {
			return dst, false
		}
	}
	// What is kept moves to the beginning, over what was looked at.
	out = dst[:object+1]
	for k, m := range members {
		again := false
		if last != nil {
			again = last[string(dst[m.from:m.colon])] != k
		} else {
			again = comesAgain(dst, m, members[k+1:])
		}
		switch {
		case again:
			twice = true
		case twice:
			out = append(appendComma(out, object+1), dst[m.from:m.to]...)
		default:
			out = dst[:m.to]
		}
	}
	return append(out, '}'), twice
}

// comesAgain tells whether one of the members behind it has the name of m.
func comesAgain(dst []byte, m memberAt, behind []memberAt) bool {
	n := m.colon - m.from
	for i := range behind {
		if o := &behind[i]; o.colon-o.from == n && bytes.Equal(dst[m.from:m.colon], dst[o.from:o.colon]) {
			return true
		}
	}
	return false
}

// skipJSON returns where the value, or the name, at b[i] ends. b is what this package
// has written, without blanks, and goes on behind the value.
func skipJSON(b []byte, i int) int {
	depth := 0
	for {
		switch b[i] {
		case '"':
			if i = skipString(b, i); depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // of what is around a number or a word
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ':':
			if depth == 0 {
				return i
			}
		}
		i++
	}
}

// skipString returns where the string at b[i] ends.
func skipString(b []byte, i int) int {
	for i++; ; i++ {
		i += bytes.IndexByte(b[i:], '"')
		escapes := 0
		for b[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i + 1
		}
	}
}

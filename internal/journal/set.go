// SPDX-License-Identifier: Apache-2.0

package journal

import "math/bits"

// bitmap has a bit for each number.
type bitmap []uint64

// addRange adds the numbers from first to below next, and returns how many are new.
func (b *bitmap) addRange(first, next int) (added int) {
	if more := (next+63)>>6 - len(*b); more > 0 {
		*b = append(*b, make([]uint64, more)...)
	}
	for n := first; n < next; {
		w, end := &(*b)[n>>6], min(next, (n|63)+1)
		mask := ^uint64(0) >> (64 - (end - n)) << (n & 63)
		added += bits.OnesCount64(mask &^ *w)
		*w |= mask
		n = end
	}
	return added
}

// set is a set of numbers of records.
type set struct {
	words bitmap
	n     int
}

func (s *set) has(n int) bool {
	return n>>6 < len(s.words) && s.words[n>>6]>>(n&63)&1 != 0
}

func (s *set) add(n int) { s.addRange(n, n+1) }

// addRange adds the numbers from first to below next.
func (s *set) addRange(first, next int) { s.n += s.words.addRange(first, next) }

// grow makes room for numbers below n, so that add need not.
func (s *set) grow(n int) {
	if words := (n + 63) / 64; cap(s.words) < words {
		s.words = append(make(bitmap, 0, words), s.words...)
	}
}

// all calls yield for each number, rising.
func (s *set) all(yield func(int32) bool) {
	for i, w := range s.words {
		for ; w != 0; w &= w - 1 {
			if !yield(int32(i<<6 | bits.TrailingZeros64(w))) {
				return
			}
		}
	}
}

// missing lists the numbers below total that are not in s.
func (s *set) missing(total int) []int32 {
	if s.n >= total {
		return nil
	}
	list := make([]int32, 0, total-s.n)
	for n := range total {
		if !s.has(n) {
			list = append(list, int32(n))
		}
	}
	return list
}

// marks are records of a batch that are about to be written, by their numbers in it. The zero value has none.
type marks struct {
	words     bitmap
	low, high int // only the words from low to below high have any
}

func (m *marks) empty() bool { return m.high == 0 }

func (m *marks) add(n int) {
	i := n >> 6
	if i >= len(m.words) || i < m.low || i >= m.high {
		m.addRange(n, n+1)
		return
	}
	m.words[i] |= 1 << (n & 63)
}

// addRange adds the numbers from first to below next.
func (m *marks) addRange(first, next int) {
	if first >= next {
		return
	}
	m.words.addRange(first, next)
	low, high := first>>6, (next+63)>>6
	if m.empty() {
		m.low = low
	}
	m.low, m.high = min(m.low, low), max(m.high, high)
}

// appendTo writes the numbers in the content of what is marked, and adds them to a set if there is one.
// inContent are those of the records of the batch, nil if they are the same.
func (m *marks) appendTo(e *encoder, inContent []int32, in *set) {
	var w numbers
	add := func(first, next int) {
		if w.addRange(e, int32(first), int32(next)); in != nil {
			in.addRange(first, next)
		}
	}
	for i := m.low; i < m.high; i++ {
		for word := m.words[i]; word != 0; {
			first := bits.TrailingZeros64(word)
			next := first + bits.TrailingZeros64(^(word >> first))
			word &= ^uint64(0) << next // 0 for 64
			if first, next = i<<6+first, i<<6+next; inContent == nil {
				add(first, next)
				continue
			}
			for _, n := range inContent[first:next] {
				add(int(n), int(n)+1)
			}
		}
	}
	w.end(e)
}

func (m *marks) clear() {
	clear(m.words[m.low:m.high])
	m.low, m.high = 0, 0
}

// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// Text is scanned eight bytes at a time: a word in which no byte is a control
// character, a quote, a backslash or part of a multi-byte character is copied as
// it is.
const (
	eachByte = 0x0101010101010101
	highBits = 0x80 * eachByte
	spaces   = 0x20 * eachByte
)

// special sets the high bit of each byte of w that cannot be copied into a JSON
// string unseen. Bytes above the first such byte may be marked wrongly (the
// subtractions borrow), so only the lowest mark counts.
//
// Flipping bit 1 maps the quote 0x22 to 0x20 and leaves the control characters
// below 0x20, while space and '!' move to 0x22 and 0x23: one comparison with
// 0x21 finds both kinds.
func special(w uint64) uint64 {
	return (w | ((w ^ 0x02*eachByte) - 0x21*eachByte) | ((w ^ 0x5c*eachByte) - eachByte)) & highBits
}

// slack is the room kept beyond the end of what is written: words are stored
// whole before it is known how many of their bytes count.
const slack = 16

// AppendQuoted appends s as a JSON string. Bytes that are not valid UTF-8 become
// U+FFFD, one for each byte, as encoding/json does it.
func AppendQuoted(dst, s []byte) []byte {
	n, j := len(s), len(dst)
	if cap(dst)-j < n+slack {
		dst = slices.Grow(dst, n+slack)
	}
	dst[:j+1][j] = '"'
	out := dst[j+1 : j+n+slack]
	i := 0
	// The second condition always holds; it spares the check of each store.
	for ; i <= len(s)-8 && i <= len(out)-8; i += 8 {
		w := binary.LittleEndian.Uint64(s[i : i+8])
		binary.LittleEndian.PutUint64(out[i:i+8], w)
		if special(w) != 0 {
			return appendTail(dst, s, i)
		}
	}
	if i < n {
		// The bytes behind s are read as well if there are any, which there are in all
		// but the last string of a body.
		var w uint64
		if tail := s[i:]; cap(tail) >= 8 {
			w = binary.LittleEndian.Uint64(tail[:8])
		} else {
			for k, c := range tail {
				w |= uint64(c) << (8 * k)
			}
		}
		binary.LittleEndian.PutUint64(out[i:], w)
		beyond := uint(n-i) * 8
		if special(w&(1<<beyond-1)|spaces<<beyond) != 0 {
			return appendTail(dst, s, i)
		}
	}
	out[n] = '"'
	return dst[: j+n+2 : cap(dst)]
}

// appendTail ends a string of which the opening quote and the first i bytes, all
// of them plain, are stored behind dst.
func appendTail(dst, s []byte, i int) []byte {
	dst = appendEscaped(dst[:len(dst)+1+i], s[i:])
	return append(dst, '"')
}

const hexDigits = "0123456789abcdef"

// shortEscapes are the characters of two-character escapes, or 0.
var shortEscapes = [256]byte{'"': '"', '\\': '\\', '\n': 'n', '\r': 'r', '\t': 't', '\b': 'b', '\f': 'f'}

// appendEscaped appends s as the inside of a JSON string.
func appendEscaped(dst, s []byte) []byte {
	dst = slices.Grow(dst, len(s)+len(s)/8+slack)
	out, j := dst[:cap(dst)], len(dst)
	for i := 0; i < len(s); {
		if len(out)-j < slack {
			out = grow(out, j, len(s)-i+slack)
		}
		if i+8 <= len(s) {
			w := binary.LittleEndian.Uint64(s[i:])
			binary.LittleEndian.PutUint64(out[j:], w)
			m := special(w)
			if m == 0 {
				i, j = i+8, j+8
				continue
			}
			k := bits.TrailingZeros64(m) >> 3
			i, j = i+k, j+k
			if k == 0 && twoByteRunes(w) {
				i, j = i+8, j+8
				continue
			}
		}
		c := s[i]
		if c >= utf8.RuneSelf {
			n := runeLen(s[i:])
			if n == 0 {
				j += copy(out[j:], "\uFFFD")
				i++
				continue
			}
			if i+4 <= len(s) {
				binary.LittleEndian.PutUint32(out[j:], binary.LittleEndian.Uint32(s[i:]))
			} else {
				copy(out[j:], s[i:i+n])
			}
			i, j = i+n, j+n
			continue
		}
		i++
		switch e := shortEscapes[c]; {
		case e != 0:
			out[j], out[j+1] = '\\', e
			j += 2
		case c < 0x20:
			j += copy(out[j:], `\u00`)
			out[j], out[j+1] = hexDigits[c>>4], hexDigits[c&0x0f]
			j += 2
		default:
			out[j] = c
			j++
		}
	}
	return out[:j]
}

// twoByteRunes tells whether w is four valid characters of two bytes, as in text
// that is neither Latin nor East Asian.
func twoByteRunes(w uint64) bool {
	const (
		mask  = 0xc0e0c0e0c0e0c0e0
		heads = 0x80c080c080c080c0 // 110xxxxx 10xxxxxx, the first byte below
	)
	// First bytes c0 and c1 are overlong: one of their upper four bits must be set.
	upper := w & 0x001e001e001e001e
	return w&mask == heads && (upper+0x7ffe7ffe7ffe7ffe)&0x8000800080008000 == 0x8000800080008000
}

// runeLen is the length of the valid character of more than one byte at the start
// of s, or 0.
func runeLen(s []byte) int {
	if len(s) >= 4 {
		// Most characters are told without the general decoder.
		x := binary.LittleEndian.Uint32(s)
		if x&0xc0e0 == 0x80c0 && x&0x1e != 0 {
			return 2
		}
		if x&0xc0c0f0 == 0x8080e0 {
			r := x&0x0f<<12 | x>>8&0x3f<<6 | x>>16&0x3f
			if r < 0x800 || r-0xd800 < 0x800 {
				return 0 // overlong, or half of a surrogate pair
			}
			return 3
		}
	}
	if r, n := utf8.DecodeRune(s); r != utf8.RuneError || n > 1 {
		return n
	}
	return 0
}

// grow gives out, of which j bytes are in use, room for n more.
func grow(out []byte, j, n int) []byte {
	out = slices.Grow(out[:j], n)
	return out[:cap(out)]
}

// appendValid appends s with each invalid byte replaced by U+FFFD.
func appendValid(dst, s []byte) []byte {
	for len(s) > 0 {
		r, size := utf8.DecodeRune(s)
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, "\uFFFD"...)
		} else {
			dst = append(dst, s[:size]...)
		}
		s = s[size:]
	}
	return dst
}

// SPDX-License-Identifier: Apache-2.0

package kcl

import (
	"strings"
	"unicode/utf8"
)

// DecodeUTF8 returns what Java's new String(bytes, UTF_8) makes of a key. It writes
// one U+FFFD for the longest beginning of a character, as the Unicode Standard
// recommends (section 3.9), but also one, not three, for a surrogate in three bytes.
// So strings.ToValidUTF8, which writes one for each run, does not do.
// Compared with OpenJDK 17.
func DecodeUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for s != "" {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			n = malformed(s)
		}
		b.WriteRune(r)
		s = s[n:]
	}
	return b.String()
}

// malformed returns the number of bytes that become one U+FFFD.
func malformed(s string) int {
	want := 0 // bytes of the character
	low, high := byte(0x80), byte(0xbf)
	switch c := s[0]; {
	case c >= 0xc2 && c <= 0xdf:
		want = 2
	case c >= 0xe0 && c <= 0xef:
		want = 3
		if c == 0xe0 {
			low = 0xa0
		}
	case c >= 0xf0 && c <= 0xf4:
		want = 4
		if c == 0xf0 {
			low = 0x90
		}
		if c == 0xf4 {
			high = 0x8f
		}
	}
	n := 1
	for n < want && n < len(s) && s[n] >= low && s[n] <= high {
		n++
		low, high = 0x80, 0xbf
	}
	return n
}

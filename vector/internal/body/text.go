// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// The text of strings: escapes of JSON, and bytes that are not UTF-8.

// sameText compares the text of a JSON string, escapes included, with s.
func sameText(text []byte, s string) bool {
	if string(text) == s {
		return true
	}
	if len(text) <= len(s) || bytes.IndexByte(text, '\\') < 0 {
		return false
	}
	for len(text) > 0 {
		if text[0] != '\\' {
			if s == "" || s[0] != text[0] {
				return false
			}
			text, s = text[1:], s[1:]
			continue
		}
		var room [utf8.UTFMax]byte
		piece, rest := unescape(room[:0], text)
		if len(s) < len(piece) || s[:len(piece)] != string(piece) {
			return false
		}
		text, s = rest, s[len(piece):]
	}
	return s == ""
}

// appendUnescaped appends the text of a JSON string with its escapes undone and
// invalid UTF-8 replaced.
func appendUnescaped(dst, text []byte) []byte {
	for len(text) > 0 {
		n := bytes.IndexByte(text, '\\')
		if n < 0 {
			n = len(text)
		}
		if utf8.Valid(text[:n]) {
			dst = append(dst, text[:n]...)
		} else {
			dst = appendValid(dst, text[:n])
		}
		if text = text[n:]; len(text) > 0 {
			dst, text = unescape(dst, text)
		}
	}
	return dst
}

// unescape appends what the escape that text begins with stands for, and returns
// what follows it. Half a surrogate pair becomes U+FFFD.
func unescape(dst, text []byte) (out, rest []byte) {
	n := escape(text, 0)
	if n == 0 { // not JSON
		return append(dst, text[0]), text[1:]
	}
	switch c := text[1]; c {
	case 'b':
		return append(dst, '\b'), text[2:]
	case 'f':
		return append(dst, '\f'), text[2:]
	case 'n':
		return append(dst, '\n'), text[2:]
	case 'r':
		return append(dst, '\r'), text[2:]
	case 't':
		return append(dst, '\t'), text[2:]
	case 'u':
		r, _ := hex4(text[2:6])
		text = text[6:]
		if utf16.IsSurrogate(r) {
			low := rune(-1)
			if escape(text, 0) == 6 {
				low, _ = hex4(text[2:6])
			}
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				text = text[6:]
			}
		}
		return utf8.AppendRune(dst, r), text
	default:
		return append(dst, c), text[2:]
	}
}

// escape returns the length of the escape at b[i], or 0.
func escape(b []byte, i int) int {
	if i+1 >= len(b) {
		return 0
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if i+6 > len(b) {
			return 0
		}
		if _, ok := hex4(b[i+2 : i+6]); ok {
			return 6
		}
	}
	return 0
}

// hex4 reads four hexadecimal digits.
func hex4(p []byte) (r rune, ok bool) {
	for _, c := range p[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// appendValid appends text with each byte that is not valid UTF-8 replaced.
func appendValid(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			dst = append(dst, text[i])
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		dst = utf8.AppendRune(dst, r)
		i += n
	}
	return dst
}

// appendLossy is appendValid with one U+FFFD for each maximal part of a character, as the
// standard of Unicode recommends and most languages but Go do.
func appendLossy(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		dst = utf8.AppendRune(dst, r)
		if r == utf8.RuneError && n == 1 {
			n = maximalPart(text[i:])
		}
		i += n
	}
	return dst
}

// maximalPart is the length of what begins at b, which is not a character, but may be the
// beginning of one (the Unicode Standard, section 3.9, table 3-7).
func maximalPart(b []byte) int {
	low, high := byte(0x80), byte(0xbf) // of the second byte
	var most int
	switch c := b[0]; {
	case c >= 0xc2 && c <= 0xdf:
		most = 1
	case c == 0xe0:
		low, most = 0xa0, 2
	case c == 0xed:
		high, most = 0x9f, 2
	case c > 0xe0 && c < 0xf0:
		most = 2
	case c == 0xf0:
		low, most = 0x90, 3
	case c == 0xf4:
		high, most = 0x8f, 3
	case c > 0xf0 && c < 0xf4:
		most = 3
	}
	n := 1
	for ; n < len(b) && n <= most && b[n] >= low && b[n] <= high; n++ {
		low, high = 0x80, 0xbf
	}
	return n
}

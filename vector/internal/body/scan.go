// SPDX-License-Identifier: Apache-2.0

package body

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// What can be wrong with a value; the set is closed.
const (
	wrongEnd      = "unexpected end of JSON"
	wrongByte     = "unexpected byte"
	wrongDepth    = "too many nested arrays and objects"
	wrongString   = "control character in a string"
	wrongEscape   = "unknown escape in a string"
	wrongUTF8     = "invalid UTF-8 in a string"
	wrongNumber   = "number is not JSON"
	wrongLiteral  = "literal is not JSON"
	wrongTrailing = "nothing may follow a number or literal directly"
)

// Eight equal bytes each, to look at eight bytes of text at once.
const (
	each    = 0x0101010101010101
	highs   = 0x80 * each
	quotes  = '"' * each
	slashes = '\\' * each
)

// scanner checks JSON values by RFC 8259. Its fields tell about the last value.
type scanner struct {
	b     []byte
	limit int // of nested arrays and objects
	// name is a key of the outermost object to look out for, unless empty. All of it
	// is plain.
	name string
	// found is where the value of that key lies; 0 if there is none.
	found int
	// odd counts the strings that are not plain.
	odd int
	// multiline: there is a line end outside strings.
	multiline bool
	// badUTF8: there are invalid bytes in strings.
	badUTF8 bool
	// at and wrong say what is wrong with a value that was refused.
	at    int
	wrong string
}

func (s *scanner) fail(at int, wrong string) int {
	s.at, s.wrong = at, wrong
	if at >= len(s.b) {
		s.at, s.wrong = len(s.b), wrongEnd
	}
	return -1
}

// value checks the value at b[i], white space before it included, and returns the
// position behind it, or -1.
func (s *scanner) value(i int) int {
	b := s.b
	// One bit for each level, set in an object. A loop instead of recursion: the
	// state stays in registers and the depth costs no stack.
	var stack [MaxDepth / 64]uint64
	depth := 0
	object := false
	wanted := false

value:
	if i < len(b) && b[i] <= ' ' {
		i = s.space(i)
	}
	if i >= len(b) {
		return s.fail(i, wrongEnd)
	}
	switch c := b[i]; {
	case c == '"':
		if i = s.str(i + 1); i < 0 {
			return -1
		}
	case c == '{' || c == '[':
		if depth >= s.limit {
			return s.fail(i, wrongDepth)
		}
		bit := uint64(1) << (depth & 63)
		if object = c == '{'; object {
			stack[depth>>6] |= bit
		} else {
			stack[depth>>6] &^= bit
		}
		depth++
		i++
		if i < len(b) && b[i] <= ' ' {
			i = s.space(i)
		}
		if i >= len(b) {
			return s.fail(i, wrongEnd)
		}
		if b[i] == c+2 { // ']' and '}' are two behind '[' and '{'
			goto closing
		}
		if object {
			goto key
		}
		goto value
	case c == '-' || c-'0' <= 9:
		if i = s.number(i); i < 0 {
			return -1
		}
	default:
		if i = s.literal(i); i < 0 {
			return -1
		}
	}

after:
	if depth == 0 {
		return i
	}
	// What nearly every value is followed by comes first.
	if i >= len(b) || b[i] != ',' {
		if i < len(b) && b[i] <= ' ' {
			i = s.space(i)
		}
		if i >= len(b) {
			return s.fail(i, wrongEnd)
		}
		if object && b[i] == '}' || !object && b[i] == ']' {
			goto closing
		}
		if b[i] != ',' {
			return s.fail(i, wrongByte)
		}
	}
	i++
	if object {
		goto key
	}
	goto value

closing:
	i++
	depth--
	if depth > 0 {
		object = stack[(depth-1)>>6]>>((depth-1)&63)&1 != 0
	}
	goto after

key:
	if i >= len(b) || b[i] != '"' {
		if i = s.space(i); i >= len(b) || b[i] != '"' {
			return s.fail(i, wrongByte)
		}
	}
	if depth == 1 && s.name != "" {
		wanted, i = s.key(i + 1)
	} else {
		wanted, i = false, s.str(i+1)
	}
	if i < 0 {
		return -1
	}
	if i >= len(b) || b[i] != ':' {
		if i = s.space(i); i >= len(b) || b[i] != ':' {
			return s.fail(i, wrongByte)
		}
	}
	i++
	if wanted {
		s.found = i
	}
	goto value
}

// key is str for a key of the outermost object, and says whether it is s.name.
func (s *scanner) key(i int) (wanted bool, end int) {
	if j := i + len(s.name); j < len(s.b) && s.b[j] == '"' && string(s.b[i:j]) == s.name {
		return true, j + 1
	}
	odd := s.odd
	if end = s.str(i); odd == s.odd || end < 0 {
		return false, end
	}
	return sameText(s.b[i:end-1], s.name), end
}

// space returns the position behind the white space at b[i].
func (s *scanner) space(i int) int {
	for ; i < len(s.b); i++ {
		switch s.b[i] {
		case ' ', '\t':
		case '\n', '\r':
			s.multiline = true
		default:
			return i
		}
	}
	return i
}

// str checks the string whose text begins at b[i] and returns the position behind
// the closing quote, or -1.
func (s *scanner) str(i int) int {
	b := s.b
	for i+8 <= len(b) {
		m := special(binary.LittleEndian.Uint64(b[i : i+8]))
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) >> 3
		if b[i] == '"' {
			return i + 1
		}
		break
	}
	return s.oddString(i)
}

// oddString goes on with a string at a byte that needs a look, or near the end of
// the body.
func (s *scanner) oddString(i int) int {
	b := s.b
	s.odd++
	for {
		i += plain(b[i:])
		if i >= len(b) {
			return s.fail(i, wrongEnd)
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			n := escape(b, i)
			if n == 0 {
				return s.fail(i, wrongEscape)
			}
			i += n
		case c < ' ':
			return s.fail(i, wrongString)
		default:
			// Text of other scripts comes in runs.
			for i < len(b) && b[i] >= utf8.RuneSelf {
				r, n := utf8.DecodeRune(b[i:])
				if r == utf8.RuneError && n == 1 {
					s.badUTF8 = true
				}
				i += n
			}
		}
	}
}

// special marks the first byte of x that is not plain, and perhaps others behind
// it: a borrow can only come from a byte that is rightly marked. Flipping bit 1
// moves the quote down to 0x20 and leaves control characters below it, so one
// comparison finds both.
func special(x uint64) uint64 {
	return (x | ((x ^ 0x02*each) - 0x21*each) | ((x ^ slashes) - each)) & highs
}

// plain returns how many bytes at the beginning of text are ASCII without quotes,
// backslashes and control characters.
func plain(text []byte) int {
	i := 0
	for ; i+8 <= len(text); i += 8 {
		if m := special(binary.LittleEndian.Uint64(text[i:])); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for i < len(text) && text[i] >= ' ' && text[i] < utf8.RuneSelf && text[i] != '"' && text[i] != '\\' {
		i++
	}
	return i
}

// digits returns the position behind the digits at b[i].
func digits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

// number checks the number at b[i] and returns the position behind it, or -1.
func (s *scanner) number(i int) int {
	b := s.b
	if b[i] == '-' {
		i++
	}
	j := digits(b, i)
	if j == i || b[i] == '0' && j > i+1 {
		return s.fail(i, wrongNumber)
	}
	i = j
	if i < len(b) && b[i] == '.' {
		if j = digits(b, i+1); j == i+1 {
			return s.fail(j, wrongNumber)
		}
		i = j
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if j = digits(b, i); j == i {
			return s.fail(j, wrongNumber)
		}
		i = j
	}
	return i
}

// literal checks the literal at b[i] and returns the position behind it, or -1.
func (s *scanner) literal(i int) int {
	var word string
	switch s.b[i] {
	case 't':
		word = "true"
	case 'f':
		word = "false"
	case 'n':
		word = "null"
	default:
		return s.fail(i, wrongByte)
	}
	for k := range len(word) {
		if i+k >= len(s.b) || s.b[i+k] != word[k] {
			return s.fail(i+k, wrongLiteral)
		}
	}
	return i + len(word)
}

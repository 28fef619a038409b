// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// What shippers write for JSON though it is none. Fluent Bit's outputs print floats as C
// does (nan, -inf), keys of any type as they would print values (1:, null:, [1]:), and
// extension types as \x61, sign-extended above 0x7f (\xffffff80); seen with 5.1.1.
// Python's json writes NaN and Infinity, nginx and Apache \xNN for bytes and \v.
//
// The strict scanner comes first, since it is faster, and what it takes is not changed.

// maxKeyNesting is how many arrays and objects used as keys may lie inside each other.
// Each level can double the text, as its quotes are escaped again.
const maxKeyNesting = 3

// mender writes the JSON that a value which is nearly JSON stands for.
type mender struct {
	b     []byte
	sc    scanner // for numbers, literals and errors
	limit int     // of nested arrays and objects
	// compact leaves out white space outside strings.
	compact bool
	keys    int // arrays and objects used as keys around the value
	// multiline and badUTF8 are as those of scanner.
	multiline bool
	badUTF8   bool
}

// fail is as that of scanner.
func (m *mender) fail(dst []byte, at int, wrong string) ([]byte, int) {
	return dst, m.sc.fail(at, wrong)
}

// value appends the value at b[i], white space before it included, and returns the
// position behind it, or -1.
func (m *mender) value(dst []byte, i, depth int) ([]byte, int) {
	dst, i = m.space(dst, i)
	if i >= len(m.b) {
		return m.fail(dst, i, wrongEnd)
	}
	switch c := m.b[i]; {
	case c == '"':
		return m.str(dst, i)
	case c == '{' || c == '[':
		if depth >= m.limit {
			return m.fail(dst, i, wrongDepth)
		}
		return m.container(append(dst, c), i+1, depth+1, c == '{')
	}
	if n := nonFinite(m.b[i:]); n > 0 {
		return append(dst, "null"...), i + n
	}
	return m.scalar(dst, i)
}

// scalar appends the number or literal at b[i] as it stands.
func (m *mender) scalar(dst []byte, i int) ([]byte, int) {
	var end int
	if c := m.b[i]; c == '-' || c-'0' <= 9 {
		end = m.sc.number(i)
	} else {
		end = m.sc.literal(i)
	}
	if end < 0 {
		return dst, end
	}
	return append(dst, m.b[i:end]...), end
}

// container appends what is behind an opening bracket, up to the closing one.
func (m *mender) container(dst []byte, i, depth int, object bool) ([]byte, int) {
	closing := byte(']')
	if object {
		closing = '}'
	}
	if dst, i = m.space(dst, i); i < len(m.b) && m.b[i] == closing {
		return append(dst, closing), i + 1
	}
	for {
		if object {
			if dst, i = m.key(dst, i, depth); i < 0 {
				return dst, i
			}
			if dst, i = m.space(dst, i); i >= len(m.b) || m.b[i] != ':' {
				return m.fail(dst, i, wrongByte)
			}
			dst, i = append(dst, ':'), i+1
		}
		if dst, i = m.value(dst, i, depth); i < 0 {
			return dst, i
		}
		if dst, i = m.space(dst, i); i >= len(m.b) {
			return m.fail(dst, i, wrongEnd)
		}
		switch m.b[i] {
		case ',':
			dst, i = append(dst, ','), i+1
		case closing:
			return append(dst, closing), i + 1
		default:
			return m.fail(dst, i, wrongByte)
		}
	}
}

// key appends the key at b[i] as a string. One that is no string becomes its text, as
// for MessagePack.
func (m *mender) key(dst []byte, i, depth int) ([]byte, int) {
	if dst, i = m.space(dst, i); i >= len(m.b) {
		return m.fail(dst, i, wrongByte)
	}
	var text []byte
	end := 0
	switch c := m.b[i]; {
	case c == '"':
		return m.str(dst, i)
	case c == '{' || c == '[':
		if m.keys == maxKeyNesting {
			return m.fail(dst, i, wrongDepth)
		}
		compact := m.compact
		m.keys, m.compact = m.keys+1, true
		text, end = m.value(nil, i, depth)
		m.keys, m.compact = m.keys-1, compact
	default:
		if n := nonFinite(m.b[i:]); n > 0 {
			text, end = m.b[i:i+n], i+n
		} else if c == '-' || c-'0' <= 9 || c == 't' || c == 'f' || c == 'n' {
			text, end = m.scalar(nil, i)
		} else {
			return m.fail(dst, i, wrongByte)
		}
	}
	if end < 0 {
		return dst, end
	}
	return appendString(dst, text), end
}

// space appends the white space at b[i], and returns the position behind it.
func (m *mender) space(dst []byte, i int) ([]byte, int) {
	start := i
	for ; i < len(m.b); i++ {
		if c := m.b[i]; c == '\n' || c == '\r' {
			m.multiline = true
		} else if c != ' ' && c != '\t' {
			break
		}
	}
	if !m.compact {
		dst = append(dst, m.b[start:i]...)
	}
	return dst, i
}

// str appends the string at b[i].
func (m *mender) str(dst []byte, i int) ([]byte, int) {
	b := m.b
	dst, i = append(dst, '"'), i+1
	for {
		n := plain(b[i:])
		dst, i = append(dst, b[i:i+n]...), i+n
		if i >= len(b) {
			return m.fail(dst, i, wrongEnd)
		}
		switch c := b[i]; {
		case c == '"':
			return append(dst, '"'), i + 1
		case c == '\\':
			if n := escape(b, i); n > 0 {
				dst, i = append(dst, b[i:i+n]...), i+n
				continue
			}
			var ok bool
			if dst, i, ok = oddEscape(dst, b, i); !ok {
				return m.fail(dst, i, wrongEscape)
			}
		case c == '\n' || c == 0:
			// Behind a line or a message of GELF begins another event.
			return m.fail(dst, i, wrongString)
		case c < ' ':
			dst, i = appendEscaped(dst, rune(c)), i+1
		default:
			for i < len(b) && b[i] >= utf8.RuneSelf {
				r, n := utf8.DecodeRune(b[i:])
				if r == utf8.RuneError && n == 1 {
					m.badUTF8 = true
				}
				dst, i = utf8.AppendRune(dst, r), i+n
			}
		}
	}
}

// oddEscape appends what the escape at b[i] stands for, if JSON does not know it but
// other notations do.
func oddEscape(dst, b []byte, i int) (out []byte, end int, ok bool) {
	if i+1 >= len(b) {
		return dst, i, false
	}
	switch b[i+1] {
	case 'x':
	case 'a':
		return appendEscaped(dst, '\a'), i + 2, true
	case 'v':
		return appendEscaped(dst, '\v'), i + 2, true
	case '\'':
		return append(dst, '\''), i + 2, true
	default:
		return dst, i, false
	}
	// Programs that know bytes only write a character of several bytes as several
	// escapes. Others mean the character with that number.
	var raw [32]byte
	n := 0
	start := i
	for n < len(raw) {
		c, size := hexByte(b[i:])
		if size == 0 {
			break
		}
		raw[n], n, i = c, n+1, i+size
		if c < utf8.RuneSelf {
			break
		}
	}
	if n == 0 {
		return dst, start, false
	}
	for text := raw[:n]; len(text) > 0; {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 {
			// A character that the room cuts off is read again with what follows.
			if n == len(raw) && !utf8.FullRune(text) {
				_, one := hexByte(b[start:])
				return dst, start + one*(n-len(text)), true
			}
			r = rune(text[0])
		}
		dst = appendEscaped(dst, r)
		text = text[size:]
	}
	return dst, i, true
}

// hexByte reads an escape \xNN, and returns its length, or 0. Fluent Bit writes bytes
// above 0x7f as \xffffffNN.
func hexByte(b []byte) (c byte, size int) {
	const extended = `\xffffff`
	if len(b) < 4 || b[0] != '\\' || b[1] != 'x' {
		return 0, 0
	}
	if len(b) >= 10 && string(b[:8]) == extended {
		if r, ok := hex4(b[6:10]); ok && r&0x80 != 0 {
			return byte(r), 10
		}
	}
	r, ok := hex4([]byte{'0', '0', b[2], b[3]})
	if !ok {
		return 0, 0
	}
	return byte(r), 4
}

// appendEscaped appends a character as JSON needs it in a string.
func appendEscaped(dst []byte, r rune) []byte {
	const digits = "0123456789abcdef"
	switch {
	case r == '"' || r == '\\':
		return append(dst, '\\', byte(r))
	case r == '\n':
		return append(dst, '\\', 'n')
	case r == '\r':
		return append(dst, '\\', 'r')
	case r == '\t':
		return append(dst, '\\', 't')
	case r < ' ':
		return append(dst, '\\', 'u', '0', '0', digits[r>>4], digits[r&15])
	}
	return utf8.AppendRune(dst, r)
}

// nearLiteral says whether data begins with a literal, or what is taken for one, and is a
// key.
func nearLiteral(data []byte) bool {
	n := nonFinite(data)
	for _, word := range []string{"true", "false", "null"} {
		if n == 0 && bytes.HasPrefix(data, []byte(word)) {
			n = len(word)
		}
	}
	rest := trimSpace(data[n:])
	return n > 0 && (len(rest) == 0 || rest[0] == ':')
}

// nonFinite returns the length of the name of a number that is not finite, as C, Python,
// JavaScript and others print it, or 0.
func nonFinite(b []byte) int {
	i := 0
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		i++
	}
	if i >= len(b) || b[i]|0x20 != 'n' && b[i]|0x20 != 'i' {
		return 0
	}
	start := i
	for i < len(b) && (b[i]|0x20 >= 'a' && b[i]|0x20 <= 'z') {
		i++
	}
	if i-start > len("infinity") {
		return 0
	}
	switch strings.ToLower(string(b[start:i])) {
	case "inf", "infinity":
		return i
	case "nan":
		// C says more of it in brackets: nan(ind), nan(0x7ff).
		if i < len(b) && b[i] == '(' {
			if n := bytes.IndexByte(b[i:min(len(b), i+32)], ')'); n > 0 && plainWord(b[i+1:i+n]) {
				return i + n + 1
			}
		}
		return i
	}
	return 0
}

func plainWord(b []byte) bool {
	for _, c := range b {
		if !(c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_') {
			return false
		}
	}
	return true
}

// mend adds the value at b[i], which is not JSON, as an event if it is clear what it
// stands for. It returns -1 if it is not; sc then has the reason.
func (s *splitter) mend(sc *scanner, i int) (int, *Error) {
	m := mender{b: s.data, limit: s.opt.Limits.Depth}
	m.sc.b = s.data
	dst, end := m.value(s.opt.Arena.begin(0), i, 0)
	if end >= 0 && m.multiline && !s.opt.KeepLayout {
		m.compact = true
		dst, end = m.value(dst[:0], i, 0)
	}
	switch {
	case end < 0:
		sc.at, sc.wrong = m.sc.at, m.sc.wrong
		return -1, nil
	case m.badUTF8 && s.opt.RejectInvalidUTF8:
		return end, s.bad(i, end, i, wrongUTF8)
	case s.opt.UnquoteStrings && dst[0] == '"':
		return end, s.converted(appendUnescaped(nil, dst[1:len(dst)-1]), EventText, i)
	}
	return end, s.converted(appendOnce(dst), EventJSON, i)
}

// appendOnce makes each name in the valid JSON text v occur once in its object. The last
// value counts, as for most readers of JSON. v is changed.
func appendOnce(v []byte) []byte {
	if !repeats(v) {
		return v
	}
	out, _ := appendOnceValue(make([]byte, 0, len(v)), v, 0)
	return append(v[:0], out...)
}

// member is where a member of an object lies.
type member struct{ key, value int }

// repeats tells whether an object in v may have a name twice.
func repeats(v []byte) bool {
	var room [32][]byte
	var levels [16]int
	names := room[:0]
	open := levels[:0] // where the names of each object around begin in names, -1: an array
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '{':
			open = append(open, len(names))
		case '[':
			open = append(open, -1)
		case '}', ']':
			if n := open[len(open)-1]; n >= 0 {
				if twice(names[n:]) {
					return true
				}
				names = names[:n]
			}
			open = open[:len(open)-1]
		case '"':
			end := stringEnd(v, i+1)
			if end < 0 {
				return false
			}
			if j := skipSpace(v, end); j < len(v) && v[j] == ':' {
				names = append(names, v[i+1:end-1])
			}
			i = end - 1
		}
	}
	return false
}

// twice tells whether two names are the same, or may be in JSON, since they have escapes or
// are not UTF-8.
func twice(names [][]byte) bool {
	const few = 64 // up to which this costs less than a table
	if len(names) > few {
		seen := make(map[string]bool, len(names))
		for _, n := range names {
			text := nameText(n)
			if seen[text] {
				return true
			}
			seen[text] = true
		}
		return false
	}
	odd := false
	for i, n := range names {
		odd = odd || oddName(n)
		for _, o := range names[:i] {
			if bytes.Equal(n, o) {
				return true
			}
		}
	}
	for i, n := range names {
		if !odd {
			break
		}
		for _, o := range names[:i] {
			if (oddName(n) || oddName(o)) && nameText(n) == nameText(o) {
				return true
			}
		}
	}
	return false
}

// oddName tells whether a name may be another text in JSON than it looks.
func oddName(name []byte) bool {
	return plain(name) < len(name) && (bytes.IndexByte(name, '\\') >= 0 || !utf8.Valid(name))
}

// nameText is a name with its escapes undone and invalid UTF-8 replaced.
func nameText(name []byte) string {
	if !oddName(name) {
		return string(name)
	}
	return string(appendUnescaped(nil, name))
}

// appendOnceValue appends the value at v[i] and returns where it ends.
func appendOnceValue(dst, v []byte, i int) (out []byte, end int) {
	switch v[i] {
	case '{':
		var list []member
		last := map[string]int{}
		m := members{b: v, i: i + 1}
		for m.next() {
			last[nameText(m.key)] = len(list)
			list = append(list, member{key: m.i, value: m.value})
		}
		dst = append(dst, '{')
		first := true
		for k, one := range list {
			key := v[one.key:stringEnd(v, one.key+1)]
			if last[nameText(key[1:len(key)-1])] != k {
				continue
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(append(dst, key...), ':')
			dst, _ = appendOnceValue(dst, v, one.value)
		}
		return append(dst, '}'), m.i + 1
	case '[':
		dst = append(dst, '[')
		m := members{b: v, i: i + 1, array: true}
		for n := 0; m.next(); n++ {
			if n > 0 {
				dst = append(dst, ',')
			}
			dst, m.end = appendOnceValue(dst, v, m.value)
		}
		return append(dst, ']'), m.i + 1
	}
	end = valueEnd(v, i)
	return append(dst, v[i:end]...), end
}

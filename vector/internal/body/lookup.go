// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// ValueKind is the type of a JSON value.
type ValueKind uint8

// The types. ValueNone is no value.
const (
	ValueNone ValueKind = iota
	ValueString
	ValueNumber
	ValueBool
	ValueNull
	ValueObject
	ValueArray
)

// Lookup finds a field of an event without decoding it. Each element of path is a
// key of an object or, if the value is an array, an index in decimal; an empty
// path is the event itself. If a key occurs twice, the last one counts, as for most
// readers of JSON.
//
// value is the text of a string with its escapes undone, else the JSON text as it
// stands. It is a slice of event, or of dst if escapes had to be undone: they are
// appended to dst[:0]. Give a dst of enough capacity to allocate nothing.
//
// Event should be an EventJSON. Lookup is safe with any bytes, but then what it
// finds means nothing.
func Lookup(dst, event []byte, path ...string) (value []byte, k ValueKind, ok bool) {
	return lookup(dst, event, 0, path)
}

// Field is Lookup of o.Path in an event that Split made with the same Path. An
// EventText has no fields.
func (o *Options) Field(dst []byte, ev *Event) (value []byte, k ValueKind, ok bool) {
	switch {
	case ev.Kind != EventJSON || len(o.Path) == 0 || ev.at == atNone && ev.Data[0] == '{':
		return nil, ValueNone, false
	case ev.at < atPlace:
		return Lookup(dst, ev.Data, o.Path...)
	}
	return lookup(dst, ev.Data, int(ev.at-atPlace), o.Path[1:])
}

// lookup begins at event[i].
func lookup(dst, event []byte, i int, path []string) (value []byte, k ValueKind, ok bool) {
	i = skipSpace(event, i)
	for _, step := range path {
		if i = child(event, i, step); i < 0 {
			return nil, ValueNone, false
		}
	}
	end := valueEnd(event, i)
	if end < 0 {
		return nil, ValueNone, false
	}
	switch event[i] {
	case '"':
		text := event[i+1 : end-1]
		if bytes.IndexByte(text, '\\') >= 0 {
			text = appendUnescaped(dst[:0], text)
		}
		return text, ValueString, true
	case '{':
		k = ValueObject
	case '[':
		k = ValueArray
	case 't', 'f':
		k = ValueBool
	case 'n':
		k = ValueNull
	default:
		k = ValueNumber
	}
	return event[i:end], k, true
}

// child returns where the value lies that step names in the value at b[i], or -1.
func child(b []byte, i int, step string) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '{':
		return field(b, i+1, step)
	case '[':
		n, ok := index(step)
		if !ok {
			return -1
		}
		for m := (members{b: b, i: i + 1, array: true}); m.next(); n-- {
			if n == 0 {
				return m.value
			}
		}
	}
	return -1
}

// field returns where the value of a key lies in the object whose first key is at
// b[i], or -1. It is what members does for one key, by a shorter way.
func field(b []byte, i int, key string) int {
	found := -1
	for {
		if i < len(b) && b[i] != '"' {
			i = skipSpace(b, i)
		}
		if i >= len(b) || b[i] != '"' {
			return found
		}
		start := i + 1
		if i = stringEnd(b, start); i < 0 {
			return found
		}
		// A key with escapes is longer than its text.
		name := b[start : i-1]
		same := len(name) >= len(key) && (string(name) == key || len(name) > len(key) && sameText(name, key))
		if i < len(b) && b[i] != ':' {
			i = skipSpace(b, i)
		}
		if i >= len(b) || b[i] != ':' {
			return found
		}
		if i++; i < len(b) && b[i] <= ' ' {
			i = skipSpace(b, i)
		}
		if same {
			found = i
		}
		if i < len(b) && b[i] == '"' {
			i = stringEnd(b, i+1)
		} else {
			i = valueEnd(b, i)
		}
		if i < 0 {
			return found
		}
		if i < len(b) && b[i] != ',' {
			i = skipSpace(b, i)
		}
		if i >= len(b) || b[i] != ',' {
			return found
		}
		i++
	}
}

// index reads an array index without sign and leading zeros.
func index(s string) (int, bool) {
	if s == "" || len(s) > 9 || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	n := 0
	for k := range len(s) {
		if s[k]-'0' > 9 {
			return 0, false
		}
		n = 10*n + int(s[k]-'0')
	}
	return n, true
}

// members walks over the members of an object or the elements of an array whose
// JSON is valid. i is behind the opening bracket.
type members struct {
	b     []byte
	i     int
	array bool
	key   []byte // with escapes, without quotes
	value int    // where the value begins; 0 before the first
	end   int    // where it ends; who has been through it may set it, else it is found
}

// next moves to the next member and says whether there is one. After the last one,
// i is where the closing bracket is.
func (m *members) next() bool {
	b := m.b
	if m.value > 0 {
		if m.i = m.valueEnd(); m.i < 0 {
			return false
		}
	}
	i := skipSpace(b, m.i)
	if i < len(b) && b[i] == ',' {
		i = skipSpace(b, i+1)
	}
	m.i = i
	if i >= len(b) || b[i] == '}' || b[i] == ']' {
		return false
	}
	if !m.array {
		if b[i] != '"' {
			return false
		}
		end := stringEnd(b, i+1)
		if end < 0 {
			return false
		}
		m.key = b[i+1 : end-1]
		if i = skipSpace(b, end); i >= len(b) || b[i] != ':' {
			return false
		}
		i = skipSpace(b, i+1)
	}
	m.value, m.end = i, 0
	return i < len(b)
}

// valueEnd is where the member's value ends, or -1.
func (m *members) valueEnd() int {
	if m.end == 0 {
		m.end = valueEnd(m.b, m.value)
	}
	return m.end
}

// valueEnd returns where the valid value at b[i] ends, or -1.
func valueEnd(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return stringEnd(b, i+1)
	case '{', '[':
		depth := 0
		for i < len(b) {
			switch b[i] {
			case '"':
				if i = stringEnd(b, i+1); i < 0 {
					return -1
				}
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return -1
	case ']', '}', ',', ':':
		return -1
	}
	for i++; i < len(b); i++ {
		if c := b[i]; c == ',' || c == '}' || c == ']' || c <= ' ' {
			return i
		}
	}
	return i
}

// stringEnd returns the position behind the closing quote of the string whose text
// begins at b[i], or -1.
func stringEnd(b []byte, i int) int {
	for {
		for i+8 <= len(b) {
			x := binary.LittleEndian.Uint64(b[i:])
			q, e := x^quotes, x^slashes
			if m := ((q-each)&^q | (e-each)&^e) & highs; m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				break
			}
			i += 8
		}
		for i < len(b) && b[i] != '"' && b[i] != '\\' {
			i++
		}
		if i >= len(b) {
			return -1
		}
		if b[i] == '"' {
			return i + 1
		}
		i += 2
	}
}

// skipSpace returns the position behind JSON's white space at b[i].
func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

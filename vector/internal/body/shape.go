// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"slices"

	"github.com/outkpl/outkpl/internal/event"
)

// Shape changes the keys of events, as package event does with what comes as
// MessagePack. Values stay byte for byte as they came. It is safe for concurrent use.
type Shape struct {
	keys []string
	dots []byte // escaped
}

// NewShape makes a Shape. keys are the top-level keys to keep, compared with escapes
// undone; their order is the event's, and none keeps all. dots is put in place of each
// '.' in keys, at every level; the empty text leaves keys alone. If nothing is to be
// changed NewShape returns nil.
func NewShape(keys []string, dots string) *Shape {
	if len(keys) == 0 && dots == "" {
		return nil
	}
	quoted := appendString(nil, []byte(dots))
	return &Shape{keys: keys, dots: quoted[1 : len(quoted)-1]}
}

// Append appends the shaped form of an event of JSON, as Split makes it. What is behind
// it (a newline) stays, white space between keys goes. Of members whose names are the same text afterwards
// the last one stays.
func (s *Shape) Append(dst, ev []byte) []byte {
	if len(ev) == 0 {
		return dst
	}
	var end int
	if ev[0] == '{' {
		dst, end = s.object(dst, ev, 0, s.keys)
	} else {
		dst, end = s.value(dst, ev, 0)
	}
	return append(dst, ev[end:]...)
}

// object appends the object at b[i] and returns where it ends.
func (s *Shape) object(dst, b []byte, i int, keep []string) (out []byte, end int) {
	m := members{b: b, i: i + 1}
	start := len(dst)
	dst = append(dst, '{')
	var names event.Names
	for m.next() {
		if len(keep) > 0 && !slices.ContainsFunc(keep, func(k string) bool { return sameText(m.key, k) }) {
			continue
		}
		if len(dst) > start+1 {
			dst = append(dst, ',')
		}
		name := len(dst)
		dst = append(dst, '"')
		dst = s.key(dst, m.key)
		names.Add(dst[name:])
		dst = append(dst, '"', ':')
		dst, m.end = s.value(dst, b, m.value)
	}
	return names.End(append(dst, '}'), start), min(m.i+1, len(b))
}

// value appends the value at b[i] and returns where it ends.
func (s *Shape) value(dst, b []byte, i int) (out []byte, end int) {
	if len(s.dots) > 0 {
		switch b[i] {
		case '{':
			return s.object(dst, b, i, nil)
		case '[':
			m := members{b: b, i: i + 1, array: true}
			dst = append(dst, '[')
			for n := 0; m.next(); n++ {
				if n > 0 {
					dst = append(dst, ',')
				}
				dst, m.end = s.value(dst, b, m.value)
			}
			return append(dst, ']'), min(m.i+1, len(b))
		}
	}
	end = valueEnd(b, i)
	return append(dst, b[i:end]...), end
}

// key appends a key, which may have escapes, without its quotes.
func (s *Shape) key(dst, key []byte) []byte {
	if len(s.dots) == 0 || bytes.IndexByte(key, '.') < 0 && bytes.IndexByte(key, '\\') < 0 {
		return append(dst, key...)
	}
	for i := 0; i < len(key); {
		n := 1
		if key[i] == '\\' {
			if n = 2; i+1 < len(key) && key[i+1] == 'u' {
				n = 6
			}
		}
		one := key[i:min(i+n, len(key))]
		i += n
		if one[0] == '.' || len(one) == 6 && bytes.EqualFold(one[2:], []byte("002e")) {
			dst = append(dst, s.dots...)
		} else {
			dst = append(dst, one...)
		}
	}
	return dst
}

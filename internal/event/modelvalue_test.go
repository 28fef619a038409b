// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// The model: random values that know their MessagePack in any of its forms, and
// their JSON as the tokens that encoding/json reads.

type pair struct{ key, value value }

type value struct {
	class class
	text  string // of classString, classBinary, and the payload of classExt
	typ   byte   // of classExt
	uint  uint64
	int   int64
	float float64
	wide  bool // a float of 8 bytes
	list  []value
	pairs []pair
}

func modelText(r *rand.Rand) string {
	pieces := []string{
		"a", "bc", " ", ".", "\"", "\\", "\n", "\x00", "\x1f", "\x7f", "\u00e9", "\u20ac", "\u2028", "\ufeff", "\U0001F600", "\ufffd",
		"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xe2\x82", "<&>", "0123456789", "plain text of some length",
	}
	var b strings.Builder
	for range r.IntN(8) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	if r.IntN(50) == 0 {
		b.WriteString(strings.Repeat("long ", r.IntN(20000)))
	}
	return b.String()
}

func modelValue(r *rand.Rand, depth int) value {
	n := 12
	if depth > 4 {
		n = 9
	}
	switch r.IntN(n) {
	case 0:
		return value{class: classNil}
	case 1:
		return value{class: classBool, uint: r.Uint64N(2)}
	case 2:
		return value{class: classUint, uint: r.Uint64() >> r.IntN(64)}
	case 3:
		return value{class: classInt, int: -int64(r.Uint64()>>(1+r.IntN(63))) - 1}
	case 4:
		f := []float64{
			0, math.Copysign(0, -1), 1, -2.5, 1e15, 1e21, 1e-7, 0.1, math.MaxFloat64, math.SmallestNonzeroFloat64, math.NaN(), math.Inf(1), math.Inf(-1),
			r.NormFloat64(), math.Float64frombits(r.Uint64()), float64(r.Int64()),
		}[r.IntN(16)]
		if r.IntN(2) == 0 {
			return value{class: classFloat, float: float64(float32(f))}
		}
		return value{class: classFloat, float: f, wide: true}
	case 5, 6:
		return value{class: classString, text: modelText(r)}
	case 7:
		return value{class: classBinary, text: modelText(r)}
	case 8:
		sizes := []int{0, 1, 2, 4, 8, 12, 16, 3, 300}
		b := make([]byte, sizes[r.IntN(len(sizes))])
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return value{class: classExt, typ: []byte{0, 1, 0xff, 0x80}[r.IntN(4)], text: string(b)}
	case 9:
		v := value{class: classArray}
		for range r.IntN(5) {
			v.list = append(v.list, modelValue(r, depth+1))
		}
		return v
	}
	return modelMap(r, depth, 6)
}

func modelMap(r *rand.Rand, depth, most int) value {
	v := value{class: classMap}
	names := []string{"a", "b.c", "log", "time", "meta", "group", "trace_id", "", "k\x00"}
	for range r.IntN(most) {
		key := value{class: classString, text: names[r.IntN(len(names))]}
		switch r.IntN(12) {
		case 0:
			key = modelValue(r, depth+3)
		case 1:
			key.class = classBinary
		case 2:
			key.text = modelText(r)
		}
		if key.class == classMap || key.class == classArray {
			key = value{class: classArray, list: []value{{class: classString, text: "in\"a.key"}, {class: classUint, uint: 7}}}
		}
		v.pairs = append(v.pairs, pair{key, modelValue(r, depth+1)})
	}
	return v
}

// head appends one of the heads that can announce n.
func head(r *rand.Rand, b []byte, n int, fix byte, fixMax int, w8, w16, w32 byte) []byte {
	for {
		switch r.IntN(4) {
		case 0:
			if n <= fixMax {
				return append(b, fix|byte(n))
			}
		case 1:
			if w8 != 0 && n < 1<<8 {
				return append(b, w8, byte(n))
			}
		case 2:
			if n < 1<<16 {
				return binary.BigEndian.AppendUint16(append(b, w16), uint16(n))
			}
		default:
			return binary.BigEndian.AppendUint32(append(b, w32), uint32(n))
		}
	}
}

func (v *value) encode(r *rand.Rand, b []byte) []byte {
	switch v.class {
	case classNil:
		return append(b, 0xc0)
	case classBool:
		return append(b, 0xc2+byte(v.uint))
	case classUint:
		switch w := r.IntN(5); {
		case w == 0 && v.uint < 128:
			return append(b, byte(v.uint))
		case w <= 1 && v.uint < 1<<8:
			return append(b, 0xcc, byte(v.uint))
		case w <= 2 && v.uint < 1<<16:
			return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(v.uint))
		case w <= 3 && v.uint < 1<<32:
			return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(v.uint))
		case v.uint < 1<<63 && r.IntN(2) == 0: // a signed form of a number that is not negative
			return binary.BigEndian.AppendUint64(append(b, 0xd3), v.uint)
		}
		return binary.BigEndian.AppendUint64(append(b, 0xcf), v.uint)
	case classInt:
		switch w := r.IntN(5); {
		case w == 0 && v.int >= -32:
			return append(b, byte(v.int))
		case w <= 1 && v.int >= math.MinInt8:
			return append(b, 0xd0, byte(v.int))
		case w <= 2 && v.int >= math.MinInt16:
			return binary.BigEndian.AppendUint16(append(b, 0xd1), uint16(v.int))
		case w <= 3 && v.int >= math.MinInt32:
			return binary.BigEndian.AppendUint32(append(b, 0xd2), uint32(v.int))
		}
		return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(v.int))
	case classFloat:
		if v.wide {
			return append(b, f64(v.float)...)
		}
		return append(b, f32(float32(v.float))...)
	case classString:
		return append(head(r, b, len(v.text), 0xa0, 31, 0xd9, 0xda, 0xdb), v.text...)
	case classBinary:
		return append(head(r, b, len(v.text), 0, -1, 0xc4, 0xc5, 0xc6), v.text...)
	case classExt:
		if i := slices.Index([]int{1, 2, 4, 8, 16}, len(v.text)); i >= 0 && r.IntN(2) == 0 {
			b = append(b, 0xd4+byte(i))
		} else {
			b = head(r, b, len(v.text), 0, -1, 0xc7, 0xc8, 0xc9)
		}
		return append(append(b, v.typ), v.text...)
	case classArray:
		b = head(r, b, len(v.list), 0x90, 15, 0, 0xdc, 0xdd)
		for i := range v.list {
			b = v.list[i].encode(r, b)
		}
		return b
	default:
		b = head(r, b, len(v.pairs), 0x80, 15, 0, 0xde, 0xdf)
		for i := range v.pairs {
			b = v.pairs[i].key.encode(r, b)
			b = v.pairs[i].value.encode(r, b)
		}
		return b
	}
}

// valid is text as JSON shows it.
func valid(s string) string { return string([]rune(s)) }

type tokenOptions struct{ dots string }

func (o tokenOptions) key(s string) string {
	if o.dots != "" {
		s = strings.ReplaceAll(s, ".", o.dots)
	}
	return valid(s)
}

// tokens is the value as encoding/json reads it.
func (v *value) tokens(o tokenOptions) []any {
	switch v.class {
	case classNil:
		return []any{nil}
	case classBool:
		return []any{v.uint == 1}
	case classUint:
		return []any{json.Number(strconv.FormatUint(v.uint, 10))}
	case classInt:
		return []any{json.Number(strconv.FormatInt(v.int, 10))}
	case classFloat:
		if math.IsNaN(v.float) || math.IsInf(v.float, 0) {
			return []any{nil}
		}
		return []any{v.float}
	case classString, classBinary:
		return []any{valid(v.text)}
	case classExt:
		if t, ok := v.time(); ok {
			return []any{json.Number(t)}
		}
		return []any{v.ext()}
	case classArray:
		out := []any{json.Delim('[')}
		for i := range v.list {
			out = append(out, v.list[i].tokens(o)...)
		}
		return append(out, json.Delim(']'))
	}
	var m members
	for i := range v.pairs {
		m.add(v.pairs[i].key.keyText(o), v.pairs[i].value.tokens(o)...)
	}
	return m.tokens()
}

// members are those of an object, each name once: the last one, at its place.
type members []namedValue

type namedValue struct {
	name  string
	value []any
}

func (m *members) add(name string, value ...any) {
	*m = append(slices.DeleteFunc(*m, func(e namedValue) bool { return e.name == name }), namedValue{name, value})
}

func (m *members) tokens() []any {
	out := []any{json.Delim('{')}
	for _, e := range *m {
		out = append(append(out, e.name), e.value...)
	}
	return append(out, json.Delim('}'))
}

func (v *value) ext() string {
	var b strings.Builder
	for i := range len(v.text) {
		fmt.Fprintf(&b, `\x%02x`, v.text[i])
	}
	return b.String()
}

// time is the text of an extension that is a time.
func (v *value) time() (string, bool) {
	p := []byte(v.text)
	var sec int64
	var nsec uint32
	switch {
	case v.typ == 0 && len(p) == 8:
		sec, nsec = int64(binary.BigEndian.Uint32(p)), binary.BigEndian.Uint32(p[4:])
	case v.typ == 0xff && (len(p) == 4 || len(p) == 8 || len(p) == 12):
		var t time.Time
		if err := msgpack.Unmarshal(append([]byte{0xc7, byte(len(p)), 0xff}, p...), &t); err != nil {
			return "", false
		}
		if sec, nsec = t.Unix(), uint32(t.Nanosecond()); len(p) > 4 && binary.BigEndian.Uint32(p)>>2 != nsec && binary.BigEndian.Uint32(p) != nsec {
			return "", false // the library takes more nanoseconds than there are
		}
	default:
		return "", false
	}
	if nsec >= 1e9 {
		return "", false
	}
	if sec >= 0 {
		return fmt.Sprintf("%d.%09d", sec, nsec), true
	}
	if nsec == 0 {
		return fmt.Sprintf("%d.000000000", sec), true
	}
	return fmt.Sprintf("-%d.%09d", uint64(-(sec + 1)), 1000000000-nsec), true
}

// keyText is the value as a key; floats are compared as they are written.
func (v *value) keyText(o tokenOptions) string {
	switch v.class {
	case classString, classBinary:
		return o.key(v.text)
	case classArray:
		return o.key(`["in\"a.key",7]`)
	case classNil:
		return "null"
	case classFloat:
		bits := 32
		if v.wide {
			bits = 64
		}
		text, ok := appendFloat(nil, v.float, bits)
		if !ok {
			return "null"
		}
		return o.key(string(text))
	case classExt:
		if t, ok := v.time(); ok {
			return o.key(t)
		}
		return o.key(v.ext())
	}
	return o.key(fmt.Sprint(v.tokens(o)[0]))
}

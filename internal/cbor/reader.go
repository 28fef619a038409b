// SPDX-License-Identifier: Apache-2.0

package cbor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// Kind is what an item is.
type Kind byte

// The kinds there are. None means that there is no item.
const (
	None Kind = iota
	Int
	Bytes
	Text
	Array
	Map
	Date
	Float
	Bool
	Null
)

// maxDepth bounds nesting; the API has six levels.
const maxDepth = 64

// Reader reads items from the first to the last. After the first error it reads nothing
// more, and Err returns it.
type Reader struct {
	b     []byte
	i     int
	depth int // of Skip
	err   error
}

// NewReader returns a reader of b.
func NewReader(b []byte) Reader { return Reader{b: b} }

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

// End returns the first error, or that there is more to read.
func (r *Reader) End() error {
	if r.err == nil && r.i < len(r.b) {
		r.fail("unexpected bytes behind the end")
	}
	return r.err
}

// Fail makes what was read an error, of which Err says the text and the place.
func (r *Reader) Fail(text string) { r.fail("%s", text) }

func (r *Reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("cbor: "+format+" at byte %d", append(args, r.i)...)
		r.i = len(r.b)
	}
}

var errEnd = errors.New("cbor: the input ends in the middle of an item")

func (r *Reader) failEnd() {
	if r.err == nil {
		r.err, r.i = errEnd, len(r.b)
	}
}

// Rest returns what is not read yet. It is part of the input.
func (r *Reader) Rest() []byte { return r.b[r.i:] }

// Advance takes the next n bytes of Rest as read. They must be whole items.
func (r *Reader) Advance(n int) { r.i += n }

// Next tells what comes next, without reading it.
func (r *Reader) Next() Kind {
	if r.i >= len(r.b) {
		return None
	}
	h := r.b[r.i]
	switch h & majorMask {
	case majorUint, majorNegInt:
		return Int
	case majorBytes:
		return Bytes
	case majorText:
		return Text
	case majorArray:
		return Array
	case majorMap:
		return Map
	case majorTag:
		return Date
	}
	switch h {
	case simpleFalse, simpleTrue:
		return Bool
	case simpleNull, simpleUndefined:
		return Null
	case simpleFloat16, simpleFloat32, simpleFloat64:
		return Float
	}
	return None
}

// head reads a head of a major type. Without a length (open) more says when it is over.
func (r *Reader) head(major byte) (n uint64, open bool) {
	if r.i >= len(r.b) {
		r.failEnd()
		return 0, false
	}
	h := r.b[r.i]
	if h&majorMask != major {
		r.fail("unexpected item; got major type %d; want %d", h>>5, major>>5)
		return 0, false
	}
	minor := h & minorMask
	size := 0
	switch {
	case minor < 24:
		r.i++
		return uint64(minor), false
	case minor <= 27:
		size = 1 << (minor - 24)
	case minor == indefinite && major != majorUint && major != majorNegInt && major != majorTag:
		r.i++
		return 0, true
	default:
		r.fail("unexpected head %#x", h)
		return 0, false
	}
	if len(r.b)-r.i <= size {
		r.failEnd()
		return 0, false
	}
	p := r.b[r.i+1:]
	r.i += 1 + size
	switch size {
	case 1:
		return uint64(p[0]), false
	case 2:
		return uint64(binary.BigEndian.Uint16(p)), false
	case 4:
		return uint64(binary.BigEndian.Uint32(p)), false
	}
	return binary.BigEndian.Uint64(p), false
}

// Length counts the items of an array, or the pairs of a map.
type Length struct {
	left uint64
	open bool // until a break
}

// Array reads the head of an array.
func (r *Reader) Array() Length { return r.length(majorArray, 1) }

// Map reads the head of a map. Each pair is a text and an item.
func (r *Reader) Map() Length { return r.length(majorMap, 2) }

func (r *Reader) length(major byte, items uint64) Length {
	n, open := r.head(major)
	if n > uint64(len(r.b)-r.i)/items { // each item takes a byte, so that what follows may trust n
		r.failEnd()
		return Length{}
	}
	return Length{n, open}
}

// Len is how many there are, if the input says so.
func (l Length) Len() int { return int(l.left) }

// More reports whether there is another item or pair, and counts it. After an error there
// is none.
func (r *Reader) More(l *Length) bool {
	switch {
	case r.err != nil:
		return false
	case l.open:
		if r.i >= len(r.b) {
			r.failEnd()
			return false
		}
		if r.b[r.i] == breakMark {
			r.i++
			return false
		}
		return true
	case l.left == 0:
		return false
	}
	l.left--
	return true
}

// Text reads a text. What it returns is part of the input, unless the text is in pieces.
func (r *Reader) Text() []byte { return r.chunks(majorText) }

// Bytes reads bytes, like Text.
func (r *Reader) Bytes() []byte { return r.chunks(majorBytes) }

func (r *Reader) chunks(major byte) []byte {
	n, open := r.head(major)
	if !open {
		return r.take(n)
	}
	all := []byte{}
	for {
		if r.i >= len(r.b) {
			r.failEnd()
			return nil
		}
		if r.b[r.i] == breakMark {
			r.i++
			return all
		}
		n, open := r.head(major)
		if open {
			r.fail("pieces in a piece")
			return nil
		}
		all = append(all, r.take(n)...)
	}
}

func (r *Reader) take(n uint64) []byte {
	if n > uint64(len(r.b)-r.i) {
		r.failEnd()
		return nil
	}
	p := r.b[r.i : r.i+int(n) : r.i+int(n)]
	r.i += int(n)
	return p
}

// Int reads an integer, also one that is written as a floating-point number.
func (r *Reader) Int() int64 {
	if r.Next() == Float {
		f := r.Float()
		if f != math.Trunc(f) || f < math.MinInt64 || f >= math.MaxInt64 {
			r.fail("%v is not an integer", f)
			return 0
		}
		return int64(f)
	}
	if r.i < len(r.b) && r.b[r.i]&majorMask == majorNegInt {
		n, _ := r.head(majorNegInt)
		if n > math.MaxInt64 {
			r.fail("an integer is too small")
			return 0
		}
		return -1 - int64(n)
	}
	n, _ := r.head(majorUint)
	if n > math.MaxInt64 {
		r.fail("integer %d is too large", n)
		return 0
	}
	return int64(n)
}

// Float reads a number.
func (r *Reader) Float() float64 {
	if r.Next() == Int {
		return float64(r.Int())
	}
	if r.Next() != Float {
		r.fail("unexpected item; want a number")
		return 0
	}
	size := 1 << (r.b[r.i]&minorMask - 24)
	r.i++
	p := r.take(uint64(size))
	if r.err != nil {
		return 0
	}
	switch size {
	case 2:
		return float16(binary.BigEndian.Uint16(p))
	case 4:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(p)))
	}
	return math.Float64frombits(binary.BigEndian.Uint64(p))
}

func float16(h uint16) float64 {
	exp, frac := int(h>>10&31), float64(h&1023)
	f := 0.0
	switch exp {
	case 0:
		f = math.Ldexp(frac, -24)
	case 31:
		f = math.Inf(1)
		if frac != 0 {
			f = math.NaN()
		}
	default:
		f = math.Ldexp(1024+frac, exp-25)
	}
	if h&0x8000 != 0 {
		f = -f
	}
	return f
}

// Bool reads a boolean.
func (r *Reader) Bool() bool {
	if r.Next() != Bool {
		r.fail("unexpected item; want a boolean")
		return false
	}
	r.i++
	return r.b[r.i-1] == simpleTrue
}

// Null reads a null if it comes next.
func (r *Reader) Null() bool {
	if r.err != nil || r.Next() != Null {
		return false
	}
	r.i++
	return true
}

// leastMillis divides numbers that are milliseconds, as Kinesis has them, from those that
// are seconds, as kinesalite does: it is in 1973 as the first and in 5138 as the second.
const leastMillis = 1e11

// Time reads a date: a number with or without a tag. seconds tells that the number is one
// of seconds, which is not how Kinesis has it.
func (r *Reader) Time() (t time.Time, seconds bool) {
	if r.Next() == Date {
		if tag, _ := r.head(majorTag); r.err == nil && tag != tagEpoch {
			r.fail("unexpected tag; got %d; want %d", tag, tagEpoch)
		}
	}
	f := 0.0
	if r.Next() == Int {
		n := r.Int()
		if n >= leastMillis || r.err != nil {
			return time.UnixMilli(n).UTC(), false
		}
		f = float64(n)
	} else if f = r.Float(); f >= leastMillis {
		return time.UnixMilli(int64(min(f, math.MaxInt64/2))).UTC(), false
	}
	if math.IsNaN(f) || f < -leastMillis {
		r.fail("%v is not a date", f)
		return time.Time{}, false
	}
	return time.UnixMilli(int64(math.Round(f * 1000))).UTC(), true
}

// Skip reads an item, with all that is in it.
func (r *Reader) Skip() {
	if r.err != nil {
		return
	}
	if r.depth++; r.depth > maxDepth {
		r.fail("more than %d levels", maxDepth)
	}
	defer func() { r.depth-- }()
	switch r.Next() {
	case Int:
		r.head(r.b[r.i] & majorMask)
	case Bytes, Text:
		r.chunks(r.b[r.i] & majorMask)
	case Array:
		for l := r.Array(); r.More(&l); {
			r.Skip()
		}
	case Map:
		for l := r.Map(); r.More(&l); {
			r.Skip()
			r.Skip()
		}
	case Date:
		r.head(majorTag)
		r.Skip()
	case Float:
		r.Float()
	case Bool, Null:
		r.i++
	default:
		if r.i >= len(r.b) {
			r.failEnd()
			return
		}
		r.fail("unexpected head %#x", r.b[r.i])
	}
}

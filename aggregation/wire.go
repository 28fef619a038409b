// SPDX-License-Identifier: Apache-2.0

package aggregation

import "math"

// Protobuf wire types. Groups have been deprecated since proto2 and no writer of this
// format uses them, but the Kinesis Client Library skips them like all that it does not
// know.
// Source: https://protobuf.dev/programming-guides/encoding/ (checked 2026-11-24).
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireGroup   = 3
	wireEnd     = 4
	wireFixed32 = 5
)

// maxGroups is how many groups may lie inside each other, as in Java.
const maxGroups = 100

const maxFieldNumber = 1<<29 - 1

// wireReader walks the fields of one protobuf message:
//
//	for r := (wireReader{rest: msg}); r.next(); {
//		switch r.tag() { ... }
//	}
//
// next returns false at the end of the message and at the first error; the two
// are told apart by bad.
type wireReader struct {
	rest []byte
	bad  bool

	field uint64
	wire  uint64
	value uint64 // of a varint field
	bytes []byte // of a length-delimited field, a view of the input
}

// next reads one field. Fixed-size values are skipped: the format has none.
func (r *wireReader) next() bool {
	if len(r.rest) == 0 || r.bad {
		return false
	}
	tag := r.varint()
	r.field, r.wire = tag>>3, tag&7
	if r.bad || r.field == 0 || r.field > maxFieldNumber {
		return r.fail()
	}
	switch r.wire {
	case wireVarint:
		r.value = r.varint()
	case wireBytes:
		r.bytes = r.take(r.varint())
	case wireFixed64:
		r.take(8)
	case wireFixed32:
		r.take(4)
	case wireGroup:
		r.skipGroup(r.field)
	default:
		return r.fail()
	}
	return !r.bad
}

// skipGroup steps over the fields of a group and its end.
func (r *wireReader) skipGroup(field uint64) {
	open := append(make([]uint64, 0, maxGroups), field) // their field numbers
	for len(open) > 0 && !r.bad {
		tag := r.varint()
		n, wire := tag>>3, tag&7
		switch {
		case r.bad || n == 0 || n > maxFieldNumber:
			r.bad = true
		case wire == wireVarint:
			r.varint()
		case wire == wireBytes:
			r.take(r.varint())
		case wire == wireFixed64:
			r.take(8)
		case wire == wireFixed32:
			r.take(4)
		case wire == wireGroup && len(open) < maxGroups:
			open = append(open, n)
		case wire == wireEnd && n == open[len(open)-1]:
			open = open[:len(open)-1]
		default:
			r.bad = true
		}
	}
}

// tag returns field number and wire type as one number. A known field with an
// unexpected wire type thus counts as unknown, as in the official parsers.
func (r *wireReader) tag() uint64 { return r.field<<3 | r.wire }

func (r *wireReader) fail() bool {
	r.bad = true
	return false
}

// varint reads up to ten bytes. Longer forms than needed are valid protobuf;
// more than 64 bits are not.
func (r *wireReader) varint() uint64 {
	var v uint64
	for i, c := range r.rest {
		if i == 9 && c > 1 {
			break
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.rest = r.rest[i+1:]
			return v
		}
	}
	r.bad = true
	return 0
}

func (r *wireReader) take(n uint64) []byte {
	if r.bad || n > math.MaxInt || int(n) > len(r.rest) {
		r.bad = true
		return nil
	}
	// The capacity ends with the field, so that an append by the consumer cannot
	// overwrite its neighbour.
	v := r.rest[:n:n]
	r.rest = r.rest[n:]
	return v
}

// SPDX-License-Identifier: Apache-2.0

package body

import (
	"encoding/base64"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/outkpl/outkpl/internal/event"
)

// appendProtoPair appends a KeyValue as a member of an object.
func (s *splitter) appendProtoPair(dst, b []byte, depth int, names *event.Names) ([]byte, *Error) {
	var key []byte
	var value message
	m := fields{b: b, want: wirePair}
	for f := (wire{}); m.next(&f); {
		switch {
		case f.is(1, protowire.BytesType):
			key = f.b
		case f.is(2, protowire.BytesType):
			value.add(f.b)
		}
	}
	if m.broken {
		return dst, s.fieldsFailed(&m)
	}
	if err := s.protoText(key); err != nil {
		return dst, err
	}
	name := len(dst)
	dst = appendString(dst, key)
	names.Add(dst[name:])
	return s.appendProtoValue(append(dst, ':'), value.b, depth)
}

// oneof describes the members of a protobuf oneof by number: their wire types, and
// which of them are messages.
type oneof []struct {
	known, message bool
	typ            protowire.Type
}

// find returns the member that is set, which is the last one. If it is a message that
// came in pieces, inner has all of them. m is where reading ended.
func (o oneof) find(b []byte, want *wireTypes) (v wire, inner message, m fields) {
	m = fields{b: b, want: want}
	for f := (wire{}); m.next(&f); {
		if int(f.num) >= len(o) || !o[f.num].known || !f.is(f.num, o[f.num].typ) {
			continue
		}
		if o[f.num].message {
			if v.num != f.num {
				inner = message{}
			}
			inner.add(f.b)
		}
		v = f
	}
	return v, inner, m
}

// otlpValue is the oneof of AnyValue.
var otlpValue = oneof{
	1: {known: true, typ: protowire.BytesType},
	2: {known: true, typ: protowire.VarintType},
	3: {known: true, typ: protowire.VarintType},
	4: {known: true, typ: protowire.Fixed64Type},
	5: {known: true, typ: protowire.BytesType, message: true},
	6: {known: true, typ: protowire.BytesType, message: true},
	7: {known: true, typ: protowire.BytesType},
	8: {known: true, typ: protowire.VarintType},
}

// appendProtoValue appends an AnyValue. A value that is not set is null.
func (s *splitter) appendProtoValue(dst, b []byte, depth int) ([]byte, *Error) {
	if depth > s.opt.Limits.Depth {
		return dst, s.protoFailed(b, wrongNesting)
	}
	v, list, m := otlpValue.find(b, wireValue)
	if m.broken {
		return dst, s.fieldsFailed(&m)
	}
	switch v.num {
	case 1:
		if err := s.protoText(v.b); err != nil {
			return dst, err
		}
		return appendString(dst, v.b), nil
	case 2:
		return strconv.AppendBool(dst, v.bits != 0), nil
	case 3:
		return strconv.AppendInt(dst, int64(v.bits), 10), nil
	case 4:
		return appendDouble(dst, math.Float64frombits(v.bits)), nil
	case 5:
		return s.appendProtoList(append(dst, '['), list.b, ']', depth+1)
	case 6:
		return s.appendProtoList(append(dst, '{'), list.b, '}', depth+1)
	case 7:
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v.b), '"'), nil
	}
	return append(dst, "null"...), nil
}

// appendProtoList appends the elements of an ArrayValue or KeyValueList behind the bracket
// that dst ends with.
func (s *splitter) appendProtoList(dst, b []byte, closing byte, depth int) ([]byte, *Error) {
	start := len(dst) - 1
	var names event.Names
	dst, err := s.appendEach(dst, b, wireList, wrongProto, func(dst, one []byte) ([]byte, *Error) {
		if closing == ']' {
			return s.appendProtoValue(dst, one, depth)
		}
		return s.appendProtoPair(dst, one, depth, &names)
	})
	if err != nil {
		return dst, err
	}
	return names.End(append(dst, closing), start), nil
}

// appendEach appends the messages in the repeated field 1 of b, with commas between.
func (s *splitter) appendEach(dst, b []byte, want *wireTypes, broken string, one func(dst, b []byte) ([]byte, *Error)) ([]byte, *Error) {
	first := true
	m := fields{b: b, want: want}
	for f := (wire{}); m.next(&f); {
		if !f.is(1, protowire.BytesType) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		var err *Error
		if dst, err = one(dst, f.b); err != nil {
			return dst, err
		}
	}
	if m.wrong {
		broken = wrongWire
	}
	if m.broken {
		return dst, s.protoFailed(m.b, broken)
	}
	return dst, nil
}

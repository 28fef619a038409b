// SPDX-License-Identifier: Apache-2.0

package body

import (
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/outkpl/outkpl/internal/event"
)

// The messages of Vector's own protocol, read in place as those of OTLP. Field numbers
// are those of Vector 0.58 (https://github.com/vectordotdev/vector,
// lib/vector-core/proto/event.proto and proto/vector/vector.proto at c3445d42d2,
// checked 2026-11-24); vector/internal/vectorpb has them as a schema.

const (
	wrongVector  = "Vector: not protobuf"
	wrongKind    = "Vector: an event of an unknown kind"
	wrongTooDeep = "Vector: too many nested values"
)

// vector reads a PushEventsRequest.
func (s *splitter) vector() *Error {
	s.data = slices.Clip(s.data)
	m := fields{b: s.data}
	for f := (wire{}); m.next(&f); {
		if !f.is(1, protowire.BytesType) {
			continue
		}
		if err := s.vectorEvent(f.b); err != nil {
			if err := s.badMessage(f.b, err); err != nil {
				return err
			}
		}
	}
	if m.broken {
		return s.protoFailed(m.b, wrongVector)
	}
	return nil
}

// vectorEvent reads an EventWrapper.
func (s *splitter) vectorEvent(b []byte) *Error {
	var inner message
	var kind protowire.Number
	m := fields{b: b}
	for f := (wire{}); m.next(&f); {
		if f.num < 1 || f.num > 3 || f.typ != protowire.BytesType {
			continue
		}
		if f.num != kind { // the last one counts
			inner = message{}
		}
		kind = f.num
		inner.add(f.b)
	}
	if m.broken {
		return s.protoFailed(m.b, wrongVector)
	}
	dst := s.opt.Arena.begin(2*len(inner.b) + 64)
	var err *Error
	k := EventJSON
	switch kind {
	case 1:
		dst, err = s.appendLog(dst, inner.b)
	case 2:
		k = EventMetric
		dst, err = s.appendMetric(dst, inner.b)
	case 3:
		k = EventTrace
		dst, err = s.appendFields(dst, inner.b, 1)
	default:
		return s.protoFailed(b, wrongKind)
	}
	if err != nil {
		return err
	}
	return s.converted(dst, k, s.place(b))
}

// appendLog appends a Log. Vector puts an object into fields and anything else into
// value, beside a field that means nothing.
func (s *splitter) appendLog(dst, b []byte) ([]byte, *Error) {
	var value message
	has := false
	m := fields{b: b}
	for f := (wire{}); m.next(&f); {
		if f.is(2, protowire.BytesType) {
			value.add(f.b)
			has = true
		}
	}
	if m.broken {
		return dst, s.protoFailed(m.b, wrongVector)
	}
	if has {
		return s.appendVectorValue(dst, value.b, 1)
	}
	return s.appendFields(dst, b, 1)
}

// appendFields appends the map in field 1 of a message, in the order of the wire, which
// Vector sorts.
func (s *splitter) appendFields(dst, b []byte, depth int) ([]byte, *Error) {
	if depth > s.opt.Limits.Depth {
		return dst, s.protoFailed(b, wrongTooDeep)
	}
	start := len(dst)
	var names event.Names
	dst, err := s.appendEach(append(dst, '{'), b, nil, wrongVector, func(dst, one []byte) ([]byte, *Error) {
		key, value, err := s.entry(one)
		if err != nil {
			return dst, err
		}
		name := len(dst)
		dst = appendVectorText(dst, key)
		names.Add(dst[name:])
		return s.appendVectorValue(append(dst, ':'), value, depth+1)
	})
	if err != nil {
		return dst, err
	}
	return names.End(append(dst, '}'), start), nil
}

// entry reads an entry of a map whose values are messages or texts.
func (s *splitter) entry(b []byte) (key, value []byte, err *Error) {
	var v message
	m := fields{b: b}
	for f := (wire{}); m.next(&f); {
		switch {
		case f.is(1, protowire.BytesType):
			key = f.b
		case f.is(2, protowire.BytesType):
			v.add(f.b)
		}
	}
	if m.broken {
		return nil, nil, s.protoFailed(m.b, wrongVector)
	}
	return key, v.b, s.protoText(key)
}

// vectorValue is the oneof of Value.
var vectorValue = oneof{
	1: {known: true, typ: protowire.BytesType},
	2: {known: true, typ: protowire.BytesType, message: true},
	4: {known: true, typ: protowire.VarintType},
	5: {known: true, typ: protowire.Fixed64Type},
	6: {known: true, typ: protowire.VarintType},
	7: {known: true, typ: protowire.BytesType, message: true},
	8: {known: true, typ: protowire.BytesType, message: true},
	9: {known: true, typ: protowire.VarintType},
}

// appendVectorValue appends a Value. One that is not set, or of a kind that is not
// known, is null.
func (s *splitter) appendVectorValue(dst, b []byte, depth int) ([]byte, *Error) {
	if depth > s.opt.Limits.Depth {
		return dst, s.protoFailed(b, wrongTooDeep)
	}
	v, inner, m := vectorValue.find(b, nil)
	if m.broken {
		return dst, s.protoFailed(m.b, wrongVector)
	}
	switch v.num {
	case 1:
		if err := s.protoText(v.b); err != nil {
			return dst, err
		}
		return appendVectorText(dst, v.b), nil
	case 2:
		return s.appendTimestamp(dst, inner.b)
	case 4:
		return strconv.AppendInt(dst, int64(v.bits), 10), nil
	case 5:
		return appendDouble(dst, math.Float64frombits(v.bits)), nil
	case 6:
		return strconv.AppendBool(dst, v.bits != 0), nil
	case 7:
		return s.appendFields(dst, inner.b, depth)
	case 8:
		return s.appendItems(dst, inner.b, depth+1)
	}
	return append(dst, "null"...), nil
}

// appendItems appends a ValueArray.
func (s *splitter) appendItems(dst, b []byte, depth int) ([]byte, *Error) {
	dst, err := s.appendEach(append(dst, '['), b, nil, wrongVector, func(dst, one []byte) ([]byte, *Error) {
		return s.appendVectorValue(dst, one, depth)
	})
	if err != nil {
		return dst, err
	}
	return append(dst, ']'), nil
}

// appendTimestamp appends a google.protobuf.Timestamp as Vector writes times in JSON:
// RFC 3339 in UTC with as many of 0, 3, 6 or 9 decimals as it takes.
func (s *splitter) appendTimestamp(dst, b []byte) ([]byte, *Error) {
	var seconds, nanos int64
	m := fields{b: b}
	for f := (wire{}); m.next(&f); {
		switch {
		case f.is(1, protowire.VarintType):
			seconds = int64(f.bits)
		case f.is(2, protowire.VarintType):
			nanos = int64(int32(f.bits))
		}
	}
	if m.broken {
		return dst, s.protoFailed(m.b, wrongVector)
	}
	layout := `"2006-01-02T15:04:05.000000000Z"`
	switch {
	case nanos == 0:
		layout = `"2006-01-02T15:04:05Z"`
	case nanos%1e6 == 0:
		layout = `"2006-01-02T15:04:05.000Z"`
	case nanos%1e3 == 0:
		layout = `"2006-01-02T15:04:05.000000Z"`
	}
	return time.Unix(seconds, nanos).UTC().AppendFormat(dst, layout), nil
}

// appendVectorText appends text as Vector's codec json does, so that an event is the same
// whichever of its sinks it comes from.
func appendVectorText(dst, text []byte) []byte {
	if !utf8.Valid(text) {
		text = appendLossy(nil, text)
	}
	return event.AppendQuoted(dst, text)
}

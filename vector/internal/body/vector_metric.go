// SPDX-License-Identifier: Apache-2.0

package body

import (
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/outkpl/outkpl/internal/event"
)

// metricMember is how a field of a metric's value becomes a member of its JSON.
type metricMember struct {
	num  protowire.Number
	name string
	form metricForm
	of   []metricMember // of formList
}

type metricForm uint8

const (
	formDouble metricForm = iota
	formUint
	formTexts     // repeated string
	formStatistic // enum
	formList      // repeated message
	formSints     // repeated sint32, packed or not
	formUints     // repeated uint32, packed or not
	formMessage   // message
)

// metricValue is one of the kinds of values. The names and their order are those of
// Vector's JSON encoding.
type metricValue struct {
	num     protowire.Number
	name    string
	members []metricMember
}

// metricValues lists the kinds that Vector sends. It wrote others before 0.20.
var metricValues = [...]metricValue{
	{5, "counter", []metricMember{{num: 1, name: "value"}}},
	{6, "gauge", []metricMember{{num: 1, name: "value"}}},
	{7, "set", []metricMember{{num: 1, name: "values", form: formTexts}}},
	{12, "distribution", []metricMember{
		{num: 1, name: "samples", form: formList, of: []metricMember{{num: 1, name: "value"}, {num: 2, name: "rate", form: formUint}}},
		{num: 2, name: "statistic", form: formStatistic},
	}},
	{13, "aggregated_histogram", histogramMembers[:]},
	{16, "aggregated_histogram", histogramMembers[:]},
	{14, "aggregated_summary", summaryMembers[:]},
	{17, "aggregated_summary", summaryMembers[:]},
	{15, "sketch", []metricMember{{num: 1, name: "agent_dd_sketch", form: formMessage, of: []metricMember{
		{num: 1, name: "count", form: formUint},
		{num: 2, name: "min"},
		{num: 3, name: "max"},
		{num: 4, name: "sum"},
		{num: 5, name: "avg"},
		{num: 6, name: "k", form: formSints},
		{num: 7, name: "n", form: formUints},
	}}}},
}

var histogramMembers = [...]metricMember{
	{num: 1, name: "buckets", form: formList, of: []metricMember{{num: 1, name: "upper_limit"}, {num: 2, name: "count", form: formUint}}},
	{num: 2, name: "count", form: formUint},
	{num: 3, name: "sum"},
}

var summaryMembers = [...]metricMember{
	{num: 1, name: "quantiles", form: formList, of: []metricMember{{num: 1, name: "quantile"}, {num: 2, name: "value"}}},
	{num: 2, name: "count", form: formUint},
	{num: 3, name: "sum"},
}

// appendMetric appends a Metric.
func (s *splitter) appendMetric(dst, b []byte) ([]byte, *Error) {
	var name, namespace []byte
	var stamp, value message
	var absolute bool
	var interval uint64
	var kind *metricValue
	tags := 0
	m := fields{b: b}
	for f := (wire{}); m.next(&f); {
		switch {
		case f.is(1, protowire.BytesType):
			name = f.b
		case f.is(2, protowire.BytesType):
			stamp.add(f.b)
		case f.is(3, protowire.BytesType):
			tags++
		case f.is(4, protowire.VarintType):
			absolute = f.bits == 1
		case f.is(11, protowire.BytesType):
			namespace = f.b
		case f.is(18, protowire.VarintType):
			interval = uint64(uint32(f.bits))
		case f.typ == protowire.BytesType:
			for i := range metricValues {
				if metricValues[i].num != f.num {
					continue
				}
				if kind != &metricValues[i] {
					kind, value = &metricValues[i], message{}
				}
				value.add(f.b)
			}
		}
	}
	if m.broken {
		return dst, s.protoFailed(m.b, wrongVector)
	}
	if kind == nil {
		return dst, s.protoFailed(b, wrongKind)
	}
	for _, text := range [][]byte{name, namespace} {
		if err := s.protoText(text); err != nil {
			return dst, err
		}
	}
	var err *Error
	dst = appendVectorText(append(dst, `{"name":`...), name)
	if len(namespace) > 0 {
		dst = appendVectorText(append(dst, `,"namespace":`...), namespace)
	}
	if tags > 0 {
		if dst, err = s.appendTags(append(dst, `,"tags":`...), b); err != nil {
			return dst, err
		}
	}
	if stamp.b != nil {
		if dst, err = s.appendTimestamp(append(dst, `,"timestamp":`...), stamp.b); err != nil {
			return dst, err
		}
	}
	if interval > 0 {
		dst = strconv.AppendUint(append(dst, `,"interval_ms":`...), interval, 10)
	}
	if absolute {
		dst = append(dst, `,"kind":"absolute","`...)
	} else {
		dst = append(dst, `,"kind":"incremental","`...)
	}
	dst = append(append(dst, kind.name...), `":`...)
	if dst, err = s.appendMembers(dst, value.b, kind.members); err != nil {
		return dst, err
	}
	return append(dst, '}'), nil
}

// appendTags appends tags_v1, which has one value of each tag, as Vector's JSON has.
func (s *splitter) appendTags(dst, b []byte) ([]byte, *Error) {
	start := len(dst)
	dst = append(dst, '{')
	var names event.Names
	m := fields{b: b}
	for f := (wire{}); m.next(&f); {
		if !f.is(3, protowire.BytesType) {
			continue
		}
		key, value, err := s.entry(f.b)
		if err == nil {
			err = s.protoText(value)
		}
		if err != nil {
			return dst, err
		}
		if len(dst) > start+1 {
			dst = append(dst, ',')
		}
		name := len(dst)
		dst = appendVectorText(dst, key)
		names.Add(dst[name:])
		dst = appendVectorText(append(dst, ':'), value)
	}
	return names.End(append(dst, '}'), start), nil // appendMetric has walked it already
}

// appendMembers appends a message as an object with all members, in their order. Those
// that are not on the wire are 0 or empty.
func (s *splitter) appendMembers(dst, b []byte, members []metricMember) ([]byte, *Error) {
	dst = append(dst, '{')
	for i := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), members[i].name...), `":`...)
		var err *Error
		if dst, err = s.appendMember(dst, b, &members[i]); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// appendMember finds the field of one member; messages of metrics have few fields, so
// that looking through them for each costs little.
func (s *splitter) appendMember(dst, b []byte, member *metricMember) ([]byte, *Error) {
	var last wire
	var inner message
	list := member.form == formTexts || member.form == formList || member.form == formSints || member.form == formUints
	if list {
		dst = append(dst, '[')
	}
	n := 0
	comma := func() {
		if n++; n > 1 {
			dst = append(dst, ',')
		}
	}
	number := func(v uint64) {
		comma()
		if member.form == formSints {
			dst = strconv.AppendInt(dst, int64(int32(protowire.DecodeZigZag(v&math.MaxUint32))), 10)
			return
		}
		dst = strconv.AppendUint(dst, v&math.MaxUint32, 10)
	}
	m := fields{b: b}
	for f := (wire{}); m.next(&f); {
		if f.num != member.num {
			continue
		}
		last = f
		var err *Error
		switch {
		case member.form == formTexts && f.typ == protowire.BytesType:
			if err = s.protoText(f.b); err == nil {
				comma()
				dst = appendVectorText(dst, f.b)
			}
		case member.form == formList && f.typ == protowire.BytesType:
			comma()
			dst, err = s.appendMembers(dst, f.b, member.of)
		case member.form == formMessage && f.typ == protowire.BytesType:
			inner.add(f.b)
		case list && f.typ == protowire.VarintType:
			number(f.bits)
		case list && f.typ == protowire.BytesType: // packed
			for rest := f.b; len(rest) > 0; {
				v, size := protowire.ConsumeVarint(rest)
				if size < 0 {
					return dst, s.protoFailed(f.b, wrongVector)
				}
				number(v)
				rest = rest[size:]
			}
		}
		if err != nil {
			return dst, err
		}
	}
	if m.broken {
		return dst, s.protoFailed(m.b, wrongVector)
	}
	switch member.form {
	case formDouble:
		if last.typ != protowire.Fixed64Type {
			last.bits = 0
		}
		return appendDouble(dst, math.Float64frombits(last.bits)), nil
	case formUint:
		return strconv.AppendUint(dst, last.bits, 10), nil
	case formStatistic:
		if last.bits == 1 {
			return append(dst, `"summary"`...), nil
		}
		return append(dst, `"histogram"`...), nil
	case formMessage:
		return s.appendMembers(dst, inner.b, member.of)
	default: // lists
	}
	return append(dst, ']'), nil
}

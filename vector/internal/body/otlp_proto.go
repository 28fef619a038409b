// SPDX-License-Identifier: Apache-2.0

package body

import (
	"encoding/hex"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/outkpl/outkpl/internal/event"
)

// The protobuf messages are read in place, without the generated types: those make
// about a hundred bytes of memory out of each two of a body of empty records.
// Field numbers are those of opentelemetry-proto v1.11
// (https://github.com/open-telemetry/opentelemetry-proto, checked 2026-11-24).
// A field that occurs again and unknown fields mean what protobuf says: the last one
// counts, messages are merged, the rest is skipped. A known field of OTLP with another wire
// type is refused, as the OpenTelemetry collector does: it is another signal.

// wire is one field of a message.
type wire struct {
	num  protowire.Number
	typ  protowire.Type
	bits uint64 // of a number
	b    []byte // of a string or message
}

// is says whether the field is the one with this number and type.
func (f *wire) is(num protowire.Number, typ protowire.Type) bool { return f.num == num && f.typ == typ }

// wireTypes are the wire types that the fields of a message have, plus one; 0: any.
type wireTypes [16]protowire.Type

const (
	wireVarint  = protowire.VarintType + 1
	wireFixed32 = protowire.Fixed32Type + 1
	wireFixed64 = protowire.Fixed64Type + 1
	wireBytes   = protowire.BytesType + 1
)

// The messages of OTLP.
var (
	wireRequest  = &wireTypes{1: wireBytes}
	wireResLogs  = &wireTypes{1: wireBytes, 2: wireBytes, 3: wireBytes}
	wireResource = &wireTypes{1: wireBytes, 2: wireVarint, 3: wireBytes}
	wireScope    = &wireTypes{1: wireBytes, 2: wireBytes, 3: wireBytes, 4: wireVarint}
	wireRecord   = &wireTypes{
		1: wireFixed64, 2: wireVarint, 3: wireBytes, 5: wireBytes, 6: wireBytes, 7: wireVarint, 8: wireFixed32,
		9: wireBytes, 10: wireBytes, 11: wireFixed64, 12: wireBytes,
	}
	wirePair  = &wireTypes{1: wireBytes, 2: wireBytes}
	wireValue = &wireTypes{1: wireBytes, 2: wireVarint, 3: wireVarint, 4: wireFixed64, 5: wireBytes, 6: wireBytes, 7: wireBytes, 8: wireVarint}
	wireList  = &wireTypes{1: wireBytes}
)

// fields walks over the fields of a message.
type fields struct {
	b      []byte
	want   *wireTypes // nil: any
	broken bool
	wrong  bool // what is broken is the wire type of a known field
}

func (m *fields) next(f *wire) bool {
	if len(m.b) == 0 {
		return false
	}
	num, typ, n := protowire.ConsumeTag(m.b)
	if n < 0 || num > protowire.MaxValidNumber {
		m.broken = true
		return false
	}
	if m.want != nil && num < protowire.Number(len(m.want)) {
		if want := m.want[num]; want != 0 && want != typ+1 {
			m.broken, m.wrong = true, true
			return false
		}
	}
	f.num, f.typ, f.b = num, typ, nil
	rest := m.b[n:]
	switch typ {
	case protowire.VarintType:
		f.bits, n = protowire.ConsumeVarint(rest)
	case protowire.Fixed32Type:
		var v uint32
		v, n = protowire.ConsumeFixed32(rest)
		f.bits = uint64(v)
	case protowire.Fixed64Type:
		f.bits, n = protowire.ConsumeFixed64(rest)
	case protowire.BytesType:
		f.b, n = protowire.ConsumeBytes(rest)
	default:
		n = protowire.ConsumeFieldValue(num, typ, rest)
	}
	if n < 0 {
		m.broken = true
		return false
	}
	m.b = rest[n:]
	return true
}

// message is the bytes of a message. If it occurs more than once, the bytes of all
// occurrences one after the other are the merged message.
type message struct {
	b      []byte
	merged bool // b is memory of its own
}

func (m *message) add(more []byte) {
	switch {
	case len(m.b) == 0:
		m.b, m.merged = more, false
	case m.merged:
		m.b = append(m.b, more...)
	default:
		m.b, m.merged = append(slices.Clip(m.b), more...), true
	}
}

// protoFailed makes an error; b is what was being read and tells the place.
func (s *splitter) protoFailed(b []byte, detail string) *Error {
	return s.fail(KindMalformed, s.place(b), detail)
}

// fieldsFailed is protoFailed for a message of OTLP of which m has read a part.
func (s *splitter) fieldsFailed(m *fields) *Error {
	if m.wrong {
		return s.protoFailed(m.b, wrongWire)
	}
	return s.protoFailed(m.b, wrongProto)
}

// place is where b begins in the body. Nothing clips the capacity of slices of the
// body, except merging.
func (s *splitter) place(b []byte) int { return max(len(s.data)-cap(b), 0) }

func (s *splitter) otlpProto() *Error {
	s.data = slices.Clip(s.data)
	found := false
	m := fields{b: s.data, want: wireRequest}
	for f := (wire{}); m.next(&f); {
		if !f.is(1, protowire.BytesType) {
			continue
		}
		found = true
		if err := s.protoResourceLogs(f.b); err != nil {
			return err
		}
	}
	if m.broken {
		return s.fieldsFailed(&m)
	}
	if err := s.anotherSignal(); err != nil {
		return err
	}
	// Nothing is a legal request; only other things are probably another signal.
	if !found && len(s.data) > 0 {
		return s.fail(KindMalformed, 0, wrongRequest)
	}
	return nil
}

// anotherSignal is the error if there is no log record that can be read, but some with fields
// of other types: metrics and traces look so.
func (s *splitter) anotherSignal() *Error {
	if s.opt.Broken == nil {
		return nil
	}
	broken := (*s.opt.Broken)[s.brokenBefore:]
	if len(broken) < len(s.events)-s.before {
		return nil
	}
	for i := range broken {
		if broken[i].Detail == wrongWire {
			err := broken[i]
			return &err
		}
	}
	return nil
}

func (s *splitter) protoResourceLogs(b []byte) *Error {
	var resource message
	var info resourceInfo
	s.scratch = s.scratch[:0]
	m := fields{b: b, want: wireResLogs}
	for f := (wire{}); m.next(&f); {
		switch {
		case f.is(1, protowire.BytesType):
			resource.add(f.b)
		case f.is(3, protowire.BytesType):
			if err := s.protoString(&info.schema, f.b); err != nil {
				return err
			}
		}
	}
	if m.broken {
		return s.fieldsFailed(&m)
	}
	if err := s.protoAttributes(resource.b, wireResource, 1, 2, &info.attributes, &info.dropped); err != nil {
		return err
	}
	tail := s.piece(func(dst []byte) []byte { return s.appendResource(dst, &info) })
	m = fields{b: b, want: wireResLogs}
	for f := (wire{}); m.next(&f); {
		if !f.is(2, protowire.BytesType) {
			continue
		}
		if err := s.protoScopeLogs(f.b, tail); err != nil {
			return err
		}
	}
	return nil
}

func (s *splitter) protoScopeLogs(b, tail []byte) *Error {
	mark := len(s.scratch)
	defer func() { s.scratch = s.scratch[:mark] }()
	var scope message
	var info scopeInfo
	m := fields{b: b, want: wireResLogs}
	for f := (wire{}); m.next(&f); {
		switch {
		case f.is(1, protowire.BytesType):
			scope.add(f.b)
		case f.is(3, protowire.BytesType):
			if err := s.protoString(&info.schema, f.b); err != nil {
				return err
			}
		}
	}
	if m.broken {
		return s.fieldsFailed(&m)
	}
	m = fields{b: scope.b, want: wireScope}
	for f := (wire{}); m.next(&f); {
		var err *Error
		switch {
		case f.is(1, protowire.BytesType):
			err = s.protoString(&info.name, f.b)
		case f.is(2, protowire.BytesType):
			err = s.protoString(&info.version, f.b)
		}
		if err != nil {
			return err
		}
	}
	if err := s.protoAttributes(scope.b, wireScope, 3, 4, &info.attributes, &info.dropped); err != nil {
		return err
	}
	tail = s.piece(func(dst []byte) []byte { return s.appendScope(append(dst, tail...), &info) })
	inner := len(s.scratch)
	m = fields{b: b, want: wireResLogs}
	for f := (wire{}); m.next(&f); {
		if !f.is(2, protowire.BytesType) {
			continue
		}
		s.scratch = s.scratch[:inner]
		if err := s.protoRecord(f.b, tail); err != nil {
			// In bytes that were put together, the place is not of the body.
			at := s.place(f.b)
			err.Offset = min(max(err.Offset, at), at+len(f.b))
			if err := s.badMessage(f.b, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// piece appends to the scratch space and returns what was appended. It stays as it
// is when the scratch space moves.
func (s *splitter) piece(add func(dst []byte) []byte) []byte {
	n := len(s.scratch)
	s.scratch = add(s.scratch)
	return s.scratch[n:len(s.scratch):len(s.scratch)]
}

func (s *splitter) protoRecord(b, tail []byte) *Error {
	var r logRecord
	var body message
	hasBody := false
	m := fields{b: b, want: wireRecord}
	for f := (wire{}); m.next(&f); {
		var err *Error
		switch {
		case f.is(1, protowire.Fixed64Type):
			r.time = f.bits
		case f.is(2, protowire.VarintType):
			r.severity = int64(int32(f.bits))
		case f.is(3, protowire.BytesType):
			err = s.protoString(&r.severityText, f.b)
		case f.is(5, protowire.BytesType):
			body.add(f.b)
			hasBody = true
		case f.is(8, protowire.Fixed32Type):
			r.flags = f.bits
		case f.is(9, protowire.BytesType):
			r.traceID = s.hexID(f.b)
		case f.is(10, protowire.BytesType):
			r.spanID = s.hexID(f.b)
		case f.is(11, protowire.Fixed64Type):
			r.observed = f.bits
		case f.is(12, protowire.BytesType):
			err = s.protoString(&r.eventName, f.b)
		}
		if err != nil {
			return err
		}
	}
	if m.broken {
		return s.fieldsFailed(&m)
	}
	if err := s.protoAttributes(b, wireRecord, 6, 7, &r.attributes, &r.dropped); err != nil {
		return err
	}
	if hasBody {
		n := len(s.scratch)
		var err *Error
		if s.scratch, err = s.appendProtoValue(s.scratch, body.b, 1); err != nil {
			return err
		}
		r.body = s.scratch[n:len(s.scratch):len(s.scratch)]
	}
	return s.record(&r, tail, s.place(b))
}

// protoString makes a JSON string of text; empty text is no value.
func (s *splitter) protoString(into *[]byte, text []byte) *Error {
	*into = nil
	if len(text) == 0 {
		return nil
	}
	if err := s.protoText(text); err != nil {
		return err
	}
	n := len(s.scratch)
	s.scratch = appendString(s.scratch, text)
	*into = s.scratch[n:len(s.scratch):len(s.scratch)]
	return nil
}

func (s *splitter) protoText(text []byte) *Error {
	if s.opt.RejectInvalidUTF8 && !utf8.Valid(text) {
		return s.protoFailed(text, wrongText)
	}
	return nil
}

func (s *splitter) hexID(id []byte) []byte {
	if len(id) == 0 {
		return nil
	}
	n := len(s.scratch)
	s.scratch = append(hex.AppendEncode(append(s.scratch, '"'), id), '"')
	return s.scratch[n:len(s.scratch):len(s.scratch)]
}

// protoAttributes reads the attributes of a message, fields num, and their dropped
// count, field dropped.
func (s *splitter) protoAttributes(b []byte, want *wireTypes, num, dropped protowire.Number, into *[]byte, count *uint64) *Error {
	start := len(s.scratch)
	s.scratch = append(s.scratch, '{')
	var names event.Names
	m := fields{b: b, want: want}
	for f := (wire{}); m.next(&f); {
		switch {
		case f.is(dropped, protowire.VarintType):
			*count = uint64(uint32(f.bits))
		case f.is(num, protowire.BytesType):
			if len(s.scratch) > start+1 {
				s.scratch = append(s.scratch, ',')
			}
			var err *Error
			if s.scratch, err = s.appendProtoPair(s.scratch, f.b, 1, &names); err != nil {
				return err
			}
		}
	}
	if m.broken {
		return s.fieldsFailed(&m)
	}
	s.scratch = names.End(append(s.scratch, '}'), start)
	*into = s.scratch[start+1 : len(s.scratch)-1 : len(s.scratch)-1]
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"
)

// otlpJSON reads requests by the JSON form of OTLP. Beyond what the specification
// asks of a receiver, several requests are taken (Vector sends arrays of them), names
// with underscores, and enums by name.
func (s *splitter) otlpJSON() *Error {
	// The requests are found, checked and repaired as plain JSON is.
	opt := *s.opt
	opt.Wrapper, opt.KeepLayout, opt.UnquoteStrings, opt.AppendNewline = "", true, false, false
	requests := splitter{opt: &opt, data: s.data}
	if err := requests.json(); err != nil {
		err.Event = -1
		return err
	}
	for _, r := range requests.events {
		if r.Data[0] != '{' {
			return s.fail(KindMalformed, -1, wrongType)
		}
		found, empty := false, true
		for m := (members{b: r.Data, i: 1}); m.next(); empty = false {
			if !m.is("resourceLogs", "resource_logs") {
				continue
			}
			found = true
			if err := s.eachObject(m.raw(), s.jsonResourceLogs); err != nil {
				return err
			}
		}
		// A request of nothing is legal; one of other things is probably another
		// signal, which must not be thrown away in silence.
		if !found && !empty {
			return s.fail(KindMalformed, -1, wrongRequest)
		}
	}
	return nil
}

// is compares the key with both spellings of a name.
func (m *members) is(camel, snake string) bool {
	return sameText(m.key, camel) || sameText(m.key, snake)
}

// raw is the member's value.
func (m *members) raw() []byte { return m.b[m.value:m.end] }

func isNull(raw []byte) bool { return raw[0] == 'n' }

// eachObject calls use for the elements of an array, which must be objects.
func (s *splitter) eachObject(raw []byte, use func(object []byte) *Error) *Error {
	if isNull(raw) {
		return nil
	}
	if raw[0] != '[' {
		return s.fail(KindMalformed, -1, wrongType)
	}
	for m := (members{b: raw, i: 1, array: true}); m.next(); {
		if m.raw()[0] != '{' {
			return s.fail(KindMalformed, -1, wrongType)
		}
		if err := use(m.raw()); err != nil {
			return err
		}
	}
	return nil
}

func (s *splitter) jsonResourceLogs(b []byte) *Error {
	var info resourceInfo
	s.scratch = s.scratch[:0]
	for m := (members{b: b, i: 1}); m.next(); {
		var err *Error
		switch {
		case m.is("resource", "resource"):
			err = s.jsonObject(m.raw(), func(m *members) *Error {
				switch {
				case m.is("attributes", "attributes"):
					return s.jsonAttributes(&info.attributes, m.raw())
				case m.is("droppedAttributesCount", "dropped_attributes_count"):
					return s.jsonUint(&info.dropped, m.raw())
				}
				return nil
			})
		case m.is("schemaUrl", "schema_url"):
			err = s.jsonString(&info.schema, m.raw())
		}
		if err != nil {
			return err
		}
	}
	tail := s.piece(func(dst []byte) []byte { return s.appendResource(dst, &info) })
	for m := (members{b: b, i: 1}); m.next(); {
		if !m.is("scopeLogs", "scope_logs") {
			continue
		}
		if err := s.eachObject(m.raw(), func(b []byte) *Error { return s.jsonScopeLogs(b, tail) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *splitter) jsonScopeLogs(b, tail []byte) *Error {
	mark := len(s.scratch)
	defer func() { s.scratch = s.scratch[:mark] }()
	var info scopeInfo
	for m := (members{b: b, i: 1}); m.next(); {
		var err *Error
		switch {
		case m.is("scope", "scope"):
			err = s.jsonObject(m.raw(), func(m *members) *Error {
				switch {
				case m.is("name", "name"):
					return s.jsonString(&info.name, m.raw())
				case m.is("version", "version"):
					return s.jsonString(&info.version, m.raw())
				case m.is("attributes", "attributes"):
					return s.jsonAttributes(&info.attributes, m.raw())
				case m.is("droppedAttributesCount", "dropped_attributes_count"):
					return s.jsonUint(&info.dropped, m.raw())
				}
				return nil
			})
		case m.is("schemaUrl", "schema_url"):
			err = s.jsonString(&info.schema, m.raw())
		}
		if err != nil {
			return err
		}
	}
	tail = s.piece(func(dst []byte) []byte { return s.appendScope(append(dst, tail...), &info) })
	inner := len(s.scratch)
	for m := (members{b: b, i: 1}); m.next(); {
		if !m.is("logRecords", "log_records") {
			continue
		}
		err := s.eachObject(m.raw(), func(b []byte) *Error {
			s.scratch = s.scratch[:inner]
			return s.jsonRecord(b, tail)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *splitter) jsonRecord(b, tail []byte) *Error {
	var r logRecord
	for m := (members{b: b, i: 1}); m.next(); {
		var err *Error
		switch {
		case m.is("timeUnixNano", "time_unix_nano"):
			err = s.jsonUint(&r.time, m.raw())
		case m.is("observedTimeUnixNano", "observed_time_unix_nano"):
			err = s.jsonUint(&r.observed, m.raw())
		case m.is("severityNumber", "severity_number"):
			err = s.jsonSeverity(&r.severity, m.raw())
		case m.is("severityText", "severity_text"):
			err = s.jsonString(&r.severityText, m.raw())
		case m.is("eventName", "event_name"):
			err = s.jsonString(&r.eventName, m.raw())
		case m.is("body", "body"):
			r.body = nil
			if !isNull(m.raw()) {
				n := len(s.scratch)
				s.scratch, err = s.appendJSONValue(s.scratch, m.raw(), 1)
				r.body = s.scratch[n:len(s.scratch):len(s.scratch)]
			}
		case m.is("attributes", "attributes"):
			err = s.jsonAttributes(&r.attributes, m.raw())
		case m.is("droppedAttributesCount", "dropped_attributes_count"):
			err = s.jsonUint(&r.dropped, m.raw())
		case m.is("flags", "flags"):
			err = s.jsonUint(&r.flags, m.raw())
		case m.is("traceId", "trace_id"):
			err = s.jsonID(&r.traceID, m.raw())
		case m.is("spanId", "span_id"):
			err = s.jsonID(&r.spanID, m.raw())
		}
		if err != nil {
			return err
		}
	}
	return s.record(&r, tail, -1)
}

// jsonObject calls use for the members of an object; null has none.
func (s *splitter) jsonObject(raw []byte, use func(m *members) *Error) *Error {
	if isNull(raw) {
		return nil
	}
	if raw[0] != '{' {
		return s.fail(KindMalformed, -1, wrongType)
	}
	for m := (members{b: raw, i: 1}); m.next(); {
		if err := use(&m); err != nil {
			return err
		}
	}
	return nil
}

// jsonString takes a string as it stands; an empty one is no value.
func (s *splitter) jsonString(into *[]byte, raw []byte) *Error {
	switch {
	case isNull(raw) || string(raw) == `""`:
		*into = nil
	case raw[0] == '"':
		*into = raw
	default:
		return s.fail(KindMalformed, -1, wrongType)
	}
	return nil
}

// jsonID takes a trace or span id, in the lower case that protobuf's bytes get too.
func (s *splitter) jsonID(into *[]byte, raw []byte) *Error {
	if err := s.jsonString(into, raw); err != nil || *into == nil {
		return err
	}
	if bytes.IndexByte(raw, '\\') >= 0 {
		return nil // hardly an id, and escapes have letters of their own
	}
	n := len(s.scratch)
	s.scratch = append(s.scratch, raw...)
	*into = s.scratch[n:len(s.scratch):len(s.scratch)]
	for i, c := range *into {
		if c >= 'A' && c <= 'F' {
			(*into)[i] = c + 'a' - 'A'
		}
	}
	return nil
}

// unquoted is the text of a number, which may stand in quotes.
func unquoted(raw []byte) string {
	if len(raw) >= 2 && raw[0] == '"' {
		raw = raw[1 : len(raw)-1]
	}
	return string(raw)
}

// jsonUint reads a number of up to 64 bits without sign, as a number or a string.
func (s *splitter) jsonUint(into *uint64, raw []byte) *Error {
	*into = 0
	if isNull(raw) {
		return nil
	}
	text := unquoted(raw)
	v, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(text, 64)
		if ferr != nil || f != math.Trunc(f) || !(f >= 0 && f < 1<<64) || errors.Is(err, strconv.ErrRange) {
			return s.fail(KindMalformed, -1, wrongType)
		}
		v = uint64(f)
	}
	*into = v
	return nil
}

// jsonInt reads a number of up to 64 bits, as a number or a string.
func (s *splitter) jsonInt(into *int64, raw []byte) *Error {
	text := unquoted(raw)
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(text, 64)
		if ferr != nil || f != math.Trunc(f) || !(f >= -1<<63 && f < 1<<63) || errors.Is(err, strconv.ErrRange) {
			return s.fail(KindMalformed, -1, wrongType)
		}
		v = int64(f)
	}
	*into = v
	return nil
}

// severities are the names behind SEVERITY_NUMBER_; each has four numbers, of which
// the later ones have the suffixes 2 to 4.
var severities = [...]string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}

func (s *splitter) jsonSeverity(into *int64, raw []byte) *Error {
	*into = 0
	if isNull(raw) {
		return nil
	}
	if name, ok := strings.CutPrefix(unquoted(raw), "SEVERITY_NUMBER_"); ok {
		for i, base := range severities {
			rest, ok := strings.CutPrefix(name, base)
			if n := strings.Index("234", rest); ok && n >= 0 && len(rest) <= 1 {
				*into = int64(4*i + 1)
				if rest != "" {
					*into += int64(n) + 1
				}
			}
		}
		return nil
	}
	return s.jsonInt(into, raw)
}

// jsonAttributes makes members of an object of an array of pairs.
func (s *splitter) jsonAttributes(into *[]byte, raw []byte) *Error {
	n := len(s.scratch)
	var err *Error
	if s.scratch, err = s.appendJSONPairs(s.scratch, raw, 1); err != nil {
		return err
	}
	*into = s.scratch[n:len(s.scratch):len(s.scratch)]
	return nil
}

func (s *splitter) appendJSONPairs(dst, raw []byte, depth int) ([]byte, *Error) {
	start := len(dst)
	err := s.eachObject(raw, func(pair []byte) *Error {
		key, value := []byte(`""`), []byte("null")
		for m := (members{b: pair, i: 1}); m.next(); {
			switch {
			case m.is("key", "key"):
				if key = m.raw(); key[0] != '"' {
					return s.fail(KindMalformed, -1, wrongType)
				}
			case m.is("value", "value"):
				value = m.raw()
			}
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(append(dst, key...), ':')
		var err *Error
		dst, err = s.appendJSONValue(dst, value, depth)
		return err
	})
	return dst, err
}

// appendJSONValue appends an AnyValue. A value that is not set is null.
func (s *splitter) appendJSONValue(dst, raw []byte, depth int) ([]byte, *Error) {
	if depth > s.opt.Limits.Depth {
		return dst, s.fail(KindMalformed, -1, wrongNesting)
	}
	start := len(dst)
	dst = append(dst, "null"...)
	err := s.jsonObject(raw, func(m *members) *Error {
		v := m.raw()
		if isNull(v) {
			return nil
		}
		var err *Error
		switch {
		case m.is("stringValue", "string_value"), m.is("bytesValue", "bytes_value"):
			if v[0] != '"' {
				return s.fail(KindMalformed, -1, wrongType)
			}
			dst = append(dst[:start], v...)
		case m.is("boolValue", "bool_value"):
			if v[0] != 't' && v[0] != 'f' {
				return s.fail(KindMalformed, -1, wrongType)
			}
			dst = append(dst[:start], v...)
		case m.is("intValue", "int_value"):
			var n int64
			err = s.jsonInt(&n, v)
			dst = strconv.AppendInt(dst[:start], n, 10)
		case m.is("doubleValue", "double_value"):
			f, ferr := strconv.ParseFloat(unquoted(v), 64)
			if ferr != nil {
				return s.fail(KindMalformed, -1, wrongType)
			}
			dst = appendDouble(dst[:start], f)
		case m.is("arrayValue", "array_value"):
			dst, err = s.appendJSONList(append(dst[:start], '['), v, ']', depth+1)
		case m.is("kvlistValue", "kvlist_value"):
			dst, err = s.appendJSONList(append(dst[:start], '{'), v, '}', depth+1)
		}
		return err
	})
	return dst, err
}

// appendJSONList appends the elements of an ArrayValue or KeyValueList.
func (s *splitter) appendJSONList(dst, raw []byte, closing byte, depth int) ([]byte, *Error) {
	err := s.jsonObject(raw, func(m *members) *Error {
		if !m.is("values", "values") {
			return nil
		}
		var err *Error
		if closing == '}' {
			dst, err = s.appendJSONPairs(dst, m.raw(), depth)
			return err
		}
		start := len(dst)
		return s.eachObject(m.raw(), func(value []byte) *Error {
			if len(dst) > start {
				dst = append(dst, ',')
			}
			dst, err = s.appendJSONValue(dst, value, depth)
			return err
		})
	})
	return append(dst, closing), err
}

// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/outkpl/outkpl/internal/event"
)

// raw is the member's value.
func (m *members) raw() []byte { return m.b[m.value:m.valueEnd()] }

// jsonString takes a string as it stands; an empty one is no value.
func (s *splitter) jsonString(into *[]byte, m *members) *Error {
	switch raw := m.raw(); {
	case raw[0] == 'n' || string(raw) == `""`:
		*into = nil
	case raw[0] == '"':
		*into = raw
	default:
		return s.jsonFailed(wrongType)
	}
	return nil
}

// jsonID takes a trace or span id of size bytes. OTLP wants hexadecimal, which gets the
// lower case that protobuf's bytes get too. What is in base64, as protobuf's usual JSON has
// it, becomes that. Anything else stays.
func (s *splitter) jsonID(into *[]byte, m *members, size int) *Error {
	if err := s.jsonString(into, m); err != nil || *into == nil {
		return err
	}
	var room [64]byte
	text := (*into)[1 : len(*into)-1]
	if bytes.IndexByte(text, '\\') >= 0 { // base64 has slashes, which some escape
		text = appendUnescaped(room[:0], text)
	}
	n := len(s.scratch)
	if isHex(text) {
		s.scratch = append(s.scratch, '"')
		for _, c := range text {
			if c >= 'A' && c <= 'F' {
				c += 'a' - 'A'
			}
			s.scratch = append(s.scratch, c)
		}
		s.scratch = append(s.scratch, '"')
	} else if id := base64ID(text, size); id != nil {
		s.scratch = append(hex.AppendEncode(append(s.scratch, '"'), id), '"')
	} else {
		return nil
	}
	*into = s.scratch[n:len(s.scratch):len(s.scratch)]
	return nil
}

func isHex(text []byte) bool {
	for _, c := range text {
		if !(c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f') {
			return false
		}
	}
	return true
}

// base64ID returns the bytes of an id that is in base64, of either alphabet, padded or
// not, or nil.
func base64ID(text []byte, size int) []byte {
	text = bytes.TrimRight(text, "=")
	if len(text) != base64.RawStdEncoding.EncodedLen(size) {
		return nil
	}
	e := base64.RawStdEncoding
	if bytes.ContainsAny(text, "-_") {
		e = base64.RawURLEncoding
	}
	var id [18]byte
	n, err := e.Decode(id[:], text)
	if err != nil || n != size {
		return nil
	}
	return id[:n]
}

// unquoted is the text of a number, which may stand in quotes.
func (m *members) unquoted() []byte {
	raw := m.raw()
	if len(raw) >= 2 && raw[0] == '"' {
		raw = raw[1 : len(raw)-1]
	}
	return raw
}

// jsonUint reads a number of up to 64 bits without sign, as a number or a string. An empty
// string is no value, as some write a time that they do not know.
func (s *splitter) jsonUint(into *uint64, m *members) *Error {
	*into = 0
	if s.isNull(m.value) {
		return nil
	}
	text := m.unquoted()
	if len(text) == 0 {
		return nil
	}
	if n, ok := plainUint(text); ok {
		*into = n
		return nil
	}
	v, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(string(text), 64)
		if ferr != nil || f != math.Trunc(f) || !(f >= 0 && f < 1<<64) || errors.Is(err, strconv.ErrRange) {
			return s.jsonFailed(wrongType)
		}
		v = uint64(f)
	}
	*into = v
	return nil
}

// plainUint reads what nearly every number is: up to 19 digits.
func plainUint(text []byte) (n uint64, ok bool) {
	if len(text) == 0 || len(text) > 19 || digits(text, 0) < len(text) {
		return 0, false
	}
	for _, c := range text {
		n = 10*n + uint64(c-'0')
	}
	return n, true
}

// jsonInt reads a number of up to 64 bits, as a number or a string.
func (s *splitter) jsonInt(into *int64, m *members) *Error {
	text := m.unquoted()
	if n, ok := plainUint(text); ok && n <= math.MaxInt64 {
		*into = int64(n)
		return nil
	}
	v, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(string(text), 64)
		if ferr != nil || f != math.Trunc(f) || !(f >= -1<<63 && f < 1<<63) || errors.Is(err, strconv.ErrRange) {
			return s.jsonFailed(wrongType)
		}
		v = int64(f)
	}
	*into = v
	return nil
}

// severities are the names behind SEVERITY_NUMBER_; each has four numbers, of which
// the later ones have the suffixes 2 to 4.
var severities = [...]string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}

func (s *splitter) jsonSeverity(into *int64, m *members) *Error {
	*into = 0
	if s.isNull(m.value) || len(m.unquoted()) == 0 {
		return nil
	}
	if name, ok := bytes.CutPrefix(m.unquoted(), []byte("SEVERITY_NUMBER_")); ok {
		for i, base := range severities {
			rest, ok := strings.CutPrefix(string(name), base)
			if n := strings.Index("234", rest); ok && n >= 0 && len(rest) <= 1 {
				*into = int64(4*i + 1)
				if rest != "" {
					*into += int64(n) + 1
				}
			}
		}
		return nil
	}
	return s.jsonInt(into, m)
}

// appendJSONPairs appends an array of KeyValue as an object.
func (s *splitter) appendJSONPairs(dst []byte, i, depth int) ([]byte, int, *Error) {
	start := len(dst)
	dst = append(dst, '{')
	var names event.Names
	end, err := s.each(i, objects, func(i int) (int, *Error) {
		if len(dst) > start+1 {
			dst = append(dst, ',')
		}
		var end int
		var err *Error
		dst, end, err = s.appendJSONPair(dst, i, depth, &names)
		return end, err
	})
	if err != nil {
		return dst, end, err
	}
	return names.End(append(dst, '}'), start), end, nil
}

// appendJSONPair appends a KeyValue as a member of an object. A value before its key
// is read afterwards.
func (s *splitter) appendJSONPair(dst []byte, i, depth int, names *event.Names) ([]byte, int, *Error) {
	start, early, done := len(dst), -1, false
	var key []byte
	m, err := s.object(i)
	for err == nil && m.next() {
		switch {
		case m.is("key", "key"):
			if s.doc[m.value] != '"' {
				return dst, i, s.jsonFailed(wrongType)
			}
			key = plainKey(m.raw())
		case !m.is("value", "value"):
		case key == nil:
			early = m.value
		default:
			dst = append(append(dst[:start], key...), ':')
			dst, m.end, err = s.appendJSONValue(dst, m.value, depth)
			done = true
		}
	}
	if key == nil {
		key = []byte(`""`)
	}
	names.Add(key)
	if err != nil || done {
		return dst, m.i + 1, err
	}
	dst = append(append(dst, key...), ':')
	if early < 0 {
		dst = append(dst, "null"...)
	} else {
		dst, _, err = s.appendJSONValue(dst, early, depth)
	}
	return dst, m.i + 1, err
}

// plainKey is a key with no escapes that need not be, so that equal names are equal text.
func plainKey(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return raw // cannot be: the document was checked
	}
	return appendString(nil, []byte(text))
}

// appendJSONValue appends an AnyValue. A value that is not set is null. Plain text, a number
// or a bool in place of an AnyValue can mean only itself.
func (s *splitter) appendJSONValue(dst []byte, i, depth int) ([]byte, int, *Error) {
	if depth > s.opt.Limits.Depth {
		return dst, i, s.jsonFailed(wrongNesting)
	}
	switch c := s.doc[i]; {
	case c == '"', c == 't', c == 'f', c == '-', c-'0' <= 9:
		end := valueEnd(s.doc, i)
		return append(dst, s.doc[i:end]...), end, nil
	}
	start := len(dst)
	dst = append(dst, "null"...)
	m, err := s.object(i)
	for err == nil && m.next() {
		c := s.doc[m.value]
		if c == 'n' {
			continue
		}
		switch {
		case m.is("stringValue", "string_value"), m.is("bytesValue", "bytes_value"):
			if c != '"' {
				return dst, i, s.jsonFailed(wrongType)
			}
			dst = append(dst[:start], m.raw()...)
		case m.is("boolValue", "bool_value"):
			text := m.unquoted()
			if string(text) != "true" && string(text) != "false" {
				return dst, i, s.jsonFailed(wrongType)
			}
			dst = append(dst[:start], text...)
		case m.is("intValue", "int_value"):
			var n int64
			err = s.jsonInt(&n, &m)
			dst = strconv.AppendInt(dst[:start], n, 10)
		case m.is("doubleValue", "double_value"):
			f, ferr := strconv.ParseFloat(string(m.unquoted()), 64)
			if ferr != nil {
				return dst, i, s.jsonFailed(wrongType)
			}
			dst = appendDouble(dst[:start], f)
		case m.is("arrayValue", "array_value"):
			dst, m.end, err = s.appendJSONList(append(dst[:start], '['), m.value, ']', depth+1)
		case m.is("kvlistValue", "kvlist_value"):
			dst, m.end, err = s.appendJSONList(append(dst[:start], '{'), m.value, '}', depth+1)
		}
	}
	return dst, m.i + 1, err
}

// appendJSONList appends the elements of an ArrayValue or KeyValueList.
func (s *splitter) appendJSONList(dst []byte, i int, closing byte, depth int) ([]byte, int, *Error) {
	start := len(dst)
	m, err := s.object(i)
	for err == nil && m.next() {
		if !m.is("values", "values") {
			continue
		}
		dst = dst[:start] // if the member occurs again, the last one counts
		if closing == '}' {
			// With its own brackets; the one that is there is put back below.
			if dst, m.end, err = s.appendJSONPairs(dst[:start-1], m.value, depth); err == nil {
				dst = dst[:len(dst)-1]
			}
			continue
		}
		m.end, err = s.each(m.value, anything, func(i int) (end int, err *Error) {
			if len(dst) > start {
				dst = append(dst, ',')
			}
			dst, end, err = s.appendJSONValue(dst, i, depth)
			return end, err
		})
	}
	return append(dst, closing), m.i + 1, err
}

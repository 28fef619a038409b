// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"
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

// jsonID takes a trace or span id, in the lower case that protobuf's bytes get too.
func (s *splitter) jsonID(into *[]byte, m *members) *Error {
	if err := s.jsonString(into, m); err != nil || *into == nil {
		return err
	}
	if bytes.IndexByte(*into, '\\') >= 0 {
		return nil // hardly an id, and escapes have letters of their own
	}
	n := len(s.scratch)
	s.scratch = append(s.scratch, *into...)
	*into = s.scratch[n:len(s.scratch):len(s.scratch)]
	for i, c := range *into {
		if c >= 'A' && c <= 'F' {
			(*into)[i] = c + 'a' - 'A'
		}
	}
	return nil
}

// unquoted is the text of a number, which may stand in quotes.
func (m *members) unquoted() string {
	raw := m.raw()
	if len(raw) >= 2 && raw[0] == '"' {
		raw = raw[1 : len(raw)-1]
	}
	return string(raw)
}

// jsonUint reads a number of up to 64 bits without sign, as a number or a string.
func (s *splitter) jsonUint(into *uint64, m *members) *Error {
	*into = 0
	if s.isNull(m.value) {
		return nil
	}
	text := m.unquoted()
	v, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(text, 64)
		if ferr != nil || f != math.Trunc(f) || !(f >= 0 && f < 1<<64) || errors.Is(err, strconv.ErrRange) {
			return s.jsonFailed(wrongType)
		}
		v = uint64(f)
	}
	*into = v
	return nil
}

// jsonInt reads a number of up to 64 bits, as a number or a string.
func (s *splitter) jsonInt(into *int64, m *members) *Error {
	text := m.unquoted()
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(text, 64)
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
	if s.isNull(m.value) {
		return nil
	}
	if name, ok := strings.CutPrefix(m.unquoted(), "SEVERITY_NUMBER_"); ok {
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
	return s.jsonInt(into, m)
}

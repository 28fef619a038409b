// SPDX-License-Identifier: Apache-2.0

package body

import (
	"encoding/binary"
	"math"
	"strconv"
	"time"

	"github.com/outkpl/outkpl/internal/event"
)

// What can be wrong with OTLP that is valid JSON or protobuf otherwise.
const (
	wrongProto   = "OTLP: not protobuf"
	wrongWire    = "OTLP: a known field has another type; these are no logs"
	wrongRequest = "OTLP: no resourceLogs"
	wrongType    = "OTLP: a field has a value of the wrong type"
	wrongNesting = "OTLP: too many nested values"
	wrongText    = "OTLP: invalid UTF-8"
)

// logRecord is one log record of OTLP, however it was encoded. Empty pieces of
// JSON text are left out of the event.
type logRecord struct {
	time, observed  uint64 // nanoseconds since 1970, 0: unknown
	severity        int64
	dropped, flags  uint64
	severityText    []byte
	eventName       []byte
	body            []byte
	attributes      []byte // members of an object
	traceID, spanID []byte
}

// record adds the event for r; its shape is in the package documentation. tail is
// what resource and scope add, each member with a comma before it.
func (s *splitter) record(r *logRecord, tail []byte, at int) *Error {
	dst := s.opt.Arena.begin(len(r.body) + len(r.attributes) + len(tail) + 512)
	if t := r.time; t != 0 || r.observed != 0 {
		if t == 0 {
			t = r.observed
		}
		dst = s.second.append(append(dst, `,"timestamp":`...), t)
	}
	if r.observed != 0 {
		dst = s.second.append(append(dst, `,"observed_timestamp":`...), r.observed)
	}
	if r.severity != 0 {
		dst = strconv.AppendInt(append(dst, `,"severity_number":`...), r.severity, 10)
	}
	dst = appendMember(dst, `,"severity_text":`, r.severityText)
	dst = appendMember(dst, `,"event_name":`, r.eventName)
	dst = appendMember(dst, `,"body":`, r.body)
	dst = appendObject(dst, `,"attributes":`, r.attributes)
	dst = appendCount(dst, `,"dropped_attributes_count":`, r.dropped)
	dst = appendMember(dst, `,"trace_id":`, r.traceID)
	dst = appendMember(dst, `,"span_id":`, r.spanID)
	dst = appendCount(dst, `,"flags":`, r.flags)
	dst = append(dst, tail...)
	// The first member has a comma before it like all others; the bracket takes its
	// place.
	if len(dst) == 0 {
		dst = append(dst, ',')
	}
	dst[0] = '{'
	return s.converted(append(dst, '}'), EventJSON, at)
}

// resourceInfo and scopeInfo are what belongs to groups of records, as JSON text.
type resourceInfo struct {
	attributes []byte // members of an object
	dropped    uint64
	schema     []byte
}

type scopeInfo struct {
	name, version, schema []byte
	attributes            []byte // members of an object
	dropped               uint64
}

func (s *splitter) appendResource(dst []byte, r *resourceInfo) []byte {
	if s.opt.OmitResource {
		return dst
	}
	dst = appendObject(dst, `,"resource":`, r.attributes)
	dst = appendCount(dst, `,"resource_dropped_attributes_count":`, r.dropped)
	return appendMember(dst, `,"resource_schema_url":`, r.schema)
}

func (s *splitter) appendScope(dst []byte, c *scopeInfo) []byte {
	if s.opt.OmitScope {
		return dst
	}
	dst = appendMember(dst, `,"scope_name":`, c.name)
	dst = appendMember(dst, `,"scope_version":`, c.version)
	dst = appendObject(dst, `,"scope_attributes":`, c.attributes)
	dst = appendCount(dst, `,"scope_dropped_attributes_count":`, c.dropped)
	return appendMember(dst, `,"scope_schema_url":`, c.schema)
}

func appendMember(dst []byte, key string, value []byte) []byte {
	if len(value) == 0 {
		return dst
	}
	return append(append(dst, key...), value...)
}

func appendObject(dst []byte, key string, members []byte) []byte {
	if len(members) == 0 {
		return dst
	}
	return append(append(append(append(dst, key...), '{'), members...), '}')
}

func appendCount(dst []byte, key string, n uint64) []byte {
	if n == 0 {
		return dst
	}
	return strconv.AppendUint(append(dst, key...), n, 10)
}

// appendDouble writes floats as package event does, and what JSON has no number
// for as the JSON form of protobuf does.
func appendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	b := [9]byte{0xcb}
	binary.BigEndian.PutUint64(b[1:], math.Float64bits(f))
	dst, _, _ = event.AppendJSON(dst, b[:]) // cannot fail: the bytes are complete
	return dst
}

// stamp writes times. It keeps the text of the last second, which is mostly the
// next one too.
type stamp struct {
	sec  uint64
	text []byte
}

// append appends nanoseconds since 1970 as RFC 3339 in UTC with nine decimals, so
// that text order is time order.
func (s *stamp) append(dst []byte, nanos uint64) []byte {
	sec, frac := nanos/1e9, nanos%1e9
	if s.text == nil || s.sec != sec {
		s.sec = sec
		s.text = time.Unix(int64(sec), 0).UTC().AppendFormat(s.text[:0], `"2006-01-02T15:04:05.000000000Z"`)
	}
	dst = append(dst, s.text...)
	for p := len(dst) - 3; frac > 0; p-- {
		dst[p] += byte(frac % 10)
		frac /= 10
	}
	return dst
}

// appendString appends text as a JSON string. Each byte that is not valid UTF-8
// becomes U+FFFD.
func appendString(dst, text []byte) []byte { return event.AppendQuoted(dst, text) }

// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"math/rand/v2"
	"strconv"
)

// A log record of OTLP/JSON that is no JSON costs only itself: the requests are copied with a
// mark in its place, and read again. What lies around the records has to be JSON.

// damagedRecord is a part of the body that stands where a log record should.
type damagedRecord struct {
	start, end int
	err        Error
}

// recordMender copies requests of OTLP/JSON without the log records that are damaged.
type recordMender struct {
	s      *splitter
	sc     scanner
	dst    []byte
	copied int    // how much of the body is in dst
	open   []byte // brackets around b[i], the outermost first
	line   int    // where its first line ends
	alone  bool   // another request begins on the next line
	cut    bool   // the last request ends within its records
}

// isolateRecords returns the requests of the body with marks in place of damaged records, or
// nil if that does not help.
func (s *splitter) isolateRecords() []byte {
	m := recordMender{s: s, sc: scanner{b: s.data, limit: MaxDepth}, dst: s.opt.Arena.begin(len(s.data) + len(s.data)/64 + 64)}
	s.markOfDamage = strconv.AppendUint(s.markOfDamage[:0], rand.Uint64()|1<<63, 36) // nobody can have put it into the body
	if !m.requests() || len(s.damagedRecords) == 0 && !m.cut {
		return nil
	}
	return s.opt.Arena.done(append(m.dst, s.data[m.copied:]...))
}

// requests looks for the arrays of records, and reports whether what is around them is in
// order, as far as brackets go.
func (m *recordMender) requests() bool {
	b := m.s.data
	for i := skipBOM(b); i < len(b); {
		switch c := b[i]; c {
		case '"':
			end := stringEnd(b, i+1)
			if end < 0 {
				return false
			}
			key := b[i+1 : end-1]
			if i = end; sameText(key, "logRecords") || sameText(key, "log_records") {
				if at := m.arrayBehind(end); at > 0 {
					m.open = append(m.open, '[')
					if i = m.records(at + 1); i < 0 {
						return false
					}
				}
			}
			continue
		case '{', '[':
			if len(m.open) == 0 {
				m.begin(i)
			}
			m.open = append(m.open, c)
		case '}', ']':
			if len(m.open) == 0 || m.open[len(m.open)-1] != c-2 {
				return false
			}
			m.open = m.open[:len(m.open)-1]
		}
		i++
	}
	return len(m.open) == 0
}

// arrayBehind returns where the array that is the value of the key that ends at b[i] begins, or 0.
func (m *recordMender) arrayBehind(i int) int {
	b := m.s.data
	if i = skipSpace(b, i); i >= len(b) || b[i] != ':' {
		return 0
	}
	if i = skipSpace(b, i+1); i >= len(b) || b[i] != '[' {
		return 0
	}
	return i
}

// records copies the array whose first element may be at b[i], and returns where to go on, or
// less than 0 to give up.
func (m *recordMender) records(i int) int {
	s, b := m.s, m.s.data
	m.dst, m.copied = append(m.dst, b[m.copied:i]...), i
	limit, first := m.limit(i), true
	add := func(text []byte) {
		if !first {
			m.dst = append(m.dst, ',')
		}
		first = false
		m.dst = append(m.dst, text...)
	}
	for {
		i = skipSpace(b[:limit], i)
		switch {
		case i >= limit:
			// The request is cut off. Its brackets are all that is missing.
			for k := len(m.open) - 1; k >= 0; k-- {
				m.dst = append(m.dst, m.open[k]+2)
			}
			m.open, m.copied, m.cut = m.open[:0], limit, true
			return limit
		case b[i] == ',':
			i++
			continue
		case b[i] == ']':
			m.copied = i
			return i
		}
		end, at, wrong := m.element(i, limit)
		if end > 0 {
			add(b[i:end])
			i = end
			continue
		}
		next := m.resume(i, limit)
		if s.reread += max(at-i, 0); next < 0 || s.reread > s.mayReread() {
			return -1
		}
		end = i + len(bytes.TrimRight(b[i:next], " \t\r\n"))
		if next < limit && b[next] == '{' {
			end = i + len(bytes.TrimRight(b[i:end], " \t\r\n,"))
		}
		add(strconv.AppendInt(append(append([]byte{'"'}, s.markOfDamage...), ' '), int64(len(s.damagedRecords)), 10))
		m.dst = append(m.dst, '"')
		s.damagedRecords = append(s.damagedRecords, damagedRecord{start: i, end: end, err: Error{Kind: KindMalformed, Offset: min(at, len(b)), Detail: wrong}})
		i = next
	}
}

// begin notes that a request begins at b[i].
func (m *recordMender) begin(i int) {
	b := m.s.data
	if i >= m.line {
		m.line = len(b)
		if n := bytes.IndexByte(b[i:], '\n'); n >= 0 {
			m.line = i + n
		}
		next := skipSpace(b, m.line)
		m.alone = next < len(b) && b[next] == '{' && m.envelope(next+1)
	}
}

// limit returns where the request with b[i] ends at the latest: with its line, if it has come
// to b[i] without the end of one, and another one begins on the next.
func (m *recordMender) limit(i int) int {
	if i <= m.line && m.alone {
		return m.line
	}
	return len(m.s.data)
}

// element returns where the element at b[i] ends, if it can be read and is followed by what may
// follow it, or 0 and what is wrong.
func (m *recordMender) element(i, limit int) (end, at int, wrong string) {
	b := m.s.data[:limit]
	m.sc.b = b
	if end = m.sc.value(i); end < 0 {
		lenient := mender{b: b, limit: MaxDepth, sc: scanner{b: b}}
		if _, end = lenient.value(nil, i, 0); end < 0 {
			return 0, lenient.sc.at, lenient.sc.wrong
		}
	}
	next := skipSpace(b, end)
	if next < limit && b[next] != ',' && b[next] != ']' && (b[next] != '{' || b[i] != '{') || next == limit && end == limit && b[i] != '{' {
		return 0, next, wrongByte
	}
	return end, 0, ""
}

// resume returns where behind the damaged element at b[i] the next record begins, or the
// array ends, limit if neither is found, or less than 0 if to look for it costs too much.
func (m *recordMender) resume(i, limit int) int {
	b := m.s.data
	for k := i + 1; k < limit; k++ {
		switch b[k] {
		case '{':
			before := bytes.TrimRight(b[i:k], " \t\r\n")
			if len(before) == 0 || before[len(before)-1] != ',' && before[len(before)-1] != '}' {
				continue
			}
			end, at, _ := m.element(k, limit)
			if end > 0 && isRecord(b[k:end]) {
				return k
			}
			if m.s.reread += max(end, at) - k; m.s.reread > m.s.mayReread() {
				return -1
			}
		case ']':
			if !m.closes(k, limit) {
				continue
			}
			// An array at the end of the record looks the same. Its own brackets tell, if
			// they can be trusted.
			e := m.s.elementEnd(i, ']', limit)
			if m.s.reread += max(e-k, 0); m.s.reread > m.s.mayReread() {
				return -1
			}
			if e > k && e < limit && b[e] == ']' && len(bytes.Trim(b[k:e], "]} \t\r\n")) == 0 && m.closes(e, limit) {
				return e
			}
			return k
		}
	}
	return limit
}

// isRecord tells whether a valid object looks like a log record, and like no part of one.
func isRecord(object []byte) bool {
	for m := (members{b: object, i: 1}); m.next(); {
		if m.is("body", "body") || m.is("timeUnixNano", "time_unix_nano") || m.is("observedTimeUnixNano", "observed_time_unix_nano") ||
			m.is("severityNumber", "severity_number") || m.is("severityText", "severity_text") || m.is("attributes", "attributes") ||
			m.is("eventName", "event_name") || m.is("traceId", "trace_id") || m.is("spanId", "span_id") {
			return true
		}
	}
	return false
}

// closes tells whether the bracket at b[k] can close the array of records: what follows has to
// fit the brackets that are open, and to be a part of a request.
func (m *recordMender) closes(k, limit int) bool {
	b, open := m.s.data[:limit], m.open
	for k < len(b) && (b[k] == ']' || b[k] == '}') {
		if len(open) == 0 || open[len(open)-1] != b[k]-2 {
			return false
		}
		open = open[:len(open)-1]
		k = skipSpace(b, k+1)
	}
	switch {
	case k >= len(b) || len(open) == 0:
		return len(open) == 0
	case b[k] != ',':
		return false
	}
	k = skipSpace(b, k+1)
	if open[len(open)-1] == '[' && k < len(b) && b[k] == '{' {
		k = skipSpace(b, k+1)
	}
	return m.envelope(k)
}

// envelope tells whether a key of what lies around log records is at b[i].
func (m *recordMender) envelope(i int) bool {
	b := m.s.data
	if i = skipSpace(b, i); i >= len(b) || b[i] != '"' {
		return false
	}
	end := stringEnd(b, i+1)
	if end < 0 {
		return false
	}
	switch string(b[i+1 : end-1]) {
	case "resourceLogs", "resource_logs", "resource", "scopeLogs", "scope_logs", "scope", "logRecords", "log_records", "schemaUrl", "schema_url":
		return true
	}
	return false
}

// damagedAt returns what stands at doc[i:end] if that is the mark of a damaged record.
func (s *splitter) damagedAt(i, end int) *damagedRecord {
	if len(s.damagedRecords) == 0 || s.doc[i] != '"' {
		return nil
	}
	text, ok := bytes.CutPrefix(s.doc[i+1:end-1], s.markOfDamage)
	if !ok {
		return nil
	}
	n, err := strconv.Atoi(string(bytes.TrimPrefix(text, []byte{' '})))
	if err != nil || n < 0 || n >= len(s.damagedRecords) {
		return nil
	}
	return &s.damagedRecords[n]
}

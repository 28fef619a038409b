// SPDX-License-Identifier: Apache-2.0

package body

// otlpJSON reads requests by the JSON form of OTLP. Beyond what the specification
// asks of a receiver, several requests are taken (Vector sends arrays of them), names
// with underscores, and enums by name.
func (s *splitter) otlpJSON() *Error {
	// The requests are found, checked and repaired as plain JSON is.
	opt := *s.opt
	opt.Wrapper, opt.KeepLayout, opt.UnquoteStrings, opt.AppendNewline = "", true, false, false
	opt.Path, opt.Broken = nil, nil
	// A value of OTLP takes up to three brackets of JSON, so its depth is counted where it
	// is read: there one that is too deep costs only its record.
	opt.Limits.Depth = MaxDepth
	requests := splitter{opt: &opt, data: s.data}
	if err := requests.json(); err != nil && !s.readAgain(&requests, err) {
		err.Event = -1
		return err
	}
	if s.opt.Arena.size > s.opt.Limits.ConvertedBytes {
		return s.fail(KindTooLarge, -1, "converted events are too large")
	}
	for _, r := range requests.events {
		if s.doc = r.Data; s.doc[0] != '{' {
			return s.jsonFailed(wrongType)
		}
		found, empty := false, true
		for m := (members{b: s.doc, i: 1}); m.next(); empty = false {
			if !m.is("resourceLogs", "resource_logs") {
				continue
			}
			found = true
			var err *Error
			if m.end, err = s.each(m.value, objects, s.jsonResourceLogs); err != nil {
				return err
			}
		}
		// A request of nothing is legal; one of other things is probably another
		// signal, which must not be thrown away in silence.
		if !found && !empty {
			return s.jsonFailed(wrongRequest)
		}
	}
	return nil
}

// readAgain reads requests that are refused because of err without the log records that are
// damaged, if such are to cost only themselves.
func (s *splitter) readAgain(requests *splitter, err *Error) bool {
	if err.Kind != KindMalformed || s.opt.Broken == nil {
		return false
	}
	data := s.isolateRecords()
	if data == nil {
		return false
	}
	*requests = splitter{opt: requests.opt, data: data}
	return requests.json() == nil
}

// jsonFailed makes an error. There is no offset: the request may be a copy.
func (s *splitter) jsonFailed(detail string) *Error { return s.fail(KindMalformed, -1, detail) }

// is compares the key with both spellings of a name.
func (m *members) is(camel, snake string) bool {
	return sameText(m.key, camel) || sameText(m.key, snake)
}

// The functions below read the value at doc[i] and return where it ends, so that
// no value is looked at once for each level around it.

// isNull says whether the value at doc[i] is null.
func (s *splitter) isNull(i int) bool { return s.doc[i] == 'n' }

const nullBytes = 4

// object begins to read an object; null has no members. The end is m.i+1 when
// there is no next member.
func (s *splitter) object(i int) (members, *Error) {
	switch s.doc[i] {
	case '{':
		return members{b: s.doc, i: i + 1}, nil
	case 'n':
		return members{b: s.doc, i: i + nullBytes - 1}, nil // the last l ends it like a bracket
	}
	return members{}, s.jsonFailed(wrongType)
}

// elements says what an array may hold.
type elements uint8

const (
	// objects and null, which is none.
	objects elements = iota
	// anything, which the reader of the element checks.
	anything
)

// each reads an array; null has no elements.
func (s *splitter) each(i int, hold elements, use func(i int) (int, *Error)) (int, *Error) {
	if s.isNull(i) {
		return i + nullBytes, nil
	}
	if s.doc[i] != '[' {
		return i, s.jsonFailed(wrongType)
	}
	m := members{b: s.doc, i: i + 1, array: true}
	for m.next() {
		if hold == objects {
			if s.isNull(m.value) {
				continue
			}
			if s.doc[m.value] != '{' {
				return i, s.jsonFailed(wrongType)
			}
		}
		var err *Error
		if m.end, err = use(m.value); err != nil {
			return i, err
		}
	}
	return m.i + 1, nil
}

// eachLater reads the arrays at the places remembered since mark.
func (s *splitter) eachLater(mark int, hold elements, use func(i int) (int, *Error)) *Error {
	for k := mark; k < len(s.comeBack); k++ {
		if _, err := s.each(s.comeBack[k], hold, use); err != nil {
			return err
		}
	}
	s.comeBack = s.comeBack[:mark]
	return nil
}

func (s *splitter) jsonResourceLogs(i int) (int, *Error) {
	var info resourceInfo
	s.scratch = s.scratch[:0]
	mark := len(s.comeBack)
	m, err := s.object(i)
	for err == nil && m.next() {
		switch {
		case m.is("resource", "resource"):
			m.end, err = s.jsonResource(m.value, &info)
		case m.is("schemaUrl", "schema_url"):
			err = s.jsonString(&info.schema, &m)
		case m.is("scopeLogs", "scope_logs"):
			s.comeBack = append(s.comeBack, m.value)
		}
	}
	if err != nil {
		return i, err
	}
	tail := s.piece(func(dst []byte) []byte { return s.appendResource(dst, &info) })
	return m.i + 1, s.eachLater(mark, objects, func(i int) (int, *Error) { return s.jsonScopeLogs(i, tail) })
}

func (s *splitter) jsonResource(i int, info *resourceInfo) (int, *Error) {
	m, err := s.object(i)
	for err == nil && m.next() {
		switch {
		case m.is("attributes", "attributes"):
			m.end, err = s.jsonAttributes(&info.attributes, m.value)
		case m.is("droppedAttributesCount", "dropped_attributes_count"):
			err = s.jsonUint(&info.dropped, &m)
		}
	}
	return m.i + 1, err
}

func (s *splitter) jsonScopeLogs(i int, tail []byte) (int, *Error) {
	start := len(s.scratch)
	var info scopeInfo
	mark := len(s.comeBack)
	m, err := s.object(i)
	for err == nil && m.next() {
		switch {
		case m.is("scope", "scope"):
			m.end, err = s.jsonScope(m.value, &info)
		case m.is("schemaUrl", "schema_url"):
			err = s.jsonString(&info.schema, &m)
		case m.is("logRecords", "log_records"):
			s.comeBack = append(s.comeBack, m.value)
		}
	}
	if err != nil {
		return i, err
	}
	tail = s.piece(func(dst []byte) []byte { return s.appendScope(append(dst, tail...), &info) })
	inner := len(s.scratch)
	err = s.eachLater(mark, anything, func(i int) (int, *Error) {
		s.scratch = s.scratch[:inner]
		end, err := s.jsonRecord(i, tail)
		if err != nil {
			return s.badRecord(i, err)
		}
		return end, nil
	})
	s.scratch = s.scratch[:start]
	return m.i + 1, err
}

// badRecord makes an event of the log record at doc[i], which cannot be read because of
// err, or refuses the request. It is JSON, so what comes behind it is certain.
func (s *splitter) badRecord(i int, err *Error) (int, *Error) {
	if err.Kind != KindMalformed || s.opt.Broken == nil {
		return i, err
	}
	if tooMany := s.room(-1); tooMany != nil {
		return i, tooMany
	}
	end := valueEnd(s.doc, i)
	data := s.doc[i:end:end]
	if d := s.damagedAt(i, end); d != nil {
		data = s.data[d.start:d.end:d.end]
		err.Offset, err.Detail = d.err.Offset, d.err.Detail
	}
	s.events = append(s.events, Event{Data: data, Kind: EventBroken})
	*s.opt.Broken = append(*s.opt.Broken, *err)
	return end, nil
}

func (s *splitter) jsonScope(i int, info *scopeInfo) (int, *Error) {
	m, err := s.object(i)
	for err == nil && m.next() {
		switch {
		case m.is("name", "name"):
			err = s.jsonString(&info.name, &m)
		case m.is("version", "version"):
			err = s.jsonString(&info.version, &m)
		case m.is("attributes", "attributes"):
			m.end, err = s.jsonAttributes(&info.attributes, m.value)
		case m.is("droppedAttributesCount", "dropped_attributes_count"):
			err = s.jsonUint(&info.dropped, &m)
		}
	}
	return m.i + 1, err
}

func (s *splitter) jsonRecord(i int, tail []byte) (int, *Error) {
	if s.doc[i] != '{' {
		return i, s.jsonFailed(wrongType) // null, too: it must not vanish in silence
	}
	var r logRecord
	m, err := s.object(i)
	for err == nil && m.next() {
		switch {
		case m.is("timeUnixNano", "time_unix_nano"):
			err = s.jsonUint(&r.time, &m)
		case m.is("observedTimeUnixNano", "observed_time_unix_nano"):
			err = s.jsonUint(&r.observed, &m)
		case m.is("severityNumber", "severity_number"):
			err = s.jsonSeverity(&r.severity, &m)
		case m.is("severityText", "severity_text"):
			err = s.jsonString(&r.severityText, &m)
		case m.is("eventName", "event_name"):
			err = s.jsonString(&r.eventName, &m)
		case m.is("body", "body"):
			if r.body = nil; !s.isNull(m.value) {
				n := len(s.scratch)
				s.scratch, m.end, err = s.appendJSONValue(s.scratch, m.value, 1)
				r.body = s.scratch[n:len(s.scratch):len(s.scratch)]
			}
		case m.is("attributes", "attributes"):
			m.end, err = s.jsonAttributes(&r.attributes, m.value)
		case m.is("droppedAttributesCount", "dropped_attributes_count"):
			err = s.jsonUint(&r.dropped, &m)
		case m.is("flags", "flags"):
			err = s.jsonUint(&r.flags, &m)
		case m.is("traceId", "trace_id"):
			err = s.jsonID(&r.traceID, &m, 16)
		case m.is("spanId", "span_id"):
			err = s.jsonID(&r.spanID, &m, 8)
		}
	}
	if err != nil {
		return i, err
	}
	return m.i + 1, s.record(&r, tail, -1)
}

// jsonAttributes makes members of an object of an array of pairs.
func (s *splitter) jsonAttributes(into *[]byte, i int) (end int, err *Error) {
	n := len(s.scratch)
	if s.scratch, end, err = s.appendJSONPairs(s.scratch, i, 1); err != nil {
		return end, err
	}
	*into = s.scratch[n+1 : len(s.scratch)-1 : len(s.scratch)-1]
	return end, nil
}

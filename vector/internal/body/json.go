// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"math"
)

// json splits JSON values: the elements of top-level arrays, and every other
// top-level value.
func (s *splitter) json() *Error { return s.values(skipBOM(s.data)) }

// values splits the JSON values from b[i] on.
func (s *splitter) values(i int) *Error {
	i, err := s.run(i)
	// Where reading again costs too much, no value is looked for behind its line.
	for data := s.data; err == nil && i < len(data); {
		i = skipSeparators(data, i)
		s.data = data[:stop(data, i)]
		i, err = s.run(i)
		s.data = data
	}
	return err
}

// run is values, and returns how far it came before too much was read again.
func (s *splitter) run(i int) (int, *Error) {
	b, lineByLine := s.data, s.lineByLine
	sc := scanner{b: b, limit: s.opt.Limits.Depth, name: s.opt.name()}
	u, last := unit{start: -1}, i
	for first := true; ; first = false {
		if i = skipSeparators(b, i); i >= len(b) {
			return len(b), nil
		}
		if b[i] == ',' && !first && !s.strict {
			i++ // Vector's codec native_json writes so
			continue
		}
		if b[i] == bom[0] && bytes.HasPrefix(b[i:], []byte(bom)) {
			i += len(bom) // of files one behind the other
			continue
		}
		before := u
		if u.start < 0 || b[i] == b[u.start] && (b[i] == '{' || b[i] == '[') || severalLines(b[last:i]) {
			u = unit{start: i, events: len(s.events), size: s.opt.Arena.size}
		}
		var err *Error
		at := i
		s.top, s.topEvents = i, len(s.events)
		switch {
		case b[i] == '[':
			i, err = s.array(&sc, i)
		case b[i] == '{' && s.opt.Wrapper != "":
			i, err = s.wrapped(&sc, i)
		default:
			if i, err = s.value(&sc, i); err == nil && endless(b[at]) && i < len(b) && !separator(b[i]) && endless(b[i]) && (b[i] != ',' || s.strict) {
				err = s.fail(KindMalformed, i, wrongTrailing)
			}
		}
		if err != nil {
			if err.Kind != KindMalformed || s.opt.Broken == nil {
				return i, err
			}
			if b[at] == '[' && s.sameList(before, u, last) {
				u = before
			}
			if i, err = s.giveUp(u, err); err != nil || s.lineByLine != lineByLine {
				return i, err
			}
			u = unit{start: -1}
		}
		last = at
	}
}

// separator says what may lie between top-level values: white space, the NUL that
// ends each message of GELF, the record separator of RFC 7464.
func separator(c byte) bool {
	return c == '\n' || c == ' ' || c == '\r' || c == '\t' || c == 0 || c == 0x1e
}

func skipSeparators(b []byte, i int) int {
	for i < len(b) && separator(b[i]) {
		i++
	}
	return i
}

// endless says whether a value that begins with c has no end of its own.
func endless(c byte) bool { return c != '{' && c != '"' && c != '[' }

// value checks the value at b[i], which is not a space, and adds it as an event.
func (s *splitter) value(sc *scanner, i int) (int, *Error) {
	sc.multiline, sc.badUTF8, sc.found = false, false, 0
	end := sc.value(i)
	if end < 0 {
		if !s.strict {
			if end, err := s.mend(sc, i); end >= 0 || err != nil {
				return end, err
			}
		}
		return i, s.fail(KindMalformed, min(sc.at, len(s.data)), sc.wrong)
	}
	// What is valid, on one line and put as it came needs nothing else.
	if sc.multiline && !s.opt.KeepLayout || sc.badUTF8 || s.opt.AppendNewline || s.opt.UnquoteStrings && s.data[i] == '"' {
		return end, s.changed(sc, i, end)
	}
	if len(s.events)-s.before >= s.opt.Limits.Events {
		return end, s.room(i)
	}
	s.events = append(s.events, Event{Data: s.data[i:end:end], at: sc.place(i)})
	return end, nil
}

// What Event.at can be beside a place in the event: where the value lies, plus
// atPlace.
const (
	atUnknown = iota // nobody has looked
	atNone           // there is no such field
	atPlace
)

// place is the at of the event that began at i.
func (s *scanner) place(i int) uint32 {
	switch {
	case s.name == "":
		return atUnknown
	case s.found == 0:
		return atNone
	}
	if at := s.found - i + atPlace; at <= math.MaxUint32 {
		return uint32(at)
	}
	return atUnknown
}

// changed adds the valid value b[i:end] as an event that may have to be a copy.
func (s *splitter) changed(sc *scanner, i, end int) *Error {
	if sc.badUTF8 && s.opt.RejectInvalidUTF8 {
		return s.bad(i, end, i, wrongUTF8)
	}
	b := s.data[i:end]
	if s.opt.UnquoteStrings && b[0] == '"' {
		dst := appendUnescaped(s.opt.Arena.begin(len(b)), b[1:len(b)-1])
		return s.converted(dst, EventText, i)
	}
	compact := sc.multiline && !s.opt.KeepLayout
	if !compact && !sc.badUTF8 { // AppendNewline
		if end == len(s.data) || s.data[end] != '\n' {
			return s.converted(append(s.opt.Arena.begin(len(b)+1), b...), EventJSON, i)
		}
		if err := s.room(i); err != nil {
			return err
		}
		s.events = append(s.events, Event{Data: s.data[i : end+1 : end+1], at: sc.place(i)})
		return nil
	}
	return s.converted(appendClean(s.opt.Arena.begin(len(b)), b, compact), EventJSON, i)
}

// array adds the elements of the array at b[i].
func (s *splitter) array(sc *scanner, i int) (int, *Error) {
	b := s.data
	before, damage := len(s.events), (*Error)(nil)
	i = skipSpace(b, i+1)
	first := i
	if i < len(b) && b[i] == ']' {
		return i + 1, nil
	}
	for {
		at, u := i, unit{events: len(s.events), size: s.opt.Arena.size}
		if at < len(b) && b[at] <= ' ' {
			at = skipSpace(b, at)
		}
		u.start = at
		var err *Error
		if i, err = s.value(sc, at); err == nil {
			if i < len(b) && b[i] <= ' ' {
				i = skipSpace(b, i)
			}
			switch {
			case i >= len(b):
			case b[i] == ',':
				i++
				continue
			case b[i] != ']':
				err = s.fail(KindMalformed, i, wrongByte)
			}
		}
		if err != nil {
			var done bool
			damage = err
			if i, done, err = s.damaged(u, i, err); err != nil || done {
				return i, err
			}
		}
		switch {
		case i >= len(b):
			return i, s.cutOff()
		case b[i] == ']':
			if damage != nil && b[s.top] == '[' && b[first] != '{' && !s.worthKeeping(before, i+1) {
				return i, damage
			}
			return i + 1, nil
		case b[i] == ',':
			i++
		}
	}
}

// wrapped adds what lies under the wrapper key of the object at b[i], or the
// object itself if it has no such key.
func (s *splitter) wrapped(sc *scanner, i int) (int, *Error) {
	b, start, from, found := s.data, i, i, false
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == '}' {
		return s.value(sc, start)
	}
	// What is broken outside the events costs what is left of the object.
	broken := func(at int, wrong string) (int, *Error) {
		if !found {
			return start, s.fail(KindMalformed, min(at, len(b)), wrong)
		}
		return s.rest(start, from, at, wrong)
	}
	m := mender{b: b, limit: s.opt.Limits.Depth, sc: scanner{b: b}}
	for {
		i = skipSpace(b, i)
		from = i
		if i >= len(b) {
			return broken(i, wrongEnd)
		}
		key := i
		if b[i] == '"' {
			i = sc.str(i + 1)
		} else {
			i = -1
		}
		var name []byte
		switch {
		case i >= 0:
			name = b[key+1 : i-1]
		case s.strict:
			return broken(key, wrongByte)
		default:
			if name, i = m.key(nil, key, 1); i < 0 {
				return broken(m.sc.at, m.sc.wrong)
			}
			name = name[1 : len(name)-1]
		}
		if i = skipSpace(b, i); i >= len(b) || b[i] != ':' {
			return broken(i, wrongByte)
		}
		i = skipSpace(b, i+1)
		var err *Error
		switch {
		case !sameText(name, s.opt.Wrapper):
			end := sc.value(i)
			if end < 0 && !s.strict {
				_, end = m.value(nil, i, 1)
				sc.at, sc.wrong = m.sc.at, m.sc.wrong
			}
			if end < 0 {
				return broken(sc.at, sc.wrong)
			}
			i = end
		case i < len(b) && b[i] == '[':
			found = true
			i, err = s.array(sc, i)
		default:
			found = true
			at := i
			if i, err = s.value(sc, i); err != nil {
				i, err = s.damagedValue(at, err)
			}
		}
		if err != nil {
			return i, err
		}
		i = skipSpace(b, i)
		from = i
		switch {
		case i >= len(b):
			return broken(i, wrongEnd)
		case b[i] == ',':
			i++
		case b[i] != '}':
			return broken(i, wrongByte)
		case !found:
			return s.value(sc, start)
		default:
			return i + 1, nil
		}
	}
}

// appendClean appends the valid value v with invalid UTF-8 replaced, and without
// white space outside strings if compact is set.
func appendClean(dst, v []byte, compact bool) []byte {
	for i := 0; i < len(v); {
		switch c := v[i]; {
		case c == '"':
			end := stringEnd(v, i+1)
			if end < 0 {
				end = len(v)
			}
			dst = appendValid(dst, v[i:end])
			i = end
		case compact && c <= ' ':
			i++
		default:
			dst = append(dst, c)
			i++
		}
	}
	return dst
}

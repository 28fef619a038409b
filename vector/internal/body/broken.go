// SPDX-License-Identifier: Apache-2.0

package body

import "bytes"

// A part of a body that cannot be read is an event of EventBroken if Options.Broken is
// set. Where it ends is a guess; it errs towards too much being broken, so that no event
// is made of the inside of another.

// maxReread bounds how often a body may be read again because a part of it that cannot
// be read turns out to be short.
const maxReread = 8

// bad makes an event of b[i:end], which cannot be read, or refuses the body.
func (s *splitter) bad(i, end, at int, detail string) *Error {
	err := s.fail(KindMalformed, min(at, len(s.data)), detail)
	if s.opt.Broken == nil {
		return err
	}
	if i >= end && (i < len(s.data) || !s.cutNumber(&i)) {
		if len(s.events) > s.topEvents {
			return nil // nothing of the value is left that could be kept
		}
		i = s.top
		end = i + len(bytes.TrimRight(s.data[i:max(i, end)], " \t\r\n"))
	}
	if tooMany := s.room(i); tooMany != nil {
		return tooMany
	}
	// What was looked at behind the end is looked at again.
	s.again(at - end)
	s.brokenTo, err.Event = end, len(s.events)-s.before
	s.events = append(s.events, Event{Data: s.data[i:end:end], Kind: EventBroken})
	*s.opt.Broken = append(*s.opt.Broken, *err)
	return nil
}

// cutNumber takes back the last event if it is a number that ends with the body, of which
// more digits may be missing, and moves i to where it begins.
func (s *splitter) cutNumber(i *int) bool {
	if len(s.events) == s.topEvents {
		return false
	}
	ev := s.events[len(s.events)-1]
	text := ev.Data
	if s.opt.AppendNewline {
		text = bytes.TrimSuffix(text, []byte{'\n'})
	}
	if ev.Kind != EventJSON || len(text) == 0 || text[0] != '-' && text[0]-'0' > 9 || !bytes.HasSuffix(s.data, text) || !s.opt.AppendNewline && &text[0] != &s.data[len(s.data)-len(text)] {
		return false
	}
	s.events = s.events[:len(s.events)-1]
	*i = len(s.data) - len(text)
	return true
}

// emptyField is the least that an empty message takes: its number, and that it has no bytes.
const emptyField = 2

// badMessage is bad for a message of protobuf that cannot be read because of err. What
// comes behind it is certain, since its length is known.
func (s *splitter) badMessage(b []byte, err *Error) *Error {
	if err.Kind != KindMalformed {
		return err
	}
	i := s.place(b)
	end := i + len(b)
	if i == end && i >= emptyField {
		i -= emptyField // it is all there is of it
	}
	return s.bad(i, end, max(err.Offset, 0), err.Detail)
}

// again counts n bytes that are read once more.
func (s *splitter) again(n int) {
	if s.reread += max(n, 0); s.reread > s.mayReread() {
		s.lineByLine = true
	}
}

func (s *splitter) mayReread() int { return maxReread * (len(s.data) + minBlock) }

// unit is what is given up together: a value, and what is behind it on its line.
type unit struct {
	start  int
	events int // number of events before it
	size   int // of the arena before it
}

// withdraw takes the events of u back.
func (s *splitter) withdraw(u unit) {
	n := 0
	for i := range s.events[u.events:] {
		if s.events[u.events+i].Kind == EventBroken {
			n++
		}
	}
	*s.opt.Broken = (*s.opt.Broken)[:len(*s.opt.Broken)-n]
	s.events, s.opt.Arena.size = s.events[:u.events], u.size
}

// sameList tells whether the array of before is on the line of the array of u, and like the
// brackets that log lines begin with.
func (s *splitter) sameList(before, u unit, last int) bool {
	b := s.data
	if before.start < 0 || before.start == u.start || b[before.start] != '[' || severalLines(b[last:u.start]) {
		return false
	}
	i := skipSpace(b, before.start+1)
	return b[i] != '{' && b[i] != '['
}

// giveUp makes one event of u, which cannot be read because of err, and returns where it
// ends.
func (s *splitter) giveUp(u unit, err *Error) (int, *Error) {
	b := s.data
	s.withdraw(u)
	end := s.badEnd(u.start)
	last := u.start + len(bytes.TrimRight(b[u.start:end], " \t\r\n"))
	if end < len(b) && b[end] == '{' {
		last = u.start + len(bytes.TrimRight(b[u.start:last], " \t,"))
	}
	s.again(err.Offset - end)
	return end, s.bad(u.start, last, min(err.Offset, last), err.Detail)
}

// badEnd returns where the top-level value at b[i] ends, which cannot be read: where its
// line ends, unless it is printed over lines or another object follows on the line.
func (s *splitter) badEnd(i int) int {
	end := stop(s.data, i)
	if line := s.data[i:end]; len(bytes.Trim(line, "[{ \t\r")) == 0 {
		return s.lineEnd(i)
	}
	if next := s.next(i, end, 0); next > 0 {
		return next
	}
	return end
}

// damaged makes an event of the element u of an array, which cannot be read because of err.
// i is what is behind it, if it can be read by itself. It returns the comma, bracket or
// element to go on with, or that the array is done. The error is err if the array is to
// be given up.
func (s *splitter) damaged(u unit, i int, err *Error) (next int, done bool, _ *Error) {
	if err.Kind != KindMalformed || s.opt.Broken == nil {
		return i, false, err
	}
	b, limit := s.data, len(s.data)
	if end, ok := s.linesBehind(err.Offset); ok {
		line := bytes.TrimRight(b[s.top:end], " \t\r")
		if u.start >= end || line[len(line)-1] != ']' {
			return i, false, err
		}
		limit = end
	}
	if i > u.start && i < limit && b[i] == '{' && b[u.start] == '{' {
		return i, false, nil // a comma is missing
	}
	s.withdraw(u)
	next = s.next(u.start, limit, ']')
	near := limit
	if next > 0 {
		near = next
	}
	if e := s.elementEnd(min(u.start, near), ']', near); e < near && s.goesOn(u.start, e, limit) {
		next = e
	}
	if next == 0 {
		if s.top == skipSeparators(b, skipBOM(b)) || b[s.top] != '[' || u.start >= limit || b[u.start] == '{' && limit == len(b) {
			// Nothing of the rest can be told apart.
			done, next = true, limit
		} else {
			return i, false, err
		}
	}
	last := u.start + len(bytes.TrimRight(b[min(u.start, next):next], " \t\r\n"))
	if b := b[:next]; next < limit && s.data[next] == '{' && last > u.start {
		last = u.start + len(bytes.TrimRight(b[u.start:last], " \t\r\n,"))
	}
	if done && next == len(b) {
		last = next
		if e := s.inLines(); e {
			return i, false, err
		}
	}
	if last == u.start && next < len(b) {
		return next, done, nil // nothing between two commas
	}
	return next, done, s.bad(min(u.start, last), last, err.Offset, err.Detail)
}

// damagedValue is damaged for a value that is no array.
func (s *splitter) damagedValue(i int, err *Error) (int, *Error) {
	if err.Kind != KindMalformed || s.opt.Broken == nil {
		return i, err
	}
	end := s.elementEnd(i, '}', len(s.data))
	if line, ok := s.linesBehind(err.Offset); ok && end > line {
		return i, err
	}
	last := i + len(bytes.TrimRight(s.data[i:end], " \t\r\n"))
	if end == len(s.data) {
		last = end
	}
	return end, s.bad(i, last, err.Offset, err.Detail)
}

// inLines tells whether the top-level value in hand is the last of several lines.
func (s *splitter) inLines() bool {
	b := s.data
	return severalLines(b[:s.top]) && skipSeparators(b, skipBOM(b)) < s.top && stop(b, s.top) >= len(bytes.TrimRight(b, " \t\r\n\x00\x1e"))
}

// worthKeeping tells whether an array that has damage, and whose first element is no object,
// is an array at all: log lines begin with brackets, too.
func (s *splitter) worthKeeping(before, end int) bool {
	for _, ev := range s.events[before:] {
		if ev.Kind == EventJSON && (ev.Data[0] == '{' || ev.Data[0] == '[') {
			return true
		}
	}
	return s.top == skipSeparators(s.data, skipBOM(s.data)) && skipSeparators(s.data, end) == len(s.data)
}

// behind is what linesBehind knows of the top-level value at top.
type behind struct {
	top   int
	end   int // of its first line
	least int // the end of that line, were NUL and the like no ends
	next  int // the end of the last line that was looked at
	ok    bool
}

// linesBehind tells whether there is a line behind the first one of the top-level value in
// hand that is no part of it, and where the first line ends. The value goes wrong at b[at].
func (s *splitter) linesBehind(at int) (end int, ok bool) {
	b, l := s.data, &s.behind
	if l.top != s.top || l.end == 0 {
		end := stop(b, s.top)
		*l = behind{top: s.top, end: end, least: len(b), next: end}
		if n := bytes.IndexByte(b[end:], '\n'); n >= 0 {
			l.least = end + n
		}
	}
	for !l.ok && l.next < len(b) && l.next <= max(at, l.least) {
		line := skipSeparators(b, l.next)
		l.next = stop(b, line)
		if line >= len(b) {
			break
		}
		if e := s.endOf(line, l.next); e > 0 && skipSpace(b[:l.next], e) == l.next {
			e = skipSeparators(b, e)
			l.ok = e >= len(b) || b[e] != ']' && b[e] != '}' && b[e] != ','
		}
	}
	return l.end, l.ok
}

// endOf returns where the value at b[i] ends, which ends before limit, or -1.
func (s *splitter) endOf(i, limit int) int {
	sc := scanner{b: s.data[:limit], limit: s.opt.Limits.Depth}
	end := sc.value(i)
	if end < 0 {
		m := mender{b: sc.b, limit: sc.limit, sc: scanner{b: sc.b}}
		if _, end = m.value(nil, i, 0); end < 0 {
			s.again(m.sc.at - i)
		}
	}
	return end
}

// goesOn tells whether what is at b[e] can be behind the element at b[i] that cannot be read.
func (s *splitter) goesOn(i, e, limit int) bool {
	b := s.data
	if b[e] != ',' {
		return s.arrayEnds(e+1, limit)
	}
	next := skipSpace(b[:limit], e+1)
	last := bytes.TrimRight(b[i:e], " \t\r\n")
	switch {
	case next >= limit || len(last) == 0, b[next] == ']', b[next] == ',':
		return true
	case b[next] == '{' && (last[len(last)-1] == '}' || !bytes.ContainsAny(last, `"[]{}`)):
		return true
	}
	end := s.endOf(next, limit)
	if end < 0 {
		return false
	}
	end = skipSpace(b[:limit], end)
	return end >= limit || b[end] == ',' || b[end] == ']'
}

// arrayEnds tells whether what is at b[i] can be behind an array.
func (s *splitter) arrayEnds(i, limit int) bool {
	next := skipSeparators(s.data[:limit], i)
	return next >= limit || severalLines(s.data[i:next]) || bytes.IndexByte([]byte("[{,}"), s.data[next]) >= 0
}

// next returns where behind b[i], which cannot be read, the next object of the same list
// begins, or 0. closing is the bracket of the list, 0 for top-level values.
func (s *splitter) next(i, limit int, closing byte) int {
	b := s.data
	if s.lineByLine {
		return 0
	}
	all, loose, quoted := 0, 0, false // how deep b[k] lies with strings counted and without
	for k := i; k < limit; k++ {
		switch c := b[k]; c {
		case '\\':
			if quoted && k+1 < limit && b[k+1] != '\n' {
				k++
			}
		case '"':
			quoted = !quoted
		case '\n':
			quoted = false
		case '[', '{':
			if c == '{' && k > i && s.beginsHere(i, k, limit, closing, all == 0 || !quoted && loose == 0) {
				return k
			}
			all++
			if !quoted {
				loose++
			}
		case ']', '}':
			all--
			if !quoted {
				loose--
			}
		}
	}
	s.again(limit - i)
	return 0
}

// beginsHere tells whether an object of the list begins at b[k]. level says that as many
// brackets are closed as are open.
func (s *splitter) beginsHere(i, k, limit int, closing byte, level bool) bool {
	b := s.data
	before := bytes.TrimRight(b[i:k], " \t\r\n")
	ownLine := closing != 0 && level && severalLines(b[i+len(before):k])
	comma := len(before) > 0 && before[len(before)-1] == ','
	if comma && closing == 0 {
		before = bytes.TrimRight(before[:len(before)-1], " \t\r\n")
		if !level {
			return false
		}
	}
	if !ownLine && !(comma && closing != 0) && (len(before) == 0 || before[len(before)-1] != '}') {
		return false
	}
	one := comma && !level // more than one object has to be right
	for {
		if k = s.endOf(k, limit); k < 0 {
			return false
		}
		k = skipSpace(b[:limit], k)
		switch {
		case k >= limit:
			return !one
		case b[k] == ',':
			k = skipSpace(b[:limit], k+1)
			if closing == 0 && k < limit && b[k] != '{' {
				return false
			}
		case b[k] == ']' && closing != 0:
			return !one || s.arrayEnds(k+1, limit)
		case b[k] != '{':
			return false
		}
		if !one || k >= limit {
			return !one
		}
	}
}

// rest is broken for what is left at b[i] of an object that begins at b[start].
func (s *splitter) rest(start, i, at int, detail string) (int, *Error) {
	end := len(s.data)
	if s.opt.Broken != nil {
		end = max(i, s.lineEnd(start))
	}
	return end, s.bad(min(i, end), end, at, detail)
}

// cutOff is for a body that ends within an array. What is missing has no bytes, so that
// nothing is made of it, unless the array has no event at all.
func (s *splitter) cutOff() *Error {
	n := len(s.data)
	if s.opt.Broken == nil {
		return s.fail(KindMalformed, n, wrongEnd)
	}
	if s.brokenTo == n {
		return nil // the last element says so already
	}
	if _, ok := s.linesBehind(n); ok || s.inLines() {
		return s.fail(KindMalformed, n, wrongEnd)
	}
	return s.bad(n, n, n, wrongEnd)
}

// elementEnd returns where the comma or closing bracket behind the element at b[i] lies, or
// limit. Line ends close strings, in which they must not be.
func (s *splitter) elementEnd(i int, closing byte, limit int) int {
	b := s.data[:limit]
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			i = looseString(b, i+1)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 && b[i] == closing {
				return i
			}
			depth = max(depth-1, 0)
		case ',':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

// lineEnd returns where the top-level value at b[i] ends: with its last bracket or, if
// it has none before, with its line. An object of several lines goes on until another
// begins at the start of a line.
func (s *splitter) lineEnd(i int) int {
	b, start := s.data, i
	depth, firstLine := 0, true
	for i < len(b) {
		switch b[i] {
		case '"':
			i = looseString(b, i+1)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 1 {
				return i + 1
			}
			depth = max(depth-1, 0)
		case 0, 0x1e:
			return i
		case '\n':
			next := skipSpace(b, i)
			if depth == 0 || next >= len(b) || b[next] == '{' && b[next-1] == '\n' || firstLine && (s.lineOfItsOwn(next) || b[start] == '[' && b[next] == '{') {
				return i
			}
			i, firstLine = next, false
			continue
		}
		i++
	}
	return i
}

// lineOfItsOwn tells whether b[i] begins a JSON value that ends with its line.
func (s *splitter) lineOfItsOwn(i int) bool {
	line := stop(s.data, i)
	end := s.endOf(i, line)
	return end >= 0 && skipSpace(s.data[:line], end) == line
}

// stop returns where the line of b[i] ends, or its message of GELF or of RFC 7464.
func stop(b []byte, i int) int {
	end := len(b)
	for _, c := range []byte{'\n', 0, 0x1e} {
		if n := bytes.IndexByte(b[min(i, end):end], c); n >= 0 {
			end = i + n
		}
	}
	return end
}

// severalLines tells whether there is an end of a line, or of a message, in b.
func severalLines(b []byte) bool { return stop(b, 0) < len(b) }

// looseString returns the position behind the string whose text begins at b[i], or where
// its line ends.
func looseString(b []byte, i int) int {
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			if i+1 < len(b) && b[i+1] != '\n' {
				i++
			}
		case '\n', 0:
			return i
		}
	}
	return i
}

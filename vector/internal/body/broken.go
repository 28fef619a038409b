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
	if tooMany := s.room(i); tooMany != nil {
		return tooMany
	}
	// What was looked at behind the end is looked at again.
	if s.reread += max(at-end, 0); s.reread > maxReread*(len(s.data)+minBlock) {
		return err
	}
	s.brokenTo = end
	s.events = append(s.events, Event{Data: s.data[i:end:end], Kind: EventBroken})
	*s.opt.Broken = append(*s.opt.Broken, *err)
	return nil
}

// badMessage is bad for a message of protobuf that cannot be read because of err. What
// comes behind it is not in doubt, since its length is known.
func (s *splitter) badMessage(b []byte, err *Error) *Error {
	if err.Kind != KindMalformed {
		return err
	}
	i := s.place(b)
	return s.bad(i, i+len(b), max(err.Offset, 0), err.Detail)
}

// broken makes an event of what begins at b[i] and cannot be read because of b[at], and
// returns where it ends. closing is the bracket of what it lies in, or 0.
func (s *splitter) broken(i, at int, detail string, closing byte) (int, *Error) {
	if s.opt.Broken == nil {
		return i, s.bad(i, i, at, detail)
	}
	var end int
	if closing != 0 {
		end = s.elementEnd(i, closing)
	} else {
		end = s.lineEnd(i)
	}
	last := i + len(bytes.TrimRight(s.data[i:end], " \t\r\n"))
	switch {
	case last == i && end < len(s.data):
		return end, nil // nothing between two commas
	case end == len(s.data):
		last = end
	}
	return end, s.bad(i, last, at, detail)
}

// rest is broken for what is left at b[i] of an object that begins at b[start].
func (s *splitter) rest(start, i, at int, detail string) (int, *Error) {
	end := len(s.data)
	if s.opt.Broken != nil {
		end = max(i, s.lineEnd(start))
	}
	return end, s.bad(min(i, end), end, at, detail)
}

// cutOff is for a body that ends within an array. What is missing has no bytes, but is
// not passed over in silence.
func (s *splitter) cutOff() *Error {
	n := len(s.data)
	if s.brokenTo == n {
		return nil // the last element says so already
	}
	return s.bad(n, n, n, wrongEnd)
}

// elementEnd returns where the comma or closing bracket behind the element at b[i] lies.
// Line ends close strings, in which they must not be.
func (s *splitter) elementEnd(i int, closing byte) int {
	b := s.data
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
	b := s.data
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
			if depth == 0 || next >= len(b) || b[next] == '{' && b[next-1] == '\n' || firstLine && s.lineOfItsOwn(next) {
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
	line := s.data[i:]
	if n := bytes.IndexByte(line, '\n'); n >= 0 {
		line = line[:n]
	}
	sc := scanner{b: line, limit: s.opt.Limits.Depth}
	end := sc.value(0)
	return end >= 0 && skipSpace(line, end) == len(line)
}

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

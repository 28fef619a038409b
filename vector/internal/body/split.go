// SPDX-License-Identifier: Apache-2.0

package body

import "bytes"

// EventKind says what an event's data is.
type EventKind uint8

// The kinds of events.
const (
	// EventJSON is the text of one JSON value. It is valid, and valid UTF-8.
	EventJSON EventKind = iota
	// EventText is bytes: a line, or with Options.UnquoteStrings the text of a string.
	EventText
	// EventMetric and EventTrace are EventJSON made of a metric or a trace, of
	// FormatVector only.
	EventMetric
	EventTrace
	// EventBroken is a part of the body that cannot be read, as it came; see
	// Options.Broken.
	EventBroken
)

// Event is one event of a body.
type Event struct {
	// Data is a slice of the body, or of the arena if it had to be converted. It must
	// not be changed. It is empty only for empty lines and unquoted empty strings.
	Data []byte
	Kind EventKind
	at   uint32 // of the first step of Options.Path; see scanner.place
}

// DefaultTimeKey is the key that Fluent Bit's outputs put the time under.
const DefaultTimeKey = "date"

// Options say how Split reads a body. The zero value is a good default.
type Options struct {
	// Limits bound the work. Zero fields take their defaults.
	Limits Limits

	// Wrapper is the key of a top-level JSON object that holds the events: with
	// "data", {"data":[1,2]} is two events. A value that is not an array is one
	// event. Other keys beside it are ignored; an object without the key is an event
	// itself. The key is compared with its escapes undone. Empty, the default: none.
	Wrapper string

	// RejectInvalidUTF8 refuses a JSON or OTLP body with invalid UTF-8 in a string.
	// The default replaces each invalid byte by U+FFFD, in a copy of the event.
	// MessagePack is always repaired, text is never looked at.
	RejectInvalidUTF8 bool

	// KeepLayout leaves pretty-printed JSON as it came. The default takes the white
	// space out of an event that has a line end outside its strings, so that no event
	// is more than one line; other events are put as they came.
	KeepLayout bool

	// UnquoteStrings makes of an event that is a JSON string its text, an EventText.
	// The default puts the string as it came, with its quotes, as a consumer of JSON
	// expects it.
	UnquoteStrings bool

	// KeepEmptyLines makes events of the empty lines of FormatText. The default skips
	// them. The end of the last line begins no new one.
	KeepEmptyLines bool

	// AppendNewline ends each event with a newline, for consumers that join records.
	// Where the body has one behind the event, nothing is copied. Default false.
	AppendNewline bool

	// TimeKey is the key under which an event of FormatMsgpack gets its time, as the
	// first key, in seconds with nine decimals. If the event has such a key itself, that one
	// is written, as in Fluent Bit's own outputs. Default DefaultTimeKey.
	TimeKey string
	// OmitTime leaves the time of FormatMsgpack out. Default false.
	OmitTime bool

	// OmitResource and OmitScope leave those parts out of the events of OTLP. Default
	// false: every event says where it comes from.
	OmitResource bool
	OmitScope    bool

	// Path is a field that Field will be asked for, as in Lookup: found on the way, it
	// costs little. Empty, the default: none.
	Path []string

	// Broken makes a part of the body that cannot be read cost only itself, where its
	// end can be found: it becomes an EventBroken, and its error is appended to what
	// Broken points to, in the order of the events. Nil, the default: the body is
	// refused.
	Broken *[]Error

	// Arena is the memory for events that are not slices of the body. Nil, the
	// default, makes a new one, which the events keep alive.
	Arena *Arena
}

// Split checks the whole body and appends its events to events. On an error, an
// *Error, it returns events as they were: no part of a body is taken.
// FormatAuto and FormatOTLP are decided by the first bytes. An empty body, or one
// of nothing but white space, has no events and is no error.
//
// The events are in the order of the body, so that their numbers are its. They
// are valid as long as data and the arena are left alone.
func Split(events []Event, data []byte, f Format, opt Options) ([]Event, error) {
	opt.Limits = opt.Limits.withDefaults()
	if opt.Arena == nil {
		opt.Arena = new(Arena)
	}
	if opt.TimeKey == "" {
		opt.TimeKey = DefaultTimeKey
	}
	s := splitter{opt: &opt, data: data, events: events, before: len(events), scratch: opt.Arena.spare[:0]}
	if opt.Broken != nil {
		s.brokenBefore = len(*opt.Broken)
	}
	if f == FormatOTLP {
		f = FormatIn(data, f)
	}
	var err *Error
	switch f {
	case FormatAuto:
		err = s.auto()
	case FormatJSON:
		err = s.json()
	case FormatText:
		err = s.text()
	case FormatMsgpack:
		err = s.msgpack()
	case FormatOTLPProto:
		err = s.otlpProto()
	case FormatOTLPJSON:
		err = s.otlpJSON()
	case FormatVector:
		err = s.vector()
	default:
		err = refuse(KindUnsupported, "unknown format")
	}
	opt.Arena.spare = s.scratch[:0]
	if err != nil {
		if opt.Broken != nil {
			*opt.Broken = (*opt.Broken)[:s.brokenBefore]
		}
		return events, err
	}
	return s.events, nil
}

// name is the key of the outermost object that Path begins with, for the scanner.
// A key that may need escapes is left to Lookup.
func (o *Options) name() string {
	if len(o.Path) == 0 || plain([]byte(o.Path[0])) < len(o.Path[0]) {
		return ""
	}
	return o.Path[0]
}

// splitter is the work on one body.
type splitter struct {
	opt          *Options
	data         []byte
	events       []Event
	before       int  // number of events that were there already
	brokenBefore int  // the same of Options.Broken
	strict       bool // JSON that is nearly right is none
	reread       int  // see maxReread
	lineByLine   bool // maxReread is reached
	brokenTo     int  // where the last broken part ends
	top          int  // where the top-level value in hand begins
	topEvents    int  // number of events before it
	behind       behind

	// Of OTLP:
	scratch  []byte // pieces of the record in hand
	second   stamp
	doc      []byte // the JSON request in hand
	comeBack []int  // places in doc to come back to
	// Records that are no JSON, and what stands for them in doc; see isolateRecords.
	damagedRecords []damagedRecord
	markOfDamage   []byte
}

// fail makes an error at a place of the body.
func (s *splitter) fail(k Kind, at int, detail string) *Error {
	return &Error{Kind: k, Offset: at, Event: len(s.events) - s.before, Detail: detail}
}

func (s *splitter) auto() *Error {
	switch sniff(s.data) {
	case sniffJSON:
		return s.likelyJSON()
	case sniffMaybe:
		back, broken := s.mark(), s.opt.Broken
		s.strict, s.opt.Broken = true, nil
		err := s.json()
		s.opt.Broken = broken
		if err == nil || err.Kind != KindMalformed {
			return err
		}
		back()
		return s.text()
	case sniffMsgpack:
		return s.msgpack()
	case sniffText:
		return s.text()
	default: // unknown
	}
	return refuse(KindUnsupported, "binary data without a content type")
}

// mark remembers how much was added, for going back to it.
func (s *splitter) mark() (back func()) {
	n, size := len(s.events), s.opt.Arena.size
	return func() { s.events, s.opt.Arena.size = s.events[:n], size }
}

// likelyJSON splits a body that begins like JSON, though nobody said so. If it is not, each
// line that is not JSON is text.
func (s *splitter) likelyJSON() *Error {
	back := s.mark()
	broken := s.opt.Broken
	s.opt.Broken = nil
	err := s.json()
	s.opt.Broken = broken
	if err == nil || err.Kind != KindMalformed {
		return err
	}
	back()
	if s.byTurns() {
		return s.lines()
	}
	if broken != nil {
		return s.json()
	}
	return err
}

// byTurns tells whether a body that begins like JSON, and is none, is of lines. A single
// line, and an array that is closed, is JSON with damage.
func (s *splitter) byTurns() bool {
	b := bytes.TrimSpace(s.data[skipBOM(s.data):])
	return bytes.IndexByte(b, '\n') >= 0 && (b[0] != '[' || b[len(b)-1] != ']' || s.linesOfJSON())
}

// linesOfJSON tells whether the first line is JSON by itself.
func (s *splitter) linesOfJSON() bool {
	i := skipSpace(s.data, skipBOM(s.data))
	n := bytes.IndexByte(s.data[i:], '\n')
	if n < 0 {
		return false
	}
	back := s.mark()
	defer back()
	return s.line(i, i+n)
}

// line adds the events of b[i:end] if it is JSON as a whole.
func (s *splitter) line(i, end int) bool {
	// A log line may well begin with a bracket, but hardly goes on like JSON.
	if c := sniff(s.data[i:end]); c != sniffJSON {
		return false
	}
	back, before := s.mark(), len(s.events)
	data, broken := s.data, s.opt.Broken
	s.data, s.opt.Broken = data[:end], nil
	err := s.values(i)
	s.data, s.opt.Broken = data, broken
	if err != nil || len(s.events) == before {
		back()
		// A limit shows again when the line is added as text.
		return false
	}
	return true
}

// pretty adds the value that begins at b[i] and takes whole lines, more than one of
// them. It returns what is behind, or 0 if there is none.
func (s *splitter) pretty(i int) int {
	b := s.data
	at := skipSpace(b, i)
	if at >= len(b) || b[at] != '{' && b[at] != '[' || s.reread > s.mayReread() || sniff(b[at:]) != sniffJSON {
		return 0
	}
	back := s.mark()
	broken := s.opt.Broken
	s.opt.Broken = nil
	sc := scanner{b: b, limit: s.opt.Limits.Depth, name: s.opt.name()}
	add := s.value
	switch {
	case b[at] == '[':
		add = s.array
	case s.opt.Wrapper != "":
		add = s.wrapped
	}
	end, err := add(&sc, at)
	s.opt.Broken = broken
	if err == nil {
		next := stop(b, end)
		if skipSpace(b[:next], end) == next {
			return min(next+1, len(b))
		}
		s.reread += end - i
	} else {
		s.reread += max(err.Offset-i, 0)
	}
	back()
	return 0
}

// room says whether one more event may be added.
func (s *splitter) room(at int) *Error {
	if len(s.events)-s.before >= s.opt.Limits.Events {
		return s.fail(KindTooLarge, at, DetailEvents)
	}
	return nil
}

// converted adds an event that was appended to what Arena.begin returned.
func (s *splitter) converted(ev []byte, k EventKind, at int) *Error {
	if err := s.room(at); err != nil {
		return err
	}
	if s.opt.AppendNewline {
		ev = append(ev, '\n')
	}
	if ev = s.opt.Arena.done(ev); s.opt.Arena.size > s.opt.Limits.ConvertedBytes {
		return s.fail(KindTooLarge, at, "converted events are too large")
	}
	s.events = append(s.events, Event{Data: ev, Kind: k})
	return nil
}

// text splits lines. A carriage return before a line's end belongs to the end.
func (s *splitter) text() *Error { return s.eachLine(nil) }

// lines splits lines of which some are JSON.
func (s *splitter) lines() *Error {
	return s.eachLine(func(i, end, next int) int {
		if s.line(i, end) {
			return next
		}
		return s.pretty(i)
	})
}

// eachLine makes an event of each line, unless use has, and says where to go on.
func (s *splitter) eachLine(use func(i, end, next int) int) *Error {
	data := s.data
	for i := skipBOM(data); i < len(data); {
		end, next := len(data), len(data)
		if n := bytes.IndexByte(data[i:], '\n'); n >= 0 {
			end, next = i+n, i+n+1
		}
		at, cr := i, false
		i = next
		if end > at && data[end-1] == '\r' {
			end, cr = end-1, true
		}
		if end == at && !s.opt.KeepEmptyLines {
			continue
		}
		if use != nil && end > at {
			if n := use(at, end, next); n > 0 {
				i = n
				continue
			}
		}
		if s.opt.AppendNewline && (cr || next == end) {
			if err := s.converted(append(s.opt.Arena.begin(end-at+1), data[at:end]...), EventText, at); err != nil {
				return err
			}
			continue
		}
		if err := s.room(at); err != nil {
			return err
		}
		if s.opt.AppendNewline {
			end = next
		}
		s.events = append(s.events, Event{Data: data[at:end:end], Kind: EventText})
	}
	return nil
}

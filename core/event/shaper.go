// SPDX-License-Identifier: Apache-2.0

package event

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Config says what becomes of an event. The zero value sends the whole event as
// JSON, without a newline, and spreads the records over the shards.
type Config struct {
	// LogKey names the one top-level key whose value is sent: text as it is (no
	// quotes, no escapes, no repair of invalid UTF-8), anything else as JSON. The
	// name must match exactly. It is looked up in the event as it came, so DataKeys
	// and TimeKey do not touch what it finds. An event without the key is sent
	// whole, shaped by the other options, and reported as LogKeyMissing: the AWS Go
	// plugin throws such events away. Empty, the default, sends the whole event.
	LogKey string

	// DataKeys are the top-level keys to keep; their order is the event's. The
	// names must not be empty and have been trimmed by the caller. Empty, the
	// default, keeps all.
	DataKeys []string

	// TimeKey is the key under which the event's time is added, as the last one. An
	// existing top-level key of that name is left out. It is added whether or not
	// DataKeys lists it. Empty, the default, adds nothing.
	TimeKey string

	// TimeKeyFormat is a strftime format for TimeKey, always in UTC. Known are
	// %Y %m %d %H %M %S %j %y %b %B %a %A %e %p %I %z %Z %s %F %T %D %R %n %t %% and,
	// for fractions of a second, %L %3N (milliseconds, 3 digits), %f %6N
	// (microseconds, 6 digits), %N %9N (nanoseconds, 9 digits). Names are English.
	// Note that %L has 9 digits in Fluent Bit's own kinesis_streams output and 3 in
	// the AWS Go plugin. Default DefaultTimeKeyFormat.
	TimeKeyFormat string

	// AppendNewline ends each payload with a newline. Default false.
	AppendNewline bool

	// ReplaceDots is put in place of each '.' in the keys of the payload, at every
	// level, in TimeKey too. Other options name keys as they are in the event.
	// Empty, the default, leaves keys alone.
	ReplaceDots string

	// PartitionKey says where the partition key comes from:
	//
	//	(empty)          no key: the producer spreads the records
	//	$TAG             the tag
	//	$TAG[1]          the second of the tag's parts between dots
	//	constant:TEXT    TEXT, 1 to 256 characters
	//	a  a->b->c       a field of the event, nested
	//	$a['b']['c'][0]  the same with an index into an array
	//
	// $['x'] is field x whatever characters are in its name. The field is looked up
	// in the event as it came. Text is taken as it is, numbers and booleans as their
	// JSON text; everything else and empty text count as missing. Invalid UTF-8 is
	// replaced by U+FFFD, and what is longer than MaxKeyCharacters is cut.
	PartitionKey string

	// PartitionKeyMissing says what is done with an event without a partition key:
	// "spread" (the default), "tag" (the tag is the key; spread if that is empty),
	// "constant:TEXT", or "drop", which loses the event and so must be asked for.
	PartitionKeyMissing string
}

// Shaper turns events into payloads and partition keys by one Config. It is
// immutable and safe for concurrent use.
type Shaper struct {
	key      keyRule
	missing  keyRule
	logKey   string
	dataKeys []string
	timeKey  string
	// timePrefix is the time key as JSON, its colon, and the value's first quote.
	timePrefix []byte
	timeFormat timeFormat // literals are escaped for JSON
	json       jsonOptions
	newline    bool
}

// NewShaper checks cfg and reports everything that is wrong with it at once,
// joined by errors.Join: each error names the option, its value and what is
// allowed. It keeps no reference to cfg.
func NewShaper(cfg Config) (*Shaper, error) {
	s := &Shaper{
		logKey:   cfg.LogKey,
		dataKeys: slices.Clone(cfg.DataKeys),
		timeKey:  cfg.TimeKey,
		json:     jsonOptions{dots: string(appendEscaped(nil, []byte(cfg.ReplaceDots)))},
		newline:  cfg.AppendNewline,
	}
	var problems []error
	check := func(option, value string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("cannot use %s %q: %w", option, value, err))
		}
	}
	text := func(option, value string) {
		if !utf8.ValidString(value) {
			check(option, value, errors.New("not valid UTF-8"))
		}
	}

	var err error
	s.key, err = parseKey(cfg.PartitionKey)
	check("partition_key", cfg.PartitionKey, err)
	s.missing, err = parseMissing(cfg.PartitionKeyMissing)
	check("partition_key_missing", cfg.PartitionKeyMissing, err)

	text("log_key", cfg.LogKey)
	text("time_key", cfg.TimeKey)
	text("time_key_format", cfg.TimeKeyFormat)
	text("replace_dots", cfg.ReplaceDots)
	for _, k := range cfg.DataKeys {
		text("data_keys", k)
		if k == "" {
			check("data_keys", k, errors.New("a name is empty; want names separated by single commas"))
		}
	}
	if cfg.LogKey != "" && cfg.LogKey == cfg.TimeKey {
		check("log_key", cfg.LogKey, errors.New("time_key has the same name; want another name or only one of them"))
	}

	format := cfg.TimeKeyFormat
	if format == "" {
		format = DefaultTimeKeyFormat
	}
	tf, err := parseTimeFormat(format)
	check("time_key_format", cfg.TimeKeyFormat, err)
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	s.timeFormat = tf.escaped()
	s.timePrefix = append(appendKeyText(nil, []byte(cfg.TimeKey), &s.json), ':', '"')
	return s, nil
}

// whole tells that payloads are the events' bodies as they are.
func (s *Shaper) whole() bool {
	return len(s.dataKeys) == 0 && s.timeKey == ""
}

// keep tells whether the top-level key goes into the payload. key is nil if it is
// not text.
func (s *Shaper) keep(key []byte) bool {
	if s.timeKey != "" && string(key) == s.timeKey {
		return false
	}
	if len(s.dataKeys) == 0 {
		return true
	}
	// The list is short, and most comparisons end at the length.
	for _, k := range s.dataKeys {
		if string(key) == k {
			return true
		}
	}
	return false
}

// appendPayload appends the payload for ev; clock writes the time key's value.
// The returned position in ev.Body is where a problem was found.
func (s *Shaper) appendPayload(dst []byte, ev *Event, clock *clock) ([]byte, Outcome, int, Reason) {
	var outcome Outcome
	var i int
	var reason Reason
	body := slices.Clip(ev.Body) // text is read by words, but not beyond the body
	if s.logKey != "" {
		if at := member(body, 0, s.logKey); at >= 0 {
			dst, i, reason = s.appendLogValue(dst, body, at)
			if s.newline {
				dst = append(dst, '\n')
			}
			return dst, 0, i, reason
		}
		outcome = LogKeyMissing
	}
	if s.whole() {
		dst, i, reason = appendValue(dst, body, 0, 0, &s.json)
	} else {
		dst, i, reason = s.appendObject(dst, body, ev, clock)
	}
	if s.newline {
		dst = append(dst, '\n')
	}
	return dst, outcome, i, reason
}

func (s *Shaper) appendLogValue(dst, body []byte, i int) ([]byte, int, Reason) {
	if c, n, p := readHead(body, i); c == classString || c == classBinary {
		return append(dst, body[p:p+n]...), p + n, ReasonNone
	}
	return appendValue(dst, body, i, 1, &s.json)
}

// appendObject appends the kept top-level keys of b, the body of ev, and the time
// key.
func (s *Shaper) appendObject(dst, b []byte, ev *Event, clock *clock) ([]byte, int, Reason) {
	c, n, i := readHead(b, 0)
	switch c {
	case classMap:
	case classTruncated:
		return dst, 0, ReasonTruncated
	default:
		return dst, 0, ReasonBody
	}
	dst = append(dst, '{')
	first := true
	for range n {
		key, next, reason := readKey(b, i)
		if reason != ReasonNone {
			return dst, i, reason
		}
		if !s.keep(key) {
			if i, reason = skipFlat(b, next, 1); reason != ReasonNone {
				return dst, i, reason
			}
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		if key != nil {
			dst = appendKeyText(dst, key, &s.json)
		} else if dst, _, reason = appendKey(dst, b, i, 1, &s.json); reason != ReasonNone {
			return dst, i, reason
		}
		dst = append(dst, ':')
		if dst, i, reason = appendValue(dst, b, next, 1, &s.json); reason != ReasonNone {
			return dst, i, reason
		}
	}
	if s.timeKey != "" {
		if !first {
			dst = append(dst, ',')
		}
		dst = clock.append(dst, s, ev.Sec, uint32(ev.Nsec))
	}
	return append(dst, '}'), i, ReasonNone
}

// clock remembers the text of the time key for the last second it wrote: events
// of a chunk are close together, and only fractions differ within a second.
type clock struct {
	shaper    *Shaper
	sec       int64
	text      []byte
	fractions []fraction
}

// append appends the time key and its value.
func (c *clock) append(dst []byte, s *Shaper, sec int64, nsec uint32) []byte {
	if c.shaper != s || c.sec != sec {
		c.shaper, c.sec = s, sec
		c.text = append(c.text[:0], s.timePrefix...)
		c.text, c.fractions = s.timeFormat.appendSecond(c.text, sec, c.fractions[:0])
		c.text = append(c.text, '"')
	}
	base := len(dst)
	dst = append(dst, c.text...)
	for _, f := range c.fractions {
		putFraction(dst[base+f.offset:base+f.offset+f.digits], nsec)
	}
	return dst
}

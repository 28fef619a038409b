// SPDX-License-Identifier: Apache-2.0

package event

import (
	"errors"
	"fmt"
	"slices"
	"time"
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
	// %Y %m %d %H %M %S %j %y %b %h %B %a %A %e %p %P %I %k %l %z %Z %s %C %u %w %U %W
	// %V %G %g %F %T %D %R %r %c %x %X %n %t %%, as in C, and, for fractions of a second, %L %3N (milliseconds, 3 digits), %f %6N
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

	// MetadataKey is the key under which the event's metadata is added, if it has
	// any: for OpenTelemetry severity, trace_id, span_id and so on, below otlp. Ids in
	// binary are written in hexadecimal. Empty, the default, leaves metadata out.
	MetadataKey string

	// GroupKey is the key under which the attributes of the event's group are added,
	// if it is in one: for OpenTelemetry a map with resource and scope. The group is
	// what the last KindGroupStart before the event says; see GroupLeftOut for the
	// bounds. Empty, the default, leaves them out. MetadataKey and GroupKey replace top-level keys of the same name.
	GroupKey string

	// PartitionKey says where the partition key comes from:
	//
	//	(empty)          no key: the producer spreads the records
	//	$TAG             the tag
	//	$TAG[1]          the second of the tag's parts between dots
	//	constant:TEXT    TEXT, 1 to 256 characters
	//	a  a->b->c       a field of the event, nested
	//	$a['b']['c'][0]  the same with an index into an array
	//	$metadata['a']   the event's metadata, else the field metadata
	//	$group['a']      the attributes of the event's group, else the field group
	//	$a/$['b'].x      several of those that begin with $, and text around them
	//
	// These are the record accessors of Fluent Bit. $['x'] is field x whatever
	// characters are in its name; a name without brackets ends at the first character
	// that is not a letter, a digit, '_', '-' or '@'. Fields are looked up in the
	// event as it came. Text is taken as it is, numbers and booleans as their JSON
	// text; everything else and empty text count as missing, and the key is missing if
	// any of its parts is. Invalid UTF-8 is replaced by U+FFFD, and what is longer than
	// MaxKeyCharacters is cut.
	PartitionKey string

	// PartitionKeyMissing says what is done with an event without a partition key:
	// "unkeyed" (the default), "tag" (the tag is the key; unkeyed if that is empty),
	// "constant:TEXT", or "drop", which loses the event and so must be asked for.
	PartitionKeyMissing string

	// Stream is a template, in the notation of PartitionKey without constant: and
	// a->b, for the name or the ARN of the stream that an event goes to; see
	// Builder.Streams. Of an ARN only the name may come from the event, not account or
	// region. Text without a $ is a template, too. Empty, the default: the caller knows
	// the stream.
	Stream string

	// StreamAllow are patterns that names made by Stream must match one of, in full:
	// * is any text, ? any character. Of an ARN the name counts. Empty, the default,
	// allows all.
	StreamAllow []string

	// StreamMissing says what is done with an event for which Stream has no value, or
	// one that is no stream name, is not allowed, or would be one stream too many:
	// "refuse" (the default), which makes it Unroutable; "constant:NAME", a stream for
	// such events; "drop", which loses them.
	StreamMissing string

	// MaxStreams bounds the distinct streams in use at one time. Default
	// DefaultMaxStreams, range 1 to MaxStreams.
	MaxStreams int

	// StreamIdle is after what time without events a stream makes room for another one
	// when there are MaxStreams. Default 0: never.
	StreamIdle time.Duration

	// EmptyEvents says what is done with an event that has nothing to send: no key is left
	// of it (the time and the attributes of the group do not count), or the value of
	// LogKey is empty text, an empty map or an empty array. "keep" (the default) sends {},
	// or a record without bytes; "drop" leaves it out, and reports it as Empty.
	EmptyEvents string

	// Compression of each payload, by itself (see Combine): "none" (the default), "gzip", "zlib",
	// "zstd" or "snappy". Each payload is a complete stream of that format (zlib:
	// RFC 1950; snappy: one block without framing), newline included. Consumers must
	// know it; nothing in the record says so but the format's own first bytes.
	Compression string

	// CompressionLevel is 1 to 9 for gzip and zlib (default 6), 1 to 22 for zstd
	// (default 1), and nothing for snappy. 0 is the default.
	CompressionLevel int

	// Combine makes one record of many events: those of a chunk that have stream and
	// partition key in common, in their order. "off" (the default) makes a record of each
	// event. "lines" ends each event with a line feed; a LogKey text that has line breaks,
	// is empty or begins with a quote, is written as a JSON string, so that a line is
	// always an event. "json_array" makes a JSON array of them, and a JSON string of
	// every LogKey text. A record of one event looks like one of many. Compression is that
	// of the record then, and AppendNewline has no effect. In a text that becomes a JSON
	// string, what is not UTF-8 is replaced by U+FFFD, as in all of JSON.
	Combine string

	// CombineSize bounds the bytes of a combined record before compression. A larger event
	// is a record of its own. Default DefaultCombineSize, or DefaultCombineSizeAlone for
	// streams that Plan.OwnRecords names. Range 1,024 to 10,485,760. A record that is
	// larger than the limit of its stream after compression is halved, event by event.
	CombineSize int

	// CombineCount bounds the events of a combined record. Default 0: no bound. Range 1 to
	// 1,000,000.
	CombineCount int

	// Oversize says what is done with a record whose payload and partition key have
	// more than MaxRecordBytes, after compression: "keep" (the default) leaves it to
	// the producer; "truncate" cuts the longest texts of the event, at a character,
	// and ends them with [Truncated...]; "split" makes several records, in each of
	// which a piece stands for the longest text, with the keys partial_message,
	// partial_id, partial_ordinal and partial_last; keys of these names that the event
	// has go below outer_partial. JSON stays valid. If neither makes the record fit, it
	// is kept.
	Oversize string

	// MaxRecordBytes is the limit for Oversize, if Plan.RecordLimit knows no lower one.
	// Default: what Plan.RecordLimit says, else DefaultMaxRecordBytes. Range 4,096 to
	// 10,485,760.
	MaxRecordBytes int
}

// Shaper turns events into payloads and partition keys by one Config. It is safe
// for concurrent use, and immutable but for the set of streams it has seen.
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

	metadataKey, groupKey       string
	metadataPrefix, groupPrefix []byte // the keys as JSON and a colon
	timeName, metadataName      uint64 // what the keys are in a hash of names
	groupName                   uint64
	metadataJSON                jsonOptions // ids in hexadecimal

	dropEmpty bool
	streams   *streamRule // nil: not the Shaper's business
	pack      compression
	combine   *Combine // nil: off
	marksKeys bool     // for it
	oversize  oversizeRule
	maxRecord int
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

		metadataKey: cfg.MetadataKey,
		groupKey:    cfg.GroupKey,
	}
	var problems []error
	check := func(option, value string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %q: %w", option, value, err))
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
			check("data_keys", k, errors.New("a name is empty; allowed: names separated by single commas"))
		}
	}
	text("metadata_key", cfg.MetadataKey)
	text("group_key", cfg.GroupKey)
	checkNames(&cfg, check)
	s.streams = parseStreams(&cfg, check)
	switch cfg.EmptyEvents {
	case "", "keep":
	case "drop":
		s.dropEmpty = true
	default:
		check("empty_events", cfg.EmptyEvents, errors.New("not one of the allowed words; allowed: keep or drop"))
	}
	s.pack = parseCompression(cfg.Compression, cfg.CompressionLevel, check)
	s.oversize, s.maxRecord = parseOversize(&cfg, check)
	s.combine = parseCombine(&CombineConfig{Combine: cfg.Combine, CombineSize: cfg.CombineSize, CombineCount: cfg.CombineCount}, s.pack, check)
	s.newline = s.newline && s.combine == nil
	s.marksKeys = s.combine != nil && s.keysOfEvents()

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
	s.metadataPrefix = append(appendKeyText(nil, []byte(cfg.MetadataKey), &s.json), ':')
	s.groupPrefix = append(appendKeyText(nil, []byte(cfg.GroupKey), &s.json), ':')
	s.timeName = mixBytes(namesSeed, s.timePrefix, 3)
	s.metadataName = mixBytes(namesSeed, s.metadataPrefix, 3)
	s.groupName = mixBytes(namesSeed, s.groupPrefix, 3)
	s.metadataJSON = s.json
	s.metadataJSON.special, s.metadataJSON.hexIDs = true, true
	return s, nil
}

// checkNames refuses one name for two things.
func checkNames(cfg *Config, check func(option, value string, err error)) {
	names := []struct{ option, name string }{
		{"time_key", cfg.TimeKey}, {"metadata_key", cfg.MetadataKey}, {"group_key", cfg.GroupKey}, {"log_key", cfg.LogKey},
	}
	for i, a := range names {
		for _, b := range names[:i] {
			if a.name != "" && a.name == b.name {
				check(a.option, a.name, fmt.Errorf("%s has the same name; allowed: another name, or only one of them", b.option))
			}
		}
	}
}

// whole tells that payloads are the events' bodies as they are, but for what is
// added from outside of them.
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

// appendPayload appends the payload for ev before compression. b has what goes on
// from event to event. The returned position in ev.Body is where a problem was
// found.
func (s *Shaper) appendPayload(dst []byte, ev *Event, b *Builder, o *jsonOptions) ([]byte, Outcome, int, Reason) {
	var outcome Outcome
	var i int
	var reason Reason
	body := slices.Clip(ev.Body) // text is read by words, but not beyond the body
	if s.logKey != "" {
		if at := member(body, 0, s.logKey); at >= 0 {
			dst = s.combine.begin(dst)
			start := len(dst)
			dst, i, reason = s.appendLogValue(dst, body, at, o)
			if s.dropEmpty && (len(dst) == start || isEmptyValue(body, at)) {
				return dst, Empty, i, reason
			}
			if s.newline {
				dst = append(dst, '\n')
			}
			if s.combine != nil && reason == ReasonNone {
				c, _, _ := readHead(body, at)
				dst = s.combine.end(dst, start, c == classString || c == classBinary)
			}
			return dst, 0, i, reason
		}
		outcome = LogKeyMissing
	}
	add := b.additions(s, ev)
	if s.groupKey != "" && !add.group && (b.groupLarge || b.groupSpent >= maxGroupJSONBytes) {
		outcome |= GroupLeftOut
	}
	dst = s.combine.begin(dst)
	start := len(dst)
	if s.whole() && add == (additions{}) {
		if s.dropEmpty && isEmptyValue(body, 0) {
			return dst, outcome | Empty, 0, ReasonNone
		}
		dst, i, reason = appendValue(dst, body, 0, 0, o)
		if reason == ReasonNone && o == &s.json && s.isPlain() {
			b.layouts.learn(s, body, dst[start:])
		}
	} else {
		dst, i, reason = s.appendObject(dst, body, ev, b, add, o)
		if len(dst) == start {
			return dst, outcome | Empty, i, reason
		}
	}
	if o.partial != nil && reason == ReasonNone {
		dst = o.partial.mark(dst, start)
	}
	return s.appendEnd(dst), outcome, i, reason
}

// appendEnd appends what comes behind the text of an event.
func (s *Shaper) appendEnd(dst []byte) []byte {
	switch {
	case s.combine != nil:
		return append(dst, s.combine.last())
	case s.newline:
		return append(dst, '\n')
	}
	return dst
}

// additions says what an event gets from outside of its body, besides the time.
type additions struct{ metadata, group bool }

func (b *Builder) additions(s *Shaper, ev *Event) additions {
	return additions{
		metadata: s.metadataKey != "" && !isEmpty(ev.Metadata),
		group:    s.groupKey != "" && !isEmpty(b.group) && b.groupSpent < maxGroupJSONBytes,
	}
}

// leavesOut tells whether the top-level key does not go into the payload, or makes room
// for what is added.
func (s *Shaper) leavesOut(key []byte, add additions) bool {
	return !s.keep(key) || add.metadata && string(key) == s.metadataKey || add.group && string(key) == s.groupKey
}

// isEmptyValue tells whether the value at b[i] is an empty map or array.
func isEmptyValue(b []byte, i int) bool {
	c, n, _ := readHead(b, i)
	return n == 0 && (c == classMap || c == classArray)
}

// isEmpty tells whether the value is not a map or has no pairs.
func isEmpty(value []byte) bool {
	c, n, _ := readHead(value, 0)
	return c != classMap || n == 0
}

func (s *Shaper) appendLogValue(dst, body []byte, i int, o *jsonOptions) ([]byte, int, Reason) {
	if c, n, p := readHead(body, i); c == classString || c == classBinary {
		if o.special {
			dst = append(dst, o.piece(body, p, p+n)...)
			if o.cuts(n) {
				dst = append(dst, truncationMark...)
			}
			return dst, p + n, ReasonNone
		}
		return append(dst, body[p:p+n]...), p + n, ReasonNone
	}
	start := len(dst)
	dst, i, reason := appendValue(dst, body, i, 1, o)
	if o.partial != nil && reason == ReasonNone && dst[start] == '{' {
		dst = o.partial.mark(dst, start)
	}
	return dst, i, reason
}

// appendObject appends the kept top-level keys of body, the body of ev, and what is
// added to them. Under dropEmpty it appends nothing if the object has nothing.
func (s *Shaper) appendObject(dst, body []byte, ev *Event, b *Builder, add additions, o *jsonOptions) ([]byte, int, Reason) {
	c, n, i := readHead(body, 0)
	switch c {
	case classMap:
	case classTruncated:
		return dst, 0, ReasonTruncated
	default:
		return dst, 0, ReasonBody
	}
	object, h := len(dst), namesSeed
	for range n {
		key, next, reason := readKey(body, i)
		if reason != ReasonNone {
			return dst, i, reason
		}
		if s.leavesOut(key, add) {
			if i, reason = skipFlat(body, next, 1); reason != ReasonNone {
				return dst, i, reason
			}
			continue
		}
		if key != nil && (o.dots == "" || !hasDot(key)) {
			dst, h = appendName(dst, key, h)
		} else {
			dst = append(dst, ',')
			name := len(dst)
			if dst, _, reason = appendKey(dst, body, i, 1, o); reason != ReasonNone {
				return dst, i, reason
			}
			h = mixBytes(h, dst[name:], 2)
			dst = append(dst, ':')
		}
		if p, end := shortText(body, next); end > 0 && !o.special {
			dst, i = AppendQuoted(dst, body[p:end]), end
		} else if dst, i, reason = appendValue(dst, body, next, 1, o); reason != ReasonNone {
			return dst, i, reason
		}
	}
	if s.dropEmpty && len(dst) == object && !add.metadata {
		return dst, i, ReasonNone
	}
	if add.metadata {
		h = mix(h, s.metadataName)
		dst = append(append(dst, ','), s.metadataPrefix...)
		dst = appendSide(dst, slices.Clip(ev.Metadata), &s.metadataJSON)
	}
	if add.group {
		h = mix(h, s.groupName)
		dst = append(append(dst, ','), b.groupText(s)...)
	}
	if s.timeKey != "" {
		h = mix(h, s.timeName)
		dst = b.clock.append(append(dst, ','), s, ev.Sec, uint32(ev.Nsec))
	}
	return endObject(closeObject(dst, object), object, h), i, ReasonNone
}

// appendComma appends a comma unless nothing was written since start.
func appendComma(dst []byte, start int) []byte {
	if len(dst) > start {
		return append(dst, ',')
	}
	return dst
}

// appendSide appends a map that goes with an event. The event is not lost if its
// companion has keys that lie too deep in each other.
func appendSide(dst, value []byte, o *jsonOptions) []byte {
	out, _, reason := appendValue(dst, value, 0, 0, o)
	if reason != ReasonNone {
		return append(dst, "null"...)
	}
	return out
}

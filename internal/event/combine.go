// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"

	"github.com/outkpl/outkpl/core"
)

// Bounds and defaults of Config.CombineSize and Config.CombineCount.
const (
	// DefaultCombineSize is for streams whose records are aggregated: small enough that
	// aggregates of compressed records fill the units by which Kinesis charges.
	DefaultCombineSize = 256 << 10
	// DefaultCombineSizeAlone is for streams on which each record is a Kinesis record of
	// its own. Partition key and payload together have that many bytes.
	DefaultCombineSizeAlone = 1 << 20

	minCombineSize  = 1 << 10
	maxCombineSize  = 10 << 20
	maxCombineCount = 1_000_000
)

// form is how events lie in a combined record.
type form uint8

const (
	formSingle form = iota // one event a record, as it is
	formLines              // each event ends with a line feed
	formArray              // the elements of a JSON array
)

var formNames = [...]string{"off", "lines", "json_array"}

// CombineConfig are the options of a Combine; see those of the same names in Config.
type CombineConfig struct {
	Combine                   string
	CombineSize, CombineCount int
	Compression               string
	CompressionLevel          int
}

// Combine makes one record of many events that have a partition key and a stream in
// common. It is safe for concurrent use, and holds nothing of the events.
type Combine struct {
	form   form
	size   int // 0: by the stream
	count  int // 0: no bound
	pack   compression
	work   sync.Pool // of *combiner
	spares sync.Pool // of *spare
}

// NewCombine checks cfg and reports everything that is wrong with it at once. It
// returns nil if events are not combined.
func NewCombine(cfg CombineConfig) (*Combine, error) {
	var problems []error
	check := func(option, value string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %q: %w", option, value, err))
		}
	}
	c := parseCombine(&cfg, parseCompression(cfg.Compression, cfg.CompressionLevel, check), check)
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return c, nil
}

// parseCombine returns nil for off.
func parseCombine(cfg *CombineConfig, pack compression, check func(option, value string, err error)) *Combine {
	c := &Combine{size: cfg.CombineSize, count: cfg.CombineCount, pack: pack}
	if cfg.Combine != "" {
		i := slices.Index(formNames[:], cfg.Combine)
		if i < 0 {
			check("combine", cfg.Combine, errors.New("not one of the allowed words; allowed: off, lines or json_array"))
			return nil
		}
		c.form = form(i)
	}
	bound := func(option string, value, least, most int) {
		switch {
		case value == 0:
		case value < least || value > most:
			check(option, strconv.Itoa(value), fmt.Errorf("out of range; allowed: %d to %d", least, most))
		case c.form == formSingle:
			check(option, strconv.Itoa(value), errors.New("has no use with combine off; allowed: combine lines or json_array, or no "+option))
		}
	}
	bound("combine_size", cfg.CombineSize, minCombineSize, maxCombineSize)
	bound("combine_count", cfg.CombineCount, 1, maxCombineCount)
	if c.form == formSingle {
		return nil
	}
	c.work.New = func() any { return new(combiner) }
	return c
}

// begin appends what comes before an event that is a record of its own.
func (c *Combine) begin(dst []byte) []byte {
	if c != nil && c.form == formArray {
		return append(dst, '[')
	}
	return dst
}

// end appends what comes behind the event at dst[start:], with which dst ends, and
// quotes text where it could be taken for something else.
func (c *Combine) end(dst []byte, start int, text bool) []byte {
	if text && (c.form == formArray || mustQuote(dst[start:])) {
		end := len(dst)
		// append may move dst, but the text stays readable where it was.
		dst = AppendQuoted(dst, slices.Clip(dst[start:end]))
		dst = dst[:start+copy(dst[start:], dst[end:])]
	}
	return append(dst, c.last())
}

// mustQuote tells whether text could not be told from several lines, from none, or from
// quoted text.
func mustQuote(text []byte) bool {
	return len(text) == 0 || text[0] == '"' || bytes.IndexByte(text, '\n') >= 0 || bytes.IndexByte(text, '\r') >= 0
}

// AppendAlone appends the payload of a record of one event. text means that the event is
// text and not JSON.
func (c *Combine) AppendAlone(dst, data []byte, text bool) []byte {
	if text = text || isQuoted(data); c.pack.codec == codecNone {
		return c.frame(dst, data, text, true)
	}
	w := c.take()
	defer c.give(w)
	w.text = c.frame(w.text[:0], data, text, true)
	return w.z.append(&c.pack, dst, w.text)
}

// isQuoted tells that an event is to be treated like text, so that its quotes come back,
// too.
func isQuoted(data []byte) bool { return len(data) == 0 || data[0] == '"' }

// Combines tells whether events are combined.
func (cfg *Config) Combines() bool { return cfg.Combine != "" && cfg.Combine != formNames[formSingle] }

// Combined is what a pass has made of events: records in the order in which the first
// event of each came.
type Combined struct {
	Records []core.Record
	// Events are how many events each record holds.
	Events []int32
	// Bytes is the memory of payloads and keys that are not those of the events.
	Bytes int

	streams []int32 // by record
	blocks  [][]byte
	lent    bool // a record lies in the memory of its events
	single  bool // each event is a record, and Events and streams are empty
}

const (
	minOutBlock = 16 << 10
	maxOutBlock = 1 << 20
)

// room returns n bytes.
func (out *Combined) room(n int) []byte {
	var last []byte
	if k := len(out.blocks); k > 0 {
		last = out.blocks[k-1]
	}
	if cap(last)-len(last) < n {
		last = make([]byte, 0, max(n, min(max(2*cap(last), minOutBlock), maxOutBlock)))
		out.blocks = append(out.blocks, last)
		out.Bytes += cap(last)
	}
	at := len(last)
	last = last[:at+n]
	out.blocks[len(out.blocks)-1] = last
	return last[at : at+n : at+n]
}

// reset forgets the records and keeps memory for the next ones: one block.
func (out *Combined) reset() {
	clear(out.Records) // lets go of keys
	*out = Combined{Records: out.Records[:0], Events: out.Events[:0], streams: out.streams[:0], blocks: out.blocks, Bytes: out.Bytes}
	if recordBytes*cap(out.Records) > maxKeptArenaBytes {
		out.Records, out.Events, out.streams = nil, nil, nil
	}
	switch n := len(out.blocks); {
	case n == 0 || out.Bytes > maxKeptArenaBytes:
		out.blocks, out.Bytes = nil, 0
	case n == 1:
		out.blocks[0] = out.blocks[0][:0]
	default:
		clear(out.blocks)
		out.blocks = append(out.blocks[:0], make([]byte, 0, out.Bytes))
	}
}

func (out *Combined) memory() int {
	return out.Bytes + recordBytes*cap(out.Records) + 4*(cap(out.Events)+cap(out.streams))
}

// frame appends an event as the first one of a record, or as a further one, with what
// ends the record.
func (c *Combine) frame(dst, data []byte, text, first bool) []byte {
	if first {
		dst = c.begin(dst)
	}
	switch {
	case text && (c.form == formArray || mustQuote(data)):
		dst = AppendQuoted(dst, slices.Clip(data))
	case text || c.form == formArray:
		dst = append(dst, data...)
	default:
		dst = appendOneLine(dst, data)
	}
	return append(dst, c.last())
}

// last ends a record.
func (c *Combine) last() byte {
	if c.form == formArray {
		return ']'
	}
	return '\n'
}

// appendOneLine appends JSON without its line breaks. Between the values they have no
// meaning; in a text they have no place, and are escaped.
func appendOneLine(dst, text []byte) []byte {
	if bytes.IndexByte(text, '\n') < 0 && bytes.IndexByte(text, '\r') < 0 {
		return append(dst, text...)
	}
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\' && i+1 < len(text) && text[i+1] >= ' ':
			dst = append(dst, c)
			i++
		case c == '\n' && quoted:
			dst = append(dst, '\\', 'n')
			continue
		case c == '\r' && quoted:
			dst = append(dst, '\\', 'r')
			continue
		case !quoted && (c == '\n' || c == '\r' || c == ' ' || c == '\t'):
			continue
		}
		dst = append(dst, text[i])
	}
	return dst
}

// quotedSize is the length of text as a JSON string.
func quotedSize(text []byte) int {
	n := 2
	for i := 0; i < len(text); {
		k, size := quotedRune(text[i:])
		i, n = i+k, n+size
	}
	return n
}

func (out *Combined) add(rec core.Record, n int, stream int32) {
	out.Records = append(out.Records, rec)
	out.Events = append(out.Events, int32(n))
	out.streams = append(out.streams, stream)
}

// spare is memory for the events of a chunk, of which nothing is needed once they are
// combined.
type spare struct {
	arena []byte
	spans []span
}

// takeSpare gives the memory to a Builder that has none.
func (c *Combine) takeSpare(b *Builder) {
	if b.spans != nil {
		return
	}
	if m, _ := c.spares.Get().(*spare); m != nil {
		b.spans = m.spans
		if b.arena == nil {
			b.arena = m.arena
		}
	}
}

// giveSpare takes it back.
func (c *Combine) giveSpare(b *Builder) {
	if b.out.single {
		return
	}
	m := &spare{spans: b.spans[:0]}
	clear(b.spans) // lets go of keys
	b.spans = nil
	if !b.out.lent {
		m.arena, b.arena = b.arena[:0], nil
	}
	if cap(m.arena) <= maxKeptArenaBytes && spanBytes*cap(m.spans) <= maxKeptArenaBytes {
		c.spares.Put(m)
	}
}

// combineRecords is the pass of a Builder.
func (b *Builder) combineRecords(c *Combine) {
	b.pass(c, false)
	b.combined = true
	c.giveSpare(b)
}

// early is the first length of the arena at which a Builder looks for records that are
// full, or 0 if it makes all of them at the end. To make them early saves memory, and their
// events are still in the caches of the processor. It changes nothing of them where all
// events of a chunk have one stream and one key, since only the last record can get
// another event then. The pieces of a large event have a key of their own.
func (s *Shaper) early() int {
	if s.pack.codec == codecNone || s.streams != nil || s.keysOfEvents() || s.oversize == oversizeSplit {
		return 0
	}
	return cmp.Or(s.combine.size, DefaultCombineSize)
}

// keysOfEvents tells whether partition keys depend on the events.
func (s *Shaper) keysOfEvents() bool { return s.key.source == keyField || s.key.source == keyTemplate }

// combineFull makes the records that are full, and forgets their events.
func (b *Builder) combineFull(c *Combine) {
	size, _ := b.combineSizes(c, 0)
	if len(b.arena) >= size {
		first := b.pass(c, true)
		at := b.spans[first].start
		b.arena = b.arena[:copy(b.arena, b.arena[at:])]
		n := copy(b.spans, b.spans[first:])
		clear(b.spans[n:]) // lets go of keys
		b.spans = b.spans[:n]
		for i := range b.spans {
			sp := &b.spans[i]
			sp.start, sp.keyEnd, sp.end = sp.start-at, sp.keyEnd-at, sp.end-at
		}
		b.marks.reset()
		b.done += first
		size += len(b.arena)
	}
	b.early = size
}

// pass makes records of the events in b, but of the last one, and returns its first event,
// if more may come that belong to it.
func (b *Builder) pass(c *Combine, more bool) (first int) {
	w := c.take()
	defer c.give(w)
	s := b.shaper
	if len(b.out.Records) == 0 {
		// If nothing is combined they stay there, in memory that was used for that before.
		w.recs, b.out.Records = b.out.Records, w.recs
	}
	in := input{
		recs: b.listRecords(w.recs[:0]), spans: b.spans, arena: b.arena, sure: s.surelyFits(), more: more,
		limit: func(stream int32) int { return b.recordLimit(s, stream) },
		sizes: func(stream int32) (size, total int) { return b.combineSizes(c, stream) },
	}
	if s.marksKeys && !b.marks.givenUp() {
		b.markKeys()
		in.marks = &b.marks
	}
	first = w.combine(c, &b.out, &in)
	clear(in.recs) // lets go of the events
	w.recs = in.recs[:0]
	return first
}

// combineSizes are those of the records of a stream.
func (b *Builder) combineSizes(c *Combine, stream int32) (size, total int) {
	own := c.size == 0 && b.planned().ownRecords(b.shaper, stream)
	return c.sizes(own, b.shaper.surelyFits(), func() int { return b.recordLimit(b.shaper, stream) })
}

// finishAlone makes the event of sp a complete record, since it may be too large for one.
func (b *Builder) finishAlone(s *Shaper, sp *span) {
	if s.pack.codec == codecNone {
		return
	}
	b.text = append(b.text[:0], b.arena[sp.keyEnd:sp.end]...)
	b.arena = b.z.append(&s.pack, b.arena[:sp.keyEnd], b.text)
	sp.end, sp.alone = len(b.arena), true
}

// sizes is how many bytes the events of a combined record may have, and how many with
// its key. own tells that each record is a Kinesis record of its own. A record of up to
// sure bytes fits, and limit returns of how many.
func (c *Combine) sizes(own bool, sure int, limit func() int) (size, total int) {
	size, total = c.size, sure
	switch {
	case size == 0 && own:
		size = DefaultCombineSizeAlone
	case size == 0:
		size = DefaultCombineSize
	case c.pack.codec != codecNone:
		total = math.MaxInt // what it comes to is known afterwards
	case size > sure:
		total = limit()
	}
	return size, total
}

// Records combines events of one stream as far as they have a key in common. texts tells
// which of them are text and not JSON, nil means none. own tells that each record will be
// a Kinesis record of its own, and limit is how large a record may be, with its key. What
// is returned does not refer to the data of events, but to their keys.
func (c *Combine) Records(events []core.Record, texts []bool, own bool, limit int) *Combined {
	w := c.take()
	defer c.give(w)
	out := &Combined{}
	w.combine(c, out, &input{
		recs: events, texts: texts, sure: limit,
		limit: func(int32) int { return limit },
		sizes: func(int32) (size, total int) { return c.sizes(own, limit, func() int { return limit }) },
	})
	return out
}

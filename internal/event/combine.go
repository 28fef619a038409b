// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"unsafe"

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

// input are the events of a pass, each a record by itself. Payloads are not compressed.
type input struct {
	recs []core.Record
	// spans tells the streams of recs, and which of them are complete records; payloads
	// are framed as those of records of one event, and lie in arena. Without it there is
	// one stream, and payloads are the events as they are.
	spans []span
	arena []byte
	texts []bool // without spans: which events are text; nil for none
	// sizes returns how many bytes the events of a record of a stream may have, and how
	// many with its key. It is asked once for each stream.
	sizes func(stream int32) (size, total int)
	// limit is how large a record may be after compression, with its key. It is asked for
	// records that may be too large.
	limit func(stream int32) int
	sure  int // a size up to which limit need not be asked
}

// size is the size of the payload of event i as a record of its own, or a little more.
func (in *input) size(c *Combine, i int) int {
	data := in.recs[i].Data
	n := len(data)
	if in.spans != nil {
		return n
	}
	if in.isText(i) && (c.form == formArray || mustQuote(data)) {
		n = quotedSize(data)
	}
	if c.form == formArray {
		return n + 2
	}
	return n + 1
}

// isText tells whether event i, which is not framed, is text.
func (in *input) isText(i int) bool {
	return len(in.texts) > 0 && in.texts[i] || isQuoted(in.recs[i].Data)
}

// more is what an event of that size adds to a record that has one.
func (c *Combine) more(size int) int {
	if c.form == formArray {
		return size - 1 // a comma in place of two brackets
	}
	return size
}

// combiner is the memory of a pass.
type combiner struct {
	recs    []core.Record // of a Builder
	groups  []group
	next    []int32 // by event: the next one of its group
	table   []bucket
	cleared bool    // table is
	unkeyed []int32 // by stream: the group of events without a key, plus one
	sizes   []streamSizes
	text    []byte // events before compression
	packed  []byte // and after it
	z       compressor
}

// group is a record in the making.
type group struct {
	head, tail int32 // events
	n          int32
	stream     int32
	slot       int32 // in the table, -1 without a key
	bytes      int   // of the payload
	most       int   // of bytes
	closed     bool  // takes no more
	together   bool  // the events lie in memory as they do in the record
}

type streamSizes struct {
	known       bool
	size, total int
}

// bucket has the open groups whose keys have one hash modulo the length of the table. A
// new one that finds no room closes the oldest. So a key costs the same whatever keys
// there are, chosen by an enemy or not.
type bucket struct {
	tag   [ways]uint32
	group [ways]int32 // 0: free, else one more than the index
}

const (
	ways       = 8
	maxBuckets = 1 << 15
	// combineSeed is fixed: which events are combined must not change from one reading to
	// the next.
	combineSeed = 0x6b706c5f636f6d62
)

func (c *Combine) take() *combiner { return c.work.Get().(*combiner) }

func (c *Combine) give(w *combiner) {
	if cap(w.text) > maxKeptArenaBytes {
		w.text = nil
	}
	if cap(w.packed) > maxKeptArenaBytes {
		w.packed = nil
	}
	if cap(w.next) > maxKeptArenaBytes/16 {
		w.recs, w.groups, w.next, w.table = nil, nil, nil, nil
	}
	c.work.Put(w)
}

// combine is the pass: it groups the events of in, then makes a record of each group.
func (w *combiner) combine(c *Combine, out *Combined, in *input) {
	if found := w.group(c, in); !found && in.spans != nil && c.pack.codec == codecNone {
		// Each is the record that it has to be.
		out.lent, out.single = true, true
		out.Records = append(out.Records, in.recs...)
		return
	}
	out.Records = slices.Grow(out.Records, len(w.groups))
	out.Events = slices.Grow(out.Events, len(w.groups))
	for i := range w.groups {
		g := &w.groups[i]
		w.emit(c, out, in, g, int(g.head), int(g.n), g.bytes)
	}
}

// group finds out which events make a record. Nothing decides but the events and what
// was asked of in. It reports whether any are combined.
func (w *combiner) group(c *Combine, in *input) (found bool) {
	w.groups, w.cleared = slices.Grow(w.groups[:0], 64), false
	w.next = slices.Grow(w.next[:0], len(in.recs))[:len(in.recs)]
	clear(w.unkeyed)
	clear(w.sizes)
	count := int32(c.count)
	if c.count == 0 {
		count = 1<<31 - 1
	}
	last := int32(-1)
	for i := range in.recs {
		r := &in.recs[i]
		var stream int32
		alone := false
		size := len(r.Data)
		if in.spans != nil {
			stream, alone = in.spans[i].stream, in.spans[i].alone
		} else {
			size = in.size(c, i)
		}
		keyed := r.PartitionKey != "" || r.ExplicitHashKey != ""
		slot, g := int32(-1), last
		switch {
		case !keyed:
			g = w.unkeyedGroup(stream)
		case g >= 0 && w.same(in, g, r, stream): // neighbours often have one key
			slot = w.groups[g].slot
		default:
			slot, g = w.find(in, r, stream)
		}
		if g >= 0 && !alone {
			gr := &w.groups[g]
			if !gr.closed && gr.n < count && gr.bytes+c.more(size) <= gr.most {
				gr.together = gr.together && in.follows(gr.tail, i)
				w.next[gr.tail] = int32(i)
				gr.tail = int32(i)
				gr.n++
				gr.bytes += c.more(size)
				last, found = g, true
				continue
			}
		}
		most := w.most(in, stream, len(r.PartitionKey))
		last = int32(len(w.groups))
		w.groups = append(w.groups, group{
			head: int32(i), tail: int32(i), n: 1, stream: stream, slot: slot, bytes: size, most: most,
			closed: alone, together: c.form == formLines && in.spans != nil,
		})
		if keyed {
			w.table[slot/ways].group[slot%ways] = last + 1
		} else {
			w.unkeyed[stream] = last + 1
		}
	}
	return found
}

// follows tells whether event i lies right behind the event prev.
func (in *input) follows(prev int32, i int) bool { return in.spans[i].keyEnd == in.spans[prev].end }

// most is how many bytes the payload of a combined record of the stream may have.
func (w *combiner) most(in *input, stream int32, key int) int {
	for len(w.sizes) <= int(stream) {
		w.sizes = append(w.sizes, streamSizes{})
	}
	s := &w.sizes[stream]
	if !s.known {
		s.known = true
		s.size, s.total = in.sizes(stream)
	}
	return min(s.size, s.total-max(key, 1))
}

func (w *combiner) unkeyedGroup(stream int32) int32 {
	for len(w.unkeyed) <= int(stream) {
		w.unkeyed = append(w.unkeyed, 0)
	}
	return w.unkeyed[stream] - 1
}

// same tells whether a record has stream and key of a group.
func (w *combiner) same(in *input, g int32, r *core.Record, stream int32) bool {
	gr := &w.groups[g]
	first := &in.recs[gr.head]
	return gr.stream == stream && first.PartitionKey == r.PartitionKey && first.ExplicitHashKey == r.ExplicitHashKey
}

// find returns the open group for the key of r, or -1, and where in the table it is or is
// to be put.
func (w *combiner) find(in *input, r *core.Record, stream int32) (slot, g int32) {
	if !w.cleared {
		w.cleared = true
		n := 1
		for n < maxBuckets && n*ways < 2*len(in.recs) {
			n *= 2
		}
		w.table = slices.Grow(w.table[:0], n)[:n]
		clear(w.table)
	}
	h := mix(combineSeed, uint64(stream))
	h = mixBytes(h, unsafe.Slice(unsafe.StringData(r.PartitionKey), len(r.PartitionKey)), 1)
	if r.ExplicitHashKey != "" {
		h = mixBytes(h, []byte(r.ExplicitHashKey), 2)
	}
	h = mix(h, 0) // every bit of the key counts in the upper ones
	at := int32(h >> 32 * uint64(len(w.table)) >> 32)
	tag := uint32(h)
	b := &w.table[at]
	oldest := 0
	for i := range ways {
		g := b.group[i]
		if g == 0 {
			oldest = i
			break
		}
		if b.tag[i] == tag && w.same(in, g-1, r, stream) {
			return at*ways + int32(i), g - 1
		}
		if g < b.group[oldest] {
			oldest = i
		}
	}
	b.tag[oldest] = tag
	return at*ways + int32(oldest), -1
}

// emit makes a record of n events from head on, whose payload has size bytes, or more
// than one if it is too large.
func (w *combiner) emit(c *Combine, out *Combined, in *input, g *group, head, n, size int) {
	first := &in.recs[head]
	rec := core.Record{PartitionKey: first.PartitionKey, ExplicitHashKey: first.ExplicitHashKey}
	framed := in.spans != nil
	var text []byte
	if framed && (n == 1 || g.together) {
		// It lies in one piece.
		at := in.spans[head].keyEnd
		text = in.arena[at : at+size : at+size]
	}
	plain := c.pack.codec == codecNone
	switch {
	case plain && text != nil:
		rec.Data = text
		out.lent = true
		out.add(rec, n, g.stream)
		return
	case plain && framed:
		rec.Data = w.gather(c, in, out.room(size)[:0], head, n) // exactly
	case plain:
		w.text = w.gather(c, in, w.text[:0], head, n)
		rec.Data = out.room(len(w.text))
		copy(rec.Data, w.text)
	case framed && in.spans[head].alone:
		rec.Data = out.room(len(text))
		copy(rec.Data, text)
	default:
		if text == nil {
			w.text = w.gather(c, in, w.text[:0], head, n)
			text = w.text
		}
		w.packed = w.z.append(&c.pack, w.packed[:0], text)
		if total := max(len(rec.PartitionKey), 1) + len(w.packed); n > 1 && total > in.sure && total > in.limit(g.stream) {
			w.halve(c, out, in, g, head, n)
			return
		}
		rec.Data = out.room(len(w.packed))
		copy(rec.Data, w.packed)
	}
	if len(in.spans) > 0 && in.spans[head].keyEnd > in.spans[head].start {
		// The memory of the events is given back.
		key := out.room(len(rec.PartitionKey))
		copy(key, rec.PartitionKey)
		rec.PartitionKey = unsafe.String(&key[0], len(key))
	}
	out.add(rec, n, g.stream)
}

// halve is emit for each half of the events.
func (w *combiner) halve(c *Combine, out *Combined, in *input, g *group, head, n int) {
	for _, part := range [2]int{n / 2, n - n/2} {
		size, i := 0, int32(head)
		for k := range part {
			if one := in.size(c, int(i)); k == 0 {
				size = one
			} else {
				size += c.more(one)
			}
			i = w.next[i]
		}
		w.emit(c, out, in, g, head, part, size)
		head = int(i)
	}
}

// gather appends the payload of n events from i on.
func (w *combiner) gather(c *Combine, in *input, dst []byte, i, n int) []byte {
	for k := range n {
		data := in.recs[i].Data
		if k > 0 && c.form == formArray {
			dst[len(dst)-1] = ',' // in place of the bracket
			if in.spans != nil {
				data = data[1:]
			}
		}
		if in.spans != nil {
			dst = append(dst, data...)
		} else {
			dst = c.frame(dst, data, in.isText(i), k == 0)
		}
		i = int(w.next[i])
	}
	return dst
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
	p, s := b.planned(), b.shaper
	w := c.take()
	defer c.give(w)
	w.recs = b.listRecords(w.recs[:0])
	w.combine(c, &b.out, &input{
		recs: w.recs, spans: b.spans, arena: b.arena, sure: s.surelyFits(),
		limit: func(stream int32) int { return b.recordLimit(s, stream) },
		sizes: func(stream int32) (size, total int) {
			own := c.size == 0 && p.ownRecords(s, stream)
			return c.sizes(own, s.surelyFits(), func() int { return b.recordLimit(s, stream) })
		},
	})
	clear(w.recs) // lets go of the events
	b.combined = true
	c.giveSpare(b)
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

// SPDX-License-Identifier: Apache-2.0

package event

import (
	"slices"
	"unsafe"

	"github.com/outkpl/outkpl/core"
)

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

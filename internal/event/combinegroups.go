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
	marks *keyMarks // of the keys of recs, or nil
	texts []bool    // without spans: which events are text; nil for none
	// more tells that further events may come, so that the last record is not made. All
	// events have one stream and one key then.
	more bool
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

// stream is the index of the stream of event i.
func (in *input) stream(i int) int32 {
	if in.spans == nil {
		return 0
	}
	return in.spans[i].stream
}

// alone tells whether event i is a complete record.
func (in *input) alone(i int) bool { return len(in.spans) > 0 && in.spans[i].alone }

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
	groups  []group       // of two events and more
	events  []place
	last    int32 // the first event of the record that has the last one
	table   []bucket
	cleared bool     // table is
	marks   keyMarks // of keys that nobody has marked before
	seen    seenMarks
	unkeyed []int32 // by stream: the first event of the open group without a key, plus one
	sizes   []streamSizes
	text    []byte // events before compression
	packed  []byte // and after it
	z       compressor
}

// place is where an event is. Most keys may have one event, so there is nothing more for an
// event that is alone.
type place struct {
	group int32 // 0: alone; above: the first one of that group, plus one; joined: a further one
	next  int32 // the next one of its group
}

const joined = -1

// group is a record of several events in the making. Its first event stands for it.
type group struct {
	tail     int32 // the last event
	n        int32
	bytes    int  // of the payload
	most     int  // of bytes
	together bool // the events lie in memory as they do in the record
}

type streamSizes struct {
	known       bool
	size, total int
}

// bucket has the open groups whose keys have one hash modulo the length of the table. A
// new one that finds no room closes the oldest. So a key costs the same whatever keys
// there are, chosen by an enemy or not.
type bucket struct {
	tag  [ways]uint32
	head [ways]int32 // 0: free, else the first event plus one
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
	if cap(w.events) > maxKeptArenaBytes/16 {
		w.recs, w.groups, w.events, w.table = nil, nil, nil, nil
	}
	if cap(w.seen) > maxKeptArenaBytes/64 {
		w.seen = nil
	}
	if cap(w.marks.all) > maxKeptArenaBytes/16 {
		w.marks = keyMarks{}
	}
	c.work.Put(w)
}

// combine is the pass: it groups the events of in, then makes a record of each group, up to
// the event end. It may take in.recs for the records.
func (w *combiner) combine(c *Combine, out *Combined, in *input) (end int) {
	records := w.group(c, in)
	if records == len(in.recs) && in.spans != nil && c.pack.codec == codecNone {
		// Each is the record that it has to be.
		out.lent, out.single = true, true
		out.Records, in.recs = in.recs, out.Records
		return len(out.Records)
	}
	if end = len(in.recs); in.more {
		end = int(w.last)
	}
	out.Records = slices.Grow(out.Records, records)
	out.Events = slices.Grow(out.Events, records)
	for i := range end {
		var p int32
		if len(w.events) > 0 {
			p = w.events[i].group
		}
		switch {
		case p > 0:
			g := &w.groups[p-1]
			w.emit(c, out, in, g.together, i, int(g.n), g.bytes)
		case p == 0:
			w.emit(c, out, in, false, i, 1, in.size(c, i))
		}
	}
	return end
}

// group finds out which events make a record, and returns how many records there are.
// Nothing decides but the events and what was asked of in. If all events are alone there are
// no places.
func (w *combiner) group(c *Combine, in *input) (records int) {
	w.groups, w.events, w.cleared = w.groups[:0], w.events[:0], false
	clear(w.unkeyed)
	clear(w.sizes)
	again, unkeyed := w.keysComeAgain(in)
	if !again && !unkeyed {
		w.last = int32(len(in.recs)) - 1
		return len(in.recs)
	}
	w.events = slices.Grow(w.events, len(in.recs))[:len(in.recs)]
	w.cleared = false
	last, lastSlot := int32(-1), int32(-1)
	for i := range in.recs {
		w.events[i] = place{}
		r := &in.recs[i]
		stream := in.stream(i)
		keyed := isKeyed(r)
		slot, head := int32(-1), last
		switch {
		case !keyed:
			head = w.unkeyedHead(stream)
		case !again:
			head = -1
		case head >= 0 && in.same(head, r, stream): // neighbours often have one key
			slot = lastSlot
		default:
			slot, head = w.find(in, r, stream, keyHash(r, stream), len(in.recs))
		}
		if head >= 0 && w.join(c, in, head, i) {
			last, lastSlot = head, slot
			continue
		}
		records++
		last, lastSlot = int32(i), slot
		if !keyed {
			w.unkeyed[stream] = last + 1
		} else if again {
			w.table[slot/ways].head[slot%ways] = last + 1
		}
	}
	w.last = last
	return records
}

func isKeyed(r *core.Record) bool { return r.PartitionKey != "" || r.ExplicitHashKey != "" }

const (
	// leastSampled is how many events make it worth while to look at some first.
	leastSampled = 512
	// A sample is one of sampledShare keys with all of their events, wherever those are, and
	// one of sampledShare events, those at the beginning: keys of many events may be missing
	// in the former, and keys that come again late in the latter.
	sampledShare = 16
	// enoughFound is the share of all events that must have had their key before, in the
	// sample or as neighbours.
	enoughFound = 512
)

// keysComeAgain tells whether so many events have keys in common that it is worth while to
// look for them. Where nearly each event has a key of its own it saves looking up most of
// them. It goes by the events alone. If it says no, it also tells whether there are
// events without a key.
func (w *combiner) keysComeAgain(in *input) (again, unkeyed bool) {
	n := len(in.recs)
	if n < leastSampled {
		return true, false
	}
	marks := in.marks
	if marks == nil {
		marks = &w.marks
		marks.reset()
		for i := range in.recs {
			if marks.neighbours > n/enoughFound || i == n/sampledShare && !marks.isFair(i) {
				return w.lookUpSample(in)
			}
			marks.add(sampleMark(&in.recs[i]))
		}
	}
	if w.seen.surelyDifferent(marks) {
		return false, marks.unkeyed
	}
	return w.lookUpSample(in)
}

// lookUpSample is keysComeAgain for many events.
func (w *combiner) lookUpSample(in *input) (again, unkeyed bool) {
	n := len(in.recs)
	first := n / sampledShare
	found, inSample, decided, whole := 0, 0, false, false
	var before uint64 // what the key before this one ends with
	for i := range in.recs {
		r := &in.recs[i]
		if !isKeyed(r) {
			unkeyed, before = true, 0
			continue
		}
		h, last := sampleHash(r)
		stream, head := in.stream(i), int32(i-1)
		if i == 0 || last != before || !in.same(head, r, stream) {
			before = last
			if i >= first && !decided {
				decided = true
				whole = inSample*8*sampledShare < first || inSample*2 > first
			}
			if whole {
				h = keyHash(r, stream) << 32
			}
			if h >= 1<<64/sampledShare {
				if i >= first {
					continue
				}
			} else if i < first {
				inSample++
			}
			var slot int32
			if slot, head = w.find(in, r, stream, keyHash(r, stream), 2*first); head < 0 {
				w.table[slot/ways].head[slot%ways] = int32(i) + 1
				continue
			}
		}
		if found++; found > n/enoughFound {
			return true, unkeyed
		}
	}
	return false, unkeyed
}

// join adds event i to the group of the event head, if it has room.
func (w *combiner) join(c *Combine, in *input, head int32, i int) bool {
	if in.alone(i) {
		return false
	}
	at := w.events[head].group
	var first group
	g := &first
	if at > 0 {
		g = &w.groups[at-1]
	} else {
		if in.alone(int(head)) {
			return false
		}
		first = group{
			tail: head, n: 1, bytes: in.size(c, int(head)), most: w.most(in, in.stream(i), len(in.recs[i].PartitionKey)),
			together: c.form == formLines && in.spans != nil,
		}
	}
	more := c.more(in.size(c, i))
	if c.count > 0 && int(g.n) >= c.count || g.bytes+more > g.most {
		return false
	}
	g.together = g.together && in.follows(g.tail, i)
	w.events[g.tail].next = int32(i)
	g.tail = int32(i)
	g.n++
	g.bytes += more
	w.events[i].group = joined
	if at == 0 {
		w.groups = append(w.groups, first)
		w.events[head].group = int32(len(w.groups))
	}
	return true
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

// unkeyedHead returns the first event of the open group without a key, or -1.
func (w *combiner) unkeyedHead(stream int32) int32 {
	for len(w.unkeyed) <= int(stream) {
		w.unkeyed = append(w.unkeyed, 0)
	}
	return w.unkeyed[stream] - 1
}

// same tells whether a record has stream and key of the event head.
func (in *input) same(head int32, r *core.Record, stream int32) bool {
	first := &in.recs[head]
	a, b := first.PartitionKey, r.PartitionKey
	if len(a) != len(b) || a != "" && a[len(a)-1] != b[len(b)-1] { // most differ there
		return false
	}
	return in.stream(int(head)) == stream && a == b && first.ExplicitHashKey == r.ExplicitHashKey
}

// keyHash is a hash of stream and key.
func keyHash(r *core.Record, stream int32) uint64 {
	h := mix(combineSeed, uint64(stream))
	h = mixBytes(h, unsafe.Slice(unsafe.StringData(r.PartitionKey), len(r.PartitionKey)), 1)
	if r.ExplicitHashKey != "" {
		h = mixBytes(h, []byte(r.ExplicitHashKey), 2)
	}
	return mix(h, 0) // every bit of the key counts in the upper ones
}

// find returns the first event of the open group for the key of r with hash h, or -1, and
// where in the table it is or is to be put. The table is made for that many events.
func (w *combiner) find(in *input, r *core.Record, stream int32, h uint64, events int) (slot, head int32) {
	if !w.cleared {
		w.cleared = true
		n := 1
		for n < maxBuckets && n*ways < 2*events {
			n *= 2
		}
		w.table = slices.Grow(w.table[:0], n)[:n]
		clear(w.table)
	}
	at := int32(h >> 32 * uint64(len(w.table)) >> 32)
	tag := uint32(h)
	b := &w.table[at]
	oldest := 0
	for i := range ways {
		head := b.head[i]
		if head == 0 {
			oldest = i
			break
		}
		if b.tag[i] == tag && in.same(head-1, r, stream) {
			return at*ways + int32(i), head - 1
		}
		if head < b.head[oldest] {
			oldest = i
		}
	}
	b.tag[oldest] = tag
	return at*ways + int32(oldest), -1
}

// emit makes a record of n events from head on, whose payload has size bytes, or more
// than one if it is too large. together tells that they lie in memory as they do in the
// record.
func (w *combiner) emit(c *Combine, out *Combined, in *input, together bool, head, n, size int) {
	first, stream := &in.recs[head], in.stream(head)
	rec := core.Record{PartitionKey: first.PartitionKey, ExplicitHashKey: first.ExplicitHashKey}
	framed := in.spans != nil
	var text []byte
	if framed && (n == 1 || together) {
		// It lies in one piece.
		at := in.spans[head].keyEnd
		text = in.arena[at : at+size : at+size]
	}
	plain := c.pack.codec == codecNone
	switch {
	case plain && text != nil:
		rec.Data = text
		out.lent = true
		out.add(rec, n, stream)
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
		if total := max(len(rec.PartitionKey), 1) + len(w.packed); n > 1 && total > in.sure && total > in.limit(stream) {
			w.halve(c, out, in, together, head, n)
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
	out.add(rec, n, stream)
}

// halve is emit for each half of the events.
func (w *combiner) halve(c *Combine, out *Combined, in *input, together bool, head, n int) {
	for _, part := range [2]int{n / 2, n - n/2} {
		size, i := 0, int32(head)
		for k := range part {
			if one := in.size(c, int(i)); k == 0 {
				size = one
			} else {
				size += c.more(one)
			}
			i = w.events[i].next
		}
		w.emit(c, out, in, together, head, part, size)
		head = int(i)
	}
}

// gather appends the payload of n events from i on.
func (w *combiner) gather(c *Combine, in *input, dst []byte, i, n int) []byte {
	for k := range n {
		if k > 0 {
			i = int(w.events[i].next)
		}
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
	}
	return dst
}

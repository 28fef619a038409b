// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"slices"
	"time"

	"github.com/outkpl/outkpl/core"
)

// Put is the tag of a batch: which records of an entry it has.
type Put struct {
	Entry *Entry
	// Numbers are those of the records in the content, nil if they are the same as in the
	// batch.
	Numbers []int32

	// Guarded by the journal's mu:
	stream string // its name
	marks  marks  // within one call of the journal
}

// mark marks records of the batch from first on.
func (p *Put) mark(first, n int) {
	if n == 1 { // as most are, where keys come by turns
		p.marks.add(first)
		return
	}
	p.marks.addRange(first, first+n)
}

// of tells whether it has records of an entry of the journal that has not ended.
func (p *Put) of(j *Journal) bool { return p.Entry != nil && !p.Entry.gone && p.Entry.j == j }

// Options make a producer tell the journal of its calls.
func (j *Journal) Options() []core.Option {
	if j == nil {
		return nil
	}
	return []core.Option{core.WithTrace(trace{j})}
}

// trace implements core.Trace.
type trace struct{ j *Journal }

// Sending writes which records a call is about to have.
func (t trace) Sending(c *core.TracedCall) uint64 {
	id := t.j.sending(c)
	if id != 0 {
		t.j.syncNow()
	}
	return id
}

func (j *Journal) sending(c *core.TracedCall) uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return 0
	}
	defer j.tidy()
	j.lastID++ // entries may know it from here on, even if it is not written
	id, e := j.lastID, &j.enc
	e.begin(kindSent)
	start := e.start
	e.uint(id)
	e.uint(uint64(max(time.Now().UnixMilli(), 0)))
	e.text(c.Stream)
	j.divideCall(c)
	j.appendPlaces(c)
	e.uint(uint64(len(j.parts)))
	kept := &call{}
	for i := range j.parts {
		p := &j.parts[i]
		e.uint(j.places[p.look.ShardID]) // 0 for none
		e.text(p.look.PartitionKey)
		j.appendUserRecords(c, p, id, kept)
	}
	if kept.entries > 0 {
		j.appendUnanswered(c.Stream)
		if c.StreamARN != "" {
			e.uint(fieldARN)
			e.text(c.StreamARN)
		}
	}
	if kept.entries == 0 || !e.end() {
		return 0
	}
	kept.frame = append([]byte(nil), e.b[start:]...)
	j.calls[id] = kept
	j.flush()
	return id
}

// part is what is written as one Kinesis record of a call.
type part struct {
	first, next int // Kinesis records
	can         bool
	look        core.Unanswered // if it can be looked for
}

// divideCall makes one part of each Kinesis record that can be looked for, and one of all that lie between
// two of them: where those are makes no difference to anybody, and without aggregation there are
// hundreds in a call.
func (j *Journal) divideCall(c *core.TracedCall) {
	j.parts = j.parts[:0]
	if !c.Verifies() {
		j.parts = append(j.parts, part{next: c.Len()})
		return
	}
	for i := range c.Len() {
		d, can := c.Unanswered(i)
		if n := len(j.parts); !can && n > 0 && !j.parts[n-1].can {
			j.parts[n-1].next = i + 1
			continue
		}
		if !can {
			d = core.Unanswered{}
		}
		j.parts = append(j.parts, part{i, i + 1, can, d})
		j.looks = j.looks || can
	}
}

// appendPlaces writes the shards of the parts of a call, and what is confirmed in each.
func (j *Journal) appendPlaces(c *core.TracedCall) {
	clear(j.places)
	j.order = j.order[:0]
	for i := range j.parts {
		s := j.parts[i].look.ShardID
		if _, known := j.places[s]; s != "" && !known {
			j.order = append(j.order, s)
			j.places[s] = uint64(len(j.order))
		}
	}
	j.enc.uint(uint64(len(j.order)))
	for _, s := range j.order {
		j.enc.text(s)
		j.enc.text(j.last[place{c.Stream, s}])
	}
}

// appendUserRecords writes the user records of a part of a call.
func (j *Journal) appendUserRecords(c *core.TracedCall, part *part, id uint64, kept *call) {
	if part.can {
		j.appendInOrder(c, part.first, id, kept)
	} else {
		j.appendMarked(c, part, id, kept)
	}
	j.enc.uint(0)
}

// appendInOrder writes the user records of a Kinesis record that can be looked for, as they are in it.
func (j *Journal) appendInOrder(c *core.TracedCall, at int, id uint64, kept *call) {
	e := &j.enc
	var put *Put
	var w numbers
	c.UserRecords(at, func(tag any, first, n int) {
		p, _ := tag.(*Put)
		if p == nil || p != put && !p.of(j) {
			return
		}
		if p != put {
			if put != nil {
				w.end(e)
			}
			put, p.stream = p, c.Stream
			e.uint(p.Entry.state.id)
			j.noteCall(&p.Entry.state, id, kept)
		}
		if p.Numbers == nil {
			w.addRange(e, int32(first), int32(first+n))
			return
		}
		for _, number := range p.Numbers[first : first+n] {
			w.add(e, number)
		}
	})
	if put != nil {
		w.end(e)
	}
}

// appendMarked writes those of Kinesis records that cannot be looked for, rising: keys that come by turns
// lie apart in their Kinesis records, but one behind the other in the call.
func (j *Journal) appendMarked(c *core.TracedCall, part *part, id uint64, kept *call) {
	var put *Put
	add := func(tag any, first, n int) {
		p, _ := tag.(*Put)
		if p == nil || p != put && !p.of(j) {
			return
		}
		if put = p; p.marks.empty() {
			j.marked, p.stream = append(j.marked, p), c.Stream
			j.noteCall(&p.Entry.state, id, kept)
		}
		p.mark(first, n)
	}
	for i := part.first; i < part.next; i++ {
		c.UserRecords(i, add)
	}
	for _, p := range j.marked {
		j.enc.uint(p.Entry.state.id)
		p.marks.appendTo(&j.enc, p.Numbers, nil)
	}
	j.unmark()
}

// tidy ends what writes a frame, also if something has panicked: a half frame would make a file of which
// much cannot be used, and what is marked as sent must not become confirmed.
func (j *Journal) tidy() {
	j.enc.takeBack()
	j.unmark()
}

func (j *Journal) unmark() {
	for _, p := range j.marked {
		p.marks.clear()
	}
	clear(j.marked)
	j.marked = j.marked[:0]
}

// noteCall notes that a call may store records of an entry.
func (j *Journal) noteCall(s *state, id uint64, c *call) {
	if n := len(s.calls); n > 0 && s.calls[n-1] == id {
		return
	}
	if len(s.calls) >= 2*maxCalls {
		s.calls = slices.DeleteFunc(s.calls, func(id uint64) bool { return j.calls[id] == nil })
		for len(s.calls) >= maxCalls {
			j.leaveCall(s.calls[0])
			s.calls = slices.Delete(s.calls, 0, 1)
		}
	}
	s.calls = append(s.calls, id)
	c.entries++
}

// leaveCall notes that an entry less has records in a call.
func (j *Journal) leaveCall(id uint64) {
	if c := j.calls[id]; c != nil {
		if c.entries--; c.entries <= 0 {
			delete(j.calls, id)
		}
	}
}

// Answered notes that nothing of a call is uncertain any more. It is written with what comes
// next: without it, too much is uncertain.
func (t trace) Answered(id uint64, known bool) {
	j := t.j
	if id == 0 || !known {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, ok := j.calls[id]; !ok || j.closed {
		return
	}
	delete(j.calls, id)
	j.enc.begin(kindAnswered)
	j.enc.uint(id)
	j.enc.end()
}

// Confirmed writes which records are confirmed.
func (t trace) Confirmed(runs *core.ConfirmedRuns) { t.j.confirm(runs) }

func (j *Journal) confirm(runs *core.ConfirmedRuns) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return
	}
	defer j.tidy()
	var batch *core.Batch // of the run before, and p its tag if it is an entry of ours
	var p *Put
	sequence := ""
	for r := range runs.All() {
		if r.Batch != batch {
			batch = r.Batch
			if p, _ = batch.Tag().(*Put); p != nil && !p.of(j) {
				p = nil
			}
		}
		if p == nil {
			continue
		}
		if j.looks && r.SequenceNumber != sequence {
			sequence = r.SequenceNumber
			j.notePlace(place{p.stream, r.ShardID}, sequence)
		}
		if p.marks.empty() {
			j.marked = append(j.marked, p)
		}
		p.mark(r.First, r.N)
	}
	if len(j.marked) == 0 {
		return
	}
	e := &j.enc
	e.begin(kindSettled)
	for _, p := range j.marked {
		e.uint(p.Entry.state.id)
		e.b = append(e.b, byte(Confirmed), 0)
		p.marks.appendTo(e, p.Numbers, &p.Entry.state.settled)
	}
	e.end()
	j.flush()
}

// notePlace keeps the last sequence number of a shard. They are text of one length, so that
// they are compared like numbers; others replace each other.
func (j *Journal) notePlace(at place, sequence string) {
	if len(j.last) >= maxPlaces {
		clear(j.last)
	}
	if before := j.last[at]; len(before) == len(sequence) && before >= sequence {
		return
	}
	j.last[at] = sequence
}

// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"github.com/outkpl/outkpl/core"
)

// state is what is known of an entry, in memory as in the file.
type state struct {
	id          uint64
	begun       int64 // Unix time in ms
	head        Head
	settled     set // of its records
	deadLetters set // of its dead letters
	events      [dispositions]int
	finished    int64    // Unix time in ms, 0 if it is not
	calls       []uint64 // that may have stored records of it, the oldest first
}

// maxCalls bounds the calls that are remembered of an entry: up to twice as many. During an outage each
// attempt leaves one, and 16 at most are under way at one time, but for who raises max_in_flight.
const maxCalls = 32

// within tells whether numbers are some of the entry's.
func (s *state) within(d Disposition, next int) bool {
	if d.deadLetters() {
		return next <= s.head.DeadLetters
	}
	return next <= s.head.Total
}

func (s *state) settle(d Disposition, first, next int) {
	to := &s.settled
	if d.deadLetters() {
		to = &s.deadLetters
	}
	to.addRange(first, next)
}

func (s *state) appendBegin(e *encoder) bool {
	e.begin(kindBegin)
	e.uint(s.id)
	e.uint(uint64(s.begun))
	s.head.append(e)
	return e.end()
}

func (s *state) appendFinished(e *encoder) {
	e.begin(kindFinished)
	e.uint(s.id)
	e.uint(uint64(s.finished))
	e.end()
	e.twice()
}

// appendTo writes all of it. Which records were settled how is not kept, only how many
// events.
func (s *state) appendTo(e *encoder) {
	if !s.appendBegin(e) {
		return
	}
	e.begin(kindSettled)
	for d, events := range s.events {
		if d == int(Confirmed) || d == int(KnownKept) || events == 0 {
			continue
		}
		appendGroup(e, s.id, Disposition(d), events, nil)
	}
	appendGroup(e, s.id, Confirmed, 0, &s.settled)
	appendGroup(e, s.id, KnownKept, 0, &s.deadLetters)
	e.end()
	if s.finished != 0 {
		s.appendFinished(e)
	}
}

func appendGroup(e *encoder, id uint64, d Disposition, events int, in *set) {
	e.uint(id)
	e.b = append(e.b, byte(d))
	e.uint(uint64(events))
	var w numbers
	if in != nil {
		in.all(func(n int32) bool {
			w.add(e, n)
			return true
		})
	}
	w.end(e)
}

// call is a call of PutRecords of which it is not known what it has stored.
type call struct {
	frame   []byte
	entries int // that are still there
}

// image is what a file says.
type image struct {
	header header
	states map[uint64]*state
	calls  map[uint64]*call
	lastID uint64 // of entries and calls
	// broken counts frames that cannot be read, discarded entries that are not used since
	// something in the file is so damaged that they may have ended.
	broken, discarded int
}

// readFile reads the bytes of a file.
func readFile(b []byte) (*image, error) {
	h, err := parseHeader(b)
	if err != nil {
		return nil, err
	}
	m := &image{header: h, states: map[uint64]*state{}, calls: map[uint64]*call{}}
	r := frameReader{b: b, pos: headerBytes, seed: h.seed()}
	var ends pairs
	for r.next() {
		if r.damage > 0 {
			m.broken++
		}
		if ends.lost(&r) {
			m.discard()
		}
		if r.damage == 0 && !m.apply(r.kind, r.body, r.frame) {
			if m.broken++; r.kind > kindGone || r.kind.ends() {
				m.discard() // it may have ended any
			}
		}
	}
	if ends.wanted {
		m.discard()
	}
	return m, nil
}

// discard forgets what was read so far: any of it may have ended.
func (m *image) discard() {
	m.discarded += len(m.states)
	clear(m.states)
	clear(m.calls)
}

// pairs finds out whether a frame that ends an entry is damaged together with its copy.
type pairs struct {
	first  []byte // the body of one whose copy comes next
	wanted bool   // one was damaged, and its copy has to come next
}

// lost tells, frame by frame, whether one is lost.
func (p *pairs) lost(r *frameReader) bool {
	first, wanted := p.first, p.wanted
	p.first, p.wanted = nil, false
	switch {
	case r.noFrame:
		return wanted || r.mayHideEnds
	case !r.kind.ends():
		return wanted
	case r.damage > 0:
		p.wanted = first == nil && !wanted
		return wanted
	case !wanted && !bytes.Equal(first, r.body):
		p.first = r.body
	}
	return false
}

// apply works a frame in. It returns false for one that cannot be read.
func (m *image) apply(k kind, body, frame []byte) bool {
	d := decoder{b: body}
	switch k {
	case kindBegin:
		s := &state{id: d.uint(), begun: int64(d.uint())}
		s.head.read(&d)
		if d.bad || len(d.b) > 0 || s.id == 0 {
			return false
		}
		m.lastID = max(m.lastID, s.id)
		if old := m.states[s.id]; old != nil { // it has grown
			if s.head.Total < old.head.Total || s.head.DeadLetters < old.head.DeadLetters {
				return false
			}
			old.head = s.head
			return true
		}
		m.states[s.id] = s
		return true
	case kindSettled:
		return m.applySettled(&d)
	case kindSent:
		return m.applySent(&d, frame)
	case kindAnswered:
		id := d.uint()
		delete(m.calls, id)
		return !d.bad
	case kindFinished:
		id, at := d.uint(), int64(d.uint())
		if d.bad || at <= 0 {
			return false
		}
		if s := m.states[id]; s != nil {
			s.finished = at
		}
		return true
	case kindGone:
		for len(d.b) > 0 {
			delete(m.states, d.uint())
		}
		return !d.bad
	default:
		return k >= kindOptional
	}
}

func (m *image) applySettled(d *decoder) bool {
	for len(d.b) > 0 {
		s, how, events := m.states[d.uint()], Disposition(d.byte()), d.int(1<<40)
		if how >= dispositions {
			return false
		}
		d.stretches(func(first, next int) {
			if s != nil && s.within(how, next) {
				s.settle(how, first, next)
			}
		})
		if d.bad {
			return false
		}
		if s != nil && how != Confirmed && how != KnownKept { // of these the numbers tell all
			s.events[how] += events
		}
	}
	return !d.bad
}

func (m *image) applySent(d *decoder, frame []byte) bool {
	c := &call{frame: frame}
	id, _, ok := readSent(d, func(_ *UncertainRecord, entry uint64, _ []int32) {
		s := m.states[entry]
		if s == nil {
			return
		}
		if id := peekCall(frame); len(s.calls) == 0 || s.calls[len(s.calls)-1] != id {
			s.calls = append(s.calls, id)
			c.entries++
		}
	})
	if !ok {
		return false
	}
	m.lastID = max(m.lastID, id)
	if c.entries > 0 {
		m.calls[id] = c
	}
	return true
}

// peekCall is the number of the call in a frame of kindSent.
func peekCall(frame []byte) uint64 {
	d := decoder{b: frame[frameHead:]}
	return d.uint()
}

// UncertainRecord is a Kinesis record that was sent and of which no answer is known.
type UncertainRecord struct {
	// Sent is when the call was made.
	Sent time.Time
	// Stream is the name of the stream, StreamARN its ARN if it was named by that.
	Stream, StreamARN string
	// ShardID is where it was to go, or empty. After is the sequence number of the last
	// record that was confirmed in that shard before the call, or empty.
	ShardID, After string
	// PartitionKey is its outer one.
	PartitionKey string
	// Numbers are those of the entry's records that are in it, in their order there; of Kinesis records that
	// cannot be looked for they rise.
	Numbers []int32
	// Unanswered is what is needed to look for it, nil if it cannot be looked for.
	Unanswered *core.Unanswered

	place int // among the Kinesis records of its call
}

// readSent reads a frame of kindSent. It calls add for the records of each entry in each
// Kinesis record.
func readSent(d *decoder, add func(q *UncertainRecord, entry uint64, numbers []int32)) (id uint64, more sentFields, ok bool) {
	id = d.uint()
	q := UncertainRecord{Sent: time.UnixMilli(int64(d.uint())), Stream: string(d.bytes())}
	type place struct{ id, after string }
	var places []place
	for range d.int(len(d.b)) {
		places = append(places, place{string(d.bytes()), string(d.bytes())})
	}
	for k := range d.int(len(d.b)) {
		q.ShardID, q.After, q.place = "", "", k
		if i := d.int(len(places)); i > 0 {
			q.ShardID, q.After = places[i-1].id, places[i-1].after
		}
		q.PartitionKey = string(d.bytes())
		for !d.bad {
			entry := d.uint()
			if entry == 0 {
				break
			}
			var list []int32
			size := 0
			d.stretches(func(first, next int) {
				if size += next - first; size > maxRecords {
					d.bad, d.b = true, nil
					return
				}
				for n := first; n < next; n++ {
					list = append(list, int32(n))
				}
			})
			if !d.bad {
				add(&q, entry, list)
			}
		}
	}
	// Other fields are those of later versions: a tag, a length and as many bytes.
	for len(d.b) > 0 {
		switch tag, field := d.uint(), d.bytes(); tag {
		case fieldUnanswered:
			more.unanswered = field
		case fieldARN:
			more.arn = string(field)
		}
	}
	return id, more, !d.bad && id != 0
}

// sentFields are the optional fields of a frame of kindSent.
type sentFields struct {
	unanswered []byte
	arn        string
}

// frameReader goes through the frames of a file.
type frameReader struct {
	b    []byte
	pos  int
	seed uint32

	kind        kind
	frame, body []byte
	// damage is the number of bytes that cannot be read. noFrame tells that not even the kind
	// is known, mayHideEnds that they may have been a frame that ends an entry, and its copy.
	damage      int
	noFrame     bool
	mayHideEnds bool
}

func (r *frameReader) next() bool {
	r.damage, r.noFrame, r.mayHideEnds = 0, false, false
	rest := r.b[r.pos:]
	if len(rest) < frameHead || allZero(rest) {
		return false // the last write broke off, or nothing is left
	}
	if !r.isHead(r.pos) {
		end := r.pos + 1
		for end+frameHead <= len(r.b) && !r.isHead(end) {
			end++
		}
		if end+frameHead > len(r.b) {
			end = len(r.b)
		}
		r.skip(end)
		return true
	}
	size := frameHead + (int(rest[1]) | int(rest[2])<<8 | int(rest[3])<<16) + frameTail
	if size > len(rest) {
		return false // the last write broke off
	}
	r.kind, r.frame, r.body = kind(rest[0]), rest[:size:size], rest[frameHead:size-frameTail]
	if !r.bodyIntact(rest[:size]) {
		r.damage = size
	}
	r.pos += size
	return true
}

// skip goes over bytes that are no frame.
func (r *frameReader) skip(end int) {
	region := r.b[r.pos:end]
	r.damage, r.noFrame, r.pos = len(region), true, end
	// One frame of which the head alone is damaged is not two. What ends an entry is
	// there twice.
	r.mayHideEnds = len(region) >= 2*leastEnd && !r.bodyIntact(region)
}

func (r *frameReader) isHead(pos int) bool {
	h := r.b[pos : pos+frameHead]
	return h[0] != 0 && checksum(r.seed, h[:4]) == binary.LittleEndian.Uint32(h[4:])
}

func (r *frameReader) bodyIntact(frame []byte) bool {
	n := len(frame) - frameTail
	return n >= frameHead && checksum(r.seed, frame[frameHead:n]) == binary.LittleEndian.Uint32(frame[n:])
}

func allZero(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 })
}

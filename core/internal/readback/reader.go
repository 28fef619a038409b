// SPDX-License-Identifier: Apache-2.0

package readback

import (
	"container/heap"
	"math"
	"slices"
	"time"
)

// KeyBytes is the length of the partition keys that are looked for.
const KeyBytes = 16

// BytesPerCall is what one call a second may read of a shard in a second, on average: two
// calls read a tenth of the 2 MB/s that a shard gives all its consumers together
// (https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html, checked
// 2026-11-29).
const BytesPerCall = 100_000

const (
	second = int64(time.Second)
	// burst is for how many seconds bytes are saved up that are not read.
	burst = 3
	// firstSize is what the records of a shard are taken to have before one was read. What is looked
	// for tells little: a limit of as many small records takes megabytes where others write large
	// ones, and no more is read until the shard has made up for them.
	firstSize = 25_000
	// maxLimit is the most records that GetRecords returns.
	maxLimit = 10_000
	// backoffMin and backoffMax bound the wait after a failed read, which doubles.
	backoffMin, backoffMax = second, 8 * second
	// keptShards is how many shards without entries are kept, for their rate.
	keptShards = 64
	// NoMoment is a moment that does not come.
	NoMoment = math.MaxInt64
)

// Config are the bounds of a Reader.
type Config struct {
	// Settle is how long after the end of a call a read begins at the earliest that can
	// show that a record is missing.
	Settle int64
	// Calls bounds the calls for a shard in a second, at least 2.
	Calls int
	// Concurrent bounds the reads that are under way at one time.
	Concurrent int
}

// Reader is a set of entries and the reads for them.
type Reader struct {
	cfg     Config
	shards  map[string]*shard
	entries entryHeap
	bytes   int
	seen    int   // how many keys are remembered of what was read of a shard
	active  int   // reads under way
	due     int64 // see Due; 0 if it has to be worked out
}

// New makes a Reader.
func New(cfg Config) *Reader { return &Reader{cfg: cfg, shards: map[string]*shard{}, seen: maxSeen} }

// Len returns the number of entries, Bytes their size together.
func (r *Reader) Len() int { return len(r.entries) }

// Bytes returns the size of the entries together.
func (r *Reader) Bytes() int { return r.bytes }

// Entries returns the entries, in no order. The caller must not keep the slice.
func (r *Reader) Entries() []*Entry { return r.entries }

// shard is the state of the reads of one shard.
type shard struct {
	id       string
	entries  map[*Entry]bool     // true for those that are read where their records are most likely
	byKey    map[string][]*Entry // several may have parts of one record
	passes   []*pass
	children []child // once one has come to the end of the shard

	// Its rate.
	busy     *pass   // that is being read
	calls    []int64 // when the last ones began
	bytes    float64 // that may be read
	counted  int64   // when bytes was right
	average  float64 // bytes of a record, about
	pause    int64   // until then nothing is read
	backoff  int64
	lastUsed int64
	rate     float64 // bytes a second that may be read
	flow     float64 // bytes a second that are written, as seen last, 0 if unknown
}

// Add takes an entry. If its key was read already, it has an outcome at once.
func (r *Reader) Add(e *Entry, now int64) (settled []Settled) {
	if len(r.shards) > keptShards {
		for id, s := range r.shards {
			if len(s.entries) == 0 && s.busy == nil && now-s.lastUsed > 60*second {
				delete(r.shards, id)
			}
		}
	}
	r.due = 0
	if e.Earlier {
		// Its moments are not of this process. A pass for it has what is stored from now on, and
		// what calls before have stored only if it begins at their positions.
		e.Began = now
	}
	heap.Push(&r.entries, e)
	r.bytes += e.Bytes
	if hit := r.attach(e, e.Shard, now); hit != nil {
		r.Remove(e)
		settled = append(settled, *hit)
	}
	return settled
}

// attach has a shard read for an entry, and those that have come out of it.
func (r *Reader) attach(e *Entry, id string, now int64) *Settled {
	s := r.shards[id]
	if s == nil {
		s = &shard{id: id, entries: map[*Entry]bool{}, byKey: map[string][]*Entry{}, counted: now, bytes: float64(r.cfg.Calls * BytesPerCall * burst), rate: float64(r.cfg.Calls * BytesPerCall)}
		r.shards[id] = s
	}
	s.lastUsed = now
	if _, ok := s.entries[e]; ok {
		return nil
	}
	for _, p := range s.passes {
		if number, ok := p.find(e.Key); ok {
			return &Settled{Entry: e, Outcome: Stored, InShard: id, Number: number}
		}
	}
	s.entries[e] = false
	s.byKey[e.Key] = append(s.byKey[e.Key], e)
	e.shards = append(e.shards, s)
	if s.average == 0 {
		s.average = float64(max(e.Bytes, firstSize))
	}
	if p := s.join(e, now); !p.ended {
		return nil
	}
	hit, _ := r.attachChildren(e, s, now)
	return hit
}

// attachChildren has those shards read for an entry that came out of one. It reports false if
// there are none.
func (r *Reader) attachChildren(e *Entry, s *shard, now int64) (hit *Settled, some bool) {
	for i := range s.children {
		if c := &s.children[i]; c.mayContain(e.Hash) {
			some = true
			if hit := r.attach(e, c.id, now); hit != nil {
				return hit, true
			}
		}
	}
	return nil, some
}

// Remove takes an entry out.
func (r *Reader) Remove(e *Entry) {
	r.due = 0
	if e.pos < len(r.entries) && r.entries[e.pos] == e {
		heap.Remove(&r.entries, e.pos)
		r.bytes -= e.Bytes
	}
	for _, s := range e.shards {
		delete(s.entries, e)
		if list := slices.DeleteFunc(s.byKey[e.Key], func(o *Entry) bool { return o == e }); len(list) > 0 {
			s.byKey[e.Key] = list
		} else {
			delete(s.byKey, e.Key)
		}
		s.passes = slices.DeleteFunc(s.passes, func(p *pass) bool {
			delete(p.users, e)
			return len(p.users) == 0 && !p.used && p != s.busy
		})
		if len(s.entries) == 0 {
			s.passes = nil
		}
	}
	e.shards = nil
}

// Late takes the entries out whose time is up.
func (r *Reader) Late(now int64) (late []*Entry) {
	for len(r.entries) > 0 && r.entries[0].Until <= now {
		e := r.entries[0]
		r.Remove(e)
		late = append(late, e)
	}
	return late
}

// RemoveAll takes all entries out.
func (r *Reader) RemoveAll() (all []*Entry) {
	for len(r.entries) > 0 {
		e := r.entries[0]
		r.Remove(e)
		all = append(all, e)
	}
	return all
}

// Due returns when Next or Late has something to do next, NoMoment if there is no entry.
func (r *Reader) Due(now int64) int64 {
	if len(r.entries) == 0 {
		return NoMoment
	}
	if r.due == 0 {
		r.due = r.entries[0].Until
		if r.active < r.cfg.Concurrent {
			for _, s := range r.shards {
				r.due = min(r.due, r.readDue(s, now))
			}
		}
	}
	return r.due
}

// readDue returns when a shard may be read next.
func (r *Reader) readDue(s *shard, now int64) int64 {
	if s.busy != nil {
		return NoMoment
	}
	p, at := s.choose(now)
	if p == nil {
		return NoMoment
	}
	at = max(at, s.pause)
	if n := len(s.calls) - r.cfg.Calls; n >= 0 {
		at = max(at, s.calls[n]+second)
	}
	if p.iterator == "" {
		return at
	}
	have := min(s.bytes+s.rate*float64(now-s.counted)/float64(second), s.rate*burst)
	// With less a call would be spent on little.
	if need := min(max(s.averageOf(p), BytesPerCall), s.rate*burst) - have; need > 0 {
		at = max(at, now+int64(math.Ceil(need/s.rate*float64(second))))
	}
	return at
}

// Next returns a call that may be made now, nil if there is none. Its Result goes to Done.
func (r *Reader) Next(now int64) *Call {
	if r.active >= r.cfg.Concurrent || len(r.entries) == 0 {
		return nil
	}
	var s *shard
	first := now + 1
	for _, o := range r.shards {
		if at := r.readDue(o, now); at < first {
			s, first = o, at
		}
	}
	if s == nil {
		r.due = 0 // another pass is the next by now, which begins with a call more
		return nil
	}
	s.bytes = min(s.bytes+s.rate*float64(now-s.counted)/float64(second), s.rate*burst)
	p, _ := s.choose(now)
	if !p.used {
		s.makeRoom(now)
	}
	s.counted, s.busy, s.lastUsed = now, p, now
	s.calls = append(s.calls, now)
	r.due = 0
	s.calls = append(s.calls[:0], s.calls[max(0, len(s.calls)-r.cfg.Calls):]...)
	from := p.from
	if p.last != "" {
		from = position{after: p.last} // the iterator was of no use any more
	}
	r.active++
	return &Call{
		Shard: s.id, s: s, p: p, began: now, iterator: p.iterator, from: from,
		limit: int(min(max(s.share(p, now)/max(s.averageOf(p), 1), 1), maxLimit)),
	}
}

// averageOf returns the size of a record where a pass is, about.
func (s *shard) averageOf(p *pass) float64 {
	if p.average > 0 {
		return p.average
	}
	return s.average
}

// share is how many bytes the next read of a pass may take: what is there is divided, but not so that
// calls are spent on little.
func (s *shard) share(p *pass, now int64) float64 {
	least := BytesPerCall
	switch {
	case !p.used && p.isHot():
		least *= 2 // it took a call to begin
	case !p.used && s.flow == 0:
		return min(s.bytes, float64(least)) // it tells how far it is to what is sought
	}
	return max(s.bytes/float64(max(s.due(now), 1)), min(s.bytes, float64(least)))
}

// Done takes the result of a call, and returns the entries that have an outcome now.
func (r *Reader) Done(c *Call, res Result, now int64) (settled []Settled) {
	s, p := c.s, c.p
	r.due = 0
	r.active--
	s.busy, s.lastUsed = nil, now
	s.bytes -= float64(res.bytes)
	if res.Err != nil {
		return r.failed(c, res, now)
	}
	if !c.Reads() {
		p.iterator = res.iterator
		return nil
	}
	s.backoff, s.pause, p.used = 0, 0, true
	if res.records > 0 {
		// A limit counts records. Rather too few than so many that the shard has to wait for long.
		mean := float64(res.bytes) / float64(res.records)
		p.average = max(mean, math.Sqrt(mean*s.averageOf(p)))
		s.average = max(mean, math.Sqrt(mean*s.average))
	}
	for _, f := range res.keys {
		for _, e := range slices.Clone(s.byKey[f.key]) {
			settled = append(settled, Settled{Entry: e, Outcome: Stored, InShard: s.id, Number: f.number})
			r.Remove(e)
		}
	}
	if !slices.Contains(s.passes, p) {
		return settled // nobody needs it any more
	}
	last := p.last
	p.iterator, p.next, p.backlog = res.next, now, !res.tip
	p.read += res.bytes
	if res.records > 0 {
		if p.began == NoMoment {
			p.began = now // what is stored later comes behind what was read
		}
		p.last, p.at = res.last, res.at
		if res.span > 0 {
			p.rate = float64(res.bytes) / res.span.Seconds()
			s.flow = p.rate
		}
		if p.first == "" {
			p.first = res.first
		}
	}
	p.remember(res.keys, last, r.seen/chapters, now)
	s.forget(r.seen, now)
	if res.tip {
		p.tip = c.began
	}
	if res.next == "" {
		p.ended, s.children = true, res.children
	}
	p = s.meet(p, now)
	p.hot = time.Time{}
	for e := range p.users {
		p.heat(e)
	}
	if p.ended {
		for e := range p.users {
			hit, some := r.attachChildren(e, s, now)
			if !some {
				hit = &Settled{Entry: e, Outcome: Unknown}
			}
			if hit != nil {
				settled = append(settled, *hit)
				r.Remove(e)
			}
		}
		return append(settled, r.missing(s)...) // the children may have been read before, for others
	}
	if settled = append(settled, r.missing(s)...); res.tip {
		p.rest(r.cfg.Settle, now)
	} else if res.records > 0 {
		for e := range p.users {
			s.hurry(e, now)
		}
	}
	return settled
}

// rest has a pass at the tip wait until a read can show that something is missing.
func (p *pass) rest(settle, now int64) {
	p.next = NoMoment
	for e, complete := range p.users {
		if at := e.Ended + settle; complete && at > p.tip {
			p.next = min(p.next, max(at, now))
		}
	}
}

// missing takes the entries of a shard out that are nowhere.
func (r *Reader) missing(s *shard) (settled []Settled) {
	for e := range s.entries {
		by := r.readAll(e, e.Shard)
		if by == nil {
			continue
		}
		m := Settled{Entry: e, Outcome: Missing}
		if !by.ended {
			m.ReadTo, m.ReadAt = by.last, by.tip
		}
		settled = append(settled, m)
		r.Remove(e)
	}
	return settled
}

// readAll returns a pass that has read all that a shard, and those that came out of it, can have
// of an entry, nil if none has.
func (r *Reader) readAll(e *Entry, id string) *pass {
	s := r.shards[id]
	if s == nil {
		return nil
	}
	for _, p := range s.passes {
		if p.users[e] && (p.ended && r.readChildren(e, s) || !p.ended && p.tip >= 0 && p.tip >= e.Ended+r.cfg.Settle) {
			return p
		}
	}
	return nil
}

// readChildren reports false too if none of those that are known can have the entry: then some
// are not known.
func (r *Reader) readChildren(e *Entry, s *shard) bool {
	some := false
	for i := range s.children {
		if c := &s.children[i]; c.mayContain(e.Hash) {
			if r.readAll(e, c.id) == nil {
				return false
			}
			some = true
		}
	}
	return some
}

// failed handles a read that failed.
func (r *Reader) failed(c *Call, res Result, now int64) (settled []Settled) {
	s, p := c.s, c.p
	switch code(res.Err) {
	case "ExpiredIteratorException":
		p.iterator = ""
		return nil
	case "ResourceNotFoundException":
		return r.giveUp(s)
	case "InvalidArgumentException", "ValidationException":
		switch {
		case !slices.Contains(s.passes, p):
			return nil
		case c.Reads():
			p.iterator = ""
		case p.last != "":
			p.restart(p.from)
		case p.from.after != "" && !p.since().IsZero():
			// The number is not one of this shard: its stream was recreated.
			p.restart(position{since: p.since()})
			p.began = p.leastBegan()
		case !p.complete():
			// Its number or time is not one of this shard. All its entries are read for elsewhere, too.
			s.passes = slices.DeleteFunc(s.passes, func(o *pass) bool { return o == p })
		default:
			return r.giveUp(s)
		}
	}
	s.backoff = min(max(2*s.backoff, backoffMin), backoffMax)
	s.pause = now + s.backoff
	return nil
}

// giveUp takes all entries of a shard out.
func (r *Reader) giveUp(s *shard) (settled []Settled) {
	for e := range s.entries {
		settled = append(settled, Settled{Entry: e, Outcome: Unknown})
		r.Remove(e)
	}
	return settled
}

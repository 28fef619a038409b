// SPDX-License-Identifier: Apache-2.0

package readback

import (
	"container/heap"
	"math"
	"slices"
	"time"

	"github.com/outkpl/outkpl/aggregation"
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
	// maxSeen bounds the keys that are remembered of what was read of a shard.
	maxSeen = 4096
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

// Entry is a Kinesis record of which it is open whether it is stored.
type Entry struct {
	// Key is the record's partition key, with KeyBytes bytes. No other record has it.
	Key string
	// Shard is the id of the shard that the record was sent to, Hash its hash key.
	Shard string
	Hash  aggregation.HashKey
	// After is a sequence number that the shard gave before Began, or empty. Since is a
	// time of the service before Began, or zero. One of them has to be there.
	After string
	Since time.Time
	// Began is when the first call began that may have stored the record, Ended when the
	// last one ended.
	Began, Ended int64
	// Until is when the search ends without a result.
	Until int64
	// Earlier tells that an earlier process made the calls: only After and Since tell when. Began
	// is before all moments of this process then.
	Earlier bool
	// Bytes is the size of the record, or what it takes in memory; Size is the size then.
	Bytes, Size int
	// Owner belongs to the caller.
	Owner any

	pos    int // in the heap
	shards []*shard
}

// Outcome is what became of an entry.
type Outcome uint8

// Outcomes.
const (
	// Stored: the record was read.
	Stored Outcome = iota
	// Missing: the record is not there.
	Missing
	// Unknown: it cannot be found out.
	Unknown
)

// Settled is an entry that has an outcome.
type Settled struct {
	*Entry
	Outcome Outcome
	// InShard and Number say where a stored record is.
	InShard, Number string
	// ReadTo is, for a missing record, the sequence number of the last record that was
	// read of its shard, and ReadAt when that read began: a copy that is stored later comes
	// after it. Empty if the shard was closed meanwhile, or nothing was read.
	ReadTo string
	ReadAt int64
}

// Reader is a set of entries and the reads for them.
type Reader struct {
	cfg     Config
	shards  map[string]*shard
	entries entryHeap
	bytes   int
	active  int   // reads under way
	due     int64 // see Due; 0 if it has to be worked out
}

// New makes a Reader.
func New(cfg Config) *Reader { return &Reader{cfg: cfg, shards: map[string]*shard{}} }

// Len returns the number of entries, Bytes their size together.
func (r *Reader) Len() int { return len(r.entries) }

// Bytes returns the size of the entries together.
func (r *Reader) Bytes() int { return r.bytes }

// Entries returns the entries, in no order. The caller must not keep the slice.
func (r *Reader) Entries() []*Entry { return r.entries }

// shard is the state of the reads of one shard. While it has entries there is a session: a
// row of reads from one position on.
type shard struct {
	id      string
	entries map[*Entry]struct{}
	byKey   map[string][]*Entry // several may have parts of one record

	// The session.
	began    int64    // everything stored since then has been read or will be
	from     position // where it began
	epoch    int      // changes when the session does
	iterator string
	last     string // sequence number of the last record read
	tip      int64  // when the last read began that reached the tip, -1 if none has
	ended    bool   // the shard is closed, and read to its end
	children []child
	seen     map[string]string // sequence numbers by key
	next     int64             // not before

	// Its rate.
	busy     bool
	calls    []int64 // when the last ones began
	bytes    float64 // that may be read
	counted  int64   // when bytes was right
	average  float64 // bytes of a record, about
	pause    int64   // until then nothing is read
	backoff  int64
	lastUsed int64
}

// Add takes an entry. If its key was read already, it has an outcome at once.
func (r *Reader) Add(e *Entry, now int64) (settled []Settled) {
	if len(r.shards) > keptShards {
		for id, s := range r.shards {
			if len(s.entries) == 0 && !s.busy && now-s.lastUsed > 60*second {
				delete(r.shards, id)
			}
		}
	}
	r.due = 0
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
		s = &shard{id: id, entries: map[*Entry]struct{}{}, byKey: map[string][]*Entry{}, counted: now, bytes: float64(r.cfg.Calls * BytesPerCall * burst)}
		r.shards[id] = s
	}
	s.lastUsed = now
	if _, ok := s.entries[e]; ok {
		return nil
	}
	if number, ok := s.seen[e.Key]; ok && len(s.entries) > 0 {
		return &Settled{Entry: e, Outcome: Stored, InShard: id, Number: number}
	}
	fresh := len(s.entries) == 0
	s.entries[e] = struct{}{}
	s.byKey[e.Key] = append(s.byKey[e.Key], e)
	e.shards = append(e.shards, s)
	if s.average == 0 {
		s.average = float64(max(e.Bytes, e.Size, 1))
	}
	s.next = now
	own := position{since: e.Since}
	if id == e.Shard && e.After != "" {
		own.after = e.After
	}
	switch {
	case fresh:
		s.began, s.from, s.seen = e.Began, own, nil
		s.restart()
	case e.Began < s.began, e.Earlier && !s.from.covers(own):
		// What is read for the others begins too late for this one.
		s.began, s.from = min(e.Began, s.began), s.from.earlier(own)
		s.restart()
	}
	if s.ended {
		for i := range s.children {
			if c := &s.children[i]; c.mayContain(e.Hash) {
				if hit := r.attach(e, c.id, now); hit != nil {
					return hit
				}
			}
		}
	}
	return nil
}

// restart has the session begin from its position again.
func (s *shard) restart() {
	s.epoch++
	s.iterator, s.last, s.tip, s.ended, s.children = "", "", -1, false, nil
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
		if len(s.entries) == 0 {
			s.seen = nil
			s.restart() // the session is over
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
	if len(s.entries) == 0 || s.busy || s.ended {
		return NoMoment
	}
	at := max(s.next, s.pause)
	calls := 1
	if s.iterator == "" {
		calls = 2
	}
	// So many of the last calls must have begun a second ago that there is room for these.
	if n := len(s.calls) + calls - r.cfg.Calls; n > 0 {
		at = max(at, s.calls[n-1]+second)
	}
	rate := float64(r.cfg.Calls * BytesPerCall)
	have := min(s.bytes+rate*float64(now-s.counted)/float64(second), rate*burst)
	if need := min(s.average, rate*burst) - have; need > 0 {
		at = max(at, now+int64(math.Ceil(need/rate*float64(second))))
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
		return nil
	}
	rate := float64(r.cfg.Calls * BytesPerCall)
	s.bytes = min(s.bytes+rate*float64(now-s.counted)/float64(second), rate*burst)
	s.counted, s.busy, s.lastUsed = now, true, now
	calls := 1
	if s.iterator == "" {
		calls = 2
	}
	for range calls {
		s.calls = append(s.calls, now)
	}
	r.due = 0
	s.calls = append(s.calls[:0], s.calls[max(0, len(s.calls)-r.cfg.Calls):]...)
	from := s.from
	if s.last != "" {
		from = position{after: s.last} // the iterator was of no use any more
	}
	r.active++
	return &Call{
		Shard: s.id, s: s, epoch: s.epoch, began: now, iterator: s.iterator, from: from,
		limit: int(min(max(s.bytes/max(s.average, 1), 1), maxLimit)),
	}
}

// Done takes the result of a call, and returns the entries that have an outcome now.
func (r *Reader) Done(c *Call, res Result, now int64) (settled []Settled) {
	s := c.s
	r.due = 0
	r.active--
	s.busy, s.lastUsed = false, now
	s.bytes -= float64(res.bytes)
	if res.Err != nil {
		return r.failed(c, res, now)
	}
	s.backoff, s.pause = 0, 0
	if res.records > 0 {
		s.average = (s.average + 3*float64(res.bytes)/float64(res.records)) / 4
	}
	for _, f := range res.keys {
		for _, e := range slices.Clone(s.byKey[f.key]) {
			settled = append(settled, Settled{Entry: e, Outcome: Stored, InShard: s.id, Number: f.number})
			r.Remove(e)
		}
	}
	if c.epoch != s.epoch || len(s.entries) == 0 {
		return settled // the session is another one, or over
	}
	s.iterator, s.next = res.next, now
	if res.last != "" {
		s.last = res.last
	}
	s.remember(res.keys, now)
	if res.next == "" {
		s.ended, s.children = true, res.children
		for e := range s.entries {
			some := false
			for i := range s.children {
				if ch := &s.children[i]; ch.mayContain(e.Hash) {
					some = true
					if hit := r.attach(e, ch.id, now); hit != nil {
						settled = append(settled, *hit)
						r.Remove(e)
						break
					}
				}
			}
			if !some {
				settled = append(settled, Settled{Entry: e, Outcome: Unknown})
				r.Remove(e)
			}
		}
		return append(settled, r.missing(s)...) // the children may have been read before, for others
	}
	if res.tip {
		s.tip = c.began
		settled = append(settled, r.missing(s)...)
		s.next = NoMoment
		for e := range s.entries {
			if at := e.Ended + r.cfg.Settle; at > s.tip {
				s.next = min(s.next, max(at, now))
			}
		}
	}
	return settled
}

// remember keeps the keys that were read, for entries that come later.
func (s *shard) remember(keys []found, now int64) {
	if len(s.seen)+len(keys) > maxSeen {
		// All this was stored before now, so that no call that begins later has stored it, and
		// none of it is what the entries that are there look for.
		s.seen, s.began, s.from.after = nil, now, s.last
		return
	}
	if s.seen == nil {
		s.seen = make(map[string]string, len(keys))
	}
	for _, f := range keys {
		s.seen[f.key] = f.number
	}
}

// missing takes the entries of a shard out that are nowhere.
func (r *Reader) missing(s *shard) (settled []Settled) {
	for e := range s.entries {
		if !r.readAll(e, e.Shard) {
			continue
		}
		m := Settled{Entry: e, Outcome: Missing}
		if root := r.shards[e.Shard]; !root.ended {
			m.ReadTo, m.ReadAt = root.last, root.tip
		}
		settled = append(settled, m)
		r.Remove(e)
	}
	return settled
}

// readAll reports whether all has been read that a shard, and those that came out of it,
// can have of an entry.
func (r *Reader) readAll(e *Entry, id string) bool {
	s := r.shards[id]
	if s == nil {
		return false
	}
	if _, ok := s.entries[e]; !ok {
		return false
	}
	if !s.ended {
		return s.tip >= 0 && s.tip >= e.Ended+r.cfg.Settle
	}
	for i := range s.children {
		if c := &s.children[i]; c.mayContain(e.Hash) && !r.readAll(e, c.id) {
			return false
		}
	}
	return true
}

// failed handles a read that failed.
func (r *Reader) failed(c *Call, res Result, now int64) (settled []Settled) {
	s := c.s
	switch code(res.Err) {
	case "ExpiredIteratorException":
		if c.epoch == s.epoch {
			s.iterator = ""
		}
		return nil
	case "ResourceNotFoundException":
		return r.giveUp(s)
	case "InvalidArgumentException", "ValidationException":
		switch {
		case c.epoch != s.epoch:
			return nil
		case c.iterator != "":
			s.iterator = ""
		case s.last != "":
			s.last = ""
		case s.from.after != "" && !s.from.since.IsZero():
			// The number is not one of this shard: its stream was recreated.
			s.from.after = ""
		default:
			return r.giveUp(s)
		}
	default:
		if c.epoch == s.epoch && res.iterator != "" {
			s.iterator = res.iterator
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

// entryHeap orders entries by the end of their time.
type entryHeap []*Entry

// Len implements heap.Interface.
func (h entryHeap) Len() int { return len(h) }

// Less implements heap.Interface.
func (h entryHeap) Less(i, j int) bool { return h[i].Until < h[j].Until }

// Swap implements heap.Interface.
func (h entryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}

// Push implements heap.Interface.
func (h *entryHeap) Push(x any) {
	e := x.(*Entry)
	e.pos = len(*h)
	*h = append(*h, e)
}

// Pop implements heap.Interface.
func (h *entryHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	e.pos = -1
	return e
}

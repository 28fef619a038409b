// SPDX-License-Identifier: Apache-2.0

package readback

import (
	"slices"
	"time"
)

const (
	// far is how much later than a backlogged pass an entry has to be for one of its own.
	far = time.Second
	// before is how long before the time of its call an entry without a number is read first,
	// as the clocks of the service differ.
	before = 100 * time.Millisecond
	// maxPasses bounds the passes of a shard with which some are opened near a call. One
	// that has to begin earlier than all others is opened in any case.
	maxPasses = 4
)

// pass is a row of reads of a shard from one position on. A shard has one, unless more is
// written to it than may be read: then an entry that is far ahead of what is read has one
// of its own, since its record is most likely where its call began. Passes that meet are
// one again.
type pass struct {
	from  position // where it began
	began int64    // all that was stored since then has been read or will be, NoMoment if it is not known
	// users are the entries for which it is read, true for those of which it reads all that
	// the shard can have.
	users map[*Entry]bool

	iterator    string
	first, last string            // sequence numbers of records that were read
	at          time.Time         // when the last one was stored, about
	rate        float64           // bytes a second that were written where it is, 0 if unknown
	used        bool              // something was read, if only an empty page
	backlog     bool              // more is behind what was read
	tip         int64             // when the last read began that reached the tip, -1 if none has
	ended       bool              // the shard is closed, and read to its end
	seen        map[string]string // sequence numbers by key
	next        int64             // not before
	read        int               // bytes
}

// open adds a pass.
func (s *shard) open(from position, began, now int64) *pass {
	p := &pass{from: from, began: began, users: map[*Entry]bool{}, tip: -1, next: now}
	s.passes = append(s.passes, p)
	return p
}

// covers tells whether a pass reads all that the shard can have of an entry.
func (p *pass) covers(e *Entry, own position) bool {
	if e.Earlier || p.began == 0 { // moments of this process say nothing of one before
		return e.Began >= p.began && p.from.covers(own)
	}
	return e.Began >= p.began
}

// best returns the pass that is the nearest to the tip of those that read all of an entry.
func (s *shard) best(e *Entry, own position) (best *pass) {
	for _, p := range s.passes {
		if p.covers(e, own) && (best == nil || lessNumber(best.last, p.last)) {
			best = p
		}
	}
	return best
}

// passFor returns the pass that a new entry takes part in.
func (s *shard) passFor(e *Entry, own position, now int64) *pass {
	if p := s.best(e, own); p != nil {
		return p
	}
	for _, p := range s.passes {
		if !p.used && p != s.busy && p.began != NoMoment { // it may as well begin earlier
			p.began, p.from, p.iterator = min(p.began, e.Began), p.from.earlier(own), ""
			return p
		}
	}
	return s.open(own, e.Began, now)
}

// near tells whether a pass comes to where the record of an entry is most likely in a quarter of the
// time that the entry has. To begin another one takes calls, in which much can be read.
func (s *shard) near(p *pass, e *Entry, now int64) bool {
	if !p.used || !p.backlog || e.Near.IsZero() {
		return true
	}
	gap := e.Near.Sub(p.at)
	if gap <= far || p.rate == 0 {
		return gap <= far
	}
	takes := p.rate * gap.Seconds() / s.rate * float64(max(s.due(now), 1))
	return takes < float64(e.Until-now)/float64(second)/4
}

// hurry has an entry read where its record is most likely, if what is read for it is far
// from there.
func (s *shard) hurry(e *Entry, now int64) {
	var all *pass
	for _, p := range s.passes {
		switch complete, is := p.users[e]; {
		case is && (s.near(p, e, now) || !complete):
			return
		case is:
			all = p
		}
	}
	if all == nil || all.ended {
		return
	}
	own := e.position(s.id)
	if p := s.best(e, own); p != nil && p != all && !p.ended && s.near(p, e, now) {
		delete(all.users, e)
		p.users[e], p.next = true, min(p.next, now)
		return
	}
	if len(s.passes) >= maxPasses {
		s.passes = slices.DeleteFunc(s.passes, func(p *pass) bool { return len(p.users) == 0 && p != s.busy })
	}
	if len(s.passes) >= maxPasses {
		return
	}
	if own.after != "" && (all.from.after == "" || lessNumber(all.from.after, own.after)) && (all.last == "" || lessNumber(all.last, own.after)) {
		p := s.open(own, e.Began, now)
		delete(all.users, e)
		p.users[e] = true
		return
	}
	own = position{since: e.Near.Add(-before)}
	for _, p := range s.passes {
		if d := p.from.since.Sub(own.since); !p.used && p != s.busy && p.began == NoMoment && d.Abs() <= far {
			p.from, p.iterator = p.from.earlier(own), ""
			p.users[e] = false
			return
		}
	}
	s.open(own, NoMoment, now).users[e] = false
}

// choose returns the pass that is read next, and from when on: one of which little was read
// goes first, since records are most likely where a pass begins.
func (s *shard) choose(now int64) (next *pass, at int64) {
	at = NoMoment
	for _, p := range s.passes {
		if p.ended || len(p.users) == 0 {
			continue // it is kept for what it has read
		}
		if due := max(p.next, now); due < at || due == at && next != nil && p.read < next.read {
			next, at = p, due
		}
	}
	return next, at
}

// due returns how many passes may be read.
func (s *shard) due(now int64) (n int) {
	for _, p := range s.passes {
		if !p.ended && len(p.users) > 0 && p.next <= now {
			n++
		}
	}
	return n
}

// start is a sequence number after which, or from which on, a pass has read all, or empty.
func (p *pass) start() string {
	if p.from.after != "" {
		return p.from.after
	}
	return p.first
}

// meet makes one of passes that have met p, and returns the one that is left.
func (r *Reader) meet(s *shard, p *pass, now int64) *pass {
	for i := 0; i < len(s.passes); i++ {
		o := s.passes[i]
		if o == p || o.start() == "" || p.start() == "" {
			continue
		}
		low, high := p, o
		if lessNumber(o.start(), p.start()) {
			low, high = o, p
		}
		if low.last == "" || lessNumber(low.last, high.start()) {
			continue
		}
		kept, gone := high, low
		if lessNumber(high.last, low.last) || low.ended && !high.ended {
			kept, gone = low, high
		}
		kept.from, kept.began, kept.tip = low.from, min(low.began, high.began), max(low.tip, high.tip)
		if kept.first = low.first; kept.first == "" {
			kept.first = high.first
		}
		for e, complete := range gone.users {
			kept.users[e] = kept.users[e] || complete
		}
		kept.next = min(kept.next, now)
		seen := gone.seen
		gone.users = nil
		s.passes = slices.DeleteFunc(s.passes, func(x *pass) bool { return x == gone })
		kept.merge(seen, now)
		return r.meet(s, kept, now)
	}
	return p
}

// remember keeps the keys that were read, for entries that come later.
func (p *pass) remember(keys []found, now int64) {
	if len(p.seen)+len(keys) > maxSeen {
		p.forget(now)
		return
	}
	if p.seen == nil {
		p.seen = make(map[string]string, len(keys))
	}
	for _, f := range keys {
		p.seen[f.key] = f.number
	}
}

// merge is remember for the keys of another pass.
func (p *pass) merge(keys map[string]string, now int64) {
	if len(p.seen)+len(keys) > maxSeen {
		p.forget(now)
		return
	}
	if p.seen == nil {
		p.seen = keys
		return
	}
	for key, number := range keys {
		p.seen[key] = number
	}
}

// forget lets the pass begin where it is. All that was read was stored before now, so that
// no call that begins later has stored it, and none of it is what its users look for.
func (p *pass) forget(now int64) {
	p.seen, p.began, p.from.after, p.first = nil, now, p.last, ""
}

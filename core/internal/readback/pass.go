// SPDX-License-Identifier: Apache-2.0

package readback

import (
	"slices"
	"time"
)

const (
	// far is how much later than what a pass reads an entry has to be for one of its own.
	far = time.Second
	// wide is how far from each other entries may be that have to be read from before their calls.
	wide = time.Minute
	// before is how long before the time of its call an entry without a number is read first,
	// as the clocks of the service differ.
	before = 100 * time.Millisecond
	// lasts is how long after the time of its call a record is most likely stored: that time may be a
	// second behind, as it is told in whole ones.
	lasts = 1250 * time.Millisecond
	// maxPasses bounds the passes of a shard that have read something. Others wait until one of
	// these is of no use any more; they cost no calls and no memory but their own.
	maxPasses = 8
	// maxSeen bounds the keys that are remembered of what was read of a shard.
	maxSeen = 8192
	// chapters is in how many parts they are forgotten, about.
	chapters = 8
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
	first, last string    // sequence numbers of records that were read
	at          time.Time // when the last one was stored, about; before that where it begins
	hot         time.Time // it goes first until then, since records that are sought are most likely before
	rate        float64   // bytes a second that were written where it is, 0 if unknown
	average     float64   // bytes of a record there, about, 0 if unknown
	used        bool      // something was read, if only an empty page
	backlog     bool      // more is behind what was read
	tip         int64     // when the last read began that reached the tip, -1 if none has
	ended       bool      // the shard is closed, and read to its end
	seen        []chapter // what was read, the latest last
	next        int64     // not before
	read        int       // bytes
}

// chapter is a part of what a pass remembers.
type chapter struct {
	keys map[string]string // sequence numbers by key
	// What is before it was stored before began, and is not behind the sequence number after. Both
	// are of no use for the first one.
	began int64
	after string
}

// open adds a pass.
func (s *shard) open(from position, began int64, at time.Time, now int64) *pass {
	p := &pass{from: from, began: began, at: at, users: map[*Entry]bool{}, tip: -1, next: now}
	s.passes = append(s.passes, p)
	return p
}

// use has a pass read for an entry.
func (p *pass) use(e *Entry, complete bool, now int64) {
	p.users[e], p.next = p.users[e] || complete, min(p.next, now)
	p.heat(e)
}

// heat lets a pass go first that is close to where the record of an entry is most likely.
func (p *pass) heat(e *Entry) {
	if end := e.likelyEnd(); e.Near.Sub(p.at) <= 2*far && end.After(p.hot) {
		p.hot = end
	}
}

// isHot tells whether it goes first.
func (p *pass) isHot() bool { return p.at.Before(p.hot) }

// covers tells whether a pass reads all that the shard can have of an entry.
func (p *pass) covers(e *Entry, own position) bool {
	// Moments of this process say nothing of one before.
	return !e.Earlier && e.Began >= p.began || p.from.covers(own)
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

// join has a shard read for a new entry, and returns the pass that reads all of it.
func (s *shard) join(e *Entry, now int64) *pass {
	own := e.position(s.id)
	p := s.best(e, own)
	if p == nil {
		if p = s.unread(e, own); p == nil {
			at := own.since
			if e.direct(s.id) {
				at = e.Near
			}
			p = s.open(own, e.Began, at, now)
		}
	}
	p.use(e, true, now)
	s.hurry(e, now)
	return p
}

// unread returns a pass that may as well begin where an entry has to be read from, nil for none.
func (s *shard) unread(e *Entry, own position) *pass {
	for _, p := range s.passes {
		if p.used || p == s.busy || p.began == NoMoment || (p.from.after == "") != (own.after == "") {
			continue
		}
		at, most := own.since, wide
		if e.direct(s.id) {
			at, most = e.Near, far
		}
		if p.at.Sub(at).Abs() > most {
			continue // much may be between the two
		}
		p.began, p.from, p.iterator = min(p.began, e.Began), p.from.earlier(own), ""
		if at.Before(p.at) {
			p.at = at
		}
		return p
	}
	return nil
}

// near tells whether a pass comes to where the record of an entry is most likely in a quarter of the
// time that the entry has. To begin another one takes calls, in which much can be read.
func (s *shard) near(p *pass, e *Entry, now int64) bool {
	if e.Near.IsZero() || p.used && !p.backlog {
		return true
	}
	gap, rate := e.Near.Sub(p.at), p.rate
	if rate == 0 {
		rate = s.flow
	}
	switch {
	case gap <= far:
		return true
	case rate == 0:
		return !p.used // one read tells
	}
	takes := (rate*gap.Seconds() - s.bytes) / s.rate * float64(max(s.due(now), 1))
	return takes < float64(e.Until-now)/float64(second)/4
}

// reads returns the pass that reads all of an entry for it.
func (s *shard) reads(e *Entry) *pass {
	for _, p := range s.passes {
		if p.users[e] {
			return p
		}
	}
	return nil
}

// hurry has an entry read where its record is most likely, if what is read for it is far
// from there.
func (s *shard) hurry(e *Entry, now int64) {
	all := s.reads(e)
	switch {
	case s.entries[e], all == nil, all.ended:
		return
	case s.near(all, e, now):
		all.heat(e)
		return
	}
	own := e.position(s.id)
	if p := s.best(e, own); p != nil && p != all && !p.ended && s.near(p, e, now) {
		delete(all.users, e)
		p.use(e, true, now)
		return
	}
	likely := e.likely(s.id)
	if all.used && all.from.after != "" && all.from.after == likely.after {
		likely.after = "" // it is far from where the record is: the number is old
	}
	for _, p := range s.passes {
		if gap := e.Near.Sub(p.at); !p.ended && p != all && gap >= before && gap <= far {
			// It comes there.
			p.use(e, false, now)
			s.entries[e] = true
			return
		}
		if !p.used && p != s.busy && p.began == NoMoment && p.from.after == "" && likely.after == "" && p.from.since.Sub(likely.since).Abs() <= far {
			p.from, p.iterator = p.from.earlier(likely), ""
			p.at = p.from.since
			p.use(e, false, now)
			s.entries[e] = true
			return
		}
	}
	if e.direct(s.id) && likely.after != "" && (all.last == "" || lessNumber(all.last, own.after)) {
		delete(all.users, e) // its first read tells whether the number is old
		s.open(own, e.Began, e.Near, now).use(e, true, now)
		return
	}
	s.entries[e] = true
	at := e.Near
	if likely.after == "" {
		at = likely.since
	}
	s.open(likely, NoMoment, at, now).use(e, false, now)
}

// choose returns the pass that is read next, and from when on: of those that are close to records
// that are sought the one of which little was read, since they are most likely where it begins.
func (s *shard) choose(now int64) (next *pass, at int64) {
	at = NoMoment
	full := s.full() && s.spare() == nil
	for _, p := range s.passes {
		if p.ended || len(p.users) == 0 || full && !p.used {
			continue // it is kept for what it has read, or waits
		}
		if due := max(p.next, now); due < at || due == at && next != nil && p.before(next) {
			next, at = p, due
		}
	}
	return next, at
}

// before tells whether p is read before o, if both may be.
func (p *pass) before(o *pass) bool {
	if p.isHot() != o.isHot() {
		return p.isHot()
	}
	return p.read < o.read || p.read == o.read && p.iterator != "" && o.iterator == ""
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

// full tells whether no other pass may begin to read.
func (s *shard) full() bool {
	n := 0
	for _, p := range s.passes {
		if p.used {
			n++
		}
	}
	return n >= maxPasses
}

// spare returns a pass without which all users are read for as well, nil if there is none: the
// one with the fewest, and of those the one with the most behind it.
func (s *shard) spare() (spare *pass) {
	for _, p := range s.passes {
		if p.used && p != s.busy && (spare == nil || len(p.users) < len(spare.users) || len(p.users) == len(spare.users) && p.read > spare.read) && s.dispensable(p) {
			spare = p
		}
	}
	return spare
}

func (s *shard) dispensable(p *pass) bool {
	if len(p.users) == 0 {
		return true
	}
	if p.ended || p.isHot() {
		return false
	}
	for e, complete := range p.users {
		if complete && s.other(p, e) == nil {
			return false
		}
	}
	return true
}

// other returns a pass but p that reads all of an entry.
func (s *shard) other(p *pass, e *Entry) *pass {
	own := e.position(s.id)
	for _, o := range s.passes {
		if o != p && !o.ended && o.covers(e, own) {
			return o
		}
	}
	return nil
}

// makeRoom lets a pass go if there are too many for another one to begin.
func (s *shard) makeRoom(now int64) {
	if !s.full() {
		return
	}
	p := s.spare()
	if p == nil {
		return
	}
	for e, complete := range p.users {
		if complete {
			s.other(p, e).use(e, true, now)
		}
	}
	s.passes = slices.DeleteFunc(s.passes, func(o *pass) bool { return o == p })
}

// restart has a pass read all again.
func (p *pass) restart(from position) {
	p.from, p.first, p.last, p.seen, p.tip = from, "", "", nil, -1
}

// complete tells whether a pass reads all that the shard can have of some entry.
func (p *pass) complete() bool {
	for _, complete := range p.users {
		if complete {
			return true
		}
	}
	return false
}

// leastBegan is when the first call began of those that a pass reads all for, NoMoment for none.
func (p *pass) leastBegan() (first int64) {
	first = NoMoment
	for e, complete := range p.users {
		if complete {
			first = min(first, e.Began)
		}
	}
	return first
}

// since is a time from which on a pass can read all that it has to for its users, zero if there is none.
func (p *pass) since() (first time.Time) {
	for e, complete := range p.users {
		switch {
		case !complete:
		case e.Since.IsZero():
			return time.Time{}
		case first.IsZero() || e.Since.Before(first):
			first = e.Since
		}
	}
	return first
}

// start is a sequence number after which, or from which on, a pass has read all, or empty.
func (p *pass) start() string {
	if p.from.after != "" {
		return p.from.after
	}
	return p.first
}

// meet makes one of passes that have met p, and returns the one that is left.
func (s *shard) meet(p *pass, now int64) *pass {
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
			kept, gone = low, high // low has read, and remembers, all that high has
		} else {
			high.seen = append(low.seen, high.memory()...)
		}
		kept.from, kept.began, kept.tip = low.from, min(low.began, high.began), max(low.tip, high.tip)
		if kept.first = low.first; kept.first == "" {
			kept.first = high.first
		}
		if kept.hot.Before(gone.hot) {
			kept.hot = gone.hot
		}
		for e, complete := range gone.users {
			kept.users[e] = kept.users[e] || complete
		}
		kept.next = min(kept.next, now)
		gone.users = nil
		s.passes = slices.DeleteFunc(s.passes, func(x *pass) bool { return x == gone })
		return s.meet(kept, now)
	}
	return p
}

// memory returns what a pass remembers, to be put behind what another one does.
func (p *pass) memory() []chapter {
	if len(p.seen) > 0 {
		p.seen[0].began, p.seen[0].after = p.began, p.start()
	}
	return p.seen
}

// find returns the sequence number of a record that was read, if it is remembered.
func (p *pass) find(key string) (number string, ok bool) {
	for i := range p.seen {
		if number, ok = p.seen[i].keys[key]; ok {
			return number, true
		}
	}
	return "", false
}

// remember keeps the keys that were read, for entries that come later. All that was read before was
// stored before now, and ends with the record last.
func (p *pass) remember(keys []found, last string, part int, now int64) {
	for _, f := range keys {
		n := len(p.seen)
		if n == 0 || len(p.seen[n-1].keys) >= part {
			p.seen, n = append(p.seen, chapter{keys: map[string]string{}, began: now, after: last}), n+1
		}
		p.seen[n-1].keys[f.key], last = f.number, f.number
	}
}

// forget lets passes begin later that remember more together than may be kept. No call that begins
// later has stored what is before that, and none of it is what the users look for.
func (s *shard) forget(keep int, now int64) {
	for {
		sum, most := 0, 0
		var p *pass
		for _, o := range s.passes {
			n := 0
			for i := range o.seen {
				n += len(o.seen[i].keys)
			}
			if sum += n; n > most {
				most, p = n, o
			}
		}
		if sum <= keep {
			return
		}
		p.forgetFirst(now)
	}
}

func (p *pass) forgetFirst(now int64) {
	next := chapter{began: now, after: p.last}
	if p.seen = slices.Delete(p.seen, 0, 1); len(p.seen) > 0 {
		next = p.seen[0]
	}
	p.began, p.from.after, p.first = next.began, next.after, ""
}

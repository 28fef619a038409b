// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"slices"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/ledger"
)

// Entry is a content under way. A nil Entry is one that nothing is kept of. Its methods are
// safe for concurrent use.
type Entry struct {
	j *Journal

	// Guarded by j.mu.
	state      state
	gone       bool              // nothing is written of it any more
	recovered  bool              // from an earlier process, and not taken yet
	unanswered []UncertainRecord // see TakeUnanswered
	since      time.Time
}

// Begin makes the entry of a content. It is written with what comes next. What this process
// has answered of equal contents is not known from then on: after a crash it would be taken
// for this one.
func (j *Journal) Begin(h Head) *Entry {
	if j == nil || h.Total > maxRecords || h.DeadLetters > maxRecords {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil
	}
	j.lastID++
	e := &Entry{j: j, state: state{id: j.lastID, begun: max(time.Now().UnixMilli(), 0), head: h}}
	e.state.settled.grow(h.Total)
	if !e.state.appendBegin(&j.enc) {
		return nil
	}
	j.entries[e.state.id] = e
	if j.answered.has(h.Identity) {
		j.endAll(j.finishedAs(h.Identity))
	}
	return e
}

// finishedAs lists the entries of equal contents that this process has finished. mu is held.
func (j *Journal) finishedAs(id ledger.Identity) (list []*Entry) {
	for _, o := range j.finished {
		if o.state.head.Identity == id {
			list = append(list, o)
		}
	}
	return list
}

// Grow makes e the entry of a content that begins with the one before.
func (e *Entry) Grow(h Head) {
	if e == nil {
		return
	}
	j := e.j
	j.mu.Lock()
	defer j.mu.Unlock()
	if e.gone || j.closed {
		return
	}
	if h.Total > maxRecords || h.DeadLetters > maxRecords {
		j.endAll([]*Entry{e})
		return
	}
	e.state.head = h
	e.state.appendBegin(&j.enc)
}

// Settle notes that records, or dead letters, with the given numbers are settled. They hold
// so many events.
func (e *Entry) Settle(d Disposition, events int, list []int32) {
	if e == nil || len(list) == 0 {
		return
	}
	j := e.j
	j.mu.Lock()
	defer j.mu.Unlock()
	if e.gone || j.closed {
		return
	}
	e.state.events[d] += events
	j.enc.begin(kindSettled)
	j.enc.uint(e.state.id)
	j.enc.b = append(j.enc.b, byte(d))
	j.enc.uint(uint64(events))
	var w numbers
	for _, n := range list {
		w.add(&j.enc, n)
		e.state.settle(d, int(n), int(n)+1)
	}
	w.end(&j.enc)
	j.enc.end()
	j.flush()
}

// Finish notes that everything is settled, before the client hears of it. If it does not, as
// this process ends, the next one knows so, for a short while and once. Where equal contents
// come again and again, it is as End: one that comes after that would be a new one.
func (e *Entry) Finish() {
	if e == nil {
		return
	}
	e.j.finish(e)
	e.j.syncNow()
}

func (j *Journal) finish(e *Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e.gone || j.closed {
		return
	}
	if j.answered.add(e.state.head.Identity) {
		j.endAll(append(j.finishedAs(e.state.head.Identity), e))
		return
	}
	now := time.Now()
	if e.since = now; e.state.finished == 0 { // else it was used, and counts from its first answer
		e.state.finished = max(now.UnixMilli(), 1)
		e.state.appendFinished(&j.enc)
		j.flush()
	}
	if !e.gone {
		j.finished = append(j.finished, e)
		j.armSweeper()
	}
}

// End notes that nothing is to be remembered of the content any more.
func (e *Entry) End() {
	if e == nil {
		return
	}
	func() {
		e.j.mu.Lock()
		defer e.j.mu.Unlock()
		e.j.endAll([]*Entry{e})
	}()
	e.j.syncNow()
}

// Abandon ends the entry of a content that comes again and of which nothing is known then. No
// equal one that this process answers is known after a crash: it would be taken for this one.
func (e *Entry) Abandon() {
	if e == nil {
		return
	}
	func() {
		j := e.j
		j.mu.Lock()
		defer j.mu.Unlock()
		id := e.state.head.Identity
		for _, o := range j.entries {
			if o != e && o.state.head.Identity == id {
				j.answered.add(id)
				break
			}
		}
		j.endAll(append(j.finishedAs(id), e))
	}()
	e.j.syncNow()
}

// endAll is called with mu held.
func (j *Journal) endAll(list []*Entry) {
	if j.closed {
		return
	}
	ended := false
	j.enc.begin(kindGone)
	for _, e := range list {
		if !e.gone {
			j.enc.uint(e.state.id)
			j.drop(e)
			ended = true
		}
	}
	if !ended {
		j.enc.takeBack()
		return
	}
	j.enc.end()
	j.enc.twice()
	j.flush()
}

// Take tells whether a recovered entry can be used, which is so once. It returns how many of
// its records are uncertain. With look those for which one can look are left to TakeUnanswered.
func (e *Entry) Take(look bool) (uncertain int, ok bool) {
	list := e.Uncertain()
	j := e.j
	j.mu.Lock()
	defer j.mu.Unlock()
	if !e.usable() {
		return 0, false
	}
	e.recovered = false
	j.relics = slices.DeleteFunc(j.relics, func(o *Entry) bool { return o == e })
	var seen set
	for _, q := range list {
		if !look || q.Unanswered == nil {
			for _, n := range q.Numbers {
				seen.add(int(n))
			}
		}
	}
	if look {
		e.unanswered = unansweredOf(list)
	}
	j.stats.Used++
	j.stats.Uncertain += uint64(seen.n)
	return seen.n, true
}

// unansweredOf are the records for which one can look, each once for each place: sent again with its
// key a record may be where any of the calls has stored it. Several batches of a content may have parts of one.
func unansweredOf(list []UncertainRecord) (out []UncertainRecord) {
	known := map[core.Unanswered]int{}
	for _, q := range list {
		if q.Unanswered == nil {
			continue
		}
		k, ok := known[*q.Unanswered]
		if !ok {
			known[*q.Unanswered] = len(out)
			out = append(out, q)
			continue
		}
		if slices.Equal(out[k].Numbers, q.Numbers) {
			continue
		}
		var has set
		for _, n := range out[k].Numbers {
			has.add(int(n))
		}
		more := slices.DeleteFunc(slices.Clone(q.Numbers), func(n int32) bool { return has.has(int(n)) })
		out[k].Numbers = slices.Concat(out[k].Numbers, more)
	}
	return out
}

// Unanswered returns what TakeUnanswered will, of all records, for an entry that is not taken yet.
func (e *Entry) Unanswered() []UncertainRecord { return unansweredOf(e.Uncertain()) }

// TakeUnanswered returns, once, the Kinesis records that may be stored and hold records with some of
// the given numbers, which rise, nil for all, and for which one can look before these are sent again.
func (e *Entry) TakeUnanswered(numbers []int32) (list []UncertainRecord) {
	if e == nil {
		return nil
	}
	e.j.mu.Lock()
	defer e.j.mu.Unlock()
	if numbers == nil || len(e.unanswered) == 0 {
		list, e.unanswered = e.unanswered, nil
		return list
	}
	var rest []UncertainRecord
	for _, q := range e.unanswered {
		var here, others []int32
		for _, n := range q.Numbers {
			if _, has := slices.BinarySearch(numbers, n); has {
				here = append(here, n)
			} else {
				others = append(others, n)
			}
		}
		if q.Numbers = here; len(here) > 0 {
			list = append(list, q)
		}
		if q.Numbers = others; len(others) > 0 {
			rest = append(rest, q)
		}
	}
	e.unanswered = rest
	return list
}

// CountUncertain counts records that are sent again, since it stayed open whether they are
// stored.
func (j *Journal) CountUncertain(n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stats.Uncertain += uint64(n)
}

// Usable tells whether Take would return it.
func (e *Entry) Usable() bool {
	e.j.mu.Lock()
	defer e.j.mu.Unlock()
	return e.usable()
}

// usable is called with mu held.
func (e *Entry) usable() bool {
	if !e.recovered || e.gone || time.Now().UnixMilli()-e.state.begun > e.j.cfg.MaxAge.Milliseconds() {
		return false
	}
	return e.state.finished == 0 || e.fresh()
}

// fresh tells whether what an earlier process has finished may be used yet. Called with mu held.
func (e *Entry) fresh() bool {
	now := time.Now()
	return e.state.finishedLately(now) && e.j.visits.free(now) < finishedLife
}

// finishedLately goes by the clock of the system, which all processes have.
func (s *state) finishedLately(now time.Time) bool {
	age := now.UnixMilli() - s.finished
	return age >= 0 && age <= finishedSpan.Milliseconds()
}

// Identity is that of the content.
func (e *Entry) Identity() ledger.Identity { return e.state.head.Identity }

// Progress is what is known of a recovered entry.
type Progress struct {
	Head
	// Missing are the numbers of records that are not settled, Unwritten those of dead letters,
	// both rising.
	Missing, Unwritten []int32
	// Events counts events of what is settled, by Disposition.
	Events [dispositions]int
}

// Progress returns what is settled.
func (e *Entry) Progress() Progress {
	e.j.mu.Lock()
	defer e.j.mu.Unlock()
	s := &e.state
	return Progress{Head: s.head, Missing: s.settled.missing(s.head.Total), Unwritten: s.deadLetters.missing(s.head.DeadLetters), Events: s.events}
}

// Uncertain lists the Kinesis records that may be stored and hold records of e that are not
// settled.
func (e *Entry) Uncertain() (list []UncertainRecord) {
	if e == nil {
		return nil
	}
	e.j.mu.Lock()
	defer e.j.mu.Unlock()
	for _, id := range e.state.calls {
		c := e.j.calls[id]
		if c == nil {
			continue
		}
		body := c.frame[frameHead : len(c.frame)-frameTail]
		d := decoder{b: body}
		_, more, _ := readSent(&d, func(*UncertainRecord, uint64, []int32) {})
		unanswered := readUnanswered(more.unanswered)
		d = decoder{b: body}
		readSent(&d, func(q *UncertainRecord, entry uint64, numbers []int32) {
			if entry != e.state.id {
				return
			}
			open := slices.DeleteFunc(numbers, func(n int32) bool { return e.state.settled.has(int(n)) || int(n) >= e.state.head.Total })
			if len(open) > 0 {
				one := *q
				one.Numbers, one.StreamARN = open, more.arn
				if q.place < len(unanswered) && unanswered[q.place] != nil && q.ShardID != "" {
					one.Unanswered = unanswered[q.place].of(q)
				}
				list = append(list, one)
			}
		})
	}
	return list
}

// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"cmp"
	"context"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/journal"
)

const (
	// maxAhead bounds the Kinesis records that are looked for before their contents come. What is
	// beyond is looked for when its content comes.
	maxAhead = 32768
	// aheadGroup bounds those of one call, aheadStreams the streams at one time.
	aheadGroup, aheadStreams = 4096, 16
)

// lookAhead looks for what an earlier process has sent without an answer as soon as this one has
// begun, so that contents that come one after the other need not wait for a search each.
type lookAhead struct {
	by  *Deliverer
	ctx context.Context
	end context.CancelFunc

	mu      sync.Mutex // guards all below
	records map[core.Unanswered]*sought
	streams []*soughtStream // not begun
}

// soughtStream has what is sought in a stream, named as for PutBatch.
type soughtStream struct {
	name string
	list []*sought
}

// sought is a Kinesis record that is looked for.
type sought struct {
	record core.Unanswered
	by     []soughtBy    // whose records are in it
	begun  bool          // guarded by the mu of lookAhead
	done   chan struct{} // closed once found is constant
	found  core.Found
}

type soughtBy struct {
	entry   *journal.Entry
	numbers []int32
}

// stop ends the searches.
func (s *lookAhead) stop() {
	if s != nil {
		s.end()
	}
}

// beginLookAhead begins the searches in goroutines, which end with the producer at the latest. It
// returns nil if there is nothing to look for.
func (l *Deliverer) beginLookAhead() *lookAhead {
	if l.cfg.LookFor == nil {
		return nil
	}
	s := &lookAhead{by: l, records: map[core.Unanswered]*sought{}}
	streams := map[string]*soughtStream{}
	for _, e := range l.cfg.Journal.Recovered() {
		for _, q := range e.Unanswered() {
			if r := s.records[*q.Unanswered]; r != nil { // shared with another content
				r.by = append(r.by, soughtBy{e, q.Numbers})
				continue
			}
			if len(s.records) == maxAhead {
				break
			}
			r := &sought{record: *q.Unanswered, by: []soughtBy{{e, q.Numbers}}, done: make(chan struct{})}
			s.records[r.record] = r
			name := cmp.Or(q.StreamARN, q.Stream)
			of := streams[name]
			if of == nil {
				of = &soughtStream{name: name}
				streams[name] = of
				s.streams = append(s.streams, of)
			}
			of.list = append(of.list, r)
		}
	}
	if len(s.records) == 0 {
		return nil
	}
	s.ctx, s.end = context.WithCancel(context.Background())
	for range min(len(s.streams), aheadStreams) {
		l.running.Go(s.run)
	}
	return s
}

// run searches one stream after the other.
func (s *lookAhead) run() {
	for {
		s.mu.Lock()
		if len(s.streams) == 0 {
			s.mu.Unlock()
			return
		}
		of := s.streams[0]
		s.streams = s.streams[1:]
		s.mu.Unlock()
		for group := range slices.Chunk(of.list, aheadGroup) {
			s.search(of.name, group)
		}
	}
}

// search looks for those that no content looks for by itself.
func (s *lookAhead) search(stream string, group []*sought) {
	var list []core.Unanswered
	var begun []*sought
	s.mu.Lock()
	for _, r := range group {
		if !r.begun {
			r.begun, begun = true, append(begun, r)
			one := r.record
			for _, by := range r.by {
				one.Records += len(by.numbers)
			}
			list = append(list, one)
		}
	}
	s.mu.Unlock()
	if len(list) == 0 {
		return
	}
	var found []core.Found
	defer func() {
		settleSought(begun, found)
		if p := recover(); p != nil && s.by.cfg.Panicked != nil {
			s.by.cfg.Panicked(p, debug.Stack())
		}
	}()
	found = s.by.cfg.LookFor(s.ctx, stream, list)
}

// settleSought ends a search for records. What was found is noted for all contents that have a
// part in it, so that the next process need not search again.
func settleSought(list []*sought, found []core.Found) {
	for i, r := range list {
		if i < len(found) {
			r.found = found[i]
		}
		if r.found.Outcome == core.LookStored {
			for _, by := range r.by {
				by.entry.Settle(journal.Confirmed, 0, by.numbers)
			}
		}
		close(r.done)
	}
}

// of returns what is known of a record or will be soon, or nil. known tells that it is known
// already. mine tells that nobody searches it yet, and the caller has to.
func (s *lookAhead) of(d core.Unanswered) (r *sought, known, mine bool) {
	if s == nil {
		return nil, false, false
	}
	d.Records = 0
	s.mu.Lock()
	defer s.mu.Unlock()
	if r = s.records[d]; r == nil {
		return nil, false, false
	}
	mine, r.begun = !r.begun, true
	select {
	case <-r.done:
		return r, true, false
	default:
		return r, false, mine
	}
}

// lookFor is Config.LookFor, which is not called for what is known already. What could not be
// found out while it was waited for stays open, so that no content waits longer than for a search.
func (l *Deliverer) lookFor(ctx context.Context, stream string, list []core.Unanswered) []core.Found {
	found := make([]core.Found, len(list))
	waiting := make([]*sought, len(list))
	var rest []core.Unanswered
	var mine []*sought // as rest, those of its beginning
	var places []int
	for i, d := range list {
		r, known, own := l.ahead.of(d)
		switch {
		case own:
			rest, places, mine = slices.Insert(rest, len(mine), d), slices.Insert(places, len(mine), i), append(mine, r)
		case r == nil, known && r.found.Outcome == core.LookOpen:
			rest, places = append(rest, d), append(places, i)
		default:
			waiting[i] = r
		}
	}
	if len(rest) > 0 {
		var of []core.Found
		func() {
			defer func() { settleSought(mine, of) }()
			of = l.cfg.LookFor(ctx, stream, rest)
		}()
		for k, f := range of {
			found[places[k]] = f
		}
	}
	for i, r := range waiting {
		if r != nil {
			<-r.done
			found[i] = r.found
		}
	}
	return found
}

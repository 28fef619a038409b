// SPDX-License-Identifier: Apache-2.0

package core

import (
	"iter"
	"sync"
)

// ConfirmedRun are user records of one batch, behind each other in it, that are stored: in one Kinesis
// record, if it says in which.
type ConfirmedRun struct {
	Batch *Batch
	// First is the number of the first of them in the batch, N how many there are.
	First, N int
	// ShardID and SequenceNumber say where they are; see Result. They are empty without
	// WithVerifyUncertain: nothing is looked for then.
	ShardID, SequenceNumber string
}

// ConfirmedRuns are the runs that an answer confirms. Keys that come by turns make a run of each
// record, so a run takes 16 bytes.
type ConfirmedRuns struct {
	runs   []confirmedRun
	places []confirmedPlace // none if nobody asks where they are
}

type confirmedRun struct {
	batch    *Batch
	first, n int32
}

// confirmedPlace is where runs are.
type confirmedPlace struct {
	shardID, sequenceNumber string
	end                     int // behind the last of them
}

// All returns the runs, in no order that means anything.
func (c *ConfirmedRuns) All() iter.Seq[ConfirmedRun] {
	return func(yield func(ConfirmedRun) bool) {
		var p confirmedPlace
		places := c.places
		for i, r := range c.runs {
			for len(places) > 0 && i >= p.end {
				p, places = places[0], places[1:]
			}
			if !yield(ConfirmedRun{r.batch, int(r.first), int(r.n), p.shardID, p.sequenceNumber}) {
				return
			}
		}
	}
}

// addRuns adds the items of a Kinesis record.
func (c *ConfirmedRuns) addRuns(items []*item) {
	for len(items) > 0 {
		n := runOf(items)
		c.runs = append(c.runs, confirmedRun{items[0].batch, items[0].index, int32(n)})
		items = items[n:]
	}
}

// addPlace says where the runs are that were added since the last place. If any have one, all have.
func (c *ConfirmedRuns) addPlace(a *attemptNode) {
	c.places = append(c.places, confirmedPlace{a.shardID, a.sequenceNumber, len(c.runs)})
}

// addBefore adds an item alone. Where it is the one before the last run, as with records that are not
// aggregated, the run begins with it: nobody asks where they are.
func (c *ConfirmedRuns) addBefore(it *item) {
	if k := len(c.runs) - 1; k >= 0 {
		if r := &c.runs[k]; r.first == it.index+1 && r.batch == it.batch {
			r.first, r.n = it.index, r.n+1
			return
		}
	}
	c.runs = append(c.runs, confirmedRun{it.batch, it.index, 1})
}

// spareRuns keeps lists to be used again: a sync.Pool would lose them to each second collection of
// garbage, and to let them grow again is dear. The zero value is empty.
type spareRuns struct {
	mu   sync.Mutex
	list []*ConfirmedRuns
}

// The lists that are kept take a megabyte at most.
const (
	mostSpareRuns = 4
	longestRuns   = 16 << 10
)

func (s *spareRuns) take() *ConfirmedRuns {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.list) - 1
	if n < 0 {
		return &ConfirmedRuns{}
	}
	c := s.list[n]
	s.list[n], s.list = nil, s.list[:n]
	return c
}

func (s *spareRuns) give(c *ConfirmedRuns) {
	clear(c.runs)
	clear(c.places)
	c.runs, c.places = c.runs[:0], c.places[:0]
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) < mostSpareRuns && cap(c.runs) <= longestRuns {
		s.list = append(s.list, c)
	}
}

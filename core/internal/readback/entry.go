// SPDX-License-Identifier: Apache-2.0

package readback

import (
	"time"

	"github.com/outkpl/outkpl/aggregation"
)

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
	// Near is about the time of the service when the last of its calls began, or zero. NearAfter is a
	// sequence number that the shard gave not long before, or empty. They decide only what is read
	// first: what earlier calls have stored was looked for before.
	Near      time.Time
	NearAfter string
	// Began is when the first call began that may have stored the record, Ended when the
	// last one ended.
	Began, Ended int64
	// Until is when the search ends without a result.
	Until int64
	// Earlier tells that an earlier process made the calls: only After and Since tell when. Began
	// is before all moments of this process then.
	Earlier bool
	// Bytes is what the record takes in memory.
	Bytes int
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

// position is from where on a shard has to be read for an entry.
func (e *Entry) position(shard string) position {
	own := position{since: e.Since}
	if shard == e.Shard {
		own.after = e.After
	}
	return own
}

// likely is where the record of an entry is most likely.
func (e *Entry) likely(shard string) position {
	p := position{since: e.Near.Add(-before)}
	if shard == e.Shard {
		p.after = e.NearAfter
	}
	return p
}

// likelyEnd is until when it was most likely stored.
func (e *Entry) likelyEnd() time.Time { return e.Near.Add(lasts) }

// direct tells whether it is most likely where it has to be read from.
func (e *Entry) direct(shard string) bool {
	return shard == e.Shard && e.After != "" && e.NearAfter == e.After && !e.Near.IsZero()
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

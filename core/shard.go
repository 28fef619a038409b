// SPDX-License-Identifier: Apache-2.0

package core

import (
	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/internal/pace"
)

// shard is one open shard of the stream: its place on the hash ring, its open
// aggregate, and what paces it. All fields but the id and the range, which never
// change, are guarded by the pipeline's lock. What each user record needs comes
// first, for the sake of the processor's cache.
type shard struct {
	current bool // part of the shard map in use
	// originMismatch: an answer did not fit the origin, so that the map may be of another
	// stream. Nothing is aggregated until one fits.
	originMismatch bool
	open           openAggregate

	id         string
	start, end aggregation.HashKey // both inclusive
	origin     *origin             // nil if it is unknown

	pace pace.Shard
	// queue holds records that wait for tokens, in order.
	queue []*kinesisRecord
	// wakeAt is when the head of the queue may go, while in the wake heap.
	wakeAt  int64
	wakePos int32 // index in the heap, -1 if not in it
	// blockers are busy shards of earlier maps with keys in common; see ordering.go.
	blockers int32

	// Strict ordering; see ordering.go.
	busy *kinesisRecord // the one on its way to Kinesis
	head []*kinesisRecord

	// Counts of Kinesis records.
	stored, storedBytes, refused uint64

	readyBytes   int // in the collector
	requestBytes int // scratch of the collector, 0 outside
}

func (s *shard) shardContains(h aggregation.HashKey) bool {
	return s.start.Compare(h) <= 0 && h.Compare(s.end) <= 0
}

// waitEstimate says how long a record handed to the shard now would wait.
func (s *shard) waitEstimate(now int64) int64 {
	queued, sample := 0, s.queue[:min(len(s.queue), estimateSample)]
	for _, kr := range sample {
		queued += kr.size
	}
	if n := len(sample); n > 0 {
		queued = queued * len(s.queue) / n
	}
	return s.pace.Estimate(now, len(s.queue)+1, queued+PutPayloadUnit)
}

// estimateSample is how many records of a queue stand for all of it. Without
// aggregation a queue may have 100,000, and the estimate is made for each record.
const estimateSample = 4

// closeOpen takes the open aggregate off the shard.
func (s *shard) closeOpen() {
	items := s.open.items
	if cap(items) > maxOpenItems {
		items = nil
	}
	s.open = openAggregate{items: items}
}

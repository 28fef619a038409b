// SPDX-License-Identifier: Apache-2.0

package core

import (
	"container/heap"
	"math/rand/v2"
	"time"

	"github.com/outkpl/outkpl/aggregation"
)

// shard is one open shard of the stream: its place on the hash ring, its open
// aggregate, and what paces it. All fields but the first three, which never
// change, are guarded by the pipeline's lock.
type shard struct {
	id         string
	start, end aggregation.HashKey // both inclusive

	current bool // part of the shard map in use
	open    openAggregate

	bucket bucket
	// queue holds records that wait for tokens, in order.
	queue []*kinesisRecord
	// pausedUntil stops the shard after a throttle; throttles counts them in
	// a row.
	pausedUntil int64
	throttles   int
	// wakeAt is when the head of the queue may go, while in the wake heap.
	wakeAt  int64
	wakePos int // index in the heap, -1 if not in it

	// Strict ordering; see ordering.go.
	busy     *kinesisRecord // the one on its way to Kinesis
	blockers int            // busy shards of earlier maps with keys in common
	front    []*kinesisRecord

	// Counts of Kinesis records.
	stored, storedBytes, refused uint64

	readyBytes   int // in the collector
	requestBytes int // scratch of the collector, 0 outside
}

func (s *shard) contains(h aggregation.HashKey) bool {
	return s.start.Compare(h) <= 0 && h.Compare(s.end) <= 0
}

// bucket is a pair of token buckets that are taken from together. A record may
// go when there is anything left of its cost up to the capacity; the rest is
// debt. So a record larger than the capacity passes in time, and the
// capacity need not allow a burst of the largest record.
type bucket struct {
	records, bytes   float64 // tokens, negative while in debt
	updated          int64
	recordRate       float64 // tokens a nanosecond
	byteRate         float64
	recordCap, byCap float64
}

func newBucket(percent int, now int64) bucket {
	rate := float64(percent) / 100
	b := bucket{
		recordRate: rate * shardRecordsPerSecond / float64(time.Second),
		byteRate:   rate * shardBytesPerSecond / float64(time.Second),
		recordCap:  rate * shardRecordsPerSecond,
		byCap:      rate * shardBytesPerSecond,
		updated:    now,
	}
	b.records, b.bytes = b.recordCap, b.byCap
	return b
}

func (b *bucket) refill(now int64) {
	d := float64(now - b.updated)
	if d <= 0 {
		return
	}
	b.updated = now
	b.records = min(b.recordCap, b.records+d*b.recordRate)
	b.bytes = min(b.byCap, b.bytes+d*b.byteRate)
}

// wait returns the nanoseconds until a record of this size may go.
func (b *bucket) wait(now int64, size int) int64 {
	b.refill(now)
	w := 0.0
	if need := 1 - b.records; need > 0 {
		w = need / b.recordRate
	}
	if need := min(float64(size), b.byCap) - b.bytes; need > 0 {
		w = max(w, need/b.byteRate)
	}
	if w == 0 {
		return 0
	}
	return int64(w) + 1
}

func (b *bucket) take(size int) {
	b.records--
	b.bytes -= float64(size)
}

// waitEstimate says how long a record handed to the shard now would wait.
func (s *shard) waitEstimate(now int64) int64 {
	queued := 0
	for _, kr := range s.queue {
		queued += kr.size
	}
	return max(s.pausedUntil-now, s.bucket.wait(now, queued+PutPayloadUnit))
}

// limit is the stage between aggregation and collection: a record passes as
// soon as its shard has capacity for it. Called with the lock held.
func (pl *pipeline) limit(kr *kinesisRecord) {
	if kr.shard == nil {
		pl.collect(kr)
		return
	}
	kr.shard.queue = append(kr.shard.queue, kr)
	if len(kr.shard.queue) == 1 {
		pl.admit(kr.shard)
	}
}

// limitFirst puts a record back to the head of its shard's queue.
func (pl *pipeline) limitFirst(kr *kinesisRecord) {
	kr.shard.queue = append(kr.shard.queue, nil)
	copy(kr.shard.queue[1:], kr.shard.queue)
	kr.shard.queue[0] = kr
	pl.admit(kr.shard)
}

// admit moves records of one shard to the collector while it has tokens, and
// arranges to be called again when it will have some.
func (pl *pipeline) admit(sh *shard) {
	if pl.cfg.ordering == OrderingStrict {
		pl.admitStrict(sh)
		return
	}
	n := 0
	var wait int64
	for _, kr := range sh.queue {
		if wait = sh.pausedUntil - pl.now; wait > 0 {
			break
		}
		if wait = sh.bucket.wait(pl.now, kr.size); wait > 0 {
			break
		}
		n++
		if pl.cfg.recordTTL > 0 && pl.dropExpired(kr) {
			continue
		}
		sh.bucket.take(kr.size)
		pl.collect(kr)
	}
	if n > 0 {
		rest := copy(sh.queue, sh.queue[n:])
		clear(sh.queue[rest:])
		sh.queue = sh.queue[:rest]
	}
	if len(sh.queue) > 0 {
		pl.wakeShard(sh, pl.now+wait)
	} else if sh.wakePos >= 0 {
		heap.Remove(&pl.wakes, sh.wakePos)
	}
}

// throttled slows a shard down that has refused a record.
func (pl *pipeline) throttled(sh *shard) {
	sh.bucket.refill(pl.now)
	// Somebody else writes to the shard as well: what the bucket still holds
	// is not there.
	sh.bucket.records = min(sh.bucket.records, 0)
	sh.bucket.bytes = min(sh.bucket.bytes, 0)
	sh.throttles++
	sh.pausedUntil = max(sh.pausedUntil, pl.now+pl.backoff(sh.throttles))
}

// backoff returns a random wait before attempt n+1 (n from 1): uniform between
// a tenth of and the whole of an exponentially growing bound. The floor keeps
// a lucky draw from turning into a hot loop.
func (pl *pipeline) backoff(n int) int64 {
	bound := float64(pl.cfg.retryBackoffMin) * float64(uint64(1)<<min(max(n-1, 0), 30))
	bound = min(bound, float64(pl.cfg.retryBackoffMax))
	return int64(bound * (0.1 + 0.9*rand.Float64()))
}

// wakeQuantum makes shards that wait for tokens wake together, so that their
// records share requests.
const wakeQuantum = int64(10 * time.Millisecond)

func (pl *pipeline) wakeShard(sh *shard, at int64) {
	sh.wakeAt = (at + wakeQuantum - 1) / wakeQuantum * wakeQuantum
	if sh.wakePos >= 0 {
		heap.Fix(&pl.wakes, sh.wakePos)
		return
	}
	heap.Push(&pl.wakes, sh)
}

// wakeHeap orders the shards that wait by time.
type wakeHeap []*shard

func (h wakeHeap) Len() int           { return len(h) }
func (h wakeHeap) Less(i, j int) bool { return h[i].wakeAt < h[j].wakeAt }
func (h wakeHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].wakePos, h[j].wakePos = i, j
}

// Push implements heap.Interface.
func (h *wakeHeap) Push(x any) {
	sh := x.(*shard)
	sh.wakePos = len(*h)
	*h = append(*h, sh)
}

// Pop implements heap.Interface.
func (h *wakeHeap) Pop() any {
	old := *h
	sh := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	sh.wakePos = -1
	return sh
}

// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// Record is one stored Kinesis record.
type Record struct {
	// ShardID names the shard that stores the record.
	ShardID string
	// SequenceNumber is a decimal of 56 digits, strictly increasing in a shard.
	SequenceNumber string
	PartitionKey   string
	// ExplicitHashKey is as sent, or empty.
	ExplicitHashKey string
	// Data is shared with the server: read only.
	Data []byte
	// ArrivalTime is the time of the server's clock.
	ArrivalTime time.Time
	// RequestID is the same for all records of one call.
	RequestID string
}

// Shard describes a shard and what it took so far.
type Shard struct {
	ID string
	// StartingHashKey and EndingHashKey are the range, both inclusive.
	StartingHashKey, EndingHashKey string
	// Parents are the ids of the shards that this one replaced, if any.
	Parents []string
	// Open is false once a split, a merge or an update of the shard count has
	// closed the shard.
	Open bool
	ShardStats
}

// ShardStats are the totals of one shard.
type ShardStats struct {
	// Records, Bytes (data and partition keys) and PayloadUnits (25 KiB each,
	// rounded up for each record) count what was stored.
	Records, Bytes, PayloadUnits int64
	// Throttled counts entries refused by the shard's limits.
	Throttled int64
	// PeakConcurrency is the largest number of puts in flight at once that
	// carried an entry for this shard.
	PeakConcurrency int64
}

type shard struct {
	id         string
	num        int
	start, end hashKey
	startStr   string
	endStr     string
	parents    []*shard
	created    time.Time
	origin     [3]uint64 // the sequence number with counter 0, high word first
	firstSeq   string
	flight     gauge

	// The stream's lock guards the next four, which change on resharding only.
	slot     int // index among the open shards, -1 when closed
	closedAt time.Time
	lastSeq  string
	children []*shard

	mu      sync.Mutex // guards the fields below
	counter uint64
	records []Record
	stats   ShardStats
	bucket  bucket
	reads   readBucket
}

// Sequence numbers have the bits of the real ones, as far as they are known: from
// the top 2 (186 bits in all), 36 bits with the second of the shard's creation, 4 of
// the shard number, 64 of a counter, 8 zeros, a time of 36 bits (here that of the creation
// again), 32 of the shard number, and 2. They are unique in the stream and increase
// in a shard, and a recreated stream continues above, as does a child shard.
// Sources: SequenceNumberValidator in amazon-kinesis-client 3.5.1 (version and shard
// number), kinesalite 3.3.3 and kinesis-local 0.6.2 (all), looked at on 2026-11-28.
const seqDigits = 56

// newShard makes a shard. The second is what its sequence numbers tell of its creation.
func newShard(num int, start, end hashKey, second int64, now time.Time, parents ...*shard) *shard {
	s, n := uint64(second), uint64(num)
	sh := &shard{
		id: fmt.Sprintf("shardId-%012d", num), num: num,
		start: start, end: end, startStr: start.String(), endStr: end.String(),
		created: now, parents: parents,
		origin: [3]uint64{2<<56 | s<<20 | n&15<<16, s >> 28, s<<36 | n<<4 | 2},
	}
	for _, p := range parents {
		p.mu.Lock()
		sh.counter = max(sh.counter, p.counter)
		p.mu.Unlock()
		p.children = append(p.children, sh)
	}
	sh.firstSeq = string(sh.appendSeq(nil))
	return sh
}

// appendSeq appends the next sequence number. The caller holds mu, or is the
// only one who knows the shard.
func (sh *shard) appendSeq(dst []byte) []byte {
	sh.counter++
	// The counter starts at bit 80: in the middle word 16 bits up.
	n := [3]uint64{sh.origin[0] | sh.counter>>48, sh.origin[1] | sh.counter<<16, sh.origin[2]}
	var parts [3]uint64 // of 19 digits each
	for i := len(parts) - 1; i >= 0; i-- {
		var rem uint64
		for w := range n {
			n[w], rem = bits.Div64(rem, n[w], 1e19)
		}
		parts[i] = rem
	}
	dst = appendPadded(dst, parts[0], seqDigits-2*19)
	dst = appendPadded(dst, parts[1], 19)
	return appendPadded(dst, parts[2], 19)
}

const zeros = "00000000000000000000"

// appendPadded appends v with at least width digits, of at most len(zeros).
func appendPadded(dst []byte, v uint64, width int) []byte {
	n := len(dst)
	dst = append(dst, zeros[:width]...)
	for i := n + width - 1; v > 0 && i >= n; i-- {
		dst[i] = byte('0' + v%10)
		v /= 10
	}
	return dst
}

// snapshot returns the records stored so far. The slice is never changed
// below its length, so that no copy is needed.
func (sh *shard) snapshot() []Record {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.records[:len(sh.records):len(sh.records)]
}

func (sh *shard) totals() ShardStats {
	sh.mu.Lock()
	st := sh.stats
	sh.mu.Unlock()
	st.PeakConcurrency = sh.flight.peak.Load()
	return st
}

// gauge counts what is in flight and remembers the peak.
type gauge struct{ now, peak atomic.Int64 }

func (g *gauge) enter() {
	n := g.now.Add(1)
	for {
		p := g.peak.Load()
		if n <= p || g.peak.CompareAndSwap(p, n) {
			return
		}
	}
}

func (g *gauge) leave() { g.now.Add(-1) }

// SPDX-License-Identifier: Apache-2.0

package core

import (
	"container/heap"
	"time"
)

// limit is the stage between aggregation and collection: a record passes as
// soon as its shard has capacity for it. Called with the lock held.
func (pl *pipeline) limit(kr *kinesisRecord) {
	if kr.shard == nil {
		pl.collect(kr)
		return
	}
	sh := kr.shard
	if len(sh.queue) == 0 && pl.cfg.ordering != OrderingStrict && !pl.hasExpired(kr) && pl.waitTime(kr) == 0 {
		pl.reserveTokens(kr) // as a rule nothing waits
		pl.collect(kr)
		return
	}
	sh.queue = append(sh.queue, kr)
	if len(sh.queue) == 1 {
		pl.admitQueue(sh)
	}
}

// limitFirst puts a record back to the head of its shard's queue.
func (pl *pipeline) limitFirst(kr *kinesisRecord) {
	kr.shard.queue = append(kr.shard.queue, nil)
	copy(kr.shard.queue[1:], kr.shard.queue)
	kr.shard.queue[0] = kr
	pl.admitQueue(kr.shard)
}

// waitTime returns how long the shard has no capacity for a record, 0 if it may go
// now. A record that would have to wait for a bound on its size is counted, or it
// might wait, and have others wait, for much more than it is.
func (pl *pipeline) waitTime(kr *kinesisRecord) int64 {
	wait := kr.shard.pace.Wait(pl.now, kr.size)
	if wait > 0 && kr.wrapped {
		kr.countItems()
		wait = kr.shard.pace.Wait(pl.now, kr.size)
	}
	return wait
}

// reserveTokens takes tokens of its shard for a record that may go now.
func (pl *pipeline) reserveTokens(kr *kinesisRecord) {
	kr.reservedBytes = kr.size
	kr.shard.pace.Take(kr.reservedBytes)
}

// refundTokens gives back what was reserved too much, because the size was a bound. Records
// that wait for tokens are looked at again.
func (pl *pipeline) refundTokens(kr *kinesisRecord) {
	if sh := kr.shard; sh != nil && kr.reservedBytes > kr.size {
		sh.pace.Return(kr.reservedBytes - kr.size)
		if sh.wakePos >= 0 {
			pl.wakeShard(sh, pl.now)
		}
	}
	kr.reservedBytes = 0
}

// admitQueue moves records of one shard to the collector while it has tokens, and
// arranges to be called again when it will have some.
func (pl *pipeline) admitQueue(sh *shard) {
	if pl.cfg.ordering == OrderingStrict {
		pl.admitStrict(sh)
		return
	}
	n := 0
	var wait int64
	var late []*kinesisRecord
	for _, kr := range sh.queue {
		if pl.hasExpired(kr) {
			late = append(late, kr)
			n++
			continue
		}
		if wait = pl.waitTime(kr); wait > 0 {
			break
		}
		n++
		pl.reserveTokens(kr)
		pl.collect(kr)
	}
	if n > 0 {
		rest := copy(sh.queue, sh.queue[n:])
		clear(sh.queue[rest:])
		sh.queue = sh.queue[:rest]
	}
	for _, kr := range late {
		pl.disaggregate(kr)
	}
	if len(sh.queue) > 0 {
		pl.wakeShard(sh, notAfterExpiry(sh.queue[0], pl.now+wait))
	} else if sh.wakePos >= 0 {
		heap.Remove(&pl.wakes, int(sh.wakePos))
	}
}

// wakeQuantum makes shards that wait for tokens wake together, so that their
// records share requests.
const wakeQuantum = int64(10 * time.Millisecond)

func (pl *pipeline) wakeShard(sh *shard, at int64) {
	sh.wakeAt = (at + wakeQuantum - 1) / wakeQuantum * wakeQuantum
	if sh.wakePos >= 0 {
		heap.Fix(&pl.wakes, int(sh.wakePos))
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
	h[i].wakePos, h[j].wakePos = int32(i), int32(j)
}

// Push implements heap.Interface.
func (h *wakeHeap) Push(x any) {
	sh := x.(*shard)
	sh.wakePos = int32(len(*h))
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

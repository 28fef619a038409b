// SPDX-License-Identifier: Apache-2.0

package core

import (
	"container/heap"
	"math/rand/v2"

	"github.com/outkpl/outkpl/internal/pace"
)

// retries are the Kinesis records that wait to be sent again.
type retries struct {
	waiting retryHeap
	budget  retryBudget
}

// retryLater keeps a record until its backoff has passed.
func (pl *pipeline) retryLater(kr *kinesisRecord, wait int64) {
	if pl.cfg.ordering == OrderingStrict && kr.shard != nil && !pl.meta.auto {
		pl.retryInPlace(kr, wait)
		return
	}
	pl.freeShard(kr)
	kr.due = notAfterExpiry(kr, pl.now+wait)
	heap.Push(&pl.retries.waiting, kr)
}

// retryDue sends records on whose backoff has passed: as they are if their
// shard is still there, otherwise disaggregated and routed again.
func (pl *pipeline) retryDue() {
	for len(pl.retries.waiting) > 0 && pl.retries.waiting[0].due <= pl.now {
		late := pl.hasExpired(pl.retries.waiting[0])
		if !late && !pl.retries.budget.spendRetry(pl.now, pl.retries.waiting[0].size, pl.cfg) {
			return
		}
		kr := heap.Pop(&pl.retries.waiting).(*kinesisRecord)
		switch {
		case late:
			pl.disaggregate(kr)
		case kr.shard != nil && kr.shard.current && !pl.meta.auto:
			kr.deadline = pl.now // it has waited enough
			pl.limit(kr)
		default:
			pl.disaggregate(kr)
		}
	}
}

// backoff returns a random wait before attempt n+1; see pace.Backoff.
func (pl *pipeline) backoff(n int) int64 {
	return pace.Backoff(pl.cfg.retryBackoffMin, pl.cfg.retryBackoffMax, n, rand.Float64())
}

// retryHeap orders the records that wait for a retry by time.
type retryHeap []*kinesisRecord

func (h retryHeap) Len() int { return len(h) }

func (h retryHeap) Less(i, j int) bool { return h[i].due < h[j].due }

func (h retryHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *retryHeap) Push(x any) { *h = append(*h, x.(*kinesisRecord)) }

// Pop implements heap.Interface.
func (h *retryHeap) Pop() any {
	old := *h
	kr := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return kr
}

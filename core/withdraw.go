// SPDX-License-Identifier: Apache-2.0

package core

import (
	"container/heap"
	"slices"
)

// withdraw takes the Kinesis records that match out of the stages before the sender.
func (pl *pipeline) withdraw(match func(*kinesisRecord) bool) []*kinesisRecord {
	// In strict ordering, the stages of a shard must come out in their order.
	var open []*kinesisRecord
	for sh := pl.aggregates.open.head; sh != nil; {
		next := sh.open.next
		pl.packAggregate(sh)
		if match(sh.open.record) {
			open = append(open, pl.detachAggregate(sh))
		}
		sh = next
	}
	return append(pl.pullQueued(match), open...)
}

// pullQueued takes the Kinesis records that match out of the shards' queues and the
// collector.
func (pl *pipeline) pullQueued(match func(*kinesisRecord) bool) (out []*kinesisRecord) {
	out = pl.pullReady(match)
	for _, sh := range pl.ordering.freed {
		// What returned to its queue in this stretch is not in the heap before admitFreed.
		if sh.wakePos < 0 {
			sh.queue = filter(sh.queue, match, &out)
		}
	}
	for i := len(pl.wakes) - 1; i >= 0; i-- {
		// Every other shard with a queue waits in this heap.
		sh := pl.wakes[i]
		if sh.queue = filter(sh.queue, match, &out); len(sh.queue) == 0 {
			sh.wakePos = -1
			pl.wakes[i] = nil
		}
	}
	keep := pl.wakes[:0]
	for _, sh := range pl.wakes {
		if sh != nil {
			keep = append(keep, sh)
		}
	}
	clear(pl.wakes[len(keep):])
	pl.wakes = keep
	for i, sh := range pl.wakes {
		sh.wakePos = int32(i)
	}
	heap.Init(&pl.wakes)
	return out
}

// pullReady takes the Kinesis records that match out of the collector.
func (pl *pipeline) pullReady(match func(*kinesisRecord) bool) (out []*kinesisRecord) {
	c := &pl.collector
	c.requests = slices.DeleteFunc(c.requests, func(req *request) bool {
		n := len(out)
		req.records = filter(req.records, match, &out)
		for _, kr := range out[n:] {
			req.bytes -= kr.size
		}
		if len(req.records) > 0 {
			return false
		}
		req.releaseRequest()
		return true
	})
	n := len(out)
	c.ready = filter(c.ready, match, &out)
	for _, kr := range out[n:] {
		c.uncountReady(kr)
	}
	c.findReadyDeadline()
	return out
}

// filter takes the Kinesis records that match out of a list and adds them to another.
func filter(list []*kinesisRecord, match func(*kinesisRecord) bool, out *[]*kinesisRecord) []*kinesisRecord {
	keep := list[:0]
	for _, kr := range list {
		if match(kr) {
			*out = append(*out, kr)
		} else {
			keep = append(keep, kr)
		}
	}
	clear(list[len(keep):])
	return keep
}

// SPDX-License-Identifier: Apache-2.0

package core

// abort settles everything that is still open. No call is under way any more.
func (pl *pipeline) abort(reason Reason) (left int) {
	pl.locked("abort", func() {
		pl.aborted = true
		err := &RecordError{Stream: pl.stream.name, Reason: reason, Detail: "the producer was closed before the record was confirmed"}
		for b := pl.batches.oldest; b != nil; {
			next := b.next
			for i := range b.items {
				if it := &b.items[i]; !it.is(itemSettled) {
					left++
					pl.settle(it, err)
				}
			}
			b = next
		}
		pl.awaiting.items, pl.retries.waiting, pl.unresolved, pl.wakes = nil, nil, nil, nil
		pl.ordering.draining, pl.ordering.freed = nil, nil
		pl.aggregates.open, pl.collector, pl.refusals = openList{}, collector{}, refusals{}
	})
	if pl.isBroken() {
		pl.lock()
		defer pl.unlock()
		pl.settleBroken()
	}
	return left
}

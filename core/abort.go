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
		pl.discardStages()
	})
	if pl.isBroken() {
		pl.lock()
		defer pl.unlock()
		pl.settleBroken()
	}
	return left
}

// discardStages forgets where records are. Calls that are under way stay counted.
func (pl *pipeline) discardStages() {
	pl.awaiting.items, pl.retries.waiting, pl.unresolved, pl.wakes = nil, nil, nil, nil
	pl.ordering.draining, pl.ordering.freed, pl.aggregates.open = nil, nil, openList{}
	pl.collector, pl.refusals = collector{inFlight: pl.collector.inFlight}, refusals{}
}

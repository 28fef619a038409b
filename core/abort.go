// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"slices"
)

// Abort gives up on the records that were submitted before the call, or are being submitted
// meanwhile, except those in a PutRecords call that is under way: they fail with
// ReasonAborted, once. Those under way settle with the outcome of their call; if that asks
// for a retry, they fail with ReasonAborted instead. So may those that Kinesis has stored
// in a shard that is not known yet, once the shard is known, or after 10 s. The producer
// can be used on; to end it without delivery, call Abort and then Close.
//
// Abort returns nil when all these records are settled, or the error of ctx; then the
// rest settles later. A failed record may be stored all the same if Uncertain is set in
// one of its attempts.
func (p *Producer) Abort(ctx context.Context) error {
	return drainAll(ctx, p.allPipelines(), "abort", (*pipeline).abortBuffered, "end of abort", (*pipeline).endAbort)
}

// abortBuffered fails what is submitted and not in a call, and closes done when all of
// it has settled.
func (pl *pipeline) abortBuffered(done chan struct{}) {
	pl.batches.awaitDrain(done)
	if pl.ended {
		return
	}
	pl.batches.abortedSeq = pl.batches.seq
	for _, it := range pl.awaiting.takeAwaiting() {
		pl.route(it)
	}
	pl.reroute(func(*kinesisRecord) bool { return true })
	pl.giveUpVerified(pl.hasAborted)
	list := pl.retries.waiting
	pl.retries.waiting = nil
	for _, s := range pl.refusals.waiting {
		list = append(list, s.kr)
		s.kr = nil
	}
	pl.refusals.waiting = nil
	for _, kr := range list {
		pl.disaggregate(kr)
	}
	for _, s := range pl.refusals.aside {
		behind := s.behind
		s.behind = nil
		for _, it := range behind {
			pl.route(it)
		}
	}
}

// endAbort ends the wait of a call of Abort.
func (pl *pipeline) endAbort(done chan struct{}) { pl.batches.cancelDrain(done) }

// isAborted reports whether a call of Abort has given up on the batch.
func (o *openBatches) isAborted(b *Batch) bool { return b.seq <= o.abortedSeq }

// hasAborted reports whether a Kinesis record has user records that are given up. To
// disaggregate it settles them.
func (pl *pipeline) hasAborted(kr *kinesisRecord) bool {
	if pl.batches.oldest == nil || !pl.batches.isAborted(pl.batches.oldest) {
		return false
	}
	return slices.ContainsFunc(kr.items, func(it *item) bool { return pl.batches.isAborted(it.batch) })
}

// withdrawAborted takes Kinesis records with user records that are given up out of a
// request that failed, and reports whether any are left.
func (pl *pipeline) withdrawAborted(req *request, v classification, a Attempt) (left bool) {
	if pl.batches.oldest == nil || !pl.batches.isAborted(pl.batches.oldest) {
		return true
	}
	var aborted []*kinesisRecord
	req.records = filter(req.records, pl.hasAborted, &aborted)
	for _, kr := range aborted {
		req.bytes -= kr.size
		if v.uncertain {
			pl.countUncertain(kr)
		}
		pl.noteAttempts(kr, v, a)
		pl.disaggregate(kr)
	}
	return len(req.records) > 0
}

// failAborted settles a user record that is given up.
func (pl *pipeline) failAborted(it *item) {
	pl.settle(it, &RecordError{Stream: pl.stream.name, Reason: ReasonAborted, Detail: "the caller aborted what was not confirmed"})
}

// failUndelivered settles everything that is still open. No call is under way any more.
func (pl *pipeline) failUndelivered() (left int) {
	pl.locked("fail undelivered", func() {
		pl.ended = true
		err := &RecordError{Stream: pl.stream.name, Reason: ReasonClosed, Detail: "the producer was closed before the record was confirmed", Err: ErrClosed}
		for b := pl.batches.oldest; b != nil; {
			next := b.next
			for i := range b.items {
				if it := &b.items[i]; !it.has(itemSettled) {
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

// discardStages empties the stages. Calls that are under way stay counted.
func (pl *pipeline) discardStages() {
	pl.awaiting.items, pl.retries.waiting, pl.unresolved, pl.wakes = nil, nil, nil, nil
	pl.ordering.draining, pl.ordering.freed, pl.aggregates.open, pl.aggregates.prompts = nil, nil, openList{}, nil
	if pl.cfg.verify {
		pl.verification.reader = pl.newVerifyReader()
	}
	pl.collector, pl.refusals = collector{inFlight: pl.collector.inFlight}, refusals{}
}

// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// guarded runs a piece of the pipeline's work, with the lock held. A panic in it
// is a defect of ours and must not take the host down; but after it nothing that the
// pipeline has can be trusted.
func (pl *pipeline) guarded(name string, work func()) {
	defer func() {
		if r := recover(); r != nil {
			pl.breakDown(name, r, debug.Stack())
		}
	}()
	if pl.p.saboteur != nil {
		pl.p.saboteur(pl, name)
	}
	work()
}

// breakDown ends the pipeline's work: what is open fails, and what comes later
// fails at once.
func (pl *pipeline) breakDown(name string, cause any, stack []byte) {
	if pl.broken != nil {
		return
	}
	pl.broken = &RecordError{
		Stream: pl.stream.name, Reason: ReasonInternal,
		Detail: fmt.Sprintf("the producer stopped its work for this stream after a panic: %v", cause),
	}
	pl.ended = true
	pl.log(slog.LevelError, "panic in the producer: the stream is not written to any more; please report this", "in", name, "cause", fmt.Sprint(cause), "stack", string(stack))
	pl.discardStages()
	if pl.collector.inFlight == 0 {
		pl.settleBroken()
	}
	// Otherwise the last call that ends does it: until then, the calls read the records.
}

// isBroken reports whether a panic has ended the pipeline's work.
func (pl *pipeline) isBroken() bool {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	return pl.broken != nil
}

// readLocked does a piece of work that changes nothing, with the lock held. A panic in it
// is logged, and the work goes on.
func (pl *pipeline) readLocked(name string, work func()) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	defer func() {
		if r := recover(); r != nil {
			pl.log(slog.LevelError, "panic in the producer; please report this", "in", name, "cause", fmt.Sprint(r), "stack", string(debug.Stack()))
		}
	}()
	if pl.p.saboteur != nil {
		pl.p.saboteur(pl, name)
	}
	work()
}

// settleBroken fails everything that is open. One batch that cannot be settled
// does not keep the others from it.
func (pl *pipeline) settleBroken() {
	for b := pl.batches.oldest; b != nil; {
		next := b.next
		pl.settleBatch(b, true)
		b = next
	}
}

// settleBatch fails the records of a batch that were submitted, or those that were not.
// What is not submitted yet fails when it is.
func (pl *pipeline) settleBatch(b *Batch, submitted bool) {
	defer func() { _ = recover() }()
	for i := range b.items {
		if it := &b.items[i]; !it.has(itemSettled) && it.has(itemBuffered) == submitted {
			pl.settle(it, pl.broken)
		}
	}
}

// recoverTo turns a panic of the client into an error.
func recoverTo(err *error, operation string) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("panic in %s: %v", operation, r)
	}
}

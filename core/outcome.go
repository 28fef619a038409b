// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"log/slog"
)

// Outcome is what became of one record.
type Outcome struct {
	// Batch and Index say which record it is. Other records of the batch may be open.
	Batch *Batch
	Index int
	// Value is that of the Record.
	Value any
	// ShardID and SequenceNumber say where a confirmed record is; see Result and WithPlaces.
	ShardID, SequenceNumber string
	// Err is nil if the record is confirmed.
	Err *RecordError
}

// WithOutcomeFunc sets a function that is called with the outcome of each record, exactly
// once, in groups of those that settled at the same time. It is called before Done of
// their batch is closed, and for records that fail at once before PutBatch has returned.
// Default: none, at no cost.
//
// The rules are those of Batch.OnSettled. Besides, f must not keep the slice.
func WithOutcomeFunc(f func(outcomes []Outcome)) Option {
	return optionFunc(func(c *config) { c.onOutcomes = f })
}

// OnSettled has f called once, when every record of the batch is settled and Done is
// closed. If that is so already, f is called at once. Several functions are called in the
// order in which they were set.
//
// No goroutine is started for f: it runs on that which settled the last record, as a rule
// one of the producer's, in which an answer of Kinesis has come; otherwise on that of a
// caller of PutBatch, Wait, Flush, Abort, Close or OnSettled. The producer holds no lock
// meanwhile, so that f may call TryPut and ask for results. It must not wait: neither for
// room in the buffer (Put, PutBatch) nor for records (Wait, Flush, Abort, Close), for what
// it waits for may need its goroutine. Functions of different batches run at the same
// time. A panic of f is caught and logged.
func (b *Batch) OnSettled(f func(b *Batch)) {
	for {
		before := b.settledFuncs.Load()
		if before == settledAlready {
			b.callSettledFunc(f)
			return
		}
		if b.settledFuncs.CompareAndSwap(before, &settledFunc{f: f, before: before}) {
			return
		}
	}
}

// settledFunc is a function of OnSettled, and those that were set before it.
type settledFunc struct {
	f      func(*Batch)
	before *settledFunc
}

// settledAlready stands for the functions of a batch that is settled.
var settledAlready = &settledFunc{}

// finishBatch closes Done and calls the functions of OnSettled. It is called once, without a
// lock.
func (b *Batch) finishBatch() {
	close(b.done)
	b.settledFuncs.Swap(settledAlready).callAll(b)
}

func (s *settledFunc) callAll(b *Batch) {
	if s == nil {
		return
	}
	s.before.callAll(b)
	b.callSettledFunc(s.f)
}

func (b *Batch) callSettledFunc(f func(*Batch)) {
	defer b.pipe.p.recoverForeign("a function of OnSettled")
	f(b)
}

// outcomesAtOnce is how many outcomes a call of the outcome function gets at most.
const outcomesAtOnce = 512

// appendSettled adds a record to those for callOutcomes.
func (p *Producer) appendSettled(list []*item, it *item) []*item {
	if list == nil {
		if kept, _ := p.settledItems.Get().(*[]*item); kept != nil {
			list = *kept
		}
	}
	return append(list, it)
}

// callOutcomes calls the outcome function for records that have settled. It reads them
// without the lock: a settled record does not change.
func (p *Producer) callOutcomes(items []*item) {
	if len(items) == 0 {
		return
	}
	list, _ := p.outcomes.Get().(*[]Outcome)
	if list == nil {
		list = new(make([]Outcome, 0, outcomesAtOnce))
	}
	for rest := items; len(rest) > 0; {
		n := min(len(rest), outcomesAtOnce)
		for _, it := range rest[:n] {
			*list = append(*list, it.outcome())
		}
		p.callOutcomeFunc(*list)
		clear(*list)
		*list = (*list)[:0]
		rest = rest[n:]
	}
	p.outcomes.Put(list)
	clear(items)
	items = items[:0]
	p.settledItems.Put(&items)
}

func (p *Producer) callOutcomeFunc(list []Outcome) {
	defer p.recoverForeign("the outcome function; its records are settled")
	p.cfg.onOutcomes(list)
}

func (it *item) outcome() Outcome {
	o := Outcome{Batch: it.batch, Index: int(it.index), Value: it.batch.Value(int(it.index)), Err: it.err}
	if it.err == nil && it.last != nil {
		o.ShardID, o.SequenceNumber = it.last.shardID, it.last.sequenceNumber
	}
	return o
}

// recoverForeign is deferred around code that is not ours. A panic in it must not take
// the host down.
func (p *Producer) recoverForeign(what string) {
	if r := recover(); r != nil {
		l := line{slog.LevelError, "panic in code that the producer calls; going on", []any{"in", what, "cause", fmt.Sprint(r)}}
		l.writeTo(p.cfg.logger)
	}
}

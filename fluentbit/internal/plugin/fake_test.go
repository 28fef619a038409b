// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"sync"

	"github.com/outkpl/outkpl/core"
)

// fakeBatch is settled by the test.
type fakeBatch struct {
	stream  string
	records []string // copies of the payloads, as submitted
	mu      sync.Mutex
	results []core.Result
	open    int
	done    chan struct{}
}

func (b *fakeBatch) Done() <-chan struct{} { return b.done }

func (b *fakeBatch) WaitSettled(ctx context.Context) error {
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *fakeBatch) Counts() (confirmed, failed, pending int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.results {
		if r.Err != nil {
			failed++
		}
	}
	return len(b.results) - b.open - failed, failed, b.open
}

func (b *fakeBatch) Failures(yield func(int, *core.RecordError) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, r := range b.results {
		if r.Err != nil && !yield(i, r.Err) {
			return
		}
	}
}

func (b *fakeBatch) Result(i int) core.Result {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.results[i]
}

// settle settles record i, with ReasonNone as confirmed.
func (b *fakeBatch) settle(i int, reason core.Reason) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.results[i].Settled = true
	if reason != core.ReasonNone {
		b.results[i].Err = &core.RecordError{Stream: b.stream, Reason: reason}
	}
	if b.open--; b.open == 0 {
		close(b.done)
	}
}

// fakeProducer calls put for each batch, which may settle records of it.
type fakeProducer struct {
	mu      sync.Mutex
	batches []*fakeBatch
	put     func(number int, b *fakeBatch) error
	closed  bool
}

func (p *fakeProducer) PutBatch(_ context.Context, stream string, records []core.Record) (Batch, error) {
	b := &fakeBatch{stream: stream, done: make(chan struct{}), results: make([]core.Result, len(records)), open: len(records)}
	for _, r := range records {
		b.records = append(b.records, string(r.Data))
	}
	p.mu.Lock()
	p.batches = append(p.batches, b)
	n := len(p.batches)
	p.mu.Unlock()
	if err := p.put(n, b); err != nil {
		return nil, err
	}
	return b, nil
}

func (p *fakeProducer) Close(context.Context) error { p.closed = true; return nil }

func (b *fakeBatch) settleAll(reason core.Reason) {
	for i := range b.results {
		b.settle(i, reason)
	}
}

// instant confirms at once, without keeping anything.
type instant struct{}

func (instant) PutBatch(_ context.Context, _ string, r []core.Record) (Batch, error) {
	return instantBatch(len(r)), nil
}
func (instant) Close(context.Context) error { return nil }

type instantBatch int

var settled = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

func (instantBatch) WaitSettled(context.Context) error                { return nil }
func (instantBatch) Done() <-chan struct{}                            { return settled }
func (n instantBatch) Counts() (confirmed, failed, pending int)       { return int(n), 0, 0 }
func (instantBatch) Failures(func(i int, err *core.RecordError) bool) {}
func (instantBatch) Result(int) core.Result                           { return core.Result{Settled: true} }

// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/internal/ledger"
)

// fakeBatch is settled by the test. Its records are known by their partition keys.
type fakeBatch struct {
	stream string
	keys   []string
	errs   []*core.RecordError // of settled records, by their place
	some   int                 // confirmed while it is open
	done   chan struct{}
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
	select {
	case <-b.done:
	default:
		return b.some, 0, len(b.keys) - b.some
	}
	for _, err := range b.errs {
		if err != nil {
			failed++
		}
	}
	return len(b.keys) - failed, failed, 0
}

func (b *fakeBatch) Failures(yield func(int, *core.RecordError) bool) {
	for i, err := range b.errs {
		if err != nil && !yield(i, err) {
			return
		}
	}
}

func (b *fakeBatch) Result(int) core.Result {
	return core.Result{Settled: true, Attempts: make([]core.Attempt, 40)}
}

// settle settles every record: those with the given keys fail for a reason.
func (b *fakeBatch) settle(reason core.Reason, keys ...string) {
	b.errs = make([]*core.RecordError, len(b.keys))
	for i, k := range b.keys {
		if reason != core.ReasonNone && slices.Contains(keys, k) {
			b.errs[i] = &core.RecordError{Stream: "name of " + b.stream, Reason: reason}
		}
	}
	close(b.done)
}

// fakeSink keeps dead letters, by their data.
type fakeSink struct {
	mu       sync.Mutex
	kept     []deadletter.Entry
	hopeless string // the one that it can never keep
	busy     string // the one that it does not keep now
	err      error
	hang     bool // until ctx ends
}

func (s *fakeSink) Write(ctx context.Context, list []deadletter.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if s.err != nil {
		return s.err
	}
	part := &deadletter.WriteError{Err: errors.New("too large")}
	for i, l := range list {
		if string(l.Data) == s.hopeless {
			part.Failed, part.Hopeless = append(part.Failed, i), append(part.Hopeless, i)
			continue
		}
		if string(l.Data) == s.busy {
			part.Failed = append(part.Failed, i)
			continue
		}
		s.kept = append(s.kept, l)
	}
	if len(part.Failed) > 0 {
		return part
	}
	return nil
}

func (*fakeSink) Close(context.Context) error { return nil }

func (s *fakeSink) data() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.kept {
		list = append(list, string(l.Data))
	}
	return list
}

// fakeMemory counts its owners.
type fakeMemory struct {
	mu     sync.Mutex
	owners int
	spoilt bool
}

func (m *fakeMemory) Hold()     { m.add(1) }
func (m *fakeMemory) Release()  { m.add(-1) }
func (m *fakeMemory) Size() int { return 5000 }

func (m *fakeMemory) Spoil() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.spoilt = true
}

func (m *fakeMemory) add(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.owners += n
}

func (m *fakeMemory) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.owners
}

// rig is a receiver whose policies are by reason, and a producer.
type rig struct {
	t      *testing.T
	cfg    Config
	l      *Deliverer
	sink   *fakeSink
	memory *fakeMemory
	put    func(n int, b *fakeBatch) error // called for each batch, with its number from 1

	mu       sync.Mutex // guards all below
	batches  []*fakeBatch
	policy   map[core.Reason]Disposition
	reports  []Report
	known    [3][]int32 // what Written was told
	waiting  []string
	panicked any
}

func newRig(t *testing.T, change func(*Config)) *rig {
	r := &rig{t: t, sink: &fakeSink{}, memory: &fakeMemory{owners: 1}, policy: map[core.Reason]Disposition{
		core.ReasonTooLarge: Keep, core.ReasonInvalid: Drop, core.ReasonExpired: Lose,
	}}
	r.put = func(_ int, b *fakeBatch) error { b.settle(core.ReasonNone); return nil }
	r.cfg = Config{
		PutBatch: r.putBatch, DeadLetters: r.sink, DeadLetterGrace: time.Second, Ledger: ledger.Limits{Bytes: 1 << 20},
		Panicked: func(p any, _ []byte) { r.panicked = p },
	}
	if change != nil {
		change(&r.cfg)
	}
	r.l = New(r.cfg)
	t.Cleanup(func() { r.l.Stop(context.Background()) })
	return r
}

func detached(c *Config) { c.Detached = true }

func (r *rig) putBatch(_ context.Context, stream string, records []core.Record) (Batch, error) {
	b := &fakeBatch{stream: stream, done: make(chan struct{})}
	for _, rec := range records {
		b.keys = append(b.keys, rec.PartitionKey)
	}
	r.mu.Lock()
	r.batches = append(r.batches, b)
	n, put := len(r.batches), r.put
	r.mu.Unlock()
	if err := put(n, b); err != nil {
		return nil, err
	}
	return b, nil
}

func (r *rig) Dispose(_ *Content, _ int, err *core.RecordError) Disposition {
	return r.policy[err.Reason]
}

func (r *rig) Settled(_ *Content, rep *Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reports = append(r.reports, *rep)
}

func (r *rig) Written(_ *Content, kept, hopeless, again []int32, _ error) {
	r.known = [3][]int32{kept, hopeless, again}
}

func (r *rig) Waiting(stream string, _ Batch, progress bool) {
	r.waiting = append(r.waiting, fmt.Sprint(stream, " ", progress))
}

// content has a record for each key; those behind a colon name their stream.
func (r *rig) content(keys ...string) *Content {
	c := &Content{Bytes: []byte(fmt.Sprint(keys)), Stream: "logs", Probe: NoProbe, Memory: r.memory, Receiver: r, Source: "tag"}
	for _, k := range keys {
		c.Records = append(c.Records, core.Record{PartitionKey: k, Data: []byte(k)})
	}
	return c
}

// withKnown adds dead letters.
func (c *Content) withKnown(data ...string) *Content {
	c.DeadLetters = len(data)
	c.DeadLetter = func(n int) deadletter.Entry { return deadletter.Entry{Data: []byte(data[n])} }
	return c
}

// deliver lets a content come once.
func (r *rig) deliver(c *Content) Outcome {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 4*time.Second)
	defer cancel()
	d, _ := r.l.Take(c.Scope, c.Bytes)
	return r.l.Deliver(ctx, d, c)
}

func (r *rig) batch(i int) *fakeBatch {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.batches[i]
}

// sortBatches orders the batches by stream.
func (r *rig) sortBatches() {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortFunc(r.batches, func(a, b *fakeBatch) int { return strings.Compare(a.stream, b.stream) })
}

// sent lists the batches as stream and keys.
func (r *rig) sent() (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.batches {
		list = append(list, fmt.Sprint(b.stream, b.keys))
	}
	return list
}

func (r *rig) wantSent(want ...string) {
	r.t.Helper()
	if got := r.sent(); !slices.Equal(got, want) {
		r.t.Errorf("unexpected batches; got %q; want %q", got, want)
	}
}

func (r *rig) wantState(out Outcome, want State) {
	r.t.Helper()
	if out.State != want {
		r.t.Errorf("unexpected outcome; got %+v; want state %d", out, want)
	}
}

// both runs a test with the caller awaiting its batches, and with detached attempts.
func both(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Helper()
	for name, change := range map[string]func(*Config){"awaited": nil, "detached": detached} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, change)
				f(t, r)
				r.l.Stop(t.Context())
			})
		})
	}
}

type routes func(n int) int

// plan is a Plan of some size.
type plan int

// words are parts.
type words []string

func (c *Content) in(stream string) *Content { c.Stream = stream; return c }

// counts is a number of events for each record.
type counts []int

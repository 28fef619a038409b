// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/outkpl/outkpl/core"
)

func TestWhatTheProducerRefusesIsMissing(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.put = func(n int, b *fakeBatch) error {
			if n == 1 {
				return core.ErrTooManyStreams
			}
			b.settle(core.ReasonNone)
			return nil
		}
		c := r.content("a", "b")
		out := r.deliver(c)
		if r.wantState(out, Unfinished); !errors.Is(out.Refused, core.ErrTooManyStreams) || r.reports[0].Refused == nil || r.reports[0].Missing != 2 {
			t.Errorf("unexpected reason: %+v", out)
		}
		r.wantState(r.deliver(c), Stored)
		r.wantSent("logs[a b]", "logs[a b]")
	})
}

// The producer took what it has a batch for, and the batch says of each record why not.
func TestABatchCountsWhateverErrorComesWithIt(t *testing.T) {
	for _, change := range []func(*Config){nil, detached} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, nil)
			put := r.cfg.PutBatch
			r.cfg.PutBatch = func(ctx context.Context, stream string, records []core.Record) (Batch, error) {
				b, _ := put(ctx, stream, records)
				return b, errors.New("the buffer is full")
			}
			if change != nil {
				change(&r.cfg)
			}
			r.l = New(r.cfg)
			r.put = func(_ int, b *fakeBatch) error { b.settle(core.ReasonNotAccepted, "b"); return nil }
			out := r.deliver(r.content("a", "b"))
			if r.wantState(out, Unfinished); out.Refused != nil || out.Worst.Reason != core.ReasonNotAccepted {
				t.Errorf("unexpected reason: %+v; want that of the record", out)
			}
		})
	}
}

func TestStreamsDoNotHoldUpEachOther(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		c := r.content("a", "b", "c", "d")
		c.Streams, c.Routes = []string{"even", "odd"}, routes(func(n int) int { return n % 2 })
		r.put = func(_ int, b *fakeBatch) error {
			if b.stream == "odd" {
				return errors.New("no")
			}
			b.settle(core.ReasonThrottled, "c")
			return nil
		}
		r.wantState(r.deliver(c), Unfinished)
		r.put = func(_ int, b *fakeBatch) error { b.settle(core.ReasonNone); return nil }
		r.wantState(r.deliver(c), Stored)
		got := r.sent()
		slices.Sort(got)
		if want := []string{"even[a c]", "even[c]", "odd[b d]", "odd[b d]"}; !slices.Equal(got, want) {
			t.Errorf("unexpected batches; got %q; want %q", got, want)
		}
		for i := range c.Records { // of one stream after all
			c.Records[i].PartitionKey = strings.ToUpper(c.Records[i].PartitionKey)
		}
		c.Bytes, c.Routes = []byte("other"), routes(func(int) int { return 1 })
		r.wantState(r.deliver(c), Stored)
		if got := r.sent(); got[len(got)-1] != "odd[A B C D]" {
			t.Errorf("unexpected batch; got %q; want all in one", got[len(got)-1])
		}
	})
}

func TestTheProbeGoesFirst(t *testing.T) {
	for _, c := range []struct {
		name   string
		reason core.Reason
		state  State
		sent   []string
		known  int
	}{
		{"it is stored: everything else follows", core.ReasonNone, Stored, []string{"logs[b]", "logs[a c]"}, 1},
		{"it may pass: nothing is written", core.ReasonThrottled, Unfinished, []string{"logs[b]"}, 0},
		{"it is rejected: nothing is written", core.ReasonTooLarge, Rejected, []string{"logs[b]"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, detached)
				r.policy[core.ReasonTooLarge] = Reject
				r.put = func(_ int, b *fakeBatch) error { b.settle(c.reason, "b"); return nil }
				content := r.content("a", "b", "c").withKnown("x")
				content.Probe = 1
				r.wantState(r.deliver(content), c.state)
				r.wantSent(c.sent...)
				if len(r.sink.data()) != c.known || r.l.Ledger().Entries != 0 {
					t.Errorf("unexpected end; got %d dead letters, %d entries; want %d, none", len(r.sink.data()), r.l.Ledger().Entries, c.known)
				}
			})
		})
	}
	t.Run("among what is missing it is found by its number", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, detached)
			r.put = func(n int, b *fakeBatch) error {
				if n == 2 {
					b.settle(core.ReasonThrottled, "c", "d")
				} else {
					b.settle(core.ReasonNone)
				}
				return nil
			}
			c := r.content("a", "b", "c", "d")
			c.Probe = 0
			r.wantState(r.deliver(c), Unfinished)
			c.Probe = 3 // another one, where the first is stored
			r.wantState(r.deliver(c), Stored)
			r.wantSent("logs[a]", "logs[b c d]", "logs[d]", "logs[c]")
		})
	})
}

// The answer to a panic is that of a failure that may pass, and nothing is lost.
func TestAPanicIsAFailedAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, detached)
		r.put = func(int, *fakeBatch) error { panic("a bug") }
		c := r.content("a", "b")
		out := r.deliver(c)
		if r.wantState(out, Unfinished); r.panicked != "a bug" || out.Worst.Detail == "" || r.memory.count() != 1 {
			t.Errorf("unexpected end: %+v, %v, %d owners", out, r.panicked, r.memory.count())
		}
		r.put = func(_ int, b *fakeBatch) error { b.settle(core.ReasonNone); return nil }
		r.wantState(r.deliver(c), Stored)
		r.wantSent("logs[a b]", "logs[a b]")
	})
}

// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"
	"hash"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/outkpl/outkpl/core"
)

func TestOnlyWhatIsMissingIsResent(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.put = func(n int, b *fakeBatch) error {
			b.settle(core.ReasonThrottled, []string{"b", "d", "e"}[min(n-1, 2):]...)
			return nil
		}
		c := r.content("a", "b", "c", "d", "e")
		for range 3 {
			r.wantState(r.deliver(c), Unfinished)
		}
		r.put = func(_ int, b *fakeBatch) error { b.settle(core.ReasonNone); return nil }
		r.wantState(r.deliver(c), Stored)
		r.wantSent("logs[a b c d e]", "logs[b d e]", "logs[d e]", "logs[e]")
		if out := r.deliver(c); out.State != Stored || len(r.sent()) != 5 {
			t.Errorf("unexpected batches of an equal content that comes later; got %q; want all of it", r.sent())
		}
	})
}

// A number of a record is looked up by binary search, and a batch keeps the order.
func TestNumbersOfMissingRecordsRise(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.sink.err = errors.New("no space left on device")
		r.put = func(n int, b *fakeBatch) error {
			b.settle(core.ReasonThrottled, "c", "e")
			for i, k := range b.keys {
				if k == "a" || k == "d" {
					b.errs[i] = &core.RecordError{Reason: core.ReasonTooLarge}
				}
			}
			return nil
		}
		c := r.content("a", "b", "c", "d", "e")
		r.wantState(r.deliver(c), Unfinished)
		r.wantState(r.deliver(c), Unfinished)
		r.sink.err = nil
		r.wantState(r.deliver(c), Unfinished)
		r.wantState(r.deliver(c), Unfinished)
		r.wantSent("logs[a b c d e]", "logs[a c d e]", "logs[a c d e]", "logs[c e]")
	})
}

func (r routes) StreamOf(n int) int { return r(n) }

// The ledger keeps deliveries for hours; they must not keep payloads that nobody reads.
func TestADeliveryKeepsNoPayloadsThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.put = func(n int, _ *fakeBatch) error {
			if n == 1 {
				return errors.New("no")
			}
			return nil
		}
		c := r.content("a", "b")
		d, _ := r.l.Take(c.Scope, c.Bytes)
		r.wantState(r.l.Deliver(t.Context(), d, c), Unfinished)
		if d.few[0] != nil || d.Content() != nil {
			t.Errorf("unexpected attempt that nobody took: %+v", d.few[0])
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, detached)
		r.put = func(int, *fakeBatch) error { return nil }
		c := r.content("a", "b").withKnown("x")
		r.wantState(r.deliver(c), Unfinished)
		d, _ := r.l.Take(c.Scope, c.Bytes)
		if got, want := d.Bytes(), entryBytes+4*3; got != want {
			t.Errorf("unexpected memory of what is under way; got %d; want %d, as if all of it failed", got, want)
		}
		r.batch(0).settle(core.ReasonInvalid, "a")
		synctest.Wait()
		if a := d.attempts[0]; a.content != nil || a.records != nil || a.report.Failures != nil || r.memory.count() != 1 {
			t.Errorf("unexpected references of an attempt that has ended: %+v", a)
		}
	})
}

func (p plan) AppendBinary(b []byte) ([]byte, error) { return b, nil }
func (p plan) Bytes() int                            { return int(p) }

func TestThePlanIsKeptForTheNextReading(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.put = func(_ int, b *fakeBatch) error { b.settle(core.ReasonThrottled, "b"); return nil }
		c := r.content("a", "b")
		c.Plan = plan(700)
		r.wantState(r.deliver(c), Unfinished)
		if d, _ := r.l.Take(c.Scope, c.Bytes); d.Plan() != c.Plan || d.Bytes() < 700 {
			t.Errorf("unexpected plan %v in %d bytes; want it, and that it counts", d.Plan(), d.Bytes())
		}
	})
}

func (w words) Len() int                { return len(w) }
func (w words) Hash(h hash.Hash, i int) { _, _ = h.Write([]byte(w[i])) }

func TestAContentThatHasGrownGoesOn(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.put = func(n int, b *fakeBatch) error {
			if n == 1 {
				b.settle(core.ReasonThrottled, "b")
			} else {
				b.settle(core.ReasonNone)
			}
			return nil
		}
		c := r.content("a", "b").withKnown("x")
		c.Parts = words{"a", "b"}
		r.wantState(r.deliver(c), Unfinished)
		c = r.content("a", "b", "c").withKnown("x", "y")
		c.Parts = words{"a", "b", "c"}
		d, known := r.l.TakeBeginning(c.Scope, c.Parts)
		if !known || d.Parts() != 2 || d.Saved() != 1 {
			t.Fatalf("unexpected ledger; got %v, %+v; want the first two", known, d)
		}
		r.wantState(r.l.Deliver(t.Context(), d, c), Stored)
		r.wantSent("logs[a b]", "logs[b c]")
		if got := r.sink.data(); !slices.Equal(got, []string{"x", "y"}) {
			t.Errorf("unexpected dead letters; got %q; want x, y", got)
		}
	})
}

func TestMemoryIsGivenBackUnderPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.put = func(int, *fakeBatch) error { return nil }
		c := r.content("a", "b", "c", "d")
		r.wantState(r.deliver(c), Unfinished)
		r.memory.Release()
		if c.Bytes != nil {
			t.Error("unexpected bytes of a content that stays; they are the caller's")
		}
		d, _ := r.l.Take(Scope{}, []byte("[a b c d]"))
		if d.Shrink(); d.Content() != c || d.Bytes() < r.memory.Size() {
			t.Errorf("unexpected memory with a batch under way: %+v", d)
		}
		r.batch(0).settle(core.ReasonTooLarge, "a", "b")
		r.batch(0).errs[1] = &core.RecordError{Reason: core.ReasonExpired}
		r.batch(0).errs[2] = &core.RecordError{Reason: core.ReasonThrottled}
		d.Shrink()
		if d.Content() != nil || r.memory.count() != 0 || d.Bytes() > 300 || d.Saved() != 2 || d.Open() != 0 {
			t.Errorf("unexpected memory: %+v with %d owners; want two numbers", d, r.memory.count())
		}
		if rep := r.reports[0]; !rep.Late || rep.Missing != 2 || len(rep.Failures) != 1 || len(r.sink.data()) != 0 {
			t.Errorf("unexpected report: %+v; want the lost one only, and no dead letter yet", rep)
		}
		r.memory.Hold()
		r.put = func(_ int, b *fakeBatch) error { b.settle(core.ReasonTooLarge, "a"); return nil }
		c.Bytes = []byte("[a b c d]")
		r.wantState(r.l.Deliver(t.Context(), d, c), Lost)
		r.wantSent("logs[a b c d]", "logs[a c]")
	})
}

func TestAContentIsFinishedBetweenTwoCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.put = func(int, *fakeBatch) error { return nil }
		r.wantState(r.deliver(r.content("a")), Unfinished)
		r.batch(0).settle(core.ReasonNone)
		d, _ := r.l.Take(Scope{}, []byte("[a]"))
		if d.Finished() {
			t.Error("unexpected state; want it unfinished before it was looked at")
		}
		d.Shrink()
		if !d.Finished() || d.Outcome().State != Stored {
			t.Errorf("unexpected state: %+v", d)
		}
	})
	if d := new(Delivery); d.Finished() {
		t.Error("unexpected state of a content that was never seen; want it unfinished")
	}
}

func (c counts) EventsOf(n int) int { return c[n] }

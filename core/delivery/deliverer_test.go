// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/ledger"
)

// Nothing would be gained by an entry, and another content would have less room.
func TestNothingIsRememberedWhenNothingWasStored(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.put = func(_ int, b *fakeBatch) error { b.settle(core.ReasonThrottled, b.keys...); return nil }
		r.wantState(r.deliver(r.content("a", "b")), Unfinished)
		if n := r.l.Ledger().Entries; n != 0 {
			t.Errorf("unexpected ledger; got %d entries; want none", n)
		}
		c := r.content("a", "b")
		c.Counted = true
		r.wantState(r.deliver(c), Unfinished)
		if n := r.l.Ledger().Entries; n != 1 {
			t.Errorf("unexpected ledger of a content of which something was counted; got %d entries; want one", n)
		}
	})
}

func TestAFailureOfThisCallIsForALaterOne(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.put = func(_ int, b *fakeBatch) error { b.settle(core.ReasonAccessDenied, "a"); return nil }
		out := r.deliver(r.content("a", "b"))
		r.wantState(out, Unfinished)
		r.wantSent("logs[a b]")
		if out.Worst.Reason != core.ReasonAccessDenied || out.Refused != nil || out.DeadLetterErr != nil {
			t.Errorf("unexpected reason: %+v", out)
		}
	})
}

// What is under way may still do what the failed part of it did not.
func TestAnEarlierFailureIsFollowedOnceNothingIsOpen(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		c := r.content("a", "b")
		c.Streams, c.Routes = []string{"even", "odd"}, routes(func(n int) int { return n % 2 })
		r.put = func(int, *fakeBatch) error { return nil }
		r.wantState(r.deliver(c), Unfinished)
		r.sortBatches()
		r.batch(0).settle(core.ReasonThrottled, "a")
		c.Bytes = []byte("[a b]")
		r.wantState(r.deliver(c), Unfinished)
		if len(r.sent()) != 2 {
			t.Errorf("unexpected batches with one open; got %q; want no more", r.sent())
		}
		r.put = func(_ int, b *fakeBatch) error { b.settle(core.ReasonNone); return nil }
		r.batch(1).settle(core.ReasonNone)
		c.Bytes = []byte("[a b]")
		r.wantState(r.deliver(c), Stored)
		if got := r.sent(); len(got) != 3 || got[2] != "even[a]" {
			t.Errorf("unexpected batches; got %q; want what failed at last", got)
		}
	})
}

func TestScopesAreToldApart(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.put = func(_ int, b *fakeBatch) error { b.settle(core.ReasonThrottled, "b"); return nil }
		for _, s := range []Scope{{Name: "x"}, {Name: "y"}, {Name: "x", Fingerprint: Fingerprint{1}}} {
			c := r.content("a", "b")
			c.Scope = s
			r.wantState(r.deliver(c), Unfinished)
		}
		r.wantSent("logs[a b]", "logs[a b]", "logs[a b]")
	})
}

func TestWithoutALedgerEverythingIsResent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.Forget = true })
		r.put = func(_ int, b *fakeBatch) error { b.settle(core.ReasonThrottled, "b"); return nil }
		c := r.content("a", "b")
		c.Parts = words{"a", "b"}
		for range 2 {
			r.wantState(r.deliver(c), Unfinished)
		}
		if _, known := r.l.TakeBeginning(c.Scope, c.Parts); known || r.l.Ledger() != (ledger.Stats{}) {
			t.Errorf("unexpected ledger: %+v", r.l.Ledger())
		}
		r.wantSent("logs[a b]", "logs[a b]")
	})
}

func TestNoAttemptIsBegunAfterStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, detached)
		r.put = func(int, *fakeBatch) error { return nil }
		r.wantState(r.deliver(r.content("a")), Unfinished)
		stopped := make(chan struct{})
		go func() { defer close(stopped); r.l.Stop(t.Context()) }()
		synctest.Wait()
		select {
		case <-stopped:
			t.Error("unexpected end of Stop; want it to wait for what is under way")
		default:
		}
		begun := time.Now()
		grown := r.content("a", "b") // a is under way
		d, _ := r.l.Take(Scope{}, []byte("[a]"))
		if out := r.l.Deliver(t.Context(), d, grown); out.State != Unfinished || !out.Stopped || time.Since(begun) != 0 {
			t.Errorf("unexpected outcome after %v: %+v; want it stopped at once", time.Since(begun), out)
		}
		r.wantSent("logs[a]")
		r.batch(0).settle(core.ReasonNone)
		<-stopped
	})
}

// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/ledger"
)

// next is a Deliverer that goes on where r's ends.
func (r *rig) next() (known int) {
	p := r.l.Retire()
	cfg := r.cfg
	if cfg.Earlier = p; p != nil {
		known = p.Len()
	}
	r.l = New(cfg)
	return known
}

func TestTheNextDelivererGoesOnWhereTheLastHasEnded(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.put = func(_ int, b *fakeBatch) error { b.settle(core.ReasonNotAccepted, "b", "c"); return nil }
		r.wantState(r.deliver(r.content("a", "b", "c")), Unfinished)
		if n := r.next(); n != 1 {
			t.Errorf("unexpected number of contents that the next one knows; got %d; want 1", n)
		}
		r.put = func(_ int, b *fakeBatch) error { b.settle(core.ReasonNone); return nil }
		r.wantState(r.deliver(r.content("a", "b", "c")), Stored)
		r.wantSent("logs[a b c]", "logs[b c]")
		r.wantState(r.deliver(r.content("a", "b", "c")), Stored) // another content, equal
		r.wantSent("logs[a b c]", "logs[b c]", "logs[a b c]")
	})
}

// A batch that settles after the caller has given up is known as well.
func TestTheNextDelivererKnowsWhatSettledAtTheEnd(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.put = func(int, *fakeBatch) error { return nil }
		r.wantState(r.deliver(r.content("a", "b")), Unfinished)
		r.batch(0).settle(core.ReasonNotAccepted, "b") // the producer is closed
		r.l.Stop(t.Context())
		if n := r.next(); n != 1 {
			t.Errorf("unexpected number of contents that the next one knows; got %d; want 1", n)
		}
		r.put = func(_ int, b *fakeBatch) error { b.settle(core.ReasonNone); return nil }
		r.wantState(r.deliver(r.content("a", "b")), Stored)
		r.wantSent("logs[a b]", "logs[b]")
	})
}

func TestWhatIsStillOpenAtTheEndIsSentWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.put = func(n int, b *fakeBatch) error {
			if n == 1 {
				b.settle(core.ReasonNotAccepted, "b")
			}
			return nil
		}
		r.deliver(r.content("a", "b"))
		// The second attempt never settles: nothing credits what is not known to be stored.
		done := make(chan Outcome)
		go func() { done <- r.deliver(r.content("a", "b")) }()
		r.wantState(<-done, Unfinished)
		if n := r.next(); n != 0 {
			t.Errorf("unexpected number of contents that the next one knows; got %d; want none", n)
		}
		r.put = func(_ int, b *fakeBatch) error { b.settle(core.ReasonNone); return nil }
		r.wantState(r.deliver(r.content("a", "b")), Stored)
		if got := r.sent(); !slices.Equal(got, []string{"logs[a b]", "logs[b]", "logs[a b]"}) {
			t.Errorf("unexpected batches; got %q; want the content whole in the end", got)
		}
	})
}

func TestTheNextDelivererKnowsNothingWithoutAMemory(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Forget = true })
	r.put = func(_ int, b *fakeBatch) error { b.settle(core.ReasonNotAccepted, "b"); return nil }
	r.deliver(r.content("a", "b"))
	if n := r.next(); n != 0 {
		t.Errorf("unexpected number of contents that the next one knows; got %d; want none", n)
	}
}

func TestLimitsOfTheNextDelivererHold(t *testing.T) {
	r := newRig(t, nil)
	r.put = func(_ int, b *fakeBatch) error { b.settle(core.ReasonNotAccepted, b.keys[1:]...); return nil }
	for _, k := range []string{"a", "b", "c"} {
		r.deliver(r.content(k, "x"))
	}
	r.cfg.Ledger = ledger.Limits{Entries: 2}
	if n := r.next(); n != 3 {
		t.Errorf("unexpected number of contents that the next one knows; got %d; want 3", n)
	}
	if out := r.deliver(r.content("d", "x")); out.Evicted != 2 {
		t.Errorf("unexpected contents evicted; got %d; want 2, for which there is no room any more", out.Evicted)
	}
}

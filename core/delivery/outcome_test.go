// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/outkpl/outkpl/core"
)

func TestEachDispositionHasItsOutcome(t *testing.T) {
	for _, c := range []struct {
		name   string
		reason core.Reason
		state  State
		counts [3]int // kept, dropped, lost
	}{
		{"what is stored is stored", core.ReasonNone, Stored, [3]int{}},
		{"what may pass comes again", core.ReasonThrottled, Unfinished, [3]int{}},
		{"what is kept as a dead letter is done", core.ReasonTooLarge, Stored, [3]int{1, 0, 0}},
		{"what is dropped as configured is done", core.ReasonInvalid, Stored, [3]int{0, 1, 0}},
		{"what is lost is done, and lost", core.ReasonExpired, Lost, [3]int{0, 0, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			both(t, func(t *testing.T, r *rig) {
				r.put = func(_ int, b *fakeBatch) error { b.settle(c.reason, "b"); return nil }
				out := r.deliver(r.content("a", "b"))
				r.wantState(out, c.state)
				if got := [3]int{out.Kept, out.Dropped, out.Lost}; got != c.counts {
					t.Errorf("unexpected counts; got %v; want %v", got, c.counts)
				}
				if n := r.l.Ledger().Entries; (n == 1) != (c.state == Unfinished) {
					t.Errorf("unexpected ledger; got %d entries", n)
				}
				rep := r.reports[0]
				wantConfirmed := 1
				if c.reason == core.ReasonNone {
					wantConfirmed = 2
				}
				if rep.Stream != "logs" || rep.Confirmed != wantConfirmed || !rep.Progress || rep.Late || (rep.Missing == 1) != (c.state == Unfinished) {
					t.Errorf("unexpected report: %+v", rep)
				}
				if want := c.counts != [3]int{}; (len(rep.Failures) == 1) != want || want && rep.Failures[0].Bytes != 2 {
					t.Errorf("unexpected failures: %+v", rep.Failures)
				}
			})
		})
	}
}

func TestAContentOfWhichAPartIsNowhereIsLost(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		c := r.content("a")
		c.Lost = true
		r.wantState(r.deliver(c), Lost)
	})
}

// What the producer never took says less than any answer of Kinesis.
func TestTheMostTellingFailureIsReported(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.put = func(_ int, b *fakeBatch) error {
			b.settle(core.ReasonNotAccepted, b.keys...)
			b.errs[1] = &core.RecordError{Reason: core.ReasonThrottled}
			b.errs[2] = &core.RecordError{Reason: core.ReasonAccessDenied}
			return nil
		}
		if out := r.deliver(r.content("a", "b", "c")); out.Worst.Reason != core.ReasonThrottled || r.reports[0].Worst.Reason != core.ReasonThrottled {
			t.Errorf("unexpected reason: %+v", out)
		}
	})
}

func TestTheFirstFailureOfSeveralStreamsIsTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		c := r.content("a", "b", "c", "d")
		c.Streams, c.Routes = []string{"0", "1", "2", "3"}, routes(func(n int) int { return n })
		r.sink.err = errors.New("no space left on device")
		r.put = func(n int, b *fakeBatch) error {
			switch n {
			case 1:
				return core.ErrTooManyStreams
			case 2:
				b.settle(core.ReasonAccessDenied, "b")
			case 3:
				b.settle(core.ReasonTooLarge, "c")
			case 4:
				b.settle(core.ReasonThrottled, "d")
			}
			return nil
		}
		out := r.deliver(c)
		if out.Worst.Reason != core.ReasonAccessDenied || !errors.Is(out.Refused, core.ErrTooManyStreams) || out.DeadLetterErr == nil {
			t.Errorf("unexpected reasons: %+v; want the first of each kind", out)
		}
	})
}

// What a client does not hear of comes again.
func TestWhatIsParkedIsNotResent(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		c := r.content("a")
		d, _ := r.l.Take(c.Scope, c.Bytes)
		r.wantState(r.l.Deliver(t.Context(), d, c), Stored)
		r.l.Park(d, c)
		r.wantState(r.deliver(c), Stored)
		r.wantSent("logs[a]")
	})
}

func TestEvictedContentsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.Ledger.Entries = 1 })
		r.put = func(_ int, b *fakeBatch) error { b.settle(core.ReasonThrottled, "b"); return nil }
		first, second := r.deliver(r.content("a", "b")), r.deliver(r.content("b", "c"))
		if first.Evicted != 0 || second.Evicted != 1 {
			t.Errorf("unexpected numbers; got %d, %d; want 0, 1", first.Evicted, second.Evicted)
		}
	})
}

func TestCountsAreThoseOfEvents(t *testing.T) {
	for _, c := range []struct {
		name   string
		reason core.Reason
		want   [3]int // kept, dropped, lost
	}{
		{"kept", core.ReasonTooLarge, [3]int{30, 0, 0}},
		{"dropped", core.ReasonInvalid, [3]int{0, 30, 0}},
		{"lost", core.ReasonExpired, [3]int{0, 0, 30}},
	} {
		t.Run(c.name, func(t *testing.T) {
			both(t, func(t *testing.T, r *rig) {
				r.put = func(n int, b *fakeBatch) error {
					if n == 1 {
						b.settle(core.ReasonThrottled, "b", "c", "d")
					} else {
						b.settle(c.reason, "b", "d")
					}
					return nil
				}
				content := func() *Content {
					c := r.content("a", "b", "c", "d")
					c.Events = counts{7, 20, 5, 10}
					return c
				}
				r.wantState(r.deliver(content()), Unfinished)
				d, known := r.l.Take(content().Scope, content().Bytes)
				if !known || d.SavedEvents(content()) != 7 || d.Saved() != 1 {
					t.Fatalf("unexpected progress; got %v, %d events of %d records; want 7 of 1", known, d.SavedEvents(content()), d.Saved())
				}
				out := r.l.Deliver(t.Context(), d, content())
				if got := [3]int{out.Kept, out.Dropped, out.Lost}; got != c.want {
					t.Errorf("unexpected counts; got %v; want %v", got, c.want)
				}
				var events []int
				for _, f := range r.reports[len(r.reports)-1].Failures {
					events = append(events, f.Events)
				}
				if !slices.Equal(events, []int{20, 10}) {
					t.Errorf("unexpected events of the failures; got %v; want 20 and 10", events)
				}
				if c.reason == core.ReasonTooLarge && (len(r.sink.kept) != 2 || r.sink.kept[0].Events != 20 || r.sink.kept[1].Events != 10) {
					t.Errorf("unexpected dead letters; got %+v; want those of 20 and 10 events", r.sink.kept)
				}
			})
		})
	}
}

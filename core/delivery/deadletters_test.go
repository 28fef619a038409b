// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
)

func TestKnownDeadLettersAreWrittenFirstAndOnce(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		c := r.content("a").withKnown("x", "y", "z")
		r.sink.hopeless = "y"
		r.put = func(n int, b *fakeBatch) error {
			if got := r.sink.data(); !slices.Equal(got, []string{"x", "z"}) {
				t.Errorf("unexpected dead letters when batch %d is put; got %q; want x and z", n, got)
			}
			if n == 1 {
				b.settle(core.ReasonThrottled, "a")
			} else {
				b.settle(core.ReasonNone)
			}
			return nil
		}
		out := r.deliver(c)
		if r.wantState(out, Unfinished); out.DeadLetterErr != nil || !slices.Equal(r.known[0], []int32{0, 2}) || !slices.Equal(r.known[1], []int32{1}) || len(r.known[2]) != 0 {
			t.Errorf("unexpected numbers; got %v, %v; want 0 and 2 kept, 1 hopeless", r.known, out.DeadLetterErr)
		}
		out = r.deliver(c)
		if r.wantState(out, Lost); out.HopelessDeadLetters != 1 || out.DeadLetterErr != nil || len(r.sink.data()) != 2 {
			t.Errorf("unexpected end; got %+v, %d written", out, len(r.sink.data()))
		}
	})
}

// A loss is counted and logged once, so not before it is certain that nothing comes again.
func TestALossIsReportedOnceNothingHasToBeRetried(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.sink.hopeless, r.sink.busy = "x", "y"
		c := r.content("a").withKnown("x", "y", "z")
		out := r.deliver(c)
		if r.wantState(out, Unfinished); len(r.known[1]) != 0 || len(r.known[2]) != 2 || out.HopelessDeadLetters != 0 {
			t.Errorf("unexpected numbers; got %v; want 0 and 1 to be retried", r.known)
		}
		r.sink.busy = ""
		out = r.deliver(c)
		if r.wantState(out, Lost); out.HopelessDeadLetters != 1 || !slices.Equal(r.sink.data(), []string{"z", "y"}) {
			t.Errorf("unexpected end; got %+v, %q written; want z, y", out, r.sink.data())
		}
		r.sink.busy = "y"
		c.Bytes = []byte("other")
		r.wantState(r.deliver(c), Unfinished)
		r.sink.hopeless, r.sink.busy = "", ""
		r.wantState(r.deliver(c), Stored)
		if got := r.sink.data(); !slices.Equal(got, []string{"z", "y", "z", "x", "y"}) {
			t.Errorf("unexpected dead letters; got %q; want them in their order", got)
		}
	})
}

func TestAContentIsNotDoneBeforeItsDeadLettersAreWritten(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		c := r.content("a", "b").withKnown("x")
		r.sink.err = errors.New("no space left on device")
		r.put = func(n int, b *fakeBatch) error { b.settle(core.ReasonTooLarge, "b"); return nil }
		out := r.deliver(c)
		if r.wantState(out, Unfinished); out.DeadLetterErr == nil || !slices.Equal(r.known[2], []int32{0}) || r.reports[0].DeadLetterErr == nil || r.reports[0].Missing != 1 {
			t.Errorf("unexpected reason: %+v, %+v", out, r.reports[0])
		}
		r.sink.err = nil
		r.wantState(r.deliver(c), Stored)
		r.wantSent("logs[a b]", "logs[b]")
		if got := r.sink.data(); !slices.Equal(got, []string{"x", "b"}) {
			t.Errorf("unexpected dead letters; got %q; want x, b", got)
		}
		l := r.sink.kept[1]
		if l.Stream != "logs" || l.Source != "tag" || l.Reason != "too_large" || l.PartitionKey != "b" || len(l.Attempts) != 32 {
			t.Errorf("unexpected dead letter: %+v, %d attempts", l, len(l.Attempts))
		}
	})
}

func TestADeadLetterThatCanNeverBeKeptIsLost(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.sink.hopeless = "a"
		r.put = func(_ int, b *fakeBatch) error { b.settle(core.ReasonTooLarge, b.keys...); return nil }
		out := r.deliver(r.content("a", "b"))
		if r.wantState(out, Lost); out.Lost != 1 || out.Kept != 1 {
			t.Errorf("unexpected counts: %+v", out)
		}
		if f := r.reports[0].Failures; len(f) != 2 || f[0].Disposition != Lose || f[0].DeadLetterErr == nil || f[1].Disposition != Keep || f[1].DeadLetterErr != nil {
			t.Errorf("unexpected failures: %+v", f)
		}
	})
}

func TestWithoutAPlaceForDeadLettersNothingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.DeadLetters = nil })
		r.put = func(_ int, b *fakeBatch) error { b.settle(core.ReasonTooLarge, "a"); return nil }
		out := r.deliver(r.content("a", "b"))
		if r.wantState(out, Unfinished); !errors.Is(out.DeadLetterErr, errNoSink) {
			t.Errorf("unexpected reason: %+v", out)
		}
	})
}

// A disk that hangs must not hold up a call for ever, and a stream that does not answer
// must not use up the time for the dead letters of others.
func TestDeadLettersHaveATimeOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.sink.hang = true
		begun := time.Now()
		out := r.deliver(r.content("a").withKnown("x"))
		if r.wantState(out, Unfinished); time.Since(begun) != 5*time.Second || !errors.Is(out.DeadLetterErr, context.DeadlineExceeded) {
			t.Errorf("unexpected end after %v: %+v; want the time of the call and a second", time.Since(begun), out)
		}
	})
}

func TestStopDoesNotWaitForADiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, detached)
		r.sink.hang = true
		r.wantState(r.deliver(r.content("a").withKnown("x")), Unfinished)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		if r.l.Stop(ctx); time.Since(begun) != time.Second {
			t.Errorf("unexpected duration; got %v; want 1s", time.Since(begun))
		}
	})
}

func TestADeadLetterKeptInVainLosesItsEvents(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.sink.hopeless = "b"
		r.put = func(_ int, b *fakeBatch) error { b.settle(core.ReasonTooLarge, "b"); return nil }
		c := r.content("a", "b")
		c.Events = counts{7, 20}
		if out := r.deliver(c); out.Lost != 20 || out.Kept != 0 || out.State != Lost {
			t.Errorf("unexpected outcome; got %+v; want 20 events lost", out)
		}
	})
}

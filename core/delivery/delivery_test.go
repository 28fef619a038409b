// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"hash"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/ledger"
)

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

func TestAContentOfWhichAPartIsNowhereIsLost(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		c := r.content("a")
		c.Lost = true
		r.wantState(r.deliver(c), Lost)
	})
}

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

func TestABatchThatIsOpenAtTheEndOfACallIsWaitedForInTheNext(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.put = func(n int, b *fakeBatch) error {
			if n == 2 {
				b.settle(core.ReasonNone)
			}
			return nil
		}
		c := r.content("a", "b")
		begun := time.Now()
		out := r.deliver(c)
		if r.wantState(out, Unfinished); !out.Open || time.Since(begun) != 4*time.Second {
			t.Errorf("unexpected end after %v: %+v", time.Since(begun), out)
		}
		if r.memory.count() != 2 {
			t.Errorf("unexpected owners of the memory; got %d; want the caller and the attempt", r.memory.count())
		}
		go func() {
			time.Sleep(time.Second) // fake time
			r.batch(0).settle(core.ReasonThrottled, "b")
		}()
		c.Bytes = []byte("[a b]")
		r.wantState(r.deliver(c), Stored) // its failure is from then, now is the later attempt
		r.wantSent("logs[a b]", "logs[b]")
		if r.memory.count() != 1 {
			t.Errorf("unexpected owners of the memory; got %d; want the caller", r.memory.count())
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

type routes func(n int) int

func (r routes) StreamOf(n int) int { return r(n) }

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

// plan is a Plan of some size.
type plan int

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

func TestOpenStreamsAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		c := r.content("a", "b")
		c.Streams, c.Routes = []string{"even", "odd"}, routes(func(n int) int { return n % 2 })
		r.put = func(_ int, b *fakeBatch) error {
			if b.stream == "even" {
				b.settle(core.ReasonNone)
			}
			return nil
		}
		c.Records = append(c.Records, c.Records[1])
		for _, some := range []int{1, 1, 2} {
			c.Bytes = []byte("[a b]")
			r.wantState(r.deliver(c), Unfinished)
			if len(r.sent()) == 2 {
				r.batch(1).some = some
			}
		}
		if want := []string{"odd false", "odd true", "odd false"}; !slices.Equal(r.waiting, want) {
			t.Errorf("unexpected reports; got %q; want %q", r.waiting, want)
		}
		r.batch(1).settle(core.ReasonNone)
		c.Bytes = []byte("[a b]")
		r.wantState(r.deliver(c), Stored)
	})
}

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

// words are parts.
type words []string

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

// A stream that is given up is neither put into nor waited for.
func TestWhatIsGivenUpIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		r := newRig(t, func(c *Config) { c.GivenUp = func(stream string) bool { return stream == "odd" && down.Load() } })
		r.put = func(_ int, b *fakeBatch) error {
			if b.stream == "even" {
				b.settle(core.ReasonNone)
			}
			return nil
		}
		c := r.content("a", "b")
		c.Streams, c.Routes = []string{"even", "odd"}, routes(func(n int) int { return n % 2 })
		begun := time.Now()
		go func() {
			time.Sleep(time.Second) // fake time
			down.Store(true)
		}()
		r.wantState(r.deliver(c), Unfinished)
		if took := time.Since(begun); took > time.Second+GivenUpPoll {
			t.Errorf("unexpected duration; got %v; want that of the stream's end", took)
		}
		begun, c.Bytes = time.Now(), []byte("[a b]")
		r.wantState(r.deliver(c), Unfinished)
		if took := time.Since(begun); took != 0 {
			t.Errorf("unexpected duration; got %v; want no wait for what is given up", took)
		}
		r.wantState(r.deliver(r.content("c", "d").in("odd")), Unfinished)
		r.wantSent("even[a]", "odd[b]")
		r.batch(1).settle(core.ReasonNone)
	})
}

func (c *Content) in(stream string) *Content { c.Stream = stream; return c }

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

// counts is a number of events for each record.
type counts []int

func (c counts) EventsOf(n int) int { return c[n] }

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

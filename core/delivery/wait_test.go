// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
)

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

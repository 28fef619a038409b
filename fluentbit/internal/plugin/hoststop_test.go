// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/delivery"
)

// stoppable is an instance whose host can be told to stop, with flush_timeout 4s.
func stoppable(t *testing.T, put func(number int, b *fakeBatch) error, kv ...string) (in *Instance, p *fakeProducer, stop *atomic.Bool) {
	t.Helper()
	cfg, err := ParseConfig(with(kv...), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	p, stop = &fakeProducer{put: put}, new(atomic.Bool)
	in, err = New(cfg, Deps{
		NewProducer: func(*Config, *slog.Logger) (Producer, error) { return p, nil },
		Stopping:    func() bool { return stop.Load() },
	})
	if err != nil {
		t.Fatal(err)
	}
	return in, p, stop
}

// flushed is how long a flush takes, which must have the answer want.
func flushed(t *testing.T, in *Instance, chunk []byte, want Code) time.Duration {
	t.Helper()
	begun := time.Now()
	wantCode(t, in.Flush("tag", chunk), want)
	return time.Since(begun)
}

func neverSettle(int, *fakeBatch) error { return nil }

// after settles batches late.
func after(d time.Duration) func(int, *fakeBatch) error {
	return func(_ int, b *fakeBatch) error {
		time.AfterFunc(d, func() { b.settleAll(core.ReasonNone) })
		return nil
	}
}

func TestChunksAreHandedBackAtOnceWhileTheHostStopsAndTheStreamIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, p, stop := stoppable(t, neverSettle)
		for n := 1; n <= 2; n++ {
			if took := flushed(t, in, chunkOf(n), Retry); took < 4*time.Second {
				t.Errorf("unexpected flush %d before the stop; took %v; want 4s", n, took)
			}
		}
		stop.Store(true)
		for n := range 100 {
			if took := flushed(t, in, chunkOf(n), Retry); took > 20*time.Millisecond {
				t.Fatalf("unexpected flush %d after the stop; took %v; want next to nothing", n, took)
			}
		}
		if len(p.batches) != 2 {
			t.Errorf("unexpected batches; got %d; want the two from before the stop", len(p.batches))
		}
		// What was under way is remembered, and its answer shows that the stream works.
		p.put = confirmAll
		p.batches[0].settleAll(core.ReasonNone)
		flushed(t, in, chunkOf(1), OK)
		flushed(t, in, chunkOf(50), OK)
	})
}

func TestAFlushThatWaitsEndsWhenTheHostStopsAndTheStreamIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, _, stop := stoppable(t, neverSettle)
		flushed(t, in, chunkOf(1), Retry)
		time.AfterFunc(time.Second, func() { stop.Store(true) })
		if took := flushed(t, in, chunkOf(2), Retry); took < time.Second || took > time.Second+delivery.GivenUpPoll+20*time.Millisecond {
			t.Errorf("unexpected flush; took %v; want little more than the 1s until the stop", took)
		}
	})
}

// slowToClose needs all the time it gets to close.
type slowToClose struct{ *fakeProducer }

func (slowToClose) Close(ctx context.Context) error { <-ctx.Done(); return nil }

func TestTheEndIsShortWhenTheStreamIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			put  func(int, *fakeBatch) error
			code Code
			want time.Duration
		}{{neverSettle, Retry, lastWait}, {confirmAll, OK, 4 * time.Second}} {
			in, p, stop := stoppable(t, c.put)
			in.producer = slowToClose{p}
			flushed(t, in, chunkOf(1), c.code)
			stop.Store(true)
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			begun := time.Now()
			_ = in.Close(ctx)
			cancel()
			if took := time.Since(begun); took != c.want {
				t.Errorf("unexpected end after code %d; took %v; want %v", c.code, took, c.want)
			}
		}
	})
}

func TestAStreamThatWorksIsWaitedForWhileTheHostStops(t *testing.T) {
	t.Run("slow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			in, p, stop := stoppable(t, after(3*time.Second))
			stop.Store(true)
			for n := range 3 {
				if took := flushed(t, in, chunkOf(n), OK); took < 3*time.Second {
					t.Errorf("unexpected flush; took %v; want 3s", took)
				}
			}
			// One flush in vain, and then an answer.
			p.put = neverSettle
			flushed(t, in, chunkOf(10), Retry)
			p.put = after(time.Second)
			p.batches[len(p.batches)-1].settleAll(core.ReasonNone)
			flushed(t, in, chunkOf(10), OK)
			flushed(t, in, chunkOf(11), OK)
		})
	})
	t.Run("one chunk is stuck and others are confirmed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			in, _, stop := stoppable(t, func(n int, b *fakeBatch) error {
				if n == 1 {
					return nil
				}
				return after(time.Second)(n, b)
			})
			stop.Store(true)
			stuck := make(chan Code)
			go func() { stuck <- in.Flush("tag", chunkOf(1)) }()
			time.Sleep(2 * time.Second)
			flushed(t, in, chunkOf(2), OK)
			wantCode(t, <-stuck, Retry)
			flushed(t, in, chunkOf(3), OK)
		})
	})
	t.Run("throttled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			in, p, stop := stoppable(t, func(_ int, b *fakeBatch) error {
				for i := range b.results {
					b.results[i].Attempts = []core.Attempt{{Code: "ProvisionedThroughputExceededException"}}
				}
				return nil
			})
			stop.Store(true)
			for n := range 3 {
				if took := flushed(t, in, chunkOf(n), Retry); took < 4*time.Second {
					t.Errorf("unexpected flush; took %v; want 4s", took)
				}
			}
			if len(p.batches) != 3 {
				t.Errorf("unexpected batches; got %d; want 3", len(p.batches))
			}
		})
	})
}

// One stream that is down must not keep events from others.
func TestOtherStreamsGetTheirEventsWhileTheHostStopsAndOneIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, p, stop := stoppable(t, func(n int, b *fakeBatch) error {
			if b.stream == "down" {
				return nil
			}
			return after(time.Second)(n, b)
		}, "stream", "$s")
		flushed(t, in, streamed(t, "down", "up"), Retry)
		stop.Store(true)
		if took := flushed(t, in, streamed(t, "up", "down", "up"), Retry); took < time.Second || took > time.Second+delivery.GivenUpPoll+20*time.Millisecond {
			t.Errorf("unexpected flush; took %v; want the 1s of the stream that works", took)
		}
		wantSent(t, p, "down:0", "up:1", "up:0,2")
		flushed(t, in, streamed(t, "up", "down", "up"), Retry)
		wantSent(t, p, "down:0", "up:1", "up:0,2")
	})
}

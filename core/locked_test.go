// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// everyWork is what is done under the lock of a pipeline, by name.
var everyWork = []string{
	"abort", "advance due", "advance stages", "arm", "begin", "close", "describe", "drain", "end of abort", "end of flush", "end of submit", "fail undelivered", "flush",
	"observe", "refresh", "reject", "respond", "snapshot", "stats", "submit", "wait", "wait for room",
}

// A panic in whatever is done under the lock must leave nobody waiting, neither for the
// lock nor for an outcome, and no room in the buffer taken; and other streams go on.
func TestPanicInEachWorkUnderTheLockHarmsNobodyElse(t *testing.T) {
	reached := map[string]int{}
	useEverything(t, func(_ *pipeline, work string) { reached[work]++ })
	if got := slices.Sorted(maps.Keys(reached)); !slices.Equal(got, everyWork) {
		t.Fatalf("unexpected work under the lock; got %q; want %q", got, everyWork)
	}
	for _, work := range everyWork {
		for _, nth := range []int{1, 2, 3, 10, 40} {
			if nth > reached[work] {
				continue
			}
			t.Run(fmt.Sprintf("%s %d", work, nth), func(t *testing.T) {
				n := 0
				log := useEverything(t, func(pl *pipeline, w string) {
					if pl.stream.name == "s" && w == work {
						if n++; n == nth {
							panic("sabotage of " + work)
						}
					}
				})
				if n >= nth && !strings.Contains(log, "sabotage of "+work) && work != "fail undelivered" {
					t.Errorf("unexpected log; got %q; want the cause of the panic", log)
				}
			})
		}
		t.Run(work+" always", func(t *testing.T) {
			useEverything(t, func(pl *pipeline, w string) {
				if pl.stream.name == "s" && w == work {
					panic("sabotage of " + work)
				}
			})
		})
	}
}

// useEverything calls all that a producer offers, in virtual time, and returns the log.
// The saboteur is called under a lock of the stream it gets.
func useEverything(t *testing.T, saboteur func(*pipeline, string)) string {
	var log lockedText
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("s", 4), kinesistest.WithStream("other", 1))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: 5 * time.Millisecond}})
		p, err := New(s.Client(), WithLogger(slog.New(slog.NewTextHandler(&log, nil))), WithBufferRecords(250), WithRecordTTL(time.Minute),
			WithObserver(ignorant{}))
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		p.saboteur = func(pl *pipeline, work string) {
			mu.Lock()
			defer mu.Unlock()
			saboteur(pl, work)
		}
		ctx := context.Background()
		records := make([]Record, 100)
		for i := range records {
			records[i] = Record{PartitionKey: fmt.Sprint("k", i), Data: []byte("x")}
		}
		records[50].PartitionKey = "\xff" // settled at the beginning
		var batches []*Batch
		var kept sync.Mutex
		keep := func(b *Batch, _ error) {
			if b != nil {
				kept.Lock()
				batches = append(batches, b)
				kept.Unlock()
			}
		}
		var callers sync.WaitGroup
		for range 3 {
			callers.Go(func() {
				for range 4 {
					keep(p.PutBatch(ctx, "s", records))
					p.Snapshot()
				}
			})
		}
		callers.Go(func() {
			time.Sleep(time.Millisecond)
			short, cancel := context.WithTimeout(ctx, 2*time.Millisecond)
			defer cancel()
			keep(p.PutBatch(short, "s", slices.Concat(records, records, records, records)))
		})
		callers.Go(func() {
			time.Sleep(10 * time.Millisecond)
			keep(p.TryPutBatch("s", records[:3]))
			if err := p.Flush(ctx); err != nil {
				t.Error(err)
			}
			if err := p.FlushStream(ctx, "s"); err != nil {
				t.Error(err)
			}
		})
		callers.Wait()
		if err := p.Abort(ctx); err != nil {
			t.Error(err)
		}
		for _, b := range batches {
			if err := b.WaitSettled(ctx); err != nil {
				t.Error(err)
			}
			for i := range b.Len() {
				if r := b.Result(i); !r.Settled || r.Err == nil && len(r.Attempts) == 0 {
					t.Fatalf("unexpected result %+v; want it settled", r)
				}
			}
		}
		if _, err := p.PutSync(ctx, "other", records[0]); err != nil {
			t.Errorf("unexpected error on another stream: %v", err)
		}
		// What cannot be delivered before the end.
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Hang()})
		last, err := p.PutBatch(ctx, "s", records)
		if err != nil && !errors.Is(err, ErrBufferFull) {
			t.Error(err)
		}
		end, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_ = p.Close(end) // says how many are left
		<-last.Done()
		if st := p.Stats(); st.Pending != 0 || st.BufferedBytes != 0 || st.Accepted != st.Confirmed+st.FailedTotal() {
			t.Errorf("unexpected rest: %+v", st)
		}
	})
	return log.String()
}

// ignorant is an observer that does nothing.
type ignorant struct{}

func (ignorant) Observe([]Observation) {}

type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// A call that is due again while it is under way must not keep the loop awake: with
// the stream gone, it was, at full speed, until the call ended.
func TestLoopSleepsWhileACallThatIsDueAgainIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("s", 1))
		p, err := New(s.Client(), WithRequestTimeout(30*time.Second), WithStreamIdle(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		wakes := 0
		p.saboteur = func(_ *pipeline, work string) {
			mu.Lock()
			defer mu.Unlock()
			if work == "advance due" {
				if wakes++; wakes > 100_000 {
					panic("the loop spins")
				}
			}
		}
		ctx := context.Background()
		if _, err := p.PutSync(ctx, "s", Record{PartitionKey: "k"}); err != nil {
			t.Fatal(err)
		}
		described := func() bool {
			pl := p.allPipelines()[0]
			pl.mu.Lock()
			defer pl.mu.Unlock()
			return pl.meta.describing
		}
		s.Fault(kinesistest.Fault{Operation: "DescribeStreamSummary", Effect: kinesistest.Hang()})
		for i := 0; !described(); i++ {
			if i > 1000 {
				t.Fatal("the stream is not described again")
			}
			time.Sleep(time.Second)
		}
		if err := s.DeleteStream("s"); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		before := wakes
		mu.Unlock()
		if _, err := p.PutSync(ctx, "s", Record{PartitionKey: "k"}); err == nil {
			t.Error("unexpected success on a stream that is gone")
		}
		time.Sleep(20 * time.Second)
		mu.Lock()
		if got := wakes - before; got > 200 {
			t.Errorf("unexpected number of wake-ups in 20 s; got %d; want 200 at most", got)
		}
		mu.Unlock()
		s.ClearFaults()
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
	})
}

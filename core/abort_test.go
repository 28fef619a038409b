// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// keyedRecords makes n records with keys of their own.
func keyedRecords(n int) []Record {
	records := make([]Record, n)
	for i := range records {
		records[i] = Record{PartitionKey: fmt.Sprint("k", i), Data: []byte("some data")}
	}
	return records
}

func TestAbortFailsWhatIsNotUnderWayAndNothingElse(t *testing.T) {
	for _, ordering := range []Ordering{OrderingNone, OrderingStrict} {
		synctest.Test(t, func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithStream("s", 1))
			slow := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Delay(3 * time.Second)})
			var mu sync.Mutex
			outcomes := 0
			p, err := New(s.Client(), WithOrdering(ordering), WithMaxInFlight(1), WithOutcomeFunc(func(list []Outcome) {
				mu.Lock()
				defer mu.Unlock()
				outcomes += len(list)
			}))
			if err != nil {
				t.Fatal(err)
			}
			ctx := context.Background()
			put := func(n int) *Batch {
				b, err := p.PutBatch(ctx, "s", keyedRecords(n))
				if err != nil {
					t.Fatal(err)
				}
				return b
			}
			underWay := put(10)
			time.Sleep(time.Second)
			waiting := put(10)
			time.Sleep(time.Second)
			open := put(10)
			start := time.Now()
			short, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			if err := p.Abort(short); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("unexpected error of Abort with a call under way; got %v; want that its context ended", err)
			}
			for name, b := range map[string]*Batch{"waiting": waiting, "open": open} {
				if err := b.Wait(ctx); !errors.Is(err, ReasonAborted) || err.(*BatchError).Failed != 10 {
					t.Errorf("unexpected outcome of the batch that is %s; got %v; want 10 aborted records", name, err)
				}
			}
			if d := time.Since(start); d > 2*time.Millisecond {
				t.Errorf("unexpected delay of what is aborted: %v", d)
			}
			if err := p.Abort(ctx); err != nil {
				t.Error(err)
			}
			if err := underWay.Wait(ctx); err != nil {
				t.Errorf("unexpected outcome of what was under way; got %v; want it confirmed", err)
			}
			slow.Remove()
			if err := put(10).Wait(ctx); err != nil {
				t.Errorf("unexpected outcome after Abort: %v", err)
			}
			if err := p.Close(ctx); err != nil {
				t.Error(err)
			}
			if st := p.Stats(); st.Confirmed != 20 || st.Failed[ReasonAborted] != 20 || st.BufferedBytes != 0 || outcomes != 40 || len(s.Consume("s").Records) != 20 {
				t.Errorf("unexpected end: %d outcomes, %d records read, %+v; want 40, 20, 20 confirmed and 20 aborted", outcomes, len(s.Consume("s").Records), st)
			}
		})
	}
}

// A call under way that fails, in whatever way, is not tried again for what is aborted.
func TestAbortEndsTheRetriesOfWhatIsUnderWay(t *testing.T) {
	for name, effect := range map[string]kinesistest.Effect{
		"server error": kinesistest.Status(503), "lost reply": kinesistest.LoseReply(), "throttles": kinesistest.ThrottleEntries(),
		"failures": kinesistest.FailEntries("InternalFailure", "no"), "refused call": kinesistest.Fail("ValidationException", "no"),
		"refused entries": kinesistest.FailEntries("ValidationException", "no"), "refused size": kinesistest.Status(413),
	} {
		for _, ordering := range []Ordering{OrderingNone, OrderingStrict} {
			t.Run(fmt.Sprint(name, " ", ordering), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := kinesistest.New(kinesistest.WithStream("s", 2))
					effect.Delay = 2 * time.Second
					fault := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: effect})
					p, err := New(s.Client(), WithOrdering(ordering))
					if err != nil {
						t.Fatal(err)
					}
					ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
					defer cancel()
					b, err := p.PutBatch(ctx, "s", keyedRecords(20))
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Second)
					start := time.Now()
					if err := p.Abort(ctx); err != nil {
						t.Error(err)
						fault.Remove()
					}
					if d := time.Since(start); d > 2*time.Second {
						t.Errorf("unexpected time until the end; got %v; want that of one call at most", d)
					}
					var e *BatchError
					if err := b.Err(); !errors.As(err, &e) || e.Failed != 20 || !errors.Is(err, ReasonAborted) {
						t.Errorf("unexpected outcome; got %v; want 20 aborted records", err)
					}
					r := b.Result(0)
					if uncertain := name == "server error" || name == "lost reply"; len(r.Attempts) != 1 || r.Attempts[0].Uncertain != uncertain || p.Stats().Uncertain > 0 != uncertain {
						t.Errorf("unexpected attempts %+v; want one, uncertain: %t", r.Attempts, uncertain)
					}
					fault.Remove()
					if _, err := p.PutSync(ctx, "s", Record{PartitionKey: "k1"}); err != nil {
						t.Errorf("unexpected error after Abort: %v", err)
					}
					if err := p.Close(ctx); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// A caller that is blocked for room is one who is submitting: it gets room, and the whole
// batch fails.
func TestAbortFailsABatchThatWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("s", 1))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Hang()})
		p, err := New(s.Client(), WithBufferRecords(5), WithRequestTimeout(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		handed := make(chan error)
		var b *Batch
		go func() {
			var err error
			b, err = p.PutBatch(context.Background(), "s", keyedRecords(12))
			handed <- err
		}()
		time.Sleep(100 * time.Millisecond)
		if err := p.Abort(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-handed; err != nil {
			t.Error(err)
		}
		var e *BatchError
		if err := b.Wait(context.Background()); !errors.As(err, &e) || e.Failed != 12 || e.reasons[ReasonAborted] != 12 {
			t.Errorf("unexpected outcome; got %v; want 12 aborted records", err)
		}
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// Records in every place: what is not with Kinesis fails at once.
func TestAbortEmptiesEachStage(t *testing.T) {
	for name, pl := range map[string]*pipeline{"no ordering": everywhere(t), "strict ordering": strictPipeline(t)} {
		done := make(chan struct{})
		locked(pl, func() { pl.abortBuffered(done) })
		locked(pl, func() {
			open := 0
			for b := pl.batches.oldest; b != nil; b = b.next {
				open += b.open
			}
			want := 40 // under way
			if name == "no ordering" {
				want += 40 // stored in a shard that is not known
			}
			c := &pl.collector
			left := len(pl.awaiting.items) + len(pl.retries.waiting) + len(pl.wakes) + len(c.ready) + len(c.requests) + pl.aggregates.open.records
			if open != want || left != 0 || pl.stats.Failed[ReasonAborted] != pl.stats.Accepted-uint64(want) {
				t.Errorf("%s: unexpected rest after Abort; got %d open records, %d in stages, %d aborted of %d; want %d open and the others aborted",
					name, open, left, pl.stats.Failed[ReasonAborted], pl.stats.Accepted, want)
			}
			pl.endAbort(done)
		})
	}
}

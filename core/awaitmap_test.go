// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// Batches that wait for the shard map expire one by one, each at its own time, and
// what has not expired when the map comes is delivered.
func TestBatchesThatAwaitTheMapExpireEachAtItsTime(t *testing.T) {
	for _, ordering := range []core.Ordering{core.OrderingNone, core.OrderingStrict} {
		synctest.Test(t, func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithStream(stream, 2))
			outage := s.Fault(kinesistest.Fault{Operation: "ListShards", Effect: kinesistest.Fail("InternalFailure", "down")})
			p := newProducer(t, s.Client(), core.WithRecordTTL(2*time.Second), core.WithOrdering(ordering))
			var batches []*core.Batch
			for range 9 {
				b, err := p.PutBatch(context.Background(), stream, batchOf("a", 5))
				if err != nil {
					t.Fatal(err)
				}
				batches = append(batches, b)
				<-time.After(500 * time.Millisecond)
				if len(batches) == 6 {
					outage.Remove()
				}
			}
			for i, b := range batches[:2] {
				start := time.Duration(i) * 500 * time.Millisecond
				wait(t, b)
				for j := range b.Len() {
					r := b.Result(j)
					if r.Err == nil || r.Err.Reason != core.ReasonExpired {
						t.Fatalf("unexpected error of batch %d; got %v; want reason expired", i, r.Err)
					}
					if d := r.Attempts[len(r.Attempts)-1].Delay; d < 2*time.Second || d > 2050*time.Millisecond {
						t.Fatalf("unexpected age of batch %d, submitted after %v, at its end; got %v; want 2 s", i, start, d)
					}
				}
			}
			last := batches[len(batches)-1]
			wait(t, last)
			if err := last.Err(); err != nil {
				t.Errorf("unexpected error of the last batch: %v", err)
			}
			for _, b := range batches {
				wait(t, b)
			}
			closeProducer(t, p)
			if st := checkAccounts(t, p); st.Confirmed == 0 || st.Pending != 0 {
				t.Errorf("unexpected counts: %+v", st)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

func TestRetriesInAnOutageAreFewAndTheBacklogLeavesSoonAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4), kinesistest.WithCountOnly())
		p := newProducer(t, s.Client(), core.WithRateLimit(100_000), core.WithRetryBackoff(10*time.Millisecond, time.Second))
		wait(t, put(t, p, batchOf("before", 10)))
		outage := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Status(503)})
		var backlog []*core.Batch
		for i := range 60 { // 30 MB
			records := batchOf(fmt.Sprint("b", i), 500)
			for j := range records {
				records[j].Data = make([]byte, 1000)
			}
			backlog = append(backlog, put(t, p, records))
		}
		<-time.After(10 * time.Second) // the credit of better times is used up
		before := outage.Hits()
		const last = 60
		<-time.After(last * time.Second)
		// What may go each half second fills one or two calls, for a call takes
		// a bounded number of bytes for one shard. Backoff alone would let the
		// whole backlog go about twice a second, 250 calls a second.
		if got := outage.Hits() - before; got > 4*last || got < last {
			t.Errorf("unexpected number of calls in %d s of an outage; got %d; want at most four a second, and some", last, got)
		}
		outage.Remove()
		start := time.Now()
		for _, b := range backlog {
			wait(t, b)
			if err := b.Err(); err != nil {
				t.Fatal(err)
			}
		}
		if got := time.Since(start); got > 3*time.Second {
			t.Errorf("unexpected time to recover; got %v; want at most 3 s", got)
		}
		closeProducer(t, p)
		if st := checkAccounts(t, p); st.Confirmed != 60*500+10 {
			t.Errorf("unexpected number of confirmed records; got %d; want %d", st.Confirmed, 60*500+10)
		}
	})
}

func TestRetriesOfFailedEntriesDoNotWaitWhileOthersGetThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4), kinesistest.WithCountOnly())
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{EntryCode: "InternalFailure", EntryShare: 0.3}})
		p := newProducer(t, s.Client(), core.WithAggregation(false), core.WithRateLimit(100_000), core.WithRetryBackoff(10*time.Millisecond, 100*time.Millisecond))
		start := time.Now()
		wait(t, put(t, p, batchOf("a", 20_000)))
		if got := time.Since(start); got > 2*time.Second {
			t.Errorf("unexpected time with three entries in ten failing; got %v; want at most 2 s", got)
		}
		closeProducer(t, p)
	})
}

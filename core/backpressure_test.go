// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// While callers are blocked there is more input than goes out, so aggregates can be
// full: room that is freed bit by bit must not leave again in bits.
func TestFullBufferMakesFullAggregates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 8), kinesistest.WithCountOnly())
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: 20 * time.Millisecond}})
		p := newProducer(t, s.Client(), core.WithBufferBytes(4<<20))
		records := batchOf("a", 10_000)
		for i := range records {
			records[i].Data = make([]byte, 200)
		}
		const workers = 4
		ended := make(chan error, workers)
		start := time.Now()
		for range workers {
			go func() {
				for range 5 {
					b, err := p.PutBatch(context.Background(), stream, records)
					if err != nil {
						ended <- err
						return
					}
					<-b.Done()
				}
				ended <- nil
			}()
		}
		for range workers {
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
		}
		elapsed := time.Since(start)
		closeProducer(t, p)
		st := checkAccounts(t, p)
		if least := st.KinesisBytes / core.PutPayloadUnit; st.PutPayloadUnits > least*108/100 {
			t.Errorf("unexpected payload units; got %d in %d Kinesis records; want about %d", st.PutPayloadUnits, st.KinesisRecords, least)
		}
		// The shards take 1 MiB a second each, after a burst of a quarter second.
		if want := time.Duration(float64(st.KinesisBytes)/(8<<20)*1.1*float64(time.Second)) + 200*time.Millisecond; elapsed > want {
			t.Errorf("unexpected time; got %v; want at most %v", elapsed, want)
		}
	})
}

func TestFullBufferIsNotBlockedByItsOwnRecords(t *testing.T) {
	for _, shards := range []int{1, 20} {
		t.Run(fmt.Sprint("shards=", shards), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, shards))
				p := newProducer(t, s.Client(), core.WithBufferRecords(50), core.WithMaxBufferedTime(time.Minute))
				start := time.Now()
				records := batchOf("a", 500)
				for i := range records { // nobody waits for the outcomes
					put(t, p, records[i:i+1])
				}
				if got := time.Since(start); got > time.Second {
					t.Errorf("unexpected time for submission; got %v; want none", got)
				}
				closeProducer(t, p)
				checkDelivered(t, s, records)
			})
		})
	}
}

// Open aggregates leave for a record that needs their room, even if they are few.
func TestLargeRecordDoesNotWaitForOpenAggregates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 50))
		p := newProducer(t, s.Client(), core.WithBufferBytes(1<<20), core.WithMaxBufferedTime(time.Minute))
		small := batchOf("small", 50)
		for i := range small {
			small[i].Data = append(small[i].Data, make([]byte, 6000)...)
		}
		start := time.Now()
		put(t, p, small)
		large := batchOf("large", 1)
		large[0].Data = make([]byte, 900<<10)
		put(t, p, large)
		if got := time.Since(start); got > time.Second {
			t.Errorf("unexpected time for submission; got %v; want none", got)
		}
		closeProducer(t, p)
		checkDelivered(t, s, small, large)
	})
}

func TestFlushDoesNotWaitForWhatIsSubmittedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		p := newProducer(t, s.Client(), core.WithMaxBufferedTime(time.Minute), core.WithRequestTimeout(time.Minute))
		wait(t, put(t, p, batchOf("warm", 1)))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Effect{Delay: time.Second}})
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: 20 * time.Second}})
		put(t, p, batchOf("early", 1))
		flushed := make(chan error)
		start := time.Now()
		go func() { flushed <- p.Flush(context.Background()) }()
		synctest.Wait()
		put(t, p, batchOf("late", 1))
		if err := <-flushed; err != nil {
			t.Error(err)
		}
		if got := time.Since(start); got > 5*time.Second {
			t.Errorf("unexpected time of Flush; got %v; want 1 s", got)
		}
		closeProducer(t, p)
	})
}

// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

func TestBufferBoundHoldsAndPutWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		release := make(chan struct{})
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Hold: release}})
		const bound = 1 << 20
		p := newProducer(t, s.Client(), core.WithBufferBytes(bound), core.WithRequestTimeout(time.Minute))
		records := batchOf("a", 3000)
		for i := range records {
			records[i].Data = append(records[i].Data, make([]byte, 1000)...)
		}
		handed := make(chan *core.Batch)
		go func() {
			b, err := p.PutBatch(context.Background(), stream, records)
			if err != nil {
				t.Error(err)
			}
			handed <- b
		}()
		time.Sleep(time.Second)
		select {
		case <-handed:
			t.Fatal("a batch three times the bound was taken at once")
		default:
		}
		if got := p.Stats().BufferedBytes; got > bound || got < bound*9/10 {
			t.Errorf("unexpected bytes in the buffer; got %d; want nearly %d", got, bound)
		}
		if _, err := p.TryPutBatch(stream, batchOf("b", 1)); !errors.Is(err, core.ErrBufferFull) {
			t.Errorf("unexpected error of TryPutBatch; got %v; want ErrBufferFull", err)
		}
		// A context that ends while waiting: nothing was taken, and it says so.
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		b, err := p.PutBatch(ctx, stream, batchOf("c", 2))
		if !errors.Is(err, context.DeadlineExceeded) || b == nil {
			t.Fatalf("unexpected result; got batch %v, error %v; want a batch and the context's error", b, err)
		}
		wait(t, b)
		if r := b.Result(1); r.Err == nil || r.Err.Reason != core.ReasonNotAccepted || r.Err.Reason.Permanent() {
			t.Errorf("unexpected result: %+v; want not_accepted", r)
		}
		close(release)
		wait(t, <-handed)
		closeProducer(t, p)
		checkDelivered(t, s, records)
		if st := checkAccounts(t, p); st.BufferedBytes != 0 {
			t.Errorf("unexpected bytes in the buffer at the end; got %d; want 0", st.BufferedBytes)
		}
	})
}

func TestBufferRecordsBoundHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		release := make(chan struct{})
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Hold: release}})
		p := newProducer(t, s.Client(), core.WithBufferRecords(10), core.WithRequestTimeout(time.Minute))
		if _, err := p.TryPutBatch(stream, batchOf("a", 11)); !errors.Is(err, core.ErrBufferFull) {
			t.Fatalf("unexpected error; got %v; want ErrBufferFull", err)
		}
		b, err := p.TryPutBatch(stream, batchOf("b", 10))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.TryPutBatch(stream, batchOf("c", 1)); !errors.Is(err, core.ErrBufferFull) {
			t.Fatalf("unexpected error; got %v; want ErrBufferFull", err)
		}
		close(release)
		wait(t, b)
		closeProducer(t, p)
	})
}

func TestRecordLargerThanTheBoundIsTakenWhenTheBufferIsEmpty(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 1))
	if err := s.SetMaxRecordKiB(stream, 10240); err != nil {
		t.Fatal(err)
	}
	p := newProducer(t, s.Client(), core.WithBufferBytes(1<<20))
	records := batchOf("a", 2)
	records[0].Data = make([]byte, 3<<20)
	wait(t, put(t, p, records))
	checkDelivered(t, s, records)
}

func TestManyCallersAtOnce(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 8))
	p := newProducer(t, s.Client(), core.WithBufferBytes(1<<20))
	var wg sync.WaitGroup
	var lists [][]core.Record
	for w := range 16 {
		records := batchOf(string(rune('a'+w)), 2000)
		lists = append(lists, records)
		wg.Go(func() {
			for i := 0; i < len(records); i += 100 {
				b, err := p.PutBatch(context.Background(), stream, records[i:i+100])
				if err != nil {
					t.Error(err)
					return
				}
				if w%2 == 0 {
					wait(t, b)
				}
			}
		})
	}
	wg.Wait()
	if err := p.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	checkDelivered(t, s, lists...)
	closeProducer(t, p)
}

func TestFlushReturnsWhenEverythingBeforeItIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 3, Effect: kinesistest.FailEntries("InternalFailure", "")})
		p := newProducer(t, s.Client(), core.WithMaxBufferedTime(time.Minute))
		records := batchOf("a", 100)
		b := put(t, p, records)
		start := time.Now()
		if err := p.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		if _, _, pending := b.Counts(); pending != 0 {
			t.Errorf("unexpected number of pending records after Flush; got %d; want 0", pending)
		}
		if got := time.Since(start); got > 2*time.Second {
			t.Errorf("unexpected time; got %v; want the backoffs at most", got)
		}
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Hang()})
		put(t, p, batchOf("b", 1))
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := p.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("unexpected error of a Flush that cannot succeed; got %v", err)
		}
		s.ClearFaults()
		closeProducer(t, p)
	})
}

func TestCloseDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 5, Effect: kinesistest.ThrottleEntries()})
		p := newProducer(t, s.Client(), core.WithMaxBufferedTime(time.Minute))
		records := batchOf("a", 1000)
		b := put(t, p, records)
		closeProducer(t, p)
		select {
		case <-b.Done():
		default:
			t.Fatal("Close returned before the batch was settled")
		}
		checkDelivered(t, s, records)
		if _, err := p.PutBatch(context.Background(), stream, records); !errors.Is(err, core.ErrClosed) {
			t.Errorf("unexpected error after Close; got %v; want ErrClosed", err)
		}
		if err := p.Close(context.Background()); err != nil {
			t.Errorf("unexpected error of the second Close: %v", err)
		}
	})
}

func TestCloseThatCannotDrainSaysHowManyAreLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Hang()})
		p := newProducer(t, s.Client(), core.WithBufferBytes(1<<20))
		b := put(t, p, batchOf("a", 1000))
		// Another caller is waiting for room.
		big := batchOf("b", 2000)
		for i := range big {
			big[i].Data = make([]byte, 1000)
		}
		blocked := make(chan error)
		go func() {
			_, err := p.PutBatch(context.Background(), stream, big)
			blocked <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		closed := make(chan error)
		go func() { closed <- p.Close(ctx) }()
		if err := <-blocked; !errors.Is(err, core.ErrClosed) {
			t.Errorf("unexpected error of the caller that waited for room; got %v; want ErrClosed", err)
		}
		err := <-closed
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "records before the producer was closed") {
			t.Errorf("unexpected error; got %v; want the number of records left", err)
		}
		select {
		case <-b.Done():
		default:
			t.Fatal("the batch is not settled")
		}
		if r := b.Result(0); r.Err == nil || r.Err.Reason != core.ReasonClosed {
			t.Errorf("unexpected result: %+v; want reason closed", r)
		}
		st := checkAccounts(t, p)
		if st.Pending != 0 || st.BufferedBytes != 0 || st.Failed[core.ReasonClosed]+st.Failed[core.ReasonNotAccepted] != 3000 {
			t.Errorf("unexpected counters: %+v", st)
		}
	})
}

func TestStreamsAreIndependent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2), kinesistest.WithStream("other", 2))
		p := newProducer(t, s.Client())
		missing, err := p.PutBatch(context.Background(), "missing", batchOf("m", 5))
		if err != nil {
			t.Fatal(err)
		}
		a, b := batchOf("a", 50), batchOf("b", 50)
		wait(t, put(t, p, a))
		other, err := p.PutBatch(context.Background(), s.ARN("other"), b)
		if err != nil {
			t.Fatal(err)
		}
		wait(t, other)
		wait(t, missing)
		if got := len(s.Consume("other").Records); got != 50 {
			t.Errorf("unexpected number of records in the other stream; got %d; want 50", got)
		}
		if _, failed, _ := missing.Counts(); failed != 5 {
			t.Errorf("unexpected number of failures; got %d; want 5", failed)
		}
		if _, err := p.PutBatch(context.Background(), "not a name", a); err == nil || !strings.Contains(err.Error(), "not a name") {
			t.Errorf("unexpected error; got %v; want one that names the stream", err)
		}
		closeProducer(t, p)
		checkDelivered(t, s, a)
	})
}

func TestEmptyBatchIsSettled(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 1))
	p := newProducer(t, s.Client())
	for _, put := range []func() (*core.Batch, error){
		func() (*core.Batch, error) { return p.PutBatch(context.Background(), stream, nil) },
		func() (*core.Batch, error) { return p.TryPutBatch(stream, nil) },
	} {
		b, err := put()
		if err != nil {
			t.Fatal(err)
		}
		wait(t, b)
		if b.Len() != 0 || b.Err() != nil {
			t.Errorf("unexpected batch: %d records, error %v", b.Len(), b.Err())
		}
	}
}

func TestPutSyncReturnsWhereTheRecordIs(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 2))
	p := newProducer(t, s.Client())
	r, err := p.PutSync(context.Background(), stream, core.Record{PartitionKey: "abcd", Data: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	// MD5("abcd") starts with e2: the upper half.
	if r.ShardID != "shardId-000000000001" || r.SequenceNumber == "" {
		t.Errorf("unexpected result: %+v", r)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.PutSync(ctx, stream, core.Record{PartitionKey: "a", Data: []byte("y")}); !errors.Is(err, context.Canceled) {
		t.Errorf("unexpected error; got %v; want context.Canceled", err)
	}
}

func TestFlushOfOneStreamLeavesTheOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("a", 1), kinesistest.WithStream("b", 1))
		p := newProducer(t, s.Client(), core.WithMaxBufferedTime(time.Minute))
		batches := map[string]*core.Batch{}
		for _, name := range []string{"a", "b"} {
			b, err := p.PutBatch(context.Background(), name, batchOf(name, 10))
			if err != nil {
				t.Fatal(err)
			}
			batches[name] = b
		}
		for _, name := range []string{"a", "not in use"} {
			if err := p.FlushStream(context.Background(), name); err != nil {
				t.Error(err)
			}
		}
		if confirmed, _, _ := batches["a"].Counts(); confirmed != 10 {
			t.Errorf("unexpected number of confirmed records; got %d; want 10", confirmed)
		}
		if _, _, pending := batches["b"].Counts(); pending != 10 {
			t.Errorf("unexpected number of pending records; got %d; want 10", pending)
		}
		if err := p.Flush(context.Background()); err != nil {
			t.Error(err)
		}
		if err := batches["b"].Err(); err != nil {
			t.Error(err)
		}
	})
}

func TestAttemptsHaveDelayAndDuration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		slow := kinesistest.FailEntries("InternalFailure", "")
		slow.Delay = 2 * time.Second
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: slow})
		p := newProducer(t, s.Client(), core.WithMaxBufferedTime(time.Second), core.WithRetryBackoff(time.Second, time.Second))
		b := put(t, p, batchOf("a", 2))
		<-b.Done() // without Wait nobody hurries the producer
		list := b.Result(1).Attempts
		if len(list) != 2 {
			t.Fatalf("unexpected attempts; got %+v; want 2", list)
		}
		first, second := list[0], list[1]
		if first.Delay != time.Second || first.Duration() != 2*time.Second || first.Code != "InternalFailure" {
			t.Errorf("unexpected first attempt; got delay %v, duration %v, code %q; want 1s, 2s, InternalFailure", first.Delay, first.Duration(), first.Code)
		}
		if second.Delay < 100*time.Millisecond || second.Delay > time.Second+20*time.Millisecond || second.Duration() != 0 || second.Code != "" {
			t.Errorf("unexpected second attempt; got delay %v, duration %v, code %q; want the backoff, 0 and none", second.Delay, second.Duration(), second.Code)
		}
	})
}

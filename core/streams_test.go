// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

func TestIdleStreamIsGivenUpAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("a", 1), kinesistest.WithStream("b", 1))
		p := newProducer(t, s.Client(), core.WithStreamIdle(time.Minute))
		put := func(stream string) {
			t.Helper()
			if _, err := p.PutSync(context.Background(), stream, core.Record{PartitionKey: "k", Data: []byte("x")}); err != nil {
				t.Fatal(err)
			}
		}
		put("a")
		put("b")
		for range 10 { // a stays in use
			time.Sleep(20 * time.Second)
			put("a")
		}
		synctest.Wait()
		snap := p.Snapshot()
		if len(snap.Streams) != 1 || snap.Streams[0].Stream != "a" {
			t.Fatalf("unexpected streams in use: %+v", snap.Streams)
		}
		if got := p.Stats(); got.Confirmed != 12 || got.Accepted != 12 || got.Pending != 0 {
			t.Errorf("counters of a stream given up are missing: %+v", got)
		}
		put("b")
		if got := p.Stats(); got.Confirmed != 13 || got.MapRefreshes != 3 {
			t.Errorf("unexpected counters; got %d confirmed, %d maps; want 13 and 3", got.Confirmed, got.MapRefreshes)
		}
	})
}

func TestStreamsAreCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var opts []kinesistest.Option
		for i := range 5 {
			opts = append(opts, kinesistest.WithStream(fmt.Sprint("s", i), 1))
		}
		s := kinesistest.New(opts...)
		release := make(chan struct{})
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Stream: "s0", Effect: kinesistest.Effect{Hold: release}})
		p := newProducer(t, s.Client(), core.WithMaxStreams(2), core.WithRequestTimeout(time.Minute))
		r := core.Record{PartitionKey: "k", Data: []byte("x")}
		blocked, err := p.Put(context.Background(), "s0", r)
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i < 5; i++ { // each takes the place of the one before
			if _, err := p.PutSync(context.Background(), fmt.Sprint("s", i), r); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(p.Snapshot().Streams); n != 2 {
			t.Errorf("unexpected number of streams in use; got %d; want 2", n)
		}
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Stream: "s4", Effect: kinesistest.Effect{Hold: release}})
		second, err := p.Put(context.Background(), "s4", r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Put(context.Background(), "s1", r); !errors.Is(err, core.ErrTooManyStreams) {
			t.Errorf("unexpected error; got %v; want ErrTooManyStreams", err)
		}
		close(release)
		wait(t, blocked)
		wait(t, second)
	})
}

func TestMissingStreamDoesNotHoldUpAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		p := newProducer(t, s.Client())
		gone, err := p.PutBatch(context.Background(), "gone", batchOf("a", 100))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		b, err := p.PutBatch(context.Background(), stream, batchOf("a", 100))
		if err != nil {
			t.Fatal(err)
		}
		wait(t, b)
		if err := b.Err(); err != nil {
			t.Error(err)
		}
		wait(t, gone)
		var re *core.RecordError
		if err := gone.Err(); !errors.As(err, &re) || re.Reason != core.ReasonStreamNotFound {
			t.Errorf("unexpected error; got %v; want stream_not_found", err)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("the missing stream delayed the other for %v", d)
		}
	})
}

func TestStreamGivenUpIsNotCountedAsAuto(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("a", 1))
		p := newProducer(t, s.Client(), core.WithStreamIdle(time.Minute), core.WithDistribution(core.DistributionAuto))
		for range 3 {
			if _, err := p.PutSync(context.Background(), "a", core.Record{PartitionKey: "k", Data: []byte("x")}); err != nil {
				t.Fatal(err)
			}
			if got := p.Stats().AutoStreams; got != 1 {
				t.Fatalf("unexpected number of AUTO streams in use; got %d; want 1", got)
			}
			<-time.After(2 * time.Minute)
			if got := p.Stats().AutoStreams; got != 0 {
				t.Fatalf("unexpected number of AUTO streams after it was given up; got %d; want 0", got)
			}
		}
	})
}

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

func TestShardCountChangesUnderLoadLoseAndDoubleNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: 20 * time.Millisecond, DelayReply: 20 * time.Millisecond}})
		s.Fault(kinesistest.Fault{Operation: "ListShards", Effect: kinesistest.Effect{Delay: 50 * time.Millisecond}})
		p := newProducer(t, s.Client())
		stop := make(chan struct{})
		ended := make(chan int)
		go func() { ended <- load(t, p, stop, 8, 100) }()
		for _, n := range []int{8, 16, 12, 6, 3, 6} {
			time.Sleep(3 * time.Second)
			if err := s.UpdateShardCount(stream, n); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(3 * time.Second)
		close(stop)
		total := <-ended
		closeProducer(t, p)
		st := checkAccounts(t, p)
		m := seen(s)
		for payload, n := range m {
			if n != 1 {
				t.Fatalf("unexpected number of deliveries of %q; got %d; want 1", payload, n)
			}
		}
		if len(m) != total || st.Uncertain != 0 || st.AutoInferred != 0 {
			t.Errorf("unexpected outcome: %d of %d records, %d uncertain, %d times taken for AUTO", len(m), total, st.Uncertain, st.AutoInferred)
		}
		if st.MapRefreshes < 7 || st.MapRefreshes > 30 {
			t.Errorf("unexpected number of maps; got %d; want about one for each change", st.MapRefreshes)
		}
	})
}

// stale fails unless consumers of the stream that is there now keep everything.
func stale(t *testing.T, s *kinesistest.Server, batches ...[]core.Record) {
	t.Helper()
	if c := s.Consume(stream); len(c.Dropped) > 0 {
		t.Errorf("unexpected use of the old ranges: consumers drop %d user records", len(c.Dropped))
	}
	checkDelivered(t, s, batches...)
}

// remake deletes the stream and recreates it with three shards: the ids are those
// of the first three of the old one, the ranges are not.
func remake(t *testing.T, s *kinesistest.Server) {
	t.Helper()
	if err := s.DeleteStream(stream); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateStream(stream, kinesistest.StreamConfig{Shards: 3}); err != nil {
		t.Fatal(err)
	}
}

func TestRecreatedStreamIsNoticedByItsAbsence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		p := newProducer(t, s.Client())
		wait(t, put(t, p, batchOf("old", 200)))
		if err := s.DeleteStream(stream); err != nil {
			t.Fatal(err)
		}
		b := put(t, p, batchOf("lost", 200))
		wait(t, b)
		if r := b.Result(0); r.Err == nil || r.Err.Reason != core.ReasonStreamNotFound {
			t.Fatalf("unexpected result %+v; want reason stream_not_found", r)
		}
		if err := s.CreateStream(stream, kinesistest.StreamConfig{Shards: 3}); err != nil {
			t.Fatal(err)
		}
		records := batchOf("new", 300)
		for try := 0; ; try++ {
			b := put(t, p, records)
			wait(t, b)
			if b.Err() == nil {
				break
			}
			if r := b.Result(0); r.Err.Reason != core.ReasonStreamNotFound || try > 60 {
				t.Fatalf("unexpected result %+v after %d tries; want reason stream_not_found until the stream is known again", r, try)
			}
			time.Sleep(time.Second)
		}
		stale(t, s, records)
		closeProducer(t, p)
	})
}

func TestStreamRecreatedWhileNothingWasWrittenIsNoticedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		p := newProducer(t, s.Client())
		wait(t, put(t, p, batchOf("old", 200)))
		time.Sleep(time.Minute)
		remake(t, s)
		records := batchOf("new", 300)
		wait(t, put(t, p, records))
		stale(t, s, records)
		closeProducer(t, p)
	})
}

func TestOldMapServesAfterAnIdleTimeWithoutListShards(t *testing.T) {
	for _, code := range []string{"InternalFailure", "AccessDeniedException"} {
		synctest.Test(t, func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithStream(stream, 4))
			p := newProducer(t, s.Client())
			one, two := batchOf("a", 200), batchOf("b", 200)
			wait(t, put(t, p, one))
			time.Sleep(time.Minute)
			s.Fault(kinesistest.Fault{Operation: "ListShards", Effect: kinesistest.Fail(code, "no")})
			before := s.Consume(stream).KinesisRecords
			wait(t, put(t, p, two))
			checkDelivered(t, s, one, two)
			if n := s.Consume(stream).KinesisRecords - before; n > 4 {
				t.Errorf("%s: unexpected number of Kinesis records; got %d; want 4 aggregates", code, n)
			}
			closeProducer(t, p)
		})
	}
}

// Records of one key prove nothing: the shard has the same id before and after.
// The time of creation does.
func TestRecreatedStreamIsNoticedByItsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		p := newProducer(t, s.Client())
		steady := func(d time.Duration) {
			for range d / (10 * time.Second) {
				time.Sleep(10 * time.Second)
				if _, err := p.PutSync(context.Background(), stream, core.Record{PartitionKey: "k", ExplicitHashKey: "0", Data: []byte("tick")}); err != nil {
					t.Fatal(err)
				}
			}
		}
		steady(time.Minute)
		remake(t, s)
		steady(15 * time.Minute)
		records := batchOf("new", 300)
		wait(t, put(t, p, records))
		if c := s.Consume(stream); len(c.Dropped) > 0 || c.Aggregates == 0 {
			t.Errorf("unexpected use of the old ranges: consumers drop %d user records out of %d aggregates", len(c.Dropped), c.Aggregates)
		}
		closeProducer(t, p)
	})
}

func TestTenThousandShardsChangeUnderLoad(t *testing.T) {
	const shards = 10_000
	s := kinesistest.New(kinesistest.WithStream(stream, shards))
	p := newProducer(t, s.Client())
	one := batchOf("a", 20_000)
	wait(t, put(t, p, one))
	for i := range 50 {
		if err := s.SplitEven(stream, fmt.Sprintf("shardId-%012d", i*150)); err != nil {
			t.Fatal(err)
		}
	}
	two, three := batchOf("b", 20_000), batchOf("c", 20_000)
	b := put(t, p, two)
	wait(t, put(t, p, three))
	wait(t, b)
	checkDelivered(t, s, one, two, three)
	if st := p.Stats(); st.Uncertain != 0 || st.MapRefreshes > 20 {
		t.Errorf("unexpected outcome: %d uncertain, %d maps", st.Uncertain, st.MapRefreshes)
	}
	closeProducer(t, p)
}

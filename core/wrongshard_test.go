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

// The smallest case of what consumers lost: they drop an aggregate as a whole if one
// of its records is out of range.
func TestAggregateInTheWrongShardIsResentWhole(t *testing.T) {
	for _, ordering := range []core.Ordering{core.OrderingNone, core.OrderingStrict} {
		synctest.Test(t, func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithStream(stream, 1))
			p := newProducer(t, s.Client(), core.WithOrdering(ordering))
			if _, err := p.PutSync(context.Background(), stream, core.Record{PartitionKey: "first", Data: []byte("first")}); err != nil {
				t.Fatal(err)
			}
			if err := s.SplitEven(stream, "shardId-000000000000"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
			records := batchOf("a", 10)
			b := put(t, p, records)
			wait(t, b)
			closeProducer(t, p)
			checkDelivered(t, s, records, []core.Record{{Data: []byte("first")}})
			if c := s.Consume(stream); len(c.Dropped) != 10 {
				t.Errorf("unexpected number of records that consumers drop; got %d; want the 10 of the first attempt", len(c.Dropped))
			}
			if st := checkAccounts(t, p); st.WrongShard != 10 || st.Uncertain != 0 {
				t.Errorf("unexpected counters; got %d in a wrong shard, %d uncertain; want 10, 0", st.WrongShard, st.Uncertain)
			}
			for i := range records {
				if a := b.Result(i).Attempts; len(a) != 2 || a[0].Code != "Wrong Shard" || a[0].SequenceNumber == "" || a[1].Code != "" {
					t.Fatalf("unexpected attempts of record %d: %+v", i, a)
				}
			}
		})
	}
}

// After a merge the new shard has the range of both parents, so nothing is resent. The
// answers arrive before the new map, so that the aggregates have to wait for it.
func TestAggregateInTheRightShardIsNotResent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		s.Fault(kinesistest.Fault{Operation: "ListShards", Effect: kinesistest.Effect{Delay: time.Second}})
		p := newProducer(t, s.Client())
		before, after := batchOf("a", 100), batchOf("b", 100)
		wait(t, put(t, p, before))
		if err := s.Merge(stream, "shardId-000000000000", "shardId-000000000001"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		wait(t, put(t, p, after))
		closeProducer(t, p)
		checkDelivered(t, s, before, after)
		if st := checkAccounts(t, p); st.WrongShard != 0 || st.Uncertain != 0 || st.Retries != 0 {
			t.Errorf("unexpected counters; got %d in a wrong shard, %d uncertain, %d retries; want 0", st.WrongShard, st.Uncertain, st.Retries)
		}
	})
}

// A shard that was opened and closed between two maps is on no list of open shards.
// Its range shows all the same whether its aggregates are right.
func TestRangeOfAShardThatCameAndWentIsLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		p := newProducer(t, s.Client())
		unkeyed := func(prefix string) []core.Record {
			records := batchOf(prefix, 100)
			for i := range records {
				records[i].PartitionKey = ""
			}
			return records
		}
		before, after := unkeyed("a"), unkeyed("b")
		wait(t, put(t, p, before))
		if err := s.SplitEven(stream, "shardId-000000000000"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{DelayReply: 100 * time.Millisecond}})
		b := put(t, p, after)
		time.Sleep(50 * time.Millisecond) // stored, and not answered yet
		for _, id := range []string{"shardId-000000000001", "shardId-000000000002"} {
			if err := s.SplitEven(stream, id); err != nil {
				t.Fatal(err)
			}
		}
		wait(t, b)
		closeProducer(t, p)
		checkDelivered(t, s, before, after)
		st := checkAccounts(t, p)
		if st.WrongShard != 0 || st.Uncertain != 0 || st.Retries != 0 {
			t.Errorf("unexpected counters; got %d in a wrong shard, %d uncertain, %d retries; want 0", st.WrongShard, st.Uncertain, st.Retries)
		}
		if d := b.Result(0).Attempts[0].Delay; d > time.Second {
			t.Errorf("unexpected delay of the only attempt: %v", d)
		}
	})
}

// The list of shards may lag behind the shards that answer. Everything is seen once, with
// keys and without, and nothing is resent for lack of an answer.
func TestListOfShardsThatLagsBehindLosesAndDoublesNothing(t *testing.T) {
	for _, unkeyed := range []bool{false, true} {
		t.Run(fmt.Sprintf("unkeyed=%v", unkeyed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 4), kinesistest.WithListShardsLag(3*time.Second))
				s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: 10 * time.Millisecond, DelayReply: 10 * time.Millisecond}})
				p := newProducer(t, s.Client())
				stop := make(chan struct{})
				ended := make(chan map[string]place)
				go func() { ended <- placedLoad(t, p, stop, 50*time.Millisecond, 4, 50, unkeyed) }()
				for _, n := range []int{8, 16, 5, 9} {
					time.Sleep(6 * time.Second)
					if err := s.UpdateShardCount(stream, n); err != nil {
						t.Error(err)
					}
				}
				time.Sleep(6 * time.Second)
				close(stop)
				places := <-ended
				closeProducer(t, p)
				st := checkAccounts(t, p)
				m := seen(s)
				for payload := range places {
					if m[payload] != 1 {
						t.Fatalf("unexpected number of deliveries of %q; got %d; want 1", payload, m[payload])
					}
				}
				if len(places) < 20_000 || st.Uncertain != 0 || st.AutoInferred != 0 {
					t.Errorf("unexpected outcome: %d records, %d uncertain, %d times taken for AUTO", len(places), st.Uncertain, st.AutoInferred)
				}
				t.Logf("records %d, resent %d, maps %d", len(places), st.WrongShard, st.MapRefreshes)
			})
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

const (
	auto  = types.RecordDistributionStrategyAuto
	byKey = types.RecordDistributionStrategyUserPartitionKey
)

// distribute changes the strategy of the stream and lets some time pass.
func distribute(t *testing.T, s *kinesistest.Server, d types.RecordDistributionStrategy, then time.Duration) {
	t.Helper()
	if err := s.SetDistribution(stream, d); err != nil {
		t.Error(err)
	}
	time.Sleep(then)
}

// load submits batches from several goroutines until stop is closed, and
// returns how many records it submitted.
func load(t *testing.T, p *core.Producer, stop <-chan struct{}, workers, perBatch int) (total int) {
	return len(placedLoad(t, p, stop, 400*time.Millisecond, workers, perBatch, false))
}

func TestDistributionChangesUnderLoadLoseAndDoubleNothing(t *testing.T) {
	for _, denied := range []bool{false, true} {
		t.Run(fmt.Sprintf("describe denied=%v", denied), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const workers, perBatch, toggles = 4, 20, 3
				s := kinesistest.New(kinesistest.WithStream(stream, 4))
				// Aggregates that wait for a retry must not leave after the change.
				s.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.2, Effect: kinesistest.Effect{
					Delay: 20 * time.Millisecond, EntryCode: "InternalFailure", EntryShare: 0.5,
				}})
				s.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.2, Effect: kinesistest.Effect{
					Delay: 20 * time.Millisecond, EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.5,
				}})
				s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: 20 * time.Millisecond}})
				if denied {
					s.Fault(kinesistest.Fault{Operation: "DescribeStreamSummary", Effect: kinesistest.Fail("AccessDeniedException", "no")})
				}
				var log logText
				p := newProducer(t, s.Client(), log.option())
				stop := make(chan struct{})
				ended := make(chan int)
				go func() { ended <- load(t, p, stop, workers, perBatch) }()
				time.Sleep(time.Minute)
				for i := range toggles {
					aggregated := func(d time.Duration) bool {
						before := p.Stats()
						time.Sleep(d)
						now := p.Stats()
						return now.KinesisRecords-before.KinesisRecords < now.Confirmed-before.Confirmed
					}
					distribute(t, s, auto, 10*time.Second)
					if aggregated(20*time.Second) || p.Stats().AutoStreams != 1 {
						t.Errorf("round %d: unexpected aggregates on an AUTO stream", i)
					}
					if got := p.Stats().WrongShard; got > uint64((i+1)*workers*perBatch) {
						t.Errorf("round %d: unexpected records resent; got %d; want at most the %d in flight at each change", i, got, workers*perBatch)
					}
					// Answers alone need twice the time each time.
					distribute(t, s, byKey, 90*time.Second<<i)
					if !aggregated(20*time.Second) || p.Stats().AutoStreams != 0 {
						t.Errorf("round %d: no aggregates on a stream that goes by keys again", i)
					}
				}
				close(stop)
				total := <-ended
				closeProducer(t, p)
				stats := checkAccounts(t, p)
				m := seen(s)
				for payload, n := range m {
					if n != 1 {
						t.Fatalf("unexpected number of deliveries of %q; got %d; want 1", payload, n)
					}
				}
				if len(m) != total || stats.Uncertain != 0 {
					t.Errorf("unexpected number of records; got %d, uncertain %d; want %d and 0", len(m), stats.Uncertain, total)
				}
				if got := strings.Count(log.String(), "aggregation is off"); got != toggles {
					t.Errorf("unexpected number of warnings; got %d; want %d in %s", got, toggles, log.String())
				}
				if denied && stats.AutoInferred != toggles {
					t.Errorf("unexpected number of conclusions; got %d; want %d", stats.AutoInferred, toggles)
				}
				t.Logf("records %d, resent %d, inferred %d, maps %d", total, stats.WrongShard, stats.AutoInferred, stats.MapRefreshes)
			})
		})
	}
}

// A split answers with shards that no map predicted, and a stream recreated with
// ranges that contradict the map. Neither is AUTO.
func TestReshardingIsNotTakenForAuto(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		s.Fault(kinesistest.Fault{Operation: "DescribeStreamSummary", Effect: kinesistest.Fail("AccessDeniedException", "no")})
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: 20 * time.Millisecond}})
		var log logText
		p := newProducer(t, s.Client(), log.option())
		stop := make(chan struct{})
		ended := make(chan int)
		go func() { ended <- load(t, p, stop, 4, 50) }()
		for _, change := range []func() error{
			func() error { return s.SplitEven(stream, "shardId-000000000000") },
			func() error { return s.Merge(stream, "shardId-000000000002", "shardId-000000000003") },
			func() error { return s.SplitEven(stream, "shardId-000000000001") },
		} {
			time.Sleep(time.Second)
			if err := change(); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Second)
		if err := s.DeleteStream(stream); err != nil {
			t.Error(err)
		}
		if err := s.CreateStream(stream, kinesistest.StreamConfig{Shards: 3}); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		close(stop)
		<-ended
		before := s.Consume(stream)
		records := batchOf("after", 200)
		wait(t, put(t, p, records))
		closeProducer(t, p)
		after := s.Consume(stream)
		if after.Aggregates == before.Aggregates || len(after.Dropped) > len(before.Dropped) {
			t.Errorf("unexpected way of writing after all; %d aggregates before and %d after, dropped %d and %d",
				before.Aggregates, after.Aggregates, len(before.Dropped), len(after.Dropped))
		}
		if st := p.Stats(); st.AutoInferred != 0 || st.AutoStreams != 0 || strings.Contains(log.String(), "AUTO): ") {
			t.Errorf("unexpected conclusion: the stream is taken for AUTO: %+v in %s", st, log.String())
		}
	})
}

// With a single shard every answer agrees with the map, and every aggregate is
// right, whatever the strategy is.
func TestOneShardNeedsNoStrategy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		s.Fault(kinesistest.Fault{Operation: "DescribeStreamSummary", Effect: kinesistest.Fail("AccessDeniedException", "no")})
		distribute(t, s, auto, 0)
		p := newProducer(t, s.Client())
		one := batchOf("a", 200)
		wait(t, put(t, p, one))
		if c := s.Consume(stream); c.Aggregates == 0 || len(c.Dropped) > 0 {
			t.Errorf("unexpected records; got %d aggregates, %d dropped; want aggregates and nothing dropped", c.Aggregates, len(c.Dropped))
		}
		if err := s.SplitEven(stream, "shardId-000000000000"); err != nil {
			t.Fatal(err)
		}
		two := batchOf("b", 200)
		wait(t, put(t, p, two))
		checkDelivered(t, s, one, two)
		closeProducer(t, p)
	})
}

func TestDistributionSetByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			is   types.RecordDistributionStrategy
			set  core.RecordDistribution
			warn bool
		}{
			{auto, core.DistributionAuto, false},
			{auto, core.DistributionByKey, true},
			{byKey, core.DistributionAuto, true},
			{byKey, core.DistributionByKey, false},
		} {
			s := kinesistest.New(kinesistest.WithStream(stream, 4))
			distribute(t, s, c.is, 0)
			var log logText
			p := newProducer(t, s.Client(), log.option(), core.WithDistribution(c.set))
			records := batchOf("a", 300)
			for i := range 10 {
				records[i].PartitionKey = ""
			}
			b := put(t, p, records)
			wait(t, b)
			if err := b.Err(); err != nil {
				t.Fatalf("set %v on %v: %v", c.set, c.is, err)
			}
			checkDelivered(t, s, records)
			closeProducer(t, p)
			synctest.Wait() // a line is written after the lock is given back
			if got := strings.Contains(log.String(), "configured record distribution differs"); got != c.warn {
				t.Errorf("set %v on %v: unexpected warning %v; want %v", c.set, c.is, got, c.warn)
			}
			if c.set == core.DistributionAuto && s.Consume(stream).Aggregates > 0 {
				t.Errorf("set %v on %v: unexpected aggregates", c.set, c.is)
			}
		}
	})
}

// The partition key is left out where it is optional, and comes back when the
// stream asks for it again: nobody's record is called invalid for it.
func TestRecordsWithoutKeyOnAnAutoStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		distribute(t, s, auto, 0)
		p := newProducer(t, s.Client())
		one, two := batchOf("a", 50), batchOf("b", 50)
		for i := range one {
			one[i].PartitionKey, two[i].PartitionKey = "", ""
		}
		wait(t, put(t, p, one))
		for _, r := range s.Records(stream) {
			if r.PartitionKey != "" {
				t.Fatalf("unexpected partition key %q on an AUTO stream; want none", r.PartitionKey)
			}
		}
		distribute(t, s, byKey, 0)
		b := put(t, p, two)
		wait(t, b)
		if err := b.Err(); err != nil {
			t.Fatal(err)
		}
		checkDelivered(t, s, one, two)
		closeProducer(t, p)
	})
}

// Aggregates that wait for a retry when the strategy changes go out as single records.
func TestAggregatesThatWaitForARetryAreDisaggregated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		s.Fault(kinesistest.Fault{Operation: "DescribeStreamSummary", Effect: kinesistest.Fail("AccessDeniedException", "no")})
		f := s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.FailEntries("InternalFailure", "")})
		p := newProducer(t, s.Client(), core.WithRetryBackoff(time.Minute, time.Minute))
		waiting, next := batchOf("waiting", 100), batchOf("next", 100)
		b := put(t, p, waiting)
		time.Sleep(time.Second)
		if f.Hits() != 1 {
			t.Fatalf("unexpected number of faults; got %d; want 1", f.Hits())
		}
		distribute(t, s, auto, 0)
		wait(t, put(t, p, next))
		wait(t, b)
		closeProducer(t, p)
		checkDelivered(t, s, waiting, next)
		for _, r := range s.Consume(stream).Records {
			if r.Aggregated && strings.HasPrefix(string(r.Data), "waiting") {
				t.Fatalf("unexpected aggregate with %q on an AUTO stream", r.Data)
			}
		}
		if st := p.Stats(); st.AutoInferred != 1 || st.WrongShard > 100 {
			t.Errorf("unexpected outcome: %d conclusions, %d records resent; want 1 and at most 100", st.AutoInferred, st.WrongShard)
		}
	})
}

func TestAutoTellsWhoChoosesTheShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		distribute(t, s, auto, 0)
		p := newProducer(t, s.Client())
		if p.Auto(stream) {
			t.Error("unexpected answer before anything is known of the stream; got true; want false")
		}
		for _, want := range []bool{true, false} {
			if !want {
				distribute(t, s, byKey, 0)
			}
			for range 200 {
				if _, err := p.PutSync(t.Context(), stream, core.Record{PartitionKey: "k", Data: []byte("x")}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second)
			}
			if got := p.Auto(stream); got != want {
				t.Errorf("unexpected answer; got %v; want %v", got, want)
			}
		}
		byHand := newProducer(t, s.Client(), core.WithDistribution(core.DistributionAuto))
		if !byHand.Auto(stream) {
			t.Error("unexpected answer where it is set by hand; got false; want true")
		}
		closeProducer(t, p)
		closeProducer(t, byHand)
	})
}

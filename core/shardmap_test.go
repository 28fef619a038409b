// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// logText collects log lines.
type logText struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logText) option() core.Option {
	return core.WithLogger(slog.New(slog.NewTextHandler(l, nil)))
}

// listClient answers ListShards by a function and the rest as the fake does.
type listClient struct {
	core.Client
	list func(*kinesis.ListShardsInput) (*kinesis.ListShardsOutput, error)
}

func (c listClient) ListShards(_ context.Context, in *kinesis.ListShardsInput, _ ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	return c.list(in)
}

func TestShardMapIsFetchedInPagesWithoutTheNameOnFurtherOnes(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 2500))
	s.Intercept(func(c *kinesistest.Call) *kinesistest.Effect {
		if in, ok := c.Input.(*kinesis.ListShardsInput); ok {
			if in.NextToken != nil && (in.StreamName != nil || in.StreamARN != nil || in.ShardFilter != nil) {
				t.Errorf("unexpected input of a further page: %+v", in)
			}
			if in.NextToken == nil && (in.ShardFilter == nil || in.ShardFilter.Type != types.ShardFilterTypeAtLatest) {
				t.Errorf("unexpected input of the first page: %+v", in)
			}
		}
		return nil
	})
	p := newProducer(t, s.Client())
	records := batchOf("a", 5000)
	wait(t, put(t, p, records))
	checkDelivered(t, s, records)
	if got := s.Calls("ListShards"); got != 3 {
		t.Errorf("unexpected number of ListShards calls; got %d; want 3", got)
	}
	if st := p.Stats(); st.WrongShard != 0 || st.MapRefreshes != 1 {
		t.Errorf("unexpected counters; got %d wrong shards, %d refreshes; want 0, 1", st.WrongShard, st.MapRefreshes)
	}
}

func TestClosedShardsInTheListAreNotUsed(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 2))
	if err := s.SplitEven(stream, "shardId-000000000000"); err != nil {
		t.Fatal(err)
	}
	fake := s.Client()
	client := listClient{fake, func(in *kinesis.ListShardsInput) (*kinesis.ListShardsOutput, error) {
		in.ShardFilter = nil // as emulators do: closed shards are listed too
		return fake.ListShards(context.Background(), in)
	}}
	p := newProducer(t, client)
	records := batchOf("a", 500)
	wait(t, put(t, p, records))
	checkDelivered(t, s, records)
	if st := p.Stats(); st.WrongShard != 0 || st.MapRefreshes != 1 {
		t.Errorf("unexpected counters; got %d wrong shards, %d refreshes; want 0, 1", st.WrongShard, st.MapRefreshes)
	}
}

func TestRecordsWaitForTheFirstMapInsteadOfGoingOutSingly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		s.Fault(kinesistest.Fault{Operation: "ListShards", Times: 3, Effect: kinesistest.Fail("LimitExceededException", "slow down")})
		p := newProducer(t, s.Client())
		records := batchOf("a", 500)
		start := time.Now()
		wait(t, put(t, p, records))
		if got := time.Since(start); got < 3*time.Second || got > 6*time.Second {
			t.Errorf("unexpected wait; got %v; want the three backoffs of 1, 1.5 and 2.25 s with jitter", got)
		}
		closeProducer(t, p)
		checkDelivered(t, s, records)
		if got := s.Consume(stream).KinesisRecords; got > 4 {
			t.Errorf("unexpected number of Kinesis records; got %d; want aggregates", got)
		}
	})
}

func TestWithoutShardMapRecordsAreNotAggregated(t *testing.T) {
	for _, c := range []struct {
		name, code string
		after      time.Duration // until the producer gives up waiting for the map
		logged     string
	}{
		{name: "permission missing", code: "AccessDeniedException", logged: "needs=kinesis:ListShards"},
		{name: "outage at start", code: "ServiceUnavailable", after: 10 * time.Second, logged: "code=ServiceUnavailable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 4))
				outage := s.Fault(kinesistest.Fault{Operation: "ListShards", Effect: kinesistest.Fail(c.code, "no")})
				var log logText
				p := newProducer(t, s.Client(), log.option())
				records := batchOf("a", 300)
				start := time.Now()
				wait(t, put(t, p, records))
				if got := time.Since(start); got < c.after || got > c.after+time.Second {
					t.Errorf("unexpected wait; got %v; want %v", got, c.after)
				}
				if got := s.Consume(stream); got.Aggregates != 0 || got.KinesisRecords != 300 {
					t.Errorf("unexpected consumption; got %d aggregates in %d Kinesis records; want 0 in 300", got.Aggregates, got.KinesisRecords)
				}
				synctest.Wait() // a line is written after the lock is given back
				if !strings.Contains(log.String(), c.logged) {
					t.Errorf("unexpected log; got %q; want %q in it", log.String(), c.logged)
				}
				time.Sleep(5 * time.Minute)
				if got := strings.Count(log.String(), "records are not aggregated without the shard map"); got > 1 {
					t.Errorf("unexpected number of lines; got %d; want at most 1", got)
				}
				outage.Remove()
				time.Sleep(time.Minute)
				more := batchOf("b", 300)
				wait(t, put(t, p, more))
				checkDelivered(t, s, records, more)
				if got := s.Consume(stream); got.Aggregates == 0 {
					t.Error("unexpected absence of aggregates after the map came")
				}
				closeProducer(t, p)
			})
		})
	}
}

func TestOldMapStaysInUseWhileItIsRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		p := newProducer(t, s.Client())
		wait(t, put(t, p, batchOf("warm", 100)))
		if err := s.SplitEven(stream, "shardId-000000000000"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		release := make(chan struct{})
		s.Fault(kinesistest.Fault{Operation: "ListShards", Times: 1, Effect: kinesistest.Effect{Hold: release}})
		trigger := put(t, p, batchOf("trigger", 100)) // its aggregate for the split shard waits for the map
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		// Records for the other shards are aggregated and confirmed meanwhile.
		other := batchOf("other", 50)
		for i := range other {
			other[i].ExplicitHashKey = "340282366920938463463374607431768211455"
		}
		b := put(t, p, other)
		wait(t, b)
		if r := b.Result(0); !r.Confirmed() || r.ShardID != "shardId-000000000003" || r.SequenceNumber != b.Result(49).SequenceNumber {
			t.Errorf("unexpected result during the refresh: %+v", r)
		}
		close(release)
		wait(t, trigger)
		closeProducer(t, p)
		if got := s.Consume(stream); len(got.Records) != 250 {
			t.Errorf("unexpected number of records; got %d; want 250", len(got.Records))
		}
	})
}

func TestMissingStreamFailsAtOnceAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New()
		p := newProducer(t, s.Client())
		for range 2 { // the second does not wait for the next try
			b := put(t, p, batchOf("a", 3))
			start := time.Now()
			wait(t, b)
			if err := b.Result(0).Err; err == nil || err.Reason != core.ReasonStreamNotFound || err.Reason.Permanent() {
				t.Fatalf("unexpected error; got %v; want stream_not_found", err)
			}
			if got := time.Since(start); got != 0 {
				t.Errorf("unexpected wait; got %v; want none", got)
			}
		}
		if _, err := s.Client().CreateStream(context.Background(), &kinesis.CreateStreamInput{StreamName: aws.String(stream), ShardCount: aws.Int32(2)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		records := batchOf("b", 100)
		b := put(t, p, records)
		wait(t, b)
		if err := b.Err(); err != nil {
			t.Fatal(err)
		}
		checkDelivered(t, s, records)
		closeProducer(t, p)
	})
}

// recordsOfFirstQuarter makes records that all belong to the first shard of four.
func recordsOfFirstQuarter(prefix string, n int) []core.Record {
	records := batchOf(prefix, n)
	for i := range records {
		// Distributed evenly over [0, 2^126), so that both children get some.
		records[i].ExplicitHashKey = fmt.Sprintf("%d%037d", 8*(i+1)/(n+1), i+1)
	}
	return records
}

func TestSplitUnderLoadDoublesAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		p := newProducer(t, s.Client())
		before := recordsOfFirstQuarter("a", 500)
		wait(t, put(t, p, before))
		if err := s.SplitEven(stream, "shardId-000000000000"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		after := recordsOfFirstQuarter("b", 500)
		b := put(t, p, after)
		wait(t, b)
		if err := b.Err(); err != nil {
			t.Fatal(err)
		}
		closeProducer(t, p)
		checkDelivered(t, s, before, after)
		st := checkAccounts(t, p)
		if st.WrongShard != 500 || st.Uncertain != 0 || st.MapRefreshes != 2 {
			t.Errorf("unexpected counters; got %d in a wrong shard, %d uncertain, %d refreshes; want the 500 of the aggregate, 0, 2", st.WrongShard, st.Uncertain, st.MapRefreshes)
		}
		for i := range after {
			r := b.Result(i)
			if n := len(r.Attempts); n > 1 && (r.Attempts[0].Code != "Wrong Shard" || r.Attempts[0].SequenceNumber == "") {
				t.Fatalf("unexpected attempts of record %d: %+v", i, r.Attempts)
			}
		}
	})
}

func TestMergeUnderLoadDoublesAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		p := newProducer(t, s.Client())
		before, after := batchOf("a", 500), batchOf("b", 500)
		wait(t, put(t, p, before))
		if err := s.Merge(stream, "shardId-000000000001", "shardId-000000000002"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		wait(t, put(t, p, after))
		closeProducer(t, p)
		checkDelivered(t, s, before, after)
		if st := checkAccounts(t, p); st.WrongShard != 0 || st.Uncertain != 0 || st.MapRefreshes != 2 {
			t.Errorf("unexpected counters; got %d in a wrong shard, %d uncertain, %d refreshes; want 0, 0, 2", st.WrongShard, st.Uncertain, st.MapRefreshes)
		}
	})
}

func TestRecordAloneIsNeverInTheWrongShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		p := newProducer(t, s.Client(), core.WithAggregation(false))
		before, after := batchOf("a", 50), batchOf("b", 50)
		wait(t, put(t, p, before))
		if err := s.SplitEven(stream, "shardId-000000000000"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		wait(t, put(t, p, after))
		time.Sleep(time.Second)
		closeProducer(t, p)
		checkDelivered(t, s, before, after)
		if st := checkAccounts(t, p); st.WrongShard != 0 || st.Retries != 0 || st.MapRefreshes != 2 {
			t.Errorf("unexpected counters; got %d in a wrong shard, %d retries, %d refreshes; want 0, 0, 2", st.WrongShard, st.Retries, st.MapRefreshes)
		}
	})
}

func TestUnresolvableAggregateIsResentAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		p := newProducer(t, s.Client())
		wait(t, put(t, p, batchOf("warm", 10)))
		if err := s.SplitEven(stream, "shardId-000000000000"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		outage := s.Fault(kinesistest.Fault{Operation: "ListShards", Effect: kinesistest.Status(503)})
		records := batchOf("a", 100)
		b := put(t, p, records)
		time.Sleep(12 * time.Second)
		if st := p.Stats(); st.Uncertain == 0 {
			t.Errorf("unexpected number of uncertain records; got 0; want some")
		}
		outage.Remove()
		wait(t, b)
		closeProducer(t, p)
		m := seen(s)
		for _, r := range records {
			if m[string(r.Data)] == 0 {
				t.Fatalf("record %q is lost", r.Data)
			}
		}
		checkAccounts(t, p)
	})
}

func TestStreamRecreatedWithOtherRangesLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		ctx := context.Background()
		p := newProducer(t, s.Client())
		wait(t, put(t, p, batchOf("old", 200)))
		if _, err := s.Client().DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: aws.String(stream)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		// Three shards: the ids 0 to 2 exist again, with other ranges.
		if _, err := s.Client().CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String(stream), ShardCount: aws.Int32(3)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		between, records := batchOf("between", 200), batchOf("new", 200)
		wait(t, put(t, p, between))
		time.Sleep(time.Second)
		wait(t, put(t, p, records))
		closeProducer(t, p)
		checkDelivered(t, s, between, records)
	})
}

func TestAutoDistributionSwitchesAggregationOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		var log logText
		p := newProducer(t, s.Client(), log.option())
		keyed := batchOf("a", 400)
		wait(t, put(t, p, keyed))
		if err := s.SetDistribution(stream, types.RecordDistributionStrategyAuto); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Minute) // the next look at the stream's metadata
		auto := batchOf("b", 400)
		auto[0].PartitionKey = ""
		wait(t, put(t, p, auto))
		checkDelivered(t, s, keyed, auto)
		synctest.Wait() // a line is written after the lock is given back
		if !strings.Contains(log.String(), "AUTO") {
			t.Errorf("unexpected log; got %q; want a line on AUTO", log.String())
		}
		if err := s.SetDistribution(stream, types.RecordDistributionStrategyUserPartitionKey); err != nil {
			t.Fatal(err)
		}
		before := len(s.Records(stream))
		time.Sleep(15 * time.Minute)
		again := batchOf("c", 400)
		wait(t, put(t, p, again))
		checkDelivered(t, s, keyed, auto, again)
		if got := len(s.Records(stream)) - before; got > 8 {
			t.Errorf("unexpected number of Kinesis records; got %d; want aggregates again", got)
		}
		closeProducer(t, p)
	})
}

func TestStreamMetadataSetsTheRecordLimit(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 1))
	if _, err := s.Client().UpdateMaxRecordSize(context.Background(), &kinesis.UpdateMaxRecordSizeInput{
		StreamARN: aws.String(s.ARN(stream)), MaxRecordSizeInKiB: aws.Int32(10240),
	}); err != nil {
		t.Fatal(err)
	}
	p := newProducer(t, s.Client(), core.WithRateLimit(1000))
	big := core.Record{PartitionKey: "k", Data: make([]byte, 10<<20-1)}
	if _, err := p.PutSync(context.Background(), stream, big); err != nil {
		t.Fatal(err)
	}
	big.Data = make([]byte, 10<<20)
	if _, err := p.PutSync(context.Background(), stream, big); err == nil {
		t.Fatal("unexpected success of a record above the limit")
	}
}

func TestDescribeDeniedWarnsOnceAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		s.Fault(kinesistest.Fault{Operation: "DescribeStreamSummary", Effect: kinesistest.Fail("AccessDeniedException", "no")})
		var log logText
		p := newProducer(t, s.Client(), log.option())
		records := batchOf("a", 100)
		wait(t, put(t, p, records))
		time.Sleep(time.Hour)
		checkDelivered(t, s, records)
		synctest.Wait() // a line is written after the lock is given back
		if got := strings.Count(log.String(), "needs=kinesis:DescribeStreamSummary"); got != 1 {
			t.Errorf("unexpected number of warnings; got %d; want 1 in %q", got, log.String())
		}
		closeProducer(t, p)
	})
}

// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

func TestShardIsPacedToItsLimitsWithoutThrottles(t *testing.T) {
	for _, c := range []struct {
		name      string
		aggregate bool
		records   int
		size      int
		least     time.Duration
		most      time.Duration
	}{
		// 2 MiB a second over two shards after a burst of a quarter of that.
		{name: "bytes", aggregate: true, records: 40_000, size: 500, least: 8 * time.Second, most: 12 * time.Second},
		// 2,000 records a second over two shards after a burst of a quarter of that.
		{name: "records", aggregate: false, records: 20_000, size: 10, least: 8 * time.Second, most: 11 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 2), kinesistest.WithLimits(kinesistest.Limits{RecordsPerSecond: 1000, BytesPerSecond: 1 << 20}))
				p := newProducer(t, s.Client(), core.WithAggregation(c.aggregate))
				records := batchOf("a", c.records)
				for i := range records {
					records[i].Data = append(records[i].Data, make([]byte, c.size)...)
				}
				start := time.Now()
				b, err := p.PutBatch(context.Background(), stream, records)
				if err != nil {
					t.Fatal(err)
				}
				wait(t, b)
				if got := time.Since(start); got < c.least || got > c.most {
					t.Errorf("unexpected time; got %v; want %v to %v", got, c.least, c.most)
				}
				closeProducer(t, p)
				st := checkAccounts(t, p)
				if st.Confirmed != uint64(c.records) || st.Throttled > st.KinesisRecords/50 {
					t.Errorf("unexpected counters; got %d confirmed, %d throttled of %d Kinesis records", st.Confirmed, st.Throttled, st.KinesisRecords)
				}
			})
		})
	}
}

// An aggregate that leaves before it is full uses tokens for its bytes, not for what they
// might have been had each record another key.
func TestPaceFollowsTheBytesThatWereSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: time.Millisecond}})
		p := newProducer(t, s.Client())
		records := longKeys(100)
		start := time.Now()
		for range 1000 {
			b, err := p.PutBatch(context.Background(), stream, records)
			if err != nil {
				t.Fatal(err)
			}
			wait(t, b)
		}
		// Each aggregate has 2 KiB; with 100 keys it would have 27.
		if got, most := time.Since(start), 4*time.Second; got > most {
			t.Errorf("unexpected time for 2 MiB; got %v; want at most %v", got, most)
		}
		closeProducer(t, p)
		checkAccounts(t, p)
	})
}

// Records that wait for tokens take them, and wait, for what they are. A bound on their size
// can be many times as much.
func TestShardThatIsPressedWaitsForBytesAndNotForBounds(t *testing.T) {
	for _, o := range []core.Ordering{core.OrderingNone, core.OrderingStrict} {
		synctest.Test(t, func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithStream(stream, 1))
			s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Delay(20 * time.Millisecond)})
			p := newProducer(t, s.Client(), core.WithRateLimit(10), core.WithOrdering(o))
			start := time.Now()
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range 50 {
						wait(t, put(t, p, longKeys(100)))
					}
				})
			}
			wg.Wait()
			took := time.Since(start).Seconds()
			closeProducer(t, p)
			// After a burst of a quarter of a second's worth.
			if want := float64(checkAccounts(t, p).KinesisBytes)/(0.1*(1<<20)) - 0.25; took > 1.1*want {
				t.Errorf("unexpected time with ordering %d; got %.2f s; want %.2f s", o, took, want)
			}
		})
	}
}

func TestShardGoesOnAsSoonAsItGetsTokensBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Delay(20 * time.Millisecond)})
		p := newProducer(t, s.Client(), core.WithRateLimit(2))
		start := time.Now()
		var wg sync.WaitGroup
		for range 2 {
			b := put(t, p, longKeys(100)) // bounded by more than a second's worth
			wg.Go(func() { wait(t, b) })
			synctest.Wait()
		}
		wg.Wait()
		if got := time.Since(start); got > 200*time.Millisecond {
			t.Errorf("unexpected time for 4 KiB of a burst of 5; got %v; want two round trips and little more", got)
		}
		closeProducer(t, p)
	})
}

// longKeys makes n records with one key. An aggregate of them is a tenth or less of what it
// might be by the number and the sizes of its records.
func longKeys(n int) []core.Record {
	records := make([]core.Record, n)
	for i := range records {
		records[i] = core.Record{PartitionKey: strings.Repeat("k", 250), Data: []byte("0123456789")}
	}
	return records
}

func TestThrottledShardDoesNotHoldUpTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		jam := s.Fault(kinesistest.Fault{Operation: "PutRecords", Shard: "shardId-000000000000", Effect: kinesistest.ThrottleEntries()})
		p := newProducer(t, s.Client())
		slow := put(t, p, recordsOfFirstQuarter("slow", 1000))
		time.Sleep(time.Second)
		for i := range 50 {
			fast := batchOf(fmt.Sprint("fast", i), 100)
			for j := range fast {
				fast[j].ExplicitHashKey = "340282366920938463463374607431768211455"
			}
			start := time.Now()
			wait(t, put(t, p, fast))
			if got := time.Since(start); got > 200*time.Millisecond {
				t.Fatalf("unexpected wait behind a slow shard; got %v", got)
			}
		}
		if _, _, pending := slow.Counts(); pending != 1000 {
			t.Errorf("unexpected number of pending records; got %d; want 1000", pending)
		}
		jam.Remove()
		wait(t, slow)
		if err := slow.Err(); err != nil {
			t.Error(err)
		}
		closeProducer(t, p)
	})
}

func TestThrottledRecordIsRetriedAloneAndBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		jam := s.Fault(kinesistest.Fault{Operation: "PutRecords", Shard: "shardId-000000000002", Times: 4, Effect: kinesistest.ThrottleEntries()})
		p := newProducer(t, s.Client(), core.WithRetryBackoff(100*time.Millisecond, 5*time.Second))
		records := batchOf("a", 400)
		b := put(t, p, records)
		wait(t, b)
		closeProducer(t, p)
		checkDelivered(t, s, records)
		if jam.Hits() != 4 {
			t.Errorf("unexpected number of throttles; got %d; want 4", jam.Hits())
		}
		for i := range records {
			r := b.Result(i)
			want := 1
			if r.ShardID == "shardId-000000000002" {
				want = 5
			}
			if len(r.Attempts) != want {
				t.Fatalf("unexpected number of attempts of a record in %s; got %d; want %d", r.ShardID, len(r.Attempts), want)
			}
			for n := 1; n < want; n++ {
				pause := r.Attempts[n].Start.Sub(r.Attempts[n-1].End)
				bound := 100 * time.Millisecond << (n - 1)
				if pause < bound/10 || pause > bound+20*time.Millisecond {
					t.Fatalf("unexpected pause before attempt %d; got %v; want %v to %v", n+1, pause, bound/10, bound)
				}
				if a := r.Attempts[n-1]; a.Code != "ProvisionedThroughputExceededException" || a.Message == "" || a.SequenceNumber != "" {
					t.Fatalf("unexpected attempt: %+v", a)
				}
			}
		}
	})
}

func TestRecordLargerThanASecondOfCapacityPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		if err := s.SetMaxRecordKiB(stream, 10240); err != nil {
			t.Fatal(err)
		}
		p := newProducer(t, s.Client())
		start := time.Now()
		records := batchOf("a", 2)
		for i := range records {
			records[i].Data = append(records[i].Data, make([]byte, 5<<20)...)
		}
		wait(t, put(t, p, records))
		// The second waits until the debt of the first is over.
		if got := time.Since(start); got < 4*time.Second || got > 6*time.Second {
			t.Errorf("unexpected time; got %v; want about 5 s", got)
		}
		closeProducer(t, p)
		checkDelivered(t, s, records)
	})
}

func TestRateLimitIsAShareOfTheShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		p := newProducer(t, s.Client(), core.WithRateLimit(50), core.WithAggregation(false))
		start := time.Now()
		wait(t, put(t, p, batchOf("a", 5500)))
		if got := time.Since(start); got < 10500*time.Millisecond || got > 11*time.Second {
			t.Errorf("unexpected time for 5,500 records at 500 a second and a burst of 125; got %v; want about 10.75 s", got)
		}
		closeProducer(t, p)
	})
}

func TestUnkeyedRecordsAvoidAThrottledShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Shard: "shardId-000000000000", Effect: kinesistest.ThrottleEntries()})
		p := newProducer(t, s.Client(), core.WithMaxBufferedTime(5*time.Millisecond))
		confirmed := 0
		for i := range 400 {
			records := batchOf(fmt.Sprint("s", i), 10)
			for j := range records {
				records[j].PartitionKey = ""
			}
			b := put(t, p, records)
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
			if b.WaitSettled(ctx) == nil {
				confirmed++
			}
			cancel()
			time.Sleep(5 * time.Millisecond)
		}
		// A quarter would be stuck if the choice were blind.
		if confirmed < 390 {
			t.Errorf("unexpected number of prompt batches; got %d of 400; want at least 390", confirmed)
		}
		s.ClearFaults()
		closeProducer(t, p)
		checkAccounts(t, p)
	})
}

func TestRequestsKeepTheirBounds(t *testing.T) {
	for _, c := range []struct {
		name         string
		opts         []core.Option
		records, sz  int
		count, bytes int
		shard        int
	}{
		{name: "default", records: 3000, sz: 900, count: 500, bytes: 1 << 20, shard: 256<<10 + 51200},
		{name: "single records", opts: []core.Option{core.WithAggregation(false)}, records: 3000, sz: 100, count: 500, bytes: 1 << 20, shard: 1 << 20},
		{name: "count", opts: []core.Option{core.WithCollectionMaxCount(7)}, records: 3000, sz: 900, count: 7, bytes: 1 << 20, shard: 1 << 20},
		{name: "bytes", opts: []core.Option{core.WithCollectionMaxBytes(120_000)}, records: 3000, sz: 900, count: 500, bytes: 120_000, shard: 1 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithStream(stream, 4))
			s.Intercept(func(call *kinesistest.Call) *kinesistest.Effect {
				in, ok := call.Input.(*kinesis.PutRecordsInput)
				if !ok {
					return nil
				}
				total := 0
				byShard := map[byte]int{}
				for _, r := range in.Records {
					n := len(r.Data) + len(*r.PartitionKey)
					total += n
					// The four quarters of the ring by their first two digits.
					byShard[quarter(*r.ExplicitHashKey)] += n
				}
				for q, n := range byShard {
					if n > c.shard {
						t.Errorf("unexpected bytes for shard %d in one request; got %d; want at most %d", q, n, c.shard)
					}
				}
				if len(in.Records) > c.count || total > c.bytes {
					t.Errorf("unexpected request; got %d records, %d bytes; want at most %d, %d", len(in.Records), total, c.count, c.bytes)
				}
				return nil
			})
			p := newProducer(t, s.Client(), append(c.opts, core.WithRateLimit(1_000_000))...)
			records := batchOf("a", c.records)
			for i := range records {
				records[i].Data = append(records[i].Data, make([]byte, c.sz)...)
			}
			wait(t, put(t, p, records))
			closeProducer(t, p)
			checkDelivered(t, s, records)
		})
	}
}

func quarter(decimal string) byte {
	for q, end := range []string{"85070591730234615865843651857942052863", "170141183460469231731687303715884105727", "255211775190703847597530955573826158591"} {
		if len(decimal) < len(end) || len(decimal) == len(end) && decimal <= end {
			return byte(q)
		}
	}
	return 3
}

func TestRequestsInFlightAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 8))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Delay(50 * time.Millisecond)})
		p := newProducer(t, s.Client(), core.WithMaxInFlight(3), core.WithCollectionMaxBytes(60_000))
		records := batchOf("a", 4000)
		for i := range records {
			records[i].Data = append(records[i].Data, make([]byte, 900)...)
		}
		wait(t, put(t, p, records))
		closeProducer(t, p)
		checkDelivered(t, s, records)
		if got := s.Stats().PeakConcurrency; got != 3 {
			t.Errorf("unexpected peak of calls in flight; got %d; want 3", got)
		}
	})
}

// At the pace of the shards, Kinesis records become free one by one. They share
// requests all the same, and unkeyed records use all shards alike, so that the last
// shard is not done long after the first.
func TestPacedRecordsShareRequestsAndShards(t *testing.T) {
	for _, c := range []struct {
		name        string
		records     int
		aggregation bool
		seconds     float64 // at the limits of 16 shards
	}{
		{"aggregated, by bytes", 40_000, true, 3.9},
		{"alone, by records", 64_000, false, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 16), kinesistest.WithCountOnly())
				p := newProducer(t, s.Client(), core.WithAggregation(c.aggregation), core.WithBufferBytes(1<<30))
				data := make([]byte, 1600)
				if !c.aggregation {
					data = data[:100]
				}
				records := make([]core.Record, c.records)
				for i := range records {
					records[i].Data = data
				}
				start := time.Now()
				wait(t, put(t, p, records))
				if took := time.Since(start).Seconds(); took > 1.15*c.seconds {
					t.Errorf("unexpected time; got %.1f s; want little more than %.1f s", took, c.seconds)
				}
				st := p.Stats()
				if each := float64(st.KinesisRecords) / float64(st.Requests); each < 8 {
					t.Errorf("unexpected Kinesis records for each request; got %.1f (%d in %d); want at least 8", each, st.KinesisRecords, st.Requests)
				}
			})
		})
	}
}

// A limit that is lowered while the producer runs is not known to it. The record that is
// above it is told apart from one that is invalid, also where nothing else is put, and what
// the call says does not matter.
func TestALimitThatWasLoweredIsNoticed(t *testing.T) {
	for name, message := range map[string]string{
		"Kinesis names the record": "1 validation error detected: Value at 'records.1.member.data' failed to satisfy constraint: Member must have length less than or equal to 1048576",
		"Kinesis says nothing":     "no",
	} {
		for _, others := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/others pass %v", name, others), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := kinesistest.New(kinesistest.WithStream(stream, 1))
					if err := s.SetMaxRecordKiB(stream, 10240); err != nil {
						t.Fatal(err)
					}
					p := newProducer(t, s.Client())
					large := func() []core.Record {
						list := batchOf("large", 1)
						list[0].Data = append(list[0].Data, make([]byte, 3<<19)...)
						return list
					}
					before, after := large(), large()
					wait(t, put(t, p, before))
					s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("ValidationException", message), Match: func(c *kinesistest.Call) bool {
						in := c.Input.(*kinesis.PutRecordsInput)
						return slices.ContainsFunc(in.Records, func(e types.PutRecordsRequestEntry) bool { return len(e.Data) > 1<<20 })
					}})
					if err := s.SetMaxRecordKiB(stream, 1024); err != nil {
						t.Fatal(err)
					}
					b := put(t, p, after)
					var noise [][]core.Record
					for i := 0; others && i < 40; i++ {
						noise = append(noise, batchOf(fmt.Sprint("n", i), 3))
						wait(t, put(t, p, noise[i]))
						time.Sleep(300 * time.Millisecond)
					}
					time.Sleep(30 * time.Second)
					failed := 0
					for _, err := range b.Failures {
						if failed++; err.Reason != core.ReasonTooLarge || !strings.Contains(err.Detail, "have 1572") {
							t.Errorf("unexpected failure: %v; want too_large and the size", err)
						}
					}
					if failed != 1 {
						t.Errorf("unexpected state after 30 s; got %d failures; want 1", failed)
					}
					closeProducer(t, p)
					checkDelivered(t, s, append([][]core.Record{before}, noise...)...)
				})
			})
		}
	}
}

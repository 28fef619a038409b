// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// sync delivers one record with PutSync, and tells how long that took.
func (r *lingerRig) sync(key string) time.Duration {
	r.t.Helper()
	begun := time.Now()
	if _, err := r.p.PutSync(context.Background(), "s", Record{PartitionKey: key, Data: make([]byte, 200)}); err != nil {
		r.t.Error(err)
	}
	return time.Since(begun)
}

// keyElsewhere returns a key of another shard than that of the key.
func (r *lingerRig) keyElsewhere(key string) string {
	m := r.p.pipelines["s"].shardMap.Load()
	for i := 0; ; i++ {
		if other := fmt.Sprint(i); m.lookupShard(aggregation.HashPartitionKey(other)) != m.lookupShard(aggregation.HashPartitionKey(key)) {
			return other
		}
	}
}

// stored is how many Kinesis records there are.
func (r *lingerRig) stored() int { return int(r.server.Stats().Records) }

func TestPutSyncBesideOthersTakesARoundTrip(t *testing.T) {
	for _, c := range []struct {
		name string
		opts []Option
	}{
		{"aggregated", nil},
		{"strict", []Option{WithOrdering(OrderingStrict)}},
		{"no aggregation", []Option{WithAggregation(false)}},
		{"an aggregate that is nearly full", []Option{WithAggregationMaxCount(10)}},
		{"an aggregate that gets full", []Option{WithAggregationMaxCount(4)}},
		{"a time to linger", []Option{WithLinger(10 * time.Second)}},
	} {
		for _, key := range []string{"a", "b", ""} {
			t.Run(fmt.Sprintf("%s, key %q", c.name, key), func(t *testing.T) {
				inRig(t, func(r *lingerRig) {
					r.crowd(3)
					others := []*Batch{r.begin("a", 3), r.begin("", 3)}
					for range 3 {
						r.wantTime("PutSync", r.sync(key), rigTrip)
						others = append(others, r.begin("a", 1))
					}
					if err := r.p.Flush(context.Background()); err != nil {
						t.Error(err)
					}
					for _, b := range others {
						if err := b.Err(); err != nil {
							t.Error(err)
						}
					}
				}, append(c.opts, WithMaxBufferedTime(time.Minute))...)
			})
		}
	}
}

// Records that wait for their shards have a request wait for them; see moreComes.
func TestPutSyncDoesNotWaitForRecordsOfOtherShardsThatArePaced(t *testing.T) {
	inRig(t, func(r *lingerRig) {
		other := r.keyElsewhere("a")
		for range 200 {
			r.begin("a", 1)
		}
		time.Sleep(time.Second) // fake time: the shard of "a" is at its limit
		pl := r.p.pipelines["s"]
		locked(pl, func() {
			if !pl.moreComes() {
				t.Error("unexpected state: no record waits for its shard")
			}
		})
		r.wantTime("PutSync", r.sync(other), rigTrip)
	}, WithAggregation(false), WithShardLimit(100, 1<<20))
}

// What everybody waited for is in the queue of its shard when more comes that nobody waits for.
func TestPutSyncInStrictOrderingWaitsForItsShardOnly(t *testing.T) {
	for _, joins := range []bool{false, true} {
		t.Run(fmt.Sprintf("joins what is queued: %t", joins), func(t *testing.T) {
			inRig(t, func(r *lingerRig) {
				var work sync.WaitGroup
				work.Go(func() { r.sync("a") })
				synctest.Wait()
				queued := func() {
					if took := r.sync("a"); took > 2*rigTrip {
						t.Errorf("unexpected time of PutSync; got %v; want at most two round trips", took)
					}
				}
				if joins {
					b := r.begin("a", 1)
					work.Go(func() { _ = b.WaitSettled(context.Background()) })
				} else {
					work.Go(queued)
				}
				synctest.Wait()
				r.begin(r.keyElsewhere("a"), 1) // for which nobody waits
				if joins {
					queued()
				}
				work.Wait()
			}, WithOrdering(OrderingStrict), WithMaxBufferedTime(time.Minute))
		})
	}
}

// It takes along what is open for its own shard, and leaves that of others to fill up.
func TestPutSyncHurriesItsOwnShardOnly(t *testing.T) {
	inRig(t, func(r *lingerRig) {
		before := r.stored()
		same, other := r.begin("a", 3), r.begin(r.keyElsewhere("a"), 3)
		r.wantTime("PutSync", r.sync("a"), rigTrip)
		if _, _, pending := same.Counts(); pending != 0 {
			t.Errorf("unexpected records of the same shard pending; got %d; want 0", pending)
		}
		if _, _, pending := other.Counts(); pending != 3 {
			t.Errorf("unexpected records of another shard pending; got %d; want 3", pending)
		}
		if n := r.stored() - before; n != 1 {
			t.Errorf("unexpected Kinesis records; got %d; want 1", n)
		}
	}, WithMaxBufferedTime(time.Minute))
}

// Each would make a Kinesis record otherwise, of which a shard takes 1,000 a second.
func TestManyCallersOfPutSyncShareAKinesisRecordForEachRoundTrip(t *testing.T) {
	const callers, turns = 50, 10
	for _, opts := range [][]Option{nil, {WithOrdering(OrderingStrict)}} {
		inRig(t, func(r *lingerRig) {
			beside := r.begin(r.keyElsewhere("a"), 1) // for which nobody waits
			before := r.stored()
			var work sync.WaitGroup
			for i := range callers {
				work.Go(func() {
					time.Sleep(time.Duration(i) * rigTrip / callers) // fake time
					for range turns {
						if took := r.sync("a"); took > 2*rigTrip {
							t.Errorf("unexpected time of PutSync; got %v; want at most two round trips", took)
						}
					}
				})
			}
			work.Wait()
			if n := r.stored() - before; n > 2*turns+1 {
				t.Errorf("unexpected Kinesis records for %d times %d records; got %d; want at most %d", turns, callers, n, 2*turns+1)
			}
			if _, _, pending := beside.Counts(); pending != 1 {
				t.Errorf("unexpected records of another shard pending; got %d; want 1", pending)
			}
		}, append(opts, WithMaxBufferedTime(time.Minute))...)
	}
}

// One that does not come back delays the next by what others wait, no more.
func TestPutSyncBehindOneThatDoesNotComeBackWaitsAsOthersDo(t *testing.T) {
	const buffered = 300 * time.Millisecond
	inRig(t, func(r *lingerRig) {
		r.begin(r.keyElsewhere("a"), 1) // for which nobody waits
		r.server.ClearFaults()
		r.server.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: time.Minute}, Times: 1})
		r.server.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: rigTrip}})
		var work sync.WaitGroup
		work.Go(func() { r.sync("a") })
		synctest.Wait()
		r.wantTime("PutSync behind it", r.sync("a"), buffered+rigTrip)
		work.Wait()
	}, WithMaxBufferedTime(buffered), WithRequestTimeout(10*time.Minute))
}

// The records of a shard that is no more go to others, where they hurry the aggregate again.
func TestPutSyncIsPromptThroughASplit(t *testing.T) {
	inRig(t, func(r *lingerRig) {
		for _, sh := range r.server.OpenShards("s") {
			if err := r.server.SplitEven("s", sh.ID); err != nil {
				t.Fatal(err)
			}
		}
		var work sync.WaitGroup
		for i := range 30 {
			r.begin(fmt.Sprint(i), 1)
			work.Go(func() {
				if took := r.sync(fmt.Sprint(i % 5)); took > 10*rigTrip {
					t.Errorf("unexpected time of PutSync while the stream is split; got %v", took)
				}
			})
		}
		work.Wait()
		pl := r.p.pipelines["s"]
		locked(pl, func() {
			if n := len(pl.aggregates.prompts); n != 0 {
				t.Errorf("unexpected prompt records under way; got %d; want none", n)
			}
		})
	}, WithMaxBufferedTime(time.Minute))
}

// Aggregates that are due about the same time leave in one request, and get records until then.
func TestAggregatesThatAreDueAboutTheSameTimeShareARequest(t *testing.T) {
	const buffered = 100 * time.Millisecond
	for _, c := range []struct {
		name          string
		second        time.Duration // when the second aggregate is opened
		first, latter time.Duration // when they leave
		requests      uint64
	}{
		{"at one time", 0, 100, 100, 1},
		{"a little later", 7, 110, 110, 1},
		{"as late as can be", 10, 110, 110, 1},
		{"too late", 11, 100, 111, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			inRig(t, func(r *lingerRig) {
				before, stored := r.p.Stats().Requests, r.stored()
				begun := time.Now()
				first := r.begin("a", 1)
				time.Sleep(c.second * time.Millisecond) // fake time
				second := r.begin(r.keyElsewhere("a"), 1)
				time.Sleep(c.first*time.Millisecond - time.Since(begun) - time.Nanosecond)
				last := r.begin("a", 1)
				<-first.Done()
				<-last.Done()
				r.wantTime("the first", time.Since(begun), c.first*time.Millisecond+rigTrip)
				<-second.Done()
				r.wantTime("the second", time.Since(begun), c.latter*time.Millisecond+rigTrip)
				if n := r.p.Stats().Requests - before; n != c.requests {
					t.Errorf("unexpected requests; got %d; want %d", n, c.requests)
				}
				if n := r.stored() - stored; n != 2 {
					t.Errorf("unexpected Kinesis records; got %d; want 2", n)
				}
			}, WithMaxBufferedTime(buffered))
		})
	}
}

// A Flush closes more aggregates than are closed in one go while some wait for others.
func TestFlushOfManyAggregatesDoesNotWaitForThoseThatAreDueSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("s", 3*maxCloses))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: rigTrip}})
		p, err := New(s.Client(), WithMaxBufferedTime(100*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		r := &lingerRig{t, s, p}
		r.put("first", 1)
		for i := range 2 {
			for j := range 6 * maxCloses {
				r.begin(fmt.Sprint(i, j), 1)
			}
			time.Sleep(5 * time.Millisecond) // fake time
		}
		time.Sleep(92 * time.Millisecond) // fake time: the first are due, and wait for the others
		begun := time.Now()
		if err := p.Flush(context.Background()); err != nil {
			t.Error(err)
		}
		r.wantTime("Flush", time.Since(begun), rigTrip)
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestNoRecordWaitsForOthersForMoreThanHalfOfItsTTL(t *testing.T) {
	for _, opts := range [][]Option{nil, {WithAggregation(false)}} {
		inRig(t, func(r *lingerRig) {
			begun := time.Now()
			b := r.begin("a", 1)
			<-b.Done()
			if err := b.Err(); err != nil {
				t.Error(err)
			}
			r.wantTime("a batch", time.Since(begun), 100*time.Millisecond+rigTrip)
		}, append(opts, WithMaxBufferedTime(time.Second), WithRecordTTL(200*time.Millisecond))...)
	}
}

// With few records for each shard, what comes within MaxBufferedTime of the first shares an
// aggregate. That is the least there can be if nobody hurries, and callers of PutSync must
// not make it more.
func TestLowRateMakesNoMoreKinesisRecordsThanTheDeadlinesAsk(t *testing.T) {
	const shards, records, every, trip = 16, 10_000, time.Millisecond, 5 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("s", shards), kinesistest.WithCountOnly(), kinesistest.WithLimits(kinesistest.AWSLimits))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: trip}})
		p, err := New(s.Client())
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		if _, err := p.PutSync(ctx, "s", Record{PartitionKey: "first"}); err != nil {
			t.Fatal(err)
		}
		before := s.Stats()
		rng := rand.New(rand.NewPCG(1, 2))
		m := p.pipelines["s"].shardMap.Load()
		due, least := map[*shard]time.Time{}, 0 // if all wait for as long as they may
		var mu sync.Mutex
		arrives := func(key string) {
			mu.Lock()
			defer mu.Unlock()
			if sh := m.lookupShard(aggregation.HashPartitionKey(key)); time.Now().After(due[sh]) {
				due[sh] = time.Now().Add(100 * time.Millisecond)
				least++
			}
		}
		var times, waited []time.Duration
		var work sync.WaitGroup
		work.Go(func() {
			for i := range int(records * every / (100 * time.Millisecond)) {
				begun := time.Now()
				arrives(fmt.Sprint("waiter-", i))
				if _, err := p.PutSync(ctx, "s", Record{PartitionKey: fmt.Sprint("waiter-", i), Data: make([]byte, 200)}); err != nil {
					t.Error(err)
				}
				waited = append(waited, time.Since(begun))
				time.Sleep(100*time.Millisecond - time.Since(begun)) // fake time
			}
		})
		for range records {
			key, begun := fmt.Sprintf("%016x", rng.Uint64()), time.Now()
			arrives(key)
			b, err := p.Put(ctx, "s", Record{PartitionKey: key, Data: make([]byte, 200)})
			if err != nil {
				t.Fatal(err)
			}
			b.OnSettled(func(*Batch) {
				mu.Lock()
				defer mu.Unlock()
				times = append(times, time.Since(begun))
			})
			time.Sleep(every) // fake time
		}
		work.Wait()
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
		slices.Sort(times)
		slices.Sort(waited)
		st := s.Stats()
		n := int(st.Records - before.Records)
		t.Logf("%d Kinesis records in %d requests, at least %d; p50 %v, p99 %v, of PutSync %v and %v", n, st.Calls["PutRecords"]-before.Calls["PutRecords"], least,
			times[len(times)/2], times[len(times)*99/100], waited[len(waited)/2], waited[len(waited)*99/100])
		if n > least {
			t.Errorf("unexpected Kinesis records; got %d; want at most %d", n, least)
		}
		if last := times[len(times)-1]; last > 110*time.Millisecond+trip {
			t.Errorf("unexpected time of a record; got %v; want at most %v", last, 110*time.Millisecond+trip)
		}
		if last := waited[len(waited)-1]; last > 2*trip {
			t.Errorf("unexpected time of PutSync; got %v; want at most two round trips", last)
		}
	})
}

// A full aggregate gains nothing by a wait but company for its request.
func TestAFullAggregateWaitsForAFifthOfTheTimeAtMost(t *testing.T) {
	inRig(t, func(r *lingerRig) {
		r.begin(r.keyElsewhere("a"), 1) // for which nobody waits
		begun := time.Now()
		b := r.begin("a", 10)
		<-b.Done()
		r.wantTime("a batch that fills an aggregate", time.Since(begun), 20*time.Millisecond+rigTrip)
	}, WithMaxBufferedTime(100*time.Millisecond), WithAggregationMaxCount(10))
}

// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// lingerRig is a producer whose calls take 20 ms.
type lingerRig struct {
	t      *testing.T
	server *kinesistest.Server
	p      *Producer
}

const rigTrip = 20 * time.Millisecond

// inRig runs a test in a bubble: all that takes time is the round trip, and waits.
func inRig(t *testing.T, f func(r *lingerRig), opts ...Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("s", 4), kinesistest.WithLimits(kinesistest.Limits{}))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: rigTrip}})
		p, err := New(s.Client(), append([]Option{WithRateLimit(1_000_000)}, opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		r := &lingerRig{t, s, p}
		r.put("first", 1) // the map is known from here on
		f(r)
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func (r *lingerRig) begin(key string, n int) *Batch {
	r.t.Helper()
	records := make([]Record, n)
	for i := range records {
		records[i] = Record{PartitionKey: key, Data: make([]byte, 200)}
	}
	b, err := r.p.PutBatch(context.Background(), "s", records)
	if err != nil {
		r.t.Error(err)
	}
	return b
}

// put delivers records of a key, and tells how long that took.
func (r *lingerRig) put(key string, n int) time.Duration {
	r.t.Helper()
	begun := time.Now()
	if err := r.begin(key, n).Wait(context.Background()); err != nil {
		r.t.Error(err)
	}
	return time.Since(begun)
}

// crowd has n batches under way at one time, which leave together.
func (r *lingerRig) crowd(n int) {
	r.t.Helper()
	batches := make([]*Batch, n)
	for i := range batches {
		batches[i] = r.begin("crowd", 1)
	}
	begun := time.Now()
	var work sync.WaitGroup
	for _, b := range batches {
		work.Go(func() { _ = b.Wait(context.Background()) })
	}
	work.Wait()
	if took := time.Since(begun); took != rigTrip {
		r.t.Errorf("unexpected time of a crowd; got %v; want %v", took, rigTrip)
	}
}

func (r *lingerRig) wantTime(what string, got, want time.Duration) {
	r.t.Helper()
	if got != want {
		r.t.Errorf("unexpected time of %s; got %v; want %v", what, got, want)
	}
}

// linger returns how long LingerAuto waits at the moment.
func (r *lingerRig) linger() time.Duration {
	pl := r.p.pipelines["s"]
	pl.lock()
	defer pl.unlock()
	return time.Duration(pl.linger.time)
}

func TestALoneCallerNeverLingers(t *testing.T) {
	for _, d := range []time.Duration{LingerAuto, time.Second} {
		t.Run(d.String(), func(t *testing.T) {
			inRig(t, func(r *lingerRig) {
				for range 30 {
					r.wantTime("a batch", r.put("a", 10), rigTrip)
				}
			}, WithLinger(d))
		})
	}
}

func TestCallersThatDoNotOverlapDoNotLinger(t *testing.T) {
	inRig(t, func(r *lingerRig) {
		var work sync.WaitGroup
		for i := range 3 {
			work.Go(func() {
				time.Sleep(time.Duration(i) * 300 * time.Millisecond)
				for range 10 {
					r.wantTime("a batch", r.put("a", 10), rigTrip)
					time.Sleep(time.Second)
				}
			})
		}
		work.Wait()
	})
}

// With partition keys each chunk has some events for each shard. Chunks that are under way at
// one time share aggregates, or most payload units would be half empty.
func TestWorkersShareAggregates(t *testing.T) {
	chunks := chunksOfPods(96)
	for _, c := range []crowd{
		{},
		{trip: 100 * time.Millisecond},
		{paced: true},
		{paced: true, opts: []Option{WithMaxBufferedTime(10 * time.Millisecond)}},
	} {
		for _, c.workers = range []int{1, 2, 4, 8, 32} {
			t.Run(fmt.Sprintf("%d workers, paced %t, trip %v, options %d", c.workers, c.paced, c.trip, len(c.opts)), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c.chunks = chunks
					floor, r := c.floor(t), c.run(t)
					factor := float64(r.units) / float64(floor)
					t.Logf("units %d, %.3f times the floor of %d; requests %d, took %v, p50 %v, p99 %v", r.units, factor, floor, r.requests, r.took, r.p50, r.p99)
					if factor > 1.15 {
						t.Errorf("unexpected units; got %d, %.3f times the floor; want at most 1.15", r.units, factor)
					}
				})
			})
		}
	}
}

func TestNobodyLingersForABatchThatIsStuck(t *testing.T) {
	inRig(t, func(r *lingerRig) {
		stuck := r.server.OpenShards("s")[3].ID
		hot := "" // a key of that shard, and one of another
		cold := ""
		for i := 0; hot == "" || cold == ""; i++ {
			key := fmt.Sprint(i)
			if m := r.p.pipelines["s"].shardMap.Load(); m.lookupShard(aggregation.HashPartitionKey(key)).id == stuck {
				hot = key
			} else {
				cold = key
			}
		}
		r.crowd(3)
		r.server.ClearFaults()
		r.server.Fault(kinesistest.Fault{Operation: "PutRecords", Shard: stuck, Effect: kinesistest.Effect{
			EntryCode: "ProvisionedThroughputExceededException", EntryShare: 1, Delay: rigTrip,
		}})
		r.server.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: rigTrip}})
		waits := r.begin(hot, 1)
		var work sync.WaitGroup
		work.Go(func() { _ = waits.WaitSettled(context.Background()) })
		for range 2 {
			work.Go(func() {
				for range 20 {
					r.put(cold, 1)
				}
			})
		}
		time.Sleep(22 * rigTrip) // fake time: one round trip until it counts as stuck
		if n := r.p.Stats().Pending; n != 1 {
			t.Errorf("unexpected records pending; got %d; want the one that is stuck", n)
		}
		r.server.ClearFaults()
		work.Wait()
	}, WithLinger(time.Minute), WithMaxBufferedTime(time.Millisecond)) // so that requests do not wait for the shard either
}

// lingering has a caller linger for one that does not come, for 10 s if nothing ends it.
func (r *lingerRig) lingering(key string) (took func() time.Duration) {
	r.t.Helper()
	r.crowd(3)
	begun, ended := time.Now(), make(chan time.Duration, 1)
	b := r.begin(key, 10)
	go func() {
		_ = b.WaitSettled(context.Background())
		ended <- time.Since(begun)
	}()
	synctest.Wait()
	if st := r.p.Stats(); st.Pending != 10 {
		r.t.Fatalf("unexpected records pending; got %d; want 10", st.Pending)
	}
	return func() time.Duration { return <-ended }
}

func TestCallersThatCannotWaitAreNotLingeredWith(t *testing.T) {
	for _, c := range []struct {
		name string
		ask  func(r *lingerRig)
		want time.Duration // of the batch that lingers
	}{
		{"Flush", func(r *lingerRig) { _ = r.p.Flush(context.Background()) }, rigTrip},
		{"FlushStream", func(r *lingerRig) { _ = r.p.FlushStream(context.Background(), "s") }, rigTrip},
		{"Close", func(r *lingerRig) { _ = r.p.Close(context.Background()) }, rigTrip},
		{"Abort", func(r *lingerRig) { _ = r.p.Abort(context.Background()) }, 0},
		{"PutSync", func(r *lingerRig) {
			begun := time.Now()
			_, _ = r.p.PutSync(context.Background(), "s", Record{PartitionKey: "b"})
			r.wantTime("PutSync", time.Since(begun), rigTrip)
		}, rigTrip},
	} {
		t.Run(c.name, func(t *testing.T) {
			inRig(t, func(r *lingerRig) {
				took := r.lingering("a")
				c.ask(r)
				r.wantTime("the batch that lingers", took(), c.want)
			}, WithLinger(10*time.Second))
		})
	}
}

// A Flush that is under way keeps what is submitted meanwhile from lingering, too.
func TestNothingLingersDuringAFlush(t *testing.T) {
	inRig(t, func(r *lingerRig) {
		r.crowd(2)
		open := r.begin("a", 1)
		done := make(chan error, 1)
		go func() { done <- r.p.Flush(context.Background()) }()
		synctest.Wait()
		go func() { _ = open.WaitSettled(context.Background()) }()
		r.wantTime("a batch", r.put("a", 1), rigTrip)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}, WithLinger(10*time.Second))
}

func TestAPromptCallerCountsInItsOwnWaveOnly(t *testing.T) {
	inRig(t, func(r *lingerRig) {
		if _, err := r.p.PutSync(context.Background(), "s", Record{PartitionKey: "b"}); err != nil {
			t.Error(err)
		}
		took := r.lingering("a")
		if d := took(); d < time.Second {
			t.Errorf("unexpected time of a batch; got %v; want more than a second", d)
		}
	}, WithLinger(10*time.Second))
}

func TestStrictOrderingLingersOnlyIfATimeIsSet(t *testing.T) {
	for _, c := range []struct{ linger, want time.Duration }{{LingerAuto, rigTrip}, {50 * time.Millisecond, 50*time.Millisecond + rigTrip}} {
		t.Run(c.linger.String(), func(t *testing.T) {
			inRig(t, func(r *lingerRig) {
				r.crowd(2)
				r.wantTime("a batch", r.put("a", 10), c.want)
			}, WithLinger(c.linger), WithOrdering(OrderingStrict))
		})
	}
}

func TestLingerTakesAQuarterOfTheTTLAtMost(t *testing.T) {
	inRig(t, func(r *lingerRig) {
		took := r.lingering("a")
		r.wantTime("a batch", took(), 250*time.Millisecond+rigTrip)
	}, WithLinger(10*time.Second), WithRecordTTL(time.Second))
}

func TestATimeThatIsSetIsKept(t *testing.T) {
	const linger = 400 * time.Millisecond // above MaxBufferedTime, and above what LingerAuto takes
	inRig(t, func(r *lingerRig) {
		r.crowd(2)
		for range 2 {
			r.wantTime("a batch", r.put("a", 10), linger+rigTrip)
		}
		time.Sleep(2 * crowdMemory) // fake time
		r.wantTime("a batch long after others", r.put("a", 10), rigTrip)
	}, WithLinger(linger))
}

func TestNobodyLingersForThoseThatAreForgotten(t *testing.T) {
	inRig(t, func(r *lingerRig) {
		took := r.lingering("a")
		if d := took(); d < crowdMemory || d > 2*crowdMemory+rigTrip {
			t.Errorf("unexpected time of a batch; got %v; want between %v and %v", d, crowdMemory, 2*crowdMemory)
		}
	}, WithLinger(time.Minute))
}

func TestNobodyLingersForThoseOfTwoSecondsBefore(t *testing.T) {
	inRig(t, func(r *lingerRig) {
		r.crowd(3)
		time.Sleep(crowdMemory * 6 / 5) // fake time
		if d := r.put("a", 1); d < crowdMemory || d > crowdMemory+2*rigTrip {
			t.Errorf("unexpected time of a batch; got %v; want %v, till the end of its second", d, crowdMemory)
		}
	}, WithLinger(time.Minute))
}

// Who had an answer and has not come within the time that one takes does not come.
func TestLingerAutoIsShortForThoseThatAreAway(t *testing.T) {
	inRig(t, func(r *lingerRig) {
		pl := r.p.pipelines["s"]
		r.crowd(2)
		var stuck time.Duration
		locked(pl, func() { pl.linger.time, stuck = int64(maxAutoLinger), time.Duration(pl.linger.stuckAfter()) })
		r.wantTime("a batch", r.put("a", 1), stuck+rigTrip)
		r.wantTime("linger", r.linger(), maxAutoLinger/2)
		r.wantTime("the next", r.put("a", 1), rigTrip)
	})
}

func TestWhatIsStuckFollowsTheRoundTrip(t *testing.T) {
	inRig(t, func(r *lingerRig) {
		pl := r.p.pipelines["s"]
		for range 40 {
			r.put("a", 1)
		}
		locked(pl, func() {
			if d := time.Duration(pl.linger.stuckAfter()); d < 2*rigTrip*9/10 || d > 2*rigTrip {
				t.Errorf("unexpected time until a batch is stuck; got %v; want %v", d, 2*rigTrip)
			}
		})
	})
}

// A batch that has filled its aggregates can be settled before the others of its wave leave.
func TestNobodyLingersForABatchThatWasSettledInItsWave(t *testing.T) {
	inRig(t, func(r *lingerRig) {
		pl := r.p.pipelines["s"]
		locked(pl, func() { pl.linger.trip = int64(time.Minute) }) // none counts as stuck
		took := r.lingering("a")
		r.wantTime("a batch that fills its aggregate", r.put("b", 20), rigTrip)
		if err := r.p.Flush(context.Background()); err != nil {
			t.Error(err)
		}
		r.wantTime("the batch that lingers", took(), 2*rigTrip)
		time.Sleep(2 * crowdMemory) // fake time
		r.wantTime("a batch long after", r.put("a", 1), rigTrip)
	}, WithLinger(10*time.Second), WithAggregationMaxCount(20))
}

func TestNoLingerAtAll(t *testing.T) {
	inRig(t, func(r *lingerRig) {
		for range 3 {
			r.crowd(2)
			r.wantTime("a batch", r.put("a", 10), rigTrip)
		}
	}, WithLinger(0))
}

func TestLingerAutoFallsIfNobodyJoins(t *testing.T) {
	inRig(t, func(r *lingerRig) {
		var got []time.Duration
		for range 6 {
			r.crowd(2)
			got = append(got, r.put("a", 10)-rigTrip)
			r.wantTime("the next", r.put("a", 10), rigTrip) // who is away is not expected again
			time.Sleep(100 * time.Millisecond)              // fake time
		}
		if want := []time.Duration{20e6, 10e6, 5e6, 25e5, 0, 0}; !slices.Equal(got, want) {
			t.Errorf("unexpected waits; got %v; want %v", got, want)
		}
	})
}

// Two callers that take turns share each request as soon as one waits for the other.
func TestLingerAutoRisesIfCallersJoin(t *testing.T) {
	inRig(t, func(r *lingerRig) {
		pl := r.p.pipelines["s"]
		locked(pl, func() { pl.linger.time = 0 })
		before := r.p.Stats().Requests
		var work sync.WaitGroup
		for i := range 2 {
			work.Go(func() {
				time.Sleep(time.Duration(i) * rigTrip / 2)
				for range 20 {
					r.put("a", 10)
					time.Sleep(time.Millisecond) // fake time
				}
			})
		}
		work.Wait()
		if n := r.p.Stats().Requests - before; n > 23 {
			t.Errorf("unexpected requests; got %d for two times 20 batches; want 23 at most", n)
		}
		d := r.linger()
		if d != maxAutoLinger/2 && d != maxAutoLinger {
			t.Errorf("unexpected linger; got %v; want the most", d)
		}
		time.Sleep(time.Second) // fake time
		r.crowd(2)
		r.put("a", 10)
		r.wantTime("linger after a batch that nobody joined", r.linger(), d/2)
	})
}

func TestLingerAutoStaysNothingWithoutOverlap(t *testing.T) {
	inRig(t, func(r *lingerRig) {
		pl := r.p.pipelines["s"]
		locked(pl, func() { pl.linger.time = 0 })
		r.put("a", 1)
		r.put("a", 1) // soon after, but nobody else is there
		time.Sleep(time.Second)
		r.crowd(2) // together, but long after the last
		if d := r.linger(); d != 0 {
			t.Errorf("unexpected linger; got %v; want none", d)
		}
	})
}

func TestLingerAutoTakes200MillisecondsAtMost(t *testing.T) {
	for _, c := range []struct{ buffered, linger time.Duration }{{time.Millisecond, maxAutoLinger}, {time.Second, maxAutoLinger}, {time.Second, 0}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			inRig(t, func(r *lingerRig) {
				r.server.ClearFaults()
				r.server.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: time.Second}})
				pl := r.p.pipelines["s"]
				locked(pl, func() { pl.linger.trip, pl.linger.time = int64(time.Second), int64(c.linger) })
				var work sync.WaitGroup
				for i, want := range []time.Duration{time.Second, time.Second + maxAutoLinger, 950*time.Millisecond + maxAutoLinger} {
					work.Go(func() { r.wantTime(fmt.Sprint("batch ", i), r.put("a", 1), want) })
					time.Sleep([]time.Duration{100, 50, 0}[i] * time.Millisecond) // fake time
				}
				work.Wait()
				r.wantTime("linger after a batch has joined", r.linger(), maxAutoLinger)
			}, WithMaxBufferedTime(c.buffered))
		})
	}
}

func TestOneOutageHardlyChangesWhatIsStuck(t *testing.T) {
	inRig(t, func(r *lingerRig) {
		pl := r.p.pipelines["s"]
		r.server.ClearFaults()
		outage := r.server.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Status(503)})
		ended := make(chan time.Duration)
		go func() { ended <- r.put("a", 1) }()
		time.Sleep(time.Minute) // fake time
		outage.Remove()
		if took := <-ended; took < time.Minute {
			t.Errorf("unexpected end of a batch after %v, in an outage", took)
		}
		locked(pl, func() {
			if d := time.Duration(pl.linger.stuckAfter()); d > 50*time.Millisecond {
				t.Errorf("unexpected time until a batch is stuck; got %v; want 50ms at most", d)
			}
		})
	})
}

func TestCallersThatWaitForRoomAreNotLingeredWith(t *testing.T) {
	inRig(t, func(r *lingerRig) {
		took := r.lingering("a")
		r.put("b", 25)
		r.wantTime("the batch that fills the buffer", took(), rigTrip)
	}, WithLinger(10*time.Second), WithBufferRecords(10))
}

func TestNobodyLingersIfHardlyAnythingIsSaved(t *testing.T) {
	for _, c := range []struct {
		name    string
		records int
		opts    []Option
		lingers bool
	}{
		{"some records", 10, nil, true},
		{"four full aggregates", 4 * 250, nil, true},
		{"many full aggregates", 9 * 250, nil, false},
		{"aggregates full by number", 41, []Option{WithAggregationMaxCount(5)}, false},
		{"no aggregation", 10, []Option{WithAggregation(false)}, false},
		{"AUTO", 10, []Option{WithDistribution(DistributionAuto)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inRig(t, func(r *lingerRig) {
				r.put("a", 20*250) // in another wave
				r.crowd(2)
				took := r.put("a", c.records)
				if lingers := took > rigTrip; lingers != c.lingers {
					t.Errorf("unexpected time of a batch; got %v; a wait is wanted: %t", took, c.lingers)
				}
			}, append(c.opts, WithLinger(200*time.Millisecond))...)
		})
	}
}

// What is resent comes into open aggregates again. Its own caller cannot come meanwhile.
func TestALoneCallerDoesNotLingerForItself(t *testing.T) {
	times := map[time.Duration]time.Duration{}
	for _, linger := range []time.Duration{0, 10 * time.Second} {
		inRig(t, func(r *lingerRig) {
			pl := r.p.pipelines["s"]
			locked(pl, func() { pl.linger.trip = int64(time.Minute) }) // it does not count as stuck
			for _, sh := range r.server.OpenShards("s") {
				if err := r.server.SplitEven("s", sh.ID); err != nil {
					t.Fatal(err)
				}
			}
			records := make([]Record, 64)
			for i := range records {
				records[i] = Record{PartitionKey: fmt.Sprint(i)}
			}
			begun := time.Now()
			b, err := r.p.PutBatch(context.Background(), "s", records)
			if err == nil {
				err = b.Wait(context.Background())
			}
			if err != nil {
				t.Error(err)
			}
			if r.p.Stats().WrongShard == 0 {
				t.Error("unexpected delivery: nothing was resent")
			}
			times[linger] = time.Since(begun)
		}, WithLinger(linger))
	}
	if len(times) != 2 || times[0] != times[10*time.Second] {
		t.Errorf("unexpected times by linger: %v; want equal ones", times)
	}
}

func TestLingerIsChecked(t *testing.T) {
	client := kinesistest.New().Client()
	for _, d := range []time.Duration{-2, time.Millisecond - 1, time.Minute + 1} {
		if _, err := New(client, WithLinger(d)); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("option Linger: value %v is out of range; allowed: LingerAuto, 0 (never) or 1ms to 1m0s", d)) {
			t.Errorf("unexpected error for %v: %v", d, err)
		}
	}
	for _, d := range []time.Duration{LingerAuto, 0, time.Millisecond, time.Minute} {
		if _, err := New(client, WithLinger(d)); err != nil {
			t.Errorf("unexpected error for %v: %v", d, err)
		}
	}
}

// A caller of a wave that lingers has submitted before it waits. Meanwhile the others' records
// stay, though their deadlines are over, until its own are due.
func TestANewcomerEndsNoWaitBeforeItsOwnRecordsAreDue(t *testing.T) {
	const buffered = 50 * time.Millisecond
	inRig(t, func(r *lingerRig) {
		took := r.lingering("a")
		time.Sleep(2 * buffered) // fake time
		newcomer := r.begin("b", 1)
		r.wantTime("the batch that lingers", took(), 3*buffered+rigTrip)
		if err := newcomer.Wait(context.Background()); err != nil {
			t.Error(err)
		}
	}, WithLinger(10*time.Second), WithMaxBufferedTime(buffered))
}

// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// realShards makes a server whose shards have the limits of AWS, behind a network that
// is never twice the same.
func realShards(shards int) *kinesistest.Server {
	s := kinesistest.New(kinesistest.WithStream(stream, shards), kinesistest.WithLimits(kinesistest.AWSLimits), kinesistest.WithCountOnly())
	s.Intercept(func(*kinesistest.Call) *kinesistest.Effect {
		return &kinesistest.Effect{Delay: time.Duration(rand.Int64N(int64(30 * time.Millisecond)))}
	})
	return s
}

// storm throttles a part of the entries at random, whatever the rate is, until end.
func storm(s *kinesistest.Server, part float64) (end func()) {
	s.ClearFaults() // one fault strikes a call
	s.Intercept(func(c *kinesistest.Call) *kinesistest.Effect {
		e := kinesistest.Delay(time.Duration(rand.Int64N(int64(30 * time.Millisecond))))
		in, ok := c.Input.(*kinesis.PutRecordsInput)
		if !ok {
			return &e
		}
		for i := range in.Records {
			if rand.Float64() < part {
				e.Entries = append(e.Entries, i)
			}
		}
		if len(e.Entries) > 0 {
			e.EntryCode = kinesistest.ThrottleEntries().EntryCode
		}
		return &e
	})
	return s.ClearFaults
}

// flood makes a producer send more than any shard takes until ctx ends.
func flood(ctx context.Context, g *sync.WaitGroup, p *core.Producer, name string) {
	records := make([]core.Record, 50)
	for j := range records {
		records[j] = core.Record{PartitionKey: fmt.Sprint(name, "-", j), Data: make([]byte, 5000)}
	}
	g.Go(func() {
		for ctx.Err() == nil {
			_, _ = p.PutBatch(ctx, stream, records) // ends with ctx
		}
	})
}

// trickle submits bytes at a steady rate until ctx ends.
func trickle(ctx context.Context, g *sync.WaitGroup, p *core.Producer, bytesPerSecond int) {
	const every = 10 * time.Millisecond
	g.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			records := make([]core.Record, 10)
			for j := range records {
				records[j] = core.Record{PartitionKey: fmt.Sprint(n, "-", j), Data: make([]byte, bytesPerSecond/1000)}
			}
			_, _ = p.PutBatch(ctx, stream, records) // ends with ctx
			<-time.After(every)
		}
	})
}

// beside lets producers of ours write to one shard beside one that never gives way and
// returns what they had of the shard, what it stored in all, and how much of theirs was throttled.
func beside(t *testing.T, producers int, adaptive bool) (ours, all, throttled float64) {
	synctest.Test(t, func(t *testing.T) {
		const settle, measure = 60 * time.Second, 120 * time.Second
		s := realShards(1)
		ctx, cancel := context.WithCancel(context.Background())
		var g sync.WaitGroup
		other := newProducer(t, s.Client(), core.WithRateLimit(150), core.WithAdaptiveRate(false), core.WithBufferBytes(2<<20))
		flood(ctx, &g, other, "other")
		var list []*core.Producer
		for i := range producers {
			p := newProducer(t, s.Client(), core.WithAdaptiveRate(adaptive), core.WithBufferBytes(2<<20))
			flood(ctx, &g, p, fmt.Sprint(i))
			list = append(list, p)
		}
		counts := func() (bytes, stored, refused float64) {
			for _, p := range list {
				st := p.Stats()
				bytes, stored, refused = bytes+float64(st.KinesisBytes), stored+float64(st.KinesisRecords), refused+float64(st.Throttled)
			}
			return bytes, stored, refused
		}
		<-time.After(settle)
		b0, s0, r0 := counts()
		o0 := float64(other.Stats().KinesisBytes)
		<-time.After(measure)
		b1, s1, r1 := counts()
		o1 := float64(other.Stats().KinesisBytes)
		cancel()
		g.Wait()
		span := measure.Seconds() * (1 << 20)
		ours, all, throttled = (b1-b0)/span, (b1-b0+o1-o0)/span, (r1-r0)/(r1-r0+s1-s0)
		for _, p := range append(list, other) {
			g.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
				defer cancel()
				if err := p.Close(ctx); err != nil {
					t.Errorf("unexpected error of Close: %v", err)
				}
			})
		}
		g.Wait()
	})
	return ours, all, throttled
}

// Every move from the KPL has this neighbour: 150 % of each shard, whatever is refused.
func TestWriterThatNeverGivesWayLeavesAThirdAndMore(t *testing.T) {
	for _, n := range []int{1, 2, 10} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			ours, all, throttled := beside(t, n, true)
			oursFixed, allFixed, throttledFixed := beside(t, n, false)
			t.Logf("ours %.1f %%, in all %.1f %%, throttled %.1f %%; fixed rate: %.1f %%, %.1f %%, %.1f %%",
				100*ours, 100*all, 100*throttled, 100*oursFixed, 100*allFixed, 100*throttledFixed)
			if ours < 0.35 || all < allFixed-0.02 {
				t.Errorf("unexpected part of the shard; got %.1f %%, %.1f %% in all; want at least 35, %.1f", 100*ours, 100*all, 100*allFixed)
			}
			if throttled > throttledFixed+0.1 { // chance may make it more
				t.Errorf("unexpected part throttled; got %.1f %%; want no more than with a fixed rate, %.1f", 100*throttled, 100*throttledFixed)
			}
		})
	}
}

// deliverAll puts batches of records of so many bytes, with a pause behind each, and measures how long
// it takes until all are settled, when a part of all entries is throttled at random.
func deliverAll(t *testing.T, shards int, part float64, batches, records, size int, pause time.Duration, options ...core.Option) (took time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		s := realShards(shards)
		storm(s, part)
		p := newProducer(t, s.Client(), options...)
		start := time.Now()
		var list []*core.Batch
		for i := range batches {
			records := batchOf(fmt.Sprint(i), records)
			for j := range records {
				records[j].Data = make([]byte, size)
			}
			list = append(list, put(t, p, records))
			<-time.After(pause)
		}
		for _, b := range list {
			_ = b.WaitSettled(context.Background())
		}
		took = time.Since(start)
		closeProducer(t, p)
	})
	return took
}

// timeFor is for 30,000 records at 3,000 a second over 8 shards, of which 30 % are throttled.
func timeFor(t *testing.T, adaptive bool, size int) time.Duration {
	return deliverAll(t, 8, 0.3, 1000, 30, size, 10*time.Millisecond, core.WithAdaptiveRate(adaptive))
}

// timeForBacklog is for 20 MB in 20,000 records that come at once, over two shards.
func timeForBacklog(t *testing.T, part float64, options ...core.Option) time.Duration {
	return deliverAll(t, 2, part, 200, 100, 1000, 0, append(options, core.WithBufferBytes(64<<20))...)
}

func TestThrottlesAtRandomHardlyDelayAnything(t *testing.T) {
	for _, c := range []struct {
		size int
		most float64 // times what a fixed rate takes
	}{
		{size: 100, most: 1.5},
		// Each shard has seven records a second, and to find a share by eight throttles takes
		// longer. Mostly it is 1.1 times; one of sixteen runs takes more than 1.5 times.
		{size: 1000, most: 1.5},
	} {
		t.Run(fmt.Sprint(c.size, " bytes"), func(t *testing.T) {
			t.Parallel()
			const runs = 9
			var took, fixed []time.Duration
			for range runs {
				took, fixed = append(took, timeFor(t, true, c.size)), append(fixed, timeFor(t, false, c.size))
			}
			slices.Sort(took)
			slices.Sort(fixed)
			t.Logf("%v; fixed rate: %v", took, fixed)
			if got, other := took[runs/2], fixed[runs/2]; got.Seconds() > c.most*other.Seconds() {
				t.Errorf("unexpected time for records of ten seconds with 30 %% throttled; got %v; want at most %v times what a fixed rate takes, %v", got, c.most, other)
			}
		})
	}
}

// Ten seconds of records, too few of which are throttled for anybody to care but the share.
func TestFewThrottlesAtRandomHardlyDelayABacklog(t *testing.T) {
	for _, c := range []struct {
		name        string
		aggregation bool
		most        float64 // times what a fixed rate takes
	}{
		{"records alone", false, 1.3},
		{"aggregates", true, 2}, // as a rule 1.5, with 5 %
	} {
		for _, part := range []float64{0.01, 0.02, 0.05} {
			t.Run(fmt.Sprint(c.name, ", ", 100*part, " %"), func(t *testing.T) {
				t.Parallel()
				const runs = 5
				var took, fixed []time.Duration
				for range runs {
					took = append(took, timeForBacklog(t, part, core.WithAggregation(c.aggregation)))
					fixed = append(fixed, timeForBacklog(t, part, core.WithAggregation(c.aggregation), core.WithAdaptiveRate(false)))
				}
				slices.Sort(took)
				slices.Sort(fixed)
				t.Logf("%v; fixed rate: %v", took, fixed)
				if got, other := took[runs/2], fixed[runs/2]; got.Seconds() > c.most*other.Seconds() {
					t.Errorf("unexpected time; got %v; want at most %v times what a fixed rate takes, %v", got, c.most, other)
				}
			})
		}
	}
}

// backAfter measures how long after the end of throttles it takes until nine tenths of the
// demand are delivered, and until nothing waits any more.
func backAfter(t *testing.T, shards, demand int, outage time.Duration, begin func(*testing.T, *kinesistest.Server) (end func())) (back, drained time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		s := realShards(shards)
		ctx, cancel := context.WithCancel(context.Background())
		var g sync.WaitGroup
		p := newProducer(t, s.Client())
		trickle(ctx, &g, p, demand)
		<-time.After(20 * time.Second)
		end := begin(t, s)
		<-time.After(outage)
		end()
		start := time.Now()
		for {
			before := p.Stats().KinesisBytes
			<-time.After(time.Second)
			st := p.Stats()
			few := st.Pending < 500 // of 1,000 a second
			if back == 0 && (few || float64(st.KinesisBytes-before) >= 0.9*float64(demand)) {
				back = time.Since(start)
			}
			if few || time.Since(start) > 5*time.Minute {
				break
			}
		}
		drained = time.Since(start)
		cancel()
		g.Wait()
		closeProducer(t, p)
	})
	return back, drained
}

// neighbour writes as fast as its limit lets it, in percent of a shard, and gives way to nobody.
func neighbour(limit int) func(*testing.T, *kinesistest.Server) func() {
	return func(t *testing.T, s *kinesistest.Server) func() {
		ctx, cancel := context.WithCancel(context.Background())
		var g sync.WaitGroup
		other := newProducer(t, s.Client(), core.WithRateLimit(limit), core.WithAdaptiveRate(false), core.WithBufferBytes(2<<20),
			core.WithRetryBackoff(time.Millisecond, time.Millisecond)) // hardly rests, as the KPL
		flood(ctx, &g, other, "other")
		return func() {
			cancel()
			g.Wait()
			closeProducer(t, other)
		}
	}
}

func TestShareIsBackWithinSecondsAfterThrottlesEnd(t *testing.T) {
	for _, c := range []struct {
		name   string
		shards int
		lasts  time.Duration
		begin  func(*testing.T, *kinesistest.Server) (end func())
	}{
		{"40 % throttled at random, 1 shard", 1, 10 * time.Second, func(_ *testing.T, s *kinesistest.Server) func() { return storm(s, 0.4) }},
		{"40 % throttled at random, 4 shards", 4, 10 * time.Second, func(_ *testing.T, s *kinesistest.Server) func() { return storm(s, 0.4) }},
		{"a noisy neighbour", 1, time.Minute, neighbour(150)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			back, drained := backAfter(t, c.shards, c.shards*100<<10, c.lasts, c.begin)
			t.Logf("all is delivered again after %v, nothing waits after %v", back, drained)
			if back > 6*time.Second || drained > 30*time.Second {
				t.Errorf("unexpected time; got %v until all is delivered, %v until nothing waits; want 5 s at most, measured by the second, and half a minute", back, drained)
			}
		})
	}
}

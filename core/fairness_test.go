// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// TestProducersShareAShard is what the adaptive share is for; internal/fleetsim has
// the same with models, more producers and other sizes.
func TestProducersShareAShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const producers, settle, measure = 3, 60 * time.Second, 120 * time.Second
		s := kinesistest.New(kinesistest.WithStream(stream, 1), kinesistest.WithLimits(kinesistest.AWSLimits), kinesistest.WithCountOnly())
		s.Intercept(func(*kinesistest.Call) *kinesistest.Effect { // a network that is never twice the same
			return &kinesistest.Effect{Delay: time.Duration(rand.Int64N(int64(30 * time.Millisecond)))}
		})
		ctx, cancel := context.WithCancel(context.Background())
		data := make([]byte, 5000)
		var list []*core.Producer
		ended := make(chan struct{}, producers)
		for i := range producers {
			p := newProducer(t, s.Client(), core.WithBufferBytes(2<<20))
			list = append(list, p)
			records := make([]core.Record, 50)
			for j := range records {
				records[j] = core.Record{PartitionKey: fmt.Sprint(i, "-", j), Data: data}
			}
			go func() {
				for ctx.Err() == nil { // more than the shard takes, always
					_, _ = p.PutBatch(ctx, stream, records) // ends with ctx
				}
				ended <- struct{}{}
			}()
		}
		counts := func() (bytes [producers]float64, stored, refused float64) {
			for i, p := range list {
				st := p.Stats()
				bytes[i] = float64(st.KinesisBytes)
				stored += float64(st.KinesisRecords)
				refused += float64(st.Throttled)
			}
			return bytes, stored, refused
		}
		<-time.After(settle)
		b0, s0, r0 := counts()
		<-time.After(measure)
		b1, s1, r1 := counts()
		cancel()
		for range producers {
			<-ended
		}
		sum, squares := 0.0, 0.0
		for i := range b1 {
			d := b1[i] - b0[i]
			sum, squares = sum+d, squares+d*d
		}
		used := sum / (1 << 20) / measure.Seconds()
		throttled := (r1 - r0) / (r1 - r0 + s1 - s0)
		fair := sum * sum / (producers * squares)
		t.Logf("used %.1f %%, throttled %.2f %%, Jain's index %.3f", 100*used, 100*throttled, fair)
		// Chance makes single runs less fair than the 0.95 that hold on average; one
		// producer that is left out makes 0.67.
		if used < 0.9 || throttled > 0.02 || fair < 0.8 {
			t.Errorf("unexpected use of the shard; got %.1f %% used, %.2f %% throttled, fairness %.3f; want at least 90, at most 2, at least 0.8",
				100*used, 100*throttled, fair)
		}
		for _, p := range list {
			closeProducer(t, p)
		}
	})
}

func TestFixedRateIgnoresThrottles(t *testing.T) {
	for _, adaptive := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithStream(stream, 1))
			jam := s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 3, Effect: kinesistest.ThrottleEntries()})
			p := newProducer(t, s.Client(), core.WithAdaptiveRate(adaptive))
			wait(t, put(t, p, batchOf("a", 10)))
			if jam.Hits() != 3 {
				t.Fatalf("unexpected number of throttles; got %d; want 3", jam.Hits())
			}
			if got := p.Snapshot().Streams[0].Shards[0].Share; (got < 0.9) != adaptive {
				t.Errorf("unexpected share after throttles with adaptive=%v; got %.3f", adaptive, got)
			}
			closeProducer(t, p)
		})
	}
}

func TestShardLimitIsAbsolute(t *testing.T) {
	for _, c := range []struct {
		name           string
		records, bytes int
		count, size    int
	}{
		{name: "records", records: 100, count: 1025, size: 10},
		{name: "bytes", bytes: 100_000, count: 1025, size: 1000},
		{name: "the lower of the two", records: 100, bytes: 100_000_000, count: 1025, size: 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 1))
				p := newProducer(t, s.Client(), core.WithShardLimit(c.records, c.bytes), core.WithAggregation(false))
				records := batchOf("a", c.count)
				for i := range records {
					records[i].Data = append(records[i].Data, make([]byte, c.size-len(records[i].Data))...)
				}
				start := time.Now()
				wait(t, put(t, p, records))
				if got := time.Since(start); got < 9*time.Second || got > 11*time.Second {
					t.Errorf("unexpected time; got %v; want about 10 s", got)
				}
				closeProducer(t, p)
			})
		})
	}
}

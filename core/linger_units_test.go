// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// chunksOfPods are chunks of 1,000 events with the keys of 50 pods, as a shipper has them
// with many tags.
func chunksOfPods(n int) [][]Record {
	rng := rand.New(rand.NewPCG(18, 3))
	chunks := make([][]Record, n)
	for i := range chunks {
		chunks[i] = make([]Record, 1000)
		for j := range chunks[i] {
			chunks[i][j] = Record{PartitionKey: fmt.Sprint("pod-", rng.IntN(50)), Data: make([]byte, 200+rng.IntN(80))}
		}
	}
	return chunks
}

// crowd delivers chunks with some workers, each of which has one chunk under way at a time.
type crowd struct {
	workers int
	chunks  [][]Record
	paced   bool          // by the limits of shards
	trip    time.Duration // of a call, 10 ms less than the most; default 10 ms
	opts    []Option
}

type crowdResult struct {
	units, requests uint64
	took            time.Duration
	p50, p99        time.Duration // of the delivery of a chunk
}

// run is to be called in a bubble of synctest: what is measured is exact.
func (c crowd) run(t *testing.T) (r crowdResult) {
	limits, opts := kinesistest.Limits{}, append([]Option{WithRateLimit(1_000_000)}, c.opts...)
	if c.paced {
		limits, opts = kinesistest.AWSLimits, c.opts
	}
	s := kinesistest.New(kinesistest.WithStream("s", 16), kinesistest.WithCountOnly(), kinesistest.WithLimits(limits))
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(uint64(c.workers), 7))
	between := func(least, most time.Duration) time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return least + time.Duration(rng.Int64N(int64(most-least)))
	}
	s.Intercept(func(*kinesistest.Call) *kinesistest.Effect {
		trip := max(c.trip, 10*time.Millisecond)
		return &kinesistest.Effect{Delay: between(trip, trip+10*time.Millisecond)}
	})
	p, err := New(s.Client(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	var next atomic.Int32
	var times []time.Duration
	var work sync.WaitGroup
	for range c.workers {
		work.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(c.chunks) {
					return
				}
				time.Sleep(between(500*time.Microsecond, 3*time.Millisecond)) // fake time: to read the chunk
				at := time.Now()
				b, err := p.PutBatch(context.Background(), "s", c.chunks[i])
				if err == nil {
					err = b.Wait(context.Background())
				}
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				times = append(times, time.Since(at))
				mu.Unlock()
			}
		})
	}
	work.Wait()
	r.took = time.Since(begun)
	st := p.Stats()
	if err := p.Close(context.Background()); err != nil {
		t.Error(err)
	}
	slices.Sort(times)
	r.units, r.requests = st.PutPayloadUnits, st.Requests
	r.p50, r.p99 = times[len(times)/2], times[len(times)*99/100]
	return r
}

// floor is what the same chunks cost if always as many as there are workers share aggregates.
func (c crowd) floor(t *testing.T) uint64 {
	together := c
	together.workers, together.chunks = 1, nil
	for part := range slices.Chunk(c.chunks, c.workers) {
		together.chunks = append(together.chunks, slices.Concat(part...))
	}
	return together.run(t).units
}

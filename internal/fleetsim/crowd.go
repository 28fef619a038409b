// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/outkpl/outkpl/internal/pace"
)

// crowd is a number of producers, each with more to send than it may to each of some shards, whose
// clocks agree as those of machines with NTP do. A run begins at any moment of the wall's clock.
type crowd struct {
	name              string
	model             model
	producers, shards int
	size              int // of their Kinesis records
	seconds           int64
	seeds             uint64
}

// clocksAgree is how far the clocks of a crowd are apart at most.
const clocksAgree = second / 5

// paceLimits are those of a producer with the whole shard.
func paceLimits(adaptive bool, clock int64) *pace.Limits {
	return &pace.Limits{
		Records: pace.ShardRecords, Bytes: pace.ShardBytes, Adaptive: adaptive,
		BackoffMin: 100 * time.Millisecond, BackoffMax: 5 * time.Second, Clock: clock,
	}
}

func (cr crowd) run(seed uint64) (used, throttled, fair float64) {
	c := &clock{}
	rng := rand.New(rand.NewPCG(seed, 4))
	wall := rng.Int64N(64 * second)
	shards := make([]*shard, cr.shards)
	for i := range shards {
		shards[i] = newShard(cr.model)
	}
	list := make([][]*writer, cr.shards) // of each shard
	for range cr.producers {
		l := paceLimits(true, wall+rng.Int64N(clocksAgree))
		peers := new(pace.Peers)
		start := rng.Int64N(second)
		for i, to := range shards {
			w := &writer{c: c, rng: rng, to: to, size: cr.size, backlog: true, trip: int64(20 * time.Millisecond)}
			w.pace.Beside(peers)
			w.pace.Init(l, start)
			list[i] = append(list[i], w)
			c.at(start, w.admit)
		}
	}
	counts := func() (stored, refused float64, each [][]float64) {
		for _, ws := range list {
			var had []float64
			for _, w := range ws {
				stored, refused, had = stored+w.stored, refused+w.refused, append(had, w.stored)
			}
			each = append(each, had)
		}
		return stored, refused, each
	}
	c.run(warmUp * second)
	stored, refused, before := counts()
	c.run(cr.seconds * second)
	s, r, after := counts()
	part := max(float64(cr.size)/pace.ShardBytes, 1.0/pace.ShardRecords)
	for i := range after {
		for k := range after[i] {
			after[i][k] -= before[i][k]
		}
		fair += jain(after[i]) / float64(cr.shards)
	}
	return (s - stored) * part / float64(cr.seconds-warmUp) / float64(cr.shards), (r - refused) / (r - refused + s - stored), fair
}

func (cr crowd) repeat() (used, throttled, worst, fair float64) {
	for seed := range cr.seeds {
		u, t, f := cr.run(seed + 1)
		used, throttled, fair = used+u, throttled+t, fair+f
		worst = max(worst, t)
	}
	n := float64(cr.seeds)
	return used / n, throttled / n, worst, fair / n
}

var crowds = []crowd{
	{name: "10 producers, full aggregates", producers: 10, shards: 1, size: aggregate, seconds: 300, seeds: 40},
	{name: "10 producers, 4 shards", producers: 10, shards: 4, size: aggregate, seconds: 300, seeds: 16},
	{name: "10 producers, records of 10 kB", producers: 10, shards: 1, size: small, seconds: 300, seeds: 24},
	{name: "10 producers, shard counts by the second", model: fixedSecond, producers: 10, shards: 1, size: aggregate, seconds: 300, seeds: 24},
	{name: "20 producers", producers: 20, shards: 1, size: aggregate, seconds: 300, seeds: 16},
}

// backlog is what waits at the start, for as many seconds as the shards need, when a part of the
// records is throttled at random.
type backlog struct {
	shards, size  int
	part, seconds float64
}

// run returns the seconds until the last record was stored.
func (b backlog) run(seed uint64, adaptive bool) float64 {
	c := &clock{}
	rng := rand.New(rand.NewPCG(seed, 3))
	l := paceLimits(adaptive, rng.Int64N(64*second))
	n := int(b.seconds / max(float64(b.size)/pace.ShardBytes, 1.0/pace.ShardRecords))
	fault := func() bool { return rng.Float64() < b.part }
	var peers pace.Peers
	var list []*writer
	for range b.shards {
		w := &writer{c: c, rng: rng, to: newShard(tokenBucket), size: b.size, queued: n, trip: int64(20 * time.Millisecond), fault: fault}
		w.pace.Beside(&peers)
		w.pace.Init(l, 0)
		list = append(list, w)
		c.at(0, w.admit)
	}
	for at := int64(0); ; at += second / 10 {
		c.run(at)
		if !slices.ContainsFunc(list, func(w *writer) bool { return int(w.stored) < n }) {
			return float64(at) / float64(second)
		}
	}
}

// times returns the median and the worst of some runs, of the fixed rate's median.
func (b backlog) times(seeds uint64) (median, worst, fixed float64) {
	var adaptive, other []float64
	for seed := range seeds {
		adaptive = append(adaptive, b.run(seed+1, true))
		if seed < 5 {
			other = append(other, b.run(seed+1, false))
		}
	}
	slices.Sort(adaptive)
	slices.Sort(other)
	fixed = other[len(other)/2]
	return adaptive[len(adaptive)/2] / fixed, adaptive[len(adaptive)-1] / fixed, fixed
}

// backlogSeeds is how often a backlog of full aggregates at one shard runs.
const backlogSeeds = 40

func (b backlog) seeds() uint64 {
	if b.size == single {
		return max(5, backlogSeeds/uint64(4*b.shards))
	}
	return max(8, backlogSeeds/uint64(b.shards))
}

func crowdTable() string {
	var b strings.Builder
	b.WriteString("| all with more to send than they may, clocks within 0.2 s | shard used | throttled, mean and worst | fairness |\n|---|---|---|---|\n")
	for _, cr := range crowds {
		used, throttled, worst, fair := cr.repeat()
		fmt.Fprintf(&b, "| %s | %.0f %% | %.1f %%, %.1f %% | %.2f |\n", cr.name, 100*used, 100*throttled, 100*worst, fair)
	}
	return b.String()
}

func backlogTable() string {
	var b strings.Builder
	b.WriteString("| throttled at random: a backlog takes, of the time with a fixed rate | 1 % | 2 % | 3 % | 5 % |\n|---|---|---|---|---|\n")
	for _, c := range []backlog{{size: single, seconds: 12}, {size: aggregate, seconds: 12}, {size: aggregate, seconds: 60}} {
		what := "records of 1 kB"
		if c.size == aggregate {
			what = "full aggregates"
		}
		for _, shards := range []int{1, 4, 16} {
			c.shards = shards
			fmt.Fprintf(&b, "| %.0f s of %s, shards: %d |", c.seconds, what, shards)
			for _, part := range []float64{0.01, 0.02, 0.03, 0.05} {
				c.part = part
				median, worst, _ := c.times(c.seeds())
				fmt.Fprintf(&b, " %.2f (%.2f) |", median, worst)
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

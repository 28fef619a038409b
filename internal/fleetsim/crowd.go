// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
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

func crowdTable() string {
	var b strings.Builder
	b.WriteString("| all with more to send than they may, clocks within 0.2 s | shard used | throttled, mean and worst | fairness |\n|---|---|---|---|\n")
	for _, cr := range crowds {
		used, throttled, worst, fair := cr.repeat()
		fmt.Fprintf(&b, "| %s | %.0f %% | %.1f %%, %.1f %% | %.2f |\n", cr.name, 100*used, 100*throttled, 100*worst, fair)
	}
	return b.String()
}

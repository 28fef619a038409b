// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/outkpl/outkpl/internal/pace"
)

// The fleet: agents that write the same mix of keys, some of them hot, to one
// stream. It goes in steps of the time for which an agent collects records.
const (
	agents       = 1000
	fleetShards  = 2000
	fleetKeys    = 100_000
	step         = int64(100 * time.Millisecond)
	fleetSeconds = 300
	fleetWarmUp  = 60
	eventBytes   = 2500
	eventsEach   = 20 // a second and agent
	queueBytes   = 100 << 10
	// warm is the part of its capacity from which a shard is watched: for
	// others each agent's limiter would only say yes, and two million of
	// them need half a gigabyte.
	warm = 0.05
)

// cell is an agent at a shard.
type cell struct {
	pace    pace.Shard
	pending int     // bytes
	stored  float64 // bytes after the warm-up
}

type fleetShard struct {
	shard
	demand float64 // of its capacity
	cells  []cell  // of the agents, nil if it is not warm
}

// zipf gives each shard its part of the traffic: keys of which the n-th has 1/n
// of the first one's events, each at home in a random shard.
func zipf(rng *rand.Rand) (cumulated []float64) {
	parts := make([]float64, fleetShards)
	sum := 0.0
	for k := range fleetKeys {
		w := 1 / float64(k+1)
		parts[rng.IntN(fleetShards)] += w
		sum += w
	}
	total := 0.0
	for _, p := range parts {
		total += p / sum
		cumulated = append(cumulated, total)
	}
	return cumulated
}

func fleetTable() (table, svg string) {
	rng := rand.New(rand.NewPCG(1, 2))
	cumulated := zipf(rng)
	limits := &pace.Limits{
		Records: pace.ShardRecords, Bytes: pace.ShardBytes, Adaptive: true,
		BackoffMin: 100 * time.Millisecond, BackoffMax: 5 * time.Second,
	}
	shards := make([]fleetShard, fleetShards)
	for i := range shards {
		sh := &shards[i]
		sh.shard = *newShard(tokenBucket)
		part := cumulated[i]
		if i > 0 {
			part -= cumulated[i-1]
		}
		sh.demand = part * agents * eventsEach * eventBytes / pace.ShardBytes
		if sh.demand >= warm {
			sh.cells = make([]cell, agents)
			for a := range sh.cells {
				sh.cells[a].pace.Init(limits, 0)
			}
		}
	}
	order := make([]int, agents)
	for i := range order {
		order[i] = i
	}
	var calls, sent, refused, coldRefused, hotSent, hotRefused, before float64
	throttles := series{name: "throttled, of all"}
	hotUse := series{name: "used, of overloaded shards"}
	var lastSent, lastRefused, lastHot float64
	overloaded := 0
	for i := range shards {
		if shards[i].demand > 1 {
			overloaded++
		}
	}
	for at := int64(0); at < fleetSeconds*second; at += step {
		rng.Shuffle(agents, func(i, j int) { order[i], order[j] = order[j], order[i] })
		measured := at >= fleetWarmUp*second
		if at == fleetWarmUp*second {
			before = refused
			sent, refused, calls, hotSent, hotRefused = 0, 0, 0, 0, 0
			lastSent, lastRefused = 0, 0
		}
		for _, a := range order {
			some := false
			for range eventsEach * step / second {
				i := sort.SearchFloat64s(cumulated, rng.Float64())
				sh := &shards[min(i, fleetShards-1)]
				if sh.cells != nil {
					if c := &sh.cells[a]; c.pending < queueBytes {
						c.pending += eventBytes
					}
					continue
				}
				some = true
				sent++
				if !sh.take(at, eventBytes) {
					coldRefused++
					refused++
				}
			}
			for i := range shards {
				sh := &shards[i]
				if sh.cells == nil {
					continue
				}
				c := &sh.cells[a]
				for c.pending > 0 {
					size := min(c.pending, aggregate)
					if c.pace.Wait(at, size) > 0 {
						break
					}
					c.pace.Take(size)
					some = true
					sent++
					hot := sh.demand > 1
					if hot {
						hotSent++
					}
					if sh.take(at, size) {
						c.pending -= size
						c.pace.Stored(at)
						if measured {
							c.stored += float64(size)
						}
						continue
					}
					refused++
					if hot {
						hotRefused++
					}
					c.pace.Refused(at, at, rng.Float64())
				}
			}
			if some {
				calls++
			}
		}
		if (at+step)%second == 0 {
			hot := 0.0
			for i := range shards {
				if shards[i].demand > 1 {
					hot += shards[i].storedBytes
				}
			}
			throttles.y = append(throttles.y, 100*(refused-lastRefused)/max(sent-lastSent, 1))
			hotUse.y = append(hotUse.y, 100*(hot-lastHot)/pace.ShardBytes/float64(max(overloaded, 1)))
			lastSent, lastRefused, lastHot = sent, refused, hot
		}
	}
	span := float64(fleetSeconds - fleetWarmUp)
	var fair, demand []float64
	for i := range shards {
		if shards[i].demand > 1 {
			var got []float64
			for a := range shards[i].cells {
				got = append(got, shards[i].cells[a].stored)
			}
			fair = append(fair, jain(got))
			demand = append(demand, shards[i].demand)
		}
	}
	slices.Sort(demand)
	var b strings.Builder
	row := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "| %s | %s |\n", what, fmt.Sprintf(format, args...))
	}
	b.WriteString("| 1,000 agents, 2,000 shards | |\n|---|---|\n")
	row("traffic", "%.0f MB/s in %d events/s, 100,000 keys (Zipf)", agents*eventsEach*eventBytes/1e6, agents*eventsEach)
	row("overloaded shards", "%d, which are sent %.1f to %.1f times what they take", overloaded, demand[0], demand[len(demand)-1])
	row("PutRecords calls", "%.0f/s", calls/span)
	row("Kinesis records throttled, of all", "%.2f %%", 100*refused/sent)
	row("of those for overloaded shards", "%.1f %%", 100*hotRefused/hotSent)
	row("of those for shards below 5 % load", "%.0f records", coldRefused)
	row("throttled in the first minute", "%.1f records for each agent", before/agents)
	row("use of the overloaded shards", "%.1f %%", mean(hotUse.y[fleetWarmUp:]))
	row("fairness among agents there, over 4 minutes", "%.2f to %.2f", slices.Min(fair), slices.Max(fair))
	return b.String(), plot{title: "Fleet: 1,000 agents, 2,000 shards, hot keys", unit: " %", top: 100, lines: []series{throttles, hotUse}}.svg()
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

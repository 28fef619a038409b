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

// Limits of calls, and how the producer asks (core/servicelimits.go, core/shardmaprefresh.go,
// core/metadata.go).
const (
	describeLimit    = 20   // a second for an account
	listLimit        = 1000 // a second for a stream
	listPages        = 2    // 2,000 shards in pages of 1,000
	describeInterval = 10 * time.Minute
	waitForMetadata  = 2 * time.Second
	refreshBackoff   = time.Second
)

// calls is an operation with a limit of so many calls a second.
type calls struct {
	limit, tokens float64
	updated       int64
	made, refused int
	perSecond     map[int64]int
}

func newCalls(limit float64) *calls {
	return &calls{limit: limit, tokens: limit, perSecond: map[int64]int{}}
}

func (l *calls) try(now int64) bool {
	l.tokens = min(l.limit, l.tokens+float64(now-l.updated)/float64(second)*l.limit)
	l.updated = now
	l.made++
	l.perSecond[now/second]++
	if l.tokens < 1 {
		l.refused++
		return false
	}
	l.tokens--
	return true
}

func (l *calls) peak() (most int) {
	for _, n := range l.perSecond {
		most = max(most, n)
	}
	return most
}

// startTable lets all agents start within a second and asks how long they need
// for the shard map and the metadata of the stream.
func startTable() string {
	rng := rand.New(rand.NewPCG(3, 4))
	c := &clock{}
	describe, list := newCalls(describeLimit), newCalls(listLimit)
	var metadata, maps []int64
	for range agents {
		started := rng.Int64N(second)
		refusals := 0
		var ask func()
		ask = func() {
			if describe.try(c.now) {
				if refusals >= 0 {
					metadata = append(metadata, c.now-started)
				}
				refusals = -1 // known
				c.at(c.now+int64(float64(describeInterval)*(0.8+0.4*rng.Float64())), ask)
				return
			}
			n := max(refusals, 0) + 1
			if refusals >= 0 {
				refusals = n
			}
			c.at(c.now+pace.Backoff(time.Second, time.Minute, n, rng.Float64()), ask)
		}
		c.at(started, ask)
		backoff := int64(0)
		var fetch func(page int)
		fetch = func(page int) {
			switch {
			case !list.try(c.now):
				backoff = max(backoff+backoff/2, int64(refreshBackoff))
				c.at(c.now+int64(float64(backoff)*(0.8+0.4*rng.Float64())), func() { fetch(1) })
			case page < listPages:
				c.at(c.now+int64(30*time.Millisecond), func() { fetch(page + 1) })
			default:
				maps = append(maps, c.now-started)
			}
		}
		c.at(started, func() { fetch(1) })
	}
	c.run(600 * second)
	madeAtStart, refusedAtStart, peak := describe.made, describe.refused, describe.peak()
	c.run(3600 * second)
	steady := float64(describe.made-madeAtStart) / 3000
	slices.Sort(metadata)
	slices.Sort(maps)
	quantile := func(x []int64, q float64) time.Duration {
		return time.Duration(x[int(q*float64(len(x)-1))]).Round(100 * time.Millisecond)
	}
	var b strings.Builder
	row := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "| %s | %s |\n", what, fmt.Sprintf(format, args...))
	}
	b.WriteString("| 1,000 agents start within a second | |\n|---|---|\n")
	row("ListShards (1,000/s for a stream): busiest second", "%d calls, %d refused in all", list.peak(), list.refused)
	row("the map is there after", "%v (half), %v (all)", quantile(maps, 0.5), quantile(maps, 1))
	row("DescribeStreamSummary (20/s for an account): busiest second", "%d calls, %d of %d refused in ten minutes", peak, refusedAtStart, madeAtStart)
	row("the metadata is there after", "%v (half), %v (nine in ten), %v (all)", quantile(metadata, 0.5), quantile(metadata, 0.9), quantile(metadata, 1))
	row("records wait for them", "%v at most", waitForMetadata)
	row("calls later on", "%.1f/s, %d refused", steady, describe.refused-refusedAtStart)
	return b.String()
}

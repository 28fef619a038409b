// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/outkpl/outkpl/internal/pace"
)

// scenario is a number of producers at one shard, all of which always have more
// to send than they may.
type scenario struct {
	name      string
	model     model
	producers int
	size      int // of their Kinesis records
	fixedRate bool
	outside   float64 // share of the shard that a writer without limiter uses
	join      int64   // seconds after which one more producer begins, 0: none does
	leave     int64   // and ends
	seconds   int64
	plot      string // name of the file, if it is drawn
}

// What a full aggregate and a log line alone weigh.
const aggregate, single = 51200, 1000

var quick = []scenario{
	{name: "1 producer", producers: 1, size: aggregate, seconds: 300},
	{name: "3 producers", producers: 3, size: aggregate, seconds: 300, plot: "three"},
	{name: "3 producers, records of 1 kB", producers: 3, size: single, seconds: 300},
	{name: "3 producers, shard counts by the second", model: fixedSecond, producers: 3, size: aggregate, seconds: 300},
	{name: "10 producers", producers: 10, size: aggregate, seconds: 300},
	{name: "2 producers, another writer with 50 %", producers: 2, size: aggregate, outside: 0.5, seconds: 300, plot: "outside"},
	{name: "3 producers, a fourth from 120 s to 240 s", producers: 3, size: aggregate, join: 120, leave: 240, seconds: 360, plot: "join"},
	{name: "3 producers, adaptive rate off", producers: 3, size: aggregate, fixedRate: true, seconds: 300},
}

// outcome is what is measured after the first 60 seconds.
type outcome struct {
	used      float64 // of the shard's capacity
	throttled float64 // of the Kinesis records sent
	fair      float64 // Jain's index over the bytes stored of the producers that are there all the time
	start     float64 // Kinesis records throttled in the first 10 s, for each producer
	lines     []series
}

const warmUp = 60

func (sc scenario) run(seed uint64) outcome {
	c := &clock{}
	rng := rand.New(rand.NewPCG(seed, 1))
	to := newShard(sc.model)
	limits := &pace.Limits{
		Records: pace.ShardRecords, Bytes: pace.ShardBytes, Adaptive: !sc.fixedRate,
		BackoffMin: 100 * time.Millisecond, BackoffMax: 5 * time.Second,
	}
	var list []*writer
	add := func(at int64) *writer {
		w := &writer{c: c, rng: rng, to: to, size: sc.size, backlog: true, trip: int64(20 * time.Millisecond)}
		w.pace.Init(limits, at)
		list = append(list, w)
		c.at(at, w.admit)
		return w
	}
	for range sc.producers {
		add(rng.Int64N(second))
	}
	if sc.outside > 0 {
		other := &writer{c: c, rng: rng, to: to, size: single, fixed: true, trip: int64(20 * time.Millisecond)}
		every := int64(float64(second) * single / pace.ShardBytes / sc.outside)
		var tick func()
		tick = func() {
			other.queued++
			other.admit()
			c.at(c.now+every, tick)
		}
		c.at(0, tick)
	}
	if sc.join > 0 {
		c.at(sc.join*second, func() {
			w := add(c.now)
			c.at(sc.leave*second, func() { w.backlog, w.queued = false, 0 })
		})
	}
	var out outcome
	var from []float64
	var fromBytes, fromRecords, fromStored, fromRefused float64
	sums := func() (stored, refused float64) {
		for _, w := range list {
			stored, refused = stored+w.stored, refused+w.refused
		}
		return stored, refused
	}
	for s := range sc.seconds {
		c.run((s + 1) * second)
		for i, w := range list {
			if i == len(out.lines) {
				out.lines = append(out.lines, series{name: fmt.Sprint("producer ", i+1), y: make([]float64, s)})
			}
			y := 100 * w.pace.Share()
			if !w.backlog {
				y = 0
			}
			out.lines[i].y = append(out.lines[i].y, y)
		}
		switch stored, refused := sums(); s + 1 {
		case 10:
			out.start = refused / float64(sc.producers)
		case warmUp:
			fromBytes, fromRecords, fromStored, fromRefused = to.storedBytes, to.stored, stored, refused
			for _, w := range list {
				from = append(from, w.stored)
			}
		}
	}
	stored, refused := sums()
	span := float64(sc.seconds - warmUp)
	out.used = max((to.storedBytes-fromBytes)/pace.ShardBytes, (to.stored-fromRecords)/pace.ShardRecords) / span
	out.throttled = (refused - fromRefused) / (refused - fromRefused + stored - fromStored)
	var got []float64
	for i, before := range from {
		got = append(got, list[i].stored-before)
	}
	out.fair = jain(got)
	return out
}

// seeds is how often a scenario runs, each time with other random numbers.
const seeds = 4

// summary is what several runs of a scenario have shown.
type summary struct {
	used, throttled, fair, start float64 // means
	worst                        float64 // the least fair run
	lines                        []series
}

func (sc scenario) repeat(seeds int) summary {
	s := summary{worst: 1}
	n := float64(seeds)
	for seed := range uint64(seeds) {
		o := sc.run(seed + 1)
		s.used += o.used / n
		s.throttled += o.throttled / n
		s.fair += o.fair / n
		s.start += o.start / n
		s.worst = min(s.worst, o.fair)
		if seed == 0 {
			s.lines = o.lines
		}
	}
	return s
}

// quickTable runs the quick scenarios and returns their table and plots.
func quickTable() (table string, plots map[string]string) {
	plots = map[string]string{}
	var b strings.Builder
	b.WriteString("| at one shard, all with more to send than it takes | shard used | throttled | fairness, mean and worst | throttled in the first 10 s, each |\n|---|---|---|---|---|\n")
	for _, sc := range quick {
		s := sc.repeat(seeds)
		fmt.Fprintf(&b, "| %s | %.1f %% | %.2f %% | %.3f, %.3f | %.0f |\n", sc.name, 100*s.used, 100*s.throttled, s.fair, s.worst, s.start)
		if sc.plot != "" {
			plots[sc.plot+".svg"] = plot{title: "Share of the shard: " + sc.name, unit: " %", top: 100, lines: s.lines}.svg()
		}
	}
	return b.String(), plots
}

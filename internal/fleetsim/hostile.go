// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/outkpl/outkpl/internal/pace"
)

// hostile is a number of producers of this kind at one shard together with what
// does not behave as they do: a writer that never gives way, or throttles that
// have nothing to do with anybody's rate.
type hostile struct {
	name      string
	model     model
	producers int
	size      int     // of their Kinesis records
	demand    float64 // of a shard, for each producer; 0 for more than it takes
	load      float64 // seconds for which there is demand, 0 for all the time

	outsider     float64 // rate of a writer that never gives way, of a shard
	rests        bool    // it does rest after a throttle, as our fixed limiter does
	part         float64 // of the records that are throttled at random
	begin, until int64   // seconds from and to which that lasts, 0 for all the time

	unsynced bool // the clocks of the producers do not agree
	seconds  int64
}

// seen is what a run of a hostile scenario has shown.
type seen struct {
	ours, used, throttled, fair float64 // after the warm-up
	// Seconds after the end of what was hostile: until nine tenths of the demand
	// and more are delivered, and until nothing waits any more; -1 for never.
	recovered, drained float64
	done               float64 // seconds until the last record was stored; -1 for never
	least              float64 // share
	lines              []series
}

func (h hostile) run(seed uint64, adaptive bool) seen {
	c := &clock{}
	rng := rand.New(rand.NewPCG(seed, 2))
	to := newShard(h.model)
	limits := func(rate float64, adaptive bool) *pace.Limits {
		return &pace.Limits{
			Records: rate * pace.ShardRecords, Bytes: rate * pace.ShardBytes, Adaptive: adaptive,
			BackoffMin: 100 * time.Millisecond, BackoffMax: 5 * time.Second,
		}
	}
	during := func() bool {
		return h.until == 0 || c.now >= h.begin*second && c.now < h.until*second
	}
	var fault func() bool
	if h.part > 0 {
		fault = func() bool { return during() && rng.Float64() < h.part }
	}
	each := max(float64(h.size)/pace.ShardBytes, 1.0/pace.ShardRecords) // of a shard's second
	var list []*writer
	total := 0.0
	for range h.producers {
		l := limits(1, adaptive)
		w := &writer{c: c, rng: rng, to: to, size: h.size, backlog: h.demand == 0, trip: int64(20 * time.Millisecond), fault: fault}
		start := rng.Int64N(second)
		if h.unsynced {
			l.Clock = rng.Int64N(600 * second)
		}
		w.pace.Init(l, start)
		list = append(list, w)
		c.at(start, w.admit)
		if h.demand == 0 {
			continue
		}
		every := int64(float64(second) * each / h.demand)
		var tick func()
		tick = func() {
			if h.load > 0 && c.now >= int64(h.load*float64(second)) {
				return
			}
			w.queued++
			total++
			w.admit()
			c.at(c.now+every, tick)
		}
		c.at(start+rng.Int64N(every), tick)
	}
	if h.outsider > 0 {
		o := &writer{c: c, rng: rng, to: to, size: aggregate, kpl: !h.rests, trip: int64(20 * time.Millisecond)}
		begin := func() {
			o.pace.Init(limits(h.outsider, false), c.now)
			o.backlog = true
			o.admit()
		}
		if h.until == 0 {
			c.at(0, begin)
		} else {
			c.at(h.begin*second, begin)
			c.at(h.until*second, func() { o.backlog, o.queued = false, 0 })
		}
	}
	sums := func() (stored, refused, queued float64) {
		for _, w := range list {
			stored, refused, queued = stored+w.stored, refused+w.refused, queued+float64(w.queued)
		}
		return stored, refused, queued
	}
	out := seen{recovered: -1, drained: -1, done: -1, least: 1}
	const slice = second / 10
	var at []float64 // stored by then, for each slice
	var fromOurs, fromRefused, fromShard float64
	var from []float64
	shardUse := func() float64 { return max(to.storedBytes/pace.ShardBytes, to.stored/pace.ShardRecords) }
	for i := int64(0); i < h.seconds*10; i++ {
		c.run((i + 1) * slice)
		stored, refused, queued := sums()
		at = append(at, stored)
		for _, w := range list {
			out.least = min(out.least, w.pace.Share())
		}
		if i+1 == warmUp*10 {
			fromOurs, fromRefused, fromShard = stored, refused, shardUse()
			for _, w := range list {
				from = append(from, w.stored)
			}
		}
		if h.load > 0 && out.done < 0 && c.now > int64(h.load)*second && stored >= total {
			out.done = float64(i+1) / 10
		}
		if h.until > 0 && i >= h.until*10+10 {
			// Delivered in the last second.
			rate := (stored - at[i-10]) * each
			since := float64(i+1)/10 - float64(h.until) - 1
			if out.recovered < 0 && (rate >= 0.9*h.demand*float64(h.producers) || queued < 2*float64(h.producers)) {
				out.recovered = since
			}
			if out.drained < 0 && queued < 2*float64(h.producers) {
				out.drained = since + 1
			}
		}
		if (i+1)%10 == 0 {
			for k, w := range list {
				if k == len(out.lines) {
					out.lines = append(out.lines, series{name: fmt.Sprint("producer ", k+1)})
				}
				out.lines[k].y = append(out.lines[k].y, 100*w.pace.Share())
			}
		}
	}
	if len(from) > 0 {
		span := float64(h.seconds - warmUp)
		stored, refused, _ := sums()
		out.ours = (stored - fromOurs) * each / span
		out.throttled = (refused - fromRefused) / max(1, refused-fromRefused+stored-fromOurs)
		out.used = (shardUse() - fromShard) / span
		var got []float64
		for i, before := range from {
			got = append(got, list[i].stored-before)
		}
		out.fair = jain(got)
	}
	return out
}

// repeat returns what several runs have shown on average, and the worst of them.
func (h hostile) repeat(adaptive bool) (mean, worst seen) {
	worst = seen{fair: 1, least: 1}
	for seed := range uint64(hostileSeeds) {
		o := h.run(seed+1, adaptive)
		endless := float64(h.seconds)
		for _, v := range []*float64{&o.recovered, &o.drained, &o.done} {
			if *v < 0 {
				*v = endless
			}
		}
		mean.ours += o.ours / hostileSeeds
		mean.used += o.used / hostileSeeds
		mean.throttled += o.throttled / hostileSeeds
		mean.fair += o.fair / hostileSeeds
		mean.recovered += o.recovered / hostileSeeds
		mean.drained += o.drained / hostileSeeds
		mean.done += o.done / hostileSeeds
		worst.recovered, worst.drained, worst.done = max(worst.recovered, o.recovered), max(worst.drained, o.drained), max(worst.done, o.done)
		worst.ours = max(worst.ours, o.ours)
		worst.fair, worst.least = min(worst.fair, o.fair), min(worst.least, o.least)
		if seed == 0 {
			mean.lines = o.lines
		}
	}
	return mean, worst
}

// hostileSeeds is how often a hostile scenario runs.
const hostileSeeds = 8

// kplRate is the KPL's default limit, of what a shard takes.
const kplRate = 1.5

var besides = []hostile{
	{name: "1 producer", producers: 1, size: aggregate, outsider: kplRate, seconds: 180},
	{name: "2 producers", producers: 2, size: aggregate, outsider: kplRate, seconds: 180},
	{name: "10 producers", producers: 10, size: aggregate, outsider: kplRate, seconds: 180},
	{name: "1 producer, the writer rests after a throttle", producers: 1, size: aggregate, outsider: kplRate, rests: true, seconds: 180},
	{name: "2 producers, the writer rests", producers: 2, size: aggregate, outsider: kplRate, rests: true, seconds: 180},
	{name: "10 producers, the writer rests", producers: 10, size: aggregate, outsider: kplRate, rests: true, seconds: 180},
	{name: "1 producer, shard counts by the second", model: fixedSecond, producers: 1, size: aggregate, outsider: kplRate, seconds: 180},
	{name: "2 producers, shard counts by the second", model: fixedSecond, producers: 2, size: aggregate, outsider: kplRate, seconds: 180},
	{name: "10 producers, shard counts by the second", model: fixedSecond, producers: 10, size: aggregate, outsider: kplRate, seconds: 180},
	{name: "1 producer, records of 1 kB", producers: 1, size: single, outsider: kplRate, seconds: 180},
}

var incidents = []hostile{
	{name: "40 % throttled at random for 10 s, aggregates of 50 kB", producers: 1, size: aggregate, demand: 0.1, part: 0.4, begin: 30, until: 40, seconds: 120},
	{name: "the same, records of 10 kB", producers: 1, size: small, demand: 0.1, part: 0.4, begin: 30, until: 40, seconds: 120},
	{name: "the same, 3 producers", producers: 3, size: small, demand: 0.1, part: 0.4, begin: 30, until: 40, seconds: 120},
	{name: "the same, from the start", producers: 1, size: small, demand: 0.1, part: 0.4, until: 10, seconds: 120},
	{name: "a writer with 150 % for a minute", producers: 1, size: aggregate, demand: 0.1, outsider: kplRate, begin: 30, until: 90, seconds: 150},
	{name: "a writer with 400 % for a minute", producers: 1, size: aggregate, demand: 0.1, outsider: 4, begin: 30, until: 90, seconds: 150},
	{name: "a writer with 2,000 % for a minute", producers: 1, size: aggregate, demand: 0.1, outsider: 20, begin: 30, until: 90, seconds: 150},
	{name: "a writer with 400 % for a minute, records of 10 kB", producers: 1, size: small, demand: 0.1, outsider: 4, begin: 30, until: 90, seconds: 150},
}

// small is a record that left for its deadline before it was full.
const small = 10_000

var randoms = []hostile{
	{name: "30 %, 10 % load, aggregates of 50 kB", producers: 1, size: aggregate, demand: 0.1, load: 10, part: 0.3, seconds: 300},
	{name: "30 %, 10 % load, records of 10 kB", producers: 1, size: small, demand: 0.1, load: 10, part: 0.3, seconds: 300},
	{name: "30 %, 36 % load, aggregates of 50 kB", producers: 1, size: aggregate, demand: 0.36, load: 10, part: 0.3, seconds: 300},
	{name: "30 %, 36 % load, records of 10 kB", producers: 1, size: small, demand: 0.36, load: 10, part: 0.3, seconds: 300},
	{name: "30 %, 80 % load, aggregates of 50 kB", producers: 1, size: aggregate, demand: 0.8, load: 10, part: 0.3, seconds: 300},
	{name: "30 %, 80 % load, records of 10 kB", producers: 1, size: small, demand: 0.8, load: 10, part: 0.3, seconds: 300},
	{name: "10 %, 36 % load, aggregates of 50 kB", producers: 1, size: aggregate, demand: 0.36, load: 10, part: 0.1, seconds: 300},
}

// What is left of a background after it is gone, when all have more to send than the
// shard takes: they must not take each other for one.
var leftovers = []hostile{
	{name: "3 producers, after 40 % at random", producers: 3, size: aggregate, part: 0.4, begin: 5, until: 60, seconds: 240},
	{name: "10 producers, after 40 % at random", producers: 10, size: aggregate, part: 0.4, begin: 5, until: 60, seconds: 240},
	{name: "3 producers, after a writer with 150 %", producers: 3, size: aggregate, outsider: kplRate, begin: 5, until: 60, seconds: 240},
	{name: "10 producers, after a writer with 150 %", producers: 10, size: aggregate, outsider: kplRate, begin: 5, until: 60, seconds: 240},
	{name: "10 producers whose clocks do not agree, after it", producers: 10, size: aggregate, outsider: kplRate, begin: 5, until: 60, seconds: 240, unsynced: true},
}

// hostileTable runs the hostile scenarios and returns their tables and plots.
func hostileTable() (table string, plots map[string]string) {
	var b strings.Builder
	plots = map[string]string{}
	b.WriteString("| beside a writer that sends 150 % of the shard and never gives way | of the shard | fixed rate | shard used | fixed rate | throttled | fixed rate |\n|---|---|---|---|---|---|---|\n")
	for _, h := range besides {
		a, _ := h.repeat(true)
		f, _ := h.repeat(false)
		fmt.Fprintf(&b, "| %s | %.0f %% | %.0f %% | %.0f %% | %.0f %% | %.0f %% | %.0f %% |\n", h.name, 100*a.ours, 100*f.ours, 100*a.used, 100*f.used, 100*a.throttled, 100*f.throttled)
		if h.producers == 2 && h.model == tokenBucket {
			plots["beside.svg"] = plot{title: "Share of the shard: 2 producers beside a writer with 150 %", unit: " %", top: 100, lines: a.lines}.svg()
		}
	}
	b.WriteString("\n| after throttling, 10 % of the shard wanted by each | all is delivered again after | fixed rate | the backlog is gone after | fixed rate |\n|---|---|---|---|---|\n")
	for _, h := range incidents {
		a, aw := h.repeat(true)
		f, fw := h.repeat(false)
		fmt.Fprintf(&b, "| %s | %.1f s (%.1f) | %.1f s (%.1f) | %.1f s (%.1f) | %.1f s (%.1f) |\n", h.name, a.recovered, aw.recovered, f.recovered, fw.recovered, a.drained, aw.drained, f.drained, fw.drained)
		if h.outsider == 4 && h.size == aggregate {
			plots["neighbour.svg"] = plot{title: "Share of the shard: a writer with 400 % from 30 s to 90 s", unit: " %", top: 100, lines: a.lines}.svg()
		}
	}
	b.WriteString("\n| throttled at random, load for 10 s | all is delivered after | fixed rate |\n|---|---|---|\n")
	for _, h := range randoms {
		a, aw := h.repeat(true)
		f, fw := h.repeat(false)
		fmt.Fprintf(&b, "| %s | %.1f s (%.1f) | %.1f s (%.1f) |\n", h.name, a.done, aw.done, f.done, fw.done)
	}
	b.WriteString("\n| more to send than the shard takes | shard used | throttled | fairness, mean and worst | fixed rate: throttled |\n|---|---|---|---|---|\n")
	for _, h := range leftovers {
		a, aw := h.repeat(true)
		f, _ := h.repeat(false)
		fmt.Fprintf(&b, "| %s | %.0f %% | %.1f %% | %.2f, %.2f | %.0f %% |\n", h.name, 100*a.used, 100*a.throttled, a.fair, aw.fair, 100*f.throttled)
	}
	return b.String(), plots
}

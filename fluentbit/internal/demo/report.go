// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/outkpl/outkpl/internal/cost"
	"github.com/outkpl/outkpl/internal/plural"
)

// rate is how many events a second the prices are for.
const rate = 10_000

// outcome is what became of the events in one mode.
type outcome struct {
	mode
	*contents
	found
	confirmed int
	took      time.Duration
}

// found is what a consumer reads, beside what went in.
type found struct {
	read, lost, doubled, foreign int
	byShard                      map[string]int
}

// compare accounts for every event.
func (in *inputs) compare(got *contents) found {
	f := found{byShard: map[string]int{}}
	read := map[string]int{}
	for _, e := range got.events {
		f.byShard[e.user.ShardID]++
		key, err := canonical(e.data)
		if err != nil {
			f.foreign++
		} else {
			read[key]++
		}
		f.read++
	}
	for key, n := range in.expect {
		f.lost += max(0, n-read[key])
		f.doubled += max(0, read[key]-n)
	}
	for key, n := range read {
		if in.expect[key] == 0 {
			f.foreign += n
		}
	}
	return f
}

// month is what the mode writes in a second at the rate, if the events go on as they did.
func (o *outcome) month(events int) cost.Writes {
	return o.writes.Times(rate / float64(max(1, events)))
}

// report prints what was counted, and what it costs.
func report(in *inputs, ran []outcome) error {
	fmt.Printf("\n%-20s %9s %9s %6s %6s %6s %10s %10s %10s\n", "", "confirmed", "read back", "lost", "double", "s", "records", "PUT units", "bytes")
	lost, doubled, bad := 0, 0, false
	for i := range ran {
		o := &ran[i]
		confirmed := "-"
		if o.confirmed != unknown {
			confirmed = fmt.Sprint(o.confirmed)
		}
		fmt.Printf("%-20s %9s %9d %6d %6d %6.1f %10.0f %10.0f %10.0f\n", o.name, confirmed, o.read, o.lost, o.doubled, o.took.Seconds(),
			o.writes.Records, o.writes.Units, o.writes.Bytes)
		lost += o.lost
		doubled += o.doubled
		if o.foreign > 0 || len(o.Dropped) > 0 {
			bad = true
			// KCL drops whole aggregates: those out of range take their neighbours with them.
			fmt.Printf("%-20s %d not among the events; KCL dropped %s in %s, %d of them out of range\n",
				"", o.foreign, plural.Count(len(o.Dropped), "user record"), plural.Count(o.DroppedAggregates, "aggregate"), o.OutOfRange)
		}
	}
	fmt.Printf("\nA month of %d such events a second, $:\n%-20s %10s %8s %12s %12s\n", rate, "", "units/s", "shards", "provisioned", "on demand")
	for i := range ran {
		w := ran[i].month(in.count)
		fmt.Printf("%-20s %10.1f %8.0f %12.2f %12.2f\n", ran[i].name, w.Units, w.Shards(), w.Provisioned(), w.OnDemand())
	}
	fmt.Printf("Prices of %s, %s, without consumers; see docs/tuning.md.\n", cost.Region, cost.Date)

	last := &ran[len(ran)-1]
	fmt.Printf("\nEvents in the shards, %s:\n", last.name)
	bars(last.byShard)
	fmt.Println("\nThree of these events, as a KCL consumer with package combined gets them:")
	for i := range min(3, len(last.events)) {
		e := last.events[i*(len(last.events)-1)/2]
		fmt.Printf("  %s  key %-12q  number %d  %.150s\n", e.user.ShardID, e.user.PartitionKey, e.number, e.data)
	}
	fmt.Printf("\nlost %d, duplicated %d\n", lost, doubled)
	if lost > 0 || doubled > 0 || bad {
		return errNotAll
	}
	return nil
}

// bars draws how the events are distributed over the shards.
func bars(shards map[string]int) {
	ids := make([]string, 0, len(shards))
	most := 1
	for id, n := range shards {
		ids = append(ids, id)
		most = max(most, n)
	}
	slices.Sort(ids)
	for _, id := range ids {
		fmt.Printf("  %s %8d %s\n", id, shards[id], strings.Repeat("#", max(1, shards[id]*50/most)))
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// blankEvent is what a blank line becomes.
var blankEvent = textEvent("")

// report compares what went in with what a consumer reads, and prints it.
func report(in *inputs, got *contents, confirmed int, took time.Duration) error {
	read := map[string]int{}
	shards := map[string]int{}
	foreign, blank := 0, 0
	for _, r := range got.Records {
		shards[r.ShardID]++
		key, err := canonical(r.Data)
		switch {
		case err != nil:
			foreign++
		case key == blankEvent:
			blank++ // Fluent Bit ships blank lines, the host program does not
		default:
			read[key]++
		}
	}
	lost, doubled := 0, 0
	for key, n := range in.expect {
		lost += max(0, n-read[key])
		doubled += max(0, read[key]-n)
	}
	for key, n := range read {
		if in.expect[key] == 0 {
			foreign += n
		}
	}
	fmt.Println()
	line := func(name, format string, args ...any) { fmt.Printf("%-22s %s\n", name, fmt.Sprintf(format, args...)) }
	line("events in", "%d", in.count)
	if confirmed != unknown {
		line("confirmed", "%d", confirmed)
	}
	line("read back", "%d", len(got.Records)-blank)
	line("lost", "%d", lost)
	line("duplicated", "%d", doubled)
	if foreign > 0 || len(got.Dropped) > 0 {
		line("not among the events", "%d", foreign)
		// KCL drops whole aggregates: those out of range take their neighbours with them.
		line("dropped by KCL", "%d in %d aggregates, %d of them out of range", len(got.Dropped), got.DroppedAggregates, got.OutOfRange)
	}
	line("time", "%.1f s", took.Seconds())
	line("Kinesis records", "%d instead of %d (1/%.0f)", got.KinesisRecords, in.count, float64(in.count)/float64(max(1, got.KinesisRecords)))
	line("PUT payload units", "%d instead of %d (%.1f %% saved)", got.units, in.count, 100-100*float64(got.units)/float64(in.count))
	fmt.Println()
	bars(shards)
	fmt.Println("\nThree of the events, as a KCL consumer gets them:")
	for i := range min(3, len(got.Records)) {
		r := got.Records[i*(len(got.Records)-1)/2]
		fmt.Printf("  %s  key %-12q  %.150s\n", r.ShardID, r.PartitionKey, r.Data)
	}
	fmt.Printf("\nlost %d, duplicated %d\n", lost, doubled)
	if lost > 0 || doubled > 0 || foreign > 0 || len(got.Dropped) > 0 {
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

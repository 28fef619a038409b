// SPDX-License-Identifier: Apache-2.0

package main

import "strings"

const (
	// shardCount is how many shards a stream has.
	shardCount = 8
	// eventsPerShard and maxShards are for one record an event: a shard takes 1,000 a
	// second, and the demo is not to last longer with many events.
	eventsPerShard = 6250
	maxShards      = 400
)

// mode is a way of putting events into Kinesis records.
type mode struct {
	name       string
	stream     string
	single     bool        // each event is a Kinesis record
	properties [][2]string // options of the output
}

// shards is how many shards the stream has for so many events.
func (m mode) shards(events int) int {
	if !m.single {
		return shardCount
	}
	return min(max(shardCount, events/eventsPerShard), maxShards)
}

// modes are what is compared, for the same events. The last is the one that is shown
// in full.
var modes = []mode{
	{"one record an event", "demo-single", true, [][2]string{{"aggregation", "off"}}},
	{"KPL aggregation", "demo-aggregated", false, [][2]string{{"aggregation", "on"}}},
	{"combine lines, zstd", "demo-combined", false, [][2]string{{"aggregation", "on"}, {"combine", "lines"}, {"compression", "zstd"}}},
}

func (m mode) String() string {
	var set []string
	for _, p := range m.properties {
		set = append(set, p[0]+" "+p[1])
	}
	return m.name + ": " + strings.Join(set, ", ")
}

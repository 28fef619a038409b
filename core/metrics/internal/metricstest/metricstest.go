// SPDX-License-Identifier: Apache-2.0

// Package metricstest drives metrics sinks in tests.
package metricstest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/core/metrics"
)

// Stream is the stream that Run writes to, and Shards how many shards it has.
const (
	Stream = "logs"
	Shards = 2
)

// Run has a producer write to a stream that throttles, fails and loses replies,
// with the sink as its observer, and closes the producer. One record in a hundred
// is invalid. The sink is not closed.
func Run(t testing.TB, sink metrics.Sink) core.Stats {
	t.Helper()
	server := kinesistest.New(kinesistest.WithStream(Stream, Shards))
	for i, code := range []string{"InternalFailure", "ProvisionedThroughputExceededException"} {
		server.Fault(kinesistest.Fault{
			Operation: "PutRecords", Seed: uint64(i), Probability: 0.5,
			Effect: kinesistest.Effect{EntryCode: code, EntryShare: 0.3},
		})
	}
	server.Fault(kinesistest.Fault{Operation: "PutRecords", Seed: 7, Probability: 0.2, Effect: kinesistest.LoseReply()})
	p, err := core.New(server.Client(), core.WithObserver(sink), core.WithRateLimit(10_000),
		core.WithRetryBackoff(time.Millisecond, 2*time.Millisecond), core.WithMaxBufferedTime(10*time.Millisecond))
	if err != nil {
		t.Fatalf("cannot make a producer: %s", err)
	}
	sink.Watch(p)
	for i := range 20 {
		records := make([]core.Record, 100)
		for j := range records {
			records[j] = core.Record{PartitionKey: fmt.Sprint(i, "-", j), Data: []byte("some log line of a program")}
		}
		records[3].PartitionKey = strings.Repeat("x", 257)
		b, err := p.PutBatch(context.Background(), Stream, records)
		if err == nil {
			err = b.WaitSettled(context.Background()) // one of the records is invalid
		}
		if err != nil {
			t.Fatalf("cannot put records: %s", err)
		}
	}
	if err := p.Close(context.Background()); err != nil {
		t.Fatalf("cannot close the producer: %s", err)
	}
	st := p.Stats()
	if st.Throttled == 0 || st.InternalFailures == 0 || st.RequestErrors == 0 || st.FailedTotal() != 20 || st.Confirmed != 1980 {
		t.Fatalf("the faults have not worked as meant: %+v", st)
	}
	return st
}

// Obs is an observation of n equal data points.
func Obs(m core.Metric, stream, shard, code string, n int, v float64) core.Observation {
	return core.Observation{Metric: m, Stream: stream, Shard: shard, Code: code, Count: n, Sum: v * float64(n), Min: v, Max: v}
}

// State is a source with a state that tests set.
type State struct {
	mu   sync.Mutex
	snap core.Snapshot // guarded by mu
}

// Snapshot implements metrics.Source.
func (s *State) Snapshot() core.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	snap := s.snap
	snap.Streams = slices.Clone(snap.Streams)
	return snap
}

// Pend sets the records pending in the first stream.
func (s *State) Pend(n uint64) {
	s.Change(func(snap *core.Snapshot) { snap.Streams[0].Stats.Pending = n })
}

// Change changes the state.
func (s *State) Change(change func(*core.Snapshot)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.snap)
}

// Pending returns a state with a number of records pending in a stream, for 1.5 s,
// and one shard.
func Pending(stream string, n uint64) *State {
	return &State{snap: core.Snapshot{BufferedBytes: 1000, Streams: []core.StreamSnapshot{{
		Stream: stream, OldestRecordAge: 1500 * time.Millisecond,
		Stats:  core.Stats{Pending: n},
		Shards: []core.ShardSnapshot{{ID: "shardId-000000000000", Tokens: -512, Share: 0.5, QueuedBytes: 4096}},
	}}}}
}

// Burst is what a producer tells of one PutRecords call with an aggregate of
// 250 user records for each of 16 shards: 4000 user records.
func Burst() (list []core.Observation, userRecords int) {
	const shards, perShard = 16, 250
	add := func(m core.Metric, shard string, n int, v float64) {
		list = append(list, core.Observation{Metric: m, Stream: Stream, Shard: shard, Count: n, Sum: v * float64(n), Min: v, Max: v})
	}
	for i := range shards {
		shard := fmt.Sprintf("shardId-%012d", i)
		add(core.MetricKinesisRecordsPut, shard, 1, 1)
		add(core.MetricKinesisRecordsDataPut, shard, 1, 51_000)
		add(core.MetricAllErrors, shard, 1, 0)
		add(core.MetricPutPayloadUnits, shard, 1, 2)
		add(core.MetricPutPayloadUnitsSaved, shard, 1, 248)
		add(core.MetricAggregateFill, shard, 1, 0.99)
		add(core.MetricUserRecordsPerKinesisRecord, shard, 1, perShard)
		add(core.MetricUserRecordsPut, shard, perShard, 1)
		add(core.MetricUserRecordsDataPut, shard, perShard, 200)
		add(core.MetricRetriesPerRecord, shard, perShard, 0)
		for j := range 4 { // user records of four batches
			add(core.MetricBufferingTime, shard, perShard/4, float64(j)+20.5)
		}
	}
	add(core.MetricRequestTime, "", 1, 12)
	add(core.MetricKinesisRecordsPerPutRecordsRequest, "", 1, shards)
	add(core.MetricUserRecordsPerPutRecordsRequest, "", 1, shards*perShard)
	return list, shards * perShard
}

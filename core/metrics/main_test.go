// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// obs is an observation of n equal points.
func obs(m core.Metric, stream, shard string, n int, v float64) core.Observation {
	return core.Observation{Metric: m, Stream: stream, Shard: shard, Count: n, Sum: v * float64(n), Min: v, Max: v}
}

type recorder struct{ list []core.Observation }

func (r *recorder) Observe(list []core.Observation) { r.list = append(r.list, list...) }

// state is a source that always has the same state.
type state core.Snapshot

func (s *state) Snapshot() core.Snapshot { return core.Snapshot(*s) }

func twoStreams() *state {
	shard := func(id string, tokens, share float64, queued int) core.ShardSnapshot {
		return core.ShardSnapshot{ID: id, Tokens: tokens, Share: share, QueuedBytes: queued}
	}
	return &state{BufferedBytes: 1000, Streams: []core.StreamSnapshot{
		{Stream: "a", OldestRecordAge: 2e9, Stats: core.Stats{Pending: 3}, Shards: []core.ShardSnapshot{
			shard("shardId-000000000000", 10, 1, 100), shard("shardId-000000000001", -5, 0.5, 200),
		}},
		{Stream: "b", OldestRecordAge: 1e9, Stats: core.Stats{Pending: 4}, Shards: []core.ShardSnapshot{
			shard("shardId-000000000000", 20, 0.75, 300),
		}},
	}}
}

func find(t *testing.T, list []metrics.Series, m core.Metric, stream, shard string) metrics.Stat {
	t.Helper()
	for _, s := range list {
		if s.Metric == m && s.Stream == stream && s.Shard == shard {
			return s.Stat
		}
	}
	t.Fatalf("no series %s %q %q in %d series", m, stream, shard, len(list))
	return metrics.Stat{}
}

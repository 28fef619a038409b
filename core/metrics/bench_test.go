// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"fmt"
	"testing"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
)

// burst is what a producer tells of one PutRecords call with an aggregate of
// 250 user records for each of 16 shards: 4000 user records.
func burst() (list []core.Observation, userRecords int) {
	const shards, perShard = 16, 250
	add := func(m core.Metric, shard string, n int, v float64) {
		list = append(list, core.Observation{Metric: m, Stream: "logs", Shard: shard, Count: n, Sum: v * float64(n), Min: v, Max: v})
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

func benchmark(b *testing.B, o core.Observer) {
	list, n := burst()
	o.Observe(list)
	b.ReportAllocs()
	for b.Loop() {
		o.Observe(list)
	}
	perRecord := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / float64(n)
	b.ReportMetric(perRecord, "ns/record")
	// At a million records a second, the share of one processor in per cent.
	b.ReportMetric(perRecord/10, "%@1M/s")
}

func BenchmarkWindow(b *testing.B) {
	b.Run("all", func(b *testing.B) { benchmark(b, metrics.NewWindow(metrics.WindowConfig{Histograms: true})) })
	b.Run("summary", func(b *testing.B) {
		benchmark(b, metrics.NewWindow(metrics.WindowConfig{Histograms: true,
			Config: metrics.Config{Level: core.LevelSummary, Granularity: core.GranularityStream}}))
	})
}

func BenchmarkLimit(b *testing.B) {
	benchmark(b, metrics.Limit(metrics.NewWindow(metrics.WindowConfig{}),
		metrics.Config{Level: core.LevelSummary, Granularity: core.GranularityStream}))
}

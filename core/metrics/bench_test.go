// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"testing"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
	"github.com/outkpl/outkpl/core/metrics/internal/metricstest"
)

func benchmark(b *testing.B, o core.Observer) {
	list, n := metricstest.Burst()
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

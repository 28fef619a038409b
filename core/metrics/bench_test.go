// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"context"
	"crypto/rand"
	"testing"

	prom "github.com/prometheus/client_golang/prometheus"
	sdk "go.opentelemetry.io/otel/sdk/metric"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/core/metrics"
	"github.com/outkpl/outkpl/core/metrics/internal/metricstest"
	"github.com/outkpl/outkpl/core/metrics/otel"
	"github.com/outkpl/outkpl/core/metrics/prometheus"
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
		benchmark(b, metrics.NewWindow(metrics.WindowConfig{
			Histograms: true,
			Config:     metrics.Config{Level: core.LevelSummary, Granularity: core.GranularityStream},
		}))
	})
}

// BenchmarkProducer is a whole producer with a client that only counts, without an
// observer and with several. One operation is one record.
func BenchmarkProducer(b *testing.B) {
	must := func(o core.Observer, err error) core.Observer {
		if err != nil {
			b.Fatal(err)
		}
		return o
	}
	provider := sdk.NewMeterProvider(sdk.WithReader(sdk.NewManualReader()))
	histograms := otel.NewHistograms(otel.Config{})
	for _, c := range []struct {
		name     string
		observer core.Observer
	}{
		{"none", nil},
		{"window", metrics.NewWindow(metrics.WindowConfig{Histograms: true})},
		{"prometheus", must(prometheus.New(prom.NewRegistry(), prometheus.Config{}))},
		{"otel", must(otel.New(provider, otel.Config{}))},
		{"otel, histograms around the API", must(otel.New(provider, otel.Config{Histograms: histograms}))},
	} {
		b.Run(c.name, func(b *testing.B) {
			const batch = 8192
			server := kinesistest.New(kinesistest.WithStream("logs", 16), kinesistest.WithCountOnly())
			p, err := core.New(server.Client(), core.WithRateLimit(1_000_000), core.WithObserver(c.observer))
			if err != nil {
				b.Fatal(err)
			}
			ctx := context.Background()
			defer func() {
				if err := p.Close(ctx); err != nil {
					b.Error(err)
				}
			}()
			records := make([]core.Record, batch)
			for i := range records {
				records[i] = core.Record{PartitionKey: rand.Text(), Data: []byte(rand.Text() + rand.Text() + rand.Text() + rand.Text())}
			}
			b.ReportAllocs()
			b.ResetTimer()
			var last *core.Batch
			for n := 0; n < b.N; n += batch {
				next, err := p.PutBatch(ctx, "logs", records[:min(batch, b.N-n)])
				if err != nil {
					b.Fatal(err)
				}
				if last != nil {
					if err := last.Wait(ctx); err != nil {
						b.Fatal(err)
					}
				}
				last = next
			}
			if err := last.Wait(ctx); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

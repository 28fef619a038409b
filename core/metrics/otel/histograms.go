// SPDX-License-Identifier: Apache-2.0

package otel

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
)

// Histograms hands distributions to a reader of the SDK directly, as cumulative
// exponential histograms of scale 3. It costs a few nanoseconds a user record,
// since a run of equal points is one step, and leaves nothing out.
//
// It is a Producer of the SDK, made before the reader:
//
//	histograms := otel.NewHistograms(otel.Config{})
//	reader := sdkmetric.NewPeriodicReader(exporter, sdkmetric.WithProducer(histograms))
//	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
//	sink, err := otel.New(provider, otel.Config{Histograms: histograms})
//
// Views and the reader's choice of temporality do not reach it, and exporters
// have to know exponential histograms.
type Histograms struct {
	cfg     Config
	window  *metrics.Window
	created time.Time
}

// NewHistograms returns empty histograms. Of the Config, level, granularity,
// MaxSeries, Attributes and Logger matter; they should be those of the sink.
func NewHistograms(c Config) *Histograms {
	return &Histograms{cfg: c, created: time.Now(), window: metrics.NewWindow(metrics.WindowConfig{
		Config: c.Config, MaxSeries: c.MaxSeries, Histograms: true, Seconds: true, Logger: c.Logger,
		Only: func(m core.Metric) bool { return m.Info().Kind == core.Distribution },
	})}
}

// Produce implements the Producer of go.opentelemetry.io/otel/sdk/metric.
func (h *Histograms) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	now := time.Now()
	points := map[core.Metric][]metricdata.ExponentialHistogramDataPoint[float64]{}
	for _, one := range h.window.Read() {
		p := metricdata.ExponentialHistogramDataPoint[float64]{
			Attributes: set{stream: one.Stream, shard: one.Shard}.attributes(h.cfg.Attributes),
			StartTime:  h.created, Time: now, Count: one.Count, Sum: one.Sum,
			Min: metricdata.NewExtrema(one.Min), Max: metricdata.NewExtrema(one.Max),
			Scale: metrics.HistogramSchema, ZeroCount: one.Histogram.Zero(), ZeroThreshold: metrics.ZeroThreshold,
		}
		for i, b := range one.Histogram.Buckets() {
			if i == 0 {
				// OpenTelemetry numbers buckets by their lower bounds.
				p.PositiveBucket.Offset = int32(b.Index - 1)
			}
			gap := b.Index - 1 - int(p.PositiveBucket.Offset) - len(p.PositiveBucket.Counts)
			p.PositiveBucket.Counts = append(append(p.PositiveBucket.Counts, make([]uint64, gap)...), b.Count)
		}
		points[one.Metric] = append(points[one.Metric], p)
	}
	scope := metricdata.ScopeMetrics{Scope: instrumentation.Scope{Name: Scope}}
	for _, m := range core.Metrics() {
		if len(points[m]) > 0 {
			scope.Metrics = append(scope.Metrics, metricdata.Metrics{
				Name: Name(m), Description: m.Info().Help, Unit: Unit(m),
				Data: metricdata.ExponentialHistogram[float64]{Temporality: metricdata.CumulativeTemporality, DataPoints: points[m]},
			})
		}
	}
	return []metricdata.ScopeMetrics{scope}, nil
}

// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
	"github.com/outkpl/outkpl/internal/version"
)

// Config configures a Sink. The zero Config reports everything.
type Config struct {
	// Config is the level and the granularity. With several hundred shards,
	// core.GranularityStream keeps the scrape small.
	metrics.Config
	// ConstLabels are put on all metrics. Two sinks on one registry need labels
	// of the same names with other values.
	ConstLabels map[string]string
	// MaxSeries bounds what the labels can take, 0 means 10000. A histogram
	// makes up to 16 lines of it.
	MaxSeries int
	// MaxStreams bounds the names of streams, 0 means 1000.
	MaxStreams int
	// Logger is told once when a bound is reached; nil for none.
	Logger *slog.Logger
}

// Sink is a metrics.Sink and a prometheus.Collector.
type Sink struct {
	cfg     Config
	reg     prom.Registerer
	window  *metrics.Window
	sources metrics.Sources
	created time.Time
	descs   map[core.Metric]*prom.Desc
	build   prom.Metric
	failed  *prom.Desc // nil below LevelSummary
	close   sync.Once
}

var _ metrics.Sink = (*Sink)(nil)

// New makes a sink and registers it. It fails if the registerer has metrics of
// the same names, as those of a sink with the same ConstLabels.
func New(reg prom.Registerer, c Config) (*Sink, error) {
	if reg == nil {
		return nil, errors.New("cannot make a Prometheus sink: the registerer is nil")
	}
	s := &Sink{cfg: c, reg: reg, created: time.Now(), descs: map[core.Metric]*prom.Desc{}}
	s.window = metrics.NewWindow(metrics.WindowConfig{
		Config: c.Config, MaxSeries: c.MaxSeries, MaxStreams: c.MaxStreams,
		Histograms: true, Seconds: true, Monotonic: true, Bounds: metrics.Bounds, Logger: c.Logger,
		Only: func(m core.Metric) bool { return m.Info().Kind != core.Gauge },
	}) // gauges come from the sources
	for _, m := range core.Metrics() {
		if c.Keeps(m) {
			s.descs[m] = prom.NewDesc(Name(m), help(m), labels(m, c.Config), c.ConstLabels)
		}
	}
	s.sources.MaxSeries, s.sources.MaxStreams = c.MaxSeries, c.MaxStreams
	s.build = prom.MustNewConstMetric(prom.NewDesc("kpl_build_info", "1; the labels say what was built", []string{"version", "go_version"}, c.ConstLabels),
		prom.GaugeValue, 1, version.Version(), runtime.Version())
	if c.Keeps(core.MetricUserRecordsPut) {
		names := []string{"reason"}
		if c.GranularityOf(core.MetricUserRecordsPut) >= core.GranularityStream {
			names = append(names, "stream")
		}
		s.failed = prom.NewDesc("kpl_user_records_failed_total", "user records that were not delivered, by reason", names, c.ConstLabels)
	}
	if err := reg.Register(s); err != nil {
		return nil, fmt.Errorf("cannot register metrics: %w", err)
	}
	return s, nil
}

// help says what is counted; where the outcome is a label, not what the values are.
func help(m core.Metric) string {
	switch m {
	case core.MetricUserRecordsPut:
		return "user records at their end, by result"
	case core.MetricKinesisRecordsPut:
		return "Kinesis records in answered calls, by result"
	case core.MetricAllErrors:
		return "refused Kinesis records and failed calls"
	default: // the help is that of the metric
	}
	return m.Info().Help
}

// Observe implements core.Observer.
func (s *Sink) Observe(list []core.Observation) { s.window.Observe(list) }

// Watch implements metrics.Sink: the gauges of src are read at each scrape.
func (s *Sink) Watch(src metrics.Source) { s.sources.Watch(src) }

// Close takes the metrics off the registry. They are lost if they were not
// scraped.
func (s *Sink) Close(context.Context) error {
	s.close.Do(func() { s.reg.Unregister(s) })
	return nil
}

// Describe implements prometheus.Collector.
func (s *Sink) Describe(ch chan<- *prom.Desc) {
	for _, d := range s.descs {
		ch <- d
	}
	ch <- s.build.Desc()
	if s.failed != nil {
		ch <- s.failed
	}
}

// Collect implements prometheus.Collector.
func (s *Sink) Collect(ch chan<- prom.Metric) {
	ch <- s.build
	for _, one := range s.window.Read() {
		d := s.descs[one.Metric]
		if one.Metric.Info().Kind == core.Distribution {
			ch <- &histogram{desc: d, stat: one.Stat, labels: prom.MakeLabelPairs(d, s.values(&one, "")), created: s.created}
			continue
		}
		if yes, no, ok := metrics.Outcomes(one.Metric); ok {
			ch <- s.counter(d, one.Sum, s.values(&one, yes))
			ch <- s.counter(d, float64(one.Count)-one.Sum, s.values(&one, no))
			continue
		}
		ch <- s.counter(d, one.Sum, s.values(&one, ""))
	}
	now := s.sources.Freeze()
	s.collectFailures(ch, now)
	for _, g := range now.Gauges(s.cfg.Config) {
		v := g.Value
		if g.Metric.Info().Unit == "Milliseconds" {
			v /= 1000
		}
		one := metrics.Series{Metric: g.Metric, Stream: g.Stream, Shard: g.Shard}
		ch <- prom.MustNewConstMetric(s.descs[g.Metric], prom.GaugeValue, v, s.values(&one, "")...)
	}
}

// collectFailures reports failures by reason from the producers themselves, where
// each count is there from the start.
func (s *Sink) collectFailures(ch chan<- prom.Metric, now *metrics.Sources) {
	for _, f := range now.Failures(s.cfg.Config) {
		values := []string{f.Reason.String()}
		if f.Stream != "" {
			values = append(values, f.Stream)
		}
		ch <- s.counter(s.failed, float64(f.Count), values)
	}
}

func (s *Sink) counter(d *prom.Desc, v float64, values []string) prom.Metric {
	return prom.MustNewConstMetricWithCreatedTimestamp(d, prom.CounterValue, v, s.created, values...)
}

// values returns the values of the labels, in their order.
func (s *Sink) values(one *metrics.Series, result string) []string {
	var list []string
	g := s.cfg.GranularityOf(one.Metric)
	if g >= core.GranularityStream {
		list = append(list, one.Stream)
	}
	if g >= core.GranularityShard {
		list = append(list, one.Shard)
	}
	if one.Metric == core.MetricErrorsByCode {
		list = append(list, one.Code)
	}
	if result != "" {
		list = append(list, result)
	}
	return list
}

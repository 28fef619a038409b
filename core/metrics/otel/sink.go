// SPDX-License-Identifier: Apache-2.0

package otel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
)

// Scope is the name of the meter.
const Scope = "github.com/outkpl/outkpl/core/metrics/otel"

// Config configures a Sink. The zero Config reports everything.
type Config struct {
	metrics.Config
	// MaxRun is how many equal points of a distribution are recorded of one
	// observation at most, 0 means 1000. It bounds how long an observation holds
	// up the producer, to some 0.3 ms.
	MaxRun int
	// MaxSeries bounds the sets of attributes, 0 means 10000; what is beyond has
	// the stream "(other)". The SDK has a limit of its own, 2000 an instrument.
	MaxSeries int
	// Histograms takes the distributions in place of the meter, see there.
	Histograms *Histograms
	// Attributes are put on all metrics.
	Attributes []attribute.KeyValue
	// Logger is told once when a bound is reached; nil for none.
	Logger *slog.Logger
}

// Sink is a metrics.Sink on top of a meter.
type Sink struct {
	cfg        Config
	counters   map[core.Metric]metric.Int64Counter
	histograms map[core.Metric]metric.Float64Histogram
	gauges     map[core.Metric]metric.Float64ObservableGauge
	finest     map[core.Metric]core.Granularity
	omitted    metric.Int64Counter
	callback   metric.Registration
	sources    metrics.Sources
	closed     atomic.Bool
	logged     atomic.Bool

	mu   sync.RWMutex
	sets map[set]*options // guarded by mu
}

// set is a set of attributes, options what the API takes in its place. These are
// made once, so that observing allocates nothing.
type set struct{ stream, shard, code, result string }

type options struct {
	add    []metric.AddOption
	record []metric.RecordOption
}

var _ metrics.Sink = (*Sink)(nil)

// New makes the instruments and registers a callback for the gauges.
func New(provider metric.MeterProvider, c Config) (*Sink, error) {
	if provider == nil {
		return nil, errors.New("cannot make an OpenTelemetry sink: the meter provider is nil")
	}
	if c.MaxRun < 0 || c.MaxSeries < 0 {
		return nil, fmt.Errorf("cannot make an OpenTelemetry sink: run %d, series %d; want 0 or more", c.MaxRun, c.MaxSeries)
	}
	if c.MaxRun == 0 {
		c.MaxRun = 1000
	}
	if c.MaxSeries == 0 {
		c.MaxSeries = 10_000
	}
	s := &Sink{
		cfg: c, counters: map[core.Metric]metric.Int64Counter{}, histograms: map[core.Metric]metric.Float64Histogram{},
		gauges: map[core.Metric]metric.Float64ObservableGauge{}, finest: map[core.Metric]core.Granularity{}, sets: map[set]*options{},
	}
	s.sources.MaxSeries = c.MaxSeries
	if err := s.instruments(provider.Meter(Scope)); err != nil {
		return nil, fmt.Errorf("cannot make an OpenTelemetry sink: %w", err)
	}
	return s, nil
}

func (s *Sink) instruments(meter metric.Meter) error {
	var errs []error
	var observed []metric.Observable
	var err error
	for _, m := range core.Metrics() {
		if !s.cfg.Keeps(m) {
			continue
		}
		s.finest[m] = s.cfg.GranularityOf(m)
		help, unit := metric.WithDescription(m.Info().Help), metric.WithUnit(Unit(m))
		switch m.Info().Kind {
		case core.Counter:
			s.counters[m], err = meter.Int64Counter(Name(m), help, unit)
		case core.Distribution:
			if s.cfg.Histograms != nil {
				continue
			}
			s.histograms[m], err = meter.Float64Histogram(Name(m), help, unit, metric.WithExplicitBucketBoundaries(metrics.Bounds(m)...))
		case core.Gauge:
			s.gauges[m], err = meter.Float64ObservableGauge(Name(m), help, unit)
			observed = append(observed, s.gauges[m])
		}
		errs = append(errs, err)
	}
	s.omitted, err = meter.Int64Counter("kpl.histogram_points_omitted", metric.WithUnit("{point}"),
		metric.WithDescription("data points left out of histograms, see Config.MaxRun"))
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	s.callback, err = meter.RegisterCallback(s.collect, observed...)
	return err
}

// Observe implements core.Observer.
func (s *Sink) Observe(list []core.Observation) {
	if s.closed.Load() {
		return
	}
	if s.cfg.Histograms != nil {
		s.cfg.Histograms.window.Observe(list)
	}
	ctx := context.Background()
	for i := range list {
		o := &list[i]
		if c := s.counters[o.Metric]; c != nil {
			if one, zero, ok := metrics.Outcomes(o.Metric); ok {
				// Zeros are added, too: an alarm needs a series to look at.
				c.Add(ctx, whole(o.Sum), s.options(o, one).add...)
				c.Add(ctx, whole(float64(o.Count)-o.Sum), s.options(o, zero).add...)
			} else if o.Sum >= 0 {
				c.Add(ctx, whole(o.Sum), s.options(o, "").add...)
			}
			continue
		}
		h := s.histograms[o.Metric]
		if h == nil || !h.Enabled(ctx) {
			continue
		}
		v := o.Max // all points of a distribution are equal
		if o.Metric.Info().Unit == "Milliseconds" {
			v /= 1000
		}
		opts := s.options(o, "")
		for range min(o.Count, s.cfg.MaxRun) {
			h.Record(ctx, v, opts.record...)
		}
		if n := o.Count - s.cfg.MaxRun; n > 0 {
			s.omitted.Add(ctx, int64(n))
		}
	}
}

func whole(v float64) int64 { return int64(math.Round(v)) }

// options returns the attributes of an observation.
func (s *Sink) options(o *core.Observation, result string) *options {
	k := set{o.Stream, o.Shard, o.Code, result}
	g := s.finest[o.Metric]
	if g < core.GranularityShard {
		k.shard = ""
	}
	if g < core.GranularityStream {
		k.stream = ""
	}
	if o.Metric != core.MetricErrorsByCode {
		k.code = ""
	}
	s.mu.RLock()
	found := s.sets[k]
	s.mu.RUnlock()
	if found != nil {
		return found
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sets) >= s.cfg.MaxSeries {
		if s.cfg.Logger != nil && !s.logged.Swap(true) {
			s.cfg.Logger.Warn("too many series of metrics; further ones are summed up in one",
				"max_series", s.cfg.MaxSeries, "reported_as", metrics.Overflow)
		}
		k = set{stream: metrics.Overflow, result: result}
	}
	if found = s.sets[k]; found == nil {
		k = set{strings.Clone(k.stream), strings.Clone(k.shard), strings.Clone(k.code), k.result}
		with := metric.WithAttributeSet(s.attributes(k))
		found = &options{add: []metric.AddOption{with}, record: []metric.RecordOption{with}}
		s.sets[k] = found
	}
	return found
}

func (s *Sink) attributes(k set) attribute.Set { return k.attributes(s.cfg.Attributes) }

func (k set) attributes(fixed []attribute.KeyValue) attribute.Set {
	list := append([]attribute.KeyValue(nil), fixed...)
	for _, a := range [...]struct{ name, value string }{{"stream", k.stream}, {"shard", k.shard}, {"code", k.code}, {"result", k.result}} {
		if a.value != "" {
			list = append(list, attribute.String(a.name, strings.ToValidUTF8(a.value, "\uFFFD")))
		}
	}
	return attribute.NewSet(list...)
}

// Watch implements metrics.Sink: the gauges of src are read at each collection.
func (s *Sink) Watch(src metrics.Source) { s.sources.Watch(src) }

func (s *Sink) collect(_ context.Context, o metric.Observer) error {
	for _, g := range s.sources.Gauges(s.cfg.Config) {
		v := g.Value
		if g.Metric.Info().Unit == "Milliseconds" {
			v /= 1000
		}
		o.ObserveFloat64(s.gauges[g.Metric], v, metric.WithAttributeSet(s.attributes(set{stream: g.Stream, shard: g.Shard})))
	}
	return nil
}

// Close ends the gauges. What was observed is with the SDK.
func (s *Sink) Close(context.Context) error {
	if s.closed.Swap(true) {
		return nil
	}
	if err := s.callback.Unregister(); err != nil {
		return fmt.Errorf("cannot unregister gauges: %w", err)
	}
	return nil
}

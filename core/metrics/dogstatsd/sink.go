// SPDX-License-Identifier: Apache-2.0

package dogstatsd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/DataDog/datadog-go/v5/statsd"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
)

// Client is the part of statsd.ClientDirect that is used.
type Client interface {
	Count(name string, value int64, tags []string, rate float64) error
	Gauge(name string, value float64, tags []string, rate float64) error
	DistributionSamples(name string, values []float64, tags []string, rate float64) error
	Flush() error
	Close() error
}

var _ Client = (*statsd.ClientDirect)(nil)

// Config configures a Sink. The zero Config sends everything to where the
// environment says that the Agent is (DD_AGENT_HOST, DD_DOGSTATSD_PORT,
// DD_DOGSTATSD_URL).
type Config struct {
	metrics.Config
	// Address is host:port for UDP, or unix:///path for a socket.
	Address string
	// Tags are put on all metrics, such as "env:prod".
	Tags []string
	// Interval between sends, 1 s to 60 s, 0 means 2 s. Ten seconds should be a
	// multiple of it, since the Agent reports every ten.
	Interval time.Duration
	// MaxSeries bounds the series of one interval, 0 means 10000.
	MaxSeries int
	// Logger gets a line when failures begin and one when they end; nil for none.
	Logger *slog.Logger
}

// Sink is a metrics.Sink that sends to a Datadog Agent.
type Sink struct {
	cfg     Config
	client  Client
	window  *metrics.Window
	sources metrics.Sources
	failing bool // of the goroutine, and of Close after it

	stop    chan struct{} // closed by Close
	done    chan struct{} // closed when all is sent and the client is closed
	closing sync.Once
}

var _ metrics.Sink = (*Sink)(nil)

// New starts a sink with a client of its own. Close ends both.
func New(c Config) (*Sink, error) {
	if err := c.fill(); err != nil {
		return nil, err
	}
	// What is summed up here needs no second summing up in the client.
	client, err := statsd.NewDirect(c.Address, statsd.WithoutClientSideAggregation(), statsd.WithoutTelemetry(),
		statsd.WithWorkersCount(1), statsd.WithTags(c.Tags))
	if err != nil {
		return nil, fmt.Errorf("cannot make a DogStatsD client: %w", err)
	}
	return start(client, c), nil
}

// NewWithClient starts a sink with a client that has its own tags, must not sum
// up distributions, and is closed by Close.
func NewWithClient(client Client, c Config) (*Sink, error) {
	if client == nil {
		return nil, errors.New("cannot make a DogStatsD sink: the client is nil")
	}
	if err := c.fill(); err != nil {
		return nil, err
	}
	return start(client, c), nil
}

func (c *Config) fill() error {
	if c.Interval == 0 {
		c.Interval = 2 * time.Second
	}
	if c.Interval < time.Second || c.Interval > time.Minute {
		return fmt.Errorf("cannot configure the DogStatsD sink: interval %v; want 1s to 1m", c.Interval)
	}
	if c.MaxSeries < 0 {
		return fmt.Errorf("cannot configure the DogStatsD sink: series %d; want 0 or more", c.MaxSeries)
	}
	return nil
}

func start(client Client, c Config) *Sink {
	s := &Sink{
		cfg: c, client: client, stop: make(chan struct{}), done: make(chan struct{}),
		window: metrics.NewWindow(metrics.WindowConfig{Config: c.Config, MaxSeries: c.MaxSeries, Histograms: true, Logger: c.Logger}),
	}
	s.sources.MaxSeries = c.MaxSeries
	go s.run()
	return s
}

// Observe implements core.Observer.
func (s *Sink) Observe(list []core.Observation) { s.window.Observe(list) }

// Watch implements metrics.Sink: the gauges of src are read at each send.
func (s *Sink) Watch(src metrics.Source) { s.sources.Watch(src) }

// Close sends what is left, and closes the client. If the context ends first,
// that goes on behind it: a socket takes as long as its write time-out.
func (s *Sink) Close(ctx context.Context) error {
	s.closing.Do(func() { close(s.stop) })
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cannot send the last metrics in time: %w", ctx.Err())
	}
}

// run sends until Close, and then once more. It is there so that a producer
// never waits for the Agent.
func (s *Sink) run() {
	defer close(s.done)
	ticks := time.NewTicker(s.cfg.Interval)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			s.report(s.send())
		case <-s.stop:
			s.report(errors.Join(s.send(), s.client.Flush(), s.client.Close()))
			return
		}
	}
}

func (s *Sink) report(err error) {
	if s.cfg.Logger != nil {
		switch {
		case err != nil && !s.failing:
			s.cfg.Logger.Warn("cannot send metrics to the Datadog Agent", "err", err)
		case err == nil && s.failing:
			s.cfg.Logger.Info("metrics are sent to the Datadog Agent again")
		}
	}
	s.failing = err != nil
}

// send sends the window and the gauges. It returns the first error.
func (s *Sink) send() error {
	var first error
	note := func(err error) {
		if first == nil {
			first = err
		}
	}
	for _, g := range s.sources.Gauges(s.cfg.Config) {
		note(s.client.Gauge(Name(g.Metric), g.Value, tags(g.Stream, g.Shard, "", ""), 1))
	}
	list := s.window.Take()
	metrics.Sort(list)
	for i := range list {
		one := &list[i]
		name := Name(one.Metric)
		if yes, no, ok := metrics.Outcomes(one.Metric); ok {
			note(s.client.Count(name, whole(one.Sum), tags(one.Stream, one.Shard, one.Code, yes), 1))
			note(s.client.Count(name, whole(float64(one.Count)-one.Sum), tags(one.Stream, one.Shard, one.Code, no), 1))
			continue
		}
		t := tags(one.Stream, one.Shard, one.Code, "")
		if one.Metric.Info().Kind == core.Distribution {
			note(s.distribution(name, one.Stat, t))
		} else {
			note(s.client.Count(name, whole(one.Sum), t, 1))
		}
	}
	return first
}

// maxDistinct is how many values of a distribution are sent at most: what an
// octave or two needs, at two values each.
const maxDistinct = 128

// distribution sends values that occur equally often in one message.
func (s *Sink) distribution(name string, st metrics.Stat, tags []string) error {
	byCount := map[uint64][]float64{}
	var order []uint64
	for _, v := range st.Values(maxDistinct) {
		if byCount[v.Count] == nil {
			order = append(order, v.Count)
		}
		byCount[v.Count] = append(byCount[v.Count], v.Value)
	}
	var first error
	for _, n := range order {
		if err := s.client.DistributionSamples(name, byCount[n], tags, rate(n)); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// rate returns the sample rate that the Agent turns into a count of n. It takes
// the whole part of 1/rate, which must not come out just below n.
func rate(n uint64) float64 {
	r := 1 / float64(n)
	for n > 1 && 1/r < float64(n) {
		r = math.Nextafter(r, 0)
	}
	return r
}

func whole(v float64) int64 { return int64(math.Round(v)) }

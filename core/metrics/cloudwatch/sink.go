// SPDX-License-Identifier: Apache-2.0

package cloudwatch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
	"github.com/outkpl/outkpl/internal/plural"
)

// Client is the part of the CloudWatch client that is used.
type Client interface {
	PutMetricData(context.Context, *cloudwatch.PutMetricDataInput, ...func(*cloudwatch.Options)) (*cloudwatch.PutMetricDataOutput, error)
}

// Sink is a metrics.Sink that uploads to CloudWatch.
type Sink struct {
	cfg     Config
	client  Client
	window  *metrics.Window
	gauges  *metrics.Window
	sources metrics.Sources

	// pending and failing belong to the goroutine, and to Close after it.
	pending []upload
	failing bool
	dropped atomic.Uint64

	stop     chan struct{} // closed by Close: no more uploads by the goroutine
	done     chan struct{} // closed by the goroutine at its end
	ctx      context.Context
	cancel   context.CancelFunc // breaks off the upload under way
	closing  sync.Once
	closeErr error
}

var _ metrics.Sink = (*Sink)(nil)

// New starts a sink. Close ends it.
func New(client Client, c Config) (*Sink, error) {
	if client == nil {
		return nil, errors.New("cannot make a CloudWatch sink: the client is nil")
	}
	if err := c.fill(); err != nil {
		return nil, err
	}
	wc := metrics.WindowConfig{Config: c.Config, MaxSeries: c.MaxSeries, Histograms: !c.StatisticSets, Logger: c.Logger}
	s := &Sink{
		cfg: c, client: client, window: metrics.NewWindow(wc), gauges: metrics.NewWindow(wc),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	s.sources.MaxSeries = c.MaxSeries
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go s.run()
	return s, nil
}

// Observe implements core.Observer.
func (s *Sink) Observe(list []core.Observation) { s.window.Observe(list) }

// Watch implements metrics.Sink: the gauges of src are sampled each second.
func (s *Sink) Watch(src metrics.Source) { s.sources.Watch(src) }

// Dropped returns how many series of an upload were dropped because CloudWatch
// refuses them as invalid.
func (s *Sink) Dropped() uint64 { return s.dropped.Load() }

// Close uploads what is left and ends the sink. The error says what could not be
// uploaded before the context ended.
func (s *Sink) Close(ctx context.Context) error {
	s.closing.Do(func() {
		close(s.stop)
		select {
		case <-s.done:
		case <-ctx.Done():
		}
		s.cancel()
		<-s.done
		s.sample()
		s.take(time.Now())
		if err := s.send(ctx); err != nil {
			left := 0
			for _, u := range s.pending {
				left += len(u.entries)
			}
			s.closeErr = fmt.Errorf("cannot upload the last metrics, %s %s lost: %w", plural.Count(left, "data point"), plural.Verb(left, "is", "are"), err)
		}
	})
	return s.closeErr
}

// run samples gauges and uploads until Close. It is there so that a producer
// never waits for CloudWatch.
func (s *Sink) run() {
	defer close(s.done)
	seconds := time.NewTicker(time.Second)
	defer seconds.Stop()
	next := time.Now().Add(s.cfg.Interval)
	for {
		select {
		case <-s.stop:
			return
		case <-seconds.C:
		}
		s.sample()
		if now := time.Now(); next.Sub(now) < time.Second/2 { // ticks come a little early or late
			next = now.Add(s.cfg.Interval)
			s.take(now)
			s.report(s.send(s.ctx))
		}
	}
}

// sample adds the gauges to the window, folded at each granularity.
func (s *Sink) sample() {
	var list []core.Observation
	now := s.sources.Freeze()
	for g := core.GranularityGlobal; g <= s.cfg.Granularity; g++ {
		for _, one := range now.Gauges(metrics.Config{Level: s.cfg.Level, Granularity: g}) {
			if s.cfg.GranularityOf(one.Metric) >= g {
				list = append(list, core.Observation{
					Metric: one.Metric, Stream: one.Stream, Shard: one.Shard,
					Count: 1, Sum: one.Value, Min: one.Value, Max: one.Value,
				})
			}
		}
	}
	s.gauges.Observe(list)
}

// report logs changes between good and bad.
func (s *Sink) report(err error) {
	if s.cfg.Logger == nil || s.ctx.Err() != nil {
		return
	}
	switch {
	case err != nil && !s.failing:
		s.cfg.Logger.Warn("cannot upload metrics to CloudWatch; they are kept and tried again", "err", err, "namespace", s.cfg.Namespace)
	case err == nil && s.failing:
		s.cfg.Logger.Info("metrics are uploaded to CloudWatch again", "namespace", s.cfg.Namespace)
	}
	s.failing = err != nil
}

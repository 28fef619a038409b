// SPDX-License-Identifier: Apache-2.0

package inmemory

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
)

// MaxWindow is how far back Last can look.
const MaxWindow = 60 * time.Second

const seconds = int64(MaxWindow / time.Second)

// Config configures a Sink. The zero Config keeps everything.
type Config struct {
	metrics.Config
	// MaxSeries bounds the series of each second and of the total, 0 means 1000.
	MaxSeries int
	// Logger is told once when the bound is reached; nil for none.
	Logger *slog.Logger
}

// Sink is a metrics.Sink. Its methods are safe for concurrent use.
type Sink struct {
	cfg     metrics.WindowConfig
	sources metrics.Sources
	total   *metrics.Window

	mu   sync.RWMutex
	ring [seconds]second // guarded by mu
}

// second is what was observed in one second.
type second struct {
	unix   int64
	window *metrics.Window
}

var _ metrics.Sink = (*Sink)(nil)

// New returns an empty sink.
func New(c Config) *Sink {
	if c.MaxSeries <= 0 {
		c.MaxSeries = 1000
	}
	s := &Sink{cfg: metrics.WindowConfig{Config: c.Config, MaxSeries: c.MaxSeries, Histograms: true}}
	s.sources.MaxSeries = c.MaxSeries
	total := s.cfg
	total.Logger = c.Logger
	s.total = metrics.NewWindow(total)
	return s
}

// Observe implements core.Observer.
func (s *Sink) Observe(list []core.Observation) {
	s.total.Observe(list)
	s.now().Observe(list)
}

// now returns the window of this second.
func (s *Sink) now() *metrics.Window {
	unix := time.Now().Unix()
	s.mu.RLock()
	at := s.ring[unix%seconds]
	s.mu.RUnlock()
	if at.window != nil && at.unix == unix {
		return at.window
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.ring[unix%seconds]
	if p.window == nil || p.unix != unix {
		*p = second{unix, metrics.NewWindow(s.cfg)}
	}
	return p.window
}

// Watch implements metrics.Sink.
func (s *Sink) Watch(src metrics.Source) { s.sources.Watch(src) }

// Close implements metrics.Sink. There is nothing to do: what was observed can
// still be read.
func (s *Sink) Close(context.Context) error { return nil }

// Gauges reads the gauges of the sources.
func (s *Sink) Gauges() []metrics.Sample { return s.sources.Gauges(s.cfg.Config) }

// All returns all series since the sink was made, in order of metric, code,
// stream and shard.
func (s *Sink) All() []metrics.Series {
	list := s.total.Read()
	metrics.Sort(list)
	return list
}

// Last returns the series of the last whole seconds, the current one included,
// in the order of All. The window is 1 s to MaxWindow.
func (s *Sink) Last(window time.Duration) ([]metrics.Series, error) {
	n := int64(window / time.Second)
	if n < 1 || n > seconds {
		return nil, fmt.Errorf("cannot read metrics: window %v; want 1s to %v", window, MaxWindow)
	}
	type key struct {
		metric              core.Metric
		stream, shard, code string
	}
	at := map[key]int{}
	var list []metrics.Series
	unix := time.Now().Unix()
	s.mu.RLock()
	ring := s.ring
	s.mu.RUnlock()
	for _, sec := range ring {
		if sec.window == nil || sec.unix > unix || sec.unix <= unix-n {
			continue
		}
		for _, one := range sec.window.Read() {
			k := key{one.Metric, one.Stream, one.Shard, one.Code}
			if i, found := at[k]; found {
				list[i].Merge(one.Stat)
				continue
			}
			at[k] = len(list)
			list = append(list, one)
		}
	}
	metrics.Sort(list)
	return list, nil
}

// Query says which series of a metric to sum up. What is empty is any.
type Query struct {
	Metric              core.Metric
	Stream, Shard, Code string
}

// Total sums up what was observed since the sink was made.
func (s *Sink) Total(q Query) metrics.Stat { return q.sum(s.total.Read()) }

// Recent sums up what was observed in the last seconds, see Last.
func (s *Sink) Recent(q Query, window time.Duration) (metrics.Stat, error) {
	list, err := s.Last(window)
	return q.sum(list), err
}

func (q Query) sum(list []metrics.Series) (sum metrics.Stat) {
	for _, one := range list {
		if one.Metric == q.Metric && (q.Stream == "" || one.Stream == q.Stream) &&
			(q.Shard == "" || one.Shard == q.Shard) && (q.Code == "" || one.Code == q.Code) {
			sum.Merge(one.Stat)
		}
	}
	return sum
}

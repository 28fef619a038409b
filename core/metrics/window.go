// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outkpl/outkpl/core"
)

// Overflow is the stream under which data points are kept that would need a
// series too many. No stream can have this name.
const Overflow = "(other)"

const (
	defaultMaxSeries  = 10_000
	defaultMaxStreams = 1000
	// A series that nothing was observed for this long gives way to a new one
	// when a window is full: shards end, and new ones come.
	idleAfter  = time.Hour
	sweepEvery = time.Minute
)

// WindowConfig configures a Window.
type WindowConfig struct {
	Config
	// MaxSeries bounds the series, 0 means 10000. Data points of series beyond
	// it are summed up under the stream Overflow, so that no total is wrong.
	MaxSeries int
	// MaxStreams bounds the names of streams likewise, 0 means 1000.
	MaxStreams int
	// Histograms keeps the values of distributions, at up to 9 KB a series.
	Histograms bool
	// Seconds turns milliseconds into seconds.
	Seconds bool
	// Monotonic takes a sum below zero as zero, for counters that must not go
	// back (PutPayloadUnitsSaved can, where an aggregate costs more).
	Monotonic bool
	// Only may leave metrics out, nil keeps all.
	Only func(core.Metric) bool
	// Bounds may return upper bounds of classic buckets for a distribution, in
	// the unit that is kept, ascending.
	Bounds func(core.Metric) []float64
	// Logger is told once that MaxSeries or MaxStreams was reached; nil for none.
	Logger *slog.Logger
}

// Series is what was observed of a metric with the same dimensions. Those that
// the metric does not have, or that are folded, are empty.
type Series struct {
	Metric              core.Metric
	Stream, Shard, Code string
	Stat
}

// Window sums observations up by series. It is a core.Observer, made for sinks
// that report from time to time (Take) or when asked (Read). Its work grows with
// observations, not with data points, and it allocates for new series only.
type Window struct {
	cfg    WindowConfig
	rules  rules
	traits [256]trait

	// mu guards the maps; who holds it for reading may change a series under
	// the lock of that.
	mu      sync.RWMutex
	series  map[key]*series
	streams map[string]struct{}
	swept   int64 // seconds, when idle series were dropped

	logged atomic.Bool
}

type trait struct {
	histogram bool
	monotonic bool
	scale     float64
	bounds    []float64
}

type key struct {
	metric              core.Metric
	stream, shard, code string
}

type series struct {
	key // names in valid UTF-8, which protocols need

	mu      sync.Mutex
	stat    Stat  // guarded by mu
	touched int64 // seconds, guarded by mu
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func (s *series) with(st Stat) Series { return Series{s.metric, s.stream, s.shard, s.code, st} }

// NewWindow returns an empty window.
func NewWindow(c WindowConfig) *Window {
	if c.MaxSeries <= 0 {
		c.MaxSeries = defaultMaxSeries
	}
	if c.MaxStreams <= 0 {
		c.MaxStreams = defaultMaxStreams
	}
	w := &Window{cfg: c}
	w.rules.set(c.Config)
	for _, m := range core.Metrics() {
		info := m.Info()
		if c.Only != nil && !c.Only(m) {
			w.rules.kept[m] = false
		}
		t := trait{
			histogram: c.Histograms && info.Kind == core.Distribution, scale: 1,
			monotonic: c.Monotonic && info.Kind == core.Counter,
		}
		if c.Seconds && info.Unit == "Milliseconds" {
			t.scale = 1.0 / 1000
		}
		if t.histogram && c.Bounds != nil {
			t.bounds = c.Bounds(m)
		}
		w.traits[m] = t
	}
	w.reset()
	return w
}

func (w *Window) reset() {
	w.series = make(map[key]*series, len(w.series))
	w.streams = make(map[string]struct{}, len(w.streams))
}

// Observe implements core.Observer.
func (w *Window) Observe(list []core.Observation) {
	now := time.Now().Unix()
	// The last series of a metric is as a rule the next one, too: shards are folded by
	// most sinks. These are valid as long as mu is not given back.
	var recent [32]*series
	w.mu.RLock()
	for i := range list {
		o := &list[i]
		if !w.rules.keeps(o.Metric) || o.Count <= 0 {
			continue
		}
		k := key{o.Metric, o.Stream, o.Shard, o.Code}
		w.rules.fold(k.metric, &k.stream, &k.shard, &k.code)
		place := &recent[int(o.Metric)%len(recent)]
		if *place == nil || (*place).key != k {
			s, locked := w.find(k, now)
			if !locked {
				clear(recent[:])
			}
			*place = s
		}
		(*place).add(o, &w.traits[o.Metric], now)
	}
	w.mu.RUnlock()
}

// find returns the series with a key, or that for what has no room. Called with
// mu locked for reading. If it has to make a series, it gives that back for a moment, and
// locked is false: what was found before may be gone.
func (w *Window) find(k key, now int64) (s *series, locked bool) {
	for locked = true; ; locked = false {
		if s := w.series[k]; s != nil {
			return s, locked
		}
		if w.full(k) && now-w.swept < int64(sweepEvery/time.Second) {
			k = key{metric: k.metric, stream: Overflow}
			if s := w.series[k]; s != nil {
				return s, locked
			}
		}
		w.mu.RUnlock()
		w.create(k, now)
		w.mu.RLock()
	}
}

// full says whether there is no room for a series. Called with mu locked.
func (w *Window) full(k key) bool {
	if k.stream == Overflow {
		return false
	}
	_, known := w.streams[k.stream]
	return len(w.series) >= w.cfg.MaxSeries || !known && len(w.streams) >= w.cfg.MaxStreams
}

func (s *series) add(o *core.Observation, t *trait, now int64) {
	n := uint64(o.Count)
	lo, hi := o.Min*t.scale, o.Max*t.scale
	s.mu.Lock()
	st := &s.stat
	if st.Count == 0 {
		st.Min, st.Max = lo, hi
	} else {
		st.Min, st.Max = min(st.Min, lo), max(st.Max, hi)
	}
	st.Count += n
	if sum := o.Sum * t.scale; sum > 0 || !t.monotonic {
		st.Sum += sum
	}
	if st.Histogram != nil {
		st.Histogram.add(hi, n) // all points of a distribution are equal
	}
	s.touched = now
	s.mu.Unlock()
}

// create makes a series, if there is room or idle ones give way.
func (w *Window) create(k key, now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.series[k] != nil {
		return
	}
	if w.full(k) {
		if now-w.swept >= int64(sweepEvery/time.Second) {
			w.sweep(now)
		}
		if w.full(k) {
			if w.cfg.Logger != nil && !w.logged.Swap(true) {
				w.cfg.Logger.Warn("too many series of metrics; further ones are summed up in one",
					"series", len(w.series), "max_series", w.cfg.MaxSeries, "streams", len(w.streams),
					"max_streams", w.cfg.MaxStreams, "reported_as", Overflow)
			}
			return
		}
	}
	if k.stream != Overflow {
		k.stream, k.shard, k.code = strings.Clone(k.stream), strings.Clone(k.shard), strings.Clone(k.code)
		w.streams[k.stream] = struct{}{}
	}
	s := &series{key: key{k.metric, valid(k.stream), valid(k.shard), valid(k.code)}, touched: now}
	if t := &w.traits[k.metric]; t.histogram {
		s.stat.Histogram = &Histogram{bounds: t.bounds}
		if t.bounds != nil {
			s.stat.Histogram.counts = make([]uint64, len(t.bounds)+1)
		}
	}
	w.series[k] = s
}

// sweep drops idle series.
func (w *Window) sweep(now int64) {
	w.swept = now
	clear(w.streams)
	for k, s := range w.series {
		s.mu.Lock()
		idle := now-s.touched > int64(idleAfter/time.Second)
		s.mu.Unlock()
		if idle {
			delete(w.series, k)
		} else if k.stream != Overflow {
			w.streams[k.stream] = struct{}{}
		}
	}
}

// Take returns what was observed since the last Take, in no order, and starts
// anew. No data point is lost or in two windows.
func (w *Window) Take() []Series {
	w.mu.Lock()
	old := w.series
	w.reset()
	w.mu.Unlock()
	// Who observes holds mu, so nobody knows a series of old any more.
	list := make([]Series, 0, len(old))
	for _, s := range old {
		s.mu.Lock()
		st := s.stat
		s.stat = Stat{} // for a Read under way
		s.mu.Unlock()
		if st.Count > 0 {
			list = append(list, s.with(st))
		}
	}
	return list
}

// Read returns copies of what was observed since the last Take, or ever, in no
// order. Each series is locked for the time of its copy only.
func (w *Window) Read() []Series {
	// Copies take long; who observes must not wait for all of them.
	w.mu.RLock()
	all := make([]*series, 0, len(w.series))
	for _, s := range w.series {
		all = append(all, s)
	}
	w.mu.RUnlock()
	list := make([]Series, 0, len(all))
	for _, s := range all {
		s.mu.Lock()
		st := s.stat
		if st.Histogram != nil {
			st.Histogram = st.Histogram.clone()
		}
		s.mu.Unlock()
		if st.Count > 0 {
			list = append(list, s.with(st))
		}
	}
	return list
}

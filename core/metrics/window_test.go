// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
	"github.com/outkpl/outkpl/core/metrics/internal/metricstest"
)

func TestWindowSumsUpBySeries(t *testing.T) {
	w := metrics.NewWindow(metrics.WindowConfig{Histograms: true, Seconds: true})
	w.Observe([]core.Observation{
		obs(core.MetricUserRecordsPut, "a", "1", 3, 1), obs(core.MetricUserRecordsPut, "a", "1", 1, 0),
		obs(core.MetricUserRecordsPut, "a", "2", 1, 1), obs(core.MetricRequestTime, "a", "", 2, 250),
	})
	w.Observe([]core.Observation{obs(core.MetricRequestTime, "a", "", 1, 4000)})
	read := w.Read()
	list := w.Take()
	for name, list := range map[string][]metrics.Series{"read": read, "taken": list} {
		if len(list) != 3 {
			t.Errorf("unexpected number of series %s; got %d; want 3", name, len(list))
		}
		if s := find(t, list, core.MetricUserRecordsPut, "a", "1"); s.Count != 4 || s.Sum != 3 || s.Min != 0 || s.Max != 1 || s.Histogram != nil {
			t.Errorf("unexpected counter %s: %+v", name, s)
		}
		s := find(t, list, core.MetricRequestTime, "a", "")
		if s.Count != 3 || s.Sum != 4.5 || s.Min != 0.25 || s.Max != 4 || s.Mean() != 1.5 {
			t.Errorf("unexpected distribution in seconds, %s: %+v", name, s)
		}
		if b := s.Histogram.Buckets(); len(b) != 2 || b[0] != (metrics.Bucket{Index: -16, Count: 2, Sum: 0.5}) || b[1] != (metrics.Bucket{Index: 16, Count: 1, Sum: 4}) {
			t.Errorf("unexpected buckets %s: %+v", name, b)
		}
	}
	if list := w.Take(); len(list) != 0 {
		t.Errorf("unexpected series in a new window: %+v", list)
	}
	if read[0].Count == 0 {
		t.Error("what was read has changed")
	}
}

// TestWindowsHaveEachPointOnce: whatever is observed while windows are taken is in
// exactly one of them.
func TestWindowsHaveEachPointOnce(t *testing.T) {
	w := metrics.NewWindow(metrics.WindowConfig{Histograms: true, MaxSeries: 40})
	const workers, rounds = 4, 500
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for j := range rounds {
				w.Observe([]core.Observation{
					obs(core.MetricUserRecordsPut, "a", fmt.Sprint(j%50), 1, 1),
					obs(core.MetricBufferingTime, "a", fmt.Sprint(i), 3, float64(j)),
					obs(core.MetricUserRecordsPut, "a", fmt.Sprint(j%50), 1, 1), // maybe in another window
				})
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	var count, buffered, inBuckets uint64
	add := func() {
		for _, s := range w.Take() {
			if s.Metric == core.MetricUserRecordsPut {
				count += s.Count
				continue
			}
			buffered += s.Count
			inBuckets += s.Histogram.Zero()
			for _, b := range s.Histogram.Buckets() {
				inBuckets += b.Count
			}
		}
	}
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		w.Read()
		add()
	}
	if count != 2*workers*rounds || buffered != 3*workers*rounds || inBuckets != buffered {
		t.Errorf("unexpected points; got %d, %d (%d in buckets); want %d and %d", count, buffered, inBuckets, 2*workers*rounds, 3*workers*rounds)
	}
}

func TestFullWindowKeepsTotals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := metrics.NewWindow(metrics.WindowConfig{MaxSeries: 10, MaxStreams: 3, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for i := range 100 {
			w.Observe([]core.Observation{obs(core.MetricUserRecordsPut, "a", fmt.Sprint(i), 1, 1)})
		}
		list := w.Read()
		if len(list) != 11 || find(t, list, core.MetricUserRecordsPut, metrics.Overflow, "").Sum != 90 {
			t.Errorf("unexpected series; got %d; want 10 and one for the rest", len(list))
		}
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("unexpected log; got %d lines; want 1:\n%s", n, log.String())
		}
		// Shard 5 lives on, the others end; new ones take their places.
		time.Sleep(40 * time.Minute)
		w.Observe([]core.Observation{obs(core.MetricUserRecordsPut, "a", "5", 1, 1)})
		time.Sleep(40 * time.Minute)
		w.Observe([]core.Observation{obs(core.MetricUserRecordsPut, "a", "new", 1, 1)})
		list = w.Read()
		if find(t, list, core.MetricUserRecordsPut, "a", "5").Sum != 2 || find(t, list, core.MetricUserRecordsPut, "a", "new").Sum != 1 || len(list) != 2 {
			t.Errorf("unexpected series after an hour: %+v", list)
		}
		// Streams are bounded, too.
		w.Take()
		for i := range 5 {
			w.Observe([]core.Observation{obs(core.MetricUserRecordsPut, fmt.Sprint("stream", i), "", 1, 1)})
		}
		if list := w.Read(); len(list) != 4 || find(t, list, core.MetricUserRecordsPut, metrics.Overflow, "").Sum != 2 {
			t.Errorf("unexpected series of many streams: %+v", list)
		}
	})
}

func TestMonotonicWindowIgnoresSumsBelowZero(t *testing.T) {
	w := metrics.NewWindow(metrics.WindowConfig{Monotonic: true})
	w.Observe([]core.Observation{obs(core.MetricPutPayloadUnitsSaved, "a", "", 1, 5), obs(core.MetricPutPayloadUnitsSaved, "a", "", 1, -1)})
	if s := find(t, w.Read(), core.MetricPutPayloadUnitsSaved, "a", ""); s.Sum != 5 || s.Min != -1 {
		t.Errorf("unexpected sum; got %+v", s)
	}
}

func TestObserveAllocatesNothing(t *testing.T) {
	list, _ := metricstest.Burst()
	for name, o := range map[string]core.Observer{
		"window": metrics.NewWindow(metrics.WindowConfig{Histograms: true, Bounds: metrics.Bounds}),
	} {
		o.Observe(list)
		if n := testing.AllocsPerRun(100, func() { o.Observe(list) }); n != 0 {
			t.Errorf("unexpected allocations of %s; got %v; want 0", name, n)
		}
	}
}

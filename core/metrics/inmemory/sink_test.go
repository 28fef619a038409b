// SPDX-License-Identifier: Apache-2.0

package inmemory_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
	"github.com/outkpl/outkpl/core/metrics/inmemory"
	"github.com/outkpl/outkpl/core/metrics/internal/metricstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var received = inmemory.Query{Metric: core.MetricUserRecordsReceived}

func recent(t *testing.T, s *inmemory.Sink, q inmemory.Query, d time.Duration) metrics.Stat {
	t.Helper()
	st, err := s.Recent(q, d)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestTotalsAgreeWithTheCountersOfTheProducer(t *testing.T) {
	s := inmemory.New(inmemory.Config{})
	st := metricstest.Run(t, s)
	put := s.Total(inmemory.Query{Metric: core.MetricUserRecordsPut})
	if put.Sum != float64(st.Confirmed) || put.Count != st.Confirmed+st.FailedTotal() {
		t.Errorf("unexpected UserRecordsPut; got %+v; want %d of %d", put, st.Confirmed, st.Accepted)
	}
	throttles := s.Total(inmemory.Query{Metric: core.MetricErrorsByCode, Code: "ProvisionedThroughputExceededException"})
	if throttles.Sum != float64(st.Throttled) {
		t.Errorf("unexpected throttles; got %v; want %d", throttles.Sum, st.Throttled)
	}
	a := s.Total(inmemory.Query{Metric: core.MetricKinesisRecordsPut, Stream: metricstest.Stream, Shard: "shardId-000000000000"})
	b := s.Total(inmemory.Query{Metric: core.MetricKinesisRecordsPut, Stream: metricstest.Stream, Shard: "shardId-000000000001"})
	if a.Sum == 0 || b.Sum == 0 || a.Sum+b.Sum != float64(st.KinesisRecords) {
		t.Errorf("unexpected Kinesis records by shard; got %v and %v; want %d in all", a.Sum, b.Sum, st.KinesisRecords)
	}
	if none := s.Total(inmemory.Query{Metric: core.MetricKinesisRecordsPut, Stream: "no such"}); none.Count != 0 || none.Mean() != 0 {
		t.Errorf("unexpected series of another stream: %+v", none)
	}
	if g := s.Gauges(); len(g) < 3 {
		t.Errorf("unexpected gauges: %+v", g)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestWindowsOfSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inmemory.New(inmemory.Config{})
		observe := func(n int) {
			s.Observe([]core.Observation{metricstest.Obs(core.MetricUserRecordsReceived, "logs", "", "", n, 1)})
		}
		for i := range 200 { // second i has i points
			if i > 0 {
				observe(i)
			}
			time.Sleep(time.Second)
		}
		observe(1000) // now
		for _, c := range []struct {
			window time.Duration
			want   float64
		}{
			{time.Second, 1000},
			{2 * time.Second, 1199},
			{2500 * time.Millisecond, 1199},
			{10 * time.Second, 1000 + 9*195},
			{time.Minute, 1000 + 59*170},
		} {
			if got := recent(t, s, received, c.window); got.Sum != c.want {
				t.Errorf("unexpected sum of the last %v; got %v; want %v", c.window, got.Sum, c.want)
			}
		}
		if got := s.Total(received); got.Sum != 1000+199*100 {
			t.Errorf("unexpected total; got %v; want 20900", got.Sum)
		}
		// Reading takes nothing away; time does.
		if got := recent(t, s, received, time.Minute); got.Sum != 1000+59*170 {
			t.Errorf("unexpected sum the second time; got %v", got.Sum)
		}
		time.Sleep(time.Hour)
		if got := recent(t, s, received, time.Minute); got.Count != 0 {
			t.Errorf("unexpected sum after an idle hour; got %+v; want none", got)
		}
		for _, bad := range []time.Duration{0, -time.Second, 999 * time.Millisecond, 61 * time.Second} {
			if _, err := s.Last(bad); err == nil {
				t.Errorf("a window of %v was taken", bad)
			}
		}
	})
}

func TestSeriesAreInOrderAndBounded(t *testing.T) {
	s := inmemory.New(inmemory.Config{MaxSeries: 3})
	for _, stream := range []string{"c", "a", "b", "d", "e"} {
		s.Observe([]core.Observation{metricstest.Obs(core.MetricRequestTime, stream, "", "", 2, 5)})
	}
	var got []string
	last, err := s.Last(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range [][]metrics.Series{s.All(), last} {
		for _, one := range list {
			got = append(got, fmt.Sprint(one.Stream, "=", one.Count))
		}
	}
	if want := "[(other)=4 a=2 b=2 c=2 (other)=4 a=2 b=2 c=2]"; fmt.Sprint(got) != want {
		t.Errorf("unexpected series; got %v; want %s", got, want)
	}
}

func TestConcurrentUse(t *testing.T) {
	s := inmemory.New(inmemory.Config{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				s.Observe([]core.Observation{metricstest.Obs(core.MetricBufferingTime, "logs", "", "", 5, 3)})
				s.All()
				if _, err := s.Last(time.Minute); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	q := inmemory.Query{Metric: core.MetricBufferingTime}
	if total, last := s.Total(q), recent(t, s, q, time.Minute); total.Count != 4000 || last.Count != 4000 {
		t.Errorf("unexpected counts; got %d and %d; want 4000", total.Count, last.Count)
	}
}

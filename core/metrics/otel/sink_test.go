// SPDX-License-Identifier: Apache-2.0

package otel_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric/noop"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/goleak"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
	"github.com/outkpl/outkpl/core/metrics/internal/metricstest"
	"github.com/outkpl/outkpl/core/metrics/otel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const shard0 = "shardId-000000000000"

func newSink(t testing.TB, c otel.Config, opts ...sdk.ManualReaderOption) (*otel.Sink, *sdk.ManualReader) {
	t.Helper()
	reader := sdk.NewManualReader(opts...)
	s, err := otel.New(sdk.NewMeterProvider(sdk.WithReader(reader)), c)
	if err != nil {
		t.Fatal(err)
	}
	return s, reader
}

// point is one point of any kind: value is the sum or the state.
type point struct {
	value     float64
	count     uint64
	histogram *metricdata.HistogramDataPoint[float64]
}

// collect returns all points by name and attributes: "kpl.x{code=a,stream=b}".
func collect(t testing.TB, r *sdk.ManualReader) map[string]point {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := r.Collect(context.Background(), &rm); err != nil {
		t.Fatal(err)
	}
	all := map[string]point{}
	name := func(n string, set attribute.Set) string {
		var list []string
		for _, kv := range set.ToSlice() {
			list = append(list, fmt.Sprint(string(kv.Key), "=", kv.Value.AsString()))
		}
		return n + "{" + strings.Join(list, ",") + "}"
	}
	for _, scope := range rm.ScopeMetrics {
		if scope.Scope.Name != otel.Scope {
			t.Errorf("unexpected scope %q", scope.Scope.Name)
		}
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				if !data.IsMonotonic {
					t.Errorf("%s is not monotonic", m.Name)
				}
				for _, p := range data.DataPoints {
					all[name(m.Name, p.Attributes)] = point{value: float64(p.Value)}
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					all[name(m.Name, p.Attributes)] = point{value: p.Value}
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					all[name(m.Name, p.Attributes)] = point{value: p.Sum, count: p.Count, histogram: &p}
				}
			default:
				t.Errorf("unexpected data of %s: %T", m.Name, data)
			}
		}
	}
	return all
}

func sumOf(all map[string]point, prefix string) (value float64, count uint64) {
	for k, p := range all {
		if strings.HasPrefix(k, prefix) {
			value += p.value
			count += p.count
		}
	}
	return value, count
}

func TestCollectionAgreesWithTheCountersOfTheProducer(t *testing.T) {
	s, r := newSink(t, otel.Config{})
	st := metricstest.Run(t, s)
	all := collect(t, r)
	for name, want := range map[string]uint64{
		"kpl.user_records_received{": st.Accepted, "kpl.user_records_data_put{": st.ConfirmedBytes,
		"kpl.user_records_put{": st.Confirmed + st.FailedTotal(), "kpl.user_records_put{result=confirmed,": st.Confirmed,
		"kpl.user_records_put{result=failed,": st.FailedTotal(), "kpl.kinesis_records_put{result=stored,": st.KinesisRecords,
		"kpl.all_errors{": st.Throttled + st.InternalFailures + st.RequestErrors,
		"kpl.errors_by_code{code=ProvisionedThroughputExceededException,": st.Throttled,
		"kpl.retries_per_record{": st.Retries, "kpl.put_payload_units{": st.PutPayloadUnits,
	} {
		if got, _ := sumOf(all, name); got != float64(want) {
			t.Errorf("unexpected sum of %s; got %v; want %d", name, got, want)
		}
	}
	for name, want := range map[string]uint64{"kpl.buffering_time{": st.Retries + st.Confirmed, "kpl.request_time{": st.Requests} {
		if _, got := sumOf(all, name); got != want {
			t.Errorf("unexpected count of %s; got %d; want %d", name, got, want)
		}
	}
	if v, _ := sumOf(all, "kpl.histogram_points_omitted"); v != 0 {
		t.Errorf("unexpected points omitted: %v", v)
	}
}

// TestDeltasAddUp: each exported delta is what was observed since the one before,
// whatever the rhythm.
func TestDeltasAddUp(t *testing.T) {
	s, r := newSink(t, otel.Config{}, sdk.WithTemporalitySelector(func(sdk.InstrumentKind) metricdata.Temporality { return metricdata.DeltaTemporality }))
	const name = "kpl.user_records_received{stream=logs}"
	for _, n := range []int{5, 0, 7, 1} {
		if n > 0 {
			s.Observe([]core.Observation{metricstest.Obs(core.MetricUserRecordsReceived, "logs", "", "", n, 1)})
		}
		if got := collect(t, r)[name].value; got != float64(n) {
			t.Errorf("unexpected delta; got %v; want %d", got, n)
		}
	}
}

// TestHistogramsHoldEachPoint: not only means.
func TestHistogramsHoldEachPoint(t *testing.T) {
	s, r := newSink(t, otel.Config{})
	s.Observe([]core.Observation{
		metricstest.Obs(core.MetricBufferingTime, "logs", shard0, "", 99, 20),
		metricstest.Obs(core.MetricBufferingTime, "logs", shard0, "", 1, 9000),
		metricstest.Obs(core.MetricBufferingTime, "logs", "shardId-000000000001", "", 1500, 30),
	})
	all := collect(t, r)
	p := all["kpl.buffering_time{shard="+shard0+",stream=logs}"]
	if p.count != 100 || math.Abs(p.value-(99*0.02+9)) > 1e-9 {
		t.Fatalf("unexpected histogram; got %+v", p)
	}
	at := func(le float64) uint64 { return p.histogram.BucketCounts[slices.Index(p.histogram.Bounds, le)] }
	if at(0.025) != 99 || at(10) != 1 {
		t.Errorf("unexpected buckets; got %v of %v; want 99 up to 25 ms and one up to 10 s", p.histogram.BucketCounts, p.histogram.Bounds)
	}
	// A long run is cut, and that is told.
	if p := all["kpl.buffering_time{shard=shardId-000000000001,stream=logs}"]; p.count != 1000 || all["kpl.histogram_points_omitted{}"].value != 500 {
		t.Errorf("unexpected count of a run of 1500; got %d, %v omitted; want 1000 and 500", p.count, all["kpl.histogram_points_omitted{}"].value)
	}
}

// TestHistogramsAroundTheAPI: all points of a long run, in exponential buckets.
func TestHistogramsAroundTheAPI(t *testing.T) {
	h := otel.NewHistograms(otel.Config{Attributes: []attribute.KeyValue{attribute.String("env", "prod")}})
	s, r := newSink(t, otel.Config{Histograms: h}, sdk.WithProducer(h))
	s.Observe([]core.Observation{
		metricstest.Obs(core.MetricBufferingTime, "logs", shard0, "", 5000, 250),
		metricstest.Obs(core.MetricBufferingTime, "logs", shard0, "", 2, 1000),
		metricstest.Obs(core.MetricBufferingTime, "logs", shard0, "", 3, 0),
		metricstest.Obs(core.MetricUserRecordsReceived, "logs", "", "", 1, 1),
	})
	var rm metricdata.ResourceMetrics
	if err := r.Collect(context.Background(), &rm); err != nil {
		t.Fatal(err)
	}
	if n := len(rm.ScopeMetrics); n != 2 || len(rm.ScopeMetrics[0].Metrics) != 1 || len(rm.ScopeMetrics[1].Metrics) != 1 {
		t.Fatalf("unexpected metrics: %+v", rm.ScopeMetrics)
	}
	m := rm.ScopeMetrics[1].Metrics[0]
	p := m.Data.(metricdata.ExponentialHistogram[float64]).DataPoints[0]
	if m.Name != "kpl.buffering_time" || m.Unit != "s" || p.Count != 5005 || p.Sum != 1252 || p.Scale != 3 || p.ZeroCount != 3 || p.Attributes.Len() != 3 {
		t.Errorf("unexpected histogram: %+v", p)
	}
	// The bucket from 2^(-17/8) to 2^(-16/8) = 0.25 has the number -17 here,
	// that up to 1 the number -1.
	c := p.PositiveBucket.Counts
	if p.PositiveBucket.Offset != -17 || len(c) != 17 || c[0] != 5000 || c[16] != 2 {
		t.Errorf("unexpected buckets: %+v", p.PositiveBucket)
	}
	if most, ok := p.Max.Value(); !ok || most != 1 {
		t.Errorf("unexpected maximum: %v", most)
	}
}

// TestGaugesAreStates: a collection that finds the same state reports the same
// value, and none after Close.
func TestGaugesAreStates(t *testing.T) {
	s, r := newSink(t, otel.Config{})
	state := metricstest.Pending(metricstest.Stream, 7)
	s.Watch(state)
	for _, pending := range []uint64{7, 7, 2} {
		state.Pend(pending)
		all := collect(t, r)
		for name, want := range map[string]float64{
			"kpl.user_records_pending{stream=logs}": float64(pending), "kpl.buffered_bytes{}": 1000,
			"kpl.oldest_record_age{stream=logs}": 1.5, "kpl.shard_tokens{shard=" + shard0 + ",stream=logs}": -512,
		} {
			if p, found := all[name]; !found || p.value != want {
				t.Errorf("unexpected %s; got %v; want %v", name, p.value, want)
			}
		}
	}
	for range 2 {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	s.Observe([]core.Observation{metricstest.Obs(core.MetricUserRecordsReceived, "logs", "", "", 1, 1)})
	if all := collect(t, r); len(all) != 0 {
		t.Errorf("unexpected points after Close: %v", all)
	}
}

func TestAttributesFollowTheGranularity(t *testing.T) {
	for g, want := range map[core.Granularity]string{
		core.GranularityShard:  "kpl.user_records_put{env=prod,result=confirmed,shard=" + shard0 + ",stream=logs}",
		core.GranularityStream: "kpl.user_records_put{env=prod,result=confirmed,stream=logs}",
		core.GranularityGlobal: "kpl.user_records_put{env=prod,result=confirmed}",
	} {
		s, r := newSink(t, otel.Config{Config: metrics.Config{Level: core.LevelSummary, Granularity: g}, Attributes: []attribute.KeyValue{attribute.String("env", "prod")}})
		s.Observe([]core.Observation{
			metricstest.Obs(core.MetricUserRecordsPut, "logs", shard0, "", 2, 1),
			metricstest.Obs(core.MetricUserRecordsReceived, "logs", "", "", 2, 1), // detailed
		})
		all := collect(t, r)
		failed := strings.Replace(want, "confirmed", "failed", 1)
		if _, zero := all[failed]; len(all) != 2 || all[want].value != 2 || !zero {
			t.Errorf("unexpected points; got %v; want %s and zero failures", slices.Collect(maps.Keys(all)), want)
		}
	}
}

func TestAttributesAreCapped(t *testing.T) {
	s, r := newSink(t, otel.Config{MaxSeries: 5})
	for i := range 50 {
		s.Observe([]core.Observation{metricstest.Obs(core.MetricUserRecordsReceived, fmt.Sprint("s", i), "", "", 1, 1)})
	}
	all := collect(t, r)
	if sum, _ := sumOf(all, "kpl.user_records_received{"); sum != 50 || all["kpl.user_records_received{stream=(other)}"].value != 45 {
		t.Errorf("unexpected counters; got %v; want 50 in all, 45 of them under (other)", all)
	}
}

func TestNegativePointsDoNotTurnACounterBack(t *testing.T) {
	s, r := newSink(t, otel.Config{})
	s.Observe([]core.Observation{metricstest.Obs(core.MetricPutPayloadUnitsSaved, "logs", shard0, "", 1, 3), metricstest.Obs(core.MetricPutPayloadUnitsSaved, "logs", shard0, "", 1, -1)})
	if got, _ := sumOf(collect(t, r), "kpl.put_payload_units_saved{"); got != 3 {
		t.Errorf("unexpected sum; got %v; want 3", got)
	}
}

func TestObserveAllocatesNothing(t *testing.T) {
	s, _ := newSink(t, otel.Config{})
	list, _ := metricstest.Burst()
	s.Observe(list)
	if n := testing.AllocsPerRun(10, func() { s.Observe(list) }); n > 0 {
		t.Errorf("unexpected allocations for 4000 user records; got %v; want 0", n)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, err := range map[string]error{
		"no provider":   second(otel.New(nil, otel.Config{})),
		"negative run":  second(otel.New(noop.NewMeterProvider(), otel.Config{MaxRun: -1})),
		"negative caps": second(otel.New(noop.NewMeterProvider(), otel.Config{MaxSeries: -1})),
	} {
		if err == nil {
			t.Errorf("%s: taken without an error", name)
		}
	}
}

func second(_ *otel.Sink, err error) error { return err }

// BenchmarkObserve is the cost for each user record, in aggregates of 250 of
// four batches.
func BenchmarkObserve(b *testing.B) {
	detailed := metrics.Config{}
	summary := metrics.Config{Level: core.LevelSummary, Granularity: core.GranularityShard}
	for _, c := range []struct {
		name string
		cfg  otel.Config
	}{
		{"detailed", otel.Config{Config: detailed}},
		{"summary", otel.Config{Config: summary}},
		{"histograms around the API", otel.Config{Histograms: otel.NewHistograms(otel.Config{})}},
	} {
		b.Run(c.name, func(b *testing.B) {
			s, _ := newSink(b, c.cfg)
			list, records := metricstest.Burst()
			b.ReportAllocs()
			for b.Loop() {
				s.Observe(list)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(records), "ns/record")
		})
	}
}

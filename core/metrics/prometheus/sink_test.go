// SPDX-License-Identifier: Apache-2.0

package prometheus_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
	"github.com/outkpl/outkpl/core/metrics/internal/metricstest"
	"github.com/outkpl/outkpl/core/metrics/prometheus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const shard0 = "shardId-000000000000"

func newSink(t testing.TB, c prometheus.Config) (*prometheus.Sink, *prom.Registry) {
	t.Helper()
	reg := prom.NewPedanticRegistry()
	s, err := prometheus.New(reg, c)
	if err != nil {
		t.Fatal(err)
	}
	return s, reg
}

// gather returns all metrics by name and labels: "kpl_x{a=b,c=d}".
func gather(t testing.TB, reg *prom.Registry) (map[string]*dto.Metric, []*dto.MetricFamily) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*dto.Metric{}
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			all[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = m
		}
	}
	return all, families
}

// sumOf adds up the counters that begin with a name.
func sumOf(all map[string]*dto.Metric, prefix string) (sum float64) {
	for k, m := range all {
		if strings.HasPrefix(k, prefix) {
			sum += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

func TestScrapeAgreesWithTheCountersOfTheProducer(t *testing.T) {
	s, reg := newSink(t, prometheus.Config{})
	st := metricstest.Run(t, s)
	all, families := gather(t, reg)
	check := func(prefix string, want uint64) {
		t.Helper()
		if got := sumOf(all, prefix); got != float64(want) {
			t.Errorf("unexpected %s; got %v; want %d", prefix, got, want)
		}
	}
	check("kpl_user_records_received_total{stream=logs}", st.Accepted)
	check("kpl_user_records_data_put_bytes_total{", st.ConfirmedBytes)
	check("kpl_kinesis_records_data_put_bytes_total{", st.KinesisBytes)
	check("kpl_errors_by_code_total{", st.Throttled+st.InternalFailures+st.RequestErrors)
	check("kpl_errors_by_code_total{code=ProvisionedThroughputExceededException,", st.Throttled)
	check("kpl_all_errors_total{", st.Throttled+st.InternalFailures+st.RequestErrors)
	check("kpl_request_time_seconds{stream=logs}", st.Requests)
	check("kpl_buffering_time_seconds{", st.Retries+st.Confirmed)
	check("kpl_put_payload_units_total{", st.PutPayloadUnits)
	check("kpl_shard_map_refreshes_total{stream=logs}", st.MapRefreshes)
	results := map[string]float64{}
	for k, m := range all {
		for _, r := range []string{"confirmed", "failed", "stored", "refused"} {
			if strings.HasSuffix(strings.SplitN(k, ",", 2)[0], "result="+r) {
				results[r] += m.GetCounter().GetValue()
			}
		}
	}
	for r, want := range map[string]uint64{"confirmed": st.Confirmed, "failed": st.FailedTotal(), "stored": st.KinesisRecords, "refused": st.Throttled + st.InternalFailures} {
		if results[r] != float64(want) {
			t.Errorf("unexpected result %s; got %v; want %d", r, results[r], want)
		}
	}
	if got := sumOf(all, "kpl_user_records_failed_total{reason=invalid,stream=logs}"); got != 20 || sumOf(all, "kpl_user_records_failed_total{") != 20 ||
		all["kpl_user_records_failed_total{reason=expired,stream=logs}"] == nil {
		t.Errorf("unexpected failures by reason; got %v invalid; want 20, and 0 for each other reason", got)
	}
	if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("the linter found %+v, %v", problems, err)
	}
	if m := all["kpl_user_records_pending{stream=logs}"]; m == nil || m.GetGauge().GetValue() != 0 {
		t.Errorf("unexpected gauge of pending records: %v", m)
	}
}

func TestHistogramsAreClassicAndNative(t *testing.T) {
	s, reg := newSink(t, prometheus.Config{})
	s.Observe([]core.Observation{
		metricstest.Obs(core.MetricBufferingTime, "logs", shard0, "", 3, 250), // bucket of le 0.25, index -16
		metricstest.Obs(core.MetricBufferingTime, "logs", shard0, "", 1, 260), // -15
		metricstest.Obs(core.MetricBufferingTime, "logs", shard0, "", 2, 4000),
		metricstest.Obs(core.MetricRetriesPerRecord, "logs", shard0, "", 7, 0),
	})
	all, _ := gather(t, reg)
	h := all["kpl_buffering_time_seconds{shard="+shard0+",stream=logs}"].GetHistogram()
	if h.GetSampleCount() != 6 || math.Abs(h.GetSampleSum()-9.01) > 1e-9 || h.GetSchema() != 3 || h.GetCreatedTimestamp() == nil {
		t.Fatalf("unexpected histogram: %v", h)
	}
	cumulative := map[float64]uint64{}
	for _, b := range h.Bucket {
		cumulative[b.GetUpperBound()] = b.GetCumulativeCount()
	}
	for le, want := range map[float64]uint64{0.1: 0, 0.25: 3, 0.5: 4, 2.5: 4, 5: 6, 300: 6} {
		if cumulative[le] != want {
			t.Errorf("unexpected classic bucket le %v; got %d; want %d", le, cumulative[le], want)
		}
	}
	got := fmt.Sprint(h.PositiveSpan, h.PositiveDelta)
	// A run of two buckets from -16, then 16, thirty further on.
	if len(h.PositiveSpan) != 2 || h.PositiveSpan[0].GetOffset() != -16 || h.PositiveSpan[0].GetLength() != 2 ||
		h.PositiveSpan[1].GetOffset() != 30 || h.PositiveSpan[1].GetLength() != 1 || fmt.Sprint(h.PositiveDelta) != "[3 -2 1]" {
		t.Errorf("unexpected native buckets; got %s", got)
	}
	zeros := all["kpl_retries_per_record{shard="+shard0+",stream=logs}"].GetHistogram()
	if zeros.GetZeroCount() != 7 || zeros.Bucket[0].GetUpperBound() != 0 || zeros.Bucket[0].GetCumulativeCount() != 7 || len(zeros.PositiveSpan) != 1 {
		t.Errorf("unexpected histogram of zeros: %v", zeros)
	}
}

func TestGaugesAreReadAtEachScrape(t *testing.T) {
	s, reg := newSink(t, prometheus.Config{})
	state := metricstest.Pending(metricstest.Stream, 7)
	s.Watch(state)
	for _, pending := range []uint64{7, 3, 3} { // a state, not a sum
		state.Pend(pending)
		all, _ := gather(t, reg)
		for k, want := range map[string]float64{
			"kpl_user_records_pending{stream=logs}":                    float64(pending),
			"kpl_buffered_bytes{}":                                     1000,
			"kpl_oldest_record_age_seconds{stream=logs}":               1.5,
			"kpl_shard_tokens_bytes{shard=" + shard0 + ",stream=logs}": -512,
			"kpl_shard_share_ratio{shard=" + shard0 + ",stream=logs}":  0.5,
			"kpl_shard_queued_bytes{shard=" + shard0 + ",stream=logs}": 4096,
		} {
			if got := all[k].GetGauge().GetValue(); all[k] == nil || got != want {
				t.Errorf("unexpected %s; got %v; want %v", k, got, want)
			}
		}
	}
}

func TestLabelsFollowTheGranularity(t *testing.T) {
	for _, c := range []struct {
		g    core.Granularity
		want string
	}{
		{core.GranularityShard, "kpl_user_records_put_total{result=failed,shard=" + shard0 + ",stream=logs}"},
		{core.GranularityStream, "kpl_user_records_put_total{result=failed,stream=logs}"},
		{core.GranularityGlobal, "kpl_user_records_put_total{result=failed}"},
	} {
		s, reg := newSink(t, prometheus.Config{Config: metrics.Config{Level: core.LevelSummary, Granularity: c.g}})
		s.Observe([]core.Observation{
			metricstest.Obs(core.MetricUserRecordsPut, "logs", shard0, "", 2, 1),
			metricstest.Obs(core.MetricUserRecordsReceived, "logs", "", "", 2, 1), // detailed
		})
		s.Watch(metricstest.Pending(metricstest.Stream, 1))
		all, families := gather(t, reg)
		if m := all[c.want]; m == nil || m.GetCounter().GetValue() != 0 {
			t.Errorf("unexpected metrics; got %v; want %s with 0", all, c.want)
		}
		for _, f := range families {
			if f.GetName() == "kpl_user_records_received_total" || f.GetName() == "kpl_user_records_pending" {
				t.Errorf("detailed metric %s is in a summary", f.GetName())
			}
		}
	}
}

func TestStreamsAreCapped(t *testing.T) {
	s, reg := newSink(t, prometheus.Config{MaxStreams: 5})
	state := metricstest.Pending(metricstest.Stream, 1)
	state.Change(func(snap *core.Snapshot) {
		for i := range 49 {
			one := core.StreamSnapshot{Stream: fmt.Sprint("s", i), Stats: core.Stats{Pending: 1}}
			one.Stats.Failed[core.ReasonExpired] = 1
			snap.Streams = append(snap.Streams, one)
		}
	})
	s.Watch(state)
	for i := range 50 {
		s.Observe([]core.Observation{metricstest.Obs(core.MetricUserRecordsReceived, fmt.Sprint("s", i), "", "", 1, 1)})
	}
	all, _ := gather(t, reg)
	for prefix, want := range map[string]float64{"kpl_user_records_pending{": 50, "kpl_user_records_failed_total{reason=expired,": 49} {
		n, sum := 0, 0.0
		for k, m := range all {
			if strings.HasPrefix(k, prefix) {
				n++
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
		if n > 6 || sum != want {
			t.Errorf("unexpected %s; got a sum of %v in %d series; want %v in at most 6", prefix, sum, n, want)
		}
	}
	if got := sumOf(all, "kpl_user_records_received_total{"); got != 50 || all["kpl_user_records_received_total{stream=(other)}"].GetCounter().GetValue() != 45 {
		t.Errorf("unexpected counters; got a sum of %v in %d metrics; want 50, of which 45 under (other)", got, len(all))
	}
}

func TestUglyNamesDoNotBreakAScrape(t *testing.T) {
	s, reg := newSink(t, prometheus.Config{})
	s.Observe([]core.Observation{
		metricstest.Obs(core.MetricErrorsByCode, "a\"b\n", "", "bad \xff code", 1, 1),
		// More dimensions than the metric has, and a gauge: not the producer's way.
		metricstest.Obs(core.MetricLedgerHits, "a", shard0, "x", 1, 1), metricstest.Obs(core.MetricLedgerHits, "b", shard0, "x", 1, 1),
		metricstest.Obs(core.MetricBufferedBytes, "", "", "", 1, 1), metricstest.Obs(core.Metric(250), "", "", "", 1, 1),
	})
	all, _ := gather(t, reg)
	if m := all["kpl_errors_by_code_total{code=bad \ufffd code,shard=,stream=a\"b\n}"]; m == nil {
		t.Errorf("unexpected metrics: %v", all)
	}
	if m := all["kpl_ledger_hits_total{}"]; m.GetCounter().GetValue() != 2 {
		t.Errorf("unexpected ledger hits: %v", m)
	}
}

func TestCloseFreesTheNames(t *testing.T) {
	output := func(name string) prometheus.Config {
		return prometheus.Config{ConstLabels: map[string]string{"output": name}}
	}
	s, reg := newSink(t, output("a"))
	if _, err := prometheus.New(reg, output("a")); err == nil {
		t.Error("two sinks have the same names")
	}
	second, err := prometheus.New(reg, output("b"))
	if err != nil {
		t.Fatalf("cannot register a sink with a label of its own: %s", err)
	}
	all, _ := gather(t, reg)
	if len(all) != 2 {
		t.Errorf("unexpected metrics of idle sinks: %v", all)
	}
	for _, s := range []*prometheus.Sink{s, second, s} {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if all, _ := gather(t, reg); len(all) != 0 {
		t.Errorf("unexpected metrics after Close: %v", all)
	}
	if _, err := prometheus.New(reg, output("a")); err != nil {
		t.Errorf("cannot register after Close: %s", err)
	}
	if _, err := prometheus.New(nil, prometheus.Config{}); err == nil {
		t.Error("a nil registerer was taken")
	}
}

func TestObserveAllocatesNothing(t *testing.T) {
	s, _ := newSink(t, prometheus.Config{})
	list := []core.Observation{
		metricstest.Obs(core.MetricUserRecordsPut, "logs", shard0, "", 250, 1),
		metricstest.Obs(core.MetricBufferingTime, "logs", shard0, "", 250, 20),
	}
	s.Observe(list)
	if n := testing.AllocsPerRun(100, func() { s.Observe(list) }); n != 0 {
		t.Errorf("unexpected allocations; got %v; want 0", n)
	}
}

// BenchmarkObserve is the cost for each user record, in aggregates of 250 of
// four batches.
func BenchmarkObserve(b *testing.B) {
	s, _ := newSink(b, prometheus.Config{})
	list, records := metricstest.Burst()
	b.ReportAllocs()
	for b.Loop() {
		s.Observe(list)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(records), "ns/record")
}

// BenchmarkScrape is a scrape of a stream of a thousand shards.
func BenchmarkScrape(b *testing.B) {
	s, reg := newSink(b, prometheus.Config{MaxSeries: 20_000})
	for i := range 1000 {
		shard := fmt.Sprintf("shardId-%012d", i)
		for _, m := range core.Metrics() {
			s.Observe([]core.Observation{metricstest.Obs(m, "logs", shard, "", 10, float64(i))})
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := reg.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}

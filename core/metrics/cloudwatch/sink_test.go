// SPDX-License-Identifier: Apache-2.0

package cloudwatch_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
	"github.com/outkpl/outkpl/core/metrics/cloudwatch"
	"github.com/outkpl/outkpl/core/metrics/inmemory"
	"github.com/outkpl/outkpl/core/metrics/internal/metricstest"
)

func received(n int) []core.Observation {
	return []core.Observation{metricstest.Obs(core.MetricUserRecordsReceived, "logs", "", "", n, 1)}
}

func TestUploadAgreesWithTheCountersOfTheProducer(t *testing.T) {
	f := &fake{}
	s := newSink(t, f, cloudwatch.Config{})
	st := metricstest.Run(t, s)
	closeSink(t, s)
	sums := f.sums(t)
	for name, want := range map[string]struct{ sum, count uint64 }{
		"UserRecordsReceived{}":                {st.Accepted, st.Accepted},
		"UserRecordsReceived{StreamName=logs}": {st.Accepted, st.Accepted},
		// The average is the rate of success: failures are zeros.
		"UserRecordsPut{StreamName=logs}":    {st.Confirmed, st.Confirmed + st.FailedTotal()},
		"UserRecordsDataPut{}":               {st.ConfirmedBytes, st.Confirmed},
		"KinesisRecordsPut{}":                {st.KinesisRecords, st.KinesisRecords + st.Throttled + st.InternalFailures},
		"KinesisRecordsDataPut{}":            {st.KinesisBytes, st.KinesisRecords},
		"AllErrors{}":                        {st.Throttled + st.InternalFailures + st.RequestErrors, st.KinesisRecords + st.Throttled + st.InternalFailures + st.RequestErrors},
		"ErrorsByCode{}":                     {st.Throttled + st.InternalFailures + st.RequestErrors, st.Throttled + st.InternalFailures + st.RequestErrors},
		"RetriesPerRecord{}":                 {st.Retries, 0},
		"PutPayloadUnits{}":                  {st.PutPayloadUnits, st.KinesisRecords},
		"ShardMapRefreshes{StreamName=logs}": {st.MapRefreshes, st.MapRefreshes},
		"ErrorsByCode{ErrorCode=ProvisionedThroughputExceededException}":                 {st.Throttled, st.Throttled},
		"ErrorsByCode{ErrorCode=ProvisionedThroughputExceededException,StreamName=logs}": {st.Throttled, st.Throttled},
	} {
		got := sums[name]
		if got == nil {
			t.Errorf("no series %s", name)
			continue
		}
		if math.Abs(*got.Sum-float64(want.sum)) > 1e-6 || want.count != 0 && *got.SampleCount != float64(want.count) {
			t.Errorf("unexpected %s; got a sum of %v in %v; want %d in %d", name, *got.Sum, *got.SampleCount, want.sum, want.count)
		}
	}
	// The series of shards add up to that of the stream, which is that of all.
	both := *sums["UserRecordsDataPut{StreamName=logs,ShardId="+shard0+"}"].Sum + *sums["UserRecordsDataPut{StreamName=logs,ShardId=shardId-000000000001}"].Sum
	if both != float64(st.ConfirmedBytes) {
		t.Errorf("unexpected sum over the shards; got %v; want %d", both, st.ConfirmedBytes)
	}
	for name := range sums {
		if _, id, found := strings.Cut(name, "ShardId="); found && !strings.HasPrefix(id, "shardId-0000000000") {
			t.Errorf("unexpected shard in %s", name)
		}
	}
	if *f.calls[0].Namespace != "KinesisProducerLibrary" {
		t.Errorf("unexpected namespace %q", *f.calls[0].Namespace)
	}
}

// TestEachBeginningOfAPathIsASeries: two streams with two shards make seven.
func TestEachBeginningOfAPathIsASeries(t *testing.T) {
	var list []core.Observation
	for _, stream := range []string{"a", "b"} {
		for _, shard := range []string{"shardId-1", "shardId-2"} {
			list = append(list, metricstest.Obs(core.MetricUserRecordsPut, stream, shard, "", 2, 1))
		}
	}
	list = append(list, metricstest.Obs(core.MetricErrorsByCode, "a", "", "Boom", 1, 1), metricstest.Obs(core.MetricErrorsByCode, "a", "shardId-1", " ", 1, 1))
	host := cloudwatch.Dimension{Name: "Host", Value: "h1"}
	rack := cloudwatch.Dimension{Name: "Rack", Value: "r1", Granularity: core.GranularityStream}
	for _, c := range []struct {
		name string
		cfg  cloudwatch.Config
		want []string
	}{
		{"per shard", cloudwatch.Config{}, []string{
			"ErrorsByCode{ErrorCode=Boom,StreamName=a}=1", "ErrorsByCode{ErrorCode=Boom}=1", "ErrorsByCode{StreamName=a,ShardId=shardId-1}=1", "ErrorsByCode{StreamName=a}=1", "ErrorsByCode{}=2",
			"UserRecordsPut{StreamName=a,ShardId=shardId-1}=2", "UserRecordsPut{StreamName=a,ShardId=shardId-2}=2", "UserRecordsPut{StreamName=a}=4",
			"UserRecordsPut{StreamName=b,ShardId=shardId-1}=2", "UserRecordsPut{StreamName=b,ShardId=shardId-2}=2", "UserRecordsPut{StreamName=b}=4", "UserRecordsPut{}=8",
		}},
		{"global", cloudwatch.Config{Config: metrics.Config{Level: core.LevelSummary}}, []string{
			"ErrorsByCode{ErrorCode=Boom}=1", "ErrorsByCode{}=2", "UserRecordsPut{}=8",
		}},
		{"per stream with more dimensions", cloudwatch.Config{Config: metrics.Config{Level: core.LevelSummary, Granularity: core.GranularityStream}, Dimensions: []cloudwatch.Dimension{rack, host}}, []string{
			"ErrorsByCode{Host=h1,ErrorCode=Boom,StreamName=a,Rack=r1}=1", "ErrorsByCode{Host=h1,ErrorCode=Boom,StreamName=a}=1", "ErrorsByCode{Host=h1,ErrorCode=Boom}=1",
			"ErrorsByCode{Host=h1,StreamName=a,Rack=r1}=1", "ErrorsByCode{Host=h1,StreamName=a}=1", "ErrorsByCode{Host=h1}=2", "ErrorsByCode{}=2",
			"UserRecordsPut{Host=h1,StreamName=a,Rack=r1}=4", "UserRecordsPut{Host=h1,StreamName=a}=4", "UserRecordsPut{Host=h1,StreamName=b,Rack=r1}=4",
			"UserRecordsPut{Host=h1,StreamName=b}=4", "UserRecordsPut{Host=h1}=8", "UserRecordsPut{}=8",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{}
			s := newSink(t, f, c.cfg)
			s.Observe(list)
			closeSink(t, s)
			var got []string
			for name, v := range f.sums(t) {
				got = append(got, fmt.Sprint(name, "=", *v.Sum))
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("unexpected series;\ngot  %s;\nwant %s", strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
			}
		})
	}
}

// TestSummaryLeavesOutMetricsNotDimensions, as the KPL's MetricsLevel does.
func TestSummaryLeavesOutMetricsNotDimensions(t *testing.T) {
	f := &fake{}
	s := newSink(t, f, cloudwatch.Config{Config: metrics.Config{Level: core.LevelSummary, Granularity: core.GranularityShard}})
	s.Observe(received(3))
	s.Observe([]core.Observation{metricstest.Obs(core.MetricErrorsByCode, "logs", shard0, "Boom", 1, 1)})
	closeSink(t, s)
	sums := f.sums(t)
	if sums["ErrorsByCode{ErrorCode=Boom,StreamName=logs,ShardId="+shard0+"}"] == nil || sums["UserRecordsReceived{}"] != nil {
		t.Errorf("unexpected series: %v", slices.Collect(maps.Keys(sums)))
	}
}

// TestAnyAmountIsUploaded: names of any length and distributions of any width fit
// some request.
func TestAnyAmountIsUploaded(t *testing.T) {
	f := &fake{}
	var dims []cloudwatch.Dimension
	for i := range 27 {
		dims = append(dims, cloudwatch.Dimension{Name: fmt.Sprintf("Name%0250d", i), Value: strings.Repeat("v", 1024), Granularity: core.GranularityShard})
	}
	s := newSink(t, f, cloudwatch.Config{Dimensions: dims})
	for i := range 20 {
		for j := range 500 {
			s.Observe([]core.Observation{metricstest.Obs(core.MetricBufferingTime, "logs", fmt.Sprintf("shardId-%012d", i), "", 1, math.Pow(1.07, float64(j))-1)})
		}
	}
	closeSink(t, s)
	sums := f.sums(t)
	if want := 2 + 20*28; len(sums) != want {
		t.Errorf("unexpected number of series; got %d; want %d", len(sums), want)
	}
	if got := *sums["BufferingTime{}"].SampleCount; got != 20*500 {
		t.Errorf("unexpected points; got %v; want 10000", got)
	}
	for _, call := range f.calls {
		bytes := 0
		for _, d := range call.MetricData {
			bytes += 16 * len(d.Values)
			for _, dim := range d.Dimensions {
				bytes += len(*dim.Name) + len(*dim.Value)
			}
		}
		if bytes > 1_000_000 {
			t.Errorf("a request has %d bytes of names and values; want at most 1 MB", bytes)
		}
	}
}

// TestDistributionsHavePercentiles: values with counts, not only sums.
func TestDistributionsHavePercentiles(t *testing.T) {
	for _, sets := range []bool{false, true} {
		f := &fake{}
		s := newSink(t, f, cloudwatch.Config{StatisticSets: sets})
		for i := range 1000 {
			s.Observe([]core.Observation{metricstest.Obs(core.MetricRequestTime, "logs", "", "", 1, float64(i))})
		}
		closeSink(t, s)
		d := f.calls[0].MetricData[0]
		if got := stat(d); *got.SampleCount != 1000 || math.Abs(*got.Sum-499_500) > 1e-6 || *got.Minimum != 0 || *got.Maximum != 999 || d.Unit != types.StandardUnitMilliseconds {
			t.Errorf("unexpected sums of %s: %v, %v, %v to %v", name(d), *got.SampleCount, *got.Sum, *got.Minimum, *got.Maximum)
		}
		if sets != (d.Values == nil) {
			t.Errorf("unexpected number of values with StatisticSets %t: %d", sets, len(d.Values))
		}
		below := 0.0
		for i, v := range d.Values {
			if below += d.Counts[i]; below >= 950 {
				if math.Abs(v-950) > 90 {
					t.Errorf("unexpected 95th percentile; got %v; want about 950", v)
				}
				break
			}
		}
	}
}

// TestGaugesAreSampledEachSecond: a minute has sixty values, the last included.
func TestGaugesAreSampledEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		s := newSink(t, f, cloudwatch.Config{})
		state := metricstest.Pending(metricstest.Stream, 10)
		two := metricstest.Pending("other", 1)
		s.Watch(state)
		s.Watch(two)
		time.Sleep(30*time.Second + time.Millisecond)
		state.Pend(2)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		state.Pend(5)
		time.Sleep(time.Minute)
		closeSink(t, s)
		var got []string
		for _, call := range f.calls[:2] {
			for _, d := range call.MetricData {
				if v := d.StatisticValues; *d.MetricName == "UserRecordsPending" {
					got = append(got, fmt.Sprint(name(d), " ", *v.Sum / *v.SampleCount, " from ", *v.Minimum, " to ", *v.Maximum))
				}
			}
		}
		// Mean, minimum and maximum of each minute alone; of all streams their sum.
		want := []string{
			"UserRecordsPending{} 7 from 3 to 11", "UserRecordsPending{StreamName=logs} 6 from 2 to 10", "UserRecordsPending{StreamName=other} 1 from 1 to 1",
			"UserRecordsPending{} 6 from 6 to 6", "UserRecordsPending{StreamName=logs} 5 from 5 to 5", "UserRecordsPending{StreamName=other} 1 from 1 to 1",
		}
		if !slices.Equal(got, want) {
			t.Errorf("unexpected gauges;\ngot  %s;\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
		}
		sums := f.sums(t)
		if v := sums["ShardTokens{StreamName=logs,ShardId="+shard0+"}"]; v == nil || *v.Maximum != -512 {
			t.Errorf("unexpected tokens of a shard: %v", v)
		}
		if v := sums["BufferedBytes{}"]; v == nil || *v.Maximum != 2000 {
			t.Errorf("unexpected bytes in the buffers of both: %v", v)
		}
	})
}

// TestUploadLeavesOtherWindowsWhole: the KPL's getMetrics loses what has been
// uploaded.
func TestUploadLeavesOtherWindowsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		memory := inmemory.New(inmemory.Config{})
		both := metrics.Tee(newSink(t, f, cloudwatch.Config{Interval: 10 * time.Second}), memory)
		for range 60 {
			both.Observe(received(1))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		got, err := memory.Recent(inmemory.Query{Metric: core.MetricUserRecordsReceived}, time.Minute)
		if err != nil || got.Sum < 59 || len(f.calls) < 5 {
			t.Errorf("unexpected last minute after %d uploads; got %v, %v; want 59 or 60", len(f.calls), got.Sum, err)
		}
	})
}

// TestCloseKeepsItsDeadline and says what is lost, and a producer never waits.
func TestCloseKeepsItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{hold: true}
		s := newSink(t, f, cloudwatch.Config{Interval: time.Second, RequestTimeout: time.Minute})
		s.Observe(received(1))
		time.Sleep(time.Second + time.Millisecond)
		synctest.Wait() // an upload hangs
		start := time.Now()
		s.Observe(received(1))
		if d := time.Since(start); d != 0 {
			t.Errorf("observing took %v", d)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err := s.Close(ctx)
		if d := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || d != 5*time.Second || !strings.Contains(err.Error(), "4 data points") {
			t.Errorf("unexpected end; got %v after %v; want the deadline after 5s", err, d)
		}
		if again := s.Close(context.Background()); again != err {
			t.Errorf("unexpected error of the second Close; got %v; want %v", again, err)
		}
	})
}

func TestUglyNamesAreMadeValid(t *testing.T) {
	f := &fake{}
	s := newSink(t, f, cloudwatch.Config{Config: metrics.Config{Level: core.LevelSummary, Granularity: core.GranularityStream}})
	s.Observe([]core.Observation{metricstest.Obs(core.MetricErrorsByCode, "logs", "", "b\u00e4d\n\xff"+strings.Repeat("x", 2000), 1, math.NaN())})
	closeSink(t, s)
	if got := *f.calls[0].MetricData[1].Dimensions[0].Value; got != "b?d??"+strings.Repeat("x", 1019) {
		t.Errorf("unexpected error code %q", got)
	}
	if v := *f.calls[0].MetricData[0].StatisticValues.Sum; v != 0 {
		t.Errorf("unexpected value in place of what is no number; got %v; want 0", v)
	}
}

func TestConfigProblemsAreToldAtOnce(t *testing.T) {
	for _, c := range []struct {
		cfg  cloudwatch.Config
		want []string
	}{
		{
			cloudwatch.Config{Namespace: "AWS/Kinesis", Interval: time.Millisecond, MaxPending: -1, RequestTimeout: time.Hour, MaxSeries: -1},
			[]string{"namespace", "interval 1ms", "pending uploads -1", "request time-out 1h", "series -1"},
		},
		{
			cloudwatch.Config{Dimensions: []cloudwatch.Dimension{{Name: "ShardId", Value: "x"}, {Name: "a", Value: " "}, {Name: ":b", Value: "x"}, {Name: "c", Value: "x"}, {Name: "c", Value: "\u00e4", Granularity: 9}}},
			[]string{`"ShardId" is there twice`, `"a"=" "`, `":b"="x"`, `"c" is there twice`, `granularity 9`},
		},
		{cloudwatch.Config{Dimensions: make([]cloudwatch.Dimension, 28)}, []string{"28 dimensions; want up to 27"}},
	} {
		_, err := cloudwatch.New(&fake{}, c.cfg)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("unexpected error; got %v; want it to say %q", err, want)
			}
		}
	}
	if _, err := cloudwatch.New(nil, cloudwatch.Config{}); err == nil {
		t.Error("a nil client was taken")
	}
}

// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
)

func TestParseConfig(t *testing.T) {
	for _, c := range []struct {
		level, granularity string
		want               metrics.Config
		on, bad            bool
	}{
		{"", "", metrics.Config{Level: core.LevelDetailed, Granularity: core.GranularityShard}, true, false},
		{"summary", "stream", metrics.Config{Level: core.LevelSummary, Granularity: core.GranularityStream}, true, false},
		{"detailed", "global", metrics.Config{Level: core.LevelDetailed}, true, false},
		{"none", "shard", metrics.Config{Granularity: core.GranularityShard}, false, false},
		{"all", "host", metrics.Config{}, false, true},
	} {
		got, on, err := metrics.ParseConfig(c.level, c.granularity)
		if got != c.want || on != c.on || (err != nil) != c.bad {
			t.Errorf("unexpected configuration for %q, %q; got %+v, %t, %v; want %+v, %t", c.level, c.granularity, got, on, err, c.want, c.on)
		}
	}
	_, _, err := metrics.ParseConfig("all", "host")
	want := "cannot configure metrics: metrics level \"all\"; want none, summary or detailed\n" +
		"metrics granularity \"host\"; want global, stream or shard"
	if err == nil || err.Error() != want {
		t.Errorf("unexpected error; got %v; want %s", err, want)
	}
}

// TestLevelsDropMetricsAndGranularityDropsDimensions: the two are independent, as
// in the KPL. A summary per shard keeps the shards.
func TestLevelsDropMetricsAndGranularityDropsDimensions(t *testing.T) {
	list := []core.Observation{
		obs(core.MetricUserRecordsPut, "a", "shardId-000000000001", 2, 1),
		obs(core.MetricUserRecordsReceived, "a", "", 5, 1),
		{Metric: core.MetricErrorsByCode, Stream: "a", Shard: "shardId-000000000001", Code: "Boom", Count: 1, Sum: 1, Min: 1, Max: 1},
	}
	for _, c := range []struct {
		name string
		cfg  metrics.Config
		want []string
	}{
		{"everything by default", metrics.Config{}, []string{"UserRecordsPut a shardId-000000000001 ", "UserRecordsReceived a  ", "ErrorsByCode a shardId-000000000001 Boom"}},
		{
			"summary per shard",
			metrics.Config{Level: core.LevelSummary, Granularity: core.GranularityShard},
			[]string{"UserRecordsPut a shardId-000000000001 ", "ErrorsByCode a shardId-000000000001 Boom"},
		},
		{
			"detailed per stream",
			metrics.Config{Level: core.LevelDetailed, Granularity: core.GranularityStream},
			[]string{"UserRecordsPut a  ", "UserRecordsReceived a  ", "ErrorsByCode a  Boom"},
		},
		{"summary of all", metrics.Config{Level: core.LevelSummary}, []string{"UserRecordsPut   ", "ErrorsByCode   Boom"}},
		{"none", metrics.Config{Granularity: core.GranularityShard}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := metrics.NewWindow(metrics.WindowConfig{Config: c.cfg})
			w.Observe(list)
			var got []string
			for _, s := range w.Take() {
				got = append(got, fmt.Sprint(s.Metric, " ", s.Stream, " ", s.Shard, " ", s.Code))
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("unexpected series of a window; got %q; want %q", got, c.want)
			}
		})
	}
	if list[0].Shard == "" {
		t.Error("the list of the producer was changed")
	}
}

type sink struct {
	recorder
	watched int
	err     error
}

func (s *sink) Watch(metrics.Source)        { s.watched++ }
func (s *sink) Close(context.Context) error { return s.err }

func TestTeeGivesToAll(t *testing.T) {
	a, b := &sink{err: errors.New("a")}, &sink{err: errors.New("b")}
	tee := metrics.Tee(a, b)
	tee.Observe([]core.Observation{obs(core.MetricUserRecordsPut, "s", "", 1, 1)})
	tee.Watch(twoStreams())
	err := tee.Close(context.Background())
	if len(a.list) != 1 || len(b.list) != 1 || a.watched != 1 || b.watched != 1 || !errors.Is(err, a.err) || !errors.Is(err, b.err) {
		t.Errorf("unexpected calls; got %+v and %+v, error %v", a, b, err)
	}
}

func TestGaugesAtEachGranularity(t *testing.T) {
	const shard0, shard1 = "shardId-000000000000", "shardId-000000000001"
	for _, c := range []struct {
		name string
		g    core.Granularity
		want []metrics.Sample
	}{
		{"shard", core.GranularityShard, []metrics.Sample{
			{core.MetricBufferedBytes, "", "", 1000},
			{core.MetricUserRecordsPending, "a", "", 3},
			{core.MetricOldestRecordAge, "a", "", 2000},
			{core.MetricShardQueuedBytes, "a", shard0, 100},
			{core.MetricShardTokens, "a", shard0, 10},
			{core.MetricShardShare, "a", shard0, 1},
			{core.MetricShardInUse, "a", shard0, 0},
			{core.MetricShardQueuedBytes, "a", shard1, 200},
			{core.MetricShardTokens, "a", shard1, -5},
			{core.MetricShardShare, "a", shard1, 0.5},
			{core.MetricShardInUse, "a", shard1, 0},
			{core.MetricUserRecordsPending, "b", "", 4},
			{core.MetricOldestRecordAge, "b", "", 1000},
			{core.MetricShardQueuedBytes, "b", shard0, 300},
			{core.MetricShardTokens, "b", shard0, 20},
			{core.MetricShardShare, "b", shard0, 0.75},
			{core.MetricShardInUse, "b", shard0, 0},
		}},
		{"stream", core.GranularityStream, []metrics.Sample{
			{core.MetricBufferedBytes, "", "", 1000},
			{core.MetricUserRecordsPending, "a", "", 3},
			{core.MetricOldestRecordAge, "a", "", 2000},
			{core.MetricShardQueuedBytes, "a", "", 300},
			{core.MetricShardTokens, "a", "", 5},
			{core.MetricShardShare, "a", "", 0.5},
			{core.MetricShardInUse, "a", "", 0},
			{core.MetricUserRecordsPending, "b", "", 4},
			{core.MetricOldestRecordAge, "b", "", 1000},
			{core.MetricShardQueuedBytes, "b", "", 300},
			{core.MetricShardTokens, "b", "", 20},
			{core.MetricShardShare, "b", "", 0.75},
			{core.MetricShardInUse, "b", "", 0},
		}},
		{"global", core.GranularityGlobal, []metrics.Sample{
			{core.MetricBufferedBytes, "", "", 1000},
			{core.MetricUserRecordsPending, "", "", 7},
			{core.MetricOldestRecordAge, "", "", 2000},
			{core.MetricShardQueuedBytes, "", "", 600},
			{core.MetricShardTokens, "", "", 25},
			{core.MetricShardShare, "", "", 0.5},
			{core.MetricShardInUse, "", "", 0},
		}},
	} {
		got := metrics.Gauges(metrics.Config{Level: core.LevelDetailed, Granularity: c.g}, twoStreams())
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("unexpected gauges per %s;\ngot  %+v;\nwant %+v", c.name, got, c.want)
		}
	}
	summary := metrics.Gauges(metrics.Config{Level: core.LevelSummary, Granularity: core.GranularityStream}, twoStreams())
	if len(summary) != 3 {
		t.Errorf("unexpected gauges of a summary; got %+v; want bytes and two ages", summary)
	}
}

// Of what is in use, and of what would do, the stream and the producer that is worst off counts.
func TestGaugesOfCapacityAreThoseOfTheWorst(t *testing.T) {
	of := func(inUse float64, backlog time.Duration, needed, open int) *state {
		s := core.StreamSnapshot{Stream: "a", InUse: inUse, Backlog: backlog, ShardsNeeded: needed}
		for i := range open {
			s.Shards = append(s.Shards, core.ShardSnapshot{ID: fmt.Sprint(i), InUse: inUse / float64(i+1)})
		}
		return &state{Streams: []core.StreamSnapshot{s}}
	}
	got := map[string]float64{}
	for _, g := range metrics.Gauges(metrics.Config{Level: core.LevelDetailed, Granularity: core.GranularityShard}, of(0.5, time.Second, 4, 2), of(0.9, 3*time.Second, 3, 2)) {
		got[strings.TrimSpace(g.Metric.String()+" "+g.Shard)] = g.Value
	}
	for name, want := range map[string]float64{"CapacityInUse": 0.9, "Backlog": 3000, "ShardsNeeded": 4, "OpenShards": 2, "ShardInUse 0": 0.9, "ShardInUse 1": 0.45} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("unexpected gauge %s; got %v; want %v", name, v, want)
		}
	}
	unknown := metrics.Gauges(metrics.Config{Level: core.LevelDetailed, Granularity: core.GranularityStream}, of(0, 0, 0, 0))
	for _, g := range unknown {
		if g.Metric == core.MetricCapacityInUse || g.Metric == core.MetricShardsNeeded {
			t.Errorf("unexpected gauge %s of a stream whose shards are not known", g.Metric)
		}
	}
}

func TestGaugesOfTwoProducersAreOneSeries(t *testing.T) {
	var all metrics.Sources
	a, b := twoStreams(), twoStreams()
	all.Watch(a)
	all.Watch(b)
	all.Watch(a) // again: no effect
	b.Streams[0].Shards[0].Share = 0.25
	seen := map[string]float64{}
	for _, g := range all.Gauges(metrics.Config{}) {
		k := fmt.Sprint(g.Metric, g.Stream, g.Shard)
		if _, twice := seen[k]; twice {
			t.Errorf("series %s is there twice", k)
		}
		seen[k] = g.Value
	}
	for k, want := range map[string]float64{"UserRecordsPendinga": 6, "BufferedBytes": 2000, "OldestRecordAgea": 2000, "ShardSharea" + "shardId-000000000000": 0.25} {
		if seen[k] != want {
			t.Errorf("unexpected %s; got %v; want %v", k, seen[k], want)
		}
	}
}

// TestNamesAreThoseOfTheKPL lists the KPL's names by hand.
func TestNamesAreThoseOfTheKPL(t *testing.T) {
	have := map[string]core.MetricInfo{}
	for _, m := range core.Metrics() {
		have[m.String()] = m.Info()
	}
	summary, detailed := core.LevelSummary, core.LevelDetailed
	stream, shard := core.GranularityStream, core.GranularityShard
	for _, c := range []struct {
		name, unit  string
		level       core.MetricLevel
		granularity core.Granularity
	}{
		{"UserRecordsReceived", "Count", detailed, stream},
		{"UserRecordsPending", "Count", detailed, stream},
		{"UserRecordsPut", "Count", summary, shard},
		{"UserRecordsDataPut", "Bytes", detailed, shard},
		{"UserRecordExpired", "Count", summary, shard},
		{"KinesisRecordsPut", "Count", summary, shard},
		{"KinesisRecordsDataPut", "Bytes", detailed, shard},
		{"ErrorsByCode", "Count", summary, shard},
		{"AllErrors", "Count", summary, shard},
		{"RetriesPerRecord", "Count", detailed, shard},
		{"BufferingTime", "Milliseconds", summary, shard},
		{"RequestTime", "Milliseconds", detailed, stream},
		{"UserRecordsPerKinesisRecord", "Count", detailed, shard},
		{"KinesisRecordsPerPutRecordsRequest", "Count", detailed, stream},
		{"UserRecordsPerPutRecordsRequest", "Count", detailed, stream},
	} {
		got := have[c.name]
		if got.Name != c.name || got.Unit != c.unit || got.Level != c.level || got.Granularity != c.granularity {
			t.Errorf("unexpected description of %s; got %+v", c.name, got)
		}
	}
}

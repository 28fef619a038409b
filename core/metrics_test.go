// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// sums adds observations up by metric and error code.
type sums struct {
	mu     sync.Mutex
	sum    map[string]float64
	count  map[string]int
	shards map[string]bool
	uneven []core.Observation // distributions with unequal points
}

func newSums() *sums {
	return &sums{sum: map[string]float64{}, count: map[string]int{}, shards: map[string]bool{}}
}

// Observe implements core.Observer.
func (s *sums) Observe(list []core.Observation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range list {
		for _, name := range []string{o.Metric.String(), o.Metric.String() + "/" + o.Code} {
			s.sum[name] += o.Sum
			s.count[name] += o.Count
		}
		s.shards[o.Shard] = true
		if o.Metric.Info().Kind == core.Distribution && (o.Min != o.Max || math.Abs(o.Sum/float64(o.Count)-o.Max) > 1e-9*o.Max) {
			s.uneven = append(s.uneven, o)
		}
	}
}

func TestMetricsAgreeWithTheCounters(t *testing.T) {
	for _, aggregation := range []bool{true, false} {
		for _, places := range []bool{true, false} {
			t.Run(fmt.Sprintf("aggregation=%t,places=%t", aggregation, places), func(t *testing.T) { checkMetricsAgree(t, aggregation, places) })
		}
	}
}

func checkMetricsAgree(t *testing.T, aggregation, places bool) {
	s := kinesistest.New(kinesistest.WithStream(stream, 4))
	for i, code := range []string{"InternalFailure", "ProvisionedThroughputExceededException"} {
		s.Fault(kinesistest.Fault{
			Operation: "PutRecords", Seed: uint64(i), Probability: 0.5,
			Effect: kinesistest.Effect{EntryCode: code, EntryShare: 0.3},
		})
	}
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Seed: 7, Probability: 0.2, Effect: kinesistest.LoseReply()})
	collection := 3
	if !aggregation {
		collection = 100 // a user record each
	}
	m := newSums()
	p := newProducer(t, s.Client(), core.WithObserver(m), core.WithRateLimit(10_000),
		core.WithRetryBackoff(time.Millisecond, 2*time.Millisecond), core.WithCollectionMaxCount(collection), core.WithAggregation(aggregation), core.WithPlaces(places))
	for i := range 40 {
		records := batchOf(fmt.Sprint("batch", i), 500)
		records[3].PartitionKey = strings.Repeat("x", 257) // invalid
		b, err := p.PutBatch(context.Background(), stream, records)
		if err != nil {
			t.Fatal(err)
		}
		wait(t, b)
	}
	if err := p.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	st := p.Stats()
	if st.Throttled == 0 || st.InternalFailures == 0 || st.RequestErrors == 0 {
		t.Fatalf("the faults have not worked; counters: %+v", st)
	}
	for _, c := range []struct {
		metric string
		got    float64
		want   uint64
	}{
		{"UserRecordsReceived", m.sum["UserRecordsReceived"], st.Accepted},
		{"UserRecordsPut, sum", m.sum["UserRecordsPut"], st.Confirmed},
		{"UserRecordsPut, count", float64(m.count["UserRecordsPut"]), st.Confirmed + st.FailedTotal()},
		{"UserRecordsDataPut", m.sum["UserRecordsDataPut"], st.ConfirmedBytes},
		{"KinesisRecordsPut, sum", m.sum["KinesisRecordsPut"], st.KinesisRecords},
		{"KinesisRecordsPut, count", float64(m.count["KinesisRecordsPut"]), st.KinesisRecords + st.Throttled + st.InternalFailures},
		{"KinesisRecordsDataPut", m.sum["KinesisRecordsDataPut"], st.KinesisBytes},
		{"AllErrors", m.sum["AllErrors"], st.Throttled + st.InternalFailures + st.RequestErrors},
		{"ErrorsByCode", m.sum["ErrorsByCode"], st.Throttled + st.InternalFailures + st.RequestErrors},
		{"ErrorsByCode, throttles", m.sum["ErrorsByCode/ProvisionedThroughputExceededException"], st.Throttled},
		{"RetriesPerRecord", m.sum["RetriesPerRecord"], st.Retries},
		{"RequestTime", float64(m.count["RequestTime"]), st.Requests},
		{"KinesisRecordsPerPutRecordsRequest", float64(m.count["KinesisRecordsPerPutRecordsRequest"]), st.Requests},
		{"UserRecordsPerPutRecordsRequest", float64(m.count["UserRecordsPerPutRecordsRequest"]), st.Requests},
		{"BufferingTime", float64(m.count["BufferingTime"]), st.Retries + st.Confirmed},
		{"PutPayloadUnits", m.sum["PutPayloadUnits"], st.PutPayloadUnits},
		{"PutPayloadUnitsSaved", m.sum["PutPayloadUnitsSaved"], st.PutPayloadUnitsSaved},
		{"Uncertain", m.sum["Uncertain"], st.Uncertain},
		{"ShardMapRefreshes", m.sum["ShardMapRefreshes"], st.MapRefreshes},
	} {
		if c.got != float64(c.want) {
			t.Errorf("unexpected %s; got %v; want %d", c.metric, c.got, c.want)
		}
	}
	if len(m.uneven) > 0 {
		t.Errorf("a distribution was observed with unequal points: %+v", m.uneven[0])
	}
	if got := st.PutPayloadUnits + st.PutPayloadUnitsSaved; got != st.Confirmed {
		t.Errorf("unexpected units; got %d used and saved; want one for each of the %d confirmed records", got, st.Confirmed)
	}
	if !m.shards["shardId-000000000002"] {
		t.Error("no shard was named")
	}
}

// Without aggregation there may be millions of Kinesis records, and those that follow each other in a
// shard are observed together.
func TestRecordsOfOneShardAreObservedTogether(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 4))
	var mu sync.Mutex
	got := map[core.Metric][]core.Observation{}
	p := newProducer(t, s.Client(), core.WithAggregation(false), core.WithObserver(observerFunc(func(list []core.Observation) {
		mu.Lock()
		defer mu.Unlock()
		for _, o := range list {
			got[o.Metric] = append(got[o.Metric], o)
		}
	})))
	records := make([]core.Record, 12) // fewer than an unkeyed run has
	for i := range records {
		records[i].Data = make([]byte, 10*(i+1))
	}
	wait(t, put(t, p, records))
	mu.Lock()
	defer mu.Unlock()
	for m, want := range map[core.Metric][4]float64{ // count, sum, least, most
		core.MetricUserRecordsPut:              {12, 12, 1, 1},
		core.MetricUserRecordsDataPut:          {12, 780, 10, 120},
		core.MetricKinesisRecordsPut:           {12, 12, 1, 1},
		core.MetricKinesisRecordsDataPut:       {12, 780 + 24, 10 + 2, 120 + 2}, // with the key
		core.MetricPutPayloadUnits:             {12, 12, 1, 1},
		core.MetricPutPayloadUnitsSaved:        {12, 0, 0, 0},
		core.MetricUserRecordsPerKinesisRecord: {12, 12, 1, 1},
		core.MetricRetriesPerRecord:            {12, 0, 0, 0},
	} {
		if list := got[m]; len(list) != 1 || [4]float64{float64(list[0].Count), list[0].Sum, list[0].Min, list[0].Max} != want {
			t.Errorf("unexpected observations of %v; got %+v; want one with %v", m, list, want)
		}
	}
}

// observerFunc is a function that observes.
type observerFunc func([]core.Observation)

// Observe implements core.Observer.
func (f observerFunc) Observe(list []core.Observation) { f(list) }

func TestSnapshotShowsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		release := make(chan struct{})
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Hold: release}})
		p := newProducer(t, s.Client(), core.WithRequestTimeout(time.Minute), core.WithMaxInFlight(1))
		b, err := p.PutBatch(context.Background(), stream, batchOf("a", 100))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		snap := p.Snapshot()
		if len(snap.Streams) != 1 || snap.BufferedRecords != 100 || snap.BufferedBytes <= 0 {
			t.Fatalf("unexpected snapshot: %+v", snap)
		}
		one := snap.Streams[0]
		if one.Stream != stream || !one.Aggregating || one.InFlight != 1 || one.Stats.Pending != 100 ||
			one.OldestRecordAge != 3*time.Second || one.MapAge != 3*time.Second || len(one.Shards) != 2 {
			t.Errorf("unexpected snapshot of the stream: %+v", one)
		}
		if sh := one.Shards[1]; sh.ID != "shardId-000000000001" || sh.Share != 1 || sh.Stored != 0 {
			t.Errorf("unexpected snapshot of a shard: %+v", sh)
		}
		close(release)
		wait(t, b)
		one = p.Snapshot().Streams[0]
		if one.OldestRecordAge != 0 || one.Stats.Pending != 0 || one.Shards[0].Stored != 1 || one.Shards[1].StoredBytes == 0 {
			t.Errorf("unexpected snapshot of an idle stream: %+v", one)
		}
	})
}

func TestMetricsAreDescribed(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range core.Metrics() {
		i := m.Info()
		if i.Name == "" || i.Help == "" || seen[i.Name] || i.Level == core.LevelNone {
			t.Errorf("unexpected description of metric %d: %+v", m, i)
		}
		seen[i.Name] = true
		switch i.Unit {
		case "Count", "Bytes", "Milliseconds", "Ratio":
		default:
			t.Errorf("unexpected unit of %s; got %q", i.Name, i.Unit)
		}
	}
}

// panicking is an observer with a defect.
type panicking struct{}

// Observe implements core.Observer.
func (panicking) Observe([]core.Observation) { panic("a defect") }

func TestObserverThatPanicsHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		p := newProducer(t, s.Client(), core.WithObserver(panicking{}))
		records := batchOf("a", 100)
		b := put(t, p, records)
		wait(t, b)
		closeProducer(t, p)
		checkDelivered(t, s, records)
	})
}

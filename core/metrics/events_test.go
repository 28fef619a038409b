// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/core/metrics/inmemory"
)

// TestReshardAndExpiryAreInMetrics: the KPL counts neither records that land in a
// wrong shard nor changes of the shard map, and expired records not as errors of
// their own.
func TestReshardAndExpiryAreInMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		sink := inmemory.New(inmemory.Config{})
		server := kinesistest.New(kinesistest.WithStream("logs", 2))
		p, err := core.New(server.Client(), core.WithObserver(sink), core.WithRecordTTL(2*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		sink.Watch(p)
		put := func() *core.Batch {
			t.Helper()
			records := make([]core.Record, 500)
			for i := range records {
				records[i] = core.Record{PartitionKey: fmt.Sprint("key", i), Data: []byte("line")}
			}
			b, err := p.PutBatch(ctx, "logs", records)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.WaitSettled(ctx); err != nil {
				t.Fatal(err)
			}
			return b
		}
		put()
		if err := server.SplitEven("logs", "shardId-000000000000"); err != nil {
			t.Fatal(err)
		}
		put() // by the old map: what went to the wrong child is resent
		server.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.ThrottleEntries()})
		b := put()
		var failure *core.RecordError
		if err := b.Err(); !errors.As(err, &failure) || failure.Reason != core.ReasonExpired {
			t.Fatalf("unexpected outcome under throttles; got %v; want expired records", err)
		}
		st := p.Stats()
		if st.WrongShard == 0 || st.MapRefreshes < 2 || st.Failed[core.ReasonExpired] != 500 {
			t.Fatalf("nothing to see: %+v", st)
		}
		for _, c := range []struct {
			metric core.Metric
			want   uint64
		}{
			{core.MetricWrongShard, st.WrongShard},
			{core.MetricShardMapRefreshes, st.MapRefreshes},
			{core.MetricUserRecordExpired, 500},
			{core.MetricUserRecordsPut, 1000},
		} {
			if got := sink.Total(inmemory.Query{Metric: c.metric, Stream: "logs"}); got.Sum != float64(c.want) {
				t.Errorf("unexpected %s; got %v; want %d", c.metric, got.Sum, c.want)
			}
		}
		if err := p.Close(ctx); err != nil {
			t.Fatal(err)
		}
	})
}

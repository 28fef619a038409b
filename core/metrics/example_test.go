// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"context"
	"fmt"
	"log"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/core/metrics"
)

// A sink of one's own: a window, and what is done with it from time to time.
func ExampleWindow() {
	ctx := context.Background()
	window := metrics.NewWindow(metrics.WindowConfig{
		Config:     metrics.Config{Level: core.LevelSummary, Granularity: core.GranularityStream},
		Histograms: true,
	})
	client := kinesistest.New(kinesistest.WithStream("logs", 4)).Client()
	producer, err := core.New(client, core.WithObserver(window))
	if err != nil {
		log.Fatal(err)
	}
	for i := range 10 {
		key := fmt.Sprint("host", i)
		if _, err := producer.PutSync(ctx, "logs", core.Record{PartitionKey: key, Data: []byte("a line")}); err != nil {
			log.Fatal(err)
		}
	}
	if err := producer.Close(ctx); err != nil {
		log.Fatal(err)
	}

	list := window.Take()
	metrics.Sort(list)
	for _, s := range list {
		if s.Metric == core.MetricUserRecordsPut {
			fmt.Println(s.Metric, s.Stream, s.Count, s.Mean())
		}
	}
	for _, g := range metrics.Gauges(metrics.Config{Level: core.LevelSummary, Granularity: core.GranularityStream}, producer) {
		if g.Metric == core.MetricBufferedBytes || g.Metric == core.MetricOldestRecordAge {
			fmt.Println(g.Metric, g.Stream, g.Value)
		}
	}
	// Output:
	// UserRecordsPut logs 10 1
	// BufferedBytes  0
	// OldestRecordAge logs 0
}

// SPDX-License-Identifier: Apache-2.0

package inmemory_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/core/metrics/inmemory"
)

func Example() {
	ctx := context.Background()
	sink := inmemory.New(inmemory.Config{})
	client := kinesistest.New(kinesistest.WithStream("logs", 1)).Client()
	producer, err := core.New(client, core.WithObserver(sink))
	if err != nil {
		log.Fatal(err)
	}
	sink.Watch(producer)
	for range 3 {
		if _, err := producer.PutSync(ctx, "logs", core.Record{PartitionKey: "host", Data: []byte("a line")}); err != nil {
			log.Fatal(err)
		}
	}
	if err := producer.Close(ctx); err != nil {
		log.Fatal(err)
	}

	last, err := sink.Recent(inmemory.Query{Metric: core.MetricUserRecordsPut, Stream: "logs"}, time.Minute)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d records, %.0f %% confirmed\n", last.Count, 100*last.Mean())
	// Output: 3 records, 100 % confirmed
}

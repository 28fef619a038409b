// SPDX-License-Identifier: Apache-2.0

package cloudwatch_test

import (
	"context"
	"fmt"
	"log"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/core/metrics"
	"github.com/outkpl/outkpl/core/metrics/cloudwatch"
)

func Example() {
	ctx := context.Background()
	// A program has awscloudwatch.NewFromConfig(cfg) in place of the fake.
	cw := &fake{}
	sink, err := cloudwatch.New(cw, cloudwatch.Config{
		Config:     metrics.Config{Level: core.LevelSummary, Granularity: core.GranularityStream},
		Dimensions: []cloudwatch.Dimension{{Name: "Service", Value: "web"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	client := kinesistest.New(kinesistest.WithStream("logs", 1)).Client()
	producer, err := core.New(client, core.WithObserver(sink))
	if err != nil {
		log.Fatal(err)
	}
	sink.Watch(producer)
	if _, err := producer.PutSync(ctx, "logs", core.Record{PartitionKey: "host", Data: []byte("a line")}); err != nil {
		log.Fatal(err)
	}
	if err := producer.Close(ctx); err != nil {
		log.Fatal(err)
	}
	if err := sink.Close(ctx); err != nil {
		log.Fatal(err)
	}

	for _, d := range cw.calls[0].MetricData {
		if *d.MetricName == "UserRecordsPut" {
			fmt.Println(name(d), *d.StatisticValues.Sum)
		}
	}
	// Output:
	// UserRecordsPut{} 1
	// UserRecordsPut{Service=web} 1
	// UserRecordsPut{Service=web,StreamName=logs} 1
}

// SPDX-License-Identifier: Apache-2.0

package otel_test

import (
	"context"
	"fmt"
	"log"

	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/core/metrics/otel"
)

func Example() {
	ctx := context.Background()
	histograms := otel.NewHistograms(otel.Config{})
	reader := sdk.NewManualReader(sdk.WithProducer(histograms)) // a program has a NewPeriodicReader
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	sink, err := otel.New(provider, otel.Config{Histograms: histograms})
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

	var all metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &all); err != nil {
		log.Fatal(err)
	}
	for _, m := range all.ScopeMetrics[0].Metrics {
		if m.Name == "kpl.user_records_received" {
			fmt.Println(m.Name, m.Data.(metricdata.Sum[int64]).DataPoints[0].Value)
		}
	}
	if err := sink.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: kpl.user_records_received 1
}

// SPDX-License-Identifier: Apache-2.0

package prometheus_test

import (
	"context"
	"fmt"
	"log"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/core/metrics/prometheus"
)

func Example() {
	ctx := context.Background()
	registry := prom.NewRegistry()
	sink, err := prometheus.New(registry, prometheus.Config{})
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

	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "kpl_user_records_put_total" {
			for _, m := range f.Metric {
				fmt.Println(m.Label[0].GetValue(), m.Counter.GetValue())
			}
		}
	}
	if err := sink.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// confirmed 1
	// failed 0
}

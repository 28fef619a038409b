// SPDX-License-Identifier: Apache-2.0

package dogstatsd_test

import (
	"context"
	"fmt"
	"log"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/core/metrics/dogstatsd"
)

func Example() {
	ctx := context.Background()
	// A program has dogstatsd.New with an address in place of the fake.
	statsd := &fake{agent: newAgent()}
	sink, err := dogstatsd.NewWithClient(statsd, dogstatsd.Config{})
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

	fmt.Println(statsd.agent.sum["kpl.user_records_received{stream:logs}"])
	// Output: 1
}

// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// A thousand events become a handful of Kinesis records. One of them is invalid,
// which does not affect the others.
func Example() {
	ctx := context.Background()
	server := kinesistest.New(kinesistest.WithStream("logs", 2))
	producer, err := core.New(server.Client()) // or a client of package awsclient
	if err != nil {
		fmt.Println(err)
		return
	}

	records := make([]core.Record, 1000)
	for i := range records {
		records[i] = core.Record{PartitionKey: fmt.Sprintf("pod-%d", i%20), Data: fmt.Appendf(nil, "line %d", i)}
	}
	records[7] = core.Record{PartitionKey: "pod-7", ExplicitHashKey: "-1", Data: []byte("line 7")}

	batch, err := producer.PutBatch(ctx, "logs", records)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := batch.WaitSettled(ctx); err != nil {
		fmt.Println(err)
		return
	}
	confirmed, failed, pending := batch.Counts()
	fmt.Println("confirmed:", confirmed, "failed:", failed, "pending:", pending)
	for i, err := range batch.Failures {
		fmt.Println("record", i, err.Reason)
	}
	if err := producer.Close(ctx); err != nil {
		fmt.Println(err)
		return
	}

	got := server.Consume("logs")
	fmt.Println("read back:", len(got.Records), "dropped by the consumer:", len(got.Dropped))
	fmt.Println("less than 10 Kinesis records:", len(server.Records("logs")) < 10)
	// Output:
	// confirmed: 999 failed: 1 pending: 0
	// record 7 invalid
	// read back: 999 dropped by the consumer: 0
	// less than 10 Kinesis records: true
}

// PutSync submits one record and waits for its outcome.
func ExampleProducer_PutSync() {
	ctx := context.Background()
	server := kinesistest.New(kinesistest.WithStream("logs", 1))
	server.Fault(kinesistest.Fault{Times: 1, Operation: "PutRecords", Effect: kinesistest.ThrottleEntries()})
	producer, err := core.New(server.Client())
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := producer.PutSync(ctx, "logs", core.Record{PartitionKey: "pod-1", Data: []byte("hello")})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.Confirmed(), res.ShardID)
	for _, a := range res.Attempts {
		fmt.Printf("attempt: %q\n", a.Code)
	}
	fmt.Println(producer.Close(ctx))
	// Output:
	// true shardId-000000000000
	// attempt: "ProvisionedThroughputExceededException"
	// attempt: ""
	// <nil>
}

// PutBatch submits many records at once. For records without a key the producer chooses
// the shard.
func ExampleProducer_PutBatch() {
	ctx := context.Background()
	server := kinesistest.New(kinesistest.WithStream("logs", 4))
	producer, err := core.New(server.Client(), core.WithOrdering(core.OrderingStrict))
	if err != nil {
		fmt.Println(err)
		return
	}
	batch, err := producer.PutBatch(ctx, "logs", []core.Record{
		{PartitionKey: "pod-1", Data: []byte("first")},
		{PartitionKey: "pod-1", Data: []byte("second")},
		{Data: []byte("anywhere")},
		{PartitionKey: "pod-2", Data: make([]byte, 2<<20)}, // too large for the stream
	})
	if err == nil {
		err = batch.WaitSettled(ctx)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range batch.Len() {
		if r := batch.Result(i); r.Confirmed() {
			fmt.Println(i, "confirmed")
		} else { // a dead letter, if it fails again however often it is submitted
			fmt.Println(i, r.Err.Reason, "permanent:", r.Err.Reason.Permanent())
		}
	}
	fmt.Println(producer.Close(ctx))
	// Output:
	// 0 confirmed
	// 1 confirmed
	// 2 confirmed
	// 3 too_large permanent: true
	// <nil>
}

// counter sums up the observations of one metric.
type counter struct {
	metric core.Metric
	sum    atomic.Int64
}

// Observe implements core.Observer.
func (c *counter) Observe(list []core.Observation) {
	for i := range list {
		if list[i].Metric == c.metric {
			c.sum.Add(int64(list[i].Sum))
		}
	}
}

// An observer gets each measurement; Snapshot gives the gauges.
func ExampleWithObserver() {
	ctx := context.Background()
	server := kinesistest.New(kinesistest.WithStream("logs", 1))
	put := &counter{metric: core.MetricUserRecordsPut}
	producer, err := core.New(server.Client(), core.WithObserver(put))
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		if _, err := producer.PutSync(ctx, "logs", core.Record{PartitionKey: "pod-1", Data: []byte("hello")}); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println("open shards:", len(producer.Snapshot().Streams[0].Shards))
	fmt.Println(producer.Close(ctx))
	fmt.Println(put.metric, put.sum.Load())
	// Output:
	// open shards: 1
	// <nil>
	// UserRecordsPut 3
}

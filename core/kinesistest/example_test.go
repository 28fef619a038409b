// SPDX-License-Identifier: Apache-2.0

package kinesistest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// The real SDK against the fake over HTTP: one shard refuses its entries once,
// and the rest of the call goes through.
func Example() {
	s := kinesistest.New(kinesistest.WithStream("demo", 2))
	if err := s.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	client := s.SDK()

	throttle := s.Fault(kinesistest.Fault{Shard: "shardId-000000000001", Times: 1, Effect: kinesistest.ThrottleEntries()})
	out, err := client.PutRecords(context.Background(), &kinesis.PutRecordsInput{
		StreamName: aws.String("demo"),
		Records: []types.PutRecordsRequestEntry{
			{PartitionKey: aws.String("a"), ExplicitHashKey: aws.String("0"), Data: []byte("one")},
			{PartitionKey: aws.String("b"), ExplicitHashKey: aws.String("340282366920938463463374607431768211455"), Data: []byte("two")},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range out.Records {
		if r.ErrorCode != nil {
			fmt.Println("refused:", *r.ErrorCode)
			fmt.Println(aws.ToString(r.ErrorMessage))
			continue
		}
		fmt.Println("stored in", aws.ToString(r.ShardId))
	}
	fmt.Println("struck:", throttle.Hits(), "stored:", len(s.Records("demo")))
	// Output:
	// stored in shardId-000000000000
	// refused: ProvisionedThroughputExceededException
	// Rate exceeded for shard shardId-000000000001 in stream demo under account 123456789012.
	// struck: 1 stored: 1
}

// A reply gets lost after the records were stored. The error is the one that the
// SDK would return.
func ExampleServer_Fault() {
	s := kinesistest.New(kinesistest.WithStream("demo", 1))
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.LoseReply()})
	s.Fault(kinesistest.Fault{Operation: "ListShards", Effect: kinesistest.Fail("LimitExceededException", "too often")})

	_, err := s.Client().PutRecords(context.Background(), &kinesis.PutRecordsInput{
		StreamName: aws.String("demo"),
		Records:    []types.PutRecordsRequestEntry{{PartitionKey: aws.String("a"), Data: []byte("one")}},
	})
	fmt.Println(err != nil, "stored:", s.Stats().Records)

	_, err = s.Client().ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String("demo")})
	var limit *types.LimitExceededException
	fmt.Println(errors.As(err, &limit))
	// Output:
	// true stored: 1
	// true
}

// A consumer drops a whole aggregate if one of its parts does not belong into the shard.
func ExampleServer_Consume() {
	s := kinesistest.New(kinesistest.WithStream("demo", 2))
	var b aggregation.Builder
	b.AddExplicit("mine", aggregation.HashKey{}, []byte("one"))
	b.AddExplicit("theirs", aggregation.MaxHashKey, []byte("two"))
	_, err := s.Client().PutRecords(context.Background(), &kinesis.PutRecordsInput{
		StreamName: aws.String("demo"),
		Records: []types.PutRecordsRequestEntry{
			{PartitionKey: aws.String("a"), ExplicitHashKey: aws.String("0"), Data: b.AppendTo(nil)},
			{PartitionKey: aws.String("theirs"), ExplicitHashKey: aws.String("0"), Data: []byte("not aggregated")},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	got := s.Consume("demo")
	for _, r := range got.Records {
		fmt.Println(r.ShardID, r.PartitionKey, string(r.Data))
	}
	for _, r := range got.Dropped {
		fmt.Println("dropped:", r.PartitionKey, string(r.Data))
	}
	fmt.Println("out of range:", got.OutOfRange)
	// Output:
	// shardId-000000000000 theirs not aggregated
	// dropped: mine one
	// dropped: theirs two
	// out of range: 1
}

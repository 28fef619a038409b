// SPDX-License-Identifier: Apache-2.0

package reader_test

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/cmd/kplcat/internal/reader"
	"github.com/outkpl/outkpl/core/kinesistest"
)

func ExampleRun() {
	ctx := context.Background()
	client := kinesistest.New(kinesistest.WithStream("logs", 1)).Client()
	_, err := client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("logs"), PartitionKey: aws.String("k"), Data: []byte("hello")})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = reader.Run(ctx, reader.Config{
		API: client, Stream: "logs", From: reader.From{At: reader.TrimHorizon}, UntilNow: true,
		Handle: func(b reader.Batch) error {
			for _, r := range b.Records {
				fmt.Printf("%s: %s\n", b.Shard.ID, r.Data)
			}
			return nil
		},
	})
	fmt.Println(err)
	// Output:
	// shardId-000000000000: hello
	// <nil>
}

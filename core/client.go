// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// Client is the narrow part of the Kinesis API that the producer needs.
// *kinesis.Client implements it; package awsclient builds one as it must be
// built here (the SDK's own retries off, since they would hide attempts and
// double the backoff).
//
// An implementation must not keep the bytes of a record after the call has
// returned: the producer uses them again.
type Client interface {
	PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error)
	ListShards(ctx context.Context, in *kinesis.ListShardsInput, opts ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error)
	DescribeStreamSummary(ctx context.Context, in *kinesis.DescribeStreamSummaryInput, opts ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error)
}

var _ Client = (*kinesis.Client)(nil)

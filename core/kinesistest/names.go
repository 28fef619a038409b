// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// inputNames returns the two forms in which an input names its stream.
func inputNames(in any) (name, arn *string) {
	switch in := in.(type) {
	case *kinesis.PutRecordsInput:
		return in.StreamName, in.StreamARN
	case *kinesis.PutRecordInput:
		return in.StreamName, in.StreamARN
	case *kinesis.ListShardsInput:
		return in.StreamName, in.StreamARN
	case *kinesis.DescribeStreamSummaryInput:
		return in.StreamName, in.StreamARN
	case *kinesis.DescribeStreamInput:
		return in.StreamName, in.StreamARN
	case *kinesis.CreateStreamInput:
		return in.StreamName, nil
	case *kinesis.DeleteStreamInput:
		return in.StreamName, in.StreamARN
	case *kinesis.SplitShardInput:
		return in.StreamName, in.StreamARN
	case *kinesis.MergeShardsInput:
		return in.StreamName, in.StreamARN
	case *kinesis.UpdateShardCountInput:
		return in.StreamName, in.StreamARN
	case *kinesis.UpdateMaxRecordSizeInput:
		return nil, in.StreamARN
	case *kinesis.UpdateStreamRecordDistributionStrategyInput:
		return nil, in.StreamARN
	case *kinesis.GetShardIteratorInput:
		return in.StreamName, in.StreamARN
	case *kinesis.GetRecordsInput:
		return nil, in.StreamARN
	}
	return nil, nil
}

// streamOf returns the name of the stream that a call is about, or "".
func streamOf(in any) string {
	name, arn := inputNames(in)
	switch {
	case name != nil:
		return *name
	case arn != nil:
		_, after, _ := strings.Cut(*arn, ":stream/")
		return after
	}
	return ""
}

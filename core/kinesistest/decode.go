// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// decodeInput parses the body of an operation. The SDK's input structs have the
// field names of the JSON form, so encoding/json fills them, apart from times,
// which are seconds since 1970 in AWS JSON.
func decodeInput(r *request, body []byte) *failure {
	switch r.op {
	case opPutRecords:
		in := &kinesis.PutRecordsInput{}
		r.in, r.owned = in, true
		n := base64.StdEncoding.DecodedLen(len(body))
		if cap(r.slab) < n {
			r.slab = make([]byte, 0, n)
		}
		if decodePutRecords(body, in, r.slab) {
			return nil
		}
		*in = kinesis.PutRecordsInput{}
		return unmarshal(body, in)
	case opPutRecord:
		r.in, r.owned = &kinesis.PutRecordInput{}, true
	case opListShards:
		return decodeListShards(r, body)
	case opGetShardIterator:
		return decodeGetShardIterator(r, body)
	case opDescribeStreamSummary:
		r.in = &kinesis.DescribeStreamSummaryInput{}
	case opDescribeStream:
		r.in = &kinesis.DescribeStreamInput{}
	case opListStreams:
		r.in = &kinesis.ListStreamsInput{}
	case opCreateStream:
		r.in = &kinesis.CreateStreamInput{}
	case opDeleteStream:
		r.in = &kinesis.DeleteStreamInput{}
	case opSplitShard:
		r.in = &kinesis.SplitShardInput{}
	case opMergeShards:
		r.in = &kinesis.MergeShardsInput{}
	case opUpdateShardCount:
		r.in = &kinesis.UpdateShardCountInput{}
	case opUpdateMaxRecordSize:
		r.in = &kinesis.UpdateMaxRecordSizeInput{}
	case opUpdateDistribution:
		r.in = &kinesis.UpdateStreamRecordDistributionStrategyInput{}
	case opGetRecords:
		r.in = &kinesis.GetRecordsInput{}
	default: // there are no other operations
	}
	return unmarshal(body, r.in)
}

// epoch is a time in AWS JSON: a number of seconds.
type epoch struct{ t *time.Time }

// UnmarshalJSON reads the number, to the millisecond.
func (e *epoch) UnmarshalJSON(b []byte) error {
	var sec *float64
	if err := json.Unmarshal(b, &sec); err != nil {
		return err
	}
	if sec != nil {
		t := time.UnixMilli(int64(*sec*1000 + 0.5)).UTC()
		e.t = &t
	}
	return nil
}

func decodeListShards(r *request, body []byte) *failure {
	in := &kinesis.ListShardsInput{}
	r.in = in
	// The outer fields hide the inner ones of the same name.
	wire := struct {
		*kinesis.ListShardsInput
		StreamCreationTimestamp epoch
		ShardFilter             *struct {
			Type      types.ShardFilterType
			ShardId   *string
			Timestamp epoch
		}
	}{ListShardsInput: in}
	if f := unmarshal(body, &wire); f != nil {
		return f
	}
	in.StreamCreationTimestamp = wire.StreamCreationTimestamp.t
	if fl := wire.ShardFilter; fl != nil {
		in.ShardFilter = &types.ShardFilter{Type: fl.Type, ShardId: fl.ShardId, Timestamp: fl.Timestamp.t}
	}
	return nil
}

func decodeGetShardIterator(r *request, body []byte) *failure {
	in := &kinesis.GetShardIteratorInput{}
	r.in = in
	wire := struct {
		*kinesis.GetShardIteratorInput
		Timestamp epoch
	}{GetShardIteratorInput: in}
	f := unmarshal(body, &wire)
	in.Timestamp = wire.Timestamp.t
	return f
}

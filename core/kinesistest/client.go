// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"context"
	"net/http"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Client calls a [Server] in process with the method signatures of
// *kinesis.Client. It makes one attempt for each call, and its errors have the
// types and the nesting of the SDK's. Per-call options are ignored. Inputs are
// only read, and nothing of them is kept after the call. It starts no goroutine, so that it may be
// used inside a testing/synctest bubble.
type Client struct{ s *Server }

// Client returns the in-process client.
func (s *Server) Client() *Client { return &Client{s} }

// call runs one operation; meta leads to the ResultMetadata of the output.
func call[O any, P interface {
	*O
	smithy.Serializable
}](ctx context.Context, c *Client, o op, in any, meta func(P) *middleware.Metadata) (P, error) {
	r := request{op: o, in: in, id: c.s.requestID()}
	out, f := c.s.do(ctx, &r)
	if f != nil {
		return nil, f.sdkError(opNames[o], r.id, "https://kinesis."+c.s.cfg.region+".amazonaws.com/")
	}
	res := out.(P)
	if o != opPutRecords && o != opPutRecord { // which benchmarks count
		*meta(res) = c.s.timed(ctx)
	}
	awsmiddleware.SetRequestIDMetadata(meta(res), r.id)
	return res, nil
}

// timed returns what the SDK puts into an answer for the server's time.
func (s *Server) timed(ctx context.Context) middleware.Metadata {
	next := middleware.DeserializeHandlerFunc(func(context.Context, middleware.DeserializeInput) (out middleware.DeserializeOutput, meta middleware.Metadata, err error) {
		out.RawResponse = &smithyhttp.Response{Response: &http.Response{Header: http.Header{"Date": {s.date()}}}}
		return out, meta, nil
	})
	_, meta, _ := awsmiddleware.RecordResponseTiming{}.HandleDeserialize(ctx, middleware.DeserializeInput{}, next) // next has no error
	return meta
}

// date is the header of that name.
func (s *Server) date() string { return s.cfg.now().UTC().Format(http.TimeFormat) }

// PutRecords is the operation of that name.
func (c *Client) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, _ ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	return call(ctx, c, opPutRecords, orEmpty(in), func(o *kinesis.PutRecordsOutput) *middleware.Metadata { return &o.ResultMetadata })
}

// PutRecord is the operation of that name.
func (c *Client) PutRecord(ctx context.Context, in *kinesis.PutRecordInput, _ ...func(*kinesis.Options)) (*kinesis.PutRecordOutput, error) {
	return call(ctx, c, opPutRecord, orEmpty(in), func(o *kinesis.PutRecordOutput) *middleware.Metadata { return &o.ResultMetadata })
}

// ListShards is the operation of that name.
func (c *Client) ListShards(ctx context.Context, in *kinesis.ListShardsInput, _ ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	return call(ctx, c, opListShards, orEmpty(in), func(o *kinesis.ListShardsOutput) *middleware.Metadata { return &o.ResultMetadata })
}

// DescribeStreamSummary is the operation of that name.
func (c *Client) DescribeStreamSummary(ctx context.Context, in *kinesis.DescribeStreamSummaryInput, _ ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error) {
	return call(ctx, c, opDescribeStreamSummary, orEmpty(in), func(o *kinesis.DescribeStreamSummaryOutput) *middleware.Metadata { return &o.ResultMetadata })
}

// DescribeStream is the operation of that name.
func (c *Client) DescribeStream(ctx context.Context, in *kinesis.DescribeStreamInput, _ ...func(*kinesis.Options)) (*kinesis.DescribeStreamOutput, error) {
	return call(ctx, c, opDescribeStream, orEmpty(in), func(o *kinesis.DescribeStreamOutput) *middleware.Metadata { return &o.ResultMetadata })
}

// ListStreams is the operation of that name.
func (c *Client) ListStreams(ctx context.Context, in *kinesis.ListStreamsInput, _ ...func(*kinesis.Options)) (*kinesis.ListStreamsOutput, error) {
	return call(ctx, c, opListStreams, orEmpty(in), func(o *kinesis.ListStreamsOutput) *middleware.Metadata { return &o.ResultMetadata })
}

// CreateStream is the operation of that name.
func (c *Client) CreateStream(ctx context.Context, in *kinesis.CreateStreamInput, _ ...func(*kinesis.Options)) (*kinesis.CreateStreamOutput, error) {
	return call(ctx, c, opCreateStream, orEmpty(in), func(o *kinesis.CreateStreamOutput) *middleware.Metadata { return &o.ResultMetadata })
}

// DeleteStream is the operation of that name.
func (c *Client) DeleteStream(ctx context.Context, in *kinesis.DeleteStreamInput, _ ...func(*kinesis.Options)) (*kinesis.DeleteStreamOutput, error) {
	return call(ctx, c, opDeleteStream, orEmpty(in), func(o *kinesis.DeleteStreamOutput) *middleware.Metadata { return &o.ResultMetadata })
}

// SplitShard is the operation of that name.
func (c *Client) SplitShard(ctx context.Context, in *kinesis.SplitShardInput, _ ...func(*kinesis.Options)) (*kinesis.SplitShardOutput, error) {
	return call(ctx, c, opSplitShard, orEmpty(in), func(o *kinesis.SplitShardOutput) *middleware.Metadata { return &o.ResultMetadata })
}

// MergeShards is the operation of that name.
func (c *Client) MergeShards(ctx context.Context, in *kinesis.MergeShardsInput, _ ...func(*kinesis.Options)) (*kinesis.MergeShardsOutput, error) {
	return call(ctx, c, opMergeShards, orEmpty(in), func(o *kinesis.MergeShardsOutput) *middleware.Metadata { return &o.ResultMetadata })
}

// UpdateShardCount is the operation of that name.
func (c *Client) UpdateShardCount(ctx context.Context, in *kinesis.UpdateShardCountInput, _ ...func(*kinesis.Options)) (*kinesis.UpdateShardCountOutput, error) {
	return call(ctx, c, opUpdateShardCount, orEmpty(in), func(o *kinesis.UpdateShardCountOutput) *middleware.Metadata { return &o.ResultMetadata })
}

// UpdateMaxRecordSize is the operation of that name.
func (c *Client) UpdateMaxRecordSize(ctx context.Context, in *kinesis.UpdateMaxRecordSizeInput, _ ...func(*kinesis.Options)) (*kinesis.UpdateMaxRecordSizeOutput, error) {
	return call(ctx, c, opUpdateMaxRecordSize, orEmpty(in), func(o *kinesis.UpdateMaxRecordSizeOutput) *middleware.Metadata { return &o.ResultMetadata })
}

// UpdateStreamRecordDistributionStrategy is the operation of that name.
func (c *Client) UpdateStreamRecordDistributionStrategy(ctx context.Context, in *kinesis.UpdateStreamRecordDistributionStrategyInput, _ ...func(*kinesis.Options)) (*kinesis.UpdateStreamRecordDistributionStrategyOutput, error) {
	return call(ctx, c, opUpdateDistribution, orEmpty(in), func(o *kinesis.UpdateStreamRecordDistributionStrategyOutput) *middleware.Metadata {
		return &o.ResultMetadata
	})
}

// GetShardIterator is the operation of that name.
func (c *Client) GetShardIterator(ctx context.Context, in *kinesis.GetShardIteratorInput, _ ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error) {
	return call(ctx, c, opGetShardIterator, orEmpty(in), func(o *kinesis.GetShardIteratorOutput) *middleware.Metadata { return &o.ResultMetadata })
}

// GetRecords is the operation of that name.
func (c *Client) GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, _ ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	return call(ctx, c, opGetRecords, orEmpty(in), func(o *kinesis.GetRecordsOutput) *middleware.Metadata { return &o.ResultMetadata })
}

// orEmpty does what the SDK does with a nil input.
func orEmpty[T any](in *T) *T {
	if in == nil {
		return new(T)
	}
	return in
}

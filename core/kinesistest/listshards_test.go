// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
)

func shardIDs(shards []types.Shard) []int {
	var ids []int
	for _, sh := range shards {
		var n int
		if _, err := fmt.Sscanf(*sh.ShardId, "shardId-%012d", &n); err != nil {
			panic(err)
		}
		ids = append(ids, n)
	}
	return ids
}

func TestListShardsPages(t *testing.T) {
	bothClients(t, func(t *testing.T, s *Server, c api) {
		var ids []int
		in := &kinesis.ListShardsInput{StreamName: aws.String("demo"), MaxResults: aws.Int32(3)}
		for pages := 1; ; pages++ {
			out := must[*kinesis.ListShardsOutput](t)(c.ListShards(context.Background(), in))
			ids = append(ids, shardIDs(out.Shards)...)
			if out.NextToken == nil {
				equal(t, "pages", pages, 3)
				break
			}
			equal(t, "shards of a page", len(out.Shards), 3)
			in = &kinesis.ListShardsInput{NextToken: out.NextToken, MaxResults: aws.Int32(3)}
		}
		equalSlices(t, "shards", ids, []int{0, 1, 2, 3, 4, 5, 6})
		out := must[*kinesis.ListShardsOutput](t)(c.ListShards(context.Background(), &kinesis.ListShardsInput{
			StreamName: aws.String("demo"), ExclusiveStartShardId: aws.String("shardId-000000000004"),
		}))
		equalSlices(t, "shards after 4", shardIDs(out.Shards), []int{5, 6})
	}, WithStream("demo", 7))
}

func TestListShardsPagesHoldAThousandAtMost(t *testing.T) {
	s := New(WithStream("demo", 2500))
	out := must[*kinesis.ListShardsOutput](t)(s.Client().ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String("demo"), MaxResults: aws.Int32(10000)}))
	equal(t, "shards", len(out.Shards), 1000)
	out = must[*kinesis.ListShardsOutput](t)(s.Client().ListShards(context.Background(), &kinesis.ListShardsInput{NextToken: out.NextToken}))
	out = must[*kinesis.ListShardsOutput](t)(s.Client().ListShards(context.Background(), &kinesis.ListShardsInput{NextToken: out.NextToken}))
	equal(t, "shards of the last page", len(out.Shards), 500)
}

func TestListShardsRefusesBadTokens(t *testing.T) {
	clk := newClock()
	bothClients(t, func(t *testing.T, s *Server, c api) {
		code := func(in *kinesis.ListShardsInput) string {
			_, err := c.ListShards(context.Background(), in)
			var ae smithy.APIError
			if errors.As(err, &ae) {
				return ae.ErrorCode()
			}
			return ""
		}
		first := must[*kinesis.ListShardsOutput](t)(c.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String("demo"), MaxResults: aws.Int32(1)}))
		next := &kinesis.ListShardsInput{NextToken: first.NextToken}
		equal(t, "code with a stream", code(&kinesis.ListShardsInput{NextToken: first.NextToken, StreamName: aws.String("demo")}), "InvalidArgumentException")
		equal(t, "code of garbage", code(&kinesis.ListShardsInput{NextToken: aws.String("garbage")}), "InvalidArgumentException")
		equal(t, "code of MaxResults 0", code(&kinesis.ListShardsInput{StreamName: aws.String("demo"), MaxResults: aws.Int32(0)}), "ValidationException")
		clk.advance(300 * time.Second)
		equal(t, "code after 300 s", code(next), "")
		clk.advance(time.Second)
		equal(t, "code after 301 s", code(next), "ExpiredNextTokenException")
		_, err := c.ListShards(context.Background(), next)
		var ee *types.ExpiredNextTokenException
		if !errors.As(err, &ee) {
			t.Errorf("unexpected error; got %v; want ExpiredNextTokenException", err)
		}
		fresh := must[*kinesis.ListShardsOutput](t)(c.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String("demo"), MaxResults: aws.Int32(1)}))
		noError(t, s.DeleteStream("demo"))
		noError(t, s.CreateStream("demo", StreamConfig{Shards: 3}))
		equal(t, "code for another stream of that name", code(&kinesis.ListShardsInput{NextToken: fresh.NextToken}), "ResourceNotFoundException")
	}, WithStream("demo", 3), WithClock(clk.now))
}

func TestListShardsFilters(t *testing.T) {
	clk := newClock()
	bothClients(t, func(t *testing.T, s *Server, c api) {
		start := clk.now()
		clk.advance(time.Minute)
		noError(t, s.SplitEven("demo", "shardId-000000000000"))
		before := clk.now().Add(-time.Second)
		for _, tt := range []struct {
			name   string
			filter *types.ShardFilter
			want   []int
		}{
			{"none", nil, []int{0, 1, 2, 3}},
			{"AT_LATEST", &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}, []int{1, 2, 3}},
			{"AT_TRIM_HORIZON", &types.ShardFilter{Type: types.ShardFilterTypeAtTrimHorizon}, []int{0, 1}},
			{"FROM_TRIM_HORIZON", &types.ShardFilter{Type: types.ShardFilterTypeFromTrimHorizon}, []int{0, 1, 2, 3}},
			{"AFTER_SHARD_ID", &types.ShardFilter{Type: types.ShardFilterTypeAfterShardId, ShardId: aws.String("shardId-000000000001")}, []int{2, 3}},
			{"AT_TIMESTAMP before the split", &types.ShardFilter{Type: types.ShardFilterTypeAtTimestamp, Timestamp: &before}, []int{0, 1}},
			{"FROM_TIMESTAMP before the split", &types.ShardFilter{Type: types.ShardFilterTypeFromTimestamp, Timestamp: &start}, []int{0, 1, 2, 3}},
		} {
			in := &kinesis.ListShardsInput{StreamName: aws.String("demo"), ShardFilter: tt.filter, MaxResults: aws.Int32(2)}
			var ids []int
			for in != nil {
				out := must[*kinesis.ListShardsOutput](t)(c.ListShards(context.Background(), in))
				ids = append(ids, shardIDs(out.Shards)...)
				in = nil
				if out.NextToken != nil {
					in = &kinesis.ListShardsInput{NextToken: out.NextToken, MaxResults: aws.Int32(2)}
				}
			}
			equalSlices(t, "shards with filter "+tt.name, ids, tt.want)
		}
	}, WithStream("demo", 2), WithClock(clk.now))
}

func TestStreamsAreCreatedListedAndDeleted(t *testing.T) {
	clk := newClock()
	bothClients(t, func(t *testing.T, s *Server, c api) {
		ctx := context.Background()
		must[*kinesis.CreateStreamOutput](t)(c.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("demo"), ShardCount: aws.Int32(2)}))
		_, err := c.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("demo"), ShardCount: aws.Int32(2)})
		var iu *types.ResourceInUseException
		if !errors.As(err, &iu) {
			t.Errorf("unexpected error; got %v; want ResourceInUseException", err)
		}
		status := func() types.StreamStatus {
			out := must[*kinesis.DescribeStreamSummaryOutput](t)(c.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamARN: aws.String(s.ARN("demo"))}))
			return out.StreamDescriptionSummary.StreamStatus
		}
		equal(t, "status", status(), types.StreamStatusCreating)
		_, err = c.PutRecords(ctx, puts(entry("a", "x")))
		var nf *types.ResourceNotFoundException
		if !errors.As(err, &nf) {
			t.Errorf("unexpected error while CREATING; got %v; want ResourceNotFoundException", err)
		}
		clk.advance(time.Second)
		equal(t, "status", status(), types.StreamStatusActive)
		must[*kinesis.PutRecordsOutput](t)(c.PutRecords(ctx, puts(entry("a", "x"))))
		must[*kinesis.CreateStreamOutput](t)(c.CreateStream(ctx, &kinesis.CreateStreamInput{
			StreamName: aws.String("auto"), StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand},
			RecordDistributionStrategy: types.RecordDistributionStrategyAuto,
		}))
		sum := must[*kinesis.DescribeStreamSummaryOutput](t)(c.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("auto")}))
		equal(t, "mode", sum.StreamDescriptionSummary.StreamModeDetails.StreamMode, types.StreamModeOnDemand)
		equal(t, "created", sum.StreamDescriptionSummary.StreamCreationTimestamp.Unix(), clk.now().Unix())
		list := must[*kinesis.ListStreamsOutput](t)(c.ListStreams(ctx, &kinesis.ListStreamsInput{Limit: aws.Int32(1)}))
		equalSlices(t, "streams", list.StreamNames, []string{"auto"})
		list = must[*kinesis.ListStreamsOutput](t)(c.ListStreams(ctx, &kinesis.ListStreamsInput{NextToken: list.NextToken}))
		equalSlices(t, "more streams", list.StreamNames, []string{"demo"})
		desc := must[*kinesis.DescribeStreamOutput](t)(c.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamName: aws.String("demo"), Limit: aws.Int32(1)}))
		equal(t, "more shards", aws.ToBool(desc.StreamDescription.HasMoreShards), true)
		must[*kinesis.DeleteStreamOutput](t)(c.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: aws.String("demo")}))
		_, err = c.PutRecords(ctx, puts(entry("a", "x")))
		if !errors.As(err, &nf) {
			t.Errorf("unexpected error after DeleteStream; got %v; want ResourceNotFoundException", err)
		}
	}, WithClock(clk.now), WithCreateTime(time.Second))
}

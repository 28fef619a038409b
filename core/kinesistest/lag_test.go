// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// list returns the numbers of the shards on all pages, of two shards each, and of those
// that are shown as open.
func list(t *testing.T, s *Server, filter *types.ShardFilter) (ids, open []int) {
	t.Helper()
	in := &kinesis.ListShardsInput{StreamName: aws.String("demo"), ShardFilter: filter, MaxResults: aws.Int32(2)}
	for {
		out := must[*kinesis.ListShardsOutput](t)(s.Client().ListShards(context.Background(), in))
		ids = append(ids, shardIDs(out.Shards)...)
		for _, sh := range out.Shards {
			if sh.SequenceNumberRange.EndingSequenceNumber == nil {
				open = append(open, shardIDs([]types.Shard{sh})...)
			}
		}
		if out.NextToken == nil {
			return ids, open
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken, MaxResults: aws.Int32(2)}
	}
}

func TestListShardsLagsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(WithStream("demo", 2), WithListShardsLag(3*time.Second))
		latest := &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}
		check := func(when string, filter *types.ShardFilter, wantIDs, wantOpen []int) {
			t.Helper()
			ids, open := list(t, s, filter)
			equalSlices(t, "shards "+when, ids, wantIDs)
			equalSlices(t, "open shards "+when, open, wantOpen)
		}
		check("of a new stream", nil, []int{0, 1}, []int{0, 1})
		time.Sleep(10 * time.Second)
		split := time.Now()
		noError(t, s.SplitEven("demo", shard0))
		time.Sleep(time.Second)
		merge := time.Now()
		noError(t, s.Merge("demo", "shardId-000000000003", shard1))
		time.Sleep(2*time.Second - 1)
		equal(t, "shards now", len(s.Shards("demo")), 5)
		check("before the split", nil, []int{0, 1}, []int{0, 1})
		check("before the split, AT_LATEST", latest, []int{0, 1}, []int{0, 1})
		check("before the split, FROM_TIMESTAMP", &types.ShardFilter{Type: types.ShardFilterTypeFromTimestamp, Timestamp: &split}, []int{0, 1}, []int{0, 1})
		time.Sleep(time.Nanosecond)
		check("at the split", nil, []int{0, 1, 2, 3}, []int{1, 2, 3})
		check("at the split, AT_LATEST", latest, []int{1, 2, 3}, []int{1, 2, 3})
		check("at the split, FROM_TIMESTAMP", &types.ShardFilter{Type: types.ShardFilterTypeFromTimestamp, Timestamp: &split}, []int{1, 2, 3}, []int{1, 2, 3})
		check("at the split, AT_TIMESTAMP", &types.ShardFilter{Type: types.ShardFilterTypeAtTimestamp, Timestamp: &merge}, []int{1, 2, 3}, []int{1, 2, 3})
		check("at the split, AFTER_SHARD_ID", &types.ShardFilter{Type: types.ShardFilterTypeAfterShardId, ShardId: aws.String(shard1)}, []int{2, 3}, []int{2, 3})
		time.Sleep(time.Second)
		check("after the merge", nil, []int{0, 1, 2, 3, 4}, []int{2, 4})
		check("after the merge, AT_LATEST", latest, []int{2, 4}, []int{2, 4})
	})
}

// A list goes on with the present of its second page, as a real one may.
func TestListShardsLagCountsForEachPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(WithStream("demo", 2), WithListShardsLag(3*time.Second))
		time.Sleep(10 * time.Second)
		noError(t, s.SplitEven("demo", shard0))
		time.Sleep(2 * time.Second)
		out := must[*kinesis.ListShardsOutput](t)(s.Client().ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String("demo"), MaxResults: aws.Int32(1)}))
		equal(t, "shard 0 is shown as open", out.Shards[0].SequenceNumberRange.EndingSequenceNumber == nil, true)
		time.Sleep(time.Second)
		out = must[*kinesis.ListShardsOutput](t)(s.Client().ListShards(context.Background(), &kinesis.ListShardsInput{NextToken: out.NextToken}))
		equalSlices(t, "shards of the second page", shardIDs(out.Shards), []int{1, 2, 3})
	})
}

func TestListShardsShowsTheDeletedStreamForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(WithStream("demo", 2), WithListShardsLag(3*time.Second))
		check := func(when string, want []int) {
			t.Helper()
			ids, _ := list(t, s, nil)
			equalSlices(t, "shards "+when, ids, want)
		}
		recreate := func(shards int) {
			t.Helper()
			noError(t, s.DeleteStream("demo"))
			noError(t, s.CreateStream("demo", StreamConfig{Shards: shards}))
		}
		time.Sleep(10 * time.Second)
		noError(t, s.SplitEven("demo", shard0))
		time.Sleep(time.Second)
		recreate(7)
		time.Sleep(time.Second)
		recreate(3)
		time.Sleep(time.Second - 1)
		check("before the split", []int{0, 1})
		time.Sleep(time.Nanosecond)
		check("at the split", []int{0, 1, 2, 3})
		first := must[*kinesis.ListShardsOutput](t)(s.Client().ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String("demo"), MaxResults: aws.Int32(1)}))
		time.Sleep(time.Second)
		check("of the second stream", []int{0, 1, 2, 3, 4, 5, 6})
		_, err := s.Client().ListShards(context.Background(), &kinesis.ListShardsInput{NextToken: first.NextToken})
		var nf *types.ResourceNotFoundException
		if !errors.As(err, &nf) {
			t.Errorf("unexpected error of a page of the first stream; got %v; want ResourceNotFoundException", err)
		}
		time.Sleep(time.Second)
		check("of the third stream", []int{0, 1, 2})

		noError(t, s.DeleteStream("demo"))
		_, err = s.Client().ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String("demo")})
		if !errors.As(err, &nf) {
			t.Errorf("unexpected error without a stream; got %v; want ResourceNotFoundException", err)
		}
		time.Sleep(3 * time.Second)
		noError(t, s.CreateStream("demo", StreamConfig{Shards: 5}))
		check("of a stream that was missing then", []int{0, 1, 2, 3, 4})
		time.Sleep(time.Second)
		noError(t, s.SplitEven("demo", shard0))
		check("of a stream that was missing then and is split", []int{0, 1, 2, 3, 4})
	})
}

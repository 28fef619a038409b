// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

const (
	shard0 = "shardId-000000000000"
	shard1 = "shardId-000000000001"
	shard2 = "shardId-000000000002"
	middle = "170141183460469231731687303715884105728" // 2^127
)

func putAt(t *testing.T, c api, hash string) types.PutRecordsResultEntry {
	t.Helper()
	return must[*kinesis.PutRecordsOutput](t)(c.PutRecords(context.Background(), puts(entryAt(hash, "at "+hash)))).Records[0]
}

func TestSplitParentTakesWritesWhileUpdating(t *testing.T) {
	clk := newClock()
	bothClients(t, func(t *testing.T, s *Server, c api) {
		ctx := context.Background()
		status := func() types.StreamStatus {
			out := must[*kinesis.DescribeStreamSummaryOutput](t)(c.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("demo")}))
			return out.StreamDescriptionSummary.StreamStatus
		}
		split := &kinesis.SplitShardInput{StreamName: aws.String("demo"), ShardToSplit: aws.String(shard0), NewStartingHashKey: aws.String(middle)}
		must[*kinesis.SplitShardOutput](t)(c.SplitShard(ctx, split))
		equal(t, "status", status(), types.StreamStatusUpdating)
		parent := putAt(t, c, "0")
		equal(t, "shard while UPDATING", *parent.ShardId, shard0)
		_, err := c.SplitShard(ctx, split)
		var iu *types.ResourceInUseException
		if !errors.As(err, &iu) {
			t.Errorf("unexpected error of a second split; got %v; want ResourceInUseException", err)
		}
		clk.advance(10 * time.Second)
		equal(t, "status", status(), types.StreamStatusActive)
		low, high := putAt(t, c, "170141183460469231731687303715884105727"), putAt(t, c, middle)
		equal(t, "shard below the new start", *low.ShardId, shard1)
		equal(t, "shard from the new start", *high.ShardId, shard2)
		out := must[*kinesis.ListShardsOutput](t)(c.ListShards(ctx, &kinesis.ListShardsInput{StreamName: aws.String("demo")}))
		end := aws.ToString(out.Shards[0].SequenceNumberRange.EndingSequenceNumber)
		if end <= *parent.SequenceNumber || *out.Shards[1].SequenceNumberRange.StartingSequenceNumber <= end || *low.SequenceNumber <= end {
			t.Errorf("unexpected order of sequence numbers: parent %s, end %s, child %s", *parent.SequenceNumber, end, *low.SequenceNumber)
		}
		equal(t, "parent of a child", aws.ToString(out.Shards[2].ParentShardId), shard0)
		equal(t, "end of an open shard", out.Shards[1].SequenceNumberRange.EndingSequenceNumber, nil)
		_, err = c.SplitShard(ctx, split)
		var ia *types.InvalidArgumentException
		if !errors.As(err, &ia) {
			t.Errorf("unexpected error of a split of a closed shard; got %v; want InvalidArgumentException", err)
		}
	}, WithStream("demo", 1), WithClock(clk.now), WithReshardTime(10*time.Second))
}

func TestReshardCanBeFinishedByHand(t *testing.T) {
	s := New(WithStream("demo", 1), WithManualReshard())
	noError(t, s.SplitEven("demo", shard0))
	equal(t, "shard before", *putAt(t, s.Client(), "0").ShardId, shard0)
	noError(t, s.FinishReshard("demo"))
	equal(t, "shard after", *putAt(t, s.Client(), "0").ShardId, shard1)
	equal(t, "range", s.OpenShards("demo")[1].StartingHashKey, middle)
	noError(t, s.FinishReshard("demo"))
	equal(t, "open shards", len(s.OpenShards("demo")), 2)
}

func TestMergeJoinsNeighbours(t *testing.T) {
	bothClients(t, func(t *testing.T, s *Server, c api) {
		merge := func(a, b string) error {
			_, err := c.MergeShards(context.Background(), &kinesis.MergeShardsInput{StreamName: aws.String("demo"), ShardToMerge: aws.String(a), AdjacentShardToMerge: aws.String(b)})
			return err
		}
		var ia *types.InvalidArgumentException
		for _, pair := range [][2]string{{shard0, shard2}, {shard0, shard0}} {
			if err := merge(pair[0], pair[1]); !errors.As(err, &ia) {
				t.Errorf("unexpected error of merging %v; got %v; want InvalidArgumentException", pair, err)
			}
		}
		noError(t, merge(shard2, shard1))
		equal(t, "shard", *putAt(t, c, middle).ShardId, "shardId-000000000003")
		out := must[*kinesis.ListShardsOutput](t)(c.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String("demo")}))
		equal(t, "parent", aws.ToString(out.Shards[3].ParentShardId), shard2)
		equal(t, "other parent", aws.ToString(out.Shards[3].AdjacentParentShardId), shard1)
	}, WithStream("demo", 3))
}

func TestUpdateShardCountMakesEvenRanges(t *testing.T) {
	bothClients(t, func(t *testing.T, s *Server, c api) {
		update := func(n int32) error {
			_, err := c.UpdateShardCount(context.Background(), &kinesis.UpdateShardCountInput{StreamName: aws.String("demo"), TargetShardCount: aws.Int32(n), ScalingType: types.ScalingTypeUniformScaling})
			return err
		}
		var ia *types.InvalidArgumentException
		if err := update(5); !errors.As(err, &ia) {
			t.Errorf("unexpected error above double; got %v; want InvalidArgumentException", err)
		}
		noError(t, update(3))
		want := New(WithStream("x", 3)).Shards("x")
		for i, sh := range s.OpenShards("demo") {
			equal(t, "start", sh.StartingHashKey, want[i].StartingHashKey)
			equal(t, "end", sh.EndingHashKey, want[i].EndingHashKey)
		}
		equalSlices(t, "parents of the middle", s.OpenShards("demo")[1].Parents, []string{shard0, shard1})
		noError(t, s.UpdateShardCount("demo", 1))
		equal(t, "open shards", len(s.OpenShards("demo")), 1)
	}, WithStream("demo", 2))
}

func TestSplitPointIsChecked(t *testing.T) {
	s := New(WithStream("demo", 2))
	for _, at := range []string{"0", middle, "340282366920938463463374607431768211456", "x", "-1"} {
		if err := s.Split("demo", shard0, at); err == nil {
			t.Errorf("unexpected success of a split at %s", at)
		}
	}
	noError(t, s.Split("demo", shard0, "1"))
	equal(t, "end of the first child", s.OpenShards("demo")[0].EndingHashKey, "0")
	var nf *types.ResourceNotFoundException
	if err := s.SplitEven("demo", "shardId-000000000099"); !errors.As(err, &nf) {
		t.Errorf("unexpected error; got %v; want ResourceNotFoundException", err)
	}
	if err := s.SplitEven("demo", s.OpenShards("demo")[0].ID); err == nil {
		t.Error("unexpected success of a split of a shard with one key")
	}
}

func TestRecreatedStreamHasTheSameIDsAndItsOwnRanges(t *testing.T) {
	s := New(WithStream("demo", 2))
	old := putAt(t, s.Client(), "1000")
	noError(t, s.DeleteStream("demo"))
	noError(t, s.CreateStream("demo", StreamConfig{Starts: []string{"0", "1000"}}))
	res := putAt(t, s.Client(), "1000")
	equal(t, "shard", *res.ShardId, shard1)
	equal(t, "records", len(s.Records("demo")), 1)
	if *res.SequenceNumber <= *old.SequenceNumber {
		t.Errorf("unexpected sequence number; got %s; want above %s", *res.SequenceNumber, *old.SequenceNumber)
	}
	for _, starts := range [][]string{{"1"}, {"0", "0"}, {"0", "x"}, {"0", "5", "4"}} {
		if err := s.CreateStream("bad", StreamConfig{Starts: starts}); err == nil {
			t.Errorf("unexpected success with starts %v", starts)
		}
	}
}

// A put that is delayed while its stream is deleted finds the one that has the name
// then, or none.
func TestAPutOutlivesItsStream(t *testing.T) {
	for _, again := range []int{0, 1, 3} {
		s := New(WithStream("demo", 2))
		must[*kinesis.PutRecordsOutput](t)(s.Client().PutRecords(context.Background(), puts(entryAt("0", "before"))))
		s.Fault(Fault{Operation: "PutRecords", Effect: Effect{Do: func() {
			noError(t, s.DeleteStream("demo"))
			if again > 0 {
				noError(t, s.CreateStream("demo", StreamConfig{Shards: again}))
			}
		}}})
		out, err := s.Client().PutRecords(context.Background(), puts(entryAt(middle, "a"), entryAt("0", "b")))
		if again == 0 {
			var nf *types.ResourceNotFoundException
			if !errors.As(err, &nf) {
				t.Errorf("unexpected error without a stream; got %v; want ResourceNotFoundException", err)
			}
			continue
		}
		noError(t, err)
		want := map[int][]string{1: {shard0, shard0}, 3: {shard1, shard0}}[again]
		equalSlices(t, "shards", []string{*out.Records[0].ShardId, *out.Records[1].ShardId}, want)
		equal(t, "records in the new stream", len(s.Records("demo")), 2)
		equal(t, "puts in flight", s.Stats().InFlight, 0)
	}
}

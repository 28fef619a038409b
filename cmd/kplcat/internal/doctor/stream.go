// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/internal/plural"
)

// unevenShards is how many times as large as the smallest range the largest may be before
// it is worth a note: with even keys that shard takes as many times more.
const unevenShards = 2

// summary reports what DescribeStreamSummary says.
func (e *exam) summary(ctx context.Context) {
	ctx, cancel := e.timed(ctx)
	defer cancel()
	out, err := e.Client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: e.name(), StreamARN: e.arn()})
	if err != nil {
		e.sawClock(nil, err)
		e.refused("kinesis:DescribeStreamSummary", err, Both)
		return
	}
	e.sawClock(&out.ResultMetadata, nil)
	e.add("kinesis:DescribeStreamSummary", OK, "allowed", "")
	d := out.StreamDescriptionSummary
	if d == nil {
		return
	}
	if arn := aws.ToString(d.StreamARN); e.ARN == "" && arn != "" {
		e.named = arn
	}
	e.status(d)
	e.capacity(d)
	e.encryption(d)
	if d.RecordDistributionStrategy == types.RecordDistributionStrategyAuto {
		e.auto = true
		e.add("distribution", Warn, "AUTO: the stream ignores partition keys and explicit hash keys",
			"records of an aggregate can end up outside of their shard's range, and consumers that check ranges, as the KCL does, then drop the whole aggregate: set USER_PARTITION_KEY, or switch aggregation off")
	}
}

func (e *exam) status(d *types.StreamDescriptionSummary) {
	detail := fmt.Sprintf("%s, %s of retention", d.StreamStatus, plural.Count(aws.ToInt32(d.RetentionPeriodHours), "hour"))
	if n := aws.ToInt32(d.ConsumerCount); n > 0 {
		detail += fmt.Sprintf(", %s with enhanced fan-out", plural.Count(n, "consumer"))
	}
	switch d.StreamStatus {
	case types.StreamStatusActive:
		e.add("status", OK, detail, "")
	case types.StreamStatusUpdating:
		e.add("status", Note, detail, "nothing: reading and writing go on while a stream changes")
	case types.StreamStatusCreating:
		e.add("status", Fail, detail, "wait until it is ACTIVE: aws kinesis wait stream-exists")
	default:
		e.add("status", Fail, detail, "create the stream again, or use another")
	}
}

// capacity reports the mode and what follows from it
// (https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html,
// checked 2026-11-24).
func (e *exam) capacity(d *types.StreamDescriptionSummary) {
	n := aws.ToInt32(d.OpenShardCount)
	detail := plural.Count(n, "open shard")
	if d.StreamModeDetails != nil && d.StreamModeDetails.StreamMode == types.StreamModeOnDemand {
		detail = "ON_DEMAND, " + detail + "; it grows by itself"
	} else {
		detail = fmt.Sprintf("PROVISIONED, %s: takes %d MiB/s and %s/s", detail, n, plural.Count(1000*n, "Kinesis record"))
	}
	if kib := aws.ToInt32(d.MaxRecordSizeInKiB); kib > 0 {
		detail += fmt.Sprintf("; records up to %d KiB", kib)
	}
	e.add("capacity", OK, detail, "")
}

func (e *exam) encryption(d *types.StreamDescriptionSummary) {
	if d.EncryptionType != types.EncryptionTypeKms {
		e.add("encryption", OK, "none at rest", "")
		return
	}
	key := aws.ToString(d.KeyId)
	if key == "alias/aws/kinesis" {
		e.add("encryption", OK, "KMS, key "+key, "")
		return
	}
	e.add("encryption", Note, "KMS, key "+key,
		"allow producers kms:GenerateDataKey and consumers kms:Decrypt on this key, in IAM and in the key's policy; that is not checked here but in part")
}

// shards reports whether the shards can be listed and cover the ring.
func (e *exam) shards(ctx context.Context) {
	ctx, cancel := e.timed(ctx)
	defer cancel()
	out, err := e.Client.ListShards(ctx, &kinesis.ListShardsInput{
		StreamName: e.name(), StreamARN: e.arn(), MaxResults: aws.Int32(1000),
		ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtLatest},
	})
	if err != nil {
		e.refused("kinesis:ListShards", err, Both)
		return
	}
	e.add("kinesis:ListShards", OK, "allowed", "")
	var open []hashRange
	for _, s := range out.Shards {
		if s.SequenceNumberRange != nil && s.SequenceNumberRange.EndingSequenceNumber != nil || s.HashKeyRange == nil {
			continue
		}
		first, err := aggregation.ParseHashKey(aws.ToString(s.HashKeyRange.StartingHashKey))
		last, err2 := aggregation.ParseHashKey(aws.ToString(s.HashKeyRange.EndingHashKey))
		if err := errors.Join(err, err2); err != nil {
			e.add("shards", Warn, fmt.Sprintf("%s has no hash key range: %v", aws.ToString(s.ShardId), err), "report this to the maker of the server")
			return
		}
		open = append(open, hashRange{aws.ToString(s.ShardId), first, last})
	}
	if len(open) == 0 {
		e.add("shards", Fail, "there is no open shard", "wait until the stream is ACTIVE")
		return
	}
	slices.SortFunc(open, func(a, b hashRange) int { return a.first.Compare(b.first) })
	e.shard, e.open = open[0].id, open
	if aws.ToString(out.NextToken) != "" {
		e.add("shards", OK, fmt.Sprintf("more than %d open; ranges not checked", len(open)), "")
		return
	}
	e.ranges(open)
}

type hashRange struct {
	id          string
	first, last aggregation.HashKey
}

// width is the share of the ring, as a float because only proportions matter.
func (r hashRange) width() float64 {
	f := func(k aggregation.HashKey) float64 { return math.Ldexp(float64(k.Hi), 64) + float64(k.Lo) }
	return f(r.last) - f(r.first) + 1
}

// ranges checks that each hash key belongs to one shard, and how even the shards are.
func (e *exam) ranges(open []hashRange) {
	next, whole := aggregation.HashKey{}, false
	for _, r := range open {
		if whole || r.first != next {
			e.add("shards", Warn, fmt.Sprintf("%d open; their hash key ranges have a gap or overlap before %s", len(open), r.id),
				"ask again in a minute: a reshard may be under way")
			return
		}
		whole = r.last == aggregation.MaxHashKey
		if next = (aggregation.HashKey{Hi: r.last.Hi, Lo: r.last.Lo + 1}); next.Lo == 0 {
			next.Hi++
		}
	}
	if !whole {
		e.add("shards", Warn, fmt.Sprintf("%d open; their hash key ranges end early", len(open)), "ask again in a minute: a reshard may be under way")
		return
	}
	byWidth := func(a, b hashRange) int { return cmp.Compare(a.width(), b.width()) }
	small, large := slices.MinFunc(open, byWidth), slices.MaxFunc(open, byWidth)
	if ratio := large.width() / small.width(); ratio > unevenShards {
		e.add("shards", Note, fmt.Sprintf("%d open; the range of %s is %.1f times that of %s", len(open), large.id, ratio, small.id),
			"with even keys it takes that many times more: split it, or merge small ones (UpdateShardCount makes all even)")
		return
	}
	e.add("shards", OK, fmt.Sprintf("%d open; each hash key belongs to one", len(open)), "")
}

// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

func (s *Server) describeStreamSummary(in *kinesis.DescribeStreamSummaryInput) (*kinesis.DescribeStreamSummaryOutput, *failure) {
	st, f := s.lookup(in.StreamName, in.StreamARN)
	if f != nil {
		return nil, f
	}
	st.mu.RLock()
	defer st.mu.RUnlock()
	return &kinesis.DescribeStreamSummaryOutput{StreamDescriptionSummary: &types.StreamDescriptionSummary{
		StreamName: aws.String(st.name), StreamARN: aws.String(st.arn), StreamStatus: st.status(),
		StreamCreationTimestamp: aws.Time(st.created), OpenShardCount: aws.Int32(int32(len(st.open))),
		RetentionPeriodHours: aws.Int32(24), EnhancedMonitoring: []types.EnhancedMetrics{{}}, ConsumerCount: aws.Int32(0),
		EncryptionType: st.encryption, MaxRecordSizeInKiB: aws.Int32(int32(st.maxRecord >> 10)),
		RecordDistributionStrategy: st.distribution,
		StreamModeDetails:          &types.StreamModeDetails{StreamMode: st.mode},
	}}, nil
}

func (s *Server) describeStream(in *kinesis.DescribeStreamInput) (*kinesis.DescribeStreamOutput, *failure) {
	limit := defaultDescribeStreamPg
	if in.Limit != nil {
		if *in.Limit < 1 || *in.Limit > 10000 {
			return nil, validation("Value '%d' at 'limit' failed to satisfy constraint: Member must be between 1 and 10000", *in.Limit)
		}
		limit = int(*in.Limit)
	}
	st, f := s.lookup(in.StreamName, in.StreamARN)
	if f != nil {
		return nil, f
	}
	st.mu.RLock()
	defer st.mu.RUnlock()
	d := &types.StreamDescription{
		StreamName: aws.String(st.name), StreamARN: aws.String(st.arn), StreamStatus: st.status(),
		StreamCreationTimestamp: aws.Time(st.created), RetentionPeriodHours: aws.Int32(24),
		EnhancedMonitoring: []types.EnhancedMetrics{{}}, EncryptionType: st.encryption,
		StreamModeDetails: &types.StreamModeDetails{StreamMode: st.mode},
		Shards:            []types.Shard{}, HasMoreShards: aws.Bool(false),
	}
	if now := s.cfg.now(); !st.creating {
		for _, sh := range st.all {
			if sh.id <= aws.ToString(in.ExclusiveStartShardId) {
				continue
			}
			if len(d.Shards) == limit {
				d.HasMoreShards = aws.Bool(true)
				break
			}
			d.Shards = append(d.Shards, sh.describe(now))
		}
	}
	return &kinesis.DescribeStreamOutput{StreamDescription: d}, nil
}

func (s *Server) listStreams(in *kinesis.ListStreamsInput) (*kinesis.ListStreamsOutput, *failure) {
	limit := 100
	if in.Limit != nil {
		if *in.Limit < 1 || *in.Limit > 10000 {
			return nil, validation("Value '%d' at 'limit' failed to satisfy constraint: Member must be between 1 and 10000", *in.Limit)
		}
		limit = int(*in.Limit)
	}
	after := aws.ToString(in.ExclusiveStartStreamName)
	if in.NextToken != nil && !decodeToken(*in.NextToken, &after) {
		return nil, invalid("NextToken is not valid.")
	}
	s.mu.RLock()
	names := slices.Sorted(maps.Keys(s.streams))
	s.mu.RUnlock()
	out := &kinesis.ListStreamsOutput{StreamNames: []string{}, HasMoreStreams: aws.Bool(false)}
	for _, n := range names {
		if n <= after {
			continue
		}
		if len(out.StreamNames) == limit {
			out.HasMoreStreams = aws.Bool(true)
			out.NextToken = encodeToken(out.StreamNames[limit-1])
			break
		}
		out.StreamNames = append(out.StreamNames, n)
	}
	return out, nil
}

func (s *Server) createStreamOp(in *kinesis.CreateStreamInput) *failure {
	cfg := StreamConfig{
		Shards:       int(aws.ToInt32(in.ShardCount)),
		MaxRecordKiB: int(aws.ToInt32(in.MaxRecordSizeInKiB)),
		Distribution: in.RecordDistributionStrategy,
		OnDemand:     in.StreamModeDetails != nil && in.StreamModeDetails.StreamMode == types.StreamModeOnDemand,
	}
	switch {
	case cfg.OnDemand && in.ShardCount == nil:
		cfg.Shards = 4 // what a new on-demand stream has
	case cfg.Shards < 1:
		return validation("Value '%d' at 'shardCount' failed to satisfy constraint: Member must be at least 1", cfg.Shards)
	}
	return s.createStream(aws.ToString(in.StreamName), cfg, s.cfg.createTime)
}

func (s *Server) deleteStreamOp(in *kinesis.DeleteStreamInput) *failure {
	st, f := s.lookup(in.StreamName, in.StreamARN)
	if f != nil {
		return f
	}
	return s.deleteStream(st.name)
}

func (s *Server) updateMaxRecordSizeOp(in *kinesis.UpdateMaxRecordSizeInput) *failure {
	kib := int(aws.ToInt32(in.MaxRecordSizeInKiB))
	if kib < minMaxRecordKiB || kib > maxMaxRecordKiB {
		return validation("Value '%d' at 'maxRecordSizeInKiB' failed to satisfy constraint: Member must be between %d and %d", kib, minMaxRecordKiB, maxMaxRecordKiB)
	}
	st, f := s.lookup(nil, in.StreamARN)
	if f != nil {
		return f
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.maxRecord = kib << 10
	s.journal.addSettings(st)
	return nil
}

func (s *Server) updateDistributionOp(in *kinesis.UpdateStreamRecordDistributionStrategyInput) *failure {
	if !slices.Contains(in.RecordDistributionStrategy.Values(), in.RecordDistributionStrategy) {
		return validation("Value '%s' at 'recordDistributionStrategy' failed to satisfy constraint: Member must satisfy enum value set", in.RecordDistributionStrategy)
	}
	st, f := s.lookup(nil, in.StreamARN)
	if f != nil {
		return f
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.distribution = in.RecordDistributionStrategy
	s.journal.addSettings(st)
	return nil
}

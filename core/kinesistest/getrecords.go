// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"sort"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// iterator is what a shard iterator holds.
type iterator struct {
	Stream     string
	Generation int64
	Shard      string
	Position   int // index of the next record
	Issued     time.Time
}

func (s *Server) getShardIterator(in *kinesis.GetShardIteratorInput) (*kinesis.GetShardIteratorOutput, *failure) {
	st, f := s.lookup(in.StreamName, in.StreamARN)
	if f != nil {
		return nil, f
	}
	st.mu.RLock()
	sh := st.shard(aws.ToString(in.ShardId))
	st.mu.RUnlock()
	if sh == nil {
		return nil, fail("ResourceNotFoundException", "Shard %s in stream %s under account %s does not exist", aws.ToString(in.ShardId), st.name, account)
	}
	recs := sh.snapshot()
	it := iterator{Stream: st.name, Generation: st.generation, Shard: sh.id, Issued: s.cfg.now()}
	switch in.ShardIteratorType {
	case types.ShardIteratorTypeTrimHorizon:
	case types.ShardIteratorTypeLatest:
		it.Position = len(recs)
	case types.ShardIteratorTypeAtSequenceNumber, types.ShardIteratorTypeAfterSequenceNumber:
		seq := aws.ToString(in.StartingSequenceNumber)
		if len(seq) != seqDigits {
			return nil, invalid("Invalid StartingSequenceNumber for ShardIteratorType %s: %q", in.ShardIteratorType, seq)
		}
		after := in.ShardIteratorType == types.ShardIteratorTypeAfterSequenceNumber
		it.Position = sort.Search(len(recs), func(i int) bool {
			return recs[i].SequenceNumber > seq || !after && recs[i].SequenceNumber == seq
		})
	case types.ShardIteratorTypeAtTimestamp:
		if in.Timestamp == nil {
			return nil, invalid("Timestamp must be specified for ShardIteratorType %s", in.ShardIteratorType)
		}
		it.Position = sort.Search(len(recs), func(i int) bool { return !recs[i].ArrivalTime.Before(*in.Timestamp) })
	default:
		return nil, validation("Value '%s' at 'shardIteratorType' failed to satisfy constraint: Member must satisfy enum value set", in.ShardIteratorType)
	}
	return &kinesis.GetShardIteratorOutput{ShardIterator: encodeToken(it)}, nil
}

func (s *Server) getRecords(in *kinesis.GetRecordsInput) (*kinesis.GetRecordsOutput, *failure) {
	limit := maxGetRecordsLimit
	if in.Limit != nil {
		if *in.Limit < 1 || *in.Limit > maxGetRecordsLimit {
			return nil, validation("Value '%d' at 'limit' failed to satisfy constraint: Member must be between 1 and %d", *in.Limit, maxGetRecordsLimit)
		}
		limit = int(*in.Limit)
	}
	var it iterator
	if !decodeToken(aws.ToString(in.ShardIterator), &it) {
		return nil, invalid("Invalid ShardIterator.")
	}
	now := s.cfg.now()
	if age := now.Sub(it.Issued); age > iteratorLifetime {
		return nil, fail("ExpiredIteratorException", "Iterator expired: it is older than %s.", iteratorLifetime)
	}
	st, f := s.lookup(&it.Stream, nil)
	if f != nil {
		return nil, f
	}
	st.mu.RLock()
	defer st.mu.RUnlock()
	sh := st.shard(it.Shard)
	if sh == nil || st.generation != it.Generation {
		return nil, s.notFound(it.Stream)
	}
	sh.mu.Lock()
	refused := sh.reads.begin(s.cfg.readLimits, now)
	sh.mu.Unlock()
	if refused != "" {
		return nil, fail(codeThroughput, refused, sh.id, st.name, account)
	}
	// A closed shard takes no more writes and the stream's lock is held, so
	// that what is read here is all of it.
	recs := sh.snapshot()
	out := &kinesis.GetRecordsOutput{Records: []types.Record{}}
	read := 0
	for size := 0; it.Position < len(recs) && len(out.Records) < limit; it.Position++ {
		r := &recs[it.Position]
		if size += len(r.Data) + len(r.PartitionKey); size > maxGetRecordsBytes && len(out.Records) > 0 {
			break
		}
		read = size
		out.Records = append(out.Records, types.Record{
			Data: r.Data, PartitionKey: &r.PartitionKey, SequenceNumber: &r.SequenceNumber,
			ApproximateArrivalTimestamp: &r.ArrivalTime, EncryptionType: st.encryption,
		})
	}
	sh.mu.Lock()
	sh.reads.bytes -= float64(read)
	sh.mu.Unlock()
	var behind int64
	if it.Position < len(recs) {
		behind = max(1, now.Sub(recs[it.Position].ArrivalTime).Milliseconds())
	}
	out.MillisBehindLatest = &behind
	if sh.slot < 0 && it.Position == len(recs) {
		for _, c := range sh.children {
			child := types.ChildShard{ShardId: aws.String(c.id), HashKeyRange: c.hashRange()}
			for _, p := range c.parents {
				child.ParentShards = append(child.ParentShards, p.id)
			}
			out.ChildShards = append(out.ChildShards, child)
		}
		return out, nil
	}
	it.Issued = now
	out.NextShardIterator = encodeToken(it)
	return out, nil
}

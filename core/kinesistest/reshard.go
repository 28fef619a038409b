// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/internal/plural"
)

// Split closes an open shard and opens two in its place; the second one starts
// at the given hash key (decimal, inside the shard's range and above its start).
// With [WithReshardTime] or [WithManualReshard] that happens later, and the shard
// takes writes until then.
func (s *Server) Split(stream, shardID, at string) error {
	return s.goError("Split", s.split(&stream, nil, shardID, at))
}

// SplitEven is [Server.Split] in the middle of the shard's range.
func (s *Server) SplitEven(stream, shardID string) error {
	return s.goError("SplitEven", s.split(&stream, nil, shardID, ""))
}

// Merge closes two open shards with adjoining ranges and opens one in their
// place. Time as in [Server.Split].
func (s *Server) Merge(stream, shardID, adjacentID string) error {
	return s.goError("Merge", s.merge(&stream, nil, shardID, adjacentID))
}

// UpdateShardCount closes all open shards and opens n with even ranges. Unlike
// the operation of that name it accepts any n of at least 1. Time as in
// [Server.Split].
func (s *Server) UpdateShardCount(stream string, n int) error {
	st, f := s.lookup(&stream, nil)
	if f == nil {
		f = s.updateShardCount(st, n)
	}
	return s.goError("UpdateShardCount", f)
}

// FinishReshard ends the reshard that is under way, and the creation of the
// stream, whatever the clock says. It does nothing if the stream is ACTIVE.
func (s *Server) FinishReshard(stream string) error {
	st, f := s.lookup(&stream, nil)
	if f != nil {
		return s.goError("FinishReshard", f)
	}
	st.finish(s.cfg.now())
	return nil
}

// span is the range of a shard to be opened.
type span struct{ start, end hashKey }

// reshard replaces the parents by shards with the given ranges, now or later.
// Called with the stream's lock held for writing.
func (s *Server) reshard(st *stream, parents []*shard, spans []span) {
	apply := func(now time.Time) {
		st.replace(parents, spans, now)
		s.journal.addReshard(st, parents, spans, now)
	}
	switch {
	case s.cfg.manualReshard:
		st.pending, st.readyAt = apply, time.Time{}
	case s.cfg.reshardTime > 0:
		st.pending, st.readyAt = apply, s.cfg.now().Add(s.cfg.reshardTime)
	default:
		apply(s.cfg.now())
	}
}

// replace closes the parents and opens shards with the given ranges. Called with the
// stream's lock held for writing.
func (st *stream) replace(parents []*shard, spans []span, now time.Time) {
	open := slices.DeleteFunc(slices.Clone(st.open), func(sh *shard) bool { return slices.Contains(parents, sh) })
	for _, p := range parents {
		p.mu.Lock()
		p.lastSeq = string(p.appendSeq(nil))
		p.mu.Unlock()
		p.slot, p.closedAt = -1, now
	}
	for _, sp := range spans {
		var from []*shard
		for _, p := range parents {
			if !p.end.less(sp.start) && !sp.end.less(p.start) {
				from = append(from, p)
			}
		}
		sh := newShard(len(st.all), sp.start, sp.end, max(now.Unix(), st.second), now, from...)
		st.all = append(st.all, sh)
		open = append(open, sh)
	}
	st.setOpen(open)
}

// lockIdle finds a stream for a reshard and locks it, unless it is not ACTIVE.
func (s *Server) lockIdle(name, arn *string) (*stream, *failure) {
	st, f := s.lookup(name, arn)
	if f != nil {
		return nil, f
	}
	st.mu.Lock()
	if f := s.busy(st); f != nil {
		st.mu.Unlock()
		return nil, f
	}
	return st, nil
}

// busy refuses to reshard a stream that is not ACTIVE. Called with its lock held.
func (s *Server) busy(st *stream) *failure {
	if st.creating || st.pending != nil {
		return fail("ResourceInUseException", "Stream %s under account %s not ACTIVE, instead in state %s", st.name, account, st.status())
	}
	return nil
}

// openShard finds an open shard by its id. Called with the stream's lock held.
func (s *Server) openShard(st *stream, id string) (*shard, *failure) {
	sh := st.shard(id)
	if sh == nil {
		return nil, fail("ResourceNotFoundException", "Could not find shard %s in stream %s under account %s.", id, st.name, account)
	}
	if sh.slot < 0 {
		return nil, invalid("Shard %s in stream %s under account %s is closed", id, st.name, account)
	}
	return sh, nil
}

func (s *Server) split(name, arn *string, shardID, at string) *failure {
	st, f := s.lockIdle(name, arn)
	if f != nil {
		return f
	}
	defer st.mu.Unlock()
	sh, f := s.openShard(st, shardID)
	if f != nil {
		return f
	}
	var k hashKey
	if at == "" {
		half, _ := sh.end.sub(sh.start).div(2)
		k = sh.start.add(half).add(hashKey{0, 1})
		if sh.start == sh.end {
			k = sh.start
		}
	} else {
		if !matchesHashKeyPattern(at) {
			return validation("Value '%s' at 'newStartingHashKey' failed to satisfy constraint: Member must satisfy regular expression pattern: 0|([1-9]\\d{0,38})", at)
		}
		var ok bool
		if k, ok = parseHashKey(at); !ok {
			return invalid("NewStartingHashKey %s is above 2^128-1", at)
		}
	}
	if !sh.start.less(k) || sh.end.less(k) {
		return invalid("NewStartingHashKey %s used in SplitShard() on shard %s in stream %s under account %s is not above its StartingHashKey %s and at most its EndingHashKey %s.",
			k, sh.id, st.name, account, sh.startStr, sh.endStr)
	}
	s.reshard(st, []*shard{sh}, []span{{sh.start, k.sub(hashKey{0, 1})}, {k, sh.end}})
	return nil
}

func (s *Server) merge(name, arn *string, shardID, adjacentID string) *failure {
	st, f := s.lockIdle(name, arn)
	if f != nil {
		return f
	}
	defer st.mu.Unlock()
	a, f := s.openShard(st, shardID)
	if f != nil {
		return f
	}
	b, f := s.openShard(st, adjacentID)
	if f != nil {
		return f
	}
	lo, hi := a, b
	if hi.start.less(lo.start) {
		lo, hi = hi, lo
	}
	if a == b || lo.end.add(hashKey{0, 1}) != hi.start {
		return invalid("Shards %s and %s in stream %s under account %s are not an adjacent pair of shards eligible for merging", shardID, adjacentID, st.name, account)
	}
	s.reshard(st, []*shard{a, b}, []span{{lo.start, hi.end}})
	return nil
}

func (s *Server) updateShardCount(st *stream, n int) *failure {
	if n < 1 {
		return validation("Value '%d' at 'targetShardCount' failed to satisfy constraint: Member must be at least 1", n)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if f := s.busy(st); f != nil {
		return f
	}
	starts := evenStarts(n)
	spans := make([]span, n)
	for i, start := range starts {
		spans[i] = span{start, maxHashKey}
		if i > 0 {
			spans[i-1].end = start.sub(hashKey{0, 1})
		}
	}
	s.reshard(st, st.open, spans)
	return nil
}

func (s *Server) splitOp(in *kinesis.SplitShardInput) *failure {
	if aws.ToString(in.NewStartingHashKey) == "" {
		return validation("Value null at 'newStartingHashKey' failed to satisfy constraint: Member must not be null")
	}
	return s.split(in.StreamName, in.StreamARN, aws.ToString(in.ShardToSplit), *in.NewStartingHashKey)
}

func (s *Server) mergeOp(in *kinesis.MergeShardsInput) *failure {
	return s.merge(in.StreamName, in.StreamARN, aws.ToString(in.ShardToMerge), aws.ToString(in.AdjacentShardToMerge))
}

// updateShardCountOp keeps the documented bounds: at most double, at least half
// (https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateShardCount.html, 2026-11-24).
func (s *Server) updateShardCountOp(in *kinesis.UpdateShardCountInput) (*kinesis.UpdateShardCountOutput, *failure) {
	st, f := s.lookup(in.StreamName, in.StreamARN)
	if f != nil {
		return nil, f
	}
	st.mu.RLock()
	now := len(st.open)
	st.mu.RUnlock()
	n := int(aws.ToInt32(in.TargetShardCount))
	if n > 2*now || 2*n < now {
		return nil, invalid("UpdateShardCount cannot go from %s to %d: at most double and at least half.", plural.Count(now, "shard"), n)
	}
	if f := s.updateShardCount(st, n); f != nil {
		return nil, f
	}
	return &kinesis.UpdateShardCountOutput{
		StreamName: aws.String(st.name), StreamARN: aws.String(st.arn),
		CurrentShardCount: aws.Int32(int32(now)), TargetShardCount: aws.Int32(int32(n)),
	}, nil
}

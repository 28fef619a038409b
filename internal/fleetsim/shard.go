// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/outkpl/outkpl/internal/pace"

// model is how a shard holds its limit. What Kinesis does exactly is not
// documented, so scenarios run with both.
type model uint8

const (
	// tokenBucket refills steadily and holds one second's worth.
	tokenBucket model = iota
	// fixedSecond counts anew at every full second.
	fixedSecond
)

func (m model) String() string {
	return [...]string{"token bucket", "fixed second"}[m]
}

// shard is a modelled shard of the stream.
type shard struct {
	model          model
	records, bytes float64 // left
	updated        int64

	stored, refused, storedBytes float64
}

func newShard(m model) *shard {
	return &shard{model: m, records: pace.ShardRecords, bytes: pace.ShardBytes}
}

// take stores a record or refuses it.
func (s *shard) take(now int64, size int) bool {
	switch d := now - s.updated; {
	case s.model == tokenBucket:
		s.records = min(pace.ShardRecords, s.records+float64(d)/float64(second)*pace.ShardRecords)
		s.bytes = min(pace.ShardBytes, s.bytes+float64(d)/float64(second)*pace.ShardBytes)
	case now/second != s.updated/second:
		s.records, s.bytes = pace.ShardRecords, pace.ShardBytes
	}
	s.updated = now
	if s.records < 1 || s.bytes < float64(size) {
		s.refused++
		return false
	}
	s.records--
	s.bytes -= float64(size)
	s.stored++
	s.storedBytes += float64(size)
	return true
}

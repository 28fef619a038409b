// SPDX-License-Identifier: Apache-2.0

package core

import (
	"cmp"
	"slices"
	"time"
)

// Snapshot is the state of a producer at one moment.
type Snapshot struct {
	// BufferedBytes and BufferedRecords are what is buffered, the limits what may be.
	BufferedBytes, BufferLimitBytes     int
	BufferedRecords, BufferLimitRecords int
	// Streams lists the streams in use, by name.
	Streams []StreamSnapshot
}

// StreamSnapshot is the state of one stream.
type StreamSnapshot struct {
	// Stream is the name of the stream.
	Stream string
	// Stats counts what was done for this stream. BufferedBytes is not set.
	Stats Stats
	// Aggregating is false where records are not aggregated: by option, on a stream that
	// distributes records itself, or without a shard map.
	Aggregating bool
	// Auto is set for a stream that distributes records itself.
	Auto bool
	// MaxRecordBytes is the stream's limit for data plus partition key.
	MaxRecordBytes int
	// OldestRecordAge is the time since the oldest submission that is not
	// settled, 0 if there is none.
	OldestRecordAge time.Duration
	// InFlight is the number of PutRecords calls under way.
	InFlight int
	// LastError is the error code that requests fail with, or empty; LastDetail is a text
	// for people, without data of records.
	LastError, LastDetail string
	// ListError is the error code that ListShards fails with, or empty; ListDetail is a text
	// for people. Without a shard map (MapAge) records may wait for it.
	ListError, ListDetail string
	// MapAge is the time since the shard map was fetched, -1 without one.
	MapAge time.Duration
	// InUse is the most of a shard's present limit that was in use in the last seconds, 0
	// to 1: from about 0.9 on that shard has no room. Backlog is the longest time that a
	// shard needs for what waits for it, at its present limit.
	InUse   float64
	Backlog time.Duration
	// ShardsNeeded is how many shards would take what is written now at four fifths of
	// their capacity, and what waits within ten seconds, if keys are even; 0 without a
	// shard map.
	ShardsNeeded int
	// Shards lists the open shards, by id.
	Shards []ShardSnapshot
}

// ShardSnapshot is the state of one shard.
type ShardSnapshot struct {
	// ID is the shard's id.
	ID string
	// Tokens is how many bytes could go at once, negative in debt;
	// RecordTokens how many records.
	Tokens, RecordTokens float64
	// Share is the share of the shard's capacity that is the limit at present.
	Share float64
	// QueuedRecords and QueuedBytes are Kinesis records that wait for tokens. The bytes
	// are an upper bound: what is not encoded yet has no exact size.
	QueuedRecords, QueuedBytes int
	// InUse is how much of this limit was in use in the last seconds, 0 to 1; a rest after
	// a throttle counts as in use.
	InUse float64
	// Backlog is how long the shard needs for what waits, at its present limit.
	Backlog time.Duration
	// Paused is set while nothing is sent to the shard after a throttle.
	Paused bool
	// Stored and Throttled count Kinesis records that the shard took and
	// refused, StoredBytes the bytes that it took.
	Stored, StoredBytes, Throttled uint64
}

// Snapshot returns the state of the producer. It takes the lock of each stream
// once, for a time that grows with its shards; once a second does no harm.
func (p *Producer) Snapshot() Snapshot {
	s := Snapshot{BufferLimitBytes: p.cfg.bufferBytes, BufferLimitRecords: p.cfg.bufferRecords}
	s.BufferedBytes, s.BufferedRecords = p.buffer.usedRoom()
	for _, pl := range p.allPipelines() {
		s.Streams = append(s.Streams, pl.streamSnapshot())
	}
	slices.SortFunc(s.Streams, func(a, b StreamSnapshot) int { return cmp.Compare(a.Stream, b.Stream) })
	return s
}

func (pl *pipeline) streamSnapshot() (s StreamSnapshot) {
	s.Stats = pl.currentStats()
	pl.readLocked("snapshot", func() {
		now := pl.p.clock()
		s.Stream, s.Auto = pl.stream.name, pl.meta.auto
		s.Aggregating = pl.cfg.aggregation && !pl.meta.auto && !pl.shards.unavailable && !pl.meta.undescribed
		s.MaxRecordBytes = pl.meta.maxRecordBytes
		s.InFlight = pl.collector.inFlight
		s.LastError, s.LastDetail = pl.logs.outage.code, pl.logs.outage.detail
		s.ListError, s.ListDetail = pl.listing.lastError, pl.listing.lastDetail
		s.MapAge = -1
		s.Shards = make([]ShardSnapshot, 0, len(pl.shards.byID))
		if b := pl.batches.oldest; b != nil {
			s.OldestRecordAge = time.Duration(now - b.arrived)
		}
		m := pl.shardMap.Load()
		if m == nil {
			return
		}
		s.MapAge = time.Duration(now - m.fetched)
		for _, a := range m.ring {
			s.Shards = append(s.Shards, a.shard.shardSnapshot(now))
		}
		c := capacityOf(s.Shards, pl.cfg.pace.Ceiling())
		s.InUse, s.Backlog, s.ShardsNeeded = c.inUse, c.backlog, c.needed
	})
	slices.SortFunc(s.Shards, func(a, b ShardSnapshot) int { return cmp.Compare(a.ID, b.ID) })
	return s
}

func (s *shard) shardSnapshot(now int64) ShardSnapshot {
	records, bytes := s.pace.Tokens(now)
	out := ShardSnapshot{
		ID: s.id, Tokens: bytes, RecordTokens: records, Share: s.pace.Share(),
		QueuedRecords: len(s.queue), Paused: s.pace.Paused(now),
		Stored: s.stored, StoredBytes: s.storedBytes, Throttled: s.refused,
	}
	for _, kr := range s.queue {
		out.QueuedBytes += kr.size
	}
	out.InUse = s.pace.InUse(now)
	if len(s.queue) > 0 {
		out.Backlog = time.Duration(s.pace.Estimate(now, len(s.queue), out.QueuedBytes))
	}
	return out
}

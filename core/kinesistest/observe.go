// SPDX-License-Identifier: Apache-2.0

package kinesistest

// Stats are the totals of a server.
type Stats struct {
	// Calls counts the calls of each operation, faulty ones included. Operations
	// that were not called are absent.
	Calls map[string]int64
	// Records, Bytes (data and partition keys), PayloadUnits (25 KiB each,
	// rounded up for each record) and Throttled are sums over the shards of the
	// streams that exist now.
	Records, Bytes, PayloadUnits, Throttled int64
	// PeakConcurrency is the largest number of puts in flight at once.
	PeakConcurrency int64
	// InFlight is the number of puts in flight now.
	InFlight int64
}

// Stats returns the totals. What is in flight may or may not be in them.
func (s *Server) Stats() Stats {
	out := Stats{Calls: map[string]int64{}, PeakConcurrency: s.flight.peak.Load(), InFlight: s.flight.now.Load()}
	for i := range s.calls {
		if n := s.calls[i].Load(); n > 0 {
			out.Calls[opNames[i]] = n
		}
	}
	s.mu.RLock()
	streams := make([]*stream, 0, len(s.streams))
	for _, st := range s.streams {
		streams = append(streams, st)
	}
	s.mu.RUnlock()
	for _, st := range streams {
		st.mu.RLock()
		for _, sh := range st.all {
			t := sh.totals()
			out.Records += t.Records
			out.Bytes += t.Bytes
			out.PayloadUnits += t.PayloadUnits
			out.Throttled += t.Throttled
		}
		st.mu.RUnlock()
	}
	return out
}

// Calls returns how often an operation was called, faulty calls included.
func (s *Server) Calls(operation string) int64 {
	for i, n := range opNames {
		if n == operation {
			return s.calls[i].Load()
		}
	}
	return 0
}

// Shards describes all shards of a stream, closed ones too, in order of their
// ids. It returns nil if there is no such stream.
func (s *Server) Shards(stream string) []Shard {
	st, f := s.lookup(&stream, nil)
	if f != nil {
		return nil
	}
	st.mu.RLock()
	defer st.mu.RUnlock()
	out := make([]Shard, 0, len(st.all))
	for _, sh := range st.all {
		out = append(out, sh.observe())
	}
	return out
}

// OpenShards describes the open shards of a stream in order of their ranges.
func (s *Server) OpenShards(stream string) []Shard {
	st, f := s.lookup(&stream, nil)
	if f != nil {
		return nil
	}
	st.mu.RLock()
	defer st.mu.RUnlock()
	out := make([]Shard, 0, len(st.open))
	for _, sh := range st.open {
		out = append(out, sh.observe())
	}
	return out
}

// observe is called with the stream's lock held.
func (sh *shard) observe() Shard {
	d := Shard{ID: sh.id, StartingHashKey: sh.startStr, EndingHashKey: sh.endStr, Open: sh.slot >= 0, ShardStats: sh.totals()}
	for _, p := range sh.parents {
		d.Parents = append(d.Parents, p.id)
	}
	return d
}

// Records returns what a stream stores: shard by shard in order of their ids,
// each in order of arrival. It returns nil if there is no such stream.
func (s *Server) Records(stream string) []Record {
	st, f := s.lookup(&stream, nil)
	if f != nil {
		return nil
	}
	st.mu.RLock()
	all := st.all
	st.mu.RUnlock()
	var out []Record
	for _, sh := range all {
		out = append(out, sh.snapshot()...)
	}
	return out
}

// ShardRecords returns what one shard stores in order of arrival. It returns nil if
// there is no such shard.
func (s *Server) ShardRecords(stream, shardID string) []Record {
	st, f := s.lookup(&stream, nil)
	if f != nil {
		return nil
	}
	st.mu.RLock()
	sh := st.shard(shardID)
	st.mu.RUnlock()
	if sh == nil {
		return nil
	}
	return append([]Record(nil), sh.snapshot()...)
}

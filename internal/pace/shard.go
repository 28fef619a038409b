// SPDX-License-Identifier: Apache-2.0

package pace

import "time"

// What one shard takes in a second, provisioned or on demand.
// Source: https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
// (checked 2026-11-24).
const (
	ShardRecords = 1000
	ShardBytes   = 1 << 20
)

// burst is how many seconds of the present rate a bucket holds. The shard itself
// holds about a second's worth; several producers whose buckets are full at
// one time must not use that up at once.
const burst = 0.25

// Beside a background a producer rests when more than restAfter in a row are refused, and for
// restMost at most: a trial begins within a second, and everybody must be there.
const (
	restAfter = 3
	restMost  = 200 * time.Millisecond
)

// Limits holds what is the same for all shards of a producer. It must not change.
type Limits struct {
	// Records and Bytes are what a shard gets in a second at most. Both are
	// above 0.
	Records, Bytes float64
	// Adaptive lets the share fall and rise below these limits.
	Adaptive bool
	// BackoffMin and BackoffMax bound the rest after a throttle.
	BackoffMin, BackoffMax time.Duration
	// Clock is what to add to the time to have that of the wall, in nanoseconds.
	// Producers whose clocks agree slow down together when they find out what
	// they have to do with the throttles that they see.
	Clock int64
}

// ceiling is the share at which both limits hold.
func (l *Limits) ceiling() float64 {
	return max(l.Records/ShardRecords, l.Bytes/ShardBytes)
}

// Shard paces one producer at one shard. The zero value is not usable; see Init.
type Shard struct {
	limits *Limits

	// A record may go when there is anything left of its cost up to the
	// capacity; the rest is debt. So a record larger than the capacity passes
	// in time, and the capacity need not allow a burst of the largest record.
	records, bytes       float64 // tokens, negative while in debt
	recordRate, byteRate float64 // tokens a nanosecond
	updated, pausedUntil int64
	share                share
	throttle             int64 // when the last one that counts was learned
	throttles            int32 // in a row
}

// Init makes the shard ready for its first record, with full buckets.
func (s *Shard) Init(l *Limits, now int64) {
	u := s.share.use
	if u == nil {
		u = new(use)
	}
	*u = use{since: now, began: now}
	*s = Shard{limits: l, updated: now, share: share{use: u, cause: cause{peers: s.share.peers}}}
	s.share.init(l.ceiling(), now)
	s.setRates()
	s.records, s.bytes = s.capacities()
}

// Beside makes the shard one of a stream whose shards tell each other what they find out. It
// is to be called before Init.
func (s *Shard) Beside(p *Peers) { s.share.peers = p }

func (s *Shard) setRates() {
	s.recordRate = min(s.limits.Records, s.share.now*ShardRecords) / float64(time.Second)
	s.byteRate = min(s.limits.Bytes, s.share.now*ShardBytes) / float64(time.Second)
}

// capacities returns what the buckets hold. Less than one record would never do.
func (s *Shard) capacities() (records, bytes float64) {
	return max(s.recordRate*burst*float64(time.Second), 1), s.byteRate * burst * float64(time.Second)
}

func (s *Shard) refill(now int64) {
	d := now - s.updated
	if d <= 0 {
		return
	}
	s.updated = now
	if s.limits.Adaptive && s.share.pass(now, d) {
		// First, or a record that waits for a full bucket would chase a
		// capacity that grows.
		s.setRates()
	}
	records, bytes := s.capacities()
	s.records = min(records, s.records+float64(d)*s.recordRate)
	s.bytes = min(bytes, s.bytes+float64(d)*s.byteRate)
}

// Wait returns the nanoseconds until a record of this size may go, 0 if it may
// go now. It is to be asked only for a record that is ready: the share grows
// with the time for which records wait.
func (s *Shard) Wait(now int64, size int) int64 {
	if rest := s.pausedUntil - now; rest > 0 {
		return rest
	}
	w := s.tokens(now, size)
	s.share.limited = w > 0
	return w
}

// Estimate returns how long the last of so many records would wait, all of this
// size together. It leaves no trace.
func (s *Shard) Estimate(now int64, records, size int) int64 {
	s.refill(now)
	return max(s.pausedUntil-now, s.after(float64(records), float64(size)))
}

func (s *Shard) tokens(now int64, size int) int64 {
	s.refill(now)
	_, bytes := s.capacities()
	return s.after(1, min(float64(size), bytes))
}

// after returns the nanoseconds until there are so many tokens.
func (s *Shard) after(records, bytes float64) int64 {
	w := 0.0
	if need := records - s.records; need > 0 {
		w = need / s.recordRate
	}
	if need := bytes - s.bytes; need > 0 {
		w = max(w, need/s.byteRate)
	}
	if w == 0 {
		return 0
	}
	return int64(w) + 1
}

// Take reserves tokens for a record for which Wait has returned 0.
func (s *Shard) Take(size int) {
	s.records--
	s.bytes -= float64(size)
	s.share.use.pass(s.updated)
	s.share.use.add(1/s.recordRate, float64(size)/s.byteRate)
	s.share.took(max(1.0/ShardRecords, float64(size)/ShardBytes))
}

// Return gives bytes back of which Take was told too many.
func (s *Shard) Return(bytes int) {
	s.bytes += float64(bytes)
	s.share.use.add(0, -float64(bytes)/s.byteRate)
}

// Stored is told of a record that the shard has taken, and when the request
// that carried it left.
func (s *Shard) Stored(sent int64) {
	s.throttles = 0
	if s.limits.Adaptive && s.share.confirmed(s.limits, sent) {
		s.setRates()
	}
}

// Refused is told of a record that the shard has throttled, and when the
// request that carried it left; random is from 0 to 1. The share is cut once
// for all records that were under way together.
func (s *Shard) Refused(now, sent int64, random float64) {
	s.refill(now)
	if s.limits.Adaptive && s.share.refused(s.limits, now, sent) {
		s.setRates()
	}
	if s.share.trying && s.share.background == 0 {
		return
	}
	n, most := s.throttles+1, s.limits.BackoffMax
	if s.share.background > 0 {
		// Beside a writer that sends again at once, who rests is left with nothing; and throttles at
		// random say nothing about the next record. But if several in a row are refused, the shard is
		// full for the moment.
		n, most = n-restAfter, min(most, restMost)
	} else {
		s.empty()
	}
	if sent < s.throttle && s.throttles > 0 {
		return // it was on its way when the shard began to rest
	}
	s.throttle = now
	s.throttles++
	if n > 0 {
		s.empty()
		s.Rest(now + Backoff(s.limits.BackoffMin, most, int(n), random))
	}
}

// empty leaves nothing in the buckets. Another producer writes to the shard as well: what they
// still hold is not there.
func (s *Shard) empty() {
	s.records, s.bytes = min(s.records, 0), min(s.bytes, 0)
	s.share.limited = false
}

// Rest keeps the shard from sending until a moment.
func (s *Shard) Rest(until int64) {
	if rest := float64(until - max(s.pausedUntil, s.updated)); rest > 0 {
		s.share.use.pass(s.updated)
		s.share.use.add(rest, rest)
	}
	s.pausedUntil = max(s.pausedUntil, until)
}

// Backoff returns the wait before attempt n+1, n from 1: between a tenth of and
// the whole of a bound that doubles from least to most. The floor keeps a
// lucky draw from turning into a hot loop. Random is from 0 to 1.
func Backoff(least, most time.Duration, n int, random float64) int64 {
	bound := float64(least) * float64(uint64(1)<<min(max(n-1, 0), 30))
	return int64(min(bound, float64(most)) * (0.1 + 0.9*random))
}

// Share returns the share of the shard's capacity that is the limit now.
func (s *Shard) Share() float64 { return s.share.now }

// Tokens returns how many records and bytes could go at once, negative in debt.
func (s *Shard) Tokens(now int64) (records, bytes float64) {
	s.refill(now)
	return s.records, s.bytes
}

// Paused reports whether the shard rests after a throttle.
func (s *Shard) Paused(now int64) bool { return s.pausedUntil > now }

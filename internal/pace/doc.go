// SPDX-License-Identifier: Apache-2.0

// Package pace decides when a producer may send a record to a shard.
//
// A Shard is a pair of token buckets, for records and for bytes, whose rate is
// a share of what a shard takes. Other producers write to the same shard and
// nobody tells how many, so the share follows what the shard refuses: it is cut
// when a record is throttled, returns to just below the rate at which that
// happened, stays there for a while, and only then looks for more. A record
// that was refused also makes the shard rest for a random time that doubles
// while nothing gets through.
//
//	limits := pace.Limits{Records: 1000, Bytes: 1 << 20, Adaptive: true, BackoffMin: 1e8, BackoffMax: 5e9}
//	var s pace.Shard
//	s.Init(&limits, now)
//	if wait := s.Wait(now, size); wait == 0 {
//		s.Take(size) // and send it
//	}
//	s.Stored(sent) // or, if it was refused:
//	s.Refused(now, sent, rand.Float64())
//
// It is a plain state machine: time is an argument, in nanoseconds from any
// fixed moment, and so is the random number. Nothing here locks, waits or
// allocates, so the producer and the simulation in internal/fleetsim run the same code.
package pace

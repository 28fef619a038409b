// SPDX-License-Identifier: Apache-2.0

package pace

import (
	"math"
	"testing"
	"time"
)

// run sends records of a size, so many a second for so long, as fast as the limit lets them,
// and returns the time after it.
func run(s *Shard, now int64, size int, perSecond float64, d time.Duration) int64 {
	gap := int64(float64(time.Second) / perSecond)
	for end := now + int64(d); now < end; now += gap {
		if s.Wait(now, size) == 0 {
			s.Take(size)
			s.Stored(now)
		}
	}
	return now
}

func TestInUseIsTheShareOfTheLimit(t *testing.T) {
	whole := Limits{Records: ShardRecords, Bytes: ShardBytes, BackoffMin: time.Millisecond, BackoffMax: time.Second}
	half := whole
	half.Records, half.Bytes = half.Records/2, half.Bytes/2
	for _, tc := range []struct {
		name      string
		limits    Limits
		size      int
		perSecond float64
		want      float64
	}{
		{"idle", whole, 10, 0.01, 0},
		{"records", whole, 10, 500, 0.5},
		{"bytes", whole, 10 << 10, 25.6, 0.25},
		{"full of records", whole, 10, 3000, 1},
		{"full of bytes", whole, 100 << 10, 100, 1},
		{"of half a shard", half, 10, 250, 0.5},
		{"full at half a shard", half, 10, 900, 1},
		{"few large records", whole, 1 << 20, 0.5, 0.5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s Shard
			s.Init(&tc.limits, 0)
			now := run(&s, 0, tc.size, tc.perSecond, 20*time.Second)
			if got := s.InUse(now); math.Abs(got-tc.want) > 0.1 {
				t.Errorf("unexpected share in use; got %.3f; want %.2f", got, tc.want)
			}
			if got := s.InUse(now + int64(3*useWindow)); got != 0 {
				t.Errorf("unexpected share in use after a rest; got %.3f; want 0", got)
			}
		})
	}
}

// A shard that rests after a throttle has no room, however little is sent.
func TestRestsAreInUse(t *testing.T) {
	l := Limits{Records: ShardRecords, Bytes: ShardBytes, BackoffMin: time.Millisecond, BackoffMax: time.Second}
	var s Shard
	s.Init(&l, 0)
	now := int64(0)
	for now < int64(20*time.Second) {
		s.InUse(now)
		s.Rest(now + int64(900*time.Millisecond))
		now += int64(time.Second)
	}
	if got := s.InUse(now); got < 0.8 {
		t.Errorf("unexpected share in use; got %.3f; want 0.9", got)
	}
}

// What a bound on a size reserved too much is given back.
func TestReturnedBytesAreNotInUse(t *testing.T) {
	l := Limits{Records: ShardRecords, Bytes: ShardBytes}
	var s Shard
	s.Init(&l, 0)
	s.Wait(0, 100_000)
	s.Take(100_000)
	s.Return(99_000)
	if got := s.InUse(1); got > 0.001 {
		t.Errorf("unexpected share in use; got %.4f; want next to nothing", got)
	}
}

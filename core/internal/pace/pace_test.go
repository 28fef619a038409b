// SPDX-License-Identifier: Apache-2.0

package pace_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/internal/pace"
)

const second = int64(time.Second)

func limits(adaptive bool) *pace.Limits {
	return &pace.Limits{Records: pace.ShardRecords, Bytes: pace.ShardBytes, Adaptive: adaptive,
		BackoffMin: 100 * time.Millisecond, BackoffMax: 5 * time.Second}
}

func Example() {
	l := pace.Limits{Records: pace.ShardRecords, Bytes: pace.ShardBytes, Adaptive: true,
		BackoffMin: 100 * time.Millisecond, BackoffMax: 5 * time.Second}
	var s pace.Shard
	now := int64(0)
	s.Init(&l, now)
	if s.Wait(now, 51200) == 0 {
		s.Take(51200) // and send it
	}
	s.Refused(now+1e7, now, 0.5)
	fmt.Printf("share %.2f, paused %v\n", s.Share(), s.Paused(now+1e7))
	// Output: share 0.66, paused true
}

// send lets records through as fast as they may go and tells how many were.
func send(s *pace.Shard, from, to int64, size int) (n int) {
	for now := from; now < to; {
		if w := s.Wait(now, size); w > 0 {
			now += w
			continue
		}
		s.Take(size)
		s.Stored(now)
		n++
	}
	return n
}

func TestRateIsTheLowerOfTheTwoLimits(t *testing.T) {
	for _, c := range []struct {
		name           string
		records, bytes float64
		size, want     int // in 10 s, after a quarter of a second's burst
	}{
		{name: "records", records: 100, bytes: 1 << 20, size: 10, want: 1025},
		{name: "bytes", records: 1000, bytes: 100_000, size: 1000, want: 1025},
		{name: "far above a shard", records: 1e4, bytes: 1e8, size: 10, want: 102_500},
		{name: "one record in two seconds", records: 0.5, bytes: 1 << 20, size: 10, want: 6},
		{name: "records larger than the bucket", records: 1000, bytes: 1 << 20, size: 1 << 20, want: 11},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &pace.Limits{Records: c.records, Bytes: c.bytes, Adaptive: true}
			var s pace.Shard
			s.Init(l, 0)
			if got := send(&s, 0, 10*second, c.size); got < c.want-1 || got > c.want+1 {
				t.Errorf("unexpected number of records in 10 s; got %d; want about %d", got, c.want)
			}
		})
	}
}

func TestThrottlesOfOneMomentCutOnce(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	s.Refused(second, second-1, 0)
	first := s.Share()
	for range 100 {
		s.Refused(second, second-1, 0)          // of the same request
		s.Refused(second+second/4, second-1, 0) // of one that was under way
	}
	if got := s.Share(); got != first || first >= 1 {
		t.Errorf("unexpected share after one burst; got %v, then %v; want one cut", first, got)
	}
	if rest := s.Wait(second+1, 1); rest > 20e6 {
		t.Errorf("unexpected rest; got %v; want that of one throttle", time.Duration(rest))
	}
	s.Refused(3*second, 2*second, 0)
	if got := s.Share(); got >= first {
		t.Errorf("unexpected share after another throttle; got %v; want less than %v", got, first)
	}
}

func TestUnusedShareDoesNotGrow(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	s.Refused(second, 0, 0)
	cut := s.Share()
	for now := 2 * second; now < 600*second; now += second {
		if s.Wait(now, 1000) == 0 { // far below the share
			s.Take(1000)
			s.Stored(now)
		}
	}
	if got := s.Share(); got != cut {
		t.Errorf("unexpected share after ten quiet minutes; got %v; want %v", got, cut)
	}
	send(&s, 600*second, 700*second, 51200)
	if got := s.Share(); got != 1 {
		t.Errorf("unexpected share after 100 s of waiting records; got %v; want 1", got)
	}
}

func TestProgressGoesOnWhenEverythingIsThrottled(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	now, attempts := int64(0), 0
	for now < 3600*second {
		if w := s.Wait(now, 51200); w > 0 {
			now += w
			continue
		}
		s.Take(51200)
		attempts++
		s.Refused(now, now, 0.5)
	}
	if got := s.Share(); got != 0.001 {
		t.Errorf("unexpected share; got %v; want the least, 0.001", got)
	}
	if attempts < 60 || attempts > 400 {
		t.Errorf("unexpected number of attempts in an hour; got %d; want about one each 50 s", attempts)
	}
	if got := send(&s, now, now+600*second, 51200); got < 2000 {
		t.Errorf("unexpected number of records in the ten minutes after; got %d; want most of what the shard takes, 12,288", got)
	}
}

func TestFixedRateStays(t *testing.T) {
	var s pace.Shard
	s.Init(limits(false), 0)
	for i := range int64(50) {
		s.Refused(i*second, i*second, 0.5)
	}
	if got := s.Share(); got != 1 {
		t.Errorf("unexpected share; got %v; want 1", got)
	}
}

func TestFewThrottlesAmongManyRecordsAreChance(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	for i := range int64(10_000) {
		now := i * second / 500
		s.Stored(now)
		if i%500 == 499 { // 0.2 %
			s.Refused(now, now, 0)
		}
	}
	if got := s.Share(); got != 1 {
		t.Errorf("unexpected share with two throttles in 1,000 records; got %v; want 1", got)
	}
	for i := range int64(1000) {
		now := (20 + i/10) * second
		s.Stored(now)
		if i%50 == 49 { // 2 %
			s.Refused(now, now, 0)
		}
	}
	if got := s.Share(); got > 0.5 {
		t.Errorf("unexpected share with twenty in 1,000; got %v; want it cut", got)
	}
}

func TestBackoffGrowsToItsBound(t *testing.T) {
	for _, c := range []struct {
		n      int
		random float64
		want   time.Duration
	}{{1, 0, 10 * time.Millisecond}, {1, 1, 100 * time.Millisecond}, {4, 1, 800 * time.Millisecond}, {0, 1, 100 * time.Millisecond}, {1000, 1, 5 * time.Second}} {
		if got := time.Duration(pace.Backoff(100*time.Millisecond, 5*time.Second, c.n, c.random)); got != c.want {
			t.Errorf("unexpected backoff after attempt %d with %v; got %v; want %v", c.n, c.random, got, c.want)
		}
	}
}

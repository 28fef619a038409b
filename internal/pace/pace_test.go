// SPDX-License-Identifier: Apache-2.0

package pace_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/outkpl/outkpl/internal/pace"
)

const second = int64(time.Second)

func limits(adaptive bool) *pace.Limits {
	return &pace.Limits{
		Records: pace.ShardRecords, Bytes: pace.ShardBytes, Adaptive: adaptive,
		BackoffMin: 100 * time.Millisecond, BackoffMax: 5 * time.Second,
	}
}

func Example() {
	l := pace.Limits{
		Records: pace.ShardRecords, Bytes: pace.ShardBytes, Adaptive: true,
		BackoffMin: 100 * time.Millisecond, BackoffMax: 5 * time.Second,
	}
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
		t.Errorf("unexpected share after ten calm minutes; got %v; want %v", got, cut)
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

// drive sends records whenever they may go, at most at a rate, and lets refuse
// decide which are throttled. It tells how many were stored and how many not.
func drive(s *pace.Shard, from, to int64, size int, rate float64, refuse func(now int64) bool) (stored, refused int) {
	gap := int64(float64(second) / rate)
	for now, due := from, from; now < to; {
		if w := max(s.Wait(now, size), due-now); w > 0 {
			now += w
			continue
		}
		due = max(due+gap, now-second) // what has queued up is sent when it may
		s.Take(size)
		answered := now + int64(20*time.Millisecond)
		if refuse(now) {
			s.Stored(now)
			stored++
		} else {
			s.Refused(answered, now, 0.5)
			refused++
		}
	}
	return stored, refused
}

// chance throttles a part of the records at random.
func chance(part float64) func(int64) bool {
	rng := rand.New(rand.NewPCG(1, 2))
	return func(int64) bool { return rng.Float64() >= part }
}

// narrow is a shard that has so many bytes a second for us, and a second's worth in
// reserve.
func narrow(bytes float64, size int) func(int64) bool {
	left, last := bytes, int64(0)
	return func(now int64) bool {
		left = min(bytes, left+bytes*float64(now-last)/float64(second))
		last = now
		if left < float64(size) {
			return false
		}
		left -= float64(size)
		return true
	}
}

func TestThrottlesThatDoNotFollowTheRateDoNotSlowDown(t *testing.T) {
	for _, part := range []float64{0.1, 0.3, 0.6} {
		var s pace.Shard
		s.Init(limits(true), 0)
		refuse := chance(part)
		drive(&s, 0, 60*second, 10_000, 1e6, refuse)
		if stored, _ := drive(&s, 60*second, 120*second, 10_000, 1e6, refuse); float64(stored) < 0.7*60*104*(1-part) {
			t.Errorf("unexpected number of records in a minute with %v throttled; got %d; want most of %.0f", part, stored, 60*104*(1-part))
		}
	}
}

func TestThrottlesOfOurOwnDoingAreNoBackground(t *testing.T) {
	for _, size := range []int{1000, 10_000, 51_200} {
		var s pace.Shard
		s.Init(limits(true), 0)
		refuse := narrow(pace.ShardBytes/3, size)
		drive(&s, 0, 60*second, size, 1e6, refuse)
		stored, refused := drive(&s, 60*second, 180*second, size, 1e6, refuse)
		if part := float64(refused) / float64(stored+refused); part > 0.02 {
			t.Errorf("unexpected part of records of %d bytes throttled at a shard with room for a third; got %.1f %%; want 2 at most", size, 100*part)
		}
		if used := float64(stored*size) / (120 * pace.ShardBytes / 3); used < 0.9 {
			t.Errorf("unexpected use of what the shard has for records of %d bytes; got %.1f %%; want at least 90", size, 100*used)
		}
	}
}

func TestBackgroundEndsWithItsThrottles(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	drive(&s, 0, 60*second, 10_000, 1e6, chance(0.4))
	drive(&s, 60*second, 70*second, 10_000, 1e6, chance(0))
	refuse := narrow(pace.ShardBytes/3, 10_000) // now it is our doing
	drive(&s, 70*second, 100*second, 10_000, 1e6, refuse)
	stored, refused := drive(&s, 100*second, 160*second, 10_000, 1e6, refuse)
	if part := float64(refused) / float64(stored+refused); part > 0.02 {
		t.Errorf("unexpected part throttled after the background is gone; got %.1f %%; want 2 at most", 100*part)
	}
}

// The throttles go on as before, but now they are ours.
func TestBackgroundIsProvenAnew(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	drive(&s, 0, 60*second, 10_000, 1e6, chance(0.5))
	refuse := narrow(pace.ShardBytes/2, 10_000)
	drive(&s, 60*second, 120*second, 10_000, 1e6, refuse)
	stored, refused := drive(&s, 120*second, 180*second, 10_000, 1e6, refuse)
	if part := float64(refused) / float64(stored+refused); part > 0.02 {
		t.Errorf("unexpected part throttled two proofs later; got %.1f %%; want 2 at most", 100*part)
	}
}

func TestFewRecordsProveNothing(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	refuse := chance(0.5)
	drive(&s, 0, 600*second, 51_200, 0.5, refuse)
	if got := s.Share(); got > 0.05 {
		t.Errorf("unexpected share after ten minutes with half of a record each two seconds throttled; got %v; want it small, as if a thousand others were there", got)
	}
}

func TestShareIsBackWithinSecondsWhenThrottlesEnd(t *testing.T) {
	for _, size := range []int{10_000, 51_200} {
		var s pace.Shard
		s.Init(limits(true), 0)
		rate := 0.1 * pace.ShardBytes / float64(size)
		drive(&s, 0, 60*second, size, rate, chance(0))
		_, attempts := drive(&s, 60*second, 120*second, size, rate, chance(1))
		if attempts < 12 {
			t.Errorf("unexpected number of attempts in a minute in which all is throttled; got %d; want one each five seconds at least", attempts)
		}
		drive(&s, 120*second, 125*second, size, 1e6, chance(0))
		if got := s.Share(); got < 0.1 {
			t.Errorf("unexpected share five seconds later with records of %d bytes; got %v; want at least the 0.1 of before", size, got)
		}
	}
}

func TestWayBackEndsWithAThrottle(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	rate := 0.1 * pace.ShardBytes / 10_000
	drive(&s, 0, 60*second, 10_000, rate, chance(0))
	drive(&s, 60*second, 90*second, 10_000, rate, chance(1))
	refuse := narrow(pace.ShardBytes/5, 10_000) // the shard is free in part
	drive(&s, 90*second, 150*second, 10_000, 1e6, refuse)
	stored, refused := drive(&s, 150*second, 210*second, 10_000, 1e6, refuse)
	if part := float64(refused) / float64(stored+refused); part > 0.05 {
		t.Errorf("unexpected part throttled a minute after the way back; got %.1f %%; want 5 at most: the share known to be good is so no more", 100*part)
	}
}

// A trial lowers the share when a record was stored, which nothing else does.
func TestTrialsBeginTogetherByTheClockOnTheWall(t *testing.T) {
	for _, clock := range []int64{0, 1_234_567_890, 77 * second / 10} {
		l := limits(true)
		l.Clock = clock
		var s pace.Shard
		s.Init(l, 0)
		refuse, last, trials := chance(0.3), 1.0, 0
		for now := int64(0); now < 300*second; now += second / 100 {
			if s.Wait(now, 10_000) > 0 {
				continue
			}
			s.Take(10_000)
			if !refuse(now) {
				s.Refused(now, now, 0.5)
				last = s.Share()
				continue
			}
			s.Stored(now)
			if s.Share() < last {
				trials++
				if since := (now + clock) % (4 * second); since >= second {
					t.Errorf("unexpected start of a trial %v after a multiple of four seconds; want less than a second", time.Duration(since))
				}
			}
			last = s.Share()
		}
		if trials < 3 {
			t.Errorf("unexpected number of trials in five minutes; got %d; want several", trials)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package pace_test

import (
	"testing"
	"time"

	"github.com/outkpl/outkpl/internal/pace"
)

func TestProducerRestsAtTheFirstThrottle(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	s.Refused(second, second, 1)
	records, bytes := s.Tokens(second)
	if got := s.Wait(second, 1); got != int64(100*time.Millisecond) || records != 0 || bytes != 0 {
		t.Errorf("unexpected rest; got %v, %v records and %v bytes left; want 100 ms, 0, 0", time.Duration(got), records, bytes)
	}
	s.Refused(2*second, second, 1)
	if got := s.Wait(2*second, 1); got != int64(200*time.Millisecond) {
		t.Errorf("unexpected rest after the second; got %v; want 200 ms", time.Duration(got))
	}
	s.Stored(2 * second)
	s.Refused(3*second, 2*second-1, 1)
	if got := s.Wait(3*second, 1); got != int64(100*time.Millisecond) {
		t.Errorf("unexpected rest after one that was stored; got %v; want 100 ms", time.Duration(got))
	}
	s.Refused(3*second+1, 3*second-1, 1)
	if got := s.Wait(3*second, 1); got != int64(100*time.Millisecond) {
		t.Errorf("unexpected rest after one that had been on its way; got %v; want 100 ms still", time.Duration(got))
	}
	if records, _ := s.Tokens(7 * second / 2); records < 1 {
		t.Fatalf("unexpected tokens after the rest; got %v", records)
	}
	s.Refused(7*second/2, 3*second-1, 1)
	if records, bytes := s.Tokens(7 * second / 2); s.Paused(7*second/2) || records != 0 || bytes != 0 {
		t.Errorf("unexpected tokens after another that had been on its way; got %v, %v; want 0, 0 and no rest", records, bytes)
	}
}

func TestProducerBesideABackgroundRestsAfterThreeThrottlesInARow(t *testing.T) {
	for _, most := range []time.Duration{5 * time.Second, 150 * time.Millisecond, 50 * time.Millisecond} {
		l := limits(true)
		l.BackoffMax = most
		var s pace.Shard
		beside(t, &s, l)
		at := 10 * second
		for range 2 {
			for i := range 7 {
				at += second
				wait := s.Wait(at, 1)
				records, bytes := s.Tokens(at)
				s.Refused(at, at, 1)
				for range 5 {
					s.Refused(at, at-1, 1) // had been on their way
				}
				var want time.Duration
				if i >= 3 {
					want = min(100*time.Millisecond<<min(i-3, 3), 200*time.Millisecond, most)
				}
				if got := s.Wait(at, 1); wait != 0 || time.Duration(got) != want {
					t.Errorf("unexpected rest after throttle %d in a row, with %v at most; got %v; want %v", i+1, most, time.Duration(got), want)
				}
				if r, b := s.Tokens(at); want == 0 && (r != records || b != bytes || r <= 0) || want > 0 && (r != 0 || b != 0) {
					t.Errorf("unexpected tokens after throttle %d in a row; got %v, %v of %v, %v", i+1, r, b, records, bytes)
				}
			}
			s.Stored(at)
		}
	}
}

func TestThrottlesOfATrialDoNotRest(t *testing.T) {
	var s pace.Shard
	trial(t, &s, limits(true), 0)
	records, bytes := s.Tokens(seconds(4.9))
	for i := range int64(5) {
		s.Refused(seconds(4.9)+i, seconds(4.9)+i, 1)
	}
	if r, b := s.Tokens(seconds(4.9) + 5); s.Paused(seconds(4.9)+5) || r < records || b < bytes {
		t.Errorf("unexpected rest in a trial; got tokens %v, %v; want %v, %v", r, b, records, bytes)
	}

	beside(t, &s, limits(true))
	store(&s, 32, 1, aSize)
	for i := range int64(3) {
		s.Refused(32*second+i, 32*second+i, 1)
	}
	if s.Paused(32*second + 3) {
		t.Error("unexpected rest after three throttles when a background is proven again")
	}
	s.Refused(32*second+3, 32*second+3, 1)
	if !s.Paused(32*second + 4) {
		t.Error("no rest after four throttles when a background is proven again")
	}
}

func TestRestAfterAThrottleIsNoTimeToGrow(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	refuse(&s, 0, 1, 1)
	hungry(&s, 0.5, 1)
	refuse(&s, 1, 1, 1)
	share := s.Share()
	s.Take(1)
	if s.Wait(2*second, 1); s.Share() != share {
		t.Errorf("unexpected share after a second in which nothing was seen to wait; got %v; want %v", s.Share(), share)
	}
}

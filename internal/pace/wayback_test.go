// SPDX-License-Identifier: Apache-2.0

package pace_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/outkpl/outkpl/internal/pace"
)

// find has a trial begin, and find a background.
func find(s *pace.Shard, at float64) {
	store(s, at, 2, 1)
	refuse(s, at, 6, 1)
	store(s, at+2, 1, 1)
}

func TestShareReturnsToTheHighestSinceThrottlesBegan(t *testing.T) {
	for _, c := range []struct {
		name string
		play func(s *pace.Shard) (want float64)
	}{
		{"three blocks", func(s *pace.Shard) float64 {
			block(s, 0, 1, 20, 20, aSize)
			block(s, 1, 1, 20, 20, aSize)
			block(s, 2, 1, 20, 20, aSize)
			find(s, 4)
			return 1
		}},
		{"a trial that found nothing", func(s *pace.Shard) float64 {
			block(s, 0, 1, 20, 20, aSize)
			store(s, 4, 3, 1)
			refuse(s, 4, 1, 1)
			store(s, 19, 1, 1)
			block(s, 19, 1, 20, 20, aSize)
			find(s, 24)
			return 1
		}},
		{"a block that does not say enough", func(s *pace.Shard) float64 {
			block(s, 0, 1, 20, 20, aSize)
			block(s, 1, 10.1, 20, 3, aSize)
			block(s, 11.1, 1, 20, 20, aSize)
			find(s, 16)
			return 1
		}},
		{"a block with few throttles, in which the throttling may have begun", func(s *pace.Shard) float64 {
			block(s, 0, 1, 20, 20, aSize)
			first := s.Share()
			block(s, 1, 1, 300, 8, 100)
			block(s, 2, 1, 20, 20, aSize)
			find(s, 4)
			return first
		}},
		{"two blocks with few throttles", func(s *pace.Shard) float64 {
			block(s, 0, 1, 20, 20, aSize)
			block(s, 1, 1, 300, 8, 100)
			first := s.Share()
			block(s, 2, 1, 300, 8, 100)
			block(s, 3, 1, 20, 20, aSize)
			find(s, 8)
			return first
		}},
		{"a share below what was sent", func(s *pace.Shard) float64 {
			last := lower(s, 0)
			store(s, last, 12, 1)
			block(s, last, 1, 300, 8, 100)
			rate, _ := block(s, last+1, 1, 20, 20, aSize)
			find(s, 8)
			return rate
		}},
		{"more sent than may be", func(s *pace.Shard) float64 {
			block(s, 0, 1, 20, 20, 60_000)
			find(s, 4)
			return 1
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s pace.Shard
			s.Init(limits(true), 0)
			if want, got := c.play(&s), s.Share(); !near(got, want) {
				t.Errorf("unexpected share after a background was found; got %v; want %v", got, want)
			}
		})
	}
}

// At a limit that is rounded where it is kept, no record must look as if it waited for more.
func TestShareIsBackAtAnyLimit(t *testing.T) {
	for percent := 20; percent <= 60; percent++ {
		l := limits(true)
		limit := float64(percent) / 100
		l.Records, l.Bytes = limit*pace.ShardRecords, limit*pace.ShardBytes
		var s pace.Shard
		s.Init(l, 0)
		send(&s, 0, 15*second, 2000)
		for at := 15.0; at < 17; at += 0.1 {
			refuse(&s, at, 1, 2000)
		}
		send(&s, 25*second, 40*second, 2000)
		if got := s.Share(); got < 0.9*limit {
			t.Errorf("unexpected share after throttling with a limit of %d %%; got %v; want nine tenths of the limit at least", percent, got)
		}
	}
}

func TestShareIsBackWhenNothingIsThrottled(t *testing.T) {
	for _, c := range []struct {
		stored int
		calm   float64
		back   bool
	}{
		// Half of the records are throttled usually.
		{5, 1.4, false},
		{5, 1.6, true},
		{256, 1.6, true},
		{3, 1.6, false},
		{3, 2.9, false},
		{3, 3.1, true},
		{2, 3.1, true},
		{1, 3.1, false},
	} {
		var s pace.Shard
		s.Init(limits(true), 0)
		block(&s, 0, 10, 40, 0, aSize) // any share is good
		block(&s, 10, 1, aStored, aRefused, aSize)
		refuse(&s, 11.1, 1, 1)
		store(&s, 11.2, c.stored, 1)
		s.Take(8 << 20)
		s.Wait(seconds(11.1+c.calm-0.01), 1)
		before := s.Share()
		s.Wait(seconds(11.1+c.calm), 1)
		if got, want := s.Share()/before, 1+0.01/0.7; near(got, want) != c.back || !c.back && got > 1.005 {
			t.Errorf("unexpected growth in 10 ms with %d records stored, %v s after a throttle; got %v times; want %v: %v", c.stored, c.calm, got, want, c.back)
		}
	}
}

// The way back ends at what the share is known to be good for.
func TestShareIsBackToWhatWasGood(t *testing.T) {
	for _, c := range []struct {
		name            string
		stored, refused int // in the first ten seconds
		size            int
		waiting         bool
		at              float64 // when the throttling begins
		want            float64
	}{
		{name: "nothing waited, 4 % throttled", stored: 96, refused: 4, size: 10_000, at: 12, want: 1},
		{name: "nothing waited, 6 % throttled", stored: 94, refused: 6, size: 30_000, at: 12, want: 0.1},
		{name: "fewer delivered, 6 % throttled", stored: 94, refused: 6, size: 10_000, at: 12, want: 0.7 * 10_000 * 100 / 10.0 / pace.ShardBytes * 94.5 / 100.5},
		{name: "nothing waited, five minutes ago", stored: 100, size: 10_000, at: 309, want: 1},
		{name: "much delivered five minutes ago", stored: 94, refused: 6, size: 60_000, at: 159, want: 0.1},
		{name: "records waited for a whole shard", stored: 100, size: 1, waiting: true, at: 12, want: 1},
		{name: "records waited", stored: 96, refused: 4, size: 10_000, waiting: true, at: 12},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s pace.Shard
			s.Init(limits(true), 0)
			store(&s, 0, c.stored-1, c.size)
			refuse(&s, 0, c.refused, c.size)
			waited := 0.0
			if c.waiting {
				waited = hungry(&s, 1, 6)
			}
			store(&s, 10, 1, c.size)
			switch {
			case c.waiting && c.refused > 0:
				c.want = 0.7 * (float64(100*c.size)/pace.ShardBytes + waited) / 10 * 96.5 / 100.5
			case c.want == 1:
				c.want = s.Share() // any share up to this one will do
			}
			last := lower(&s, c.at)
			if got := s.Share(); got > 0.0401 {
				t.Fatalf("unexpected share after five seconds of throttles; got %v; want 0.04 at most", got)
			}
			store(&s, last+0.1, 3, 1)
			hungry(&s, last+0.2, last+9)
			if got, want := s.Share(), c.want*math.Exp(-math.Floor(last+3-10)/300); math.Abs(got-want) > 0.03*want {
				t.Errorf("unexpected share after the way back; got %v; want %v", got, want)
			}
		})
	}
}

func TestWhatWasGoodFadesWhenMoreIsLearned(t *testing.T) {
	for _, c := range []struct {
		name   string
		first  func(s *pace.Shard)
		second func(s *pace.Shard)
		want   func(share float64) float64
	}{
		{
			"less is known of now", func(s *pace.Shard) { block(s, 0, 10, 100, 0, aSize) },
			func(s *pace.Shard) { block(s, 150, 10, 94, 6, aSize) },
			func(float64) float64 { return math.Exp(-150.0 / 300) },
		},
		{
			"fewer are sent now, and wait", func(s *pace.Shard) { block(s, 0, 10, 100, 0, aSize) },
			func(s *pace.Shard) {
				refuse(s, 10, 1, 1)
				hungry(s, 10.1, 10.5)
				s.Wait(seconds(15), 1)
				block(s, 19.9, 0.6, 100, 0, 1)
			},
			func(float64) float64 { return math.Exp(-10.0 / 300) },
		},
		{
			"none waits any more", func(s *pace.Shard) {
				refuse(s, 0, 1, 1)
				hungry(s, 0.1, 3)
				block(s, 3, 7, 100, 0, 1)
			}, func(s *pace.Shard) { block(s, 10, 10, 100, 0, 1) },
			func(share float64) float64 { return share },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s pace.Shard
			s.Init(limits(true), 0)
			c.first(&s)
			c.second(&s)
			at := 21.0
			if c.name == "less is known of now" {
				at = 161
			}
			want := c.want(s.Share())
			last := lower(&s, at)
			store(&s, last+0.1, 3, 1)
			hungry(&s, last+0.2, last+9)
			if got, want := s.Share(), want*math.Exp(-(last+3-at)/300); math.Abs(got-want) > 0.03*want {
				t.Errorf("unexpected share after the way back; got %v; want %v", got, want)
			}
		})
	}
}

func TestShareThatGrewBeyondWhatWasGoodIsRemembered(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	block(&s, 0, 10, 94, 6, 30_000)
	last := lower(&s, 12)
	store(&s, last+0.1, 2, 1)
	hungry(&s, last+0.2, last+45)
	share := s.Share()
	refuse(&s, last+45, 1, 1)
	last = lower(&s, last+46)
	store(&s, last+0.1, 3, 1)
	hungry(&s, last+0.2, last+9)
	if got, want := s.Share(), 0.7*share*math.Exp(-9.0/300); share < 0.3 || math.Abs(got-want) > 0.03*want {
		t.Errorf("unexpected share after the way back; got %v; want %v, as it had been at %v", got, want, share)
	}
}

func TestWhatWasDeliveredFadesOnTheWayBackToo(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	block(&s, 0, 10, 94, 6, 6000)
	last := lower(&s, 160)
	store(&s, last+0.1, 3, 1)
	hungry(&s, last+0.2, last+4)
	last = lower(&s, last+4.1)
	want := 0.5 * 6e4 / pace.ShardBytes * 94.5 / 100.5 * math.Exp(-(last-10)/300)
	if got := s.Share(); math.Abs(got-want) > 0.02*want {
		t.Errorf("unexpected share after a way back and a throttle; got %v; want %v", got, want)
	}
}

func TestUsualPartOfThrottlesIsForgottenWhenItWasOurDoing(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	block(&s, 0, 10, 100, 0, aSize)
	block(&s, 10, 1, aStored, aRefused, aSize)
	store(&s, 12, 1, 1)
	store(&s, 16, 1, 1)
	refuse(&s, 17, 1, 1)
	store(&s, 17.1, 5, 1)
	before := s.Share()
	hungry(&s, 17.2, 19.9)
	if got := s.Share(); got > before+0.01 {
		t.Errorf("unexpected share in three calm seconds; got %v; want about %v", got, before)
	}
	hungry(&s, 20, 20.5)
	if got := s.Share(); got < 1.5*before {
		t.Errorf("unexpected share after three calm seconds; got %v; want far more than %v", got, before)
	}
}

func TestThrottleOnTheWayBackLowersWhatIsGood(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	block(&s, 0, 10, 100, 0, aSize)
	last := lower(&s, 12)
	store(&s, last+0.1, 3, 1)
	hungry(&s, last+0.2, last+4)
	if got := s.Share(); got < 0.1 || got > 0.5 {
		t.Fatalf("unexpected share on the way back; got %v; want some", got)
	}
	refuse(&s, last+4.1, 3, 1)
	store(&s, last+4.2, 2, 1)
	hungry(&s, last+4.3, last+11)
	if got, want := s.Share(), 0.7*math.Exp(-math.Floor(last+11-10)/300); math.Abs(got-want) > 0.01 {
		t.Errorf("unexpected share after a way back that ended with a throttle; got %v; want %v", got, want)
	}
}

func TestShareIsNotCutBelowAPartOfWhatWasDelivered(t *testing.T) {
	for _, c := range []struct {
		sizes []int // of a hundred records each ten seconds
		want  float64
	}{
		{[]int{10_000}, 0.04},
		{[]int{6000}, 0.5 * 6e4 / pace.ShardBytes},
		{[]int{6000, 1500}, 0.5 * 6e4 / pace.ShardBytes * math.Exp(-10.0/300)},
	} {
		t.Run(fmt.Sprint(c.sizes), func(t *testing.T) {
			var s pace.Shard
			s.Init(limits(true), 0)
			for i, size := range c.sizes {
				block(&s, float64(10*i), 10, 100, 0, size)
			}
			lower(&s, float64(10*len(c.sizes)))
			if got := s.Share(); math.Abs(got-c.want) > 0.02*c.want {
				t.Errorf("unexpected share after five seconds of throttles; got %v; want %v", got, c.want)
			}
		})
	}
}

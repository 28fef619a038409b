// SPDX-License-Identifier: Apache-2.0

package pace_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/outkpl/outkpl/internal/pace"
)

// cut is a share after a cut for a part of records lost.
func cut(share, lost float64) float64 {
	peak := share * (1 - min(lost, 0.5))
	return peak - peak*(0.03+0.25*peak)
}

// hungry takes records of 1 KiB as fast as they may go, without any outcome, and returns how
// many shards were used for a second.
func hungry(s *pace.Shard, from, to float64) (used float64) {
	for now := seconds(from); now <= seconds(to); now += second / 100 {
		for s.Wait(now, 1024) == 0 {
			s.Take(1024)
			used += 1.0 / 1000
		}
	}
	return used
}

// lower has the shard refuse everything for five seconds, until the share is as low as it gets.
func lower(s *pace.Shard, from float64) (last float64) {
	for i := range 8 {
		last = from + float64(i)*0.65
		refuse(s, last, 1, 1)
	}
	return last
}

func TestCutFollowsThePartThatIsLost(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	refuse(&s, 0, 1, aSize)
	want := cut(1, 1.0/9)
	if got := s.Share(); !near(got, want) {
		t.Errorf("unexpected share after the first throttle; got %v; want %v", got, want)
	}
	refuse(&s, 0.49, 1, aSize)
	if got := s.Share(); !near(got, want) {
		t.Errorf("unexpected share after another within half a second; got %v; want %v", got, want)
	}
	store(&s, 0.49, 20, aSize)
	refuse(&s, 0.5, 1, aSize)
	want = cut(want, 2.0/(22+8))
	if got := s.Share(); !near(got, want) {
		t.Errorf("unexpected share after half a second; got %v; want %v", got, want)
	}
	refuse(&s, 0.6, 19, aSize)
	refuse(&s, 1.1, 1, aSize)
	want = cut(want, 0.5) // twenty of twenty
	if got := s.Share(); !near(got, want) {
		t.Errorf("unexpected share after twenty in a row; got %v; want %v, as for a half", got, want)
	}
}

func TestShareAboveAShardIsCutFromAWholeOne(t *testing.T) {
	l := limits(true)
	l.Bytes = 4 << 20
	var s pace.Shard
	s.Init(l, 0)
	refuse(&s, 0, 1, aSize)
	if got, want := s.Share(), cut(1, 1.0/9); !near(got, want) {
		t.Errorf("unexpected share; got %v; want %v", got, want)
	}
}

func TestOneThrottleInTwoHundredIsChance(t *testing.T) {
	for _, c := range []struct {
		at     float64 // of the throttles, after 995 records that were stored
		chance int
	}{{0, 5}, {9.9, 5}, {20, 2}} { // half of what was ten seconds ago counts
		var s pace.Shard
		s.Init(limits(true), 1000*second)
		c.at += 1000
		store(&s, 1000, 995, 1)
		refuse(&s, c.at, c.chance, 1)
		if got := s.Share(); got != 1 {
			t.Errorf("unexpected share after %d throttles at %v s; got %v; want 1", c.chance, c.at, got)
		}
		refuse(&s, c.at, 1, 1)
		if got := s.Share(); got == 1 {
			t.Errorf("unexpected share after %d throttles at %v s; got 1; want a cut", c.chance+1, c.at)
		}
	}
}

func TestCutsGoDeeperWhenNothingGetsThrough(t *testing.T) {
	for at, lost := range map[float64]float64{1.4: 1.0 / 9, 1.6: 1.0 / 3} {
		var s pace.Shard
		s.Init(limits(true), 0)
		refuse(&s, 0, 1, 1)
		refuse(&s, 0.7, 1, 1)
		before := s.Share()
		refuse(&s, at, 1, 1)
		if got, want := s.Share(), cut(before, lost); !near(got, want) {
			t.Errorf("unexpected share after three throttles in a row in %v s; got %v; want %v", at, got, want)
		}
	}
}

func TestShareDoublesWithEachRecordAfterAJam(t *testing.T) {
	for _, c := range []struct {
		last   float64
		jammed bool
	}{{5.9, false}, {6.1, true}} {
		var s pace.Shard
		s.Init(limits(true), 0)
		for _, at := range []float64{0, 1, 2, 3, 4, c.last} {
			refuse(&s, at, 1, 1)
		}
		share := s.Share()
		for range 8 {
			store(&s, c.last+0.1, 1, 1)
			if c.jammed {
				share = min(2*share, 0.5) // half of what it was
			}
			if got := s.Share(); !near(got, share) {
				t.Errorf("unexpected share when a record is stored after %v s of throttles; got %v; want %v", c.last, got, share)
			}
		}
		// That is over.
		refuse(&s, c.last+1, 1, 1)
		share = s.Share()
		store(&s, c.last+1.1, 1, 1)
		if got := s.Share(); !near(got, share) {
			t.Errorf("unexpected share when a record is stored later on; got %v; want %v", got, share)
		}
	}
}

func TestJamIsNotOverBeforeAHalfIsBack(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	for at := range 8 {
		refuse(&s, float64(at), 1, 1)
	}
	store(&s, 7.1, 1, 1)
	low := s.Share()
	for at := 8; at < 16; at++ {
		refuse(&s, float64(at), 1, 1)
	}
	if got := s.Share(); got >= low {
		t.Errorf("unexpected share after another jam; got %v; want less than %v", got, low)
	}
	store(&s, 16, 20, 1)
	if got := s.Share(); !near(got, 0.5) {
		t.Errorf("unexpected share after two jams with a record between them; got %v; want half of what it was before the first", got)
	}
}

func TestRecordsSentBeforeACutDoNotCount(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	refuse(&s, 1, 1, 1)
	share := s.Share()
	for range 50 {
		s.Stored(second - 1)
		s.Refused(2*second, second-1, 0)
	}
	if got := s.Share(); got != share {
		t.Errorf("unexpected share after throttles of records sent before the cut; got %v; want %v", got, share)
	}
	refuse(&s, 3, 1, 1)
	if got, want := s.Share(), cut(share, 1.0/9); !near(got, want) {
		t.Errorf("unexpected share after one sent since; got %v; want %v", got, want)
	}
	s.Refused(4*second, 3*second, 0)
	if got, want := s.Share(), cut(cut(share, 1.0/9), 1.0/3); !near(got, want) {
		t.Errorf("unexpected share after one sent at the moment of the cut; got %v; want %v", got, want)
	}
}

func TestCutNeverRaisesTheShare(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	last := lower(&s, 0)
	block(&s, last, 10, 100, 0, 40_000) // sent before
	before := s.Share()
	refuse(&s, last+11, 1, 1)
	if got := s.Share(); got > before || before >= 0.04 {
		t.Errorf("unexpected share after a throttle; got %v; want %v at most", got, before)
	}
}

func TestShareThatIsKeptGrowsNoFasterThanAnother(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	block(&s, 0, 10, 100, 0, aSize)
	last := lower(&s, 10)
	before := s.Share()
	hungry(&s, last+0.1, last+5)
	if got := s.Share(); got < before || got > before+0.001 {
		t.Errorf("unexpected share after five seconds; got %v; want %v and hardly more", got, before)
	}
}

func TestJamEndsNoLowerThanItBegan(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	block(&s, 0, 10, 100, 0, aSize)
	last := lower(&s, 10)
	store(&s, last, 1, 1)
	for range 10 {
		last += 0.7
		refuse(&s, last, 1, 1)
	}
	before := s.Share()
	store(&s, last, 3, 1)
	if got := s.Share(); !near(got, before) {
		t.Errorf("unexpected share after a jam that did not lower it; got %v; want %v", got, before)
	}
}

// grows tells whether the share follows a curve that begins here.
func grows(t *testing.T, s *pace.Shard, from float64, what string) {
	t.Helper()
	before := s.Share()
	hungry(s, from, from+20)
	if got, want := s.Share(), before+1.7e-5*math.Sqrt(before)*20*20*20; math.Abs(got-want) > 0.01*want {
		t.Errorf("unexpected share 20 s %s; got %v; want %v", what, got, want)
	}
}

func TestCurveBeginsAnewWhereTheShareWasSet(t *testing.T) {
	for name, set := range map[string]func(s *pace.Shard) (at float64){
		"after a way back": func(s *pace.Shard) float64 {
			block(s, 0, 10, 94, 6, 30_000)
			last := lower(s, 12)
			store(s, last+0.1, 3, 1)
			hungry(s, last+0.2, last+3.7)
			return last + 3.7
		},
		"after a jam": func(s *pace.Shard) float64 {
			for at := range 8 {
				refuse(s, float64(at), 1, 1)
			}
			store(s, 7.1, 12, 1)
			return 7.2
		},
		"after a trial": func(s *pace.Shard) float64 {
			trial(t, s, limits(true), 0)
			store(s, 4, 3, 1)
			refuse(s, 4, 1, 1)
			store(s, 19, 1, 1)
			return 19
		},
		"after a background": func(s *pace.Shard) float64 {
			beside(t, s, limits(true))
			refuse(s, 5.6, 20, 1)
			store(s, 6, 1, 1)
			hungry(s, 6.1, 10)
			s.Wait(seconds(15.9), 1)
			store(s, 15.9, 11, 1)
			store(s, 16.1, 1, 1) // it is gone
			return 16.1
		},
	} {
		var s pace.Shard
		s.Init(limits(true), 0)
		at := set(&s)
		grows(t, &s, at, name)
	}
}

func TestLimitThatIsNoBinaryFractionStays(t *testing.T) {
	for _, adaptive := range []bool{false, true} {
		l := limits(adaptive)
		l.Records, l.Bytes = 300, 0.3*pace.ShardBytes
		var s pace.Shard
		s.Init(l, 0)
		hungry(&s, 0, 10)
		if got := s.Share(); math.Abs(got-0.3) > 1e-7 {
			t.Errorf("unexpected share; got %v; want 0.3", got)
		}
	}
}

func TestLimitHoldsOnTheWayBack(t *testing.T) {
	l := limits(true)
	l.Records, l.Bytes = 10, 0.01*pace.ShardBytes
	var s pace.Shard
	s.Init(l, 0)
	refuse(&s, 0, 1, 1)
	hungry(&s, 0.1, 0.3)
	store(&s, 1, 1, 1<<20)
	block(&s, 1, 9, 50, 0, 1)
	lower(&s, 10)
	store(&s, 15, 3, 1)
	hungry(&s, 160, 200)
	if got := s.Share(); got > 0.01001 {
		t.Errorf("unexpected share after the way back; got %v; want the limit of 0.01", got)
	}
}

func TestShareFollowsItsCurve(t *testing.T) {
	peak := 8.0 / 9
	steep := 1.7e-5 * math.Sqrt(peak)
	drop := peak - cut(1, 1.0/9)
	flat := math.Cbrt(drop / steep)
	for _, at := range []float64{5, 12, flat, 40} {
		var s pace.Shard
		s.Init(limits(true), 0)
		refuse(&s, 0, 1, 1)
		hungry(&s, 0, at)
		if got, want := s.Share(), peak+steep*math.Pow(at-flat, 3); math.Abs(got-min(want, 1)) > 1e-3 {
			t.Errorf("unexpected share %v s after a cut; got %v; want %v", at, got, want)
		}
		s.Take(1 << 20)
		records, bytes := s.Tokens(seconds(at))
		ready := max((1-records)/1000, (1-bytes)/pace.ShardBytes) / s.Share()
		if got := float64(s.Wait(seconds(at), 1)) / 1e9; math.Abs(got-ready) > 1e-6 {
			t.Errorf("unexpected wait with a share of %v; got %v; want %v", s.Share(), got, ready)
		}
	}
}

func TestOnlyWhatIsMoreThanTheBackgroundCuts(t *testing.T) {
	const tolerated = besidePart + 0.1
	var s pace.Shard
	beside(t, &s, limits(true)) // one was stored since
	refuse(&s, 6, 14, 1)
	if got := s.Share(); got != 1 {
		t.Errorf("unexpected share after 14 of 15; got %v; want 1: twice the standard deviation more is chance", got)
	}
	refuse(&s, 6, 1, 1)
	if got := s.Share(); got == 1 {
		t.Error("unexpected share after 15 of 16; got 1; want a cut")
	}

	beside(t, &s, limits(true))
	store(&s, 5.3, 10, 1)
	refuse(&s, 5.3, 60, 1)
	refuse(&s, 5.6, 1, 1)
	if got, want := s.Share(), cut(1, (61-72*tolerated)/(1-tolerated)/(72+8)); !near(got, want) {
		t.Errorf("unexpected share after 61 of 72; got %v; want %v", got, want)
	}
}

func TestShareGrowsForASecondWithoutARecord(t *testing.T) {
	var s pace.Shard
	beside(t, &s, limits(true))
	refuse(&s, 6, 15, 1) // are more than the background
	share := s.Share()
	s.Take(8 << 20)
	s.Wait(seconds(6.3), 1)
	s.Wait(seconds(6.8), 1)
	if got, want := s.Share(), share+0.03*0.5; !near(got, want) {
		t.Errorf("unexpected share after half a second beside a background; got %v; want %v", got, want)
	}
	s.Wait(seconds(9), 1)
	if got, want := s.Share(), share+0.03; !near(got, want) {
		t.Errorf("unexpected share after three seconds without a record; got %v; want %v, for one of them", got, want)
	}
	hungry(&s, 9, 60)
	if got := s.Share(); got != 1 {
		t.Errorf("unexpected share after a minute; got %v; want 1", got)
	}
}

func TestShareDoesNotGrowInATrial(t *testing.T) {
	var s pace.Shard
	trial(t, &s, limits(true), 0)
	hungry(&s, 4, 8)
	if got := s.Share(); !near(got, aTried) {
		t.Errorf("unexpected share after four seconds of a trial; got %v; want %v", got, aTried)
	}
}

func TestThrottlesInATrialDoNotCut(t *testing.T) {
	var s pace.Shard
	trial(t, &s, limits(true), 0)
	refuse(&s, 4.9, 3, 1)
	if got := s.Share(); !near(got, aTried) {
		t.Errorf("unexpected share after throttles in a trial; got %v; want %v", got, aTried)
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

func TestFixedRateTriesNothing(t *testing.T) {
	var s pace.Shard
	s.Init(limits(false), 0)
	block(&s, 0, 1, aStored, aRefused, aSize)
	hungry(&s, 2, 3)
	store(&s, 4, 1, aSize)
	if got := s.Share(); got != 1 {
		t.Errorf("unexpected share; got %v; want 1", got)
	}
}

func TestEstimateIsThatOfTheLastRecord(t *testing.T) {
	l := limits(false)
	l.Bytes = 1000
	var s pace.Shard
	s.Init(l, 0) // 250 bytes
	for _, c := range []struct {
		records, size int
		want          float64
	}{{1, 250, 0}, {1, 1250, 1}, {1250, 1, 1}, {0, 0, 0}} {
		if got := float64(s.Estimate(0, c.records, c.size)) / 1e9; math.Abs(got-c.want) > 1e-6 {
			t.Errorf("unexpected estimate for %d records, %d bytes; got %v s; want %v", c.records, c.size, got, c.want)
		}
	}
	s.Rest(5 * second)
	s.Rest(2 * second)
	if got := s.Estimate(second, 1, 1); got != 4*second || s.Wait(second, 1) != got {
		t.Errorf("unexpected estimate at rest; got %v; want 4 s", got)
	}
}

func TestBytesThatWereNotSentAreGivenBack(t *testing.T) {
	var s pace.Shard
	s.Init(limits(false), 0)
	records, bytes := s.Tokens(0)
	s.Take(500)
	s.Return(300)
	if r, b := s.Tokens(0); r != records-1 || b != bytes-200 {
		t.Errorf("unexpected tokens; got %v, %v; want %v, %v", r, b, records-1, bytes-200)
	}
}

func TestTimeThatGoesBackGivesNothing(t *testing.T) {
	var s pace.Shard
	s.Init(limits(false), second)
	s.Take(1 << 20)
	_, before := s.Tokens(second)
	for _, at := range []int64{0, second} {
		if _, got := s.Tokens(at); got != before {
			t.Errorf("unexpected tokens; got %v; want %v", got, before)
		}
	}
}

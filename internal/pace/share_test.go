// SPDX-License-Identifier: Apache-2.0

package pace_test

import (
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
	l := limits(true)
	l.Records, l.Bytes = 0.8*l.Records, 0.8*l.Bytes // who has the whole shard keeps more
	var s pace.Shard
	s.Init(l, 0)
	refuse(&s, 0, 1, aSize)
	want := cut(0.8, 1.0/9)
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
			t.Errorf("unexpected share when a record is stored elapsed on; got %v; want %v", got, share)
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

// Who has ended a trial must not disturb the others, who may still be in theirs.
func TestShareGrowsFromThatOfATrialThatFoundNoBackground(t *testing.T) {
	for name, end := range map[string]func(s *pace.Shard) (at float64){
		"our doing": func(s *pace.Shard) float64 {
			store(s, 5, 33, aSize)
			return 5
		},
		"not sure": func(s *pace.Shard) float64 {
			store(s, 4, 3, 1)
			refuse(s, 4, 1, 1)
			store(s, 19, 1, 1)
			return 19
		},
	} {
		t.Run(name, func(t *testing.T) {
			var s pace.Shard
			trial(t, &s, limits(true), 0)
			at := end(&s)
			if got := s.Share(); !near(got, aTried) {
				t.Fatalf("unexpected share after the trial; got %v; want %v, as in it", got, aTried)
			}
			peak := aRate * aThrough
			steep := 1.7e-5 * math.Sqrt(peak)
			flat := math.Cbrt((peak - aTried) / steep)
			from := 0.0
			for _, elapsed := range []float64{2, flat} {
				hungry(&s, at+from, at+elapsed)
				from = elapsed
				if got, want := s.Share(), peak-steep*math.Pow(flat-elapsed, 3); math.Abs(got-want) > 1e-3 {
					t.Errorf("unexpected share %v s after the trial; got %v; want %v", elapsed, got, want)
				}
			}
		})
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
		"after a background": func(s *pace.Shard) float64 {
			beside(t, s, limits(true))
			refuse(s, 6.6, 20, 1)
			store(s, 7, 1, 1)
			hungry(s, 7.1, 10)
			s.Wait(seconds(16.9), 1)
			store(s, 16.9, 11, 1)
			store(s, 17.1, 1, 1) // it is gone
			return 17.1
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
	refuse(&s, 7, 14, 1)
	if got := s.Share(); got != 1 {
		t.Errorf("unexpected share after 14 of 15; got %v; want 1: twice the standard deviation more is chance", got)
	}
	refuse(&s, 7, 1, 1)
	if got := s.Share(); got == 1 {
		t.Error("unexpected share after 15 of 16; got 1; want a cut")
	}

	beside(t, &s, limits(true))
	store(&s, 6.3, 10, 1)
	refuse(&s, 6.3, 60, 1)
	refuse(&s, 6.6, 1, 1)
	if got, want := s.Share(), cut(1, (61-72*tolerated)/(1-tolerated)/(72+8)); !near(got, want) {
		t.Errorf("unexpected share after 61 of 72; got %v; want %v", got, want)
	}
}

func TestShareGrowsForASecondWithoutARecord(t *testing.T) {
	var s pace.Shard
	beside(t, &s, limits(true))
	refuse(&s, 7, 15, 1) // are more than the background
	share := s.Share()
	s.Take(8 << 20)
	s.Wait(seconds(7.3), 1)
	s.Wait(seconds(7.8), 1)
	if got, want := s.Share(), share+0.03*0.5; !near(got, want) {
		t.Errorf("unexpected share after half a second beside a background; got %v; want %v", got, want)
	}
	s.Wait(seconds(10), 1)
	if got, want := s.Share(), share+0.03; !near(got, want) {
		t.Errorf("unexpected share after three seconds without a record; got %v; want %v, for one of them", got, want)
	}
	hungry(&s, 10, 60)
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

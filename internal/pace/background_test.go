// SPDX-License-Identifier: Apache-2.0

package pace_test

import (
	"math"
	"testing"

	"github.com/outkpl/outkpl/internal/pace"
)

// beside has the shard know a background 6 s after its start, with the full share.
func beside(t *testing.T, s *pace.Shard, l *pace.Limits) {
	t.Helper()
	trial(t, s, l, 0)
	store(s, 4.5, 1, aSize)
	refuse(s, 4.5, 5, aSize)
	store(s, 6, 1, aSize)
	if got := s.Share(); got != 1 {
		t.Fatalf("unexpected share with five of seven refused in a trial; got %v; want 1, as before the throttles", got)
	}
}

// What a trial that proves a background tries shows what is tolerated.
func TestWhatIsToleratedBesideABackground(t *testing.T) {
	for _, c := range []struct {
		name             string
		before, after    [2]int // stored and refused, before and in the trial
		background, want float64
	}{
		{"a small one threefold", [2]int{87, 8}, [2]int{20, 4}, 0.152, 0.457},
		{"65 % at least, if that is less", [2]int{20, 20}, [2]int{5, 4}, 0.429, 0.65},
		{"more than a large one", [2]int{20, 20}, [2]int{2, 5}, besidePart, besidePart + 0.1},
		{"90 % at most", [2]int{4, 36}, [2]int{1, 12}, 0.873, 0.9},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s pace.Shard
			s.Init(limits(true), 0)
			block(&s, 0, 1, c.before[0], c.before[1], aSize)
			store(&s, 4, c.after[0], aSize) // the first begins the trial
			refuse(&s, 4, c.after[1], aSize)
			store(&s, 6, 1, aSize)
			if got := s.Share(); got != 1 {
				t.Fatalf("unexpected share after the trial; got %v; want 1", got)
			}
			n, part := float64(c.after[0]+c.after[1]), 1-(float64(c.before[0])+0.5)/(float64(c.before[0]+c.before[1])+0.5)
			if got := (float64(c.after[1]) + 4*0.8*part) / (n + 4); math.Abs(got-c.background) > 1e-3 {
				t.Fatalf("unexpected background; got %v; want %v", got, c.background)
			}
			store(&s, 16, 1, aSize)
			if got := s.Share(); got != 1 {
				t.Fatalf("unexpected share after 16 s; got %v; want 1 until 32 s", got)
			}
			store(&s, 32, 1, aSize)
			if got, want := s.Share(), 0.75*(1-c.want); math.Abs(got-want) > 1e-3 {
				t.Errorf("unexpected share when a background of %v is proven again; got %v, which tolerates %v; want %v", c.background, got, 1-got/0.75, c.want)
			}
		})
	}
}

func TestBackgroundIsMixedWithTheOneOfBefore(t *testing.T) {
	var s pace.Shard
	beside(t, &s, limits(true))
	store(&s, 32, 1, aSize)
	refuse(&s, 32, 6, aSize)
	store(&s, 34, 1, aSize)
	store(&s, 64, 1, aSize)
	if got, want := s.Share(), 0.75*(0.9-(6+4*besidePart)/(7+4)); !near(got, want) {
		t.Errorf("unexpected share at the second proof; got %v; want %v", got, want)
	}
}

func TestBackgroundThatGetsLessIsProvenSoon(t *testing.T) {
	for _, c := range []struct {
		name                  string
		stored, refused, size int
		gone                  bool
		proof                 float64
	}{
		{"almost nothing is throttled", 380, 8, 1000, true, 8}, // 2.06 %, which is looked into anew
		{"a little", 290, 8, 1000, false, 8},                   // 2.68 %
		{"less than half of it", 20, 8, aSize, false, 8},       // 28 % of 60 %
		{"half of it", 18, 8, aSize, false, 32},                // 30 %
	} {
		t.Run(c.name, func(t *testing.T) {
			var s pace.Shard
			beside(t, &s, limits(true))
			block(&s, 6.1, 1, c.stored, c.refused, c.size)
			if c.stored == 20 {
				refuse(&s, 7.2, 11, aSize)
				store(&s, 7.6, 1, aSize) // what comes after does not make it sure
			}
			refuse(&s, 7.7, 1, aSize)
			if got := s.Paused(seconds(7.7)); got != c.gone {
				t.Errorf("unexpected rest after a throttle; got %v; want %v", got, c.gone)
			}
			for _, at := range []float64{8, 12, 32} {
				before := s.Share()
				store(&s, at, 1, aSize)
				if s.Share() >= before {
					continue
				}
				if at != c.proof {
					t.Errorf("unexpected time of a trial; got %v; want %v", at, c.proof)
				}
				return
			}
			if c.proof > 0 {
				t.Errorf("unexpected end: no trial; want one at %v s", c.proof)
			}
		})
	}
}

func TestBackgroundThatIsGoneLeavesNothing(t *testing.T) {
	var s pace.Shard
	beside(t, &s, limits(true))
	block(&s, 6, 1, 20, 20, aSize) // as before
	refuse(&s, 7.2, 200, 1)
	before := s.Share()
	store(&s, 7.2, 9000, 1)
	store(&s, 8, 1, 1) // it is gone
	store(&s, 8.2, 1, 1)
	if got := s.Share(); got != before || before == 1 {
		t.Errorf("unexpected trial without a reason; got a share of %v; want %v", got, before)
	}
	block(&s, 8.3, 1, 40, 40, 3000)
	find(&s, 12)
	if got := s.Share(); !near(got, before) {
		t.Errorf("unexpected share when a background comes back; got %v; want %v, as before it did", got, before)
	}
}

func TestProofThatItIsOurDoingEndsABackground(t *testing.T) {
	var s pace.Shard
	beside(t, &s, limits(true))
	store(&s, 32, 1, 1)
	store(&s, 36, 1, 1)
	refuse(&s, 36.1, 1, 1)
	if !s.Paused(seconds(36.1)) {
		t.Error("no rest after a throttle; want one: there is no background")
	}
}

func TestProofThatIsNotSureLeavesABackgroundThatIsLikely(t *testing.T) {
	for _, c := range []struct {
		stored, refused int
		stays           bool
	}{
		{stored: 2, refused: 2, stays: true}, // 3.4
		{stored: 5, refused: 1},              // -0.9, and the first only begins the proof
	} {
		var s pace.Shard
		beside(t, &s, limits(true))
		store(&s, 32, c.stored-1, 1) // the first begins the proof
		refuse(&s, 32, c.refused, 1)
		store(&s, 47, 1, 1)
		share := s.Share()
		refuse(&s, 47.1, 1, 1)
		if got := !s.Paused(seconds(47.1)); got != c.stays || (share == 1) != c.stays {
			t.Errorf("unexpected background after 15 s in which %d of %d were refused; got %t, a share of %v; want %t", c.refused, c.stored+c.refused, got, share, c.stays)
		}
	}
}

func TestUnsureBackgroundIsProvenOnce(t *testing.T) {
	var s pace.Shard
	beside(t, &s, limits(true))
	block(&s, 6.1, 1, 20, 8, aSize)
	find(&s, 8)
	for _, at := range []float64{12, 16, 20, 24, 28} {
		store(&s, at, 1, 1)
		if got := s.Share(); got != 1 {
			t.Errorf("unexpected trial at %v s; got a share of %v; want 1 until 32 s", at, got)
		}
	}
	store(&s, 32, 1, 1)
	if got := s.Share(); got == 1 {
		t.Error("no trial at 32 s")
	}
}

func TestShareReturnsToThatOfBeforeAProof(t *testing.T) {
	for _, full := range []bool{false, true} { // whether a block is complete
		var s pace.Shard
		s.Init(limits(true), 0)
		block(&s, 0, 1, 87, 8, 3000)
		store(&s, 4, 20, 1)
		refuse(&s, 4, 4, 1)
		store(&s, 6, 1, 1)
		refuse(&s, 7, 8, aSize)
		before := s.Share()
		if full {
			store(&s, 7.1, 30, aSize)
		}
		if before == 1 || before != s.Share() {
			t.Fatalf("unexpected share; got %v, %v; want a cut", before, s.Share())
		}
		store(&s, 32, 21, 1)
		if got := s.Share(); got >= before {
			t.Errorf("unexpected share; got %v; want a trial", got)
		}
		refuse(&s, 32, 12, 1)
		store(&s, 34, 1, 1)
		if got := s.Share(); !near(got, before) {
			t.Errorf("unexpected share after the proof; got %v; want %v, as before", got, before)
		}
	}
}

func TestThrottlesOfAProofDoNotCut(t *testing.T) {
	var s pace.Shard
	beside(t, &s, limits(true))
	store(&s, 32, 1, 1)
	before := s.Share()
	refuse(&s, 32.9, 30, 1)
	if got := s.Share(); got != before {
		t.Errorf("unexpected share after 30 throttles in a trial; got %v; want %v", got, before)
	}
}

func TestShareBesideABackgroundIsCutBelowWhatGetsThrough(t *testing.T) {
	var s pace.Shard
	beside(t, &s, limits(true))
	rate, through := block(&s, 6, 1, 20, 20, 2*aSize)
	refuse(&s, 7.2, 100, 1)
	refuse(&s, 7.8, 100, 1)
	if got := s.Share(); got >= 0.95*rate*through {
		t.Errorf("unexpected share; got %v; want less than the %v that got through", got, rate*through)
	}
}

// SPDX-License-Identifier: Apache-2.0

package pace_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/outkpl/outkpl/internal/pace"
)

// period tells the outcomes of records at one moment and begins the next period of four seconds.
func period(s *pace.Shard, at float64, stored, refused, size int) {
	store(s, at, stored, size)
	refuse(s, at, refused, size)
	store(s, math.Floor(at/4+1)*4, 1, size)
}

func TestFewThrottlesAreLookedIntoWhenThereAreEnough(t *testing.T) {
	type counts struct {
		at              float64
		stored, refused int
	}
	for _, c := range []struct {
		name   string
		counts []counts
		size   int
		want   bool
	}{
		{"2 %", []counts{{0.5, 392, 8}}, 3000, true},
		{"less than eight", []counts{{0.5, 343, 7}}, 3000, false},
		{"0.6 %", []counts{{0.5, 1325, 8}}, 1000, false},
		{"0.7 %", []counts{{0.5, 1134, 8}}, 1000, true},
		{"7.8 %", []counts{{0.5, 94, 8}}, 10_000, true},
		{"less than a second", []counts{{3.1, 392, 8}}, 1000, false},
		{"less than 3 % of the shard", []counts{{0.5, 94, 8}}, 1000, false},
		{"a half of the period before counts", []counts{{0.5, 196, 6}, {4.5, 196, 5}}, 6000, true},
		{"and no more", []counts{{0.5, 196, 5}, {4.5, 196, 5}}, 6000, false},
		{"replies that overtake each other", []counts{{0.5, 196, 6}, {4.5, 1, 0}, {3.9, 1, 0}, {4.5, 195, 5}}, 6000, true},
		{"a period without records forgets", []counts{{0.5, 196, 7}, {8.5, 196, 5}}, 6000, false},
		{"a few records in the last period", []counts{{0.5, 384, 7}, {4.5, 6, 5}}, 60_000, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s pace.Shard
			s.Init(limits(true), seconds(c.counts[0].at))
			last := len(c.counts) - 1
			for _, n := range c.counts {
				store(&s, n.at, n.stored, c.size)
				refuse(&s, n.at, n.refused, c.size)
			}
			before := s.Share()
			at := math.Floor(c.counts[last].at/4+1) * 4
			store(&s, at, 1, c.size)
			if got := s.Share() < before; got != c.want {
				t.Errorf("unexpected trial; got %t, a share of %v; want %t", got, s.Share(), c.want)
			}
			if n := c.counts[0]; c.want && last == 0 { // what is tried
				part := float64(n.stored) / float64(n.stored+n.refused)
				rate := float64(n.stored+n.refused) * max(float64(c.size)/pace.ShardBytes, 0.001) / (at - n.at)
				if got, want := s.Share(), max(0.04, 0.85*rate*part); math.Abs(got-want) > 0.003 {
					t.Errorf("unexpected share in the trial; got %v; want %v", got, want)
				}
			}
		})
	}
}

// few has the shard find that 2 % are throttled, or more, whatever the rate is; it knows that at 6 s.
func few(t *testing.T, s *pace.Shard, refused, all int) {
	t.Helper()
	s.Init(limits(true), 0)
	period(s, 0.5, 392, 8, 3000)
	if got := s.Share(); got > 0.25 {
		t.Fatalf("unexpected share; got %v; want that of a trial", got)
	}
	store(s, 4.5, all-refused-1, 100)
	refuse(s, 4.5, refused, 100)
	store(s, 6, 1, 100)
	if got := s.Share(); got != 1 {
		t.Fatalf("unexpected share after the trial; got %v; want 1, as before the throttles", got)
	}
}

func TestFewThrottlesThatNoRateChangesAreTolerated(t *testing.T) {
	for _, c := range []struct {
		refused, all int     // in the trial
		want         float64 // of the records, tolerated
	}{
		{6, 296, 1.5 * (6 + 4*0.8*0.02) / 300},
		{60, 296, 1.5 * 0.079}, // no trial of few finds more
	} {
		t.Run(fmt.Sprint(c.refused), func(t *testing.T) {
			const all = 2000
			most := int(c.want*all + 0.005*all + 2*math.Sqrt(c.want*(1-c.want)*all))
			for _, refused := range []int{most - 2, most + 2} {
				var s pace.Shard
				few(t, &s, c.refused, c.all)
				store(&s, 6.5, all-refused, 100)
				refuse(&s, 6.5, refused, 100)
				if got, want := s.Share() < 1, refused > most; got != want {
					t.Errorf("unexpected cut with %d of %d throttled; got %t; want %t", refused, all, got, want)
				}
			}
		})
	}
}

func TestProducerThatKnowsOfFewThrottlesDoesNotRest(t *testing.T) {
	var s pace.Shard
	few(t, &s, 6, 296)
	refuse(&s, 7, 1, 100)
	if s.Paused(seconds(7)) {
		t.Error("unexpected rest after a throttle; want none")
	}
}

func TestShareReturnsToThatOfBeforeFewThrottles(t *testing.T) {
	for limit, play := range map[float64]func(s *pace.Shard){
		// The share is that from which it was cut first, if that was the whole shard.
		1: func(s *pace.Shard) {
			period(s, 0.5, 20, 1, 1000)
			store(s, 4.5, 192, 3000)
			refuse(s, 4.5, 7, 3000) // a block
			period(s, 5.6, 192, 8, 3000)
			store(s, 8.5, 200, 100)
			refuse(s, 8.5, 20, 100)
			store(s, 10, 1, 100)
		},
		// Or that with which the last period began.
		0.8: func(s *pace.Shard) {
			period(s, 0.5, 392, 8, 3000)
			store(s, 4.5, 200, 100)
			refuse(s, 4.5, 20, 100)
			store(s, 6, 1, 100)
		},
	} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			l := limits(true)
			l.Records, l.Bytes = limit*l.Records, limit*l.Bytes
			var s pace.Shard
			s.Init(l, 0)
			play(&s)
			if got := s.Share(); !near(got, limit) {
				t.Errorf("unexpected share after a trial that found few throttles; got %v; want %v", got, limit)
			}
		})
	}
}

func TestFewThrottlesBesideABackgroundDoNotChangeItsProof(t *testing.T) {
	var s pace.Shard
	beside(t, &s, limits(true))
	period(&s, 28.5, 392, 8, 3000)
	if got, want := s.Share(), 0.75*(0.9-besidePart); !near(got, want) {
		t.Errorf("unexpected share in the proof; got %v; want %v", got, want)
	}
}

func TestTrialOfFewThrottlesThatAreOurDoingAllowsCuts(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	period(&s, 0.5, 392, 8, 3000)
	store(&s, 8, 1, 1) // nothing is refused in four seconds
	before := s.Share()
	store(&s, 8.5, 99, 1)
	refuse(&s, 8.6, 2, 1)
	first := s.Share()
	store(&s, 9, 99, 1)
	refuse(&s, 9.2, 2, 1)
	if got := s.Share(); first >= before || got >= first {
		t.Errorf("unexpected shares; got %v, %v and %v; want a cut each time", before, first, got)
	}
}

// Beside few throttles a share grows as without any: the others may be of this kind.
func TestShareBesideFewThrottlesGrowsByItsCurve(t *testing.T) {
	var s pace.Shard
	few(t, &s, 6, 296)
	refuse(&s, 6.5, 100, 100)
	before := s.Share()
	hungry(&s, 6.6, 7.6)
	if got := s.Share(); before == 1 || got > before+0.028 {
		t.Errorf("unexpected share after a second; got %v; want less than 0.028 more than %v", got, before)
	}
}

func TestMoreThanFewThrottlesAreLookedIntoAnew(t *testing.T) {
	var s pace.Shard
	few(t, &s, 6, 296)
	block(&s, 6, 1, aStored, aRefused, aSize)
	refuse(&s, 7.2, 1, aSize)
	if !s.Paused(seconds(7.2)) {
		t.Error("no rest after a throttle; want one: half of a block was refused")
	}
	store(&s, 8, 1, aSize)
	if got := s.Share(); !near(got, aTried) {
		t.Errorf("unexpected share at the next trial; got %v; want %v", got, aTried)
	}
}

func TestFewThrottlesThatEndAreForgotten(t *testing.T) {
	for _, c := range []struct {
		stored, refused int
		gone            bool
	}{{180, 0, false}, {250, 0, true}, {800, 3, true}, {800, 5, false}} {
		var s pace.Shard
		few(t, &s, 6, 296)
		store(&s, 6.5, c.stored, 100)
		refuse(&s, 6.5, c.refused, 100)
		store(&s, 16.1, 1, 100) // the block is over
		refuse(&s, 16.2, 1, 100)
		if got := s.Paused(seconds(16.2)); got != c.gone {
			t.Errorf("unexpected rest after %d of %d were throttled in ten seconds; got %t; want %t", c.refused, c.stored+c.refused, got, c.gone)
		}
	}
}

// Who had the whole shard has no neighbour that is known: one cut makes room for one.
func TestProducerWithTheWholeShardIsCutOnceWhileFewAreThrottled(t *testing.T) {
	for _, c := range []struct {
		name   string
		limit  float64
		play   func(s *pace.Shard)
		at     float64
		again  bool
		stored int // before the last throttle
	}{
		{name: "another throttle", limit: 1, at: 1, stored: 20},
		{name: "a share that is smaller", limit: 0.89, at: 1, stored: 20, again: true},
		{name: "a share of more than nine tenths", limit: 0.91, at: 1, stored: 20},
		{name: "too few records", limit: 1, at: 1, stored: 8, again: true},
		{name: "too many throttles", limit: 1, at: 1, stored: 20, again: true, play: func(s *pace.Shard) { refuse(s, 0.2, 3, 1) }},
		{name: "not too many", limit: 1, at: 1, stored: 20, play: func(s *pace.Shard) { refuse(s, 0.2, 1, 1) }},
		{name: "a throttle in each period", limit: 1, at: 30, stored: 20, play: func(s *pace.Shard) {
			for at := 2.0; at < 29; at += 4 {
				period(s, at, 20, 1, 1)
			}
		}},
		{name: "for 32 s", limit: 1, at: 32.1, stored: 20, again: true, play: func(s *pace.Shard) {
			for at := 2.0; at < 32; at += 4 {
				period(s, at, 20, 1, 1)
			}
		}},
		{name: "a period without a throttle", limit: 1, at: 14, stored: 20, again: true, play: func(s *pace.Shard) {
			period(s, 2, 20, 0, 1)
			period(s, 6, 20, 0, 1)
			period(s, 10, 20, 0, 1)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := limits(true)
			l.Records, l.Bytes = c.limit*l.Records, c.limit*l.Bytes
			var s pace.Shard
			s.Init(l, 0)
			store(&s, 0, 8, 1)
			refuse(&s, 0.1, 1, 1)
			if c.play != nil {
				c.play(&s)
			}
			before := s.Share()
			store(&s, c.at, c.stored-8, 1)
			refuse(&s, c.at, 1, 1)
			if got := s.Share() < before; got != c.again {
				t.Errorf("unexpected cut; got %t, from %v to %v; want %t", got, before, s.Share(), c.again)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package pace_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/outkpl/outkpl/internal/pace"
)

// The tests here tell outcomes without asking whether a record may go. So nothing waits for
// tokens, and only throttles and trials move the share.

func seconds(x float64) int64 { return int64(math.Round(x * float64(second))) }

func store(s *pace.Shard, at float64, n, size int) {
	for range n {
		s.Take(size)
		s.Stored(seconds(at))
	}
}

func refuse(s *pace.Shard, at float64, n, size int) {
	for range n {
		s.Take(size)
		s.Refused(seconds(at), seconds(at), 0)
	}
}

// block tells the outcomes of records, all but the last at one moment, and returns the rate and
// the part that got through.
func block(s *pace.Shard, from, age float64, stored, refused, size int) (rate, through float64) {
	store(s, from, stored-1, size)
	refuse(s, from, refused, size)
	store(s, from+age, 1, size)
	n := float64(stored + refused)
	return n * max(float64(size)/pace.ShardBytes, 1.0/pace.ShardRecords) / age, (float64(stored) + 0.5) / (n + 0.5)
}

func near(got, want float64) bool { return math.Abs(got-want) < 1e-5 }

// The block of a second with which most trials here begin, and what is seen of it.
const (
	aStored, aRefused, aSize = 20, 20, 10_000
	aRate                    = 40 * 10_000.0 / pace.ShardBytes
	aThrough                 = 20.5 / 40.5
	aTried                   = 0.75 * aRate * aThrough // the share in the trial
)

// trial has the shard in a trial four seconds after a moment, and returns the share before.
func trial(t *testing.T, s *pace.Shard, l *pace.Limits, from float64) (before float64) {
	t.Helper()
	s.Init(l, seconds(from))
	block(s, from, 1, aStored, aRefused, aSize)
	before = s.Share()
	store(s, from+4, 1, aSize)
	if got := s.Share(); !near(got, aTried) {
		t.Fatalf("unexpected share in the trial; got %v; want %v, three quarters of what got through", got, aTried)
	}
	return before
}

// besidePart is the background that beside finds: five of seven, and four records of eight tenths
// of what was refused before.
const besidePart = (5 + 4*0.8*(1-aThrough)) / (7 + 4)

func TestTrialEndsWhenItsCauseIsSure(t *testing.T) {
	const lasts, outside, none = "goes on", "finds a background", "finds none"
	for _, c := range []struct {
		stored, refused int     // since the trial began
		age             float64 // of the trial
		row             int     // stored after the last refused
		others          float64 // age of what a peer found, 0: nothing
		finds, none     int     // trials of peers that found a background, and that found none; 1 and 0 if it is 0
		want            string
	}{
		{stored: 2, refused: 4, age: 1.9, want: lasts}, // others may not have given way yet
		{stored: 2, refused: 4, age: 2, want: outside},
		{stored: 1, refused: 4, age: 2, want: lasts},   // too few records
		{stored: 4, refused: 3, age: 2, want: lasts},   // not sure
		{stored: 7, refused: 4, age: 2, want: lasts},   // 5.2 of 6
		{stored: 5, refused: 4, age: 2, want: outside}, // 6.06

		{stored: 16, refused: 1, age: 0.9, want: lasts}, // a shard may count by the second
		{stored: 16, refused: 1, age: 1, want: none},    // -5.15 of -5
		{stored: 15, refused: 1, age: 1, want: lasts},   // -4.7
		{stored: 20, refused: 2, age: 1, want: lasts},   // -4.9
		{stored: 21, refused: 2, age: 1, want: none},

		{stored: 1, age: 3.9, want: lasts},
		{stored: 1, age: 4, want: none},
		{stored: 2, refused: 1, age: 4, want: lasts},
		{stored: 12, refused: 1, row: 11, age: 1, want: none},
		{stored: 11, refused: 1, row: 10, age: 1, want: lasts},
		{stored: 15, refused: 3, row: 11, age: 1, want: none}, // whatever was before
		{stored: 20, refused: 2, row: 10, age: 1, want: lasts},

		{stored: 1, refused: 2, age: 14.9, want: lasts},
		{stored: 1, refused: 2, age: 15, want: none},
		{stored: 6, refused: 1, age: 15, want: none},

		// A peer that has found a background just now counts 3, one before a minute a third of that.
		{stored: 4, refused: 3, others: 4, age: 2, want: outside},
		{stored: 5, refused: 3, others: 4, age: 2, want: outside},  // 4.0 + 2.8
		{stored: 5, refused: 3, others: 28, age: 1, want: lasts},   // 4.0 + 1.9
		{stored: 3, refused: 3, others: 28, age: 2, want: outside}, // 4.9 + 1.9
		{stored: 3, refused: 3, others: 36, age: 2, want: outside}, // 4.9 + 1.6
		{stored: 3, refused: 3, others: 48, age: 2, want: outside}, // 4.9 + 1.3
		{stored: 1, refused: 3, others: 4, age: 1, want: lasts},    // too few records
		{stored: 7, refused: 2, others: 4, age: 1, want: lasts},    // 1 + 2.8
		{stored: 16, refused: 1, others: 4, age: 1, want: lasts},   // -5.15 + 2.8
		{stored: 21, refused: 1, others: 4, age: 1, want: lasts},   // -7.4 + 2.8
		{stored: 22, refused: 1, others: 4, age: 1, want: none},
		{stored: 12, refused: 1, row: 11, others: 4, age: 1, want: lasts},
		{stored: 18, refused: 1, row: 17, others: 4, age: 1, want: none},
		{stored: 1, others: 4, age: 4, want: lasts},
		{stored: 3, refused: 3, others: 60, age: 1, want: lasts}, // 4.9 + 1.1
		// It is forgotten after two minutes.
		{stored: 3, refused: 3, others: 120, age: 1, want: lasts},
		{stored: 12, refused: 1, others: 120, age: 1, want: lasts}, // -3.3
		{stored: 1, others: 120, age: 4, want: none},

		// Further finds count a fifth of that each, up to 7.
		{stored: 7, refused: 2, others: 4, finds: 3, age: 1, want: lasts},    // 1 + 4.1
		{stored: 7, refused: 2, others: 4, finds: 6, age: 2, want: outside},  // 1 + 5.8
		{stored: 8, refused: 2, others: 4, finds: 20, age: 2, want: outside}, // 0.5 + 7
		{stored: 12, refused: 2, others: 4, finds: 20, age: 1, want: lasts},  // -1.3 + 7
		{stored: 7, refused: 2, others: 4, finds: 12, none: 1, age: 2, want: outside},
		{stored: 7, refused: 2, others: 4, finds: 12, none: 2, age: 1, want: lasts}, // 2.8 of 11.2 finds are left
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			var peers pace.Peers
			var s pace.Shard
			if c.others > 0 {
				for range max(c.finds, 1) {
					var peer pace.Shard
					peer.Beside(&peers)
					beside(t, &peer, limits(true)) // found at 6 s
				}
				for range c.none {
					var peer pace.Shard
					peer.Beside(&peers)
					trial(t, &peer, limits(true), 0)
					store(&peer, 5, 33, aSize)
				}
			}
			s.Beside(&peers)
			from := 0.0
			if c.others > 0 {
				from = c.others
			}
			trial(t, &s, limits(true), from)
			row := max(c.row, 1)
			store(&s, from+4, c.stored-row, aSize)
			refuse(&s, from+4, c.refused, aSize)
			store(&s, from+4, row-1, aSize)
			store(&s, from+4+c.age, 1, aSize)
			share := s.Share()
			refuse(&s, from+4+c.age, 1, aSize)
			rests := s.Paused(seconds(from + 4 + c.age))
			var got string
			switch {
			case near(share, aTried) && !rests:
				got = lasts
			case share == 1 && !rests:
				got = outside
			case near(share, aTried) && rests:
				got = none
			default:
				t.Fatalf("unexpected share after the trial; got %v, rest %v", share, rests)
			}
			if got != c.want {
				t.Errorf("unexpected end; the trial %s; want that it %s", got, c.want)
			}
		})
	}
}

// A shard begins a trial when it has had bad luck. What its peers have found tells better
// how many throttles to expect.
func TestTrialExpectsWhatPeersHaveFound(t *testing.T) {
	for name, c := range map[string]struct {
		refused int // of 40 in the trial of the peer
		goesOn  bool
	}{
		"less than the shard had": {refused: 12, goesOn: true},
		"more than the shard had": {refused: 30},
	} {
		t.Run(name, func(t *testing.T) {
			var peers pace.Peers
			var peer, s pace.Shard
			peer.Beside(&peers)
			trial(t, &peer, limits(true), 0)
			store(&peer, 4.5, 39-c.refused, aSize)
			refuse(&peer, 4.5, c.refused, aSize)
			store(&peer, 6, 1, aSize)
			s.Beside(&peers)
			trial(t, &s, limits(true), 4)
			store(&s, 8, 21, aSize)
			refuse(&s, 8, 1, aSize)
			store(&s, 9, 1, aSize)
			refuse(&s, 9, 1, aSize)
			if got := s.Paused(seconds(9)); got == c.goesOn {
				t.Errorf("unexpected rest with one of 24 refused; got %t; want a trial that goes on: %t", got, c.goesOn)
			}
		})
	}
}

func TestPeersThatFoundNothingChangeNothing(t *testing.T) {
	for name, peers := range map[string]*pace.Peers{"none": nil, "zero value": {}} {
		t.Run(name, func(t *testing.T) {
			var s pace.Shard
			s.Beside(peers)
			trial(t, &s, limits(true), 0)
			store(&s, 4, 3, aSize)
			refuse(&s, 4, 3, aSize)
			store(&s, 5, 1, aSize)
			if got := s.Share(); !near(got, aTried) {
				t.Errorf("unexpected share with three of seven refused; got %v; want %v, a trial that goes on", got, aTried)
			}
		})
	}
}

func TestRecordsOfBeforeATrialDoNotCountInIt(t *testing.T) {
	for name, learned := range map[string]func(s *pace.Shard){
		"refused": func(s *pace.Shard) { refuse(s, 3.9, 10, 1) },
		"stored":  func(s *pace.Shard) { store(s, 3.9, 30, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			var s pace.Shard
			trial(t, &s, limits(true), 0)
			refuse(&s, 4.1, 1, 1)
			learned(&s)
			store(&s, 5, 1, 1)
			store(&s, 5.1, 1, 1)
			if got := s.Share(); !near(got, aTried) {
				t.Errorf("unexpected share; got %v; want %v: the trial goes on", got, aTried)
			}
		})
	}
}

func TestTrialTriesAPartOfWhatGetsThroughNow(t *testing.T) {
	for _, c := range []struct {
		name                  string
		age                   float64 // of the block that is looked into
		at                    float64 // when records of the block under way come
		stored, refused, size int
		fresh                 bool
	}{
		{name: "less, of three records", age: 1, at: 2, stored: 2, refused: 1, size: 200_000, fresh: true},
		{name: "all of them refused", age: 1, at: 2, refused: 3, size: 500_000, fresh: true},
		{name: "of two records", age: 1, at: 2, stored: 1, refused: 1, size: 200_000},
		{name: "more", age: 1, at: 2, stored: 3, size: 1 << 20},
		{name: "one and a half seconds", age: 2.5, at: 3, stored: 2, refused: 1, size: 100_000, fresh: true},
		{name: "less than a second", age: 3.2, at: 3.3, stored: 4, size: 10_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s pace.Shard
			s.Init(limits(true), 0)
			rate, through := block(&s, 0, c.age, 30, 30, 20_000)
			refuse(&s, c.at, c.refused, c.size)
			store(&s, c.at, c.stored, c.size)
			store(&s, 4, 1, 10_000)
			want := 0.75 * rate * through
			if c.fresh {
				n := float64(c.stored + c.refused)
				sent := (n*float64(c.size) + 10_000) / pace.ShardBytes
				fresh := 0.75 * sent / (4 - c.age) * (float64(c.stored) + 4*through) / (n + 4)
				if fresh > want || fresh < 0.04 {
					t.Fatalf("unexpected case: %v of %v", fresh, want)
				}
				want = fresh
			}
			if got := s.Share(); !near(got, want) {
				t.Errorf("unexpected share in the trial; got %v; want %v", got, want)
			}
		})
	}
}

func TestTrialGoesByTheLastBlock(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	block(&s, 0, 1, 20, 20, 20_000)
	rate, through := block(&s, 1, 1, 30, 20, 10_000)
	store(&s, 4, 1, aSize)
	if got, want := s.Share(), 0.75*rate*through; !near(got, want) {
		t.Errorf("unexpected share in the trial; got %v; want %v", got, want)
	}

	s.Init(limits(true), 0)
	block(&s, 0, 1, 20, 20, 10_000)
	block(&s, 1, 1, 300, 8, 1000)
	before := s.Share()
	store(&s, 4, 1, aSize)
	if got := s.Share(); got != before {
		t.Errorf("unexpected trial when the last block was good; got a share of %v; want %v", got, before)
	}
}

func TestTrialNeverRaisesTheShareNorTriesAlmostNothing(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	rate, through := block(&s, 0, 1, 20, 20, 1200)
	if rate*through >= 0.04 {
		t.Fatalf("unexpected case: %v gets through", rate*through)
	}
	store(&s, 4, 1, 1200)
	if got := s.Share(); !near(got, 0.04) {
		t.Errorf("unexpected share when %v gets through; got %v; want 0.04", rate*through, got)
	}

	store(&s, 8, 1, 1200)
	if got := s.Share(); !near(got, 0.04) {
		t.Errorf("unexpected share when it is our doing; got %v; want 0.04 still", got)
	}

	s.Init(limits(true), 0)
	last := lower(&s, 0)
	before := s.Share()
	block(&s, last, 1, 20, 20, aSize)
	store(&s, 8, 1, 1)
	if got := s.Share(); !near(got, before) || got > 0.04 {
		t.Errorf("unexpected share in a trial; got %v; want %v, as before", got, before)
	}
	store(&s, 12, 1, 1)
	if got := s.Share(); !near(got, before) {
		t.Errorf("unexpected share after the trial; got %v; want %v, as before", got, before)
	}

	var low pace.Shard
	l := limits(true)
	l.Records, l.Bytes = 10, 0.01*pace.ShardBytes
	low.Init(l, 0)
	block(&low, 0, 1, 20, 20, 1200)
	before = low.Share()
	store(&low, 4, 1, 1200)
	if got := low.Share(); got != before || before > 0.01 {
		t.Errorf("unexpected share with a limit of a hundredth; got %v; want %v still", got, before)
	}
}

func TestBlockIsLookedIntoWhenEnoughIsThrottled(t *testing.T) {
	for _, c := range []struct {
		stored, refused, size int
		age                   float64
		want                  bool
	}{
		{stored: 102, refused: 8, size: 300, age: 1}, // 7.2 %, but less than tryLeast of a shard for two seconds and more
		{stored: 87, refused: 8, size: 3000, age: 1, want: true},
		{stored: 13, refused: 7, age: 1}, // the block is not over
		{stored: 12, refused: 8, age: 1, want: true},
		{stored: 12, refused: 8, age: 0.9},
		{stored: 3, refused: 8, age: 1},
		{stored: 4, refused: 8, age: 1, want: true},
		{stored: 24, refused: 4, size: 60_000, age: 10}, // 14 %
		{stored: 20, refused: 4, size: 60_000, age: 10, want: true},
		{stored: 20, refused: 4, size: 60_000, age: 9.9},
		{stored: 9, refused: 3, size: 60_000, age: 10},
		{stored: 38, refused: 7, size: 60_000, age: 10, want: true},
		{stored: 14, refused: 14, size: 700, age: 1}, // 2.8 % of a shard
		{stored: 16, refused: 16, size: 700, age: 1, want: true},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			var s pace.Shard
			s.Init(limits(true), 0)
			if c.size == 0 {
				c.size = aSize
			}
			block(&s, 0, c.age, c.stored, c.refused, c.size)
			before := s.Share()
			store(&s, math.Floor(c.age/4+1)*4, 1, c.size)
			if got := s.Share() < before; got != c.want {
				t.Errorf("unexpected trial; got %v; want %v", got, c.want)
			}
		})
	}
}

func TestBlockThatTakesTooLongSaysNothing(t *testing.T) {
	for _, c := range []struct {
		age  float64
		want bool
	}{{19.9, true}, {20, false}} {
		var s pace.Shard
		s.Init(limits(true), 0)
		refuse(&s, 0, 10, 60_000)
		store(&s, c.age, 1, 60_000) // 11 records: in the second case a new block begins
		store(&s, 21, 1, 60_000)
		before := s.Share()
		store(&s, 24, 1, 60_000)
		if got := s.Share() < before; got != c.want {
			t.Errorf("unexpected trial after ten records refused and one %v s later; got %v; want %v", c.age, got, c.want)
		}
	}
}

func TestTrialsBeginInTheFirstSecondOfFour(t *testing.T) {
	for _, c := range []struct {
		block, at, clock float64
		want             bool
	}{
		{block: 1, at: 2},
		{block: 1, at: 3.9},
		{block: 1, at: 4, want: true},
		{block: 1, at: 4.9, want: true},
		{block: 1, at: 5},
		{block: 1, at: 8.5, want: true},
		{block: 4.1, at: 4.6}, // it is too late for that one
		{block: 4.1, at: 8, want: true},
		{block: 1, at: 2.5, clock: 1.5, want: true},
		{block: 1, at: 2.4, clock: 1.5},
		{block: 1, at: 4, clock: 1.5},
		{block: 3.1, at: 3.6, clock: 1},
	} {
		l := limits(true)
		l.Clock = seconds(c.clock)
		var s pace.Shard
		s.Init(l, 0)
		block(&s, 0, c.block, aStored, aRefused, aSize)
		before := s.Share()
		store(&s, c.at, 1, aSize)
		if got := s.Share() < before; got != c.want {
			t.Errorf("unexpected trial for %+v; got %v", c, got)
		}
	}
}

func TestTrialIsNotFollowedByAnotherInTheSameSecond(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	block(&s, 25, 1, aStored, aRefused, aSize)
	store(&s, 28.9, 3, 1)
	refuse(&s, 28.9, 5, 1)
	store(&s, 32.3, 1, 1)
	if got := s.Share(); got != 1 {
		t.Fatalf("unexpected share; got %v; want 1, as before the throttles", got)
	}
	store(&s, 32.5, 1, 1)
	if got := s.Share(); got != 1 {
		t.Errorf("unexpected share just after; got %v; want 1 until 64 s", got)
	}
}

func TestStreakEndsWithATrial(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	block(&s, 0, 1, aStored, aRefused, aSize)
	refuse(&s, 1.1, 1, 1)
	refuse(&s, 4, 6, 1) // the first begins the trial
	refuse(&s, 6, 1, 1)
	if got := s.Share(); got != 1 {
		t.Fatalf("unexpected share; got %v; want 1", got)
	}
	for _, at := range []float64{6.9, 7.5, 8.1, 8.7} {
		refuse(&s, at, 30, 1)
	}
	before := s.Share()
	store(&s, 8.8, 1, 1)
	if got := s.Share(); got != before || got > 0.3 {
		t.Errorf("unexpected share when a record is stored after two seconds of throttles; got %v; want %v", got, before)
	}
}

func TestShareIsNotCutBelowWhatGetsThroughBeforeATrial(t *testing.T) {
	for _, c := range []struct {
		stored, refused, size int
		least                 float64 // of what got through
	}{{20, 20, aSize, 1}, {20, 20, 1200, 1}, {16, 16, 700, 1}, {14, 14, 700, 0.5}} {
		var s pace.Shard
		s.Init(limits(true), 0)
		rate, through := block(&s, 0, 1, c.stored, c.refused, c.size)
		for i, at := range []float64{1.1, 1.7, 2.3, 3, 3.7, 5.1, 5.8, 6.5, 7.2, 9.1, 9.8} { // not when trials begin
			refuse(&s, at, 1, c.size)
			if i == 4 && c.size == aSize && !near(s.Share(), rate*through) {
				t.Errorf("unexpected share after five cuts; got %v; want %v", s.Share(), rate*through)
			}
		}
		want := c.least * rate * through
		if c.least < 1 {
			want *= math.Exp(-8.0 / 300) // what is known fades
		}
		if got := s.Share(); !near(got, want) {
			t.Errorf("unexpected share when %.4f got through of %.4f; got %.4f; want %.4f", rate*through, rate, got, want)
		}
	}
}

// Where few records were throttled, it takes many to outweigh them.
func TestTrialEndsWithALongRowOfStoredRecords(t *testing.T) {
	for row, ended := range map[int]bool{61: false, 62: true} {
		var s pace.Shard
		s.Init(limits(true), 0)
		block(&s, 0, 1, 90, 10, 5000)
		store(&s, 4, 1, 5000)
		refuse(&s, 4.5, 3, 5000)
		store(&s, 4.6, row-1, 5000)
		store(&s, 5, 1, 5000)
		refuse(&s, 5.1, 1, 5000)
		if got := s.Paused(seconds(5.1)); got != ended {
			t.Errorf("unexpected rest after %d stored in a row; got %v; want %v, the trial has ended", row, got, ended)
		}
	}
}

func TestJamEndsWithATrial(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	block(&s, 0, 1, aStored, aRefused, aSize)
	for at := 1.1; at < 7.9; at += 0.2 {
		if at < 4 || at >= 5 { // a trial would begin
			refuse(&s, at, 1, aSize)
		}
	}
	for i := range 5 {
		store(&s, 8+float64(i)/10, 1, aSize)
	}
	if got := s.Share(); got > aTried {
		t.Errorf("unexpected share in a trial after records were stored; got %v; want %v at most", got, aTried)
	}
}

// SPDX-License-Identifier: Apache-2.0

package pace_test

import (
	"fmt"
	"math"
	"testing"
	"time"

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

// beside has the shard know a background 5 s after its start, with the full share.
func beside(t *testing.T, s *pace.Shard, l *pace.Limits) {
	t.Helper()
	trial(t, s, l, 0)
	store(s, 4.5, 1, aSize)
	refuse(s, 4.5, 5, aSize)
	store(s, 5, 1, aSize)
	if got := s.Share(); got != 1 {
		t.Fatalf("unexpected share with five of seven refused in a trial; got %v; want 1, as before the throttles", got)
	}
}

// besidePart is the background that beside finds: five of seven, and four records of eight tenths
// of what was refused before.
const besidePart = (5 + 4*0.8*(1-aThrough)) / (7 + 4)

func TestTrialEndsWhenItsCauseIsSure(t *testing.T) {
	const lasts, outside, ours, unknown = "goes on", "finds a background", "finds that it is our doing", "finds nothing"
	for _, c := range []struct {
		stored, refused int     // since the trial began
		age             float64 // of the trial
		row             int     // stored after the last refused
		others          float64 // age of what a peer found, 0: nothing
		finds, none     int     // trials of peers that found a background, and that found none; 1 and 0 if it is 0
		want            string
	}{
		{stored: 2, refused: 4, age: 0.9, want: lasts}, // a shard may count by the second
		{stored: 2, refused: 4, age: 1, want: outside},
		{stored: 1, refused: 4, age: 1, want: lasts},   // too few records
		{stored: 4, refused: 3, age: 1, want: lasts},   // not sure
		{stored: 7, refused: 4, age: 1, want: lasts},   // 5.2 of 6
		{stored: 5, refused: 4, age: 1, want: outside}, // 6.06

		{stored: 16, refused: 1, age: 1, want: ours},  // -5.15 of -5
		{stored: 15, refused: 1, age: 1, want: lasts}, // -4.7
		{stored: 20, refused: 2, age: 1, want: lasts}, // -4.9
		{stored: 21, refused: 2, age: 1, want: ours},

		{stored: 1, age: 3.9, want: lasts},
		{stored: 1, age: 4, want: ours},
		{stored: 2, refused: 1, age: 4, want: lasts},
		{stored: 12, refused: 1, row: 11, age: 1, want: ours},
		{stored: 11, refused: 1, row: 10, age: 1, want: lasts},
		{stored: 15, refused: 3, row: 11, age: 1, want: ours}, // whatever was before
		{stored: 20, refused: 2, row: 10, age: 1, want: lasts},

		{stored: 1, refused: 2, age: 14.9, want: lasts},
		{stored: 1, refused: 2, age: 15, want: outside}, // 3.7 of 2
		{stored: 2, refused: 1, age: 15, want: unknown}, // 1.2
		{stored: 6, refused: 1, age: 15, want: unknown},

		// A peer that has found a background just now counts 3, one before a minute a third of that.
		{stored: 4, refused: 3, others: 4, age: 1, want: outside},
		{stored: 5, refused: 3, others: 4, age: 1, want: outside},  // 4.0 + 2.8
		{stored: 5, refused: 3, others: 28, age: 1, want: lasts},   // 4.0 + 1.9
		{stored: 3, refused: 3, others: 28, age: 1, want: outside}, // 4.9 + 1.9
		{stored: 3, refused: 3, others: 36, age: 1, want: outside}, // 4.9 + 1.6
		{stored: 3, refused: 3, others: 48, age: 1, want: outside}, // 4.9 + 1.3
		{stored: 1, refused: 3, others: 4, age: 1, want: lasts},    // too few records
		{stored: 7, refused: 2, others: 4, age: 1, want: lasts},    // 1 + 2.8
		{stored: 16, refused: 1, others: 4, age: 1, want: lasts},   // -5.15 + 2.8
		{stored: 21, refused: 1, others: 4, age: 1, want: lasts},   // -7.4 + 2.8
		{stored: 22, refused: 1, others: 4, age: 1, want: ours},
		{stored: 12, refused: 1, row: 11, others: 4, age: 1, want: lasts},
		{stored: 18, refused: 1, row: 17, others: 4, age: 1, want: ours},
		{stored: 1, others: 4, age: 4, want: lasts},
		{stored: 3, refused: 1, others: 4, age: 15, want: outside}, // 0.7 + 2.1
		{stored: 3, refused: 3, others: 60, age: 1, want: lasts},   // 4.9 + 1.1
		// It is forgotten after two minutes.
		{stored: 3, refused: 3, others: 120, age: 1, want: lasts},
		{stored: 12, refused: 1, others: 120, age: 1, want: lasts}, // -3.3
		{stored: 1, others: 120, age: 4, want: ours},

		// Further finds count a fifth of that each, up to 7.
		{stored: 7, refused: 2, others: 4, finds: 3, age: 1, want: lasts},    // 1 + 4.1
		{stored: 7, refused: 2, others: 4, finds: 6, age: 1, want: outside},  // 1 + 5.8
		{stored: 8, refused: 2, others: 4, finds: 20, age: 1, want: outside}, // 0.5 + 7
		{stored: 12, refused: 2, others: 4, finds: 20, age: 1, want: lasts},  // -1.3 + 7
		{stored: 7, refused: 2, others: 4, finds: 12, none: 1, age: 1, want: outside},
		{stored: 7, refused: 2, others: 4, finds: 12, none: 2, age: 1, want: lasts}, // 2.8 of 11.2 finds are left
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			var peers pace.Peers
			var s pace.Shard
			if c.others > 0 {
				for range max(c.finds, 1) {
					var peer pace.Shard
					peer.Beside(&peers)
					beside(t, &peer, limits(true)) // found at 5 s
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
			before := trial(t, &s, limits(true), from)
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
			case near(share, aRate*aThrough) && rests:
				got = ours
			case near(share, before) && rests:
				got = unknown
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
			store(&peer, 5, 1, aSize)
			s.Beside(&peers)
			trial(t, &s, limits(true), 4)
			store(&s, 8, 21, aSize)
			refuse(&s, 8, 1, aSize)
			store(&s, 9, 1, aSize)
			if got := s.Share(); near(got, aTried) != c.goesOn {
				t.Errorf("unexpected share with one of 24 refused; got %v; want a trial that goes on, %v: %t", got, aTried, c.goesOn)
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
		{stored: 102, refused: 8, size: 3000, age: 1}, // 7.2 %
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
			store(&s, 5, 1, aSize)
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
	store(&s, 33, 1, aSize)
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
		{"almost nothing is throttled", 380, 8, 1000, true, 0}, // 2.06 %
		{"a little", 290, 8, 1000, false, 8},                   // 2.68 %
		{"less than half of it", 20, 8, aSize, false, 8},       // 28 % of 60 %
		{"half of it", 18, 8, aSize, false, 32},                // 30 %
	} {
		t.Run(c.name, func(t *testing.T) {
			var s pace.Shard
			beside(t, &s, limits(true))
			block(&s, 5.5, 1, c.stored, c.refused, c.size)
			if c.stored == 20 {
				refuse(&s, 6.6, 11, aSize)
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
	block(&s, 5, 1, 20, 20, aSize) // as before
	refuse(&s, 6.5, 200, 1)
	before := s.Share()
	store(&s, 6.5, 9000, 1)
	store(&s, 7, 1, 1) // it is gone
	store(&s, 8, 1, 1)
	if got := s.Share(); got != before || before == 1 {
		t.Errorf("unexpected trial without a reason; got a share of %v; want %v", got, before)
	}
	block(&s, 8.1, 1, 40, 40, 3000)
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

func TestUnsureBackgroundIsProvenOnce(t *testing.T) {
	var s pace.Shard
	beside(t, &s, limits(true))
	block(&s, 5.5, 1, 20, 8, aSize)
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

func TestShareReturnsToThatOfBeforeAProof(t *testing.T) {
	for _, full := range []bool{false, true} { // whether a block is complete
		var s pace.Shard
		s.Init(limits(true), 0)
		block(&s, 0, 1, 87, 8, 3000)
		store(&s, 4, 20, 1)
		refuse(&s, 4, 4, 1)
		store(&s, 5, 1, 1)
		refuse(&s, 6, 8, aSize)
		before := s.Share()
		if full {
			store(&s, 6.1, 30, aSize)
		}
		if before == 1 || before != s.Share() {
			t.Fatalf("unexpected share; got %v, %v; want a cut", before, s.Share())
		}
		store(&s, 32, 21, 1)
		if got := s.Share(); got >= before {
			t.Errorf("unexpected share; got %v; want a trial", got)
		}
		refuse(&s, 32, 12, 1)
		store(&s, 33, 1, 1)
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
	rate, through := block(&s, 5, 1, 20, 20, 2*aSize)
	refuse(&s, 6.2, 100, 1)
	refuse(&s, 6.8, 100, 1)
	if got := s.Share(); got >= 0.95*rate*through {
		t.Errorf("unexpected share; got %v; want less than the %v that got through", got, rate*through)
	}
}

func TestStreakEndsWithATrial(t *testing.T) {
	var s pace.Shard
	s.Init(limits(true), 0)
	block(&s, 0, 1, aStored, aRefused, aSize)
	refuse(&s, 1.1, 1, 1)
	refuse(&s, 4, 6, 1) // the first begins the trial
	refuse(&s, 5, 1, 1)
	if got := s.Share(); got != 1 {
		t.Fatalf("unexpected share; got %v; want 1", got)
	}
	for _, at := range []float64{5.9, 6.5, 7.1, 7.7} {
		refuse(&s, at, 30, 1)
	}
	before := s.Share()
	store(&s, 7.8, 1, 1)
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

// find has a trial begin, and find a background.
func find(s *pace.Shard, at float64) {
	store(s, at, 2, 1)
	refuse(s, at, 6, 1)
	store(s, at+1, 1, 1)
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

// Where few records were throttled, it takes many to outweigh them.
func TestTrialEndsWithALongRowOfStoredRecords(t *testing.T) {
	for row, ended := range map[int]bool{32: false, 33: true} {
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

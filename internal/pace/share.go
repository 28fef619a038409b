// SPDX-License-Identifier: Apache-2.0

package pace

import (
	"math"
	"time"
)

// How the share moves. The numbers were chosen with internal/fleetsim;
// docs/scaling.md shows what they do.
const (
	// cutBase and cutSlope make the cut for a throttle: that much of the share,
	// plus that much times the share. So the larger of two shares loses
	// more, which is what brings them together.
	cutBase, cutSlope = 0.03, 0.25
	// cutMost bounds the part of the cut that follows the proportion of
	// throttled records, and prior is how many records stored it is weighed
	// against, because a few throttles say little about a proportion.
	cutMost, prior = 0.5, 8
	// tolerance is the proportion of throttled records that is taken for chance,
	// over memory. Without it a stream of many small records would be slowed
	// down a lot by throttles that hardly matter.
	tolerance = 0.005
	memory    = int64(10 * time.Second)
	// cutEvery is the least time between two cuts, so that the effect of one
	// is seen before the next.
	cutEvery = int64(500 * time.Millisecond)
	// growth is how fast the share grows on its curve, for each cubed second
	// and the root of the share. A third of a shard is back where it was cut
	// after 16 s, a twentieth after 8 s.
	growth = 1.7e-5
	// growthCredit is how much of its time to grow a record brings that is
	// sent. A share so small that it sends less often must not grow unproven.
	growthCredit = 1 // s
	// climb is what the share gains in a second beside a background that is not small. It is the same
	// for all, so that they come together; the curve would take minutes.
	climb = 0.03
	// jamAfter is how long nothing must get through before that is taken for
	// more than a full second of the shard.
	jamAfter = int64(1500 * time.Millisecond)
	// leastShare is always kept: one record and one KiB a second.
	leastShare = 0.001
)

// How a share comes back when nothing is throttled any more.
const (
	// After calm without a throttle, and with calmRecords stored, a share below
	// what it is known to be good for doubles within some doubling. Where few
	// records are throttled, calm is no news before it is longer than usual by
	// calmTimes; no more than calmMost is asked for.
	calm, calmMost = int64(1500 * time.Millisecond), int64(3 * time.Second)
	calmRecords    = 2
	calmTimes      = 2
	doubling       = 0.7 // s
	// clean is the proportion of throttled records below which a share is good.
	clean = 0.05
	// backOff is the part that is kept of what was delivered, or of what the share
	// was thought good for, when the way back ends with a throttle.
	backOff = 0.7
	// A rate once delivered proves a share of backOff times that rate, but no more than
	// deliveredMost if other records were throttled, because the first second
	// finds the shard's own reserve.
	deliveredMost = 0.1
	// goodFor is the time in which what is known of good rates fades to a third. Throttling
	// may last for minutes.
	goodFor = 300 // s
	// A share is not cut below keptPart of what was delivered, up to keptMost,
	// so that it finds out within seconds that the shard is free again. What is
	// delivered to all together is a shard at most, so this cannot overload it.
	keptPart, keptMost = 0.5, 0.04
)

// share is the part of a shard's capacity that the producer allows itself. It
// follows a cubic curve over the time since the last cut, as TCP CUBIC does
// (RFC 9438): steep at first, flat around the last known limit, then steeper
// again, in case the limit is gone. Only what is throttled above a background
// cuts it; see cause.go.
//
// What each record needs comes first, for the sake of the processor's cache.
type share struct {
	cut int64 // when it was last cut
	use *use
	cause
	// Records of those sent since counted, and refused since the last that was stored.
	stored, streak float32
	credit         float32 // seconds that may still count as growth
	ceiling        float32

	row     uint8 // records stored since the last that was refused
	limited bool  // records wait for tokens, so more would be used
	waited  bool  // records of the block did
	rising  bool  // on the way back
	trying  bool  // at a lower rate
	unsure  bool  // the background may be gone
	jammed  bool  // the streak was long, and nothing has been refused since it ended

	now, grown float64

	// now = peak + steep * (grown - flat)^3, with grown in seconds.
	peak, steep, flat float32

	lost   float32 // refused of those sent since counted
	before float32 // the share when the streak began

	// What is known of a producer that sends enough records to form blocks.
	good      float32 // a share that is good
	delivered float32 // the highest rate
	knownAt   int32   // the second in which these two were right; they fade since

	counted, streakAt, refusedAt int64 // streakAt: when it began
}

func (s *share) init(ceiling float64, now int64) {
	ceiling = float64(float32(ceiling)) // or a share at the ceiling was below it
	*s = share{use: s.use, now: ceiling, ceiling: float32(ceiling), cut: now - cutEvery, counted: now, cause: cause{peers: s.peers}}
	s.newBlock(now)
	s.use.periods = periods{until: now} // with the first outcome one begins
}

// pass lets time go by and reports whether the share has changed.
func (s *share) pass(now, d int64) bool {
	if !s.limited {
		return false
	}
	ceiling := float64(s.ceiling)
	if s.now >= ceiling {
		return false
	}
	s.waited = true
	seconds := min(float64(d)/float64(time.Second), float64(s.credit))
	s.credit -= float32(seconds)
	switch {
	case s.trying:
		return false
	case s.hasRecovered(now) && s.now < s.goodShare(now):
		s.now = min(s.now*(1+seconds/doubling), s.goodShare(now))
		s.plateau(s.now, 0)
		s.rising = true
	case s.background >= suspect:
		s.now = min(s.now+climb*seconds, ceiling)
		s.plateau(s.now, 0)
	default:
		s.grown += seconds
		x := s.grown - float64(s.flat)
		s.now = min(max(s.now, float64(s.peak)+float64(s.steep)*x*x*x), ceiling)
	}
	return true
}

// hasRecovered reports whether the shard seems to take everything again.
func (s *share) hasRecovered(now int64) bool {
	d := now - s.refusedAt
	return s.row >= calmRecords && d > calm && (d > calmMost || float32(s.row)*s.usual >= calmTimes)
}

func (s *share) goodShare(now int64) float64 {
	return min(max(float64(s.good), min(deliveredMost, backOff*float64(s.delivered)))*s.fade(now), float64(s.ceiling))
}

// fade is what is left of what was known.
func (s *share) fade(now int64) float64 {
	return math.Exp(float64(s.knownAt-seconds(now)) / goodFor)
}

// learn takes in the rate that a block has sent and the part of it that got through.
func (s *share) learn(at int64, rate, through float64) {
	fade := float32(s.fade(at))
	delivered := rate * through
	s.good, s.delivered, s.knownAt = s.good*fade, max(s.delivered*fade, float32(delivered)), seconds(at)
	if 1-through < clean {
		good := s.now // no record waited: any share up to this one will do
		if s.waited {
			good = backOff * delivered
		}
		s.good = max(s.good, float32(good))
	}
}

// took is told of a record that is sent, and its part of what a shard takes in a
// second.
func (s *share) took(part float64) {
	s.credit = growthCredit
	s.sent += float32(part)
	s.use.periods.sent += float32(part)
}

// confirmed is told of a record that was stored and reports whether the share
// has changed.
func (s *share) confirmed(l *Limits, sent int64) bool {
	changed := s.observe(l, sent, false)
	if sent < s.cut {
		return changed
	}
	s.stored++
	s.streak = 0
	s.row = min(s.row, math.MaxUint8-1) + 1
	if !s.jammed {
		return changed
	}
	// The way back after a jam: twice as much after each record that is stored,
	// up to half of what it was.
	s.now = max(s.now, min(2*s.now, float64(s.before)/2))
	s.jammed = s.now < float64(s.before)/2
	s.plateau(s.now, 0)
	return true
}

// plateau begins a curve that is flat at a peak, and now is below it by drop.
func (s *share) plateau(peak, drop float64) {
	steep := growth * math.Sqrt(peak)
	s.peak, s.steep = float32(peak), float32(steep)
	s.flat, s.grown = float32(math.Cbrt(drop/steep)), 0
}

// restore lifts the share to what it was, and forgets what was throttled meanwhile.
func (s *share) restore(at int64, share float64) {
	s.now = max(s.now, min(share, float64(s.ceiling)))
	s.plateau(s.now, 0)
	s.cut, s.counted, s.stored, s.lost, s.streak = at, at, 0, 0, 0
}

// refused is told of a throttle and reports whether the share has changed.
func (s *share) refused(l *Limits, now, sent int64) bool {
	s.refusedAt, s.row = now, 0
	if s.rising {
		s.good = float32(backOff * max(s.now, float64(s.good)*s.fade(now)))
		s.delivered *= float32(s.fade(now))
		s.rising, s.knownAt = false, seconds(now)
	}
	changed := s.observe(l, sent, true)
	if sent < s.cut || s.trying {
		return changed // it was under way when the share was cut
	}
	if age := now - s.counted; age > memory {
		kept := float32(memory) / float32(age)
		s.stored *= kept
		s.lost *= kept
		s.counted = now - memory
	}
	s.lost++
	if s.streak++; s.streak == 1 {
		s.streakAt = now
		if !s.jammed {
			s.before = float32(s.now)
		}
	}
	tolerated, all := s.tolerated(), float64(s.lost+s.stored)
	expected := tolerated * all
	// Chance makes it twice its standard deviation more now and then.
	if now-s.cut < cutEvery || float64(s.lost) <= expected+tolerance*all+2*math.Sqrt(expected*(1-tolerated)) {
		return changed
	}
	// What came through is what the shard has for us; that is the new peak. No
	// shard takes more than its capacity, whatever the ceiling is.
	lost := (float64(s.lost) - expected) / (1 - tolerated) / (all + prior)
	if now-s.streakAt > jamAfter {
		lost = max(lost, 1-2/float64(s.streak)) // nothing gets through
	}
	s.jammed = now-s.streakAt > 4*jamAfter
	peak := min(s.now, 1) * (1 - min(lost, cutMost))
	drop := peak * (cutBase + cutSlope*peak)
	least := max(leastShare, min(keptMost, keptPart*float64(s.delivered)*s.fade(now)))
	if s.rate >= tryLeast && s.background == 0 { // what got through is low enough until a trial tells the cause
		least = max(least, float64(s.rate*s.through))
	}
	least = max(least, s.least(now))
	s.now = max(peak-drop, min(s.now, least))
	peak = max(peak, s.now)
	s.plateau(peak, peak-s.now)
	s.cut, s.counted, s.stored, s.lost = now, now, 0, 0
	return true
}

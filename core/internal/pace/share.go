// SPDX-License-Identifier: Apache-2.0

package pace

import (
	"math"
	"time"
)

// How the share moves. The numbers were chosen with core/fleetsim;
// docs/scaling.md shows what they do.
const (
	// cutBase and cutSlope make the cut for a throttle: that much of the share,
	// plus that much times the share. So the larger of two shares loses
	// more, which is what brings them together.
	cutBase, cutSlope = 0.03, 0.25
	// cutMost bounds the part of the cut that follows the proportion of
	// throttled records, and doubt is how many records stored it is weighed
	// against, because a few throttles say little about a proportion.
	cutMost, doubt = 0.5, 8
	// tolerance is the proportion of throttled records that is taken for chance,
	// over memory. Without it a stream of many small records would be slowed
	// down a lot by throttles that hardly matter.
	tolerance = 0.005
	memory    = int64(10 * time.Second)
	// cutEvery is the least time between two cuts, so that the effect of one
	// is seen before the next.
	cutEvery = int64(500 * time.Millisecond)
	// growth is how fast the share moves on its curve, for each cubed second
	// and the root of the share. A third of a shard is back where it was cut
	// after 16 s, a twentieth after 8 s.
	growth = 1.7e-5
	// growthCredit is how much of its time to grow a record brings that is
	// sent. A share so small that it sends less often must not grow unproven.
	growthCredit = int64(time.Second)
	// jamAfter is how long nothing must get through before that is taken for
	// more than a full second of the shard.
	jamAfter = int64(1500 * time.Millisecond)
	// leastShare is always kept: one record and one KiB a second.
	leastShare = 0.001
)

// share is the part of a shard's capacity that the producer allows itself. It
// follows a cubic curve over the time since the last cut, as TCP CUBIC does
// (RFC 9438): steep at first, flat around the last known limit, then steeper
// again, in case the limit is gone.
type share struct {
	now     float64
	ceiling float64
	limited bool // records wait for tokens, so more would be used

	// now = peak + steep * (grown - flat)^3, with grown in seconds.
	peak, steep, flat, grown float64
	credit                   int64 // time that may still count as growth

	cut          int64   // when the last cut was made
	stored, lost float64 // records of those sent since
	counted      int64   // since when

	// Records refused since the last that was stored, of those that count.
	streak   float64
	streakAt int64   // when it began
	before   float64 // the share then
	jammed   bool    // it was long, and nothing has been refused since it ended
}

func (s *share) init(ceiling float64, now int64) {
	*s = share{now: ceiling, ceiling: ceiling, cut: now - cutEvery, counted: now}
}

// pass lets time go by and reports whether the share has changed.
func (s *share) pass(d int64) bool {
	if !s.limited || s.now >= s.ceiling {
		return false
	}
	d = min(d, s.credit)
	s.credit -= d
	s.grown += float64(d) / float64(time.Second)
	x := s.grown - s.flat
	s.now = min(max(s.now, s.peak+s.steep*x*x*x), s.ceiling)
	return true
}

// took is told of a record that is sent.
func (s *share) took() { s.credit = growthCredit }

// confirmed is told of a record that was stored and reports whether the share
// has changed.
func (s *share) confirmed(sent int64) bool {
	if sent < s.cut {
		return false
	}
	s.stored++
	s.streak = 0
	if !s.jammed {
		return false
	}
	// The way back after a jam: twice as much after each record that is stored,
	// up to half of what it was.
	s.now = max(s.now, min(2*s.now, s.before/2))
	s.jammed = s.now < s.before/2
	s.plateau(s.now, 0)
	return true
}

// plateau begins a curve that is flat at a peak, and now is below it by drop.
func (s *share) plateau(peak, drop float64) {
	s.peak = peak
	s.steep = growth * math.Sqrt(peak)
	s.flat, s.grown = math.Cbrt(drop/s.steep), 0
}

// refused is told of a throttle and reports whether the share has changed.
func (s *share) refused(now, sent int64) bool {
	if sent < s.cut {
		return false // it was under way when the share was cut
	}
	if age := now - s.counted; age > memory {
		s.stored *= float64(memory) / float64(age)
		s.lost *= float64(memory) / float64(age)
		s.counted = now - memory
	}
	s.lost++
	if s.streak++; s.streak == 1 {
		s.streakAt = now
		if !s.jammed {
			s.before = s.now
		}
	}
	if now-s.cut < cutEvery || s.lost <= tolerance*(s.lost+s.stored) {
		return false
	}
	// What came through is what the shard has for us; that is the new peak. No
	// shard takes more than its capacity, whatever the ceiling is.
	lost := s.lost / (s.lost + s.stored + doubt)
	if s.streak > 2 && now-s.streakAt > jamAfter {
		lost = max(lost, 1-2/s.streak) // nothing gets through
	}
	s.jammed = now-s.streakAt > 4*jamAfter
	peak := min(s.now, 1) * (1 - min(lost, cutMost))
	drop := peak * (cutBase + cutSlope*peak)
	s.plateau(peak, drop)
	s.now = max(peak-drop, min(leastShare, s.ceiling))
	s.cut, s.counted, s.stored, s.lost = now, now, 0, 0
	return true
}

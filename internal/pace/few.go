// SPDX-License-Identifier: Apache-2.0

package pace

import "time"

// What few throttles mean. A proportion that is smaller than suspect is looked into where there
// are enough of them.
const (
	// The last periods of tryEvery on the clock of the wall must have blockLost throttled, and at
	// least fewLeast of their records. What many small records share among themselves stays
	// below that.
	fewLeast = 0.0065
	// Who had wholeLeast of the shard before a throttle has no neighbour that is known, and one cut
	// makes room for one: for wholeTime, or until the throttles of the last periods count for less
	// than noneBelow, it goes no lower than tryPart of that while a smaller part than heavy is throttled.
	wholeLeast, noneBelow = 0.9, 0.75
	wholeTime             = proveEvery
)

// periods counts what few throttles need.
type periods struct {
	// The present one: when it began and ends, the share at first, what was learned, refused
	// and sent. Those before count half as much each.
	from, until                   int64
	share, learned, refused, sent float32
	learnedBefore, refusedBefore  float32

	// The share before the first cut, if it was almost the whole shard, and when that was.
	whole   float32
	wholeAt int64
}

// inPeriod counts the outcome of a record in its period. When one is over that had few throttles,
// but enough of them, it is looked into.
func (s *share) inPeriod(sent, clock int64, refused bool) {
	p := &s.use.periods
	if sent >= p.until {
		s.newPeriod(sent, clock)
	}
	p.learned++
	if refused {
		p.refused++
	}
}

func (s *share) newPeriod(sent, clock int64) {
	p := &s.use.periods
	if sent >= p.until+tryEvery {
		p.learned, p.refused, p.learnedBefore, p.refusedBefore = 0, 0, 0, 0
	}
	p.learnedBefore, p.refusedBefore = p.learnedBefore/2+p.learned, p.refusedBefore/2+p.refused
	if p.refusedBefore < noneBelow {
		p.whole = 0
	}
	few := p.refusedBefore / max(p.learnedBefore, 1)
	if age := p.until - p.from; s.background == 0 && s.rate == 0 && age >= blockTime && p.learned >= blockRecords &&
		p.refusedBefore >= blockLost && few > fewLeast && few < suspect {
		s.rate = p.sent / float32(age) * float32(time.Second)
		s.through, s.former = 1-few, max(s.former, p.share, p.whole)
	}
	p.from, p.until, p.share = sent, sent-(sent+clock)%tryEvery+tryEvery, float32(s.now)
	p.learned, p.refused, p.sent = 0, 0, 0
}

// least returns what the share is not cut below while it is not known what a few throttles mean.
func (s *share) least(now int64) float64 {
	p := &s.use.periods
	switch {
	case s.background > 0 || p.whole > 0 && now-p.wholeAt >= wholeTime:
		p.whole = 0
	case p.whole == 0 && s.now >= wholeLeast:
		p.whole, p.wholeAt = float32(s.now), now
	case p.refusedBefore+p.refused < heavy*(p.learnedBefore+p.learned):
		return tryPart * float64(p.whole)
	}
	return 0
}

// isFew reports whether a small proportion is looked into or known.
func (c *cause) isFew() bool {
	return c.background < suspect && (c.background > 0 || c.through > 1-suspect)
}

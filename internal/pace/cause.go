// SPDX-License-Identifier: Apache-2.0

package pace

import (
	"math"
	"time"
)

// A throttle says something about the rate only if a lower rate has fewer of them.
// The outcomes of records are counted in blocks. When a block has many throttles,
// the producer tries a lower rate. If as much is throttled there, that is the
// background: a writer that does not give way, or throttles that have nothing to
// do with anybody's rate. From then on only what is throttled above the background
// cuts the share.
//
// Many producers of this kind could take each other for background: one of ten
// that slows down changes little. So all slow down at the same moments of the
// clock on the wall, to less than what got through before. Together that is less
// than the shard takes, and what is throttled then is not their doing. If their
// clocks do not agree, they may stay with as many throttles as limiters that do
// not adapt have, or some more.
const (
	// A block lasts for blockTime at least, because a shard may count by the second. It has
	// at least blockRecords, and blockLost of them throttled, or lasts for
	// memory. What takes longer than blockMost says nothing.
	blockTime    = int64(time.Second)
	blockMost    = int64(20 * time.Second)
	blockRecords = 12
	blockLost    = 8
	// suspect is the proportion of throttled records in a block that is looked
	// into; ten producers of full aggregates have 5 % among themselves. At heavy, half of
	// blockLost is enough: where each has two records a second, blockLost takes too long.
	suspect, heavy = 0.08, 0.15
	// tryPart is the part of what got through at which it is tried. With less,
	// trials of few records become long; with more, those who come late disturb. Where few are
	// throttled, little less than now is enough.
	tryPart, tryFew = 0.75, 0.85
	// A block under way with this many records tells better what gets through now than the last
	// one that is complete. That may be of the first second, which uses up the shard's reserve:
	// all together would then try more than the shard takes.
	freshRecords = 3
	// A trial begins within together after a multiple of tryEvery or, if a background is known
	// that is to be proven again, of proveEvery.
	tryEvery, proveEvery = int64(4 * time.Second), int64(32 * time.Second)
	together             = int64(time.Second)
	// Who sends less than tryLeast of a shard cannot tell, and goes by throttles
	// alone: where a thousand agents want a shard, each has one record a
	// minute. Nobody tries less than tryFloor, or a trial of full aggregates would take minutes.
	tryLeast, tryFloor = 0.03, 0.04
	// A trial weighs two cases. If it is our doing, ours of the former proportion is
	// left, by chance and by those who come late; if not, notOurs of it. Each
	// record adds the logarithm of the ratio of its likelihoods until one case is
	// sure enough (the sequential test of Wald). A background needs tryRecords, and tryLong: a
	// producer of this kind that was not throttled takes no part, and needs that time to give way.
	// After tryMost nothing was found out.
	ours, notOurs     = 0.1, 0.8
	sureNot, sureOurs = 6.0, -5.0
	tryRecords        = 6
	tryLong           = int64(2 * time.Second)
	tryMost           = int64(15 * time.Second)
	// A trial also ends as our doing when nothing was refused for tryCalm from its beginning, or
	// when so many records in a row were stored that the other case has but one chance
	// in e^sureRow: the throttling has ended, and few records would take long to outweigh its throttles.
	tryCalm = int64(4 * time.Second)
	sureRow = -5.0
	// A trial has few records. They are mixed with priorRecords of those expected before.
	priorRecords = 4
	// What is tolerated beside a background: small ones threefold; tolerateRoom if
	// that is less, at which producers of this kind together offer a shard that
	// gets 150 % from a KPL another 100 to 140 %; and tolerateMore above large ones.
	tolerateTimes, tolerateRoom, tolerateMore, tolerateMost = 3, 0.65, 0.1, 0.9
	// Below suspect it is tolerateFew times as much: there is hardly a sharper proof, and
	// producers of this kind have as much among themselves. What is looked into below
	// suspect is never found to be more than fewMost.
	tolerateFew, fewMost = 1.5, 0.079
	// A block with a smaller proportion throttled than goneAt or, of the background, goneBelow
	// ends it if it should have had goneLost; one with less than unsureBelow of it has it proven soon.
	goneAt, goneBelow, goneLost, unsureBelow = 0.025, 0.25, 4, 0.5
)

// cause finds out whether what is throttled is the producer's doing.
type cause struct {
	// The present block: when it began, the records stored and refused, and what was
	// sent of what a shard takes in a second.
	blockAt             int64
	kept, refusal, sent float32

	rate       float32 // of the block that is looked into, 0 if there is none
	background float32 // the proportion throttled that is not our doing; 0: none is known

	atFirst float32 // the share when the present block began
	// Of the block that is looked into: the proportion that was stored, and the share to
	// return to if it is not our doing. The latter is the highest since records
	// began to be throttled.
	through, former float32
	lookedAt        int32   // the second in which that block or the last trial ended
	usual           float32 // the proportion throttled in the last block

	peers *Peers // nil if there are none
}

// Peers is what the shards of one stream tell each other: what strikes one of them from
// outside often strikes the others, and each alone may see few records a second. The zero
// value knows nothing. It is not safe for concurrent use.
type Peers struct {
	foundAt    int64   // when one of them last found a background
	finds      float64 // how often one was found, each fading since foundAt; a trial that finds none halves it
	background float64 // what was found, on average
}

// Evidence of others counts peerScore in a trial if one of them has found a background, and
// peerMore for each further find, up to peerMost. It fades over peerTime, and below peerLeast
// it is none.
const (
	peerScore, peerMore, peerMost = 3.0, 0.6, 7.0
	peerLeast                     = 1.0
	peerTime                      = float64(time.Minute)
)

func (p *Peers) fade(at int64) float64 { return math.Exp(float64(p.foundAt-at) / peerTime) }

func (p *Peers) found(at int64, background float64) {
	if p == nil {
		return
	}
	p.finds = p.finds*p.fade(at) + 1
	p.background += (background - p.background) / p.finds
	p.foundAt = at
}

func (p *Peers) refuted() {
	if p != nil {
		p.finds /= 2
	}
}

func (p *Peers) evidence(at int64) float64 {
	if p == nil {
		return 0
	}
	finds := p.finds * p.fade(at)
	score := min(peerScore*min(finds, 1)+peerMore*max(finds-1, 0), peerMost)
	if score < peerLeast {
		return 0
	}
	return score
}

func (s *share) newBlock(at int64) {
	s.blockAt, s.kept, s.refusal, s.sent, s.atFirst, s.waited = at, 0, 0, 0, float32(s.now), false
}

// tolerated returns the proportion of throttled records that does not count.
func (c *cause) tolerated() float64 {
	b := float64(c.background)
	if b < suspect {
		return tolerateFew * b
	}
	return min(tolerateTimes*b, max(tolerateRoom, b+tolerateMore), tolerateMost)
}

// observe counts the outcome of a record in its block and reports whether the
// share has changed.
func (s *share) observe(l *Limits, sent int64, refused bool) bool {
	if sent < s.blockAt {
		return false
	}
	s.inPeriod(sent, l.Clock, refused)
	if s.isTimeToTry(sent+l.Clock, l.Clock) {
		s.try(sent)
		return true
	}
	if refused {
		s.refusal++
	} else {
		s.kept++
	}
	all, age := s.kept+s.refusal, sent-s.blockAt
	switch {
	case age < blockTime:
		return false
	case s.trying:
		return s.weigh(sent, age, all)
	case all >= blockRecords && (s.refusal >= blockLost || age >= memory):
		s.endBlock(sent, age, all)
	case age >= blockMost:
		s.newBlock(sent)
	}
	return false
}

// isTimeToTry reports whether there is something to try, and everybody does it now.
func (s *share) isTimeToTry(wall, clock int64) bool {
	if s.trying || s.rate == 0 && s.background == 0 {
		return false
	}
	every := proveEvery
	if s.background == 0 || s.unsure {
		every = tryEvery
	}
	if wall/every == (int64(s.lookedAt)*int64(time.Second)+clock)/every || wall%every >= together {
		return false
	}
	if s.rate == 0 { // no block since the last trial
		s.rate, s.through, s.former = float32(s.now), float32(1-s.tolerated()), float32(s.now)
	}
	return s.rate >= tryLeast
}

// endBlock draws conclusions from a block outside of trials.
func (s *share) endBlock(at, age int64, all float32) {
	rate := float64(s.sent) / float64(age) * float64(time.Second)
	// Half a record is as much as one block cannot tell.
	lost := 1 - (float64(s.kept)+0.5)/(float64(all)+0.5)
	enough := s.refusal >= blockLost || s.refusal >= blockLost/2 && lost >= heavy
	atFirst := s.atFirst
	former := max(s.former, atFirst, float32(rate))
	s.usual = float32(lost)
	s.learn(at, rate, 1-lost)
	s.newBlock(at)
	switch {
	case s.background > 0 && lost < min(goneAt, goneBelow*float64(s.background)) && all*s.background >= goneLost:
		s.background, s.rate, s.former = 0, 0, 0
	case s.isFew() && s.background > 0 && lost >= suspect && enough: // as if none was known
		s.background, s.rate, s.through, s.former, s.lookedAt = 0, float32(rate), float32(1-lost), max(float32(s.now), atFirst), seconds(at)
	case s.background > 0:
		s.rate, s.through, s.former = float32(rate), float32(1-lost), float32(s.now)
		s.unsure = s.unsure || lost < unsureBelow*float64(s.background)
	case lost < suspect || !enough:
		s.rate = 0
		if lost < suspect {
			s.former = atFirst // the throttling may have begun in this block, and cut the share
		}
	case s.rate == 0:
		s.rate, s.through, s.former, s.lookedAt = float32(rate), float32(1-lost), former, seconds(at)
	default:
		s.rate, s.through = float32(rate), float32(1-lost)
	}
}

// seconds is a time as it is kept where a second is fine enough.
func seconds(at int64) int32 { return int32(at / int64(time.Second)) }

// try slows down.
func (s *share) try(at int64) {
	delivered := float64(s.rate * s.through)
	if age, all := at-s.blockAt, s.kept+s.refusal; age >= blockTime && all >= freshRecords {
		rate := float64(s.sent) / float64(age) * float64(time.Second)
		delivered = min(delivered, rate*float64((s.kept+priorRecords*s.through)/(all+priorRecords)))
	}
	part := tryPart
	if s.isFew() {
		part = tryFew
	}
	s.newBlock(at)
	s.trying, s.jammed = true, false // or each record that is stored doubled the share
	low := max(tryFloor, part*delivered)
	s.now = min(s.now, low)
	s.cut = at
}

// weigh ends a trial as soon as enough is known.
func (s *share) weigh(at, age int64, all float32) bool {
	before := float64(1 - s.through)
	others := s.peers.evidence(at)
	if others > 0 { // this one began its trial because it had bad luck
		before = min(before, s.peers.background/notOurs)
	}
	score := float64(s.refusal)*math.Log(notOurs/ours) + float64(s.kept)*math.Log((1-notOurs*before)/(1-ours*before))
	run := float64(s.row) * math.Log(1-notOurs*before)
	switch {
	case score+others > sureNot && all >= tryRecords && age >= tryLong:
		expected := s.background
		if expected == 0 {
			expected = float32(notOurs * before)
		}
		few := s.isFew() // before it is found
		s.background = (s.refusal + priorRecords*expected) / (all + priorRecords)
		if few {
			s.background = min(s.background, fewMost)
		}
		s.peers.found(at, float64(s.background))
		s.restore(at, float64(s.former))
	case score+others < sureOurs, others == 0 && s.refusal == 0 && age >= tryCalm, run+others < sureRow:
		s.peers.refuted()
		s.goOn(at)
	case age >= tryMost && s.background > 0 && score >= 0:
		s.restore(at, float64(s.former))
	case age >= tryMost:
		s.goOn(at)
	default:
		return false
	}
	s.trying, s.unsure, s.rate, s.use.periods.whole, s.lookedAt = false, false, 0, 0, seconds(at)
	s.newBlock(at)
	return true
}

// goOn ends a trial that found no background. The share stays where the trial has it and grows
// from there to what got through before: others may still be in theirs, and would take for a
// background what all who have ended theirs send at once.
func (s *share) goOn(at int64) {
	s.background, s.usual = 0, 0
	s.restore(at, s.now)
	if peak := min(float64(s.rate*s.through), float64(s.atFirst)); peak > s.now {
		s.plateau(peak, peak-s.now)
	}
}

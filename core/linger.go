// SPDX-License-Identifier: Apache-2.0

package core

import "time"

// LingerAuto is the Linger that the producer finds by itself.
const LingerAuto time.Duration = -1

// WithLinger sets how long an aggregate that is not full waits for more although every
// caller with records under way waits for their outcome. Callers of many small batches, such
// as the workers of a shipper, each have a batch under way and come with the next one when
// it is settled. With partition keys each batch has some records for every shard; without
// a wait each would fill its own aggregates, and hardly any payload unit.
//
// The wait ends as soon as those are there that can be expected: as many callers as there
// lately were at one time, but none whose batch takes much longer than usual. So a lone
// caller never waits, and nobody waits for one whose shard throttles. Flush, Close, Abort
// and PutSync are not waited with, nor is anything while callers wait for room in the buffer.
//
// Default LingerAuto: at most 200 ms, and at most MaxBufferedTime; less each time that nobody
// comes, down to nothing, and more again if callers do; nothing in strict ordering. A time,
// range 1 ms to 1 min, is kept as it is, and may be above MaxBufferedTime; 0 never waits. No
// wait takes more than a quarter of RecordTTL.
func WithLinger(d time.Duration) Option {
	return optionFunc(func(c *config) { c.linger = d })
}

const (
	// maxAutoLinger bounds the wait under LingerAuto.
	maxAutoLinger = 200 * time.Millisecond
	// minAutoLinger is the wait with which LingerAuto begins, and below which a call of
	// Kinesis is never late.
	minAutoLinger = 20 * time.Millisecond
	// leastAutoLinger is the shortest wait; half of it is none.
	leastAutoLinger = 2 * time.Millisecond
	// crowdMemory is how long it is remembered how many batches there were at one time.
	crowdMemory = time.Second
	// enoughFull is how many full aggregates for each that is not make a wait needless.
	enoughFull = 8
)

// lingering is what is known about the callers that come again and again. Open aggregates
// are filled by a wave of batches, which ends when none is left open. A batch is present
// while it is of the present wave, and under way while it is of an earlier one.
type lingering struct {
	off bool

	wave    uint64 // the present one; those of batches count from 1
	present int    // batches of it that are not settled
	full    int    // aggregates that were filled in it
	prompt  bool   // a caller of it must not wait
	since   int64  // when all callers began to wait in it, 0 if they did not yet
	joined  bool   // by others, since then
	arrived int64  // when the last batch came

	left  [earlierWaves]earlierWave // by number of the wave
	ended int64                     // when the last one left
	time  int64                     // how long LingerAuto waits
	trip  int64                     // what a batch takes as a rule, from the end of its wave

	second       int64 // begin of the present second
	seen, before int   // most open batches in it, and in the one before
}

// earlierWaves is how many waves are told apart. Those before them are not waited for.
const earlierWaves = 16

type earlierWave struct {
	at   int64 // when it left
	open int   // its batches that are not settled
}

func newLingering(c *config) lingering {
	return lingering{off: c.linger == 0 || c.linger == LingerAuto && c.ordering == OrderingStrict, wave: 1, time: int64(minAutoLinger), trip: int64(minAutoLinger) / 2}
}

// joinWave makes the batch one of the present wave, as an item of it comes into an open
// aggregate.
func (pl *pipeline) joinWave(b *Batch) {
	l := &pl.linger
	l.leaveWave(b)
	b.wave = l.wave
	l.present++
	l.prompt = l.prompt || b.prompt
	l.joined = l.joined || l.since != 0
	if l.time == 0 && pl.batches.open > 1 && pl.now-l.ended <= l.stuckAfter() {
		// It could have been waited for, as a rule for less than a call takes.
		l.time = min(max(l.trip, int64(minAutoLinger)), int64(maxAutoLinger))
	}
}

// leaveWave takes the batch out of its wave.
func (l *lingering) leaveWave(b *Batch) {
	switch w := &l.left[b.wave%earlierWaves]; {
	case b.wave == 0:
	case b.wave == l.wave:
		l.present--
	case l.wave-b.wave <= earlierWaves:
		w.open--
	}
	b.wave = 0
}

// settleInWave takes out a batch that is settled, and notes what it took; of one that was
// stuck not all, so that those after an outage are not waited for as long.
func (l *lingering) settleInWave(b *Batch, now int64) {
	if b.wave != 0 && b.wave < l.wave && l.wave-b.wave <= earlierWaves {
		took := min(now-l.left[b.wave%earlierWaves].at, 2*l.stuckAfter())
		l.trip += (took - l.trip) / 8
	}
	l.leaveWave(b)
}

// stuckAfter is how long a batch may be under way that is waited for.
func (l *lingering) stuckAfter() int64 { return max(int64(minAutoLinger), 2*l.trip) }

// countCrowd notes how many batches there are at one time.
func (l *lingering) countCrowd(open int, now int64) {
	if age := now - l.second; age >= int64(crowdMemory) {
		l.before = l.seen
		if age >= 2*int64(crowdMemory) {
			l.before = 0
		}
		l.second, l.seen = now, 0
	}
	l.seen = max(l.seen, open)
}

// expected is how many batches there can be at one time.
func (l *lingering) expected(now int64) int {
	switch age := now - l.second; {
	case age >= 2*int64(crowdMemory):
		return 0
	case age >= int64(crowdMemory):
		return l.seen
	}
	return max(l.seen, l.before)
}

// missing is how many batches can still come soon: of callers whose batches are under way,
// and of callers that have none at the moment. Under LingerAuto the latter have to come
// about as soon after an answer as one takes.
func (pl *pipeline) missing() int {
	l := &pl.linger
	n := 0
	if pl.now < pl.awayDue() {
		n = max(0, l.expected(pl.now)-pl.batches.open)
	}
	for _, w := range l.left {
		if w.open > 0 && pl.now-w.at < l.stuckAfter() {
			n += w.open
		}
	}
	return n
}

// awayDue is until when those are waited for that have no batch.
func (pl *pipeline) awayDue() int64 {
	if pl.cfg.linger != LingerAuto {
		return never
	}
	return pl.batches.idleSince + pl.linger.stuckAfter()
}

// lingerTime is how long is waited at most.
func (pl *pipeline) lingerTime() int64 {
	d := int64(pl.cfg.linger)
	if pl.cfg.linger == LingerAuto {
		d = pl.linger.time
	}
	if ttl := int64(pl.cfg.recordTTL); ttl > 0 {
		d = min(d, ttl/4)
	}
	return d
}

// lingers reports whether the open aggregates wait for more although every caller waits.
func (pl *pipeline) lingers() bool {
	l, o := &pl.linger, &pl.aggregates.open
	if l.off || l.prompt || pl.closing || pl.callers.blocked > 0 || pl.callers.flushing > 0 || l.full >= enoughFull*o.shards {
		return false
	}
	d := pl.lingerTime()
	if l.since != 0 {
		d += l.since - pl.now
	}
	return d > 0 && pl.missing() > 0
}

// overridesDeadlines reports whether the end of the wait counts, in place of the deadlines of
// aggregates.
func (pl *pipeline) overridesDeadlines() bool {
	if pl.allWait() {
		return pl.lingers()
	}
	return pl.now < pl.newcomerDue()
}

// newcomerDue is until when a caller that has joined a wave that lingers may be on its way
// to wait as the others do: until its own records are due. Otherwise the aggregates of the
// others, whose deadlines are over, would leave before its records are in them.
func (pl *pipeline) newcomerDue() int64 {
	l := &pl.linger
	if l.off || l.since == 0 || l.prompt || pl.closing || pl.callers.blocked > 0 || pl.callers.flushing > 0 {
		return 0
	}
	return min(l.arrived+pl.bufferedNanos, l.since+pl.lingerTime())
}

// lingerDue returns when to look again whether to wait on.
func (pl *pipeline) lingerDue() int64 {
	l := &pl.linger
	at := l.since + pl.lingerTime()
	if due := pl.awayDue(); due > pl.now {
		at = min(at, due)
	}
	for _, w := range l.left {
		if w.open > 0 && pl.now-w.at < l.stuckAfter() {
			at = min(at, w.at+l.stuckAfter())
		}
	}
	for age := int64(crowdMemory); age <= 2*int64(crowdMemory); age += int64(crowdMemory) {
		if end := l.second + age; end > pl.now {
			at = min(at, end)
		}
	}
	return at
}

// endWave begins a new wave if no aggregate is left open.
func (pl *pipeline) endWave() {
	l := &pl.linger
	if l.off || l.present == 0 || pl.aggregates.open.head != nil {
		return
	}
	if away := l.expected(pl.now) > pl.batches.open; l.since != 0 && pl.cfg.linger == LingerAuto {
		switch {
		case l.joined:
			l.time = min(2*l.time, int64(maxAutoLinger))
		case away || pl.missing() > 0:
			if l.time /= 2; l.time < int64(leastAutoLinger) {
				l.time = 0
			}
		}
		if away {
			l.seen, l.before = pl.batches.open, 0 // they do not come
		}
	}
	l.left[l.wave%earlierWaves] = earlierWave{at: pl.now, open: l.present}
	l.wave++
	l.ended, l.present, l.full, l.prompt, l.since, l.joined = pl.now, 0, 0, false, 0, false
}

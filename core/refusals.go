// SPDX-License-Identifier: Apache-2.0

package core

import (
	"slices"
	"time"

	"github.com/outkpl/outkpl/aggregation"
)

// A call that is refused as a whole (actBisect) says that a record is not acceptable, or
// that the stream or something on the way to it takes nothing at all. Only other
// records show which. So:
//
//   - While nothing that was sent after the last refusal has passed, the stream is on
//     probation: one call at a time is sent, and after searchCalls refusals in a row the calls
//     wait for a backoff. An outage that looks like a refusal meets no storm.
//   - A refused call is halved. A user record that is refused in a call of its own becomes a suspect: it
//     waits, and is sent again in a call of its own.
//   - A refusal counts against the records of the call if a call that began after their
//     last refusal has passed before. After some that count, the suspect itself is at
//     fault and fails for good. That it passes acquits it.
//   - In strict ordering a suspect leaves its queue, and only records with the same key wait
//     behind it.
//   - If a suspect is all that a stream has for loneTime, or such suspects that something
//     speaks against, nothing can be proved. They fail with ReasonRefusedAlone then, and
//     the receiver decides.
//
// Calls are ordered by their numbers, not by a clock: what began after an answer was
// worked in has a higher number than any call before.
type refusals struct {
	passed   uint64 // number of the latest call of which something was stored
	passedAt int64
	refused  uint64 // number of the latest call that was refused
	inRow    int    // refusals since a call passed that was made later
	searches int    // given up in a row; see giveUp
	probeAt  int64  // on probation: when the next call may be sent
	turn     int    // whose turn it is on probation

	suspects map[*item]*suspect // by user record, as long as it is not settled
	waiting  []*suspect         // those that are not under way
	due      int64              // when the first of them is
	// Since loneSince nothing has passed, and nothing was refused but one record (lone),
	// and suspects that have been refused while others passed.
	lone      *item
	loneSince int64
	acquitted int64 // when a suspect was last stored, 0 if none was

	// Strict ordering: what waits behind a suspect, by key, and what does not any more.
	aside     map[aggregation.HashKey]*suspect
	released  []*item
	readyNext bool // an aggregate was taken to pieces, which come first

	size sizeLimit
}

// proof is what speaks against the records of a call.
type proof struct {
	mark    uint64 // the number of calls begun when they were last refused, about; 0 if they were not
	strikes int    // how often they were refused after a call that began later had passed
}

const (
	// searchCalls bounds the calls in a row that look for the record at fault without a pause. To
	// halve 500 records takes 9, and as much again for the records of an aggregate.
	searchCalls = 32
	// strikesNeeded is how many refusals convict a suspect, flakyStrikes how many where
	// one was acquitted within flakyTime.
	strikesNeeded = 2
	flakyStrikes  = 8
	flakyTime     = 10 * time.Minute
	// leastSuspicion is the least time from the first refusal of a suspect to its end, so
	// that what comes and goes in between acquits others.
	leastSuspicion = time.Second
	// loneTime is how long a suspect waits for another record of its stream.
	loneTime = time.Minute
	// takenLately is how long ago a stream may have taken its last record, for a suspect
	// to fail that was the only one all the time.
	takenLately = time.Hour
	// maxSuspectWait bounds the wait between two calls with a suspect.
	maxSuspectWait = 5 * time.Second
)

// onProbation reports whether nothing has passed since the last refusal.
func (r *refusals) onProbation() bool { return r.refused > r.passed }

// requestsPaused reports whether no call may be started, because of probation.
func (pl *pipeline) requestsPaused() bool {
	return pl.refusals.onProbation() && (pl.collector.inFlight > 0 || pl.now < pl.refusals.probeAt)
}

// noteRefusedCall is called for a call that was refused as a whole, or in each of its entries.
func (pl *pipeline) noteRefusedCall(req *request, v classification) {
	r := &pl.refusals
	r.refused = max(r.refused, req.number)
	var it *item
	if len(req.records) == 1 && !req.records[0].wrapped {
		it = req.records[0].items[0]
	}
	r.inRow++
	s := r.suspects[it]
	if s == nil || it != r.lone && s.proof.strikes == 0 {
		r.lone, r.loneSince = it, pl.now
		// What is refused again and again by itself does not delay the others.
		if r.inRow > searchCalls {
			r.probeAt = pl.now + pl.suspectBackoff(r.inRow-searchCalls)
			pl.noteDegraded(v)
		}
	}
	since := pl.stats.Requests
	if v.reason == ReasonTooLarge {
		since = req.number // what has passed beside it says enough
	}
	req.proof.countRefusal(r.passed, since)
	pl.recheckRecordLimit(req.records)
	if v.reason == ReasonTooLarge {
		r.size.learnRefused(req.requestWireBytes())
		pl.limitAggregates()
	}
}

// countRefusal counts a refusal. passed is the number of the latest call that passed; calls
// with a number above since may count against the records at the next refusal.
func (p *proof) countRefusal(passed, since uint64) {
	switch {
	case p.mark == 0:
		p.mark = since
	case passed > p.mark:
		p.strikes++
		p.mark = since
	}
}

// notePassedCall is called for a call of which at least one record was stored.
func (pl *pipeline) notePassedCall(number uint64, wireBytes int) {
	r := &pl.refusals
	probation := r.onProbation()
	r.passed, r.passedAt, r.lone, r.loneSince = max(r.passed, number), pl.now, nil, pl.now
	if probation && !r.onProbation() {
		r.inRow, r.searches, r.probeAt = 0, 0, 0
		for _, s := range r.waiting {
			s.due = min(s.due, pl.now+pl.suspectBackoff(1+s.proof.strikes))
		}
		r.findSuspect()
	}
	if r.size.least != 0 {
		pl.learnSize(wireBytes)
	}
}

// nextRequest takes one of the requests that wait. On probation it is the last one, the
// smallest part of the call that was refused last, until a suspect is found; then the
// first and the last take turns.
func (pl *pipeline) nextRequest() *request {
	c := &pl.collector
	i := 0
	if pl.refusals.onProbation() && (len(pl.refusals.waiting) == 0 || pl.refusals.turn%2 == 0) {
		i = len(c.requests) - 1
	}
	req := c.requests[i]
	c.requests = slices.Delete(c.requests, i, i+1)
	if limit := pl.refusals.size.requestLimit(); limit != 0 && len(req.records) > 1 && req.requestWireBytes() > limit {
		pl.cutRequest(req, limit)
	}
	return req
}

// freshTurn reports whether a call with records that were never refused is to go before
// those that were: if there is a suspect, it is they that can prove something.
func (pl *pipeline) freshTurn() bool {
	r := &pl.refusals
	if !r.onProbation() || len(pl.collector.ready) == 0 {
		return false
	}
	if r.readyNext || len(r.waiting) == 0 {
		next := r.readyNext
		r.readyNext = false
		return next
	}
	r.turn++
	return r.turn%3 == 1
}

// everStored reports whether Kinesis has taken at least one record.
func (pl *pipeline) everStored() bool { return pl.stats.KinesisRecords > 0 }

// giveUp ends the search in a stream that has never taken anything, once all has been
// tried or searchCalls calls were refused: then the configuration is the likely cause, and
// the caller should know. The records are not at fault.
func (pl *pipeline) giveUp(v classification) {
	c, r := &pl.collector, &pl.refusals
	if pl.everStored() || len(r.waiting) == 0 && len(c.requests) == 0 || r.inRow < searchCalls && (pl.underWayUntried() || pl.aggregates.open.head != nil) {
		return
	}
	v.action, v.reason = actFail, ReasonRefused
	pl.noteDegraded(v)
	var list []*kinesisRecord
	if pl.cfg.ordering == OrderingStrict && r.inRow >= searchCalls {
		list = pl.pullQueued(func(*kinesisRecord) bool { return true }) // the rest of the aggregates
	}
	r.searches++
	r.inRow, r.probeAt = 0, pl.now+pl.suspectBackoff(r.searches)
	for _, s := range r.waiting {
		list = append(list, s.kr)
		s.kr = nil
	}
	for _, req := range c.requests {
		list = append(list, req.records...)
		req.releaseRequest()
	}
	r.waiting, c.requests = nil, nil
	err := pl.recordError(v)
	for _, kr := range list {
		for _, it := range kr.items {
			pl.settle(it, err)
		}
		pl.recycle(kr)
	}
}

// expireRefused takes what has expired out of the suspects and, in strict ordering, out of
// the collector, where it waits only on probation.
func (pl *pipeline) expireRefused() (late []*kinesisRecord) {
	r := &pl.refusals
	if pl.cfg.ordering == OrderingStrict {
		late = pl.pullReady(pl.hasExpired)
	}
	r.waiting = slices.DeleteFunc(r.waiting, func(s *suspect) bool {
		if !pl.hasExpired(s.kr) {
			return false
		}
		late = append(late, s.kr)
		s.kr = nil
		return true
	})
	r.findSuspect()
	for _, s := range r.aside {
		s.behind = slices.DeleteFunc(s.behind, func(it *item) bool {
			if e := it.batch.expires; e == 0 || pl.now <= e {
				return false
			}
			pl.expireItem(it)
			return true
		})
	}
	return late
}

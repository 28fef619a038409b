// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/internal/pace"
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

// suspect is a user record that was refused in a call of its own.
type suspect struct {
	it    *item
	kr    *kinesisRecord // while it waits
	proof proof
	since int64
	alone int   // how often it was refused in a call of its own
	due   int64 // when it is sent again

	behind []*item // strict ordering: records with the same key
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
	if len(req.records) == 1 && len(req.records[0].items) == 1 {
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

// suspectBackoff is backoff with a bound of its own: retries that are meant to be fast
// would be a storm here.
func (pl *pipeline) suspectBackoff(n int) int64 {
	shortest := pl.cfg.retryBackoffMin
	return pace.Backoff(shortest, max(shortest, maxSuspectWait), n, rand.Float64())
}

// notePassedCall is called for a call of which at least one record was stored.
func (pl *pipeline) notePassedCall(req *request) {
	r := &pl.refusals
	probation := r.onProbation()
	r.passed, r.passedAt, r.lone, r.loneSince = max(r.passed, req.number), pl.now, nil, pl.now
	if probation && !r.onProbation() {
		r.inRow, r.searches, r.probeAt = 0, 0, 0
		for _, s := range r.waiting {
			s.due = min(s.due, pl.now+pl.suspectBackoff(1+s.proof.strikes))
		}
		r.findSuspect()
	}
	if r.size.least != 0 {
		pl.learnSize(req.requestWireBytes())
	}
}

// bisect sends the records of a refused call again, in two calls. They are put last,
// from where a search takes the next one.
func (pl *pipeline) bisect(req *request, v classification, a Attempt) {
	half := len(req.records) / 2
	if v.reason == ReasonTooLarge {
		half = req.halfOfBytes()
	}
	for _, part := range [][]*kinesisRecord{req.records[:half], req.records[half:]} {
		next := pl.newRequest()
		next.proof = req.proof
		for _, kr := range part {
			pl.noteAttempts(kr, v, a)
			next.records = append(next.records, kr)
			next.bytes += kr.size
		}
		pl.collector.requests = append(pl.collector.requests, next)
	}
}

// splitAggregate sends the user records of a refused aggregate again, one by one or, if it was
// too large, in two aggregates. They are in the range of its shard, whose tokens are reserved.
func (pl *pipeline) splitAggregate(kr *kinesisRecord, v classification) {
	size := 1
	if strict := pl.cfg.ordering == OrderingStrict; v.reason == ReasonTooLarge && (!strict || pl.aggregates.maxBytes < kr.size) {
		size = (len(kr.items) + 1) / 2 // in strict ordering, the aggregator makes smaller ones
	}
	if size == 1 {
		for _, it := range kr.items {
			it.flags |= itemAlone
		}
	}
	if pl.cfg.ordering == OrderingStrict {
		pl.refusals.readyNext = true
		pl.disaggregate(kr)
		return
	}
	list := kr.items
	for len(list) > 0 {
		req := pl.newRequest()
		for len(list) > 0 && len(req.records) < pl.cfg.collectionMaxCount && (size == 1 || len(req.records) == 0) {
			part := pl.newRecord()
			part.shard, part.unkeyedHash, part.hasUnkeyedHash, part.deadline = kr.shard, kr.unkeyedHash, kr.hasUnkeyedHash, pl.now
			for _, it := range list[:min(size, len(list))] {
				part.addItem(it)
			}
			list = list[min(size, len(list)):]
			if len(req.records) > 0 && req.bytes+part.size > pl.cfg.collectionMaxBytes {
				pl.collector.requests = append(pl.collector.requests, req)
				req = pl.newRequest()
			}
			req.records = append(req.records, part)
			req.bytes += part.size
		}
		pl.collector.requests = append(pl.collector.requests, req)
	}
	pl.recycle(kr)
}

// refusedAlone decides about a user record that was refused in a Kinesis record of its
// own.
func (pl *pipeline) refusedAlone(kr *kinesisRecord, p proof, v classification, a Attempt) {
	r := &pl.refusals
	it := kr.items[0]
	s := r.suspects[it]
	if s == nil {
		s = &suspect{it: it, since: pl.now}
		if r.suspects == nil {
			r.suspects = map[*item]*suspect{}
		}
		r.suspects[it] = s
		// What it was refused with may have been at fault until now.
		p.strikes = min(p.strikes, strikesNeeded-1)
	}
	p.strikes = max(p.strikes, s.proof.strikes)
	s.proof = p
	s.alone++
	switch {
	case v.reason != ReasonNone && p.strikes >= pl.strikesNeeded(kr, v) && pl.now-s.since >= int64(leastSuspicion):
		pl.failCulprit(kr, v, a)
		return
	case v.reason != ReasonNone && (r.lone == it || p.strikes > 0) && pl.now-r.loneSince >= int64(loneTime) &&
		pl.everStored() && pl.now-r.passedAt < int64(takenLately):
		v.action, v.reason = actFail, ReasonRefusedAlone
		v.message += "; nothing else was sent to the stream meanwhile that could show whether the record is at fault"
		pl.noteDegraded(v)
		pl.failRecord(kr, v, a)
		return
	}
	pl.noteDegraded(v)
	pl.noteAttempts(kr, v, a)
	s.kr = kr
	s.due = notAfterExpiry(kr, pl.now+pl.suspectBackoff(s.alone))
	r.waiting = append(r.waiting, s)
	r.findSuspect()
	if pl.cfg.ordering == OrderingStrict {
		pl.isolateSuspect(s)
	}
}

// isolateSuspect takes a suspect out of its queue, so that it delays only what has the
// same key.
func (pl *pipeline) isolateSuspect(s *suspect) {
	r := &pl.refusals
	pl.freeShard(s.kr)
	s.kr.shard = nil
	if s.it.has(itemUnkeyed) || r.aside[s.it.hash] == s {
		return
	}
	if r.aside == nil {
		r.aside = map[aggregation.HashKey]*suspect{}
	}
	r.aside[s.it.hash] = s
	from := pl.ordering.sole
	if m := pl.shardMap.Load(); m != nil {
		from = m.lookupShard(s.it.hash)
	}
	var rest []*item
	for _, kr := range pl.withdraw(func(kr *kinesisRecord) bool { return kr.shard == from && from != nil && from.busy != kr }) {
		rest = append(rest, kr.items...)
		pl.recycle(kr)
	}
	pl.requeueAtHead(rest, 0)
}

// waitBehindSuspect keeps a record that has to wait for a suspect with the same key.
func (r *refusals) waitBehindSuspect(it *item) bool {
	s := r.aside[it.hash]
	if s == nil || s.it == it || it.has(itemUnkeyed) {
		return false
	}
	s.behind = append(s.behind, it)
	return true
}

// releaseBehind sends on the records whose suspects are settled.
func (pl *pipeline) releaseBehind() {
	list := pl.refusals.released
	pl.refusals.released = nil
	pl.requeueAtHead(list, 0)
}

// strikesNeeded returns how many strikes convict. Where refusals come and go, it takes more;
// where smaller requests pass, it is the size.
func (pl *pipeline) strikesNeeded(kr *kinesisRecord, v classification) int {
	r := &pl.refusals
	switch {
	case r.acquitted != 0 && pl.now-r.acquitted < int64(flakyTime):
		return flakyStrikes
	case v.reason == ReasonTooLarge && r.size.most != 0 && kr.wireBytesAlone() > r.size.most:
		return 1
	}
	return strikesNeeded
}

// failCulprit fails a user record that is at fault.
func (pl *pipeline) failCulprit(kr *kinesisRecord, v classification, a Attempt) {
	v.action = actFail
	if v.reason == ReasonTooLarge {
		v.message = fmt.Sprintf("%s; data plus partition key have %d bytes, about %d as a request; the largest request that passed had about %d",
			v.message, kr.size, kr.wireBytesAlone(), pl.refusals.size.most)
	}
	pl.noteDegraded(v)
	pl.failRecord(kr, v, a)
}

// settledSuspect is called when a user record that may be a suspect is settled.
func (pl *pipeline) settledSuspect(it *item, err *RecordError) {
	r := &pl.refusals
	s := r.suspects[it]
	if s != nil && err == nil {
		r.acquitted = max(pl.now, 1)
	}
	delete(r.suspects, it)
	if s != nil && r.aside[it.hash] == s {
		delete(r.aside, it.hash)
		r.released = append(r.released, s.behind...)
	}
	if r.lone == it {
		r.lone = nil // the memory of a record may be that of another one later
	}
}

// findSuspect works out when the first waiting suspect is due.
func (r *refusals) findSuspect() {
	r.due = never
	for _, s := range r.waiting {
		r.due = min(r.due, s.due)
	}
}

// suspectsDue sends suspects again, each in a call of its own, so that their next refusal
// hits nobody else.
func (pl *pipeline) suspectsDue() {
	r := &pl.refusals
	if len(r.waiting) == 0 || r.due > pl.now {
		return
	}
	var late []*kinesisRecord
	r.waiting = slices.DeleteFunc(r.waiting, func(s *suspect) bool {
		switch {
		case s.due > pl.now:
			return false
		case pl.hasExpired(s.kr):
			late = append(late, s.kr)
		case !pl.retries.budget.spendRetry(pl.now, s.kr.size, pl.cfg):
			s.due = max(pl.now+1, pl.retries.budget.nextRetryDue())
			return false
		default:
			req := pl.newRequest()
			req.records, req.bytes, req.proof = append(req.records, s.kr), s.kr.size, s.proof
			pl.collector.requests = append(pl.collector.requests, req)
		}
		s.kr = nil
		return true
	})
	r.findSuspect()
	for _, kr := range late {
		pl.disaggregate(kr)
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

// cutRequest leaves as many records in a request as pass; the rest is another one.
func (pl *pipeline) cutRequest(req *request, limit int) {
	n, wire := 0, wireFrame
	for _, kr := range req.records {
		if wire += kr.wireBytesInRequest(); n > 0 && wire > limit {
			break
		}
		n++
	}
	rest := pl.newRequest()
	rest.proof = req.proof
	rest.records = append(rest.records, req.records[n:]...)
	clear(req.records[n:])
	req.records = req.records[:n]
	for _, kr := range rest.records {
		rest.bytes += kr.size
		req.bytes -= kr.size
	}
	pl.collector.requests = slices.Insert(pl.collector.requests, 0, rest)
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

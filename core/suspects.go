// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/internal/pace"
)

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

// suspectBackoff is backoff with a bound of its own: retries that are meant to be fast
// would be a storm here.
func (pl *pipeline) suspectBackoff(n int) int64 {
	shortest := pl.cfg.retryBackoffMin
	return pace.Backoff(shortest, max(shortest, maxSuspectWait), n, rand.Float64())
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
	switch size := it.sizeAlone(); {
	case size > pl.meta.maxRecordBytes:
		v.reason, v.message = ReasonTooLarge, pl.aboveLimit(size).Detail
		v.action = actFail
		pl.noteDegraded(v)
		pl.failRecord(kr, v, a)
		return
	case v.recordLimit > 0 && size > v.recordLimit:
		// Kinesis says which record it is, and why. That may be old for a moment.
		v.reason = ReasonTooLarge
		v.message += fmt.Sprintf("; data plus partition key have %d bytes", size)
		p.strikes = max(p.strikes, s.alone)
	case v.reason == ReasonTooLarge && r.size.most != 0 && kr.wireBytesAlone() > r.size.most:
		// Smaller requests have passed: nothing else has to pass meanwhile to tell.
		p.strikes = max(p.strikes, s.alone-1)
	}
	s.proof.strikes = p.strikes
	switch {
	case v.reason != ReasonNone && p.strikes >= pl.strikesNeeded(kr, v) && pl.now-s.since >= int64(leastSuspicion) && !pl.mayBeAboveLimit(kr, v, s.since):
		if v.reason == ReasonTooLarge && v.recordLimit > 0 {
			pl.lowerRecordLimit(v.recordLimit)
		}
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
	if v.reason == ReasonTooLarge && v.recordLimit == 0 {
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
		case pl.hasExpired(s.kr), s.it.sizeAlone() > pl.meta.maxRecordBytes:
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

// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/internal/plural"
)

// Codes of attempts that no answer of Kinesis stands for; the KPL's names.
const (
	codeWrongShard    = "Wrong Shard"
	codeExpired       = "Expired"
	codeCountMismatch = "Record Count Mismatch"
)

// respond works the outcome of a call into the records it carried. Called with
// the lock held; the request must not be used afterwards.
func (pl *pipeline) respond(req *request, out *kinesis.PutRecordsOutput, err error, start, end time.Time) {
	if err != nil && pl.ctx.Err() != nil {
		return // Close gave up on the call and settles the records
	}
	base := &Attempt{Start: start, End: end}
	for _, kr := range req.records {
		pl.refundTokens(kr)
	}
	pl.metrics.observeCall(req, *base)
	switch {
	case err != nil:
		pl.requestFailed(req, classifyRequest(err), *base)
	case out == nil || len(out.Records) != len(req.records):
		if out == nil {
			out = &kinesis.PutRecordsOutput{}
		}
		v := classification{
			action: actFail, reason: ReasonCountMismatch, code: codeCountMismatch, uncertain: true,
			message: fmt.Sprintf("sent %s, got %s", plural.Count(len(req.records), "record"), plural.Count(len(out.Records), "result")),
		}
		pl.stats.RequestErrors++
		pl.metrics.observeFailed(v.code)
		pl.noteDegraded(v)
		for _, kr := range req.records {
			if pl.verifyRecord(kr, v, *base) {
				continue
			}
			pl.countUncertain(kr) // if the caller submits the records again
			pl.failRecord(kr, v, *base)
		}
	default:
		// From the last to the first, so that throttled records of a shard
		// return to the head of its queue in their order.
		worst, throttled := classification{}, classification{}
		before := pl.stats.KinesisRecords
		sent := 0
		if pl.refusals.size.least != 0 {
			sent = req.requestWireBytes() // before its records are used again
		}
		var stored []attemptNode // in one piece of memory, as the texts of the answer are
		if !pl.cfg.places {
			stored = req.nodes // others keep them
		}
		for i := len(req.records) - 1; i >= 0; i-- {
			kr, e := req.records[i], &out.Records[i]
			if aws.ToString(e.SequenceNumber) != "" {
				if cap(stored) == len(stored) {
					stored = make([]attemptNode, 0, i+1)
				}
				id := aws.ToString(e.ShardId)
				if kr.shard != nil && id == kr.shard.id {
					id = kr.shard.id // so that it is not compared byte by byte again
				}
				stored = append(stored, attemptNode{Attempt: base, shardID: id, sequenceNumber: *e.SequenceNumber})
				pl.recordStored(kr, &stored[len(stored)-1])
				continue
			}
			v := classifyEntry(aws.ToString(e.ErrorCode), aws.ToString(e.ErrorMessage))
			if v.action != actThrottle {
				worst = v
			} else if kr.shard == nil || pl.meta.auto {
				throttled = v
			}
			pl.recordRefused(kr, v, *base, req, out)
		}
		if !pl.cfg.places {
			pl.metrics.observeEnds() // which still looks at them
			pl.link = attemptLink{}
			req.nodes = stored
		}
		if pl.stats.KinesisRecords > before {
			pl.notePassedCall(req.number, sent)
		} else if worst.action == actBisect {
			pl.giveUp(worst)
		}
		switch {
		case worst.code != "":
			pl.noteDegraded(worst)
		case throttled.code != "" && pl.stats.KinesisRecords == before:
			pl.noteDegraded(throttled) // no shard is known that could tell of its capacity
		default:
			pl.noteRecovered()
		}
	}
	req.releaseRequest()
}

// recordStored handles a record that Kinesis has taken, in whatever shard.
func (pl *pipeline) recordStored(kr *kinesisRecord, a *attemptNode) {
	pl.stats.KinesisRecords++
	pl.stats.KinesisBytes += uint64(kr.size)
	pl.retries.budget.earnRetry(len(pl.retries.waiting))
	units := payloadUnits(kr.size)
	pl.stats.PutPayloadUnits += uint64(units)
	pl.stats.PutPayloadUnitsSaved += uint64(kr.aloneUnits - units)
	pl.metrics.observeStored(kr, units)
	if pl.shardMap.Load() == nil && pl.listing.unanswered && !pl.listing.active {
		pl.listing.due = pl.now // the network is back
	}
	sh := kr.shard
	foreign := pl.isForeignAnswer(kr, a)
	contradiction := !foreign && pl.placementMismatch(kr, a)
	if pl.cfg.verify && !foreign {
		if actual := pl.answeringShard(kr, a); actual != nil {
			pl.noteConfirmed(actual, a.sequenceNumber)
		}
	}
	if sh == nil || sh.id == "" || sh.id == a.shardID && sh.current && !foreign {
		if sh != nil {
			sh.pace.Stored(pl.clockAt(a.Start))
			sh.stored++
			sh.storedBytes += uint64(kr.size)
		}
		pl.confirmRecord(kr, a)
		return
	}
	pl.refreshIfOlder(sh, pl.clockAt(a.Start))
	if !kr.wrapped {
		// A user record that is not wrapped is where its hash key led it. Consumers take it
		// as it is; to resend it would only double it.
		pl.confirmRecord(kr, a)
		return
	}
	if r, known := pl.rangeOf(*a); known && !contradiction {
		pl.reconcile(kr, *a, r)
		return
	}
	// Either the shard is younger than the map, or the map is that of another stream
	// of the same name. In the second case only a map fetched from now on will do.
	pl.parkUnresolved(kr, *a, foreign || contradiction)
}

// countUncertain counts records that may be stored twice.
func (pl *pipeline) countUncertain(kr *kinesisRecord) {
	pl.stats.Uncertain += uint64(len(kr.items))
	pl.metrics.observe(MetricUncertain, "", "", 1, len(kr.items))
}

// recordRefused handles a record that Kinesis has not taken while the call succeeded.
func (pl *pipeline) recordRefused(kr *kinesisRecord, v classification, a Attempt, req *request, out *kinesis.PutRecordsOutput) {
	pl.metrics.observeRefused(kr, v.code)
	if v.action == actThrottle {
		pl.stats.Throttled++
		if kr.shard != nil {
			kr.shard.refused++
		}
	} else {
		pl.stats.InternalFailures++
	}
	switch {
	case v.action == actFail, v.action == actThrottle && pl.cfg.failIfThrottled:
		pl.failRecord(kr, v, a)
	case pl.hasAborted(kr):
		pl.noteAttempts(kr, v, a)
		pl.disaggregate(kr)
	case v.action == actBisect && kr.wrapped:
		pl.noteAttempts(kr, v, a)
		pl.splitAggregate(kr, v)
	case v.action == actBisect && slices.ContainsFunc(out.Records, entryStored):
		pl.failCulprit(kr, v, a) // while others of the same call passed
	case v.action == actBisect:
		p := req.proof
		p.countRefusal(pl.refusals.passed, pl.stats.Requests)
		pl.recheckRecordLimit(req.records)
		pl.refusals.refused = max(pl.refusals.refused, req.number)
		pl.refusedAlone(kr, p, v, a)
	case v.action == actThrottle && kr.shard != nil && kr.shard.current && !pl.meta.auto:
		pl.noteAttempts(kr, v, a)
		kr.shard.pace.Refused(pl.now, pl.clockAt(a.Start), rand.Float64())
		if pl.cfg.ordering == OrderingStrict {
			pl.retryInPlace(kr, 0)
			return
		}
		if pl.hasExpired(kr) {
			pl.disaggregate(kr)
			return
		}
		pl.limitFirst(kr)
	default:
		// AWS promises nothing about what became of a record with such an answer.
		if pl.verifyRecord(kr, v, a) {
			return
		}
		pl.noteAttempts(kr, v, a)
		pl.retryLater(kr, pl.backoff(int(kr.items[0].tries)))
	}
}

// entryStored reports whether an entry of an answer was stored.
func entryStored(e types.PutRecordsResultEntry) bool { return aws.ToString(e.SequenceNumber) != "" }

// requestFailed handles the records of a call that failed as a whole.
func (pl *pipeline) requestFailed(req *request, v classification, a Attempt) {
	pl.stats.RequestErrors++
	pl.metrics.observeFailed(v.code)
	a.Uncertain = v.uncertain
	if v.action == actFail && v.reason == ReasonStreamNotFound {
		pl.noteStreamGone(req)
	}
	switch {
	case v.action == actFail, v.action == actThrottle && pl.cfg.failIfThrottled:
		pl.noteDegraded(v)
		for _, kr := range req.records {
			pl.failRecord(kr, v, a)
		}
	case !pl.withdrawAborted(req, v, a):
		pl.noteDegraded(v)
	case v.action == actBisect && req.omittedKey:
		// The stream requires keys again, or the strategy was set by hand and does
		// not fit. The records are not at fault.
		pl.placement.keysNeeded = true
		pl.describeSoon()
		for _, kr := range req.records {
			pl.noteAttempts(kr, v, a)
			pl.retryLater(kr, 0)
		}
	case v.action == actBisect:
		pl.noteRefusedCall(req, v)
		switch kr := req.records[0]; {
		case len(req.records) > 1:
			pl.bisect(req, v, a)
		case kr.wrapped:
			pl.noteAttempts(kr, v, a)
			pl.splitAggregate(kr, v)
		default:
			pl.refusedAlone(kr, req.proof, v, a)
		}
		pl.giveUp(v)
	default:
		pl.refusals.lone, pl.refusals.loneSince = nil, pl.now
		pl.noteDegraded(v)
		// All wait for the same time, so that they fill a request again.
		wait := pl.backoff(int(req.records[0].items[0].tries) + 1)
		for _, kr := range req.records {
			if v.uncertain {
				if pl.verifyRecord(kr, v, a) {
					continue
				}
				pl.countUncertain(kr)
			}
			pl.noteAttempts(kr, v, a)
			pl.retryLater(kr, wait)
		}
	}
}

// noteStreamGone is called when the stream does not exist. If it comes back, it
// may have other shards under the same ids.
func (pl *pipeline) noteStreamGone(req *request) {
	if m := pl.shardMap.Load(); m != nil && m.gen <= req.gen {
		pl.meta.known, pl.meta.describeDue = false, pl.now
		pl.dropMap()
	}
}

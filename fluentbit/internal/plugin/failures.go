// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/delivery"
	"github.com/outkpl/outkpl/internal/plural"
)

// Dispose implements delivery.Receiver by what the options say.
func (in *Instance) Dispose(_ *delivery.Content, _ int, err *core.RecordError) delivery.Disposition {
	reason := err.Reason
	switch {
	case !reason.Permanent() && !(reason.DeadLetter() && in.deadLetters != nil) && !(reason == core.ReasonExpired && in.cfg.RecordTTL > 0):
		// Handing it over again is of use, or, where it cannot be kept as a dead letter, may be.
		return delivery.Retry
	case reason == core.ReasonTooLarge && in.cfg.Oversize == oversizeDrop:
		return delivery.Drop
	case reason == core.ReasonTooLarge && in.cfg.Oversize == oversizeError:
		return delivery.Lose
	case in.deadLetters != nil:
		return delivery.Keep
	case reason == core.ReasonExpired:
		return delivery.Drop // record_ttl asks for it
	}
	return delivery.Lose
}

// Settled implements delivery.Receiver: it counts and logs what became of the records of
// a chunk for one stream.
func (in *Instance) Settled(_ *delivery.Content, r *delivery.Report) {
	health := in.healthOf(r.Stream)
	if r.Refused != nil {
		health.problem(outage{reason: "producer", detail: r.Refused.Error()})
		return
	}
	if r.Progress && !r.Late {
		health.progress()
	}
	in.unwritten(r.DeadLetterErr)
	var refused refusals
	for i := range r.Failures {
		f := &r.Failures[i]
		in.unwritten(f.DeadLetterErr)
		if f.Disposition == delivery.Keep {
			in.n.deadLetters.Add(1)
		}
		refused.add(f)
	}
	in.refuse(r.Stream, &refused)
	switch {
	case r.Late:
	case r.Missing == 0 && r.Confirmed > 0:
		health.fine()
	case r.Worst.Reason != core.ReasonNone:
		health.problem(outage{reason: r.Worst.Reason.String(), code: r.Worst.Code, detail: r.Worst.Detail})
	}
}

// Written implements delivery.Receiver. Which events were broken was reported when they
// were read.
func (in *Instance) Written(_ *delivery.Content, kept, _, _ []int32, err error) {
	in.n.deadLetters.Add(uint64(len(kept)))
	in.unwritten(err)
}

// Waiting implements delivery.Receiver.
func (in *Instance) Waiting(stream string, b delivery.Batch, progress bool) {
	health := in.healthOf(stream)
	if progress {
		health.progress()
	}
	o := findOutage(b)
	if o.reason == "waiting" {
		o = in.waitsFor(stream, o)
	}
	health.problem(o)
}

// waitsFor says what records wait for of which nothing was tried: the stream may refuse other
// records, or its shards may have no room.
func (in *Instance) waitsFor(stream string, o outage) outage {
	s := in.snapshotOf(stream)
	switch {
	case s == nil:
	case s.LastError != "":
		o.code, o.detail = s.LastError, s.LastDetail
	case s.MapAge < 0 && s.ListError != "":
		o.code, o.detail, o.action = s.ListError, s.ListDetail, listShards
	case s.InUse >= noRoom:
		return outage{reason: "capacity", detail: fmt.Sprintf("%s %s open, %d would do", plural.Count(len(s.Shards), "shard"), plural.Verb(len(s.Shards), "is", "are"), s.ShardsNeeded)}
	case s.MapAge < 0 && s.Stats.KinesisRecords == 0: // no call has had an answer, nor failed
		o.code, o.detail = "RequestFailed", fmt.Sprintf("no answer within %v so far", in.cfg.FlushTimeout)
	}
	return o
}

// noRoom is from which share of its limit in use a shard has no room.
const noRoom = 0.9

// unwritten logs that dead letters could not be written, err may be nil. Some of a failed
// write may be kept all the same, and come again.
func (in *Instance) unwritten(err error) {
	if err == nil {
		return
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("not written in time")
	}
	in.health.problem(outage{reason: "dead_letter", detail: err.Error()})
}

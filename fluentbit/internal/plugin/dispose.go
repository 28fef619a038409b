// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
)

// fate is what becomes of a record that failed for good.
type fate uint8

const (
	fateLost fate = iota // the chunk is answered with Error
	fateLetter
	fateDrop // as an option asks for
)

// isFinal tells whether handing the record over again is of no use, or, where it can be
// kept as a dead letter, is not to be expected to be.
func (in *Instance) isFinal(err *core.RecordError) bool {
	return err.Reason.Permanent() || err.Reason.DeadLetter() && in.letters != nil || err.Reason == core.ReasonExpired && in.cfg.RecordTTL > 0
}

// fate applies the options.
func (in *Instance) fate(err *core.RecordError) fate {
	if err.Reason == core.ReasonTooLarge {
		switch in.cfg.Oversize {
		case oversizeDrop:
			return fateDrop
		case oversizeError:
			return fateLost
		}
	}
	switch {
	case in.letters != nil:
		return fateLetter
	case err.Reason == core.ReasonExpired:
		return fateDrop // record_ttl asks for it
	}
	return fateLost
}

// letterTime is what writing to the dead letter file may take beyond flush_timeout. A
// stream that does not answer uses up all of that, and must not keep the letters of
// others from being written, or they would never be.
const letterTime = time.Second

// letterContext is ctx with that time added.
func letterContext(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(context.WithoutCancel(ctx), end.Add(letterTime))
}

// dispose does with the records of s that failed for good what the options say, and
// counts and logs them. It returns the numbers of those that could not be kept and so
// must be tried again.
func (in *Instance) dispose(ctx context.Context, tag string, s *shipment, finals []final, d *delivery) (again []int32) {
	if len(finals) == 0 {
		return nil
	}
	kept, err := in.keep(ctx, func(yield func(int, deadletter.Letter) bool) {
		for k, f := range finals {
			if in.fate(f.err) != fateLetter {
				continue
			}
			l := deadletter.FromRecord(s.batch, f.i, &s.records[f.i], f.err, tag)
			l.Stream = s.stream // as configured, it may be an ARN
			l.Events = in.eventsOf(d, s.number(f.i))
			if !yield(k, l) {
				return
			}
		}
	})
	in.undelivered(err)
	var refused refusals
	for k, f := range finals {
		fate := in.fate(f.err)
		switch {
		case fate == fateLost:
			d.lost = true
		case fate != fateLetter:
		case len(kept) > 0 && kept[0] == k:
			kept = kept[1:]
		default:
			again = append(again, s.number(f.i))
			continue
		}
		d.noted = true
		refused.add(f.err, fate, len(s.records[f.i].Data)+len(s.records[f.i].PartitionKey))
	}
	in.refuse(s.stream, &refused)
	return again
}

// keep makes letters durable and returns the numbers of those that are.
func (in *Instance) keep(ctx context.Context, letters iter.Seq2[int, deadletter.Letter]) (kept []int, err error) {
	if in.letters == nil {
		return nil, nil // fate makes no letters then
	}
	ctx, cancel := letterContext(ctx)
	defer cancel()
	kept, err = deadletter.Keep(ctx, in.letters, letters)
	in.n.letters.Add(uint64(len(kept)))
	return kept, err
}

// undelivered logs that letters could not be written, err may be nil. Some of a failed
// write may be kept all the same, and come again.
func (in *Instance) undelivered(err error) {
	if err == nil {
		return
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("not written in time")
	}
	in.health.problem(outage{reason: "dead_letter", detail: err.Error()})
}

// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"io"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/event"
)

// delivery is the state of one chunk: it lives for one flush, and between flushes
// in the ledger.
//
// Records are numbered in the order of the chunk's events. As the same bytes under
// the same configuration give the same records, a number is enough to find a
// record again in a later flush, and the payloads need not be kept.
type delivery struct {
	in *Instance

	decoded bool // total and lost are known, broken events are reported
	total   int  // records of the chunk
	lost    int  // bytes of the chunk behind which nothing could be read

	// missing are the numbers of the records to hand over next, rising; all
	// means every record, without the list.
	all     bool
	missing []int32

	// builder holds the payloads while a batch is under way.
	builder *event.Builder
	// batch is the part of the chunk that is under way, nil if none is; numbers
	// are those of its records, nil if they are the chunk's.
	batch   Batch
	numbers []int32
}

// code is the answer for a chunk of which every record is settled for good.
//
// Bytes that cannot be read make it Error, although everything else of the chunk
// is delivered: only so does the loss show in the host's own counters, and the
// host can keep the chunk in its dead letter folder, which OK would prevent. The
// host does not retry after Error, so nothing is sent twice. Its dropped counter
// counts all records of the chunk then; the log line has the exact number.
func (d *delivery) code() Code {
	if d.lost > 0 {
		return Error
	}
	return OK
}

// deliver brings d forward until every record is settled for good (true) or ctx
// ends or a failure calls for a later attempt (false).
func (in *Instance) deliver(ctx context.Context, tag string, chunk []byte, d *delivery) bool {
	if d.decoded && d.batch == nil && !d.all && len(d.missing) == 0 {
		return true // everything was confirmed between the flushes
	}
	resumed := d.batch != nil
	if !resumed {
		in.decode(tag, chunk, d)
		if !in.handOver(ctx, d) {
			return false
		}
	}
	done := in.wait(ctx, d)
	if done || d.batch != nil || !resumed {
		return done
	}
	// What was under way since an earlier flush has settled, but not all well. Its
	// failures are from then; now is the later attempt.
	if !in.handOver(ctx, d) {
		return false
	}
	return in.wait(ctx, d)
}

// decode fills d.builder.
func (in *Instance) decode(tag string, chunk []byte, d *delivery) {
	if d.builder == nil {
		d.builder = in.builder()
		d.builder.Grow(len(chunk) + len(chunk)/4)
	}
	var tally tally
	var r event.ChunkReader
	var ev event.Event
	r.Reset(chunk)
	for {
		err := r.Next(&ev)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			var o event.Outcome
			if o, err = d.builder.Add(in.cfg.shaper, tag, &ev); err == nil {
				tally.outcome(o)
				continue
			}
			tally.broken(err, len(ev.Raw))
			continue
		}
		var broken *event.EventError
		if errors.As(err, &broken) {
			tally.broken(err, broken.Length)
			if !broken.Skippable {
				tally.lost = broken.Length
			}
		}
	}
	if d.decoded {
		return // counted and reported by the flush that saw the chunk first
	}
	d.decoded, d.all = true, true
	d.total, d.lost = d.builder.Len(), tally.lost
	in.report(tag, len(chunk), d.total, &tally)
}

// handOver gives the missing records to the producer. It returns false if none
// were taken.
func (in *Instance) handOver(ctx context.Context, d *delivery) bool {
	records := d.builder.Records()
	d.numbers = nil
	if !d.all {
		// The producer keeps the slice, so it is not built in reused memory.
		d.numbers = d.missing
		part := make([]core.Record, len(d.missing))
		for i, n := range d.missing {
			part[i] = records[n]
		}
		records = part
	}
	if len(records) == 0 {
		return true
	}
	batch, err := in.producer.PutBatch(ctx, in.cfg.Stream, records)
	if batch == nil {
		in.health.problem(outage{reason: "producer", detail: errorText(err)})
		return false
	}
	d.batch = batch
	return true
}

// wait waits for the batch under way and evaluates it: true if every record of the
// chunk is settled for good. Afterwards d.batch is nil if the batch has settled.
func (in *Instance) wait(ctx context.Context, d *delivery) bool {
	if d.batch == nil {
		return true // nothing to hand over
	}
	if d.batch.Wait(ctx) != nil && !isDone(d.batch) {
		in.health.problem(findOutage(d.batch))
		return false
	}
	var refused refusals
	confirmed, worst := d.settle(&refused)
	in.refuse(&refused)
	if len(d.missing) == 0 && !d.all {
		if confirmed > 0 {
			in.health.fine()
		}
		return true
	}
	in.health.problem(outage{reason: worst.Reason.String(), code: worst.Code, detail: worst.Detail})
	return false
}

// settle takes a batch that has settled out of d: d.missing are then the records
// to hand over again. Records that can never be accepted are added to refused.
func (d *delivery) settle(refused *refusals) (confirmed int, worst core.RecordError) {
	confirmed, failed, _ := d.batch.Counts()
	handed := confirmed + failed
	var missing []int32
	if failed > 0 {
		records := d.builder.Records()
		d.batch.Failures(func(i int, err *core.RecordError) bool {
			n := int32(i)
			if d.numbers != nil {
				n = d.numbers[i]
			}
			if err.Reason.Permanent() {
				refused.add(err, len(records[n].Data)+len(records[n].PartitionKey))
				return true
			}
			// What the producer never took says less than any answer of Kinesis.
			if worst.Reason == core.ReasonNone || worst.Reason == core.ReasonNotAccepted {
				worst = *err
			}
			missing = append(missing, n)
			return true
		})
	}
	d.batch, d.numbers, d.missing = nil, nil, missing
	d.all = len(missing) == d.total && handed == d.total && d.total > 0
	if d.all {
		d.missing = nil
	}
	return confirmed, worst
}

func isDone(b Batch) bool {
	select {
	case <-b.Done():
		return true
	default:
		return false
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

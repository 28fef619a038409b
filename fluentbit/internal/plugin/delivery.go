// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"slices"
	"sync"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/event"
)

// delivery is the state of one chunk: it lives for one flush, and between flushes
// in the ledger.
//
// Records are numbered in the order of the chunk's events. As the same bytes under
// the same configuration give the same records, a number is enough to find a
// record again in a later flush, and the payloads need not be kept.
type delivery struct {
	in *Instance

	plan    event.Plan // what decoding has decided
	decoded bool       // total is known, broken events are reported
	buried  bool       // the dead letter file has what it should have of broken events
	letters int        // as long as it does not: how many it has
	noted   bool       // starting over would count or keep something twice
	total   int        // records of the chunk
	lost    bool       // part of the chunk is nowhere, and nobody asked to drop it

	// missing are the numbers of the records to hand over next, rising; all
	// means every record, without the list.
	all     bool
	missing []int32

	// builder holds the payloads, records what it made of them, while batches are
	// under way. The producer reads records, so they are made once.
	builder *event.Builder
	records []core.Record
	// open are the parts of the chunk that are under way, one for each stream.
	open []shipment
}

// shipment is what one stream gets of a chunk. numbers are those of the batch's
// records, nil if they are the chunk's.
type shipment struct {
	stream  string
	batch   Batch
	numbers []int32
	records []core.Record
	// confirmed is how many of them were when that was last looked at.
	confirmed int
}

// number is the number in the chunk of record i of the batch.
func (s *shipment) number(i int) int32 {
	if s.numbers == nil {
		return int32(i)
	}
	return s.numbers[i]
}

// code is the answer for a chunk of which every record is settled for good.
//
// What is lost makes it Error, although everything else of the chunk is delivered:
// only so does the loss show in the host's own counters, and the host can keep the
// chunk in its dead letter folder, which OK would prevent. The host does not retry
// after Error, so nothing is sent twice. Its dropped counter counts all records of
// the chunk then; the log line has the exact number.
func (d *delivery) code() Code {
	if d.lost {
		return Error
	}
	return OK
}

// finished tells whether every record is settled for good.
func (d *delivery) finished() bool {
	return d.decoded && d.buried && len(d.open) == 0 && !d.all && len(d.missing) == 0
}

// deliver brings d forward until every record is settled for good (true) or ctx
// ends or a failure calls for a later attempt (false).
func (in *Instance) deliver(ctx context.Context, tag string, chunk []byte, d *delivery) bool {
	if d.finished() {
		return true // everything was confirmed between the flushes
	}
	in.gather.enter()
	defer in.gather.leave(d)
	resumed := len(d.open) > 0
	if d.builder == nil {
		in.decode(ctx, tag, chunk, d)
	}
	in.handOver(ctx, d)
	in.gatherWith(ctx, d)
	if again := in.wait(ctx, tag, d); again && resumed && len(d.open) == 0 && ctx.Err() == nil {
		// What was under way since an earlier flush has settled, but not all well. Its
		// failures are from then; now is the later attempt.
		in.handOver(ctx, d)
		in.wait(ctx, tag, d)
	}
	return d.finished()
}

// handOver gives the missing records to the producer, a batch for each stream. What
// is not taken stays missing and does not hold up the other streams.
func (in *Instance) handOver(ctx context.Context, d *delivery) {
	parts := in.divide(d)
	d.all, d.missing = false, nil
	for _, s := range parts {
		if in.givenUp(s.stream) {
			for i := range s.records {
				d.missing = append(d.missing, s.number(i))
			}
			continue
		}
		batch, err := in.producer.PutBatch(ctx, s.stream, s.records)
		if batch == nil {
			in.healthOf(s.stream).problem(outage{reason: "producer", detail: errorText(err)})
			for i := range s.records {
				d.missing = append(d.missing, s.number(i))
			}
			continue
		}
		s.batch = batch
		d.open = append(d.open, s)
	}
	d.tidy()
}

// divide makes the parts of what is missing. Slices given to the producer are not
// in memory that is used again.
func (in *Instance) divide(d *delivery) []shipment {
	if !d.all && len(d.missing) == 0 {
		return nil
	}
	stream, one := in.oneStream(d)
	if d.all && one {
		return []shipment{{stream: stream, records: d.records}}
	}
	numbers := d.missing
	if d.all {
		numbers = make([]int32, d.total)
		for i := range numbers {
			numbers[i] = int32(i)
		}
	}
	if one {
		return []shipment{{stream: stream, numbers: numbers, records: pick(d.records, numbers)}}
	}
	streams := d.builder.Streams()
	byStream := make([][]int32, len(streams))
	for _, n := range numbers {
		i := d.builder.StreamOf(int(n))
		byStream[i] = append(byStream[i], n)
	}
	var parts []shipment
	for i, numbers := range byStream {
		if len(numbers) > 0 {
			parts = append(parts, shipment{stream: streams[i], numbers: numbers, records: pick(d.records, numbers)})
		}
	}
	return parts
}

// oneStream returns the stream of the chunk's records if they have one in common.
func (in *Instance) oneStream(d *delivery) (stream string, ok bool) {
	streams := d.builder.Streams()
	if len(streams) == 0 {
		return in.cfg.Stream, true
	}
	first := d.builder.StreamOf(0)
	for i := range d.records {
		if d.builder.StreamOf(i) != first {
			return "", false
		}
	}
	return streams[first], true
}

func pick(records []core.Record, numbers []int32) []core.Record {
	part := make([]core.Record, len(numbers))
	for i, n := range numbers {
		part[i] = records[n]
	}
	return part
}

// wait waits for the batches under way and evaluates those that have settled. again
// tells that some records have to be handed over again.
func (in *Instance) wait(ctx context.Context, tag string, d *delivery) (again bool) {
	in.await(ctx, d.open)
	open := d.open[:0]
	for i := range d.open {
		s := &d.open[i]
		health := in.healthOf(s.stream)
		if !isDone(s.batch) {
			if confirmed, _, _ := s.batch.Counts(); confirmed > s.confirmed {
				s.confirmed = confirmed
				health.progress()
			}
			health.problem(findOutage(s.batch))
			open = append(open, *s)
			continue
		}
		r := s.evaluate(in, true)
		if r.confirmed > s.confirmed {
			health.progress()
		}
		r.missing = append(r.missing, in.dispose(ctx, tag, s, r.finals, d)...)
		d.missing = append(d.missing, r.missing...)
		switch {
		case len(r.missing) == 0 && r.confirmed > 0:
			health.fine()
		case r.worst.Reason != core.ReasonNone:
			health.problem(outage{reason: r.worst.Reason.String(), code: r.worst.Code, detail: r.worst.Detail})
		}
	}
	clear(d.open[len(open):])
	d.open = open
	d.tidy()
	return d.all || len(d.missing) > 0
}

// awaitAll returns when every batch has settled or ctx has ended. Each is waited for
// at the same time: the producer sends what it has collected for a stream when
// everybody waits.
func awaitAll(ctx context.Context, open []shipment) {
	if len(open) == 0 {
		return
	}
	var wg sync.WaitGroup
	for i := range open[1:] {
		b := open[i+1].batch
		wg.Go(func() { _ = b.Wait(ctx) })
	}
	_ = open[0].batch.Wait(ctx) // seen by its Done
	wg.Wait()
}

// tidy sorts missing and makes it all if it lists every record.
func (d *delivery) tidy() {
	if d.all {
		return
	}
	if d.all = len(d.missing) == d.total && d.total > 0; d.all {
		d.missing = nil
		return
	}
	slices.Sort(d.missing)
}

// final is a record that failed for good, by its place in its batch.
type final struct {
	i   int
	err *core.RecordError
}

// result is what became of a shipment whose batch has settled.
type result struct {
	confirmed int
	finals    []final
	missing   []int32          // numbers in the chunk
	worst     core.RecordError // of those that are missing
}

// evaluate reads the outcomes of a batch that has settled. Without letters, what
// should go to the dead letter file counts as missing.
func (s *shipment) evaluate(in *Instance, letters bool) (r result) {
	confirmed, failed, _ := s.batch.Counts()
	if failed == 0 {
		return result{confirmed: confirmed}
	}
	return s.failures(in, letters, confirmed)
}

// failures is apart from evaluate, as it allocates.
func (s *shipment) failures(in *Instance, letters bool, confirmed int) (r result) {
	r.confirmed = confirmed
	s.batch.Failures(func(i int, err *core.RecordError) bool {
		if in.isFinal(err) && (letters || in.fate(err) != fateLetter) {
			r.finals = append(r.finals, final{i, err})
			return true
		}
		// What the producer never took says less than any answer of Kinesis.
		if r.worst.Reason == core.ReasonNone || r.worst.Reason == core.ReasonNotAccepted {
			r.worst = *err
		}
		r.missing = append(r.missing, s.number(i))
		return true
	})
	return r
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

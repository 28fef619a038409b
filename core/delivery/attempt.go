// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"runtime/debug"
	"slices"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/internal/journal"
)

// Batch is what is needed of *core.Batch.
type Batch interface {
	// WaitSettled returns nil once every record is settled, whatever became of it.
	WaitSettled(ctx context.Context) error
	// Done is closed when every record is settled.
	Done() <-chan struct{}
	// Counts returns how many records are confirmed, failed and open.
	Counts() (confirmed, failed, pending int)
	deadletter.Outcomes
}

// attempt is one try to bring what is missing into one stream: the dead letters that are known
// before are written, the records are put, and what has failed of them is sorted.
//
// If it is detached, a goroutine sees it to its end whatever becomes of the caller: what
// was put cannot be taken back, and the next delivery of the same content has less to do.
// It ends when the last record has settled, at the latest when the producer is closed. If
// not, its batch goes on by itself, and the caller or the next one evaluates it.
type attempt struct {
	by      *Deliverer
	stream  string
	content *Content      // not detached: while its records are read
	records []core.Record // likewise
	numbers []int32       // likewise, of the records in the content, nil if they are the content's
	batch   Batch         // not detached, nil if nothing was put: the attempt has ended then
	seen    int           // records of it that were confirmed when that was last looked at
	report  Report        // of what was evaluated last
	entry   *journal.Entry
	cost    int           // detached: what Bytes says
	done    chan struct{} // detached: closed at the end; nil: the batch's is

	result // unwritten is what to write until that is tried
}

// result is what became of an attempt, constant once it is done.
type result struct {
	missing, unwritten          []int32 // numbers to put or write in another attempt
	kept, dropped, rejectedLate int
	lost, hopeless              int
	// rejected: the content can never be stored, and nothing of it was written.
	rejected      bool
	refused       error // the producer took nothing
	worst         core.RecordError
	deadLetterErr error
}

// ok tells whether everything is settled for good.
func (r *result) ok() bool { return len(r.missing) == 0 && len(r.unwritten) == 0 }

// bytes is what the attempt costs in the ledger. At worst everything of a detached one
// fails. What it delivers is listed by numbers or is everything.
func (a *attempt) bytes() int { return a.cost + 4*cap(a.numbers) }

// isDone tells whether the attempt has ended.
func (a *attempt) isDone() bool {
	var done <-chan struct{} = a.done
	if a.done == nil {
		if a.batch == nil {
			return true
		}
		done = a.batch.Done()
	}
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// begin begins the attempts for what is missing, or returns false if none may be begun any
// more. An attempt of which nothing is taken has ended, and does not hold up other streams.
func (l *Deliverer) begin(ctx context.Context, d *Delivery, c *Content) bool {
	if d.idle() {
		return true
	}
	if l.cfg.Detached {
		if !l.joinRunning() {
			return false
		}
		defer l.running.Done()
	}
	open := len(d.attempts)
	// A detached attempt writes dead letters before it puts records. Otherwise they are an
	// attempt of their own, which has ended before others begin.
	if len(d.unwritten) > 0 && (!l.cfg.Detached || !d.all && len(d.missing) == 0) {
		d.attempts = append(d.attempts, newAttempt(d, c, c.Stream, []int32{}, nil))
	}
	d.divide(c)
	d.attempts[open].unwritten = d.unwritten
	d.all, d.missing, d.unwritten = false, nil, nil
	for _, a := range d.attempts[open:] {
		a.by = l
		c.hold()
		if l.cfg.Detached {
			a.detach(c)
			continue
		}
		d.content = c
		a.writeKnown(ctx, c)
		if l.givenUp(a.stream) {
			a.missing = listed(a.records, a.numbers)
		} else if len(a.records) > 0 {
			a.batch = a.put(ctx, c, a.records, a.numbers)
		}
	}
	return true
}

// divide appends attempts for the missing records of c, by stream. Slices given to the
// producer are not in memory that is used again.
func (d *Delivery) divide(c *Content) {
	numbers := d.missing
	if !d.all && len(numbers) == 0 {
		return
	}
	stream, one := c.oneStream()
	if d.all && one {
		d.attempts = append(d.attempts, newAttempt(d, c, stream, nil, c.Records))
		return
	}
	if d.all {
		numbers = listed(c.Records, nil)
	}
	if one {
		d.attempts = append(d.attempts, newAttempt(d, c, stream, numbers, pick(c.Records, numbers)))
		return
	}
	byStream := make([][]int32, len(c.Streams))
	for _, n := range numbers {
		i := c.Routes.StreamOf(int(n))
		byStream[i] = append(byStream[i], n)
	}
	for i, numbers := range byStream {
		if len(numbers) > 0 {
			d.attempts = append(d.attempts, newAttempt(d, c, c.Streams[i], numbers, pick(c.Records, numbers)))
		}
	}
}

func newAttempt(d *Delivery, c *Content, stream string, numbers []int32, records []core.Record) *attempt {
	return &attempt{stream: stream, content: c, numbers: numbers, records: records, entry: d.entry}
}

// oneStream returns the stream of the records if they have one in common.
func (c *Content) oneStream() (stream string, ok bool) {
	if c.Routes == nil || len(c.Records) == 0 {
		return c.Stream, true
	}
	first := c.Routes.StreamOf(0)
	for i := range c.Records {
		if c.Routes.StreamOf(i) != first {
			return "", false
		}
	}
	return c.Streams[first], true
}

func pick(records []core.Record, numbers []int32) []core.Record {
	part := make([]core.Record, len(numbers))
	for i, n := range numbers {
		part[i] = records[n]
	}
	return part
}

// detach lets a goroutine bring the attempt to its end.
func (a *attempt) detach(c *Content) {
	a.done = make(chan struct{})
	a.cost = 4 * (len(a.records) + len(a.unwritten))
	records, numbers := a.records, a.numbers
	a.content, a.records, a.numbers = nil, nil, nil // the ledger may hold the attempt for long
	a.by.running.Go(func() { a.runDetached(c, records, numbers) })
}

// runDetached brings a detached attempt to its end.
func (a *attempt) runDetached(c *Content, records []core.Record, numbers []int32) {
	defer close(a.done)
	defer c.release()
	defer func() {
		a.report = Report{}
		if p := recover(); p != nil {
			c.spoil()
			a.by.cfg.Panicked(p, debug.Stack())
			a.missing = listed(records, numbers)
			a.worst.Detail = "internal error"
		}
	}()
	ctx := a.by.deadLetters // nothing else has to end before its time
	if i := placeOfProbe(c, numbers); i >= 0 {
		all := listed(records, numbers)
		a.putAndWait(ctx, c, records[i:i+1], all[i:i+1])
		if a.rejected || len(a.missing) > 0 {
			a.missing = all // nothing is written before it
			return
		}
		records, numbers = slices.Delete(slices.Clone(records), i, i+1), slices.Delete(slices.Clone(all), i, i+1)
	}
	a.writeKnown(ctx, c)
	if len(records) > 0 {
		a.putAndWait(ctx, c, records, numbers)
	}
}

// placeOfProbe is the place among an attempt's records of the one to put before all others, or -1.
func placeOfProbe(c *Content, numbers []int32) int {
	if c.Probe < 0 || numbers == nil {
		return c.Probe
	}
	i, found := slices.BinarySearch(numbers, int32(c.Probe))
	if !found {
		return -1
	}
	return i
}

// putAndWait puts records and waits for the last of them. No context ends this.
func (a *attempt) putAndWait(ctx context.Context, c *Content, records []core.Record, numbers []int32) {
	batch := a.put(context.Background(), c, records, numbers)
	if batch == nil {
		return
	}
	_ = batch.WaitSettled(context.Background()) // only a context can fail it
	a.evaluate(ctx, c, batch, records, numbers)
}

// put gives records to the producer. If that takes none of them, all are missing.
func (a *attempt) put(ctx context.Context, c *Content, records []core.Record, numbers []int32) Batch {
	batch, err := a.lookAndPut(ctx, c, records, numbers)
	if batch == nil {
		a.missing, a.refused = listed(records, numbers), err
		a.report = Report{Stream: a.stream, Refused: err, Missing: len(a.missing)}
		c.Receiver.Settled(c, &a.report)
	}
	return batch
}

// lookAndPut puts records of an attempt, after a look for those that may be stored.
func (a *attempt) lookAndPut(ctx context.Context, c *Content, records []core.Record, numbers []int32) (Batch, error) {
	put := a.by.cfg.PutBatch
	if a.by.cfg.LookFor == nil {
		return put(a.traced(ctx, numbers), a.stream, records)
	}
	unanswered := a.entry.TakeUnanswered(numbers)
	if len(unanswered) == 0 {
		return put(a.traced(ctx, numbers), a.stream, records)
	}
	b := &lookingBatch{a: a, content: c, records: records, numbers: numbers, begun: make(chan struct{}), done: make(chan struct{})}
	go b.run(context.WithoutCancel(ctx), unanswered) // ends with the producer at the latest
	return b, nil
}

// evaluateEnded evaluates an attempt that has ended, unless its goroutine has done so.
func (a *attempt) evaluateEnded(ctx context.Context, late bool) {
	if a.done != nil {
		return
	}
	if a.batch != nil {
		a.report.Late = late
		a.evaluate(ctx, a.content, a.batch, a.records, a.numbers)
	}
	a.content.release()
	a.content, a.records, a.report = nil, nil, Report{}
}

// evaluate finds out what became of a batch that has settled.
func (a *attempt) evaluate(ctx context.Context, c *Content, b Batch, records []core.Record, numbers []int32) {
	confirmed, failed, _ := b.Counts()
	a.report = Report{Stream: a.stream, Confirmed: confirmed, Progress: confirmed > a.seen, Late: a.report.Late}
	if failed > 0 {
		a.sortFailures(ctx, c, b, records, numbers)
	}
	c.Receiver.Settled(c, &a.report)
}

// failed is a record that failed for good, by its place in its batch.
type failed struct {
	i           int
	disposition Disposition
	err         *core.RecordError
}

// sortFailures is apart from evaluate, as it allocates.
func (a *attempt) sortFailures(ctx context.Context, c *Content, b Batch, records []core.Record, numbers []int32) {
	r := &a.report
	var finals []failed
	b.Failures(func(i int, err *core.RecordError) bool {
		n := numberIn(numbers, i)
		switch to := c.Receiver.Dispose(c, int(n), err); {
		case to == Reject:
			a.rejected = true
		case to == Retry || to == Keep && r.Late:
			// What the producer never took says less than any answer of Kinesis.
			if r.Worst.Reason == core.ReasonNone || r.Worst.Reason == core.ReasonNotAccepted {
				r.Worst = *err
			}
			a.missing = append(a.missing, n)
			r.Missing++
		default:
			finals = append(finals, failed{i, to, err})
		}
		return true
	})
	a.worst = r.Worst
	kept, hopeless, err := deadletter.Keep(ctx, a.by.sink, func(yield func(int, deadletter.Entry) bool) {
		for k, f := range finals {
			if f.disposition != Keep {
				continue
			}
			l := deadletter.FromRecord(b, f.i, &records[f.i], f.err, c.Source)
			l.Stream = a.stream // as configured, it may be an ARN
			if c.Events != nil {
				l.Events = c.eventsOf(numberIn(numbers, f.i))
			}
			if !yield(k, l) {
				return
			}
		}
	})
	settled := make([]final, 0, len(finals))
	for k, f := range finals {
		out := Failure{Disposition: f.disposition, Err: f.err, Events: c.eventsOf(numberIn(numbers, f.i)), Bytes: len(records[f.i].Data) + len(records[f.i].PartitionKey)}
		switch {
		case f.disposition == Drop:
			a.dropped += out.Events
		case f.disposition == RejectLate:
			a.rejectedLate += out.Events
		case f.disposition == Lose:
			a.lost += out.Events
		case next(&kept, k):
			a.kept += out.Events
		case next(&hopeless, k):
			out.Disposition, out.DeadLetterErr = Lose, err
			a.lost += out.Events
		default:
			a.missing = append(a.missing, numberIn(numbers, f.i))
			a.deadLetterErr, r.DeadLetterErr = err, err
			r.Missing++
			continue
		}
		r.Failures = append(r.Failures, out)
		settled = append(settled, final{journaled[out.Disposition], numberIn(numbers, f.i), out.Events})
	}
	a.noteFinals(settled)
}

// writeKnown writes the dead letters that are known before anything is put. unwritten is what
// is still to be written behind it.
func (a *attempt) writeKnown(ctx context.Context, c *Content) {
	if len(a.unwritten) == 0 {
		return
	}
	kept, hopeless, err := deadletter.Keep(ctx, a.by.sink, func(yield func(int, deadletter.Entry) bool) {
		for _, n := range a.unwritten {
			if !yield(int(n), c.DeadLetter(int(n))) {
				return
			}
		}
	})
	var written, gone, again []int32
	for _, n := range a.unwritten {
		switch {
		case next(&kept, int(n)):
			written = append(written, n)
		case next(&hopeless, int(n)):
			gone = append(gone, n)
		default:
			again = append(again, n)
		}
	}
	if len(again) > 0 { // those that are lost are so once nothing has to be tried again
		again, gone = append(again, gone...), nil
		a.deadLetterErr = err
	}
	a.unwritten, a.hopeless = again, len(gone)
	a.entry.Settle(journal.KnownKept, 0, written)
	a.entry.Settle(journal.KnownLost, len(gone), gone)
	c.Receiver.Written(c, written, gone, again, err)
}

// numberIn is the number in the content of record i of an attempt with those numbers.
func numberIn(numbers []int32, i int) int32 {
	if numbers == nil {
		return int32(i)
	}
	return numbers[i]
}

// listed are the numbers of records, from 0 if numbers is nil.
func listed(records []core.Record, numbers []int32) []int32 {
	if numbers != nil {
		return numbers
	}
	numbers = make([]int32, len(records))
	for i := range numbers {
		numbers[i] = int32(i)
	}
	return numbers
}

// next takes n off a rising list if it is the first.
func next(list *[]int, n int) bool {
	if len(*list) == 0 || (*list)[0] != n {
		return false
	}
	*list = (*list)[1:]
	return true
}

func (c *Content) hold() {
	if c.Memory != nil {
		c.Memory.Hold()
	}
}

func (c *Content) release() {
	if c.Memory != nil {
		c.Memory.Release()
	}
}

func (c *Content) spoil() {
	if c.Memory != nil {
		c.Memory.Spoil()
	}
}

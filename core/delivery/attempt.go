// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
)

// Batch is what is needed of *core.Batch.
type Batch interface {
	// Wait returns nil once every record is settled.
	Wait(ctx context.Context) error
	// Done is closed when every record is settled.
	Done() <-chan struct{}
	// Counts returns how many records are confirmed, failed and open.
	Counts() (confirmed, failed, pending int)
	deadletter.Outcomes
}

// attempt is one try to bring what is missing into one stream.
//
// If it is detached, a goroutine sees it to its end whatever becomes of the caller: what
// was put cannot be taken back, and the next delivery of the same content has less to do.
// It ends when the last record has settled, at the latest when the producer is closed. If
// not, its batch goes on by itself, and the caller or the next one evaluates it.
type attempt struct {
	by      *Deliverer
	stream  string
	content *Content      // while its records are read
	records []core.Record // likewise
	numbers []int32       // of the records in the content, nil if they are the content's
	batch   Batch         // not detached
	seen    int           // records of it that were confirmed when that was last looked at
	report  Report        // of what was evaluated last
	cost    int           // detached: what Bytes says
	done    chan struct{} // detached: closed at the end; nil: the batch's is

	result
}

// result is what became of an attempt, constant once it is done.
type result struct {
	missing, unwritten            []int32 // numbers to put or to write again
	kept, dropped, lost, hopeless int
	// rejected: the content can never be stored, and nothing of it was written.
	rejected      bool
	refused       error // the producer took nothing
	worst         core.RecordError
	deadLetterErr error
}

// ok tells whether everything is settled for good.
func (r *result) ok() bool { return len(r.missing) == 0 && len(r.unwritten) == 0 }

// number is the number in the content of record i of the attempt.
func (a *attempt) number(i int) int32 { return numberIn(a.numbers, i) }

func numberIn(numbers []int32, i int) int32 {
	if numbers == nil {
		return int32(i)
	}
	return numbers[i]
}

// bytes is what the attempt costs in the ledger. At worst everything of a detached one
// fails. What it delivers is listed by numbers or is everything.
func (a *attempt) bytes() int { return a.cost + 4*cap(a.numbers) }

func (a *attempt) isDone() bool {
	var done <-chan struct{} = a.done
	if a.done == nil {
		done = a.batch.Done()
	}
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// wait returns when the attempt has ended, or ctx.
func (a *attempt) wait(ctx context.Context) {
	if a.done == nil {
		_ = a.batch.Wait(ctx) // seen by its Done
		return
	}
	select {
	case <-a.done:
	case <-ctx.Done():
	}
}

// divide appends the attempts for the given records of c, by stream. Slices given to the
// producer are not in memory that is used again.
func (l *Deliverer) divide(list []*attempt, c *Content, all bool, numbers []int32) []*attempt {
	if !all && len(numbers) == 0 {
		return list
	}
	stream, one := c.oneStream()
	if all && one {
		return append(list, l.attempt(c, stream, nil, c.Records))
	}
	if all {
		numbers = appendNumbers(nil, 0, len(c.Records))
	}
	if one {
		return append(list, l.attempt(c, stream, numbers, pick(c.Records, numbers)))
	}
	byStream := make([][]int32, len(c.Streams))
	for _, n := range numbers {
		i := c.Routes.StreamOf(int(n))
		byStream[i] = append(byStream[i], n)
	}
	for i, numbers := range byStream {
		if len(numbers) > 0 {
			list = append(list, l.attempt(c, c.Streams[i], numbers, pick(c.Records, numbers)))
		}
	}
	return list
}

func (l *Deliverer) attempt(c *Content, stream string, numbers []int32, records []core.Record) *attempt {
	return &attempt{by: l, stream: stream, content: c, numbers: numbers, records: records}
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

// run brings a detached attempt to its end.
func (a *attempt) run() {
	c, records, numbers := a.content, a.records, a.numbers
	defer a.by.running.Done()
	defer close(a.done)
	defer c.release()
	defer func() {
		a.content, a.records, a.numbers, a.report = nil, nil, nil, Report{} // the ledger may hold the attempt for long
		if p := recover(); p != nil {
			a.by.cfg.Panicked(p, debug.Stack())
			a.missing = listed(records, numbers)
			a.worst.Detail = "internal error"
		}
	}()
	ctx := a.by.deadLetters // nothing else has to end before its time
	if i := a.probe(c); i >= 0 {
		all := listed(records, numbers)
		a.put(ctx, records[i:i+1], all[i:i+1])
		if a.rejected || len(a.missing) > 0 {
			a.missing = all // nothing is written before it
			return
		}
		records, numbers = slices.Delete(slices.Clone(records), i, i+1), slices.Delete(slices.Clone(all), i, i+1)
	}
	a.unwritten, a.hopeless, a.deadLetterErr = a.by.writeKnown(ctx, c, a.unwritten)
	if len(records) > 0 {
		a.put(ctx, records, numbers)
	}
}

// listed are the numbers of records.
func listed(records []core.Record, numbers []int32) []int32 {
	if numbers != nil {
		return numbers
	}
	return appendNumbers(nil, 0, len(records))
}

// probe is the place in the attempt of the record to put before all others, or -1.
func (a *attempt) probe(c *Content) int {
	if c.Probe < 0 || a.numbers == nil {
		return c.Probe
	}
	i, found := slices.BinarySearch(a.numbers, int32(c.Probe))
	if !found {
		return -1
	}
	return i
}

// put puts records and waits for the last of them. No context ends this.
func (a *attempt) put(ctx context.Context, records []core.Record, numbers []int32) {
	batch, err := a.by.cfg.Put(context.Background(), a.stream, records)
	if batch == nil {
		a.refuse(err, listed(records, numbers))
		return
	}
	_ = batch.Wait(context.Background()) // only a context can fail it
	a.evaluate(ctx, batch, records, numbers)
}

// refuse notes that the producer took none of the records.
func (a *attempt) refuse(err error, numbers []int32) {
	a.missing, a.refused = numbers, err
	a.report = Report{Stream: a.stream, Refused: err, Missing: len(numbers)}
	a.content.Receiver.Settled(a.content, &a.report)
}

// end evaluates an attempt that is not detached once its batch has settled.
func (a *attempt) end(ctx context.Context, late bool) {
	if a.done != nil {
		return // its goroutine has done so
	}
	a.report.Late = late
	a.evaluate(ctx, a.batch, a.records, a.numbers)
	a.content.release()
	a.content, a.records, a.report = nil, nil, Report{}
}

// evaluate sorts the failures of a batch that has settled.
func (a *attempt) evaluate(ctx context.Context, b Batch, records []core.Record, numbers []int32) {
	confirmed, failed, _ := b.Counts()
	a.report = Report{Stream: a.stream, Confirmed: confirmed, Progress: confirmed > a.seen, Late: a.report.Late}
	if failed > 0 {
		a.failures(ctx, b, records, numbers)
	}
	a.content.Receiver.Settled(a.content, &a.report)
}

// failed is a record that failed for good, by its place in its batch.
type failed struct {
	i           int
	disposition Disposition
	err         *core.RecordError
}

// failures is apart from evaluate, as it allocates.
func (a *attempt) failures(ctx context.Context, b Batch, records []core.Record, numbers []int32) {
	c, r := a.content, &a.report
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
	kept, hopeless, err := a.by.write(ctx, func(yield func(int, deadletter.Letter) bool) {
		for k, f := range finals {
			if f.disposition != Keep {
				continue
			}
			l := deadletter.FromRecord(b, f.i, &records[f.i], f.err, c.Source)
			l.Stream = a.stream // as configured, it may be an ARN
			if !yield(k, l) {
				return
			}
		}
	})
	for k, f := range finals {
		out := Failure{Disposition: f.disposition, Err: f.err, Bytes: len(records[f.i].Data) + len(records[f.i].PartitionKey)}
		switch {
		case f.disposition == Drop:
			a.dropped++
		case f.disposition == Lose:
			a.lost++
		case next(&kept, k):
			a.kept++
		case next(&hopeless, k):
			out.Disposition, out.DeadLetterErr = Lose, err
			a.lost++
		default:
			a.missing = append(a.missing, numberIn(numbers, f.i))
			a.deadLetterErr, r.DeadLetterErr = err, err
			r.Missing++
			continue
		}
		r.Failures = append(r.Failures, out)
	}
}

// next takes n off a rising list if it is the first.
func next(list *[]int, n int) bool {
	if len(*list) == 0 || (*list)[0] != n {
		return false
	}
	*list = (*list)[1:]
	return true
}

var errNoSink = errors.New("cannot write dead letters: there is no place for them")

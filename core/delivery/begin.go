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

// attempt is one try to bring what is missing into one stream.
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
	batch   Batch         // not detached
	seen    int           // records of it that were confirmed when that was last looked at
	report  Report        // of what was evaluated last
	entry   *journal.Entry
	cost    int           // detached: what Bytes says
	done    chan struct{} // detached: closed at the end; nil: the batch's is

	result
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

// beginAttempts begins the attempts for what is missing. What is not taken stays missing
// and does not hold up other streams.
func (l *Deliverer) beginAttempts(ctx context.Context, d *Delivery, c *Content, out *Outcome) {
	if d.idle() {
		return
	}
	if l.cfg.Detached {
		out.Stopped = !l.detachAttempts(d, c)
		return
	}
	var known result
	known.unwritten, known.hopeless, known.deadLetterErr = l.writeKnownFirst(ctx, c, d.entry, d.unwritten)
	out.noteResult(&known)
	open := len(d.attempts)
	all := l.divideByStream(d.attempts, c, d.all, d.missing)
	d.all, d.missing, d.unwritten = false, nil, nil
	d.addResult(&known)
	d.attempts = all[:open]
	for _, a := range all[open:] {
		a.entry = d.entry
		var err error
		if l.givenUp(a.stream) {
			a.missing = listed(a.records, a.numbers)
		} else if a.batch, err = a.put(ctx, a.records, a.numbers); a.batch == nil {
			a.notTaken(c, err, listed(a.records, a.numbers))
		}
		if a.batch == nil {
			out.noteResult(&a.result)
			d.addResult(&a.result)
			continue
		}
		c.hold()
		d.content = c
		d.attempts = append(d.attempts, a) // in the place of one that was not put, or its own
	}
	clear(all[len(d.attempts):])
	d.tidy()
}

// detachAttempts begins a goroutine for each attempt. It returns false if no attempt may
// be begun any more.
func (l *Deliverer) detachAttempts(d *Delivery, c *Content) bool {
	attempts := l.divideByStream(nil, c, d.all, d.missing)
	if len(attempts) == 0 {
		attempts = []*attempt{newAttempt(l, c, c.Stream, []int32{}, nil)}
	}
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return false
	}
	l.running.Add(len(attempts))
	l.mu.Unlock()
	attempts[0].unwritten = d.unwritten
	d.all, d.missing, d.unwritten = false, nil, nil
	for _, a := range attempts {
		c.hold()
		a.done = make(chan struct{})
		a.entry = d.entry
		a.cost = 4 * (len(a.records) + len(a.unwritten))
		d.attempts = append(d.attempts, a)
		records, numbers := a.records, a.numbers
		a.content, a.records, a.numbers = nil, nil, nil // the ledger may hold the attempt for long
		go a.runDetached(c, records, numbers)
	}
	return true
}

// divideByStream appends the attempts for the given records of c, by stream. Slices given to the
// producer are not in memory that is used again.
func (l *Deliverer) divideByStream(list []*attempt, c *Content, all bool, numbers []int32) []*attempt {
	if !all && len(numbers) == 0 {
		return list
	}
	stream, one := c.oneStream()
	if all && one {
		return append(list, newAttempt(l, c, stream, nil, c.Records))
	}
	if all {
		numbers = appendNumbers(nil, 0, len(c.Records))
	}
	if one {
		return append(list, newAttempt(l, c, stream, numbers, pick(c.Records, numbers)))
	}
	byStream := make([][]int32, len(c.Streams))
	for _, n := range numbers {
		i := c.Routes.StreamOf(int(n))
		byStream[i] = append(byStream[i], n)
	}
	for i, numbers := range byStream {
		if len(numbers) > 0 {
			list = append(list, newAttempt(l, c, c.Streams[i], numbers, pick(c.Records, numbers)))
		}
	}
	return list
}

func newAttempt(l *Deliverer, c *Content, stream string, numbers []int32, records []core.Record) *attempt {
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

// notTaken notes that the producer took none of the records.
func (a *attempt) notTaken(c *Content, err error, numbers []int32) {
	a.missing, a.refused = numbers, err
	a.report = Report{Stream: a.stream, Refused: err, Missing: len(numbers)}
	c.Receiver.Settled(c, &a.report)
}

// runDetached brings a detached attempt to its end.
func (a *attempt) runDetached(c *Content, records []core.Record, numbers []int32) {
	defer a.by.running.Done()
	defer close(a.done)
	defer c.release()
	defer func() {
		a.report = Report{}
		if p := recover(); p != nil {
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
	a.unwritten, a.hopeless, a.deadLetterErr = a.by.writeKnownFirst(ctx, c, a.entry, a.unwritten)
	if len(records) > 0 {
		a.putAndWait(ctx, c, records, numbers)
	}
}

// listed are the numbers of records.
func listed(records []core.Record, numbers []int32) []int32 {
	if numbers != nil {
		return numbers
	}
	return appendNumbers(nil, 0, len(records))
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
	batch, err := a.put(context.Background(), records, numbers)
	if batch == nil {
		a.notTaken(c, err, listed(records, numbers))
		return
	}
	_ = batch.WaitSettled(context.Background()) // only a context can fail it
	a.evaluateBatch(ctx, c, batch, records, numbers)
}

// numberIn is the number in the content of record i of an attempt with those numbers.
func numberIn(numbers []int32, i int) int32 {
	if numbers == nil {
		return int32(i)
	}
	return numbers[i]
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

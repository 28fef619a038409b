// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// delivery is how far the delivery of one body got. It belongs to the request that
// delivers it, and between requests to the ledger. Records are known by their number
// in the content, so that payloads need not be kept.
type delivery struct {
	total int
	// missing are the numbers of the records to put next, rising; all means every
	// record, without the list, and is set if there are none.
	all     bool
	missing []int32
	// letters is the number of letters of the content, unwritten the rising numbers of
	// those to write next.
	letters   int
	unwritten []int32
	// attempts are under way, the oldest first. None of what they deliver is missing or
	// unwritten.
	attempts []*attempt
	// Events that can never be stored.
	dropped, deadLettered int
	// left is what of them the content leaves out, by reason.
	left [poisonCount]int
}

func newDelivery(c *content) *delivery {
	d := &delivery{all: true}
	d.grow(c)
	return d
}

// grow makes d the delivery of a content that begins with the one it was for. It returns
// how many of the events that c leaves out are new, by reason.
func (d *delivery) grow(c *content) (left [poisonCount]int) {
	if !d.all {
		d.missing = appendNumbers(d.missing, d.total, len(c.records))
	}
	d.total = len(c.records)
	d.unwritten = appendNumbers(d.unwritten, d.letters, len(c.letters))
	d.deadLettered += len(c.letters) - d.letters
	d.letters = len(c.letters)
	for why, n := range c.dropped {
		left[why] = n - d.left[why]
		d.dropped += left[why]
	}
	d.left = c.dropped
	return left
}

// appendNumbers appends the numbers from one to below another.
func appendNumbers(list []int32, from, to int) []int32 {
	list = slices.Grow(list, to-from)
	for i := from; i < to; i++ {
		list = append(list, int32(i))
	}
	return list
}

// idle tells that nothing is to be begun.
func (d *delivery) idle() bool {
	return len(d.missing) == 0 && (!d.all || d.total == 0) && len(d.unwritten) == 0
}

// finished tells that everything is settled for good.
func (d *delivery) finished() bool { return len(d.attempts) == 0 && d.idle() }

// saved is the number of records that need not be put again, as things stand.
func (d *delivery) saved() int {
	if d.all {
		return 0
	}
	return d.total - len(d.missing)
}

// worthKeeping tells whether the next request of the same body is better off with d.
func (d *delivery) worthKeeping() bool {
	return len(d.attempts) > 0 || !d.all || d.total == 0 || len(d.unwritten) < d.letters
}

// Bytes implements ledger.Entry. The body of an attempt under way counts in the
// budget.
func (d *delivery) Bytes() int {
	const fixed = 256
	n := fixed + 4*(cap(d.missing)+cap(d.unwritten))
	for _, a := range d.attempts {
		// At worst everything fails. What it delivers is listed by numbers or is everything.
		n += 4 * (a.count + len(a.letters))
	}
	return n
}

// Shrink implements ledger.Entry. There is nothing that could be given back.
func (d *delivery) Shrink() {}

// attempt is one try to put what is missing. Its goroutine goes on whatever becomes of
// the request: what was put cannot be taken back, and if it is seen to the end, the
// next request of the same body has less to do. It ends when the last record has
// settled, at the latest when the producer is closed.
type attempt struct {
	done    chan struct{}
	count   int     // records that it puts
	letters []int32 // numbers of the letters that it writes first
	// Constant once done is closed:
	missing               []int32 // numbers to put again
	lettersDone           bool
	dropped, deadLettered int
	worst                 core.RecordError
	letterErr             error
	refused               error // the producer took nothing
	// rejected: an event can never be stored, and the policy is to refuse the body. Of
	// it nothing was written then.
	rejected bool
}

// ok tells whether everything of an attempt that has ended is settled for good.
func (a *attempt) ok() bool { return len(a.missing) == 0 && a.lettersDone }

// start begins an attempt for what is missing, which shares the lease. It returns nil if
// no attempt may be begun any more.
func (s *Server) start(d *delivery, c *content, l *lease) *attempt {
	s.startMu.Lock()
	if s.stopped {
		s.startMu.Unlock()
		return nil
	}
	s.attempts.Add(1)
	s.startMu.Unlock()
	l.share()
	records, numbers := c.records, d.missing
	if !d.all {
		records = make([]core.Record, len(numbers))
		for i, n := range numbers {
			records[i] = c.records[n]
		}
		if numbers == nil {
			numbers = []int32{} // none, where nil is all
		}
	}
	a := &attempt{done: make(chan struct{}), count: len(records), letters: d.unwritten, lettersDone: len(d.unwritten) == 0}
	d.attempts = append(d.attempts, a)
	d.missing, d.unwritten = nil, nil
	d.all = d.total == 0
	go func() {
		defer s.attempts.Done()
		defer close(a.done)
		defer l.release()
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("a delivery failed because of a bug; its request is answered with 503", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				a.missing = numbersOf(records, numbers)
				a.worst.Detail = "internal error"
			}
		}()
		s.run(a, c, records, numbers)
	}()
	return a
}

// stop ends the beginning of attempts and waits for those under way.
func (s *Server) stop() {
	s.startMu.Lock()
	s.stopped = true
	s.startMu.Unlock()
	s.attempts.Wait()
}

func numbersOf(records []core.Record, numbers []int32) []int32 {
	if numbers != nil {
		return numbers
	}
	all := make([]int32, len(records))
	for i := range all {
		all[i] = int32(i)
	}
	return all
}

func (s *Server) run(a *attempt, c *content, records []core.Record, numbers []int32) {
	if i := probeIn(c, numbers); i >= 0 {
		all := numbersOf(records, numbers)
		s.put(a, c, records[i:i+1], all[i:i+1])
		if a.rejected || len(a.missing) > 0 {
			a.missing = all // nothing is written before it
			return
		}
		records, numbers = slices.Delete(slices.Clone(records), i, i+1), slices.Delete(slices.Clone(all), i, i+1)
	}
	if !a.lettersDone {
		if a.letterErr = s.writeFirst(a, c); a.letterErr == nil {
			a.lettersDone = true
		}
	}
	if len(records) > 0 {
		s.put(a, c, records, numbers)
	}
}

// probeIn is the place of the record to put first among those with the given numbers,
// or -1 if there is none.
func probeIn(c *content, numbers []int32) int {
	if c.probe < 0 || numbers == nil {
		return c.probe
	}
	i, found := slices.BinarySearch(numbers, int32(c.probe))
	if !found {
		return -1
	}
	return i
}

// outcomes is what is needed of *core.Batch.
type outcomes interface {
	Wait(ctx context.Context) error
	deadletter.Outcomes
}

// put writes records and waits for the last of them.
func (s *Server) put(a *attempt, c *content, records []core.Record, numbers []int32) {
	batch, err := s.putBatch(c.dest.stream, records)
	if batch == nil {
		a.missing = numbersOf(records, numbers)
		a.refused = err
		return
	}
	_ = batch.Wait(context.Background()) // only a context can fail it
	s.settle(a, c, batch, records, numbers)
}

// writeFirst writes the letters that are known before anything is put.
func (s *Server) writeFirst(a *attempt, c *content) error {
	letters := make([]deadletter.Letter, len(a.letters))
	for i, n := range a.letters {
		letters[i] = c.letters[n]
	}
	fates, err := s.writeLetters(letters)
	if slices.Contains(fates, letterAgain) {
		return err
	}
	for i, fate := range fates {
		why := poisonOf(letters[i].Reason)
		if fate == letterLost {
			a.dropped++
			a.deadLettered--
			s.lose(why, c, err)
			continue
		}
		s.counters.deadLettered[why].Add(1)
		s.observe(core.MetricDeadLetters, c.dest.stream, 1)
	}
	return nil
}

// settle sorts the failures of a batch: what may pass is missing, what cannot is
// dropped or written to the dead letters.
func (s *Server) settle(a *attempt, c *content, batch outcomes, records []core.Record, numbers []int32) {
	var letters []deadletter.Letter
	var inLetters []int32
	batch.Failures(func(i int, err *core.RecordError) bool {
		n := int32(i)
		if numbers != nil {
			n = numbers[i]
		}
		why, policy := PoisonInvalid, c.route.Invalid
		keep := s.letters != nil && policy == config.DeadLetters
		switch {
		case !err.Reason.Permanent() && !(err.Reason.DeadLetter() && keep):
			// What was never taken says less than any answer of Kinesis.
			if a.worst.Reason == core.ReasonNone || a.worst.Reason == core.ReasonNotAccepted {
				a.worst = *err
			}
			a.missing = append(a.missing, n)
			return true
		case err.Reason == core.ReasonTooLarge:
			why, policy = PoisonTooLarge, c.route.TooLarge
		}
		if policy == config.Reject {
			if int(n) == c.probe {
				a.rejected = true
				return true
			}
			// The stream's limit was lowered a moment ago, and others are written.
			policy = config.Drop
			if s.letters != nil {
				policy = config.DeadLetters
			}
		}
		if policy == config.DeadLetters {
			letters = append(letters, deadletter.Letter{
				Time: time.Now(), Stream: c.dest.stream, PartitionKey: records[i].PartitionKey,
				Reason: err.Reason.String(), Code: err.Code, Detail: err.Detail,
				Attempts: batch.Result(i).Attempts, Data: records[i].Data, Source: c.route.source, Events: c.eventsIn(n),
			})
			inLetters = append(inLetters, n)
			return true
		}
		a.dropped++
		s.drop(why, 1, c, err.Detail)
		return true
	})
	if len(letters) == 0 {
		return
	}
	fates, err := s.writeLetters(letters)
	var missing []int32
	for i, fate := range fates {
		why := poisonOf(letters[i].Reason)
		switch fate {
		case letterAgain:
			a.letterErr = err
			missing = append(missing, inLetters[i])
		case letterLost:
			a.dropped++
			s.lose(why, c, err)
		default:
			a.deadLettered++
			s.counters.deadLettered[why].Add(1)
			s.observe(core.MetricDeadLetters, c.dest.stream, 1)
		}
	}
	a.missing = merge(a.missing, missing)
}

// merge joins two rising lists.
func merge(a, b []int32) []int32 {
	out := make([]int32, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0] < b[0] {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// poisonOf is the poison reason for the reason of a letter.
func poisonOf(reason string) PoisonReason {
	switch reason {
	case PoisonTooLarge.String():
		return PoisonTooLarge
	case PoisonKeyMissing.String():
		return PoisonKeyMissing
	case deadletter.ReasonBroken:
		return PoisonMalformed
	}
	return PoisonInvalid
}

// letterFate is what became of a dead letter.
type letterFate uint8

const (
	letterKept  letterFate = iota
	letterAgain            // it has to be written again
	letterLost             // it can never be kept; to try for ever would hold up all behind it
)

// One write of dead letters takes that many, or little more than that many bytes, since
// it needs twice their memory, which is in no budget.
const (
	lettersOfOneWrite     = 500
	letterBytesOfOneWrite = 4 << 20
)

// writeLetters makes letters durable and tells what became of each.
func (s *Server) writeLetters(letters []deadletter.Letter) (fates []letterFate, err error) {
	fates = make([]letterFate, len(letters))
	for from := 0; from < len(letters); {
		to, size := from, 0
		for to < len(letters) && to-from < lettersOfOneWrite && size < letterBytesOfOneWrite {
			size += len(letters[to].Data)
			to++
		}
		if e := s.writeSome(letters[from:to], fates[from:to]); e != nil {
			err = e
		}
		from = to
	}
	if slices.Contains(fates, letterAgain) {
		s.throttled.log("dead_letter", func(skipped int) {
			s.log.Error("dead letters cannot be written; their requests are answered with 503", "error", err, "not_shown", skipped)
		})
	}
	return fates, err
}

// writeSome is one write.
func (s *Server) writeSome(letters []deadletter.Letter, fates []letterFate) error {
	if s.letters == nil {
		return fill(fates, errors.New("cannot write dead letters: there is no place for them"))
	}
	err := s.letters.Write(s.lettersContext, letters)
	var part *deadletter.WriteError
	switch {
	case err == nil:
	case errors.As(err, &part):
		for _, i := range part.Failed {
			fates[i] = letterAgain
		}
		for _, i := range part.Hopeless {
			fates[i] = letterLost
		}
	default:
		return fill(fates, err)
	}
	return err
}

func fill(fates []letterFate, err error) error {
	for i := range fates {
		fates[i] = letterAgain
	}
	return err
}

// take puts the outcome of an attempt that has ended into d.
func (d *delivery) take(a *attempt) {
	d.attempts = slices.DeleteFunc(d.attempts, func(other *attempt) bool { return other == a })
	if d.missing = merge(d.missing, a.missing); len(d.missing) == d.total && d.total > 0 {
		d.all, d.missing = true, nil
	}
	if !a.lettersDone {
		d.unwritten = merge(d.unwritten, a.letters)
	}
	d.dropped += a.dropped
	d.deadLettered += a.deadLettered
}

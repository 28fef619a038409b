// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/internal/ledger"
)

// GivenUpPoll is how often a call that waits asks Config.GivenUp.
const GivenUpPoll = 250 * time.Millisecond

// Config is what a Deliverer needs. Put must be set.
type Config struct {
	// Put is core.Producer.PutBatch. The batch it returns is nil if it took nothing.
	Put func(ctx context.Context, stream string, records []core.Record) (Batch, error)
	// DeadLetters keeps what can never be delivered. Default: nothing is kept, and no
	// Receiver may ask for it.
	DeadLetters deadletter.Sink
	// DeadLetterGrace is what writing dead letters may take beyond the deadline of a
	// call. A stream that does not answer uses up all of that, and must not keep the
	// dead letters of others from being written, or they would never be. It is not for
	// detached attempts, which have no deadline. Default 0.
	DeadLetterGrace time.Duration
	// Ledger bounds what is remembered of contents that should come again. Default: the
	// defaults of ledger.Limits. Forget turns it off.
	Ledger ledger.Limits
	Forget bool
	// Detached makes attempts go on in goroutines of their own, one for each, whatever
	// becomes of the caller. Default: the caller puts, waits and evaluates.
	Detached bool
	// Panicked is told of a panic in a detached attempt; the attempt has failed then.
	Panicked func(p any, stack []byte)
	// Gather, if set, is called when what is missing was put, and before it is waited for.
	Gather func(ctx context.Context, d *Delivery, c *Content)
	// GivenUp, if set, tells whether nothing is to be put into a stream or waited for any
	// more, since the program is about to end and nothing arrives there.
	GivenUp func(stream string) bool
}

// Deliverer delivers the contents of one receiver. Make one with New.
type Deliverer struct {
	cfg    Config
	ledger *ledger.Ledger[*Delivery] // nil: none

	// deadLetters ends when there is no more time for those of detached attempts.
	deadLetters       context.Context
	cancelDeadLetters context.CancelFunc

	running sync.WaitGroup // detached attempts
	mu      sync.Mutex     // guards stopped, and adding to running
	stopped bool           // no attempt is begun any more
}

// New makes a Deliverer.
func New(cfg Config) *Deliverer {
	l := &Deliverer{cfg: cfg}
	l.deadLetters, l.cancelDeadLetters = context.WithCancel(context.Background())
	if !cfg.Forget {
		l.ledger = ledger.New[*Delivery](cfg.Ledger)
	}
	return l
}

// Ledger says what is remembered.
func (l *Deliverer) Ledger() ledger.Stats {
	if l.ledger == nil {
		return ledger.Stats{}
	}
	return l.ledger.Stats()
}

// Take returns how far a content got when it came before, or a new Delivery. A content
// is not remembered while it is being delivered, so that of two equal ones at one time
// both are delivered.
func (l *Deliverer) Take(scope Scope, content []byte) (d *Delivery, known bool) {
	if l.ledger != nil {
		if d, known = l.ledger.Take(scope, content); known {
			return d, true
		}
	}
	d = &Delivery{}
	d.attempts = d.few[:0]
	return d, false
}

// TakeBeginning returns how far a content got that came before and that parts begin with.
func (l *Deliverer) TakeBeginning(scope Scope, parts Parts) (d *Delivery, known bool) {
	if l.ledger == nil {
		return nil, false
	}
	return l.ledger.TakeBeginning(scope, parts)
}

// Park remembers d, of which the client will not hear although Deliver was done. It
// returns how many contents were evicted from the ledger for lack of room.
func (l *Deliverer) Park(d *Delivery, c *Content) (evicted int) {
	if l.ledger == nil || !d.worthKeeping() {
		return 0
	}
	content := c.Bytes
	if d.content == c {
		c.Bytes = nil // they are the caller's, and c may stay for long
	}
	return l.ledger.PutParts(c.Scope, content, c.Parts, d)
}

// Deliver brings d, which is the delivery of c or of what c begins with, forward until
// everything is settled for good, or ctx ends, or a failure calls for a later attempt.
// What is unfinished is remembered; d is the ledger's then.
//
// A first attempt is for what is missing. What an earlier call left under way is waited
// for, too. Its failures are from then, so that another attempt follows them.
func (l *Deliverer) Deliver(ctx context.Context, d *Delivery, c *Content) Outcome {
	earlier := slices.Clone(d.attempts)
	d.grow(c)
	var out Outcome
	l.begin(ctx, d, c, &out)
	if l.cfg.Gather != nil {
		l.cfg.Gather(ctx, d, c)
	}
	if !out.Stopped {
		l.await(ctx, d, &out)
	}
	failed := slices.ContainsFunc(earlier, func(a *attempt) bool { return a.isDone() && !a.ok() })
	if failed && len(d.attempts) == 0 && out.State != Rejected && !out.Stopped {
		out = Outcome{}
		l.begin(ctx, d, c, &out)
		l.await(ctx, d, &out)
	}
	if out = d.outcome(out); out.State == Unfinished {
		out.Evicted = l.Park(d, c)
	}
	return out
}

// Outcome is that of a Delivery of which nothing is left to do.
func (d *Delivery) Outcome() Outcome { return d.outcome(Outcome{}) }

// outcome completes what the attempts have said.
func (d *Delivery) outcome(out Outcome) Outcome {
	out.Open = len(d.attempts) > 0
	out.Kept, out.Dropped, out.Lost, out.HopelessDeadLetters = d.kept, d.dropped, d.gone, d.hopeless
	switch {
	case out.State == Rejected:
	case !d.Finished():
		out.State = Unfinished
	case d.lost:
		out.State = Lost
	}
	return out
}

// begin begins the attempts for what is missing. What is not taken stays missing and does
// not hold up other streams.
func (l *Deliverer) begin(ctx context.Context, d *Delivery, c *Content, out *Outcome) {
	if d.idle() {
		return
	}
	if l.cfg.Detached {
		out.Stopped = !l.detach(d, c)
		return
	}
	var known result
	known.unwritten, known.hopeless, known.deadLetterErr = l.writeKnown(ctx, c, d.unwritten)
	out.note(&known)
	open := len(d.attempts)
	all := l.divide(d.attempts, c, d.all, d.missing)
	d.all, d.missing, d.unwritten = false, nil, nil
	d.take(&known)
	d.attempts = all[:open]
	for _, a := range all[open:] {
		if l.givenUp(a.stream) {
			a.missing = listed(a.records, a.numbers)
		} else if a.batch, a.refused = l.cfg.Put(ctx, a.stream, a.records); a.batch == nil {
			a.refuse(a.refused, listed(a.records, a.numbers))
		}
		if a.batch == nil {
			out.note(&a.result)
			d.take(&a.result)
			continue
		}
		c.hold()
		d.content = c
		d.attempts = append(d.attempts, a) // in the place of one that was not put, or its own
	}
	clear(all[len(d.attempts):])
	d.tidy()
}

// detach begins a goroutine for each attempt. It returns false if no attempt may be begun
// any more.
func (l *Deliverer) detach(d *Delivery, c *Content) bool {
	attempts := l.divide(nil, c, d.all, d.missing)
	if len(attempts) == 0 {
		attempts = []*attempt{l.attempt(c, c.Stream, []int32{}, nil)}
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
		a.cost = 4 * (len(a.records) + len(a.unwritten))
		d.attempts = append(d.attempts, a)
		go a.run()
	}
	return true
}

// await waits until everything that is under way has ended, ctx has, or all of it is given
// up, and evaluates what has ended.
func (l *Deliverer) await(ctx context.Context, d *Delivery, out *Outcome) {
	l.waitFor(ctx, d.attempts)
	d.settle(ctx, false, out)
	for _, a := range d.attempts {
		if a.done != nil {
			continue
		}
		confirmed, _, _ := a.batch.Counts()
		a.content.Receiver.Waiting(a.stream, a.batch, confirmed > a.seen)
		a.seen = max(a.seen, confirmed)
	}
}

// note keeps why something has to be tried again.
func (o *Outcome) note(r *result) {
	if r.rejected {
		o.State = Rejected
	}
	if o.Refused == nil {
		o.Refused = r.refused
	}
	if o.Worst.Reason == core.ReasonNone {
		o.Worst = r.worst
	}
	if o.DeadLetterErr == nil && !r.ok() {
		o.DeadLetterErr = r.deadLetterErr
	}
}

func (l *Deliverer) waitFor(ctx context.Context, open []*attempt) {
	if l.cfg.GivenUp == nil {
		waitForAll(ctx, open)
		return
	}
	for {
		step, cancel := context.WithTimeout(ctx, GivenUpPoll)
		if l.allGivenUp(open) {
			cancel() // but what has settled is seen
		}
		waitForAll(step, open)
		late := step.Err() != nil
		cancel()
		if !late || ctx.Err() != nil || l.allGivenUp(open) {
			return
		}
	}
}

func (l *Deliverer) givenUp(stream string) bool {
	return l.cfg.GivenUp != nil && l.cfg.GivenUp(stream)
}

// allGivenUp is givenUp for what is still open.
func (l *Deliverer) allGivenUp(open []*attempt) bool {
	for _, a := range open {
		if !a.isDone() && !l.givenUp(a.stream) {
			return false
		}
	}
	return true
}

// waitForAll returns when every attempt has ended or ctx has. Each is waited for at the
// same time: the producer sends what it has collected for a stream when everybody waits.
func waitForAll(ctx context.Context, open []*attempt) {
	if len(open) == 0 {
		return
	}
	if len(open) == 1 {
		open[0].wait(ctx)
		return
	}
	var wg sync.WaitGroup
	for _, a := range open[1:] {
		wg.Go(func() { a.wait(ctx) })
	}
	open[0].wait(ctx)
	wg.Wait()
}

// writeKnown writes the dead letters with the given numbers, which are known before
// anything is put, and returns the numbers of those to write again.
func (l *Deliverer) writeKnown(ctx context.Context, c *Content, numbers []int32) (again []int32, lost int, err error) {
	if len(numbers) == 0 {
		return nil, 0, nil
	}
	kept, hopeless, err := l.write(ctx, func(yield func(int, deadletter.Letter) bool) {
		for _, n := range numbers {
			if !yield(int(n), c.DeadLetter(int(n))) {
				return
			}
		}
	})
	var written, gone []int32
	for _, n := range numbers {
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
	}
	c.Receiver.Written(c, written, gone, again, err)
	return again, len(gone), err
}

// write makes dead letters durable, and returns the numbers of those that are, and of
// those that can never be.
func (l *Deliverer) write(ctx context.Context, letters iter.Seq2[int, deadletter.Letter]) (kept, hopeless []int, err error) {
	if l.cfg.DeadLetters == nil {
		for range letters {
			return nil, nil, errNoSink
		}
		return nil, nil, nil
	}
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(context.WithoutCancel(ctx), end.Add(l.cfg.DeadLetterGrace))
		defer cancel()
	}
	return deadletter.Keep(ctx, l.cfg.DeadLetters, letters)
}

// Stop ends the beginning of detached attempts and waits for those under way, which end
// when the producer is closed. Once ctx has ended, dead letters are not waited for.
func (l *Deliverer) Stop(ctx context.Context) {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	defer context.AfterFunc(ctx, l.cancelDeadLetters)()
	l.running.Wait()
	l.cancelDeadLetters()
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

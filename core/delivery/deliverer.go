// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/internal/journal"
	"github.com/outkpl/outkpl/internal/ledger"
)

// Config is what a Deliverer needs. PutBatch must be set.
type Config struct {
	// PutBatch is core.Producer.PutBatch. The batch it returns is nil if it took nothing.
	PutBatch func(ctx context.Context, stream string, records []core.Record) (Batch, error)
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
	// Earlier is what Retire of an earlier Deliverer of the same receiver has returned.
	Earlier *Progress
	// Journal, if set, keeps on disk what this process knows of contents under way, for the
	// next one. The producer must have its Options. ReadPlan makes a Plan of its written form.
	Journal  *journal.Journal
	ReadPlan func(b []byte) (Plan, error)
	// LookFor is core.Producer.LookFor. If it is set, records that an earlier process has sent
	// without an answer are looked for before they are put, from New on.
	LookFor func(ctx context.Context, stream string, list []core.Unanswered) []core.Found
	// Detached makes attempts go on in goroutines of their own, one for each, whatever
	// becomes of the caller. Default: the caller puts, waits and evaluates.
	Detached bool
	// Panicked is told of a panic in a detached attempt; the attempt has failed then.
	Panicked func(p any, stack []byte)
	// GivenUp, if set, tells whether nothing is to be put into a stream or waited for any
	// more, since the program is about to end and nothing arrives there.
	GivenUp func(stream string) bool
}

// Deliverer delivers the contents of one receiver. Make one with New.
type Deliverer struct {
	cfg    Config
	ledger *ledger.Ledger[*Delivery] // nil: none
	before *recovered                // nil: there is no journal
	ahead  *lookAhead                // nil: there is nothing to look for
	sink   *sink                     // for dead letters

	// deadLetters ends when there is no more time for those of detached attempts.
	deadLetters       context.Context
	cancelDeadLetters context.CancelFunc

	running sync.WaitGroup // detached attempts, and calls that begin them
	mu      sync.Mutex     // guards stopped, and adding to running
	stopped bool           // no attempt is begun any more
}

// New makes a Deliverer.
func New(cfg Config) *Deliverer {
	l := &Deliverer{cfg: cfg, sink: &sink{cfg.DeadLetters, cfg.DeadLetterGrace}}
	l.deadLetters, l.cancelDeadLetters = context.WithCancel(context.Background())
	switch {
	case cfg.Forget:
	case cfg.Earlier != nil:
		l.ledger = cfg.Earlier.ledger
		l.ledger.SetLimits(cfg.Ledger)
		l.cfg.Earlier = nil
	default:
		l.ledger = ledger.New[*Delivery](cfg.Ledger)
	}
	if cfg.Journal != nil {
		l.before = newRecovered(&l.cfg)
		l.ahead = l.beginLookAhead()
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
	if old := l.before.take(scope, content); old != nil {
		return old, true
	}
	d = &Delivery{}
	d.attempts = d.few[:0]
	return d, false
}

// Remembers tells whether Take would find that the content came before.
func (l *Deliverer) Remembers(scope Scope, content []byte) bool {
	return l.ledger != nil && l.ledger.Has(scope, content) || l.before.has(scope, content)
}

// TakeBeginning returns how far a content got that came before and that parts begin with.
func (l *Deliverer) TakeBeginning(scope Scope, parts Parts) (d *Delivery, known bool) {
	if l.ledger == nil {
		return nil, false
	}
	if d, known = l.ledger.TakeBeginning(scope, parts); known {
		d.grown = true
	}
	return d, known
}

// Deliver brings d, which is the delivery of c or of what c begins with, forward until
// everything is settled for good, or ctx ends, or a failure calls for a later attempt.
// What is unfinished is remembered; d is the ledger's then.
//
// A first attempt is for what is missing. What an earlier call left under way is waited
// for, too. Its failures are from then, so that another attempt follows them.
func (l *Deliverer) Deliver(ctx context.Context, d *Delivery, c *Content) (out Outcome) {
	d.grow(c)
	l.noteContent(d, c)
	earlier := slices.Clone(d.attempts)
	for {
		out = Outcome{}
		if out.Stopped = !l.begin(ctx, d, c); out.Stopped {
			break
		}
		l.await(ctx, d, &out)
		failed := slices.ContainsFunc(earlier, func(a *attempt) bool { return a.isDone() && !a.ok() })
		inTime := l.cfg.Detached || ctx.Err() == nil // the producer takes nothing else
		if !failed || !inTime || len(d.attempts) > 0 || out.State == Rejected {
			break
		}
		earlier = nil // a failure of this call is for a later one
	}
	if out = d.outcome(out); out.State == Unfinished {
		out.Evicted = l.Park(d, c)
	} else if out.State == Rejected {
		d.entry.End()
	}
	return out
}

// givenUp tells whether nothing is put into a stream or waited for any more.
func (l *Deliverer) givenUp(stream string) bool {
	return l.cfg.GivenUp != nil && l.cfg.GivenUp(stream)
}

// joinRunning lets Stop wait for a call that begins detached attempts, or returns false if
// none may be begun any more.
func (l *Deliverer) joinRunning() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return false
	}
	l.running.Add(1)
	return true
}

// Stop ends the beginning of detached attempts and waits for those under way, which end
// when the producer is closed. Once ctx has ended, dead letters are not waited for.
func (l *Deliverer) Stop(ctx context.Context) {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.ahead.stop()
	defer context.AfterFunc(ctx, l.cancelDeadLetters)()
	l.running.Wait()
	l.cancelDeadLetters()
}

// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"sync"
	"time"
)

// GivenUpPoll is how often a call that waits asks Config.GivenUp.
const GivenUpPoll = 250 * time.Millisecond

// awaitAttempts waits until everything that is under way has ended, ctx has, or all of it is given
// up, and evaluates what has ended.
func (l *Deliverer) awaitAttempts(ctx context.Context, d *Delivery, out *Outcome) {
	l.waitUnlessGivenUp(ctx, d.attempts)
	d.takeEnded(ctx, false, out)
	for _, a := range d.attempts {
		if a.done != nil {
			continue
		}
		confirmed, _, _ := a.batch.Counts()
		a.content.Receiver.Waiting(a.stream, a.batch, confirmed > a.seen)
		a.seen = max(a.seen, confirmed)
	}
}

func (l *Deliverer) waitUnlessGivenUp(ctx context.Context, open []*attempt) {
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
		open[0].waitEnded(ctx)
		return
	}
	var wg sync.WaitGroup
	for _, a := range open[1:] {
		wg.Go(func() { a.waitEnded(ctx) })
	}
	open[0].waitEnded(ctx)
	wg.Wait()
}

// waitEnded returns when the attempt has ended, or ctx.
func (a *attempt) waitEnded(ctx context.Context) {
	if a.done == nil {
		_ = a.batch.WaitSettled(ctx) // seen by its Done
		return
	}
	select {
	case <-a.done:
	case <-ctx.Done():
	}
}

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

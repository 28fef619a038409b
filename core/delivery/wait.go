// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"sync"
	"time"
)

// GivenUpPoll is how often a call that waits asks Config.GivenUp.
const GivenUpPoll = 250 * time.Millisecond

// await waits until everything that is under way has ended, ctx has, or all of it is given
// up, and evaluates what has ended.
func (l *Deliverer) await(ctx context.Context, d *Delivery, out *Outcome) {
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
	last := len(open) - 1
	if last == 0 {
		open[0].waitEnded(ctx)
		return
	}
	var wg sync.WaitGroup
	for _, a := range open[:last] {
		if !a.isDone() {
			wg.Go(func() { a.waitEnded(ctx) })
		}
	}
	open[last].waitEnded(ctx)
	wg.Wait()
}

// waitEnded returns when the attempt has ended, or ctx.
func (a *attempt) waitEnded(ctx context.Context) {
	if a.done == nil {
		if a.batch != nil {
			_ = a.batch.WaitSettled(ctx) // seen by its Done
		}
		return
	}
	select {
	case <-a.done:
	case <-ctx.Done():
	}
}

// takeEnded takes what became of the attempts that have ended.
func (d *Delivery) takeEnded(ctx context.Context, late bool, out *Outcome) {
	open := d.attempts[:0]
	for _, a := range d.attempts {
		if !a.isDone() {
			open = append(open, a)
			continue
		}
		a.evaluateEnded(ctx, late)
		out.noteResult(&a.result)
		d.addResult(&a.result)
	}
	clear(d.attempts[len(open):])
	if d.attempts = open; len(open) == 0 {
		d.content = nil
	}
	d.tidy()
}

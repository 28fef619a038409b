// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"sync"
	"time"

	"github.com/outkpl/outkpl/core/delivery"
)

// maxLinger bounds how long a flush waits for others to join: about a round trip to
// Kinesis, so that those come along whose answer is on its way.
const maxLinger = 20 * time.Millisecond

// crowdMemory is how long it is remembered how many flushes there were at one time.
const crowdMemory = time.Second

// gather lets flushes of small chunks share aggregates. With many tags the host has
// many small chunks, which its workers submit at nearly, but not quite, the same
// time. The producer sends as soon as everybody waits, so that each of them would
// leave alone. Here each waits after it has submitted its records until as many are in as there
// were lately at one time; then all go on together, have their answers together,
// and come back together, so that nobody waits for long. A lone worker waits for
// nobody, and nobody for a flush that is stuck.
type gather struct {
	mu     sync.Mutex // guards everything below
	active int        // flushes under way
	ready  int        // those that have submitted their records and linger
	open   chan struct{}
	gone   map[*delivery.Delivery]time.Time // those that have gone on, and when

	since        time.Time // begin of the present second
	seen, before int       // most flushes at one time, in this second and the one before
}

// enter counts a flush in.
func (g *gather) enter() {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.active++
	if age := now.Sub(g.since); age >= crowdMemory {
		g.before = g.seen
		if age >= 2*crowdMemory {
			g.before = 0
		}
		g.since, g.seen = now, 0
	}
	g.seen = max(g.seen, g.active)
}

// linger returns when everybody who can be expected is in, or after maxLinger.
func (g *gather) linger(ctx context.Context, d *delivery.Delivery) {
	now := time.Now()
	g.mu.Lock()
	g.ready++
	expected := max(g.seen, g.before)
	for _, at := range g.gone {
		if now.Sub(at) > maxLinger {
			expected-- // stuck
		}
	}
	if g.ready >= expected {
		g.release()
		g.pass(d, now)
		g.mu.Unlock()
		return
	}
	if g.open == nil {
		g.open = make(chan struct{})
	}
	open := g.open
	g.mu.Unlock()

	timer := time.NewTimer(maxLinger)
	defer timer.Stop()
	select {
	case <-open:
	case <-timer.C:
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == open {
		g.release() // also the others: the crowd is not what it was
	}
	g.pass(d, time.Now())
}

// pass notes that a flush goes on. Called with the lock held.
func (g *gather) pass(d *delivery.Delivery, now time.Time) {
	if g.gone == nil {
		g.gone = map[*delivery.Delivery]time.Time{}
	}
	g.gone[d] = now
}

// release lets all go that linger. Called with the lock held.
func (g *gather) release() {
	g.ready = 0
	if g.open != nil {
		close(g.open)
		g.open = nil
	}
}

// leave counts a flush out.
func (g *gather) leave(d *delivery.Delivery) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.active--
	delete(g.gone, d)
}

// gatherWith waits for other flushes if d has little to send.
func (in *Instance) gatherWith(ctx context.Context, d *delivery.Delivery, c *delivery.Content) {
	const full = 8 // aggregates that a chunk fills by itself, so that the last one matters little
	size := c.Memory.(*content).builder.Size()
	if in.cfg.Aggregation && size <= full*in.cfg.AggregationMaxBytes && d.Open() > 0 {
		in.gather.linger(ctx, d)
	}
}

// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/vector/internal/body"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// errTooMuch is a need that the budget can never meet.
var errTooMuch = errors.New("more than the budget holds")

// budget bounds the memory of all bodies: on the wire, unpacked, and their tables of
// records, from admission until the last record has settled.
type budget struct {
	timeout time.Duration // limits.admission_timeout

	mu   sync.Mutex // guards all below
	size int64
	used int64
	// Claims of those who hold a part already. As soon as there is room for one of
	// them it has it, and nobody new comes in while any of them waits: what they hold
	// comes back only when they are done.
	growing list.List
	waiters list.List // claims of the others; first come, first served
}

type claim struct {
	n       int64
	granted chan struct{}
}

func newBudget(size int64, timeout time.Duration) *budget {
	return &budget{size: size, timeout: timeout}
}

// take waits for n bytes until ctx ends; grows tells that the caller holds some.
func (b *budget) take(ctx context.Context, n int64, grows bool) error {
	b.mu.Lock()
	if n > b.size {
		b.mu.Unlock()
		return errTooMuch
	}
	// A claim that comes while others wait queues up behind them, so that large bodies get
	// their turn.
	queue, turn := &b.waiters, b.growing.Len()+b.waiters.Len() == 0
	if grows {
		queue, turn = &b.growing, true
	}
	if turn && b.used+n <= b.size {
		b.used += n
		b.mu.Unlock()
		return nil
	}
	c := &claim{n: n, granted: make(chan struct{})}
	el := queue.PushBack(c)
	b.mu.Unlock()
	select {
	case <-c.granted:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-c.granted: // in the meantime
		return nil
	default:
	}
	queue.Remove(el)
	b.grant() // the next one may need less
	return ctx.Err()
}

// give returns n bytes.
func (b *budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	b.grant()
}

// grant serves those whose turn it is. Called with the lock held.
func (b *budget) grant() {
	for el := b.growing.Front(); el != nil; {
		next := el.Next()
		b.serve(&b.growing, el)
		el = next
	}
	for b.growing.Len() == 0 && b.waiters.Len() > 0 {
		if !b.serve(&b.waiters, b.waiters.Front()) {
			return
		}
	}
}

// serve grants a claim if there is room for it.
func (b *budget) serve(queue *list.List, el *list.Element) bool {
	c := el.Value.(*claim)
	if b.used+c.n > b.size {
		return false
	}
	b.used += c.n
	queue.Remove(el)
	close(c.granted)
	return true
}

// state returns what is taken and how many wait.
func (b *budget) state() (used int64, waiting int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used, b.growing.Len() + b.waiters.Len()
}

// lease is the part of the budget that one body holds. Its owners are the handler of the
// request and the attempts that deliver the body; when the last of them has released it,
// everything is given back. Only the handler changes its size, before it shares it.
type lease struct {
	b      *budget
	n      int64
	shares atomic.Int32 // owners besides the first

	// What of the memory is kept for other bodies behind the last release; nil: nothing. The
	// handler sets it before it shares the lease.
	spares *spares
	spoilt atomic.Bool
	body   []byte
	table  []core.Record
}

// resize brings the lease to n bytes. Only growing can fail.
func (l *lease) resize(ctx context.Context, n int64) error {
	if n > l.n {
		if n > l.b.size {
			return errTooMuch // waiting for oneself would never end
		}
		if err := l.b.take(ctx, n-l.n, l.n > 0); err != nil {
			return err
		}
	} else if n < l.n {
		l.b.give(l.n - n)
	}
	l.n = n
	return nil
}

// Hold implements delivery.Memory.
func (l *lease) Hold() { l.shares.Add(1) }

// Release implements delivery.Memory.
func (l *lease) Release() {
	if l.shares.Add(-1) >= 0 {
		return
	}
	if l.spares != nil && !l.spoilt.Load() {
		l.spares.keepAll(l)
	}
	if l.n > 0 {
		l.b.give(l.n)
		l.n = 0
	}
}

// Spoil implements delivery.Memory.
func (l *lease) Spoil() { l.spoilt.Store(true) }

// Size implements delivery.Memory: bodies are in the budget, and not in the ledger's.
func (l *lease) Size() int { return 0 }

// minCharge is what any request costs besides its body, so that many tiny ones are
// bounded, too.
const minCharge = 8 << 10

// Granted implements body.Memory.
func (l *lease) Granted() int64 { return max(l.n-minCharge, 0) }

// Most implements body.Memory.
func (l *lease) Most() int64 { return l.b.size - minCharge }

// Resize implements body.Memory. The error is a *failure.
func (l *lease) Resize(ctx context.Context, n int64) error {
	if f := l.reserve(ctx, n); f != nil {
		return f
	}
	return nil
}

// Decoded implements body.Memory. The body as it was read serves other bodies if what was
// made of it lies elsewhere: it is not in the lease any more.
func (l *lease) Decoded(text []byte) {
	if l.spares != nil && len(text) > 0 && !within(text, l.body) {
		l.spares.keepAll(l) // there is no table yet
	}
}

// spares is the memory of bodies that are settled, for the next ones: what was read, and the
// table of records. New memory for each body would have to be cleared, and the garbage
// collector would run for it alone.
type spares struct {
	// draining tells that nothing is used again. A producer that is closed gives records up
	// while a call that carries them still goes on.
	draining func() bool
	bodies   pieces[byte]
	tables   pieces[core.Record]
}

const (
	// maxKeptBody and maxKeptRecords bound what is kept.
	maxKeptBody    = 8 << 20
	maxKeptRecords = 64 << 10
)

// body is empty and has room for n bytes or some more, or is nil if there is none.
func (s *spares) body(n int) []byte {
	if s.draining() {
		return nil
	}
	return s.bodies.take(n)
}

// table is an empty table with room for n records or some more.
func (s *spares) table(n int) []core.Record {
	if !s.draining() {
		if t := s.tables.take(n); t != nil {
			return t
		}
	}
	return make([]core.Record, 0, n)
}

// keepAll takes the memory of a lease, to which nothing refers any more.
func (s *spares) keepAll(l *lease) {
	body, table := l.body, l.table
	l.body, l.table = nil, nil
	if s.draining() {
		return
	}
	if n := cap(body); n >= minCharge && n <= maxKeptBody {
		s.bodies.give(body)
	}
	s.keepTable(table)
}

// keepTable takes a table to which nothing refers any more.
func (s *spares) keepTable(table []core.Record) {
	if n := cap(table); n > 0 && n <= maxKeptRecords && !s.draining() {
		clear(table) // or it would hold a body
		s.tables.give(table)
	}
}

// pieces are pieces of memory that wait for the next user, or for the garbage collector.
type pieces[E any] struct{ pool sync.Pool } // of *[]E

// take returns an empty piece with room for n or some more, or nil. One that is much larger
// is not taken: a body under way would keep more than it needs.
func (p *pieces[E]) take(n int) []E {
	if b, _ := p.pool.Get().(*[]E); b != nil && n <= cap(*b) && cap(*b)-n <= n/8 {
		return *b
	}
	return nil
}

func (p *pieces[E]) give(b []E) {
	b = b[:0]
	p.pool.Put(&b)
}

// within tells whether a lies in the memory of b.
func within(a, b []byte) bool {
	if cap(a) == 0 || cap(b) == 0 {
		return false
	}
	at, from := uintptr(unsafe.Pointer(unsafe.SliceData(a))), uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return at >= from && at-from < uintptr(cap(b))
}

// reserve brings the memory of the body to n bytes; ctx is that of the request.
func (l *lease) reserve(ctx context.Context, n int64) *failure {
	n += minCharge
	if n <= l.n {
		_ = l.resize(ctx, n) // less cannot fail
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, l.b.timeout)
	defer cancel()
	err := l.resize(wait, n)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errTooMuch):
		return unusable(ReasonTooLarge, fmt.Sprintf("the body needs %d bytes of memory; the most is limits.memory = %s", n, config.FormatSize(l.b.size)))
	case ctx.Err() != nil:
		return goneFailure()
	}
	return retryable(ReasonBudget, "no memory for the body at this moment")
}

// arena is what a body's records are made in, as far as they do not lie in the body.
type arena struct {
	body.Arena
	lease   *lease
	base    int64 // the lease without the arena
	allowed int   // bytes of the arena that the lease covers
}

func newArena(l *lease) arena { return arena{lease: l, base: l.Granted()} }

// admit takes memory for what was made so far and, so that this is rare, for as much again.
func (a *arena) admit(ctx context.Context) error {
	if a.Size() <= a.allowed {
		return nil
	}
	a.allowed = 2*a.Size() + minCharge
	return a.lease.Resize(ctx, a.base+int64(a.allowed))
}

// settle gives back what was taken ahead.
func (a *arena) settle(ctx context.Context) {
	if a.allowed > 0 {
		_ = a.lease.Resize(ctx, a.base+int64(a.Size())) // less cannot fail
	}
}

// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"sync"
	"sync/atomic"
)

// buffer is the bound on what a producer holds. Room is reserved in the order of
// submission and given back when records settle.
type buffer struct {
	maxBytes, maxRecords int

	mu      sync.Mutex
	bytes   int // guarded by mu
	records int // guarded by mu

	// turn is taken by the one caller that waits for room; the others queue
	// for it, so that a large batch is not overtaken for ever by small ones.
	turn    chan struct{}
	waiting atomic.Int32
	freed   chan struct{}
}

func newBuffer(maxBytes, maxRecords int) *buffer {
	return &buffer{
		maxBytes: maxBytes, maxRecords: maxRecords,
		turn: make(chan struct{}, 1), freed: make(chan struct{}, 1),
	}
}

func (it *item) bufferCost() int { return int(it.dataBytes) + int(it.keyBytes) + recordOverheadBytes }

// tryReserve takes room for as many of the leading items as fit and returns their
// number. It gives way to callers that already wait.
func (b *buffer) tryReserve(items []item) int {
	if b.waiting.Load() > 0 {
		return 0
	}
	return b.reserveSome(items)
}

func (b *buffer) reserveSome(items []item) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for i := range items {
		c := items[i].bufferCost()
		// An empty buffer takes any record, or one above the bound could never pass.
		if b.records > 0 && (b.bytes+c > b.maxBytes || b.records+1 > b.maxRecords) {
			break
		}
		b.bytes += c
		b.records++
		n++
	}
	return n
}

// reserveAll takes room for all items or for none.
func (b *buffer) reserveAll(items []item) bool {
	total := 0
	for i := range items {
		total += items[i].bufferCost()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting.Load() > 0 {
		return false
	}
	if b.bytes+total > b.maxBytes || b.records+len(items) > b.maxRecords {
		if b.records > 0 || len(items) > 1 {
			return false
		}
	}
	b.bytes += total
	b.records += len(items)
	return true
}

// waitAndReserve blocks until some of the items fit, takes room for them and returns
// their number, which is 0 only together with an error.
func (b *buffer) waitAndReserve(ctx context.Context, closing <-chan struct{}, items []item) (int, error) {
	b.waiting.Add(1)
	defer b.waiting.Add(-1)
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-closing:
		return 0, ErrClosed
	}
	for {
		if n := b.reserveSome(items); n > 0 {
			return n, nil
		}
		select {
		case <-b.freed:
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-closing:
			return 0, ErrClosed
		}
	}
}

// releaseRoom gives room back.
func (b *buffer) releaseRoom(bytes, records int) {
	if records == 0 {
		return
	}
	b.mu.Lock()
	b.bytes -= bytes
	b.records -= records
	b.mu.Unlock()
	select {
	case b.freed <- struct{}{}:
	default: // a signal is already pending, and the one that waits looks again
	}
}

func (b *buffer) usedRoom() (bytes, records int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes, b.records
}

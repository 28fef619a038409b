// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"
)

const (
	// maxLedgerEntries bounds the chunks remembered. A chunk whose payloads are not
	// needed takes some hundred bytes.
	maxLedgerEntries = 16384
	// maxLedgerAge is how long a chunk is remembered. The host waits at most
	// scheduler.cap (default 2000 s) and a second between two attempts, and never
	// says that it has given up.
	maxLedgerAge = 2 * time.Hour
)

// ledgerKey is the identity of a chunk within one instance. The host hands over the
// same bytes under the same tag at each attempt, but gives them no name, and their
// address changes.
//
// SHA-256 is cut to 128 bits. A collision would lose a chunk, so a hash that is
// hard to collide on purpose is worth its price: 1.7 GB/s here, and it is paid only
// for chunks that are to be retried, see take.
type ledgerKey struct {
	shape ledgerShape
	hash  [16]byte
}

type ledgerShape struct {
	tag    string
	length int
}

func keyOf(tag string, chunk []byte) ledgerKey {
	sum := sha256.Sum256(chunk)
	return ledgerKey{ledgerShape{tag, len(chunk)}, [16]byte(sum[:16])}
}

type ledgerLimits struct {
	entries int
	bytes   int
	age     time.Duration
}

// ledger remembers how far chunks got that the host was told to retry. It holds a
// chunk only between two flushes: take removes what it returns. So of two chunks
// with equal bytes the one that comes while the other is being flushed finds
// nothing and is delivered on its own; and if both are to be retried, there are
// two entries, of which each later flush takes one.
type ledger struct {
	limits ledgerLimits

	mu      sync.Mutex // guards all below
	entries map[ledgerKey][]*list.Element
	shapes  map[ledgerShape]int
	order   *list.List // of *ledgerEntry, oldest first
	bytes   int
}

type ledgerEntry struct {
	key   ledgerKey
	d     *delivery
	bytes int
	since time.Time
}

func newLedger(limits ledgerLimits) *ledger {
	return &ledger{
		limits:  limits,
		entries: map[ledgerKey][]*list.Element{},
		shapes:  map[ledgerShape]int{},
		order:   list.New(),
	}
}

// take removes and returns the entry for the chunk, or nil. Without an entry of the
// same tag and length it does not look at the bytes, which is the usual case.
func (l *ledger) take(tag string, chunk []byte) *delivery {
	l.mu.Lock()
	known := l.shapes[ledgerShape{tag, len(chunk)}] > 0
	l.mu.Unlock()
	if !known {
		return nil
	}
	key := keyOf(tag, chunk)
	l.mu.Lock()
	defer l.mu.Unlock()
	els := l.entries[key]
	if len(els) == 0 {
		return nil
	}
	return l.remove(els[0]).d
}

// put remembers d, and returns how many other chunks had to be forgotten before
// their time. shrink is called for chunks that hold memory they may not need; it
// must not use the ledger.
func (l *ledger) put(tag string, chunk []byte, d *delivery, shrink func(*delivery)) (forgotten int) {
	key := keyOf(tag, chunk)
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &ledgerEntry{key: key, d: d, bytes: d.bytes(), since: now}
	l.entries[key] = append(l.entries[key], l.order.PushBack(e))
	l.shapes[key.shape]++
	l.bytes += e.bytes

	if l.bytes > l.limits.bytes {
		for el := l.order.Front(); el != nil; el = el.Next() {
			e := el.Value.(*ledgerEntry)
			shrink(e.d)
			n := e.d.bytes()
			l.bytes += n - e.bytes
			e.bytes = n
		}
	}
	for el := l.order.Front(); el != nil; el = l.order.Front() {
		switch {
		case now.Sub(el.Value.(*ledgerEntry).since) > l.limits.age:
			// The host has given up; nothing is lost with the entry.
		case l.order.Len() > l.limits.entries, l.bytes > l.limits.bytes:
			forgotten++
		default:
			return forgotten
		}
		l.remove(el)
	}
	return forgotten
}

func (l *ledger) remove(el *list.Element) *ledgerEntry {
	e := l.order.Remove(el).(*ledgerEntry)
	l.bytes -= e.bytes
	if l.shapes[e.key.shape]--; l.shapes[e.key.shape] == 0 {
		delete(l.shapes, e.key.shape)
	}
	els := l.entries[e.key]
	for i := range els {
		if els[i] == el {
			els = append(els[:i:i], els[i+1:]...)
			break
		}
	}
	if len(els) == 0 {
		delete(l.entries, e.key)
	} else {
		l.entries[e.key] = els
	}
	return e
}

// len is the number of chunks remembered.
func (l *ledger) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.order.Len()
}

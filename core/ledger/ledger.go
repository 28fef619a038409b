// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"container/list"
	"crypto/sha256"
	"slices"
	"sync"
	"time"
)

const (
	defaultEntries = 16384
	defaultBytes   = 64 << 20
	// defaultAge covers Fluent Bit, which waits at most scheduler.cap (default
	// 2000 s) and a second between two attempts, and never says that it has given
	// up.
	defaultAge = 2 * time.Hour
)

// Entry is what a door remembers of content. The ledger calls its methods without
// a lock held, and never while the entry is out.
type Entry interface {
	// Bytes returns the memory that the entry holds. It is asked at Put and after
	// Shrink; what changes in between, for instance because a batch settles, is
	// not seen.
	Bytes() int
	// Shrink gives back what the entry does not need any more, if there is such a
	// thing. It must not wait, and must not use the ledger.
	Shrink()
}

// Limits bounds a Ledger. What is zero or less has its default.
type Limits struct {
	// Entries bounds the contents remembered. Default 16,384. An entry costs some
	// 300 bytes besides what it holds.
	Entries int
	// Bytes bounds the sum of Entry.Bytes. Default 64 MiB.
	Bytes int64
	// Age is how long content is remembered. Default 2 h.
	Age time.Duration
}

// Stats counts what a Ledger has done since New, and says what it holds.
type Stats struct {
	// Hits and Misses count the calls of Take by what they found.
	Hits, Misses uint64
	// Expired counts entries that became too old, Forgotten those that had to
	// leave earlier, for lack of room.
	Expired, Forgotten uint64
	// Entries and Bytes are what is held at this moment.
	Entries int
	Bytes   int64
}

// Ledger remembers entries by content. Make one with New.
type Ledger[T Entry] struct {
	limits Limits

	mu      sync.Mutex // guards all below, and the entries' fields
	idle    sync.Cond  // an entry is not being shrunk any more
	entries map[key][]*entry[T]
	shapes  map[shape]int
	order   *list.List // of *entry[T], oldest first
	stats   Stats
}

// shape is what of a key costs nothing to find out.
type shape struct {
	scope  string
	length int
}

type key struct {
	shape shape
	hash  [16]byte
}

// keyOf reads all of content; see the package's comment for why it is SHA-256.
func keyOf(scope string, content []byte) key {
	sum := sha256.Sum256(content)
	return key{shape{scope, len(content)}, [16]byte(sum[:16])}
}

type entry[T Entry] struct {
	key   key
	value T
	bytes int64
	since time.Time
	el    *list.Element
	// busy is set while value is being shrunk, gone once the entry was removed.
	busy, gone bool
}

// New makes a ledger.
func New[T Entry](limits Limits) *Ledger[T] {
	if limits.Entries <= 0 {
		limits.Entries = defaultEntries
	}
	if limits.Bytes <= 0 {
		limits.Bytes = defaultBytes
	}
	if limits.Age <= 0 {
		limits.Age = defaultAge
	}
	l := &Ledger[T]{
		limits:  limits,
		entries: map[key][]*entry[T]{},
		shapes:  map[shape]int{},
		order:   list.New(),
	}
	l.idle.L = &l.mu
	return l
}

// Take removes and returns the oldest entry for the content. Without an entry of
// the same scope and length it does not look at the bytes. It keeps no reference
// to content.
func (l *Ledger[T]) Take(scope string, content []byte) (T, bool) {
	var none T
	now := time.Now()
	l.mu.Lock()
	l.expire(now)
	if l.shapes[shape{scope, len(content)}] == 0 {
		l.stats.Misses++
		l.mu.Unlock()
		return none, false
	}
	l.mu.Unlock()

	k := keyOf(scope, content)
	l.mu.Lock()
	defer l.mu.Unlock()
	same := l.entries[k]
	if len(same) == 0 {
		l.stats.Misses++
		return none, false
	}
	e := same[0]
	l.remove(e)
	for e.busy {
		l.idle.Wait()
	}
	l.stats.Hits++
	return e.value, true
}

// Put remembers e, which belongs to the ledger until a Take returns it. It returns
// how many entries had to be forgotten for lack of room; that may be e itself, if
// it alone exceeds the bytes. It keeps no reference to content.
func (l *Ledger[T]) Put(scope string, content []byte, e T) (forgotten int) {
	added := &entry[T]{key: keyOf(scope, content), value: e, bytes: int64(e.Bytes()), since: time.Now()}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expire(added.since)
	added.el = l.order.PushBack(added)
	l.entries[added.key] = append(l.entries[added.key], added)
	l.shapes[added.key.shape]++
	l.stats.Bytes += added.bytes

	l.shrink()
	// It would push out all the others and then not stay itself.
	if !added.gone && added.bytes > l.limits.Bytes {
		l.remove(added)
		forgotten++
	}
	for l.order.Len() > l.limits.Entries || l.stats.Bytes > l.limits.Bytes {
		l.remove(l.oldest())
		forgotten++
	}
	l.stats.Forgotten += uint64(forgotten)
	return forgotten
}

// Len returns how many contents are remembered.
func (l *Ledger[T]) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.order.Len()
}

// Stats returns the counters and what is held.
func (l *Ledger[T]) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Entries = l.order.Len()
	return s
}

// expire removes what is too old: whoever handed it over has given up, and equal
// content that comes now is new. mu is held.
func (l *Ledger[T]) expire(now time.Time) {
	for l.order.Len() > 0 {
		e := l.oldest()
		if now.Sub(e.since) <= l.limits.Age {
			return
		}
		l.remove(e)
		l.stats.Expired++
	}
}

// shrink asks entries to give memory back, the oldest first, until the bytes are
// within their bound. mu is held, but not while an entry is asked: a Take that
// wants this entry waits, and the others do not.
func (l *Ledger[T]) shrink() {
	if l.stats.Bytes <= l.limits.Bytes {
		return
	}
	all := make([]*entry[T], 0, l.order.Len())
	for el := l.order.Front(); el != nil; el = el.Next() {
		all = append(all, el.Value.(*entry[T]))
	}
	for _, e := range all {
		for e.busy && !e.gone {
			l.idle.Wait() // what it gives back may be enough
		}
		if l.stats.Bytes <= l.limits.Bytes {
			return
		}
		if !e.gone {
			l.shrinkOne(e)
		}
	}
}

// shrinkOne is called with mu held, and gives it up for a while.
func (l *Ledger[T]) shrinkOne(e *entry[T]) {
	e.busy = true
	bytes := e.bytes
	l.mu.Unlock()
	defer func() { // also if the entry's method panics
		l.mu.Lock()
		e.busy = false
		if !e.gone {
			l.stats.Bytes += bytes - e.bytes
			e.bytes = bytes
		}
		l.idle.Broadcast()
	}()
	e.value.Shrink()
	bytes = int64(e.value.Bytes())
}

// oldest is called with mu held and at least one entry.
func (l *Ledger[T]) oldest() *entry[T] { return l.order.Front().Value.(*entry[T]) }

// remove is called with mu held.
func (l *Ledger[T]) remove(e *entry[T]) {
	e.gone = true
	l.order.Remove(e.el)
	l.stats.Bytes -= e.bytes
	if l.shapes[e.key.shape]--; l.shapes[e.key.shape] == 0 {
		delete(l.shapes, e.key.shape)
	}
	same := l.entries[e.key]
	same = slices.Delete(same, slices.Index(same, e), slices.Index(same, e)+1)
	if len(same) == 0 {
		delete(l.entries, e.key)
	} else {
		l.entries[e.key] = same
	}
}

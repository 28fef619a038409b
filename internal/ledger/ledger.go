// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"container/list"
	"crypto/sha256"
	"hash"
	"hash/maphash"
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

// missesForExpiry is how many misses pass from one look for what is too old to the next.
const missesForExpiry = 16

// Entry is what a receiver remembers of content. The ledger calls its methods without
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

// Forgettable is an Entry that is told when the ledger lets go of it other than by Take. It
// is called without a lock held.
type Forgettable interface{ Forgotten() }

// Parts is content as a row of parts, such as the events of a body, for clients that
// put more behind what failed and send it all again.
type Parts interface {
	// Len returns the number of parts.
	Len() int
	// Hash writes into h whatever tells part i from other parts, its length included,
	// or two rows of parts could look alike.
	Hash(h hash.Hash, i int)
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
	// Grown counts the entries that TakeBeginning returned.
	Grown uint64
	// Expired counts entries that became too old, Evicted those that had to leave
	// earlier, for lack of room.
	Expired, Evicted uint64
	// Entries and Bytes are what is remembered at this moment.
	Entries int
	Bytes   int64
}

// Ledger remembers entries by content. Make one with New.
type Ledger[T Entry] struct {
	limits Limits

	mu      sync.Mutex // guards all below, and the entries' fields
	idle    sync.Cond  // an entry is not being shrunk any more
	entries map[Identity][]*entry[T]
	shapes  map[shape]int
	heads   map[head][]*entry[T] // those that TakeBeginning may return
	seed    maphash.Seed
	order   *list.List // of *entry[T], oldest first
	stats   Stats
	// forgotten are entries to be told once mu is given up.
	forgotten []T
}

// unlock gives mu up, and tells entries that they are forgotten.
func (l *Ledger[T]) unlock() {
	list := l.forgotten
	if list != nil {
		l.forgotten = nil
	}
	l.mu.Unlock()
	for _, e := range list {
		if f, ok := any(e).(Forgettable); ok {
			f.Forgotten()
		}
	}
}

// forget removes an entry that nobody takes. mu is held.
func (l *Ledger[T]) forget(e *entry[T]) {
	l.remove(e)
	l.forgotten = append(l.forgotten, e.value)
}

// shape is what of an Identity costs nothing to find out. It leaves out the fingerprint,
// which is nearly always the same and would only take time to hash.
type shape struct {
	name   string
	length int
}

func (id *Identity) shape() shape { return shape{id.Scope.Name, id.Length} }

// head is what a row of parts and all that it may grow to have in common. It costs one
// part to find out, and is no proof of anything.
type head struct {
	scope Scope
	first uint64
}

func headOf(seed maphash.Seed, scope Scope, parts Parts) head {
	var h maphash.Hash
	h.SetSeed(seed)
	parts.Hash(&h, 0)
	return head{scope, h.Sum64()}
}

// row identifies the first n parts.
type row struct {
	n    int
	hash [16]byte
}

// rowOf reads all parts.
func rowOf(parts Parts) row {
	h := sha256.New()
	for i := range parts.Len() {
		parts.Hash(h, i)
	}
	return row{parts.Len(), sumOf(h)}
}

func sumOf(h hash.Hash) [16]byte { return [16]byte(h.Sum(nil)[:16]) }

type entry[T Entry] struct {
	id    Identity
	head  head // if row.n > 0
	row   row
	value T
	bytes int64
	since time.Time
	el    *list.Element
	// busy is set while value is being shrunk, gone once the entry was removed.
	busy, gone bool
}

// withDefaults fills in what is zero or less.
func (l Limits) withDefaults() Limits {
	if l.Entries <= 0 {
		l.Entries = defaultEntries
	}
	if l.Bytes <= 0 {
		l.Bytes = defaultBytes
	}
	if l.Age <= 0 {
		l.Age = defaultAge
	}
	return l
}

// New makes a ledger.
func New[T Entry](limits Limits) *Ledger[T] {
	l := &Ledger[T]{
		limits:  limits.withDefaults(),
		entries: map[Identity][]*entry[T]{},
		shapes:  map[shape]int{},
		heads:   map[head][]*entry[T]{},
		seed:    maphash.MakeSeed(),
		order:   list.New(),
	}
	l.idle.L = &l.mu
	return l
}

// Take removes and returns the oldest entry for the content. Without an entry of
// the same name and length it does not look at the bytes. It keeps no reference
// to content.
func (l *Ledger[T]) Take(scope Scope, content []byte) (T, bool) {
	var none T
	l.mu.Lock()
	of := shape{scope.Name, len(content)}
	// The clock costs as much as the rest of a miss.
	if l.shapes[of] > 0 || l.stats.Misses%missesForExpiry == 0 {
		l.expire(time.Now())
	}
	if l.shapes[of] == 0 {
		l.stats.Misses++
		l.unlock()
		return none, false
	}
	l.unlock()

	id := IdentityOf(scope, content)
	l.mu.Lock()
	defer l.mu.Unlock()
	same := l.entries[id]
	if len(same) == 0 {
		l.stats.Misses++
		return none, false
	}
	l.stats.Hits++
	return l.takeOut(same[0]), true
}

// Has tells whether Take would find an entry. It counts neither as a hit nor as a miss.
func (l *Ledger[T]) Has(scope Scope, content []byte) bool {
	l.mu.Lock()
	l.expire(time.Now())
	none := l.shapes[shape{scope.Name, len(content)}] == 0
	l.unlock()
	if none {
		return false
	}
	id := IdentityOf(scope, content)
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries[id]) > 0
}

// TakeBeginning removes and returns an entry that was put by PutParts with parts of which
// those given are a continuation, or the same: the entry with the most parts, of those
// the oldest. Unless there is an entry of the same scope and first part it looks at the
// first part only. It keeps no reference to parts.
func (l *Ledger[T]) TakeBeginning(scope Scope, parts Parts) (T, bool) {
	var none T
	if parts.Len() == 0 {
		return none, false
	}
	now := time.Now()
	l.mu.Lock()
	l.expire(now)
	if len(l.heads) == 0 {
		l.unlock()
		return none, false
	}
	l.unlock()

	start := headOf(l.seed, scope, parts)
	l.mu.Lock()
	rows := l.rowsOf(start, parts.Len())
	l.mu.Unlock()
	known := beginnings(parts, rows)

	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range slices.Backward(known) {
		// Another call may have taken it in the meantime.
		if i := slices.IndexFunc(l.heads[start], func(e *entry[T]) bool { return e.row == r }); i >= 0 {
			l.stats.Grown++
			return l.takeOut(l.heads[start][i]), true
		}
	}
	return none, false
}

// rowsOf lists the rows of at most n parts that begin with start, the shortest first.
// mu is held.
func (l *Ledger[T]) rowsOf(start head, n int) []row {
	var rows []row
	for _, e := range l.heads[start] {
		if e.row.n <= n {
			rows = append(rows, e.row)
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.n, b.n) })
	return rows
}

// beginnings returns those of rows that parts begin with. They are in order, so that
// the parts are read once at most.
func beginnings(parts Parts, rows []row) []row {
	var known []row
	h := sha256.New()
	n := 0
	var sum [16]byte
	for _, r := range rows {
		if n < r.n {
			for ; n < r.n; n++ {
				parts.Hash(h, n)
			}
			sum = sumOf(h)
		}
		if sum == r.hash {
			known = append(known, r)
		}
	}
	return known
}

// takeOut is called with mu held, and may give it up for a while.
func (l *Ledger[T]) takeOut(e *entry[T]) T {
	l.remove(e)
	for e.busy {
		l.idle.Wait()
	}
	return e.value
}

// Put remembers e, which belongs to the ledger until a Take returns it. It returns
// how many entries were evicted for lack of room; that may be e itself, if
// it alone exceeds the bytes. It keeps no reference to content.
func (l *Ledger[T]) Put(scope Scope, content []byte, e T) (evicted int) {
	return l.PutParts(scope, content, nil, e)
}

// PutParts is Put for content that may come again with more behind it. Take returns e
// for the same content, TakeBeginning for parts that begin with the given ones. Without
// parts it is Put.
func (l *Ledger[T]) PutParts(scope Scope, content []byte, parts Parts, e T) (evicted int) {
	added := &entry[T]{id: IdentityOf(scope, content), value: e, bytes: int64(e.Bytes()), since: time.Now()}
	if parts != nil && parts.Len() > 0 {
		added.head, added.row = headOf(l.seed, scope, parts), rowOf(parts)
	}
	l.mu.Lock()
	defer l.unlock()
	l.expire(added.since)
	if added.row.n > 0 {
		l.heads[added.head] = append(l.heads[added.head], added)
	}
	added.el = l.order.PushBack(added)
	l.entries[added.id] = append(l.entries[added.id], added)
	l.shapes[added.id.shape()]++
	l.stats.Bytes += added.bytes

	l.shrink()
	// It would push out all the others and then not stay itself.
	if !added.gone && added.bytes > l.limits.Bytes {
		l.forget(added)
		evicted++
	}
	for l.order.Len() > l.limits.Entries || l.stats.Bytes > l.limits.Bytes {
		l.forget(l.oldest())
		evicted++
	}
	l.stats.Evicted += uint64(evicted)
	return evicted
}

// SetLimits changes the bounds, and counts anew. What is beyond them leaves at the next Put.
func (l *Ledger[T]) SetLimits(limits Limits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limits = limits.withDefaults()
	l.stats = Stats{Bytes: l.stats.Bytes}
}

// Sift asks every entry to give back what it does not need, and lets go of those that keep
// returns false for. It is called while nobody else uses the ledger.
func (l *Ledger[T]) Sift(keep func(T) bool) {
	l.mu.Lock()
	defer l.unlock()
	for el := l.order.Front(); el != nil; {
		e := el.Value.(*entry[T])
		el = el.Next()
		if l.shrinkOne(e); !keep(e.value) {
			l.forget(e)
		}
	}
}

// Len returns how many contents are remembered.
func (l *Ledger[T]) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.order.Len()
}

// Stats returns the counters and what is remembered.
func (l *Ledger[T]) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Entries = l.order.Len()
	return s
}

// expire removes what is too old: the client has given up, and equal
// content that comes now is new. mu is held.
func (l *Ledger[T]) expire(now time.Time) {
	for l.order.Len() > 0 {
		e := l.oldest()
		if now.Sub(e.since) <= l.limits.Age {
			return
		}
		l.forget(e)
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
	of := e.id.shape()
	if l.shapes[of]--; l.shapes[of] == 0 {
		delete(l.shapes, of)
	}
	without(l.entries, e.id, e)
	if e.row.n > 0 {
		without(l.heads, e.head, e)
	}
}

// without takes e out of the list of k.
func without[K comparable, E any](lists map[K][]*E, k K, e *E) {
	list := lists[k]
	list = slices.Delete(list, slices.Index(list, e), slices.Index(list, e)+1)
	if len(list) == 0 {
		delete(lists, k)
	} else {
		lists[k] = list
	}
}

// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// model does what the ledger promises in the most obvious way.
type model struct {
	limits Limits
	list   []modelEntry
	stats  Stats
}

type modelEntry struct {
	scope, content, name string
	bytes, least         int
	since                time.Time
}

func (m *model) total() (n int64) {
	for _, e := range m.list {
		n += int64(e.bytes)
	}
	return n
}

func (m *model) expire() {
	for len(m.list) > 0 && time.Since(m.list[0].since) > m.limits.Age {
		m.list = m.list[1:]
		m.stats.Expired++
	}
}

func (m *model) take(scope, content string) string {
	alike := func(e modelEntry) bool { return e.scope == scope && len(e.content) == len(content) }
	if m.stats.Misses%missesForExpiry == 0 || slices.ContainsFunc(m.list, alike) {
		m.expire()
	}
	for i, e := range m.list {
		if e.scope == scope && e.content == content {
			m.list = slices.Delete(slices.Clone(m.list), i, i+1)
			m.stats.Hits++
			return e.name
		}
	}
	m.stats.Misses++
	return ""
}

func (m *model) put(e modelEntry) (evicted int) {
	m.expire()
	m.list = append(slices.Clone(m.list), e)
	for i := range m.list {
		if m.total() > m.limits.Bytes {
			m.list[i].bytes = m.list[i].least
		}
	}
	if last := len(m.list) - 1; int64(m.list[last].bytes) > m.limits.Bytes {
		m.list = m.list[:last]
		evicted++
	}
	for len(m.list) > m.limits.Entries || m.total() > m.limits.Bytes {
		m.list = m.list[1:]
		evicted++
	}
	m.stats.Evicted += uint64(evicted)
	return evicted
}

func TestLedgerAgainstModel(t *testing.T) {
	var seen Stats
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			limits := Limits{Entries: 1 + r.IntN(12), Bytes: 50 + r.Int64N(500), Age: 20 * time.Second}
			l, m := New[*item](limits), &model{limits: limits}
			for step := range 1000 {
				scope := []string{"a", "b"}[r.IntN(2)]
				content := fmt.Sprint("content ", r.IntN(8))
				switch r.IntN(5) {
				case 0:
					<-time.After(time.Duration(r.IntN(10)) * time.Second)
				case 1, 2:
					got := ""
					if e, ok := l.Take(Scope{Name: scope}, []byte(content)); ok {
						got = e.name
					}
					if want := m.take(scope, content); got != want {
						t.Fatalf("seed %d, step %d: unexpected entry; got %q; want %q", seed, step, got, want)
					}
				default:
					e := &item{name: fmt.Sprint(step), bytes: r.IntN(120)}
					if r.IntN(10) == 0 {
						e.bytes *= 10
					}
					e.least = r.IntN(e.bytes + 1)
					want := m.put(modelEntry{scope, content, e.name, e.bytes, e.least, time.Now()})
					if got := l.Put(Scope{Name: scope}, []byte(content), e); got != want {
						t.Fatalf("seed %d, step %d: unexpected number evicted; got %d; want %d", seed, step, got, want)
					}
				}
				want := m.stats
				want.Entries, want.Bytes = len(m.list), m.total()
				if got := l.Stats(); got != want {
					t.Fatalf("seed %d, step %d: unexpected stats; got %+v; want %+v", seed, step, got, want)
				}
			}
			s := l.Stats()
			seen.Hits += s.Hits
			seen.Expired += s.Expired
			seen.Evicted += s.Evicted
		})
	}
	if seen.Hits == 0 || seen.Expired == 0 || seen.Evicted == 0 {
		t.Errorf("unexpected rehearsal; got %+v; want all of it to happen", seen)
	}
}

// owned notices two owners at a time. Its fields are used without a lock, so that
// the race detector sees such a thing, too.
type owned struct {
	inUse atomic.Bool
	bytes int
}

func (o *owned) use(f func()) {
	if o.inUse.Swap(true) {
		panic("two owners")
	}
	f()
	o.inUse.Store(false)
}

func (o *owned) Bytes() (n int) { o.use(func() { n = o.bytes }); return n }
func (o *owned) Shrink()        { o.use(func() { o.bytes /= 2 }) }

func TestAnEntryHasOneOwnerAtATime(t *testing.T) {
	l := New[*owned](Limits{Entries: 50, Bytes: 2000, Age: time.Hour})
	const workers, rounds = 8, 2000
	var made, hits, evicted atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 2))
			for range rounds {
				content := fmt.Append(nil, r.IntN(40))
				e, ok := l.Take(Scope{Name: "tag"}, content)
				if ok {
					hits.Add(1)
				} else {
					e = &owned{}
					made.Add(1)
				}
				e.use(func() { e.bytes += r.IntN(100) })
				evicted.Add(int64(l.Put(Scope{Name: "tag"}, content, e)))
				l.Stats()
			}
		})
	}
	wg.Wait()
	s := l.Stats()
	if got, want := int64(s.Entries), made.Load()-evicted.Load(); got != want || s.Entries > 50 || s.Bytes > 2000 {
		t.Errorf("unexpected ledger; got %+v; want %d entries and the bounds kept", s, want)
	}
	if hits.Load() == 0 || s.Hits != uint64(hits.Load()) || s.Misses != uint64(made.Load()) || s.Evicted != uint64(evicted.Load()) {
		t.Errorf("unexpected stats; got %+v; want %d hits, %d misses, %d evicted", s, hits.Load(), made.Load(), evicted.Load())
	}
}

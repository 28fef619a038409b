// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// item is an entry of a certain size.
type item struct {
	name   string
	bytes  int
	least  int // what Shrink cannot give back
	shrunk int
	hook   func() // called by Shrink, if set
}

func (i *item) Bytes() int { return i.bytes }

func (i *item) Shrink() {
	i.shrunk++
	i.bytes = i.least
	if i.hook != nil {
		i.hook()
	}
}

func solid(name string, bytes int) *item { return &item{name: name, bytes: bytes, least: bytes} }

func small() *Ledger[*item] {
	return New[*item](Limits{Entries: 3, Bytes: 1000, Age: time.Hour})
}

// wantTake takes scope/content and compares the entry's name; "" means none.
func wantTake(t *testing.T, l *Ledger[*item], scope, content, want string) {
	t.Helper()
	got := ""
	if e, ok := l.Take(Scope{Name: scope}, []byte(content)); ok {
		got = e.name
	}
	if got != want {
		t.Errorf("unexpected entry for %s/%s; got %q; want %q", scope, content, got, want)
	}
}

func wantStats(t *testing.T, l *Ledger[*item], want Stats) {
	t.Helper()
	if got := l.Stats(); got != want {
		t.Errorf("unexpected stats; got %+v; want %+v", got, want)
	}
	if got := l.Len(); got != want.Entries {
		t.Errorf("unexpected length; got %d; want %d", got, want.Entries)
	}
}

func wantEvicted(t *testing.T, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("unexpected number evicted; got %d; want %d", got, want)
	}
}

func TestLedger(t *testing.T) {
	a, b := []byte("chunk a"), []byte("chunk b")
	t.Run("an entry is found once, by scope and bytes", func(t *testing.T) {
		l := small()
		wantEvicted(t, l.Put(Scope{Name: "tag"}, a, solid("1", 7)), 0)
		wantTake(t, l, "other", "chunk a", "")
		wantTake(t, l, "tag", "chunk b", "")
		wantTake(t, l, "tag", "chu", "")
		wantTake(t, l, "tag", string(bytes.Clone(a)), "1")
		wantTake(t, l, "tag", "chunk a", "")
		wantStats(t, l, Stats{Hits: 1, Misses: 4})
		if n := len(l.shapes) + len(l.entries) + l.order.Len(); n != 0 {
			t.Errorf("unexpected rest; got %d shapes, %d entries, %d in order; want none", len(l.shapes), len(l.entries), l.order.Len())
		}
	})
	t.Run("the content may be changed after Put", func(t *testing.T) {
		l := small()
		c := bytes.Clone(a)
		l.Put(Scope{Name: "tag"}, c, solid("1", 1))
		clear(c)
		wantTake(t, l, "tag", "chunk a", "1")
	})
	t.Run("empty scope and empty content are a scope and a content", func(t *testing.T) {
		l := small()
		l.Put(Scope{}, nil, solid("1", 1))
		wantTake(t, l, "tag", "", "")
		wantTake(t, l, "", "", "1")
	})
	t.Run("equal contents have an entry each, the oldest is taken first", func(t *testing.T) {
		l := small()
		for _, name := range []string{"1", "2", "3"} {
			l.Put(Scope{Name: "tag"}, a, solid(name, 1))
		}
		for _, want := range []string{"1", "2", "3", ""} {
			wantTake(t, l, "tag", "chunk a", want)
		}
	})
	t.Run("content in flight is not found", func(t *testing.T) {
		l := small()
		l.Put(Scope{Name: "tag"}, a, solid("1", 1))
		e, _ := l.Take(Scope{Name: "tag"}, a)
		wantTake(t, l, "tag", "chunk a", "") // equal content of its own
		l.Put(Scope{Name: "tag"}, a, e)
		wantTake(t, l, "tag", "chunk a", "1")
	})
	t.Run("the oldest is evicted when there are too many", func(t *testing.T) {
		l := small()
		for i := range 3 {
			wantEvicted(t, l.Put(Scope{Name: "tag"}, fmt.Append(nil, i), solid(fmt.Sprint(i), 1)), 0)
		}
		wantEvicted(t, l.Put(Scope{Name: "tag"}, a, solid("a", 1)), 1)
		wantTake(t, l, "tag", "0", "")
		wantTake(t, l, "tag", "1", "1")
		wantStats(t, l, Stats{Hits: 1, Misses: 1, Evicted: 1, Entries: 2, Bytes: 2})
	})
	t.Run("the oldest is evicted when the bytes are too many", func(t *testing.T) {
		l := small()
		l.Put(Scope{Name: "tag"}, a, solid("1", 800))
		wantEvicted(t, l.Put(Scope{Name: "tag"}, b, solid("2", 800)), 1)
		wantTake(t, l, "tag", "chunk a", "")
		wantStats(t, l, Stats{Misses: 1, Evicted: 1, Entries: 1, Bytes: 800})
	})
	t.Run("memory is given back before something is evicted, the oldest first and no more than needed", func(t *testing.T) {
		l := small()
		first, second, third := &item{bytes: 500, least: 50}, &item{bytes: 500, least: 50}, &item{bytes: 500, least: 50}
		l.Put(Scope{Name: "tag"}, a, first)
		l.Put(Scope{Name: "tag"}, b, second)
		wantEvicted(t, l.Put(Scope{Name: "tag"}, []byte("c"), third), 0)
		if first.shrunk != 1 || second.shrunk != 1 || third.shrunk != 0 {
			t.Errorf("unexpected calls of Shrink; got %d %d %d; want 1 1 0", first.shrunk, second.shrunk, third.shrunk)
		}
		wantStats(t, l, Stats{Entries: 3, Bytes: 600})
	})
	t.Run("an entry that has no room alone does not push out others", func(t *testing.T) {
		l := small()
		l.Put(Scope{Name: "tag"}, a, solid("1", 10))
		wantEvicted(t, l.Put(Scope{Name: "tag"}, b, solid("2", 1001)), 1)
		wantTake(t, l, "tag", "chunk b", "")
		wantTake(t, l, "tag", "chunk a", "1")
	})
	t.Run("age expires entries, without counting them as evicted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := small()
			l.Put(Scope{Name: "tag"}, a, solid("1", 1))
			l.Put(Scope{Name: "tag"}, b, solid("2", 1))
			<-time.After(time.Hour)
			wantTake(t, l, "tag", "chunk a", "1")
			<-time.After(1)
			wantTake(t, l, "tag", "chunk b", "")
			l.Put(Scope{Name: "tag"}, a, solid("3", 1))
			<-time.After(time.Hour + 1)
			wantEvicted(t, l.Put(Scope{Name: "tag"}, b, solid("4", 1)), 0)
			wantStats(t, l, Stats{Hits: 1, Misses: 1, Expired: 2, Entries: 1, Bytes: 1})
		})
	})
	t.Run("limits that are not set have defaults", func(t *testing.T) {
		l := New[*item](Limits{})
		if want := (Limits{Entries: 16384, Bytes: 64 << 20, Age: 2 * time.Hour}); l.limits != want {
			t.Errorf("unexpected limits; got %+v; want %+v", l.limits, want)
		}
	})
}

func TestShrinkUnderWay(t *testing.T) {
	a, b, c := []byte("a"), []byte("b"), []byte("c")
	// begin starts a Put that asks an entry to shrink and waits in there.
	begin := func(l *Ledger[*item]) (release chan struct{}, done chan int) {
		release, done = make(chan struct{}), make(chan int, 1)
		l.Put(Scope{Name: "tag"}, a, &item{name: "a", bytes: 600, least: 1, hook: func() { <-release }})
		go func() { done <- l.Put(Scope{Name: "tag"}, b, solid("b", 600)) }()
		synctest.Wait()
		return release, done
	}
	t.Run("others are served meanwhile", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := small()
			release, done := begin(l)
			wantTake(t, l, "tag", "b", "b")
			wantTake(t, l, "tag", "c", "")
			close(release)
			wantEvicted(t, <-done, 0)
			wantTake(t, l, "tag", "a", "a")
		})
	})
	t.Run("its Take waits and gets it alone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := small()
			release, done := begin(l)
			taken := make(chan *item)
			go func() { e, _ := l.Take(Scope{Name: "tag"}, a); taken <- e }()
			synctest.Wait()
			wantTake(t, l, "tag", "a", "") // promised to the other
			select {
			case <-taken:
				t.Fatal("unexpected entry while it is being shrunk")
			default:
			}
			close(release)
			if e := <-taken; e == nil || e.bytes != 1 {
				t.Errorf("unexpected entry; got %+v; want a of 1 byte", e)
			}
			wantEvicted(t, <-done, 0)
			wantStats(t, l, Stats{Hits: 1, Misses: 1, Entries: 1, Bytes: 600})
		})
	})
	t.Run("another Put waits for what it gives back instead of forgetting it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := small()
			release, done := begin(l)
			second := make(chan int)
			go func() { second <- l.Put(Scope{Name: "tag"}, c, solid("c", 10)) }()
			synctest.Wait()
			close(release)
			wantEvicted(t, <-done+<-second, 0)
			wantStats(t, l, Stats{Entries: 3, Bytes: 611})
			if e, _ := l.Take(Scope{Name: "tag"}, a); e == nil || e.shrunk != 1 {
				t.Errorf("unexpected entry; got %+v; want it shrunk once", e)
			}
		})
	})
	t.Run("a panic in Shrink leaves the ledger usable", func(t *testing.T) {
		l := small()
		l.Put(Scope{Name: "tag"}, a, &item{name: "a", bytes: 600, hook: func() { panic("boom") }})
		func() {
			defer func() {
				if recover() == nil {
					t.Error("unexpected silence; want the panic")
				}
			}()
			l.Put(Scope{Name: "tag"}, b, solid("b", 600))
		}()
		wantTake(t, l, "tag", "b", "b")
		wantTake(t, l, "tag", "a", "a")
	})
}

func BenchmarkLedger(b *testing.B) {
	chunk := make([]byte, 2048000)
	b.Run("TakeMiss", func(b *testing.B) {
		l := New[*item](Limits{})
		l.Put(Scope{Name: "tag"}, chunk[:100], solid("other length", 1))
		b.SetBytes(int64(len(chunk)))
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := l.Take(Scope{Name: "tag"}, chunk); ok {
				b.Fatal("unexpected entry")
			}
		}
	})
	b.Run("PutAndTakeHit", func(b *testing.B) { // two hashes
		l := New[*item](Limits{})
		e := solid("1", 1)
		b.SetBytes(int64(len(chunk)))
		b.ReportAllocs()
		for b.Loop() {
			l.Put(Scope{Name: "tag"}, chunk, e)
			if _, ok := l.Take(Scope{Name: "tag"}, chunk); !ok {
				b.Fatal("unexpected miss")
			}
		}
	})
	b.Run("PutFullOfSolidEntries", func(b *testing.B) { // asks every entry in vain
		l := New[*item](Limits{Bytes: defaultEntries})
		for i := range defaultEntries {
			l.Put(Scope{Name: "tag"}, fmt.Append(nil, i), solid("", 1))
		}
		n := 0
		b.ReportAllocs()
		for b.Loop() {
			n++
			l.Put(Scope{Name: "tag"}, fmt.Append(nil, "x", n), solid("", 1))
		}
	})
}

// The clock is asked at some of the misses only, so that they cost little.
func TestWhatIsTooOldLeavesThoughNothingIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New[*item](Limits{Age: time.Minute})
		l.Put(Scope{Name: "tag"}, []byte("content"), solid("one", 1))
		time.Sleep(time.Hour)
		if _, ok := l.Take(Scope{Name: "tag"}, []byte("content")); ok {
			t.Error("unexpected entry; got one that is too old")
		}
		l.Put(Scope{Name: "tag"}, []byte("content"), solid("two", 1))
		time.Sleep(time.Hour)
		for range missesForExpiry {
			l.Take(Scope{Name: "tag"}, []byte("another length"))
		}
		if s := l.Stats(); s.Entries != 0 || s.Expired != 2 {
			t.Errorf("unexpected rest; got %d entries, %d expired; want 0, 2", s.Entries, s.Expired)
		}
	})
}

func TestHasChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := small()
		has := func(scope, content string, want bool) {
			t.Helper()
			if got := l.Has(Scope{Name: scope}, []byte(content)); got != want {
				t.Errorf("unexpected answer for %s/%s; got %v; want %v", scope, content, got, want)
			}
		}
		has("a", "x", false)
		l.Put(Scope{Name: "a"}, []byte("x"), solid("one", 10))
		for range 2 {
			has("a", "x", true)
		}
		has("a", "y", false)
		has("a", "xx", false)
		has("b", "x", false)
		wantStats(t, l, Stats{Entries: 1, Bytes: 10})
		wantTake(t, l, "a", "x", "one")
		has("a", "x", false)
		l.Put(Scope{Name: "a"}, []byte("x"), solid("one", 10))
		time.Sleep(2 * time.Hour)
		has("a", "x", false)
	})
}

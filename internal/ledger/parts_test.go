// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"hash"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// words are parts; read counts how many of them were looked at.
type words struct {
	list []string
	read int
}

func (w *words) Len() int { return len(w.list) }

func (w *words) Hash(h hash.Hash, i int) {
	w.read++
	_, _ = fmt.Fprintf(h, "%d:%s", len(w.list[i]), w.list[i])
}

func wordsOf(s string) *words { return &words{list: strings.Fields(s)} }

func (w *words) put(to *Ledger[*item], scope, name string) int {
	return to.PutParts(Scope{Name: scope}, []byte(strings.Join(w.list, " ")), w, solid(name, 1))
}

// wantBeginning takes what the words begin with; "" means nothing.
func wantBeginning(t *testing.T, l *Ledger[*item], scope, content, want string) {
	t.Helper()
	got := ""
	if e, ok := l.TakeBeginning(Scope{Name: scope}, wordsOf(content)); ok {
		got = e.name
	}
	if got != want {
		t.Errorf("unexpected entry for %s/%s; got %q; want %q", scope, content, got, want)
	}
}

func TestContentThatBeginsWithRememberedParts(t *testing.T) {
	for _, c := range []struct {
		name, remembered, scope, content string
		known                            bool
	}{
		{"more behind it", "a b", "s", "a b c d", true},
		{"the same parts", "a b", "s", "a b", true},
		{"one part", "a", "s", "a b", true},
		{"fewer parts", "a b", "s", "a", false},
		{"another scope", "a b", "other", "a b c", false},
		{"another part among them", "a b", "s", "a x c", false},
		{"another first part", "a b", "s", "x b c", false},
		{"a last part that has grown", "a b", "s", "a bc d", false},
		{"the same bytes in other parts", "a bc", "s", "a b c", false},
		{"parts in another order", "a b", "s", "b a c", false},
		{"more before it", "a b", "s", "x a b", false},
		{"nothing", "", "s", "a", false},
		{"nothing that comes again", "a", "s", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := small()
			wordsOf(c.remembered).put(l, "s", "e")
			want := ""
			if c.known {
				want = "e"
			}
			wantBeginning(t, l, c.scope, c.content, want)
			wantBeginning(t, l, c.scope, c.content, "")
			if got := l.Stats().Grown; got > 1 || (got == 1) != c.known {
				t.Errorf("unexpected count; got %d; want known %v", got, c.known)
			}
		})
	}
	t.Run("the longest one, then the oldest", func(t *testing.T) {
		l := New[*item](Limits{})
		for _, p := range []struct{ name, content string }{{"1", "a"}, {"3", "a b c"}, {"2", "a b"}, {"2 again", "a b"}, {"5", "a b c d e"}, {"x", "a x"}} {
			wordsOf(p.content).put(l, "s", p.name)
		}
		for _, want := range []string{"3", "2", "2 again", "1", ""} {
			wantBeginning(t, l, "s", "a b c d", want)
		}
	})
	t.Run("found by its bytes it is not found by its parts", func(t *testing.T) {
		l := small()
		wordsOf("a b").put(l, "s", "e")
		wantTake(t, l, "s", "a b", "e")
		wantBeginning(t, l, "s", "a b c", "")
		if len(l.heads) != 0 {
			t.Errorf("unexpected rest; got %d heads; want none", len(l.heads))
		}
	})
	t.Run("found by its parts it is not found by its bytes", func(t *testing.T) {
		l := small()
		wordsOf("a b").put(l, "s", "e")
		wantBeginning(t, l, "s", "a b c", "e")
		wantTake(t, l, "s", "a b", "")
		wantStats(t, l, Stats{Misses: 1, Grown: 1})
	})
	t.Run("put without parts", func(t *testing.T) {
		l := small()
		l.Put(Scope{Name: "s"}, []byte("a"), solid("e", 1))
		wantBeginning(t, l, "s", "a b", "")
		wantTake(t, l, "s", "a", "e")
	})
	t.Run("evicted and expired", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := small()
			for i := range 4 { // 3 have room
				wordsOf(fmt.Sprint(i, " x")).put(l, "s", "e")
			}
			wantBeginning(t, l, "s", "0 x y", "")
			wantBeginning(t, l, "s", "1 x y", "e")
			time.Sleep(time.Hour + 1)
			wantBeginning(t, l, "s", "2 x y", "")
			if len(l.heads) != 0 {
				t.Errorf("unexpected rest; got %d heads; want none", len(l.heads))
			}
		})
	})
}

// Content of clients that do not let it grow is not read for it.
func TestOnlyTheFirstPartIsReadWithoutAnEntryThatBeginsLikeIt(t *testing.T) {
	l := New[*item](Limits{})
	fresh := wordsOf("a b c d")
	wantRead := func(want int) {
		t.Helper()
		if _, ok := l.TakeBeginning(Scope{Name: "s"}, fresh); ok || fresh.read != want {
			t.Errorf("unexpected look; got %d parts read, found %v; want %d", fresh.read, ok, want)
		}
		fresh.read = 0
	}
	wantRead(0) // empty
	wordsOf("x b c").put(l, "s", "e")
	wantRead(1)
	wordsOf("a x").put(l, "s", "e")
	wordsOf("a b x").put(l, "s", "e")
	wantRead(1 + 3) // once for all that begin alike, as far as the longest of them
	wordsOf("a b c d e").put(l, "s", "e")
	wantRead(1 + 3)
}

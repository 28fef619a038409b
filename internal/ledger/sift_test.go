// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"testing"
	"time"
)

func TestSiftShrinksAllAndKeepsWhatIsWanted(t *testing.T) {
	l := small()
	a, b, c := &item{name: "a", bytes: 300, least: 10}, solid("b", 200), &item{name: "c", bytes: 100, least: 20}
	for _, i := range []*item{a, b, c} {
		l.Put(Scope{Name: "s"}, []byte(i.name), i)
	}
	l.Sift(func(i *item) bool { return i.name != "b" })
	if a.shrunk != 1 || b.shrunk != 1 || c.shrunk != 1 {
		t.Errorf("unexpected calls of Shrink; got %d, %d, %d; want one each", a.shrunk, b.shrunk, c.shrunk)
	}
	wantStats(t, l, Stats{Entries: 2, Bytes: 30})
	wantTake(t, l, "s", "b", "")
	wantTake(t, l, "s", "a", "a")
	wantTake(t, l, "s", "c", "c")
	l.Sift(func(*item) bool { return true }) // of nothing
	wantStats(t, l, Stats{Hits: 2, Misses: 1})
}

func TestOtherLimitsHoldFromTheNextPutOn(t *testing.T) {
	l := small()
	for _, name := range []string{"a", "b", "c"} {
		l.Put(Scope{Name: "s"}, []byte(name), solid(name, 100))
	}
	wantTake(t, l, "s", "x", "")
	l.SetLimits(Limits{Entries: 2, Bytes: 1000, Age: time.Hour})
	wantStats(t, l, Stats{Entries: 3, Bytes: 300})
	wantEvicted(t, l.Put(Scope{Name: "s"}, []byte("d"), solid("d", 100)), 2)
	wantTake(t, l, "s", "b", "")
	wantTake(t, l, "s", "c", "c")
	l.SetLimits(Limits{}) // the defaults
	wantTake(t, l, "s", "d", "d")
}

// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

func keepAll(*delivery) {}

func testLedger(entries, size int) *ledger {
	return newLedger(ledgerLimits{entries: entries, bytes: size, age: time.Hour})
}

func heavy(bytes int) *delivery { return &delivery{missing: make([]int32, bytes/4)} }

func TestLedger(t *testing.T) {
	a, b := []byte("chunk a"), []byte("chunk b")
	t.Run("an entry is found once, by tag and bytes", func(t *testing.T) {
		l := testLedger(10, 1000)
		d := &delivery{}
		l.put("tag", a, d, keepAll)
		for _, c := range []struct {
			tag   string
			chunk []byte
		}{{"other", a}, {"tag", b}, {"tag", a[:3]}} {
			if got := l.take(c.tag, c.chunk); got != nil {
				t.Errorf("unexpected entry for tag %q and %d bytes", c.tag, len(c.chunk))
			}
		}
		if got := l.take("tag", bytes.Clone(a)); got != d {
			t.Errorf("unexpected entry; got %p; want %p", got, d)
		}
		if got := l.take("tag", a); got != nil {
			t.Error("unexpected entry after it was taken")
		}
		if len(l.shapes)+len(l.entries)+l.order.Len()+l.bytes != 0 {
			t.Errorf("unexpected rest: %d shapes, %d entries, %d in order, %d bytes", len(l.shapes), len(l.entries), l.order.Len(), l.bytes)
		}
	})
	t.Run("equal chunks have an entry each", func(t *testing.T) {
		l := testLedger(10, 1000)
		d1, d2 := &delivery{}, &delivery{}
		l.put("tag", a, d1, keepAll)
		l.put("tag", a, d2, keepAll)
		if g1, g2, g3 := l.take("tag", a), l.take("tag", a), l.take("tag", a); g1 != d1 || g2 != d2 || g3 != nil {
			t.Errorf("unexpected entries; got %p %p %p; want %p %p nil", g1, g2, g3, d1, d2)
		}
	})
	t.Run("the oldest is forgotten when there are too many", func(t *testing.T) {
		l := testLedger(1, 1000)
		d := &delivery{}
		l.put("tag", a, &delivery{}, keepAll)
		if n := l.put("tag", b, d, keepAll); n != 1 {
			t.Errorf("unexpected number forgotten; got %d; want 1", n)
		}
		if l.take("tag", a) != nil || l.take("tag", b) != d {
			t.Error("unexpected entries; want only the younger")
		}
	})
	t.Run("memory is given back before something is forgotten", func(t *testing.T) {
		l := testLedger(10, 1000)
		old, young := heavy(800), heavy(800)
		l.put("tag", a, old, keepAll)
		n := l.put("tag", b, young, func(d *delivery) {
			if d == old {
				d.missing = nil
			}
		})
		if n != 0 || l.len() != 2 || l.bytes != 800 {
			t.Errorf("unexpected ledger; got %d forgotten, %d entries, %d bytes; want 0, 2, 800", n, l.len(), l.bytes)
		}
	})
	t.Run("the oldest is forgotten when the bytes are too many", func(t *testing.T) {
		l := testLedger(10, 1000)
		l.put("tag", a, heavy(800), keepAll)
		if n := l.put("tag", b, heavy(800), keepAll); n != 1 || l.bytes != 800 {
			t.Errorf("unexpected ledger; got %d forgotten, %d bytes; want 1, 800", n, l.bytes)
		}
	})
	t.Run("age drops entries without counting them as forgotten", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := testLedger(10, 1000)
			l.put("tag", a, &delivery{}, keepAll)
			<-time.After(time.Hour + time.Second)
			if n := l.put("tag", b, &delivery{}, keepAll); n != 0 || l.len() != 1 {
				t.Errorf("unexpected ledger; got %d forgotten, %d entries; want 0, 1", n, l.len())
			}
		})
	})
}

func BenchmarkLedgerMiss(b *testing.B) {
	l := testLedger(10, 1000)
	chunk := make([]byte, 2048000)
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	for b.Loop() {
		l.take("tag", chunk)
	}
}

func BenchmarkLedgerKey(b *testing.B) {
	chunk := make([]byte, 2048000)
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	for b.Loop() {
		keyOf("tag", chunk)
	}
}

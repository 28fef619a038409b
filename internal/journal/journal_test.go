// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/internal/ledger"
)

var scope = ledger.Scope{Name: "tag", Fingerprint: ledger.Fingerprint{1}}

// mustOpen opens a journal that is closed at the end of the test.
func mustOpen(t *testing.T, cfg Config) *Journal {
	t.Helper()
	cfg.Name = "out"
	j, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

// crash ends j as the end of its process does: nothing is written any more, and the lock is
// free.
func crash(j *Journal) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	if j.sweeper != nil {
		j.sweeper.Stop()
	}
	if j.f != nil {
		j.f.Close()
	}
	j.lock.Close()
}

// begin makes the entry of a content of n records and has it written.
func begin(t *testing.T, j *Journal, content string, n int) *Entry {
	t.Helper()
	e := j.Begin(Head{Identity: j.Identity(scope, []byte(content)), Total: n, DeadLetters: 2, Plan: []byte("plan")})
	if e == nil {
		t.Fatal("unexpected entry; got none")
	}
	return e
}

// lines takes a log.
func lines() (*slog.Logger, func() string) {
	var mu sync.Mutex
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return b.Write(p)
	}), nil))
	return log, func() string {
		mu.Lock()
		defer mu.Unlock()
		return b.String()
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestWhatIsSettledOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, Config{Dir: dir})
	a, b := begin(t, j, "equal", 100), begin(t, j, "equal", 100)
	a.Settle(Confirmed, 0, []int32{0, 1, 2, 50, 7, 99})
	a.Settle(Kept, 3, []int32{60})
	a.Settle(KnownKept, 0, []int32{1})
	b.Settle(Confirmed, 0, []int32{3})
	done := begin(t, j, "done", 1)
	done.Settle(Confirmed, 0, []int32{0})
	done.End()
	crash(j)

	for range 2 { // the second time from the file that the first one has written
		j = mustOpen(t, Config{Dir: dir})
		list := j.Recovered()
		if len(list) != 2 {
			t.Fatalf("unexpected entries; got %d; want 2", len(list))
		}
		if list[0].Identity() != j.Identity(scope, []byte("equal")) || list[0].Identity() != list[1].Identity() {
			t.Error("unexpected identities; got others than before")
		}
		p, q := list[0].Progress(), list[1].Progress()
		if len(p.Missing) != 93 || slices.Contains(p.Missing, 50) || slices.Contains(p.Missing, 60) || !slices.Contains(p.Missing, 3) {
			t.Errorf("unexpected missing records; got %v", p.Missing)
		}
		if p.Events[Kept] != 3 || !slices.Equal(p.Unwritten, []int32{0}) || string(p.Plan) != "plan" {
			t.Errorf("unexpected progress; got %+v", p)
		}
		if len(q.Missing) != 99 || slices.Contains(q.Missing, 3) {
			t.Errorf("unexpected missing records of the second; got %v", q.Missing)
		}
		crash(j)
	}
}

func TestEntryIsUsedOnce(t *testing.T) {
	j := mustOpen(t, Config{Dir: t.TempDir()})
	begin(t, j, "x", 2).Settle(Confirmed, 0, []int32{0})
	crash(j)
	j = mustOpen(t, j.cfg)
	e := j.Recovered()[0]
	if _, ok := e.Take(false); !ok {
		t.Error("unexpected entry; it cannot be taken")
	}
	if _, ok := e.Take(false); ok {
		t.Error("unexpected entry; it can be taken twice")
	}
}

func TestEntryIsNotUsedPastItsAgeInALongLife(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, Config{Dir: dir, MaxAge: time.Hour})
		begin(t, j, "x", 2).Settle(Confirmed, 0, []int32{0})
		crash(j)
		j = mustOpen(t, j.cfg)
		time.Sleep(59 * time.Minute)
		if !j.Recovered()[0].Usable() {
			t.Error("unexpected entry; got one that cannot be used after 59 min")
		}
		time.Sleep(2 * time.Minute)
		if _, ok := j.Recovered()[0].Take(false); ok {
			t.Error("unexpected entry; got one that can be used after 61 min")
		}
	})
}

func TestOldEntriesLeave(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		log, text := lines()
		j := mustOpen(t, Config{Dir: dir, MaxAge: time.Hour, Logger: log})
		begin(t, j, "x", 2).Settle(Confirmed, 0, []int32{0})
		crash(j)
		time.Sleep(2 * time.Hour)
		if j = mustOpen(t, j.cfg); len(j.Recovered()) != 0 || !strings.Contains(text(), "journal_age") {
			t.Errorf("unexpected entries; got %d; log:\n%s", len(j.Recovered()), text())
		}
	})
}

func TestGrownContentKeepsItsNumbers(t *testing.T) {
	j := mustOpen(t, Config{Dir: t.TempDir()})
	e := begin(t, j, "ab", 2)
	e.Settle(Confirmed, 0, []int32{0, 1})
	e.Grow(Head{Identity: j.Identity(scope, []byte("abc")), Total: 3, DeadLetters: 2, Plan: []byte("plan")})
	e.Settle(Confirmed, 0, []int32{})
	begin(t, j, "other", 1).Settle(Confirmed, 0, []int32{0})
	crash(j)
	j = mustOpen(t, j.cfg)
	p := j.Recovered()[0].Progress()
	if p.Identity != j.Identity(scope, []byte("abc")) || !slices.Equal(p.Missing, []int32{2}) {
		t.Errorf("unexpected progress; got %+v", p)
	}
}

func TestSetOfRanges(t *testing.T) {
	for _, r := range [][2]int{{0, 1}, {0, 64}, {3, 200}, {63, 65}, {64, 128}, {60, 700}, {5, 5}} {
		var a, b set
		a.add(100)
		b.add(100)
		a.addRange(r[0], r[1])
		for n := r[0]; n < r[1]; n++ {
			b.add(n)
		}
		if a.n != b.n || !slices.Equal(slices.Collect(a.all), slices.Collect(b.all)) {
			t.Errorf("unexpected set of %v; got %d numbers; want %d", r, a.n, b.n)
		}
	}
}

func TestMarksAreWrittenAsRisingStretches(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var m marks
	for round := range 2000 {
		var want set
		if !m.empty() {
			t.Fatal("unexpected marks before the first one")
		}
		for range rng.IntN(40) {
			first := rng.IntN(300)
			if next := first + rng.IntN(150); rng.IntN(2) == 0 {
				m.addRange(first, next)
				want.addRange(first, next)
			} else {
				m.add(first)
				want.add(first)
			}
		}
		if round%5 == 0 {
			m.clear() // what was not written is no more
			want = set{}
		}
		var got, in set
		in.add(7)
		e, last := encoder{}, -1
		m.appendTo(&e, nil, &in)
		if m.clear(); len(m.words) > 7 {
			t.Fatalf("unexpected memory; got %d words for 450 numbers", len(m.words))
		}
		d := decoder{b: e.b}
		d.stretches(func(first, next int) {
			if first <= last || next <= first {
				t.Fatalf("unexpected stretch from %d to %d; want one that begins above %d", first, next, last)
			}
			got.addRange(first, next)
			last = next
		})
		if d.bad || len(d.b) > 0 || !slices.Equal(slices.Collect(got.all), slices.Collect(want.all)) {
			t.Fatalf("unexpected numbers; got %v; want %v", slices.Collect(got.all), slices.Collect(want.all))
		}
		want.add(7)
		if in.n != want.n || !slices.Equal(slices.Collect(in.all), slices.Collect(want.all)) {
			t.Fatalf("unexpected set; got %v; want %v", slices.Collect(in.all), slices.Collect(want.all))
		}
	}
}

func TestSafeName(t *testing.T) {
	seen := map[string]string{}
	for _, text := range []string{"kpl.0", "a/b", "a_b", "a b", "..", ".", "", "../../etc", strings.Repeat("x", 300), strings.Repeat("x", 301), "ä"} {
		name := SafeName(text)
		if name == "" || len(name) > 100 || strings.ContainsAny(name, "/\\") || strings.Trim(name, ".") == "" {
			t.Errorf("unexpected name of %q; got %q", text, name)
		}
		if other, ok := seen[name]; ok {
			t.Errorf("unexpected name; %q and %q are both %q", text, other, name)
		}
		seen[name] = text
	}
	if SafeName("kpl.0") != "kpl.0" {
		t.Error("unexpected name; a plain one is changed")
	}
}

// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/binary"
	"fmt"
	"os"
	"testing"
)

// history is a journal in which entries begin, settle and end, and what is true after each
// write.
type history struct {
	b []byte
	// at are the sizes of the file after each write, truth what holds then: the settled
	// records of the entries that have not ended.
	at    []int
	truth []map[uint64]map[int]bool
}

func makeHistory(t *testing.T) *history {
	t.Helper()
	j := mustOpen(t, Config{Dir: t.TempDir()})
	h := &history{}
	live := map[uint64]*Entry{}
	settled := map[uint64]map[int]bool{}
	note := func() {
		now := map[uint64]map[int]bool{}
		for id := range live {
			now[id] = map[int]bool{}
			for n := range settled[id] {
				now[id][n] = true
			}
		}
		b, err := os.ReadFile(j.path())
		if err != nil {
			t.Fatal(err)
		}
		h.b, h.at, h.truth = b, append(h.at, len(b)), append(h.truth, now)
	}
	note()
	for i := range 6 {
		e := begin(t, j, fmt.Sprint("content ", i), 40)
		live[e.state.id], settled[e.state.id] = e, map[int]bool{}
		sendFake(j, e, "shardId-000000000000", []int32{0, 1, 2, 3, 9})
		for _, list := range [][]int32{{0, 1, 2}, {9, 3}, {39}} {
			// Before it is in the file: what is being written is true.
			for _, n := range list {
				settled[e.state.id][int(n)] = true
			}
			e.Settle(Confirmed, 0, list)
			note()
		}
		switch i % 3 {
		case 0:
			delete(live, e.state.id)
			e.End()
			note()
		case 1:
			e.Finish()
			note()
		}
	}
	crash(j)
	return h
}

// sendFake writes a call with one Kinesis record.
func sendFake(j *Journal, e *Entry, shard string, list []int32) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lastID++
	j.enc.begin(kindSent)
	start := j.enc.start
	j.enc.uint(j.lastID)
	j.enc.uint(1000)
	j.enc.text("logs")
	j.enc.uint(1)
	j.enc.text(shard)
	j.enc.text("495")
	j.enc.uint(1)
	j.enc.uint(1)
	j.enc.text("outer key")
	j.enc.uint(e.state.id)
	var w numbers
	for _, n := range list {
		w.add(&j.enc, n)
	}
	w.end(&j.enc)
	j.enc.uint(0)
	j.enc.uint(7) // of a later version
	j.enc.text("more")
	j.enc.end()
	c := &call{frame: append([]byte(nil), j.enc.b[start:]...)}
	j.noteCall(&e.state, j.lastID, c)
	j.calls[j.lastID] = c
	j.flush()
}

// check compares what was read with what was true when the file had its size. Less may be
// known, but nothing else: an entry that has ended stays so, a record that is not settled is
// not.
func (h *history) check(t *testing.T, what string, size int, m *image) (known int) {
	t.Helper()
	k := 0
	for k+1 < len(h.at) && h.at[k] < size {
		k++
	}
	before := h.truth[max(k-1, 0)]
	if h.at[k] == size {
		before = h.truth[k]
	}
	for id, s := range m.states {
		known++
		truth, live := h.truth[k][id]
		if old, ok := before[id]; !live && ok {
			truth, live = old, true
		}
		if !live {
			t.Fatalf("%s: unexpected entry %d; it has ended", what, id)
		}
		for n := range s.settled.all {
			if !truth[int(n)] {
				t.Fatalf("%s: unexpected record %d of entry %d; it is not settled", what, n, id)
			}
		}
		if s.settled.n > s.head.Total {
			t.Fatalf("%s: unexpected number of records; got %d of %d", what, s.settled.n, s.head.Total)
		}
	}
	return known
}

func TestFileCutAtEveryByte(t *testing.T) {
	h := makeHistory(t)
	for n := range h.b {
		if m, err := readFile(h.b[:n]); err == nil {
			h.check(t, fmt.Sprint("cut at ", n), n, m)
			if m.broken > 0 {
				t.Fatalf("cut at %d: unexpected damage; a file that breaks off is none", n)
			}
		} else if n >= headerBytes {
			t.Fatalf("cut at %d: unexpected error %v", n, err)
		}
	}
}

func TestFileFlippedAtEveryByte(t *testing.T) {
	h := makeHistory(t)
	whole, err := readFile(h.b)
	if err != nil {
		t.Fatal(err)
	}
	all := h.check(t, "whole", len(h.b), whole)
	for n := range h.b {
		for _, flip := range []byte{1, 0x80, 0xff} {
			b := append([]byte(nil), h.b...)
			b[n] ^= flip
			what := fmt.Sprintf("byte %d flipped by %#x", n, flip)
			m, err := readFile(b)
			if err != nil {
				if n >= headerBytes {
					t.Fatalf("%s: unexpected error %v", what, err)
				}
				continue
			}
			known := h.check(t, what, len(b), m)
			if m.broken == 0 && n >= headerBytes {
				t.Fatalf("%s: unexpected silence; it was not noticed", what)
			}
			if known < all-1 {
				t.Fatalf("%s: unexpected loss; got %d entries of %d; want one less at most", what, known, all)
			}
		}
	}
}

// Larger damage may hide that entries have ended. What was before it is then not used.
func TestFileWithHolesOfEverySize(t *testing.T) {
	h := makeHistory(t)
	for _, size := range []int{2, 13, 26, 27, 64, 200} {
		for n := headerBytes; n+size <= len(h.b); n++ {
			b := append([]byte(nil), h.b...)
			for i := range b[n : n+size] {
				b[n+i] ^= byte(0x55 + i)
			}
			if m, err := readFile(b); err == nil {
				h.check(t, fmt.Sprintf("%d bytes damaged from %d", size, n), len(b), m)
			}
		}
	}
}

func TestFileThatEndsWithZerosIsWhole(t *testing.T) {
	h := makeHistory(t)
	m, err := readFile(append(append([]byte(nil), h.b...), make([]byte, 5000)...))
	if err != nil || m.broken != 0 || m.discarded != 0 {
		t.Fatalf("unexpected reading; got %+v, %v", m, err)
	}
}

// Names that strangers choose may look like anything. Without the salt they are no frame.
func TestTextThatLooksLikeAFrameIsNone(t *testing.T) {
	j := mustOpen(t, Config{Dir: t.TempDir()})
	e := encoder{}
	e.begin(kindSettled)
	appendGroup(&e, 1, Confirmed, 0, &set{words: []uint64{0xff}, n: 8})
	e.end()
	evil := scope
	evil.Name = string(e.b) + string(e.b)
	k := j.Begin(Head{Identity: j.Identity(evil, []byte("x")), Total: 10})
	k.Settle(Confirmed, 0, []int32{0})
	b, err := os.ReadFile(j.path())
	if err != nil {
		t.Fatal(err)
	}
	b[headerBytes+1]++ // its head
	m, err := readFile(b)
	if err != nil || len(m.states) > 0 {
		t.Errorf("unexpected reading; got %+v, %v; want no entry", m, err)
	}
}

func TestUncertainRecordsAreWhatIsNotSettled(t *testing.T) {
	j := mustOpen(t, Config{Dir: t.TempDir()})
	e := begin(t, j, "x", 10)
	sendFake(j, e, "shardId-000000000003", []int32{4, 5, 6})
	e.Settle(Confirmed, 0, []int32{5})
	crash(j)
	j = mustOpen(t, j.cfg)
	got := j.Recovered()[0].Uncertain()
	if len(got) != 1 || got[0].Stream != "logs" || got[0].ShardID != "shardId-000000000003" || got[0].After != "495" || got[0].PartitionKey != "outer key" || fmt.Sprint(got[0].Numbers) != "[4 6]" {
		t.Errorf("unexpected uncertain records; got %+v", got)
	}
	if n, ok := j.Recovered()[0].Take(false); !ok || n != 2 || j.Stats().Uncertain != 2 {
		t.Errorf("unexpected uncertain records; got %d, %v, %d; want 2", n, ok, j.Stats().Uncertain)
	}
}

// What all calls under way may have stored is uncertain, of a content that needs many, in a file that was written anew, too.
func TestAllCallsUnderWayAreRemembered(t *testing.T) {
	j := mustOpen(t, Config{Dir: t.TempDir()})
	e := begin(t, j, "x", 40)
	for i := range 40 {
		sendFake(j, e, "shardId-000000000003", []int32{int32(i)})
	}
	j.mu.Lock()
	err := j.rewrite()
	j.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	crash(j)
	j = mustOpen(t, j.cfg)
	if got := j.Recovered()[0].Uncertain(); len(got) != 40 {
		t.Errorf("unexpected calls; got %d; want 40", len(got))
	}
}

// What the frames of a file in testdata say does not change with this package: other
// versions have to read it, too.
func TestFormatStaysAsItIs(t *testing.T) {
	const golden = "testdata/version1.journal"
	b, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	m, err := readFile(b)
	if err != nil {
		t.Fatal(err)
	}
	if m.broken != 0 || len(m.states) != 4 || len(m.calls) == 0 {
		t.Errorf("unexpected reading; got %d broken, %d entries, %d calls", m.broken, len(m.states), len(m.calls))
	}
	s := m.states[3]
	if s == nil || s.head.Total != 40 || s.head.DeadLetters != 2 || string(s.head.Plan) != "plan" || s.settled.n != 6 || s.finished == 0 || s.head.Identity.Scope != scope {
		t.Errorf("unexpected entry; got %+v", s)
	}
}

func FuzzReadFile(f *testing.F) {
	golden, err := os.ReadFile("testdata/version1.journal")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden[headerBytes:], false)
	f.Add(golden[headerBytes:], true)
	h := header{version: Version}
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		file := append(h.append(nil), b...)
		if seal { // so that what the frames hold is reached
			for pos := headerBytes; pos+frameHead <= len(file); {
				n := int(binary.LittleEndian.Uint32(file[pos:]) >> 8)
				binary.LittleEndian.PutUint32(file[pos+4:], checksum(h.seed(), file[pos:pos+4]))
				if pos+frameHead+n+frameTail > len(file) {
					break
				}
				binary.LittleEndian.PutUint32(file[pos+frameHead+n:], checksum(h.seed(), file[pos+frameHead:pos+frameHead+n]))
				pos += frameHead + n + frameTail
			}
		}
		m, err := readFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// What was read can be written, and says the same.
		j := &Journal{header: h, entries: map[uint64]*Entry{}, calls: m.calls}
		for id, s := range m.states {
			j.entries[id] = &Entry{j: j, state: *s}
		}
		again, err := readFile(j.encodeAll())
		if err != nil || again.broken > 0 || len(again.states) != len(m.states) {
			t.Fatalf("unexpected second reading; got %v, %d broken, %d entries of %d", err, again.broken, len(again.states), len(m.states))
		}
		for id, s := range m.states {
			if o := again.states[id]; o.settled.n != s.settled.n || o.deadLetters.n != s.deadLetters.n || o.events != s.events || o.finished != s.finished || o.head.Identity != s.head.Identity {
				t.Fatalf("unexpected entry; got %+v; want %+v", o, s)
			}
		}
	})
}

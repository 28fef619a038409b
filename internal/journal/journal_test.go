// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
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

// finish makes an entry of which everything is settled, and its client hears of it.
func finish(t *testing.T, j *Journal, content string) *Entry {
	t.Helper()
	e := begin(t, j, content, 1)
	e.Settle(Confirmed, 0, []int32{0})
	e.Finish()
	return e
}

// The host cannot come while it is down, but after ten minutes it is another life of its data.
func TestFinishedEntryOutlivesADownTimeAndIsUsedOnceAProcess(t *testing.T) {
	for _, tt := range []struct {
		name string
		down time.Duration
		want int
	}{{"at once", 0, 1}, {"11 s later", 11 * time.Second, 1}, {"599 s later", 599 * time.Second, 1}, {"601 s later", 601 * time.Second, 0}} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				j := mustOpen(t, Config{Dir: dir})
				finish(t, j, "x")
				crash(j)
				time.Sleep(tt.down)
				j = mustOpen(t, j.cfg)
				if n := len(j.Recovered()); n != tt.want {
					t.Fatalf("unexpected entries; got %d; want %d", n, tt.want)
				}
				if tt.want == 0 {
					return
				}
				if _, ok := j.Recovered()[0].Take(false); !ok {
					t.Fatal("unexpected entry; it cannot be used")
				}
				if _, ok := j.Recovered()[0].Take(false); ok {
					t.Error("unexpected entry; it can be used twice")
				}
			})
		})
	}
}

// The answer of the process after the crash may get lost in a crash like that of the first. It still
// counts from the first one.
func TestFinishedEntryThatWasUsedCanBeUsedAfterTheNextCrash(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, Config{Dir: dir})
		finish(t, j, "x")
		for range 3 {
			crash(j)
			time.Sleep(3 * time.Minute)
			if j = mustOpen(t, j.cfg); len(j.Recovered()) != 1 {
				t.Fatalf("unexpected entries; got %d; want 1", len(j.Recovered()))
			}
			e := j.Recovered()[0]
			if _, ok := e.Take(false); !ok {
				t.Fatal("unexpected entry; it cannot be used")
			}
			e.Finish()
		}
		crash(j)
		time.Sleep(3 * time.Minute)
		if j = mustOpen(t, j.cfg); len(j.Recovered()) != 0 {
			t.Error("unexpected entry; it can be used 12 minutes after the first answer")
		}
	})
}

func TestFinishedEntryThatWasUsedLeaves(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, Config{Dir: dir})
		finish(t, j, "x")
		crash(j)
		time.Sleep(time.Second)
		j = mustOpen(t, j.cfg)
		e := j.Recovered()[0]
		e.Take(false)
		e.Finish()
		time.Sleep(11 * time.Second)
		if s := j.Stats(); s.Entries != 0 {
			t.Errorf("unexpected rest; got %d entries; want 0", s.Entries)
		}
	})
}

func TestFinishedEntryIsNotUsedLateInALife(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, Config{Dir: dir})
		finish(t, j, "x")
		crash(j)
		j = mustOpen(t, j.cfg)
		time.Sleep(10500 * time.Millisecond)
		if _, ok := j.Recovered()[0].Take(false); ok {
			t.Error("unexpected entry; it is used although its client could come for more than 10 s")
		}
		if s := j.Stats(); s.Entries != 0 {
			t.Errorf("unexpected rest; got %d entries; want 0", s.Entries)
		}
	})
}

// While a client waits for an answer it cannot come with what was answered before the crash.
func TestTimeInWhichTheClientWaitsDoesNotCount(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			free time.Duration // between three visits of 20 s, two of which overlap
			want bool
		}{{2400 * time.Millisecond, true}, {2600 * time.Millisecond, false}} {
			j := mustOpen(t, Config{Dir: dir})
			finish(t, j, fmt.Sprint("x", tt.free))
			crash(j)
			j = mustOpen(t, j.cfg)
			time.Sleep(tt.free)
			one := j.Enter()
			time.Sleep(20 * time.Second)
			two := j.Enter()
			j.Leave(one)
			time.Sleep(20 * time.Second)
			j.Leave(two)
			time.Sleep(tt.free)
			one = j.Enter()
			time.Sleep(20 * time.Second)
			j.Leave(one)
			time.Sleep(2 * tt.free)
			if _, ok := j.Recovered()[0].Take(false); ok != tt.want {
				t.Errorf("unexpected entry after %v without a visit; usable %v; want %v", 4*tt.free, ok, tt.want)
			}
			crash(j)
		}
	})
}

// The host hears of an answer once its worker has done the chunk after it, which may take long.
func TestFinishedEntryStaysWhileItsClientWaits(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, Config{Dir: dir})
		one := j.Enter()
		finish(t, j, "x")
		j.Leave(one)
		j.Enter()
		time.Sleep(30 * time.Second)
		crash(j)
		if j = mustOpen(t, j.cfg); len(j.Recovered()) != 1 {
			t.Fatalf("unexpected entries; got %d; want 1", len(j.Recovered()))
		}
		crash(j)

		j = mustOpen(t, Config{Dir: t.TempDir()})
		finish(t, j, "y")
		time.Sleep(5 * time.Second)
		one = j.Enter() // has come with something else meanwhile
		time.Sleep(6 * time.Second)
		if s := j.Stats(); s.Entries != 0 {
			t.Errorf("unexpected rest; got %d entries; want 0", s.Entries)
		}
		j.Leave(one)
	})
}

// Where equal contents come anew, one of them must never be taken for one that was answered.
func TestContentsThatComeAgainAndAgainAreNotKnownOnceAnswered(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, Config{Dir: dir})
		finish(t, j, "x")
		finish(t, j, "x")
		finish(t, j, "y")
		time.Sleep(11 * time.Second) // until nothing is kept of the first ones
		finish(t, j, "x")
		for i := range maxAnswered {
			finish(t, j, fmt.Sprint(i)).End()
		}
		finish(t, j, "y")
		crash(j)
		if j = mustOpen(t, j.cfg); len(j.Recovered()) != 0 {
			t.Errorf("unexpected entries; got %d; want none", len(j.Recovered()))
		}
		finish(t, j, "z")
		crash(j)
		for range 2 { // used in one process, and an equal one comes in the next
			j = mustOpen(t, j.cfg)
			if len(j.Recovered()) != 1 {
				t.Fatalf("unexpected entries; got %d; want 1", len(j.Recovered()))
			}
			j.Recovered()[0].Take(false)
			j.Recovered()[0].Finish()
			crash(j)
		}
		j = mustOpen(t, j.cfg)
		j.Recovered()[0].Take(false)
		j.Recovered()[0].Finish()
		finish(t, j, "z")
		crash(j)
		if j = mustOpen(t, j.cfg); len(j.Recovered()) != 0 {
			t.Errorf("unexpected entries; got %d after an equal content; want none", len(j.Recovered()))
		}
	})
}

// One of two equal contents was answered at a crash. If one comes again, it is the other.
func TestAnsweredContentIsNotKnownIfAnEqualOneIsUnderWay(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, Config{Dir: dir})
		finish(t, j, "x")
		begin(t, j, "x", 3).Settle(Confirmed, 0, []int32{1})
		crash(j)
		j = mustOpen(t, j.cfg)
		if list := j.Recovered(); len(list) != 1 || len(list[0].Progress().Missing) != 2 {
			t.Errorf("unexpected entries; got %d; want that which is under way", len(list))
		}
	})
}

// An equal content that is not on disk at a crash is not taken for the one that was answered.
func TestAnsweredContentIsNotKnownIfAnEqualOneComesAgain(t *testing.T) {
	for _, tt := range []struct {
		name string
		work func(t *testing.T, j *Journal)
	}{
		{"it has begun", func(t *testing.T, j *Journal) {
			finish(t, j, "x")
			begin(t, j, "x", 3) // nothing of it is sent yet
		}},
		{"it is abandoned", func(t *testing.T, j *Journal) {
			finish(t, j, "x")
			begin(t, j, "x", 3).Abandon()
		}},
		{"it is abandoned behind an answer in between", func(t *testing.T, j *Journal) {
			one, two := begin(t, j, "x", 1), begin(t, j, "x", 3)
			one.Settle(Confirmed, 0, []int32{0})
			one.Finish()
			two.Abandon()
		}},
		{"it was abandoned before the answer", func(t *testing.T, j *Journal) {
			one := begin(t, j, "x", 1)
			begin(t, j, "x", 3).Abandon()
			one.Settle(Confirmed, 0, []int32{0})
			one.Finish()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				j := mustOpen(t, Config{Dir: dir})
				finish(t, j, "y")
				tt.work(t, j)
				crash(j)
				j = mustOpen(t, j.cfg)
				usable := 0
				for _, e := range j.Recovered() {
					if e.Usable() {
						usable++
					}
				}
				if usable != 1 {
					t.Errorf("unexpected entries that can be used; got %d; want that of y", usable)
				}
			})
		})
	}
}

// A content that comes again by itself is known by its only answer.
func TestAbandonedContentIsKnownOnceItIsAnswered(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, Config{Dir: dir})
		begin(t, j, "x", 1).Abandon()
		finish(t, j, "x")
		crash(j)
		if j = mustOpen(t, j.cfg); len(j.Recovered()) != 1 {
			t.Errorf("unexpected entries; got %d; want 1", len(j.Recovered()))
		}
	})
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

func TestFinishedEntriesLeaveAndTheFileIsEmptied(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, Config{Dir: dir})
		for i := range 100 {
			e := begin(t, j, fmt.Sprint(i), 1)
			e.Settle(Confirmed, 0, []int32{0})
			e.Finish()
		}
		time.Sleep(11 * time.Second)
		if s := j.Stats(); s.Entries != 0 || s.Bytes != int64(headerBytes) {
			t.Errorf("unexpected rest; got %d entries, %d bytes; want 0, %d", s.Entries, s.Bytes, headerBytes)
		}
	})
}

// A clock that was set back makes a finished entry younger than nothing; it is not used then.
func TestFinishedInTheFutureIsNotUsed(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, Config{Dir: dir})
		e := begin(t, j, "x", 1)
		e.Settle(Confirmed, 0, []int32{0})
		j.mu.Lock()
		e.state.finished = time.Now().Add(5 * time.Minute).UnixMilli()
		e.state.appendFinished(&j.enc)
		j.flush()
		j.mu.Unlock()
		begin(t, j, "y", 2).Settle(Confirmed, 0, []int32{0})
		crash(j)
		if j = mustOpen(t, j.cfg); len(j.Recovered()) != 1 {
			t.Errorf("unexpected entries; got %d; want the one that is not finished", len(j.Recovered()))
		}
	})
}

func TestAnotherFingerprintIsNotUsed(t *testing.T) {
	log, text := lines()
	j := mustOpen(t, Config{Dir: t.TempDir(), Logger: log})
	begin(t, j, "x", 2).Settle(Confirmed, 0, []int32{0})
	crash(j)
	j.cfg.Known = func(f ledger.Fingerprint) bool { return f == ledger.Fingerprint{2} }
	j = mustOpen(t, j.cfg)
	if len(j.Recovered()) != 0 || j.Stats().Unused != 1 || strings.Count(text(), "other options or another version") != 1 {
		t.Errorf("unexpected entries: %d, unused %d; want none, 1 and one line in the log; got:\n%s", len(j.Recovered()), j.Stats().Unused, text())
	}
}

func TestMachineThatWasStartedAgain(t *testing.T) {
	for _, sync := range []bool{false, true} {
		t.Run(fmt.Sprint("sync ", sync), func(t *testing.T) {
			log, text := lines()
			boot := [16]byte{1}
			j := mustOpen(t, Config{Dir: t.TempDir(), Sync: sync, Logger: log, boot: func() [16]byte { return boot }})
			begin(t, j, "x", 2).Settle(Confirmed, 0, []int32{0})
			crash(j)
			boot[0]++
			want := map[bool]int{false: 0, true: 1}[sync]
			if j = mustOpen(t, j.cfg); len(j.Recovered()) != want {
				t.Errorf("unexpected entries; got %d; want %d", len(j.Recovered()), want)
			}
			if got := strings.Contains(text(), "journal_sync was off"); got == sync {
				t.Errorf("unexpected log; got:\n%s", text())
			}
		})
	}
}

func TestTwoHoldersOfOneJournal(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, Config{Dir: dir})
		if _, err := Open(j.cfg); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), filepath.Join(dir, "out")) {
			t.Errorf("unexpected error; got %v; want %v with the folder", err, ErrInUse)
		}
		other := j.cfg
		other.Name = "other"
		k, err := Open(other)
		if err != nil {
			t.Fatal(err)
		}
		k.Close()
		j.Close()
		if k, err = Open(j.cfg); err != nil {
			t.Fatalf("unexpected error once it is free; got %v", err)
		}
		k.Close()
	})
}

func TestNewerVersionIsRefusedAndKept(t *testing.T) {
	j := mustOpen(t, Config{Dir: t.TempDir()})
	begin(t, j, "x", 2).Settle(Confirmed, 0, []int32{0})
	crash(j)
	h := j.header
	h.version = Version + 1
	b, err := os.ReadFile(j.path())
	if err != nil {
		t.Fatal(err)
	}
	b = append(h.append(nil), b[headerBytes:]...)
	if err := os.WriteFile(j.path(), b, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(j.cfg)
	var version *VersionError
	if !errors.As(err, &version) || !strings.Contains(err.Error(), "version 2") || !strings.Contains(err.Error(), "allowed: 1 to 1") {
		t.Errorf("unexpected error; got %v", err)
	}
	if after, _ := os.ReadFile(j.path()); !bytes.Equal(after, b) {
		t.Error("unexpected change of a file of a newer version")
	}
}

func TestFolders(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	j := mustOpen(t, Config{Dir: dir})
	begin(t, j, "x", 2).Settle(Confirmed, 0, []int32{0})
	for path, want := range map[string]os.FileMode{dir: 0o700, j.dir: 0o700, j.path(): 0o600, filepath.Join(j.dir, lockName): 0o600} {
		if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != want {
			t.Errorf("unexpected mode of %s; got %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
	if _, err := Open(Config{Dir: filepath.Join(t.TempDir(), "a", "b"), Name: "out"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("unexpected error; got %v; want one for a folder that is missing", err)
	}
}

// full is a file on a disk that fills up.
type full struct {
	*os.File
	room     *int
	noEnd    bool // it cannot be truncated either
	onlyRead bool
}

func (f *full) WriteAt(b []byte, at int64) (int, error) {
	if f.onlyRead {
		return 0, syscall.EROFS
	}
	n := min(len(b), max(*f.room, 0))
	*f.room -= n
	if _, err := f.File.WriteAt(b[:n], at); err != nil {
		return 0, err
	}
	if n < len(b) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func (f *full) Truncate(n int64) error {
	if f.noEnd {
		return syscall.EROFS
	}
	return f.File.Truncate(n)
}

func TestFullDiskCostsExactnessAlone(t *testing.T) {
	for _, noEnd := range []bool{false, true} {
		t.Run(fmt.Sprint("cannot be truncated ", noEnd), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				log, text := lines()
				room := 1 << 20
				cfg := Config{Dir: dir, Name: "out", Logger: log}
				cfg.openFile = func(path string, flag int) (handle, error) {
					f, err := os.OpenFile(path, flag, 0o600)
					return &full{File: f, room: &room, noEnd: noEnd}, err
				}
				j := mustOpen(t, cfg)
				e := begin(t, j, "x", 10)
				e.Settle(Confirmed, 0, []int32{0, 1})
				room = 5
				e.Settle(Confirmed, 0, []int32{5})
				e.Settle(Confirmed, 0, []int32{6})
				if !j.Stats().Failed || strings.Count(text(), "cannot write the journal") != 1 {
					t.Errorf("unexpected state; want a failure and one line; got:\n%s", text())
				}
				// What is on the disk claims nothing that may not hold any more.
				b, err := os.ReadFile(j.path())
				if err == nil && len(b) > 0 {
					t.Errorf("unexpected file; got %d bytes; want none", len(b))
				}
				room = 1 << 20
				time.Sleep(10 * time.Second)
				e.Settle(Confirmed, 0, []int32{7})
				if j.Stats().Failed || !strings.Contains(text(), "works again") {
					t.Errorf("unexpected state; want it to work again; got:\n%s", text())
				}
				crash(j)
				j = mustOpen(t, cfg)
				if p := j.Recovered()[0].Progress(); len(p.Missing) != 5 {
					t.Errorf("unexpected missing records; got %v; want what is not settled", p.Missing)
				}
			})
		})
	}
}

func TestFolderThatIsDeletedComesBack(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, Config{Dir: dir})
		e := begin(t, j, "x", 4)
		e.Settle(Confirmed, 0, []int32{0})
		if err := os.RemoveAll(j.dir); err != nil {
			t.Fatal(err)
		}
		j.mu.Lock()
		j.due = 0 // the next write makes it anew
		j.mu.Unlock()
		e.Settle(Confirmed, 0, []int32{1})
		if !j.Stats().Failed {
			t.Error("unexpected state; got no failure")
		}
		time.Sleep(10 * time.Second)
		e.Settle(Confirmed, 0, []int32{2})
		if _, err := Open(j.cfg); !errors.Is(err, ErrInUse) {
			t.Errorf("unexpected error; got %v; want the new folder to be locked", err)
		}
		crash(j)
		if j = mustOpen(t, j.cfg); len(j.Recovered()) != 1 || len(j.Recovered()[0].Progress().Missing) != 1 {
			t.Error("unexpected entry; want what was settled")
		}
	})
}

func TestFileStaysWithinItsBound(t *testing.T) {
	log, text := lines()
	j := mustOpen(t, Config{Dir: t.TempDir(), MaxBytes: 64 << 10, Logger: log})
	for i := range 5000 {
		e := begin(t, j, fmt.Sprint("content ", i), 100)
		e.Settle(Confirmed, 0, []int32{int32(i % 100)})
		if s := j.Stats(); s.Bytes > 64<<10+leastRewrite/2 {
			t.Fatalf("unexpected size; got %d", s.Bytes)
		}
		if i%2 == 0 {
			e.End()
		}
	}
	s := j.Stats()
	if s.Evicted == 0 || s.Rewrites < 2 || !strings.Contains(text(), "raise journal_size") {
		t.Errorf("unexpected stats: %+v; log:\n%s", s, text())
	}
	crash(j)
	if j = mustOpen(t, j.cfg); len(j.Recovered()) == 0 {
		t.Error("unexpected entries; got none of the youngest")
	}
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

func TestSyncIsShared(t *testing.T) {
	j := mustOpen(t, Config{Dir: t.TempDir(), Sync: true})
	before := j.Stats().Syncs
	var wg sync.WaitGroup
	for i := range 64 {
		e := begin(t, j, fmt.Sprint(i), 1)
		wg.Go(e.Finish)
	}
	wg.Wait()
	if n := j.Stats().Syncs - before; n == 0 || n > 64 {
		t.Errorf("unexpected syncs; got %d for 64 entries", n)
	}
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

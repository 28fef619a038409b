// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

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

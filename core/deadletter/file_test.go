// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

func TestOpenFile(t *testing.T) {
	t.Run("all wrong settings are named at once", func(t *testing.T) {
		_, err := OpenFile(FileConfig{MaxBytes: 5, MaxAge: 1, MaxFiles: -1})
		for _, want := range []string{"Path", "MaxBytes 5", "MaxAge 1ns", "MaxFiles -1"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("unexpected error; got %v; want it to name %s", err, want)
			}
		}
	})
	t.Run("a missing directory is an error, or is created", func(t *testing.T) {
		p := filepath.Join(t.TempDir(), "a", "b", "dead.ndjson")
		if _, err := OpenFile(FileConfig{Path: p}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("unexpected error; got %v; want %v", err, os.ErrNotExist)
		}
		f := open(t, FileConfig{Path: p, CreateDir: true})
		write(t, f, "1")
		if runtime.GOOS == "windows" {
			return
		}
		for name, want := range map[string]os.FileMode{p: 0o600, p + LockSuffix: 0o600, filepath.Dir(p): 0o700} {
			info, err := os.Stat(name)
			if err != nil || info.Mode().Perm() != want {
				t.Errorf("unexpected mode of %s; got %v, %v; want %v", name, info.Mode().Perm(), err, want)
			}
		}
	})
	t.Run("what is no regular file is refused", func(t *testing.T) {
		if _, err := OpenFile(FileConfig{Path: t.TempDir()}); err == nil {
			t.Error("unexpected success with a directory")
		}
	})
	t.Run("a file has one writer", func(t *testing.T) {
		p := path(t)
		f := open(t, FileConfig{Path: p})
		_, err := OpenFile(FileConfig{Path: p})
		wantErr(t, err, ErrInUse)
		closeFile(t, f)
		write(t, open(t, FileConfig{Path: p}), "1")
	})
	for _, c := range []struct {
		name, tail string
		want       []string
		cut        uint64
	}{
		{"nothing to mend", "", []string{"1", "2"}, 0},
		{"a torn line is cut off", `{"time":"2026-`, []string{"1", "2"}, 14},
		{"a long torn line is cut off", `{"data":"` + long(200000), []string{"1", "2"}, 200009},
		{"a line that lacks its end only gets it", `{"reason":"invalid","data":"YQ=="}`, []string{"1", "a", "2"}, 0},
		{"a broken line with an end stays", "rubbish\n", []string{"1", "!", "2"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := path(t)
			f := open(t, FileConfig{Path: p})
			write(t, f, "1")
			closeFile(t, f)
			appendTo(t, p, c.tail)
			f = open(t, FileConfig{Path: p})
			write(t, f, "2")
			wantData(t, p, c.want...)
			if got := f.Stats().CutBytes; got != c.cut {
				t.Errorf("unexpected number of bytes cut; got %d; want %d", got, c.cut)
			}
		})
	}
	t.Run("a file of nothing but a torn line is emptied", func(t *testing.T) {
		p := path(t)
		appendTo(t, p, `{"time`)
		f := open(t, FileConfig{Path: p})
		write(t, f, "1")
		wantData(t, p, "1")
	})
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestFileWrite(t *testing.T) {
	t.Run("no dead letters, nothing written", func(t *testing.T) {
		f := open(t, FileConfig{Path: path(t)})
		if err := f.Write(t.Context(), nil); err != nil || f.Stats().Syncs != 0 {
			t.Errorf("unexpected result; got %v, %d syncs; want none", err, f.Stats().Syncs)
		}
	})
	t.Run("dead letters are there when Write returns, and counted", func(t *testing.T) {
		p := path(t)
		f := open(t, FileConfig{Path: p})
		write(t, f, "1", "2")
		write(t, f, "3")
		wantData(t, p, "1", "2", "3")
		info, err := os.Stat(p)
		if s := f.Stats(); err != nil || s != (FileStats{Entries: 3, Bytes: uint64(info.Size()), Syncs: 2}) {
			t.Errorf("unexpected stats; got %+v", s)
		}
	})
	t.Run("a dead letter that cannot be encoded fails its Write alone", func(t *testing.T) {
		p := path(t)
		f := open(t, FileConfig{Path: p})
		bad := entry("2")
		bad.Time = bad.Time.AddDate(9000, 0, 0)
		if err := f.Write(t.Context(), []Entry{entry("1"), bad}); err == nil || !strings.Contains(err.Error(), "dead letter 1 of 2") {
			t.Errorf("unexpected error; got %v; want one of dead letter 1", err)
		}
		write(t, f, "3")
		wantData(t, p, "3")
	})
	t.Run("after Close it fails, and Close may be called again", func(t *testing.T) {
		f := open(t, FileConfig{Path: path(t)})
		closeFile(t, f)
		wantErr(t, f.Write(t.Context(), []Entry{entry("1")}), ErrClosed)
		closeFile(t, f)
	})
	t.Run("a file that was moved or deleted is recreated", func(t *testing.T) {
		p := path(t)
		f := open(t, FileConfig{Path: p})
		write(t, f, "1")
		if err := os.Rename(p, p+".moved"); err != nil {
			t.Fatal(err)
		}
		write(t, f, "2")
		wantData(t, p, "2")
		wantData(t, p+".moved", "1")
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
		write(t, f, "3")
		wantData(t, p, "3")
	})
	t.Run("a file that was truncated gets no hole", func(t *testing.T) {
		p := path(t)
		f := open(t, FileConfig{Path: p})
		write(t, f, "1", "2")
		if err := os.Truncate(p, 10); err != nil {
			t.Fatal(err)
		}
		write(t, f, "3")
		wantData(t, p, "3")
	})
}

// faulty is a handle of which a test can break things.
type faulty struct {
	handle
	b *breaker
}

type breaker struct {
	mu       sync.Mutex
	room     int // bytes that can still be written; -1: no bound
	truncate error
	sync     error
	hold     chan struct{} // Sync waits for it, if set
}

var errNoSpace = errors.New("no space left on device")

func (b *breaker) set(f func()) { b.mu.Lock(); f(); b.mu.Unlock() }

func (b *breaker) open(path string) (handle, error) {
	h, err := openHandle(path)
	return faulty{h, b}, err
}

func (f faulty) WriteAt(p []byte, at int64) (int, error) {
	f.b.mu.Lock()
	defer f.b.mu.Unlock()
	if f.b.room < 0 || len(p) <= f.b.room {
		f.b.room = max(-1, f.b.room-len(p))
		return f.handle.WriteAt(p, at)
	}
	n, _ := f.handle.WriteAt(p[:f.b.room], at)
	f.b.room = 0
	return n, errNoSpace
}

func (f faulty) Truncate(size int64) error {
	f.b.mu.Lock()
	defer f.b.mu.Unlock()
	if f.b.truncate != nil {
		return f.b.truncate
	}
	return f.handle.Truncate(size)
}

func (f faulty) Sync() error {
	f.b.mu.Lock()
	err, hold := f.b.sync, f.b.hold
	f.b.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if err != nil {
		return err
	}
	return f.handle.Sync()
}

func TestDiskFailures(t *testing.T) {
	start := func(t *testing.T) (*File, *breaker, string) {
		b := &breaker{room: -1}
		p := path(t)
		f := openWith(t, FileConfig{Path: p}, b.open)
		write(t, f, "1")
		return f, b, p
	}
	t.Run("a full disk is an error, and the next write goes on", func(t *testing.T) {
		f, b, p := start(t)
		b.set(func() { b.room = 50 })
		wantErr(t, f.Write(t.Context(), []Entry{entry("lost"), entry("lost")}), errNoSpace)
		wantData(t, p, "1")
		b.set(func() { b.room = -1 })
		write(t, f, "2")
		wantData(t, p, "1", "2")
		if s := f.Stats(); s.Errors != 1 || s.Entries != 2 {
			t.Errorf("unexpected stats; got %+v", s)
		}
	})
	t.Run("what a full disk left is cut off later if it cannot be at once", func(t *testing.T) {
		f, b, p := start(t)
		b.set(func() { b.room, b.truncate = 50, errors.New("no truncate") })
		wantErr(t, f.Write(t.Context(), []Entry{entry("lost")}), errNoSpace)
		wantData(t, p, "1", "!")
		wantErr(t, f.Write(t.Context(), []Entry{entry("lost")}), b.truncate)
		b.set(func() { b.room, b.truncate = -1, nil })
		write(t, f, "2")
		wantData(t, p, "1", "2")
	})
	t.Run("what a full disk left is cut off when the file is opened again", func(t *testing.T) {
		f, b, p := start(t)
		b.set(func() { b.room, b.truncate = 50, errors.New("no truncate") })
		wantErr(t, f.Write(t.Context(), []Entry{entry("lost")}), errNoSpace)
		closeFile(t, f)
		write(t, open(t, FileConfig{Path: p}), "2")
		wantData(t, p, "1", "2")
	})
	t.Run("dead letters that could not be synced are not left in the file", func(t *testing.T) {
		f, b, p := start(t)
		b.set(func() { b.sync = errors.New("no sync") })
		wantErr(t, f.Write(t.Context(), []Entry{entry("lost")}), b.sync)
		b.set(func() { b.sync = nil })
		write(t, f, "2")
		wantData(t, p, "1", "2")
	})
}

// The disk gives no way to take the dead letters back at once. They are whole lines, so
// nothing but the memory of the failure tells that they must go.
func TestDeadLettersThatCouldNeitherBeSyncedNorCutOffAreCutOffLater(t *testing.T) {
	b := &breaker{room: -1}
	p := path(t)
	f := openWith(t, FileConfig{Path: p}, b.open)
	write(t, f, "1")
	b.set(func() { b.sync, b.truncate = errors.New("no sync"), errors.New("no truncate") })
	wantErr(t, f.Write(t.Context(), []Entry{entry("lost")}), b.sync)
	b.set(func() { b.sync, b.truncate = nil, nil })
	write(t, f, "2")
	wantData(t, p, "1", "2")
}

func TestWritersShareASync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &breaker{room: -1}
		p := path(t)
		f := openWith(t, FileConfig{Path: p}, b.open)
		hold := make(chan struct{})
		b.set(func() { b.hold = hold })
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				if err := f.Write(context.Background(), []Entry{entry(fmt.Sprint(i))}); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait() // the first is being synced, the others gather
		}
		close(hold)
		wg.Wait()
		if s := f.Stats(); s.Syncs != 2 || s.Entries != 20 {
			t.Errorf("unexpected stats; got %+v; want 20 dead letters in 2 syncs", s)
		}
		if got := len(dataOf(t, p)); got != 20 {
			t.Errorf("unexpected number of dead letters; got %d; want 20", got)
		}
	})
}

func TestWriteEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &breaker{room: -1}
		p := path(t)
		f := openWith(t, FileConfig{Path: p}, b.open)
		hold := make(chan struct{})
		b.set(func() { b.hold = hold })
		ctx, cancel := context.WithCancel(context.Background())
		errs := make(chan error, 2)
		go func() { errs <- f.Write(ctx, []Entry{entry("being written")}) }()
		synctest.Wait()
		go func() { errs <- f.Write(ctx, []Entry{entry("taken back")}) }()
		synctest.Wait()
		cancel()
		var texts []string
		for range 2 {
			err := <-errs
			wantErr(t, err, context.Canceled)
			texts = append(texts, err.Error())
		}
		slices.Sort(texts)
		if !strings.Contains(texts[0], "cannot tell") || !strings.Contains(texts[1], "in time") {
			t.Errorf("unexpected errors; got %q", texts)
		}
		wantErr(t, f.Close(ctx), context.Canceled)
		close(hold)
		closeFile(t, f)
		wantData(t, p, "being written")
		wantErr(t, f.Write(ctx, []Entry{entry("")}), context.Canceled)
	})
}

// An end that has no time left does not make a file that is complete a failure.
func TestIdleFileIsClosedAlsoWhenTheTimeIsOver(t *testing.T) {
	p := filepath.Join(t.TempDir(), "dead.ndjson")
	f, err := OpenFile(FileConfig{Path: p})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Write(context.Background(), []Entry{entry("kept")}); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	wantErr(t, f.Close(ended), nil)
	wantErr(t, f.Close(ended), nil)
	wantData(t, p, "kept")
}

func BenchmarkFileWrite(b *testing.B) {
	f, err := OpenFile(FileConfig{Path: filepath.Join(b.TempDir(), "dead.ndjson"), MaxBytes: 1 << 20, DropOldest: true, MaxFiles: 1})
	if err != nil {
		b.Fatal(err)
	}
	entries := []Entry{entry(long(1000))}
	b.ReportAllocs()
	for b.Loop() {
		if err := f.Write(context.Background(), entries); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}

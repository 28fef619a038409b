// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"bytes"
	"context"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

func TestLinesAreTheSameInPiecesOfAnySize(t *testing.T) {
	for n := range 40 {
		list := []Entry{entry(long(n)), entry(""), entry(strings.Repeat("\xff\x00", 3*n))}
		list[1].Data = nil
		var want bytes.Buffer
		for i := range list {
			if err := appendLine(&want, &list[i]); err != nil {
				t.Fatal(err)
			}
		}
		for _, room := range []int{7, 8, 16, 50, 4096} {
			r, err := newRequest(list)
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			err = r.encode(make([]byte, 0, room), func(piece []byte) error {
				if len(piece) > room {
					t.Errorf("unexpected piece; got %d bytes; want at most %d", len(piece), room)
				}
				got = append(got, piece...)
				return nil
			})
			if err != nil || !bytes.Equal(got, want.Bytes()) || r.size != int64(len(got)) {
				t.Fatalf("unexpected lines in pieces of %d; got %q, size %d, %v; want %q", room, got, r.size, err, want.Bytes())
			}
		}
	}
}

// A dead letter may be as large as a body, and there is memory for a body once.
func TestWritingTakesNoCopyOfTheData(t *testing.T) {
	f := open(t, FileConfig{Path: path(t)})
	list := []Entry{entry(long(32 << 20))}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := f.Write(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 2<<20 {
		t.Errorf("unexpected memory; got %d bytes; want less than 2 MiB for 32 MiB of data", n)
	}
}

// onWrite calls a function before each write.
type onWrite struct {
	handle
	before func()
}

func (h onWrite) WriteAt(p []byte, at int64) (int, error) {
	h.before()
	return h.handle.WriteAt(p, at)
}

// What a caller has taken its data back from is left out, and the others of its group are
// written as if it had never been there.
func TestRequestThatIsLeftWhileItIsWrittenIsCutOut(t *testing.T) {
	p := path(t)
	first, middle, last := entries("first"), entries(long(1<<20)), entries("last")
	writes := 0
	d := &disk{
		cfg: FileConfig{Path: p, MaxBytes: 1 << 30, MaxFiles: 3}, log: slog.New(slog.DiscardHandler), syncDir: syncDir,
		openHandle: func(path string) (handle, error) {
			h, err := openHandle(path)
			return onWrite{h, func() {
				if writes++; writes == 3 {
					middle[0].leave()
				}
			}}, err
		},
	}
	if err := d.write(slices.Concat(first, middle, last)); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.close() }()
	wantData(t, p, "first", "last")
	if d.stats.Entries != 2 || middle[0].left == nil {
		t.Errorf("unexpected counts; got %d entries, error %v; want 2 and why one is left out", d.stats.Entries, middle[0].left)
	}
}

// A caller that does not wait any more may use its memory again, also while a disk hangs.
func TestDataAreNotReadOnceWriteHasReturned(t *testing.T) {
	p := path(t)
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		f := openWith(t, FileConfig{Path: p}, func(path string) (handle, error) {
			h, err := openHandle(path)
			return onWrite{h, func() { <-hang }}, err
		})
		list := []Entry{entry(long(1 << 20))}
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error)
		go func() { failed <- f.Write(ctx, list) }()
		synctest.Wait()
		cancel()
		if err := <-failed; err == nil {
			t.Error("unexpected success of Write on a disk that hangs")
		}
		for i := range list[0].Data {
			list[0].Data[i] = 'y' // a race if the data are read
		}
		close(hang)
		write(t, f, "next")
	})
	wantData(t, p, "next")
}

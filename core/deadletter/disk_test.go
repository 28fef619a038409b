// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// traced is a disk that notes what makes things durable: "write", "truncate" and "sync" of
// its file, "dir" for a directory.
type traced struct {
	*disk
	ops []string
	dir error // of syncing a directory
}

type tracedHandle struct {
	handle
	t *traced
}

func (h tracedHandle) WriteAt(p []byte, at int64) (int, error) {
	h.t.ops = append(h.t.ops, "write")
	return h.handle.WriteAt(p, at)
}

func (h tracedHandle) Truncate(size int64) error {
	h.t.ops = append(h.t.ops, "truncate")
	return h.handle.Truncate(size)
}

func (h tracedHandle) Sync() error {
	h.t.ops = append(h.t.ops, "sync")
	return h.handle.Sync()
}

func trace(t *testing.T, p string) *traced {
	x := &traced{}
	x.disk = &disk{
		cfg: FileConfig{Path: p, MaxBytes: 1 << 20, MaxFiles: 3}, log: slog.New(slog.DiscardHandler),
		openHandle: func(path string) (handle, error) {
			h, err := openHandle(path)
			return tracedHandle{h, x}, err
		},
		syncDir: func(dir string) error {
			if dir != filepath.Dir(p) {
				t.Errorf("unexpected directory %s; want that of %s", dir, p)
			}
			x.ops = append(x.ops, "dir")
			return x.dir
		},
	}
	t.Cleanup(func() { _ = x.close() })
	return x
}

func (x *traced) want(t *testing.T, what string, want ...string) {
	t.Helper()
	if !slices.Equal(x.ops, want) {
		t.Errorf("%s: unexpected order; got %q; want %q", what, x.ops, want)
	}
	x.ops = nil
}

func entries(text string) []*request {
	r, err := newRequest([]Entry{entry(text)})
	if err != nil {
		panic(err)
	}
	return []*request{r}
}

// After a power failure a file without a durable name is gone, and so are dead letters
// that were acknowledged in it.
func TestFileIsUsedWhenItsNameIsDurable(t *testing.T) {
	p := path(t)
	x := trace(t, p)
	x.dir = errors.New("no sync")
	wantErr(t, x.open(), x.dir)
	x.want(t, "a name that cannot be made durable", "dir")
	x.dir = nil
	for _, c := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"a file that is there, but perhaps not for long", x.open, []string{"dir"}},
		{"its dead letters", func() error { return x.write(entries("1\n")) }, []string{"write", "sync"}},
		{"a full file is put away", x.rotate, []string{"dir"}},
		{"more dead letters", func() error { return x.write(entries("2\n")) }, []string{"write", "sync"}},
		{"another program deletes it", func() error { return errors.Join(os.Remove(p), x.write(entries("3\n"))) }, []string{"dir", "write", "sync"}},
	} {
		if err := c.do(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		x.want(t, c.name, c.want...)
	}
}

// Otherwise the torn line could come back behind dead letters that were written since.
func TestMendedEndOfAFileIsDurable(t *testing.T) {
	for _, c := range []struct {
		name, tail string
		want       []string
	}{
		{"nothing to mend", "", []string{"dir"}},
		{"a torn line", `{"time":"2026-`, []string{"truncate", "sync", "dir"}},
		{"a line that lacks its end", `{"reason":"invalid","data":"YQ=="}`, []string{"write", "sync", "dir"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := path(t)
			appendTo(t, p, "rubbish\n"+c.tail)
			x := trace(t, p)
			if err := x.open(); err != nil {
				t.Fatal(err)
			}
			x.want(t, "mending", c.want...)
		})
	}
}

// Another process may put another file of the same size at the path. Dead letters must go to the
// path, and none into a file without a name.
func TestAnotherFileOfTheSameSizeIsNoticed(t *testing.T) {
	p := path(t)
	f := open(t, FileConfig{Path: p})
	write(t, f, "1")
	text, err := os.ReadFile(p)
	if err == nil {
		err = os.WriteFile(p+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(p+".new", p)
	}
	if err != nil {
		t.Fatal(err)
	}
	write(t, f, "2")
	wantData(t, p, "1", "2")
}

// What a write left that could neither be ended nor cut off is cut off before the next
// one, though the file has its size by chance or it was mended.
func TestTornEndIsCutOffBeforeTheNextDeadLetters(t *testing.T) {
	x := trace(t, path(t))
	if err := x.open(); err != nil {
		t.Fatal(err)
	}
	x.ops = nil
	x.torn = true
	if err := x.write(entries("1\n")); err != nil {
		t.Fatal(err)
	}
	x.want(t, "torn", "truncate", "write", "sync")
	if err := x.write(entries("2\n")); err != nil {
		t.Fatal(err)
	}
	x.want(t, "whole", "write", "sync")
}

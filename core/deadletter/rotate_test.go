// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// half is data of which two dead letters fit into a file of 1 KiB, and three do not.
var half = long(280)

func oldPaths(t *testing.T, p string) (out []string) {
	t.Helper()
	old, err := oldFiles(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range old {
		out = append(out, o.path)
	}
	return out
}

func TestRotationBySize(t *testing.T) {
	t.Run("a full file is put away under a number and the time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { // the clock starts at 2000-01-01
			p := path(t)
			f := open(t, FileConfig{Path: p, MaxBytes: 1024})
			write(t, f, half, half)
			write(t, f, "3")
			write(t, f, half)
			write(t, f, half, half)
			wantNames(t, filepath.Dir(p), "dead-000001-20000101T000000Z.ndjson", "dead-000002-20000101T000000Z.ndjson", "dead.ndjson", "dead.ndjson.lock")
			wantData(t, oldPaths(t, p)[0], half, half)
			wantData(t, oldPaths(t, p)[1], "3", half)
			wantData(t, p, half, half)
			if got := f.Stats().Rotations; got != 2 {
				t.Errorf("unexpected number of rotations; got %d; want 2", got)
			}
		})
	})
	t.Run("dead letters larger than a file get one of their own", func(t *testing.T) {
		p := path(t)
		f := open(t, FileConfig{Path: p, MaxBytes: 1024})
		write(t, f, "1")
		write(t, f, long(5000))
		write(t, f, "3")
		wantData(t, oldPaths(t, p)[1], long(5000))
		wantData(t, p, "3")
	})
	t.Run("numbers go on after a restart, whatever the clock says, and with odd names", func(t *testing.T) {
		p := filepath.Join(t.TempDir(), "dead (1)")
		if err := os.WriteFile(p+"-000041-29991231T235959Z", []byte("x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		f := open(t, FileConfig{Path: p, MaxBytes: 1024})
		write(t, f, half, half)
		write(t, f, half)
		if got := oldPaths(t, p); len(got) != 2 || !strings.HasPrefix(got[1], p+"-000042-") {
			t.Errorf("unexpected old files; got %q; want number 42 last", got)
		}
	})
	t.Run("progress of a replay moves with its file", func(t *testing.T) {
		p := path(t)
		f := open(t, FileConfig{Path: p, MaxBytes: 1024})
		write(t, f, half, half)
		appendTo(t, p+ProgressSuffix, "some")
		write(t, f, half)
		got, err := os.ReadFile(oldPaths(t, p)[0] + ProgressSuffix)
		if err != nil || string(got) != "some" {
			t.Errorf("unexpected progress; got %q, %v; want it to be moved", got, err)
		}
	})
}

func TestFullFiles(t *testing.T) {
	t.Run("when there are too many, dead letters are refused until one is taken away", func(t *testing.T) {
		p := path(t)
		f := open(t, FileConfig{Path: p, MaxBytes: 1024, MaxFiles: 2})
		for range 3 {
			write(t, f, half, half)
		}
		for range 2 {
			wantErr(t, f.Write(t.Context(), []Entry{entry(half)}), ErrFull)
		}
		wantData(t, p, half, half)
		if got := f.Stats(); got.Errors != 2 || got.Entries != 6 {
			t.Errorf("unexpected stats; got %+v; want 2 errors and 6 dead letters", got)
		}
		if err := os.Remove(oldPaths(t, p)[0]); err != nil {
			t.Fatal(err)
		}
		write(t, f, "7")
		wantData(t, p, "7")
	})
	t.Run("the oldest is deleted only if that was asked for, and its dead letters are counted", func(t *testing.T) {
		p := path(t)
		f := open(t, FileConfig{Path: p, MaxBytes: 1024, MaxFiles: 2, DropOldest: true})
		for i := range 5 {
			write(t, f, fmt.Sprint(i), half, half)
			if i == 0 {
				appendTo(t, p+ProgressSuffix, "some")
			}
		}
		wantData(t, oldPaths(t, p)[0], "2", half, half)
		if got := f.Stats(); got.DroppedFiles != 2 || got.DroppedEntries != 6 {
			t.Errorf("unexpected stats; got %+v; want 2 files and 6 dead letters dropped", got)
		}
		if got, err := filepath.Glob(filepath.Join(filepath.Dir(p), "*"+ProgressSuffix)); err != nil || got != nil {
			t.Errorf("unexpected progress; got %q, %v; want it to be deleted with its file", got, err)
		}
	})
}

func TestRotationByAge(t *testing.T) {
	t.Run("a file is put away when its oldest dead letter is old, without another write", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := path(t)
			f := open(t, FileConfig{Path: p, MaxAge: time.Hour})
			<-time.After(3 * time.Hour) // an empty file does not age
			write(t, f, "1")
			<-time.After(59 * time.Minute)
			write(t, f, "2")
			synctest.Wait()
			if got := oldPaths(t, p); got != nil {
				t.Errorf("unexpected old files; got %q; want none", got)
			}
			<-time.After(2 * time.Minute)
			synctest.Wait()
			if got := oldPaths(t, p); len(got) != 1 {
				t.Fatalf("unexpected old files; got %q; want one", got)
			}
			wantData(t, oldPaths(t, p)[0], "1", "2")
			wantData(t, p)
			<-time.After(3 * time.Hour)
			write(t, f, "3")
			wantData(t, p, "3")
		})
	})
	t.Run("age counts from the dead letters of an earlier process", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := path(t)
			f := open(t, FileConfig{Path: p})
			l := entry("1")
			l.Time = time.Now()
			if err := f.Write(t.Context(), []Entry{l}); err != nil {
				t.Fatal(err)
			}
			closeFile(t, f)
			<-time.After(59 * time.Minute)
			open(t, FileConfig{Path: p, MaxAge: time.Hour})
			<-time.After(2 * time.Minute)
			synctest.Wait()
			wantData(t, oldPaths(t, p)[0], "1")
		})
	})
	t.Run("an old file that cannot be put away takes dead letters as long as it has room", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := path(t)
			f := open(t, FileConfig{Path: p, MaxAge: time.Hour, MaxFiles: 1})
			write(t, f, "1")
			<-time.After(61 * time.Minute)
			write(t, f, "2")
			<-time.After(2 * time.Hour)
			write(t, f, "3")
			wantData(t, p, "2", "3")
			if err := os.Remove(oldPaths(t, p)[0]); err != nil {
				t.Fatal(err)
			}
			<-time.After(2 * retryRotation)
			synctest.Wait()
			wantData(t, oldPaths(t, p)[0], "2", "3")
		})
	})
}

// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/outkpl/outkpl/internal/ledger"
)

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

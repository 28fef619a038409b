// SPDX-License-Identifier: Apache-2.0

package filelock

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestTryLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var files []*os.File
	for range 2 {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		files = append(files, f)
	}
	if err := TryLock(files[0]); err != nil {
		t.Fatalf("unexpected error; got %v; want none", err)
	}
	if err := TryLock(files[1]); !errors.Is(err, ErrLocked) {
		t.Errorf("unexpected error; got %v; want %v", err, ErrLocked)
	}
	files[0].Close()
	if err := TryLock(files[1]); err != nil {
		t.Errorf("unexpected error after the holder has closed its handle; got %v; want none", err)
	}
}

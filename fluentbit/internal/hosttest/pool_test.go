// SPDX-License-Identifier: Apache-2.0

package hosttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPool runs the pool of flushes under the thread sanitizer.
func TestPool(t *testing.T) {
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("needs a C compiler:", err)
	}
	program := filepath.Join(t.TempDir(), "pool")
	args := []string{"-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-o", program, "testdata/pool.c", "../../flushpool.c", "../../log.c", "-lpthread"}
	if out, err := exec.Command("cc", append([]string{"-fsanitize=thread"}, args...)...).CombinedOutput(); err != nil {
		t.Logf("no thread sanitizer here, running without: %s", out)
		if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
			t.Fatalf("cannot build: %v\n%s", err, out)
		}
	}
	cmd := exec.CommandContext(t.Context(), program)
	if _, err := exec.LookPath("setarch"); err == nil {
		// The sanitizer does not like every layout of addresses.
		cmd = exec.CommandContext(t.Context(), "setarch", "-R", program)
	}
	cmd.Env = append(os.Environ(), "TSAN_OPTIONS=exitcode=3")
	out, err := cmd.CombinedOutput()
	if err != nil && !strings.Contains(string(out), "data race") && !strings.Contains(string(out), "wrong=") {
		t.Skipf("the thread sanitizer does not run here: %v\n%s", err, out)
	}
	if err != nil {
		t.Fatalf("unexpected end: %v\n%s", err, out)
	}
	var wrong, workers, lines int
	if _, err := fmt.Sscanf(string(out), "wrong=%d workers=%d lines=%d", &wrong, &workers, &lines); err != nil {
		t.Fatalf("cannot read %q: %v", out, err)
	}
	// 8 host threads; every fourth of their 3000 flushes writes a line.
	if wrong != 0 || workers > 9 || lines != 6000 {
		t.Errorf("unexpected run; got %d wrong answers, %d workers, %d lines; want 0, at most 9, 6000", wrong, workers, lines)
	}
}

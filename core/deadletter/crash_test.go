// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// crashDirEnv makes the test binary a process that writes dead letters into the given
// directory until it is killed.
const crashDirEnv = "DEADLETTER_CRASH_DIR"

// crashChild writes dead letters from several goroutines and prints the data of each
// once it is acknowledged.
func crashChild(dir string) int {
	f, err := OpenFile(FileConfig{Path: filepath.Join(dir, "dead.ndjson"), MaxBytes: 20000, MaxFiles: maxMaxFiles})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				data := fmt.Sprintf("%d-%d-%d-", os.Getpid(), w, n)
				if f.Write(context.Background(), []Entry{entry(data + long(n%500))}) != nil {
					return
				}
				fmt.Println(data)
			}
		})
	}
	wg.Wait()
	return 1
}

func TestAcknowledgedDeadLettersSurviveAKill(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := filepath.Join(dir, "dead.ndjson")
	acknowledged := map[string]bool{}
	for range 8 {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), crashDirEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		killAt := 1 + rand.IntN(200)
		lines := bufio.NewScanner(out)
		for n := 1; lines.Scan(); n++ {
			acknowledged[lines.Text()] = true
			if n == killAt {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("unexpected end of the child; want it to be killed")
		}
	}
	f := open(t, FileConfig{Path: p}) // mends the last line
	closeFile(t, f)
	found := map[string]int{}
	for _, name := range append(oldPaths(t, p), p) {
		for _, data := range dataOf(t, name) {
			i := len(data)
			for i > 0 && data[i-1] == 'x' {
				i--
			}
			found[data[:i]]++
		}
	}
	if found["!"] != 0 {
		t.Errorf("unexpected broken lines; got %d; want none", found["!"])
	}
	for data := range acknowledged {
		if found[data] != 1 {
			t.Errorf("unexpected number of dead letters %s; got %d; want 1", strconv.Quote(data), found[data])
		}
	}
	if len(acknowledged) < 8 {
		t.Errorf("unexpected number of acknowledged dead letters; got %d; want at least 8", len(acknowledged))
	}
}

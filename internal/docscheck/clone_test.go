// SPDX-License-Identifier: Apache-2.0

package docscheck

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// clone is a copy of the repository, in which a reader of README.md can build without
// getting in the way of a build in the repository itself.
type clone struct {
	dir string
	env []string
}

func newClone(t *testing.T) *clone {
	t.Helper()
	dir := t.TempDir()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, rel)
		switch {
		case rel == ".git" || rel == ".cache" || rel == "build" || d.Name() == "node_modules" || d.Name() == "target":
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil // .git of a work tree
		case d.IsDir():
			return os.MkdirAll(to, 0o700)
		case !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
	return &clone{dir: dir, env: environment(t)}
}

// environment is that of a new user: nothing that the make around this test has set, and
// no account of AWS.
func environment(t *testing.T) []string {
	t.Helper()
	flags, err := exec.Command("go", "env", "GOFLAGS").Output()
	if err != nil {
		t.Fatal(err)
	}
	foreign := regexp.MustCompile(`^(MAKE|MFLAGS|GNUMAKEFLAGS|AWS_|KPL_|KINESIS|OUT_KPL_SO|FLB_HOST|FLUENT_BIT|LOG)`)
	env := slices.DeleteFunc(os.Environ(), foreign.MatchString)
	return append(env,
		// What a build in another folder has compiled is used again.
		"GOFLAGS="+strings.TrimSpace(string(flags))+" -trimpath",
		// The log files of this machine are nobody's business.
		"LOGS=sample",
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
}

// command runs in the clone, or is killed after some minutes.
func (c *clone) command(t *testing.T, env []string, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = 10 * time.Second // what it has started may outlive it
	cmd.Dir = c.dir
	cmd.Env = append(slices.Clone(c.env), env...)
	return cmd
}

// bash runs a block and returns what it prints. The first line that fails ends it.
func (c *clone) bash(t *testing.T, script string, env ...string) string {
	t.Helper()
	out, errs, err := c.run(t, script, env...)
	if err != nil {
		t.Fatalf("unexpected end of a block: %v; got:\n%s%s\nof:\n%s", err, out, errs, script)
	}
	return out
}

// run ends what the block has started in the background, however the block ends: its test may
// have been killed, and nobody is there to read what the block prints.
func (c *clone) run(t *testing.T, script string, env ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := c.command(t, env, "bash", "-c", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\nset -euo pipefail\n"+script)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // the trap does not see SIGKILL
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// fifo makes a named pipe and opens it for reading, which waits for no writer.
func fifo(t *testing.T, path string) *os.File {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// A server that outlives its test holds a port, and whatever the test was started with.
func TestBlocksLeaveNothingBehind(t *testing.T) {
	need(t, "bash", "sleep")
	for name, end := range map[string]string{"a line fails": "false", "it ends": "true", "it is told to end": "kill $$; sleep 60", "nobody reads": "kill -PIPE $$; sleep 60"} {
		t.Run(name, func(t *testing.T) {
			c := &clone{dir: t.TempDir(), env: os.Environ()}
			words := fifo(t, filepath.Join(c.dir, "words"))
			out, errs, _ := c.run(t, `set -m
{ trap 'echo told to end; exit' TERM; echo >begun; for ((i = 0; i < 300; i++)); do sleep 0.1; done; echo left; } >words 2>/dev/null &
until [[ -e begun ]]; do sleep 0.1; done
`+end)
			// The process has words open as long as it lives.
			if said, err := io.ReadAll(words); string(said) != "told to end\n" || err != nil {
				t.Fatalf("unexpected words of a process that the block has started; got %q, %v; the block prints %q, %q", said, err, out, errs)
			}
		})
	}
}

// wantBuilt looks for the files that the comments of a block say are built.
func (c *clone) wantBuilt(t *testing.T, script string) {
	t.Helper()
	for _, line := range strings.Split(script, "\n") {
		_, comment, _ := strings.Cut(line, "# ")
		for _, name := range regexp.MustCompile(`build/[\w.-]+`).FindAllString(comment, -1) {
			if _, err := os.Stat(filepath.Join(c.dir, name)); err != nil {
				t.Errorf("unexpected comment %q; got %v; want the file", comment, err)
			}
		}
	}
}

// program puts a script on a path of its own, and returns the PATH that begins there.
func program(t *testing.T, name, script string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/usr/bin/env bash\nset -euo pipefail\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return "PATH=" + dir + string(os.PathListSeparator) + os.Getenv("PATH")
}

// need skips a test for lack of programs, but not if nothing may be left out.
func need(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("unexpected PATH; %s is missing; with CI=true nothing may be left out", name)
		}
		t.Skipf("NOT TESTED: a code block of README.md; %s is missing", name)
	}
}

func startKinesis(t *testing.T) *kinesistest.Server {
	t.Helper()
	k := kinesistest.New(kinesistest.WithStream("logs", 2))
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

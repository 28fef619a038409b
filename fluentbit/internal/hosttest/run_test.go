// SPDX-License-Identifier: Apache-2.0

package hosttest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// library and host are the built files.
var library, host string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "hosttest")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	err = build(dir)
	code := 1
	switch {
	case err == nil:
		code = m.Run()
	case errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") != "true":
		fmt.Println("skipped:", err)
		code = 0
	default:
		fmt.Fprintln(os.Stderr, err)
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func build(dir string) error {
	run := func(name string, args ...string) error {
		if _, err := exec.LookPath(name); err != nil {
			return err
		}
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("cannot build: %s %s: %w\n%s", name, strings.Join(args, " "), err, out)
		}
		return nil
	}
	if library = os.Getenv("OUT_KPL_SO"); library == "" {
		if _, err := exec.LookPath("cc"); err != nil {
			return err
		}
		library = filepath.Join(dir, "out_kpl.so")
		if err := run("go", "build", "-buildmode=c-shared", "-o", library, "../.."); err != nil {
			return err
		}
	}
	if host = os.Getenv("FLB_HOST"); host != "" {
		return nil
	}
	host = filepath.Join(dir, "flb-host")
	sources, err := filepath.Glob("../host/*.c")
	if err != nil {
		return err
	}
	return run("cc", append([]string{"-std=gnu11", "-O2", "-Wall", "-Wextra", "-rdynamic", "-o", host}, append(sources, "-lpthread", "-ldl")...)...)
}

// summary is the line that the host prints at its end.
type summary struct {
	Events, Bytes, Chunks, OK, Retried, Dropped, Left int
	ForeignLogLines                                   int     `json:"foreign_log_lines"`
	LongestFlush                                      float64 `json:"longest_flush"`
	Seconds                                           float64
	Threads, Files                                    [2]int // after the fifth reload, and at the end
}

// result is what a run of the host came to.
type result struct {
	summary
	code int
	log  string
}

// running is a host that has been started.
type running struct {
	t     *testing.T
	cmd   *exec.Cmd
	out   bytes.Buffer
	lines sync.WaitGroup

	panics bool // the test makes the plugin panic

	mu      sync.Mutex // guards log and watches
	log     strings.Builder
	watches []watch
}

type watch struct {
	text string
	seen chan struct{}
}

// start runs the host. Properties are "key=value"; what begins with - is an option
// of the host, with its value behind it.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return startProgram(t, ctx, host, library, nil, args...)
}

func startProgram(t *testing.T, ctx context.Context, host, library string, env []string, args ...string) *running {
	t.Helper()
	r := &running{t: t, cmd: exec.CommandContext(ctx, host, append([]string{library}, args...)...)}
	r.cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GOTRACEBACK=all",
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true",
	}
	r.cmd.Env = append(r.cmd.Env, env...)
	r.cmd.Stdout = &r.out
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.lines.Go(func() {
		s := bufio.NewScanner(stderr)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			r.mu.Lock()
			r.log.WriteString(s.Text() + "\n")
			for i := range r.watches {
				if w := &r.watches[i]; w.seen != nil && strings.Contains(s.Text(), w.text) {
					close(w.seen)
					w.seen = nil
				}
			}
			r.mu.Unlock()
		}
	})
	return r
}

// waitFor returns when a line of the log contains text.
func (r *running) waitFor(text string) {
	r.t.Helper()
	seen := make(chan struct{})
	r.mu.Lock()
	if strings.Contains(r.log.String(), text) {
		close(seen)
	} else {
		r.watches = append(r.watches, watch{text, seen})
	}
	r.mu.Unlock()
	select {
	case <-seen:
	case <-time.After(time.Minute):
		r.t.Fatalf("no line with %q within a minute; log:\n%s", text, r.logSoFar())
	}
}

func (r *running) logSoFar() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

// wait returns when the host has ended.
func (r *running) wait() result {
	r.t.Helper()
	r.lines.Wait()
	err := r.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	res := result{code: r.cmd.ProcessState.ExitCode(), log: r.log.String()}
	if out := bytes.TrimSpace(r.out.Bytes()); bytes.HasPrefix(out, []byte("{")) {
		if err := json.Unmarshal(out, &res.summary); err != nil {
			r.t.Fatalf("cannot read summary %q: %v", out, err)
		}
	}
	if !r.panics && strings.Contains(res.log, "panic") || res.code < 0 {
		r.t.Fatalf("host crashed with code %d; log:\n%s", res.code, res.log)
	}
	return res
}

func run(t *testing.T, args ...string) result {
	t.Helper()
	return start(t, args...).wait()
}

// to lists the arguments for a stream on a server.
func to(srv *kinesistest.Server, stream string, args ...string) []string {
	return append(args, "-p", "stream="+stream, "-p", "region=eu-west-1", "-p", "endpoint="+srv.URL())
}

func newServer(t *testing.T, opts ...kinesistest.Option) *kinesistest.Server {
	t.Helper()
	srv := kinesistest.New(append([]kinesistest.Option{
		kinesistest.WithStream("logs", 4), kinesistest.WithLimits(kinesistest.Limits{}),
	}, opts...)...)
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	return srv
}

// check counts the records of a stream by their field "seq": each of 0 to n-1 must
// be there exactly once, and readable by a KCL consumer.
func check(t *testing.T, srv *kinesistest.Server, stream string, n int) kinesistest.Consumed {
	t.Helper()
	c := srv.Consume(stream)
	seen := make([]int, n)
	for _, r := range c.Records {
		var v struct{ Seq *int }
		if err := json.Unmarshal(r.Data, &v); err != nil || v.Seq == nil || *v.Seq < 0 || *v.Seq >= n {
			t.Fatalf("unexpected record of %d bytes (%v)", len(r.Data), err)
		}
		seen[*v.Seq]++
	}
	lost, doubled := 0, 0
	for _, k := range seen {
		switch {
		case k == 0:
			lost++
		case k > 1:
			doubled += k - 1
		}
	}
	if lost != 0 || doubled != 0 || len(c.Dropped) != 0 {
		t.Errorf("unexpected delivery; got %d lost, %d doubled, %d unreadable of %d; want none", lost, doubled, len(c.Dropped), n)
	}
	return c
}

// wantDone checks a run that should have delivered everything.
func wantDone(t *testing.T, r result, events int) {
	t.Helper()
	if r.code != 0 || r.Events != events || r.Dropped != 0 || r.Left != 0 {
		t.Errorf("unexpected end; got code %d, %+v; want code 0 and %d events; log:\n%s", r.code, r.summary, events, r.log)
	}
}

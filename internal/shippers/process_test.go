// SPDX-License-Identifier: Apache-2.0

package shippers

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/outkpl/outkpl/internal/testkit"
)

// server is kpl-http as a process.
type server struct {
	bin  string
	args []string
	log  testkit.Buffer
	cmd  *exec.Cmd
	p    *place
}

func startServer(t *testing.T, p *place, endpoint string) *server {
	t.Helper()
	s := &server{bin: filepath.Join(p.dir, "kpl-http"), p: p, args: []string{
		"--server.listen=" + p.http, "--otlp_grpc.listen=" + p.grpc, "--server.admin_listen=off", "--server.drain_delay=200ms",
		"--aws.region=us-east-1", "--aws.endpoint=" + endpoint, "--route.stream=logs",
	}}
	build := exec.Command("go", "build", "-o", s.bin, "./cmd/kpl-http")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build kpl-http: %v\n%s", err, out)
	}
	s.start(t)
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	return s
}

func (s *server) start(t *testing.T) {
	t.Helper()
	s.cmd = exec.Command(s.bin, s.args...)
	s.cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b")
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		res, err := http.Get("http://" + s.p.http + "/readyz")
		if err == nil {
			_ = res.Body.Close()
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("kpl-http does not serve:\n%s", tail(s.log.String()))
}

// stop is SIGTERM. The exit code is 0 if everything that was taken is in Kinesis.
func (s *server) stop(t *testing.T) {
	t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("unexpected end of kpl-http; got %v; want exit code 0", err)
	}
}

// need is for a program on the PATH, or where Debian puts daemons.
func need(program, packages string) func(*place) string {
	return func(*place) string {
		if lookPath(program) == "" {
			return program + " is not installed; on Debian: apt-get install " + packages
		}
		return ""
	}
}

func lookPath(program string) string {
	for _, name := range []string{program, "/usr/sbin/" + program} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func needBuilt(file, how string) func(*place) string {
	return func(p *place) string {
		if _, err := os.Stat(filepath.Join(p.tools, file)); err != nil {
			return fmt.Sprintf("build/shippers/%s is missing; %s", file, how)
		}
		return ""
	}
}

// findRsyslog returns rsyslogd, the folder of its modules and one of libraries, which is empty
// for a rsyslog that is installed. Debian has either rsyslog or syslog-ng installed, so ./try
// only unpacks the former.
func findRsyslog() (program, modules, libraries string) {
	root := ""
	if program = lookPath("rsyslogd"); program == "" {
		unpacked, err := filepath.Abs("../../.cache/rsyslog")
		if err != nil {
			return "", "", ""
		}
		root, program = unpacked, filepath.Join(unpacked, "usr", "sbin", "rsyslogd")
		if _, err := os.Stat(program); err != nil {
			return "", "", ""
		}
	}
	found, _ := filepath.Glob(root + "/usr/lib/*/rsyslog/omprog.so")
	if len(found) == 0 {
		return "", "", ""
	}
	modules = filepath.Dir(found[0])
	if root != "" {
		libraries = filepath.Dir(modules)
	}
	return program, modules, libraries
}

func needRsyslog(*place) string {
	if program, _, _ := findRsyslog(); program == "" {
		return "rsyslog with its module omprog is not there; Debian: apt-get install rsyslog, or ./try ci, which only unpacks it"
	}
	return need("python3", "python3")(nil)
}

// start runs a program until it ends, or ctx does. Its output is in the error.
func start(ctx context.Context, dir, program string, args ...string) (output string, err error) {
	return startWith(ctx, dir, os.Environ(), program, args...)
}

func startWith(ctx context.Context, dir string, env []string, program string, args ...string) (output string, err error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = env
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 15 * time.Second
	var out testkit.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if ctx.Err() != nil {
		err = nil // it was told to end
	}
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", program, err, tail(out.String()))
	}
	return out.String(), err
}

// free is testkit.FreeAddress for goroutines, which may not end a test.
func free() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String(), nil
}

// tail is the end of a text.
func tail(s string) string { return s[max(0, len(s)-4000):] }

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// maxWait is how long a test waits for something that must happen.
const maxWait = 90 * time.Second

// host is a Fluent Bit with its configuration.
type host struct {
	t    *testing.T
	dir  string
	conf string   // the configuration file
	http int      // port of its HTTP server
	env  []string // more of it, which wins

	cmd   *exec.Cmd
	ended chan struct{} // closed after Wait
	err   error         // of Wait

	mu  sync.Mutex // guards log
	log strings.Builder
}

// settings make a configuration. Lines are YAML without indentation.
type settings struct {
	grace   int      // default 10
	patient bool     // waits before a retry as hosts do by default, not shortly
	service []string // more lines
	inputs  [][]string
	filters [][]string
	outputs [][]string // the first line of each is its name
}

// output lists the lines of an output kpl.
func output(url, stream string, workers int, more ...string) []string {
	return append([]string{
		"name: kpl", "match: '*'", "region: eu-west-1", "endpoint: " + url, "stream: " + stream,
		"workers: " + strconv.Itoa(workers), "retry_limit: no_limits",
	}, more...)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// newHost writes a configuration; start runs it.
func newHost(t *testing.T, s settings) *host {
	t.Helper()
	h := &host{t: t, dir: t.TempDir(), http: freePort(t)}
	h.conf = filepath.Join(h.dir, "fluent-bit.yaml")
	h.write(s)
	return h
}

func (h *host) write(s settings) {
	h.t.Helper()
	if s.grace == 0 {
		s.grace = 10
	}
	var b strings.Builder
	fmt.Fprintf(&b, "service:\n  flush: 0.2\n  grace: %d\n  log_level: info\n  http_server: on\n  http_listen: 127.0.0.1\n  http_port: %d\n  hot_reload: on\n", s.grace, h.http)
	if !s.patient {
		b.WriteString("  scheduler.base: 1\n  scheduler.cap: 2\n")
	}
	for _, l := range s.service {
		b.WriteString("  " + l + "\n")
	}
	b.WriteString("parsers:\n  - name: e2e_json\n    format: json\npipeline:\n")
	for _, section := range []struct {
		name  string
		items [][]string
	}{{"inputs", s.inputs}, {"filters", s.filters}, {"outputs", s.outputs}} {
		if len(section.items) == 0 {
			continue
		}
		b.WriteString("  " + section.name + ":\n")
		for _, item := range section.items {
			for i, l := range item {
				b.WriteString(map[bool]string{true: "    - ", false: "      "}[i == 0] + l + "\n")
			}
		}
	}
	if err := os.WriteFile(h.conf, []byte(b.String()), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// environment keeps the host away from the account of the user.
func (h *host) environment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir, "GOTRACEBACK=all", "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test",
		"AWS_EC2_METADATA_DISABLED=true", "KPL_PROFILE=" + os.Getenv("KPL_PROFILE"),
	}
}

// start runs the host with its configuration; args come last.
func (h *host) start(args ...string) {
	h.t.Helper()
	h.cmd = exec.Command(fluentBit, append([]string{"-e", library, "-c", h.conf}, args...)...)
	h.cmd.Env, h.cmd.Dir = append(h.environment(), h.env...), h.dir
	r, w, err := os.Pipe()
	if err != nil {
		h.t.Fatal(err)
	}
	h.cmd.Stdout, h.cmd.Stderr = w, w
	if err := h.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	w.Close()
	h.ended = make(chan struct{})
	cmd, ended := h.cmd, h.ended
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer r.Close()
		lines := bufio.NewReader(r)
		for {
			line, err := lines.ReadString('\n')
			h.mu.Lock()
			h.log.WriteString(line)
			h.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	go func() {
		h.err = cmd.Wait()
		<-read
		close(ended)
	}()
	h.t.Cleanup(func() {
		select {
		case <-ended:
		default:
			_ = cmd.Process.Kill()
			<-ended
		}
	})
}

func (h *host) logged() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.String()
}

// tail is the end of the log, for messages.
func (h *host) tail() string {
	s := h.logged()
	return s[max(0, len(s)-3000):]
}

// until polls until ok, the end of the host, or the end of maxWait.
func (h *host) until(what string, ok func() bool) {
	h.t.Helper()
	if !h.eventually(maxWait, ok) {
		h.t.Fatalf("unexpected run: %s did not happen; log:\n%s", what, h.tail())
	}
}

// eventually tells whether ok became true within d and the life of the host.
func (h *host) eventually(d time.Duration, ok func() bool) bool {
	tick, end := time.NewTicker(50*time.Millisecond), time.NewTimer(d)
	defer tick.Stop()
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-h.ended:
			return ok()
		case <-end.C:
			return ok()
		}
	}
	return true
}

func (h *host) waitLog(text string, times int) {
	h.t.Helper()
	h.until(fmt.Sprintf("%d times %q in the log", times, text), func() bool { return strings.Count(h.logged(), text) >= times })
}

// alive tells whether the host still runs.
func (h *host) alive() bool {
	select {
	case <-h.ended:
		return false
	default:
		return true
	}
}

func (h *host) signal(s os.Signal) {
	h.t.Helper()
	if err := h.cmd.Process.Signal(s); err != nil {
		h.t.Fatalf("cannot send %v: %v; log:\n%s", s, err, h.tail())
	}
}

// wait returns the exit code, or less than 0 after a signal.
func (h *host) wait() int {
	h.t.Helper()
	end := time.NewTimer(maxWait)
	defer end.Stop()
	select {
	case <-h.ended:
	case <-end.C:
		h.t.Fatalf("unexpected run: the host does not end; log:\n%s", h.tail())
	}
	var exit *exec.ExitError
	if h.err != nil && !errors.As(h.err, &exit) {
		h.t.Fatal(h.err)
	}
	return h.cmd.ProcessState.ExitCode()
}

// stop ends the host as a service manager does.
func (h *host) stop() time.Duration {
	h.t.Helper()
	begun := time.Now()
	h.signal(syscall.SIGTERM)
	if code := h.wait(); code != 0 {
		h.t.Errorf("unexpected exit code; got %d; want 0; log:\n%s", code, h.tail())
	}
	return time.Since(begun)
}

// get reads a page of the host's HTTP server.
func (h *host) get(path string) (string, error) {
	ctx, cancel := context.WithTimeout(h.t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", h.http, path), nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// metric adds up the series of a metric whose labels contain text.
func (h *host) metric(name, text string) int {
	page, err := h.get("/api/v2/metrics/prometheus")
	if err != nil {
		return -1
	}
	sum, found := 0.0, false
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, name+"{") && strings.Contains(line, text) {
			v, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(strings.TrimSpace(line), ' '):]), 64)
			if err == nil {
				sum += v
				found = true
			}
		}
	}
	if !found {
		return -1
	}
	return int(sum)
}

const confirmedMetric, confirmedLabel = "kpl_user_records_put_total", `result="confirmed"`

// threads is how many threads the host has.
func (h *host) threads() int {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", h.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	return len(list)
}

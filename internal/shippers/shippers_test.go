// SPDX-License-Identifier: Apache-2.0

package shippers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

const (
	events  = 1000             // of each shipper
	sending = 14 * time.Second // and how long it takes to make them
	// When kpl-http ends, when it is there again, and when Kinesis throttles: since the start.
	ends, begins, throttles, throttlesNot = 4 * time.Second, 6 * time.Second, 8 * time.Second, 11 * time.Second
	// How long the last events may take.
	timeToEnd = 60 * time.Second
)

// shipper is a program with one configuration.
type shipper struct {
	// group is the word in SHIPPERS, name the one in events.
	group, name string
	// missing says what has to be installed, or is empty.
	missing func(p *place) string
	// ship sends the events and returns when the program has ended, or ctx has. The numbers
	// are of events that the program says it has given up.
	ship func(ctx context.Context, p *place, name string) (givenUp []int, err error)
}

// place is where kpl-http takes events, and a folder for files.
type place struct {
	http, grpc string
	dir        string
	tools      string // build/shippers
}

func shippers() []shipper {
	list := []shipper{
		{"curl", "curl", need("curl", "curl"), shipByCurl},
		{"syslog-ng", "syslog-ng lines", need("syslog-ng", "syslog-ng-core syslog-ng-mod-http"), shipBySyslogNG("lines")},
		{"syslog-ng", "syslog-ng array", need("syslog-ng", "syslog-ng-core syslog-ng-mod-http"), shipBySyslogNG("array")},
		{"rsyslog", "rsyslog", needOmhttp, shipByRsyslog},
	}
	for _, way := range []string{"http", "grpc"} {
		list = append(list, shipper{"python", "python " + way, needPython, shipBySDK("python/bin/python", "python/send.py", way)})
	}
	for _, way := range []string{"http", "json", "grpc"} {
		list = append(list, shipper{"javascript", "javascript " + way, needJavaScript, shipBySDK("node", "javascript/send.js", way)})
	}
	for _, compression := range []string{"gzip", "zstd", "lz4", "snappy", "none"} {
		list = append(list, shipper{"collector", "collector http " + compression, needCollector, shipByCollector("otlp_http", compression)})
	}
	for _, compression := range []string{"gzip", "zstd", "snappy", "none"} {
		list = append(list, shipper{"collector", "collector grpc " + compression, needCollector, shipByCollector("otlp", compression)})
	}
	return list
}

// TestShippers counts what real shippers bring into Kinesis through kpl-http. It runs in real
// time, since the shippers do.
func TestShippers(t *testing.T) {
	wanted := strings.FieldsFunc(os.Getenv("SHIPPERS"), func(r rune) bool { return r == ',' || r == ' ' })
	if len(wanted) == 0 {
		t.Skip("SHIPPERS is not set; want all, or some of collector,python,javascript,syslog-ng,rsyslog,curl (make shippers)")
	}
	tools, err := filepath.Abs("../../build/shippers")
	if err != nil {
		t.Fatal(err)
	}
	p := &place{dir: t.TempDir(), tools: tools, http: freeAddress(t), grpc: freeAddress(t)}
	var list []shipper
	for _, sh := range shippers() {
		if !slices.Contains(wanted, "all") && !slices.Contains(wanted, sh.group) {
			continue
		}
		if missing := sh.missing(p); missing != "" {
			t.Logf("***** NOT TESTED: %s: %s", sh.name, missing)
			// No package of Debian 12 has the module that rsyslog needs.
			if os.Getenv("CI") == "true" && sh.group != "rsyslog" {
				t.Errorf("%s is missing; with CI=true nothing may be left out", sh.name)
			}
			continue
		}
		list = append(list, sh)
	}
	if len(list) == 0 {
		t.Fatalf("no shipper to run of SHIPPERS=%q", os.Getenv("SHIPPERS"))
	}

	kinesis := kinesistest.New(kinesistest.WithStream("logs", 2), kinesistest.WithLimits(kinesistest.AWSLimits))
	if err := kinesis.StartAt("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = kinesis.Close() }()
	server := startServer(t, p, kinesis.URL())

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	start := time.Now()
	outcomes := make([]outcome, len(list))
	var running sync.WaitGroup
	for i, sh := range list {
		running.Go(func() { outcomes[i].set(sh.ship(ctx, p, sh.name)) })
	}
	at := func(d time.Duration) { time.Sleep(time.Until(start.Add(d))) }
	at(ends)
	server.stop(t)
	at(begins)
	server.start(t)
	at(throttles)
	fault := kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.7, Seed: 1, Effect: kinesistest.ThrottleEntries()})
	at(throttlesNot)
	fault.Remove()

	// Some programs end by themselves, others wait for more.
	deadline := start.Add(sending + timeToEnd)
	for time.Now().Before(deadline) {
		counted, open := count(kinesis), 0
		for i, sh := range list {
			if givenUp, _ := outcomes[i].get(); len(counted[sh.name])+len(givenUp) < events {
				open++
			}
		}
		if open == 0 {
			break
		}
		time.Sleep(500 * time.Millisecond)
	}
	time.Sleep(time.Second) // for what comes twice
	cancel()
	running.Wait()
	server.stop(t)

	counted := count(kinesis)
	var table strings.Builder
	_, _ = fmt.Fprintf(&table, "%-22s %7s %7s %7s %9s\n", "shipper", "sent", "lost", "doubled", "given up")
	for i, sh := range list {
		givenUp, err := outcomes[i].get()
		if err != nil {
			t.Errorf("unexpected error of %s; got %v; want none", sh.name, err)
		}
		got := counted[sh.name]
		var lost []int
		doubled := 0
		for n := range events {
			if got[n] == 0 {
				lost = append(lost, n)
			}
			doubled += max(0, got[n]-1)
		}
		silent := without(lost, givenUp)
		if len(silent) > 0 {
			t.Errorf("unexpected account of %s; got %d events lost of which it does not tell, such as %d; want 0", sh.name, len(silent), silent[0])
		}
		_, _ = fmt.Fprintf(&table, "%-22s %7d %7d %7d %9d\n", sh.name, events, len(silent), doubled, len(lost)-len(silent))
	}
	if fault.Entries() == 0 {
		t.Error("unexpected number of throttled Kinesis records; got 0; want some")
	}
	t.Logf("%d shippers, a restart of kpl-http, %d Kinesis records throttled; given up is what a program says that it does not send again:\n%s",
		len(list), fault.Entries(), table.String())
	if t.Failed() {
		t.Logf("log of kpl-http:\n%s", tail(server.log.String()))
	}
}

// The collector itself takes the configuration that others copy.
func TestConfigurationOfTheCollector(t *testing.T) {
	tools, err := filepath.Abs("../../build/shippers")
	if err != nil {
		t.Fatal(err)
	}
	if missing := needCollector(&place{tools: tools}); missing != "" {
		t.Skip(missing)
	}
	text, err := os.ReadFile("../../conf/otel-collector.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// The folder has to be there.
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, bytes.ReplaceAll(text, []byte("/var/lib/otelcol/storage"), []byte(dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := start(t.Context(), dir, filepath.Join(tools, "collector", "collector"), "validate", "--config", file); err != nil {
		t.Error(err)
	}
}

// outcome is how a program has ended.
type outcome struct {
	mu      sync.Mutex // guards all below
	givenUp []int
	err     error
}

func (o *outcome) set(givenUp []int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.givenUp, o.err = givenUp, err
}

func (o *outcome) get() ([]int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.givenUp, o.err
}

// without leaves out of list what is in other.
func without(list, other []int) []int {
	return slices.DeleteFunc(slices.Clone(list), func(n int) bool { return slices.Contains(other, n) })
}

var eventText = regexp.MustCompile(`([a-z][a-z0-9 -]*) line ([0-9]+) end`)

// count reads the stream as a consumer does: how often each event of each shipper is there.
func count(k *kinesistest.Server) map[string]map[int]int {
	counted := map[string]map[int]int{}
	for _, r := range k.Consume("logs").Records {
		for _, m := range eventText.FindAllSubmatch(r.Data, -1) {
			name := string(m[1])
			n, _ := strconv.Atoi(string(m[2]))
			if counted[name] == nil {
				counted[name] = map[int]int{}
			}
			counted[name][n]++
		}
	}
	return counted
}

// server is kpl-http as a process.
type server struct {
	bin  string
	args []string
	log  lockedBuffer
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

var (
	needCollector  = needBuilt("collector/.built", "make shippers builds it, which takes minutes the first time")
	needPython     = needBuilt("python/.built", "make shippers makes it with python3 and its venv (on Debian: python3-venv)")
	needJavaScript = needBuilt("javascript/.built", "make shippers makes it with node and npm")
)

// modulesOfRsyslog is where packages put modules.
const modulesOfRsyslog = "/usr/lib/*/rsyslog/omhttp.so"

func needOmhttp(*place) string {
	found, _ := filepath.Glob(modulesOfRsyslog)
	if lookPath("rsyslogd") == "" || len(found) == 0 {
		return "rsyslog with its module omhttp is not installed; no package of Debian 12 has that module"
	}
	return ""
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
	var out lockedBuffer
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

// lines calls write with each event, at the pace of all shippers.
func lines(ctx context.Context, name string, write func(line string) error) error {
	began := time.Now()
	for n := range events {
		if err := write(fmt.Sprintf("%s line %d end", name, n)); err != nil {
			return err
		}
		if wait := time.Until(began.Add(sending * time.Duration(n+1) / events)); wait > 10*time.Millisecond {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// shipByCurl posts twenty lines at a time, and repeats as curl does when told to.
func shipByCurl(ctx context.Context, p *place, name string) ([]int, error) {
	var body strings.Builder
	n := 0
	err := lines(ctx, name, func(line string) error {
		body.WriteString(line + "\n")
		if n++; n%20 != 0 {
			return nil
		}
		cmd := exec.CommandContext(ctx, "curl", "-sS", "--fail", "--retry", "30", "--retry-all-errors", "--retry-delay", "1", "--max-time", "60",
			"-H", "Content-Type: text/plain", "-H", fmt.Sprintf("Idempotency-Key: curl-%d", n), "--data-binary", "@-", "http://"+p.http+"/")
		cmd.Stdin = strings.NewReader(body.String())
		body.Reset()
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("curl: %w: %s", err, out)
		}
		return nil
	})
	return nil, err
}

// shipBySyslogNG sends over TCP to syslog-ng, which posts.
func shipBySyslogNG(form string) func(context.Context, *place, string) ([]int, error) {
	return func(ctx context.Context, p *place, name string) ([]int, error) {
		dir := filepath.Join(p.dir, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		address, err := free()
		if err != nil {
			return nil, err
		}
		_, port, _ := net.SplitHostPort(address)
		body := `headers("Content-Type: text/plain") body("${MESSAGE}") delimiter("\n")`
		if form == "array" {
			body = `headers("Content-Type: application/json") body("{\"m\":\"${MESSAGE}\"}") delimiter(",") body-prefix("[") body-suffix("]")`
		}
		conf := `@version: 3.35
options { time-reopen(1); stats-freq(0); };
source s { network(ip(127.0.0.1) port(` + port + `) transport("tcp") flags(no-parse)); };
destination d { http(url("http://` + p.http + `/") method("POST") ` + body + ` batch-lines(100) batch-timeout(500) timeout(30) workers(2) persist-name("d")); };
log { source(s); destination(d); flags(flow-control); };
`
		file := filepath.Join(dir, "syslog-ng.conf")
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			return nil, err
		}
		return nil, feed(ctx, address, name, func(ctx context.Context) error {
			_, err := start(ctx, dir, lookPath("syslog-ng"), "-F", "-f", file, "-R", filepath.Join(dir, "persist"), "-c", filepath.Join(dir, "ctl"), "-p", filepath.Join(dir, "pid"), "--no-caps")
			return err
		})
	}
}

// shipByRsyslog sends over TCP to rsyslog, which posts with omhttp.
func shipByRsyslog(ctx context.Context, p *place, name string) ([]int, error) {
	dir := filepath.Join(p.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	address, err := free()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	host, httpPort, _ := net.SplitHostPort(p.http)
	conf := `global(workDirectory="` + dir + `")
module(load="imtcp")
module(load="omhttp")
template(name="line" type="string" string="%rawmsg%")
ruleset(name="out") {
  action(type="omhttp" server="` + host + `" serverport="` + httpPort + `" restpath="" usehttps="off" template="line" batch="on" batch.format="newline" batch.maxsize="100"
    httpheaders=["Content-Type: text/plain"] checkpath="healthz" retry="on" retry.ruleset="out" action.resumeRetryCount="-1" action.resumeInterval="1" queue.type="linkedList")
}
input(type="imtcp" address="127.0.0.1" port="` + port + `" ruleset="out")
`
	file := filepath.Join(dir, "rsyslog.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	return nil, feed(ctx, address, name, func(ctx context.Context) error {
		_, err := start(ctx, dir, lookPath("rsyslogd"), "-n", "-f", file, "-i", filepath.Join(dir, "pid"))
		return err
	})
}

// feed sends lines to the program that run starts.
func feed(ctx context.Context, address, name string, run func(context.Context) error) error {
	ended := make(chan error, 1)
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { ended <- run(running) }()
	err := func() error {
		c, err := dial(ctx, address)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		return lines(ctx, name, func(line string) error {
			_, err := io.WriteString(c, line+"\n")
			return err
		})
	}()
	if err != nil {
		cancel()
		return errors.Join(err, <-ended)
	}
	return <-ended // when everything has arrived
}

func dial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	for {
		c, err := d.DialContext(ctx, "tcp", address)
		if err == nil || ctx.Err() != nil {
			return c, err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// shipByCollector has the collector read a file.
func shipByCollector(exporter, compression string) func(context.Context, *place, string) ([]int, error) {
	return func(ctx context.Context, p *place, name string) ([]int, error) {
		dir := filepath.Join(p.dir, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		input := filepath.Join(dir, "input.log")
		to := "logs_endpoint: http://" + p.http + "/v1/logs"
		if exporter == "otlp" {
			to = "endpoint: " + p.grpc + "\n    tls: {insecure: true}"
		}
		conf := `receivers:
  file_log: {include: ['` + input + `'], start_at: beginning, poll_interval: 100ms}
exporters:
  ` + exporter + `:
    ` + to + `
    compression: ` + compression + `
    retry_on_failure: {initial_interval: 500ms, max_interval: 2s, max_elapsed_time: 0s}
    sending_queue: {enabled: true, queue_size: 10000, block_on_overflow: true}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [file_log], exporters: [` + exporter + `]}
`
		file := filepath.Join(dir, "config.yaml")
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			return nil, err
		}
		f, err := os.Create(input)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		ended := make(chan error, 1)
		running, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			_, err := start(running, dir, filepath.Join(p.tools, "collector", "collector"), "--config", file)
			ended <- err
		}()
		err = lines(ctx, name, func(line string) error {
			_, err := f.WriteString(line + "\n")
			return err
		})
		if err != nil {
			cancel()
		}
		return nil, errors.Join(err, <-ended)
	}
}

var lostLine = regexp.MustCompile(`(?m)^lost ([0-9]+)$`)

// shipBySDK runs a program that uses an SDK.
func shipBySDK(program, script, way string) func(context.Context, *place, string) ([]int, error) {
	return func(ctx context.Context, p *place, name string) ([]int, error) {
		script, err := filepath.Abs(script)
		if err != nil {
			return nil, err
		}
		if program != "node" {
			program = filepath.Join(p.tools, program)
		}
		address := p.http
		if way == "grpc" {
			address = p.grpc
		}
		env := append(os.Environ(), "NODE_PATH="+filepath.Join(p.tools, "javascript", "node_modules")) // of node alone
		out, err := startWith(ctx, p.dir, env, program, script, way, address, name, strconv.Itoa(events), strconv.FormatFloat(sending.Seconds(), 'f', 1, 64))
		var givenUp []int
		for _, m := range lostLine.FindAllStringSubmatch(out, -1) {
			n, _ := strconv.Atoi(m[1])
			givenUp = append(givenUp, n)
		}
		return givenUp, err
	}
}

func free() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String(), nil
}

func freeAddress(t *testing.T) string {
	t.Helper()
	a, err := free()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// lockedBuffer is a bytes.Buffer for several writers.
type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// tail is the end of a text.
func tail(s string) string { return s[max(0, len(s)-4000):] }

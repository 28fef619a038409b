// SPDX-License-Identifier: Apache-2.0

package shippers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

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
		return nil, feed(ctx, address, name, "", func(ctx context.Context) error {
			_, err := start(ctx, dir, lookPath("syslog-ng"), "-F", "-f", file, "-R", filepath.Join(dir, "persist"), "-c", filepath.Join(dir, "ctl"), "-p", filepath.Join(dir, "pid"), "--no-caps")
			return err
		})
	}
}

// shipByRsyslog sends over TCP to rsyslog, which runs the program of conf/rsyslog. The
// configuration is the one that others copy.
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
	program, err := filepath.Abs("../../conf/rsyslog/kpl-http-omprog")
	if err != nil {
		return nil, err
	}
	shipped, err := os.ReadFile("../../conf/rsyslog/kpl-http.conf")
	if err != nil {
		return nil, err
	}
	text := string(shipped)
	for _, change := range [][2]string{
		{"/usr/local/bin/kpl-http-omprog http://127.0.0.1:8080/streams/logs-rsyslog", program + " http://" + p.http + "/"},
		{"/var/log/kpl-http-omprog.log", filepath.Join(dir, "omprog.log")},
		{`action(type="omprog" `, `ruleset(name="out") { action(type="omprog" `},
		{`action.resumeInterval="1")`, `action.resumeInterval="1") }`},
	} {
		old, with := change[0], change[1]
		if strings.Count(text, old) != 1 {
			return nil, fmt.Errorf("conf/rsyslog/kpl-http.conf: unexpected text; want %q once", old)
		}
		text = strings.Replace(text, old, with, 1)
	}
	text = `global(workDirectory="` + dir + `")
module(load="imtcp")
` + text + `
input(type="imtcp" address="127.0.0.1" port="` + port + `" ruleset="out")
`
	file := filepath.Join(dir, "rsyslog.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	rsyslogd, modules, libraries := findRsyslog()
	env := os.Environ()
	if libraries != "" {
		env = append(env, "LD_LIBRARY_PATH="+libraries)
	}
	return nil, feed(ctx, address, name, "<13>1 - host app - - - ", func(ctx context.Context) error {
		_, err := startWith(ctx, dir, env, rsyslogd, "-n", "-f", file, "-M", modules, "-i", filepath.Join(dir, "pid"))
		// Nothing is said, not even a file is made, unless events are lost.
		if said, e := os.ReadFile(filepath.Join(dir, "omprog.log")); e == nil && len(said) > 0 {
			err = errors.Join(err, fmt.Errorf("the program said %q", said))
		}
		return err
	})
}

// feed sends lines, with prefix before each, to the program that run starts.
func feed(ctx context.Context, address, name, prefix string, run func(context.Context) error) error {
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
			_, err := io.WriteString(c, prefix+line+"\n")
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

// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// asProgram makes the test binary the program itself.
const asProgram = "KPL_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// process is kpl-http as its users run it.
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	address string
	ended   chan struct{}

	mu  sync.Mutex // guards log
	log bytes.Buffer
}

// start runs the program and waits until it serves. It is killed with the test.
func start(t *testing.T, kinesis *kinesistest.Server, flags ...string) *process {
	t.Helper()
	return startWith(t, kinesis, []string{
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
	}, flags...)
}

// startWith is start with other credentials.
func startWith(t *testing.T, kinesis *kinesistest.Server, env []string, flags ...string) *process {
	t.Helper()
	p := &process{t: t, ended: make(chan struct{})}
	p.cmd = exec.Command(os.Args[0], append([]string{
		"--server.listen=127.0.0.1:0", "--server.admin_listen=off", "--server.drain_delay=100ms",
		"--aws.region=us-east-1", "--aws.endpoint=" + kinesis.URL(), "--route.stream=logs",
	}, flags...)...)
	p.cmd.Env = append(append(os.Environ(), asProgram+"=1"), env...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	serving := make(chan string, 1)
	go func() { // ends with the process
		pattern := regexp.MustCompile(`msg=serving listen=(\S+)`)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			p.mu.Lock()
			p.log.Write(append(lines.Bytes(), '\n'))
			p.mu.Unlock()
			if m := pattern.FindSubmatch(lines.Bytes()); m != nil {
				serving <- string(m[1])
			}
		}
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	select {
	case p.address = <-serving:
	case <-p.ended:
		t.Fatalf("the program did not start:\n%s", p.text())
	}
	return p
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// signal sends a signal and returns the exit code, -1 for death by signal.
func (p *process) signal(sig os.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
	<-p.ended
	return p.cmd.ProcessState.ExitCode()
}

func fake(t *testing.T, shards int) *kinesistest.Server {
	t.Helper()
	k := kinesistest.New(kinesistest.WithStream("logs", shards))
	if err := k.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

// countsIn counts how often each number is in a stream.
func countsIn(t *testing.T, k *kinesistest.Server, stream string, number func(data []byte) (int, bool)) map[int]int {
	t.Helper()
	got := map[int]int{}
	c := k.Consume(stream)
	if len(c.Dropped) > 0 {
		t.Errorf("unexpected records that KCL drops; got %d; want 0", len(c.Dropped))
	}
	for _, u := range c.Records {
		n, ok := number(u.Data)
		if !ok {
			t.Errorf("unexpected record; got %q; want JSON with a number", u.Data)
			continue
		}
		got[n]++
	}
	return got
}

// numbers counts how often each "n" is in a stream.
func numbers(t *testing.T, k *kinesistest.Server, stream string) map[int]int {
	t.Helper()
	return countsIn(t, k, stream, func(data []byte) (int, bool) {
		var v struct{ N *int }
		if err := json.Unmarshal(data, &v); err != nil || v.N == nil {
			return 0, false
		}
		return *v.N, true
	})
}

// load posts bodies from many clients until the program is gone, and notes what was
// answered with 200.
type load struct {
	wg    sync.WaitGroup
	some  chan struct{} // closed when some hundred events are acknowledged
	mu    sync.Mutex    // guards all below
	next  int
	acked map[int]bool
	other []string // unexpected answers
}

func startLoad(p *process, clients, each int) *load {
	l := &load{some: make(chan struct{}), acked: map[int]bool{}}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	for range clients {
		l.wg.Go(func() {
			for {
				l.mu.Lock()
				lo := l.next
				l.next += each
				l.mu.Unlock()
				var b strings.Builder
				for i := lo; i < lo+each; i++ {
					fmt.Fprintf(&b, "{\"n\":%d,\"text\":%q}\n", i, strings.Repeat("x", i%300))
				}
				res, err := client.Post("http://"+p.address+"/", "application/x-ndjson", strings.NewReader(b.String()))
				if err != nil {
					return // the program is gone
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				l.mu.Lock()
				switch res.StatusCode {
				case 200:
					before := len(l.acked)
					for i := lo; i < lo+each; i++ {
						l.acked[i] = true
					}
					if before < 20*each*clients && len(l.acked) >= 20*each*clients {
						close(l.some)
					}
				case 503:
				default:
					l.other = append(l.other, res.Status)
				}
				l.mu.Unlock()
			}
		})
	}
	return l
}

// Whatever was answered with 200 is in Kinesis, however the program ends.
func TestSignalsUnderLoad(t *testing.T) {
	for _, c := range []struct {
		name   string
		signal syscall.Signal
		code   int
	}{
		{"SIGTERM", syscall.SIGTERM, 0},
		{"SIGINT", syscall.SIGINT, 0},
		{"SIGKILL", syscall.SIGKILL, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := fake(t, 4)
			k.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{
				Delay: 20 * time.Millisecond, EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.1,
			}})
			p := start(t, k)
			l := startLoad(p, 16, 25)
			select {
			case <-l.some:
			case <-p.ended:
				t.Fatalf("unexpected end of the program:\n%s", p.text())
			}
			if code := p.signal(c.signal); code != c.code {
				t.Errorf("unexpected exit code; got %d; want %d; log:\n%s", code, c.code, p.text())
			}
			l.wg.Wait()
			got := numbers(t, k, "logs")
			lost, doubled := 0, 0
			for i := range l.acked {
				if got[i] == 0 {
					lost++
				}
				doubled += max(0, got[i]-1)
			}
			t.Logf("%d events acknowledged, %d stored, %d acknowledged ones lost, %d doubled", len(l.acked), len(got), lost, doubled)
			if lost > 0 || doubled > 0 || len(l.other) > 0 {
				t.Errorf("unexpected account; got %d lost, %d doubled, other answers %v; want none", lost, doubled, l.other)
			}
		})
	}
}

// A second signal ends a program that waits for a Kinesis that does not answer.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	k := fake(t, 1)
	called := make(chan struct{}, 100)
	k.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Do: func() { called <- struct{}{} }, Hang: true}})
	p := start(t, k, "--route.ack_timeout=5m", "--server.drain_timeout=1h", "--producer.request_timeout=10m")
	gone := make(chan error, 1)
	go func() {
		res, err := http.Post("http://"+p.address+"/", "", strings.NewReader(`{"n":0}`))
		if err == nil {
			_ = res.Body.Close()
		}
		gone <- err
	}()
	<-called
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(p.text(), "msg=draining") {
		<-tick.C
	}
	// The first has to be forgotten before the next counts, which takes a moment.
	for alive := true; alive; {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.ended:
			alive = false
		case <-tick.C:
		}
	}
	if code := p.cmd.ProcessState.ExitCode(); code != -1 {
		t.Errorf("unexpected exit code; got %d; want death by the signal", code)
	}
	if err := <-gone; err == nil {
		t.Errorf("unexpected answer for an event that is not stored")
	}
}

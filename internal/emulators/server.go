// SPDX-License-Identifier: Apache-2.0

package emulators

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Kind names an emulator.
type Kind string

// The emulators there are.
const (
	Kinesalite   Kind = "kinesalite"
	KinesisLocal Kind = "kinesis-local"
)

// Config changes how an emulator runs.
type Config struct {
	// CreateTime is how long a new stream stays CREATING, and a deleted one
	// DELETING. Default 10 ms, range 1 ms to 1 min, in whole milliseconds.
	CreateTime time.Duration
	// ReshardTime is how long a stream stays UPDATING after a split or merge.
	// Default 100 ms, range 1 ms to 1 min, in whole milliseconds.
	ReshardTime time.Duration
}

const (
	defaultCreateTime  = 10 * time.Millisecond
	defaultReshardTime = 100 * time.Millisecond
	maxTime            = time.Minute

	pollInterval = 20 * time.Millisecond
	pollTimeout  = 2 * time.Second
	tailBytes    = 4 << 10
)

// Server is a running emulator. Its methods are safe for concurrent use.
type Server struct {
	url   string
	cmd   *exec.Cmd
	stdin io.Closer
	out   *output
	ended chan struct{} // closed when the process is gone
	stop  sync.Once
}

// StartKinesalite is Start with Kinesalite.
func StartKinesalite(ctx context.Context, c Config) (*Server, error) {
	return Start(ctx, Kinesalite, c)
}

// Start starts an emulator and returns when it answers requests; that takes 0.3 s
// for kinesalite and 1 to 7 s for kinesis-local. ctx bounds the start, not the
// life of the server: that ends with Stop.
func Start(ctx context.Context, kind Kind, c Config) (*Server, error) {
	env, err := c.environment()
	if err == nil && kind != Kinesalite && kind != KinesisLocal {
		err = fmt.Errorf("emulator %q is not known; allowed: %s, %s", kind, Kinesalite, KinesisLocal)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot start emulator: %w", err)
	}
	node, dir, err := find()
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", kind, err)
	}
	cmd := exec.Command(node, "serve.js", string(kind))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	// A group of its own, so that Stop reaches children too and an interrupt
	// from the terminal does not take the server away before its user is done.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out := &output{port: make(chan int, 1)}
	cmd.Stdout, cmd.Stderr = out, out
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", kind, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", kind, err)
	}
	s := &Server{cmd: cmd, stdin: stdin, out: out, ended: make(chan struct{})}
	// The goroutine collects the process when it ends; Stop waits for it.
	go func() {
		_ = cmd.Wait() // killed, as a rule; what it printed says more
		close(s.ended)
	}()
	if err := s.ready(ctx); err != nil {
		s.Stop()
		return nil, fmt.Errorf("cannot start %s: %w", kind, err)
	}
	return s, nil
}

func (c Config) environment() ([]string, error) {
	var env []string
	var errs []error
	add := func(option, name string, d, otherwise time.Duration) {
		if d == 0 {
			d = otherwise
		}
		if d < time.Millisecond || d > maxTime {
			errs = append(errs, fmt.Errorf("%s %v is out of range; allowed: 1ms to %v", option, d, maxTime))
		}
		env = append(env, name+"="+strconv.FormatInt(d.Milliseconds(), 10))
	}
	add("create time", "EMULATOR_CREATE_MS", c.CreateTime, defaultCreateTime)
	add("reshard time", "EMULATOR_RESHARD_MS", c.ReshardTime, defaultReshardTime)
	return env, errors.Join(errs...)
}

// ready waits until the server says its port and then answers, which comes
// later for kinesis-local.
func (s *Server) ready(ctx context.Context) error {
	select {
	case port := <-s.out.port:
		s.url = "http://127.0.0.1:" + strconv.Itoa(port)
	case <-s.ended:
		return fmt.Errorf("it ended at once; it printed %q", s.out.Tail())
	case <-ctx.Done():
		return fmt.Errorf("it did not open a port: %w; it printed %q", ctx.Err(), s.out.Tail())
	}
	client := &http.Client{Timeout: pollTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/healthcheck", nil)
		if err != nil {
			return err
		}
		if res, err := client.Do(req); err == nil {
			_ = res.Body.Close()
			return nil // kinesalite has no such path and answers 403
		}
		select {
		case <-tick.C:
		case <-s.ended:
			return fmt.Errorf("it ended; it printed %q", s.out.Tail())
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w; it printed %q", ctx.Err(), s.out.Tail())
		}
	}
}

// URL returns the endpoint, such as http://127.0.0.1:34567.
func (s *Server) URL() string { return s.url }

// Output returns the last 4 KiB of what the process has printed.
func (s *Server) Output() string { return s.out.Tail() }

// Stop ends the process, with all it holds, and waits until it is gone. It may be
// called any number of times.
func (s *Server) Stop() {
	s.stop.Do(func() {
		_ = s.stdin.Close()
		select {
		case <-s.ended: // the id may belong to another process by now
		default:
			// There is no state worth an orderly end.
			_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		}
	})
	<-s.ended
}

// output keeps the end of what a process prints and finds the line with its port.
type output struct {
	port chan int

	mu    sync.Mutex // guards what follows
	tail  []byte
	line  []byte // printed and not looked at, until the port is found
	found bool
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tail = append(o.tail, p...)
	if n := len(o.tail) - tailBytes; n > 0 {
		o.tail = append(o.tail[:0], o.tail[n:]...)
	}
	if o.found {
		return len(p), nil
	}
	o.line = append(o.line, p...)
	for !o.found {
		line, rest, complete := bytes.Cut(o.line, []byte("\n"))
		if !complete {
			break
		}
		o.line = rest
		if digits, ok := bytes.CutPrefix(line, []byte("listening ")); ok {
			if n, err := strconv.Atoi(string(digits)); err == nil {
				o.found = true
				o.port <- n
			}
		}
	}
	return len(p), nil
}

// Tail returns the end of the output.
func (o *output) Tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimSpace(string(o.tail))
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// onTerminal runs kplcat with its output on a terminal, and returns what appears there.
func onTerminal(t *testing.T, args ...string) string {
	t.Helper()
	return typing(t, "", "", args...)
}

// typing does the same, and presses a key when a text has appeared.
func typing(t *testing.T, key, when string, args ...string) string {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("NOT TESTED: kplcat on a terminal; there is none to be had: %v", err)
	}
	defer master.Close()
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		pressed := key == ""
		part := make([]byte, 4096)
		for {
			n, err := master.Read(part)
			b.Write(part[:n])
			if err != nil { // the terminal was closed
				return
			}
			if !pressed && strings.Contains(b.String(), when) {
				pressed = true
				_, _ = master.WriteString(key)
			}
		}
	}()
	var stdin io.Reader
	if key != "" {
		stdin = tty
	}
	code := run(t.Context(), args, stdin, tty, tty)
	if key != "" { // the terminal is not closed while a key is waited for
		if _, err := master.WriteString("\n"); err != nil {
			t.Fatal(err)
		}
	}
	tty.Close()
	<-read
	if code != exitOK {
		t.Fatalf("unexpected exit code %d; output: %s", code, b.String())
	}
	return strings.ReplaceAll(b.String(), "\r\n", "\n")
}

// A person sees at once that top works, and which keys there are.
func TestTopSaysAtOnceWhatItDoes(t *testing.T) {
	s := newServer(t, 1)
	got := typing(t, "q", "q ends", "top", "--endpoint", s.URL(), "--interval", "1h", stream)
	if !strings.Contains(got, "\x1b[H\x1b[2Jcounts what comes into "+stream+" from now on; the first table follows in 1h0m0s\n") || !strings.Contains(got, "q ends") {
		t.Errorf("unexpected screen; got %q; want what is counted, and the keys", got)
	}
}

func TestTerminalsGetTheCompactForm(t *testing.T) {
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	s := newServer(t, 1)
	put(t, s, 0, "pod-1", []byte("text"))
	args := []string{"--endpoint", s.URL(), stream}
	const colored = " \x1b[36m0\x1b[0m \x1b[33mpod-1\x1b[0m text\nkplcat: 1 user record"
	if got := onTerminal(t, args...); !strings.Contains(got, colored) {
		t.Errorf("unexpected output on a terminal; got %q; want %q", got, colored)
	}
	if got := onTerminal(t, append(args, "--format", "json")...); !strings.HasPrefix(got, `{"shard":`) {
		t.Errorf("unexpected output with --format json; got %q", got)
	}
	if got := onTerminal(t, append(args, "--data", "text")...); !strings.HasPrefix(got, `{"shard":`) {
		t.Errorf("unexpected output with --data; got %q; want JSON, which it is about", got)
	}
	if got := onTerminal(t, append(args, "--raw")...); !strings.HasPrefix(got, "text\n") {
		t.Errorf("unexpected output with --raw; got %q", got)
	}
	if got := onTerminal(t, append(args, "--color", "never")...); !strings.Contains(got, " 0 pod-1 text\n") {
		t.Errorf("unexpected output with --color never; got %q", got)
	}
	for _, variable := range [][2]string{{"NO_COLOR", "1"}, {"TERM", "dumb"}} {
		t.Run(variable[0], func(t *testing.T) {
			t.Setenv(variable[0], variable[1])
			if got := onTerminal(t, args...); !strings.Contains(got, " 0 pod-1 text\n") || strings.Contains(got, "\x1b") {
				t.Errorf("unexpected output; got %q; want no colours", got)
			}
			if got := onTerminal(t, append(args, "--color", "always")...); !strings.Contains(got, "\x1b[33mpod-1") {
				t.Errorf("unexpected output with --color always; got %q", got)
			}
		})
	}
	if r := of(t, s).ok(t); !strings.HasPrefix(r.stdout, `{"shard":`) {
		t.Errorf("unexpected output elsewhere; got %q; want JSON", r.stdout)
	}
}

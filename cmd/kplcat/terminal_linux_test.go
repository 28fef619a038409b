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
		_, _ = io.Copy(&b, master) // ends with an error when the terminal is closed
	}()
	code := run(t.Context(), args, nil, tty, tty)
	tty.Close()
	<-read
	if code != exitOK {
		t.Fatalf("unexpected exit code %d; output: %s", code, b.String())
	}
	return strings.ReplaceAll(b.String(), "\r\n", "\n")
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

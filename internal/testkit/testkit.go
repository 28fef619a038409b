// SPDX-License-Identifier: Apache-2.0

// Package testkit is what tests of several packages share: addresses on this machine, a
// buffer for logs, an environment, and the panels of the dashboard. Programs do not use it.
package testkit

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// FreeAddress is an address, host:port, at which nobody listens: a call is refused, and a
// program can be started there, more than once.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l := listen(t)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// SilentAddress is an address, host:port, that takes connections and never answers. It ends
// with the test.
func SilentAddress(t testing.TB) string {
	t.Helper()
	l := listen(t) // connections wait in its backlog
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Buffer is a bytes.Buffer for several goroutines. The zero value is empty.
type Buffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *Buffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns what was written so far.
func (l *Buffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

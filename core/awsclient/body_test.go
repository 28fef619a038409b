// SPDX-License-Identifier: Apache-2.0

package awsclient

import (
	"net/http"
	"strings"
	"testing"
)

// The transport may read a body after the call has returned, and the call may go on after
// the transport has closed the body. The memory is for others when both are done.
func TestBodyIsKeptUntilCallAndTransportAreDone(t *testing.T) {
	for _, c := range []struct {
		name  string
		first func(call, transport func())
	}{
		{"the call ends first", func(call, _ func()) { call() }},
		{"the transport ends first", func(_, transport func()) { transport() }},
		{"the transport closes twice", func(_, transport func()) { transport(); transport() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, release := withBody(t.Context())
			b := ctx.Value(bodyKey{}).(*body)
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost", strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			rc := holdBody(r)
			users := func(want int) {
				t.Helper()
				b.mu.Lock()
				defer b.mu.Unlock()
				if b.users != want {
					t.Errorf("unexpected number of users; got %d; want %d", b.users, want)
				}
			}
			users(2)
			closed := 0
			transport := func() {
				closed++
				if err := rc.Close(); err != nil {
					t.Error(err)
				}
			}
			called := false
			c.first(func() { called = true; release() }, transport)
			users(1)
			if other := bodies.Get().(*body); other == b {
				t.Error("unexpected memory in the pool; it is in use")
			}
			if !called {
				release()
			}
			if closed == 0 {
				transport()
			}
			users(0)
		})
	}
}

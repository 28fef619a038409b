// SPDX-License-Identifier: Apache-2.0

package httpsink

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// connection is what a request knows of the connection it came on.
type connection struct {
	// until is when the connection is to be closed behind an answer; zero: never.
	until time.Time
}

type connectionKey struct{}

// connContext is for http.Server.ConnContext.
func (s *Server) connContext(ctx context.Context, _ net.Conn) context.Context {
	c := &connection{}
	if age := s.cfg.Server.ConnectionMaxAge; age > 0 {
		// A tenth to both sides, so that clients that came together do not leave and
		// come again together.
		c.until = time.Now().Add(time.Duration(float64(age) * (0.9 + 0.2*rand.Float64())))
	}
	return context.WithValue(ctx, connectionKey{}, c)
}

// connState is for http.Server.ConnState.
func (s *Server) connState(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.counters.connections.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.counters.connections.Add(-1)
	}
}

// connectionOf returns the connection of a request, or nil in tests without one.
func connectionOf(r *http.Request) *connection {
	c, _ := r.Context().Value(connectionKey{}).(*connection)
	return c
}

func (c *connection) tooOld() bool {
	return c != nil && !c.until.IsZero() && time.Now().After(c.until)
}

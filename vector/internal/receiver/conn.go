// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
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

// connState is for http.Server.ConnState of the listener that an option names. When all of
// its connections are taken, clients time out that the server does not even see.
func (s *Server) connState(option string) func(net.Conn, http.ConnState) {
	var open atomic.Int64
	return func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.counters.connections.Add(1)
			if most := s.cfg.Server.MaxConnections; open.Add(1) >= int64(most) {
				s.throttled.log("connections of "+option, 0, func(k skipped) {
					s.log.Warn("all connections are taken; further clients wait until one is closed; raise server.max_connections, or lower server.idle_timeout",
						"listener", option, "max_connections", most, "not_shown", k.lines)
				})
			}
		case http.StateClosed, http.StateHijacked:
			s.counters.connections.Add(-1)
			open.Add(-1)
		}
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

// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
)

// What a client speaks that is not served where it comes. Texts are for people, and the set
// is fixed.
const (
	speaksHTTP     = "HTTP"
	speaksEvents   = "HTTP with a body, as for events"
	speaksHTTP2    = "HTTP/2 without TLS, as gRPC is"
	speaksGRPC     = "gRPC"
	speaksVector   = "Vector's own protocol"
	speaksOTLP     = "OTLP over gRPC"
	speaksTraces   = "traces of OTLP"
	speaksMetrics  = "metrics of OTLP"
	speaksTLS      = "TLS"
	speaksPlain    = "no TLS"
	speaksHTTP2TLS = "HTTP/2 with TLS, as gRPC is"
)

// notServed says which protocol a client speaks that is not served at the listener of an
// option, since all the client gets is a broken connection or a code.
func (s *Server) notServed(listener, client, speaks string) {
	s.counters.notServed.Add(1)
	s.throttled.log("protocol at "+listener, 0, func(k skipped) {
		s.log.Warn("a client speaks a protocol that is not served there, and its events are not taken; set its protocol or address",
			"listener", listener, "client", client, "speaks", speaks, "want", s.want(listener, speaks), "not_shown", k.lines)
	})
}

// adminListen is the option of the listener for metrics and health.
const adminListen = "server.admin_listen"

// want says where what a client speaks at a listener is served.
func (s *Server) want(listener, speaks string) string {
	at := func(option, address string) string {
		if address == "off" || address == "" {
			return option + ", which is off"
		}
		return option + " = " + address
	}
	events := at("server.listen", s.cfg.Server.Listen)
	otlp := "OTLP over gRPC at " + at("otlp_grpc.listen", s.cfg.OTLPGRPC.Listen) + ", or over HTTP at " + events + ", path /v1/logs"
	vector := "Vector's own protocol at " + at("native.listen", s.cfg.Native.Listen)
	switch speaks {
	case speaksHTTP, speaksEvents:
		return "HTTP at " + events
	case speaksVector:
		return vector
	case speaksOTLP:
		return otlp
	case speaksTraces, speaksMetrics:
		return "logs only; take the exporter out of the client's other pipelines"
	case speaksTLS:
		if listener == adminListen {
			return "no TLS, which is never at " + adminListen + " (for Prometheus and probes the scheme http); events go to " + events
		}
		return "no TLS (for OTLP an insecure exporter, or an address with http), or set tls.cert_file"
	case speaksPlain:
		return "TLS, since tls.cert_file is set"
	}
	return otlp + "; " + vector
}

// adminHandler serves what is for operators, and finds clients that send events there.
func (s *Server) adminHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == "PRI" && r.ProtoMajor == 2:
			s.notServed(adminListen, r.RemoteAddr, speaksHTTP2)
		case r.ContentLength != 0:
			s.notServed(adminListen, r.RemoteAddr, speaksEvents)
		}
		s.adminMux.ServeHTTP(w, r)
	})
}

// connErrors is where net/http puts what it has to say about single connections, such as
// handshakes that strangers break off. That is for debugging, but for clients that surely
// want something else than what the listener of an option is for.
func (s *Server) connErrors(option string) *log.Logger {
	return log.New(&connErrors{s: s, option: option, debug: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug).Writer()}, "", 0)
}

type connErrors struct {
	s      *Server
	option string
	debug  interface{ Write([]byte) (int, error) }
}

// Write takes one line.
func (e *connErrors) Write(line []byte) (int, error) {
	text := string(line)
	if rest, ok := strings.CutPrefix(text, "http: TLS handshake error from "); ok {
		client, what, _ := strings.Cut(rest, ": ")
		switch {
		case strings.Contains(what, "sent an HTTP request to an HTTPS server"), strings.Contains(what, "does not look like a TLS handshake"):
			e.s.notServed(e.option, client, speaksPlain)
		case strings.Contains(what, "unsupported application protocols") && strings.Contains(what, `"h2"`):
			e.s.notServed(e.option, client, speaksHTTP2TLS)
		}
	}
	return e.debug.Write(line)
}

// tlsHandshake is the first byte of a connection with TLS. No request begins with it.
const tlsHandshake = 0x16

// plainListener finds clients that speak TLS where it is not served: net/http takes their
// first bytes for a request that cannot be read, and says so to nobody.
type plainListener struct {
	net.Listener
	s      *Server
	option string
}

func (s *Server) plain(ln net.Listener, option string) net.Listener {
	return &plainListener{Listener: ln, s: s, option: option}
}

// Accept implements net.Listener.
func (l *plainListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &plainConn{Conn: c, l: l}, nil
}

type plainConn struct {
	net.Conn
	l    *plainListener
	seen atomic.Bool // the first byte was looked at
}

// Read implements net.Conn.
func (c *plainConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.seen.Load() {
		c.seen.Store(true)
		if b[0] == tlsHandshake {
			c.l.s.notServed(c.l.option, c.RemoteAddr().String(), speaksTLS)
		}
	}
	return n, err
}

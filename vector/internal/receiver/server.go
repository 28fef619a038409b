// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/core/delivery"
	"github.com/outkpl/outkpl/internal/journal"
	"github.com/outkpl/outkpl/internal/ledger"
	"github.com/outkpl/outkpl/vector/internal/body"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// Deps is what a server may be given besides its configuration.
type Deps struct {
	// Logger takes changes of state. Default: nowhere.
	Logger *slog.Logger
	// DeadLetters takes events that can never be stored; the server closes it. Default:
	// none, and then the configuration must not ask for it.
	DeadLetters deadletter.Sink
	// Journal is what outlives the process; the server closes it. The producer must have its
	// options. Default: none.
	Journal *journal.Journal
	// Observer takes the metrics that the server adds to those of the producer:
	// LedgerHits and DeadLetters. Default: none.
	Observer core.Observer
	// Region and Endpoint are where records go to, for the status page.
	Region, Endpoint string
	// Getenv finds secrets. Default: os.Getenv.
	Getenv func(string) string
	// Listen opens the listeners. Default: net.Listen.
	Listen func(network, address string) (net.Listener, error)
}

// place is where records go to.
type place struct{ region, endpoint string }

// Server takes events over HTTP. It is safe for concurrent use.
type Server struct {
	cfg         *config.Config
	where       place
	log         *slog.Logger
	producer    *core.Producer
	putBatch    func(ctx context.Context, stream string, records []core.Record) (delivery.Batch, error) // of producer
	deadLetters deadletter.Sink
	journal     *journal.Journal // nil: none
	observer    core.Observer    // nil: none
	auth        *authenticator
	routes      []*route
	fallback    *route
	budget      *budget
	decoder     body.Decoder
	spares      spares

	deliverer *delivery.Deliverer
	counters  counters
	throttled throttle

	draining atomic.Bool // /readyz says 503, connections are closed behind answers

	listen          func(network, address string) (net.Listener, error)
	now             func() time.Time // of the status page; nil: time.Now
	main, admin     *http.Server
	native, otlp    *grpcListener // nil: off
	adminMux        *http.ServeMux
	mainLn, adminLn net.Listener
	failed          bool // it could not start
	serving         sync.WaitGroup
	serveErr        chan error
}

// New makes a server. It uses no network yet, but reads the files of tls and auth.
// The server closes the producer when Run or Shutdown ends.
func New(cfg *config.Config, producer *core.Producer, deps Deps) (*Server, error) {
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Getenv == nil {
		deps.Getenv = os.Getenv
	}
	if deps.Listen == nil {
		deps.Listen = net.Listen
	}
	s := &Server{
		listen: deps.Listen, where: place{deps.Region, deps.Endpoint},
		cfg: cfg, log: deps.Logger, producer: producer, deadLetters: deps.DeadLetters, journal: deps.Journal, observer: deps.Observer,
		budget:   newBudget(cfg.Limits.Memory, cfg.Limits.AdmissionTimeout),
		decoder:  body.Decoder{EventCost: config.EventCost},
		adminMux: http.NewServeMux(),
		serveErr: make(chan error, 4),
	}
	s.spares.draining = s.draining.Load
	s.putBatch = func(ctx context.Context, stream string, records []core.Record) (delivery.Batch, error) {
		b, err := producer.PutBatch(ctx, stream, records)
		if b == nil {
			return nil, err
		}
		return b, nil
	}
	s.deliverer = s.newDeliverer()
	var errs []error
	note := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	var err error
	s.fallback, err = newRoute(cfg, cfg.Route, "route")
	note(err)
	for i := range cfg.Routes {
		r, err := newRoute(cfg, cfg.Routes[i], cfg.Routes[i].Match)
		note(err)
		s.routes = append(s.routes, r)
	}
	s.auth, err = newAuthenticator(&cfg.Auth, deps.Getenv, s.log)
	note(err)
	tlsConfig, err := newTLS(&cfg.TLS, cfg.Server.HTTP2, s.log)
	note(err)
	if len(errs) > 0 {
		return nil, fmt.Errorf("cannot make the server: %w", errors.Join(errs...))
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(cfg.Server.HTTP2)
	s.main = &http.Server{
		Handler:           s.Handler(),
		TLSConfig:         tlsConfig,
		Protocols:         protocols,
		ReadHeaderTimeout: cfg.Server.HeaderTimeout,
		IdleTimeout:       cfg.Server.IdleTimeout,
		MaxHeaderBytes:    cfg.Server.HeaderMaxBytes,
		ConnContext:       s.connContext,
		ConnState:         s.connState("server.listen"),
		ErrorLog:          s.connErrors("server.listen"),
		// No ReadTimeout and no WriteTimeout: see paced and request.writeAnswer.
	}
	s.admin = &http.Server{
		Handler:           s.adminHandler(),
		ReadHeaderTimeout: cfg.Server.HeaderTimeout,
		ReadTimeout:       cfg.Server.HeaderTimeout,
		IdleTimeout:       cfg.Server.IdleTimeout,
		ErrorLog:          s.connErrors(adminListen),
	}
	if s.native, err = s.newGRPC("native.listen", cfg.Native.Listen, s.serveNative); err != nil {
		return nil, fmt.Errorf("cannot make the server: %w", err)
	}
	if s.otlp, err = s.newGRPC("otlp_grpc.listen", cfg.OTLPGRPC.Listen, s.serveOTLP); err != nil {
		return nil, fmt.Errorf("cannot make the server: %w", err)
	}
	s.Handle("/healthz", http.HandlerFunc(s.serveHealth))
	s.Handle("/readyz", http.HandlerFunc(s.serveReady))
	return s, nil
}

// newDeliverer makes what delivers bodies. Attempts are detached: what was put cannot be
// taken back when a client is gone, and if it is seen to its end, the next request of the
// same body has less to do.
func (s *Server) newDeliverer() *delivery.Deliverer {
	l := s.cfg.Ledger
	lookFor := s.producer.LookFor
	if !s.cfg.Producer.VerifyUncertain {
		lookFor = nil
	}
	return delivery.New(delivery.Config{
		LookFor: lookFor,
		PutBatch: func(ctx context.Context, stream string, records []core.Record) (delivery.Batch, error) {
			return s.putBatch(ctx, stream, records)
		},
		DeadLetters: s.deadLetters,
		Ledger:      ledger.Limits{Entries: l.Entries, Bytes: l.Bytes, Age: l.Age},
		Forget:      l.Entries <= 0,
		Detached:    true,
		Journal:     s.journal,
		Panicked: func(p any, stack []byte) {
			s.log.Error("a delivery failed because of a bug; its request is answered with 503", "panic", fmt.Sprint(p), "stack", string(stack))
		},
	})
}

// Handle registers a handler on the admin listener, with a pattern as of
// http.ServeMux. It must be called before Start or Run. Note that there is no
// authentication on that listener.
func (s *Server) Handle(pattern string, h http.Handler) { s.adminMux.Handle(pattern, h) }

// Handler returns what the main listener serves, for use under another server. The
// timeouts and bounds of connections are then the other server's business.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := s.plainPath(r.URL.Path); p != r.URL.Path {
			r = withPath(r, p)
		}
		if r.Method == "PRI" && r.ProtoMajor == 2 {
			s.notServed("server.listen", r.RemoteAddr, speaksHTTP2)
		}
		switch r.URL.Path {
		case "/healthz":
			s.serveHealth(w, r)
		case "/readyz":
			s.serveReady(w, r)
		default:
			s.serveEvents(w, r)
		}
	})
}

// serveHealth says that the process lives.
func (s *Server) serveHealth(w http.ResponseWriter, r *http.Request) {
	plain(w, r, http.StatusOK, "ok\n")
}

// serveReady says whether requests should be sent here. It does not ask Kinesis: if
// that is degraded, it is so for all replicas, and to take them all away helps nobody.
func (s *Server) serveReady(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() {
		w.Header().Set("Connection", "close")
		plain(w, r, http.StatusServiceUnavailable, "draining\n")
		return
	}
	plain(w, r, http.StatusOK, "ready\n")
}

func plain(w http.ResponseWriter, r *http.Request, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		status, text = http.StatusMethodNotAllowed, "want GET or HEAD\n"
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

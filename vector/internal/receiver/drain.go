// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"

	"github.com/outkpl/outkpl/core/delivery"
	"github.com/outkpl/outkpl/internal/journal"
	"github.com/outkpl/outkpl/internal/plural"
	"github.com/outkpl/outkpl/internal/remedy"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// Run is Start, the wait for the end of ctx, and Shutdown. It returns nil if everything
// that was taken is in Kinesis.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Start(); err != nil {
		return errors.Join(err, s.Shutdown(context.Background()))
	}
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-s.serveErr:
	}
	return errors.Join(failed, s.Shutdown(context.Background()))
}

// Start opens the listeners and serves. Shutdown must be called, also after an error.
func (s *Server) Start() (err error) {
	defer func() { s.failed = err != nil }()
	if s.mainLn, err = s.listen("tcp", s.cfg.Server.Listen); err != nil {
		return fmt.Errorf("cannot listen on server.listen %s: %w", s.cfg.Server.Listen, err)
	}
	if a := s.cfg.Server.AdminListen; a != "off" && a != "" {
		if s.adminLn, err = s.listen("tcp", a); err != nil {
			return fmt.Errorf("cannot listen on server.admin_listen %s: %w", a, err)
		}
		s.serve(func() error { return s.admin.Serve(s.plain(s.adminLn, adminListen)) })
	}
	for _, l := range s.grpcListeners() {
		if l.ln, err = s.listen("tcp", l.address); err != nil {
			return fmt.Errorf("cannot listen on %s %s: %w", l.option, l.address, err)
		}
		s.serveOn(l.server, l.ln, l.option)
	}
	s.serveOn(s.main, s.mainLn, "server.listen")
	s.log.Info("serving", "listen", s.mainLn.Addr().String(), "otlp_grpc_listen", s.otlp.addr(), "native_listen", s.native.addr(),
		"admin_listen", s.AdminAddr(), "tls", s.main.TLSConfig != nil, "authentication", s.cfg.Auth.Enabled(),
		"region", s.where.region, "endpoint", s.where.endpoint)
	s.warnOfStrangers()
	return nil
}

// warnOfStrangers says which listeners need no credentials although others than the machine
// itself reach them, or although auth is set.
func (s *Server) warnOfStrangers() {
	open := func(option string, ln net.Listener) {
		if !loopback(ln.Addr()) {
			s.log.Warn("other machines reach a listener and need no credentials; set auth or tls.client_ca_file", "listener", option)
		}
	}
	certificates := s.cfg.TLS.ClientCAFile != ""
	if !s.cfg.Auth.Enabled() && !certificates {
		open("server.listen", s.mainLn)
		for _, l := range s.grpcListeners() {
			open(l.option, l.ln)
		}
	}
	if s.native != nil && s.cfg.Auth.Enabled() && s.cfg.Native.Anonymous {
		s.log.Warn("native.listen takes events without the credentials of auth, because native.anonymous is true; let nobody reach it but those who may send",
			"address", s.native.addr(), "other_machines_reach_it", !loopback(s.native.ln.Addr()))
	}
}

// grpcListeners lists those that are on.
func (s *Server) grpcListeners() []*grpcListener {
	var list []*grpcListener
	for _, l := range []*grpcListener{s.native, s.otlp} {
		if l != nil {
			list = append(list, l)
		}
	}
	return list
}

// serveOn serves events at the listener of an option.
func (s *Server) serveOn(server *http.Server, ln net.Listener, option string) {
	ln = netutil.LimitListener(ln, s.cfg.Server.MaxConnections)
	if server.TLSConfig == nil {
		ln = s.plain(ln, option)
	}
	s.serve(func() error {
		if server.TLSConfig != nil {
			return server.ServeTLS(ln, "", "")
		}
		return server.Serve(ln)
	})
}

// serve runs one http.Server; its goroutine ends with Shutdown.
func (s *Server) serve(f func() error) {
	s.serving.Add(1)
	go func() {
		defer s.serving.Done()
		if err := f(); !errors.Is(err, http.ErrServerClosed) {
			s.serveErr <- fmt.Errorf("cannot go on serving: %w", err)
		}
	}()
}

func loopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}

// Addr is the address of the main listener, after Start.
func (s *Server) Addr() string { return s.mainLn.Addr().String() }

// NativeAddr is the address of the listener for Vector's protocol, or "off".
func (s *Server) NativeAddr() string { return s.native.addr() }

// OTLPAddr is the address of the listener for OTLP over gRPC, or "off".
func (s *Server) OTLPAddr() string { return s.otlp.addr() }

// AdminAddr is the address of the admin listener, or "off".
func (s *Server) AdminAddr() string {
	if s.adminLn == nil {
		return "off"
	}
	return s.adminLn.Addr().String()
}

// Shutdown ends in order: /readyz says 503 and connections are closed behind their
// answers; after drain_delay no connection is accepted; requests under way get their
// outcome; the producer delivers what it holds; dead letters and listeners are closed.
// Everything but the delay has drain_timeout, or as long as ctx if that is less.
func (s *Server) Shutdown(ctx context.Context) error {
	s.draining.Store(true)
	switch {
	case !s.failed:
		s.log.Info("draining", "requests", s.counters.inFlight.Load())
		if s.mainLn != nil {
			wait(ctx, s.cfg.Server.DrainDelay)
		}
	case s.mainLn != nil:
		_ = s.mainLn.Close() // nobody serves it yet who would
	}
	total := s.cfg.Server.DrainTimeout
	ctx, cancel := context.WithTimeout(ctx, total)
	defer cancel()
	// Requests may take most of the time. What they leave to the producer has been
	// answered with 503 or not at all, so that it is worth less.
	requests, cancelRequests := context.WithTimeout(ctx, total*4/5)
	defer cancelRequests()
	var errs []error
	if err := s.shutdownListeners(requests); err != nil {
		errs = append(errs, fmt.Errorf("cannot finish %s in time: %w", plural.Count(s.counters.inFlight.Load(), "request"), err))
	}
	if err := s.producer.Close(ctx); err != nil {
		errs = append(errs, err)
	}
	// With the producer every record has settled. A place for dead letters that hangs
	// has the time that is left.
	s.deliverer.Stop(ctx)
	defer s.closeJournal()
	if s.deadLetters != nil {
		if err := s.deadLetters.Close(ctx); err != nil {
			errs = append(errs, fmt.Errorf("cannot close the dead letters: %w", err))
		}
	}
	// Requests whose records the producer gave up are being answered.
	last, cancelLast := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancelLast()
	_ = s.shutdownListeners(last)
	_ = s.main.Close()
	for _, l := range s.grpcListeners() {
		_ = l.server.Close()
	}
	_ = s.admin.Shutdown(last)
	_ = s.admin.Close()
	s.serving.Wait()
	s.throttled.flush()
	if n := s.deliverer.Ledger().Entries; n > 0 {
		s.log.Warn("bodies are left that Kinesis has not confirmed as a whole", "bodies", n,
			"kept", "by their clients: they got 503 or no answer, and send them again")
	}
	err := errors.Join(errs...)
	if !s.failed {
		s.log.Info("drained", "everything_delivered", err == nil)
	}
	return err
}

// closeJournal gives the journal free for the next process.
func (s *Server) closeJournal() {
	if s.journal == nil {
		return
	}
	if err := s.journal.Close(); err != nil {
		s.log.Error("cannot close the journal", "error", err)
	}
}

// openJournal opens the journal that cfg asks for, if it can be used. There are as many
// fingerprints as routes can have.
func openJournal(cfg *config.Config, log *slog.Logger) *journal.Journal {
	known := map[delivery.Fingerprint]bool{}
	for _, r := range append([]config.Route{cfg.Route}, cfg.Routes...) {
		known[fingerprintOf(cfg, r, false)], known[fingerprintOf(cfg, r, true)] = true, true
	}
	return cfg.Journal.Open("kpl-http", known, remedy.Receiver, log)
}

// shutdownListeners ends all servers that take events.
func (s *Server) shutdownListeners(ctx context.Context) error {
	list := s.grpcListeners()
	ended := make(chan error, len(list))
	for _, l := range list {
		go func() { ended <- l.server.Shutdown(ctx) }()
	}
	errs := []error{s.main.Shutdown(ctx)}
	for range list {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/vector/internal/config"
	"github.com/outkpl/outkpl/vector/internal/status"
)

// pipes is a network of net.Pipe connections, which work inside a synctest bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// rig is a server over a fake Kinesis.
type rig struct {
	t           *testing.T
	kinesis     *kinesistest.Server
	cfg         *config.Config
	deadLetters deadletter.Sink
	// deadLettersTo is a stream for dead letters instead.
	deadLettersTo string
	region        string // that the status page shows
	log           io.Writer
	real          bool // sockets instead of pipes
	tls           *tls.Config
	prepare       func(s *Server, log *status.Log) // before Start; nil: nothing
	wrap          func(core.Client) core.Client    // nil: nothing

	mu       sync.Mutex // guards what follows: restart changes it
	server   *Server
	producer *core.Producer
	net      *pipes
	otlpNet  *pipes // of otlp_grpc.listen
	adminNet *pipes // of server.admin_listen
	client   *http.Client
}

// newRig starts a server with the stream "logs" of four shards. flags are options.
func newRig(t *testing.T, flags ...string) *rig {
	t.Helper()
	r := &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 4), kinesistest.WithStream("logs-b", 1))}
	r.configure(flags...)
	r.start()
	return r
}

func (r *rig) configure(flags ...string) {
	r.t.Helper()
	flags = append([]string{
		"--route.stream=logs", "--route.streams=logs-*", "--server.drain_delay=0", "--server.admin_listen=off",
		"--producer.retry_backoff_min=10ms", "--producer.retry_backoff_max=1s",
	}, flags...)
	var err error
	if r.cfg, err = config.Load(config.Sources{Args: flags}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) start() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.log
	if out == nil {
		out = io.Discard
	}
	kept := status.NewLog(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	log := slog.New(kept)
	notes := openJournal(r.cfg, log)
	var calls core.Client = r.kinesis.Client()
	if r.wrap != nil {
		calls = r.wrap(calls)
	}
	producer, err := core.New(calls, slices.Concat(r.cfg.Producer.Options(), notes.Options(), []core.Option{core.WithLogger(log)})...)
	if err != nil {
		r.t.Fatal(err)
	}
	deps := Deps{Logger: log, Region: r.region, Journal: notes, DeadLetters: r.deadLetters, Getenv: func(string) string { return "secret-1\nsecret-2" }}
	if r.deadLettersTo != "" {
		deps.DeadLetters = deadletter.NewStream(producer, r.deadLettersTo)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 256, TLSClientConfig: r.tls}
	if !r.real {
		n := newPipes()
		r.net, r.otlpNet, r.adminNet = n, newPipes(), newPipes()
		deps.Listen = func(_, address string) (net.Listener, error) {
			switch address {
			case r.cfg.OTLPGRPC.Listen:
				return r.otlpNet, nil
			case r.cfg.Server.AdminListen:
				return r.adminNet, nil
			}
			return n, nil
		}
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return r.network().dial(ctx) }
	}
	s, err := New(r.cfg, producer, deps)
	if err != nil {
		r.t.Fatal(err)
	}
	if r.prepare != nil {
		r.prepare(s, kept)
	}
	if err := s.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.server, r.producer = s, producer
	if r.client == nil {
		r.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
}

// withTLS is a client of the same server with other settings.
func (r *rig) withTLS(c *tls.Config) *rig {
	transport := r.client.Transport.(*http.Transport).Clone()
	transport.TLSClientConfig = c
	return &rig{t: r.t, tls: c, client: &http.Client{Transport: transport}}
}

func (r *rig) network() *pipes {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.net
}

// run is Server.Run of a new server.
func (r *rig) run() error {
	producer, err := core.New(r.kinesis.Client())
	if err != nil {
		r.t.Fatal(err)
	}
	s, err := New(r.cfg, producer, Deps{})
	if err != nil {
		r.t.Fatal(err)
	}
	return s.Run(r.t.Context())
}

// stop ends the server in order.
func (r *rig) stop() {
	r.t.Helper()
	// The test's own context has ended when this is called at its cleanup.
	if err := r.server.Shutdown(context.WithoutCancel(r.t.Context())); err != nil {
		r.t.Errorf("unexpected error of Shutdown; got %v; want none", err)
	}
	r.client.CloseIdleConnections()
}

// kill ends the server as a crash would: connections break, what is in memory is lost.
func (r *rig) kill() {
	_ = r.net.Close()
	_ = r.server.main.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = r.server.Shutdown(ctx)
	r.client.CloseIdleConnections()
}

func (r *rig) url(path string) string {
	if r.real {
		return "http://" + r.server.Addr() + path
	}
	if r.tls != nil {
		return "https://kpl" + path
	}
	return "http://kpl" + path
}

type reply struct {
	status int
	header http.Header
	body   string
	proto  string
	close  bool // the connection ends behind it
	err    error
}

// post sends one body.
func (r *rig) post(ctx context.Context, path string, body []byte, header ...string) reply {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url(path), bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	return r.do(req)
}

func (r *rig) do(req *http.Request) reply {
	res, err := r.client.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return reply{status: res.StatusCode, header: res.Header, body: string(b), proto: res.Proto, close: res.Close, err: err}
}

func (rp reply) want(t *testing.T, status int, inBody string) {
	t.Helper()
	if rp.err != nil || rp.status != status || !strings.Contains(rp.body, inBody) {
		t.Errorf("unexpected answer; got %d %q, error %v; want %d with %q", rp.status, rp.body, rp.err, status, inBody)
	}
}

// ndjson makes events with the numbers from lo to hi-1.
func ndjson(lo, hi int) []byte {
	var b []byte
	for i := lo; i < hi; i++ {
		b = append(b, `{"n":`...)
		b = strconv.AppendInt(b, int64(i), 10)
		b = append(b, `,"user":{"id":"u`...)
		b = strconv.AppendInt(b, int64(i%7), 10)
		b = append(b, "\"}}\n"...)
	}
	return b
}

// stored counts how often each event number is in a stream, as a consumer sees it.
func (r *rig) stored(stream string) map[int]int {
	r.t.Helper()
	got := map[int]int{}
	c := r.kinesis.Consume(stream)
	if len(c.Dropped) > 0 {
		r.t.Errorf("unexpected records that KCL drops; got %d; want 0", len(c.Dropped))
	}
	for _, u := range c.Records {
		got[numberOf(r.t, u.Data)]++
	}
	return got
}

// numberOf finds the number in an event of any of the forms that tests send.
func numberOf(t *testing.T, data []byte) int {
	var v struct {
		N    *int `json:"n"`
		Body any  `json:"body"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Errorf("unexpected record; got %q; want JSON", data)
		return -1
	}
	if v.N != nil {
		return *v.N
	}
	n, err := strconv.Atoi(strings.TrimPrefix(toText(v.Body), "n="))
	if err != nil {
		t.Errorf("unexpected record; got %q; want a number in it", data)
		return -1
	}
	return n
}

func toText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		s, _ := v["stringValue"].(string)
		return s
	}
	return ""
}

// account checks that the numbers from 0 to n-1 are all there, and that no more of
// them are doubled than may be. It returns how many are doubled.
func (r *rig) account(stream string, n, mayDouble int) int {
	r.t.Helper()
	got := r.stored(stream)
	missing, doubled := 0, 0
	for i := range n {
		if got[i] == 0 {
			missing++
		}
		doubled += max(0, got[i]-1)
	}
	if missing > 0 || len(got) != n || doubled > mayDouble {
		r.t.Errorf("unexpected account of %d events; got %d missing, %d doubled, %d distinct; want 0 missing, at most %d doubled", n, missing, doubled, len(got), mayDouble)
	}
	return doubled
}

// memory is a sink for dead letters that can be made to fail.
type memory struct {
	mu          sync.Mutex // guards all below
	deadLetters []deadletter.Entry
	err         error
	// failOnce is the error of the next Write, which keeps what it does not name.
	failOnce *deadletter.WriteError
	most     int // dead letters of one Write
}

func (m *memory) Write(_ context.Context, deadLetters []deadletter.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.most = max(m.most, len(deadLetters))
	if part := m.failOnce; part != nil {
		m.failOnce = nil
		for i := range deadLetters {
			if !slices.Contains(part.Failed, i) {
				m.deadLetters = append(m.deadLetters, deadLetters[i])
			}
		}
		return part
	}
	if m.err == nil {
		m.deadLetters = append(m.deadLetters, deadLetters...)
	}
	return m.err
}

func (m *memory) Close(context.Context) error { return nil }

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

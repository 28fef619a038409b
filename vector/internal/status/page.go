// SPDX-License-Identifier: Apache-2.0

package status

import (
	"embed"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/remedy"
)

//go:embed static
var static embed.FS

// Source is a producer.
type Source interface {
	Snapshot() core.Snapshot
	Stats() core.Stats
}

// Config says what is shown.
type Config struct {
	// Program and Version are shown in the head.
	Program, Version string
	// Listeners are addresses by their names.
	Listeners func() map[string]string
	// Producer is what writes to Kinesis.
	Producer Source
	// Server returns the state of what takes requests. It is called often.
	Server func() Server
	// Bounds are the upper bounds of Server.Buckets, in seconds.
	Bounds []float64
	// AggregationMaxBytes is the size of a full aggregate.
	AggregationMaxBytes int
	// VerifyUncertain tells whether records whose answer was lost are looked for.
	VerifyUncertain bool
	// Region and Endpoint are where the producer writes to; Host is this machine.
	Region, Endpoint, Host string
	// Names are the options of the program, for advice. Default: those of kpl-http.
	Names func(option string) string
	// Log is where warnings are kept. Default: none.
	Log *Log
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Page serves the page and its JSON. It is safe for concurrent use.
type Page struct {
	cfg     Config
	started time.Time

	mu     sync.Mutex // guards all below
	past   []sample
	states []state // the newest last
	answer []byte
	made   time.Time
}

const (
	// freshFor is how long an answer is given again.
	freshFor = 500 * time.Millisecond
	// A rate is over at least minSpan and at most maxSpan.
	minSpan, maxSpan = time.Second, 10 * time.Second
	keptStates       = 4
)

// New makes a page. Its curves stay empty unless Run is called.
func New(c Config) *Page {
	if c.Log == nil {
		c.Log = NewLog(slog.DiscardHandler)
	}
	if c.Listeners == nil {
		c.Listeners = func() map[string]string { return map[string]string{} }
	}
	if c.Names == nil {
		c.Names = remedy.Receiver
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Page{cfg: c, started: c.Now()}
}

// Register puts everything on mux.
func (p *Page) Register(handle func(pattern string, h http.Handler)) {
	for _, pattern := range []string{"GET /{$}", "GET /app.js", "GET /style.css", "GET /icon.svg", "GET /status.json"} {
		handle(pattern, p)
	}
}

var contentTypes = map[string]string{
	"index.html": "text/html; charset=utf-8", "app.js": "text/javascript; charset=utf-8",
	"style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml",
}

// policy lets the page load its own files and talk to its own address, nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ServeHTTP implements http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	var body []byte
	contentType := "application/json"
	switch name {
	case "status.json":
		body = p.json()
	default:
		if name == "/" {
			name = "index.html"
		}
		var ok bool
		if contentType, ok = contentTypes[name]; !ok {
			http.NotFound(w, r)
			return
		}
		var err error
		if body, err = fs.ReadFile(static, "static/"+name); err != nil {
			http.NotFound(w, r) // cannot happen: a test asks for each file
			return
		}
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	_, _ = w.Write(body) // a browser that is gone does not matter
}

// json makes an answer, or gives the last one again.
func (p *Page) json() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.cfg.Now()
	if age := now.Sub(p.made); p.answer != nil && age >= 0 && age < freshFor {
		return p.answer
	}
	b, err := json.Marshal(p.document(now))
	if err != nil {
		b = []byte("{}") // cannot happen: numbers and text only, none infinite
	}
	p.answer, p.made = b, now
	return b
}

// document describes this moment. Called with the lock held, so that there is one
// state after the other.
func (p *Page) document(now time.Time) *Document {
	d := &Document{
		Program: p.cfg.Program, Version: p.cfg.Version, Go: runtime.Version(),
		Region: p.cfg.Region, Endpoint: p.cfg.Endpoint, Host: p.cfg.Host,
		Now: now.UTC(), Started: p.started.UTC(), UptimeSeconds: now.Sub(p.started).Seconds(),
		Listeners: p.cfg.Listeners(), Server: p.cfg.Server(), Streams: []Stream{},
		History: p.history(), Log: p.cfg.Log.Lines(),
	}
	d.Server.AckLatency = p.latency()
	current := state{now, p.cfg.Producer.Snapshot()}
	before := p.before(now)
	p.states = append(p.states, current)
	if len(p.states) > keptStates {
		p.states = append(p.states[:0], p.states[1:]...)
	}
	d.Producer = Producer{
		BufferedBytes: current.BufferedBytes, BufferLimitBytes: current.BufferLimitBytes,
		BufferedRecords: current.BufferedRecords, BufferLimitRecords: current.BufferLimitRecords,
		AggregationMaxBytes: p.cfg.AggregationMaxBytes, VerifyUncertain: p.cfg.VerifyUncertain,
	}
	for i := range current.Streams {
		s := &current.Streams[i]
		d.Producer.PutUnits += s.Stats.PutPayloadUnits
		d.Producer.PutUnitsSaved += s.Stats.PutPayloadUnitsSaved
		d.Producer.Throttled += s.Stats.Throttled
		out := streamOf(s)
		var shards map[string]*core.ShardSnapshot
		var seconds float64
		if before != nil {
			seconds = now.Sub(before.at).Seconds()
			old := find(before, s.Stream)
			out.Rate = rateOf(&old.Stats, &s.Stats, seconds)
			shards = make(map[string]*core.ShardSnapshot, len(old.Shards))
			for j := range old.Shards {
				shards[old.Shards[j].ID] = &old.Shards[j]
			}
		}
		out.Shards = shardsOf(s.Shards, shards, seconds)
		d.Streams = append(d.Streams, out)
	}
	d.Problems = p.problems(d, current.Streams)
	return d
}

// before finds the newest state that is old enough to compare with.
func (p *Page) before(now time.Time) *state {
	for _, s := range slices.Backward(p.states) {
		if age := now.Sub(s.at); age >= minSpan && age <= maxSpan {
			return &s
		}
	}
	return nil
}

// find returns the state of a stream; one that was not there before had done nothing.
func find(s *state, stream string) *core.StreamSnapshot {
	for i := range s.Streams {
		if s.Streams[i].Stream == stream {
			return &s.Streams[i]
		}
	}
	return &core.StreamSnapshot{}
}

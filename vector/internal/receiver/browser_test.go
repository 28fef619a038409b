// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/vector/internal/status"
)

// chromium runs a headless browser and returns what it printed. It needs no network but
// the loopback.
func chromium(t *testing.T, url string, args ...string) (stdout, stderr string) {
	t.Helper()
	var program string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			program = p
			break
		}
	}
	if program == "" && os.Getenv("CI") == "true" {
		t.Fatal("there is no chromium; on Debian: apt-get install chromium")
	}
	if program == "" {
		t.Skip("NOT TESTED: no chromium here; on Debian: apt-get install chromium")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	args = append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--enable-logging=stderr", "--user-data-dir=" + t.TempDir(), "--virtual-time-budget=4000",
	}, append(args, url)...)
	cmd := exec.CommandContext(ctx, program, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatalf("unexpected end of %s; got %v; want none\n%s", program, err, errOut.String())
	}
	return out.String(), errOut.String()
}

// pageClock is the time of a status page: two seconds pass between two documents, however
// long a browser takes to start and to ask for one.
type pageClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *pageClock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// before lets the time pass and hands the request on to h.
func (c *pageClock) before(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.now = c.now.Add(2 * time.Second)
		c.mu.Unlock()
		h.ServeHTTP(w, r)
	})
}

// pageRig is a rig with the status page on its admin listener. With STATUS_SHOTS its time
// is the real one, since the pictures show curves.
func pageRig(t *testing.T, kinesis *kinesistest.Server, flags ...string) (*rig, string) {
	t.Helper()
	r := &rig{t: t, kinesis: kinesis, real: true, region: "eu-west-1"}
	r.configure(append([]string{"--server.listen=127.0.0.1:0", "--server.admin_listen=127.0.0.1:0"}, flags...)...)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	r.prepare = func(s *Server, log *status.Log) {
		clock := &pageClock{now: time.Now()}
		realBrowser := os.Getenv("STATUS_SHOTS") != ""
		if !realBrowser {
			s.now = clock.time
		}
		page := s.StatusPage(log)
		page.Register(func(pattern string, h http.Handler) {
			if !realBrowser && strings.HasSuffix(pattern, "/status.json") {
				h = clock.before(h)
			}
			s.Handle(pattern, h)
		})
		running.Go(func() { page.Run(ctx) })
	}
	r.start()
	t.Cleanup(func() {
		r.stop()
		cancel()
		running.Wait()
	})
	return r, "http://" + r.server.AdminAddr()
}

// document asks for /status.json.
func document(t *testing.T, admin string) status.Document {
	t.Helper()
	res, err := http.Get(admin + "/status.json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var d status.Document
	if err := json.NewDecoder(res.Body).Decode(&d); err != nil {
		t.Fatal(err)
	}
	return d
}

// documentWith asks until the document is as wanted, and for as long as the test may last.
func documentWith(t *testing.T, admin string, wanted func(d *status.Document) bool) {
	t.Helper()
	ctx := t.Context()
	if end, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-10*time.Second))
		defer cancel()
	}
	for {
		d := document(t, admin)
		if wanted(&d) {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("unexpected document; got %+v, streams %+v; want one of a server under load", d.Server, d.Streams)
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// busyStreams tells whether three streams have rates, one of them of 2,000 shards.
func busyStreams(d *status.Document) bool {
	return len(d.Streams) == 3 && d.Streams[0].Rate != nil && d.Streams[0].Rate.Confirmed > 0 && len(d.Streams[1].Shards.Load) == 2000 &&
		d.Server.AckLatency.Count > 0 && d.Producer.PutUnitsSaved > 0
}

// load posts to streams until the test ends, and what is refused now and then.
func (r *rig) load(ctx context.Context, streams ...string) (wait func()) {
	var running sync.WaitGroup
	for i, stream := range streams {
		for c := range 3 {
			running.Go(func() {
				raw := benchBody()[:200<<10]
				body := gzipped(raw[:bytes.LastIndexByte(raw, '\n')])
				for n := 0; ctx.Err() == nil; n++ {
					r.post(ctx, "/streams/"+stream, body, "Content-Type", "application/x-ndjson", "Content-Encoding", "gzip")
					if n%5 == 4 && c == 0 {
						r.post(ctx, "/streams/"+stream, []byte(`{"broken`), "Content-Type", "application/json")
						r.post(ctx, "/streams/forbidden", []byte(`{}`))
						r.post(ctx, "/streams/"+stream, []byte(strings.Repeat("x", 3000)), "Content-Type", "text/plain")
					}
					pause(ctx, time.Duration(30+50*i+20*c)*time.Millisecond)
				}
			})
		}
	}
	return running.Wait
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// TestStatusPageInABrowser shows a server under load to a browser. With STATUS_SHOTS
// the pictures are kept there.
func TestStatusPageInABrowser(t *testing.T) {
	kinesis := kinesistest.New(kinesistest.WithStream("logs-web", 24), kinesistest.WithStream("logs-audit", 1),
		kinesistest.WithStream("logs-fleet", 2000), kinesistest.WithLimits(kinesistest.AWSLimits), kinesistest.WithCountOnly())
	r, admin := pageRig(t, kinesis, "--route.partition_key=user->id", "--route.record_max_size=2KiB", "--producer.rate_limit=150",
		"--producer.max_buffered_time=100ms")
	ctx, cancel := context.WithCancel(t.Context())
	wait := r.load(ctx, "logs-web", "logs-audit", "logs-fleet")
	defer wait()
	defer cancel()
	if os.Getenv("STATUS_SHOTS") != "" {
		pause(ctx, 130*time.Second)
	}
	documentWith(t, admin, func(d *status.Document) bool {
		return busyStreams(d) && d.Server.Rejected["stream_forbidden"] > 0 && d.Server.Rejected["malformed"] > 0 && d.Server.Dropped["too_large"] > 0 &&
			slices.ContainsFunc(d.Log, func(l status.Line) bool { return strings.Contains(l.Message, "can never be stored and were dropped") })
	})
	dom, log := chromium(t, admin+"/", "--window-size=1280,900", "--dump-dom")
	for _, line := range strings.Split(log, "\n") {
		if strings.Contains(line, "CONSOLE") {
			t.Errorf("unexpected message of the browser; got %q; want none", line)
		}
	}
	for _, want := range []string{
		`data-ready="true"`, `<p class="pill bad" id="state" role="status" aria-live="polite">events are refused or lost</p>`, ">logs-web<", ">eu-west-1 · ", ">logs-audit<", ">2,000 shards<",
		">aggregating<", "request: stream forbidden", "request: malformed", "event dropped: too large", "events can never be stored and were dropped",
		`aria-label="2,000 shards, average load `, `role="meter"`, "<td>default</td>", "What is wrong", "requests were answered with 4xx in the last two minutes", "dead_letter, such as route.oversize", `class="scale"`,
	} {
		if !strings.Contains(dom, want) {
			t.Errorf("unexpected page; got no %q; want it", want)
		}
	}
	documentWith(t, admin, busyStreams)
	shots := os.Getenv("STATUS_SHOTS")
	if shots == "" {
		shots = t.TempDir()
	}
	for _, shot := range []struct{ name, size, dark string }{
		{"desktop", "1280,1560", ""}, {"phone", "390,2450", ""}, {"desktop-dark", "1280,1500", "--blink-settings=preferredColorScheme=0"},
	} {
		file := filepath.Join(shots, shot.name+".png")
		args := []string{"--window-size=" + shot.size, "--screenshot=" + file}
		if shot.dark != "" {
			args = append(args, shot.dark)
		}
		if shot.name == "phone" {
			args = append(args, "--force-device-scale-factor=2")
		}
		chromium(t, admin+"/", args...)
		if info, err := os.Stat(file); err != nil || info.Size() < 20_000 {
			t.Errorf("unexpected picture; got error %v; want one of 20 kB or more", err)
		}
	}
}

// TestStatusPageWithoutStreams is a server that has just started.
func TestStatusPageWithoutStreams(t *testing.T) {
	_, admin := pageRig(t, kinesistest.New())
	dom, log := chromium(t, admin+"/", "--window-size=390,800", "--dump-dom")
	if strings.Contains(log, "CONSOLE") || !strings.Contains(dom, `data-ready="true"`) ||
		!strings.Contains(dom, `<p class="empty" id="no-streams">`) || !strings.Contains(dom, `<p class="empty" id="no-log">`) {
		t.Errorf("unexpected page; got %s\n%s; want one that says there are no streams", dom, log)
	}
}

// TestStatusPageShowsReadBackAndJournal has answers of Kinesis lost.
func TestStatusPageShowsReadBackAndJournal(t *testing.T) {
	rows := []string{"<dt>Looked for</dt>", "<dt>Found stored</dt>", "<dt>Found missing</dt>", "<dt>Not found out</dt>", "<dt>Reads</dt>", `<span class="label">Journal</span>`}
	for _, on := range []bool{true, false} {
		flags := []string{}
		if on {
			flags = append(flags, "--producer.verify_uncertain=true", "--journal.dir="+t.TempDir())
		}
		kinesis := kinesistest.New(kinesistest.WithStream("logs", 1))
		r, admin := pageRig(t, kinesis, flags...)
		kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Skip: 1, Times: 1, Effect: kinesistest.LoseReply()})
		for range 3 {
			r.post(t.Context(), "/streams/logs", []byte(`{"a":1}`), "Content-Type", "application/json")
		}
		documentWith(t, admin, func(d *status.Document) bool {
			return len(d.Streams) == 1 && d.Streams[0].Confirmed == 3 && d.Streams[0].Rate != nil && (!on || d.Streams[0].VerifyStored == 1)
		})
		dom, log := chromium(t, admin+"/", "--window-size=1280,900", "--dump-dom")
		if strings.Contains(log, "CONSOLE") {
			t.Errorf("unexpected messages of the browser: %s", log)
		}
		for _, row := range rows {
			if strings.Contains(dom, row) != on {
				t.Errorf("unexpected page with read-back and journal %t; got %q there %t", on, row, !on)
			}
		}
		if on && !strings.Contains(dom, "<dt>Found stored</dt><dd class=\"\"><span>1</span>") {
			t.Errorf("unexpected page; the record that was found is not shown:\n%.4000s", dom[max(0, strings.Index(dom, "Looked for")):])
		}
	}
}

// TestAdminListener looks at everything that is served there.
func TestAdminListener(t *testing.T) {
	_, admin := pageRig(t, kinesistest.New())
	for path, contentType := range map[string]string{
		"/": "text/html; charset=utf-8", "/app.js": "text/javascript; charset=utf-8", "/style.css": "text/css; charset=utf-8",
		"/icon.svg": "image/svg+xml", "/status.json": "application/json",
	} {
		res, err := http.Get(admin + path)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		csp := res.Header.Get("Content-Security-Policy")
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != contentType || len(b) == 0 ||
			!strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("unexpected answer for %s; got %d %q, policy %q; want 200 %q", path, res.StatusCode, res.Header.Get("Content-Type"), csp, contentType)
		}
	}
	for _, c := range []struct {
		method, path string
		status       int
	}{{"POST", "/status.json", 405}, {"GET", "/other", 404}, {"GET", "/static/app.js", 404}, {"HEAD", "/", 200}} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, admin+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != c.status {
			t.Errorf("unexpected answer for %s; got %d; want %d", fmt.Sprint(c.method, " ", c.path), res.StatusCode, c.status)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

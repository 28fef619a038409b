// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// get reads a page.
func get(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("unexpected answer for %s; got %d, error %v; want 200", url, res.StatusCode, err)
	}
	return string(b)
}

// A user who imports the dashboard and changes nothing sees something in each panel.
func TestDashboardHasNoEmptyPanelAtTheDefaults(t *testing.T) {
	text, err := os.ReadFile("../../../conf/grafana/out_kpl.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Type, Title string
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin := listener.Addr().String()
	_ = listener.Close()
	_, address, end := program(t, "--server.admin_listen="+admin)
	if status := postTo(t, "http://"+address+"/", ndjson(0, 100), "Content-Type", "application/x-ndjson"); status != 200 {
		t.Fatalf("unexpected status; got %d; want 200", status)
	}
	page := get(t, "http://"+admin+"/metrics")
	for !strings.Contains(page, `kpl_http_requests_total{route="default",status="200"} 1`) && t.Context().Err() == nil {
		page = get(t, "http://"+admin+"/metrics") // requests are counted behind their answers
	}
	if code := end(); code != exitOK {
		t.Errorf("unexpected end; got %d", code)
	}
	shown := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(kpl_[a-z_]+)`).FindAllString(page, -1) {
		shown[m] = true
	}
	row := ""
	for _, p := range dashboard.Panels {
		if p.Type == "row" {
			row = p.Title
		}
		if p.Type == "row" || row == "Fluent Bit" {
			continue // that is the other receiver's
		}
		full := false
		for _, target := range p.Targets {
			has := true
			for _, name := range regexp.MustCompile(`\bkpl_[a-z_]+`).FindAllString(target.Expr, -1) {
				has = has && shown[name]
			}
			full = full || has || strings.Contains(target.Expr, "vector(0)")
		}
		if !full {
			t.Errorf("the panel %q is empty: none of its queries has all metrics: %q", p.Title, p.Targets)
		}
	}
}

// TestProgramServesMetricsAndStatus runs the whole program.
func TestProgramServesMetricsAndStatus(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin := listener.Addr().String()
	_ = listener.Close()
	_, address, end := program(t, "--server.admin_listen="+admin)
	if status := postTo(t, "http://"+address+"/streams/logs-web", ndjson(0, 100), "Content-Type", "application/x-ndjson"); status != 200 {
		t.Fatalf("unexpected status; got %d; want 200", status)
	}
	if status := postTo(t, "http://"+address+"/streams/other", nil); status != 403 {
		t.Fatalf("unexpected status; got %d; want 403", status)
	}
	page := get(t, "http://"+admin+"/metrics")
	// Requests are counted behind their answers.
	for !strings.Contains(page, `kpl_http_requests_total{route="default",status="403"} 1`) && t.Context().Err() == nil {
		page = get(t, "http://"+admin+"/metrics")
	}
	for _, want := range []string{
		`kpl_http_requests_total{route="default",status="200"} 1`, `kpl_http_rejected_total{reason="stream_forbidden",route="default"} 1`,
		`kpl_http_events_confirmed_total{route="default"} 100`, "kpl_http_ack_duration_seconds_count 1", "kpl_http_connections ",
		`kpl_user_records_put_total{result="confirmed",shard="shardId-000000000000",stream="logs-web"} 100`, "go_goroutines ", "process_open_fds ",
		"kpl_http_memory_used_bytes 0", "kpl_http_memory_limit_bytes 2.68435456e+08",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("unexpected metrics; got no %q; want it", want)
		}
	}
	if page := get(t, "http://"+admin+"/"); !strings.Contains(page, "<title>kpl-http</title>") {
		t.Errorf("unexpected page; got %q; want the status page", page)
	}
	if d := document(t, "http://"+admin); len(d.Streams) != 1 || d.Streams[0].Confirmed != 100 || d.Server.Rejected["stream_forbidden"] != 1 {
		t.Errorf("unexpected document; got %+v; want one stream with 100 events", d)
	}
	if code := end(); code != 0 {
		t.Errorf("unexpected exit code; got %d; want 0", code)
	}
}

// TestProgramSendsToTheAgentAndCloudWatch has both on the loopback.
func TestProgramSendsToTheAgentAndCloudWatch(t *testing.T) {
	agent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var datagrams string
	var reading sync.WaitGroup
	reading.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, _, err := agent.ReadFrom(buf)
			if err != nil {
				return
			}
			datagrams += string(buf[:n])
			if strings.Contains(datagrams, "kpl.user_records_put") && strings.Contains(datagrams, "env:test") {
				return
			}
		}
	})
	var mu sync.Mutex
	uploads := 0
	cloud := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Authorization") != "" && r.ContentLength > 0 {
			uploads++
		}
		w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
		w.Header().Set("Content-Type", "application/cbor")
		_, _ = w.Write([]byte{0xa0}) // an empty map
	}))
	_, address, end := program(t, "--metrics.dogstatsd="+agent.LocalAddr().String(), "--metrics.dogstatsd_tags=env:test", "--metrics.granularity=stream",
		"--metrics.cloudwatch=true", "--metrics.cloudwatch_endpoint="+cloud.URL, "--metrics.prometheus=false")
	if status := postTo(t, "http://"+address+"/streams/logs-web", ndjson(0, 100), "Content-Type", "application/x-ndjson"); status != 200 {
		t.Fatalf("unexpected status; got %d; want 200", status)
	}
	if code := end(); code != 0 {
		t.Errorf("unexpected exit code; got %d; want 0", code)
	}
	cloud.Close()
	_ = agent.SetReadDeadline(time.Now().Add(10 * time.Second)) // if it never comes
	reading.Wait()
	_ = agent.Close()
	if got := datagrams; !strings.Contains(got, "kpl.user_records_put") || !strings.Contains(got, "env:test") {
		t.Errorf("unexpected datagrams; got %q; want the number of user records", got)
	}
	if uploads == 0 {
		t.Errorf("unexpected number of uploads to CloudWatch; got 0; want some")
	}
}

// TestCloudWatchHasTheSettingsOfKinesis: an authority, a proxy, and an endpoint beside
// AWS_USE_FIPS_ENDPOINT.
func TestCloudWatchHasTheSettingsOfKinesis(t *testing.T) {
	var uploads atomic.Int32
	var host atomic.Value
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uploads.Add(1)
		host.Store(r.Host)
		w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
		w.Header().Set("Content-Type", "application/cbor")
		_, _ = w.Write([]byte{0xa0}) // an empty map
	})
	tls, proxy := httptest.NewTLSServer(answer), httptest.NewServer(answer)
	defer tls.Close()
	defer proxy.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tls.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env, host string
		flags     []string
	}{
		"ca_file":    {"", strings.TrimPrefix(tls.URL, "https://"), []string{"--aws.ca_file=" + ca, "--metrics.cloudwatch_endpoint=" + tls.URL}},
		"FIPS":       {"AWS_USE_FIPS_ENDPOINT", strings.TrimPrefix(proxy.URL, "http://"), []string{"--metrics.cloudwatch_endpoint=" + proxy.URL}},
		"dual-stack": {"AWS_USE_DUALSTACK_ENDPOINT", strings.TrimPrefix(proxy.URL, "http://"), []string{"--metrics.cloudwatch_endpoint=" + proxy.URL}},
		"proxy":      {"", "monitoring.example.com", []string{"--aws.proxy=" + proxy.URL, "--metrics.cloudwatch_endpoint=http://monitoring.example.com"}},
	} {
		t.Run(name, func(t *testing.T) {
			uploads.Store(0)
			if c.env != "" {
				t.Setenv(c.env, "true")
			}
			_, address, end := program(t, append(c.flags, "--metrics.cloudwatch=true", "--metrics.granularity=stream", "--metrics.prometheus=false")...)
			if status := postTo(t, "http://"+address+"/streams/logs-web", ndjson(0, 100), "Content-Type", "application/x-ndjson"); status != 200 {
				t.Fatalf("unexpected status; got %d; want 200", status)
			}
			if code := end(); code != 0 {
				t.Errorf("unexpected exit code; got %d; want 0", code)
			}
			if uploads.Load() == 0 || host.Load() != c.host {
				t.Errorf("unexpected uploads; got %d, the last for %v; want some for %s", uploads.Load(), host.Load(), c.host)
			}
		})
	}
}

// TestObserversFollowTheConfiguration looks at what is made, without a network.
func TestObserversFollowTheConfiguration(t *testing.T) {
	for _, c := range []struct {
		name          string
		flags         []string
		registry, any bool
	}{
		{"default", nil, true, true},
		{"no level", []string{"--metrics.level=none"}, true, false},
		{"nothing", []string{"--metrics.prometheus=false"}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := config.Load(config.Sources{Args: append([]string{"--route.stream=logs"}, c.flags...)})
			if err != nil {
				t.Fatal(err)
			}
			cfg.AWS.Region = "us-east-1"
			shared, err := awsclient.Load(t.Context(), cfg.AWS.Client())
			if err != nil {
				t.Fatal(err)
			}
			o, err := openObservers(t.Context(), cfg, shared, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			if (o.registry != nil) != c.registry || (o.sink != nil) != c.any {
				t.Errorf("unexpected observers; got registry %v, sink %v; want %v, %v", o.registry != nil, o.sink != nil, c.registry, c.any)
			}
			if err := o.close(context.Background()); err != nil {
				t.Errorf("unexpected error; got %v; want none", err)
			}
		})
	}
}

// TestCollectorAgreesWithStats compares each sum that Prometheus sees with Stats.
func TestCollectorAgreesWithStats(t *testing.T) {
	r := &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 1)), real: true}
	r.configure("--server.listen=127.0.0.1:0", "--route.record_max_size=60")
	r.start()
	r.post(t.Context(), "/", ndjson(0, 50)).want(t, 200, `"events":50`)
	r.post(t.Context(), "/", []byte(strings.Repeat("x", 100)), "Content-Type", "text/plain").want(t, 200, `"dropped":1`)
	r.post(t.Context(), "/", []byte("{"), "Content-Type", "application/json").want(t, 422, "malformed")
	r.stop() // requests are counted behind their answers
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(r.server.Collector())
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	st := r.server.Stats()
	sums := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			switch f.GetType() {
			case dto.MetricType_COUNTER:
				sums[f.GetName()] += m.Counter.GetValue()
			case dto.MetricType_GAUGE:
				sums[f.GetName()] += m.Gauge.GetValue()
			case dto.MetricType_HISTOGRAM:
				sums[f.GetName()] += float64(m.Histogram.GetSampleCount())
			}
		}
	}
	for name, want := range map[string]uint64{
		"kpl_http_requests_total": 3, "kpl_http_rejected_total": 1, "kpl_http_events_total": 51, "kpl_http_events_confirmed_total": 50,
		"kpl_http_events_dropped_total": 1, "kpl_http_bodies_total": 3, "kpl_http_wire_bytes_total": st.WireBytes, "kpl_http_body_bytes_total": st.BodyBytes,
		"kpl_http_ack_duration_seconds": 2, "kpl_http_memory_limit_bytes": uint64(st.BudgetSize), "kpl_http_draining": 1,
	} {
		if got := sums[name]; got != float64(want) {
			t.Errorf("unexpected sum of %s; got %v; want %d", name, got, want)
		}
	}
	if len(families) != len(Metrics()) {
		t.Errorf("unexpected number of metrics; got %d; want the %d that Metrics lists", len(families), len(Metrics()))
	}
}

// TestDocsListTheMetrics compares the table in docs/http.md.
func TestDocsListTheMetrics(t *testing.T) {
	const begin, end = "<!-- metrics: begin -->\n", "<!-- metrics: end -->\n"
	file, err := os.ReadFile("../../../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(file), begin)
	got, _, found := strings.Cut(rest, end)
	if want := MetricsMarkdown(); !found || got != want {
		t.Errorf("docs/http.md is not up to date; put the output of `kpl-http metrics` between the marks; got %q; want %q", got, want)
	}
}

// TestServerAddsToTheProducersMetrics counts a body that came again and a dead letter.
func TestServerAddsToTheProducersMetrics(t *testing.T) {
	seen := &counts{}
	s := &Server{observer: seen}
	s.observe(core.MetricLedgerHits, "", 1)
	s.observe(core.MetricDeadLetters, "arn:aws:kinesis:eu-central-1:123456789012:stream/logs", 3)
	(&Server{}).observe(core.MetricLedgerHits, "", 1) // without an observer: nothing
	if got := seen.list; len(got) != 2 || got[0].Sum != 1 || got[1].Sum != 3 || got[1].Count != 3 || got[1].Stream != "logs" {
		t.Errorf("unexpected observations; got %+v; want one hit and three dead letters of logs", got)
	}
}

type counts struct{ list []core.Observation }

func (c *counts) Observe(list []core.Observation) { c.list = append(c.list, list...) }

// SPDX-License-Identifier: Apache-2.0

package hosttest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

func TestReloads(t *testing.T) {
	t.Run("50 leave no threads and no files behind", func(t *testing.T) {
		srv := newServer(t)
		r := run(t, to(srv, "logs", "--kubernetes", "100", "--reload", "50", "--workers", "3")...)
		wantDone(t, r, 5100)
		check(t, srv, "logs", 5100)
		// The Go runtime keeps some threads for later. Ours would be four a reload.
		if r.Threads[0] <= 0 || r.Threads[1] > r.Threads[0]+10 || r.Files[1] > r.Files[0]+3 {
			t.Errorf("unexpected leak; got %d threads and %d files after 5 reloads, %d and %d after 50", r.Threads[0], r.Files[0], r.Threads[1], r.Files[1])
		}
	})
	t.Run("refused ones leave what is under way alone", func(t *testing.T) {
		srv := newServer(t)
		srv.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 6, Effect: kinesistest.Delay(900 * time.Millisecond)})
		metrics := filepath.Join(t.TempDir(), "metrics")
		r := run(t, to(srv, "logs", "--kubernetes", "6000", "--workers", "2", "--refuse", "5", "--metrics", metrics, "-p", "flush_timeout=200ms")...)
		wantDone(t, r, 6000)
		if r.Retried == 0 {
			t.Error("unexpected run; got no retries, so that there was no progress to keep")
		}
		check(t, srv, "logs", 6000)
		m := readMetrics(t, metrics)
		if m[`kpl_ledger_hits_total{output="0"}`] == 0 || m[`kpl_user_records_put_total{output="0",stream="logs",result="confirmed"}`] != 6000 {
			t.Errorf("unexpected metrics; got %v", m)
		}
	})
}

func TestEnd(t *testing.T) {
	t.Run("the exit does not wait for a stream that never answers", func(t *testing.T) {
		srv := newServer(t)
		srv.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Hang()})
		r := run(t, to(srv, "logs", "--kubernetes", "500", "--workers", "2", "--max-seconds", "1", "-p", "flush_timeout=500ms")...)
		if r.code != 1 || r.Left == 0 || !strings.Contains(r.log, "stopped before everything was delivered") {
			t.Errorf("unexpected end; got code %d, %+v; want 1 and chunks left; log:\n%s", r.code, r.summary, r.log)
		}
	})
	t.Run("chunks that wait for a worker are handed back when the stream is down", func(t *testing.T) {
		srv := newServer(t)
		srv.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Hang()})
		// A hundred chunks, each of which would take the 2 s of a flush.
		r := run(t, to(srv, "logs", "--kubernetes", "10000", "--chunk-bytes", "70000", "--workers", "1", "--max-seconds", "3", "-p", "flush_timeout=2s")...)
		if r.Left < 50 || r.Seconds > 60 {
			t.Errorf("unexpected end; got %d chunks left after %.1f s; want at least 50, soon after the 3 s", r.Left, r.Seconds)
		}
	})
	t.Run("a second output that cannot start ends the host", func(t *testing.T) {
		srv := newServer(t)
		args := append(to(srv, "logs", "--workers", "1", "--kubernetes", "10"), "--instance")
		r := run(t, append(args, to(srv, "logs", "-p", "aggregation=banana")...)...)
		if r.code != 255 || !strings.Contains(r.log, `aggregation: "banana"`) {
			t.Errorf("unexpected end; got code %d; want 255; log:\n%s", r.code, r.log)
		}
	})
}

func TestForeignHandlerOfSIGSEGV(t *testing.T) {
	srv := newServer(t)
	r := run(t, to(srv, "logs", "--kubernetes", "5000", "--workers", "4", "--segv", "--reload", "2")...)
	wantDone(t, r, 15000)
	check(t, srv, "logs", 15000)
}

// TestTrialBuild runs a build of the plugin that can be told to panic, and that looks
// for leaks; see fluentbit/testhooks_on.go.
func TestTrialBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the plugin once more")
	}
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("needs a C compiler:", err)
	}
	trial := filepath.Join(t.TempDir(), "out_kpl.so")
	if out, err := exec.Command("go", "build", "-trimpath", "-tags", "kpltrial", "-buildmode=c-shared", "-o", trial, "../..").CombinedOutput(); err != nil {
		t.Fatalf("cannot build: %v\n%s", err, out)
	}
	t.Run("each entry may panic", func(t *testing.T) { testPanics(t, trial) })
	t.Run("no exit leaves goroutines behind", func(t *testing.T) { testGoroutines(t, trial) })
}

func testGoroutines(t *testing.T, trial string) {
	srv := newServer(t)
	srv.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 20, Effect: kinesistest.Delay(100 * time.Millisecond)})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r := startProgram(t, ctx, host, trial, []string{"KPL_LEAKS=1"},
		to(srv, "logs", "--kubernetes", "500", "--reload", "3", "--workers", "3")...).wait()
	wantDone(t, r, 2000)
	if n := strings.Count(r.log, "no goroutine left behind"); n != 4 {
		t.Errorf("unexpected exits without a goroutine left behind; got %d; want 4; log:\n%s", n, r.log)
	}
}

func testPanics(t *testing.T, trial string) {
	for _, c := range []struct {
		entry, log string
		code       int
		left       bool
	}{
		{"register", "FLBPluginRegister is missing or failed", 2, false},
		{"init", "please report this", 255, false},
		{"flush", "", 1, true},
		{"exit", "panic at exit", 0, false},
	} {
		t.Run(c.entry, func(t *testing.T) {
			srv := newServer(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			h := startProgram(t, ctx, host, trial, []string{"KPL_PANIC=" + c.entry},
				to(srv, "logs", "--kubernetes", "100", "--workers", "2", "--max-seconds", "1")...)
			h.panics = true
			r := h.wait()
			if r.code != c.code || !strings.Contains(r.log, c.log) || (r.Left > 0) != c.left {
				t.Errorf("unexpected end; got code %d, %+v; want code %d and %q in the log:\n%s", r.code, r.summary, c.code, c.log, r.log)
			}
		})
	}
}

func TestSmallChunksShareAggregates(t *testing.T) {
	// 50 tags whose chunks have a few events each; a chunk alone would be a Kinesis
	// record of so few.
	srv := newServer(t)
	const events = 20_000
	r := run(t, to(srv, "logs", "--kubernetes", strconv.Itoa(events), "--tags", "50", "--chunk-bytes", "1500", "--workers", "8")...)
	wantDone(t, r, events)
	c := check(t, srv, "logs", events)
	t.Logf("%d chunks of %d events; %d Kinesis records of %.1f events, each from %.1f chunks", r.Chunks, events/r.Chunks, c.KinesisRecords,
		float64(events)/float64(c.KinesisRecords), float64(r.Chunks)/float64(c.KinesisRecords))
	if c.KinesisRecords*2 > r.Chunks {
		t.Errorf("unexpected aggregation; got %d Kinesis records for %d chunks; want at most half as many", c.KinesisRecords, r.Chunks)
	}
}

var metricLine = regexp.MustCompile(`^(kpl_[a-z_]+(?:\{[^}]*\})?) (\S+)$`)

// readMetrics reads what the host wrote.
func readMetrics(t *testing.T, path string) map[string]float64 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]float64{}
	for line := range strings.Lines(string(b)) {
		f := metricLine.FindStringSubmatch(strings.TrimSpace(line))
		if f == nil {
			t.Fatalf("unexpected line %q", line)
		}
		if m[f[1]], err = strconv.ParseFloat(f[2], 64); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func TestMetrics(t *testing.T) {
	const confirmed = `kpl_user_records_put_total{output="0",stream="logs",result="confirmed"}`
	t.Run("summary", func(t *testing.T) {
		srv := newServer(t)
		path := filepath.Join(t.TempDir(), "metrics")
		r := run(t, to(srv, "logs", "--kubernetes", "3000", "--workers", "2", "--metrics", path, "-p", "metrics_level=summary")...)
		wantDone(t, r, 3000)
		m := readMetrics(t, path)
		c := check(t, srv, "logs", 3000)
		for name, want := range map[string]int{
			confirmed: 3000,
			`kpl_kinesis_records_put_total{output="0",stream="logs",result="stored"}`:    c.KinesisRecords,
			`kpl_user_records_received_total{output="0",stream="logs"}`:                  -1, // detailed only
			`kpl_user_records_failed_total{output="0",stream="logs",reason="too_large"}`: -2, // whatever the reason is called
			`kpl_events_total{output="0"}`:                                               3000,
			`kpl_chunks_total{output="0",result="ok"}`:                                   r.OK,
			`kpl_buffered_bytes{output="0"}`:                                             0,
		} {
			got, ok := m[name]
			switch {
			case want == -2:
			case want == -1 && ok, want >= 0 && (!ok || got != float64(want)):
				t.Errorf("unexpected %s; got %v (there: %v); want %d", name, got, ok, want)
			}
		}
	})
	t.Run("detailed by shard", func(t *testing.T) {
		srv := newServer(t)
		path := filepath.Join(t.TempDir(), "metrics")
		r := run(t, to(srv, "logs", "--kubernetes", "3000", "--workers", "2", "--metrics", path, "-p", "startup_check=off", "-p", "metrics_granularity=shard")...)
		wantDone(t, r, 3000)
		m := readMetrics(t, path)
		records, buckets := 0.0, 0.0
		for name, v := range m {
			if strings.HasPrefix(name, `kpl_user_records_put_total{output="0",stream="logs",shard="shardId-`) && strings.HasSuffix(name, `result="confirmed"}`) {
				records += v
			}
			if strings.HasPrefix(name, "kpl_request_time_seconds_bucket") && strings.HasSuffix(name, `le="+Inf"}`) {
				buckets += v
			}
		}
		if calls := srv.Calls("PutRecords"); records != 3000 || buckets != float64(calls) {
			t.Errorf("unexpected metrics; got %v records, %v calls in the histogram; want 3000, %d", records, buckets, calls)
		}
	})
	t.Run("two outputs and a reload", func(t *testing.T) {
		srv := newServer(t, kinesistest.WithStream("copy", 2))
		path := filepath.Join(t.TempDir(), "metrics")
		args := append(to(srv, "logs", "--kubernetes", "200", "--workers", "2", "--reload", "2", "--metrics", path), "--instance")
		wantDone(t, run(t, append(args, to(srv, "copy")...)...), 600)
		m := readMetrics(t, path)
		if m[confirmed] != 200 || m[`kpl_user_records_put_total{output="1",stream="copy",result="confirmed"}`] != 200 {
			t.Errorf("unexpected metrics; got %v; want 200 records for the outputs 0 and 1 since the last reload", m)
		}
		for name := range m {
			if strings.Contains(name, `output="2"`) {
				t.Errorf("unexpected series %s after a reload", name)
			}
		}
	})
	t.Run("two outputs with different labels", func(t *testing.T) {
		srv := newServer(t, kinesistest.WithStream("copy", 2))
		path := filepath.Join(t.TempDir(), "metrics")
		args := append(to(srv, "logs", "--kubernetes", "200", "--workers", "2", "--metrics", path, "-p", "metrics_granularity=global"), "--instance")
		wantDone(t, run(t, append(args, to(srv, "copy", "-p", "metrics_granularity=shard", "-p", "metrics_level=detailed")...)...), 200)
		m := readMetrics(t, path)
		if m[`kpl_user_records_put_total{output="0",result="confirmed"}`] != 200 || m[`kpl_events_total{output="1"}`] != 200 {
			t.Errorf("unexpected metrics; got %v; want 200 records for the outputs 0 and 1", m)
		}
	})
	t.Run("none", func(t *testing.T) {
		srv := newServer(t)
		path := filepath.Join(t.TempDir(), "metrics")
		wantDone(t, run(t, to(srv, "logs", "--kubernetes", "100", "--metrics", path, "-p", "metrics_level=none")...), 100)
		if m := readMetrics(t, path); len(m) != 0 {
			t.Errorf("unexpected metrics; got %v; want none", m)
		}
	})
	t.Run("a host that does not export its functions", func(t *testing.T) {
		if _, err := exec.LookPath("cc"); err != nil {
			t.Skip("needs a C compiler:", err)
		}
		hidden := filepath.Join(t.TempDir(), "flb-host")
		sources, err := filepath.Glob("../host/*.c")
		if err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("cc", append([]string{"-std=gnu11", "-o", hidden}, append(sources, "-lpthread", "-ldl")...)...).CombinedOutput(); err != nil {
			t.Fatalf("cannot build: %v\n%s", err, out)
		}
		srv := newServer(t)
		path := filepath.Join(t.TempDir(), "metrics")
		wantDone(t, startProgram(t, t.Context(), hidden, library, nil, to(srv, "logs", "--kubernetes", "100", "--metrics", path)...).wait(), 100)
		if m := readMetrics(t, path); len(m) != 0 {
			t.Errorf("unexpected metrics; got %v; want none", m)
		}
	})
}

func TestBackgroundLinesGoThroughTheHost(t *testing.T) {
	srv := newServer(t)
	srv.Fault(kinesistest.Fault{Operation: "DescribeStreamSummary", Effect: kinesistest.Fail("AccessDeniedException", "not authorized to perform: kinesis:DescribeStreamSummary")})
	r := run(t, to(srv, "logs", "--kubernetes", "3000", "--workers", "2")...)
	wantDone(t, r, 3000)
	if !strings.Contains(r.log, "kinesis:DescribeStreamSummary") || r.ForeignLogLines != 0 {
		t.Errorf("unexpected log; got %d lines from threads that the host does not know; want 0, and the missing permission in:\n%s", r.ForeignLogLines, r.log)
	}
	r = run(t, append(to(srv, "logs", "--kubernetes", "10"), "--log-level", "1")...)
	if strings.Contains(r.log, "[output:kpl]") {
		t.Errorf("unexpected log at level error:\n%s", r.log)
	}
}

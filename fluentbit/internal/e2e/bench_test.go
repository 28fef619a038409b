// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// measuredRounds is how often a measurement is repeated, from the environment. Without it the
// test is skipped; use says how to run it.
func measuredRounds(t *testing.T, variable, use string) int {
	t.Helper()
	v := os.Getenv(variable)
	if v == "" {
		t.Skip("a measurement; use " + use)
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("%s: %q is no number of rounds; allowed: 1 and more", variable, v)
	}
	return n
}

// measuredFile is the input of a measurement, of E2E_MB megabytes.
func measuredFile(t *testing.T, mb int) (path string, events int, size int64) {
	t.Helper()
	if v := os.Getenv("E2E_MB"); v != "" {
		var err error
		if mb, err = strconv.Atoi(v); err != nil || mb < 1 {
			t.Fatalf("E2E_MB: %q is no size; allowed: 1 and more megabytes", v)
		}
	}
	path, events, size = benchFile(t, mb)
	t.Logf("input: %d events, %.0f MB", events, float64(size)/1e6)
	return path, events, size
}

// TestBench measures CPU seconds of the host for each GB of JSON lines, without those
// of an output that throws all away. make e2e-bench runs it.
//
//	E2E_BENCH   rounds; empty: the test is skipped
//	E2E_MB      size of the input, default 200
//	KPL_PROFILE passed on to a plugin built with the tag kpltrial, see fluentbit/testhooks_on.go
func TestBench(t *testing.T) {
	rounds := measuredRounds(t, "E2E_BENCH", "make e2e-bench FLUENT_BIT=/path/to/fluent-bit")
	path, events, size := measuredFile(t, 200)
	gb := float64(size) / 1e9

	// So many shards that their pace, to which only one of the outputs keeps, holds up neither.
	srv := kinesistest.New(kinesistest.WithStream("logs", 128), kinesistest.WithTLS(), kinesistest.WithCountOnly())
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, srv.CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(srv.URL(), "https://")
	name, port, _ := strings.Cut(address, ":")
	outputs := []struct {
		name  string
		lines []string
	}{
		{"null", []string{"name: null", "match: '*'"}},
		{"kpl", output(srv.URL(), "logs", 2, "ca_file: "+ca)},
		{"kpl, aggregation off", output(srv.URL(), "logs", 2, "ca_file: "+ca, "aggregation: off")},
		{"kpl, metrics detailed", output(srv.URL(), "logs", 2, "ca_file: "+ca, "metrics_level: detailed")},
		{"kinesis_streams", []string{
			"name: kinesis_streams", "match: '*'", "region: eu-west-1", "endpoint: " + name, "port: " + port, "stream: logs",
			"workers: 2", "retry_limit: no_limits", "tls.ca_file: " + ca,
		}},
	}
	cpu := map[string][]float64{}
	for range rounds {
		for _, o := range outputs {
			if want := os.Getenv("E2E_OUTPUT"); want != "" && o.name != "null" && o.name != want {
				continue
			}
			h := newHost(t, settings{grace: 60, inputs: [][]string{tail(path, "exit_on_eof: on", "buffer_chunk_size: 512k", "buffer_max_size: 2M",
				"mem_buf_limit: 100M")}, outputs: [][]string{o.lines}})
			begun, before := time.Now(), srv.Stats()
			h.start()
			if code := h.wait(); code != 0 {
				t.Fatalf("unexpected exit code; got %d; log:\n%s", code, h.tail())
			}
			s := h.cmd.ProcessState
			seconds := (s.UserTime() + s.SystemTime()).Seconds()
			cpu[o.name] = append(cpu[o.name], seconds)
			after := srv.Stats()
			t.Logf("%-24s %6.2f CPU s (user %.2f, system %.2f), %.1f s, %d Kinesis records, %.0f MB, %d calls", o.name, seconds, s.UserTime().Seconds(),
				s.SystemTime().Seconds(), time.Since(begun).Seconds(), after.Records-before.Records, float64(after.Bytes-before.Bytes)/1e6,
				after.Calls["PutRecords"]-before.Calls["PutRecords"])
		}
	}
	least := func(list []float64) float64 {
		best := list[0]
		for _, v := range list {
			best = min(best, v)
		}
		return best
	}
	for _, o := range outputs {
		if list := cpu[o.name]; o.name != "null" && len(list) > 0 {
			table.add(t, &row{
				in: events, confirmed: -1, read: -1, lost: -1, doubled: -1,
				note: fmt.Sprintf("%s: %.1f CPU s/GB above null (best of %d)", o.name, (least(list)-least(cpu["null"]))/gb, len(list)),
			})
		}
	}
}

// benchFile writes lines as the kubernetes filter leaves them.
func benchFile(t *testing.T, mb int) (path string, events int, size int64) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "kubernetes.log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	rng := rand.New(rand.NewPCG(20, 26))
	apps := []string{"checkout", "cart", "frontend", "payments", "search", "auth"}
	for size < int64(mb)*1e6 {
		app := apps[rng.IntN(len(apps))]
		line, err := json.Marshal(map[string]any{
			"time": time.Unix(1795514400, int64(events)*1e6).UTC().Format(time.RFC3339Nano), "stream": "stdout",
			"log": fmt.Sprintf("10.%d.%d.%d \"GET /api/v1/items?id=%d HTTP/1.1\" 200 %d", rng.IntN(256), rng.IntN(256), rng.IntN(256), events, rng.IntN(60000)),
			"kubernetes": map[string]any{
				"pod_name": fmt.Sprintf("%s-7d9f8b6c5d-%05d", app, rng.IntN(40)), "namespace_name": "shop", "container_name": app,
				"labels": map[string]string{"app": app, "version": "v1"},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		n, _ := w.Write(append(line, '\n'))
		size += int64(n)
		events++
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return path, events, size
}

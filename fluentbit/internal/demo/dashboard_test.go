// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/outkpl/outkpl/internal/testkit"
)

// need returns a program that is not of this repository.
func need(t *testing.T, name, how string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing: %s", name, how)
		}
		t.Skipf("NOT TESTED: %s is missing: %s", name, how)
	}
	return path
}

// run starts a program that ends with the test. Its log is printed if the test fails.
func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	log := &testkit.Buffer{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if text := log.String(); t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(cmd.Path), text[max(0, len(text)-4000):])
		}
	})
}

// prometheus is one that scrapes the jobs, of which each has an address and a path.
type prometheus struct{ url string }

func startPrometheus(t *testing.T, bin string, jobs map[string][2]string) prometheus {
	t.Helper()
	conf := "global: {scrape_interval: 1s}\nscrape_configs:\n"
	for name, at := range jobs {
		conf += fmt.Sprintf("- {job_name: %s, metrics_path: %s, static_configs: [{targets: ['%s']}]}\n", name, at[1], at[0])
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	address := testkit.FreeAddress(t)
	run(t, exec.Command(bin, "--config.file="+path, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address))
	return prometheus{"http://" + address}
}

// get asks the API. It is false while there is no answer.
func (p prometheus) get(path string, query url.Values, data any) bool {
	res, err := http.Get(p.url + path + "?" + query.Encode())
	if err != nil {
		return false
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return err == nil && res.StatusCode == http.StatusOK && json.Unmarshal(body, &struct{ Data any }{data}) == nil
}

// shows tells whether a query has at least one number in the last seconds: neither nothing
// nor a division by zero alone.
func (p prometheus) shows(query string) bool {
	now := float64(time.Now().UnixMilli()) / 1000
	var data struct {
		Result []struct{ Values [][2]any }
	}
	p.get("/api/v1/query_range", url.Values{
		"query": {query}, "start": {fmt.Sprint(now - 30)}, "end": {fmt.Sprint(now)}, "step": {"1"},
	}, &data)
	for _, series := range data.Result {
		for _, v := range series.Values {
			text, _ := v[1].(string)
			if f, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
				return true
			}
		}
	}
	return false
}

// empty lists what a user would see nothing in who has only this job.
func (p prometheus) empty(panels []testkit.Panel, job string) (list []string) {
	variables := strings.NewReplacer("$job", job, "$stream", ".*", "$__rate_interval", "15s", "$__range", "30s", "$unit_price", "0.014")
	for _, panel := range panels {
		for _, q := range panel.Queries {
			if !p.shows(variables.Replace(q)) {
				list = append(list, panel.Name()+": "+q)
			}
		}
	}
	return list
}

const (
	jobOfPlugin = "fluent-bit"
	jobOfHTTP   = "kpl-http"
)

// startPlugin ships the sample through the plugin until the test ends, and returns where its
// metrics are.
func startPlugin(t *testing.T, in *inputs, k *local, dir string) [2]string {
	t.Helper()
	if bin := fluentBit(); bin != "" {
		address := testkit.FreeAddress(t)
		host, port, _ := strings.Cut(address, ":")
		cmd, err := fluentBitCommand(t.Context(), bin, in, modes[1], k, dir,
			fmt.Sprintf("    http_server on\n    http_listen %s\n    http_port %s\n", host, port))
		if err != nil {
			t.Fatal(err)
		}
		run(t, cmd)
		grow(t, in.files[0].path)
		return [2]string{address, "/api/v2/metrics/prometheus"}
	}
	file := filepath.Join(dir, "metrics")
	run(t, hostCommand(t.Context(), in, modes[1], k, "--repeat", "1000000", "--metrics-now", file))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) }))
	t.Cleanup(srv.Close)
	return [2]string{srv.Listener.Addr().String(), "/metrics"}
}

// grow appends what a file holds to it, again and again, until the test ends.
func grow(t *testing.T, path string) {
	t.Helper()
	sample, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	until(t, func() {
		if _, err := file.Write(sample); err != nil {
			t.Error(err)
		}
		pause(t.Context(), 4*time.Second)
	}, func() { _ = file.Close() })
}

// until repeats f until the test ends, and then calls end.
func until(t *testing.T, f, end func()) {
	t.Helper()
	ended := make(chan struct{})
	t.Cleanup(func() { <-ended })
	go func() {
		defer close(ended)
		defer end()
		for t.Context().Err() == nil {
			f()
		}
	}()
}

// startHTTP does the same through kpl-http, with the configuration that ships.
func startHTTP(t *testing.T, sample []byte, k *local, dir string) [2]string {
	t.Helper()
	bin := filepath.Join(dir, "kpl-http")
	build := exec.Command("go", "build", "-o", bin, "../../../cmd/kpl-http")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build kpl-http: %v\n%s", err, out)
	}
	address, admin := testkit.FreeAddress(t), testkit.FreeAddress(t)
	cmd := exec.Command(bin, "--config=../../../conf/kpl-http.yaml", "--server.listen="+address, "--server.admin_listen="+admin, "--route.stream="+modes[0].stream)
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL_KINESIS="+k.url)
	run(t, cmd)
	lines := slices.Collect(bytes.Lines(sample))
	until(t, func() {
		for part := range slices.Chunk(lines, 2000) {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/", bytes.NewReader(bytes.Join(part, nil)))
			req.Header.Set("Content-Type", "application/x-ndjson")
			if res, err := http.DefaultClient.Do(req); err == nil {
				_ = res.Body.Close()
			} else {
				pause(t.Context(), 100*time.Millisecond)
			}
		}
	}, func() {})
	return [2]string{admin, "/metrics"}
}

// pause waits, or until the test ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// A user who imports the dashboard and changes no option sees numbers in each panel, by each of
// its queries, as soon as there is load.
func TestDashboardHasNoEmptyPanelUnderTheLoadOfTheDemo(t *testing.T) {
	bin := need(t, "prometheus", "on Debian: apt-get install prometheus")
	library, host := os.Getenv("OUT_KPL_SO"), os.Getenv("FLB_HOST")
	if library == "" || host == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("OUT_KPL_SO and FLB_HOST must name the built plugin and host program; make test sets them")
		}
		t.Skip("NOT TESTED: OUT_KPL_SO and FLB_HOST name no plugin and host program; make test sets them")
	}
	dir := t.TempDir()
	for k, v := range account(dir) {
		t.Setenv(k, v)
	}
	in, err := findInputs("sample", dir, false)
	if err != nil {
		t.Fatal(err)
	}
	sample, err := os.ReadFile(in.files[0].path)
	if err != nil {
		t.Fatal(err)
	}
	k, err := startKinesis(t.Context(), "", in.count)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.stop)
	p := startPrometheus(t, bin, map[string][2]string{jobOfPlugin: startPlugin(t, in, k, dir), jobOfHTTP: startHTTP(t, sample, k, dir)})

	of := map[string][]testkit.Panel{}
	for _, panel := range testkit.Dashboard(t, "../../../conf/grafana/out_kpl.json") {
		switch {
		case panel.Row == "kpl-http":
			of[jobOfHTTP] = append(of[jobOfHTTP], panel)
		case panel.Title == "Retries and drops of the host" && fluentBit() == "":
			t.Logf("NOT TESTED without a Fluent Bit: the panel %q", panel.Title)
		case panel.Row == "Fluent Bit":
			of[jobOfPlugin] = append(of[jobOfPlugin], panel)
		default:
			of[jobOfHTTP], of[jobOfPlugin] = append(of[jobOfHTTP], panel), append(of[jobOfPlugin], panel)
		}
	}
	began := time.Now()
	for job, panels := range of {
		for list := p.empty(panels, job); len(list) > 0; list = p.empty(panels, job) {
			if time.Since(began) > 2*time.Minute {
				t.Errorf("with the job %s alone these show nothing after two minutes:\n%s", job, strings.Join(list, "\n"))
				break
			}
			pause(t.Context(), time.Second)
		}
		t.Logf("%s: %d panels", job, len(panels))
	}
	// What the dashboard offers to choose from.
	var jobs []string
	if p.get("/api/v1/label/job/values", url.Values{"match[]": {"kpl_user_records_put_total"}}, &jobs); !slices.Equal(jobs, []string{jobOfPlugin, jobOfHTTP}) {
		t.Errorf("unexpected jobs; got %q; want both", jobs)
	}
	t.Logf("full after %v", time.Since(began).Round(100*time.Millisecond))
}

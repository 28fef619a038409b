// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// TestCPU measures what each mode of the plugin costs beside the built-in output in its
// nearest mode, and prints a table: CPU seconds of the whole host for the input, and for
// each GB of it what is above an output that throws all away. Outputs take turns, and
// medians are shown. Shards with limits are for ours alone: the built-in output would not
// end.
//
//	E2E_CPU     rounds; empty: the test is skipped
//	E2E_MB      size of the input, default 200
//	E2E_CELLS   a regular expression for the rows to measure
//	KPL_PROFILE passed on to a plugin built with the tag kpltrial, see fluentbit/testhooks_on.go
func TestCPU(t *testing.T) {
	rounds := measuredRounds(t, "E2E_CPU", "E2E_CPU=3")
	path, events, size := measuredFile(t, 200)
	gb := float64(size) / 1e9

	// What is not paced has so many shards that their pace, to which only one of the outputs
	// keeps, holds up neither.
	free, paced := kinesistest.WithLimits(kinesistest.Limits{}), kinesistest.WithLimits(kinesistest.AWSLimits)
	const many, few = 512, 16
	type row struct {
		name    string
		tags    int
		workers int
		shards  int
		limits  kinesistest.Option
		kpl, c  []string // options
	}
	rows := []row{
		{name: "aggregated", tags: 1, workers: 2, shards: many, limits: free},
		{name: "aggregation off", tags: 1, workers: 2, shards: many, limits: free, kpl: []string{"aggregation: off"}},
		{name: "16 shards with their limits", tags: 1, workers: 2, shards: few, limits: paced},
		{name: "200 tags", tags: cpuTags, workers: 2, shards: many, limits: free},
		{name: "workers 0", tags: 1, workers: 0, shards: many, limits: free},
		{
			name: "combine lines, zstd", tags: 1, workers: 2, shards: many, limits: free,
			kpl: []string{"combine: lines", "compression: zstd"}, c: []string{"simple_aggregation: on", "compression: zstd"},
		},
	}
	wanted := regexp.MustCompile(os.Getenv("E2E_CELLS"))
	rows = slices.DeleteFunc(rows, func(r row) bool { return !wanted.MatchString(r.name) })
	dirs := map[int]string{1: filepath.Dir(path)}
	for _, r := range rows {
		if r.tags == cpuTags && dirs[cpuTags] == "" {
			dirs[cpuTags] = splitFile(t, path, cpuTags)
		}
	}
	outputs := []string{"null", "kpl", "kinesis_streams"}
	type key struct {
		row    int
		output string
	}
	runs := map[key][]cpuRun{}
	for range rounds {
		for i, r := range rows {
			for _, name := range outputs {
				k := key{i, name}
				if name == "null" { // the same for all rows with this input
					k.row = slices.IndexFunc(rows, func(other row) bool { return other.tags == r.tags })
					if k.row != i {
						continue
					}
				}
				if want := os.Getenv("E2E_OUTPUT"); want != "" && want != name {
					continue
				}
				limits := r.limits
				if name == "kinesis_streams" {
					// It does not pace, repeats chunks as a whole, and is not done in 90 s with limits.
					limits = free
				}
				srv := kinesistest.New(kinesistest.WithStream("logs", r.shards), kinesistest.WithTLS(), kinesistest.WithCountOnly(), limits)
				run := runCPU(t, srv, dirs[r.tags], events, r.tags == 1, name, r.workers, map[string][]string{"kpl": r.kpl, "kinesis_streams": r.c}[name])
				runs[k] = append(runs[k], run)
				t.Logf("%-28s %-16s %6.2f CPU s (system %.2f), %5.1f s, %4.0f MB resident, %d Kinesis records, %.0f MB, %d calls",
					r.name, name, run.cpu, run.system, run.took, run.memory, run.records, float64(run.bytes)/1e6, run.calls)
			}
		}
	}
	median := func(k key, of func(cpuRun) float64) float64 {
		var list []float64
		for _, r := range runs[k] {
			list = append(list, of(r))
		}
		if len(list) == 0 {
			return 0
		}
		slices.Sort(list)
		return list[len(list)/2]
	}
	cpu := func(r cpuRun) float64 { return r.cpu }
	var report bytes.Buffer
	fmt.Fprintf(&report, "\n| mode | null, CPU s | ours | C | ours, CPU s/GB above null | C | ratio | ours, s | C | ours, MB resident | C |\n|---|%s\n", strings.Repeat("---:|", 10))
	for i, r := range rows {
		base := median(key{slices.IndexFunc(rows, func(other row) bool { return other.tags == r.tags }), "null"}, cpu)
		ours, c := key{i, "kpl"}, key{i, "kinesis_streams"}
		above, aboveC := (median(ours, cpu)-base)/gb, (median(c, cpu)-base)/gb
		took, memory := func(r cpuRun) float64 { return r.took }, func(r cpuRun) float64 { return r.memory }
		fmt.Fprintf(&report, "| %s | %.2f | %.2f | %.2f | %.1f | %.1f | %.2f | %.1f | %.1f | %.0f | %.0f |\n", r.name, base, median(ours, cpu), median(c, cpu),
			above, aboveC, above/aboveC, median(ours, took), median(c, took), median(ours, memory), median(c, memory))
	}
	t.Log(report.String())
}

const cpuTags = 200

type cpuRun struct {
	cpu, system, took float64 // seconds
	memory            float64 // most resident MB
	records, bytes    int64
	calls             int64
}

// runCPU has the host deliver all files of a directory once.
func runCPU(t *testing.T, srv *kinesistest.Server, dir string, events int, one bool, name string, workers int, more []string) (r cpuRun) {
	t.Helper()
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, srv.CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	var lines []string
	switch name {
	case "null":
		lines = []string{"name: null", "match: '*'"}
	case "kpl":
		lines = output(srv.URL(), "logs", workers, append([]string{"ca_file: " + ca}, more...)...)
	default:
		address, port, _ := strings.Cut(strings.TrimPrefix(srv.URL(), "https://"), ":")
		lines = append([]string{
			"name: " + name, "match: '*'", "region: eu-west-1", "endpoint: " + address, "port: " + port, "stream: logs",
			"workers: " + strconv.Itoa(workers), "retry_limit: no_limits", "tls.ca_file: " + ca,
		}, more...)
	}
	input := []string{
		"name: tail", "path: " + dir + "/*.log", "tag: app.*", "parser: e2e_json", "read_from_head: on", "refresh_interval: 60",
		"buffer_chunk_size: 512k", "buffer_max_size: 2M", "mem_buf_limit: 100M",
	}
	if one { // with many files the host would exit at the end of the first
		input = append(input, "exit_on_eof: on")
	}
	h := newHost(t, settings{grace: 80, inputs: [][]string{input}, outputs: [][]string{lines}})
	begun := time.Now()
	h.start()
	if !one {
		h.until("delivery of all events", func() bool {
			time.Sleep(150 * time.Millisecond) // a look costs the host CPU time
			return h.metric("fluentbit_output_proc_records_total", name+".0") == events
		})
		r.took = time.Since(begun).Seconds()
		h.stop()
	} else {
		if code := h.wait(); code != 0 {
			t.Fatalf("unexpected exit code; got %d; log:\n%s", code, h.tail())
		}
		r.took = time.Since(begun).Seconds()
	}
	s := h.cmd.ProcessState
	r.cpu, r.system = (s.UserTime() + s.SystemTime()).Seconds(), s.SystemTime().Seconds()
	if u, ok := s.SysUsage().(*syscall.Rusage); ok {
		r.memory = float64(u.Maxrss) * 1024 / 1e6
	}
	st := srv.Stats()
	r.records, r.bytes, r.calls = st.Records, st.Bytes, st.Calls["PutRecords"]
	return r
}

// splitFile divides the lines of a file among n files, in turns of some lines each.
func splitFile(t *testing.T, path string, n int) (dir string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dir = t.TempDir()
	in := bufio.NewReaderSize(f, 1<<20)
	var files []*os.File
	var writers []*bufio.Writer
	for i := range n {
		part, err := os.Create(filepath.Join(dir, fmt.Sprintf("%03d.log", i)))
		if err != nil {
			t.Fatal(err)
		}
		files, writers = append(files, part), append(writers, bufio.NewWriter(part))
	}
	for i := 0; ; i++ {
		line, err := in.ReadSlice('\n')
		if err == io.EOF {
			break
		}
		if err == nil {
			_, err = writers[i%n].Write(line)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, w := range writers {
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		files[i].Close()
	}
	return dir
}

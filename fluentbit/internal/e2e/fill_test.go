// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// TestFill measures the PUT payload units that many small chunks cost: 200 tags of 1,000
// events, 50 partition keys and none, 16 shards, a round trip of 10 to 20 ms. Beside them
// is the floor: the same chunks, as many at a time as there are workers, in one batch.
// With E2E_TARGET set the test fails if the units are above so many times the floor.
//
//	E2E_FILL    numbers of workers, for instance 1,2,4,8,32; empty: the test is skipped
//	E2E_ROUNDS  default 3; medians are shown
//	E2E_MORE    options for the output, for instance "linger: 0;aggregation_max_size: 25600"; the
//	            floor is that of single events without compression
//	E2E_UNPACED the shards have no limits if it is set
//	E2E_READ    buffer_chunk_size of tail; by default a file is read at once
//
// A plugin built with the tag kpltrial also tells how long flushes take.
func TestFill(t *testing.T) {
	if os.Getenv("E2E_FILL") == "" {
		t.Skip("a measurement; set E2E_FILL=1,2,4,8,32")
	}
	rounds, _ := strconv.Atoi(os.Getenv("E2E_ROUNDS"))
	if rounds < 1 {
		rounds = 3
	}
	target, _ := strconv.ParseFloat(os.Getenv("E2E_TARGET"), 64)
	var more []string
	if v := os.Getenv("E2E_MORE"); v != "" {
		more = strings.Split(v, ";")
	}
	if os.Getenv("E2E_UNPACED") != "" {
		more = append(more, "rate_limit: 1000000")
	}
	read := "512k"
	if v := os.Getenv("E2E_READ"); v != "" {
		read = v
	}
	dir, chunks := fillFiles(t)
	for _, keyed := range []bool{true, false} {
		for text := range strings.SplitSeq(os.Getenv("E2E_FILL"), ",") {
			workers, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			lines := more
			if keyed {
				lines = append([]string{"partition_key: kubernetes->pod_name"}, more...)
			}
			var runs []fillRun
			for range rounds {
				srv, ca := fillServer(t)
				runs = append(runs, runFill(t, srv, fillInput(dir, read), output(srv.URL(), "logs", workers, append([]string{"ca_file: " + ca}, lines...)...)))
			}
			median := func(of func(fillRun) float64) float64 {
				list := make([]float64, len(runs))
				for i, r := range runs {
					list[i] = of(r)
				}
				slices.Sort(list)
				return list[len(list)/2]
			}
			flushes := int(median(func(r fillRun) float64 { return float64(r.flushes) }))
			floor, _ := fillFloor(t, partsOf(chunks, flushes), workers, keyed)
			units := median(func(r fillRun) float64 { return float64(r.units) })
			factor := units / float64(floor)
			t.Logf("keys %-5t workers %2d: units %5.0f, floor %5d, %.3f times; calls %4.0f; flushes %4d, p50 %4.0f ms, p99 %4.0f ms; %.2f s; %.2f CPU s; %3.0f MB",
				keyed, workers, units, floor, factor, median(func(r fillRun) float64 { return float64(r.calls) }),
				flushes, median(func(r fillRun) float64 { return r.p50 }), median(func(r fillRun) float64 { return r.p99 }),
				median(func(r fillRun) float64 { return r.took }), median(func(r fillRun) float64 { return r.cpu }), median(func(r fillRun) float64 { return r.memory }))
			if target > 0 && factor > target && keyed {
				t.Errorf("unexpected units with %d workers; got %.3f times the floor; want at most %.3f", workers, factor, target)
			}
		}
	}
}

const (
	fillTags   = 200
	fillEvents = 1000 // of each
)

type fillRun struct {
	units, calls, bytes int64
	flushes             int
	p50, p99            float64 // milliseconds of a flush
	took, cpu           float64 // seconds
	memory              float64 // most resident MB
}

// fillServer has a stream of 16 shards with the limits of AWS, and answers after a round
// trip of 10 to 20 ms. ca is the file of its certificate.
func fillServer(t *testing.T) (srv *kinesistest.Server, ca string) {
	t.Helper()
	limits := kinesistest.AWSLimits
	if os.Getenv("E2E_UNPACED") != "" {
		limits = kinesistest.Limits{}
	}
	srv = kinesistest.New(kinesistest.WithStream("logs", 16), kinesistest.WithTLS(), kinesistest.WithCountOnly(), kinesistest.WithLimits(limits))
	srv.Intercept(func(*kinesistest.Call) *kinesistest.Effect {
		return &kinesistest.Effect{Delay: 10*time.Millisecond + time.Duration(rand.Int64N(int64(10*time.Millisecond)))}
	})
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, srv.CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return srv, ca
}

func fillInput(dir, read string) []string {
	return []string{"name: tail", "path: " + dir + "/*.log", "tag: app.*", "parser: e2e_json", "read_from_head: on", "refresh_interval: 60", "buffer_chunk_size: " + read, "buffer_max_size: 2M"}
}

// runFill delivers all events of the input once.
func runFill(t *testing.T, srv *kinesistest.Server, input, lines []string) (r fillRun) {
	t.Helper()
	defer srv.Close()
	h := newHost(t, settings{grace: 60, inputs: [][]string{input}, outputs: [][]string{lines}})
	trace := filepath.Join(h.dir, "flushes")
	h.env = []string{"KPL_FLUSHES=" + trace}
	begun := time.Now()
	h.start()
	name := strings.TrimPrefix(lines[0], "name: ")
	h.until("delivery of all events", func() bool { return h.metric("fluentbit_output_proc_records_total", name) == fillTags*fillEvents })
	r.took = time.Since(begun).Seconds()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); f[0] == "VmHWM:" {
			kib, _ := strconv.ParseFloat(f[1], 64)
			r.memory = kib / 1024
		}
	}
	h.stop()
	s := h.cmd.ProcessState
	r.cpu = (s.UserTime() + s.SystemTime()).Seconds()
	st := srv.Stats()
	r.units, r.calls, r.bytes = st.PayloadUnits, st.Calls["PutRecords"], st.Bytes
	text, _ := os.ReadFile(trace) // there is none without the tag kpltrial
	var times []float64
	for line := range strings.Lines(string(text)) {
		var begin, end, bytes int64
		if _, err := fmt.Sscan(line, &begin, &end, &bytes); err != nil {
			t.Fatal(err)
		}
		times = append(times, float64(end-begin)/1000)
	}
	if r.flushes = len(times); r.flushes > 0 {
		slices.Sort(times)
		r.p50, r.p99 = times[len(times)/2], times[len(times)*99/100]
	}
	if keep := os.Getenv("E2E_KEEP"); keep != "" {
		_ = os.WriteFile(keep, text, 0o600)
	}
	return r
}

// fillFiles writes a file for each tag, and returns the records of each.
func fillFiles(t *testing.T) (dir string, chunks [][]core.Record) {
	t.Helper()
	dir = t.TempDir()
	rng := rand.New(rand.NewPCG(20, 26))
	apps := []string{"checkout", "cart", "frontend", "payments", "search"}
	for i := range fillTags {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%03d.log", i)))
		if err != nil {
			t.Fatal(err)
		}
		w := bufio.NewWriter(f)
		chunk := make([]core.Record, fillEvents)
		for j := range chunk {
			app := apps[rng.IntN(len(apps))]
			pod := fmt.Sprintf("%s-7d9f8b6c5d-%05d", app, rng.IntN(50/len(apps)))
			line, err := json.Marshal(map[string]any{
				"time": time.Unix(1795514400, int64(i*fillEvents+j)*1e6).UTC().Format(time.RFC3339Nano), "stream": "stdout",
				"log":        fmt.Sprintf("10.%d.%d.%d \"GET /api/v1/items?id=%d HTTP/1.1\" 200 %d", rng.IntN(256), rng.IntN(256), rng.IntN(256), j, rng.IntN(60000)),
				"kubernetes": map[string]any{"pod_name": pod, "namespace_name": "shop", "container_name": app, "labels": map[string]string{"app": app, "version": "v1"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			chunk[j] = core.Record{PartitionKey: pod, Data: line}
			_, _ = w.Write(append(line, '\n'))
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		f.Close()
		chunks = append(chunks, chunk)
	}
	return dir, chunks
}

// partsOf divides the chunks as tail did, as far as the number of flushes tells.
func partsOf(chunks [][]core.Record, flushes int) (parts [][]core.Record) {
	n := max(1, (flushes+len(chunks)/2)/len(chunks))
	for _, chunk := range chunks {
		parts = slices.AppendSeq(parts, slices.Chunk(chunk, (len(chunk)+n-1)/n))
	}
	return parts
}

// fillFloor is what the chunks cost at least if the workers deliver as many at a time as
// there are of them: PUT units, and bytes stored.
func fillFloor(t *testing.T, chunks [][]core.Record, workers int, keyed bool) (units, bytes uint64) {
	t.Helper()
	srv := kinesistest.New(kinesistest.WithStream("logs", 16), kinesistest.WithCountOnly(), kinesistest.WithLimits(kinesistest.Limits{}))
	p, err := core.New(srv.Client(), core.WithRateLimit(1_000_000))
	if err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk(chunks, workers) {
		records := slices.Concat(part...)
		for i := range records {
			if !keyed {
				records[i].PartitionKey = ""
			}
		}
		b, err := p.PutBatch(context.Background(), "logs", records)
		if err == nil {
			err = b.Wait(context.Background())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(context.Background()); err != nil {
		t.Error(err)
	}
	st := p.Stats()
	return st.PutPayloadUnits, st.KinesisBytes
}

// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// TestPriceOfExactness measures what journal and read-back cost while nothing goes wrong, to a
// percent: EXACT_PRICE=200 takes so many rounds. In a round each mode flushes the same chunks in
// the same process, in an order that changes, over TLS to a Kinesis in a process of its own. It prints
// the CPU time of this process for each byte of the chunks, the median, and how much more it is than
// that of the same round without both: the median and the quartiles. Two instances without
// both show what chance makes. EXACT_ROW takes the rows that have it in their names, and
// EXACT_MODES=journal,read-back these modes alone, beside the one without both.
func TestPriceOfExactness(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv("EXACT_PRICE"))
	if rounds <= 0 {
		t.Skip("a measurement: EXACT_PRICE=200")
	}
	const flushes = 16
	chunk := kubernetesChunk(t)
	for _, row := range []struct {
		name    string
		options []string
	}{
		{"no key", nil},
		{"a key for each event", []string{"partition_key", "$log"}},
		{"97 keys", []string{"partition_key", "$kubernetes['pod_name']"}},
		{"aggregation off", []string{"aggregation", "off"}},
		{"combine, zstd", []string{"combine", "lines", "compression", "zstd"}},
	} {
		if !strings.Contains(row.name, os.Getenv("EXACT_ROW")) {
			continue
		}
		modes := []priceMode{
			{name: "off"},
			{name: "off again"},
			{name: "journal", options: []string{"journal_dir", t.TempDir()}},
			{name: "read-back", options: []string{"verify_uncertain", "on"}},
			{name: "both", options: []string{"journal_dir", t.TempDir(), "verify_uncertain", "on"}},
			{name: "journal_sync", options: []string{"journal_dir", t.TempDir(), "journal_sync", "on"}},
		}
		if want := os.Getenv("EXACT_MODES"); want != "" {
			modes = slices.DeleteFunc(modes, func(m priceMode) bool { return m.name != "off" && !slices.Contains(strings.Split(want, ","), m.name) })
		}
		for i := range modes {
			modes[i].open(t, row.options)
			modes[i].turn(t, chunk, 2*flushes)
		}
		for round := range rounds {
			for k := range modes {
				m := &modes[(round+k)%len(modes)]
				m.perByte = append(m.perByte, m.turn(t, chunk, flushes))
			}
		}
		var report bytes.Buffer
		for i := range modes {
			m := &modes[i]
			_ = m.in.Close(t.Context())
			more := make([]float64, rounds)
			for k, v := range m.perByte {
				more[k] = 100 * (v/modes[0].perByte[k] - 1)
			}
			slices.Sort(more)
			fmt.Fprintf(&report, "%-13s %6.3f CPU ns/B, %+6.2f %% (%+.2f to %+.2f)\n", m.name, median(m.perByte), more[rounds/2], more[rounds/4], more[rounds*3/4])
		}
		t.Logf("%s, %d rounds\n%s", row.name, rounds, report.String())
	}
}

func median(list []float64) float64 {
	list = slices.Clone(list)
	slices.Sort(list)
	return list[len(list)/2]
}

// priceMode is an instance that is measured.
type priceMode struct {
	name    string
	options []string
	in      *Instance
	perByte []float64
}

func (m *priceMode) open(t *testing.T, more []string) {
	t.Helper()
	sink := exec.Command(os.Args[0], "-test.run=^TestPriceSink$")
	sink.Env = append(os.Environ(), "EXACT_SINK=1")
	stdin, err := sink.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := sink.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close(); _ = sink.Wait() })
	out := bufio.NewReader(stdout)
	url, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var ca []byte
	for !bytes.Contains(ca, []byte("END CERTIFICATE")) {
		line, err := out.ReadBytes('\n')
		if err != nil {
			t.Fatal(err)
		}
		ca = append(ca, line...)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	kv := slices.Concat([]string{"endpoint", strings.TrimSpace(url), "ca_file", file, "rate_limit", "1000000", "flush_timeout", "1m"}, m.options, more)
	cfg, err := ParseConfig(with(kv...), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	if m.in, err = New(cfg, Deps{}); err != nil {
		t.Fatal(err)
	}
}

// turn flushes chunks from two workers, and returns the CPU time for each byte.
func (m *priceMode) turn(t *testing.T, chunk []byte, flushes int) float64 {
	t.Helper()
	runtime.GC()
	before := processTime(t)
	var left atomic.Int64
	left.Store(int64(flushes))
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if m.in.Flush("kube.shop", chunk) != OK {
					t.Error("not confirmed")
				}
			}
		})
	}
	wg.Wait()
	return float64(processTime(t)-before) / float64(flushes*len(chunk))
}

func processTime(t *testing.T) int64 {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// TestPriceSink is the Kinesis of TestPriceOfExactness. It ends with its standard input.
func TestPriceSink(t *testing.T) {
	if os.Getenv("EXACT_SINK") == "" {
		t.Skip("a part of TestPriceOfExactness")
	}
	s := kinesistest.New(kinesistest.WithStream("logs", 64), kinesistest.WithTLS(), kinesistest.WithCountOnly(), kinesistest.WithLimits(kinesistest.Limits{}))
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fmt.Printf("%s\n%s\n", s.URL(), s.CertPEM())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

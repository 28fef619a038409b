// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/testkit"
)

// A real Fluent Bit, given as FLUENT_BIT, ships a file through kpl-http while Kinesis
// throttles. No line is lost. As long as kpl-http is restarted in order, none is doubled.
// When it is killed and Kinesis loses replies, those are that were under way: a killed
// program takes its ledger along, and a lost reply does not say what was stored.
func TestFluentBit(t *testing.T) {
	binary := os.Getenv("FLUENT_BIT")
	if binary == "" {
		t.Skip("NOT TESTED: the outputs http and opentelemetry of a real Fluent Bit; set FLUENT_BIT=/path/to/fluent-bit")
	}
	for _, c := range []struct{ name, output string }{
		{"http json", "name http\nuri /streams/logs\nformat json"},
		{"http json gzip", "name http\nuri /streams/logs\nformat json\ncompress gzip"},
		{"http json_lines", "name http\nuri /streams/logs\nformat json_lines"},
		{"http json_lines gzip", "name http\nuri /streams/logs\nformat json_lines\ncompress gzip"},
		{"http json_stream", "name http\nuri /streams/logs\nformat json_stream"},
		{"http msgpack", "name http\nuri /streams/logs\nformat msgpack"},
		{"http msgpack gzip", "name http\nuri /streams/logs\nformat msgpack\ncompress gzip"},
		{"http msgpack snappy", "name http\nuri /streams/logs\nformat msgpack\ncompress snappy"},
		{"http json zstd", "name http\nuri /streams/logs\nformat json\ncompress zstd"},
		// With less than a chunk's records in a request this output loses those of a
		// request that fails before one that does not (seen with 5.1.1).
		{"opentelemetry", "name opentelemetry\nlogs_uri /v1/logs\nbatch_size 100000"},
		{"opentelemetry gzip", "name opentelemetry\nlogs_uri /v1/logs\nbatch_size 100000\ncompress gzip"},
	} {
		t.Run(c.name+"/in order", func(t *testing.T) { shipFile(t, binary, c.output, syscall.SIGTERM) })
		t.Run(c.name+"/killed", func(t *testing.T) { shipFile(t, binary, c.output, syscall.SIGKILL) })
	}
}

// countedLine is a line as Fluent Bit's tail reads it, whatever the record around it.
var countedLine = regexp.MustCompile(`line (\d+) of the file`)

func shipFile(t *testing.T, binary, output string, signal syscall.Signal) {
	const lines = 40_000
	dir := t.TempDir()
	var text bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&text, "line %d of the file \u00e9 %s\n", i, strings.Repeat("x", i%80))
	}
	if err := os.WriteFile(filepath.Join(dir, "in.log"), text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	k := fake(t, 16) // so that the limits of shards do not keep a body for longer than the end may take
	throttle := kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{
		Delay: 5 * time.Millisecond, EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.2,
	}}
	k.Fault(throttle)
	if signal == syscall.SIGKILL {
		k.Fault(kinesistest.Fault{Operation: "PutRecords", Skip: 3, Times: 2, Effect: kinesistest.LoseReply()})
	}
	listen := testkit.FreeAddress(t)
	flags := []string{"--server.listen=" + listen, "--server.drain_timeout=10s", "--producer.request_timeout=2s"}
	p := start(t, k, flags...)
	port := listen[strings.LastIndexByte(listen, ':')+1:]
	conf := fmt.Sprintf(`[SERVICE]
    flush 0.2
    grace 2
    log_level info
    scheduler.base 1
    scheduler.cap 2
[INPUT]
    name tail
    path %[1]s/in.log
    read_from_head on
    refresh_interval 1
    buffer_chunk_size 64k
    buffer_max_size 64k
[OUTPUT]
    match *
    host 127.0.0.1
    port %[2]s
    workers 2
    retry_limit no_limits
    %[3]s
`, dir, port, strings.ReplaceAll(output, "\n", "\n    "))
	startFluentBit(t, binary, conf, func() string { return p.text() })
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	restarted := false
	got := map[int]int{}
	for len(got) < lines {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("unexpected rest; got %d of %d lines after two minutes", len(got), lines)
		}
		got = linesIn(t, k, "logs")
		if !restarted && len(got) >= lines/4 {
			restarted = true
			p.signal(signal)
			p = start(t, k, flags...)
		}
	}
	doubled := 0
	for _, n := range got {
		doubled += n - 1
	}
	t.Logf("%d lines, 0 lost, %d doubled, restarted %v, %d calls of PutRecords", len(got), doubled, restarted, k.Calls("PutRecords"))
	if len(got) != lines || !restarted || signal == syscall.SIGTERM && doubled > 0 {
		t.Errorf("unexpected end; got %d lines, %d doubled, restarted %v; want %d, and none doubled unless the program was killed", len(got), doubled, restarted, lines)
	}
}

// linesIn counts the lines in the stream.
func linesIn(t *testing.T, k *kinesistest.Server, stream string) map[int]int {
	t.Helper()
	return countsIn(t, k, stream, func(data []byte) (int, bool) {
		m := countedLine.FindSubmatch(data)
		if m == nil || !json.Valid(data) {
			return 0, false
		}
		n, err := strconv.Atoi(string(m[1]))
		return n, err == nil
	})
}

// startFluentBit runs a real Fluent Bit with a configuration until the test ends. If the test
// has failed, its log is shown, and that of kpl-http.
func startFluentBit(t *testing.T, binary, conf string, receiver func() string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "fluent-bit.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	bit := exec.Command(binary, "-c", file)
	bit.Stdout, bit.Stderr = &log, &log
	if err := bit.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = bit.Process.Signal(syscall.SIGTERM)
		_ = bit.Wait()
		if t.Failed() {
			t.Logf("Fluent Bit:\n%.6000s\nkpl-http:\n%.6000s", log.String(), receiver())
		}
	})
}

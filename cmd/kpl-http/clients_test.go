// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// numbered writes a file with one event in each line.
func numbered(t *testing.T, path string, n int) {
	t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"n\":%d,\"text\":\"caf\u00e9 \\u0000\"}\n", i)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

func wantOnce(t *testing.T, got map[int]int, n int) {
	t.Helper()
	once := 0
	for i := range n {
		if got[i] == 1 {
			once++
		}
	}
	if once != n || len(got) != n {
		t.Errorf("unexpected events; got %d of %d once, %d distinct; want each once", once, n, len(got))
	}
}

// The command line of docs/vector.md, while the program begins to serve and Kinesis
// throttles.
func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("NOT TESTED: curl is not installed")
	}
	doc, err := os.ReadFile("../../docs/vector.md")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?s)\n(curl -sS .*?)\n` + "```").FindSubmatch(doc)
	if command == nil {
		t.Fatal("unexpected docs/vector.md; want a command with curl -sS")
	}
	const n = 5000
	dir := t.TempDir()
	numbered(t, filepath.Join(dir, "events.ndjson"), n)
	k := fake(t, 2)
	if err := k.CreateStream("logs-curl", kinesistest.StreamConfig{Shards: 2}); err != nil {
		t.Fatal(err)
	}
	k.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 3, Effect: kinesistest.FailEntries("ProvisionedThroughputExceededException", "")})
	p := start(t, k, "--route.streams=logs-*", "--producer.fail_if_throttled=true")
	text := strings.ReplaceAll(string(command[1]), "127.0.0.1:8080", p.address)
	text = strings.Replace(text, "curl", curl, 1)
	sh := exec.Command("/bin/sh", "-c", text)
	sh.Dir = dir
	out, err := sh.CombinedOutput()
	if err != nil {
		t.Fatalf("unexpected end of curl; got %v: %s; want success", err, out)
	}
	wantOnce(t, numbers(t, k, "logs-curl"), n)
	if !strings.Contains(string(out), fmt.Sprintf(`{"events":%d}`, n)) {
		t.Errorf("unexpected answer; got %s; want the number of events", out)
	}
}

// A real Vector, given as VECTOR, with conf/vector.yaml.
func TestVector(t *testing.T) {
	binary := os.Getenv("VECTOR")
	if binary == "" {
		t.Skip("NOT TESTED: conf/vector.yaml with a real Vector; set VECTOR=/path/to/vector")
	}
	conf, err := os.ReadFile("../../conf/vector.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const n = 20_000
	dir := t.TempDir()
	input := filepath.Join(dir, "in.log")
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "line %d of the file\n", i)
	}
	if err := os.WriteFile(input, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	k := fake(t, 4)
	if err := k.CreateStream("logs-vector", kinesistest.StreamConfig{Shards: 4}); err != nil {
		t.Fatal(err)
	}
	k.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{
		EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.2,
	}})
	p := start(t, k, "--route.streams=logs-*")
	text := strings.NewReplacer("/var/lib/vector", dir, "/var/log/app/*.log", input, "127.0.0.1:8080", p.address).Replace(string(conf))
	file := filepath.Join(dir, "vector.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	vector := exec.Command(binary, "--config", file)
	out, err := os.Create(filepath.Join(dir, "vector.out"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	vector.Stdout, vector.Stderr = out, out
	if err := vector.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = vector.Process.Signal(syscall.SIGTERM)
		_ = vector.Wait()
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	got := map[int]int{}
	for len(got) < n {
		select {
		case <-tick.C:
		case <-deadline:
			log, _ := os.ReadFile(out.Name())
			t.Fatalf("unexpected rest; got %d of %d lines after two minutes; Vector:\n%.4000s", len(got), n, log)
		}
		got = linesIn(t, k, "logs-vector")
	}
	wantOnce(t, got, n)
}

// SPDX-License-Identifier: Apache-2.0

package shippers

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/testkit"
)

const (
	events  = 1000             // of each shipper
	sending = 14 * time.Second // and how long it takes to make them
	// When kpl-http ends, when it is there again, and when Kinesis throttles: since the start.
	ends, begins, throttles, throttlesNot = 4 * time.Second, 6 * time.Second, 8 * time.Second, 11 * time.Second
	// How long the last events may take.
	timeToEnd = 60 * time.Second
)

// shipper is a program with one configuration.
type shipper struct {
	// group is the word in SHIPPERS, name the one in events.
	group, name string
	// missing says what has to be installed, or is empty.
	missing func(p *place) string
	// ship sends the events and returns when the program has ended, or ctx has. The numbers
	// are of events that the program says it has given up.
	ship func(ctx context.Context, p *place, name string) (givenUp []int, err error)
}

// place is where kpl-http takes events, and a folder for files.
type place struct {
	http, grpc string
	dir        string
	tools      string // build/shippers
}

func shippers() []shipper {
	list := []shipper{
		{"curl", "curl", need("curl", "curl"), shipByCurl},
		{"syslog-ng", "syslog-ng lines", need("syslog-ng", "syslog-ng-core syslog-ng-mod-http"), shipBySyslogNG("lines")},
		{"syslog-ng", "syslog-ng array", need("syslog-ng", "syslog-ng-core syslog-ng-mod-http"), shipBySyslogNG("array")},
		{"rsyslog", "rsyslog", needRsyslog, shipByRsyslog},
	}
	for _, way := range []string{"http", "grpc"} {
		list = append(list, shipper{"python", "python " + way, needPython, shipBySDK("python/bin/python", "python/send.py", way)})
	}
	for _, way := range []string{"http", "json", "grpc"} {
		list = append(list, shipper{"javascript", "javascript " + way, needJavaScript, shipBySDK("node", "javascript/send.js", way)})
	}
	for _, compression := range []string{"gzip", "zstd", "lz4", "snappy", "none"} {
		list = append(list, shipper{"collector", "collector http " + compression, needCollector, shipByCollector("otlp_http", compression)})
	}
	for _, compression := range []string{"gzip", "zstd", "snappy", "none"} {
		list = append(list, shipper{"collector", "collector grpc " + compression, needCollector, shipByCollector("otlp", compression)})
	}
	return list
}

// TestShippers counts what real shippers bring into Kinesis through kpl-http. It runs in real
// time, since the shippers do.
func TestShippers(t *testing.T) {
	wanted := strings.FieldsFunc(os.Getenv("SHIPPERS"), func(r rune) bool { return r == ',' || r == ' ' })
	if len(wanted) == 0 {
		t.Skip("SHIPPERS is not set; want all, or some of collector,python,javascript,syslog-ng,rsyslog,curl (make shippers)")
	}
	tools, err := filepath.Abs("../../build/shippers")
	if err != nil {
		t.Fatal(err)
	}
	p := &place{dir: t.TempDir(), tools: tools, http: testkit.FreeAddress(t), grpc: testkit.FreeAddress(t)}
	var list []shipper
	for _, sh := range shippers() {
		if !slices.Contains(wanted, "all") && !slices.Contains(wanted, sh.group) {
			continue
		}
		if missing := sh.missing(p); missing != "" {
			t.Logf("***** NOT TESTED: %s: %s", sh.name, missing)
			if os.Getenv("CI") == "true" {
				t.Errorf("%s is missing; with CI=true nothing may be left out", sh.name)
			}
			continue
		}
		list = append(list, sh)
	}
	if len(list) == 0 {
		t.Fatalf("no shipper to run of SHIPPERS=%q", os.Getenv("SHIPPERS"))
	}

	kinesis := kinesistest.New(kinesistest.WithStream("logs", 2), kinesistest.WithLimits(kinesistest.AWSLimits))
	if err := kinesis.StartAt("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = kinesis.Close() }()
	server := startServer(t, p, kinesis.URL())

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	start := time.Now()
	outcomes := make([]outcome, len(list))
	var running sync.WaitGroup
	for i, sh := range list {
		running.Go(func() { outcomes[i].set(sh.ship(ctx, p, sh.name)) })
	}
	at := func(d time.Duration) { time.Sleep(time.Until(start.Add(d))) }
	at(ends)
	server.stop(t)
	at(begins)
	server.start(t)
	at(throttles)
	fault := kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.7, Seed: 1, Effect: kinesistest.ThrottleEntries()})
	at(throttlesNot)
	fault.Remove()

	// Some programs end by themselves, others wait for more.
	deadline := start.Add(sending + timeToEnd)
	for time.Now().Before(deadline) {
		counted, open := count(kinesis), 0
		for i, sh := range list {
			if givenUp, _ := outcomes[i].get(); len(counted[sh.name])+len(givenUp) < events {
				open++
			}
		}
		if open == 0 {
			break
		}
		time.Sleep(500 * time.Millisecond)
	}
	time.Sleep(time.Second) // for what comes twice
	cancel()
	running.Wait()
	server.stop(t)

	counted := count(kinesis)
	var table strings.Builder
	_, _ = fmt.Fprintf(&table, "%-22s %7s %7s %7s %9s\n", "shipper", "sent", "lost", "doubled", "given up")
	for i, sh := range list {
		givenUp, err := outcomes[i].get()
		if err != nil {
			t.Errorf("unexpected error of %s; got %v; want none", sh.name, err)
		}
		got := counted[sh.name]
		var lost []int
		doubled := 0
		for n := range events {
			if got[n] == 0 {
				lost = append(lost, n)
			}
			doubled += max(0, got[n]-1)
		}
		silent := without(lost, givenUp)
		if len(silent) > 0 {
			t.Errorf("unexpected account of %s; got %d events lost of which it does not tell, such as %d; want 0", sh.name, len(silent), silent[0])
		}
		_, _ = fmt.Fprintf(&table, "%-22s %7d %7d %7d %9d\n", sh.name, events, len(silent), doubled, len(lost)-len(silent))
	}
	if fault.Entries() == 0 {
		t.Error("unexpected number of throttled Kinesis records; got 0; want some")
	}
	t.Logf("%d shippers, a restart of kpl-http, %d Kinesis records throttled; given up is what a program says that it does not send again:\n%s",
		len(list), fault.Entries(), table.String())
	if t.Failed() {
		t.Logf("log of kpl-http:\n%s", tail(server.log.String()))
	}
}

// The collector itself takes the configuration that others copy.
func TestConfigurationOfTheCollector(t *testing.T) {
	tools, err := filepath.Abs("../../build/shippers")
	if err != nil {
		t.Fatal(err)
	}
	if missing := needCollector(&place{tools: tools}); missing != "" {
		t.Skip(missing)
	}
	text, err := os.ReadFile("../../conf/otel-collector.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// The folder has to be there.
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, bytes.ReplaceAll(text, []byte("/var/lib/otelcol/storage"), []byte(dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := start(t.Context(), dir, filepath.Join(tools, "collector", "collector"), "validate", "--config", file); err != nil {
		t.Error(err)
	}
}

// outcome is how a program has ended.
type outcome struct {
	mu      sync.Mutex // guards all below
	givenUp []int
	err     error
}

func (o *outcome) set(givenUp []int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.givenUp, o.err = givenUp, err
}

func (o *outcome) get() ([]int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.givenUp, o.err
}

// without leaves out of list what is in other.
func without(list, other []int) []int {
	return slices.DeleteFunc(slices.Clone(list), func(n int) bool { return slices.Contains(other, n) })
}

var eventText = regexp.MustCompile(`([a-z][a-z0-9 -]*) line ([0-9]+) end`)

// count reads the stream as a consumer does: how often each event of each shipper is there.
func count(k *kinesistest.Server) map[string]map[int]int {
	counted := map[string]map[int]int{}
	for _, r := range k.Consume("logs").Records {
		for _, m := range eventText.FindAllSubmatch(r.Data, -1) {
			name := string(m[1])
			n, _ := strconv.Atoi(string(m[2]))
			if counted[name] == nil {
				counted[name] = map[int]int{}
			}
			counted[name][n]++
		}
	}
	return counted
}

var (
	needCollector  = needBuilt("collector/.built", "make shippers builds it, which takes minutes the first time")
	needPython     = needBuilt("python/.built", "make shippers makes it with python3 and its venv (on Debian: python3-venv)")
	needJavaScript = needBuilt("javascript/.built", "make shippers makes it with node and npm")
)

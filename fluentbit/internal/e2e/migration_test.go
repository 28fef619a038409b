// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/testkit"
)

// builtIn lists the lines of the output of the host itself, which always speaks TLS.
func builtIn(url, ca, match string, more ...string) []string {
	name, port, _ := strings.Cut(url[strings.Index(url, "//")+2:], ":")
	return append([]string{
		"name: kinesis_streams", "match: " + match, "region: eu-west-1", "endpoint: " + name, "port: " + port, "stream: logs",
		"workers: 1", "retry_limit: no_limits", "tls.ca_file: " + ca,
	}, more...)
}

// certificate writes what the fake shows to a file.
func certificate(t *testing.T, srv *kinesistest.Server) string {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, srv.CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return ca
}

// The steps of docs/migration.md with one host: the built-in output, both side by side,
// ours, and back. At each change of the outputs the one before leaves a backlog on disk,
// which the next one delivers.
func TestMovingFromTheBuiltInOutputAndBack(t *testing.T) {
	t.Parallel()
	const each = 2000
	r := row{confirmed: -1}
	table.add(t, &r)
	srv := newServer(t, kinesistest.WithTLS())
	ca := certificate(t, srv)
	nobody := "https://" + testkit.FreeAddress(t)

	f, storage, db := newFeeder(t), t.TempDir(), filepath.Join(t.TempDir(), "tail.db")
	h := newHost(t, settings{})
	step := func(what string, outputs ...[]string) {
		t.Helper()
		h.write(settings{
			grace:   6,
			service: []string{"storage.path: " + storage, "storage.checksum: off"},
			inputs:  [][]string{tail(f.path, "storage.type: filesystem", "db: "+db, "db.sync: normal")},
			outputs: outputs,
		})
		t.Log(what)
		h.start()
	}
	ours := func(url string) []string {
		return output(url, "logs", 2, "ca_file: "+ca, "append_newline: on", "partition_key: seq")
	}
	delivered := func() {
		t.Helper()
		h.delivered(srv, "logs", f.n)
		h.stop()
	}
	// backlog has events read that cannot be delivered, and stops the host.
	backlog := func(what string, out []string) {
		t.Helper()
		step(what, out)
		f.add(t, each)
		h.until("a chunk on disk", func() bool { return chunks(t, storage) > 0 })
		h.eventually(2*time.Second, func() bool { return false })
		h.stop()
		if chunks(t, storage) == 0 {
			t.Fatalf("%s: no chunk is on disk; the next step would show nothing", what)
		}
		if n := consume(srv, "logs", f.n, nil).distinct; n == f.n {
			t.Fatalf("%s: unexpected delivery of all events", what)
		}
	}

	f.add(t, each)
	step("the built-in output", builtIn(srv.URL(), ca, "'*'"))
	delivered()
	plain := srv.Stats().Records
	backlog("the built-in output, and nobody answers", builtIn(nobody, ca, "'*'"))
	step("ours, with the same input, storage and match", ours(srv.URL()))
	delivered()
	if plain != each || srv.Stats().Records-plain > each/10 {
		t.Errorf("unexpected Kinesis records; got %d of the built-in output and %d of ours; want %d, and fewer", plain, srv.Stats().Records-plain, each)
	}
	backlog("ours, and nobody answers", ours(nobody))
	step("back to the built-in output", builtIn(srv.URL(), ca, "'*'"))
	delivered()

	// Side by side: each event has one of the two.
	f.add(t, each)
	other := newFeeder(t)
	other.n = f.n
	other.add(t, each)
	h.write(settings{
		inputs: [][]string{
			tail(f.path, "db: "+db, "db.sync: normal"),
			append([]string{"name: tail", "path: " + other.path, "tag: canary"}, tail("")[3:]...),
		},
		outputs: [][]string{builtIn(srv.URL(), ca, "app"), append(ours(srv.URL())[:1:1], append([]string{"match: canary"}, ours(srv.URL())[2:]...)...)},
	})
	h.start()
	h.delivered(srv, "logs", other.n)
	h.stop()
	check(t, &r, srv, "logs", other.n, 0)
	r.note = fmt.Sprintf("%d Kinesis records", srv.Stats().Records)
}

// chunks counts the files of chunks below the storage of a host.
func chunks(t *testing.T, storage string) (n int) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(storage, "*", "*.flb"))
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

// What docs/comparison.md says of throttled entries: E2E_PEERS is for how many seconds
// the built-in output may try.
func TestPeersUnderThrottles(t *testing.T) {
	seconds, _ := strconv.Atoi(os.Getenv("E2E_PEERS"))
	if seconds < 1 {
		t.Skip("a comparison; set E2E_PEERS to the seconds for each output")
	}
	const n = 50_000
	path := newLogFile(t, n)
	for _, name := range []string{"kpl", "kpl, aggregation off", "kinesis_streams"} {
		t.Run(name, func(t *testing.T) {
			r := row{confirmed: -1}
			table.add(t, &r)
			srv := newServer(t, kinesistest.WithTLS())
			ca := certificate(t, srv)
			srv.Fault(kinesistest.Fault{
				Operation: "PutRecords", Seed: 9,
				Effect: kinesistest.Effect{EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.02},
			})
			out := builtIn(srv.URL(), ca, "'*'")
			if name != "kinesis_streams" {
				out = output(srv.URL(), "logs", 2, "ca_file: "+ca, "partition_key: seq")
			}
			if strings.HasSuffix(name, "off") {
				out = append(out, "aggregation: off")
			}
			h := newHost(t, settings{inputs: [][]string{tail(path, "buffer_chunk_size: 512k", "buffer_max_size: 2M")}, outputs: [][]string{out}})
			h.start()
			done := h.eventually(time.Duration(seconds)*time.Second, func() bool { return consume(srv, "logs", n, nil).distinct == n })
			a := consume(srv, "logs", n, nil)
			r.in, r.read, r.lost, r.doubled, r.note = n, a.read, n-a.distinct, a.doubled, fmt.Sprintf("within %d s: %v", seconds, done)
			h.signal(os.Kill)
			h.wait()
			if strings.HasPrefix(name, "kpl") && a.doubled != 0 || name == "kpl" && !done {
				t.Errorf("unexpected delivery; got %d lost, %d doubled; want none", n-a.distinct, a.doubled)
			}
		})
	}
}

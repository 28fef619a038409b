// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// lines writes a file of lines.
func lines(t *testing.T, text ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.log")
	if err := os.WriteFile(path, []byte(strings.Join(text, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func stored(srv *kinesistest.Server, stream string) (out []string) {
	for _, r := range srv.Consume(stream).Records {
		out = append(out, string(r.Data))
	}
	return out
}

// Filters make events with a key twice. The host's own outputs write it once.
func TestEqualKeysAsTheHostWritesThem(t *testing.T) {
	t.Parallel()
	r := row{confirmed: -1, in: 3}
	table.add(t, &r)
	srv := newServer(t, kinesistest.WithStream("one", 1))
	dir := t.TempDir()
	h := newHost(t, settings{
		inputs: [][]string{tail(lines(t, `{"x":0,"m1":{"k":1,"z":{"a":1}},"m2":{"k":2,"y":3}}`, `{"m1":{"k":1},"k":7,"m2":{"k":[{"k":1}]},"q":1}`, `{"p_a":1,"p_b":2,"q":{"old":1},"n":5}`))},
		filters: [][]string{
			{"name: nest", "match: '*'", "operation: lift", "nested_under: m1"},
			{"name: nest", "match: '*'", "operation: lift", "nested_under: m2"},
			{"name: nest", "match: '*'", "operation: nest", "wildcard: p_*", "nest_under: q"},
		},
		outputs: [][]string{output(srv.URL(), "one", 1), {"name: file", "match: '*'", "path: " + dir, "file: host", "format: plain"}},
	})
	h.start()
	h.until("3 events in both", func() bool {
		b, _ := os.ReadFile(filepath.Join(dir, "host"))
		return len(stored(srv, "one")) >= 3 && strings.Count(string(b), "\n") >= 3
	})
	h.stop()
	want := strings.Split(strings.TrimSpace(readFile(t, filepath.Join(dir, "host"))), "\n")
	got := stored(srv, "one")
	slices.Sort(want)
	slices.Sort(got)
	if r.read = len(got); !slices.Equal(got, want) {
		t.Errorf("unexpected events; got\n%s\nwant what the output file has\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !slices.ContainsFunc(want, func(s string) bool { return strings.Contains(s, `"k":2`) && !strings.Contains(s, `"k":1`) }) {
		t.Errorf("unexpected events of the host; got\n%s\nwant the last of two keys", strings.Join(want, "\n"))
	}
}

// The host's filter joins the pieces of an event that Docker had split before us.
func TestPiecesAreJoinedByTheHost(t *testing.T) {
	t.Parallel()
	r := row{confirmed: -1, in: 1}
	table.add(t, &r)
	text := strings.Repeat("0123456789", 3000)
	event := fmt.Sprintf(`{"container":"c1","log":"%s","partial_message":"true","partial_id":"docker","partial_ordinal":"2","partial_last":"false"}`, text)
	srv := newServer(t, kinesistest.WithStream("pieces", 1), kinesistest.WithStream("joined", 1))
	h := newHost(t, settings{
		inputs:  [][]string{tail(lines(t, event), "buffer_max_size: 1M")},
		outputs: [][]string{output(srv.URL(), "pieces", 1, "oversize: split", "max_record_size: 8192")},
	})
	h.start()
	h.until("pieces", func() bool {
		p := stored(srv, "pieces")
		return len(p) > 0 && strings.Contains(p[len(p)-1], `"partial_last":"true"`)
	})
	h.stop()
	pieces := stored(srv, "pieces")
	join := newHost(t, settings{
		inputs:  [][]string{tail(lines(t, pieces...), "buffer_max_size: 1M")},
		filters: [][]string{{"name: multiline", "match: '*'", "mode: partial_message", "multiline.key_content: log"}},
		outputs: [][]string{output(srv.URL(), "joined", 1)},
	})
	join.start()
	join.until("the joined event", func() bool { return len(stored(srv, "joined")) > 0 })
	join.stop()
	got := stored(srv, "joined")
	var ev map[string]any
	if err := json.Unmarshal([]byte(got[0]), &ev); err != nil || len(got) != 1 {
		t.Fatalf("unexpected events; got %d, %v; want one", len(got), err)
	}
	if r.read = len(got); ev["log"] != text || ev["container"] != "c1" || fmt.Sprint(ev["outer_partial"]) != "map[partial_id:docker partial_last:false partial_message:true partial_ordinal:2]" {
		t.Errorf("unexpected event; got %.300s; want the text whole and the keys of Docker below outer_partial", got[0])
	}
	r.note = fmt.Sprintf("%d pieces", len(pieces))
}

// With log_key, and beside the C output, whose answers the table of differences names.
func TestEmptyEventsAreDroppedAndCounted(t *testing.T) {
	t.Parallel()
	r := row{confirmed: -1, in: 7}
	table.add(t, &r)
	srv := newServer(t, kinesistest.WithTLS(), kinesistest.WithStream("all", 1), kinesistest.WithStream("log", 1), kinesistest.WithStream("c", 1), kinesistest.WithStream("clog", 1))
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, srv.CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	name, port, _ := strings.Cut(strings.TrimPrefix(srv.URL(), "https://"), ":")
	c := func(stream string, more ...string) []string {
		return append([]string{"name: kinesis_streams", "match: '*'", "region: eu-west-1", "endpoint: " + name, "port: " + port, "stream: " + stream, "tls.ca_file: " + ca}, more...)
	}
	var inputs [][]string
	for _, event := range []string{`{}`, `{"log":"one"}`, `{"log":""}`, `{"log":{}}`, `{"log":12}`, `{"log":"x"}`, `{}`} {
		inputs = append(inputs, []string{"name: dummy", "dummy: '" + event + "'", "samples: 1"})
	}
	h := newHost(t, settings{inputs: inputs, outputs: [][]string{
		output(srv.URL(), "logs", 1, "ca_file: "+ca), output(srv.URL(), "all", 1, "ca_file: "+ca, "empty_events: keep"),
		output(srv.URL(), "log", 1, "ca_file: "+ca, "log_key: log"), c("c"), c("clog", "log_key: log"),
	}})
	h.start()
	h.until("all events where they are kept", func() bool { return len(stored(srv, "all")) >= len(inputs) })
	h.until("the count", func() bool { return h.metric("kpl_events_left_out_total", `reason="empty"`) == 6 })
	h.until("those of the C output", func() bool { return len(stored(srv, "c")) >= 5 && len(stored(srv, "clog")) >= 2 })
	h.stop()
	for stream, want := range map[string][]string{
		"logs": {`{"log":""}`, `{"log":"one"}`, `{"log":"x"}`, `{"log":12}`, `{"log":{}}`},
		"log":  {`12`, `one`, `x`},
		"all":  {`{"log":""}`, `{"log":"one"}`, `{"log":"x"}`, `{"log":12}`, `{"log":{}}`, `{}`, `{}`},
		"c":    {`{"log":""}`, `{"log":"one"}`, `{"log":"x"}`, `{"log":12}`, `{"log":{}}`},
		"clog": {`one`, `x`},
	} {
		var got []string
		for _, s := range stored(srv, stream) {
			got = append(got, strings.TrimSuffix(s, "\n"))
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("unexpected events of %s; got %q; want %q", stream, got, want)
		}
	}
	r.read, r.note = len(stored(srv, "logs")), "2 empty ones dropped and counted"
}

// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/golden anew")

// golden is a request as a shipper sends it. The shapes are those of Vector 0.58,
// Fluent Bit 5.1, Fluentd 1.19, Logstash's HTTP output 6.0, the OpenTelemetry
// collector and curl (checked 2026-11-24).
type golden struct {
	name     string
	path     string // default /streams/logs
	typ      string // Content-Type; "": none
	encoding string // Content-Encoding
	pack     string // in packers, default the encoding
	body     string
	opt      Options
}

const (
	vectorEvent   = `{"host":"h1","message":"hello \"you\"","source_type":"stdin","timestamp":"2026-08-21T22:45:56.123456789Z"}`
	vectorEvent2  = `{"file":"/var/log/a.log","host":"h2","message":"two\nlines \u00e9","timestamp":"2026-08-21T22:45:57Z"}`
	vectorPretty  = "{\n  \"host\": \"h1\",\n  \"tags\": [\n    1,\n    2\n  ]\n}"
	vectorMetric  = `{"name":"requests","namespace":"web","tags":{"code":["200",null]},"timestamp":"2026-08-21T22:45:56.123Z","kind":"incremental","counter":{"value":1.0}}`
	fluentBit     = `{"date":1755800000.123456,"log":"caf\u00e9","stream":"stdout"}`
	fluentBit2    = `{"date":1755800001.0,"log":"{\"nested\":\"json\"}"}`
	gelf          = `{"version":"1.1","host":"h1","short_message":"hello","timestamp":1755800000.123,"level":6}`
	fluentd       = `{"message":"hello","tag":"app.web","time":"2026-08-21T22:45:56+00:00"}`
	fluentd2      = `{"message":"two","nested":{"a":[1,2.5,null,true]}}`
	logstash      = `{"@timestamp":"2026-08-21T22:45:56.123456789Z","@version":"1","message":"hello","host":{"name":"h1"},"event":{"original":"hello"}}`
	logstashBatch = `[` + logstash + `,` + `{"@timestamp":"2026-08-21T22:45:57.000Z","message":"two","tags":["_grokparsefailure"]}` + `]`
)

func goldens(t *testing.T) []golden {
	otlp := string(asProto(t, sampleLogs()))
	otlpJSON := string(compactJSON(t, asJSON(t, sampleLogs())))
	const ndjsonType = "application/x-ndjson"
	const jsonType = "application/json"
	return []golden{
		{name: "vector_json_one", typ: jsonType, body: "[" + vectorEvent + "]"},
		{name: "vector_json", typ: jsonType, body: "[" + vectorEvent + "," + vectorEvent2 + "]"},
		{name: "vector_json_gzip", typ: jsonType, encoding: "gzip", body: "[" + vectorEvent + "," + vectorEvent2 + "]"},
		{name: "vector_json_zlib", typ: jsonType, encoding: "deflate", pack: "zlib", body: "[" + vectorEvent + "," + vectorEvent2 + "]"},
		{name: "vector_json_zstd", typ: jsonType, encoding: "zstd", body: "[" + vectorEvent + "," + vectorEvent2 + "]"},
		{name: "vector_json_snappy", typ: jsonType, encoding: "snappy", body: "[" + vectorEvent + "," + vectorEvent2 + "]"},
		{name: "vector_json_newline", typ: ndjsonType, body: vectorEvent + "\n" + vectorEvent2},
		{name: "vector_json_bytes", body: vectorEvent + vectorEvent2},
		{name: "vector_json_pretty", typ: jsonType, body: "[" + vectorPretty + "," + vectorPretty + "]"},
		{name: "vector_json_pretty_newline", typ: ndjsonType, body: vectorPretty + "\n" + vectorPretty},
		{name: "vector_json_wrapped", typ: jsonType, body: `{"data":[` + vectorEvent + "," + vectorEvent2 + `]}`, opt: Options{Wrapper: "data"}},
		{name: "vector_json_strings", typ: jsonType, body: `["line one","line \"two\""]`},
		{name: "vector_json_strings_unquoted", typ: jsonType, body: `["line one","line \"two\""]`, opt: Options{UnquoteStrings: true}},
		{name: "vector_json_metric", typ: jsonType, body: "[" + vectorMetric + "]"},
		{name: "vector_native_json", body: `{"log":` + vectorEvent + "}\n" + `{"log":` + vectorEvent2 + "}\n"},
		{name: "vector_native_json_comma", body: `{"log":{}},{"log":{}},`},
		{name: "vector_native_is_refused", body: "\x00\x00\x00\x09\x0a\x07\x0a\x05\x0a\x03abc"},
		{name: "vector_text", typ: "text/plain", body: "hello\ntwo\nlines\n"},
		{name: "vector_raw_message", typ: "text/plain", body: "hello\n\n{\"a\":1}\n"},
		{name: "vector_logfmt", body: "host=h1 message=\"hello you\"\nhost=h2 message=two\n"},
		{name: "vector_csv", body: "h1,\"a, b\"\nh2,c\n"},
		{name: "vector_syslog", body: "<14>1 2026-08-21T22:45:56.123Z h1 app 1 - - hello\n"},
		{name: "vector_gelf", body: gelf + "\x00" + gelf + "\x00"},
		{name: "vector_otlp", typ: "application/x-protobuf", body: otlp + otlp},
		{name: "vector_opentelemetry_json", path: "/v1/logs", typ: jsonType, body: "[" + otlpJSON + "," + otlpJSON + "]"},
		{name: "fluentbit_json", typ: jsonType, body: "[" + fluentBit + "," + fluentBit2 + "]"},
		{name: "fluentbit_json_gzip", typ: jsonType, encoding: "gzip", body: "[" + fluentBit + "," + fluentBit2 + "]"},
		{name: "fluentbit_json_snappy", typ: jsonType, encoding: "snappy", body: "[" + fluentBit + "," + fluentBit2 + "]"},
		{name: "fluentbit_json_zstd", typ: jsonType, encoding: "zstd", body: "[" + fluentBit + "," + fluentBit2 + "]"},
		{name: "fluentbit_json_stream", typ: jsonType, body: fluentBit + fluentBit2},
		{name: "fluentbit_json_lines", typ: ndjsonType, body: fluentBit + "\n" + fluentBit2 + "\n"},
		{name: "fluentbit_gelf", typ: jsonType, body: gelf + "\n" + gelf + "\n"},
		{name: "fluentbit_msgpack", typ: "application/msgpack", body: fluentBitV2 + fluentBitV2},
		{name: "fluentbit_msgpack_groups", typ: "application/msgpack", body: groupStart + fluentBitV2 + groupEnd},
		{name: "fluentbit_msgpack_old", typ: "application/msgpack", body: fluentBitV1 + fluentBitV1},
		{name: "fluentbit_msgpack_without_type", body: fluentBitV2},
		{name: "fluentd_json", typ: ndjsonType, body: fluentd + "\n" + fluentd2 + "\n"},
		{name: "fluentd_json_gzip", typ: ndjsonType, encoding: "gzip", body: fluentd + "\n" + fluentd2 + "\n"},
		{name: "fluentd_json_array", typ: jsonType, body: "[" + fluentd + "," + fluentd2 + "]"},
		{name: "fluentd_msgpack", typ: "application/x-msgpack", body: packedRecord + packedRecord},
		{name: "fluentd_csv", typ: "text/csv", body: "\"a\",\"b\"\n\"c\",\"d\"\n"},
		{name: "fluentd_ltsv", typ: "text/tab-separated-values", body: "a:1\tb:2\na:3\tb:4\n"},
		{name: "fluentd_single_value", typ: "text/plain", body: "hello\n"},
		{name: "otel_proto_gzip", path: "/v1/logs", typ: "application/x-protobuf", encoding: "gzip", body: otlp},
		{name: "otel_json", path: "/v1/logs", typ: jsonType, body: otlpJSON},
		{name: "otel_json_zstd", path: "/v1/logs", typ: jsonType, encoding: "zstd", body: otlpJSON},
		{name: "otel_traces_are_refused", path: "/v1/logs", typ: jsonType, body: `{"resourceSpans":[{"scopeSpans":[]}]}`},
		{name: "logstash_json", typ: jsonType, body: logstash},
		{name: "logstash_json_batch", typ: jsonType, body: logstashBatch},
		{name: "logstash_json_batch_gzip", typ: jsonType, encoding: "gzip", body: logstashBatch},
		{name: "logstash_message", typ: "text/plain", body: "2026-08-21 h1 hello"},
		{name: "logstash_form", typ: "application/x-www-form-urlencoded", body: "message=hello+you&host=h1"},
		{name: "curl_json", typ: "application/x-www-form-urlencoded", body: `{"a":1}`},
		{name: "curl_lines_of_a_file", typ: "application/x-www-form-urlencoded", body: "{\"a\":1}\r\n{\"b\":2}\r\n"},
		{name: "curl_text", typ: "application/x-www-form-urlencoded", body: "[2026-08-21 22:45:56] hello\n"},
	}
}

func compactJSON(t *testing.T, b []byte) []byte {
	t.Helper()
	events, err := Split(nil, append(b, '\n'), FormatJSON, Options{})
	if err != nil || len(events) != 1 {
		t.Fatal(err)
	}
	// protojson puts a space behind commas or not, by chance.
	return appendClean(nil, events[0].Data, true)
}

// request is the message as it goes over the wire.
func (g *golden) request(t *testing.T) []byte {
	t.Helper()
	body := []byte(g.body)
	if g.encoding != "" {
		pack := packers[g.encoding]
		if g.pack != "" {
			pack = packers[g.pack]
		}
		body = pack(body)
	}
	path := g.path
	if path == "" {
		path = "/streams/logs"
	}
	b := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: kpl-http\r\nContent-Length: %d\r\n", path, len(body))
	if g.typ != "" {
		b = fmt.Appendf(b, "Content-Type: %s\r\n", g.typ)
	}
	if g.encoding != "" {
		b = fmt.Appendf(b, "Content-Encoding: %s\r\n", g.encoding)
	}
	return append(append(b, "\r\n"...), body...)
}

// read does what a server does, and returns the events, quoted, one a line.
func (g *golden) read(t *testing.T, message []byte) (plain []byte, result string) {
	t.Helper()
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(message)))
	if err != nil {
		t.Fatal(err)
	}
	wire, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatal(err)
	}
	f, err := FormatOf(req.Header.Get("Content-Type"), req.URL.Path)
	if err != nil {
		t.Fatal(err)
	}
	var u Unpacker
	if plain, err = u.Unpack(strings.Join(req.Header.Values("Content-Encoding"), ","), wire, Limits{}); err != nil {
		t.Fatal(err)
	}
	events, err := Split(nil, plain, f, g.opt)
	if err != nil {
		return plain, err.Error() + "\n"
	}
	var b strings.Builder
	for _, ev := range events {
		fmt.Fprintf(&b, "%s %+q\n", map[EventKind]string{EventJSON: "json", EventText: "text"}[ev.Kind], ev.Data)
	}
	return plain, b.String()
}

// TestGolden reads stored requests of every shipper. Run with -update to write
// them.
func TestGolden(t *testing.T) {
	dir := filepath.Join("testdata", "golden")
	known := map[string]bool{}
	for _, g := range goldens(t) {
		known[g.name+".bin"], known[g.name+".events"] = true, true
		t.Run(g.name, func(t *testing.T) {
			in, out := filepath.Join(dir, g.name+".bin"), filepath.Join(dir, g.name+".events")
			if *update {
				message := g.request(t)
				_, result := g.read(t, message)
				if err := os.WriteFile(in, message, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(out, []byte(result), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			message, err := os.ReadFile(in)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			plain, got := g.read(t, message)
			if got != string(want) {
				t.Errorf("unexpected events; got\n%s\nwant\n%s", got, want)
			}
			// Compressed bytes may differ between versions of the packers, what they hold not.
			if string(plain) != g.body {
				t.Errorf("unexpected stored body; got %q; want %q", plain, g.body)
			}
		})
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !known[f.Name()] {
			t.Errorf("unexpected file in %s; got %q; want only those of the table", dir, f.Name())
		}
	}
}

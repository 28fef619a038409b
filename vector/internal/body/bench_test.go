// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"compress/flate"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
)

// ndjson makes about size bytes of events of 200 bytes. Their ids and numbers are
// random, so that they compress about as logs do, six to one.
func ndjson(size int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b []byte
	for i := 0; len(b) < size; i++ {
		b = fmt.Appendf(b, `{"timestamp":"2026-11-24T10:%02d:%02d.%06dZ","level":"info","host":"web-%03d","status":%d,"took":%.3f,"trace":"%016x","message":"GET /api/v1/items/%07d for user %05d","ok":true}`+"\n",
			i/6e4%60, i/1e3%60, r.IntN(1e6), r.IntN(97), 200+r.IntN(5), r.Float64(), r.Uint64(), r.IntN(1e7), r.IntN(1e5))
	}
	return b
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func zstded(b []byte) []byte {
	var out bytes.Buffer
	w, _ := zstd.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func deflated(b []byte) []byte {
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, flate.DefaultCompression)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

// BenchmarkBody compares the way of a body with the least that any receiver of it
// must do: undo the encoding and look for line ends. Both run by turns in one loop;
// "x/scan" is the ratio of their times.
func BenchmarkBody(b *testing.B) {
	plain := ndjson(4 << 20)
	for _, tc := range []struct {
		name     string
		encoding string
		data     []byte
		path     []string
	}{
		{"identity", "", plain, nil},
		{"gzip", "gzip", gzipped(plain), nil},
		{"gzip with key", "gzip", gzipped(plain), []string{"host"}},
		{"zstd", "zstd", zstded(plain), nil},
		{"deflate", "deflate", deflated(plain), nil},
		{"snappy", "snappy", snappy.Encode(nil, plain), nil},
	} {
		opt := Options{Path: tc.path, Arena: new(Arena)}
		b.Run(tc.name, func(b *testing.B) {
			var u Unpacker
			var events []Event
			var ours, least time.Duration
			lines := 0
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				t0 := time.Now()
				data, err := u.Unpack(tc.encoding, tc.data, Limits{})
				if err != nil {
					b.Fatal(err)
				}
				for rest := data; ; lines++ {
					n := bytes.IndexByte(rest, '\n')
					if n < 0 {
						break
					}
					rest = rest[n+1:]
				}
				t1 := time.Now()
				if data, err = u.Unpack(tc.encoding, tc.data, Limits{}); err != nil {
					b.Fatal(err)
				}
				if events, err = Split(events[:0], data, FormatJSON, opt); err != nil {
					b.Fatal(err)
				}
				for i := range events {
					if _, _, ok := opt.Field(nil, &events[i]); ok != (tc.path != nil) {
						b.Fatal("unexpected field")
					}
				}
				least += t1.Sub(t0)
				ours += time.Since(t1)
			}
			if len(events)*b.N != lines {
				b.Fatalf("unexpected number of events; got %d; want %d", len(events), lines/b.N)
			}
			b.ReportMetric(float64(ours)/float64(least), "x/scan")
			b.ReportMetric(float64(len(plain))*float64(b.N)/ours.Seconds()/1e6, "ours-MB/s")
		})
	}
}

func BenchmarkSplit(b *testing.B) {
	run := func(name string, data []byte, f Format, opt Options) {
		b.Run(name, func(b *testing.B) {
			var events []Event
			var err error
			opt.Arena = new(Arena)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				opt.Arena.Reset()
				if events, err = Split(events[:0], data, f, opt); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	lines := ndjson(4 << 20)
	run("ndjson", lines, FormatJSON, Options{})
	run("ndjson with newlines", lines, FormatJSON, Options{AppendNewline: true})
	run("text", lines, FormatText, Options{})
	array := append([]byte{'['}, bytes.ReplaceAll(bytes.TrimSpace(lines), []byte("\n"), []byte(","))...)
	run("array", append(array, ']'), FormatJSON, Options{})
}

func BenchmarkLookup(b *testing.B) {
	event := bytes.TrimSpace(ndjson(1))
	b.SetBytes(int64(len(event)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok := Lookup(nil, event, "host"); !ok {
			b.Fatal("not found")
		}
	}
}

// BenchmarkSplitConverted is bodies whose events become JSON.
func BenchmarkSplitConverted(b *testing.B) {
	logs := &logspb.LogsData{}
	for range 10 {
		scope := &logspb.ScopeLogs{Scope: &commonpb.InstrumentationScope{Name: "io.example.library"}}
		for i := range 500 {
			scope.LogRecords = append(scope.LogRecords, &logspb.LogRecord{
				TimeUnixNano: 1755892276123456789 + uint64(i)*1e6, SeverityNumber: 9, SeverityText: "Info",
				Body:       str(fmt.Sprintf("GET /api/v1/items/%07d served, cache miss", i)),
				Attributes: []*commonpb.KeyValue{pair("http.status", integer(200)), pair("http.route", str("/api/v1/items/{id}")), pair("took", double(1.5))},
				TraceId:    traceID, SpanId: spanID,
			})
		}
		logs.ResourceLogs = append(logs.ResourceLogs, &logspb.ResourceLogs{
			Resource:  &resourcepb.Resource{Attributes: []*commonpb.KeyValue{pair("service.name", str("shop")), pair("host.name", str("web-1"))}},
			ScopeLogs: []*logspb.ScopeLogs{scope},
		})
	}
	for _, tc := range []struct {
		name string
		data []byte
		f    Format
	}{
		{"otlp protobuf", asProto(b, logs), FormatOTLPProto},
		{"otlp JSON", asJSON(b, logs), FormatOTLPJSON},
		{"msgpack", bytes.Repeat([]byte(fluentBitV2), 50000), FormatMsgpack},
		{"pretty JSON", bytes.Repeat([]byte(vectorPretty), 20000), FormatJSON},
	} {
		b.Run(tc.name, func(b *testing.B) {
			var events []Event
			var err error
			arena := new(Arena)
			b.SetBytes(int64(len(tc.data)))
			b.ReportAllocs()
			for b.Loop() {
				arena.Reset()
				if events, err = Split(events[:0], tc.data, tc.f, Options{Arena: arena}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
		})
	}
}

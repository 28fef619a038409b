// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"
)

// reaction is what a shipper makes of an answer.
type reaction uint8

const (
	delivered reaction = iota
	retry
	dropped // the events are lost, or put aside where nobody looks
)

// shipper does what a log shipper does: how it writes a body, and what it makes of
// answers. The rules are those of the programs, not those of HTTP.
type shipper struct {
	name    string
	path    string
	header  []string
	timeout time.Duration
	body    func(lo, hi int) []byte
	single  bool // one event in a request
	// react gets the status, or 0 for a connection error or timeout.
	react func(status int) reaction
	// wait is the pause before attempt n, from 1.
	wait func(n int) time.Duration
	// limit is the number of attempts, 0 without end.
	limit int
	// grows is how many events come in between two attempts, and are put behind those of
	// the attempt that failed. 0: a batch is sent again as it is.
	grows int
}

// fibonacci is Vector's backoff with full jitter, at most 30 s.
func fibonacci(n int) time.Duration {
	a, b := 1, 1
	for range n {
		a, b = b, a+b
	}
	return time.Duration(rand.Int64N(int64(min(a, 30))*int64(time.Second))) + 1
}

func exponential(base, most time.Duration) func(int) time.Duration {
	return func(n int) time.Duration { return min(base<<min(n-1, 20), most) }
}

// vectorReaction: any 2xx is delivered; 408, 429 and 5xx but 501 are retried
// (retry_strategy default), the rest is dropped.
func vectorReaction(status int) reaction {
	switch {
	case status >= 200 && status < 300:
		return delivered
	case status == 0, status == 408, status == 429, status >= 500 && status != 501:
		return retry
	}
	return dropped
}

// fluentBitReaction: 200 to 205 is delivered, other 4xx than 408 and 429 is dropped, the
// rest is retried.
func fluentBitReaction(status int) reaction {
	switch {
	case status >= 200 && status <= 205:
		return delivered
	case status >= 400 && status < 500 && status != 408 && status != 429:
		return dropped
	}
	return retry
}

// fluentdReaction: only 503 is retried by default; other codes are unrecoverable.
func fluentdReaction(status int) reaction {
	switch {
	case status >= 200 && status < 300:
		return delivered
	case status == 0, status == 503:
		return retry
	}
	return dropped
}

// otlpReaction is what the specification says: 429, 502, 503 and 504.
func otlpReaction(status int) reaction {
	switch {
	case status >= 200 && status < 300:
		return delivered
	case status == 0, status == 429, status == 502, status == 503, status == 504:
		return retry
	}
	return dropped
}

// logstashReaction: retryable_codes is 429, 500, 502, 503, 504.
func logstashReaction(status int) reaction {
	switch {
	case status >= 200 && status < 300:
		return delivered
	case status == 0, status == 429, status == 500, status >= 502 && status <= 504:
		return retry
	}
	return dropped
}

// syslogNGReaction: what is not listed is sent again for ever
// (docs/http.md has the table; run with syslog-ng 3.38.1).
func syslogNGReaction(status int) reaction {
	switch status {
	case 410, 422, 424, 425, 451:
		return dropped
	}
	if status >= 200 && status < 300 {
		return delivered
	}
	return retry
}

// shippers is what the shippers make of answers.
func reactions() map[string]func(int) reaction {
	return map[string]func(int) reaction{
		"Vector": vectorReaction, "Fluent Bit": fluentBitReaction, "Fluentd": fluentdReaction,
		"OTLP": otlpReaction, "Logstash": logstashReaction, "syslog-ng": syslogNGReaction,
	}
}

// syslogNG is a http() destination: the body is body-prefix, the messages with the
// delimiter between them, and body-suffix.
func syslogNG(name, prefix, delimiter, suffix string, pack func([]byte) []byte, header ...string) shipper {
	return shipper{
		name: "syslog-ng " + name, path: "/streams/logs", header: append([]string{"User-Agent", "syslog-ng 3.38.1/libcurl/7.88.1"}, header...),
		timeout: 60 * time.Second, grows: 3, react: syslogNGReaction, wait: exponential(time.Second, time.Second),
		body: func(lo, hi int) []byte {
			var events []string
			for i := lo; i < hi; i++ {
				events = append(events, eventText(i))
			}
			return pack([]byte(prefix + strings.Join(events, delimiter) + suffix))
		},
	}
}

func logstashWait(n int) time.Duration {
	return min(time.Duration(n*n)*time.Second, time.Minute)
}

// shippers is one entry for each form that the shippers send.
func shippers() []shipper {
	vector := func(name, encoding string, pack func([]byte) []byte, body func(lo, hi int) []byte, contentType string) shipper {
		header := []string{"User-Agent", "Vector/0.57.0"}
		if contentType != "" {
			header = append(header, "Content-Type", contentType)
		}
		if encoding != "" {
			header = append(header, "Content-Encoding", encoding)
		}
		return shipper{
			name: "vector " + name, path: "/streams/logs", header: header, timeout: 60 * time.Second,
			body: func(lo, hi int) []byte { return pack(body(lo, hi)) }, react: vectorReaction, wait: fibonacci,
		}
	}
	plainly := func(b []byte) []byte { return b }
	fluentBit := func(name, contentType string, body func(lo, hi int) []byte) shipper {
		return shipper{
			name: "fluent bit " + name, path: "/streams/logs", header: []string{"User-Agent", "Fluent-Bit", "Content-Type", contentType},
			timeout: 60 * time.Second, body: body, react: fluentBitReaction, wait: exponential(5*time.Second, 2000*time.Second),
		}
	}
	return []shipper{
		vector("json", "", plainly, jsonArray, "application/json"),
		vector("json zstd", "zstd", zstded, jsonArray, "application/json"),
		vector("json snappy", "snappy", snappied, jsonArray, "application/json"),
		vector("ndjson gzip", "gzip", gzipped, lines, "application/x-ndjson"),
		vector("concatenated, no type", "", plainly, concatenated, ""),
		fluentBit("json", "application/json", jsonArray),
		fluentBit("json_stream", "application/json", concatenated),
		fluentBit("json_lines", "application/x-ndjson", ndjson),
		fluentBit("msgpack", "application/msgpack", chunk),
		{
			name: "fluentd", path: "/streams/logs", header: []string{"Content-Type", "application/x-ndjson"}, timeout: 60 * time.Second,
			body: ndjson, react: fluentdReaction, wait: exponential(time.Second, 72*time.Hour),
		},
		{
			name: "otel collector", path: otlpPath, header: []string{"Content-Type", "application/x-protobuf", "Content-Encoding", "gzip"},
			timeout: 30 * time.Second, body: func(lo, hi int) []byte { return gzipped(otlpRequest(lo, hi)) }, react: otlpReaction,
			wait: exponential(5*time.Second, 30*time.Second),
		},
		{
			name: "otlp sdk", path: otlpPath, header: []string{"Content-Type", "application/x-protobuf"}, timeout: 10 * time.Second,
			body: otlpRequest, react: otlpReaction, wait: exponential(5*time.Second, 30*time.Second),
		},
		{
			name: "logstash", path: "/streams/logs", header: []string{"Content-Type", "application/json"}, timeout: 10 * time.Second, single: true,
			body: func(lo, _ int) []byte { return bytes.TrimSpace(ndjson(lo, lo+1)) }, react: logstashReaction, wait: logstashWait,
		},
		{
			name: "logstash json_batch", path: "/streams/logs", header: []string{"Content-Type", "application/json"}, timeout: 10 * time.Second,
			body: jsonArray, react: logstashReaction, wait: logstashWait,
		},
		syslogNG("lines", "", "\n", "", plainly),
		syslogNG("array gzip", "[", ",", "]", gzipped, "Content-Type", "application/json", "Content-Encoding", "gzip"),
	}
}

// sent is what became of the events of one shipper.
type sent struct {
	delivered, dropped, attempts int
	// last is the status of the last answer.
	last int
}

// send brings the events from lo to hi-1 to an end as the shipper does. The body of
// an attempt is the same bytes as that of the first, unless it grows.
func (sh *shipper) send(ctx context.Context, r *rig, lo, hi int) (out sent) {
	if sh.single && hi-lo > 1 {
		for i := lo; i < hi; i++ {
			one := sh.send(ctx, r, i, i+1)
			out.delivered, out.dropped, out.attempts = out.delivered+one.delivered, out.dropped+one.dropped, out.attempts+one.attempts
		}
		return out
	}
	to := hi
	if sh.grows > 0 {
		to = min(hi, lo+sh.grows)
	}
	b := sh.body(lo, to)
	for n := 1; ; n++ {
		out.attempts++
		attempt, cancel := context.WithTimeout(ctx, sh.timeout)
		rp := r.post(attempt, sh.path, b, sh.header...)
		cancel()
		out.last = rp.status
		v := sh.react(rp.status)
		if rp.err != nil && rp.status != 0 {
			v = dropped // the body of the answer broke: see Vector's "unexpected error type"
		}
		switch {
		case v == delivered && to == hi:
			out.delivered += to - lo
			return out
		case v == delivered:
			out.delivered += to - lo
			lo, to = to, min(hi, to+sh.grows)
			b, n = sh.body(lo, to), 0
			continue
		case v == dropped, sh.limit > 0 && n >= sh.limit, ctx.Err() != nil:
			out.dropped += hi - lo
			return out
		}
		pause := sh.wait(n)
		if after, err := strconv.Atoi(rp.header.Get("Retry-After")); err == nil && sh.path == otlpPath {
			pause = time.Duration(after) * time.Second
		}
		wait(ctx, pause)
		if sh.grows > 0 && to < hi {
			to = min(hi, to+sh.grows)
			b = sh.body(lo, to)
		}
	}
}

func eventText(i int) string { return fmt.Sprintf(`{"n":%d,"user":{"id":"u%d"}}`, i, i%7) }

func jsonArray(lo, hi int) []byte {
	b := []byte{'['}
	for i := lo; i < hi; i++ {
		if i > lo {
			b = append(b, ',')
		}
		b = append(b, eventText(i)...)
	}
	return append(b, ']')
}

// lines is NDJSON without a newline at the end, as Vector writes it.
func lines(lo, hi int) []byte { return bytes.TrimSuffix(ndjson(lo, hi), []byte("\n")) }

func concatenated(lo, hi int) []byte { return bytes.ReplaceAll(ndjson(lo, hi), []byte("\n"), nil) }

// chunk is a chunk of Fluent Bit: [[time, {}], {record}] one after the other.
func chunk(lo, hi int) []byte {
	var out bytes.Buffer
	enc := msgpack.NewEncoder(&out)
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	for i := lo; i < hi; i++ {
		must(enc.EncodeArrayLen(2))
		must(enc.EncodeArrayLen(2))
		must(enc.EncodeExtHeader(0, 8))
		var stamp [8]byte
		binary.BigEndian.PutUint32(stamp[:], uint32(1755800000+i))
		out.Write(stamp[:])
		must(enc.EncodeMapLen(0))
		must(enc.Encode(map[string]any{"n": i}))
	}
	return out.Bytes()
}

func otlpRequest(lo, hi int) []byte {
	scope := &logs.ScopeLogs{}
	for i := lo; i < hi; i++ {
		scope.LogRecords = append(scope.LogRecords, &logs.LogRecord{
			TimeUnixNano: uint64(1755800000+i) * 1e9,
			Body:         &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: "n=" + strconv.Itoa(i)}},
		})
	}
	b, err := proto.Marshal(&collogs.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{ScopeLogs: []*logs.ScopeLogs{scope}}}})
	if err != nil {
		panic(err)
	}
	return b
}

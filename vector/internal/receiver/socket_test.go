// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	otellog "go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/outkpl/outkpl/core/kinesistest"
)

func socketRig(t *testing.T, opts []kinesistest.Option, flags ...string) *rig {
	t.Helper()
	r := &rig{t: t, kinesis: kinesistest.New(opts...), real: true}
	r.configure(append([]string{"--server.listen=127.0.0.1:0"}, flags...)...)
	r.start()
	return r
}

// The exporter of the OpenTelemetry SDK delivers, and comes again after 503.
func TestExporterOfOpenTelemetry(t *testing.T) {
	for _, compression := range []otlploghttp.Compression{otlploghttp.NoCompression, otlploghttp.GzipCompression} {
		r := socketRig(t, []kinesistest.Option{kinesistest.WithStream("logs", 2)}, "--producer.fail_if_throttled=true")
		r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Effect{
			EntryCode: "ProvisionedThroughputExceededException",
		}})
		exporter, err := otlploghttp.New(t.Context(), otlploghttp.WithEndpointURL(r.url(otlpPath)), otlploghttp.WithCompression(compression),
			otlploghttp.WithRetry(otlploghttp.RetryConfig{Enabled: true, InitialInterval: 10 * time.Millisecond, MaxInterval: time.Second, MaxElapsedTime: time.Minute}))
		if err != nil {
			t.Fatal(err)
		}
		provider := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter)))
		const n = 200
		logger := provider.Logger("test")
		for i := range n {
			var rec otellog.Record
			rec.SetTimestamp(time.Unix(1755800000, 0))
			rec.SetBody(attribute.StringValue("n=" + strconv.Itoa(i)))
			logger.Emit(t.Context(), rec)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := provider.Shutdown(ctx); err != nil {
			t.Errorf("unexpected error of the exporter; got %v; want none", err)
		}
		cancel()
		if st := r.server.Stats(); st.Rejected[ReasonFailed] == 0 {
			t.Errorf("unexpected way; got no answer of 503; want one, after which the exporter came again")
		}
		r.account("logs", n, 0)
		r.stop()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	}
}

func TestAnswersOfOTLP(t *testing.T) {
	r := socketRig(t, []kinesistest.Option{kinesistest.WithStream("logs", 1)}, "--route.record_max_size=300")
	defer r.stop()
	good := otlpRequest(0, 3)
	// Concatenated requests are one request in protobuf.
	large, err := proto.Marshal(largeRequest())
	if err != nil {
		t.Fatal(err)
	}
	const pb, js = "application/x-protobuf", "application/json"

	rp := r.post(t.Context(), otlpPath, good, "Content-Type", pb)
	rp.want(t, 200, "")
	if rp.body != "" || rp.header.Get("Content-Type") != pb {
		t.Errorf("unexpected answer; got %q %v; want an empty message of protobuf", rp.body, rp.header)
	}
	rp = r.post(t.Context(), otlpPath, append(append([]byte(nil), good...), large...), "Content-Type", pb)
	var res collogs.ExportLogsServiceResponse
	if err := proto.Unmarshal([]byte(rp.body), &res); err != nil || rp.status != 200 || res.PartialSuccess.GetRejectedLogRecords() != 1 {
		t.Errorf("unexpected answer; got %d %v, %v; want 200 and a partial success that rejects 1", rp.status, &res, err)
	}
	rp = r.post(t.Context(), otlpPath, []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"n=5"}}]}]}]}`), "Content-Type", "application/json; charset=utf-8")
	rp.want(t, 200, "{}")
	if rp.header.Get("Content-Type") != js {
		t.Errorf("unexpected type; got %q; want %q", rp.header.Get("Content-Type"), js)
	}
	var st status.Status
	rp = r.post(t.Context(), otlpPath, []byte{0xff, 0xff}, "Content-Type", pb)
	if err := proto.Unmarshal([]byte(rp.body), &st); err != nil || rp.status != 422 || st.Message == "" {
		t.Errorf("unexpected answer; got %d %v, %v; want 422 and a status with a text", rp.status, &st, err)
	}
	rp = r.post(t.Context(), otlpPath, []byte(`{"resourceLogs":`), "Content-Type", js)
	if err := protojson.Unmarshal([]byte(rp.body), &st); err != nil || rp.status != 422 {
		t.Errorf("unexpected answer; got %d %q, %v; want 422 and a status", rp.status, rp.body, err)
	}
	r.post(t.Context(), otlpPath, good, "Content-Type", "text/plain").want(t, 415, "")
}

// What is read as OTLP is answered as OTLP, on whatever path it came.
func TestAnswersOfOTLPOnOtherPaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 1))}
		r.configure()
		team := r.cfg.Route
		team.Match = "/team/v1/logs"
		r.cfg.Routes = append(r.cfg.Routes, team)
		r.start()
		defer r.stop()
		for _, c := range []struct {
			name, path, sent, body string
			status                 int
			contentType, want      string
		}{
			{"JSON below a prefix", "/team/v1/logs", "application/json", `{"resourceLogs":[]}`, 200, "application/json", "{}"},
			{"protobuf below a prefix", "/team/v1/logs", "application/x-protobuf", "", 200, "application/x-protobuf", ""},
			{"protobuf by its type alone", "/streams/logs", "application/x-protobuf", string(otlpRequest(0, 1)), 200, "application/x-protobuf", ""},
			{"a type that is not OTLP", "/team/v1/logs", "text/plain", "x", 415, "application/x-protobuf", "is not OTLP"},
			{"JSON that is not OTLP", "/streams/logs", "application/json", "[1]", 200, "application/json", `{"events":1}`},
			{"a type that is refused elsewhere", "/streams/logs", "image/png", "x", 415, "application/json", `"reason":"unsupported"`},
		} {
			rp := r.post(t.Context(), c.path, []byte(c.body), "Content-Type", c.sent)
			rp.want(t, c.status, c.want)
			if got := rp.header.Get("Content-Type"); got != c.contentType {
				t.Errorf("%s: unexpected type of the answer; got %q; want %q", c.name, got, c.contentType)
			}
		}
	})
}

func largeRequest() *collogs.ExportLogsServiceRequest {
	var m collogs.ExportLogsServiceRequest
	if err := proto.Unmarshal(otlpRequest(3, 4), &m); err != nil {
		panic(err)
	}
	m.ResourceLogs[0].ScopeLogs[0].LogRecords[0].SeverityText = string(bytes.Repeat([]byte("x"), 1000))
	return &m
}

// Four times as much as the memory allows is sent at once over 200 connections: some
// requests are told 503, all are delivered in the end, and memory stays bounded. With
// KPL_HTTP_TEST_OVERLOAD=1 the bodies have 10 MB, as Vector's largest batches.
func TestOverload(t *testing.T) {
	const connections = 200
	bodyBytes, memory := 640_000, 32<<20
	flags := []string{"--limits.wire_max_size=4MiB", "--limits.body_max_size=4MiB", "--limits.events=20000"}
	if os.Getenv("KPL_HTTP_TEST_OVERLOAD") != "" {
		bodyBytes, memory = 10_000_000, 256<<20
		flags = nil
	}
	r := socketRig(t, []kinesistest.Option{kinesistest.WithStream("logs", 16), kinesistest.WithCountOnly()},
		append(flags, "--limits.memory="+strconv.Itoa(memory), "--limits.admission_timeout=50ms", "--server.max_connections=300")...)
	event := append(append([]byte(`{"m":"`), bytes.Repeat([]byte("x"), 990)...), "\"}\n"...)
	body := bytes.Repeat(event, bodyBytes/len(event))
	events := bytes.Count(body, []byte("\n"))

	defer debug.SetGCPercent(debug.SetGCPercent(20))
	var peak, rejected atomic.Int64
	watch := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-watch:
				return
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak.Store(max(peak.Load(), int64(m.HeapInuse)))
				if used := r.server.Stats().BudgetUsed; used > int64(memory) {
					t.Errorf("unexpected memory; got %d; want at most %d", used, memory)
				}
			}
		}
	})
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			for n := 1; ; n++ {
				rp := r.post(t.Context(), "/", body)
				if rp.err == nil && rp.status == 200 {
					return
				}
				if rp.err == nil && rp.status != 503 {
					t.Errorf("unexpected answer; got %d %s; want 200 or 503", rp.status, rp.body)
					return
				}
				rejected.Add(1)
				wait(t.Context(), time.Duration(min(n, 10))*20*time.Millisecond)
			}
		})
	}
	wg.Wait()
	close(watch)
	watcher.Wait()
	r.stop()
	st := r.producer.Stats()
	if want := uint64(connections * events); st.Confirmed != want {
		t.Errorf("unexpected number of events; got %d; want %d", st.Confirmed, want)
	}
	if rejected.Load() == 0 {
		t.Errorf("nothing was rejected: that was no overload")
	}
	if used := r.server.Stats().BudgetUsed; used != 0 {
		t.Errorf("unexpected memory at rest; got %d; want 0", used)
	}
	// The rest is garbage, and what the producer and the client have in hand.
	if most := int64(2*memory + 64<<20); peak.Load() > most {
		t.Errorf("unexpected heap; got %d; want at most %d", peak.Load(), most)
	}
	t.Logf("budget %d MiB, in flight %d MiB, peak heap %d MiB, 503s %d", memory>>20, connections*bodyBytes>>20, peak.Load()>>20, rejected.Load())
}

// TestClosingBehindTheAnswerIsNoLoss sends the same body again and again, from clients
// that close their connections as soon as they have the answer. Each is a body of its
// own: none may be taken for one that came before.
func TestClosingBehindTheAnswerIsNoLoss(t *testing.T) {
	r := &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 1), kinesistest.WithCountOnly()), real: true}
	r.configure("--server.listen=127.0.0.1:0")
	r.start()
	defer r.stop()
	const n = 300
	for range n {
		r.post(t.Context(), "/", []byte(`{"heartbeat":true}`), "Connection", "close").want(t, 200, `"events":1`)
	}
	if st := r.server.Stats(); st.Resumed != 0 || st.GoneBeforeAnswer != 0 || r.producer.Stats().Confirmed != n {
		t.Errorf("unexpected account; got %d resumed, %d gone, %d confirmed; want 0, 0, %d", st.Resumed, st.GoneBeforeAnswer, r.producer.Stats().Confirmed, n)
	}
}

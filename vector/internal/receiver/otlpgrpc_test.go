// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/snappy"
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlplogs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/testkit"
)

// snappyCompressor is what the collector's exporter has with compression: snappy.
type snappyCompressor struct{}

func (snappyCompressor) Name() string { return "snappy" }
func (snappyCompressor) Compress(w io.Writer) (io.WriteCloser, error) {
	return snappy.NewBufferedWriter(w), nil
}

func (snappyCompressor) Decompress(r io.Reader) (io.Reader, error) { return snappy.NewReader(r), nil }

// otlpRig is a server that takes OTLP over gRPC, with the streams logs and logs-b.
func otlpRig(t *testing.T, flags ...string) *rig {
	t.Helper()
	r := &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 1), kinesistest.WithStream("logs-b", 1)), log: &testkit.Buffer{}}
	r.configure(append([]string{"--otlp_grpc.listen=127.0.0.1:4317"}, flags...)...)
	r.start()
	return r
}

func (r *rig) logged() string { return r.log.(*testkit.Buffer).String() }

// otlpClient is a client of the gRPC library that the collector and the SDK of Go use.
func (r *rig) otlpClient(at *pipes, c credentials.TransportCredentials) (*grpc.ClientConn, func()) {
	r.t.Helper()
	conn, err := grpc.NewClient("passthrough:///kpl", grpc.WithTransportCredentials(c), grpc.WithDisableServiceConfig(),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return at.dial(ctx) }))
	if err != nil {
		r.t.Fatal(err)
	}
	return conn, func() { _ = conn.Close() }
}

// export sends a request without TLS.
func (r *rig) export(ctx context.Context, req *collogs.ExportLogsServiceRequest, opts ...grpc.CallOption) (*collogs.ExportLogsServiceResponse, error) {
	conn, done := r.otlpClient(r.otlpNet, insecure.NewCredentials())
	defer done()
	return collogs.NewLogsServiceClient(conn).Export(ctx, req, opts...)
}

// otlpNumbered makes a request with the numbers from lo to hi-1.
func otlpNumbered(lo, hi int) *collogs.ExportLogsServiceRequest {
	var records []*otlplogs.LogRecord
	for i := lo; i < hi; i++ {
		records = append(records, &otlplogs.LogRecord{Body: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: fmt.Sprintf("n=%d", i)}}})
	}
	return &collogs.ExportLogsServiceRequest{ResourceLogs: []*otlplogs.ResourceLogs{{ScopeLogs: []*otlplogs.ScopeLogs{{LogRecords: records}}}}}
}

// retryDelay is what the client is told to wait, or -1.
func retryDelay(err error) time.Duration {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			return info.RetryDelay.AsDuration()
		}
	}
	return -1
}

func TestOTLPOverGRPCArrivesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := otlpRig(t)
		n := 0
		for _, compression := range []string{"", "gzip", "zstd", "snappy"} {
			var opts []grpc.CallOption
			if compression != "" {
				opts = append(opts, grpc.UseCompressor(compression))
			}
			for _, size := range []int{1, 1000, 100_000} { // the last is above the limit of many gRPC servers
				res, err := r.export(t.Context(), otlpNumbered(n, n+size), opts...)
				if err != nil || res.PartialSuccess != nil {
					t.Fatalf("unexpected answer with %q; got %v, error %v; want success", compression, res, err)
				}
				n += size
			}
		}
		r.stop()
		r.account("logs", n, 0)
		st := r.server.Stats()
		if st.Confirmed != uint64(n) || st.BudgetUsed != 0 || st.Protocols != [protocolCount]uint64{protocolOTLP: 12} || st.NotServed != 0 {
			t.Errorf("unexpected statistics; got %d confirmed, %d bytes in use, requests by protocol %v, %d not served; want %d, 0, 12 of OTLP over gRPC, 0",
				st.Confirmed, st.BudgetUsed, st.Protocols, st.NotServed, n)
		}
	})
}

// TestOTLPOverGRPCCodes checks that a client repeats what may pass, and when, and gives up on
// the rest, of which nothing is written.
func TestOTLPOverGRPCCodes(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags []string
		fault *kinesistest.Fault
		hold  bool // no memory is left
		req   *collogs.ExportLogsServiceRequest
		want  codes.Code
	}{
		{name: "no events", req: &collogs.ExportLogsServiceRequest{}, want: codes.OK},
		{name: "Kinesis fails", flags: []string{"--producer.record_ttl=200ms"}, fault: &kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("InternalFailureException", "no")}, want: codes.Unavailable},
		{name: "no permission", flags: []string{"--producer.record_ttl=200ms"}, fault: &kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("AccessDeniedException", "no")}, want: codes.Unavailable},
		{name: "Kinesis is slow", flags: []string{"--route.ack_timeout=200ms"}, fault: &kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Delay(time.Second)}, want: codes.Unavailable},
		{name: "no memory", hold: true, want: codes.Unavailable},
		{name: "too many events", flags: []string{"--limits.events=2"}, want: codes.InvalidArgument},
		{name: "too large unpacked", flags: []string{"--limits.body_max_size=1KiB"}, req: otlpNumbered(0, 1000), want: codes.InvalidArgument},
		{name: "too large on the wire", flags: []string{"--limits.wire_max_size=1KiB"}, req: otlpNumbered(0, 1000), want: codes.InvalidArgument},
		{name: "an event is refused", flags: []string{"--route.record_max_size=5", "--route.oversize=reject"}, want: codes.InvalidArgument},
		{name: "no stream", flags: []string{"--route.stream="}, want: codes.InvalidArgument},
		{name: "no credentials", flags: []string{"--auth.bearer_env=TOKENS"}, want: codes.Unauthenticated},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := otlpRig(t, append(c.flags, "--route.retry_after=7s")...)
				defer r.stop()
				if c.fault != nil {
					defer r.kinesis.Fault(*c.fault).Remove()
				}
				if c.hold {
					r.server.budget.used = r.server.budget.size
					defer func() { r.server.budget.used = 0 }()
				}
				if c.req == nil {
					c.req = otlpNumbered(0, 3)
				}
				var trailer metadata.MD
				_, err := r.export(t.Context(), c.req, grpc.Trailer(&trailer))
				if got := status.Code(err); got != c.want {
					t.Errorf("unexpected code; got %s, %v; want %s", got, err, c.want)
				}
				want := time.Duration(-1)
				if c.want == codes.Unavailable {
					want = 7 * time.Second
				}
				if got := retryDelay(err); got != want {
					t.Errorf("unexpected delay before the client comes again; got %s; want %s", got, want)
				}
				// Python's exporter looks for it in a place of its own.
				if got := trailer.Get("google.rpc.retryinfo-bin"); (len(got) == 1 && got[0] == "\x0a\x02\x08\x07") != (want > 0) {
					t.Errorf("unexpected delay for Python's exporter; got %q; want one of 7 s if there is one", got)
				}
				if c.want != codes.OK && c.want != codes.Unavailable && len(r.stored("logs")) > 0 {
					t.Errorf("unexpected records after %s; got some; want none", c.want)
				}
			})
		})
	}
}

// Where the events go is said by metadata, as by headers over HTTP, and by the entry of routes
// for OTLP over HTTP.
func TestOTLPOverGRPCGoesWhereMetadataAndRoutesSay(t *testing.T) {
	for _, c := range []struct {
		name     string
		flags    []string
		file     string
		metadata []string
		stream   string
		code     codes.Code
	}{
		{name: "metadata", metadata: []string{"x-kpl-stream", "logs-b"}, stream: "logs-b"},
		{name: "a stream that is not allowed", metadata: []string{"x-kpl-stream", "other"}, code: codes.PermissionDenied},
		{name: "the entry of HTTP", file: "/v1/logs", stream: "logs-b"},
		{name: "an entry of its own", file: otlpPush, stream: "logs-b"},
		{name: "whatever format HTTP has", flags: []string{"--route.format=lines"}, stream: "logs"},
		{name: "with a token", flags: []string{"--auth.bearer_env=TOKENS"}, metadata: []string{"authorization", "Bearer secret-1"}, stream: "logs"},
		{name: "with a wrong token", flags: []string{"--auth.bearer_env=TOKENS"}, metadata: []string{"authorization", "Bearer secret-3"}, code: codes.Unauthenticated},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 1), kinesistest.WithStream("logs-b", 1))}
				r.configure(append([]string{"--otlp_grpc.listen=127.0.0.1:4317"}, c.flags...)...)
				if c.file != "" {
					other := r.cfg.Route
					other.Match, other.Stream = c.file, "logs-b"
					r.cfg.Routes = append(r.cfg.Routes, other)
				}
				r.start()
				defer r.stop()
				ctx := metadata.AppendToOutgoingContext(t.Context(), c.metadata...)
				if _, err := r.export(ctx, otlpNumbered(0, 10)); status.Code(err) != c.code {
					t.Errorf("unexpected code; got %v; want %s", err, c.code)
				}
				for _, stream := range []string{"logs", "logs-b"} {
					want := 0
					if stream == c.stream {
						want = 10
					}
					if got := len(r.stored(stream)); got != want {
						t.Errorf("unexpected number of events in %s; got %d; want %d", stream, got, want)
					}
				}
			})
		})
	}
}

func TestOTLPOverGRPCSaysWhatWasDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := otlpRig(t, "--route.record_max_size=11")
		defer r.stop()
		res, err := r.export(t.Context(), otlpNumbered(8, 12)) // {"body":"n=8"} and 9, 10, 11
		if err != nil || res.GetPartialSuccess().GetRejectedLogRecords() != 4 || res.GetPartialSuccess().GetErrorMessage() == "" {
			t.Errorf("unexpected answer; got %v, error %v; want 4 rejected log records with a text", res, err)
		}
	})
}

// A request that comes again after UNAVAILABLE, although a part of it was written, and after
// its client waited no longer.
func TestOTLPOverGRPCThatComesAgainWritesOnlyWhatIsMissing(t *testing.T) {
	for _, timeout := range []time.Duration{0, 500 * time.Millisecond} {
		t.Run(timeout.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := otlpRig(t, "--route.ack_timeout=2s")
				defer r.stop()
				r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Delay(3 * time.Second)})
				tries := 0
				for {
					tries++
					ctx, cancel := t.Context(), func() {}
					if timeout > 0 {
						ctx, cancel = context.WithTimeout(ctx, timeout)
					}
					_, err := r.export(ctx, otlpNumbered(0, 10), grpc.UseCompressor("gzip"))
					cancel()
					if err == nil {
						break
					}
					// The client hears of it in time, and when to come again.
					if status.Code(err) != codes.Unavailable || retryDelay(err) < 0 {
						t.Fatalf("unexpected answer; got %v; want Unavailable with a delay", err)
					}
					time.Sleep(100 * time.Millisecond)
				}
				r.account("logs", 10, 0)
				if resumed := r.server.Stats().Resumed; tries < 2 || resumed != uint64(tries-1) {
					t.Errorf("unexpected number of requests; got %d, of which %d were known; want 2 at least, and all but the first known", tries, resumed)
				}
			})
		})
	}
}

func TestGRPCTimeouts(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "S": 0, "10": 0, "1S": time.Second, "250m": 250 * time.Millisecond, "99999999n": 99_999_999, "10u": 10 * time.Microsecond,
		"2M": 2 * time.Minute, "3H": 3 * time.Hour, "99999999H": 365 * 24 * time.Hour, "-1S": 0, "1x": 0, "999999999S": 0, "1.5S": 0,
	} {
		r := &http.Request{Header: http.Header{"Grpc-Timeout": {text}}}
		if got := grpcTimeout(r); got != want {
			t.Errorf("unexpected timeout of %q; got %s; want %s", text, got, want)
		}
	}
}

// Traces and metrics are refused with a text that says so, and the log has it, too.
func TestOnlyLogsAreTakenOverGRPC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := otlpRig(t)
		defer r.stop()
		conn, done := r.otlpClient(r.otlpNet, insecure.NewCredentials())
		defer done()
		_, traces := coltrace.NewTraceServiceClient(conn).Export(t.Context(), &coltrace.ExportTraceServiceRequest{})
		_, metrics := colmetrics.NewMetricsServiceClient(conn).Export(t.Context(), &colmetrics.ExportMetricsServiceRequest{})
		other := conn.Invoke(t.Context(), "/a.B/C", &collogs.ExportLogsServiceRequest{}, &collogs.ExportLogsServiceResponse{})
		for err, want := range map[error]string{traces: "traces of OTLP", metrics: "metrics of OTLP", other: "gRPC"} {
			if status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "want ") {
				t.Errorf("unexpected answer; got %v; want Unimplemented, with %q", err, want)
			}
		}
		if text := r.logged(); !strings.Contains(text, `listener=otlp_grpc.listen client=pipe speaks="traces of OTLP"`) {
			t.Errorf("unexpected log; got %s; want a line about traces", text)
		}
		if n := r.server.Stats().NotServed; n != 3 {
			t.Errorf("unexpected number of requests that are not served; got %d; want 3", n)
		}
	})
}

func TestOTLPOverGRPCHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := otlpRig(t, "--auth.bearer_env=TOKENS")
		defer r.stop()
		conn, done := r.otlpClient(r.otlpNet, insecure.NewCredentials())
		defer done()
		for _, draining := range []bool{false, true} {
			r.server.draining.Store(draining)
			want := grpc_health_v1.HealthCheckResponse_SERVING
			if draining {
				want = grpc_health_v1.HealthCheckResponse_NOT_SERVING
			}
			res, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
			if err != nil || res.Status != want {
				t.Errorf("unexpected health; got %s, error %v; want %s", res.GetStatus(), err, want)
			}
		}
	})
}

func TestOTLPOverGRPCWithCertificates(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t, dir, "ca")
		cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		ca.issue(t, cert, key, "kpl")
		r := otlpRig(t, "--tls.cert_file="+cert, "--tls.key_file="+key, "--tls.client_ca_file="+ca.file)
		defer r.stop()
		without := &tls.Config{RootCAs: ca.pool, ServerName: "kpl"}
		with := without.Clone()
		with.Certificates = []tls.Certificate{ca.issue(t, filepath.Join(dir, "client.pem"), filepath.Join(dir, "client-key.pem"), "client")}
		for _, c := range []struct {
			tls  *tls.Config
			want codes.Code
		}{{without, codes.Unavailable}, {with, codes.OK}} {
			conn, done := r.otlpClient(r.otlpNet, credentials.NewTLS(c.tls))
			_, err := collogs.NewLogsServiceClient(conn).Export(t.Context(), otlpNumbered(0, 10))
			done()
			if status.Code(err) != c.want {
				t.Errorf("unexpected code with %d certificates; got %v; want %s", len(c.tls.Certificates), err, c.want)
			}
		}
		r.account("logs", 10, 0)
	})
}

// A client that comes to a listener of another protocol, or with or without TLS where it
// should not, gets an answer that it does not show. The log names the client, what it speaks,
// and the right listener.
func TestWrongListenersAreNamed(t *testing.T) {
	dir := t.TempDir()
	grpcTo := func(c credentials.TransportCredentials) func(*testing.T, *rig, *pipes) {
		return func(t *testing.T, r *rig, at *pipes) {
			conn, done := r.otlpClient(at, c)
			defer done()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := collogs.NewLogsServiceClient(conn).Export(ctx, otlpNumbered(0, 1)); err == nil {
				t.Error("unexpected success; want an error")
			}
		}
	}
	plain := grpcTo(insecure.NewCredentials())
	encrypted := grpcTo(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})) //nolint:gosec // the certificate is not what is tested
	text := func(request string) func(*testing.T, *rig, *pipes) {
		return func(t *testing.T, _ *rig, at *pipes) {
			c, err := at.dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			go func() { _, _ = io.WriteString(c, request) }()
			_, _ = io.ReadAll(c)
		}
	}
	const post = "POST /v1/logs HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
	admin := []string{"--server.admin_listen=127.0.0.1:8081"}
	const otlpWant = "OTLP over gRPC at otlp_grpc.listen = 127.0.0.1:4317"
	for _, c := range []struct {
		name   string
		tls    bool
		flags  []string
		at     string // otlp_grpc.listen, server.admin_listen or server.listen
		client func(*testing.T, *rig, *pipes)
		speaks string
		want   string
	}{
		{"gRPC at the port of HTTP", false, nil, "server.listen", plain, speaksHTTP2, otlpWant},
		{"gRPC with TLS at the port of HTTP", true, nil, "server.listen", encrypted, speaksHTTP2TLS, otlpWant},
		{"gRPC with TLS at the port of HTTP/2", true, []string{"--server.http2=true"}, "server.listen", encrypted, speaksOTLP, otlpWant},
		{"gRPC with TLS where there is none", false, nil, "otlp_grpc.listen", encrypted, speaksTLS, "tls.cert_file"},
		{"gRPC without TLS where there is some", true, nil, "otlp_grpc.listen", plain, speaksPlain, "tls.cert_file"},
		{"HTTP at the port of gRPC", false, nil, "otlp_grpc.listen", text(post), speaksHTTP, "HTTP at server.listen = 127.0.0.1:8080"},
		{"HTTP without TLS where there is some", true, nil, "server.listen", text(post), speaksPlain, "tls.cert_file"},
		{"HTTP with TLS where there is none", false, nil, "server.listen", encrypted, speaksTLS, "tls.cert_file"},
		{"HTTP with TLS at the port for metrics", false, admin, "server.admin_listen", encrypted, speaksTLS, "the scheme http); events go to server.listen = 127.0.0.1:8080"},
		{"HTTP with TLS at the port for metrics, which never has any", true, admin, "server.admin_listen", encrypted, speaksTLS, "the scheme http)"},
		{"gRPC at the port for metrics", false, admin, "server.admin_listen", plain, speaksHTTP2, otlpWant},
		{"events at the port for metrics", false, admin, "server.admin_listen", text(post), speaksEvents, "HTTP at server.listen = 127.0.0.1:8080"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if c.tls {
					ca := newAuthority(t, dir, "ca")
					cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
					ca.issue(t, cert, key, "kpl")
					c.flags = append(c.flags, "--tls.cert_file="+cert, "--tls.key_file="+key)
				}
				r := otlpRig(t, c.flags...)
				defer r.stop()
				c.client(t, r, map[string]*pipes{"server.listen": r.net, "otlp_grpc.listen": r.otlpNet, "server.admin_listen": r.adminNet}[c.at])
				synctest.Wait()
				line := ""
				for l := range strings.Lines(r.logged()) {
					if strings.Contains(l, "speaks a protocol that is not served there") {
						line = l
						break
					}
				}
				for _, part := range []string{"level=WARN", "listener=" + c.at + " client=", c.speaks, c.want} {
					if !strings.Contains(line, part) {
						t.Errorf("unexpected line; got %q; want one with %q; log %s", line, part, r.logged())
					}
				}
				if r.server.Stats().NotServed == 0 {
					t.Error("unexpected number of clients that are not served; got 0; want some")
				}
				if n := len(r.stored("logs")); n > 0 {
					t.Errorf("unexpected records; got %d; want none", n)
				}
			})
		})
	}
}

// HTTP at the port of gRPC is told where it belongs.
func TestHTTPAtThePortOfGRPCIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := otlpRig(t)
		defer r.stop()
		r.net = r.otlpNet
		r.post(t.Context(), "/v1/logs", []byte("{}"), "Content-Type", "application/json").want(t, 415, "want HTTP at server.listen = 127.0.0.1:8080")
	})
}

// No byte of a message is read before its memory is there, and a client that does not send it
// does not hold that for ever.
func TestOTLPOverGRPCGivesUpOnSlowMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := otlpRig(t, "--server.body_grace=1s", "--limits.memory=256MiB")
		defer r.stop()
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		transport := &http.Transport{Protocols: protocols, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return r.otlpNet.dial(ctx) }}
		defer transport.CloseIdleConnections()
		body, rest := io.Pipe()
		defer func() { _ = rest.Close() }()
		go func() { _, _ = io.WriteString(rest, "\x00\x00\x00\x40\x00some") }() // and no more
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://kpl"+otlpPush, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", grpcContentType)
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if code := res.Trailer.Get("Grpc-Status"); code != "14" {
			t.Errorf("unexpected code; got %q; want 14", code)
		}
		if st := r.server.Stats(); st.Rejected[ReasonSlow] != 1 || st.BudgetUsed != 0 {
			t.Errorf("unexpected statistics; got %d slow, %d bytes in use; want 1 and 0", st.Rejected[ReasonSlow], st.BudgetUsed)
		}
	})
}

// TestOTLPOverGRPCDrains is SIGTERM while a client sends: nothing is lost, nothing doubled.
func TestOTLPOverGRPCDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := otlpRig(t, "--server.drain_delay=50ms")
		r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Delay(10 * time.Millisecond)})
		conn, done := r.otlpClient(r.otlpNet, insecure.NewCredentials())
		defer done()
		ended := make(chan int)
		go func() {
			n := 0
			for ; ; n++ {
				_, err := collogs.NewLogsServiceClient(conn).Export(context.Background(), otlpNumbered(n*100, n*100+100))
				if err != nil {
					if status.Code(err) != codes.Unavailable {
						t.Errorf("unexpected code while draining; got %v; want Unavailable", err)
					}
					break
				}
			}
			ended <- n
		}()
		time.Sleep(100 * time.Millisecond)
		r.stop()
		n := <-ended
		got := r.stored("logs")
		// What was under way has its outcome, so that nothing is there of which the client does not know.
		if len(got) != n*100 {
			t.Errorf("unexpected number of events; got %d; want the %d that were confirmed", len(got), n*100)
		}
		for i := range n * 100 {
			if got[i] != 1 {
				t.Fatalf("unexpected number of event %d; got %d; want 1", i, got[i])
			}
		}
	})
}

// Vector cannot send credentials. By an explicit option it may do without them beside HTTP
// that needs some, and the log says so.
func TestNativeBesideCredentialsByOption(t *testing.T) {
	logs := &testkit.Buffer{}
	r := &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 4)), real: true, log: logs}
	r.configure("--server.listen=127.0.0.1:0", "--native.listen=127.0.0.1:0", "--auth.bearer_env=TOKENS", "--native.anonymous=true")
	r.start()
	defer r.stop()
	if code := r.vectorSink(insecure.NewCredentials()).push(t.Context(), numbered(0, 10)); code != codes.OK {
		t.Errorf("unexpected code; got %s; want OK", code)
	}
	r.post(t.Context(), "/", ndjson(10, 20)).want(t, 401, "")
	r.account("logs", 10, 0)
	if text := logs.String(); strings.Count(text, "native.listen takes events without the credentials of auth") != 1 {
		t.Errorf("unexpected log; got %s; want one line that native.listen is open", text)
	}
}

// The protocols are labels of a metric, and their order that of the statistics.
func TestProtocolsHaveNames(t *testing.T) {
	var names []string
	for p := range protocolCount {
		names = append(names, p.String())
	}
	if want := []string{"http", "vector", "otlp_grpc"}; !slices.Equal(names, want) {
		t.Errorf("unexpected names; got %q; want %q", names, want)
	}
}

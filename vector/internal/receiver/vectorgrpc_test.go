// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // a compressor of the client
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/vector/internal/vectorpb"
)

// zstdCompressor is what Vector's sink has with compression: zstd.
type zstdCompressor struct{}

func (zstdCompressor) Name() string                                 { return "zstd" }
func (zstdCompressor) Compress(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }
func (zstdCompressor) Decompress(r io.Reader) (io.Reader, error)    { return zstd.NewReader(r) }

// nativeRig is a server with a listener for Vector's protocol, on sockets.
func nativeRig(t *testing.T, flags ...string) *rig {
	t.Helper()
	r := &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 4)), real: true}
	r.configure(append([]string{"--server.listen=127.0.0.1:0", "--native.listen=127.0.0.1:0"}, flags...)...)
	r.start()
	return r
}

// vectorSink is a client with the settings and habits of Vector's sink: one request
// message, no grpc-timeout, and the codes that it gives up on.
type vectorSink struct {
	t    *testing.T
	conn *grpc.ClientConn
	opts []grpc.CallOption
}

func (r *rig) vectorSink(c credentials.TransportCredentials, opts ...grpc.CallOption) *vectorSink {
	r.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+r.server.NativeAddr(), grpc.WithTransportCredentials(c), grpc.WithDisableServiceConfig())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	return &vectorSink{r.t, conn, opts}
}

func (v *vectorSink) push(ctx context.Context, req proto.Message) codes.Code {
	err := v.conn.Invoke(ctx, nativePush, req, vectorpb.New("PushEventsResponse"), v.opts...)
	return status.Code(err)
}

// retriable is src/sinks/vector/config.rs of Vector 0.58.
func retriable(c codes.Code) bool {
	switch c {
	case codes.OK, codes.NotFound, codes.InvalidArgument, codes.AlreadyExists, codes.PermissionDenied, codes.OutOfRange,
		codes.Unimplemented, codes.Unauthenticated, codes.DataLoss:
		return false
	}
	return true
}

// numbered makes logs with the numbers from lo to hi-1.
func numbered(lo, hi int) proto.Message {
	var events []string
	for i := lo; i < hi; i++ {
		events = append(events, vectorpb.Log("", map[string]string{
			"message": vectorpb.Text(strings.Repeat("x", i%50)), "n": vectorpb.Integer(int64(i)), "timestamp": vectorpb.Time(1_790_000_000, 0),
		}))
	}
	return vectorpb.Request(events...)
}

func TestNativeEventsArriveOnce(t *testing.T) {
	r := nativeRig(t, "--route.ack_timeout=1m") // a busy machine is not what is tested
	n := 0
	for _, compression := range []string{"", "gzip", "zstd"} {
		var opts []grpc.CallOption
		if compression != "" {
			opts = append(opts, grpc.UseCompressor(compression))
		}
		sink := r.vectorSink(insecure.NewCredentials(), opts...)
		for _, size := range []int{1, 1000, 20_000} { // the last is above the limit of many gRPC servers
			if code := sink.push(t.Context(), numbered(n, n+size)); code != codes.OK {
				t.Fatalf("unexpected code with %q; got %s; want OK", compression, code)
			}
			n += size
		}
	}
	r.stop() // requests are counted behind their answers
	r.account("logs", n, 0)
	if st := r.server.Stats(); st.Confirmed != uint64(n) || st.BudgetUsed != 0 {
		t.Errorf("unexpected statistics; got %d confirmed, %d bytes in use; want %d and 0", st.Confirmed, st.BudgetUsed, n)
	}
}

func TestNativeHealthChecks(t *testing.T) {
	r := nativeRig(t, "--native.credentials=true", "--auth.bearer_env=TOKENS")
	sink := r.vectorSink(insecure.NewCredentials())
	check := func(want protoreflect.Name, wantStandard grpc_health_v1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		res := vectorpb.New("HealthCheckResponse")
		err := sink.conn.Invoke(t.Context(), nativeHealth, vectorpb.New("HealthCheckRequest"), res)
		field := res.Descriptor().Fields().ByName("status")
		if got := field.Enum().Values().ByNumber(res.Get(field).Enum()).Name(); err != nil || got != want {
			t.Errorf("unexpected health; got %s, error %v; want %s", got, err, want)
		}
		standard, err := grpc_health_v1.NewHealthClient(sink.conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "vector.Vector"})
		if err != nil || standard.Status != wantStandard {
			t.Errorf("unexpected health; got %s, error %v; want %s", standard.GetStatus(), err, wantStandard)
		}
	}
	check("SERVING", grpc_health_v1.HealthCheckResponse_SERVING)
	r.server.draining.Store(true)
	check("NOT_SERVING", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	if err := sink.conn.Invoke(t.Context(), "/vector.Vector/Other", vectorpb.New("HealthCheckRequest"), vectorpb.New("HealthCheckResponse")); status.Code(err) != codes.Unimplemented {
		t.Errorf("unexpected error for another method; got %v; want Unimplemented", err)
	}
	r.stop()
}

// TestNativeCodes checks that Vector repeats what may pass and gives up on the rest.
func TestNativeCodes(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags []string
		fault *kinesistest.Fault
		req   proto.Message
		want  codes.Code
	}{
		{"no events", nil, nil, vectorpb.Request(), codes.OK},
		{"Kinesis fails", []string{"--producer.record_ttl=200ms"}, &kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("InternalFailureException", "no")}, numbered(0, 3), codes.Unavailable},
		{"no permission", []string{"--producer.record_ttl=200ms"}, &kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("AccessDeniedException", "no")}, numbered(0, 3), codes.Unavailable},
		{"Kinesis is slow", []string{"--route.ack_timeout=200ms"}, &kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Delay(time.Second)}, numbered(0, 3), codes.Unavailable},
		{"too many events", []string{"--limits.events=2"}, nil, numbered(0, 3), codes.InvalidArgument},
		{"too large unpacked", []string{"--limits.body_max_size=1KiB"}, nil, numbered(0, 1000), codes.InvalidArgument},
		{"too large on the wire", []string{"--limits.wire_max_size=1KiB"}, nil, numbered(0, 1000), codes.InvalidArgument},
		{"no event in the wrapper", nil, nil, vectorpb.Request(""), codes.InvalidArgument},
		{"an event is refused", []string{"--route.record_max_size=20", "--route.too_large=reject"}, nil, numbered(0, 3), codes.InvalidArgument},
		{"no stream", []string{"--route.stream="}, nil, numbered(0, 3), codes.InvalidArgument},
		{"no credentials", []string{"--auth.bearer_env=TOKENS", "--native.credentials=true"}, nil, numbered(0, 3), codes.Unauthenticated},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := nativeRig(t, c.flags...)
			defer r.stop()
			if c.fault != nil {
				defer r.kinesis.Fault(*c.fault).Remove()
			}
			got := r.vectorSink(insecure.NewCredentials()).push(t.Context(), c.req)
			if got != c.want || retriable(got) != (c.want == codes.Unavailable) {
				t.Errorf("unexpected code; got %s; want %s", got, c.want)
			}
			if got != codes.OK && got != codes.Unavailable && len(r.stored("logs")) > 0 {
				t.Errorf("unexpected records after %s; got some; want none", got)
			}
		})
	}
}

func TestNativeCredentialsAreAsOverHTTP(t *testing.T) {
	r := nativeRig(t, "--auth.bearer_env=TOKENS", "--native.credentials=true")
	defer r.stop()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer secret-2")
	if code := r.vectorSink(insecure.NewCredentials()).push(ctx, numbered(0, 10)); code != codes.OK {
		t.Errorf("unexpected code; got %s; want OK", code)
	}
}

func TestNativeNeedsCertificates(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, dir, "ca")
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	ca.issue(t, cert, key, "kpl")
	r := nativeRig(t, "--tls.cert_file="+cert, "--tls.key_file="+key, "--tls.client_ca_file="+ca.file, "--auth.bearer_env=TOKENS")
	defer r.stop()
	without := &tls.Config{RootCAs: ca.pool, ServerName: "kpl"}
	if code := r.vectorSink(credentials.NewTLS(without)).push(t.Context(), numbered(0, 10)); !retriable(code) {
		t.Errorf("unexpected code without a certificate; got %s; want one that Vector repeats on", code)
	}
	with := without.Clone()
	with.Certificates = []tls.Certificate{ca.issue(t, filepath.Join(dir, "client.pem"), filepath.Join(dir, "client-key.pem"), "client")}
	if code := r.vectorSink(credentials.NewTLS(with)).push(t.Context(), numbered(0, 10)); code != codes.OK {
		t.Errorf("unexpected code with a certificate; got %s; want OK", code)
	}
	r.account("logs", 10, 0)
}

// TestNativeRetriesWriteOnlyWhatIsMissing sends a request again, as Vector does, whose
// first answer was UNAVAILABLE although a part of it was written.
func TestNativeRetriesWriteOnlyWhatIsMissing(t *testing.T) {
	r := nativeRig(t, "--route.ack_timeout=300ms")
	defer r.stop()
	r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Delay(500 * time.Millisecond)})
	sink := r.vectorSink(insecure.NewCredentials(), grpc.UseCompressor("gzip"))
	// A map has no order in Go; Vector's has, so its bytes are the same each time.
	req := vectorpb.Request(vectorpb.Log("", map[string]string{"n": vectorpb.Integer(0)}))
	tries := 1
	for ; retriable(sink.push(t.Context(), req)); tries++ {
	}
	if tries < 2 {
		t.Errorf("unexpected number of tries; got %d; want at least 2", tries)
	}
	r.account("logs", 1, 0)
	if got := r.server.Stats().Resumed; got == 0 {
		t.Errorf("unexpected number of resumed requests; got %d; want at least 1", got)
	}
}

func TestNativeMetricsAndTraces(t *testing.T) {
	req := vectorpb.Request(
		vectorpb.Log("", map[string]string{"kind": vectorpb.Text("log")}),
		vectorpb.Metric(`name: "m" counter { value: 2 }`),
		vectorpb.Trace(map[string]string{"kind": vectorpb.Text("trace")}),
	)
	for _, c := range []struct {
		flags   []string
		code    codes.Code
		records []string
		dropped uint64
	}{
		{nil, codes.OK, []string{`{"kind":"log"}`, `{"kind":"trace"}`, `{"name":"m","kind":"incremental","counter":{"value":2.0}}`}, 0},
		{[]string{"--native.metrics=drop", "--native.traces=drop"}, codes.OK, []string{`{"kind":"log"}`}, 2},
		{[]string{"--native.traces=reject"}, codes.InvalidArgument, nil, 0},
	} {
		t.Run(fmt.Sprint(c.flags), func(t *testing.T) {
			r := nativeRig(t, c.flags...)
			defer r.stop()
			if code := r.vectorSink(insecure.NewCredentials()).push(t.Context(), req); code != c.code {
				t.Errorf("unexpected code; got %s; want %s", code, c.code)
			}
			got := map[string]bool{}
			for _, u := range r.kinesis.Consume("logs").Records {
				got[string(u.Data)] = true
			}
			if list := slices.Sorted(maps.Keys(got)); !slices.Equal(list, c.records) {
				t.Errorf("unexpected records; got %q; want %q", list, c.records)
			}
			if d := r.server.Stats().Dropped[PoisonNotLog]; d != c.dropped {
				t.Errorf("unexpected number of dropped events; got %d; want %d", d, c.dropped)
			}
		})
	}
}

// TestNativeBrokenRequests are those that no gRPC library makes.
func TestNativeBrokenRequests(t *testing.T) {
	r := nativeRig(t)
	defer r.stop()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	for _, c := range []struct {
		name, body, encoding, contentType string
		status                            int
		code                              string
	}{
		{"nothing", "", "", "application/grpc", 200, "14"},
		{"half a header", "\x00\x00\x00", "", "application/grpc", 200, "14"},
		{"half a message", "\x00\x00\x00\x00\x09abc", "", "application/grpc", 200, "14"},
		{"two messages", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "", "application/grpc", 200, "3"},
		{"not protobuf", "\x00\x00\x00\x00\x03abc", "", "application/grpc", 200, "3"},
		{"unknown flag", "\x07\x00\x00\x00\x00", "", "application/grpc", 200, "3"},
		{"compressed by nothing", "\x01\x00\x00\x00\x00", "", "application/grpc", 200, "3"},
		{"compressed by something else", "\x01\x00\x00\x00\x01a", "brotli", "application/grpc+proto", 200, "12"},
		{"declares 4 GiB", "\x00\xff\xff\xff\xff", "", "application/grpc", 200, "3"},
		{"not gRPC", "{}", "", "application/json", 415, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+r.server.NativeAddr()+nativePush, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", c.contentType)
			if c.encoding != "" {
				req.Header.Set("Grpc-Encoding", c.encoding)
			}
			res, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if res.StatusCode != c.status || res.Trailer.Get("Grpc-Status") != c.code {
				t.Errorf("unexpected answer; got %d, code %q %q; want %d, code %q", res.StatusCode, res.Trailer.Get("Grpc-Status"), res.Trailer.Get("Grpc-Message"), c.status, c.code)
			}
		})
	}
	if n := len(r.stored("logs")); n > 0 {
		t.Errorf("unexpected records; got %d; want none", n)
	}
}

// TestNativeDrains is SIGTERM while Vector sends: nothing is lost, nothing doubled.
func TestNativeDrains(t *testing.T) {
	r := nativeRig(t, "--server.drain_delay=50ms")
	sink := r.vectorSink(insecure.NewCredentials())
	done := make(chan int)
	started := make(chan struct{})
	go func() {
		n := 0
		for ; ; n++ {
			if code := sink.push(context.Background(), numbered(n*100, n*100+100)); code != codes.OK {
				if !retriable(code) {
					t.Errorf("unexpected code while draining; got %s; want one that Vector repeats on", code)
				}
				break
			}
			if n == 3 {
				close(started)
			}
		}
		done <- n
	}()
	<-started
	r.stop()
	n := <-done
	got := r.stored("logs")
	for i := range n * 100 {
		if got[i] != 1 {
			t.Fatalf("unexpected number of event %d; got %d; want 1", i, got[i])
		}
	}
}

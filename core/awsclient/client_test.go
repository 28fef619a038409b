// SPDX-License-Identifier: Apache-2.0

package awsclient_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// alone shields a test from the settings of the machine.
func alone(t *testing.T) {
	t.Helper()
	none := filepath.Join(t.TempDir(), "none")
	for _, k := range []string{
		"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION",
		"AWS_ENDPOINT_URL", "AWS_CA_BUNDLE", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT",
	} {
		t.Setenv(k, "")
		os.Unsetenv(k) // restored by Setenv's cleanup; some count when they are empty
	}
	t.Setenv("AWS_CONFIG_FILE", none)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", none)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
}

func TestParseEndpoint(t *testing.T) {
	for _, c := range []struct {
		in, want string
		bad      bool
	}{
		{in: "", want: ""},
		{in: "kinesis.eu-west-1.amazonaws.com", want: "https://kinesis.eu-west-1.amazonaws.com"},
		{in: "localhost:4567", want: "https://localhost:4567"},
		{in: "http://127.0.0.1:4567", want: "http://127.0.0.1:4567"},
		{in: "https://vpce-1.kinesis.eu-west-1.vpce.amazonaws.com/", want: "https://vpce-1.kinesis.eu-west-1.vpce.amazonaws.com"},
		{in: "http://[::1]:4567", want: "http://[::1]:4567"},
		{in: "ftp://host", bad: true},
		{in: "http://", bad: true},
		{in: "host:0", bad: true},
		{in: "host:70000", bad: true},
		{in: "host:", bad: true},
		{in: "http://host/path", bad: true},
		{in: "http://user:pw@host", bad: true},
		{in: "a b", bad: true},
	} {
		got, err := awsclient.ParseEndpoint(c.in)
		if (err != nil) != c.bad || got != c.want {
			t.Errorf("unexpected result for %q; got %q, %v; want %q, error: %v", c.in, got, err, c.want, c.bad)
		}
	}
}

func TestErrorsShowNoPassword(t *testing.T) {
	for in, want := range map[string]string{
		"http://user:hush@host": "http://...@host", "user:hush@host:1": "...@host:1", "https://u:hush/@x@h/p": "https://...@h/p", "ftp://host": "ftp://host",
	} {
		if _, err := awsclient.ParseEndpoint(in); err == nil || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), `"`+want+`"`) {
			t.Errorf("unexpected error for %q; got %v; want one with %q", in, err, want)
		}
	}
}

func TestEveryWrongSettingIsReportedAtOnce(t *testing.T) {
	alone(t)
	_, err := awsclient.New(context.Background(), awsclient.Config{
		Region: "x", Endpoint: "ftp://a", STSEndpoint: "b c", ExternalID: "e", MaxConnections: 1000, ConnectTimeout: 1,
	})
	for _, want := range []string{`endpoint "ftp://a"`, `sts endpoint "b c"`, "external ID", "max connections 1000", "connect timeout 1ns"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("unexpected error; got %v; want %q in it", err, want)
		}
	}
}

func TestEndpointDoesNotGoWithFIPS(t *testing.T) {
	alone(t)
	_, err := awsclient.New(context.Background(), awsclient.Config{Region: "us-east-1", Endpoint: "a", FIPS: true, Proxy: "ftp://u:secret@x"})
	if err == nil || !strings.Contains(err.Error(), "FIPS") || !strings.Contains(err.Error(), "proxy is not valid") || strings.Contains(err.Error(), "secret") {
		t.Errorf("unexpected error; got %v; want one about FIPS and the proxy, without the password", err)
	}
}

func TestUnreadableCAFileIsAnError(t *testing.T) {
	alone(t)
	none := filepath.Join(t.TempDir(), "none.pem")
	if _, err := awsclient.New(context.Background(), awsclient.Config{Region: "us-east-1", CAFile: none}); err == nil || !strings.Contains(err.Error(), none) {
		t.Errorf("unexpected error; got %v; want one that names the file", err)
	}
	for _, text := range []string{"no certificate", "\ufeff", "\xff\xfe-\x00"} {
		if err := os.WriteFile(none, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := awsclient.New(context.Background(), awsclient.Config{Region: "us-east-1", CAFile: none}); err == nil || !strings.Contains(err.Error(), none) {
			t.Errorf("unexpected error for a file of %q; got %v; want one that names the file", text, err)
		}
	}
}

// An answer that is cut off makes the SDK say something, which must not go to the
// standard error of the host.
func TestMessagesOfTheSDKGoToTheLogger(t *testing.T) {
	alone(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte("{}"))
	}))
	defer s.Close()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c, err := awsclient.New(context.Background(), awsclient.Config{Region: "us-east-1", Endpoint: s.URL, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String("s")}); err == nil {
		t.Fatal("unexpected success of ListShards")
	}
	if !strings.Contains(log.String(), "level=DEBUG") || !strings.Contains(log.String(), "AWS SDK: ") {
		t.Errorf("unexpected log; got %q; want a line of the SDK at debug level", log.String())
	}
}

func TestCAFileAndSkipVerifyAreUsed(t *testing.T) {
	alone(t)
	s := kinesistest.New(kinesistest.WithStream("logs", 1), kinesistest.WithTLS())
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	pem := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(pem, s.CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	marked := filepath.Join(t.TempDir(), "marked.pem")
	if err := os.WriteFile(marked, append([]byte("\ufeff"), s.CertPEM()...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, cfg := range []awsclient.Config{{CAFile: pem}, {CAFile: marked}, {SkipVerify: true}} {
		cfg.Region, cfg.Endpoint = "us-east-1", s.URL()
		c, err := awsclient.New(context.Background(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String("logs")}); err != nil {
			t.Errorf("unexpected error with %+v: %v", cfg, err)
		}
	}
}

// seen is a server that keeps what a request looked like and answers nothing of use.
func seen(t *testing.T) (url string, request func() *http.Request) {
	t.Helper()
	var last atomic.Pointer[http.Request]
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last.Store(r)
		w.WriteHeader(http.StatusBadRequest)
	}))
	t.Cleanup(s.Close)
	return s.URL, last.Load
}

func TestProxyAndUserAgent(t *testing.T) {
	alone(t)
	url, request := seen(t)
	c, err := awsclient.New(context.Background(), awsclient.Config{
		Region: "us-east-1", Endpoint: "http://kinesis.example.com", Proxy: url, Product: "out_kpl", Version: "1", ExtraUserAgent: "team/logs edge",
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String("logs")})
	r := request()
	if r == nil || r.Host != "kinesis.example.com" {
		t.Fatalf("unexpected request at the proxy: %v", r)
	}
	for _, want := range []string{"out_kpl/1", "team/logs", "edge"} {
		if !strings.Contains(r.UserAgent(), want) {
			t.Errorf("unexpected user agent; got %q; want %q in it", r.UserAgent(), want)
		}
	}
}

func TestLocalAddressesDoNotGoThroughTheProxy(t *testing.T) {
	alone(t)
	s := kinesistest.New(kinesistest.WithStream("logs", 1))
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	url, request := seen(t)
	c, err := awsclient.New(context.Background(), awsclient.Config{Region: "us-east-1", Endpoint: s.URL(), Proxy: url})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String("logs")}); err != nil || request() != nil {
		t.Errorf("unexpected result; got %v, at the proxy: %v", err, request())
	}
}

func TestMissingRegionIsNamed(t *testing.T) {
	alone(t)
	if _, err := awsclient.New(context.Background(), awsclient.Config{}); err == nil || !strings.Contains(err.Error(), "AWS_REGION") {
		t.Errorf("unexpected error; got %v; want one that names AWS_REGION", err)
	}
}

func TestCallsWorkAndAreNotRetriedByTheSDK(t *testing.T) {
	alone(t)
	s := kinesistest.New(kinesistest.WithStream("logs", 1))
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := awsclient.New(context.Background(), awsclient.Config{Region: "us-east-1", Endpoint: s.URL(), Product: "out_kpl", Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String("logs")}); err != nil {
		t.Fatal(err)
	}
	s.Fault(kinesistest.Fault{Effect: kinesistest.Status(503)})
	before := s.Calls("DescribeStreamSummary")
	if _, err := c.DescribeStreamSummary(context.Background(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("logs")}); err == nil {
		t.Fatal("unexpected success")
	}
	if got := s.Calls("DescribeStreamSummary") - before; got != 1 {
		t.Errorf("unexpected number of calls; got %d; want 1", got)
	}
}

func TestCABundleOfTheEnvironmentIsUsed(t *testing.T) {
	alone(t)
	s := kinesistest.New(kinesistest.WithStream("logs", 1), kinesistest.WithTLS())
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	call := func() error {
		c, err := awsclient.New(context.Background(), awsclient.Config{Region: "us-east-1", Endpoint: s.URL()})
		if err != nil {
			return err
		}
		_, err = c.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String("logs")})
		return err
	}
	if err := call(); err == nil {
		t.Fatal("unexpected trust in an unknown certificate")
	}
	pem := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(pem, s.CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CA_BUNDLE", pem)
	if err := call(); err != nil {
		t.Fatal(err)
	}
}

// credentialsFrom makes a server like that of a container the only source of
// credentials. It has some when there says so.
func credentialsFrom(t *testing.T, there func() bool) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !there() {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{
			"AccessKeyId": "id", "SecretAccessKey": "s", "Token": "t", "Expiration": "2100-01-01T00:00:00Z",
		})
	}))
	t.Cleanup(s.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", s.URL)
}

func TestExpiredCredentialsAreFetchedAnew(t *testing.T) {
	alone(t)
	var fetched atomic.Int32
	credentialsFrom(t, func() bool { fetched.Add(1); return true })
	s := kinesistest.New(kinesistest.WithStream("logs", 1))
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Fault(kinesistest.Fault{Operation: "ListShards", Times: 1, Effect: kinesistest.Fail("ExpiredTokenException", "expired")})
	c, err := awsclient.New(context.Background(), awsclient.Config{Region: "us-east-1", Endpoint: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	in := &kinesis.ListShardsInput{StreamName: aws.String("logs")}
	if _, err := c.ListShards(context.Background(), in); err == nil {
		t.Fatal("unexpected success with expired credentials")
	}
	if _, err := c.ListShards(context.Background(), in); err != nil {
		t.Fatal(err)
	}
	if got := fetched.Load(); got != 2 {
		t.Errorf("unexpected number of fetches of credentials; got %d; want 2", got)
	}
}

func TestWithoutCredentialsRecordsWaitAndTheLogSaysWhy(t *testing.T) {
	alone(t)
	var there atomic.Bool
	credentialsFrom(t, there.Load)
	s := kinesistest.New(kinesistest.WithStream("logs", 1))
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := awsclient.New(context.Background(), awsclient.Config{Region: "us-east-1", Endpoint: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	p, err := core.New(c, core.WithLogger(slog.New(slog.NewTextHandler(firstWrite(said), nil))))
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.Put(context.Background(), "logs", core.Record{PartitionKey: "k", Data: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	if line := <-said; !strings.Contains(line, "code=NoCredentials") {
		t.Errorf("unexpected log; got %q; want code=NoCredentials", line)
	}
	if _, _, pending := b.Counts(); pending != 1 {
		t.Errorf("unexpected number of pending records; got %d; want 1", pending)
	}
	there.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := b.Wait(ctx); err != nil || b.Err() != nil {
		t.Errorf("unexpected outcome after credentials came: %v, %v", err, b.Err())
	}
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
}

// firstWrite passes the first line on and drops the others.
type firstWrite chan string

func (w firstWrite) Write(p []byte) (int, error) {
	select {
	case w <- string(p):
	default:
	}
	return len(p), nil
}

// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/vector/internal/config"
)

func TestCommands(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("server:\n  lissten: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	shipped, err := os.ReadFile("../../../conf/kpl-http.yaml")
	if err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(t.TempDir(), "good.yaml")
	if err := os.WriteFile(good, append(shipped, "\naws: {region: us-east-1}\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_CA_BUNDLE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	for _, c := range []struct {
		name        string
		args        []string
		code        int
		out, errOut string
	}{
		{"check of a good file", []string{"check", good}, 0, "ok\n", ""},
		{"check of a bad file", []string{"check", bad}, 2, "", bad + ":2:3: server.lissten: no such key; did you mean listen?"},
		{"check with flags", []string{"check", good, "--route.empty=1"}, 2, "", "no such option"},
		{"check without a file", []string{"check"}, 2, "", "neither route.stream nor route.streams is set"},
		{"check of flags alone", []string{"check", "--route.stream=a", "--aws.region=eu-west-1"}, 0, "ok\n", ""},
		{"check with the region of an ARN", []string{"check", "--route.stream=arn:aws:kinesis:eu-west-1:123456789012:stream/a"}, 0, "ok\n", ""},
		{"check without a region", []string{"check", "--route.stream=a"}, 2, "", "aws.region: no region is set"},
		{"run without a region", []string{"--route.stream=a"}, 1, "", "aws.region: no region is set"},
		{"check with a profile that is none", []string{"check", good, "--aws.profile=nobody"}, 2, "", "nobody"},
		{"check with files that are missing", []string{"check", good, "--aws.ca_file=/none/ca", "--auth.bearer_files=/none/tokens", "--tls.cert_file=/none/c", "--tls.key_file=/none/k"}, 2, "", "/none/c"},
		{"all that are missing at once", []string{"check", good, "--aws.ca_file=/none/ca", "--auth.bearer_files=/none/tokens"}, 2, "", "/none/tokens"},
		{"check of dead letters in no directory", []string{"check", good, "--dead_letter.file=/none/file"}, 2, "", `dead_letter.file: "/none/file": `},
		{"check of dead letters in a file", []string{"check", good, "--dead_letter.file=" + bad + "/dead letters"}, 2, "", "not a directory"},
		{"check of a directory for dead letters", []string{"check", good, "--dead_letter.file=" + filepath.Dir(bad)}, 2, "", "is a directory"},
		{"check of endpoints of AWS beside another", []string{"check", good, "--aws.fips=true", "--aws.endpoint=http://127.0.0.1:1"}, 2, "", "aws.use_fips_endpoint: it chooses among the endpoints of AWS, but aws.endpoint"},
		{"check with the file as for run", []string{"check", "--config", bad}, 2, "", bad + ":2:3: server.lissten"},
		{"check of no file", []string{"check", "/does/not/exist"}, 2, "", "cannot read the configuration"},
		{"print-config", []string{"print-config", good, "--log.level=warn"}, 0, `level: "warn" # flag --log.level`, ""},
		{"schema", []string{"schema"}, 0, `"additionalProperties": false`, ""},
		{"options", []string{"options"}, 0, "| `server.listen` |", ""},
		{"version", []string{"version"}, 0, "kpl-http", ""},
		{"version as a flag", []string{"--version"}, 0, "kpl-http", ""},
		{"a slip in --config", []string{"--confg", good}, 2, "", "flag --confg: no such option; did you mean --config?\n"},
		{"a slip in --config with =", []string{"--confg=" + good}, 2, "", "flag --confg=" + good + ": no such option; did you mean --config?\n"},
		{"a slip in an option", []string{"--server.lissten=:1"}, 2, "", "no such option; did you mean server.listen?\n"},
		{"a flag that is none", []string{"--zzzzzzzzzzz=1"}, 2, "", "no such option; kpl-http options lists all\n"},
		{"help", []string{"run", "--help"}, 0, "print-config", ""},
		{"unknown command", []string{"serve"}, 2, "", "unknown command \"serve\"\n"},
		{"a slip in a command", []string{"chekc", good}, 2, "", "unknown command \"chekc\"; did you mean kpl-http check?\n"},
		{"a file where a command stands", []string{good}, 2, "", "; the file of the configuration is named by --config\n"},
		{"config without a file", []string{"--config"}, 2, "", "--config needs a file"},
		{"run with a bad file", []string{"--config", bad}, 2, "", "lissten"},
		{"run of an address that is taken by nobody's choice", []string{"--config=" + good, "--server.listen=192.0.2.1:1", "--server.drain_delay=0", "--aws.startup_check=off"}, 1, "", "cannot listen on server.listen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			code := Main(t.Context(), c.args, nil, &out, &errOut)
			if code != c.code || !strings.Contains(out.String(), c.out) || !strings.Contains(errOut.String(), c.errOut) {
				t.Errorf("unexpected end; got %d, %q, %q; want %d, %q, %q", code, out.String(), errOut.String(), c.code, c.out, c.errOut)
			}
		})
	}
}

func TestVariableNamesTheFileForEachCommand(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-west-1")
	environ := []string{config.ConfigEnv + "=../../../conf/kpl-http.yaml"}
	for _, command := range []string{"check", "print-config"} {
		var out, errOut bytes.Buffer
		if code := Main(t.Context(), []string{command}, environ, &out, &errOut); code != exitOK {
			t.Errorf("unexpected end of %s; got %d, %q; want 0", command, code, errOut.String())
		}
	}
	var out bytes.Buffer
	if Main(t.Context(), []string{"print-config", os.DevNull, "--route.stream=mine"}, environ, &out, &out); !strings.Contains(out.String(), "drain_delay: 1s # default") {
		t.Errorf("unexpected configuration; got %s; want that of the file that is named", out.String())
	}
}

// program is Main with the shipped configuration and a fake Kinesis.
func program(t *testing.T, flags ...string) (kinesis *kinesistest.Server, address string, end func() int) {
	t.Helper()
	kinesis = kinesistest.New(kinesistest.WithStream("logs", 1))
	for _, s := range []string{"vector", "fluentbit", "fluentd", "otel", "logstash", "syslog", "curl", "web", "audit"} {
		if err := kinesis.CreateStream("logs-"+s, kinesistest.StreamConfig{Shards: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := kinesis.Start(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	ctx, cancel := context.WithCancel(t.Context())
	logs, w := io.Pipe()
	code := make(chan int, 1)
	args := append([]string{
		"--config=../../../conf/kpl-http.yaml", "--server.listen=127.0.0.1:0", "--server.admin_listen=127.0.0.1:0",
		"--server.drain_delay=0", "--aws.endpoint=" + kinesis.URL(),
	}, flags...)
	go func() {
		code <- Main(ctx, args, nil, io.Discard, w)
		_ = w.Close()
	}()
	found := make(chan string, 1)
	go func() { // ends when the log is closed
		pattern := regexp.MustCompile(`msg=serving listen=(\S+)`)
		var all []byte
		buf := make([]byte, 4096)
		for {
			n, err := logs.Read(buf)
			all = append(all, buf[:n]...)
			if m := pattern.FindSubmatch(all); m != nil {
				select {
				case found <- string(m[1]):
				default:
				}
			}
			if err != nil {
				select {
				case found <- "":
				default:
				}
				return
			}
		}
	}()
	address = <-found
	return kinesis, address, func() int {
		cancel()
		defer http.DefaultClient.CloseIdleConnections()
		defer func() { _ = kinesis.Close() }()
		return <-code
	}
}

func TestProgramDoesNotStartWithoutItsStream(t *testing.T) {
	_, address, end := program(t, "--route.stream=missing", "--aws.startup_check=fail")
	if code := end(); address != "" || code != 1 {
		t.Errorf("unexpected start; got address %q, exit code %d; want none and 1", address, code)
	}
}

func postTo(t *testing.T, url string, body []byte, header ...string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode
}

// The addresses of docs/vector.md and conf/vector.yaml work with conf/kpl-http.yaml.
func TestShippedConfigurationsFitTogether(t *testing.T) {
	kinesis, address, end := program(t)
	if address == "" {
		t.Fatal("the program did not start")
	}
	doc, err := os.ReadFile("../../../docs/vector.md")
	if err != nil {
		t.Fatal(err)
	}
	const base = "http://127.0.0.1:8080"
	paths := map[string]bool{}
	for _, m := range regexp.MustCompile(base+`(/[\w/-]*)`).FindAllStringSubmatch(string(doc), -1) {
		if !strings.HasSuffix(m[1], "-") { // followed by a template
			paths[m[1]] = true
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^\s+URI\s+(\S+)`).FindAllStringSubmatch(string(doc), -1) {
		paths[m[1]] = true
	}
	if len(paths) < 7 {
		t.Errorf("unexpected addresses in docs/vector.md; got %v; want one for each shipper", paths)
	}
	for p := range paths {
		switch p {
		case "/healthz":
		case otlpPath:
			if got := postTo(t, "http://"+address+p, otlpRequest(0, 3), "Content-Type", "application/x-protobuf"); got != 200 {
				t.Errorf("unexpected answer on %s; got %d; want 200", p, got)
			}
		default:
			if got := postTo(t, "http://"+address+p, ndjson(0, 3)); got != 200 {
				t.Errorf("unexpected answer on %s; got %d; want 200", p, got)
			}
			if n := len(kinesis.Consume(strings.TrimPrefix(p, streamsPath)).Records); n != 3 {
				t.Errorf("unexpected records of %s; got %d; want 3", p, n)
			}
		}
	}
	checkVector(t, kinesis, address)
	if code := end(); code != 0 {
		t.Errorf("unexpected exit code; got %d; want 0", code)
	}
}

// checkVector sends what Vector would send with conf/vector.yaml.
func checkVector(t *testing.T, kinesis *kinesistest.Server, address string) {
	t.Helper()
	text, err := os.ReadFile("../../../conf/vector.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Sinks map[string]struct {
			Type, URI, Compression string
			Encoding               struct{ Codec string }
			Request                struct {
				TimeoutSecs int `yaml:"timeout_secs"`
			}
			Healthcheck struct{ URI string }
		}
	}
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	sink := v.Sinks["kinesis"]
	if sink.Type != "http" || sink.Encoding.Codec != "json" || sink.Compression != "zstd" {
		t.Fatalf("unexpected sink; got %+v; want http with json and zstd", sink)
	}
	const base = "http://127.0.0.1:8080"
	path := strings.TrimPrefix(sink.URI, base)
	before := len(kinesis.Consume("logs-vector").Records)
	if got := postTo(t, "http://"+address+path, zstded(jsonArray(0, 5)), "Content-Type", "application/json", "Content-Encoding", "zstd"); got != 200 {
		t.Errorf("unexpected answer; got %d; want 200", got)
	}
	if n := len(kinesis.Consume("logs-vector").Records) - before; n != 5 {
		t.Errorf("unexpected records; got %d; want 5", n)
	}
	res, err := http.Head("http://" + address + strings.TrimPrefix(sink.Healthcheck.URI, base))
	if err != nil || res.StatusCode != 200 {
		t.Errorf("unexpected answer of the health check; got %v, %v; want 200", res, err)
	} else {
		_ = res.Body.Close()
	}
	cfg, err := config.Load(config.Sources{File: "../../../conf/kpl-http.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{}
	for i := range cfg.Routes {
		s.routes = append(s.routes, &route{Route: cfg.Routes[i]})
	}
	rt, number := s.routeOf(path)
	if number < 0 || rt.AckTimeout.Seconds() >= float64(sink.Request.TimeoutSecs) {
		t.Errorf("unexpected route %d; want one whose ack_timeout is below Vector's %d s", number, sink.Request.TimeoutSecs)
	}
}

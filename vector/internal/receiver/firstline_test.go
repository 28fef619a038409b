// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/option"
	"github.com/outkpl/outkpl/internal/remedy"
	"github.com/outkpl/outkpl/internal/testkit"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// linesOfStart runs the program until the first n warnings or errors are logged, and returns all
// that was logged by then.
func linesOfStart(t *testing.T, n int, key string, flags ...string) (lines []string) {
	t.Helper()
	testkit.AWSEnvironment(t, key, "AWS_REGION", "eu-west-1")
	ctx, cancel := context.WithCancel(t.Context())
	logs, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		args := append([]string{"--server.listen=127.0.0.1:0", "--server.admin_listen=off", "--server.drain_delay=0", "--server.drain_timeout=1s"}, flags...)
		Main(ctx, args, nil, io.Discard, w)
		_ = w.Close()
	}()
	in := bufio.NewScanner(logs)
	in.Buffer(nil, 1<<20)
	serving := false
	for in.Scan() {
		line := in.Text()
		serving = serving || strings.Contains(line, "msg=serving")
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
			lines = append(lines, line)
		}
		if len(lines) >= n && serving {
			break
		}
	}
	cancel()
	go func() { _, _ = io.Copy(io.Discard, logs) }() // ends with the program
	<-done
	return lines
}

// An operator at night reads the first line; it says what is wrong, and what to do. The
// program goes on all the same.
func TestFirstLineNamesCauseAndRemedy(t *testing.T) {
	secure := kinesistest.New(kinesistest.WithStream("logs", 1), kinesistest.WithTLS())
	if err := secure.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = secure.Close() }()
	silent, closed := testkit.SilentAddress(t), testkit.FreeAddress(t)
	fail := func(op, code string) func(*kinesistest.Server) {
		return func(s *kinesistest.Server) {
			s.Fault(kinesistest.Fault{Operation: op, Effect: kinesistest.Fail(code, "as the test says")})
		}
	}
	for _, tc := range []struct {
		name   string
		faults func(*kinesistest.Server) // of a server of its own
		flags  []string
		key    string
		cause  string
		remedy string
	}{
		{"no credentials", fail("PutRecords", "none"), nil, "", "there are no credentials", "set AWS_PROFILE or aws.profile"},
		{"no credentials, streams of requests", fail("PutRecords", "none"), []string{"--route.stream=", "--route.streams=logs-*"}, "", "there are no credentials", "set AWS_PROFILE or aws.profile"},
		{"expired", fail("", "ExpiredTokenException"), nil, "test", "the credentials have expired", "renew them"},
		{"unknown authority", nil, []string{"--aws.endpoint=" + secure.URL()}, "test", "an authority that is not known", "set aws.ca_file"},
		{"DNS", nil, []string{"--aws.endpoint=http://kinesis.nowhere.invalid"}, "test", "the name of the endpoint is not found", "check aws.region, aws.endpoint"},
		{"refused", nil, []string{"--aws.endpoint=http://" + closed}, "test", "nothing listens at the endpoint", "check host and port of aws.endpoint"},
		{"hanging", nil, []string{"--aws.endpoint=http://" + silent, "--producer.request_timeout=200ms"}, "test", "there is no answer in time", "check security groups"},
		{"may not put", fail("PutRecords", "AccessDeniedException"), nil, "test", "kinesis:PutRecords is missing", "allow kinesis:PutRecords"},
		{"KMS denied", fail("PutRecords", "KMSAccessDeniedException"), nil, "test", "kms:GenerateDataKey is missing on the stream's key", "allow kms:GenerateDataKey"},
		{"no such stream", fail("PutRecords", "none"), []string{"--route.stream=nosuch"}, "test", "there is no such stream in region eu-west-1", "correct aws.region or route.stream"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			flags := []string{"--route.stream=logs"}
			if tc.faults != nil {
				s := kinesistest.New(kinesistest.WithStream("logs", 1))
				tc.faults(s)
				if err := s.Start(); err != nil {
					t.Fatal(err)
				}
				defer func() { _ = s.Close() }()
				flags = append(flags, "--aws.endpoint="+s.URL())
			}
			lines := linesOfStart(t, 1, tc.key, append(flags, tc.flags...)...)
			if len(lines) == 0 {
				t.Fatal("unexpected end without a line")
			}
			t.Log(lines[0])
			if !strings.Contains(lines[0], tc.cause) || !strings.Contains(lines[0], tc.remedy) {
				t.Errorf("unexpected first line; got %q; want the cause %q and the remedy %q", lines[0], tc.cause, tc.remedy)
			}
		})
	}
}

// Without a network every stream is out of reach, which is said in one line and not for each.
func TestStartWithoutNetworkSaysSoInOneLine(t *testing.T) {
	r := newRig(t, "--route.stream=logs", "--dead_letter.stream=logs-b")
	defer r.stop()
	r.kinesis.Fault(kinesistest.Fault{Effect: kinesistest.Reset()})
	var log testkit.Buffer
	if err := checkStreams(t.Context(), r.cfg, nil, r.producer, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
		t.Errorf("unexpected error; got %v; want none, since it may pass", err)
	}
	if got := log.String(); strings.Count(got, "check of a stream") != 1 || !strings.Contains(got, "not_checked=1") {
		t.Errorf("unexpected log; got %q; want one line, and that one stream was not looked at", got)
	}
}

// What is left at the end is said, and who has it.
func TestEndSaysWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log testkit.Buffer
		r := &rig{t: t, log: &log, kinesis: kinesistest.New(kinesistest.WithStream("logs", 1))}
		r.configure("--server.drain_timeout=1s", "--route.ack_timeout=500ms")
		r.start()
		r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Hang()})
		r.post(t.Context(), "/", ndjson(0, 5)).want(t, 503, "")
		_ = r.server.Shutdown(t.Context())
		r.client.CloseIdleConnections()
		if got := log.String(); !strings.Contains(got, "bodies are left that Kinesis has not confirmed as a whole") || !strings.Contains(got, "bodies=1") || !strings.Contains(got, "send them again") {
			t.Errorf("unexpected log; got %s; want what is left, and who has it", got)
		}
	})
}

// Advice names options that exist.
func TestRemediesNameOptionsOfTheProgram(t *testing.T) {
	known := map[string]bool{}
	for _, s := range option.Specs(config.Options()) {
		known[s.Name] = true
	}
	for _, r := range remedy.All() {
		for _, o := range r.Options() {
			if name := remedy.Receiver(o); !known[name] {
				t.Errorf("%s: unexpected option %s; want one of kpl-http", r.Kind, name)
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/remedy"
	"github.com/outkpl/outkpl/internal/testkit"
)

// firstLine is a handler that keeps the first warning or error, as text.
type firstLine struct {
	slog.Handler
	line chan string
	once *sync.Once
}

func newFirstLine() firstLine {
	return firstLine{Handler: slog.DiscardHandler, line: make(chan string, 1), once: &sync.Once{}}
}

func (f firstLine) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

func (f firstLine) Handle(ctx context.Context, r slog.Record) error {
	f.once.Do(func() {
		var b strings.Builder
		_ = slog.NewTextHandler(&b, nil).Handle(ctx, r)
		f.line <- b.String()
	})
	return nil
}

// fullDisk keeps no dead letters.
type fullDisk struct{ deadletter.Sink }

func (fullDisk) Write(context.Context, []deadletter.Entry) error {
	return &os.PathError{Op: "write", Path: "/var/lib/dead.jsonl", Err: syscall.ENOSPC}
}

func (fullDisk) Close(context.Context) error { return nil }

// An operator at night reads the first line; it says what is wrong, and what to do.
func TestFirstLineNamesCauseAndRemedy(t *testing.T) {
	plain := kinesistest.New(kinesistest.WithStream("logs", 1))
	secure := kinesistest.New(kinesistest.WithStream("logs", 1), kinesistest.WithTLS())
	for _, s := range []*kinesistest.Server{plain, secure} {
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
	}
	silent, closed := testkit.SilentAddress(t), testkit.FreeAddress(t)
	api := func(op, code, message string) func(*kinesistest.Server) {
		return func(s *kinesistest.Server) {
			s.Fault(kinesistest.Fault{Operation: op, Effect: kinesistest.Fail(code, message)})
		}
	}
	every := func(code, message string) func(*kinesistest.Server) {
		return func(s *kinesistest.Server) { s.Fault(kinesistest.Fault{Effect: kinesistest.Fail(code, message)}) }
	}
	for _, tc := range []struct {
		name    string
		faults  func(*kinesistest.Server) // of a server of its own; nil: the options have another endpoint
		options []string
		key     string
		cause   string
		remedy  string
	}{
		{name: "no credentials", faults: func(*kinesistest.Server) {}, key: "-", cause: "there are no credentials", remedy: "set AWS_PROFILE or 'profile'"},
		{name: "no credentials, streams of a template", faults: func(*kinesistest.Server) {}, options: []string{"stream", "$s"}, key: "-", cause: "there are no credentials", remedy: "set AWS_PROFILE or 'profile'"},
		{name: "expired", faults: every("ExpiredTokenException", "The security token included in the request is expired"), cause: "the credentials have expired", remedy: "renew them"},
		{name: "unknown key", faults: every("UnrecognizedClientException", "The security token included in the request is invalid."), cause: "the access key is not known", remedy: "AWS_SESSION_TOKEN"},
		{name: "wrong region", faults: every("InvalidSignatureException", "Credential should be scoped to a valid region, not 'eu-west-1'."), cause: "signed for another region", remedy: "make 'region' and 'endpoint' those of one region"},
		{name: "wrong signature", faults: every("InvalidSignatureException", "The request signature we calculated does not match the signature you provided."), cause: "the signature is wrong", remedy: "check the secret key"},
		{name: "clock", faults: every("InvalidSignatureException", "Signature expired: 20261129T100000Z is now earlier than 20261129T101500Z"), cause: "the clock of this machine is wrong", remedy: "chrony"},
		{name: "unknown authority", options: []string{"endpoint", secure.URL()}, cause: "an authority that is not known", remedy: "set 'ca_file'"},
		{name: "no TLS", options: []string{"endpoint", strings.Replace(plain.URL(), "http:", "https:", 1)}, cause: "does not speak TLS", remedy: "with http://"},
		{name: "DNS", options: []string{"endpoint", "http://kinesis.nowhere.invalid"}, cause: "the name of the endpoint is not found", remedy: "check 'region', 'endpoint' and the resolver"},
		{name: "refused", options: []string{"endpoint", "http://" + closed}, cause: "nothing listens at the endpoint", remedy: "check host and port of 'endpoint'"},
		{name: "hanging", options: []string{"endpoint", "http://" + silent, "request_timeout", "200ms"}, cause: "there is no answer in time", remedy: "check security groups"},
		{name: "may not list", faults: api("ListShards", "AccessDeniedException", "User: x is not authorized"), cause: "kinesis:ListShards is missing", remedy: "allow kinesis:ListShards on the stream"},
		{name: "may not describe", faults: api("DescribeStreamSummary", "AccessDeniedException", "User: x is not authorized"), cause: "kinesis:DescribeStreamSummary is missing", remedy: "allow kinesis:DescribeStreamSummary on the stream"},
		{name: "may not put", faults: api("PutRecords", "AccessDeniedException", "User: x is not authorized"), cause: "kinesis:PutRecords is missing", remedy: "allow kinesis:PutRecords on the stream"},
		{name: "KMS denied", faults: api("PutRecords", "KMSAccessDeniedException", "not allowed"), cause: "kms:GenerateDataKey is missing on the stream's key", remedy: "allow kms:GenerateDataKey on the stream's key"},
		{name: "KMS disabled", faults: api("PutRecords", "KMSDisabledException", "disabled"), cause: "the KMS key of the stream is disabled", remedy: "enable the key"},
		{name: "no such stream", faults: func(*kinesistest.Server) {}, options: []string{"stream", "nosuch"}, cause: "there is no such stream in region eu-west-1", remedy: "correct 'region' or 'stream', or create the stream"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key := "test"
			if tc.key == "-" {
				key = ""
			}
			testkit.AWSEnvironment(t, key)
			options := tc.options
			if tc.faults != nil {
				s := kinesistest.New(kinesistest.WithStream("logs", 1))
				tc.faults(s)
				if err := s.Start(); err != nil {
					t.Fatal(err)
				}
				defer func() { _ = s.Close() }()
				options = append(options, "endpoint", s.URL())
			}
			cfg, err := ParseConfig(with(options...), noEnv)
			if err != nil {
				t.Fatal(err)
			}
			first := newFirstLine()
			in, err := New(cfg, Deps{Logger: slog.New(first)})
			if err != nil {
				t.Fatal(err)
			}
			line := <-first.line
			t.Log(line)
			if !strings.Contains(line, tc.cause) || !strings.Contains(line, tc.remedy) {
				t.Errorf("unexpected first line; got %q; want the cause %q and the remedy %q", line, tc.cause, tc.remedy)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_ = in.Close(ctx)
		})
	}
}

// The same where nothing is looked at before events come.
func TestFirstLineOfAFlushNamesCauseAndRemedy(t *testing.T) {
	for _, tc := range []struct {
		name          string
		faults        func(*kinesistest.Server)
		limits        bool
		sink          deadletter.Sink
		options       []string
		size          int
		cause, remedy string
	}{
		{name: "no such stream", options: []string{"stream", "nosuch"}, cause: "there is no such stream", remedy: "correct 'region' or 'stream'"},
		{name: "may not put", faults: func(s *kinesistest.Server) {
			s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("AccessDeniedException", "no")})
		}, cause: "a permission is missing", remedy: "allow kinesis:PutRecords"},
		{name: "KMS denied", faults: func(s *kinesistest.Server) {
			s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("KMSAccessDeniedException", "no")})
		}, cause: "the KMS key of the stream may not be used", remedy: "allow kms:GenerateDataKey on the stream's key"},
		{name: "hanging", faults: func(s *kinesistest.Server) {
			s.Fault(kinesistest.Fault{Effect: kinesistest.Hang()})
		}, cause: "there is no answer in time", remedy: "check security groups"},
		{name: "throttled", faults: func(s *kinesistest.Server) {
			s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.ThrottleEntries()})
		}, cause: "a shard is at its limit", remedy: "add shards"},
		{name: "stream too small", limits: true, size: 16 << 20, cause: "the stream is too small", remedy: "1 shard is open, "},
		{name: "disk of dead letters full", sink: fullDisk{}, size: -1, cause: "the disk is full", remedy: "free space"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				options := []kinesistest.Option{kinesistest.WithStream("logs", 1)}
				if tc.limits {
					options = append(options, kinesistest.WithLimits(kinesistest.Limits{RecordsPerSecond: 1000, BytesPerSecond: 1 << 20}))
				}
				s := kinesistest.New(options...)
				if tc.faults != nil {
					tc.faults(s)
				}
				cfg, err := ParseConfig(with(append([]string{"startup_check", "off"}, tc.options...)...), noEnv)
				if err != nil {
					t.Fatal(err)
				}
				first := newFirstLine()
				in, err := New(cfg, Deps{Logger: slog.New(first), DeadLetters: tc.sink, NewProducer: onServer(s)})
				if err != nil {
					t.Fatal(err)
				}
				chunk := chunkOf(1)
				switch {
				case tc.size > 0:
					chunk = nil
					for range tc.size / 100_000 {
						chunk = append(chunk, largeEvent(100_000)...)
					}
				case tc.size < 0:
					chunk = append(chunk, largeEvent(2<<20)...) // larger than the stream takes
				}
				for range 5 {
					in.Flush("tag", chunk)
				}
				line := ""
				select {
				case line = <-first.line:
				case <-time.After(time.Minute):
				}
				t.Log(line)
				if !strings.Contains(line, tc.cause) || !strings.Contains(line, tc.remedy) {
					t.Errorf("unexpected first line; got %q; want the cause %q and the remedy %q", line, tc.cause, tc.remedy)
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				_ = in.Close(ctx)
			})
		})
	}
}

// onServer makes producers that write to a server in the process.
func onServer(s *kinesistest.Server) func(cfg *Config, logger *slog.Logger) (Producer, error) {
	return func(cfg *Config, logger *slog.Logger) (Producer, error) {
		p, err := core.New(s.Client(), producerOptions(cfg, logger)...)
		return coreProducer{p}, err
	}
}

// largeEvent is an event with a text of that size.
func largeEvent(size int) []byte {
	c := []byte{0x92, 0x92, 0xd7, 0x00}
	c = binary.BigEndian.AppendUint32(c, 1795514400)
	c = append(c, 0, 0, 0, 0, 0x80, 0x81, 0xa1, 'n', 0xdb)
	c = binary.BigEndian.AppendUint32(c, uint32(size))
	return append(c, strings.Repeat("x", size)...)
}

// A journal whose folder cannot be written is said with what to do, and delivery goes on.
func TestFirstLineOfAJournalThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := kinesistest.New(kinesistest.WithStream("logs", 1))
	cfg, err := ParseConfig(with("startup_check", "off", "journal_dir", filepath.Join(file, "journal")), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	first := newFirstLine()
	in, err := New(cfg, Deps{Logger: slog.New(first), NewProducer: onServer(s)})
	if err != nil {
		t.Fatal(err)
	}
	if line := <-first.line; !strings.Contains(line, "without the journal") || !strings.Contains(line, "correct 'journal_dir'") {
		t.Errorf("unexpected first line; got %q; want what to do", line)
	}
	wantCode(t, in.Flush("tag", chunkOf(1)), OK)
	if err := in.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// What is left at the end is said, and where it is.
func TestEndSaysWhatIsLeftAndWhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("logs", 1))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Hang()})
		in, log := newReal(t, s, "startup_check", "off", "journal_dir", t.TempDir())
		wantCode(t, in.Flush("tag", chunkOf(1)), Retry)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := in.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("unexpected error; got %v; want that of the time", err)
		}
		for _, want := range []string{"chunks are left that Kinesis has not confirmed as a whole", "chunks=1", "storage.type filesystem", "is in the journal in " + in.cfg.Journal.Dir} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("unexpected log; got no %q; want it in:\n%s", want, log)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		in, log := newReal(t, kinesistest.New(kinesistest.WithStream("logs", 1)))
		wantCode(t, in.Flush("tag", chunkOf(1)), OK)
		if err := in.Close(t.Context()); err != nil || strings.Contains(log.String(), "are left") {
			t.Errorf("unexpected end; got %v and log:\n%s\nwant nothing left", err, log)
		}
	})
}

// Advice names options that exist.
func TestRemediesNameOptionsOfThePlugin(t *testing.T) {
	known := map[string]bool{}
	for _, o := range Options() {
		known[o.Name] = true
	}
	for _, r := range remedy.All() {
		for _, o := range r.Options() {
			if !known[o] || remedy.Plugin(o) != "'"+o+"'" {
				t.Errorf("%s: unexpected option %s; want one of the plugin", r.Kind, o)
			}
		}
	}
}

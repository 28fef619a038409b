// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output is what a running program has printed so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// program is a kpl-local that runs.
type program struct {
	client *kinesis.Client
	out    *output
	stop   func() // as SIGTERM does
}

var address = regexp.MustCompile(`serving at (\S+)\n(?s:.*)records\n`)

func start(t *testing.T, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p, errs, ended := &program{out: &output{}}, &output{}, make(chan int, 1)
	ready, w := newAnnouncement(p.out)
	go func() { ended <- run(ctx, append([]string{"--listen", "127.0.0.1:0"}, args...), w, errs) }()
	stopped := false
	p.stop = func() {
		t.Helper()
		if stopped {
			return
		}
		stopped = true
		cancel()
		if code := <-ended; code != exitOK {
			t.Errorf("unexpected exit code; got %d; stderr: %s", code, errs)
		}
	}
	t.Cleanup(p.stop)
	select {
	case <-ready:
	case code := <-ended:
		stopped = true
		cancel()
		t.Fatalf("unexpected end; got code %d, %s", code, errs)
	}
	p.client = kinesis.New(kinesis.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String(address.FindStringSubmatch(p.out.String())[1]), Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "any", SecretAccessKey: "any"}, nil
		}),
	})
	return p
}

// announcement closes ready when the program has said where it serves and what it has.
type announcement struct {
	*output
	once  sync.Once
	ready chan struct{}
}

func newAnnouncement(o *output) (<-chan struct{}, *announcement) {
	s := &announcement{output: o, ready: make(chan struct{})}
	return s.ready, s
}

func (s *announcement) Write(p []byte) (int, error) {
	n, err := s.output.Write(p)
	if address.MatchString(s.String()) {
		s.once.Do(func() { close(s.ready) })
	}
	return n, err
}

func (p *program) put(t *testing.T, n int) {
	t.Helper()
	in := &kinesis.PutRecordsInput{StreamName: aws.String("logs")}
	for i := range n {
		in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprint(i)), Data: []byte("data")})
	}
	out, err := p.client.PutRecords(t.Context(), in)
	if err != nil || *out.FailedRecordCount != 0 {
		t.Fatalf("unexpected put: %v", err)
	}
}

func TestRecordsOutliveTheProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	p := start(t, "--data", dir, "--streams", "logs:3")
	p.put(t, 100)
	if _, err := p.client.SplitShard(t.Context(), &kinesis.SplitShardInput{
		StreamName: aws.String("logs"), ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String("1000"),
	}); err != nil {
		t.Fatal(err)
	}
	p.put(t, 50)
	p.stop()
	// As a kill leaves it: a line of a call that was never answered.
	f, err := os.OpenFile(filepath.Join(dir, journalFile), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"put":"logs","sha`); err != nil {
		t.Fatal(err)
	}
	f.Close()

	for records := 150; records < 180; records += 10 {
		p = start(t, "--data", dir, "--streams", "logs:9,more:1")
		for _, want := range []string{fmt.Sprintf("stream logs has 4 open shards and %d records\n", records), "stream more has 1 open shard and 0 records\n"} {
			if !strings.Contains(p.out.String(), want) {
				t.Errorf("unexpected output; got %q; want %q", p.out, want)
			}
		}
		p.put(t, 10)
		p.stop()
	}
}

func TestOneProcessForAFolder(t *testing.T) {
	dir := t.TempDir()
	start(t, "--data", dir)
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"--listen", "127.0.0.1:0", "--data", dir}, &out, &errs); code != exitError || !strings.Contains(errs.String(), "another kpl-local uses it") {
		t.Errorf("unexpected end of a second one; got code %d, %s", code, errs.String())
	}
}

func TestDamagedFolderIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, journalFile)
	if err := os.WriteFile(path, []byte("{\n{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"--listen", "127.0.0.1:0", "--data", dir}, &out, &errs)
	if code != exitError || !strings.Contains(errs.String(), "line 1 of the journal") || !strings.Contains(errs.String(), "it is not changed") {
		t.Errorf("unexpected end; got code %d, %s", code, errs.String())
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "{\n{}\n" {
		t.Errorf("unexpected file; got %q, %v", b, err)
	}
}

func TestShardsHaveTheLimitsOfAWSUnlessToldOtherwise(t *testing.T) {
	for _, c := range []struct {
		args   []string
		refuse bool
	}{{nil, true}, {[]string{"--unlimited"}, false}} {
		p := start(t, append(c.args, "--streams", "logs:1")...)
		in := &kinesis.PutRecordsInput{StreamName: aws.String("logs")}
		for range 3 {
			in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String("k"), Data: make([]byte, 1<<20-1)})
		}
		out, err := p.client.PutRecords(t.Context(), in)
		if err != nil || (*out.FailedRecordCount > 0) != c.refuse {
			t.Errorf("%v: unexpected result; got %+v, %v; want refused records: %v", c.args, out, err, c.refuse)
		}
		p.stop()
	}
}

func TestStreams(t *testing.T) {
	for text, want := range map[string]int{
		"logs:4": 1, "a:1,b:500": 2, " a:1, b:2": 2, "": 0, "logs": -1, "a:0": -1, "a:501": -1, ":1": -1, "a:x,b:1": -1, "a:1,a:2": -1, "a b:1": -1,
		"arn:aws:kinesis:eu-west-1:123456789012:stream/a:1": -1,
	} {
		got, err := parseStreams(text)
		if (err != nil) != (want < 0) || err == nil && len(got) != want {
			t.Errorf("unexpected streams of %q; got %v (%v); want %d", text, got, err, want)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args, want string
		code       int
	}{
		{"--help", "--data DIR", exitOK},
		{"--version", "kpl-local ", exitOK},
		{"--completion bash", "kpl-local", exitOK},
		{"--streams logs:0", `--streams: "logs:0": "logs:0" is not NAME:SHARDS; allowed: NAME:SHARDS,NAME:SHARDS, with 1 to 500 shards; empty: none`, exitUsage},
		{"--listen here", `--listen: "here": not an address; allowed: host:port`, exitUsage},
		{"--stream logs:1", "did you mean --streams", exitUsage},
		{"logs", "1 argument is given", exitUsage},
		{"--listen 127.0.0.1:none", "cannot listen at 127.0.0.1:none", exitError},
		{"--listen 127.0.0.1:0 --data /dev/null/x", "--data: ", exitError},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), strings.Fields(c.args), &out, &errs)
		if code != c.code || !strings.Contains(out.String()+errs.String(), c.want) {
			t.Errorf("%s: unexpected result; got code %d, %s%s; want %d and %q", c.args, code, out.String(), errs.String(), c.code, c.want)
		}
	}
}

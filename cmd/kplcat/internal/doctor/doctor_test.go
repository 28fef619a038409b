// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	"go.uber.org/goleak"

	"github.com/outkpl/outkpl/core/kinesistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const stream = "logs"

// asAWS is a client of the fake that seems to be one of AWS: it knows dry runs.
type asAWS struct {
	*kinesistest.Client
	options kinesis.Options
	old     bool // dry runs are calls
	denied  bool // of writes
	puts    int  // real ones
}

func (c *asAWS) Options() kinesis.Options { return c.options }

func (c *asAWS) GetShardIterator(ctx context.Context, in *kinesis.GetShardIteratorInput, opts ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error) {
	if aws.ToBool(in.DryRun) && !c.old {
		return nil, &types.DryRunOperationException{}
	}
	return c.Client.GetShardIterator(ctx, in, opts...)
}

func (c *asAWS) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	switch {
	case c.old || !aws.ToBool(in.DryRun):
		c.puts++
		return &kinesis.PutRecordsOutput{}, nil
	case c.denied:
		return nil, &smithy.OperationError{Err: &types.AccessDeniedException{Message: aws.String("no")}}
	}
	return nil, &types.DryRunOperationException{}
}

// trial is an examination of a stream where all is well, to be spoilt.
type trial struct {
	server *kinesistest.Server
	client *asAWS
	config Config
}

func newTrial(opts ...kinesistest.Option) *trial {
	tr := &trial{server: kinesistest.New(append(opts, kinesistest.WithStream(stream, 2))...)}
	tr.client = &asAWS{Client: tr.server.Client(), options: kinesis.Options{
		Region:      "eu-west-1",
		Credentials: credentials(aws.Credentials{Source: "test", AccountID: "123456789012"}, nil),
	}}
	tr.config = Config{
		Client: tr.client, Stream: stream,
		Identity:   func(context.Context) (string, error) { return "arn:aws:sts::123456789012:assumed-role/r/s", nil },
		Proxy:      func(*http.Request) (*url.URL, error) { return nil, nil },
		LookupHost: func(context.Context, string) ([]string, error) { return []string{"10.0.0.1", "192.0.2.1"}, nil },
		Dial: func(context.Context, string, string) (net.Conn, error) {
			a, b := net.Pipe()
			_ = b.Close()
			return a, nil
		},
	}
	return tr
}

func credentials(c aws.Credentials, err error) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c, err })
}

// find returns the findings of a check.
func find(t *testing.T, all []Finding, check string) Finding {
	t.Helper()
	i := slices.IndexFunc(all, func(f Finding) bool { return f.Check == check })
	if i < 0 {
		t.Fatalf("no finding of %s; got %+v", check, all)
	}
	return all[i]
}

func TestHealthyStreamHasNothingToDo(t *testing.T) {
	tr := newTrial()
	got := Examine(t.Context(), tr.config)
	for _, f := range got {
		if f.Level != OK && f.Check != "clock" || f.Advice != "" {
			t.Errorf("unexpected finding; got %+v; want ok", f)
		}
	}
	for _, check := range []string{
		"endpoint", "dns", "connection", "credentials", "identity", "status", "capacity", "encryption", "clock", "shards",
		"kinesis:DescribeStreamSummary", "kinesis:ListShards", "kinesis:GetShardIterator", "kinesis:GetRecords", "kinesis:PutRecords",
	} {
		find(t, got, check)
	}
	if f := find(t, got, "endpoint"); f.Detail != "https://kinesis.eu-west-1.amazonaws.com, region eu-west-1 (AWS)" {
		t.Errorf("unexpected endpoint; got %q", f.Detail)
	}
	if f := find(t, got, "dns"); !strings.Contains(f.Detail, "a VPC endpoint") {
		t.Errorf("unexpected dns; got %q; want that the address is private", f.Detail)
	}
}

func TestNothingIsEverWritten(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(*trial)
		level Level
	}{
		{"AWS", func(*trial) {}, OK},
		{"AWS without dry runs", func(tr *trial) { tr.client.old = true }, Note},
		{"another server", func(tr *trial) { tr.client.options.BaseEndpoint = aws.String("http://127.0.0.1:4567") }, Note},
		{"another server that ignores dry runs", func(tr *trial) {
			tr.client.options.BaseEndpoint, tr.client.old = aws.String("https://kinesis.example"), true
		}, Note},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr := newTrial()
			tc.spoil(tr)
			got := Examine(t.Context(), tr.config)
			if f := find(t, got, "kinesis:PutRecords"); f.Level != tc.level {
				t.Errorf("unexpected finding; got %+v; want %s", f, tc.level)
			}
			if tr.client.puts != 0 || tr.server.Stats().Records != 0 {
				t.Errorf("unexpected writes; got %d; want none", tr.client.puts)
			}
		})
	}
}

func TestProblemIsNamedWithWhatToDo(t *testing.T) {
	denied := kinesistest.Fail("AccessDeniedException", "User: x is not authorized")
	fail := func(op string, e kinesistest.Effect) func(*trial) {
		return func(tr *trial) { tr.server.Fault(kinesistest.Fault{Operation: op, Effect: e}) }
	}
	for _, tc := range []struct {
		name, check    string
		spoil          func(*trial)
		level          Level
		detail, advice string
	}{
		{"no name", "dns", func(tr *trial) {
			tr.config.LookupHost = func(context.Context, string) ([]string, error) { return nil, errors.New("no such host") }
		}, Fail, "no such host", "--region"},
		{"no way", "connection", func(tr *trial) {
			tr.config.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }
		}, Fail, "port 443: refused", "security groups"},
		{"a proxy", "proxy", func(tr *trial) {
			tr.config.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse("http://user:secret@proxy:3128") }
		}, Note, "calls go through proxy:3128", "NO_PROXY"},
		{"no credentials", "credentials", func(tr *trial) {
			tr.client.options.Credentials = credentials(aws.Credentials{}, errors.New("chain is empty"))
		}, Fail, "chain is empty", "AWS_PROFILE"},
		{"credentials that end", "credentials", func(tr *trial) {
			tr.client.options.Credentials = credentials(aws.Credentials{Source: "test", CanExpire: true, Expires: time.Now().Add(10 * time.Minute)}, nil)
		}, Warn, "valid for 10m0s", "renewed"},
		{"credentials that have ended", "credentials", func(tr *trial) {
			tr.client.options.Credentials = credentials(aws.Credentials{Source: "test", CanExpire: true, Expires: time.Now().Add(-time.Minute)}, nil)
		}, Fail, "valid for -1m0s", "expired"},
		{"STS out of reach", "identity", func(tr *trial) {
			tr.config.Identity = func(context.Context) (string, error) { return "", errors.New("timeout\nmore") }
		}, Note, "timeout", "out of reach"},
		{"summary denied", "kinesis:DescribeStreamSummary", fail("DescribeStreamSummary", denied), Fail, "AccessDeniedException: User: x", "allow kinesis:DescribeStreamSummary on stream logs"},
		{"list denied", "kinesis:ListShards", fail("ListShards", denied), Fail, "AccessDeniedException", "allow kinesis:ListShards on arn:aws:kinesis:us-east-1:123456789012:stream/logs"},
		{"read denied", "kinesis:GetRecords", fail("GetRecords", denied), Fail, "AccessDeniedException", "allow kinesis:GetRecords"},
		{"read denied to a producer", "kinesis:GetRecords", func(tr *trial) { fail("GetRecords", denied)(tr); tr.config.Role = Producer }, Note, "AccessDeniedException", "a producer does not need it"},
		{"write denied", "kinesis:PutRecords", func(tr *trial) { tr.client.denied = true }, Fail, "AccessDeniedException: no", "allow kinesis:PutRecords"},
		{"write denied to a consumer", "kinesis:PutRecords", func(tr *trial) { tr.client.denied = true; tr.config.Role = Consumer }, Note, "AccessDeniedException", "a consumer does not need it"},
		{"no such stream", "kinesis:DescribeStreamSummary", func(tr *trial) { tr.config.Stream = "nosuch" }, Fail, "ResourceNotFoundException", "region (eu-west-1)"},
		{"old token", "kinesis:DescribeStreamSummary", fail("DescribeStreamSummary", kinesistest.Fail("ExpiredTokenException", "old")), Fail, "ExpiredTokenException", "renew"},
		{"unknown key", "kinesis:ListShards", fail("ListShards", kinesistest.Fail("UnrecognizedClientException", "?")), Fail, "Unrecognized", "partition"},
		{"KMS", "kinesis:GetRecords", fail("GetRecords", kinesistest.Fail("KMSAccessDeniedException", "?")), Fail, "KMSAccessDenied", "kms:Decrypt"},
		{"throttled", "kinesis:GetRecords", fail("GetRecords", kinesistest.Fail("ProvisionedThroughputExceededException", "?")), Warn, "Provisioned", "consumers"},
		{"AUTO distribution", "distribution", func(tr *trial) {
			must(t, tr.server.DeleteStream(stream))
			must(t, tr.server.CreateStream(stream, kinesistest.StreamConfig{OnDemand: true, Distribution: types.RecordDistributionStrategyAuto}))
		}, Warn, "AUTO", "USER_PARTITION_KEY"},
		{"on demand", "capacity", func(tr *trial) {
			must(t, tr.server.DeleteStream(stream))
			must(t, tr.server.CreateStream(stream, kinesistest.StreamConfig{OnDemand: true, Shards: 4}))
		}, OK, "ON_DEMAND, 4 open shards", ""},
		{"encryption", "encryption", func(tr *trial) { must(t, tr.server.SetEncryption(stream, types.EncryptionTypeKms)) }, Note, "KMS", "kms:GenerateDataKey"},
		{"uneven shards", "shards", func(tr *trial) { must(t, tr.server.Split(stream, "shardId-000000000000", "1000")) }, Note, "3 open", "split it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr := newTrial()
			tc.spoil(tr)
			all := Examine(t.Context(), tr.config)
			f := find(t, all, tc.check)
			if f.Level != tc.level || !strings.Contains(f.Detail, tc.detail) || !strings.Contains(f.Advice, tc.advice) {
				t.Errorf("unexpected finding; got %+v; want %s with %q and %q", f, tc.level, tc.detail, tc.advice)
			}
			for _, f := range all {
				if strings.Contains(f.Detail+f.Advice, "secret") && f.Check == "proxy" {
					t.Errorf("unexpected secret in %+v", f)
				}
			}
		})
	}
}

func TestGapInTheShardsIsNamed(t *testing.T) {
	tr := newTrial()
	tr.config.Client = gap{tr.client}
	if f := find(t, Examine(t.Context(), tr.config), "shards"); f.Level != Warn || !strings.Contains(f.Detail, "end early") {
		t.Errorf("unexpected finding; got %+v; want that the ring is not covered", f)
	}
}

// gap leaves the last shard out.
type gap struct{ *asAWS }

func (g gap) ListShards(ctx context.Context, in *kinesis.ListShardsInput, opts ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	out, err := g.asAWS.ListShards(ctx, in, opts...)
	if err == nil {
		out.Shards = out.Shards[:len(out.Shards)-1]
	}
	return out, err
}

// overHTTP examines a started fake, or what is at url.
func overHTTP(t *testing.T, s *kinesistest.Server, now func() time.Time) []Finding {
	t.Helper()
	return Examine(t.Context(), Config{Client: s.SDK(), Stream: stream, Now: now})
}

func TestClocksAreComparedOverHTTP(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 1))
	must(t, s.Start())
	defer s.Close()
	for _, tc := range []struct {
		off    time.Duration
		level  Level
		detail string
	}{
		{0, OK, "agree within"},
		{30 * time.Second, Warn, "ahead of"},
		{-30 * time.Second, Warn, "behind"},
		{10 * time.Minute, Fail, "ahead of"},
		{-10 * time.Minute, Fail, "behind"},
	} {
		got := overHTTP(t, s, func() time.Time { return time.Now().Add(tc.off) })
		if f := find(t, got, "clock"); f.Level != tc.level || !strings.Contains(f.Detail, tc.detail) {
			t.Errorf("unexpected finding with a clock off by %v; got %+v; want %s, %q", tc.off, f, tc.level, tc.detail)
		}
	}
	// A refusal has a date as well.
	s.Fault(kinesistest.Fault{Operation: "DescribeStreamSummary", Effect: kinesistest.Fail("AccessDeniedException", "no")})
	if f := find(t, overHTTP(t, s, func() time.Time { return time.Now().Add(time.Hour) }), "clock"); f.Level != Fail {
		t.Errorf("unexpected finding; got %+v; want fail", f)
	}
}

func TestServerOutOfReachIsSaidOnce(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 1))
	must(t, s.Start())
	client := s.SDK()
	must(t, s.Close())
	got := Examine(t.Context(), Config{Client: client, Stream: stream})
	failed := 0
	for _, f := range got {
		if f.Level == Fail {
			failed++
		}
	}
	if f := find(t, got, "permissions"); f.Level != Note || failed != 2 {
		t.Errorf("unexpected findings; got %+v; want a failed connection and a failed call", got)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// Client is what Examine calls; *kinesis.Client has it.
type Client interface {
	DescribeStreamSummary(ctx context.Context, in *kinesis.DescribeStreamSummaryInput, opts ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error)
	ListShards(ctx context.Context, in *kinesis.ListShardsInput, opts ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error)
	GetShardIterator(ctx context.Context, in *kinesis.GetShardIteratorInput, opts ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error)
	GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error)
	PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error)
	// Options are the client's settings: region, endpoint and credentials.
	Options() kinesis.Options
}

// Role is what the program does with the stream; permissions of the other role
// are not missed.
type Role string

// The roles.
const (
	Producer Role = "producer"
	Consumer Role = "consumer"
	Both     Role = "both"
)

// Level is how bad a finding is.
type Level string

// The levels.
const (
	OK   Level = "ok"
	Note Level = "note" // not checked, or worth knowing
	Warn Level = "warn" // works, but not well or not for long
	Fail Level = "fail" // does not work
)

// Finding is the result of one check.
type Finding struct {
	Check  string `json:"check"`
	Level  Level  `json:"level"`
	Detail string `json:"detail"`
	// Advice says what to do. Empty if there is nothing to do.
	Advice string `json:"advice,omitempty"`
}

// Config says what to look at. Client and Stream or ARN are required.
type Config struct {
	Client      Client
	Stream, ARN string
	// Role is what the program will do. Default Both.
	Role Role
	// Identity asks who the credentials belong to. Default: not asked.
	Identity func(context.Context) (arn string, err error)
	// WireFormat tells in which format calls go. Default: not said.
	WireFormat func() string
	// ProbeWrite allows to write one record.
	ProbeWrite bool
	// Proxy tells the proxy of a request, as http.Transport's. Default:
	// http.ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)
	// LookupHost and Dial reach the network. Default: package net.
	LookupHost func(ctx context.Context, host string) ([]string, error)
	Dial       func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is the local clock. Default time.Now.
	Now func() time.Time
	// Timeout bounds each check. Default 10 s.
	Timeout time.Duration
}

// Examine makes all checks in turn and returns one or more findings for each.
// Later checks are made even if earlier ones failed, unless they cannot succeed.
func Examine(ctx context.Context, c Config) []Finding {
	if c.Role == "" {
		c.Role = Both
	}
	if c.Proxy == nil {
		c.Proxy = http.ProxyFromEnvironment
	}
	if c.LookupHost == nil {
		c.LookupHost = net.DefaultResolver.LookupHost
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	e := &exam{Config: c, options: c.Client.Options()}
	e.aws = e.options.BaseEndpoint == nil
	e.network(ctx)
	if !e.credentials(ctx) {
		return e.findings
	}
	e.identity(ctx)
	e.summary(ctx)
	e.clock()
	if e.unreachable {
		e.add("permissions", Note, "not checked: Kinesis is out of reach", "")
		return e.findings
	}
	e.shards(ctx)
	e.wireFormat()
	e.reading(ctx)
	e.writing(ctx)
	if e.ProbeWrite {
		e.probeWrite(ctx)
	}
	return e.findings
}

// exam is the state of Examine.
type exam struct {
	Config
	options  kinesis.Options
	aws      bool // the server is AWS at its usual address
	findings []Finding

	named     string // the ARN, as the service says
	shard     string // an open one
	open      []hashRange
	auto      bool // Kinesis chooses the shard
	skew      time.Duration
	skewKnown bool
	// unreachable: no call gets an answer.
	unreachable bool
	tls         bool // that is why
	noDryRuns   bool // the service took a dry run for a call
}

func (e *exam) add(check string, level Level, detail, advice string) {
	e.findings = append(e.findings, Finding{Check: check, Level: level, Detail: detail, Advice: advice})
}

// target is what permissions are needed on.
func (e *exam) target() string {
	if arn := cmp.Or(e.ARN, e.named); arn != "" {
		return arn
	}
	return "stream " + e.Stream
}

func (e *exam) name() *string { return nonEmpty(e.Stream) }
func (e *exam) arn() *string  { return nonEmpty(e.ARN) }

func nonEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// timed gives a check its time.
func (e *exam) timed(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, e.Timeout)
}

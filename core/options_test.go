// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"strings"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

func TestEveryWrongOptionIsReportedAtOnceWithValueAndRange(t *testing.T) {
	client := kinesistest.New().Client()
	_, err := core.New(client,
		core.WithAggregationMaxBytes(63),
		core.WithAggregationMaxCount(0),
		core.WithMaxBufferedTime(2*time.Minute),
		core.WithCollectionMaxCount(501),
		core.WithCollectionMaxBytes(1),
		core.WithMaxInFlight(0),
		core.WithRequestTimeout(time.Millisecond),
		core.WithRateLimit(0),
		core.WithShardLimit(-1, 1023),
		core.WithRecordTTL(time.Millisecond),
		core.WithRetryBackoff(time.Second, time.Millisecond),
		core.WithBufferBytes(1),
		core.WithBufferRecords(0),
		core.WithDescribeInterval(9*time.Second),
	)
	if err == nil {
		t.Fatal("unexpected success; want an error")
	}
	for _, want := range []string{
		"AggregationMaxBytes: value 63 is out of range; allowed: 64 to 1048576",
		"AggregationMaxCount: value 0", "MaxBufferedTime: value 2m0s", "CollectionMaxCount: value 501",
		"CollectionMaxBytes: value 1", "MaxInFlight: value 0", "RequestTimeout: value 1ms", "RateLimit: value 0",
		"ShardLimit records: value -1", "ShardLimit bytes: value 1023",
		"RecordTTL: value 1ms", "RetryBackoff: value 1s", "BufferBytes: value 1", "BufferRecords: value 0",
		"DescribeInterval: value 9s is out of range; allowed: 10s to 24h0m0s",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("unexpected error text; got %q; want it to contain %q", err, want)
		}
	}
}

func TestNilClientIsRefused(t *testing.T) {
	if _, err := core.New(nil); err == nil {
		t.Fatal("unexpected success; want an error")
	}
}

func TestParseStream(t *testing.T) {
	for _, c := range []struct {
		name, in, stream, region string
		bad                      bool
	}{
		{name: "a name", in: "logs-1_a.b", stream: "logs-1_a.b"},
		{name: "an ARN gives name and region", in: "arn:aws:kinesis:eu-west-1:123456789012:stream/logs", stream: "logs", region: "eu-west-1"},
		{name: "an ARN of another partition", in: "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/logs", stream: "logs", region: "cn-north-1"},
		{name: "an empty name", in: "", bad: true},
		{name: "a name with a blank", in: "my logs", bad: true},
		{name: "a name of 129 characters", in: strings.Repeat("a", 129), bad: true},
		{name: "an ARN of another service", in: "arn:aws:firehose:eu-west-1:123456789012:deliverystream/logs", bad: true},
		{name: "an ARN of a consumer", in: "arn:aws:kinesis:eu-west-1:123456789012:stream/logs/consumer/x:1", bad: true},
		{name: "an ARN without a region", in: "arn:aws:kinesis::123456789012:stream/logs", bad: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			name, region, err := core.ParseStream(c.in)
			if (err != nil) != c.bad {
				t.Fatalf("unexpected error; got %v; want error: %v", err, c.bad)
			}
			if !c.bad && (name != c.stream || region != c.region) {
				t.Errorf("unexpected result; got %q, %q; want %q, %q", name, region, c.stream, c.region)
			}
		})
	}
}

func TestReasonsHaveDistinctNames(t *testing.T) {
	seen := map[string]bool{}
	for r := core.ReasonNone; r.String() != "unknown"; r++ {
		if r.String() == "" || seen[r.String()] {
			t.Errorf("unexpected name of reason %d; got %q twice or empty", r, r)
		}
		seen[r.String()] = true
	}
	if !seen["closed"] {
		t.Error(`the last reason "closed" has no name`)
	}
}

// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/outkpl/outkpl/core/awsclient"
)

// Kind is the type of an option's value.
type Kind uint8

// The kinds of values; their grammar is the host's.
const (
	KindString   Kind = iota
	KindBool          // true, on, yes, false, off, no
	KindInt           // a whole number
	KindSize          // bytes with an optional K, M or G, 1000 each
	KindDuration      // a whole number with ms, s, m, h or d; plain is seconds
	KindNames         // a comma list
)

// String is the name of the kind as documentation writes it.
func (k Kind) String() string {
	return [...]string{"string", "boolean", "integer", "size", "time", "list"}[k]
}

// Option describes one key of the output section. The table of options is the
// only place where a key is defined: parsing, checks, the host's list of allowed
// keys and the documentation all come from it.
type Option struct {
	Name string
	Kind Kind
	// Default is in effect if the key is not given; empty means unset.
	Default string
	// Range says what is allowed, for people.
	Range string
	// Description is one or two sentences.
	Description string

	// parse puts a value that is not empty into c.
	parse func(c *Config, value string) error
}

// defaultRequestTimeout is the KPL's.
const defaultRequestTimeout = 6 * time.Second

// Options returns the table of options in the order of documentation. Callers
// must not change it.
func Options() []Option { return options }

var options = []Option{
	{
		Name: "stream", Range: "name or ARN; required",
		Description: "Kinesis data stream to write to.",
		parse: func(c *Config, v string) error {
			arn, err := parseStream(v)
			c.Stream, c.arn = v, arn
			return err
		},
	},
	{
		Name: "region", Range: "an AWS region; default: from the ARN, AWS_REGION, AWS_DEFAULT_REGION or the profile",
		Description: "AWS region of the stream.",
		parse: func(c *Config, v string) error {
			c.Region = v
			if strings.Trim(v, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || v == "" {
				return errors.New("want the name of an AWS region, such as eu-west-1")
			}
			return nil
		},
	},
	{
		Name: "endpoint", Range: "host, host:port, http://host[:port] or https://host[:port]",
		Description: "Address of the Kinesis API instead of the region's. Without a scheme https is used.",
		parse: func(c *Config, v string) error {
			c.Endpoint = v
			_, err := awsclient.ParseEndpoint(v)
			return err
		},
	},
	{
		Name: "aggregation", Kind: KindBool, Default: "on",
		Description: "Pack many events into one Kinesis record, in the format of the Kinesis Producer Library. Consumers need KCL or a de-aggregation library.",
		parse:       boolOption(func(c *Config) *bool { return &c.Aggregation }),
	},
	{
		Name: "aggregation_max_size", Kind: KindSize, Default: "51200", Range: "64 to 1048576",
		Description: "Largest aggregate. Multiples of 25600 cost least.",
		parse:       sizeOption(func(c *Config) *int { return &c.AggregationMaxBytes }, 64, 1<<20),
	},
	{
		Name: "partition_key", Range: "a, a->b, $a['b'][0], $TAG, $TAG[1] or constant:TEXT; empty: the plugin spreads events over the shards",
		Description: "Where the partition key comes from. Without it, events go wherever there is room, which fills aggregates best.",
		parse: func(c *Config, v string) error {
			c.event.PartitionKey = v
			return nil
		},
	},
	{
		Name: "partition_key_missing", Default: "spread", Range: "spread, tag, drop or constant:TEXT",
		Description: "What to do with an event that has no partition key. Dropped events are lost, and counted.",
		parse: func(c *Config, v string) error {
			c.event.PartitionKeyMissing = v
			return nil
		},
	},
	{
		Name:        "log_key",
		Description: "Send only the value of this key: text as it is, anything else as JSON. Events without the key are sent whole.",
		parse: func(c *Config, v string) error {
			c.event.LogKey = v
			return nil
		},
	},
	{
		Name: "data_keys", Kind: KindNames, Range: "names separated by commas",
		Description: "Top-level keys to keep. Without it all are kept.",
		parse: func(c *Config, v string) error {
			c.event.DataKeys = parseNames(v)
			return nil
		},
	},
	{
		Name:        "time_key",
		Description: "Key under which the time of the event is added.",
		parse: func(c *Config, v string) error {
			c.event.TimeKey = v
			return nil
		},
	},
	{
		Name: "time_key_format", Default: "%Y-%m-%dT%H:%M:%S", Range: "strftime; also %L %3N (ms), %f %6N (us), %N %9N (ns)",
		Description: "Format of time_key, in UTC.",
		parse: func(c *Config, v string) error {
			c.event.TimeKeyFormat = v
			return nil
		},
	},
	{
		Name: "append_newline", Kind: KindBool, Default: "off",
		Description: "End each record with a newline.",
		parse:       boolOption(func(c *Config) *bool { return &c.event.AppendNewline }),
	},
	{
		Name:        "replace_dots",
		Description: "Text to put in place of each dot in keys.",
		parse: func(c *Config, v string) error {
			c.event.ReplaceDots = v
			return nil
		},
	},
	{
		Name: "role_arn", Range: "ARN of an IAM role",
		Description: "Role to assume for writing.",
		parse: func(c *Config, v string) error {
			c.RoleARN = v
			if !strings.HasPrefix(v, "arn:") || !strings.Contains(v, ":role/") {
				return errors.New("want the ARN of a role (arn:aws:iam::ACCOUNT:role/NAME)")
			}
			return nil
		},
	},
	{
		Name:        "external_id",
		Description: "External id to assume role_arn with.",
		parse: func(c *Config, v string) error {
			c.ExternalID = v
			return nil
		},
	},
	{
		Name:        "profile",
		Description: "Profile of the shared AWS configuration and credentials files. Default: AWS_PROFILE.",
		parse: func(c *Config, v string) error {
			c.Profile = v
			return nil
		},
	},
	{
		Name: "sts_endpoint", Range: "like endpoint",
		Description: "Address of the STS API that role_arn is assumed with.",
		parse: func(c *Config, v string) error {
			c.STSEndpoint = v
			_, err := awsclient.ParseEndpoint(v)
			return err
		},
	},
	{
		Name: "flush_timeout", Kind: KindDuration, Default: "4s", Range: "100ms to 10m",
		Description: "How long one flush waits until Kinesis has everything; then the host retries, and only what is missing is sent. Keep it below the service's 'grace' (default 5), or a shutdown may send events twice.",
		parse:       durationOption(func(c *Config) *time.Duration { return &c.FlushTimeout }, 100*time.Millisecond, 10*time.Minute),
	},
	{
		Name: "max_buffered_time", Kind: KindDuration, Default: "100ms", Range: "0 to 1m",
		Description: "How long an event may wait for others to share a Kinesis record with. It is not waited for when no more can come.",
		parse:       durationOption(func(c *Config) *time.Duration { return &c.MaxBufferedTime }, 0, time.Minute),
	},
	{
		Name: "buffer_size", Kind: KindSize, Default: "64M", Range: "2M to 16G",
		Description: "Most bytes that the plugin holds of events that are under way, 128 bytes per event included.",
		parse:       sizeOption(func(c *Config) *int { return &c.BufferBytes }, 2e6, 16e9),
	},
	{
		Name: "buffer_records", Kind: KindInt, Default: "1048576", Range: "1 to 1073741824",
		Description: "Most events that are under way.",
		parse: func(c *Config, v string) error {
			n, err := strconv.Atoi(v)
			if err != nil {
				return errors.New("want a whole number")
			}
			c.BufferRecords = n
			return checkRange(n, 1, 1<<30)
		},
	},
	{
		Name: "http_request_timeout", Kind: KindDuration, Default: "6s", Range: "100ms to 10m, or 0 for the default",
		Description: "How long one call to Kinesis may take before it is given up and repeated.",
		parse: func(c *Config, v string) error {
			d, err := parseDuration(v)
			if err != nil {
				return err
			}
			if d == 0 {
				d = defaultRequestTimeout // what 0, the default, means to the AWS plugin
			}
			c.RequestTimeout = d
			return checkRange(d, 100*time.Millisecond, 10*time.Minute)
		},
	},

	// Options of the two other Kinesis outputs that have no meaning here. They are
	// in the table so that a configuration that was written for those outputs gets
	// an answer instead of "unknown property".
	{
		Name: "compression", Range: "none",
		Description: "Not supported yet.",
		parse: func(_ *Config, v string) error {
			if l := strings.ToLower(v); l == "none" || l == "off" || l == "false" || l == "no" {
				return nil
			}
			return errors.New("compression is not supported yet; want none, or remove the key")
		},
	},
	{
		Name: "simple_aggregation", Kind: KindBool, Range: "off",
		Description: "Not supported: a wire format that consumers cannot split. Use aggregation.",
		parse:       unsupportedBool("events joined by newlines are not supported; use 'aggregation on', which KCL and the de-aggregation libraries can split"),
	},
	{
		Name: "experimental_concurrency", Range: "0",
		Description: "Not supported: it acknowledges events before they are stored. Set 'workers' of the output instead.",
		parse:       unsupportedNumber("flushes that are acknowledged before delivery are not supported; set 'workers' of the output instead"),
	},
	{
		Name: "experimental_concurrency_retries", Range: "any number",
		Description: "Ignored: failed records are retried until they are in.",
		parse:       func(c *Config, _ string) error { return c.ignore("experimental_concurrency_retries") },
	},
	{
		Name: "auto_retry_requests", Kind: KindBool, Range: "any boolean",
		Description: "Ignored: failed requests are always retried.",
		parse: func(c *Config, v string) error {
			if _, err := parseBool(v); err != nil {
				return err
			}
			return c.ignore("auto_retry_requests")
		},
	},
}

// nearMisses are keys that people write for lack of the right one. Hosts since
// 5.1.1 refuse them before the plugin is asked.
var nearMisses = []struct{ name, advice string }{
	{"partition-key", "write partition_key"},
	{"partitionkey", "write partition_key"},
	{"partition_key_path", "write partition_key"},
	{"random_partition_key", "leave partition_key out: events are then spread over the shards"},
	{"streams", "write stream; one output writes to one stream"},
	{"stream_name", "write stream"},
	{"stream_arn", "write stream; it takes a name or an ARN"},
	{"delivery_stream", "that is an option of Firehose; this output writes to Kinesis Data Streams: write stream"},
	{"aws_region", "write region"},
	{"aggregate", "write aggregation"},
	{"aggregation_size", "write aggregation_max_size"},
	{"data-keys", "write data_keys"},
	{"log-key", "write log_key"},
	{"time-key", "write time_key"},
	{"time_format", "write time_key_format"},
	{"newline", "write append_newline"},
	{"aws_role_arn", "write role_arn"},
	{"kinesis_endpoint", "write endpoint"},
	{"kinesis_port", "write the port into endpoint, as host:port"},
	{"timeout", "write flush_timeout or http_request_timeout"},
}

func boolOption(field func(*Config) *bool) func(*Config, string) error {
	return func(c *Config, v string) (err error) {
		*field(c), err = parseBool(v)
		return err
	}
}

func sizeOption(field func(*Config) *int, lo, hi int) func(*Config, string) error {
	return func(c *Config, v string) error {
		n, err := parseSize(v)
		if err != nil {
			return err
		}
		*field(c) = n
		return checkRange(n, lo, hi)
	}
}

func durationOption(field func(*Config) *time.Duration, lo, hi time.Duration) func(*Config, string) error {
	return func(c *Config, v string) error {
		d, err := parseDuration(v)
		if err != nil {
			return err
		}
		*field(c) = d
		return checkRange(d, lo, hi)
	}
}

func unsupportedBool(advice string) func(*Config, string) error {
	return func(_ *Config, v string) error {
		on, err := parseBool(v)
		if err == nil && on {
			err = errors.New(advice)
		}
		return err
	}
}

func unsupportedNumber(advice string) func(*Config, string) error {
	return func(_ *Config, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil {
			return fmt.Errorf("want 0; %s", advice)
		}
		if n != 0 {
			return errors.New(advice)
		}
		return nil
	}
}

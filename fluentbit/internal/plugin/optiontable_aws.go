// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
)

// defaultRequestTimeout is the KPL's.
const defaultRequestTimeout = 6 * time.Second

var requestOptions = []Option{
	{
		Name: "distribution", Default: "detect", Range: "detect, by_key or auto",
		Description: "Who chooses the shard: the key, or Kinesis (record distribution strategy AUTO), which rules out aggregation. Detect finds out.",
		Details:     "Set it where kinesis:DescribeStreamSummary is not allowed: finding out from answers costs some events that are written twice. `by_key` on an AUTO stream writes most events several times.",
		parse: func(c *Config, v string) error {
			word, err := parseChoice(v, "detect", "by_key", "auto")
			switch word {
			case "by_key":
				c.Distribution = core.DistributionByKey
			case "auto":
				c.Distribution = core.DistributionAuto
			}
			return err
		},
	},
	{
		Name: "aggregation", Kind: KindBool, Default: "on",
		Description: "Pack many events into one Kinesis record, in the format of the Kinesis Producer Library. Consumers need KCL or a de-aggregation library.",
		PeerGo:      "off by default; only `true` switches it on; mixes up keys",
		parse:       boolOption(func(c *Config) *bool { return &c.Aggregation }),
	},
	{
		Name: "aggregation_max_size", Kind: KindSize, Default: "51200", Range: "64 to 1048576",
		Description: "Largest aggregate. Multiples of 25600 cost least.",
		PeerGo:      "no option, 1 MiB",
		parse:       sizeOption(func(c *Config) *int { return &c.AggregationMaxBytes }, 64, 1<<20),
	},
	{
		Name: "aggregation_grow_size", Kind: KindSize, Default: "512000", Range: "0 (never) to 1048576",
		Description: "How far an aggregate of large events goes on beyond aggregation_max_size to fill the billing units that it is charged for.",
		parse:       sizeOption(func(c *Config) *int { return &c.AggregationGrowBytes }, 0, 1<<20),
	},
	{
		Name: "aggregation_max_count", Kind: KindInt, Default: "1048576", Range: "1 to 1048576",
		Description: "Most events in one aggregate.",
		parse:       intOption(func(c *Config) *int { return &c.AggregationMaxCount }, 1, 1<<20),
	},
	{
		Name: "max_buffered_time", Kind: KindDuration, Default: "100ms", Range: "0 to 1m",
		Description: "How long an event may wait for others to share a Kinesis record with. It is not waited for when no more can come.",
		parse:       durationOption(func(c *Config) *time.Duration { return &c.MaxBufferedTime }, 0, time.Minute),
	},
	{
		Name: "collection_max_count", Kind: KindInt, Default: "500", Range: "1 to 500",
		Description: "Most Kinesis records in one request.",
		PeerC:       "no option, 500", PeerGo: "no option, 500",
		parse: intOption(func(c *Config) *int { return &c.CollectionMaxCount }, 1, 500),
	},
	{
		Name: "collection_max_size", Kind: KindSize, Default: "1048576", Range: "52224 to 10485760",
		Description: "Most bytes in one request. Small requests cost little more and keep memory and the price of a lost answer low.",
		PeerC:       "no option, 10 MiB", PeerGo: "no option, 5 MiB",
		parse: sizeOption(func(c *Config) *int { return &c.CollectionMaxBytes }, 52224, 10<<20),
	},
	{
		Name: "max_in_flight", Kind: KindInt, Default: "16", Range: "1 to 256",
		Description: "Most requests under way at one time for one stream.",
		PeerC:       "no option, one for each worker", PeerGo: "no option, one",
		parse: intOption(func(c *Config) *int { return &c.MaxInFlight }, 1, 256),
	},
}

var paceOptions = []Option{
	{
		Name: "ordering", Default: "none", Range: "none or strict",
		Description: "Whether events with the same partition key keep their order. Strict has one Kinesis record under way for each shard.",
		Details: "Strict holds for events of one chunk, and from chunk to chunk as long as the host hands them over one after the other, with `workers` 0 or 1, and does not retry. " +
			"A reader has to skip what it has seen before: after a lost answer an event is sent again. Not for events without a key, nor where Kinesis chooses the shard.",
		PeerC: "no option, no order", PeerGo: "no option, no order",
		parse: func(c *Config, v string) error {
			word, err := parseChoice(v, "none", "strict")
			if word == "strict" {
				c.Ordering = core.OrderingStrict
			}
			return err
		},
	},
	{
		Name: "rate_limit", Kind: KindInt, Default: "100", Range: "1 to 1000",
		Description: "Most of a shard's capacity to use, in percent. Above 100 throttles become routine.",
		parse:       intOption(func(c *Config) *int { return &c.RateLimitPercent }, 1, 1000),
	},
	{
		Name: "adaptive_rate", Kind: KindBool, Default: "on",
		Description: "Lower the share of a shard when it throttles, and raise it again when events wait: other producers write to the same shards. Throttles that a lower rate does not lessen do not count.",
		parse:       boolOption(func(c *Config) *bool { return &c.AdaptiveRate }),
	},
	{
		Name: "shard_limit_records", Kind: KindInt, Default: "0", Range: "1 to 1000000000, or 0 for rate_limit alone",
		Description: "Most Kinesis records for one shard in a second.",
		parse:       intOption(func(c *Config) *int { return &c.ShardRecords }, 0, 1e9),
	},
	{
		Name: "shard_limit_bytes", Kind: KindSize, Default: "0", Range: "1024 to 1000G, or 0 for rate_limit alone",
		Description: "Most bytes of data and keys for one shard in a second.",
		parse: func(c *Config, v string) error {
			n, err := parseSize(v)
			if err == nil && n != 0 {
				err = checkRange(n, 1024, 1e12)
			}
			if err == nil {
				c.ShardBytes = n
			}
			return err
		},
	},
	{
		Name: "fail_if_throttled", Kind: KindBool, Default: "off",
		Description: "Give throttled events back to the host at once, which retries them, instead of retrying them within the flush.",
		parse:       boolOption(func(c *Config) *bool { return &c.FailIfThrottled }),
	},
	{
		Name: "record_ttl", Kind: KindDuration, Default: "0", Range: "100ms to 24h, or 0 for never",
		Description: "Give up on an event that is not confirmed this long after it was handed over: it goes to the dead letter file, or is lost if there is none.",
		parse:       durationOption(func(c *Config) *time.Duration { return &c.RecordTTL }, 100*time.Millisecond, 24*time.Hour, 0),
	},
	{
		Name: "retry_backoff_min", Kind: KindDuration, Default: "100ms", Range: "1ms to 5m",
		Description: "Longest wait before the first retry of a request; it doubles with each further one, and what is waited is a random part of it.",
		parse:       durationOption(func(c *Config) *time.Duration { return &c.RetryBackoffMin }, time.Millisecond, 5*time.Minute),
	},
	{
		Name: "retry_backoff_max", Kind: KindDuration, Default: "5s", Range: "1ms to 5m",
		Description: "Longest wait before any retry.",
		parse:       durationOption(func(c *Config) *time.Duration { return &c.RetryBackoffMax }, time.Millisecond, 5*time.Minute),
	},
}

var boundOptions = []Option{
	{
		Name: "startup_check", Default: checkOff, Range: "off, warn or require",
		Description: "Look at the start whether the stream can be written to, without writing: warn logs what is missing, require refuses to start.",
		Details: "Needs no permission that writing does not need. Trouble that may pass by itself (a network that is not up yet) never keeps the plugin from starting. " +
			"Beware of `require` with hot reload: the host ends when an output refuses to start.",
		parse: func(c *Config, v string) error {
			if on, err := parseBool(v); err == nil {
				v = checkOff
				if on {
					v = checkWarn
				}
			}
			return choiceOption(func(c *Config) *string { return &c.StartupCheck }, checkOff, checkWarn, checkRequire)(c, v)
		},
	},
	{
		Name: "flush_timeout", Kind: KindDuration, Default: "4s", Range: "100ms to 10m",
		Description: "How long one flush waits until Kinesis has everything; then the host retries, and only what is missing is sent. Keep it below the service's 'grace' (default 5), or a shutdown may send events twice.",
		parse:       durationOption(func(c *Config) *time.Duration { return &c.FlushTimeout }, 100*time.Millisecond, 10*time.Minute),
	},
	{
		Name: "http_request_timeout", Kind: KindDuration, Default: "6s", Range: "100ms to 10m, or 0 for the default",
		Description: "How long one call to Kinesis may take before it is given up and repeated.",
		PeerC:       "`net.*`", PeerGo: "seconds; 0, the default, is no limit",
		// 0 is the AWS plugin's default.
		parse: durationOption(func(c *Config) *time.Duration { return &c.RequestTimeout }, 100*time.Millisecond, 10*time.Minute, defaultRequestTimeout),
	},
	{
		Name: "connect_timeout", Kind: KindDuration, Default: "6s", Range: "100ms to 5m",
		Description: "How long connecting may take, and the TLS handshake again.",
		PeerC:       "`net.connect_timeout`",
		parse:       durationOption(func(c *Config) *time.Duration { return &c.ConnectTimeout }, 100*time.Millisecond, 5*time.Minute),
	},
	{
		Name: "max_connections", Kind: KindInt, Default: "24", Range: "1 to 256",
		Description: "Most connections to Kinesis. It is raised to max_in_flight.",
		parse:       intOption(func(c *Config) *int { return &c.MaxConnections }, 1, 256),
	},
	{
		Name: "buffer_size", Kind: KindSize, Default: "64M", Range: "2M to 16G",
		Description: "Most bytes that the plugin holds of events that are under way, 128 bytes per event included.",
		parse:       sizeOption(func(c *Config) *int { return &c.BufferBytes }, 2e6, 16e9),
	},
	{
		Name: "buffer_records", Kind: KindInt, Default: "1048576", Range: "1 to 1073741824",
		Description: "Most events that are under way.",
		parse:       intOption(func(c *Config) *int { return &c.BufferRecords }, 1, 1<<30),
	},
}

var clientOptions = []Option{
	{
		Name: "role_arn", Range: "ARN of an IAM role",
		Description: "Role to assume for writing.",
		Details: "Without it, credentials come from where the AWS SDK looks: environment, shared files, web identity (IRSA), container (ECS, EKS Pod Identity), " +
			"instance (IMDSv2). With it, those are used to assume the role.",
		PeerC: "the same", PeerGo: "the same",
		parse: func(c *Config, v string) error {
			c.RoleARN = v
			if !strings.HasPrefix(v, "arn:") || !strings.Contains(v, ":role/") {
				return errors.New("want the ARN of a role (arn:aws:iam::ACCOUNT:role/NAME)")
			}
			return nil
		},
	},
	{
		Name: "external_id", Secret: true,
		Description: "External id to assume role_arn with.",
		PeerC:       "the same",
		parse:       textOption(func(c *Config) *string { return &c.ExternalID }),
	},
	{
		Name: "sts_endpoint", Range: "like endpoint",
		Description: "Address of the STS API, for role_arn as well as for web identities (IRSA) and profiles with a role.",
		PeerC:       "the same", PeerGo: "the same",
		parse: func(c *Config, v string) error {
			c.STSEndpoint = v
			_, err := awsclient.ParseEndpoint(v)
			return err
		},
	},
	{
		Name:        "profile",
		Description: "Profile of the shared AWS configuration and credentials files. Default: AWS_PROFILE.",
		PeerC:       "the same",
		parse:       textOption(func(c *Config) *string { return &c.Profile }),
	},
	{
		Name: "proxy", Range: "http://, https:// or socks5:// with [user:password@]host[:port]; default: HTTPS_PROXY, NO_PROXY", Secret: true,
		Description: "Proxy for calls to AWS. Addresses of the machine itself and of its metadata services are reached directly.",
		PeerC:       "HTTP_PROXY", PeerGo: "HTTPS_PROXY",
		parse: func(c *Config, v string) error {
			c.Proxy = v
			_, err := awsclient.ParseProxy(v)
			return err
		},
	},
	{
		Name: "ca_file", Range: "path of a PEM file; default: AWS_CA_BUNDLE, else the system's",
		Description: "Certificate authorities to trust.",
		PeerC:       "`tls.ca_file`, which Fluent Bit does not pass on to plugins like this one",
		parse:       textOption(func(c *Config) *string { return &c.CAFile }),
	},
	{
		Name: "verify_certificate", Kind: KindBool, Default: "on",
		Description: "Check the certificates of AWS. Off is for tests only.",
		PeerC:       "`tls.verify`",
		parse: func(c *Config, v string) error {
			on, err := parseBool(v)
			if err == nil && !on {
				c.notice("verify_certificate", "certificates are not checked: whoever is in between can read all events")
			}
			c.SkipVerify = err == nil && !on
			return err
		},
	},
	{
		Name: "extra_user_agent", Range: "words of letters, digits and -._~/",
		Description: "Added to the user agent of requests.",
		parse: func(c *Config, v string) error {
			for _, r := range v {
				if r > '~' || !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~/ ", r)) {
					return errors.New("want words of letters, digits and -._~/")
				}
			}
			c.ExtraUserAgent = v
			return nil
		},
	},
}

// otherOptions have no meaning here. They are in the table so that a configuration
// that was written for another output gets an answer instead of "unknown property".
var otherOptions = []Option{
	{
		Name: "simple_aggregation", Kind: KindBool, Range: "any boolean",
		Description: "`on` is `combine lines`: several events in one record, each with a line feed behind it. The records are aggregated besides, unless aggregation is off.",
		PeerC:       "several events in one record, joined by newlines; one record for each request",
		parse: func(c *Config, v string) error {
			on, err := parseBool(v)
			c.simpleAggregation = on
			return err
		},
	},
	{
		Name: "experimental_concurrency", Kind: KindInt, Range: "0 to 10",
		Description: "Ignored with a warning: it acknowledges events before they are stored. Set 'workers' of the output instead.",
		PeerGo:      "0; flushes in the background that are acknowledged at once",
		parse: func(c *Config, v string) error {
			n, err := strconv.Atoi(v)
			if err != nil || n < 0 || n > 10 {
				return errors.New("want a whole number from 0 to 10")
			}
			if n > 0 {
				c.notice("experimental_concurrency", "ignored: nothing is acknowledged before Kinesis has confirmed it; several requests are under way anyway (max_in_flight), and 'workers' of the output gives several flushes")
			}
			return nil
		},
	},
	{
		Name: "experimental_concurrency_retries", Kind: KindInt, Range: "any number",
		Description: "Ignored with a warning: failed records are retried until they are in.",
		PeerGo:      "4; then the events are lost",
		parse: func(c *Config, v string) error {
			if n, err := strconv.Atoi(v); err != nil || n < 0 {
				return errors.New("want a whole number")
			}
			c.notice("experimental_concurrency_retries", "ignored: failed records are retried until they are in (see record_ttl)")
			return nil
		},
	},
	{
		Name: "auto_retry_requests", Kind: KindBool, Range: "any boolean",
		Description: "Ignored, with a warning if it is off: failed requests are always retried.",
		PeerC:       "true; one retry at once after a network error",
		parse: func(c *Config, v string) error {
			on, err := parseBool(v)
			if err == nil && !on {
				c.notice("auto_retry_requests", "ignored: failed records are always retried")
			}
			return err
		},
	},
}

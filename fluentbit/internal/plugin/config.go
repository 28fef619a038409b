// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/internal/event"
)

// ConfigGetter reads the output section of the host's configuration.
type ConfigGetter interface {
	// Get returns the value of a key, or "" if it is not given. The host compares
	// keys without regard to case.
	Get(key string) string
}

// MapConfig is a ConfigGetter for tests and tools. Its keys are in lower case.
type MapConfig map[string]string

// Get implements ConfigGetter.
func (m MapConfig) Get(key string) string { return m[strings.ToLower(key)] }

// Config is a checked configuration; see the table of options for meanings,
// defaults and ranges. ParseConfig makes it.
type Config struct {
	Stream, Region, Endpoint string // Stream may be a template
	FIPS, DualStack          bool
	RoleARN, ExternalID      string
	Profile, STSEndpoint     string
	Proxy, CAFile            string
	SkipVerify               bool
	ExtraUserAgent           string

	Aggregation          bool
	AggregationMaxBytes  int
	AggregationGrowBytes int
	AggregationMaxCount  int
	MaxBufferedTime      time.Duration
	CollectionMaxCount   int
	CollectionMaxBytes   int
	MaxInFlight          int
	Distribution         core.RecordDistribution
	Ordering             core.Ordering
	RateLimitPercent     int
	ShardRecords         int
	ShardBytes           int
	AdaptiveRate         bool
	FailIfThrottled      bool
	RecordTTL            time.Duration
	RetryBackoffMin      time.Duration
	RetryBackoffMax      time.Duration

	StreamIdle       time.Duration
	DescribeInterval time.Duration
	StartupCheck     string // off, warn or require
	FlushTimeout     time.Duration
	RequestTimeout   time.Duration
	ConnectTimeout   time.Duration
	MaxConnections   int
	BufferBytes      int
	BufferRecords    int

	// Oversize is a word of the option, or empty for its default.
	Oversize             string
	DeadLetterFile       string
	DeadLetterMaxBytes   int
	DeadLetterMaxFiles   int
	DeadLetterDropOldest bool

	metricsLevel, metricsGranularity string
	observer                         core.Observer // of the producer, or nil

	streamMissing string // error or dead_letter, or empty for the default
	event         event.Config
	// simpleAggregation is combine lines in the words of another output.
	simpleAggregation bool
	shaper            *event.Shaper
	notices           []notice
	given             []slog.Attr // options that are set, without secrets
}

// notice is something that the user should know about an option.
type notice struct{ option, text string }

func (c *Config) notice(option, text string) {
	c.notices = append(c.notices, notice{option, text})
}

// ParseConfig reads and checks every option, and returns all problems at once,
// joined by errors.Join; each names the key, the value and what is allowed.
// getenv is os.Getenv or a stand-in. It opens no file and no connection.
func ParseConfig(get ConfigGetter, getenv func(string) string) (Config, error) {
	var c Config
	var problems []error
	invalid := map[string]bool{}
	for _, o := range Options() {
		v := get.Get(o.Name)
		if o.Name != "replace_dots" { // blanks are text there
			v = strings.TrimSpace(v)
		}
		if v != "" && !o.Secret {
			c.given = append(c.given, slog.String(o.Name, v))
		}
		if v == "" {
			v = o.Default
		}
		if v == "" {
			continue
		}
		if err := o.parse(&c, v); err != nil {
			invalid[o.Name] = true
			shown := awsclient.WithoutPassword(v)
			if o.Secret {
				shown = "..."
			}
			problems = append(problems, fmt.Errorf("cannot use %s %q: %w", o.Name, shown, err))
		}
	}
	for _, m := range nearMisses {
		if get.Get(m.name) != "" {
			problems = append(problems, fmt.Errorf("cannot use %s: no such option; %s", m.name, m.advice))
		}
	}
	problems = append(problems, c.completeRegion(getenv, invalid)...)
	if c.Stream == "" && !invalid["stream"] {
		problems = append(problems, errors.New("cannot do without stream: set it to the name or the ARN of a stream"))
	}
	if c.ExternalID != "" && c.RoleARN == "" {
		problems = append(problems, errors.New("cannot use external_id without role_arn: it is only sent when a role is assumed"))
	}
	problems = append(problems, c.checkTogether(invalid)...)
	var err error
	if c.simpleAggregation {
		c.event.Combine = "lines"
	}
	if c.shaper, err = event.NewShaper(c.event); err != nil {
		problems = append(problems, flatten(err)...)
	}
	if len(problems) > 0 {
		return Config{}, errors.Join(problems...)
	}
	return c, nil
}

// checkTogether finds options that do not go with each other.
func (c *Config) checkTogether(invalid map[string]bool) (problems []error) {
	bad := func(when bool, format string, args ...any) {
		if when {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	noFile := c.DeadLetterFile == ""
	given := slices.ContainsFunc(c.given, func(a slog.Attr) bool { return a.Key == "combine" })
	bad(c.simpleAggregation && given && c.event.Combine != "lines" && !invalid["combine"],
		"cannot use simple_aggregation %q: combine is %s; allowed: combine lines, or only one of the two", "on", c.event.Combine)
	bad(noFile && c.Oversize == oversizeLetter, "cannot use oversize %q: it needs dead_letter_file", c.Oversize)
	bad(noFile && c.streamMissing == "dead_letter", "cannot use stream_missing %q: it needs dead_letter_file", c.streamMissing)
	bad((c.FIPS || c.DualStack) && c.Endpoint != "", "cannot use endpoint %q: use_fips_endpoint or use_dualstack_endpoint is on; want one or the other", c.Endpoint)
	bad(!invalid["retry_backoff_min"] && !invalid["retry_backoff_max"] && c.RetryBackoffMin > c.RetryBackoffMax,
		"cannot use retry_backoff_min %q: it is above retry_backoff_max; allowed: at most %s", spelled(c.RetryBackoffMin), spelled(c.RetryBackoffMax))
	bad(c.CollectionMaxBytes > 0 && c.CollectionMaxBytes < c.AggregationMaxBytes && c.Aggregation,
		"cannot use collection_max_size %d: it is below aggregation_max_size; allowed: %d and more", c.CollectionMaxBytes, c.AggregationMaxBytes)
	if c.event.Stream != "" && c.StartupCheck != checkOff && c.StartupCheck != "" {
		c.notice("startup_check", "has no effect, because stream is a template: streams are seen when events come for them")
	}
	if c.Ordering == core.OrderingStrict && c.event.PartitionKey == "" {
		c.notice("ordering", "has no effect without partition_key: only events with a key keep their order")
	}
	if c.event.Stream == "" {
		for _, g := range c.given {
			if g.Key == "stream_allow" || g.Key == "stream_missing" || g.Key == "max_streams" {
				c.notice(g.Key, "has no effect, because stream is not a template")
			}
		}
	}
	c.MaxConnections = max(c.MaxConnections, c.MaxInFlight)
	return problems
}

// completeRegion fills in the region from where it is not configured.
func (c *Config) completeRegion(getenv func(string) string, invalid map[string]bool) []error {
	arn := arnRegion(c.Stream)
	if arn != "" && c.Region != "" && c.Region != arn && !invalid["region"] {
		return []error{fmt.Errorf("cannot use region %q: the ARN in stream says %q; want the same or no region", c.Region, arn)}
	}
	for _, v := range []string{arn, getenv("AWS_REGION"), getenv("AWS_DEFAULT_REGION")} {
		if c.Region == "" {
			c.Region = v
		}
	}
	if invalid["region"] {
		return nil // one complaint is enough
	}
	// A profile may have a region; whether it has is seen when the client is made.
	if c.Region == "" && c.Profile == "" && getenv("AWS_PROFILE") == "" {
		return []error{errors.New("cannot do without region: set it, or AWS_REGION, or give the stream as an ARN")}
	}
	return nil
}

// flatten takes a joined error apart.
func flatten(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}

// Problems takes the error of ParseConfig apart, for one log line each.
func Problems(err error) []error { return flatten(err) }

// LogAttrs lists what is configured and the most important defaults, for one line
// at start. Secrets are left out.
func (c *Config) LogAttrs() []slog.Attr {
	attrs := slices.Clone(c.given)
	for _, a := range []slog.Attr{
		slog.String("region", c.Region), slog.Bool("aggregation", c.Aggregation), slog.String("partition_key", "none (spread)"),
		slog.Duration("flush_timeout", c.FlushTimeout), slog.Int("buffer_size", c.BufferBytes),
	} {
		if !slices.ContainsFunc(attrs, func(g slog.Attr) bool { return g.Key == a.Key }) {
			attrs = append(attrs, a)
		}
	}
	return attrs
}

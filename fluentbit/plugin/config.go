// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/outkpl/outkpl/core/event"
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
	Stream, Region, Endpoint string
	RoleARN, ExternalID      string
	Profile, STSEndpoint     string
	Aggregation              bool
	AggregationMaxBytes      int
	FlushTimeout             time.Duration
	RequestTimeout           time.Duration
	MaxBufferedTime          time.Duration
	BufferBytes              int
	BufferRecords            int

	arn     streamARN
	event   event.Config
	shaper  *event.Shaper
	ignored []string
}

func (c *Config) ignore(name string) error {
	c.ignored = append(c.ignored, name)
	return nil
}

// ParseConfig reads and checks every option, and returns all problems at once,
// joined by errors.Join; each names the key, the value and what is allowed.
// getenv is os.Getenv or a stand-in. It opens no file and no connection.
func ParseConfig(get ConfigGetter, getenv func(string) string) (Config, error) {
	var c Config
	var problems []error
	invalid := map[string]bool{}
	for i := range options {
		o := &options[i]
		v := strings.TrimSpace(get.Get(o.Name))
		if o.Name == "replace_dots" {
			v = get.Get(o.Name) // blanks are text there
		}
		given := v != ""
		if !given {
			v = o.Default
		}
		if v == "" {
			continue
		}
		if err := o.parse(&c, v); err != nil {
			invalid[o.Name] = true
			problems = append(problems, fmt.Errorf("cannot use %s %q: %w", o.Name, v, err))
		}
	}
	for _, m := range nearMisses {
		if get.Get(m.name) != "" {
			problems = append(problems, fmt.Errorf("cannot use %s: no such option; %s", m.name, m.advice))
		}
	}
	problems = append(problems, c.completeRegion(getenv, invalid)...)
	if c.Stream == "" {
		problems = append(problems, errors.New("cannot do without stream: set it to the name or the ARN of a stream"))
	}
	if c.ExternalID != "" && c.RoleARN == "" {
		problems = append(problems, errors.New("cannot use external_id without role_arn: it is only sent when a role is assumed"))
	}
	var err error
	if c.shaper, err = event.NewShaper(c.event); err != nil {
		problems = append(problems, flatten(err)...)
	}
	if len(problems) > 0 {
		return Config{}, errors.Join(problems...)
	}
	return c, nil
}

// completeRegion fills in the region from where it is not configured.
func (c *Config) completeRegion(getenv func(string) string, invalid map[string]bool) []error {
	if c.arn.region != "" && c.Region != "" && c.Region != c.arn.region && !invalid["region"] {
		return []error{fmt.Errorf("cannot use region %q: the ARN in stream says %q; want the same or no region", c.Region, c.arn.region)}
	}
	for _, v := range []string{c.arn.region, getenv("AWS_REGION"), getenv("AWS_DEFAULT_REGION")} {
		if c.Region == "" {
			c.Region = v
		}
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

// LogAttrs lists what is in effect, for one line at start. Secrets are left out.
func (c *Config) LogAttrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("stream", c.Stream), slog.String("region", c.Region)}
	optional := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	optional("endpoint", c.Endpoint)
	optional("role_arn", c.RoleARN)
	optional("profile", c.Profile)
	optional("sts_endpoint", c.STSEndpoint)
	attrs = append(attrs, slog.Bool("aggregation", c.Aggregation))
	if c.Aggregation {
		attrs = append(attrs, slog.Int("aggregation_max_size", c.AggregationMaxBytes))
	}
	if c.event.PartitionKey == "" {
		attrs = append(attrs, slog.String("partition_key", "none (spread)"))
	} else {
		attrs = append(attrs, slog.String("partition_key", c.event.PartitionKey),
			slog.String("partition_key_missing", c.event.PartitionKeyMissing))
	}
	optional("log_key", c.event.LogKey)
	optional("data_keys", strings.Join(c.event.DataKeys, ","))
	optional("time_key", c.event.TimeKey)
	if c.event.TimeKey != "" {
		optional("time_key_format", c.event.TimeKeyFormat)
	}
	optional("replace_dots", c.event.ReplaceDots)
	return append(attrs,
		slog.Bool("append_newline", c.event.AppendNewline),
		slog.Duration("flush_timeout", c.FlushTimeout),
		slog.Duration("http_request_timeout", c.RequestTimeout),
		slog.Duration("max_buffered_time", c.MaxBufferedTime),
		slog.Int("buffer_size", c.BufferBytes),
		slog.Int("buffer_records", c.BufferRecords))
}

// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/event"
	"github.com/outkpl/outkpl/internal/journal"
	"github.com/outkpl/outkpl/internal/option"
	"github.com/outkpl/outkpl/internal/option/table"
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
	Stream string // may be a template
	table.AWS
	table.Producer

	FlushTimeout time.Duration

	// Journal is what outlives the process; journal is that of the producer, or nil.
	Journal table.Journal
	journal *journal.Journal

	// Oversize is a word of the option, or empty for its default.
	Oversize             string
	DeadLetterFile       string
	DeadLetterMaxBytes   int64
	DeadLetterMaxFiles   int
	DeadLetterDropOldest bool

	metricsLevel, metricsGranularity string
	observer                         core.Observer // of the producer, or nil

	streamMissing string // error or dead_letter, or empty for the default
	event         event.Config
	shaper        *event.Shaper
	// simpleAggregation is combine lines in the words of another output.
	simpleAggregation bool
	ignored           struct {
		autoRetry                       bool
		concurrency, concurrencyRetries int
	}
	notices []notice
	given   []slog.Attr // options that are set, without secrets
}

// defaultRequestTimeout is the KPL's. It is what 0 means, the default of the AWS plugin.
const defaultRequestTimeout = 6 * time.Second

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
	options := Options()
	for i := range options {
		o := &options[i]
		// Hosts since 5.1.1 refuse these before the plugin is asked.
		for _, h := range o.Hints {
			if wrong, advice := option.CutHint(h, o.Name); get.Get(wrong) != "" {
				problems = append(problems, &option.Problem{Name: wrong, What: "no such option", Hint: advice})
			}
		}
		name, v, err := given(get, &o.Spec)
		if err != nil {
			problems = append(problems, err)
		}
		if v != "" && !o.Secret {
			c.given = append(c.given, slog.String(name, v))
		}
		if v == "" {
			v = o.Default
		}
		if v == "" {
			continue
		}
		note, problem := o.Set(option.FluentBit, &c, name, v, nil)
		if problem != nil {
			invalid[o.Name] = true
			problems = append(problems, problem)
		}
		if note != "" {
			c.notice(name, note)
		}
	}
	problems = append(problems, c.completeRegion(getenv, invalid)...)
	if c.Stream == "" && !invalid["stream"] {
		problems = append(problems, &option.Problem{Name: "stream", What: "not set", Allowed: "the name or the ARN of a stream"})
	}
	problems = append(problems, c.checkTogether(invalid)...)
	c.complete()
	var err error
	if c.shaper, err = event.NewShaper(c.event); err != nil {
		problems = append(problems, option.Split(err)...)
	}
	if len(problems) > 0 {
		return Config{}, errors.Join(problems...)
	}
	return c, nil
}

// given returns the value of an option and the name that it was given under.
func given(get ConfigGetter, s *option.Spec) (name, value string, err error) {
	name = s.Name
	for _, n := range s.Names() {
		v := get.Get(n)
		if s.Name != "replace_dots" { // blanks are text there
			v = strings.TrimSpace(v)
		}
		switch {
		case v == "":
		case value == "":
			name, value = n, v
		default:
			err = option.TwoNames(n, name)
		}
	}
	return name, value, err
}

// has tells whether an option that is no secret is given.
func (c *Config) has(name string) bool {
	return slices.ContainsFunc(c.given, func(a slog.Attr) bool { return a.Key == name })
}

// checkTogether finds options that do not go with each other.
func (c *Config) checkTogether(invalid map[string]bool) (problems []error) {
	bad := func(when bool, name, value, what, allowed string) {
		if when {
			problems = append(problems, option.Wrong(name, value, what, allowed))
		}
	}
	noFile := c.DeadLetterFile == ""
	bad(c.simpleAggregation && c.has("combine") && c.event.Combine != "lines" && !invalid["combine"],
		"simple_aggregation", "on", "combine is "+c.event.Combine, "combine lines, or only one of the two")
	bad(noFile && c.Oversize == oversizeDeadLetter, "oversize", c.Oversize, "it needs dead_letter_file", "")
	bad(noFile && c.streamMissing == "dead_letter", "stream_missing", c.streamMissing, "it needs dead_letter_file", "")
	size := option.FluentBit.FormatSize(int64(c.AggregationMaxBytes))
	bad(c.CollectionMaxBytes > 0 && c.CollectionMaxBytes < c.AggregationMaxBytes && c.Aggregation,
		"collection_max_size", option.FluentBit.FormatSize(int64(c.CollectionMaxBytes)), "it is below aggregation_max_size", size+" and more")
	for _, p := range slices.Concat(c.AWS.Check(""), c.Producer.Check(""), c.Producer.CheckLinger("", "flush_timeout", c.FlushTimeout)) {
		// What was refused is not in c.
		if p.Name == "external_id" && invalid["role_arn"] || p.Name == "retry_backoff_min" && invalid["retry_backoff_max"] ||
			p.Name == "linger" && invalid["flush_timeout"] {
			continue
		}
		problems = append(problems, p)
	}
	return problems
}

// complete settles what follows from several options, and notes what has no effect.
func (c *Config) complete() {
	if c.Oversize == "truncate" || c.Oversize == "split" {
		c.event.Oversize = c.Oversize
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = defaultRequestTimeout
	}
	if c.simpleAggregation {
		c.event.Combine = "lines"
	}
	c.event.StreamIdle = c.StreamIdle
	c.MaxStreams = event.MaxStreams // of the producer; the shaper's bound is lower
	c.MaxConnections = max(c.MaxConnections, c.MaxInFlight)
	if c.SkipVerify {
		c.notice("verify_certificate", "certificates are not checked: a machine in between can read all events")
	}
	if c.event.Stream != "" && c.StartupCheck != table.CheckOff && c.has("startup_check") {
		c.notice("startup_check", "looks at the credentials alone, because stream is a template: streams are seen when events come for them")
	}
	if c.Ordering == table.Strict && c.event.PartitionKey == "" {
		c.notice("ordering", "has no effect without partition_key: only events with a key keep their order")
	}
	for _, name := range []string{"stream_allow", "stream_missing", "max_streams"} {
		if c.event.Stream == "" && c.has(name) {
			c.notice(name, "has no effect, because stream is not a template")
		}
	}
	if strings.HasPrefix(c.event.PartitionKey, "$tag") {
		c.notice("partition_key", "$tag names a field of the event; the tag is $TAG")
	}
	if c.ignored.concurrency > 0 {
		c.notice("experimental_concurrency", "ignored: nothing is acknowledged before Kinesis has confirmed it; several requests are under way anyway (max_in_flight), and 'workers' of the output gives several flushes")
	}
	if c.has("experimental_concurrency_retries") {
		c.notice("experimental_concurrency_retries", "ignored: failed records are retried until they are in (see record_ttl)")
	}
	if c.has("auto_retry_requests") && !c.ignored.autoRetry {
		c.notice("auto_retry_requests", "ignored: failed records are always retried")
	}
}

// completeRegion fills in the region from where it is not configured.
func (c *Config) completeRegion(getenv func(string) string, invalid map[string]bool) []error {
	_, arn, _ := core.ParseStream(c.Stream) // a template as an ARN is parsed below
	if c.event.Stream != "" && strings.HasPrefix(c.Stream, "arn:") {
		before, _, _ := strings.Cut(c.Stream, "$")
		_, arn, _ = core.ParseStream(before + "x")
	}
	if arn != "" && c.Region != "" && c.Region != arn && !invalid["region"] {
		return []error{option.Wrong("region", c.Region, fmt.Sprintf("the ARN in stream says %q", arn), "the same or no region")}
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
		return []error{&option.Problem{Name: "region", What: "not set, neither here nor by AWS_REGION, AWS_DEFAULT_REGION or the ARN of a stream", Allowed: "an AWS region"}}
	}
	return nil
}

// Problems takes the error of ParseConfig apart, for one log line each.
func Problems(err error) []error { return option.Split(err) }

// LogAttrs lists what is configured and the most important defaults, for one line
// at start. Secrets are left out. region and endpoint are where records go to, which the
// environment or a profile may say, too; empty if that is not known.
func (c *Config) LogAttrs(region, endpoint string) []slog.Attr {
	attrs := slices.Clone(c.given)
	for _, a := range []slog.Attr{
		slog.String("region", cmp.Or(region, c.Region)), slog.String("endpoint", endpoint), slog.Bool("aggregation", c.Aggregation), slog.String("partition_key", "none (unkeyed)"),
		slog.Duration("flush_timeout", c.FlushTimeout), slog.Int("buffer_size", c.BufferBytes),
	} {
		if a.Value.String() != "" && !slices.ContainsFunc(attrs, func(g slog.Attr) bool { return g.Key == a.Key }) {
			attrs = append(attrs, a)
		}
	}
	return attrs
}

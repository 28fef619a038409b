// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"slices"
	"strconv"
	"time"
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
// keys and docs/options.md all come from it.
type Option struct {
	Name string
	Kind Kind
	// Default is in effect if the key is not given; empty means unset.
	Default string
	// Range says what is allowed, for people.
	Range string
	// Description is one or two sentences.
	Description string
	// Details is more for docs/options.md, or empty.
	Details string
	// PeerC and PeerGo say what Fluent Bit's own kinesis_streams output (5.1.1) and
	// the AWS Go plugin kinesis (1.10.2) do with the key; empty: they do not have it.
	PeerC, PeerGo string
	// Secret values are not logged.
	Secret bool

	// parse puts a value that is not empty into c.
	parse func(c *Config, value string) error
}

// Section is a group of options in docs/options.md.
type Section struct {
	Title   string
	Options []Option
}

// Options returns the options of all sections.
func Options() []Option {
	var all []Option
	for _, s := range sections {
		all = append(all, s.Options...)
	}
	return all
}

var sections = []Section{
	{"Stream and region", streamOptions},
	{"Partition key", keyOptions},
	{"Payload", payloadOptions},
	{"What does not fit or cannot be delivered", oversizeOptions},
	{"Aggregation and requests", requestOptions},
	{"Pace and retries", paceOptions},
	{"Time and memory", boundOptions},
	{"Credentials and connection", clientOptions},
	{"Metrics", metricsOptions},
	{"Accepted for moving over", otherOptions},
}

// nearMisses are keys that people write for lack of the right one. Hosts since
// 5.1.1 refuse them before the plugin is asked.
var nearMisses = []struct{ name, advice string }{
	{"partition-key", "write partition_key"},
	{"partitionkey", "write partition_key"},
	{"partition_key_path", "write partition_key"},
	{"random_partition_key", "leave partition_key out: events are then spread over the shards"},
	{"streams", "write stream; a template such as logs-$TAG[1] gives several"},
	{"stream_name", "write stream"},
	{"stream_key", "write stream $KEY, or $KEY['b'] for a nested key"},
	{"stream_arn", "write stream; it takes a name or an ARN"},
	{"default_stream", "write stream_missing constant:NAME"},
	{"delivery_stream", "that is an option of Firehose; this output writes to Kinesis Data Streams: write stream"},
	{"aws_region", "write region"},
	{"aggregate", "write aggregation"},
	{"aggregation_enabled", "write aggregation"},
	{"aggregation_size", "write aggregation_max_size"},
	{"record_max_buffered_time", "write max_buffered_time"},
	{"data-keys", "write data_keys"},
	{"data_key", "write data_keys"},
	{"log-key", "write log_key"},
	{"time-key", "write time_key"},
	{"time_format", "write time_key_format"},
	{"newline", "write append_newline"},
	{"replace_dot", "write replace_dots"},
	{"compress", "write compression"},
	{"compression_type", "write compression"},
	{"aws_role_arn", "write role_arn"},
	{"aws_external_id", "write external_id"},
	{"aws_profile", "write profile"},
	{"kinesis_endpoint", "write endpoint"},
	{"kinesis_port", "write the port into endpoint, as host:port"},
	{"ca_bundle", "write ca_file"},
	{"tls_verify", "write verify_certificate"},
	{"http_proxy", "write proxy"},
	{"user_agent", "write extra_user_agent"},
	{"timeout", "write flush_timeout, http_request_timeout or connect_timeout"},
	{"request_timeout", "write http_request_timeout"},
	{"max_retries", "records are retried until they are in; see record_ttl and the host's retry_limit"},
	{"dead_letter", "write dead_letter_file"},
	{"dlq_path", "write dead_letter_file"},
}

func textOption(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		*field(c) = v
		return nil
	}
}

func boolOption(field func(*Config) *bool) func(*Config, string) error {
	return func(c *Config, v string) (err error) {
		*field(c), err = parseBool(v)
		return err
	}
}

func choiceOption(field func(*Config) *string, words ...string) func(*Config, string) error {
	return func(c *Config, v string) (err error) {
		*field(c), err = parseChoice(v, words...)
		return err
	}
}

func intOption(field func(*Config) *int, lo, hi int) func(*Config, string) error {
	return func(c *Config, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil {
			return errors.New("want a whole number")
		}
		if err = checkRange(n, lo, hi); err == nil {
			*field(c) = n
		}
		return err
	}
}

func sizeOption(field func(*Config) *int, lo, hi int) func(*Config, string) error {
	return func(c *Config, v string) error {
		n, err := parseSize(v)
		if err == nil {
			err = checkRange(n, lo, hi)
		}
		if err == nil {
			*field(c) = n
		}
		return err
	}
}

// durationOption takes a time in a range. zero, if given, is what 0 stands for.
func durationOption(field func(*Config) *time.Duration, lo, hi time.Duration, zero ...time.Duration) func(*Config, string) error {
	return func(c *Config, v string) error {
		d, err := parseDuration(v)
		if err != nil {
			return err
		}
		if d == 0 && len(zero) > 0 {
			*field(c) = zero[0]
			return nil
		}
		if err = checkRange(d, lo, hi); err == nil {
			*field(c) = d
		}
		return err
	}
}

func namesOption(field func(*Config) *[]string) func(*Config, string) error {
	return func(c *Config, v string) error {
		*field(c) = parseNames(v)
		if slices.Contains(*field(c), "") {
			*field(c) = nil
			return errors.New("a name is empty; want names separated by single commas")
		}
		return nil
	}
}

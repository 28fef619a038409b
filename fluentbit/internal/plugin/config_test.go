// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/option"
	"github.com/outkpl/outkpl/internal/option/table"
)

func noEnv(string) string { return "" }

func with(kv ...string) MapConfig {
	m := MapConfig{"stream": "logs", "region": "eu-west-1"}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return m
}

func TestDefaults(t *testing.T) {
	c, err := ParseConfig(with(), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.Aggregation, c.AggregationMaxBytes, c.FlushTimeout, c.RequestTimeout, c.MaxBufferedTime, c.BufferBytes, c.BufferRecords,
		c.event.AppendNewline, c.event.TimeKeyFormat, c.event.PartitionKeyMissing)
	want := fmt.Sprint(true, 51200, 4*time.Second, 6*time.Second, 100*time.Millisecond, 64_000_000, 1<<20, false, "%Y-%m-%dT%H:%M:%S", "unkeyed")
	if got != want {
		t.Errorf("unexpected defaults; got %s; want %s", got, want)
	}
}

func TestEveryDefaultParses(t *testing.T) {
	names := map[string]bool{}
	for _, o := range Options() {
		for _, name := range o.Names() {
			if names[name] {
				t.Errorf("option %s is in the table twice", name)
			}
			names[name] = true
		}
		if o.Doc == "" || !strings.HasSuffix(o.Doc, ".") {
			t.Errorf("option %s: unexpected text %q; want a sentence", o.Name, o.Doc)
		}
		if strings.Contains(o.Default, "${") {
			t.Errorf("option %s: the host would take default %q for an environment variable", o.Name, o.Default)
		}
		if o.Default != "" {
			var c Config
			if _, err := o.Set(option.FluentBit, &c, o.Name, o.Default, nil); err != nil {
				t.Errorf("option %s: default %q: %v", o.Name, o.Default, err)
			}
		}
	}
	for _, o := range Options() {
		for _, h := range o.Hints {
			if wrong, _ := option.CutHint(h, o.Name); names[wrong] {
				t.Errorf("the name %s that a hint is for is an option", wrong)
			}
		}
	}
}

func TestRegion(t *testing.T) {
	const arn = "arn:aws:kinesis:us-west-2:123456789012:stream/logs"
	env := func(kv ...string) func(string) string {
		return func(k string) string {
			for i := 0; i < len(kv); i += 2 {
				if kv[i] == k {
					return kv[i+1]
				}
			}
			return ""
		}
	}
	for _, c := range []struct {
		name string
		cfg  MapConfig
		env  func(string) string
		want string // "!" and text for an error
	}{
		{"option wins over environment", MapConfig{"stream": "a", "region": "eu-west-1"}, env("AWS_REGION", "us-east-1"), "eu-west-1"},
		{"ARN wins over environment", MapConfig{"stream": arn}, env("AWS_REGION", "us-east-1"), "us-west-2"},
		{"AWS_REGION", MapConfig{"stream": "a"}, env("AWS_REGION", "us-east-1", "AWS_DEFAULT_REGION", "us-east-2"), "us-east-1"},
		{"AWS_DEFAULT_REGION", MapConfig{"stream": "a"}, env("AWS_DEFAULT_REGION", "us-east-2"), "us-east-2"},
		{"profile may have one", MapConfig{"stream": "a", "profile": "p"}, noEnv, ""},
		{"nowhere", MapConfig{"stream": "a"}, noEnv, "!region: not set"},
		{"ARN of another region", MapConfig{"stream": arn, "region": "eu-west-1"}, noEnv, "!the ARN in stream says"},
		{"not a region", MapConfig{"stream": "a", "region": "Frankfurt"}, noEnv, "!region: \"Frankfurt\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := ParseConfig(c.cfg, c.env)
			if msg, bad := strings.CutPrefix(c.want, "!"); bad {
				if err == nil || !strings.Contains(err.Error(), msg) {
					t.Errorf("unexpected error; got %v; want one with %q", err, msg)
				}
				return
			}
			if err != nil || cfg.Region != c.want {
				t.Errorf("unexpected region; got %q, %v; want %q", cfg.Region, err, c.want)
			}
		})
	}
}

func TestBadValues(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"stream", "a b", "name of a stream"},
		{"stream", strings.Repeat("a", 129), "1 to 128"},
		{"stream", "arn:aws:firehose:eu-west-1:1:deliverystream/a", "ARN"},
		{"endpoint", "ftp://x", "http"},
		{"endpoint", "http://x/path", "http"},
		{"aggregation", "1", "true, on, yes"},
		{"aggregation_max_size", "63", "64 to 1048576"},
		{"aggregation_max_size", "2M", "64 to 1048576"},
		{"aggregation_max_size", "-1", "number of bytes"},
		{"partition_key", "a->", "partition_key"},
		{"partition_key", "a -> b", "blanks around"},
		{"partition_key_missing", "random", "unkeyed, tag, drop"},
		{"data_keys", "a,,b", "empty"},
		{"time_key_format", "%Q", "%Q"},
		{"flush_timeout", "5x", "whole number"},
		{"flush_timeout", "1.5s", "whole number"},
		{"flush_timeout", "99ms", "allowed: 100ms to 10m"},
		{"flush_timeout", "99999999999999999999s", "whole number"},
		{"flush_timeout", "9999999999999d", "too large"},
		{"max_buffered_time", "61s", "allowed: 1ms to 1m"},
		{"linger", "61s", "allowed: 1ms to 1m; 0: no wait; auto: as long as it fills records, at most 200ms"},
		{"linger", "automatic", "whole number"},
		{"linger", "1001ms", "is above a quarter of flush_timeout; allowed: at most 1s"},
		{"buffer_size", "1M", "2M to"},
		{"buffer_size", "5T", "number of bytes"},
		{"buffer_records", "0", "1 to"},
		{"buffer_records", "many", "whole number"},
		{"role_arn", "admin", "ARN of a role"},
		{"external_id", "x", "role_arn is not set"},
		{"compression", "gzipp", "did you mean gzip?"},
		{"compression", "lz4", "none, gzip, zlib, zstd or snappy"},
		{"compression_level", "23", "1 to 22"},
		{"compression_level", "5", "compression none has no levels"},
		{"oversize", "truncated", "did you mean truncate?"},
		{"oversize", "dead_letter", "needs dead_letter_file"},
		{"max_record_size", "4000", "4096 to 10485760"},
		{"stream", "logs/$a", "cannot be part of a stream's name"},
		{"stream", "logs-$a.b", "ambiguous"},
		{"stream_allow", "a b", "patterns"},
		{"stream_missing", "tag", "constant:NAME"},
		{"stream_missing", "constant:a b", "name or ARN"},
		{"stream_missing", "dead_letter", "needs dead_letter_file"},
		{"max_streams", "1025", "1 to 1024"},
		{"partition_key", "$a.b", "$a['b']"},
		{"partition_key", "$a->b", "cannot be mixed"},
		{"rate_limit", "0", "1 to 1000"},
		{"ordering", "strictly", "did you mean strict?"},
		{"distribution", "automatic", "detect, by_key or auto"},
		{"startup_check", "requires", "did you mean require?"},
		{"shard_limit_records", "-1", "1 to 1000000000; 0: rate_limit alone counts"},
		{"shard_limit_bytes", "1000", "1024 to"},
		{"record_ttl", "10ms", "100ms to"},
		{"retry_backoff_min", "6s", "above retry_backoff_max"},
		{"collection_max_count", "501", "1 to 500"},
		{"collection_max_size", "11M", "52224 to 10485760"},
		{"max_in_flight", "0", "1 to 256"},
		{"max_connections", "257", "1 to 256"},
		{"connect_timeout", "6m", "allowed: 100ms to 5m"},
		{"extra_user_agent", "a(b)", "a to z, digits"},
		{"wire_format", "xml", "auto, cbor or json"},
		{"dead_letter_max_files", "0", "1 to 100000"},
		{"simple_aggregation", "maybe", "true, on, yes"},
		{"experimental_concurrency", "11", "0 to 10"},
		{"experimental_concurrency_retries", "x", "whole number"},
		{"auto_retry_requests", "maybe", "true, on, yes"},
		{"partition-key", "x", "did you mean partition_key?"},
		{"delivery_stream", "x", "Firehose"},
		{"streams", "x", "write stream"},
	} {
		t.Run(c.key+"="+c.value, func(t *testing.T) {
			_, err := ParseConfig(with(c.key, c.value), noEnv)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.key) {
				t.Errorf("unexpected error; got %v; want one with %q and %q", err, c.key, c.want)
			}
			if n := len(Problems(err)); err != nil && n != 1 {
				t.Errorf("unexpected number of problems; got %d; want 1: %v", n, err)
			}
		})
	}
}

func TestLimitsOfTimesAreWrittenAsValuesAre(t *testing.T) {
	for _, d := range []time.Duration{0, time.Millisecond, 100 * time.Millisecond, 10 * time.Second, time.Minute, 10 * time.Minute, 20 * time.Hour} {
		s := option.FormatDuration(d)
		if got, err := option.FluentBit.ParseDuration(s); err != nil || got != d {
			t.Errorf("unexpected text for %v; got %q, which is read as %v, %v", d, s, got, err)
		}
	}
	if _, err := ParseConfig(with("stream_idle", "25h"), noEnv); err == nil || !strings.HasSuffix(err.Error(), "allowed: 10s to 24h") {
		t.Errorf("unexpected error; got %v", err)
	}
}

func TestEveryBooleanTakesTheWordsOfTheHost(t *testing.T) {
	for _, o := range Options() {
		if o.Kind != option.Bool {
			continue
		}
		for _, v := range []string{"true", "on", "yes", "false", "off", "no", "TRUE", "On", "yEs", "False", "OFF", "nO"} {
			if _, err := ParseConfig(with(o.Name, v), noEnv); err != nil {
				t.Errorf("unexpected error for %s %q: %v", o.Name, v, err)
			}
		}
		for _, v := range []string{"1", "0", "enabled", "t", "y"} {
			if _, err := ParseConfig(with(o.Name, v), noEnv); err == nil {
				t.Errorf("unexpected success for %s %q", o.Name, v)
			}
		}
	}
}

// noticed lists the options that the user is told something about.
func noticed(c *Config) any {
	var names []string
	for _, n := range c.notices {
		names = append(names, n.option)
	}
	return strings.Join(names, ",")
}

func TestGoodValues(t *testing.T) {
	for _, c := range []struct {
		key, value string
		get        func(*Config) any
		want       any
	}{
		{"stream", "arn:aws-cn:kinesis:eu-west-1:1:stream/a.b-c_d", func(c *Config) any { return c.Stream }, "arn:aws-cn:kinesis:eu-west-1:1:stream/a.b-c_d"},
		{"aggregation", "Off", func(c *Config) any { return c.Aggregation }, false},
		{"aggregation", "YES", func(c *Config) any { return c.Aggregation }, true},
		{"aggregation_max_size", "25600", func(c *Config) any { return c.AggregationMaxBytes }, 25600},
		{"aggregation_max_size", "50KB", func(c *Config) any { return c.AggregationMaxBytes }, 50000},
		{"flush_timeout", "2", func(c *Config) any { return c.FlushTimeout }, 2 * time.Second},
		{"flush_timeout", "1500ms", func(c *Config) any { return c.FlushTimeout }, 1500 * time.Millisecond},
		{"flush_timeout", "1M", func(c *Config) any { return c.FlushTimeout }, time.Minute},
		{"max_buffered_time", "0", func(c *Config) any { return c.MaxBufferedTime }, time.Duration(0)},
		{"linger", "", func(c *Config) any { return c.Linger }, core.LingerAuto},
		{"linger", "Auto", func(c *Config) any { return c.Linger }, core.LingerAuto},
		{"linger", "0", func(c *Config) any { return c.Linger }, time.Duration(0)},
		{"linger", "1s", func(c *Config) any { return c.Linger }, time.Second},
		{"buffer_size", "1g", func(c *Config) any { return c.BufferBytes }, 1000000000},
		{"http_request_timeout", "0", func(c *Config) any { return c.RequestTimeout }, 6 * time.Second},
		{"http_request_timeout", "3", func(c *Config) any { return c.RequestTimeout }, 3 * time.Second},
		{"data_keys", "a, b ,c", func(c *Config) any { return strings.Join(c.event.DataKeys, "|") }, "a|b|c"},
		{"replace_dots", " ", func(c *Config) any { return c.event.ReplaceDots }, " "},
		{"compression", "None", func(c *Config) any { return c.event.Compression }, "none"},
		{"compression", "off", func(c *Config) any { return c.event.Compression }, "none"},
		{"compression", "ZSTD", func(c *Config) any { return c.event.Compression }, "zstd"},
		{"oversize", "Split", func(c *Config) any { return c.event.Oversize }, "split"},
		{"record_ttl", "0", func(c *Config) any { return c.RecordTTL }, time.Duration(0)},
		{"max_in_flight", "64", func(c *Config) any { return c.MaxConnections }, 64},
		{"verify_certificate", "Off", func(c *Config) any { return c.SkipVerify }, true},
		{"stream", "logs-$kubernetes['namespace_name']", func(c *Config) any { return c.event.Stream }, "logs-$kubernetes['namespace_name']"},
		{"stream_missing", "constant:rest", func(c *Config) any { return c.event.StreamMissing }, "constant:rest"},
		{"ordering", "strict", func(c *Config) any { return c.Ordering }, table.Strict},
		{"ordering", "strict", noticed, "ordering"},
		{"distribution", "by_key", func(c *Config) any { return c.Distribution }, "by_key"},
		{"startup_check", "on", func(c *Config) any { return c.StartupCheck }, "warn"},
		{"shard_limit_bytes", "512K", func(c *Config) any { return c.ShardBytes }, 512000},
		{"simple_aggregation", "off", noticed, ""},
		{"simple_aggregation", "ON", noticed, ""},
		{"simple_aggregation", "ON", func(c *Config) any { return c.event.Combine }, "lines"},
		{"simple_aggregation", "no", func(c *Config) any { return c.event.Combine }, "off"},
		{"combine", "JSON_array", func(c *Config) any { return c.event.Combine }, "json_array"},
		{"combine", "no", func(c *Config) any { return c.event.Combine }, "off"},
		{"experimental_concurrency", "0", noticed, ""},
		{"experimental_concurrency", "4", noticed, "experimental_concurrency"},
		{"experimental_concurrency_retries", "4", noticed, "experimental_concurrency_retries"},
		{"auto_retry_requests", "true", noticed, ""},
		{"auto_retry_requests", "no", noticed, "auto_retry_requests"},
		{"partition_key", "$tag", noticed, "partition_key"},
		{"stream_allow", "a*", noticed, "stream_allow"},
		{"verify_certificate", "off", noticed, "verify_certificate"},
	} {
		t.Run(c.key+"="+c.value, func(t *testing.T) {
			cfg, err := ParseConfig(with(c.key, c.value), noEnv)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.get(&cfg); got != c.want {
				t.Errorf("unexpected value; got %v; want %v", got, c.want)
			}
		})
	}
}

// Other names set the same option, and the user is told.
func TestOtherNamesOfOptions(t *testing.T) {
	cfg, err := ParseConfig(with("http_request_timeout", "3", "fips", "on", "skip_verify", "on", "user_agent", "me", "startup_check", "fail",
		"shard_records_limit", "7", "too_large", "split"), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(cfg.RequestTimeout, cfg.FIPS, cfg.SkipVerify, cfg.ExtraUserAgent, cfg.StartupCheck, cfg.ShardRecords, cfg.Oversize)
	if want := fmt.Sprint(3*time.Second, true, true, "me", "require", 7, "split"); got != want {
		t.Errorf("unexpected values; got %s; want %s", got, want)
	}
	text := fmt.Sprint(noticed(&cfg))
	for _, name := range []string{"http_request_timeout", "fips", "skip_verify", "user_agent", "startup_check", "shard_records_limit", "too_large"} {
		if !strings.Contains(text, name) {
			t.Errorf("unexpected notices; got %s; want one about %s", text, name)
		}
	}
	_, err = ParseConfig(with("http_request_timeout", "3", "request_timeout", "4"), noEnv)
	if err == nil || err.Error() != "http_request_timeout: given under two names, with request_timeout; allowed: one of them" {
		t.Errorf("unexpected result of two names at once; got %v", err)
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	_, err := ParseConfig(MapConfig{
		"aggregation": "x", "flush_timeout": "y", "time_key_format": "%Q", "partition_key": "$", "newline": "on", "oversize": "cut", "max_streams": "0",
		"proxy": "ftp://u:hush@x", "endpoint": "http://u:hush@x", "sts_endpoint": "u:hush@x", "role_arn": "arn:aws:iam::1:role/r", "external_id": "hush",
	}, noEnv)
	if n := len(Problems(err)); n != 12 || strings.Contains(err.Error(), "hush") {
		t.Errorf("unexpected problems; got %d; want 10 without secrets: %v", n, err)
	}
}

func TestEffectiveConfigHasNoSecrets(t *testing.T) {
	c, err := ParseConfig(with("role_arn", "arn:aws:iam::1:role/r", "external_id", "hush", "proxy", "http://u:hush@p", "time_key", "ts", "time_key_format", "%s"), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprint(c.LogAttrs("", ""))
	if strings.Contains(line, "hush") || !strings.Contains(line, "stream=logs") || !strings.Contains(line, "time_key_format=") {
		t.Errorf("unexpected line: %s", line)
	}
}

// Each option has values that it does not take. All of them given at once, each is
// named once.
func TestBadValuesOfAllOptionsAtOnce(t *testing.T) {
	bad := map[string]string{
		"stream": "a b", "stream_allow": "a,,b", "stream_missing": "tag", "region": "eu west", "endpoint": "ftp://x",
		"partition_key": "a->", "partition_key_missing": "random", "data_keys": ",", "time_key_format": "%", "log_key": "\xff1", "time_key": "\xff2",
		"replace_dots": "\xff", "metadata_key": "\xff3", "group_key": "\xff4", "empty_events": "send", "compression": "lz4", "combine": "line", "oversize": "cut",
		"distribution": "x", "ordering": "x", "startup_check": "x", "role_arn": "x", "sts_endpoint": "a b", "proxy": "x y",
		"extra_user_agent": "a(b)", "wire_format": "xml", "metrics_level": "x", "metrics_granularity": "x",
	}
	anything := map[string]bool{"dead_letter_file": true, "journal_dir": true, "external_id": true, "profile": true, "ca_file": true}
	cfg := MapConfig{}
	for _, o := range Options() {
		v := bad[o.Name]
		switch {
		case anything[o.Name]:
			continue
		case v != "":
		case o.Kind == option.Bool:
			v = "2"
		case o.Kind == option.Int, o.Kind == option.Size, o.Kind == option.Duration:
			v = "-7"
		default:
			t.Fatalf("option %s has no bad value in this test", o.Name)
		}
		cfg[o.Name] = v
	}
	_, err := ParseConfig(cfg, noEnv)
	for name := range cfg {
		n := 0
		for _, p := range Problems(err) {
			if strings.HasPrefix(p.Error(), name+": ") {
				n++
			}
		}
		if n != 1 {
			t.Errorf("unexpected number of problems about %s; got %d; want 1", name, n)
		}
	}
	if n := len(Problems(err)); n != len(cfg) {
		t.Errorf("unexpected number of problems; got %d; want %d: %v", n, len(cfg), err)
	}
}

// What the host does not understand must not be half understood here.
func TestNumbersAreReadWhole(t *testing.T) {
	for _, o := range Options() {
		var values []string
		switch o.Kind {
		case option.Int:
			values = []string{"1.5", "1e3", "0x10", "+-1", "1 000", "1,000", "99999999999999999999", "one", "-1", "1K"}
		case option.Size:
			values = []string{"1.5M", "1MiB", "M", "B", "1MM", "1 M", "-1M", "99999999999G", "1T", "0x10"}
		case option.Duration:
			values = []string{"1.5s", "1h30m", "s", "1 s", "-1s", "1us", "1w", "999999999999999d", "0x10"}
		default:
			continue
		}
		for _, v := range values {
			if _, err := ParseConfig(with(o.Name, v), noEnv); err == nil || !strings.Contains(err.Error(), o.Name) {
				t.Errorf("unexpected result of %s %q; got %v; want an error that names it", o.Name, v, err)
			}
		}
	}
}

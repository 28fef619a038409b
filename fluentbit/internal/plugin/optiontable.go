// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"strings"
	"time"

	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/internal/event"
)

const templateParts = "$TAG, $TAG[1], $field, $a['b'][0], $metadata['a'], $group['a'], with text around"

var streamOptions = []Option{
	{
		Name: "stream", Range: "name, ARN, or a template of them: " + templateParts + "; required",
		Description: "Kinesis data stream to write to. A template chooses it for each event.",
		Details: "Streams are independent of each other: one that is missing or slow does not hold up the events for others " +
			"in the same chunk; only its own events are retried.",
		PeerC: "the same, one name", PeerGo: "the same, one name",
		parse: func(c *Config, v string) error {
			if err := parseStream(v); err != nil {
				return err
			}
			if c.Stream = v; strings.Contains(v, "$") {
				c.event.Stream = v
			}
			return nil
		},
	},
	{
		Name: "stream_allow", Kind: KindNames, Range: "patterns separated by commas; * is any text, ? any character",
		Description: "Streams that a template in stream may choose. Without it all that the credentials may write to.",
		Details:     "A pattern must match the whole name; of an ARN only the name counts. An event never chooses account or region: an ARN has to be written up to its `stream/`. What is not allowed is treated as stream_missing says.",
		parse:       namesOption(func(c *Config) *[]string { return &c.event.StreamAllow }),
	},
	{
		Name: "stream_missing", Range: "error, dead_letter, drop or constant:NAME; default: dead_letter if dead_letter_file is set, else error",
		Description: "What to do with an event that has no stream by the template, or one that is not allowed.",
		Details: "`constant:NAME` is a stream for such events. With `error` all else is delivered and the chunk is answered with an error, " +
			"so that the host counts it and can keep it (`storage.keep.rejected`). `drop` loses the events.",
		parse: func(c *Config, v string) error {
			if name, ok := strings.CutPrefix(v, "constant:"); ok {
				if !event.ValidStream(name) {
					return errors.New("want constant: and the name or ARN of a stream")
				}
				c.event.StreamMissing = v
				return nil
			}
			word, err := parseChoice(v, "error", "dead_letter", "drop")
			if err != nil {
				return errors.New(err.Error() + " (or constant:NAME)")
			}
			if c.streamMissing = word; word == "drop" {
				c.event.StreamMissing = "drop"
			}
			return nil
		},
	},
	{
		Name: "max_streams", Kind: KindInt, Default: "64", Range: "1 to 1024",
		Description: "Most distinct streams that a template may choose at one time.",
		Details:     "A further one is treated as not allowed, until one of them has been idle for stream_idle. The one of stream_missing constant:NAME counts, too. It keeps values that are not what you think from becoming hundreds of streams.",
		parse:       intOption(func(c *Config) *int { return &c.event.MaxStreams }, 1, event.MaxStreams),
	},
	{
		Name: "describe_interval", Kind: KindDuration, Default: "10m", Range: "10s to 24h",
		Description: "How often DescribeStreamSummary is called for a stream in use, give or take a fifth: for its record limit and its record distribution strategy. The calls are limited to 20 a second for a whole account.",
		parse:       durationOption(func(c *Config) *time.Duration { return &c.DescribeInterval }, 10*time.Second, 24*time.Hour),
	},
	{
		Name: "stream_idle", Kind: KindDuration, Default: "15m", Range: "10s to 24h",
		Description: "After what time without events a stream makes room for another one (see max_streams), and what is known of it is given up. The next event begins anew.",
		parse: func(c *Config, v string) error {
			err := durationOption(func(c *Config) *time.Duration { return &c.StreamIdle }, 10*time.Second, 24*time.Hour)(c, v)
			c.event.StreamIdle = c.StreamIdle
			return err
		},
	},
	{
		Name: "region", Range: "an AWS region; default: from the ARN, AWS_REGION, AWS_DEFAULT_REGION or the profile",
		Description: "AWS region of the stream.",
		PeerC:       "the same, required", PeerGo: "the same, required",
		parse: func(c *Config, v string) error {
			if strings.Trim(v, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
				return errors.New("want the name of an AWS region, such as eu-west-1")
			}
			c.Region = v
			return nil
		},
	},
	{
		Name: "endpoint", Range: "host, host:port, http://host[:port] or https://host[:port]",
		Description: "Address of the Kinesis API instead of the region's. Without a scheme https is used.",
		Details:     "The key `port` is taken by Fluent Bit and cannot be seen by plugins like this one; write host:port.",
		PeerC:       "host only, always TLS; `port` beside it", PeerGo: "full URL",
		parse: func(c *Config, v string) error {
			c.Endpoint = v
			_, err := awsclient.ParseEndpoint(v)
			return err
		},
	},
	{
		Name: "use_fips_endpoint", Kind: KindBool, Default: "off",
		Description: "Use the FIPS endpoints of Kinesis and STS. AWS_USE_FIPS_ENDPOINT does the same, but gives way to an endpoint.",
		parse:       boolOption(func(c *Config) *bool { return &c.FIPS }),
	},
	{
		Name: "use_dualstack_endpoint", Kind: KindBool, Default: "off",
		Description: "Use the endpoints with IPv6. AWS_USE_DUALSTACK_ENDPOINT does the same, but gives way to an endpoint.",
		parse:       boolOption(func(c *Config) *bool { return &c.DualStack }),
	},
}

var keyOptions = []Option{
	{
		Name: "partition_key", Range: "a, a->b, constant:TEXT or a template: " + templateParts + "; empty: the plugin spreads events over the shards",
		Description: "Where the partition key comes from. Without it, events go wherever there is room, which fills aggregates best.",
		Details: "`a->b` and `$a['b']` are the same field. What is longer than 256 characters is cut at a character, bytes that are not UTF-8 " +
			"become U+FFFD.",
		PeerC: "none; at most 7,919 random keys, new ones at each retry", PeerGo: "`a` and `a->b`; text only, cut to 256 bytes; missing: random and an error line for each event",
		parse: func(c *Config, v string) error {
			c.event.PartitionKey = v
			if strings.HasPrefix(v, "$tag") {
				c.notice("partition_key", "$tag names a field of the event; the tag is $TAG")
			}
			return nil
		},
	},
	{
		Name: "partition_key_missing", Default: "spread", Range: "spread, tag, drop or constant:TEXT",
		Description: "What to do with an event that has no partition key. Dropped events are lost, and counted.",
		parse:       textOption(func(c *Config) *string { return &c.event.PartitionKeyMissing }),
	},
}

var payloadOptions = []Option{
	{
		Name:        "log_key",
		Description: "Send only the value of this key: text as it is, anything else as JSON. Events without the key are sent whole.",
		Details:     "The name must match exactly.",
		PeerC:       "compares only the length of names, sends a record for each match, cuts values that are not text", PeerGo: "the same; events without the key are dropped",
		parse: textOption(func(c *Config) *string { return &c.event.LogKey }),
	},
	{
		Name: "data_keys", Kind: KindNames, Range: "names separated by commas",
		Description: "Top-level keys to keep. Without it all are kept.",
		Details:     "Blanks around names do not count.",
		PeerGo:      "the same; a blank after a comma makes the name unknown",
		parse:       namesOption(func(c *Config) *[]string { return &c.event.DataKeys }),
	},
	{
		Name:        "time_key",
		Description: "Key under which the time of the event is added. A key of that name in the event is replaced.",
		PeerC:       "the same", PeerGo: "the same, but the time of the flush on Fluent Bit 2.1 and newer",
		parse: textOption(func(c *Config) *string { return &c.event.TimeKey }),
	},
	{
		Name: "time_key_format", Default: "%Y-%m-%dT%H:%M:%S", Range: "strftime; also %L %3N (ms), %f %6N (us), %N %9N (ns)",
		Description: "Format of time_key, in UTC.",
		Details: "`%L` has three digits, as in the Go plugin and in most of Fluent Bit; coming from `kinesis_streams`, where it has nine, write `%9N`. " +
			"`%3N`, `%6N`, `%9N` and `%f` mean the same everywhere. The Go plugin writes local time, this output always UTC: add `Z` or `%z`.",
		PeerC: "UTC; `%3N` ms; `%9N` and `%L` nine digits", PeerGo: "local time; `%L` ms, `%f` us",
		parse: textOption(func(c *Config) *string { return &c.event.TimeKeyFormat }),
	},
	{
		Name: "append_newline", Kind: KindBool, Default: "off",
		Description: "End each record with a newline.",
		Details:     "Coming from `kinesis_streams`, set it to `on` if consumers rely on it.",
		PeerC:       "no option, always on", PeerGo: "the same",
		parse: boolOption(func(c *Config) *bool { return &c.event.AppendNewline }),
	},
	{
		Name: "empty_events", Default: "drop", Range: "drop or keep",
		Description: "What to do with an event that has nothing to send: `{}`, or a value of log_key that is empty.",
		Details: "An event of which data_keys leaves no key is empty; the time of time_key and the attributes of group_key do not count, metadata under metadata_key does. " +
			"Dropped ones are counted (`kpl_events_left_out_total`, reason `empty`), with a line in the log. `keep` sends `{}`, or a record of no bytes, which many consumers cannot read.",
		PeerC: "no option, dropped without a count, with log_key also numbers of one or two digits", PeerGo: "no option, sent",
		parse: choiceOption(func(c *Config) *string { return &c.event.EmptyEvents }, "keep", "drop"),
	},
	{
		Name:        "replace_dots",
		Description: "Text to put in place of each dot in keys.",
		Details:     "At every level, in maps inside arrays too.",
		PeerGo:      "the same, not inside arrays",
		parse:       textOption(func(c *Config) *string { return &c.event.ReplaceDots }),
	},
	{
		Name:        "metadata_key",
		Description: "Key under which the metadata of the event is added, if it has any. For OpenTelemetry: severity, trace_id, span_id and so on.",
		Details:     "Trace and span ids in binary are written in hexadecimal. Not with log_key.",
		PeerC:       "no option, metadata is lost", PeerGo: "no option, metadata is lost",
		parse: textOption(func(c *Config) *string { return &c.event.MetadataKey }),
	},
	{
		Name:        "group_key",
		Description: "Key under which the attributes of the event's group are added. For OpenTelemetry: resource and scope.",
		Details:     "The markers that begin and end a group never become records. Attributes of more than 16 KiB, or of more than 64 MiB in all events of a chunk, are left out, with a warning. Not with log_key.",
		PeerC:       "no option, attributes are lost", PeerGo: "no option, the markers become records of their own",
		parse: textOption(func(c *Config) *string { return &c.event.GroupKey }),
	},
	{
		Name: "compression", Default: "none", Range: "none, gzip, zlib, zstd or snappy",
		Description: "Compress each event by itself, or with combine each record of many, before aggregation. Consumers must unpack each one.",
		Details: "Each user record is a complete stream of the format: gzip (RFC 1952), zlib (RFC 1950), a zstd frame (RFC 8878), or a snappy block without framing, " +
			"as in the peers. A newline of append_newline is inside. Nothing in the record names the format but its first bytes: gzip `1f 8b`, zlib `78`, zstd `28 b5 2f fd`; " +
			"snappy has none. Small events hardly become smaller by themselves: use combine.",
		PeerC: "gzip, zstd, snappy; of the record", PeerGo: "gzip, zlib; of the event, before aggregation",
		parse: func(c *Config, v string) error {
			if off, err := parseBool(v); err == nil && !off {
				v = "none"
			}
			return choiceOption(func(c *Config) *string { return &c.event.Compression }, "none", "gzip", "zlib", "zstd", "snappy")(c, v)
		},
	},
	{
		Name: "compression_level", Kind: KindInt, Range: "gzip and zlib: 1 to 9, default 6; zstd: 1 to 22, default 3; snappy: none",
		Description: "How hard to compress.",
		parse:       intOption(func(c *Config) *int { return &c.event.CompressionLevel }, 1, 22),
	},
	{
		Name: "combine", Default: "off", Range: "off, lines or json_array",
		Description: "Make one record of the events of a chunk that have stream and partition key in common, in their order; without a key, of all of them.",
		Details: "`lines` ends each event with a line feed, `json_array` makes a JSON array. compression is that of the record then, which saves most of the bytes: logs compress 5 to 20 times together, and hardly one by one. " +
			"A text of log_key that has line breaks is a JSON string. Consumers have to take records apart, see [consumers](consumers.md). append_newline has no effect.",
		PeerC: "`simple_aggregation` is `lines`", PeerGo: "no option",
		parse: func(c *Config, v string) error {
			if off, err := parseBool(v); err == nil && !off {
				v = "off"
			}
			return choiceOption(func(c *Config) *string { return &c.event.Combine }, "off", "lines", "json_array")(c, v)
		},
	},
	{
		Name: "combine_size", Kind: KindSize, Range: "1024 to 10485760; default: 262144, or 1048576 where each record is a Kinesis record of its own",
		Description: "Most bytes of the events of a combined record, before compression. A larger event is a record of its own.",
		Details:     "Each record is a Kinesis record with aggregation off, and on streams with record distribution AUTO. A record that is larger than the stream takes after compression is halved, event by event.",
		parse:       sizeOption(func(c *Config) *int { return &c.event.CombineSize }, 1<<10, 10<<20),
	},
	{
		Name: "combine_count", Kind: KindInt, Range: "1 to 1000000; default: no bound",
		Description: "Most events of a combined record.",
		Details:     "500 where Amazon Data Firehose partitions dynamically, since it takes no more out of a record.",
		parse:       intOption(func(c *Config) *int { return &c.event.CombineCount }, 1, 1_000_000),
	},
}

// The words of oversize that event.Config does not know.
const (
	oversizeDrop   = "drop"
	oversizeError  = "error"
	oversizeLetter = "dead_letter"
)

var oversizeOptions = []Option{
	{
		Name: "oversize", Range: "error, dead_letter, truncate, split or drop; default: dead_letter if dead_letter_file is set, else error",
		Description: "What to do with an event that is larger than the stream takes.",
		Details: "The stream's own limit counts, 1 MiB unless raised, for data and partition key together. `error`: all else is delivered and the chunk is answered with an error, so that the " +
			"host counts it and can keep it (`storage.keep.rejected`). `truncate` cuts the longest texts of the event, at a character, and ends them with `[Truncated...]`; " +
			"all keys, numbers and short texts stay, and it stays JSON. `split` makes several records: the event with a piece in place of its longest text, and with " +
			"`partial_message`, `partial_id`, `partial_ordinal` and `partial_last`, by which Fluent Bit's multiline filter joins them; they share a partition key. With log_key and text under it, the pieces are plain text. " +
			"Both go by max_record_size; what they cannot help (a million numbers) is treated as by default. `drop` loses the event, with an error in the log.",
		PeerC: "no option, discarded with a warning; cut with compression", PeerGo: "no option, cut, which breaks the JSON",
		parse: func(c *Config, v string) error {
			word, err := parseChoice(v, oversizeError, oversizeLetter, "truncate", "split", oversizeDrop)
			if c.Oversize = word; word == "truncate" || word == "split" {
				c.event.Oversize = word
			}
			return err
		},
	},
	{
		Name: "max_record_size", Kind: KindSize, Range: "4096 to 10485760; default: the limit of the stream",
		Description: "Size from which oversize truncates and splits, partition key included, after compression. A lower limit of the stream counts instead.",
		Details: "The limit of a stream is known once it was asked (kinesis:DescribeStreamSummary), which is when the first event comes for it; until then, and if that is not allowed, " +
			"it is 1 MiB.",
		PeerC: "no option, 1,048,556 bytes", PeerGo: "no option, 1 MiB",
		parse: sizeOption(func(c *Config) *int { return &c.event.MaxRecordBytes }, 4<<10, 10<<20),
	},
	{
		Name: "dead_letter_file", Range: "path; the folder must exist",
		Description: "File that keeps what can never be delivered: one JSON object a line, with the event, the reason and all attempts.",
		Details: "Events over the limit, events that Kinesis refuses as invalid, events that cannot be decoded, and those of record_ttl. The event counts as done when it is safely on disk; if it cannot be written, the chunk " +
			"is retried. `kpl-replay` sends the letters again. Each output needs a file of its own.",
		parse: textOption(func(c *Config) *string { return &c.DeadLetterFile }),
	},
	{
		Name: "dead_letter_max_size", Kind: KindSize, Default: "256M", Range: "1M to 1000G",
		Description: "Size at which a new dead letter file is begun.",
		parse:       sizeOption(func(c *Config) *int { return &c.DeadLetterMaxBytes }, 1e6, 1e12),
	},
	{
		Name: "dead_letter_max_files", Kind: KindInt, Default: "16", Range: "1 to 100000",
		Description: "Full dead letter files that are kept. When there are more, letters wait, and their chunks are retried, until one is taken away.",
		parse:       intOption(func(c *Config) *int { return &c.DeadLetterMaxFiles }, 1, 100000),
	},
	{
		Name: "dead_letter_drop_oldest", Kind: KindBool, Default: "off",
		Description: "Delete the oldest full dead letter file instead of waiting. That loses its events.",
		parse:       boolOption(func(c *Config) *bool { return &c.DeadLetterDropOldest }),
	},
}

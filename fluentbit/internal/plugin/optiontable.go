// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"strings"
	"time"

	"github.com/outkpl/outkpl/internal/event"
	"github.com/outkpl/outkpl/internal/option"
)

const templateParts = "$TAG, $TAG[1], $field, $a['b'][0], $metadata['a'], $group['a'], with text around"

var streamOptions = []Option{
	{
		Spec: option.Spec{
			Name: "stream", Hints: []string{
				"streams: write stream; a template such as logs-$TAG[1] gives several", "stream_name",
				"stream_key: write stream $KEY, or $KEY['b'] for a nested key", "stream_arn: write stream; it takes a name or an ARN",
				"delivery_stream: that is an option of Firehose; this output writes to Kinesis Data Streams: write stream",
			},
			Form: "name, ARN, or a template of them: " + templateParts + "; required",
			Doc:  "Kinesis data stream to write to. A template chooses it for each event.",
			Details: "Streams are independent of each other: one that is missing or slow does not hold up the events for others " +
				"in the same chunk; only its own events are retried.",
			PeerC: "the same, one name", PeerGo: "the same, one name",
		},
		Parse: func(c *Config, v string) error {
			switch {
			case strings.Contains(v, "$"):
				c.event.Stream = v
			case !event.ValidStream(v):
				return errors.New("not the name of a stream (1 to 128 of a-z A-Z 0-9 _ . -) nor its ARN (arn:aws:kinesis:REGION:ACCOUNT:stream/NAME)")
			}
			c.Stream = v
			return nil
		},
	},
	{
		Spec: option.Spec{
			Name: "stream_allow", Kind: option.List, Form: "patterns separated by commas; * is any text, ? any character, [a-c] one of these",
			Doc:     "Streams that a template in stream may choose. Without it all that the credentials may write to.",
			Details: "A pattern must match the whole name; of an ARN only the name counts. An event never chooses account or region: an ARN has to be written up to its `stream/`. What is not allowed is treated as stream_missing says.",
		},
		Field: func(c *Config) any { return &c.event.StreamAllow },
	},
	{
		Spec: option.Spec{
			Name: "stream_missing", Hints: []string{"default_stream: write stream_missing constant:NAME"}, Form: "error, dead_letter, drop or constant:NAME", DefaultNote: "dead_letter if dead_letter_file is set, else error",
			Doc: "What to do with an event that has no stream by the template, or one that is not allowed.",
			Details: "`constant:NAME` is a stream for such events. With `error` all else is delivered and the chunk is answered with an error, " +
				"so that the host counts it and can keep it (`storage.keep.rejected`). `drop` loses the events.",
		},
		Parse: func(c *Config, v string) error {
			if name, ok := strings.CutPrefix(v, "constant:"); ok {
				if !event.ValidStream(name) {
					return errors.New("constant: without the name or ARN of a stream")
				}
				c.event.StreamMissing = v
				return nil
			}
			switch word := strings.ToLower(v); word {
			case "drop":
				c.event.StreamMissing = word
				fallthrough
			case "error", "dead_letter":
				c.streamMissing = word
				return nil
			}
			return errors.New("not one of the allowed words")
		},
	},
	{
		Spec: option.Spec{
			Name: "max_streams", Kind: option.Int, Default: "64", Min: 1, Max: event.MaxStreams,
			Doc:     "Most distinct streams that a template may choose at one time.",
			Details: "A further one is treated as not allowed, until one of them has been idle for stream_idle. The one of stream_missing constant:NAME counts, too. It keeps values that are not what you think from becoming hundreds of streams.",
		},
		Field: func(c *Config) any { return &c.event.MaxStreams },
	},
}

var keyOptions = []Option{
	{
		Spec: option.Spec{
			Name: "partition_key", Hints: []string{
				"partition-key", "partitionkey", "partition_key_path",
				"random_partition_key: leave partition_key out: events are then distributed over the shards",
			},
			Form: "a, a->b, constant:TEXT or a template: " + templateParts + "; empty: the plugin spreads events over the shards",
			Doc:  "Where the partition key comes from. Without it, events go wherever there is room, which fills aggregates best.",
			Details: "`a->b` and `$a['b']` are the same field. What is longer than 256 characters is cut at a character, bytes that are not UTF-8 " +
				"become U+FFFD.",
			PeerC: "none; at most 7,919 random keys, new ones at each retry", PeerGo: "`a` and `a->b`; text only, cut to 256 bytes; missing: random and an error line for each event",
		},
		Field: func(c *Config) any { return &c.event.PartitionKey },
	},
	{
		Spec: option.Spec{
			Name: "partition_key_missing", Default: "unkeyed", Form: "unkeyed, tag, drop or constant:TEXT",
			Doc: "What to do with an event that has no partition key. Dropped events are lost, and counted.",
		},
		Field: func(c *Config) any { return &c.event.PartitionKeyMissing },
	},
}

var payloadOptions = []Option{
	{
		Spec: option.Spec{
			Name: "log_key", Hints: []string{"log-key"},
			Doc:     "Send only the value of this key: text as it is, anything else as JSON. Events without the key are sent whole.",
			Details: "The name must match exactly.",
			PeerC:   "compares only the length of names, sends a record for each match, cuts values that are not text", PeerGo: "the same; events without the key are dropped",
		},
		Field: func(c *Config) any { return &c.event.LogKey },
	},
	{
		Spec: option.Spec{
			Name: "data_keys", Hints: []string{"data-keys", "data_key"}, Kind: option.List, Form: "names separated by commas",
			Doc:     "Top-level keys to keep. Without it all are kept.",
			Details: "Blanks around names do not count.",
			PeerGo:  "the same; a blank after a comma makes the name unknown",
		},
		Field: func(c *Config) any { return &c.event.DataKeys },
	},
	{
		Spec: option.Spec{
			Name: "time_key", Hints: []string{"time-key"},
			Doc:   "Key under which the time of the event is added. A key of that name in the event is replaced.",
			PeerC: "the same", PeerGo: "the same, but the time of the flush on Fluent Bit 2.1 and newer",
		},
		Field: func(c *Config) any { return &c.event.TimeKey },
	},
	{
		Spec: option.Spec{
			Name: "time_key_format", Hints: []string{"time_format"}, Default: "%Y-%m-%dT%H:%M:%S", Form: "strftime; also %L %3N (ms), %f %6N (us), %N %9N (ns)",
			Doc: "Format of time_key, in UTC.",
			Details: "`%L` has three digits, as in the Go plugin and in most of Fluent Bit; coming from `kinesis_streams`, where it has nine, write `%9N`. " +
				"`%3N`, `%6N`, `%9N` and `%f` mean the same everywhere. The Go plugin writes local time, this output always UTC: add `Z` or `%z`.",
			PeerC: "UTC; `%3N` ms; `%9N` and `%L` nine digits", PeerGo: "local time; `%L` ms, `%f` us",
		},
		Field: func(c *Config) any { return &c.event.TimeKeyFormat },
	},
	{
		Spec: option.Spec{
			Name: "append_newline", Hints: []string{"newline"}, Kind: option.Bool, Default: "false",
			Doc:     "End each record with a newline.",
			Details: "Coming from `kinesis_streams`, set it to `on` if consumers rely on it.",
			PeerC:   "no option, always on", PeerGo: "the same",
		},
		Field: func(c *Config) any { return &c.event.AppendNewline },
	},
	{
		Spec: option.Spec{
			Name: "empty_events", Default: "drop", Enum: []string{"drop", "keep"},
			Doc: "What to do with an event that has nothing to send: `{}`, or a value of log_key that is empty.",
			Details: "An event of which data_keys leaves no key is empty; the time of time_key and the attributes of group_key do not count, metadata under metadata_key does. " +
				"Dropped ones are counted (`kpl_events_left_out_total`, reason `empty`), with a line in the log. `keep` sends `{}`, or a record of no bytes, which many consumers cannot read.",
			PeerC: "no option, dropped without a count, with log_key also numbers of one or two digits", PeerGo: "no option, sent",
		},
		Field: func(c *Config) any { return &c.event.EmptyEvents },
	},
	{
		Spec: option.Spec{
			Name: "replace_dots", Hints: []string{"replace_dot"},
			Doc:     "Text to put in place of each dot in keys.",
			Details: "At every level, in maps inside arrays too.",
			PeerGo:  "the same, not inside arrays",
		},
		Field: func(c *Config) any { return &c.event.ReplaceDots },
	},
	{
		Spec: option.Spec{
			Name:    "metadata_key",
			Doc:     "Key under which the metadata of the event is added, if it has any. For OpenTelemetry: severity, trace_id, span_id and so on.",
			Details: "Trace and span ids in binary are written in hexadecimal. Not with log_key.",
			PeerC:   "no option, metadata is lost", PeerGo: "no option, metadata is lost",
		},
		Field: func(c *Config) any { return &c.event.MetadataKey },
	},
	{
		Spec: option.Spec{
			Name:    "group_key",
			Doc:     "Key under which the attributes of the event's group are added. For OpenTelemetry: resource and scope.",
			Details: "The markers that begin and end a group never become records. Attributes of more than 16 KiB, or of more than 64 MiB in all events of a chunk, are left out, with a warning. Not with log_key.",
			PeerC:   "no option, attributes are lost", PeerGo: "no option, the markers become records of their own",
		},
		Field: func(c *Config) any { return &c.event.GroupKey },
	},
	{
		Spec: option.Spec{
			Name: "compression", Default: "none", Enum: []string{"none", "gzip", "zlib", "zstd", "snappy"}, Off: "none", Hints: []string{"compress", "compression_type"},
			Doc: "Compress each event by itself, or with combine each record of many, before aggregation. Consumers must unpack each one.",
			Details: "Each user record is a complete stream of the format: gzip (RFC 1952), zlib (RFC 1950), a zstd frame (RFC 8878), or a snappy block without framing, " +
				"as in the peers. A newline of append_newline is inside. Nothing in the record names the format but its first bytes: gzip `1f 8b`, zlib `78`, zstd `28 b5 2f fd`; " +
				"snappy has none. Small events hardly become smaller by themselves: use combine.",
			PeerC: "gzip, zstd, snappy; of the record", PeerGo: "gzip, zlib; of the event, before aggregation",
		},
		Field: func(c *Config) any { return &c.event.Compression },
	},
	{
		Spec: option.Spec{
			Name: "compression_level", Kind: option.Int, Min: 1, Max: 22, Form: "gzip and zlib: 1 to 9, default 6; zstd: 1 to 22, default 1; snappy: none",
			Doc: "How hard to compress.",
		},
		Field: func(c *Config) any { return &c.event.CompressionLevel },
	},
}

// The words of oversize that event.Config does not know.
const (
	oversizeDrop       = "drop"
	oversizeError      = "error"
	oversizeDeadLetter = "dead_letter"
)

var oversizeOptions = []Option{
	{
		Spec: option.Spec{
			Name: "oversize", Aliases: []string{"too_large"}, Enum: []string{oversizeError, oversizeDeadLetter, "truncate", "split", oversizeDrop}, DefaultNote: "dead_letter if dead_letter_file is set, else error",
			Doc: "What to do with an event that is larger than the stream takes.",
			Details: "The stream's own limit counts, 1 MiB unless raised, for data and partition key together. `error`: all else is delivered and the chunk is answered with an error, so that the " +
				"host counts it and can keep it (`storage.keep.rejected`). `truncate` cuts the longest texts of the event, at a character, and ends them with `[Truncated...]`; " +
				"all keys, numbers and short texts stay, and it stays JSON. `split` makes several records: the event with a piece in place of its longest text, and with " +
				"`partial_message`, `partial_id`, `partial_ordinal` and `partial_last`, by which Fluent Bit's multiline filter joins them; they share a partition key. With log_key and text under it, the pieces are plain text. " +
				"Both go by max_record_size; what they cannot help (a million numbers) is treated as by default. `drop` loses the event, with an error in the log.",
			PeerC: "no option, discarded with a warning; cut with compression", PeerGo: "no option, cut, which breaks the JSON",
		},
		Field: func(c *Config) any { return &c.Oversize },
	},
	{
		Spec: option.Spec{
			Name: "max_record_size", Kind: option.Size, Min: 4096, Max: 10 << 20, DefaultNote: "the limit of the stream",
			Doc: "Size from which oversize truncates and splits, partition key included, after compression. A lower limit of the stream counts instead.",
			Details: "The limit of a stream is known once it was asked (kinesis:DescribeStreamSummary), which is when the first event comes for it; until then, and if that is not allowed, " +
				"it is 1 MiB.",
			PeerC: "no option, 1,048,556 bytes", PeerGo: "no option, 1 MiB",
		},
		Field: func(c *Config) any { return &c.event.MaxRecordBytes },
	},
}

var flushOptions = []Option{
	{
		Spec: option.Spec{
			Name: "flush_timeout", Kind: option.Duration, Default: "4s", Min: int64(100 * time.Millisecond), Max: int64(10 * time.Minute),
			Doc: "How long one flush waits until Kinesis has everything; then the host retries, and only what is missing is sent. Keep it below the service's 'grace' (default 5), or a shutdown may send events twice.",
		},
		Field: func(c *Config) any { return &c.FlushTimeout },
	},
}

// otherOptions have no meaning here. They are in the table so that a configuration
// that was written for another output gets an answer instead of "unknown property".
var otherOptions = []Option{
	{
		Spec: option.Spec{
			Name: "simple_aggregation", Kind: option.Bool,
			Doc:   "`on` is `combine lines`: several events in one record, each with a line feed behind it. The records are aggregated besides, unless aggregation is off.",
			PeerC: "several events in one record, joined by newlines; one record for each request",
		},
		Field: func(c *Config) any { return &c.simpleAggregation },
	},
	{
		Spec: option.Spec{
			Name: "experimental_concurrency", Kind: option.Int, Max: 10,
			Doc:    "Ignored with a warning: it acknowledges events before they are stored. Set 'workers' of the output instead.",
			PeerGo: "0; flushes in the background that are acknowledged at once",
		},
		Field: func(c *Config) any { return &c.ignored.concurrency },
	},
	{
		Spec: option.Spec{
			Name: "experimental_concurrency_retries", Kind: option.Int, Max: 1 << 31, Form: "any number",
			Doc:    "Ignored with a warning: failed records are retried until they are in.",
			PeerGo: "4; then the events are lost",
		},
		Field: func(c *Config) any { return &c.ignored.concurrencyRetries },
	},
	{
		Spec: option.Spec{
			Name: "auto_retry_requests", Kind: option.Bool,
			Doc:   "Ignored, with a warning if it is off: failed requests are always retried.",
			PeerC: "true; one retry at once after a network error",
		},
		Field: func(c *Config) any { return &c.ignored.autoRetry },
	},
}

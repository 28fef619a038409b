// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"

	"github.com/outkpl/outkpl/internal/option"
	"github.com/outkpl/outkpl/internal/option/table"
)

// matchOption is the key that only entries of routes[] have.
var matchOption = option.Option[Route]{
	Spec: option.Spec{
		Name: "match", Form: "a path with the wildcards of path.Match, such as /streams/audit-*", Check: checkMatch,
		Doc: "Path of the requests that the entry is for. The first entry that matches wins.",
	},
	Field: func(r *Route) any { return &r.Match },
}

// routeOptions are the settings that entries of routes[] may set, too.
var routeOptions = slices.Concat([]option.Option[Route]{
	{
		Spec: option.Spec{
			Name: "stream", Hints: []string{"stream_name"}, Form: streamForm, Check: checkStream,
			Doc: "Stream of requests that name none. It need not be in route.streams.",
		},
		Field: func(r *Route) any { return &r.Stream },
	},
	{
		Spec: option.Spec{
			Name: "streams", Kind: option.List, Form: "names with the wildcards of path.Match, such as logs-*; *: all", Check: checkPattern,
			Doc: "Streams that requests may name by path, header or query. Default: none but route.stream.",
		},
		Field: func(r *Route) any { return &r.Streams },
	},
	{
		Spec: option.Spec{
			Name: "format", Default: "auto", Enum: []string{"auto", "json", "lines", "msgpack", "otlp"},
			Doc: "Form of the bodies. auto goes by path (/v1/logs is otlp), content type and first bytes.",
		},
		Field: func(r *Route) any { return &r.Format },
	},
	{
		Spec: option.Spec{
			Name: "partition_key", Hints: []string{"partition_key_path"}, Form: "a, a->b->c, $a['b'][0] or constant:TEXT; empty: the producer distributes events over the shards", Check: checkKey,
			Doc: "Where the partition key of an event comes from. Headers and query of a request can override it.",
		},
		Field: func(r *Route) any { return &r.PartitionKey },
	},
	{
		Spec: option.Spec{
			Name: "partition_key_missing", Default: Unkeyed, Form: "unkeyed, constant:TEXT, drop, dead_letter or reject", Check: checkMissing,
			Doc: "What to do with an event that has no partition key.",
		},
		Field: func(r *Route) any { return &r.PartitionKeyMissing },
	},
	{
		Spec: option.Spec{
			Name: "log_key", Form: "name of a top-level key",
			Doc: "Send only the value of this key: text as it is, anything else as JSON. Events without the key are sent whole.",
		},
		Field: func(r *Route) any { return &r.LogKey },
	},
	{
		Spec: option.Spec{
			Name: "data_keys", Kind: option.List, Form: "names separated by commas",
			Doc: "Top-level keys to keep, in the order of the event; the time that a MessagePack event gets stays, too. Default: all. Partition key and log_key are looked up in the event as it came.",
		},
		Field: func(r *Route) any { return &r.DataKeys },
	},
	{
		Spec: option.Spec{
			Name: "replace_dots", Form: "text, such as _; empty: keys stay as they are",
			Doc: "Put this in place of each dot in the keys of events, at every level.",
		},
		Field: func(r *Route) any { return &r.ReplaceDots },
	},
	{
		Spec: option.Spec{
			Name: "compression", Default: "none", Enum: []string{"none", "gzip", "zlib", "zstd", "snappy"},
			Doc: "Compress each event by itself, or with combine each record of many, before aggregation. Consumers must unpack each one. The sizes that count are those after compression.",
		},
		Field: func(r *Route) any { return &r.Compression },
	},
	{
		Spec: option.Spec{
			Name: "compression_level", Kind: option.Int, Default: "0", Min: 1, Max: 22, ZeroMeans: "the default of the compression",
			Doc: "1 to 9 for gzip and zlib (default 6), 1 to 22 for zstd (1); snappy has none.",
		},
		Field: func(r *Route) any { return &r.CompressionLevel },
	},
}, option.With(option.Of("", combineOf, table.CombineOptions()),
	option.Spec{Name: "combine", Doc: "Make one record of the events of a body that have a partition key in common, in their order; without a key, of all of them. With compression this saves most of the bytes. Consumers have to split records into events, see consumers.md."},
), []option.Option[Route]{
	{
		Spec: option.Spec{
			Name: "wrapper", Form: "name of a top-level key",
			Doc: "Key of a JSON object that holds the events, for senders that wrap them, as in {\"data\":[...]}.",
		},
		Field: func(r *Route) any { return &r.Wrapper },
	},
	{
		Spec: option.Spec{
			Name: "keep_layout", Kind: option.Bool, Default: "false",
			Doc: "Leave pretty-printed JSON as it came. Otherwise such events become one line each.",
		},
		Field: func(r *Route) any { return &r.KeepLayout },
	},
	{
		Spec: option.Spec{
			Name: "unquote_strings", Kind: option.Bool, Default: "false",
			Doc: "Send an event that is a JSON string as its text, without quotes and escapes.",
		},
		Field: func(r *Route) any { return &r.UnquoteStrings },
	},
	{
		Spec: option.Spec{
			Name: "reject_invalid_utf8", Kind: option.Bool, Default: "false",
			Doc: "Take an event of JSON with invalid UTF-8 as malformed, of OTLP a log record or, as JSON, the request, instead of replacing each such byte by U+FFFD.",
		},
		Field: func(r *Route) any { return &r.RejectInvalidUTF8 },
	},
	{
		Spec: option.Spec{
			Name: "time_key", Default: "date", Form: "name of a key; empty: the time is left out",
			Doc: "Key under which events that come as MessagePack get their time, in seconds.",
		},
		Field: func(r *Route) any { return &r.TimeKey },
	},
	{
		Spec: option.Spec{
			Name: "otlp_resource", Kind: option.Bool, Default: "true",
			Doc: "Put the resource into each OTLP log record.",
		},
		Field: func(r *Route) any { return &r.Resource },
	},
	{
		Spec: option.Spec{
			Name: "otlp_scope", Kind: option.Bool, Default: "true",
			Doc: "Put the instrumentation scope into each OTLP log record.",
		},
		Field: func(r *Route) any { return &r.Scope },
	},
	{
		Spec: option.Spec{
			Name: "append_newline", Kind: option.Bool, Default: "false",
			Doc: "End each record with a newline. Costs a copy of each event.",
		},
		Field: func(r *Route) any { return &r.AppendNewline },
	},
	{
		Spec: option.Spec{
			Name: "ack_timeout", Hints: []string{"timeout"}, Kind: option.Duration, Default: "9s", Min: 100 * msec, Max: 10 * min1,
			Doc: "How long a request waits for Kinesis before it is answered with 503. Must be below the client's timeout: Logstash and OTLP SDKs 10 s, OTel collector 30 s, Vector, Fluent Bit and Fluentd 60 s.",
		},
		Field: func(r *Route) any { return &r.AckTimeout },
	},
	{
		Spec: option.Spec{
			Name: "retry_after", Kind: option.Duration, Default: "1s", Min: sec, Max: 10 * min1,
			Doc: "The header Retry-After of 503 answers, which has whole seconds: part of a second counts as a whole one.",
		},
		Field: func(r *Route) any { return &r.RetryAfter },
	},
	{
		Spec: option.Spec{
			Name: "record_max_size", Kind: option.Size, Default: "10MiB", Min: 1, Max: 10 * mib,
			Doc: "Largest event with its key that is tried at all. The stream's own limit holds in any case.",
		},
		Field: func(r *Route) any { return &r.RecordMaxBytes },
	},
	{
		Spec: option.Spec{
			Name: "oversize", Aliases: []string{"too_large"}, Default: Auto, Enum: []string{Auto, Drop, DeadLetters, Reject},
			Doc: "What to do with an event that is too large for the stream. auto: dead_letter if there is a place for them, else drop. reject answers 422, which makes the client drop the whole body; with it, a body with an event above 1 MiB is written after its largest event.",
		},
		Field: func(r *Route) any { return &r.TooLarge },
	},
	{
		Spec: option.Spec{
			Name: "invalid", Default: Auto, Enum: []string{Auto, Drop, DeadLetters},
			Doc: "What to do with an event that Kinesis refuses as invalid. auto: dead_letter if there is a place for them, else drop.",
		},
		Field: func(r *Route) any { return &r.Invalid },
	},
	{
		Spec: option.Spec{
			Name: "keep_empty_lines", Kind: option.Bool, Default: "false",
			Doc: "Make events of empty lines. Otherwise they are skipped.",
		},
		Field: func(r *Route) any { return &r.KeepEmptyLines },
	},
	{
		Spec: option.Spec{
			Name: "malformed", Default: Auto, Enum: []string{Auto, Drop, DeadLetters, Reject},
			Doc: "What to do with an event that cannot be read, and with a body of which nothing can be read. auto: dead_letter if there is a place for them, else drop such an event and refuse such a body. reject answers 422 for one such event, which makes the client drop all of the body.",
		},
		Field: func(r *Route) any { return &r.Malformed },
	},
})

func combineOf(r *Route) *table.Combine {
	return &table.Combine{Form: &r.Combine, Size: &r.CombineSize, Count: &r.CombineCount}
}

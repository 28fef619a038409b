// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"regexp"
	"slices"
	"time"

	"github.com/outkpl/outkpl/internal/option"
	"github.com/outkpl/outkpl/internal/option/table"
)

const (
	groupRange  = "What to read"
	groupFilter = "Which records to show"
	groupOutput = "How to show them"
	groupStats  = "Counting instead of showing"
	groupVerify = "Looking for given events"
	groupInput  = "Blobs from files"
	groupDoctor = "Doctor"
	groupAWS    = "AWS"
	groupOther  = "Other"
)

var (
	dataForms       = []string{"auto", "text", "json", "base64", "none"}
	eventForms      = []string{"auto", "lines", "json_array"}
	decompressModes = []string{"none", "auto", "gzip", "zlib", "zstd", "snappy"}
	statsForms      = []string{"table", "json"}
	inputForms      = []string{"auto", "raw", "base64", "hex", "json"}
)

type flag = option.Option[options]

// awsFlags are those of the AWS options that a reader needs.
func awsFlags() []flag {
	picked := option.Pick(table.AWSOptions(), "region", "endpoint", "profile", "role_arn", "external_id", "sts_endpoint", "wire_format")
	flags := option.Of("", func(o *options) *table.AWS { return &o.aws }, picked)
	for i := range flags {
		flags[i].Spec = flags[i].Dashed()
		flags[i].Group = groupAWS
	}
	return flags
}

var otherFlags = []flag{
	{
		Spec:  option.Spec{Name: "help", Aliases: []string{"h"}, Kind: option.Bool, Group: groupOther, Doc: "Print this."},
		Field: func(o *options) any { return &o.help },
	},
	{
		Spec:  option.Spec{Name: "version", Kind: option.Bool, Group: groupOther, Doc: "Print the version."},
		Field: func(o *options) any { return &o.version },
	},
}

// readFlags are the flags of kplcat without a subcommand.
var readFlags = slices.Concat([]flag{
	{
		Spec: option.Spec{
			Name: "from", Arg: "WHEN", Words: []string{"latest", "trim-horizon", "-15m", "-1h"}, Group: groupRange, Form: "latest, trim-horizon, " + timeForms,
			Doc: "Where to start: latest (what comes from now on), trim-horizon (the oldest record there is), a time (2026-11-24T10:00:00Z, \"2026-11-24 10:00:00\" or 2026-11-24; local time zone unless it says), or as long ago as -15m, -36h or -7d. Default: trim-horizon; latest with --follow.",
		},
		Field: func(o *options) any { return &o.fromText },
	},
	{
		Spec: option.Spec{
			Name: "until", Arg: "WHEN", Words: []string{"now", "never"}, Group: groupRange, Form: "now, never, " + timeForms,
			Doc: "Where to end: now (what has arrived when kplcat starts), never, or a time as for --from. A time to come is waited for. Default: now; never with --follow or --from latest.",
		},
		Field: func(o *options) any { return &o.untilText },
	},
	{
		Spec: option.Spec{
			Name: "follow", Kind: option.Bool, Group: groupRange,
			Doc: "Go on with what arrives: --from latest --until never, unless these are given. Shards that are split or merged are followed into their children.",
		},
		Field: func(o *options) any { return &o.follow },
	},
	{
		Spec:  option.Spec{Name: "limit", Arg: "N", Kind: option.Int, Min: 1, Group: groupRange, Doc: "End after N user records were shown; with --stats, behind the Kinesis record that has the Nth, all of which is counted."},
		Field: func(o *options) any { return &o.limit },
	},
	{
		Spec: option.Spec{
			Name: "shard", Arg: "ID", Many: true, Group: groupRange, Form: "a shard's id such as shardId-000000000003, or its number",
			Doc: "Read this shard only: shardId-000000000003 or 3. May be given again. Children of a shard are not read unless they are named.",
		},
		Parse: func(o *options, v string) error {
			id, err := shardID(v)
			o.shards = append(o.shards, id)
			return err
		},
	},
	{
		Spec: option.Spec{
			Name: "poll", Arg: "DURATION", Kind: option.Duration, Default: "1s", Min: int64(200 * time.Millisecond), Group: groupRange,
			Doc: "Pause before a shard that has nothing new is asked again. Default 1s; at least 200ms.",
		},
		Field: func(o *options) any { return &o.poll },
	},

	{
		Spec: option.Spec{Name: "key", Arg: "KEY", Many: true, Group: groupFilter, Doc: "Only user records with this partition key. May be given again."},
		Parse: func(o *options, v string) error {
			o.keys = append(o.keys, v)
			return nil
		},
	},
	{
		Spec: option.Spec{
			Name: "grep", Arg: "REGEXP", Group: groupFilter, Form: "an RE2 regular expression",
			Doc: "Only user records whose payload, after --decompress, matches this RE2 regular expression. (?i) at its start ignores case.",
		},
		Parse: func(o *options, v string) (err error) {
			o.grep, err = regexp.Compile(v)
			return err
		},
	},
	{
		Spec: option.Spec{
			Name: "kcl", Kind: option.Bool, Group: groupFilter,
			Doc: "Leave out what consumers built on the KCL do not get: all user records of an aggregate if the hash key of one is not in the range of the shard that stores it, and aggregates that the KCL fails on.",
		},
		Field: func(o *options) any { return &o.kcl },
	},
	{
		Spec: option.Spec{
			Name: "dedupe", Kind: option.Bool, Group: groupFilter,
			Doc: "Leave out a Kinesis record that came before with the same outer partition key and content: a producer with verify_uncertain has sent it again. Only its aggregates have keys by which that is known.",
		},
		Field: func(o *options) any { return &o.dedupe },
	},
	{
		Spec: option.Spec{
			Name: "dedupe-window", Arg: "N", Kind: option.Int, Default: "1000000", Min: 1, Max: 100_000_000, Group: groupFilter,
			Doc: "With --dedupe: remember so many Kinesis records, the latest ones, in some 65 bytes each. Default 1000000; 1 to 100000000.",
		},
		Field: func(o *options) any { return &o.dedupeWindow },
	},

	{
		Spec: option.Spec{
			Name: "data", Arg: "FORM", Default: "auto", Enum: dataForms, Group: groupOutput,
			Doc: "The payload: auto, text, json, base64 or none (its length only). See Output. Default auto.",
		},
		Field: func(o *options) any { return &o.data },
	},
	{
		Spec: option.Spec{
			Name: "decompress", Arg: "HOW", Default: "none", Enum: decompressModes, Group: groupOutput,
			Doc: "Decompress payloads: none; auto (gzip, zlib, zstd and framed snappy, as their first bytes tell); or gzip, zlib, zstd, snappy (also without frame). What does not decompress is shown as it is. Default none.",
		},
		Field: func(o *options) any { return &o.decompress },
	},
	{
		Spec: option.Spec{
			Name: "events", Arg: "FORM", Optional: true, Enum: eventForms, Words: eventForms, Group: groupOutput,
			Doc: "Split records of many events (combine lines, combine json_array), and show each event: --events or --events=auto, which goes by the bytes of each record, or lines or json_array. --decompress is auto then, unless it is given.",
		},
		Field: func(o *options) any { return &o.events },
	},
	{
		Spec:  option.Spec{Name: "raw", Kind: option.Bool, Group: groupOutput, Doc: "Print payloads and nothing else, each followed by the delimiter."},
		Field: func(o *options) any { return &o.raw },
	},
	{
		Spec: option.Spec{
			Name: "delimiter", Arg: "TEXT", Default: `\n`, Group: groupOutput, Form: `any text, with the escapes \n \r \t \0 \\`,
			Doc: "What follows each payload with --raw; \\n, \\r, \\t, \\0 and \\\\ are understood, and it may be empty. Default \\n.",
		},
		Parse: func(o *options, v string) (err error) {
			o.delimiter, err = unescape(v)
			return err
		},
	},
	{
		Spec:  option.Spec{Name: "quiet", Kind: option.Bool, Group: groupOutput, Doc: "No summary on standard error at the end."},
		Field: func(o *options) any { return &o.quiet },
	},

	{
		Spec: option.Spec{
			Name: "stats", Arg: "FORM", Optional: true, Enum: statsForms, Words: statsForms, Group: groupStats,
			Doc: "Print counts for each shard at the end, and no records: --stats for a table, --stats=json for a line of JSON. With --events, events are counted, too.",
		},
		Field: func(o *options) any { return &o.stats },
	},
	{
		Spec: option.Spec{
			Name: "interval", Arg: "DURATION", Kind: option.Duration, Min: int64(time.Second), Group: groupStats,
			Doc: "With --stats: print the counts so far every so often, too. At least 1s.",
		},
		Field: func(o *options) any { return &o.interval },
	},

	{
		Spec: option.Spec{
			Name: "verify", Arg: "FILE", Group: groupVerify,
			Doc: "Tell which of the events in FILE, one a line (- for standard input), are in the stream, and how often, instead of showing records. Combined and compressed records are split as with --events. A line takes some 60 bytes of memory; 16 MiB is the longest. Exit code 1 if one is missing, or there more often than given.",
		},
		Field: func(o *options) any { return &o.verify },
	},
	{
		Spec: option.Spec{
			Name: "verify-field", Arg: "NAME", Group: groupVerify,
			Doc: "With --verify: compare the value of this key of each event of the stream that is a JSON object, such as log, in place of the whole event. Only keys of the object itself.",
		},
		Field: func(o *options) any { return &o.verifyField },
	},
	{
		Spec:  option.Spec{Name: "json", Kind: option.Bool, Group: groupVerify, Doc: "With --verify: print lines of JSON."},
		Field: func(o *options) any { return &o.json },
	},

	{
		Spec: option.Spec{
			Name: "input", Arg: "FORM", Default: "auto", Enum: inputForms, Group: groupInput,
			Doc: "What the files hold: auto; raw (one blob); base64 or hex (a blob a line); json (what \"aws kinesis get-records\" prints, events of Lambda, or records one by one). Default auto.",
		},
		Field: func(o *options) any { return &o.input },
	},
}, formFlags, awsFlags(), []flag{
	{
		Spec:  option.Spec{Name: "completion", Arg: "SHELL", Enum: option.Shells(), Group: groupOther, Doc: "Print a completion script for bash, zsh or fish."},
		Field: func(o *options) any { return &o.completion },
	},
}, otherFlags)

// doctorFlags are the flags of kplcat doctor.
var doctorFlags = slices.Concat([]flag{
	{
		Spec: option.Spec{
			Name: "role", Arg: "WHAT", Default: "both", Enum: []string{"both", "producer", "consumer"}, Group: groupDoctor,
			Doc: "What the credentials are for: producer, consumer or both. Permissions that the other needs are not missed. Default both.",
		},
		Field: func(o *options) any { return &o.role },
	},
	{
		Spec: option.Spec{
			Name: "probe-write", Kind: option.Bool, Group: groupDoctor,
			Doc: "Write one record, with the partition key kplcat-doctor, and tell the wire format that it went in, the shard that took it and whether the shard's range has its hash key. Consumers will see it.",
		},
		Field: func(o *options) any { return &o.probeWrite },
	},
	{
		Spec:  option.Spec{Name: "json", Kind: option.Bool, Group: groupDoctor, Doc: "Print findings as JSON, one a line."},
		Field: func(o *options) any { return &o.json },
	},
}, awsFlags(), otherFlags)

// completion returns a script for a shell.
func completion(shell string) string {
	p := option.Program{
		Name: "kplcat", Use: "kplcat --completion", Files: true, Flags: option.Specs(readFlags),
		Commands: commands,
	}
	return p.Completion(shell)
}

// commands are the subcommands.
var commands = []option.Spec{{Name: "doctor", Doc: "Check the way to a stream"}, {Name: "top", Doc: "Show what comes into streams"}}

// usageError is a mistake in the command line.
type usageError struct {
	error
	command string // with a blank before it; empty: none
}

func (e *usageError) Unwrap() error { return e.error }

// asUsage joins mistakes. command is a subcommand with a blank before it, or empty.
func asUsage(problems []error, command string) error {
	if len(problems) == 0 {
		return nil
	}
	return &usageError{errors.Join(problems...), command}
}

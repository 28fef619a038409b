// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/outkpl/outkpl/internal/nearmiss"
)

// flagSpec describes a flag: for parsing, for the manual and for completion.
type flagSpec struct {
	name   string
	arg    string   // what the manual calls its value; "" for a switch
	opt    bool     // the value may be left out
	values []string // for completion
	many   bool     // may be given again
	group  string
	help   string
}

const (
	groupRange  = "What to read"
	groupFilter = "Which records to show"
	groupOutput = "How to show them"
	groupStats  = "Counting instead of showing"
	groupInput  = "Blobs from files"
	groupAWS    = "AWS"
	groupOther  = "Other"
)

var awsFlags = []flagSpec{
	{name: "region", arg: "NAME", group: groupAWS, help: "Region. Default: that of the ARN, AWS_REGION, or the profile's."},
	{name: "endpoint", arg: "URL", group: groupAWS, help: "Kinesis endpoint: host, host:port or URL, such as http://127.0.0.1:4567 for an emulator. Default: the region's."},
	{name: "profile", arg: "NAME", group: groupAWS, help: "Profile of the shared AWS files. Default: AWS_PROFILE, or \"default\"."},
	{name: "role-arn", arg: "ARN", group: groupAWS, help: "Role to assume."},
	{name: "external-id", arg: "TEXT", group: groupAWS, help: "External id for --role-arn."},
	{name: "sts-endpoint", arg: "URL", group: groupAWS, help: "Address of STS, for --role-arn, web identities and profiles with a role. Default: the region's."},
}

var otherFlags = []flagSpec{
	{name: "help", group: groupOther, help: "Print this."},
	{name: "version", group: groupOther, help: "Print the version."},
}

// readFlags are the flags of kplcat without a subcommand.
var readFlags = append(append([]flagSpec{
	{name: "from", arg: "WHEN", values: []string{"latest", "trim-horizon", "-15m", "-1h"}, group: groupRange,
		help: "Where to start: latest (what comes from now on), trim-horizon (the oldest record there is), a time (2026-11-24T10:00:00Z, \"2026-11-24 10:00:00\" or 2026-11-24; local time zone unless it says), or as long ago as -15m, -36h or -7d. Default: trim-horizon; latest with --follow."},
	{name: "until", arg: "WHEN", values: []string{"now", "never"}, group: groupRange,
		help: "Where to end: now (what has arrived when kplcat starts), never, or a time as for --from. A time to come is waited for. Default: now; never with --follow or --from latest."},
	{name: "follow", group: groupRange, help: "Go on with what arrives: --from latest --until never, unless these are given. Shards that are split or merged are followed into their children."},
	{name: "limit", arg: "N", group: groupRange, help: "End after N user records were shown."},
	{name: "shard", arg: "ID", many: true, group: groupRange, help: "Read this shard only: shardId-000000000003 or 3. May be given again. Children of a shard are not read unless they are named."},
	{name: "poll", arg: "DURATION", group: groupRange, help: "Pause before a shard that has nothing new is asked again. Default 1s; at least 200ms."},

	{name: "key", arg: "KEY", many: true, group: groupFilter, help: "Only user records with this partition key. May be given again."},
	{name: "grep", arg: "REGEXP", group: groupFilter, help: "Only user records whose payload, after --decompress, matches this RE2 regular expression. (?i) at its start ignores case."},
	{name: "kcl", group: groupFilter, help: "Leave out what consumers built on the KCL do not get: all user records of an aggregate if the hash key of one is not in the range of the shard that stores it, and aggregates that the KCL fails on."},

	{name: "data", arg: "FORM", values: dataForms, group: groupOutput, help: "The payload: auto, text, json, base64 or none (its length only). See Output. Default auto."},
	{name: "decompress", arg: "HOW", values: decompressModes, group: groupOutput, help: "Decompress payloads: none; auto (gzip, zlib, zstd and framed snappy, as their first bytes tell); or gzip, zlib, zstd, snappy (also without frame). What does not decompress is shown as it is. Default none."},
	{name: "events", arg: "FORM", opt: true, values: eventForms, group: groupOutput, help: "Take records of many events apart (combine lines, combine json_array), and show each event: --events or --events=auto, which goes by the bytes of each record, or lines or json_array. --decompress is auto then, unless it is given."},
	{name: "raw", group: groupOutput, help: "Print payloads and nothing else, each followed by the delimiter."},
	{name: "delimiter", arg: "TEXT", group: groupOutput, help: "What follows each payload with --raw; \\n, \\r, \\t, \\0 and \\\\ are understood, and it may be empty. Default \\n."},
	{name: "quiet", group: groupOutput, help: "No summary on standard error at the end."},

	{name: "stats", arg: "FORM", opt: true, values: statsForms, group: groupStats, help: "Print counts for each shard at the end, and no records: --stats for a table, --stats=json for a line of JSON. With --events, events are counted, too."},
	{name: "interval", arg: "DURATION", group: groupStats, help: "With --stats: print the counts so far every so often, too. At least 1s."},

	{name: "input", arg: "FORM", values: inputForms, group: groupInput, help: "What the files hold: auto; raw (one blob); base64 or hex (a blob a line); json (what \"aws kinesis get-records\" prints, events of Lambda, or records one by one). Default auto."},
}, awsFlags...), append([]flagSpec{
	{name: "completion", arg: "SHELL", values: shells, group: groupOther, help: "Print a completion script for bash, zsh or fish."},
}, otherFlags...)...)

var (
	dataForms       = []string{"auto", "text", "json", "base64", "none"}
	eventForms      = []string{"auto", "lines", "json_array"}
	decompressModes = []string{"none", "auto", "gzip", "zlib", "zstd", "snappy"}
	statsForms      = []string{"table", "json"}
	inputForms      = []string{"auto", "raw", "base64", "hex", "json"}
	shells          = []string{"bash", "zsh", "fish"}
)

// usageError is a mistake in the command line.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// flagValues are flags as given: texts, in order of appearance.
type flagValues map[string][]string

func (v flagValues) has(name string) bool { return len(v[name]) > 0 }

// last returns the value that counts, or otherwise if the flag was not given.
func (v flagValues) last(name, otherwise string) string {
	if s := v[name]; len(s) > 0 {
		return s[len(s)-1]
	}
	return otherwise
}

// oneOf checks a value against the allowed ones.
func (v flagValues) oneOf(name string, allowed []string, otherwise string, errs *[]error) string {
	s := v.last(name, otherwise)
	for _, a := range allowed {
		if s == a {
			return s
		}
	}
	if v.has(name) {
		*errs = append(*errs, usagef("flag --%s: %q is not valid; allowed: %s", name, s, strings.Join(allowed, ", ")))
	}
	return s
}

// flagText collects the values of one flag. The texts are judged later, so that all
// mistakes can be named at once.
type flagText struct {
	spec   *flagSpec
	values flagValues
}

// String implements flag.Value.
func (t *flagText) String() string { return "" }

// Set implements flag.Value.
func (t *flagText) Set(s string) error {
	t.values[t.spec.name] = append(t.values[t.spec.name], s)
	return nil
}

// IsBoolFlag tells package flag that the value may be missing.
func (t *flagText) IsBoolFlag() bool { return t.spec != nil && (t.spec.arg == "" || t.spec.opt) }

// parseFlags reads flags and arguments in any order. After "--" there are only
// arguments.
func parseFlags(specs []flagSpec, args []string) (flagValues, []string, error) {
	values := flagValues{}
	fs := flag.NewFlagSet("kplcat", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	for i := range specs {
		fs.Var(&flagText{&specs[i], values}, specs[i].name, "")
	}
	fs.Var(&flagText{&flagSpec{name: "help"}, values}, "h", "")
	var rest []string
	for {
		switch err := fs.Parse(args); {
		case errors.Is(err, flag.ErrHelp):
			values["help"] = []string{"true"}
		case err != nil:
			return nil, nil, usagef("%w", nameFlag(err, specs))
		}
		n := fs.NArg()
		if n == 0 {
			return values, rest, checkFlags(specs, values)
		}
		if at := len(args) - n - 1; at >= 0 && args[at] == "--" {
			return values, append(rest, fs.Args()...), checkFlags(specs, values)
		}
		rest = append(rest, fs.Arg(0))
		args = fs.Args()[1:]
	}
}

// nameFlag puts the errors of package flag into this program's words.
func nameFlag(err error, specs []flagSpec) error {
	if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		var names []string
		for _, s := range specs {
			names = append(names, s.name)
		}
		if best, ok := nearmiss.Find(name, names, 2); ok {
			return fmt.Errorf("flag --%s does not exist; did you mean --%s?", name, best)
		}
		return fmt.Errorf("flag --%s does not exist", name)
	}
	if name, ok := strings.CutPrefix(err.Error(), "flag needs an argument: -"); ok {
		for _, s := range specs {
			if s.name == name {
				return fmt.Errorf("flag --%s needs a value: --%s %s", name, name, s.arg)
			}
		}
	}
	return err
}

// checkFlags refuses values of switches and flags that are given again in vain.
func checkFlags(specs []flagSpec, values flagValues) error {
	var errs []error
	for _, s := range specs {
		got := values[s.name]
		if len(got) > 1 && !s.many && s.arg != "" {
			errs = append(errs, usagef("flag --%s is given %d times; allowed: once", s.name, len(got)))
		}
		if s.arg == "" {
			switch values.last(s.name, "true") {
			case "true":
			case "false":
				delete(values, s.name)
			default:
				errs = append(errs, usagef("flag --%s: %q is not valid; allowed: true, false, or no value", s.name, values.last(s.name, "")))
			}
		}
	}
	return errors.Join(errs...)
}

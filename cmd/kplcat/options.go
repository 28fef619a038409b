// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outkpl/outkpl/cmd/kplcat/internal/reader"
	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/internal/option"
	"github.com/outkpl/outkpl/internal/option/table"
	"github.com/outkpl/outkpl/internal/plural"
)

// options are what the command line asks for.
type options struct {
	help, version bool
	completion    string
	form

	stream, arn string
	files       []string // of blobs; "-" is standard input; nil: read a stream
	input       string

	fromText, untilText string

	from     reader.From
	until    time.Time
	untilNow bool
	follow   bool
	limit    int // 0: none
	shards   []string
	poll     time.Duration

	keys []string
	grep *regexp.Regexp
	kcl  bool

	data, decompress string
	events           string // "": user records are not split into events
	raw              bool
	delimiter        string
	quiet            bool
	stats            string // "", "table" or "json"
	interval         time.Duration

	dedupe       bool
	dedupeWindow int
	verify       string // a file of events, or "-"
	verifyField  string

	role       string // of doctor
	json       bool   // of doctor and --verify
	probeWrite bool

	aws table.AWS
}

// parseOptions reads the command line and names all its mistakes at once.
func parseOptions(args []string) (*options, error) {
	o := &options{}
	given, rest, problems := option.ReadArgs(readFlags, args, o)
	if o.help || o.version || given.Has("completion") {
		return o, asUsage(problems, "")
	}
	problems = append(problems, o.source(given, rest)...)
	problems = append(problems, o.timeRange(given, time.Now())...)
	problems = append(problems, conflicts(given, o)...)
	problems = append(problems, o.checkForm(given)...)
	if o.verify != "" && !given.Has("events") {
		o.events = "auto"
	}
	if o.events != "" && !given.Has("decompress") {
		o.decompress = "auto"
	}
	return o, asUsage(problems, "")
}

// source tells streams from files.
func (o *options) source(given option.Given, rest []string) (problems []error) {
	isFile := func(s string) bool {
		return s == "-" || !isARN(s) && strings.ContainsRune(s, os.PathSeparator)
	}
	bad := func(what, allowed string) {
		problems = append(problems, &option.Problem{What: what, Allowed: allowed})
	}
	switch {
	case len(rest) == 0:
		bad("no stream is given", "the name or the ARN of a stream, or files of blobs (- for standard input)")
	case given.Has("input") || isFile(rest[0]):
		for _, f := range rest {
			if !given.Has("input") && !isFile(f) {
				problems = append(problems, option.Wrong("FILE", f, "not known for a file", fmt.Sprintf("- or a path with a %c in it, such as .%c%s", os.PathSeparator, os.PathSeparator, f)))
			}
		}
		o.files = rest
	case len(rest) > 1:
		p := &option.Problem{
			What:    fmt.Sprintf("%s are given: %q", plural.Count(len(rest), "argument"), rest),
			Allowed: fmt.Sprintf("one stream, or files with a %c in their paths", os.PathSeparator),
		}
		var names []string
		for i := range commands {
			names = append(names, commands[i].Name)
		}
		if best := option.Nearest(rest[0], names); best != "" {
			p.Hint = fmt.Sprintf("did you mean kplcat %s?", best)
		}
		problems = append(problems, p)
	default:
		problems = o.setStream(rest[0])
	}
	return problems
}

// setStream takes a stream's name or ARN; the region of an ARN is the default one.
func (o *options) setStream(s string) []error {
	name, region, err := core.ParseStream(s)
	if err != nil {
		return []error{option.Wrong("STREAM", s, "not the name of a stream", "1 to 128 of a-z A-Z 0-9 _ . -, or an ARN (arn:aws:kinesis:REGION:ACCOUNT:stream/NAME)")}
	}
	if !isARN(s) || isEmulator(o.aws.Endpoint) {
		o.stream = name // emulators want the name
	}
	if isARN(s) {
		o.arn = s
		o.aws.Region = cmp.Or(o.aws.Region, region)
	}
	return nil
}

func isARN(s string) bool { return strings.HasPrefix(s, "arn:") }

// client are the settings of the AWS client.
func (o *options) client() awsclient.Config {
	c := o.aws.Client()
	c.Product, c.Version = "kplcat", moduleVersion()
	return c
}

// timeRange reads --from, --until and --follow.
func (o *options) timeRange(given option.Given, now time.Time) (problems []error) {
	bad := func(name, value, what string) {
		problems = append(problems, option.Wrong("--"+name, value, what, option.Find(option.Specs(readFlags), name).Form))
	}
	from, until := "trim-horizon", "now"
	if o.follow {
		from, until = "latest", "never"
	}
	if given.Has("from") {
		from = o.fromText
	}
	switch from {
	case "latest":
		o.from.At = reader.Latest
		if !o.follow {
			until = "never"
		}
	case "trim-horizon":
		o.from.At = reader.TrimHorizon
	default:
		t, err := parseTime(from, now)
		switch {
		case err != nil:
			bad("from", from, err.Error())
		case t.After(now):
			bad("from", from, "in the future")
		}
		o.from = reader.From{At: reader.Timestamp, Time: t}
	}
	if given.Has("until") {
		until = o.untilText
	}
	switch until {
	case "never":
		o.follow = true
	case "now":
		o.untilNow = true
	default:
		t, err := parseTime(until, now)
		switch {
		case err != nil:
			bad("until", until, err.Error())
		case o.from.At == reader.Timestamp && t.Before(o.from.Time):
			bad("until", until, fmt.Sprintf("before --from %q", from))
		}
		o.until = t
	}
	return problems
}

// conflicts names flags that do not go together.
func conflicts(given option.Given, o *options) (problems []error) {
	together := func(a, b, why string) {
		if given.Has(a) && given.Has(b) {
			problems = append(problems, &option.Problem{Name: "--" + b, What: "--" + a + " and --" + b + " cannot be combined", Hint: why})
		}
	}
	together("raw", "data", "--raw prints payloads as they are")
	together("raw", "stats", "--stats prints no payloads")
	for _, f := range []string{"key", "grep", "kcl", "data"} {
		together("stats", f, "--stats counts whole Kinesis records")
	}
	if !given.Has("events") {
		together("stats", "decompress", "--stats counts whole Kinesis records, and payloads only with --events")
	}
	for _, f := range []string{"stats", "raw", "grep", "data", "limit"} {
		together("verify", f, "--verify looks for the given events in all records, and shows none")
	}
	if o.verify == "-" && slices.Contains(o.files, "-") {
		problems = append(problems, option.Wrong("--verify", o.verify, "standard input holds the blobs already", "a file"))
	}
	needs := func(a, b string) {
		if given.Has(a) && !given.Has(b) {
			problems = append(problems, option.Wrong("--"+a, given[a], "has no use without --"+b, ""))
		}
	}
	needs("delimiter", "raw")
	needs("interval", "stats")
	needs("dedupe-window", "dedupe")
	needs("json", "verify")
	needs("verify-field", "verify")
	if o.files != nil {
		for _, f := range []string{"from", "until", "follow", "shard", "poll", "interval", "kcl", "region", "endpoint", "profile", "role-arn", "external-id", "sts-endpoint", "wire-format"} {
			if given.Has(f) {
				problems = append(problems, &option.Problem{Name: "--" + f, What: fmt.Sprintf("is for streams; the argument %q is a file", o.files[0])})
			}
		}
	}
	return problems
}

var shardName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)

// shardID completes a shard's number.
func shardID(s string) (string, error) {
	if n, err := strconv.ParseUint(s, 10, 40); err == nil {
		return fmt.Sprintf("shardId-%012d", n), nil
	}
	if !shardName.MatchString(s) {
		return "", errors.New("not the id of a shard")
	}
	return s, nil
}

// unescape resolves the escapes of --delimiter.
func unescape(s string) (string, error) {
	const from, to = `nrt0\`, "\n\r\t\x00\\"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++
		at := -1
		if i < len(s) {
			at = strings.IndexByte(from, s[i])
		}
		if at < 0 {
			return "", errors.New("not one of the escapes")
		}
		b.WriteByte(to[at])
	}
	return b.String(), nil
}

const timeForms = `a time (2026-11-24T10:00:00Z, "2026-11-24 10:00:00", 2026-11-24) or a time ago (-15m, -36h, -7d)`

var timeLayouts = []string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime, "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly}

// parseTime reads a time, or a duration from now. Times without a zone are local.
func parseTime(s string, now time.Time) (time.Time, error) {
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		if days, ok := strings.CutSuffix(rest, "d"); ok {
			n, err := strconv.Atoi(days)
			if err != nil || n < 0 || n > 100_000 {
				return time.Time{}, errors.New("not a number of days")
			}
			return now.AddDate(0, 0, -n), nil
		}
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 {
			return time.Time{}, errors.New("not a duration")
		}
		return now.Add(-d), nil
	}
	for _, l := range timeLayouts {
		if t, err := time.ParseInLocation(l, s, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errors.New("not a time")
}

// wants reports whether a user record with this key is asked for.
func (o *options) wants(key string) bool {
	return len(o.keys) == 0 || slices.Contains(o.keys, key)
}

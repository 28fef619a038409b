// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outkpl/outkpl/cmd/kplcat/internal/reader"
	"github.com/outkpl/outkpl/core/awsclient"
)

// options are what the command line asks for.
type options struct {
	help, version bool
	completion    string

	stream, arn string
	files       []string // of blobs; "-" is standard input; nil: read a stream
	input       string

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
	events           string // "": user records are not taken apart
	raw              bool
	delimiter        string
	quiet            bool
	stats            string // "", "table" or "json"
	interval         time.Duration

	aws awsclient.Config
}

// parseOptions reads the command line and names all its mistakes at once.
func parseOptions(args []string) (*options, error) {
	v, rest, err := parseFlags(readFlags, args)
	if err != nil {
		return nil, err
	}
	o := &options{help: v.has("help"), version: v.has("version")}
	if o.help || o.version {
		return o, nil
	}
	var errs []error
	if v.has("completion") {
		o.completion = v.oneOf("completion", shells, "", &errs)
		return o, errors.Join(errs...)
	}
	o.source(v, rest, &errs)
	o.timeRange(v, time.Now(), &errs)
	o.limit = number(v, "limit", 1, &errs)
	o.poll = duration(v, "poll", 200*time.Millisecond, time.Second, &errs)
	for _, s := range v["shard"] {
		id, err := shardID(s)
		if err != nil {
			errs = append(errs, err)
		}
		o.shards = append(o.shards, id)
	}

	o.keys, o.kcl = v["key"], v.has("kcl")
	if v.has("grep") {
		if o.grep, err = regexp.Compile(v.last("grep", "")); err != nil {
			errs = append(errs, usagef("flag --grep: %q is not valid: %w; allowed: an RE2 regular expression", v.last("grep", ""), err))
		}
	}

	o.data = v.oneOf("data", dataForms, "auto", &errs)
	packed := "none"
	if v.has("events") {
		packed = "auto"
		if v.last("events", "") == "true" {
			v["events"] = []string{"auto"}
		}
		o.events = v.oneOf("events", eventForms, "", &errs)
	}
	o.decompress = v.oneOf("decompress", decompressModes, packed, &errs)
	o.raw, o.quiet = v.has("raw"), v.has("quiet")
	if o.delimiter, err = unescape(v.last("delimiter", `\n`)); err != nil {
		errs = append(errs, err)
	}
	if v.last("stats", "") == "true" {
		v["stats"] = []string{"table"}
	}
	o.stats = v.oneOf("stats", statsForms, "", &errs)
	o.interval = duration(v, "interval", time.Second, 0, &errs)

	errs = append(errs, conflicts(v, o)...)
	return o, errors.Join(errs...)
}

// source tells streams from files.
func (o *options) source(v flagValues, rest []string, errs *[]error) {
	o.aws = awsConfig(v)
	o.input = v.oneOf("input", inputForms, "auto", errs)
	isFile := func(s string) bool {
		return s == "-" || !isARN(s) && strings.ContainsRune(s, os.PathSeparator)
	}
	switch {
	case len(rest) == 0:
		*errs = append(*errs, usagef("no stream is given; allowed: the name or the ARN of a stream, or files of blobs (- for standard input)"))
	case v.has("input") || isFile(rest[0]):
		for _, f := range rest {
			if !v.has("input") && !isFile(f) {
				*errs = append(*errs, usagef("argument %q is not known for a file; allowed: - or a path with a %c in it, such as .%c%s", f, os.PathSeparator, os.PathSeparator, f))
			}
		}
		o.files = rest
	case len(rest) > 1:
		*errs = append(*errs, usagef("%d arguments are given: %q; allowed: one stream, or files with a %c in their paths", len(rest), rest, os.PathSeparator))
	default:
		o.setStream(v, rest[0], errs)
	}
}

// setStream takes a stream's name or ARN; the region of an ARN is the default one.
func (o *options) setStream(v flagValues, s string, errs *[]error) {
	if isARN(s) {
		part := strings.SplitN(s, ":", 6)
		name, ok := "", len(part) == 6 && part[2] == "kinesis"
		if ok {
			name, ok = strings.CutPrefix(part[5], "stream/")
		}
		if !ok || !streamName.MatchString(name) {
			*errs = append(*errs, usagef("argument %q is not the ARN of a stream; allowed: arn:aws:kinesis:REGION:ACCOUNT:stream/NAME", s))
			return
		}
		o.arn = s
		if o.aws.Region == "" {
			o.aws.Region = part[3]
		}
		if isEmulator(o.aws.Endpoint) {
			o.stream = name // emulators want the name
		}
		return
	}
	if !streamName.MatchString(s) {
		*errs = append(*errs, usagef("argument %q is not the name of a stream; allowed: 1 to 128 of a-z A-Z 0-9 _ . -", s))
	}
	o.stream = s
}

var streamName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)

func isARN(s string) bool { return strings.HasPrefix(s, "arn:") }

func awsConfig(v flagValues) awsclient.Config {
	return awsclient.Config{
		Region: v.last("region", ""), Endpoint: v.last("endpoint", ""), Profile: v.last("profile", ""),
		RoleARN: v.last("role-arn", ""), ExternalID: v.last("external-id", ""), STSEndpoint: v.last("sts-endpoint", ""),
		Product: "kplcat", Version: moduleVersion(),
	}
}

// timeRange reads --from, --until and --follow.
func (o *options) timeRange(v flagValues, now time.Time, errs *[]error) {
	o.follow = v.has("follow")
	from, until := "trim-horizon", "now"
	if o.follow {
		from, until = "latest", "never"
	}
	switch s := v.last("from", from); s {
	case "latest":
		o.from.At = reader.Latest
		if !o.follow {
			until = "never"
		}
	case "trim-horizon":
		o.from.At = reader.TrimHorizon
	default:
		t, err := parseTime(s, now)
		if err != nil {
			*errs = append(*errs, usagef("flag --from: %q is not valid; allowed: latest, trim-horizon, %s", s, timeForms))
		} else if t.After(now) {
			*errs = append(*errs, usagef("flag --from: %q is in the future; allowed: a time that has passed, or latest", s))
		}
		o.from = reader.From{At: reader.Timestamp, Time: t}
	}
	switch s := v.last("until", until); s {
	case "never":
		o.follow = true
	case "now":
		o.untilNow = true
	default:
		t, err := parseTime(s, now)
		if err != nil {
			*errs = append(*errs, usagef("flag --until: %q is not valid; allowed: now, never, %s", s, timeForms))
		} else if o.from.At == reader.Timestamp && t.Before(o.from.Time) {
			*errs = append(*errs, usagef("flag --until: %q is before --from %q; allowed: a later time", s, v.last("from", "")))
		}
		o.until = t
	}
}

// conflicts names flags that do not go together.
func conflicts(v flagValues, o *options) (errs []error) {
	together := func(a, b, why string) {
		if v.has(a) && v.has(b) {
			errs = append(errs, usagef("flags --%s and --%s cannot be combined: %s", a, b, why))
		}
	}
	together("raw", "data", "--raw prints payloads as they are")
	together("raw", "stats", "--stats prints no payloads")
	for _, f := range []string{"key", "grep", "kcl", "data"} {
		together("stats", f, "--stats counts whole Kinesis records")
	}
	if !v.has("events") {
		together("stats", "decompress", "--stats counts whole Kinesis records, and payloads only with --events")
	}
	if v.has("delimiter") && !v.has("raw") {
		errs = append(errs, usagef("flag --delimiter %q has no use without --raw", v.last("delimiter", "")))
	}
	if v.has("interval") && !v.has("stats") {
		errs = append(errs, usagef("flag --interval %s has no use without --stats", v.last("interval", "")))
	}
	if o.files != nil {
		for _, f := range []string{"from", "until", "follow", "shard", "poll", "interval", "kcl", "region", "endpoint", "profile", "role-arn", "external-id", "sts-endpoint"} {
			if v.has(f) {
				errs = append(errs, usagef("flag --%s is for streams; the argument %q is a file", f, o.files[0]))
			}
		}
	}
	return errs
}

func number(v flagValues, name string, least int, errs *[]error) int {
	if !v.has(name) {
		return 0
	}
	n, err := strconv.Atoi(v.last(name, ""))
	if err != nil || n < least {
		*errs = append(*errs, usagef("flag --%s: %q is not valid; allowed: a whole number from %d", name, v.last(name, ""), least))
	}
	return n
}

func duration(v flagValues, name string, least, otherwise time.Duration, errs *[]error) time.Duration {
	if !v.has(name) {
		return otherwise
	}
	d, err := time.ParseDuration(v.last(name, ""))
	if err != nil || d < least {
		*errs = append(*errs, usagef("flag --%s: %q is not valid; allowed: a duration from %v, such as 5s or 1m30s", name, v.last(name, ""), least))
	}
	return d
}

// shardID completes a shard's number.
func shardID(s string) (string, error) {
	if n, err := strconv.ParseUint(s, 10, 40); err == nil {
		return fmt.Sprintf("shardId-%012d", n), nil
	}
	if !streamName.MatchString(s) {
		return "", usagef("flag --shard: %q is not valid; allowed: a shard's id such as shardId-000000000003, or its number", s)
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
			return "", usagef(`flag --delimiter: %q is not valid; allowed: any text, with the escapes \n \r \t \0 \\`, s)
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

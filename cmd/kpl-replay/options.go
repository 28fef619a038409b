// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/internal/option"
	"github.com/outkpl/outkpl/internal/option/table"
)

// options is a checked command line.
type options struct {
	files        []string
	list, dryRun bool
	filter       filter
	to           string
	failed       string
	split        bool
	producer     table.Producer
	aws          table.AWS

	help       bool
	completion string
}

// filter selects dead letters. Empty fields select everything.
type filter struct {
	reasons, streams []string
	since, until     time.Time
}

// match tells whether a dead letter is selected.
func (f *filter) match(l *deadletter.Entry) bool {
	return (len(f.reasons) == 0 || slices.Contains(f.reasons, l.Reason)) &&
		(len(f.streams) == 0 || slices.Contains(f.streams, l.Stream)) &&
		(f.since.IsZero() || !l.Time.Before(f.since)) &&
		(f.until.IsZero() || l.Time.Before(f.until))
}

const usage = `kpl-replay [flags] FILE...

Puts the dead letters of files into Kinesis again, and notes in FILE.done what is
done. FILE may be "-" for standard input, without such notes.

`

const timeForm = "a time such as 2026-11-24T10:00:00Z, or a duration such as 24h, for that long ago"

func flags() []option.Option[options] {
	type flag = option.Option[options]
	aws := option.Of("", func(o *options) *table.AWS { return &o.aws },
		option.Pick(table.AWSOptions(), "region", "endpoint", "profile", "role_arn", "external_id", "sts_endpoint", "wire_format"))
	producer := option.Of("", func(o *options) *table.Producer { return &o.producer }, option.Pick(table.ProducerOptions(), "aggregation", "rate_limit"))
	for i := range aws {
		aws[i].Spec = aws[i].Dashed()
		aws[i].Group = "AWS"
	}
	for i := range producer {
		producer[i].Spec = producer[i].Dashed()
		producer[i].Group, producer[i].Arg = "How to put them", "PERCENT"
	}
	option.With(producer, option.Spec{Name: "rate-limit", Default: "50", Doc: "Most of a shard's capacity to use, in percent. Default 50."})
	const what, which, other = "What to do", "Which dead letters", "Other"
	return slices.Concat([]flag{
		{
			Spec:  option.Spec{Name: "list", Kind: option.Bool, Group: what, Doc: "Count the dead letters by stream and reason, those with the reason broken, too, and do nothing."},
			Field: func(o *options) any { return &o.list },
		},
		{
			Spec:  option.Spec{Name: "dry-run", Kind: option.Bool, Group: what, Doc: "Say what would be put where, and do nothing."},
			Field: func(o *options) any { return &o.dryRun },
		},
		{
			Spec: option.Spec{
				Name: "to", Arg: "STREAM", Group: what, Form: "the name or the ARN of a stream", Check: checkStream,
				Doc: "Put all dead letters into this stream (name or ARN). Default: each into its own.",
			},
			Field: func(o *options) any { return &o.to },
		},
		{
			Spec:  option.Spec{Name: "failed", Arg: "FILE", Group: what, Doc: "Append dead letters that are refused again to this file; they are done then."},
			Field: func(o *options) any { return &o.failed },
		},
		{
			Spec: option.Spec{
				Name: "reason", Arg: "NAMES", Group: which, Form: option.OrList(reasons()), Words: reasons(),
				Doc: "Only dead letters with these reasons, separated by commas, for instance too_large,invalid. Dead letters with the reason broken hold input that is no record; they need to be named here to be put.",
			},
			Parse: func(o *options, v string) error {
				o.filter.reasons = words(v)
				for _, r := range o.filter.reasons {
					if !slices.Contains(reasons(), r) { // a typo would select nothing
						return errors.New("not one of the allowed words")
					}
				}
				return nil
			},
		},
		{
			Spec: option.Spec{Name: "stream", Arg: "NAMES", Group: which, Doc: "Only dead letters of these streams, separated by commas."},
			Parse: func(o *options, v string) error {
				o.filter.streams = words(v)
				return nil
			},
		},
		{
			Spec: option.Spec{Name: "since", Arg: "WHEN", Group: which, Form: timeForm, Doc: "Only dead letters of this time and later: 2026-11-24T10:00:00Z, or 24h for that long ago."},
			Parse: func(o *options, v string) (err error) {
				o.filter.since, err = parseTime(v, time.Now())
				return err
			},
		},
		{
			Spec: option.Spec{Name: "until", Arg: "WHEN", Group: which, Form: timeForm, Doc: "Only dead letters before this time, in the forms of --since."},
			Parse: func(o *options, v string) (err error) {
				o.filter.until, err = parseTime(v, time.Now())
				return err
			},
		},
	}, []flag{
		{
			Spec: option.Spec{
				Name: "split", Kind: option.Bool, Group: "How to put them",
				Doc: "Put each event of a dead letter whose record holds several as a record of its own, not compressed. Without it such a record is put as it is.",
			},
			Field: func(o *options) any { return &o.split },
		},
	}, producer, aws, []flag{
		{
			Spec:  option.Spec{Name: "completion", Arg: "SHELL", Enum: option.Shells(), Group: other, Doc: "Print a completion script for bash, zsh or fish."},
			Field: func(o *options) any { return &o.completion },
		},
		{
			Spec:  option.Spec{Name: "help", Aliases: []string{"h"}, Kind: option.Bool, Group: other, Doc: "Print this."},
			Field: func(o *options) any { return &o.help },
		},
	})
}

// putsBroken tells whether dead letters whose data is no record are to be put: only if they
// are named. --list counts them in any case, since it tells whether a file is done with.
func (o *options) putsBroken() bool { return o.list || len(o.filter.reasons) > 0 }

// parse checks everything at once.
func parse(args []string) (*options, error) {
	o := &options{}
	var problems []error
	_, o.files, problems = option.ReadArgs(flags(), args, o)
	if (o.help || o.completion != "") && len(problems) == 0 {
		return o, nil
	}
	bad := func(name, what string) {
		problems = append(problems, &option.Problem{Name: name, What: what})
	}
	if o.list && o.dryRun {
		bad("--list", "cannot use --list and --dry-run together")
	}
	if len(o.files) == 0 {
		bad("", "no FILE is given")
	}
	for i, f := range o.files {
		if slices.Contains(o.files[:i], f) {
			bad("FILE", "cannot use "+f+" twice")
		}
		if o.failed != "" && f == o.failed {
			bad("--failed", "cannot use "+f+": it is to be replayed")
		}
	}
	return o, errors.Join(problems...)
}

func checkStream(s string) error {
	if _, _, err := core.ParseStream(s); err != nil {
		return errors.New("not the name of a stream")
	}
	return nil
}

// reasons are those that a dead letter can have.
func reasons() []string {
	known := []string{deadletter.ReasonBroken, "key_missing"} // the latter by kpl-http
	for r := core.ReasonNone + 1; r.String() != "unknown"; r++ {
		known = append(known, r.String())
	}
	return known
}

func words(list string) (out []string) {
	for w := range strings.SplitSeq(list, ",") {
		if w = strings.TrimSpace(w); w != "" {
			out = append(out, w)
		}
	}
	return out
}

func parseTime(value string, now time.Time) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(value); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return t, errors.New("not a time")
	}
	return t, nil
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/core/deadletter"
)

// options is a checked command line.
type options struct {
	files        []string
	list, dryRun bool
	filter       filter
	to           string
	failed       string
	aggregation  bool
	split        bool
	rateLimit    int
	aws          awsclient.Config
}

// filter selects letters. Empty fields select everything.
type filter struct {
	reasons, streams []string
	since, until     time.Time
}

// match tells whether a letter is selected. A letter whose data is no record is
// selected only by the name of its reason.
func (f *filter) match(l *deadletter.Letter) bool {
	if len(f.reasons) > 0 {
		if !slices.Contains(f.reasons, l.Reason) {
			return false
		}
	} else if l.Reason == deadletter.ReasonBroken {
		return false
	}
	return (len(f.streams) == 0 || slices.Contains(f.streams, l.Stream)) &&
		(f.since.IsZero() || !l.Time.Before(f.since)) &&
		(f.until.IsZero() || l.Time.Before(f.until))
}

const usage = `kpl-replay [flags] FILE...

Puts the dead letters of files into Kinesis again, and notes in FILE.done what is
done. FILE may be "-" for standard input, without such notes.

`

// parse checks everything at once. With --help it writes to out.
func parse(args []string, out io.Writer) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("kpl-replay", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.BoolVar(&o.list, "list", false, "count the letters by stream and reason, and do nothing")
	fs.BoolVar(&o.dryRun, "dry-run", false, "say what would be put where, and do nothing")
	reasons := fs.String("reason", "", "only letters with these reasons, separated by commas, for instance too_large,invalid.\nLetters with the reason broken hold input that is no record; they need to be named here")
	streams := fs.String("stream", "", "only letters of these streams, separated by commas")
	since := fs.String("since", "", "only letters of this time and later: 2026-11-24T10:00:00Z, or 24h for that long ago")
	until := fs.String("until", "", "only letters before this time, in the forms of --since")
	fs.StringVar(&o.to, "to", "", "put all letters into this stream (name or ARN). Default: each into its own")
	fs.StringVar(&o.failed, "failed", "", "append letters that are refused again to this `file`; they are done then")
	fs.BoolVar(&o.aggregation, "aggregation", true, "aggregate records as the KPL does")
	fs.BoolVar(&o.split, "split", false, "take letters whose record holds several events apart, and put each event as a record of its own, not compressed.\nWithout it such a record is put as it is")
	fs.IntVar(&o.rateLimit, "rate-limit", 50, "share of each shard's capacity to use, in `percent`")
	fs.StringVar(&o.aws.Region, "region", "", "region. Default: AWS_REGION, AWS_DEFAULT_REGION or the profile's")
	fs.StringVar(&o.aws.Endpoint, "endpoint", "", "endpoint of Kinesis: host, host:port or URL. Default: the region's")
	fs.StringVar(&o.aws.Profile, "profile", "", "profile of the shared configuration files")
	fs.StringVar(&o.aws.RoleARN, "role-arn", "", "role to assume")
	fs.StringVar(&o.aws.ExternalID, "external-id", "", "external id for --role-arn")
	fs.StringVar(&o.aws.STSEndpoint, "sts-endpoint", "", "endpoint of STS, for --role-arn, web identities and profiles with a role")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(out, usage)
			fs.SetOutput(out)
			fs.PrintDefaults()
		}
		return nil, err
	}
	o.files = fs.Args()
	o.aws.Product = "kpl-replay"
	o.filter.reasons, o.filter.streams = words(*reasons), words(*streams)

	now := time.Now()
	var errs []error
	add := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	var err error
	o.filter.since, err = parseTime("since", *since, now)
	add(err)
	o.filter.until, err = parseTime("until", *until, now)
	add(err)
	for _, r := range o.filter.reasons {
		add(checkReason(r))
	}
	if o.to != "" {
		if _, _, err := core.ParseStream(o.to); err != nil {
			add(fmt.Errorf("cannot use --to: %w", err))
		}
	}
	if o.rateLimit < 1 || o.rateLimit > 1000 {
		add(fmt.Errorf("cannot use --rate-limit %d: allowed is 1 to 1000", o.rateLimit))
	}
	if o.list && o.dryRun {
		add(errors.New("cannot use --list and --dry-run together"))
	}
	if len(o.files) == 0 {
		add(errors.New("no FILE is given"))
	}
	for i, f := range o.files {
		if slices.Contains(o.files[:i], f) {
			add(fmt.Errorf("cannot use %s twice", f))
		}
		if o.failed != "" && f == o.failed {
			add(fmt.Errorf("cannot use %s for --failed: it is to be replayed", f))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return o, nil
}

func words(list string) (out []string) {
	for w := range strings.SplitSeq(list, ",") {
		if w = strings.TrimSpace(w); w != "" {
			out = append(out, w)
		}
	}
	return out
}

func parseTime(name, value string, now time.Time) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(value); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return t, fmt.Errorf("cannot use --%s %q: allowed is a time such as 2026-11-24T10:00:00Z or a duration such as 24h", name, value)
	}
	return t, nil
}

// checkReason refuses what no letter has, since a typo would select nothing.
func checkReason(name string) error {
	known := []string{deadletter.ReasonBroken}
	for r := core.ReasonNone + 1; r.String() != "unknown"; r++ {
		known = append(known, r.String())
	}
	if !slices.Contains(known, name) {
		return fmt.Errorf("cannot use --reason %q: allowed are %s", name, strings.Join(known, ", "))
	}
	return nil
}

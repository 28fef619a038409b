// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/smithy-go"

	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/option"
)

func TestFailuresSayWhatToDo(t *testing.T) {
	s := newServer(t, 1)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("blobs", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := kplcat(t, "", "--endpoint", s.URL(), "blobs")
	if r.code != exitError || r.stdout != "" || !strings.Contains(r.stderr, "ResourceNotFoundException") || !strings.Contains(r.stderr, "kplcat: there is a file of that name; to read it, write ./blobs") {
		t.Errorf("unexpected failure; got %+v", r)
	}
	for _, k := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(k, "")
	}
	r = of(t, s)
	if r.code != exitError || !strings.Contains(r.stderr, "\nkplcat: there are no credentials: for an emulator any will do") {
		t.Errorf("unexpected failure without credentials; got %+v", r)
	}
	t.Setenv("AWS_ENDPOINT_URL_KINESIS", s.URL())
	if r = kplcat(t, "", stream); !strings.Contains(r.stderr, "for an emulator any will do") {
		t.Errorf("unexpected failure without credentials, and an endpoint from the environment; got %+v", r)
	}
	t.Setenv("AWS_REGION", "")
	for _, args := range [][]string{{stream}, {"top", stream}} {
		if r = kplcat(t, "", args...); r.code != exitError || !strings.Contains(r.stderr, "\nkplcat: set --region, AWS_REGION or") {
			t.Errorf("%q: unexpected failure without a region; got %+v", args, r)
		}
		if strings.Count(r.stderr, "set") != 2 { // no region is set; set --region
			t.Errorf("%q: unexpected text without a region; got %s; want what to do once", args, r.stderr)
		}
	}
}

// What a call failed with is explained by the table of remedies, in the words of kplcat.
func TestFailuresOfCallsSayWhatToDo(t *testing.T) {
	s := newServer(t, 1)
	s.Fault(kinesistest.Fault{Operation: "ListShards", Times: 1, Effect: kinesistest.Fail("AccessDeniedException", "no")})
	if r := of(t, s); r.code != exitError || !strings.Contains(r.stderr, "\nkplcat: a permission is missing: allow kinesis:ListShards on the stream, ") {
		t.Errorf("unexpected failure without a permission; got %+v", r)
	}
	of := func(err error) error {
		return fmt.Errorf("cannot read: %w", &smithy.OperationError{OperationName: "ListShards", Err: err})
	}
	for want, err := range map[string]error{
		"\nnothing listens at the endpoint: check host and port of --endpoint and HTTPS_PROXY, and whether that service runs": of(syscall.ECONNREFUSED),
		"\nthe credentials have expired and are not renewed: renew them: ":                                                    of(&smithy.GenericAPIError{Code: "ExpiredTokenException"}),
		"\nthere is no such stream in this region and account: correct --region or the name of the stream, ":                  of(&smithy.GenericAPIError{Code: "ResourceNotFoundException"}),
		"kinesis:PutTea": &smithy.OperationError{OperationName: "PutTea", Err: &smithy.GenericAPIError{Code: "AccessDeniedException"}},
	} {
		if got := explain(err, &options{}); !errors.Is(got, err) || !strings.Contains(got.Error(), want) {
			t.Errorf("unexpected text; got %v; want %q", got, want)
		}
	}
	for _, err := range []error{errEnough, of(context.Canceled), of(&smithy.GenericAPIError{Code: "Odd"})} {
		if got := explain(err, &options{}); got != err {
			t.Errorf("unexpected change of an error that says nothing; got %v; want %v", got, err)
		}
	}
}

func TestARNGivesTheRegion(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	s := newServer(t, 1)
	put(t, s, 0, "k", []byte("x"))
	if r := kplcat(t, "", "--endpoint", s.URL(), "--raw", s.ARN(stream)); r.code != exitOK || r.stdout != "x\n" {
		t.Errorf("unexpected result; got %+v", r)
	}
}

func TestEveryUsageErrorNamesFlagValueAndWhatIsAllowed(t *testing.T) {
	for _, tc := range []struct {
		args string
		want []string
	}{
		{"", []string{"no stream is given"}},
		{"a b", []string{`2 arguments are given: ["a" "b"]`}},
		{"./a b", []string{`FILE: "b": not known for a file`}},
		{"a$", []string{`STREAM: "a$": not the name of a stream; allowed: 1 to 128`}},
		{"arn:aws:sqs:x:y:z", []string{`STREAM: "arn:aws:sqs:x:y:z": not the name of a stream; allowed: 1 to 128 of a-z A-Z 0-9 _ . -, or an ARN`}},
		{"--folow s", []string{"--folow: no such flag; did you mean --follow?"}},
		{"--zzzzzzzz s", []string{"--zzzzzzzz: no such flag\n"}},
		{"--frm -15m s", []string{"--frm: no such flag; did you mean --from?\nkplcat --help"}},
		{"-15m s", []string{"-15m: no such flag\n"}},
		{"docter s", []string{`2 arguments are given: ["docter" "s"]; allowed: one stream, or files with a / in their paths; did you mean kplcat doctor?`}},
		{"s --format {{.Foo}}", []string{`--format: "{{.Foo}}": there is no field .Foo; fields: .Shard .Source .Sequence`, " .Data .Field .JSON .Time; allowed: auto"}},
		{"s --format {{.Shrad}}", []string{"there is no field .Shrad, did you mean .Shard? fields: .Shard "}},
		{"s --format {{.Arrival.Foo}}", []string{"there is no field .Foo in a time.Time; allowed: "}},
		{"s --verify-field log", []string{`--verify-field: "log": has no use without --verify`}},
		{"s --limit", []string{"--limit: needs a value; allowed: --limit N"}},
		{"s --follow=maybe", []string{`--follow: "maybe": not a boolean; allowed: true or false`}},
		{"s --from=-1h --from=-2h", []string{`--from: "-2h": given again; allowed: once`}},
		{"s --from tomorrow --until later --limit 0 --poll 1ms --data xml --decompress lzma --stats=xml --interval x --shard / --grep ( --input x", []string{
			`--from: "tomorrow": not a time; allowed: latest, trim-horizon`, `--until: "later": not a time; allowed: now, never`,
			`--limit: "0": out of range; allowed: 1 and more`, `--poll: "1ms": out of range; allowed: 200ms and more`,
			`--data: "xml": not one of the allowed words; allowed: auto, text, json, base64 or none`, `--decompress: "lzma": not one of the allowed words; allowed: none, auto, gzip`,
			`--stats: "xml": not one of the allowed words; allowed: table or json`, `--interval: "x": not a duration such as 250ms, 9s or 2m; allowed: 1s and more`,
			`--shard: "/": not the id of a shard; allowed: a shard's id`, `--grep: "(": error parsing regexp`, `--input: "x": not one of the allowed words; allowed: auto, raw`,
		}},
		{`s --raw --delimiter \x`, []string{`--delimiter: "\\x": not one of the escapes; allowed: any text, with the escapes`}},
		{"s --from 2999-01-01", []string{`--from: "2999-01-01": in the future`}},
		{"s --from=-1h --until=-2h", []string{`--until: "-2h": before --from "-1h"`}},
		{"s --raw --data text", []string{"--raw and --data cannot be combined"}},
		{"s --stats --grep x", []string{"--stats and --grep cannot be combined"}},
		{"s --interval 5s", []string{`--interval: "5s": has no use without --stats`}},
		{"s --delimiter x", []string{`--delimiter: "x": has no use without --raw`}},
		{"s --dedupe-window 5", []string{`--dedupe-window: "5": has no use without --dedupe`}},
		{"s --dedupe --dedupe-window 0", []string{`--dedupe-window: "0": out of range; allowed: 1 to 100000000`}},
		{"s --dedupe --dedupe-window 100000001", []string{`--dedupe-window: "100000001": out of range; allowed: 1 to 100000000`}},
		{"s --json", []string{`--json: "true": has no use without --verify`}},
		{"s --verify f --stats --grep x", []string{"--verify and --stats cannot be combined", "--verify and --grep cannot be combined"}},
		{"--verify - -", []string{`--verify: "-": standard input holds the blobs already; allowed: a file`}},
		{"- --follow", []string{`--follow: is for streams; the argument "-" is a file`}},
		{"--completion csh", []string{`--completion: "csh": not one of the allowed words; allowed: bash, zsh or fish`}},
	} {
		t.Run(tc.args, func(t *testing.T) {
			r := kplcat(t, "", strings.Fields(tc.args)...)
			if r.code != exitUsage || r.stdout != "" || !strings.HasSuffix(r.stderr, "kplcat --help says more.\n") {
				t.Errorf("unexpected result; got %+v; want exit code 2 and the errors", r)
			}
			for _, internal := range []string{"lineData", "executing", "--15m"} {
				if strings.Contains(r.stderr, internal) {
					t.Errorf("unexpected word %s in\n%s", internal, r.stderr)
				}
			}
			for _, w := range tc.want {
				if !strings.Contains(r.stderr, w) {
					t.Errorf("unexpected errors; got\n%s; want one with %s", r.stderr, w)
				}
			}
		})
	}
}

func TestHelpVersionAndCompletions(t *testing.T) {
	help := kplcat(t, "", "--help").ok(t).stdout
	if h := kplcat(t, "", "-h").ok(t).stdout; h != help {
		t.Errorf("unexpected text of -h; got %q; want that of --help", h)
	}
	for _, l := range strings.Split(help, "\n") {
		if len(l) > 86 {
			t.Errorf("unexpected length of help line %q; got %d; want 86 at most", l, len(l))
		}
	}
	texts := map[string]string{"help": help}
	for _, sh := range option.Shells() {
		texts[sh] = kplcat(t, "", "--completion", sh).ok(t).stdout
	}
	for _, f := range readFlags {
		for name, text := range texts {
			want := "--" + f.Name
			if name == "fish" {
				want = "-l " + f.Name + " "
			}
			if !strings.Contains(text, want) {
				t.Errorf("unexpected %s; it has no %s", name, want)
			}
		}
	}
	if v := kplcat(t, "", "--version").ok(t).stdout; !strings.HasPrefix(v, "kplcat ") || !strings.Contains(v, "go1.") {
		t.Errorf("unexpected version; got %q", v)
	}
}

func TestTimesAreRead(t *testing.T) {
	zone := time.FixedZone("x", 3600)
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, zone)
	for s, want := range map[string]time.Time{
		"2026-11-24T10:00:00Z":          time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC),
		"2026-11-24T10:00:00.5+02:00":   time.Date(2026, 11, 24, 8, 0, 0, 5e8, time.UTC),
		"2026-11-24":                    time.Date(2026, 11, 24, 0, 0, 0, 0, zone),
		"2026-11-24 10:11":              time.Date(2026, 11, 24, 10, 11, 0, 0, zone),
		"2026-11-24T10:11:12":           time.Date(2026, 11, 24, 10, 11, 12, 0, zone),
		"-15m":                          now.Add(-15 * time.Minute),
		"-1h30m":                        now.Add(-90 * time.Minute),
		"-7d":                           now.AddDate(0, 0, -7),
		"-1.5d":                         {},
		"--5m":                          {},
		"15m":                           {},
		"-":                             {},
		"":                              {},
		"2026-13-01":                    {},
		"-9999999999999d":               {},
		"2026-11-24T10:00:00Z trailing": {},
	} {
		got, err := parseTime(s, now)
		if !got.Equal(want) || (err != nil) != want.IsZero() {
			t.Errorf("unexpected time of %q; got %v, %v; want %v", s, got, err, want)
		}
	}
}

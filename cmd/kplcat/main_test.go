// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"go.uber.org/goleak"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/core/kinesistest"
)

func TestMain(m *testing.M) {
	// Nothing of the machine may take part.
	for k, v := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		if err := os.Setenv(k, v); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

const stream = "logs"

// newServer starts a fake with a stream.
func newServer(t *testing.T, shards int) *kinesistest.Server {
	t.Helper()
	s := kinesistest.New(kinesistest.WithStream(stream, shards))
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// result is what a run printed.
type result struct {
	code           int
	stdout, stderr string
}

func kplcat(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return result{code, out.String(), errs.String()}
}

// of runs kplcat on the fake.
func of(t *testing.T, s *kinesistest.Server, args ...string) result {
	t.Helper()
	return kplcat(t, "", append([]string{"--endpoint", s.URL(), stream}, args...)...)
}

// line is a line of output.
type line struct {
	Shard, Source, Sequence string
	Subsequence             *int
	Arrival                 time.Time
	Key                     string
	KeyBase64               []byte `json:"key_base64"`
	ExplicitHashKey         string `json:"explicit_hash_key"`
	Aggregated              bool
	Misplaced               bool
	OutOfRange              bool   `json:"out_of_range"`
	KCLError                string `json:"kcl_error"`
	DamagedAggregate        bool   `json:"damaged_aggregate"`
	Tags                    []struct{ Key, Value string }
	Compression             string
	Data                    json.RawMessage
	DataBase64              []byte `json:"data_base64"`
	Bytes                   *int
}

func (r result) lines(t *testing.T) []line {
	t.Helper()
	var out []line
	for s := range strings.Lines(r.stdout) {
		var l line
		d := json.NewDecoder(strings.NewReader(s))
		d.DisallowUnknownFields()
		if err := d.Decode(&l); err != nil {
			t.Fatalf("cannot read line %q: %s", s, err)
		}
		out = append(out, l)
	}
	return out
}

func (r result) ok(t *testing.T) result {
	t.Helper()
	if r.code != exitOK {
		t.Fatalf("unexpected exit code %d; want 0; stderr: %s", r.code, r.stderr)
	}
	return r
}

// put stores a Kinesis record in a shard.
func put(t *testing.T, s *kinesistest.Server, shard int, key string, data []byte) {
	t.Helper()
	_, err := s.Client().PutRecord(t.Context(), &kinesis.PutRecordInput{
		StreamName: aws.String(stream), PartitionKey: &key, Data: data,
		ExplicitHashKey: aws.String(s.Shards(stream)[shard].StartingHashKey),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ur is a user record to aggregate.
type ur struct{ key, ehk, data string }

func aggregate(t *testing.T, urs ...ur) []byte {
	t.Helper()
	var b aggregation.Builder
	for _, u := range urs {
		if u.ehk == "" {
			b.Add(u.key, []byte(u.data))
			continue
		}
		k, err := aggregation.ParseHashKey(u.ehk)
		if err != nil {
			t.Fatal(err)
		}
		b.AddExplicit(u.key, k, []byte(u.data))
	}
	return b.AppendTo(nil)
}

func TestRecordsAreShownWithAllThatIsKnown(t *testing.T) {
	s := newServer(t, 2)
	last := s.Shards(stream)[0].EndingHashKey
	put(t, s, 0, "a", aggregate(t, ur{"one", "0", "text"}, ur{"two", last, `{"n": 1}`}, ur{"three", aggregation.MaxHashKey.String(), "gone"}))
	put(t, s, 1, "a", aggregate(t, ur{"four", s.Shards(stream)[1].StartingHashKey, "4"}))
	put(t, s, 1, "plain \u00e9 <&>", []byte("\x00\xff"))
	r := of(t, s).ok(t)
	got := r.lines(t)
	if len(got) != 5 {
		t.Fatalf("unexpected lines; got %s; want 5", r.stdout)
	}
	byKey := map[string]line{}
	for _, l := range got {
		if l.Sequence == "" || time.Since(l.Arrival) > time.Minute || l.Arrival.Location() != time.UTC {
			t.Errorf("unexpected sequence and arrival; got %+v; want both", l)
		}
		byKey[l.Key] = l
	}
	one, two, three, plain := byKey["one"], byKey["two"], byKey["three"], byKey["plain \u00e9 <&>"]
	if one.Shard != "shardId-000000000000" || !one.Aggregated || *one.Subsequence != 0 || one.ExplicitHashKey != "0" || string(one.Data) != `"text"` || !one.Misplaced || one.OutOfRange {
		t.Errorf("unexpected first record; got %+v; want it misplaced with its aggregate", one)
	}
	if *two.Subsequence != 1 || !two.Misplaced || two.OutOfRange || string(two.Data) != `{"n":1}` {
		t.Errorf("unexpected record at the end of the range; got %+v", two)
	}
	if !three.Misplaced || !three.OutOfRange || *three.Subsequence != 2 {
		t.Errorf("unexpected record out of the range; got %+v; want it misplaced and out of range", three)
	}
	if four := byKey["four"]; !four.Aggregated || four.Misplaced || four.OutOfRange {
		t.Errorf("unexpected record of an aggregate in its shard; got %+v; want it not misplaced", four)
	}
	if plain.Shard != "shardId-000000000001" || plain.Aggregated || plain.Misplaced || plain.OutOfRange || plain.Subsequence != nil || plain.Data != nil || string(plain.DataBase64) != "\x00\xff" {
		t.Errorf("unexpected plain record; got %+v", plain)
	}
	if want := "kplcat: 5 user records in 3 Kinesis records of 2 shards, 2 aggregates; KCL consumers drop 1 aggregate with 3 user records, 1 of them out of range\n"; r.stderr != want {
		t.Errorf("unexpected summary; got %q; want %q", r.stderr, want)
	}
	if !strings.Contains(r.stdout, `"key":"plain `+"\u00e9"+` <&>"`) {
		t.Errorf("unexpected escapes; got %s", r.stdout)
	}
	if r := of(t, s, "--kcl", "--quiet").ok(t); len(r.lines(t)) != 2 || strings.Contains(r.stdout, `"one"`) || r.stderr != "" {
		t.Errorf("unexpected output with --kcl --quiet; got %+v; want what KCL consumers get", r)
	}
}

func TestWhatIsShownIsWhatAConsumerOfTheKCLGets(t *testing.T) {
	s := newServer(t, 3)
	for i := range 60 {
		put(t, s, i%3, "a", aggregate(t, ur{fmt.Sprint("k", i), "", fmt.Sprint(i)}, ur{fmt.Sprint("l", i), "", fmt.Sprint(-i)}))
		if i == 20 {
			if err := s.SplitEven(stream, "shardId-000000000001"); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := s.Consume(stream)
	if want.OutOfRange == 0 || len(want.Dropped) == want.OutOfRange || len(want.Records) == 0 {
		t.Fatalf("the test has no misplaced records with neighbours in range, or nothing else: %d, %d, %d", len(want.Dropped), want.OutOfRange, len(want.Records))
	}
	got := map[string]int{}
	for _, l := range of(t, s, "--kcl").ok(t).lines(t) {
		got[fmt.Sprint(l.Shard, l.Sequence, *l.Subsequence, l.Key, string(l.Data))]++
	}
	for _, w := range want.Records {
		if k := fmt.Sprintf("%s%s%d%s%q", w.ShardID, w.SequenceNumber, w.SubSequenceNumber, w.PartitionKey, w.Data); got[k] != 1 {
			t.Errorf("unexpected count of %s; got %d; want 1", k, got[k])
		}
	}
	if len(got) != len(want.Records) {
		t.Errorf("unexpected records; got %d; want %d", len(got), len(want.Records))
	}
}

// badHashKey is an aggregate whose second user record has an explicit hash key that is
// no number; badIndex one whose key is past its table, which cannot be taken apart.
var (
	badHashKey = frame([]byte("\x0a\x01a\x12\x01x\x1a\x05\x08\x00\x1a\x01y\x1a\x07\x08\x00\x10\x00\x1a\x01z"))
	badIndex   = frame([]byte("\x0a\x01a\x1a\x05\x08\x01\x1a\x01y"))
)

func TestAggregatesThatTheKCLFailsOnAreMarked(t *testing.T) {
	s := newServer(t, 1)
	put(t, s, 0, "k", badHashKey)
	put(t, s, 0, "k", badIndex)
	put(t, s, 0, "k", []byte("plain"))
	for _, from := range []string{"a stream", "a file"} {
		r := of(t, s).ok(t)
		if from == "a file" {
			r = kplcat(t, fmt.Sprintf("%x\n%x\n%x\n", badHashKey, badIndex, "plain"), "-").ok(t)
		}
		var got []string
		for _, l := range r.lines(t) {
			got = append(got, fmt.Sprintf("%t %t %t %s", l.Aggregated, l.Misplaced, l.DamagedAggregate, l.KCLError))
		}
		want := []string{
			"true false false user record 1: its explicit hash key is not a number",
			"true false false user record 1: its explicit hash key is not a number",
			"false false true user record 0: partition key index 1 is past its table of 1",
			"false false false ",
		}
		if !slices.Equal(got, want) || !strings.HasSuffix(r.stderr, "; KCL consumers fail on 2 aggregates; 1 aggregate damaged\n") {
			t.Errorf("unexpected marks in %s; got %q and %s; want %q", from, got, r.stderr, want)
		}
	}
	if r := of(t, s, "--kcl", "--raw").ok(t); r.stdout != "plain\n" {
		t.Errorf("unexpected output with --kcl; got %q; want only what the KCL reads", r.stdout)
	}
	var got struct{ Total counts }
	if err := json.Unmarshal([]byte(of(t, s, "--stats=json").ok(t).stdout), &got); err != nil || got.Total.KCLErrors != 2 || got.Total.DamagedAggregates != 1 || got.Total.Misplaced != 0 {
		t.Errorf("unexpected totals; got %+v, %v; want 2 errors of the KCL", got.Total, err)
	}
}

func TestFiltersAndLimit(t *testing.T) {
	s := newServer(t, 1)
	put(t, s, 0, "a", aggregate(t, ur{"x", "", "one ERROR"}, ur{"y", "", "two error"}, ur{"x", "", "three"}))
	put(t, s, 0, "z", []byte("four ERROR"))
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--raw"}, "one ERROR\ntwo error\nthree\nfour ERROR\n"},
		{[]string{"--raw", "--delimiter", `\0`}, "one ERROR\x00two error\x00three\x00four ERROR\x00"},
		{[]string{"--raw", "--delimiter="}, "one ERRORtwo errorthreefour ERROR"},
		{[]string{"--raw", "--key", "x"}, "one ERROR\nthree\n"},
		{[]string{"--raw", "--key", "y", "-key=z"}, "two error\nfour ERROR\n"},
		{[]string{"--raw", "--grep", "ERROR$"}, "one ERROR\nfour ERROR\n"},
		{[]string{"--raw", "--grep", "(?i)error"}, "one ERROR\ntwo error\nfour ERROR\n"},
		{[]string{"--raw", "--grep", "ERROR", "--key", "z"}, "four ERROR\n"},
		{[]string{"--raw", "--limit", "3"}, "one ERROR\ntwo error\nthree\n"},
		{[]string{"--raw", "--limit", "2", "--key", "x", "--follow", "--from", "trim-horizon"}, "one ERROR\nthree\n"},
		{[]string{"--raw", "--shard", "0", "--limit", "1"}, "one ERROR\n"},
		{[]string{"--raw", "--from", "-1h"}, "one ERROR\ntwo error\nthree\nfour ERROR\n"},
		{[]string{"--raw", "--until", "-1h"}, ""},
		{[]string{"--raw", "--from", "latest", "--until", "now"}, ""},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			if r := of(t, s, tc.args...).ok(t); r.stdout != tc.want {
				t.Errorf("unexpected output; got %q; want %q", r.stdout, tc.want)
			}
		})
	}
}

// tap is a writer whose lines can be waited for.
type tap struct {
	mu    sync.Mutex // guards all
	buf   bytes.Buffer
	lines chan string
}

func newTap() *tap { return &tap{lines: make(chan string, 1000)} }

func (w *tap) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(p)
	for {
		l, err := w.buf.ReadString('\n')
		if err != nil {
			w.buf.WriteString(l)
			return len(p), nil
		}
		w.lines <- l
	}
}

// next returns lines until n have come.
func (w *tap) next(t *testing.T, n int) (out []string) {
	t.Helper()
	for range n {
		select {
		case l := <-w.lines:
			out = append(out, l)
		case <-time.After(20 * time.Second):
			t.Fatalf("no more lines after %q; want %d", out, n)
		}
	}
	return out
}

func TestFollowGoesThroughSplitAndMergeAndEndsWhenInterrupted(t *testing.T) {
	s := newServer(t, 2)
	ctx, interrupt := context.WithCancel(t.Context())
	out, errs := newTap(), new(bytes.Buffer)
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"--endpoint", s.URL(), "--follow", "--from", "trim-horizon", "--poll", "200ms", stream}, nil, out, errs)
	}()
	put(t, s, 0, "before", []byte("before"))
	out.next(t, 1)
	s.Fault(kinesistest.Fault{Operation: "GetRecords", Times: 2, Effect: kinesistest.Fail("ExpiredIteratorException", "Iterator expired.")})
	s.Fault(kinesistest.Fault{Operation: "GetRecords", Times: 2, Effect: kinesistest.Fail("ProvisionedThroughputExceededException", "Rate exceeded.")})
	if err := s.SplitEven(stream, "shardId-000000000000"); err != nil {
		t.Fatal(err)
	}
	put(t, s, 3, "split", []byte("split"))
	out.next(t, 1)
	if err := s.Merge(stream, "shardId-000000000003", "shardId-000000000001"); err != nil {
		t.Fatal(err)
	}
	put(t, s, 4, "merged", []byte("merged"))
	if l := out.next(t, 1); !strings.Contains(l[0], `"shard":"shardId-000000000004"`) || !strings.Contains(l[0], `"data":"merged"`) {
		t.Errorf("unexpected line; got %s", l[0])
	}
	interrupt()
	if c := <-code; c != exitOK {
		t.Errorf("unexpected exit code %d; want 0; stderr: %s", c, errs)
	}
	if !strings.HasSuffix(errs.String(), "kplcat: 3 user records in 3 Kinesis records of 3 shards, 0 aggregates\n") {
		t.Errorf("unexpected summary; got %q", errs)
	}
}

// gone is an output that nobody reads.
type gone struct{}

func (gone) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}
}

func TestBrokenPipeEndsQuietly(t *testing.T) {
	s := newServer(t, 1)
	put(t, s, 0, "k", []byte("x"))
	for _, args := range [][]string{{}, {"--follow", "--from", "trim-horizon"}, {"--stats"}, {"--help"}} {
		var errs bytes.Buffer
		if code := run(t.Context(), append(args, "--endpoint", s.URL(), stream), nil, gone{}, &errs); code != exitOK || errs.Len() > 0 {
			t.Errorf("unexpected end of %v; got code %d and %q; want 0 and nothing", args, code, errs.String())
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestFullDiskIsAnError(t *testing.T) {
	s := newServer(t, 1)
	put(t, s, 0, "k", []byte("x"))
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"--endpoint", s.URL(), stream}, nil, full{}, &errs); code != exitError || !strings.Contains(errs.String(), "no space") {
		t.Errorf("unexpected end; got code %d and %q; want 1 and the error", code, errs.String())
	}
}

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
	if r.code != exitError || !strings.Contains(r.stderr, "for an emulator any will do") {
		t.Errorf("unexpected failure without credentials; got %+v", r)
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

func TestStats(t *testing.T) {
	s := newServer(t, 2)
	put(t, s, 0, "a", aggregate(t, ur{"x", "0", "1234"}, ur{"y", "1", "12345"}, ur{"x", aggregation.MaxHashKey.String(), ""}))
	put(t, s, 0, "z", bytes.Repeat([]byte("z"), 30<<10))
	broken := aggregate(t, ur{"x", "0", "1234"}) // not an aggregate for any consumer, and so not misplaced
	broken[len(broken)-1] ^= 1
	put(t, s, 1, "z", broken)
	r := of(t, s, "--stats=json").ok(t)
	var got struct {
		Stream string
		Shards []counts
		Total  counts
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatalf("cannot read %q: %s", r.stdout, err)
	}
	total := got.Total
	if got.Stream != stream || len(got.Shards) != 2 || total.KinesisRecords != 3 || total.UserRecords != 5 || total.Aggregates != 1 ||
		total.UserRecordsPerAggregate != 3 || total.PutPayloadUnits != 4 || total.SinglePutPayloadUnits != 6 || total.MisplacedAggregates != 1 || total.Misplaced != 3 || total.OutOfRange != 1 || total.KCLErrors != 0 ||
		total.DamagedAggregates != 1 || total.Keys != 3 || total.First == nil || total.Last == nil || total.PayloadBytes != int64(9+30<<10+len(broken)) {
		t.Errorf("unexpected totals; got %+v", total)
	}
	if sh := got.Shards[0]; sh.Shard != "shardId-000000000000" || sh.KinesisRecords != 2 || sh.UserRecords != 4 || sh.Keys != 3 || sh.SavedRatio != 0.4 {
		t.Errorf("unexpected counts of the first shard; got %+v", sh)
	}
	table := of(t, s, "--stats").ok(t)
	rows := strings.Split(strings.TrimSpace(table.stdout), "\n")
	if len(rows) != 4 || !strings.HasPrefix(rows[0], "shard ") || !strings.HasPrefix(rows[3], "total ") {
		t.Fatalf("unexpected table; got\n%s", table.stdout)
	}
	if f := strings.Fields(rows[1]); len(f) != 17 || strings.Join(f[:4], " ") != "shardId-000000000000 2 4 1" || strings.Join(f[8:14], " ") != "40.0% 1 3 1 0 0" || len(rows[1]) != len(rows[0]) {
		t.Errorf("unexpected row; got %q", rows[1])
	}
}

func TestStatsAreRepeatedAtTheInterval(t *testing.T) {
	s := newServer(t, 1)
	put(t, s, 0, "k", []byte("x"))
	ctx, interrupt := context.WithCancel(t.Context())
	out := newTap()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"--endpoint", s.URL(), "--stats=json", "--interval", "1s", "--until=never", stream}, nil, out, io.Discard)
	}()
	out.next(t, 2)
	interrupt()
	if c := <-code; c != exitOK {
		t.Errorf("unexpected exit code %d; want 0", c)
	}
	out.next(t, 1)
}

func TestCountOfKeysIsBounded(t *testing.T) {
	s := newStatistics()
	s.seen = maxKeys - 3
	c := s.record(record{data: []byte("x")}, 2, mark{aggregated: true})
	s.user(c, &aggregation.UserRecord{PartitionKey: "a"}, mark{}, nil, 0)
	s.user(c, &aggregation.UserRecord{PartitionKey: "b"}, mark{}, nil, 0)
	s.user(c, &aggregation.UserRecord{PartitionKey: "c"}, mark{}, nil, 0)
	s.user(c, &aggregation.UserRecord{PartitionKey: "a"}, mark{}, nil, 0)
	if got := c.close(); got.Keys != 2 || !got.KeysBounded || s.seen != maxKeys || !strings.Contains(strings.Join(got.cells(), " "), " 2+ ") {
		t.Errorf("unexpected count; got %+v; want 2 and that it is bounded", got)
	}
}

func TestEveryUsageErrorNamesFlagValueAndWhatIsAllowed(t *testing.T) {
	for _, tc := range []struct {
		args string
		want []string
	}{
		{"", []string{"no stream is given"}},
		{"a b", []string{`2 arguments are given: ["a" "b"]`}},
		{"./a b", []string{`argument "b" is not known for a file`}},
		{"a$", []string{`argument "a$" is not the name of a stream; allowed: 1 to 128`}},
		{"arn:aws:sqs:x:y:z", []string{`"arn:aws:sqs:x:y:z" is not the ARN of a stream`}},
		{"--folow s", []string{"flag --folow does not exist; did you mean --follow?"}},
		{"--zzzzzzzz s", []string{"flag --zzzzzzzz does not exist\n"}},
		{"s --limit", []string{"flag --limit needs a value: --limit N"}},
		{"s --follow=maybe", []string{`flag --follow: "maybe" is not valid; allowed: true, false`}},
		{"s --from=-1h --from=-2h", []string{"flag --from is given 2 times; allowed: once"}},
		{"s --from tomorrow --until later --limit 0 --poll 1ms --data xml --decompress lzma --stats=xml --interval x --shard / --grep ( --input x", []string{
			`--from: "tomorrow" is not valid; allowed: latest, trim-horizon`, `--until: "later" is not valid; allowed: now, never`,
			`--limit: "0" is not valid; allowed: a whole number from 1`, `--poll: "1ms" is not valid; allowed: a duration from 200ms`,
			`--data: "xml" is not valid; allowed: auto, text, json, base64, none`, `--decompress: "lzma" is not valid; allowed: none, auto, gzip`,
			`--stats: "xml" is not valid; allowed: table, json`, `--interval: "x" is not valid; allowed: a duration from 1s`,
			`--shard: "/" is not valid; allowed: a shard's id`, `--grep: "(" is not valid`, `--input: "x" is not valid; allowed: auto, raw`,
		}},
		{`s --raw --delimiter \x`, []string{`flag --delimiter: "\\x" is not valid; allowed: any text, with the escapes`}},
		{"s --from 2999-01-01", []string{`--from: "2999-01-01" is in the future`}},
		{"s --from=-1h --until=-2h", []string{`flag --until: "-2h" is before --from "-1h"`}},
		{"s --raw --data text", []string{"--raw and --data cannot be combined"}},
		{"s --stats --grep x", []string{"--stats and --grep cannot be combined"}},
		{"s --interval 5s", []string{"--interval 5s has no use without --stats"}},
		{"s --delimiter x", []string{`--delimiter "x" has no use without --raw`}},
		{"- --follow", []string{`flag --follow is for streams; the argument "-" is a file`}},
		{"--completion csh", []string{`--completion: "csh" is not valid; allowed: bash, zsh, fish`}},
	} {
		t.Run(tc.args, func(t *testing.T) {
			r := kplcat(t, "", strings.Fields(tc.args)...)
			if r.code != exitUsage || r.stdout != "" || !strings.HasSuffix(r.stderr, "kplcat --help says more.\n") {
				t.Errorf("unexpected result; got %+v; want exit code 2 and the errors", r)
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
	for _, sh := range shells {
		texts[sh] = kplcat(t, "", "--completion", sh).ok(t).stdout
	}
	for _, f := range readFlags {
		for name, text := range texts {
			want := "--" + f.name
			if name == "fish" {
				want = "-l " + f.name + " "
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

// write makes a file in a directory of its own and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// stuck is standard input that nobody writes to.
type stuck struct{ end chan struct{} }

func (s stuck) Read([]byte) (int, error) {
	<-s.end
	return 0, io.EOF
}

func TestInterruptDoesNotWaitForStandardInput(t *testing.T) {
	in := stuck{make(chan struct{})}
	defer close(in.end)
	ctx, interrupt := context.WithCancelCause(t.Context())
	interrupt(errors.New("interrupt"))
	var out, errs bytes.Buffer
	if code := run(ctx, []string{"-"}, in, &out, &errs); code != exitOK {
		t.Errorf("unexpected exit code %d; want 0; stderr: %s", code, errs.String())
	}
}

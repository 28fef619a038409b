// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outkpl/outkpl/aggregation"
)

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
// no number; badIndex one whose key is past its table, which cannot be disaggregated.
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

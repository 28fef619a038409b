// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// writeTwice has a producer with read-back lose answers: reads are denied, so that it sends
// the records of those calls again.
func writeTwice(t *testing.T, s *kinesistest.Server, records, lost int) {
	t.Helper()
	denied := s.Fault(kinesistest.Fault{Operation: "GetRecords", Effect: kinesistest.Fail("AccessDeniedException", "not authorized")})
	defer denied.Remove()
	if lost > 0 {
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: lost, Effect: kinesistest.LoseReply()})
	}
	p, err := core.New(s.Client(), core.WithDefaultStream(stream), core.WithVerifyUncertain(true), core.WithAggregationMaxCount(10), core.WithRetryBackoff(time.Millisecond, time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	batch := make([]core.Record, records)
	for i := range batch {
		batch[i] = core.Record{PartitionKey: fmt.Sprint("key-", i), Data: fmt.Appendf(nil, `{"n":%d}`, i)}
	}
	b, err := p.PutBatch(t.Context(), stream, batch)
	if err == nil {
		err = b.Wait(t.Context())
	}
	if err == nil {
		err = p.Close(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestDedupeLeavesOutWhatAProducerHasSentAgain(t *testing.T) {
	s := newServer(t, 2)
	writeTwice(t, s, 500, 2)
	all := of(t, s).ok(t).lines(t)
	extra := len(all) - 500
	if extra <= 0 {
		t.Fatalf("unexpected records; got %d; want more than 500, or the test shows nothing", len(all))
	}
	r := of(t, s, "--dedupe").ok(t)
	t.Log(r.stderr)
	got := map[string]int{}
	for _, l := range r.lines(t) {
		got[string(l.Data)]++
	}
	if len(got) != 500 || strings.Count(r.stdout, "\n") != 500 {
		t.Errorf("unexpected output; got %d lines, %d different; want 500 of each", strings.Count(r.stdout, "\n"), len(got))
	}
	if !strings.Contains(r.stderr, fmt.Sprintf(" with %d user records left out, which came before", extra)) {
		t.Errorf("unexpected summary; got %s; want the %d user records left out", r.stderr, extra)
	}

	var stats struct {
		Shards []counts
		Total  counts
	}
	if err := json.Unmarshal([]byte(of(t, s, "--dedupe", "--stats=json").ok(t).stdout), &stats); err != nil {
		t.Fatal(err)
	}
	c := stats.Total
	if c.UserRecords != 500 || c.LeftOutUserRecords != int64(extra) || c.LeftOutRecords == 0 || stats.Shards[0].LeftOutRecords+stats.Shards[1].LeftOutRecords != c.LeftOutRecords {
		t.Errorf("unexpected counts; got %+v", c)
	}
	rows := strings.Split(strings.TrimSpace(of(t, s, "--dedupe", "--stats", "--events").ok(t).stdout), "\n")
	if f := strings.Fields(rows[len(rows)-1]); len(f) != 23 || f[17] != fmt.Sprint(c.LeftOutRecords) || f[18] != fmt.Sprint(extra) || f[19] != "500" {
		t.Errorf("unexpected table; got %q", rows)
	}
	if strings.Contains(of(t, s, "--stats=json").ok(t).stdout, "left_out") {
		t.Error("unexpected counts of what is left out without --dedupe")
	}
}

func TestDedupeKeepsWhatMayHaveBeenWrittenTwiceOnPurpose(t *testing.T) {
	const own = "0123456789abcdEF"
	aggregated := aggregate(t, ur{"x", "", "1"}, ur{"y", "", "2"})
	for name, c := range map[string]struct {
		first, second string
		data, again   []byte
		want          int
	}{
		"the same":                         {own, own, aggregated, aggregated, 2},
		"another content":                  {own, own, aggregated, aggregate(t, ur{"x", "", "1"}, ur{"y", "", "3"}), 4},
		"another key":                      {own, "1123456789abcdEF", aggregated, aggregated, 4},
		"the key of the KPL":               {"a", "a", aggregated, aggregated, 4},
		"a key with other characters":      {"0123456789abcd-F", "0123456789abcd-F", aggregated, aggregated, 4},
		"a shorter key":                    {own[1:], own[1:], aggregated, aggregated, 4},
		"not an aggregate":                 {own, own, []byte("plain"), []byte("plain"), 2},
		"the key of a user record":         {own, own, aggregate(t, ur{own, "", "1"}), aggregate(t, ur{own, "", "1"}), 2},
		"a damaged aggregate":              {own, own, aggregated[:len(aggregated)-1], aggregated[:len(aggregated)-1], 2},
		"an aggregate that the KCL drops":  {own, own, badHashKey, badHashKey, 4},
		"an aggregate with a large sample": {own, own, aggregate(t, ur{"x", "", strings.Repeat("z", 900_000)}), aggregate(t, ur{"x", "", strings.Repeat("z", 900_000)}), 1},
	} {
		s := newServer(t, 1)
		put(t, s, 0, c.first, c.data)
		put(t, s, 0, c.second, c.again)
		if n := len(of(t, s, "--dedupe", "--data=none").ok(t).lines(t)); n != c.want {
			t.Errorf("unexpected records of %s; got %d; want %d", name, n, c.want)
		}
	}
}

// A first copy in a shard that does not contain all of its records is nothing to a KCL
// consumer, so that the second must not be missing.
func TestDedupeCountsNoCopyThatTheKCLDrops(t *testing.T) {
	s := newServer(t, 2)
	data := aggregate(t, ur{"x", s.Shards(stream)[1].StartingHashKey, "1"})
	for shard := range 2 {
		put(t, s, shard, "0123456789abcdef", data)
	}
	put(t, s, 0, "0123456789abcdef", data)
	// Which shard comes first is open.
	for range 5 {
		if l := of(t, s, "--dedupe", "--kcl").ok(t).lines(t); len(l) != 1 || l[0].Shard != "shardId-000000000001" {
			t.Fatalf("unexpected records; got %+v; want that of the shard whose range has it", l)
		}
	}
	if l := of(t, s, "--dedupe", "--shard", "0").ok(t).lines(t); len(l) != 2 {
		t.Errorf("unexpected records of the first shard; got %d; want 2, since neither stands for the other", len(l))
	}
}

func TestDedupeReadsKeysOfFiles(t *testing.T) {
	page, err := json.Marshal(map[string]any{"Records": []any{
		map[string]any{"PartitionKey": "0123456789abcdef", "Data": aggregate(t, ur{"x", "", "1"})},
		map[string]any{"PartitionKey": "0123456789abcdef", "Data": aggregate(t, ur{"x", "", "1"})},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if r := kplcat(t, string(page), "--dedupe", "--raw", "-").ok(t); r.stdout != "1\n" {
		t.Errorf("unexpected payloads; got %q; want one", r.stdout)
	}
	line := fmt.Sprintf("%x\n", aggregate(t, ur{"x", "", "1"}))
	if r := kplcat(t, line+line, "--dedupe", "--raw", "-").ok(t); r.stdout != "1\n1\n" {
		t.Errorf("unexpected payloads of blobs without keys; got %q; want both", r.stdout)
	}
}

func TestDedupeRemembersTheLastRecordsInBoundedMemory(t *testing.T) {
	s := newServer(t, 1)
	key := func(i int) string { return fmt.Sprintf("key%013d", i) }
	for _, i := range []int{0, 1, 2, 0, 1, 3, 0} {
		put(t, s, 0, key(i), aggregate(t, ur{"x", "", fmt.Sprint(i)}))
	}
	for window, want := range map[string]string{"1": "0120130", "2": "0120130", "3": "01230", "4": "0123"} {
		got := strings.ReplaceAll(of(t, s, "--dedupe", "--dedupe-window", window, "--raw").ok(t).stdout, "\n", "")
		if got != want {
			t.Errorf("unexpected records with a window of %s; got %s; want %s", window, got, want)
		}
	}

	const most = 200_000
	var before, after runtime.MemStats
	c := newCopies(most)
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 3 * most {
		c.has(&record{key: key(i)}, true)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := float64(after.HeapAlloc-before.HeapAlloc) / most; each > 100 || len(c.known) != most {
		t.Errorf("unexpected memory; got %.0f bytes a record and %d records; want at most 100 and %d", each, len(c.known), most)
	} else {
		t.Logf("%.0f bytes a record", each)
	}
	runtime.KeepAlive(c)
}

func TestDedupeKeysAreThoseOfTheProducer(t *testing.T) {
	s := newServer(t, 1)
	writeTwice(t, s, 500, 0)
	found := 0
	for _, r := range s.Records(stream) {
		users, aggregated := aggregation.Deaggregate(r.PartitionKey, "", r.Data)
		if aggregated && canTell(&record{key: r.PartitionKey}, users, true) {
			found++
		} else if aggregated {
			t.Errorf("unexpected key %q; want it to be one by which a copy is told", r.PartitionKey)
		}
	}
	if found == 0 {
		t.Error("the test has seen no aggregate")
	}
}

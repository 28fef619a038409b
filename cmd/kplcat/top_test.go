// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/cmd/kplcat/internal/reader"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// page is one of a shard.
func page(shard int, at time.Time, records ...types.Record) reader.Batch {
	for i := range records {
		records[i].ApproximateArrivalTimestamp = aws.Time(at)
	}
	return reader.Batch{Shard: reader.Shard{ID: fmt.Sprintf("shardId-%012d", shard)}, Records: records}
}

func kinesisRecord(key string, data []byte) types.Record {
	return types.Record{PartitionKey: &key, Data: data}
}

func newTopView(t *testing.T, keys int) (*topView, *traffic) {
	t.Helper()
	st := newTraffic("logs")
	began := time.Date(2026, 11, 28, 23, 47, 20, 0, time.UTC)
	return &topView{began: began, top: &topOptions{keys: keys}, streams: []*traffic{st}}, st
}

func feed(t *testing.T, st *traffic, batches ...reader.Batch) {
	t.Helper()
	for _, b := range batches {
		if err := st.add(b); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTopShowsRatesOfStreamsShardsAndKeys(t *testing.T) {
	b, st := newTopView(t, 2)
	agg := aggregate(t, ur{"hot", "", strings.Repeat("x", 5000)}, ur{"cold\x1b", "", "y"}, ur{"third", "", ""})
	var many []types.Record
	for range 4000 {
		many = append(many, kinesisRecord("k", []byte("abc")))
	}
	feed(t, st, page(0, b.began.Add(time.Second), kinesisRecord("outer", agg)), page(11, b.began.Add(4*time.Second), many...))
	st.throttled = 3
	b.next(b.began.Add(5 * time.Second))
	want := `2026-11-28 23:47:25 UTC, 5.0 s
      kinesis/s  user/s   bytes/s  used  late  throttled
logs      800.2   800.6   4.1 KiB   40%    1s          3
  0         0.2     0.6  1013.0 B    0%    4s
  11      800.0   800.0   3.1 KiB   80%    1s

keys with most bytes, of the user records
  logs    3.1 KiB/s   76.1%  k
  logs   1000.6 B/s   23.8%  hot
`
	if got := b.text(0); got != want {
		t.Errorf("unexpected table; got\n%s\nwant\n%s", got, want)
	}
	// The next interval begins from nothing, but knows the shards.
	b.next(b.ended.Add(5 * time.Second))
	if got := b.text(0); !strings.Contains(got, "  11        0.0     0.0    0.0 B    0%    6s\n") || strings.Contains(got, "keys with") {
		t.Errorf("unexpected table of an idle interval; got\n%s", got)
	}
	if got := strings.Count(b.text(0), "\x1b"); got != 0 {
		t.Error("unexpected control characters")
	}
}

func TestTopObeysItsKeysAndTheHeightOfTheScreen(t *testing.T) {
	b, st := newTopView(t, 1)
	if got := b.text(0); got != "counts what comes into logs from now on; the first table follows in 0s\n" {
		t.Errorf("unexpected text before the first interval has ended; got %q", got)
	}
	for shard := range 30 {
		feed(t, st, page(shard, b.began, kinesisRecord(fmt.Sprint("key-", shard), make([]byte, 10*(shard+1)))))
	}
	b.next(b.began.Add(time.Second))
	if lines := strings.Count(b.text(12), "\n"); lines > 12 || !strings.Contains(b.text(12), "more") {
		t.Errorf("unexpected number of lines; got %d; want at most 12 and how many are left out:\n%s", lines, b.text(12))
	}
	if got := b.text(0); strings.Index(got, "\n  0 ") > strings.Index(got, "\n  29 ") {
		t.Errorf("unexpected order; got\n%s\nwant that of shards", got)
	}
	for key, check := range map[byte]func() bool{
		'b': func() bool { s := b.text(0); return strings.Index(s, "\n  29 ") < strings.Index(s, "\n  0 ") },
		'+': func() bool { return strings.Contains(b.text(0), "key-28") },
		'p': func() bool { return b.paused && strings.Contains(b.text(0), "paused") },
	} {
		if !b.press(key) || !check() {
			t.Errorf("unexpected screen after key %q; got\n%s", key, b.text(0))
		}
	}
	for range 5 {
		b.press('-')
	}
	if b.press('s'); strings.Contains(b.text(0), "key-29") {
		t.Error("unexpected keys after -; want none")
	}
	for _, key := range []byte{'q', 3} {
		if b.press(key) {
			t.Errorf("unexpected answer to key %d; want the end", key)
		}
	}
}

func TestManyKeysNeedBoundedMemory(t *testing.T) {
	h := newHeavy()
	for i := range 5 * maxHeavy {
		h.add(fmt.Sprint(i), 1)
		if i%100 == 0 {
			h.add("hot", 10)
		}
	}
	if len(h.bytes) > maxHeavy {
		t.Errorf("unexpected number of keys; got %d; want at most %d", len(h.bytes), maxHeavy)
	}
	if got := h.most(1); got[0].key != "hot" || got[0].bytes != 5*maxHeavy/100*10 {
		t.Errorf("unexpected first key; got %+v", got)
	}
}

func TestTopPrintsOneTable(t *testing.T) {
	s := newServer(t, 2)
	s.Fault(kinesistest.Fault{Operation: "GetRecords", Times: 1, Effect: kinesistest.Fail("ProvisionedThroughputExceededException", "Rate exceeded.")})
	r := kplcat(t, "", "top", "--endpoint", s.URL(), "--once", "--interval", "1s", stream).ok(t)
	if !strings.Contains(r.stdout, "kinesis/s") || !strings.Contains(r.stdout, "\nlogs ") || strings.Contains(r.stdout, "\x1b") {
		t.Errorf("unexpected output; got %q", r.stdout)
	}
	r = kplcat(t, "", "top", "--endpoint", s.URL(), "--once", "nosuch")
	if r.code != exitError || !strings.Contains(r.stderr, "nosuch") {
		t.Errorf("unexpected result for a stream that is not there; got %+v", r)
	}
	for args, want := range map[string]string{
		"top":                   "no stream is given",
		"top --interval 1ms a":  `--interval: "1ms"`,
		"top --from latest a":   "--from: no such flag",
		"top bad/name":          "not the name of a stream",
		"top --keys=1000 --x a": "--x: no such flag",
	} {
		if r := kplcat(t, "", strings.Fields(args)...); r.code != exitUsage || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: unexpected result; got %+v; want %q", args, r, want)
		}
	}
	help := kplcat(t, "", "top", "--help").ok(t).stdout
	for _, f := range topFlags {
		if !strings.Contains(help, "--"+f.Name) {
			t.Errorf("unexpected help; it has no --%s", f.Name)
		}
	}
}

func TestRefusedReadsAreToldFromOtherFailures(t *testing.T) {
	if reader.Throttled(nil) || reader.Throttled(errors.New("no")) {
		t.Error("unexpected throttle")
	}
}

// Where nothing could be read, zeros would say that nothing comes.
func TestTopOnceFailsWhereNothingCanBeRead(t *testing.T) {
	newServer(t, 1) // sets credentials
	r := kplcat(t, "", "top", "--once", "--interval", "1s", "--endpoint", "http://127.0.0.1:1", stream)
	if r.code != exitError || r.stdout != "" || !strings.Contains(r.stderr, "kplcat: cannot read stream "+stream+": ") || !strings.Contains(r.stderr, "nothing listens at the endpoint: check host and port of --endpoint") {
		t.Errorf("unexpected result; got %+v; want 1, the cause, and no table", r)
	}
}

func TestTopOnceTellsTheStreamThatCannotBeRead(t *testing.T) {
	s := newServer(t, 1)
	s.Fault(kinesistest.Fault{Operation: "GetRecords", Effect: kinesistest.Fail("InternalFailure", "odd")})
	r := kplcat(t, "", "top", "--once", "--interval", "1s", "--endpoint", s.URL(), stream)
	if r.code != exitError || r.stdout != "" || !strings.Contains(r.stderr, "InternalFailure") {
		t.Errorf("unexpected result; got %+v; want 1 and the cause", r)
	}
}

func TestMistakesOfTopLeadToItsHelp(t *testing.T) {
	if r := kplcat(t, "", "top", "--frm", "-15m", stream); r.code != exitUsage || r.stderr != "kplcat: --frm: no such flag\nkplcat top --help says more.\n" {
		t.Errorf("unexpected result; got %+v", r)
	}
}

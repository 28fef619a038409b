// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/aggregation"
)

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

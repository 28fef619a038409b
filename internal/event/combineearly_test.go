// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/core"
)

// earlyEvents are events of many sizes, some of them larger than a record of theirs may be.
func earlyEvents(n int) (chunk []byte) {
	r := rand.New(rand.NewPCG(3, 18))
	for i := range n {
		text := fmt.Sprintf("%x %s", r.Uint64(), strings.Repeat("x", r.IntN(300)))
		switch {
		case i%97 == 50:
			text = strings.Repeat(text, 40)
		case i%1999 == 1000:
			var b strings.Builder
			for b.Len() < 9000 {
				fmt.Fprintf(&b, "%x", r.Uint64())
			}
			text = b.String()
		}
		chunk = append(chunk, v2(1795505462, uint32(i), fixmap(str("log"), str(text), str("n"), str(fmt.Sprint(i))))...)
	}
	return chunk
}

// takeAll returns what b makes of the chunk, half of it under another tag.
func takeAll(t *testing.T, b *Builder, s *Shaper, chunk []byte, tags ...string) (recs []core.Record, events []int) {
	t.Helper()
	var r ChunkReader
	var ev Event
	n := 0
	for r.Reset(chunk); r.Next(&ev) == nil; n++ {
		if _, err := b.Add(s, tags[min(n/1500, len(tags)-1)], &ev); err != nil {
			t.Fatal(err)
		}
	}
	if b.Len() < n {
		t.Errorf("unexpected Len before Records; got %d; want %d or more", b.Len(), n)
	}
	recs = slices.Clone(b.Records())
	for i := range recs {
		recs[i].Data = slices.Clone(recs[i].Data)
		recs[i].PartitionKey = strings.Clone(recs[i].PartitionKey)
		events = append(events, b.EventsOf(i))
	}
	return recs, events
}

func TestRecordsThatAreMadeEarlyAreTheSameAsThoseMadeAtTheEnd(t *testing.T) {
	chunk := earlyEvents(4000)
	own := func(string) bool { return true }
	for _, tt := range []struct {
		name     string
		cfg      Config
		plan     Plan
		tags     []string
		atTheEnd bool // no record is made early
	}{
		{name: "lines", cfg: Config{Combine: "lines", Compression: "zstd"}},
		{name: "small", cfg: Config{Combine: "lines", Compression: "zstd", CombineSize: 1 << 10}},
		{name: "array", cfg: Config{Combine: "json_array", Compression: "gzip", CombineSize: 8 << 10}},
		{name: "array of numbers", cfg: Config{Combine: "json_array", Compression: "zstd", CombineSize: 1 << 10, LogKey: "n"}},
		{name: "count", cfg: Config{Combine: "lines", Compression: "snappy", CombineCount: 7, CombineSize: 64 << 10}},
		{name: "own records", cfg: Config{Combine: "lines", Compression: "zstd"}, plan: Plan{OwnRecords: own}},
		{name: "constant key", cfg: Config{Combine: "lines", Compression: "zstd", CombineSize: 16 << 10, PartitionKey: "constant:k"}},
		{name: "tag", cfg: Config{Combine: "lines", Compression: "zstd", CombineSize: 16 << 10, PartitionKey: "$TAG"}},
		{name: "two tags", cfg: Config{Combine: "lines", Compression: "zstd", CombineSize: 16 << 10, PartitionKey: "$TAG"}, tags: []string{"a", "b", "a"}},
		{name: "truncated", cfg: Config{Combine: "lines", Compression: "zstd", CombineSize: 16 << 10, Oversize: "truncate", MaxRecordBytes: 4 << 10}},
		{name: "split", cfg: Config{Combine: "json_array", Compression: "zstd", CombineSize: 16 << 10, Oversize: "split", MaxRecordBytes: 4 << 10}, atTheEnd: true},
		{name: "too large together", cfg: Config{Combine: "lines", Compression: "zstd", CombineSize: 128 << 10, MaxRecordBytes: 4 << 10}},
		{name: "field", cfg: Config{Combine: "lines", Compression: "zstd", CombineSize: 1 << 10, PartitionKey: "n"}, atTheEnd: true},
		{name: "not compressed", cfg: Config{Combine: "lines", CombineSize: 1 << 10}, atTheEnd: true},
		{name: "streams", cfg: Config{Combine: "lines", Compression: "zstd", CombineSize: 1 << 10, Stream: "s"}, atTheEnd: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := mustShaper(t, tt.cfg)
			tags := tt.tags
			if tags == nil {
				tags = []string{"app"}
			}
			var late, early Builder
			late.own.OwnRecords = tt.plan.OwnRecords
			want, wantEvents := takeAll(t, &late, s, chunk, tags...)
			for range 2 { // the second time with memory of the first
				plan := Plan{OwnRecords: tt.plan.OwnRecords}
				early.Follow(s, &plan)
				early.Grow(len(chunk) + len(chunk)/4)
				got, gotEvents := takeAll(t, &early, s, chunk, tags...)
				if made := early.done > 0; made == tt.atTheEnd {
					t.Errorf("unexpected records made early: got %t; want %t", made, !tt.atTheEnd)
				}
				if len(got) != len(want) || !slices.Equal(gotEvents, wantEvents) {
					t.Fatalf("unexpected records; got %d of %v; want %d of %v", len(got), gotEvents, len(want), wantEvents)
				}
				for i := range got {
					if got[i].PartitionKey != want[i].PartitionKey || !bytes.Equal(got[i].Data, want[i].Data) {
						t.Errorf("record %d differs; got %d bytes with key %q; want %d with %q", i, len(got[i].Data), got[i].PartitionKey, len(want[i].Data), want[i].PartitionKey)
					}
				}
				early.Reset()
			}
		})
	}
}

func TestCombinedEventsOfAChunkAreNotAllInMemory(t *testing.T) {
	s := mustShaper(t, Config{Combine: "lines", Compression: "zstd"})
	chunk := mixedChunk(4 << 20)
	var b Builder
	b.Follow(s, &Plan{})
	b.Grow(len(chunk) + len(chunk)/4)
	most := 0
	var r ChunkReader
	var ev Event
	for r.Reset(chunk); r.Next(&ev) == nil; {
		if _, err := b.Add(s, "app", &ev); err != nil {
			t.Fatal(err)
		}
		most = max(most, b.Memory())
	}
	if len(b.Records()) < 8 {
		t.Errorf("unexpected records; got %d; want 8 or more", len(b.Records()))
	}
	if limit := 2 << 20; most > limit {
		t.Errorf("unexpected memory for a chunk of 4 MiB; got %d bytes; want at most %d", most, limit)
	}
}

func TestLookingForFullRecordsDoesNotTakeTimeBySquare(t *testing.T) {
	// Brackets make the memory of small events larger than their records.
	s := mustShaper(t, Config{Combine: "json_array", Compression: "zstd", CombineSize: 64 << 10, LogKey: "n"})
	var b Builder
	b.Follow(s, &Plan{})
	passes, before := 0, 0
	for i := range 100_000 {
		ev := Event{Kind: KindRecord, Body: fixmap(str("n"), []byte{byte(i % 10)})}
		if _, err := b.Add(s, "app", &ev); err != nil {
			t.Fatal(err)
		}
		if b.early != before {
			passes, before = passes+1, b.early
		}
	}
	if passes > 20 {
		t.Errorf("unexpected passes over 300,000 bytes; got %d; want at most 20", passes)
	}
}

// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"slices"
	"testing"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/internal/pace"
)

// onePlaced makes a Kinesis record of a user record that has no place yet.
func onePlaced(sh *shard, r Record) (*kinesisRecord, *item) {
	b := &Batch{records: []Record{r}, items: make([]item, 1)}
	it := &b.items[0]
	*it = item{batch: b, dataBytes: int32(len(r.Data)), flags: itemUnkeyed}
	return &kinesisRecord{shard: sh}, it
}

// runLengths hands n unkeyed records of a size to a shard and returns after how many each
// another shard would be selected.
func runLengths(t *testing.T, pl *pipeline, sh *shard, n, size int) (lengths []int) {
	t.Helper()
	length := 0
	var hash aggregation.HashKey
	for range n {
		if length == 0 {
			pl.aggregates.sticky = sh
		}
		kr, it := onePlaced(sh, Record{Data: make([]byte, size)})
		pl.joinUnkeyedRun(kr, it)
		if !kr.hasUnkeyedHash || !sh.shardContains(kr.unkeyedHash) {
			t.Fatalf("unexpected hash key; got %v; want one of the shard", kr.unkeyedHash)
		}
		if length > 0 && kr.unkeyedHash != hash {
			t.Fatalf("unexpected hash key in a run; got %v; want %v", kr.unkeyedHash, hash)
		}
		hash = kr.unkeyedHash
		if length++; pl.aggregates.sticky == nil {
			lengths = append(lengths, length)
			length = 0
		}
	}
	return lengths
}

// To select a shard for each unkeyed record costs more than the record; to stay with one for
// long would overload it.
func TestUnkeyedRecordsWithoutAggregationChangeTheShardAfterAShortRun(t *testing.T) {
	for _, c := range []struct {
		waiting int
		size    int
		want    []int
	}{
		{0, 100, []int{16, 16, 16}},
		{0, 10 << 10, []int{3, 3, 3}},
		{0, 100 << 10, []int{1, 1, 1}},
		{1, 100, []int{10, 10, 10}},
		{1, 10 << 10, []int{2, 2, 2}},
	} {
		t.Run(fmt.Sprintf("%d waiting, %d bytes", c.waiting, c.size), func(t *testing.T) {
			pl := &pipeline{}
			sh := &shard{start: aggregation.HashKey{Hi: 1 << 60}, end: aggregation.HashKey{Hi: 1 << 61}, current: true}
			limits := pace.Limits{Records: pace.ShardRecords, Bytes: pace.ShardBytes}
			sh.pace.Init(&limits, 0)
			for range c.waiting {
				sh.queue = append(sh.queue, &kinesisRecord{shard: sh})
			}
			n := 0
			for _, length := range c.want {
				n += length
			}
			if got := runLengths(t, pl, sh, n, c.size); !slices.Equal(got, c.want) {
				t.Errorf("unexpected runs; got %v; want %v", got, c.want)
			}
		})
	}
}

// A Kinesis record of one user record needs no tables, which would be most of its memory.
func TestRecordThatStaysAloneMakesNoAggregate(t *testing.T) {
	sh := &shard{end: aggregation.MaxHashKey, current: true}
	kr, first := onePlaced(sh, Record{PartitionKey: "k", Data: []byte("one")})
	first.flags = 0
	first.keyBytes = 1
	kr.addItem(first)
	if want := len("k") + len("one"); kr.agg != nil || kr.size != want {
		t.Fatalf("unexpected record of one; got tables %t, size %d; want false, %d", kr.agg != nil, kr.size, want)
	}
	_, second := onePlaced(sh, Record{PartitionKey: "l", Data: []byte("two")})
	second.flags = 0
	second.keyBytes = 1
	with := kr.sizeWith(second)
	kr.addItem(second)
	var b aggregation.Builder
	b.Add("k", []byte("one"))
	b.Add("l", []byte("two"))
	if want := b.Size() + len(aggregatePartitionKey); with != want || kr.size != want {
		t.Errorf("unexpected size of an aggregate of two; got %d, announced %d; want %d", kr.size, with, want)
	}
}

func TestRequestNamesTheHashKeyOfEachRecord(t *testing.T) {
	a, b := aggregation.HashKey{Lo: 12}, aggregation.HashKey{Hi: 1}
	want := []string{"12", "12", "18446744073709551616", "12", "12"}
	r := &request{}
	for _, h := range []aggregation.HashKey{a, a, b, a, a} {
		kr, it := onePlaced(nil, Record{Data: []byte("x")})
		kr.outer = h
		kr.items = append(kr.items, it)
		r.records = append(r.records, kr)
	}
	for i, e := range r.encode() {
		if *e.ExplicitHashKey != want[i] {
			t.Errorf("unexpected hash key of record %d; got %s; want %s", i, *e.ExplicitHashKey, want[i])
		}
	}
}

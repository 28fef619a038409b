// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"testing"
)

func itemsOf(b *Batch, numbers ...int32) (list []*item) {
	for _, n := range numbers {
		list = append(list, &item{batch: b, index: n})
	}
	return list
}

func TestConfirmedRunsHavePlaces(t *testing.T) {
	b, other := &Batch{}, &Batch{}
	var spare spareRuns
	for range 3 { // in memory that was used before
		c := spare.take()
		c.addRuns(append(itemsOf(b, 7, 8, 9, 20), itemsOf(other, 21)...))
		c.addPlace(&attemptNode{shardID: "s2"})
		c.addRuns(itemsOf(b, 3, 5, 6))
		c.addPlace(&attemptNode{shardID: "s1"})
		got := ""
		for r := range c.All() {
			got += fmt.Sprintf("%d+%d %s %v,", r.First, r.N, r.ShardID, r.Batch == other)
		}
		if want := "7+3 s2 false,20+1 s2 false,21+1 s2 true,3+1 s1 false,5+2 s1 false,"; got != want {
			t.Errorf("unexpected runs; got %s; want %s", got, want)
		}
		for r := range c.All() {
			if r.First == 3 {
				break
			}
		}
		spare.give(c)
		if len(spare.list) != 1 || c.runs[:1][0].batch != nil || c.places[:1][0].shardID != "" {
			t.Errorf("unexpected memory that is kept: %+v", spare.list)
		}
	}
	spare.give(&ConfirmedRuns{runs: make([]confirmedRun, 0, longestRuns+1)})
	for range 9 {
		spare.give(&ConfirmedRuns{})
	}
	if len(spare.list) != mostSpareRuns || cap(spare.list[1].runs) != 0 {
		t.Errorf("unexpected lists that are kept; got %d; want %d, and no long one", len(spare.list), mostSpareRuns)
	}
}

func TestConfirmedRunsWithoutPlacesGrowDownward(t *testing.T) {
	b, other := &Batch{}, &Batch{}
	var c ConfirmedRuns
	for _, it := range append(itemsOf(b, 9, 8, 7, 5, 4, 5), itemsOf(other, 4, 3)...) {
		c.addBefore(it)
	}
	c.addRuns(itemsOf(other, 1, 2))
	c.addBefore(itemsOf(other, 0)[0])
	got := ""
	for r := range c.All() {
		if got += fmt.Sprintf("%d+%d %v,", r.First, r.N, r.Batch == other); r.ShardID+r.SequenceNumber != "" {
			t.Errorf("unexpected place %s %s; want none", r.ShardID, r.SequenceNumber)
		}
	}
	if want := "7+3 false,4+2 false,5+1 false,3+2 true,0+3 true,"; got != want {
		t.Errorf("unexpected runs; got %s; want %s", got, want)
	}
	for r := range c.All() {
		if r.First == 3 {
			break
		}
	}
}

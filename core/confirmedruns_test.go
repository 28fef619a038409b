// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"testing"
)

func TestConfirmedRunsComeBackward(t *testing.T) {
	b, other := &Batch{}, &Batch{}
	items := func(b *Batch, numbers ...int32) (list []*item) {
		for _, n := range numbers {
			list = append(list, &item{batch: b, index: n})
		}
		return list
	}
	var spare spareRuns
	for range 3 { // in memory that was used before
		c := spare.take()
		c.addRuns(append(items(b, 7, 8, 9, 20), items(other, 21)...), &attemptNode{shardID: "s2"})
		c.addRuns(items(b, 3, 5, 6), &attemptNode{shardID: "s1"})
		got := ""
		for r := range c.Backward() {
			got += fmt.Sprintf("%d+%d %s %v,", r.First, r.N, r.ShardID, r.Batch == other)
		}
		if want := "5+2 s1 false,3+1 s1 false,21+1 s2 true,20+1 s2 false,7+3 s2 false,"; got != want {
			t.Errorf("unexpected runs; got %s; want %s", got, want)
		}
		for r := range c.Backward() {
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

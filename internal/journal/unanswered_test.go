// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"fmt"
	"slices"
	"testing"

	"github.com/outkpl/outkpl/core"
)

// A field that breaks off, of whatever length, is as none, and reading it does not fail.
func TestUnansweredRecordsThatBreakOffAreNone(t *testing.T) {
	one := append([]byte{lookThere | lookAfter, 2, '4', '9', 7}, make([]byte, 48)...)
	one[5], one[21], one[37] = 1, 2, 3
	field := append(append([]byte{0}, one...), append([]byte{lookThere | lookPlace, 7}, make([]byte, 48)...)...)
	list := readUnanswered(field)
	if len(list) != 3 || list[0] != nil || list[1] == nil || list[2] == nil {
		t.Fatalf("unexpected records: %+v", list)
	}
	q := &UncertainRecord{Stream: "logs", ShardID: "shard", After: "50", PartitionKey: "key"}
	if d := list[1].of(q); d.After != "49" || d.Since.UnixMilli() != 7 || d.Hash.Hi != 1 || d.First.Hi != 2 || d.Last.Hi != 3 || d.Stream != "logs" || d.ShardID != "shard" || d.PartitionKey != "key" {
		t.Errorf("unexpected record: %+v", d)
	}
	if d := list[2].of(q); d.After != "50" {
		t.Errorf("unexpected place; got %q; want that of the shard", d.After)
	}
	for n := range field {
		for i, d := range readUnanswered(field[:n]) {
			if d != nil && (i == 0 || *d != *list[i]) {
				t.Errorf("cut at %d: unexpected record %d: %+v", n, i, d)
			}
		}
	}
}

// A record that is sent again with its key may be where any of its calls has stored it: one of which it
// stayed open may be far behind the next one.
func TestARecordIsLookedForAtEachOfItsCalls(t *testing.T) {
	first, again := &core.Unanswered{PartitionKey: "key", After: "50"}, &core.Unanswered{PartitionKey: "key", After: "90"}
	list := unansweredOf([]UncertainRecord{{PartitionKey: "key", Unanswered: first}, {PartitionKey: "key", Unanswered: again}, {PartitionKey: "key", Unanswered: first}, {PartitionKey: "other"}})
	if len(list) != 2 || list[0].Unanswered != first || list[1].Unanswered != again {
		t.Errorf("unexpected records: %+v; want one for each place", list)
	}
}

// Two batches of one content may have records in one aggregate.
func TestARecordIsLookedForWithThoseOfAllBatches(t *testing.T) {
	at := func() *core.Unanswered { return &core.Unanswered{PartitionKey: "key", After: "50"} }
	parts := [][]int32{{0, 2, 4}, {0, 2, 4}, {1, 2, 3}, {9}}
	var given []UncertainRecord
	for _, numbers := range parts {
		given = append(given, UncertainRecord{PartitionKey: "key", Unanswered: at(), Numbers: slices.Clip(numbers)})
	}
	list := unansweredOf(given)
	if len(list) != 1 || !slices.Equal(list[0].Numbers, []int32{0, 2, 4, 1, 3, 9}) {
		t.Errorf("unexpected records: %+v; want one with the numbers of all", list)
	}
	if fmt.Sprint(parts) != "[[0 2 4] [0 2 4] [1 2 3] [9]]" {
		t.Errorf("unexpected numbers of the parts; got %v; want them as they were", parts)
	}
}

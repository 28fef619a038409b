// SPDX-License-Identifier: Apache-2.0

package core

import "testing"

// What is fetched ahead must fit the cache, and each stretch must get somewhere.
func TestFetchedStretchesAreBounded(t *testing.T) {
	record := func(items, size int) *kinesisRecord {
		b := &Batch{records: []Record{{PartitionKey: "k", Data: make([]byte, size)}}}
		kr := &kinesisRecord{size: items * size}
		for range items {
			kr.items = append(kr.items, &item{batch: b})
		}
		return kr
	}
	for _, c := range []struct {
		name              string
		records, of, size int // user records of this size in each Kinesis record
		want              int
	}{
		{"one", 1, 3, 10, 1},
		{"all", 20, 3, 10, 20},
		{"as many as the items allow", 100, 10, 10, 6},
		{"as many as the bytes allow", 100, 3, 1000, 8},
		{"one with too many items", 5, 1000, 1, 1},
		{"one that is too large", 5, 1, 1 << 20, 1},
		{"without data", 4, 1, 0, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			var list []*kinesisRecord
			for range c.records {
				list = append(list, record(c.of, c.size))
			}
			if got := fetchRecords(list); got != c.want {
				t.Errorf("unexpected stretch; got %d Kinesis records; want %d", got, c.want)
			}
		})
	}
	t.Run("items", func(t *testing.T) {
		items := make([]item, 100)
		for i := range items {
			if i%2 == 0 { // the others have no shard yet
				items[i].shard = &shard{}
			}
		}
		for at, want := range map[int]int{0: 16, 90: 10, 99: 1} {
			if got := fetchShards(items[at:]); got != want {
				t.Errorf("unexpected stretch from %d; got %d items; want %d", at, got, want)
			}
		}
	})
	t.Run("open aggregates", func(t *testing.T) {
		var l openList
		for n := range 70 {
			if got, want := l.fetchOpen(), min(n, 16); got != want {
				t.Fatalf("unexpected stretch; got %d of %d shards; want %d", got, n, want)
			}
			l.pushOpen(&shard{})
		}
	})
}

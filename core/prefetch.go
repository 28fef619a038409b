// SPDX-License-Identifier: Apache-2.0

package core

import (
	"runtime"

	"github.com/outkpl/outkpl/aggregation"
)

// In a stream of thousands of shards what belongs together lies far apart: the items
// of an aggregate came with as many batches. A stage that goes from one to the next
// waits for the memory each time, and that would be most of its work. The loops here
// come before it and only touch what it will need; they wait for many at a time.

// How much is fetched at once: so little that all of it stays in the cache, even one
// that others use too, and so much that it counts. With four times as many, records
// over 10,000 shards took a tenth longer.
const (
	fetchBytes = 24 << 10
	fetchItems = 64
	fetchAhead = 16 // shards
	fetchLine  = 64
	// fetchFirst is how much of a user record is fetched. The processor sees by
	// itself that a long one is read through.
	fetchFirst = 1 << 10
)

// fetchRecords fetches what encoding needs of the first of the Kinesis records, and
// returns of how many.
func fetchRecords(records []*kinesisRecord) int {
	n, items, bytes := 0, 0, 0
	for n < len(records) && (n == 0 || items+len(records[n].items) <= fetchItems && bytes+records[n].size <= fetchBytes) {
		items += len(records[n].items)
		bytes += records[n].size
		n++
	}
	sum := 0
	for _, kr := range records[:n] {
		sum += touchItems(kr.items)
	}
	for _, kr := range records[:n] {
		sum += touchRecords(kr.items)
	}
	for _, kr := range records[:n] {
		sum += touchKeys(kr.items) + touchData(kr.items)
	}
	runtime.KeepAlive(sum)
	return n
}

// fetchKeys fetches what counting needs of the items.
func fetchKeys(items []*item) {
	runtime.KeepAlive(touchItems(items) + touchRecords(items) + touchKeys(items))
}

func touchItems(items []*item) (sum int) {
	for _, it := range items {
		sum += int(it.index)
	}
	return sum
}

func touchRecords(items []*item) (sum int) {
	for _, it := range items {
		r := it.record()
		sum += len(r.PartitionKey) + len(r.Data)
	}
	return sum
}

func touchKeys(items []*item) (sum int) {
	for _, it := range items {
		if k := it.record().PartitionKey; k != "" {
			sum += int(k[0])
		}
	}
	return sum
}

func touchData(items []*item) (sum int) {
	for _, it := range items {
		d := it.record().Data
		for d = d[:min(len(d), fetchFirst)]; len(d) > 0; d = d[min(fetchLine, len(d)):] {
			sum += int(d[0])
		}
	}
	return sum
}

// fetchArcs fetches what lookup needs of the map.
func (m *shardMap) fetchArcs(hashes []aggregation.HashKey) {
	sum := uint64(0)
	for _, h := range hashes {
		if i := int(m.first[h.Hi>>m.shift]); i < len(m.ring) {
			sum += m.ring[i].end.Hi
		}
	}
	runtime.KeepAlive(sum)
}

// fetchShards fetches what route needs of the first of the items, and returns of how
// many.
func fetchShards(items []item) int {
	items = items[:min(len(items), fetchAhead)]
	sum := 0
	for i := range items {
		if sh := items[i].shard; sh != nil && sh.current {
			sum++
		}
	}
	for i := range items {
		if sh := items[i].shard; sh != nil {
			if n := len(sh.open.items); n > 0 && sh.open.items[n-1] != nil {
				sum++
			}
		}
	}
	runtime.KeepAlive(sum)
	return len(items)
}

// fetchOpen fetches what closing needs of the first aggregates in the list, and
// returns of how many.
func (l *openList) fetchOpen() int {
	n, sum := 0, 0
	for sh := l.head; sh != nil && n < fetchAhead; sh = sh.open.next {
		sum += len(sh.id) + len(sh.queue) + sh.readyBytes + sh.requestBytes
		n++
	}
	runtime.KeepAlive(sum)
	return n
}

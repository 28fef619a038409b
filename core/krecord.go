// SPDX-License-Identifier: Apache-2.0

package core

import (
	"github.com/outkpl/outkpl/aggregation"
)

// kinesisRecord is one entry of a PutRecords call in the making: an aggregate,
// or a user record alone.
type kinesisRecord struct {
	items []*item
	agg   aggregation.Builder
	// shard is the predicted shard, nil if there is no prediction. A record
	// without prediction holds one user record only: mixing shards in an
	// aggregate makes consumers drop data.
	shard *shard
	// spread is the explicit hash key of the spread records in here. All of
	// them share it, and so one entry of the key table.
	spread     aggregation.HashKey
	hasSpread  bool
	unitsAlone int   // what its user records would be billed as one by one
	size       int   // data plus outer partition key, in bytes
	deadline   int64 // when the request that carries it must leave
	due        int64 // while it waits for a retry
	expires    int64 // when the first of its items does, 0 for never
	queued     bool  // in its shard's queue, while still open (strict ordering)
}

// partitionKey returns the key a consumer will see for the item.
func (it *item) partitionKey() string {
	if it.rec.PartitionKey == "" {
		return spreadPartitionKey
	}
	return it.rec.PartitionKey
}

// shardID returns the id of the predicted shard, empty without a prediction.
func (kr *kinesisRecord) shardID() string {
	if kr.shard == nil {
		return ""
	}
	return kr.shard.id
}

// payloadUnits returns what a Kinesis record of this size is billed as.
func payloadUnits(size int) int { return max(1, (size+PutPayloadUnit-1)/PutPayloadUnit) }

// explicit returns the explicit hash key that goes with the item, if any.
func (kr *kinesisRecord) explicit(it *item) (aggregation.HashKey, bool) {
	switch {
	case it.is(itemSpread):
		return kr.spread, true
	case it.is(itemExplicit):
		return it.hash, true
	default:
		return aggregation.HashKey{}, false
	}
}

// sizeWith returns what the size would be with the item added.
func (kr *kinesisRecord) sizeWith(it *item) int {
	key := it.partitionKey()
	if len(kr.items) == 0 {
		return len(it.rec.Data) + len(key)
	}
	if ehk, ok := kr.explicit(it); ok {
		return kr.agg.SizeWithExplicit(key, ehk, it.rec.Data) + len(aggregatePartitionKey)
	}
	return kr.agg.SizeWith(key, it.rec.Data) + len(aggregatePartitionKey)
}

// maxGrowth bounds what an aggregate of n records grows by with the item.
func (it *item) maxGrowth(n int) int {
	digits := 0
	if it.is(itemExplicit) {
		digits = it.hash.DecimalLen()
	}
	return aggregation.MaxGrowth(n, len(it.partitionKey()), digits, len(it.rec.Data))
}

// add puts the item in.
func (kr *kinesisRecord) add(it *item) {
	kr.items = append(kr.items, it)
	kr.unitsAlone += payloadUnits(len(it.rec.Data) + len(it.partitionKey()))
	kr.count(it)
}

// count makes the aggregate of an item that is in kr.items already.
func (kr *kinesisRecord) count(it *item) {
	if it.expires != 0 && (kr.expires == 0 || it.expires < kr.expires) {
		kr.expires = it.expires
	}
	key := it.partitionKey()
	if ehk, ok := kr.explicit(it); ok {
		kr.agg.AddExplicit(key, ehk, it.rec.Data)
	} else {
		kr.agg.Add(key, it.rec.Data)
	}
	if kr.agg.Len() == 1 {
		kr.size = len(it.rec.Data) + len(key)
	} else {
		kr.size = kr.agg.Size() + len(aggregatePartitionKey)
	}
}

// outerHash is the hash key that routes the whole Kinesis record.
func (kr *kinesisRecord) outerHash() aggregation.HashKey {
	if it := kr.items[0]; !it.is(itemSpread) {
		return it.hash
	}
	return kr.spread
}

// appendData returns what Kinesis stores. A user record alone goes as it is,
// an aggregate is encoded at the end of buf, and not sealed yet.
func (kr *kinesisRecord) appendData(buf []byte) (data, rest []byte, key string) {
	if len(kr.items) == 1 {
		data = kr.items[0].rec.Data
		if data == nil {
			data = []byte{} // the SDK takes nil for a missing field
		}
		return data, buf, kr.items[0].partitionKey()
	}
	start := len(buf)
	buf = kr.agg.AppendOpen(buf)
	return buf[start:len(buf):len(buf)], buf, aggregatePartitionKey
}

// reset makes the record ready for other user records and lets go of the old.
func (kr *kinesisRecord) reset() {
	clear(kr.items)
	items := kr.items[:0]
	kr.agg.Reset()
	*kr = kinesisRecord{items: items, agg: kr.agg}
}

// newRecord takes a record from the pool, which all streams share: a list for each
// would keep what a stream once needed for as long as the stream is in use.
func (pl *pipeline) newRecord() *kinesisRecord {
	if kr, _ := pl.p.records.Get().(*kinesisRecord); kr != nil {
		return kr
	}
	return &kinesisRecord{}
}

// recycle gives a record back whose items are settled or elsewhere.
func (pl *pipeline) recycle(kr *kinesisRecord) {
	pl.leave(kr)
	kr.reset()
	if cap(kr.items) <= maxKeptItems {
		pl.p.records.Put(kr)
	}
}

// maxKeptItems and maxOpenItems bound what Kinesis records and shards keep of
// their memory for the next aggregate: some 70 and 8 bytes for each item. Who has
// larger aggregates pays for them in records, not in shards.
const (
	maxKeptItems = 4096
	maxOpenItems = 1024
)

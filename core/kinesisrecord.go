// SPDX-License-Identifier: Apache-2.0

package core

import (
	"github.com/outkpl/outkpl/aggregation"
)

// kinesisRecord is one entry of a PutRecords call in the making: an aggregate,
// or one user record. What each stage asks for comes first: it fits in two lines of the
// processor's cache, and without aggregation there is one of these for each user record.
type kinesisRecord struct {
	items []*item
	// shard is the predicted shard, nil if there is no prediction. A record
	// without prediction has one user record only: consumers drop an aggregate
	// that mixes shards as a whole.
	shard    *shard
	outer    aggregation.HashKey // routes the whole Kinesis record: where its first item belongs
	size     int                 // data plus outer partition key, in bytes; until it is encoded a bound
	deadline int64               // when the request that carries it must leave

	expires       int64 // when the first of its items does, 0 for never
	reservedBytes int   // the bytes of tokens taken for it
	aloneUnits    int   // payload units of its user records one by one, once it is encoded
	// agg is made when several items are counted: streams without aggregation never need it.
	agg *aggregation.Builder
	// wrapped: what Kinesis stores is an aggregate, and not a user record as it is. An
	// aggregate in a shard that does not contain its records is dropped by consumers, a
	// user record never is. Several records always are an aggregate.
	wrapped bool
	queued  bool // in its shard's queue, while still open (strict ordering)
	// With read-back, an aggregate has a key of its own, by which it is found again; and a
	// user record that is alone is wrapped to carry it, if the aggregate has no more than
	// wrapBytes. The key stays as long as the bytes do.
	keyed     bool
	uncertain bool // a call may have stored it
	// unkeyedHash is the explicit hash key of the unkeyed records in here. All of
	// them share it, and so one entry of the key table.
	hasUnkeyedHash bool
	unkeyedKey     unkeyedKey // that leads there, if there is one and only record
	unkeyedHash    aggregation.HashKey

	wrapBytes int    // 0: a record that is alone is not wrapped
	key       string // empty until it is encoded
	// Where to look for it: in what was stored after sentAt, and at sent if that is not nil.
	sentAt int64      // when the first call began that may have stored it; 0 if none has
	sent   *sentPlace // see verify.go
	due    int64      // while it waits for a retry

	inBlock bool // it is in one piece of memory with others
}

// partitionKey returns the key a consumer will see for the item.
func (it *item) partitionKey() string {
	if it.has(itemUnkeyed) {
		return unkeyedPartitionKey
	}
	return it.record().PartitionKey
}

// sizeAlone returns the size of a Kinesis record of this item only.
func (it *item) sizeAlone() int {
	switch {
	case it.has(itemUnkeyed):
		return int(it.dataBytes) + len(unkeyedPartitionKey)
	case it.has(itemExplicit):
		return int(it.dataBytes) + len(it.record().PartitionKey)
	}
	return int(it.dataBytes) + int(it.keyBytes)
}

// sizeRaw returns the size of the record if it is its first user record as it is.
func (kr *kinesisRecord) sizeRaw() int { return kr.items[0].sizeAlone() + kr.unkeyedKey.size() }

// rawKey returns the partition key that it has then.
func (kr *kinesisRecord) rawKey() string {
	if kr.unkeyedKey != 0 {
		return loadUnkeyedKeys().text[kr.unkeyedKey]
	}
	return kr.items[0].partitionKey()
}

// explicitlyPlaced tells whether an explicit hash key leads the record to its shard, and not its partition
// key.
func (kr *kinesisRecord) explicitlyPlaced() bool { return kr.wrapped || kr.unkeyedKey == 0 }

// shardID returns the id of the predicted shard, empty without a prediction.
func (kr *kinesisRecord) shardID() string {
	if kr.shard == nil {
		return ""
	}
	return kr.shard.id
}

// payloadUnits returns what a Kinesis record of this size is billed as.
func payloadUnits(size int) int { return max(1, (size+PutPayloadUnit-1)/PutPayloadUnit) }

// unitsAlone returns what its user records would be billed as one by one.
func (kr *kinesisRecord) unitsAlone() (n int) {
	for _, it := range kr.items {
		n += payloadUnits(it.sizeAlone())
	}
	return n
}

// hashOf returns where the item belongs.
func (kr *kinesisRecord) hashOf(it *item) aggregation.HashKey {
	if it.has(itemUnkeyed) {
		return kr.unkeyedHash
	}
	return it.hash
}

// explicit returns the explicit hash key that goes with the item, if any.
func (kr *kinesisRecord) explicit(it *item) (aggregation.HashKey, bool) {
	switch {
	case it.has(itemUnkeyed):
		return kr.unkeyedHash, true
	case it.has(itemExplicit):
		return it.hash, true
	default:
		return aggregation.HashKey{}, false
	}
}

// sizeWith returns what the size would be with the item added to others.
func (kr *kinesisRecord) sizeWith(it *item) int {
	kr.countItems()
	r := it.record()
	if ehk, ok := kr.explicit(it); ok {
		return kr.agg.SizeWithExplicit(it.partitionKey(), ehk, r.Data) + kr.outerKeyLen()
	}
	return kr.agg.SizeWith(r.PartitionKey, r.Data) + kr.outerKeyLen()
}

// outerKeyLen returns the length of the partition key that an aggregate has.
func (kr *kinesisRecord) outerKeyLen() int {
	if kr.keyed {
		return verifyKeyBytes
	}
	return len(aggregatePartitionKey)
}

// chooseWrapped decides whether the items are stored as an aggregate.
func (kr *kinesisRecord) chooseWrapped() {
	kr.wrapped = len(kr.items) > 1 || kr.wrapBytes > 0 && kr.maxSizeWrapped() <= kr.wrapBytes && !aggregation.IsAggregated(kr.items[0].record().Data)
}

// maxSizeWrapped bounds the size of an aggregate of the one item.
func (kr *kinesisRecord) maxSizeWrapped() int {
	it := kr.items[0]
	growth := it.maxGrowth(0)
	if it.has(itemUnkeyed) {
		growth = aggregation.MaxGrowth(0, len(unkeyedPartitionKey), kr.unkeyedHash.DecimalLen(), int(it.dataBytes))
	}
	return aggregation.MaxFrame + kr.outerKeyLen() + growth
}

// maxGrowth bounds what an aggregate of n records grows by with the item.
func (it *item) maxGrowth(n int) int {
	digits := 0
	if it.has(itemExplicit) {
		digits = it.hash.DecimalLen()
	}
	size, data := it.sizeAlone(), int(it.dataBytes)
	return aggregation.MaxGrowth(n, size-data, digits, data)
}

// earlier returns the first of two moments, of which 0 means never.
func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// counted returns how many of the items the aggregate has.
func (kr *kinesisRecord) counted() int {
	if kr.agg == nil {
		return 0
	}
	return kr.agg.Len()
}

// addItem puts the item in, and makes the size exact.
func (kr *kinesisRecord) addItem(it *item) {
	if len(kr.items) == 0 {
		kr.outer = kr.hashOf(it)
	}
	kr.items = append(kr.items, it)
	kr.chooseWrapped()
	kr.expires = earlier(kr.expires, it.batch.expires)
	if !kr.wrapped { // it may stay alone
		kr.size = kr.sizeRaw()
		return
	}
	kr.countItems()
}

// countItems makes the aggregate of the items, as far as it is not made yet, and the size
// exact.
func (kr *kinesisRecord) countItems() {
	if rest := kr.items[kr.counted():]; len(rest) > 1 {
		fetchKeys(rest)
	}
	if kr.agg == nil {
		kr.agg = new(aggregation.Builder)
	}
	kr.countItemsWith(kr.agg)
}

func (kr *kinesisRecord) countItemsWith(agg *aggregation.Builder) {
	rest := kr.items[agg.Len():]
	if len(rest) == 0 {
		return
	}
	for _, it := range rest {
		r := it.record()
		if ehk, ok := kr.explicit(it); ok {
			agg.AddExplicit(it.partitionKey(), ehk, r.Data)
		} else {
			agg.Add(r.PartitionKey, r.Data)
		}
	}
	if kr.wrapped {
		kr.size = agg.Size() + kr.outerKeyLen()
	} else {
		kr.size = kr.sizeRaw()
	}
}

// appendData returns what Kinesis stores, and sets aloneUnits. A user record that is not
// wrapped is stored as it is, an aggregate is encoded at the end of buf, and not sealed yet.
// The builder serves for an aggregate that has not been counted.
func (kr *kinesisRecord) appendData(buf []byte, spare *aggregation.Builder) (data, rest []byte, key string) {
	kr.aloneUnits = kr.unitsAlone()
	if !kr.wrapped {
		data = kr.items[0].record().Data
		if data == nil {
			data = []byte{} // the SDK takes nil for a missing field
		}
		return data, buf, kr.rawKey()
	}
	agg := kr.agg
	if kr.counted() == 0 {
		agg = spare
		kr.countItemsWith(agg)
	}
	start := len(buf)
	buf = agg.AppendOpen(buf)
	if agg == spare {
		if agg.Reset(); len(kr.items) > maxKeptItems {
			*agg = aggregation.Builder{}
		}
	}
	key = aggregatePartitionKey
	if kr.keyed {
		key = kr.key
	}
	return buf[start:len(buf):len(buf)], buf, key
}

// resetRecord makes the record ready for other user records and lets go of the old.
func (kr *kinesisRecord) resetRecord() {
	clear(kr.items)
	items := kr.items[:0]
	if kr.agg != nil {
		kr.agg.Reset()
	}
	*kr = kinesisRecord{items: items, agg: kr.agg, inBlock: kr.inBlock}
}

// newRecord takes a record from the pool, which all streams share: a list for each would keep
// what a stream once needed for as long as the stream is in use. The pool has lists, since
// without aggregation there is a record for each user record. While the lock is held the
// pipeline has one of them; see returnSpares.
func (pl *pipeline) newRecord() *kinesisRecord {
	s := pl.spares
	if s == nil || s.n == 0 {
		if full, _ := pl.p.records.Get().(*spareRecords); full != nil {
			pl.returnSpares()
			s = full
		} else {
			if s == nil {
				s = pl.emptyList()
			}
			s.makeRecords(!pl.cfg.aggregation || pl.meta.auto)
		}
		pl.spares = s
	}
	s.n--
	kr := s.list[s.n]
	s.list[s.n] = nil
	kr.keyed = pl.cfg.verify
	return kr
}

// recordsAtOnce is how many records are made together, and in a list.
const recordsAtOnce = 32

// spareRecords is a list of records that are not in use. The last one is used first. Lists are
// short, and records do not lead to others, so that one that is in use keeps no more in
// memory than its block.
type spareRecords struct {
	list [recordsAtOnce]*kinesisRecord
	n    int
}

// makeRecords fills an empty list: in a block, each with room for the item of a record that is
// not aggregated, or with one record. Records of a block are used in the order of memory, so
// that the stages go through it and not to and fro. An aggregate has memory of its own, which
// a block would keep for as long as one of its records is in use.
func (s *spareRecords) makeRecords(block bool) {
	if !block {
		s.list[0], s.n = new(kinesisRecord), 1
		return
	}
	list, items := make([]kinesisRecord, recordsAtOnce), make([]*item, recordsAtOnce)
	for i := range list {
		list[i].items, list[i].inBlock = items[i:i:i+1], true
		s.list[recordsAtOnce-1-i] = &list[i]
	}
	s.n = recordsAtOnce
}

// recycle gives a record back whose items are settled or elsewhere. The records of an answer come
// in the reverse of their order, and the one that comes last is the first to be used again.
func (pl *pipeline) recycle(kr *kinesisRecord) {
	pl.freeShard(kr)
	kr.resetRecord()
	if kept := cap(kr.items); kept > maxKeptItems || kr.inBlock && (kept > 1 || kr.agg != nil) {
		kr.items, kr.agg = nil, nil
	}
	s := pl.spares
	if s == nil || s.n == recordsAtOnce {
		pl.returnSpares()
		s = pl.emptyList()
		pl.spares = s
	}
	s.list[s.n] = kr
	s.n++
}

func (pl *pipeline) emptyList() *spareRecords {
	if s, _ := pl.p.emptyLists.Get().(*spareRecords); s != nil {
		return s
	}
	return new(spareRecords)
}

// returnSpares gives the records back that are not in use. Called before the lock is given back.
func (pl *pipeline) returnSpares() {
	switch s := pl.spares; {
	case s == nil:
		return
	case s.n > 0:
		pl.p.records.Put(s)
	default:
		pl.p.emptyLists.Put(s)
	}
	pl.spares = nil
}

// firstItems is for how many items an aggregate has room at first.
const firstItems = 32

// maxKeptItems and maxOpenItems bound what Kinesis records, requests and shards keep of
// their memory for the next aggregate: some 70 and 8 bytes for each item.
const (
	maxKeptItems = 4096
	maxOpenItems = 1024
)

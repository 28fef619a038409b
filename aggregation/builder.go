// SPDX-License-Identifier: Apache-2.0

package aggregation

import (
	"crypto/md5"
	"encoding/binary"
	"hash/maphash"
	"slices"

	"github.com/outkpl/outkpl/aggregation/internal/md5lanes"
)

// Builder collects user records and encodes them as one aggregate. The zero
// value is ready to use and small (under 300 bytes), so one Builder per shard
// of a large stream is affordable; tables grow with the records added.
//
// A Builder keeps references to the strings and slices handed to it until
// Reset. Until then they must not change. It must not be copied after first
// use and is not safe for concurrent use; the Size methods count as uses too,
// because they remember the key they looked up.
type Builder struct {
	recs []builderRecord
	pks  keyTable[string]
	ehks keyTable[HashKey]
	// seed makes collisions unpredictable: keys often come from outside.
	seed maphash.Seed

	protoBytes int // exact length of the protobuf message
}

type builderRecord struct {
	data []byte
	pk   uint32
	ehk  uint32 // index plus one; 0 if the record has no explicit hash key
}

// Add appends a record whose place on the hash ring follows from its partition
// key.
func (b *Builder) Add(partitionKey string, data []byte) {
	b.protoBytes += b.cost(partitionKey, data)
	b.recs = append(b.recs, builderRecord{data: data, pk: b.usePartitionKey()})
}

// AddExplicit appends a record with an explicit hash key, which overrides the
// partition key's place on the hash ring.
func (b *Builder) AddExplicit(partitionKey string, ehk HashKey, data []byte) {
	b.protoBytes += b.costExplicit(partitionKey, ehk, data)
	pk := b.usePartitionKey()
	if b.ehks.fresh() {
		b.ehks.insert()
	}
	b.recs = append(b.recs, builderRecord{data: data, pk: pk, ehk: uint32(b.ehks.memo.index) + 1})
}

// usePartitionKey returns the index of the partition key last looked up and
// enters it into the table if need be.
func (b *Builder) usePartitionKey() uint32 {
	if b.pks.fresh() {
		b.pks.insert()
	}
	return uint32(b.pks.memo.index)
}

// Len returns the number of user records.
func (b *Builder) Len() int { return len(b.recs) }

// Size returns the exact number of bytes AppendTo would append: 0 if the
// Builder is empty. It takes constant time.
func (b *Builder) Size() int {
	if len(b.recs) == 0 {
		return 0
	}
	return frameBytes + b.protoBytes
}

// SizeWith returns what Size would return after Add with the same arguments,
// without adding anything. It takes constant time. A following Add with the same
// partition key does not hash it again.
func (b *Builder) SizeWith(partitionKey string, data []byte) int {
	return frameBytes + b.protoBytes + b.cost(partitionKey, data)
}

// SizeWithExplicit returns what Size would return after AddExplicit with the
// same arguments, like SizeWith.
func (b *Builder) SizeWithExplicit(partitionKey string, ehk HashKey, data []byte) int {
	return frameBytes + b.protoBytes + b.costExplicit(partitionKey, ehk, data)
}

// cost returns by how much one more record makes the protobuf message grow. It
// leaves the key's table position in the memo.
func (b *Builder) cost(partitionKey string, data []byte) int {
	table := b.partitionKeyCost(partitionKey)
	return table + fieldLen(recordLen(b.pks.memo.index, -1, len(data)))
}

func (b *Builder) costExplicit(partitionKey string, ehk HashKey, data []byte) int {
	table := b.partitionKeyCost(partitionKey)
	if !b.ehks.recall(ehk) {
		b.ehks.search(ehk, b.hashHashKey(ehk))
	}
	if b.ehks.fresh() {
		table += fieldLen(ehk.DecimalLen())
	}
	return table + fieldLen(recordLen(b.pks.memo.index, b.ehks.memo.index, len(data)))
}

// partitionKeyCost looks a partition key up and returns the cost of its table
// entry, nothing if it has one already.
func (b *Builder) partitionKeyCost(partitionKey string) int {
	if !b.pks.recall(partitionKey) {
		b.ensureSeed()
		b.pks.search(partitionKey, uint32(maphash.String(b.seed, partitionKey)))
	}
	if !b.pks.fresh() {
		return 0
	}
	return fieldLen(len(partitionKey))
}

func (b *Builder) hashHashKey(k HashKey) uint32 {
	var buf [16]byte
	binary.NativeEndian.PutUint64(buf[:8], k.Hi)
	binary.NativeEndian.PutUint64(buf[8:], k.Lo)
	return uint32(maphash.Bytes(b.seed, buf[:]))
}

func (b *Builder) ensureSeed() {
	if b.seed == (maphash.Seed{}) {
		b.seed = maphash.MakeSeed()
	}
}

// AppendTo appends the aggregate to dst and returns the extended slice. It
// appends exactly Size bytes, nothing if the Builder is empty, and copies each
// payload once. It allocates only if dst lacks room. The Builder keeps its
// records; call Reset to start the next aggregate. dst must not overlap any
// data added.
func (b *Builder) AppendTo(dst []byte) []byte {
	start := len(dst)
	dst = b.AppendOpen(dst)
	if len(dst) > start {
		Seal(dst[start:])
	}
	return dst
}

// AppendOpen is AppendTo without the checksum: the last 16 bytes are zero until
// [Seal] fills them in. Sealing several aggregates together is faster.
func (b *Builder) AppendOpen(dst []byte) []byte {
	if len(b.recs) == 0 {
		return dst
	}
	dst = slices.Grow(dst, b.Size())
	dst = append(dst, magic...)
	for _, pk := range b.pks.keys {
		dst = append(dst, tagPartitionKey)
		dst = binary.AppendUvarint(dst, uint64(len(pk)))
		dst = append(dst, pk...)
	}
	for _, ehk := range b.ehks.keys {
		// At most 39 digits, so the length is one byte, filled in afterwards.
		dst = append(dst, tagExplicitHashKey, 0)
		at := len(dst)
		dst = ehk.AppendDecimal(dst)
		dst[at-1] = byte(len(dst) - at)
	}
	for i := range b.recs {
		dst = b.recs[i].appendTo(dst)
	}
	var sum [md5.Size]byte
	return append(dst, sum[:]...)
}

// Seal fills in the checksums of aggregates that AppendOpen has made. It does
// not allocate.
func Seal(aggregates ...[]byte) {
	var sums [32][md5.Size]byte
	var messages [32][]byte
	for len(aggregates) > 0 {
		n := min(len(aggregates), len(sums))
		for i, a := range aggregates[:n] {
			messages[i] = a[len(magic) : len(a)-md5.Size]
		}
		md5lanes.Sums(sums[:n], messages[:n])
		for i, a := range aggregates[:n] {
			copy(a[len(a)-md5.Size:], sums[i][:])
		}
		aggregates = aggregates[n:]
	}
}

func (r *builderRecord) appendTo(dst []byte) []byte {
	dst = append(dst, tagRecord)
	dst = binary.AppendUvarint(dst, uint64(recordLen(int(r.pk), int(r.ehk)-1, len(r.data))))
	// proto2 has presence: index 0 and empty data are written.
	dst = append(dst, tagPartitionKeyIndex)
	dst = binary.AppendUvarint(dst, uint64(r.pk))
	if r.ehk != 0 {
		dst = append(dst, tagExplicitHashKeyIndex)
		dst = binary.AppendUvarint(dst, uint64(r.ehk-1))
	}
	dst = append(dst, tagData)
	dst = binary.AppendUvarint(dst, uint64(len(r.data)))
	return append(dst, r.data...)
}

// Reset empties the Builder. It keeps the memory of its tables for the next
// aggregate and drops all references to keys and data.
func (b *Builder) Reset() {
	clear(b.recs)
	b.recs = b.recs[:0]
	b.pks.reset()
	b.ehks.reset()
	b.protoBytes = 0
}

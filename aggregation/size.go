// SPDX-License-Identifier: Apache-2.0

package aggregation

import "math/bits"

const (
	// magic opens every aggregate.
	magic = "\xf3\x89\x9a\xc2"
	// digestBytes is the length of the MD5 at the end.
	digestBytes = 16
	// frameBytes is what an aggregate costs besides its protobuf message.
	frameBytes = len(magic) + digestBytes
)

// Protobuf tags (field number << 3 | wire type) of the messages in doc.go.
const (
	tagPartitionKey    = 1<<3 | wireBytes
	tagExplicitHashKey = 2<<3 | wireBytes
	tagRecord          = 3<<3 | wireBytes

	tagPartitionKeyIndex    = 1<<3 | wireVarint
	tagExplicitHashKeyIndex = 2<<3 | wireVarint
	tagData                 = 3<<3 | wireBytes
)

// varintLen returns the length of v >= 0 as a varint, 7 bits a byte.
func varintLen(v int) int {
	// Nearly all lengths and indices end here. Comparing is faster than counting
	// bits, and the hot path asks several times a record.
	if v < 1<<7 {
		return 1
	}
	if v < 1<<14 {
		return 2
	}
	// (9n+64)/64 equals ceil(n/7) for n in 1..64.
	return (9*bits.Len64(uint64(v)) + 64) >> 6
}

// fieldLen returns the length of a length-delimited field with a one-byte tag.
func fieldLen(n int) int { return 1 + varintLen(n) + n }

// recordLen returns the length of the inside of a Record message. ehkIndex is
// negative if the record has no explicit hash key.
func recordLen(pkIndex, ehkIndex, dataLen int) int {
	n := 1 + varintLen(pkIndex) + fieldLen(dataLen)
	if ehkIndex >= 0 {
		n += 1 + varintLen(ehkIndex)
	}
	return n
}

// MaxGrowth returns by how much an aggregate of this many user records grows by
// one more, if its keys are not in the tables yet. If they are, it grows by less;
// see [Builder.SizeWith] for the exact size. ehkDigits is 0 for a record without
// explicit hash key. The frame of the aggregate is MaxFrame bytes.
func MaxGrowth(records, keyLen, ehkDigits, dataLen int) int {
	ehk, table := -1, fieldLen(keyLen)
	if ehkDigits > 0 {
		ehk = records
		table += fieldLen(ehkDigits)
	}
	return table + fieldLen(recordLen(records, ehk, dataLen))
}

// MaxFrame is what an aggregate has besides the growth by its user records.
const MaxFrame = frameBytes

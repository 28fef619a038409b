// SPDX-License-Identifier: Apache-2.0

package aggregation

import (
	"cmp"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"unsafe"

	"github.com/outkpl/outkpl/aggregation/internal/md5lanes"
)

// HashKey is an unsigned 128-bit number: a position on the hash ring of a
// Kinesis stream. Every shard owns a closed range of positions. The zero value
// is the first position.
type HashKey struct {
	// Hi and Lo are the upper and the lower 64 bits.
	Hi, Lo uint64
}

// MaxHashKey is the last position of the ring, 2^128-1. It must not be changed.
var MaxHashKey = HashKey{Hi: 1<<64 - 1, Lo: 1<<64 - 1}

// HashPartitionKey returns the position of a partition key: the MD5 of its
// bytes, read as a big-endian number. It does not allocate.
//
// Source: "PartitionKey" in the PutRecords API reference,
// https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecordsRequestEntry.html
// (checked 2026-11-24).
func HashPartitionKey(partitionKey string) HashKey {
	// A plain conversion would copy keys longer than 32 bytes to the heap. MD5
	// only reads its input, so the view of the string is safe.
	return hashKeyOf(md5.Sum(unsafe.Slice(unsafe.StringData(partitionKey), len(partitionKey))))
}

// HashPartitionKeys sets dst[i] to HashPartitionKey(keys[i]). It takes a third of
// the time per key, if there are at least eight. dst must not be shorter
// than keys. It does not allocate.
func HashPartitionKeys(dst []HashKey, keys []string) {
	var sums [64][md5.Size]byte
	for len(keys) > 0 {
		n := min(len(keys), len(sums))
		md5lanes.SumStrings(sums[:n], keys[:n])
		for i := range n {
			dst[i] = hashKeyOf(sums[i])
		}
		dst, keys = dst[n:], keys[n:]
	}
}

func hashKeyOf(sum [md5.Size]byte) HashKey {
	return HashKey{Hi: binary.BigEndian.Uint64(sum[:8]), Lo: binary.BigEndian.Uint64(sum[8:])}
}

var (
	errHashKeyEmpty = errors.New("it is empty")
	errHashKeyRange = errors.New("it is too large")
)

// ParseHashKey parses a decimal number from 0 to 2^128-1. Leading zeros are
// accepted and have no meaning (the number is never read as octal). A sign,
// blanks, underscores, a base prefix and digits other than 0 to 9 are refused.
// The text itself is left out of the error, because it may stem from user data.
func ParseHashKey(s string) (HashKey, error) {
	if s == "" {
		return HashKey{}, parseError(errHashKeyEmpty)
	}
	var k HashKey
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return HashKey{}, parseError(fmt.Errorf("byte %d is not a digit", i))
		}
		// k = k*10 + d, watching for a carry out of 128 bits.
		loCarry, lo := bits.Mul64(k.Lo, 10)
		over, hi := bits.Mul64(k.Hi, 10)
		lo, c := bits.Add64(lo, uint64(d), 0)
		hi, c = bits.Add64(hi, loCarry, c)
		if over != 0 || c != 0 {
			return HashKey{}, parseError(errHashKeyRange)
		}
		k = HashKey{Hi: hi, Lo: lo}
	}
	return k, nil
}

func parseError(err error) error {
	return fmt.Errorf("cannot parse explicit hash key (allowed: decimal 0 to 2^128-1): %w", err)
}

// Compare returns -1, 0 or +1 as k lies before, at or after o.
func (k HashKey) Compare(o HashKey) int {
	if c := cmp.Compare(k.Hi, o.Hi); c != 0 {
		return c
	}
	return cmp.Compare(k.Lo, o.Lo)
}

// Less reports whether k lies before o, without a branch that depends on them.
func (k HashKey) Less(o HashKey) bool {
	_, borrow := bits.Sub64(k.Lo, o.Lo, 0)
	_, borrow = bits.Sub64(k.Hi, o.Hi, borrow)
	return borrow != 0
}

// ten19 is the largest power of ten that fits 64 bits; a HashKey has at most
// three digits in this base.
const ten19 = 10_000_000_000_000_000_000

// split returns k in base 10^19. The top digit is at most 3.
func (k HashKey) split() (top, mid, low uint64) {
	qHi := k.Hi / ten19
	qLo, low := bits.Div64(k.Hi%ten19, k.Lo, ten19)
	top, mid = bits.Div64(qHi, qLo, ten19)
	return top, mid, low
}

// AppendDecimal appends the canonical decimal form, the one Kinesis and the KPL
// use: no sign, no leading zeros, "0" for zero.
func (k HashKey) AppendDecimal(dst []byte) []byte {
	if k.Hi == 0 {
		return strconv.AppendUint(dst, k.Lo, 10)
	}
	top, mid, low := k.split()
	if top == 0 {
		dst = strconv.AppendUint(dst, mid, 10)
	} else {
		dst = append(dst, byte('0'+top))
		dst = appendPadded(dst, mid)
	}
	return appendPadded(dst, low)
}

// appendPadded appends v < 10^19 as exactly 19 digits.
func appendPadded(dst []byte, v uint64) []byte {
	var buf [19]byte
	for i := len(buf) - 1; i >= 0; i-- {
		buf[i] = byte('0' + v%10)
		v /= 10
	}
	return append(dst, buf[:]...)
}

// DecimalLen returns the number of bytes AppendDecimal appends, 1 to 39.
func (k HashKey) DecimalLen() int {
	if k.Hi == 0 {
		return digits(k.Lo)
	}
	// Hi != 0 means k >= 2^64 > 10^19, so mid and top cannot both be zero.
	top, mid, _ := k.split()
	if top == 0 {
		return 19 + digits(mid)
	}
	return 39
}

// digits returns the length of v in decimal.
func digits(v uint64) int {
	// 1233/4096 is just above log10(2): n is the length or one below it.
	n := bits.Len64(v) * 1233 >> 12
	if v >= powersOfTen[n] {
		n++
	}
	return max(n, 1)
}

// powersOfTen is an immutable table of 10^i.
var powersOfTen = [20]uint64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
	1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}

// String returns the canonical decimal form.
func (k HashKey) String() string {
	var buf [39]byte
	return string(k.AppendDecimal(buf[:0]))
}

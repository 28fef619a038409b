// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"crypto/md5"
	"encoding/binary"
	"math/bits"
	"strconv"
	"unsafe"
)

// hashKey is a position on the hash ring, 0 to 2^128-1. The package has its own
// arithmetic on purpose: a fake that shared the producer's could not show a
// mistake in it.
type hashKey struct{ hi, lo uint64 }

var maxHashKey = hashKey{^uint64(0), ^uint64(0)}

// pow10 holds the powers of ten that fit into an uint64.
var pow10 = [20]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

// md5Key is the position of a partition key: MD5 of its UTF-8 bytes, big-endian.
func md5Key(partitionKey string) hashKey {
	sum := md5.Sum(unsafe.Slice(unsafe.StringData(partitionKey), len(partitionKey)))
	return hashKey{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:])}
}

func (k hashKey) less(o hashKey) bool {
	return k.hi < o.hi || k.hi == o.hi && k.lo < o.lo
}

func (k hashKey) add(o hashKey) hashKey {
	lo, c := bits.Add64(k.lo, o.lo, 0)
	hi, _ := bits.Add64(k.hi, o.hi, c)
	return hashKey{hi, lo}
}

func (k hashKey) sub(o hashKey) hashKey {
	lo, b := bits.Sub64(k.lo, o.lo, 0)
	hi, _ := bits.Sub64(k.hi, o.hi, b)
	return hashKey{hi, lo}
}

// mulAdd returns k*m+a; ok is false if that does not fit into 128 bits.
func (k hashKey) mulAdd(m, a uint64) (r hashKey, ok bool) {
	over, top := bits.Mul64(k.hi, m)
	carry, lo := bits.Mul64(k.lo, m)
	hi, c1 := bits.Add64(top, carry, 0)
	lo, c := bits.Add64(lo, a, 0)
	hi, c2 := bits.Add64(hi, 0, c)
	return hashKey{hi, lo}, over == 0 && c1 == 0 && c2 == 0
}

// div returns the quotient and the remainder of k/d.
func (k hashKey) div(d uint64) (q hashKey, rem uint64) {
	q.hi, rem = k.hi/d, k.hi%d
	q.lo, rem = bits.Div64(rem, k.lo, d)
	return q, rem
}

func (k hashKey) String() string {
	if k.hi == 0 {
		return strconv.FormatUint(k.lo, 10)
	}
	var buf [39]byte
	i := len(buf)
	for k != (hashKey{}) {
		var rem uint64
		k, rem = k.div(1e19)
		for d := 0; d < 19 && (rem > 0 || k != (hashKey{})); d++ {
			i--
			buf[i] = byte('0' + rem%10)
			rem /= 10
		}
	}
	return string(buf[i:])
}

// matchesHashKeyPattern reports whether s fits the pattern of the API model,
// 0|([1-9]\d{0,38}).
func matchesHashKeyPattern(s string) bool {
	if s == "0" {
		return true
	}
	if s == "" || len(s) > 39 || s[0] < '1' || s[0] > '9' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// parseHashKey parses a string that matches the pattern; ok is false if the
// number is above 2^128-1.
func parseHashKey(s string) (k hashKey, ok bool) {
	for s != "" {
		n := min(len(s), 19)
		var part uint64
		for i := range n {
			part = part*10 + uint64(s[i]-'0')
		}
		if k, ok = k.mulAdd(pow10[n], part); !ok {
			return k, false
		}
		s = s[n:]
	}
	return k, true
}

// evenStarts returns the first hash keys of n ranges of floor(2^128/n).
func evenStarts(n int) []hashKey {
	starts := make([]hashKey, n)
	if n < 2 {
		return starts
	}
	step, rem := maxHashKey.div(uint64(n))
	if rem == uint64(n)-1 { // 2^128 itself is divisible by n
		step = step.add(hashKey{0, 1})
	}
	for i := 1; i < n; i++ {
		starts[i] = starts[i-1].add(step)
	}
	return starts
}

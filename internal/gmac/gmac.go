// SPDX-License-Identifier: Apache-2.0

package gmac

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"math/bits"
)

// Size is that of a sum, and of the blocks in which messages are worked.
const Size = 16

const (
	stride    = 64            // blocks that are multiplied before the sum is reduced
	strideLen = stride * Size // in bytes
	// leastWide is the length of messages for which it is worth it.
	leastWide = 2 * strideLen
)

// MAC is GMAC with one key.
type MAC struct {
	gcm  cipher.AEAD
	mask [Size]byte // what is added to the hash of a message
	// table is what blocks are multiplied with, for sumWide alone.
	table table
}

// table has the powers of the key of the hash, the highest first, as the processor's multiplication of
// mirrored polynomials takes them, and the sums of their halves.
type table struct {
	powers [stride]element
	sums   [stride]element // the same in both halves
}

// element is one of the field, the low half first.
type element struct{ lo, hi uint64 }

// New makes a MAC with a key of 32 bytes.
func New(key []byte) (*MAC, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	m := &MAC{gcm: gcm}
	if wide {
		first := [Size]byte{Size - 1: 1} // the block of the counter with a nonce of zeros
		block.Encrypt(m.mask[:], first[:])
		var zero, h [Size]byte
		block.Encrypt(h[:], zero[:])
		m.table.fill(element{binary.BigEndian.Uint64(h[8:]), binary.BigEndian.Uint64(h[:8])})
	}
	return m, nil
}

// Sum is that of a message.
func (m *MAC) Sum(message []byte) [Size]byte {
	if wide && len(message) >= leastWide {
		return m.sumWide(message)
	}
	return m.sumStandard(message)
}

func (m *MAC) sumStandard(message []byte) (sum [Size]byte) {
	var nonce [12]byte
	m.gcm.Seal(sum[:0], nonce[:], nil, message)
	return sum
}

// sumWide is Sum of messages of at least strideLen bytes.
func (m *MAC) sumWide(message []byte) (sum [Size]byte) {
	n := len(message) / strideLen
	hashBlocks(&m.table, &sum, &message[0], n)
	// What is left and the block with the lengths are up to stride+1 blocks. Zeros before them do not count.
	rest := message[n*strideLen:]
	var end [2 * strideLen]byte
	start := len(end) - Size - (len(rest)+Size-1)/Size*Size
	copy(end[start:], rest)
	binary.BigEndian.PutUint64(end[len(end)-Size:], 8*uint64(len(message)))
	subtle.XORBytes(end[start:], end[start:], sum[:])
	sum = [Size]byte{}
	from := start / strideLen * strideLen
	hashBlocks(&m.table, &sum, &end[from], (len(end)-from)/strideLen)
	subtle.XORBytes(sum[:], sum[:], m.mask[:])
	return sum
}

// reduction is x^128 + x^127 + x^126 + x^121 + 1, mirrored, without its highest term.
const reduction = 0xc2 << 56

// fill makes the table of a key. The product of mirrored polynomials is off by one bit, so the powers are
// multiplied by x beforehand.
func (t *table) fill(h element) {
	over := h.hi >> 63
	h.hi, h.lo = h.hi<<1|h.lo>>63, h.lo<<1
	h.hi ^= over * reduction
	h.lo ^= over
	power := h
	for i := stride - 1; ; i-- {
		t.powers[i], t.sums[i] = power, element{power.lo ^ power.hi, power.lo ^ power.hi}
		if i == 0 {
			return
		}
		power = power.times(h)
	}
}

// times multiplies, as hashBlocks does, but a bit at a time.
func (a element) times(b element) element {
	low, high := clmul(a.lo, b.lo), clmul(a.hi, b.hi)
	mid := clmul(a.lo^a.hi, b.lo^b.hi)
	mid.lo, mid.hi = mid.lo^low.lo^high.lo, mid.hi^low.hi^high.hi
	low.hi ^= mid.lo
	high.lo ^= mid.hi
	for range 2 {
		t := clmul(low.lo, reduction)
		low.lo, low.hi = low.hi^t.lo, low.lo^t.hi
	}
	return element{high.lo ^ low.lo, high.hi ^ low.hi}
}

// clmul is the product of two polynomials over GF(2).
func clmul(a, b uint64) (product element) {
	for ; b != 0; b &= b - 1 {
		n := bits.TrailingZeros64(b)
		product.lo ^= a << n
		product.hi ^= a >> (64 - n) // 0 for n = 0
	}
	return product
}

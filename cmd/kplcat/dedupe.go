// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"

	"github.com/outkpl/outkpl/aggregation"
)

// outerKeyBytes is the length of the partition key that the producer gives to an aggregate
// with verify_uncertain, to find it again. A test makes such keys with the producer.
const outerKeyBytes = 16

// fingerprint tells contents apart: half of a SHA-256.
type fingerprint [sha256.Size / 2]byte

func fingerprintOf(parts ...string) (f fingerprint) {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
	}
	var sum [sha256.Size]byte
	copy(f[:], h.Sum(sum[:0]))
	return f
}

// copies knows the last Kinesis records that were shown and can come again. It finds those
// that came before with the same content: the producer has sent them again because
// the first answer was lost.
type copies struct {
	known map[fingerprint]struct{}
	ring  []fingerprint // in their order, from next on
	next  int
	most  int
}

func newCopies(most int) *copies { return &copies{known: map[fingerprint]struct{}{}, most: most} }

// canTell reports whether a record can be told from one that was written with the same
// content on purpose: it is an aggregate with a random key of its own. Other libraries
// give an aggregate the key of its first user record, which can have the same form.
func canTell(r *record, users []aggregation.UserRecord, aggregated bool) bool {
	if !aggregated || len(r.key) != outerKeyBytes {
		return false
	}
	for _, c := range []byte(r.key) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	for i := range users {
		if users[i].PartitionKey == r.key {
			return false
		}
	}
	return true
}

// has reports whether a record came before, and otherwise remembers it, if keep is set.
func (c *copies) has(r *record, keep bool) bool {
	f := fingerprintOf(r.key, string(r.data))
	if _, known := c.known[f]; known || !keep {
		return known
	}
	if len(c.ring) < c.most {
		c.ring = append(c.ring, f)
	} else {
		delete(c.known, c.ring[c.next])
		c.ring[c.next] = f
		c.next = (c.next + 1) % c.most
	}
	c.known[f] = struct{}{}
	return false
}

// SPDX-License-Identifier: Apache-2.0

package core

import (
	"math/rand/v2"
)

// verifyKeyBytes is the length of the partition key of an aggregate that can be found
// again. There are 2^95 of 16 characters, so that no two aggregates in a stream have
// the same.
const verifyKeyBytes = 16

const verifyKeyChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// aggregateKeyLen returns the length of the partition key that aggregates have.
func (c *config) aggregateKeyLen() int {
	if c.verify {
		return verifyKeyBytes
	}
	return len(aggregatePartitionKey)
}

// wrapLimit returns the most bytes that a user record may have that is wrapped alone, 0 for
// none. What is close to the record limit has no room for the frame and is not wrapped.
func (pl *pipeline) wrapLimit() int {
	if !pl.cfg.verify || pl.cfg.aggregationMaxCount < 2 {
		return 0
	}
	return pl.meta.maxRecordBytes
}

// makeVerifyKeys gives the aggregates that are sent for the first time keys of their own. A
// key stays with the bytes of the aggregate, however often these are sent.
func (r *request) makeVerifyKeys() {
	n := 0
	for _, kr := range r.records {
		if kr.needsVerifyKey() {
			n++
		}
	}
	if n == 0 {
		return
	}
	buf := make([]byte, 0, n*verifyKeyBytes)
	for range n {
		buf = appendVerifyKey(buf)
	}
	all := string(buf)
	for _, kr := range r.records {
		if kr.needsVerifyKey() {
			kr.key, all = all[:verifyKeyBytes], all[verifyKeyBytes:]
		}
	}
}

func (kr *kinesisRecord) needsVerifyKey() bool { return kr.keyed && kr.wrapped && kr.key == "" }

func appendVerifyKey(buf []byte) []byte {
	const perNumber = 8 // 62^8 is far below 2^64, so that all characters are equally likely
	for n := 0; n < verifyKeyBytes; n += perNumber {
		x := rand.Uint64()
		for range perNumber {
			buf = append(buf, verifyKeyChars[x%uint64(len(verifyKeyChars))])
			x /= uint64(len(verifyKeyChars))
		}
	}
	return buf
}

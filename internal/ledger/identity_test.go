// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
)

// Content that is taken for other content is lost, so what stands for content must have
// more bits than there will ever be contents, whichever client chooses them. Of 2^18 contents, 16
// bits would mistake nearly all, 32 bits some eight.
func TestContentsAreToldApartByManyBits(t *testing.T) {
	seen := map[Identity]int{}
	var content [8]byte
	for i := range 1 << 18 {
		binary.BigEndian.PutUint64(content[:], uint64(i))
		k := IdentityOf(Scope{Name: "tag"}, content[:])
		if other, known := seen[k]; known {
			t.Fatalf("unexpected identity of contents %d and %d", other, i)
		}
		seen[k] = i
	}
	if IdentityOf(Scope{Name: "tag", Fingerprint: Fingerprint{1}}, content[:]) == IdentityOf(Scope{Name: "tag"}, content[:]) {
		t.Error("unexpected identity; want another one where records are made otherwise")
	}
	k, sum := IdentityOf(Scope{Name: "tag"}, content[:]), sha256.Sum256(content[:])
	if len(k.Hash) < 16 || string(k.Hash[:]) != string(sum[:len(k.Hash)]) {
		t.Errorf("unexpected identity %x; want 16 bytes at least of %x", k.Hash, sum)
	}
}

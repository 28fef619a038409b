// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Fingerprint stands for everything that shapes the records of contents: what is
// remembered by numbers of records means nothing where they are shaped otherwise.
type Fingerprint [16]byte

// Scope is within what contents are told apart.
type Scope struct {
	// Name is a tag, or a route and a client.
	Name string
	// Fingerprint is that of the records made of the content.
	Fingerprint Fingerprint
}

// Identity stands for content. It is a value of its own, so that it can be kept where the
// content is not.
type Identity struct {
	Scope  Scope
	Length int
	// Hash is the first half of the content's SHA-256; see the package's comment for why.
	Hash [16]byte
}

// IdentityOf reads all of content.
func IdentityOf(scope Scope, content []byte) Identity {
	sum := sha256.Sum256(content)
	return Identity{scope, len(content), [16]byte(sum[:16])}
}

// identityVersion is the first byte of the written form.
const identityVersion = 1

// AppendBinary appends the written form: a byte with the version of the form, which is 1;
// the length of the scope's name, and the name; the 16 bytes of the fingerprint; the
// length of the content; the 16 bytes of the hash. Lengths are unsigned varints as of
// package encoding/binary, in as few bytes as possible.
func (id *Identity) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, identityVersion)
	b = binary.AppendUvarint(b, uint64(len(id.Scope.Name)))
	b = append(b, id.Scope.Name...)
	b = append(b, id.Scope.Fingerprint[:]...)
	b = binary.AppendUvarint(b, uint64(id.Length))
	return append(b, id.Hash[:]...), nil
}

// UnmarshalBinary makes id the Identity that was written.
func (id *Identity) UnmarshalBinary(b []byte) error {
	if len(b) == 0 || b[0] != identityVersion {
		return fmt.Errorf("cannot read an identity that begins with %x; known: version %d", b[:min(len(b), 1)], identityVersion)
	}
	var read Identity
	n, size := binary.Uvarint(b[1:])
	if size <= 0 || n > uint64(len(b)-1-size) {
		return errors.New("cannot read an identity: the name breaks off")
	}
	rest := b[1+size:]
	read.Scope.Name, rest = string(rest[:n]), rest[n:]
	rest = rest[copy(read.Scope.Fingerprint[:], rest):]
	length, size := binary.Uvarint(rest)
	if size <= 0 || length > math.MaxInt64 || len(rest) != size+len(read.Hash) {
		return errors.New("cannot read an identity: its length is wrong")
	}
	read.Length = int(length)
	copy(read.Hash[:], rest[size:])
	// There is one form for each identity.
	if again, _ := read.AppendBinary(nil); !bytes.Equal(again, b) {
		return errors.New("cannot read an identity: a length is in more bytes than needed")
	}
	*id = read
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"strings"
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
	if len(k.Hash) < 16 || !bytes.Equal(k.Hash[:], sum[:len(k.Hash)]) {
		t.Errorf("unexpected identity %x; want 16 bytes at least of %x", k.Hash, sum)
	}
}

func TestIdentitiesHaveAWrittenForm(t *testing.T) {
	id := Identity{Scope: Scope{Name: "tag", Fingerprint: Fingerprint{1, 15: 2}}, Length: 300, Hash: [16]byte{3, 15: 4}}
	form := "\x01\x03tag\x01" + strings.Repeat("\x00", 14) + "\x02\xac\x02\x03" + strings.Repeat("\x00", 14) + "\x04"
	if got, err := id.AppendBinary(nil); err != nil || string(got) != form {
		t.Errorf("unexpected form; got %q, %v; want %q", got, err, form)
	}
	var read Identity
	if err := read.UnmarshalBinary([]byte(form)); err != nil || read != id {
		t.Errorf("unexpected identity; got %+v, %v; want %+v", read, err, id)
	}
	for _, c := range []struct{ name, form, want string }{
		{"nothing", "", "known: version 1"},
		{"another version", "\x02" + form[1:], "known: version 1"},
		{"half a name", form[:3], "the name breaks off"},
		{"a name longer than the rest", "\x01\x7f" + form[2:], "the name breaks off"},
		{"half a fingerprint", form[:12], "its length is wrong"},
		{"half a hash", form[:len(form)-1], "its length is wrong"},
		{"more behind it", form + "x", "its length is wrong"},
		{"a length in too many bytes", "\x01\x83\x00" + form[2:], "more bytes than needed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			kept := read
			if err := read.UnmarshalBinary([]byte(c.form)); err == nil || !strings.Contains(err.Error(), c.want) || read != kept {
				t.Errorf("unexpected error; got %v, %+v; want %q, and the identity as it was", err, read, c.want)
			}
		})
	}
}

func FuzzIdentity(f *testing.F) {
	for _, name := range []string{"", "tag"} {
		id := IdentityOf(Scope{Name: name}, []byte("content"))
		form, _ := id.AppendBinary(nil)
		f.Add(form)
	}
	f.Fuzz(func(t *testing.T, form []byte) {
		var id Identity
		if id.UnmarshalBinary(form) != nil {
			return
		}
		if got, err := id.AppendBinary(nil); err != nil || !bytes.Equal(got, form) {
			t.Fatalf("unexpected form; got %x, %v; want %x", got, err, form)
		}
	})
}

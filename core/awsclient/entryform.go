// SPDX-License-Identifier: Apache-2.0

package awsclient

import (
	"bytes"
	"math"

	"github.com/outkpl/outkpl/internal/cbor"
)

// entryForm is the form of an entry of a record that was stored. As a rule all of an answer have the
// same, with texts of the same lengths, so that what is around the texts is only compared.
type entryForm struct {
	like       []byte // an entry of this form; empty if none is known
	number, id place
	learned    int
}

// maxForms bounds how many forms of an answer are learned, one after the other.
const maxForms = 8

// place is where a text lies in an entry.
type place struct{ from, to int }

// learn takes up the form of an entry that has both texts and nothing else.
func (f *entryForm) learn(entry []byte, number, id place) {
	f.like = nil
	if number.to == 0 || id.to == 0 || f.learned == maxForms {
		return
	}
	r, members := cbor.NewReader(entry), 0
	for l := r.Map(); r.More(&l); members++ {
		r.Skip()
		r.Skip()
	}
	if members == 2 && r.End() == nil {
		f.like, f.number, f.id = entry, number, id
		f.learned++
	}
}

// placeIn returns where a text lies that has just been read of an entry. A text in pieces has no
// place, and one of which the length is unusual.
func placeIn(read, text []byte) place {
	n := len(text)
	from := len(read) - n
	short := n < 24 && from > 0 && read[from-1] == 0x60|byte(n)
	long := n >= 24 && n <= math.MaxUint8 && from > 1 && read[from-2] == 0x78 && read[from-1] == byte(n)
	if n == 0 || !short && !long || !bytes.Equal(read[from:], text) {
		return place{}
	}
	return place{from, from + n}
}

// take reads an entry if it has the form.
func (f *entryForm) take(r *cbor.Reader) (number, id []byte, ok bool) {
	n, b := len(f.like), r.Rest()
	if n == 0 || len(b) < n {
		return nil, nil, false
	}
	one, two := f.number, f.id
	if one.from > two.from {
		one, two = two, one
	}
	if !bytes.Equal(b[:one.from], f.like[:one.from]) || !bytes.Equal(b[one.to:two.from], f.like[one.to:two.from]) ||
		!bytes.Equal(b[two.to:n], f.like[two.to:]) {
		return nil, nil, false
	}
	r.Advance(n)
	return b[f.number.from:f.number.to], b[f.id.from:f.id.to], true
}

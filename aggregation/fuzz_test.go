// SPDX-License-Identifier: Apache-2.0

package aggregation

import (
	"bytes"
	"strings"
	"testing"
)

// script turns fuzz input into user records. Four bytes make a record: flags,
// choice of the keys, key length, data length. Flags scale the lengths up, so
// that few bytes reach every length of a varint; a repeat count makes tables
// of more than 128 entries.
func script(in []byte) []UserRecord {
	var recs []UserRecord
	for len(in) >= 4 && len(recs) < 3000 {
		flags, choice, keyLen, dataLen := in[0], in[1], int(in[2]), int(in[3])
		in = in[4:]
		if flags&1 != 0 {
			keyLen *= 70
		}
		if flags&2 != 0 {
			dataLen *= 70
		}
		repeat := 1
		if flags&4 != 0 {
			repeat = 150
			keyLen, dataLen = keyLen%20, dataLen%20
		}
		for i := range repeat {
			r := UserRecord{
				PartitionKey: strings.Repeat(string([]byte{choice + byte(i)}), keyLen),
				Data:         bytes.Repeat([]byte{flags}, dataLen),
			}
			if flags&8 != 0 {
				k := HashKey{Lo: uint64(choice) * uint64(i+1)}
				if flags&16 != 0 {
					k.Hi = uint64(choice) << (uint(dataLen) % 57)
				}
				r.ExplicitHashKey = k.String()
			}
			recs = append(recs, r)
		}
	}
	return recs
}

func addScripts(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte("\x00\x00\x00\x00"))
	f.Add([]byte("\x00a\x01\x01\x00b\x01\x01"))
	f.Add([]byte("\x08\x00\x01\x01\x18\xff\x01\x38\x00a\x01\x7f\x00a\x01\x80"))
	f.Add([]byte("\x01a\xff\x01\x02a\x01\xff\x03b\xea\xea"))
	f.Add([]byte("\x04a\x05\x01\x04b\x06\x01\x0ca\x05\x05\x1ca\x05\x05\x00a\x05\x01"))
}

// Any bytes, bare and in a valid frame: no panic, nothing lost, and what decodes
// survives another round.
func FuzzDeaggregate(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.blob)
		f.Add(v.blob[len(magic) : len(v.blob)-digestBytes])
	}
	f.Add([]byte("\n\x01k\x1a\x0a\x08\x00\x1a\x00\x22\x04\x0a\x00\x12\x00\x20\x05\x2d????"))
	f.Add([]byte("\n\x01k\x1a\x04\x08\x80\x80\x80"))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, blob := range [][]byte{in, frame(in)} {
			recs, aggregated := Deaggregate("the key", "17", blob)
			if !aggregated {
				checkPlain(t, blob)
				continue
			}
			if len(recs) == 0 {
				t.Fatal("unexpected aggregate without a record")
			}
			if !IsAggregated(blob) {
				t.Fatal("unexpected aggregate without a frame")
			}
			var b Builder
			for i := range recs {
				// The builder writes neither tags nor odd hash keys.
				recs[i].Tags = nil
				if k, err := ParseHashKey(recs[i].ExplicitHashKey); err == nil {
					recs[i].ExplicitHashKey = k.String()
				} else {
					recs[i].ExplicitHashKey = ""
				}
			}
			addAll(t, &b, recs)
			again, _ := Deaggregate("", "", checkBlob(t, &b))
			if d := diff(again, recs); d != "" {
				t.Fatal(d)
			}
		}
	})
}

// Encoding and decoding gives the records back, also with a builder used before.
func FuzzRoundTrip(f *testing.F) {
	addScripts(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		recs := script(in)
		var b Builder
		var first []byte
		for range 2 {
			addAll(t, &b, recs)
			blob := checkBlob(t, &b)
			if len(recs) == 0 {
				return
			}
			got, aggregated := Deaggregate("a", "", blob)
			if !aggregated {
				t.Fatal("unexpected plain record; want an aggregate")
			}
			if d := diff(got, recs); d != "" {
				t.Fatal(d)
			}
			if first != nil && !bytes.Equal(blob, first) {
				t.Fatal("unexpected other bytes from a builder used before")
			}
			first = blob
			b.Reset()
		}
	})
}

// The size foretold, the size kept and the encoded size are one.
func FuzzSize(f *testing.F) {
	addScripts(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		recs := script(in)
		var b Builder
		for i, r := range recs {
			var ehk *HashKey
			if r.ExplicitHashKey != "" {
				k, err := ParseHashKey(r.ExplicitHashKey)
				if err != nil {
					t.Fatal(err)
				}
				ehk = &k
				if i%2 == 0 {
					b.SizeWith(recs[i/2].PartitionKey, r.Data)
				}
			}
			checkAdd(t, &b, r.PartitionKey, ehk, r.Data)
		}
		checkBlob(t, &b)
	})
}

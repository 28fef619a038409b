// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"strconv"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// BenchmarkYardstick measures the same work done in two other ways, to compare with
// BenchmarkBuilderAdd/whole in the same run: the usual one, by way of maps, and
// a direct pass without any check, which is as fast as it could be.
func BenchmarkYardstick(b *testing.B) {
	chunk := kubernetesChunk(benchChunkBytes)
	b.Run("maps", func(b *testing.B) {
		b.SetBytes(int64(len(chunk)))
		b.ReportAllocs()
		for b.Loop() {
			r := NewChunkReader(chunk)
			var ev Event
			for r.Next(&ev) != io.EOF {
				var m map[string]any
				if err := msgpack.Unmarshal(ev.Body, &m); err != nil {
					b.Fatal(err)
				}
				if _, err := json.Marshal(m); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("unchecked", func(b *testing.B) {
		b.SetBytes(int64(len(chunk)))
		b.ReportAllocs()
		var dst []byte
		for b.Loop() {
			dst = dst[:0]
			for i := 0; i < len(chunk); {
				dst, i = unchecked(dst, chunk, i+13) // the head of the fast encoder
			}
		}
	})
}

// unchecked knows the forms that kubernetesChunk has and trusts all of them.
func unchecked(dst, b []byte, i int) ([]byte, int) {
	n := 0
	switch t := b[i]; {
	case t < 0x80:
		return strconv.AppendUint(dst, uint64(t), 10), i + 1
	case t < 0x90:
		dst = append(dst, '{')
		i++
		for k := range int(t & 0x0f) {
			if k > 0 {
				dst = append(dst, ',')
			}
			dst, i = unchecked(dst, b, i)
			dst = append(dst, ':')
			dst, i = unchecked(dst, b, i)
		}
		return append(dst, '}'), i
	case t < 0xc0:
		n, i = int(t&0x1f), i+1
	case t == 0xd9:
		n, i = int(b[i+1]), i+2
	default:
		n, i = int(binary.BigEndian.Uint16(b[i+1:])), i+3
	}
	dst = append(dst, '"')
	s := b[i : i+n]
	for q := bytes.IndexByte(s, '"'); q >= 0; q = bytes.IndexByte(s, '"') {
		dst = append(append(dst, s[:q]...), '\\', '"')
		s = s[q+1:]
	}
	return append(append(dst, s...), '"'), i + n
}

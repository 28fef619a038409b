// SPDX-License-Identifier: Apache-2.0

package aggregation

import (
	"fmt"
	"testing"
)

const benchLimitBytes = 50 << 10

func benchKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("key-%012d", i)
	}
	return keys
}

// The cost of one user record without the final encoding, as the producer's hot
// path needs it.
func BenchmarkSizeWithAdd(b *testing.B) {
	data := make([]byte, 200)
	for _, bm := range []struct {
		name       string
		keys       int
		limitBytes int
		explicit   bool
	}{
		{"distinct keys 50KiB", 1 << 13, 50 << 10, false},
		{"distinct keys 1MiB", 1 << 13, 1 << 20, false},
		{"one key 50KiB", 1, 50 << 10, false},
		{"distinct keys and hash keys 50KiB", 1 << 13, 50 << 10, true},
	} {
		b.Run(bm.name, func(b *testing.B) {
			keys := benchKeys(bm.keys)
			var agg Builder
			var i int
			b.ReportAllocs()
			for b.Loop() {
				key := keys[i&(len(keys)-1)]
				i++
				if bm.explicit {
					ehk := HashKey{Hi: uint64(i) << 40, Lo: uint64(i)}
					if agg.SizeWithExplicit(key, ehk, data) > bm.limitBytes {
						agg.Reset()
					}
					agg.AddExplicit(key, ehk, data)
					continue
				}
				if agg.SizeWith(key, data) > bm.limitBytes {
					agg.Reset()
				}
				agg.Add(key, data)
			}
		})
	}
}

func BenchmarkAppendTo(b *testing.B) {
	for _, dataLen := range []int{200, 4000} {
		b.Run(fmt.Sprintf("%dB records", dataLen), func(b *testing.B) {
			agg := filled(dataLen)
			buf := make([]byte, 0, agg.Size())
			b.SetBytes(int64(agg.Size()))
			b.ReportAllocs()
			for b.Loop() {
				buf = agg.AppendTo(buf[:0])
			}
		})
	}
}

func BenchmarkDeaggregate(b *testing.B) {
	blob := filled(200).AppendTo(nil)
	b.SetBytes(int64(len(blob)))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := Deaggregate("a", "", blob); !ok {
			b.Fatal("unexpected plain record")
		}
	}
}

func BenchmarkHashPartitionKey(b *testing.B) {
	key := benchKeys(1)[0]
	b.ReportAllocs()
	for b.Loop() {
		HashPartitionKey(key)
	}
}

func BenchmarkParseHashKey(b *testing.B) {
	s := MaxHashKey.String()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseHashKey(s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHashKeyAppendDecimal(b *testing.B) {
	var buf [39]byte
	b.ReportAllocs()
	for b.Loop() {
		MaxHashKey.AppendDecimal(buf[:0])
	}
}

// filled returns an aggregate of about 50 KiB with distinct keys.
func filled(dataLen int) *Builder {
	var agg Builder
	data := make([]byte, dataLen)
	for _, key := range benchKeys(benchLimitBytes) {
		if agg.SizeWith(key, data) > benchLimitBytes {
			break
		}
		agg.Add(key, data)
	}
	return &agg
}

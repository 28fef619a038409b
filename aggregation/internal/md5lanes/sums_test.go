// SPDX-License-Identifier: Apache-2.0

package md5lanes

import (
	"crypto/md5"
	"fmt"
	"math/rand/v2"
	"testing"
)

func check(t *testing.T, messages [][]byte) {
	t.Helper()
	sums := make([][16]byte, len(messages))
	Sums(sums, messages)
	texts := make([]string, len(messages))
	for i, m := range messages {
		texts[i] = string(m)
		if want := md5.Sum(m); sums[i] != want {
			t.Errorf("unexpected sum of message %d of %d (%d bytes); got %x; want %x", i, len(messages), len(m), sums[i], want)
		}
	}
	short := make([][16]byte, len(messages))
	SumStrings(short, texts)
	for i := range short {
		if short[i] != sums[i] {
			t.Errorf("unexpected sum of string %d of %d (%d bytes); got %x; want %x", i, len(messages), len(texts[i]), short[i], sums[i])
		}
	}
}

func TestSumsAreThoseOfTheStandardLibrary(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	t.Run("every length around a block, any number of messages", func(t *testing.T) {
		for count := range 20 {
			for n := range 200 {
				messages := make([][]byte, count)
				for i := range messages {
					messages[i] = random((n + i*7) % 200)
				}
				check(t, messages)
			}
		}
	})
	t.Run("very unequal lengths", func(t *testing.T) {
		check(t, [][]byte{random(0), random(1 << 20), random(64), nil, random(51200), random(51180), random(63), random(65), random(3), random(maxBlocks * 64), random(maxBlocks*64 + 1)})
	})
	t.Run("random lengths", func(t *testing.T) {
		for range 50 {
			messages := make([][]byte, rng.IntN(40))
			for i := range messages {
				messages[i] = random(rng.IntN(3000))
			}
			check(t, messages)
		}
	})
}

func FuzzSums(f *testing.F) {
	f.Add([]byte("a message of some length"), uint8(3), uint8(9))
	f.Fuzz(func(t *testing.T, data []byte, count, step uint8) {
		var messages [][]byte
		for i := range int(count) {
			at := min(i*int(step), len(data))
			messages = append(messages, data[at:min(len(data), at+int(step)*i)])
		}
		check(t, messages)
	})
}

func BenchmarkSums(b *testing.B) {
	for _, c := range []struct{ count, size int }{{1, 51200}, {2, 51200}, {4, 51200}, {8, 51200}, {16, 51200}, {16, 400}} {
		messages := make([][]byte, c.count)
		for i := range messages {
			messages[i] = make([]byte, c.size-i)
		}
		sums := make([][16]byte, c.count)
		b.Run(fmt.Sprintf("%dx%d", c.count, c.size), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(c.count * c.size))
			for b.Loop() {
				Sums(sums, messages)
			}
		})
	}
}

func BenchmarkSumStrings(b *testing.B) {
	messages := make([]string, 512)
	for i := range messages {
		messages[i] = fmt.Sprintf("partition-key-%d", i)
	}
	sums := make([][16]byte, len(messages))
	b.ReportAllocs()
	for b.Loop() {
		SumStrings(sums, messages)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(messages)), "ns/key")
}

// SPDX-License-Identifier: Apache-2.0

package gmac

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"math/rand/v2"
	"testing"
)

// standard is GMAC of the standard library.
func standard(t testing.TB, key, message []byte) (sum [Size]byte) {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	copy(sum[:], gcm.Seal(nil, make([]byte, 12), nil, message))
	return sum
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func check(t *testing.T, m *MAC, key, message []byte) {
	t.Helper()
	want := standard(t, key, message)
	if got := m.Sum(message); got != want {
		t.Errorf("unexpected sum of %d bytes; got %x; want %x", len(message), got, want)
	}
	if !wide || len(message) < strideLen {
		return
	}
	if got := m.sumWide(message); got != want {
		t.Errorf("unexpected sum of %d bytes, widest way; got %x; want %x", len(message), got, want)
	}
	if !widest {
		return
	}
	defer func() { widest = true }()
	widest = false
	if got := m.sumWide(message); got != want {
		t.Errorf("unexpected sum of %d bytes, two blocks at once; got %x; want %x", len(message), got, want)
	}
}

func mustNew(t testing.TB, key []byte) *MAC {
	t.Helper()
	m, err := New(key)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSumsAreThoseOfTheStandardLibrary(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		key := randomBytes(rng, 32)
		m := mustNew(t, key)
		for n := range 4*strideLen + 20 {
			check(t, m, key, randomBytes(rng, n))
		}
		for range 20 {
			check(t, m, key, randomBytes(rng, rng.IntN(100_000)))
		}
	}
	key := randomBytes(rng, 32)
	m := mustNew(t, key)
	check(t, m, key, randomBytes(rng, 5<<20+3))
	// At any address, with nothing read behind its end.
	b := randomBytes(rng, 4096)
	for from := range 70 {
		check(t, m, key, b[from:from+3000:from+3000])
	}
	for _, fill := range []byte{0, 0xff, 0x80, 1} {
		check(t, m, bytes.Clone(key), bytes.Repeat([]byte{fill}, 3000))
	}
	for _, fill := range []byte{0, 0xff} {
		key := bytes.Repeat([]byte{fill}, 32)
		check(t, mustNew(t, key), key, b)
	}
}

func TestEveryBitOfAMessageCounts(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	m := mustNew(t, randomBytes(rng, 32))
	message := randomBytes(rng, 2*strideLen+17)
	seen := map[[Size]byte]int{m.Sum(message): -1}
	for i := range 8 * len(message) {
		message[i/8] ^= 1 << (i % 8)
		sum := m.Sum(message)
		if before, has := seen[sum]; has {
			t.Fatalf("bits %d and %d: the sums are equal", i, before)
		}
		seen[sum] = i
		message[i/8] ^= 1 << (i % 8)
	}
}

func TestAKeyOfAnotherSizeIsRefused(t *testing.T) {
	if _, err := New(make([]byte, 31)); err == nil {
		t.Error("no error")
	}
}

func FuzzSum(f *testing.F) {
	f.Add([]byte("key"), []byte("message"), 1)
	f.Add([]byte{}, bytes.Repeat([]byte("0123456789abcdef"), 17), 300)
	f.Fuzz(func(t *testing.T, seed, message []byte, times int) {
		key := make([]byte, 32)
		copy(key, seed)
		message = bytes.Repeat(message, min(max(times, 1), 1000, max(1, 1<<16/max(1, len(message)))))
		check(t, mustNew(t, key), key, message)
	})
}

// BenchmarkSum has the standard library beside it.
func BenchmarkSum(b *testing.B) {
	key, message := make([]byte, 32), make([]byte, 2<<20)
	m := mustNew(b, key)
	b.Run("here", func(b *testing.B) {
		b.SetBytes(int64(len(message)))
		for b.Loop() {
			m.Sum(message)
		}
	})
	b.Run("standard", func(b *testing.B) {
		b.SetBytes(int64(len(message)))
		var sum [Size]byte
		var nonce [12]byte
		for b.Loop() {
			m.gcm.Seal(sum[:0], nonce[:], nil, message)
		}
	})
}

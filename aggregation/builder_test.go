// SPDX-License-Identifier: Apache-2.0

package aggregation

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unsafe"
	"weak"
)

func TestEmptyBuilder(t *testing.T) {
	var b Builder
	if b.Len() != 0 || b.Size() != 0 {
		t.Errorf("unexpected sizes; got Len %d, Size %d; want 0", b.Len(), b.Size())
	}
	if got := b.AppendTo([]byte("x")); string(got) != "x" {
		t.Errorf("unexpected output; got %q; want %q", got, "x")
	}
	b.Reset()
	// A producer holds one per shard, and streams have up to thousands of shards.
	if got := unsafe.Sizeof(b); got > 300 {
		t.Errorf("unexpected size of a builder; got %d bytes; want at most 300", got)
	}
}

// Every length at which a varint grows, in every place a varint can be.
func TestSizeAtVarintBoundaries(t *testing.T) {
	var data []byte
	for _, limit := range []int{1 << 7, 1 << 14, 1 << 21} {
		// The record's inner length is a few bytes longer than its data.
		for n := limit - 12; n <= limit+1; n++ {
			data = append(data, make([]byte, n-len(data))...)
			t.Run(fmt.Sprintf("data of %d bytes", n), func(t *testing.T) {
				var b Builder
				checkAdd(t, &b, "k", nil, data)
				checkAdd(t, &b, "k", &MaxHashKey, data)
				checkBlob(t, &b)
			})
		}
	}
	for _, n := range []int{0, 1, 127, 128, 16383, 16384} {
		t.Run(fmt.Sprintf("key of %d bytes", n), func(t *testing.T) {
			var b Builder
			checkAdd(t, &b, strings.Repeat("k", n), nil, nil)
			checkAdd(t, &b, strings.Repeat("k", n), nil, []byte("x"))
			checkBlob(t, &b)
		})
	}
	t.Run("more than 16384 keys and hash keys", func(t *testing.T) {
		var b Builder
		for i := range 16384 + 2 {
			k := HashKey{Hi: uint64(i % 7), Lo: uint64(i)}
			checkAdd(t, &b, fmt.Sprintf("k%d", i), &k, nil)
		}
		for _, i := range []int{0, 127, 128, 16383, 16384} {
			checkAdd(t, &b, fmt.Sprintf("k%d", i), nil, []byte("again"))
		}
		checkBlob(t, &b)
	})
}

// checkAdd adds a record and compares the size foretold with the size reached.
func checkAdd(tb testing.TB, b *Builder, pk string, ehk *HashKey, data []byte) {
	tb.Helper()
	before, n := b.Size(), b.Len()
	var want int
	if ehk == nil {
		want = b.SizeWith(pk, data)
	} else {
		want = b.SizeWithExplicit(pk, *ehk, data)
	}
	if b.Size() != before || b.Len() != n {
		tb.Fatalf("asking for a size changed the builder; got size %d, length %d; want %d, %d", b.Size(), b.Len(), before, n)
	}
	if ehk == nil {
		b.Add(pk, data)
	} else {
		b.AddExplicit(pk, *ehk, data)
	}
	if b.Size() != want || b.Len() != n+1 {
		tb.Fatalf("unexpected size %d, length %d after record %d; want %d, %d", b.Size(), b.Len(), n, want, n+1)
	}
}

// checkBlob encodes and compares with Size.
func checkBlob(tb testing.TB, b *Builder) []byte {
	tb.Helper()
	blob := b.AppendTo(nil)
	if len(blob) != b.Size() {
		tb.Fatalf("unexpected length; got %d; want Size %d", len(blob), b.Size())
	}
	if b.Len() > 0 && !IsAggregated(blob) {
		tb.Fatal("unexpected frame: not recognised as an aggregate")
	}
	return blob
}

func TestTablesFollowFirstAppearance(t *testing.T) {
	var b Builder
	for _, pk := range strings.Split("b a b c a", " ") {
		b.Add(pk, []byte(pk))
	}
	b.AddExplicit("c", HashKey{Lo: 9}, nil)
	b.AddExplicit("a", HashKey{Lo: 3}, nil)
	b.AddExplicit("d", HashKey{Lo: 9}, nil)
	want := "\n\x01b\n\x01a\n\x01c\n\x01d" + "\x12\x019\x12\x013" +
		"\x1a\x05\x08\x00\x1a\x01b" + "\x1a\x05\x08\x01\x1a\x01a" + "\x1a\x05\x08\x00\x1a\x01b" +
		"\x1a\x05\x08\x02\x1a\x01c" + "\x1a\x05\x08\x01\x1a\x01a" +
		"\x1a\x06\x08\x02\x10\x00\x1a\x00" + "\x1a\x06\x08\x01\x10\x01\x1a\x00" + "\x1a\x06\x08\x03\x10\x00\x1a\x00"
	if got := checkBlob(t, &b); !bytes.Equal(got, frame([]byte(want))) {
		t.Errorf("unexpected blob\n got %q\nwant %q", got[4:], want)
	}
}

func TestSizeWithOfAnotherKeyDoesNotDisturb(t *testing.T) {
	var plain, asked Builder
	for i := range 300 {
		pk, k := fmt.Sprint("k", i%40), HashKey{Lo: uint64(i % 11)}
		asked.SizeWithExplicit(pk, k, nil)
		asked.SizeWith("never added", make([]byte, i))
		asked.SizeWithExplicit(fmt.Sprint("k", i%7), MaxHashKey, nil)
		plain.AddExplicit(pk, k, []byte{byte(i)})
		asked.AddExplicit(pk, k, []byte{byte(i)})
	}
	if got, want := checkBlob(t, &asked), checkBlob(t, &plain); !bytes.Equal(got, want) {
		t.Errorf("unexpected blob\n got %q\nwant %q", got, want)
	}
}

func TestAppendToKeepsPrefixAndRecords(t *testing.T) {
	var b Builder
	b.Add("k", []byte("x"))
	first := b.AppendTo([]byte("prefix"))
	if string(first[:6]) != "prefix" || !IsAggregated(first[6:]) {
		t.Errorf("unexpected output; got %q", first)
	}
	if second := b.AppendTo(nil); !bytes.Equal(second, first[6:]) {
		t.Errorf("unexpected second output; got %q; want %q", second, first[6:])
	}
}

func TestResetStartsAfresh(t *testing.T) {
	for _, n := range []int{1, 5, 300, 5000} {
		var used Builder
		for i := range n {
			used.AddExplicit(fmt.Sprint("old", i), HashKey{Hi: uint64(i)}, []byte("old"))
		}
		// Several rounds, because a table shrinks step by step.
		for round := range 12 {
			used.Reset()
			if used.Len() != 0 || used.Size() != 0 {
				t.Fatalf("unexpected sizes after reset; got Len %d, Size %d; want 0", used.Len(), used.Size())
			}
			var fresh Builder
			for i := range 20 + 100*(round%2) {
				pk, k := fmt.Sprint("new", i%30), HashKey{Hi: uint64(i % 9)}
				used.AddExplicit(pk, k, []byte{byte(i)})
				fresh.AddExplicit(pk, k, []byte{byte(i)})
			}
			if got, want := checkBlob(t, &used), checkBlob(t, &fresh); !bytes.Equal(got, want) {
				t.Fatalf("unexpected blob after reset of %d records, round %d\n got %q\nwant %q", n, round, got, want)
			}
		}
	}
}

func TestResetDropsReferences(t *testing.T) {
	var b Builder
	key, data := addCollectable(&b)
	runtime.GC()
	if key.Value() == nil || data.Value() == nil {
		t.Fatal("key or data collected while the builder needs them")
	}
	b.Reset()
	runtime.GC()
	if key.Value() != nil {
		t.Error("key kept alive by a reset builder")
	}
	if data.Value() != nil {
		t.Error("data kept alive by a reset builder")
	}
	runtime.KeepAlive(&b)
}

// A key only asked about is not needed once the table has an equal one.
func TestSizeWithDoesNotKeepAKnownKey(t *testing.T) {
	var b Builder
	b.Add(strings.Repeat("key", 100), nil)
	asked := askCollectable(&b)
	runtime.GC()
	if asked.Value() != nil {
		t.Error("key of a question kept alive by the builder")
	}
	runtime.KeepAlive(&b)
}

//go:noinline
func askCollectable(b *Builder) weak.Pointer[byte] {
	k := strings.Repeat("key", 100)
	b.SizeWith("another", nil) // so that the next question is looked up
	b.SizeWith(k, nil)
	return weak.Make(unsafe.StringData(k))
}

// addCollectable adds a record in its own frame, so that no variable of the test
// keeps its memory alive.
//
//go:noinline
func addCollectable(b *Builder) (key, data weak.Pointer[byte]) {
	k, d := strings.Repeat("key", 100), make([]byte, 1000)
	b.Add(k, d)
	b.Add("another", nil)
	b.SizeWith(k, nil)
	return weak.Make(unsafe.StringData(k)), weak.Make(&d[0])
}

func TestBuilderDoesNotAllocateInSteadyState(t *testing.T) {
	keys := benchKeys(2000)
	data := make([]byte, 200)
	var b Builder
	var buf []byte
	var round int
	cycle := func() {
		b.Reset()
		// Sizes vary, so that tables shrink and grow again within their memory.
		n := len(keys)
		if round++; round%3 != 0 {
			n = 20
		}
		for i, key := range keys[:n] {
			k := HashKey{Hi: uint64(i) << 50, Lo: 1}
			if b.SizeWith(key, data) > b.SizeWithExplicit(key, k, data) {
				t.Error("unexpected size: an explicit hash key makes a record smaller")
			}
			if i%2 == 0 {
				b.Add(key, data)
			} else {
				b.AddExplicit(key, k, data)
			}
		}
		buf = b.AppendTo(buf[:0])
	}
	for range 3 {
		cycle()
	}
	if allocs := testing.AllocsPerRun(30, cycle); allocs != 0 {
		t.Errorf("unexpected allocations; got %v; want 0", allocs)
	}
}

// Deduplication must not depend on hashes being different.
func TestKeyTableWithCollidingHashes(t *testing.T) {
	var table keyTable[string]
	for round := range 2 {
		for i, key := range benchKeys(100) {
			table.search(key, 7)
			if !table.fresh() || table.memo.index != i {
				t.Fatalf("unexpected answer for new key %d in round %d; got %d", i, round, table.memo.index)
			}
			table.insert()
		}
		for i, key := range benchKeys(100) {
			table.search(key, 7)
			if table.fresh() || table.memo.index != i {
				t.Fatalf("unexpected answer for known key %d in round %d; got %d", i, round, table.memo.index)
			}
		}
		table.reset()
	}
}

func TestKeyTableShrinksAfterASmallBatch(t *testing.T) {
	var table keyTable[string]
	for i, key := range benchKeys(1000) {
		table.search(key, uint32(i))
		table.insert()
	}
	large := len(table.slots)
	for range 20 {
		table.reset()
		table.search("k", 1)
		table.insert()
	}
	if len(table.slots) != minSlots || cap(table.slots) < large {
		t.Errorf("unexpected slots; got %d in use, room for %d; want %d, %d", len(table.slots), cap(table.slots), minSlots, large)
	}
}

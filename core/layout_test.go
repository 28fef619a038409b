// SPDX-License-Identifier: Apache-2.0

package core

import (
	"testing"
	"unsafe"
)

// A line of the cache has 64 bytes on the processors in question; memory of a multiple
// of that starts at the beginning of one.
func TestWhatEachRecordTouchesFitsLinesOfTheCache(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("the sizes are those of 64-bit processors")
	}
	if got := unsafe.Sizeof(item{}); got != 64 {
		t.Errorf("unexpected size of an item; got %d bytes; want 64", got)
	}
	// Above 512 bytes the runtime puts 8 bytes of its own before it.
	if got := unsafe.Sizeof(shard{}); got%64 != 0 || got > 512 {
		t.Errorf("unexpected size of a shard; got %d bytes; want a multiple of 64, at most 512", got)
	}
	if got := unsafe.Offsetof(shard{}.open) + unsafe.Offsetof(openAggregate{}.record) + unsafe.Sizeof(openAggregate{}.record); got > 64 {
		t.Errorf("unexpected end of what route needs of a shard; got %d bytes; want at most 64", got)
	}
}

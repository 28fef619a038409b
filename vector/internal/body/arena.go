// SPDX-License-Identifier: Apache-2.0

package body

// Sizes of an Arena's blocks, in bytes.
const (
	minBlock = 64 << 10
	maxBlock = 4 << 20
	// minRoom is the least room that an event is begun with.
	minRoom = 1 << 10
	// maxKept is the most that Reset keeps for the next body.
	maxKept = 8 << 20
)

// Arena is the memory of the events that are not slices of the body. The zero
// value is ready. It belongs to one goroutine at a time.
//
// Events point into it: Reset may be called only when the batch that carries them
// has settled. An Arena whose batch will not settle in time has to be left to the
// garbage collector.
type Arena struct {
	block []byte // the length is what is used
	size  int
	spare []byte // scratch space while a body is split
}

// Size is the number of bytes of the events in it.
func (a *Arena) Size() int { return a.size }

// Reset forgets the events and keeps memory for the next body: one block of at
// most 8 MiB.
func (a *Arena) Reset() {
	if a.size > cap(a.block) {
		a.block = make([]byte, 0, min(a.size+a.size/8, maxKept))
	}
	if cap(a.block) > maxKept {
		a.block = nil
	}
	if cap(a.spare) > maxKept {
		a.spare = nil
	}
	a.block, a.size = a.block[:0], 0
}

// Append keeps what f appends to dst, which is empty and has room for about guess bytes.
func (a *Arena) Append(guess int, f func(dst []byte) []byte) []byte {
	return a.done(f(a.begin(guess)))
}

// begin returns an empty slice to append an event to; done must follow.
func (a *Arena) begin(guess int) []byte {
	if n := len(a.block); cap(a.block)-n < max(minRoom, guess) {
		// Older blocks live on as long as their events do.
		a.block = make([]byte, 0, max(min(2*cap(a.block), maxBlock), minBlock, guess))
	}
	return a.block[len(a.block):]
}

// done takes back what begin returned, with the event appended to it, and returns
// the event.
func (a *Arena) done(ev []byte) []byte {
	a.size += len(ev)
	if len(ev) == 0 {
		return nil
	}
	if n := len(a.block); n < cap(a.block) && &a.block[:n+1][n] == &ev[0] {
		a.block = a.block[:n+len(ev)]
	} else {
		// append has moved it to memory of its own; what is behind it is free.
		a.block = ev
	}
	return ev[:len(ev):len(ev)]
}

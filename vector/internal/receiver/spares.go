// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"sync"
	"unsafe"

	"github.com/outkpl/outkpl/core"
)

// spares is the memory of bodies that are settled, for the next ones: what was read, and the
// table of records. New memory for each body would have to be cleared, and the garbage
// collector would run for it alone.
type spares struct {
	// draining tells that nothing is used again. A producer that is closed gives records up
	// while a call that carries them still goes on.
	draining func() bool
	bodies   sync.Pool // of *[]byte
	records  sync.Pool // of *[]core.Record
}

const (
	// maxKeptBody and maxKeptRecords bound what is kept.
	maxKeptBody    = 8 << 20
	maxKeptRecords = 64 << 10
)

// alike tells whether a piece of memory is for n of what it holds. One that is much larger is
// not: a body under way would keep more than it needs.
func alike(have, n int) bool { return n <= have && have-n <= n/8 }

// body is empty and has room for n bytes or some more, or is nil if there is none.
func (s *spares) body(n int) []byte {
	if b, _ := s.bodies.Get().(*[]byte); b != nil && alike(cap(*b), n) && !s.draining() {
		return *b
	}
	return nil
}

// table is an empty table with room for n records or some more.
func (s *spares) table(n int) []core.Record {
	if t, _ := s.records.Get().(*[]core.Record); t != nil && alike(cap(*t), n) && !s.draining() {
		return *t
	}
	return make([]core.Record, 0, n)
}

// within tells whether a lies in the memory of b.
func within(a, b []byte) bool {
	if cap(a) == 0 || cap(b) == 0 {
		return false
	}
	at, from := uintptr(unsafe.Pointer(unsafe.SliceData(a))), uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return at >= from && at-from < uintptr(cap(b))
}

// keep takes memory that nothing refers to any more.
func (s *spares) keep(body []byte, table []core.Record) {
	if s.draining() {
		return
	}
	if n := cap(body); n >= minCharge && n <= maxKeptBody {
		body = body[:0]
		s.bodies.Put(&body)
	}
	if n := cap(table); n > 0 && n <= maxKeptRecords {
		clear(table) // or it would hold a body
		table = table[:0]
		s.records.Put(&table)
	}
}

// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// Kind tells log records from the markers that bracket a group.
type Kind uint8

const (
	// KindRecord is a log record.
	KindRecord Kind = iota
	// KindGroupStart opens a group: its metadata and body describe the records
	// that follow (for OTLP: resource and scope). It is not a record.
	KindGroupStart
	// KindGroupEnd closes a group. Both of its maps are empty.
	KindGroupEnd
)

// Group markers are event times with these seconds and no nanoseconds
// (Fluent Bit 5.1.1, checked 2026-11-24). Every other value is a date.
const (
	groupStartSeconds = 0xFFFFFFFF
	groupEndSeconds   = 0xFFFFFFFE
)

// Event is one event of a chunk. The slices point into the chunk.
type Event struct {
	Kind Kind
	// Index counts the events of the chunk from 0, broken ones included.
	Index int
	// Sec and Nsec are the time since 1970 in UTC; Nsec is 0..999999999.
	Sec  int64
	Nsec int64
	// Metadata is a MessagePack map, or nil if the event has none.
	Metadata []byte
	// Body is a MessagePack map.
	Body []byte
	// Raw is the whole event as it stands in the chunk.
	Raw []byte
}

// EventError is a piece of a chunk that is not an event. It carries no content.
type EventError struct {
	// Offset is where the piece begins in the chunk, in bytes.
	Offset int
	// Index is the number the event has, or would have had, from 0.
	Index int
	// Length is the extent of the broken event if Skippable, else the number of
	// bytes from Offset to the end of the chunk, which are all lost to the reader.
	Length int
	// Skippable means that the end of the event is known and reading goes on
	// behind it. If false, the reader has reached its end.
	Skippable bool
	Reason    Reason
	// TypeByte is the first byte of the part complained about; 0 when truncated.
	TypeByte byte
}

// Error names reason, position and type byte.
func (e *EventError) Error() string {
	tail := "the event is skipped"
	if !e.Skippable {
		tail = "the rest of the chunk is unreadable"
	}
	return fmt.Sprintf("cannot decode event %d at offset %d: %s (type byte 0x%02x, %d bytes): %s",
		e.Index, e.Offset, e.Reason, e.TypeByte, e.Length, tail)
}

// ChunkReader reads the events of a Fluent Bit chunk, which is a plain
// concatenation of MessagePack values, in place. Both layouts are understood:
// [time, body] and [[time, metadata], body]. It allocates only for errors, needs
// constant memory and stops at the end of the bytes whatever they are.
// It is not safe for concurrent use. The chunk must not change while in use.
type ChunkReader struct {
	chunk []byte
	pos   int
	index int
	stack depthStack
}

// NewChunkReader returns a reader at the start of chunk.
func NewChunkReader(chunk []byte) *ChunkReader {
	r := &ChunkReader{}
	r.Reset(chunk)
	return r
}

// Reset starts over with another chunk.
func (r *ChunkReader) Reset(chunk []byte) {
	r.chunk, r.pos, r.index = chunk, 0, 0
}

// Offset is where the next event begins.
func (r *ChunkReader) Offset() int { return r.pos }

// Next reads the next event into ev. It returns io.EOF at the end of the chunk
// and *EventError for a broken event; ev is then of no use. After a skippable
// error the next call goes on behind the broken event; after any other one the
// next call returns io.EOF.
func (r *ChunkReader) Next(ev *Event) error {
	b, start := r.chunk, r.pos
	if start >= len(b) {
		return io.EOF
	}
	index := r.index
	r.index++

	// The layout that the host's fast encoder writes; the general reader below
	// understands it as well.
	i := start
	var at int
	var reason Reason
	if hasEventTime(b[i:]) {
		ev.setEventTime(b[i+4 : i+12])
		i, at, reason = r.metadata(ev, i+12)
	} else {
		i, at, reason = r.head(ev, start)
	}
	if reason == ReasonNone {
		at = i
		if c, _, _ := readHead(b, i); c != classMap && c != classTruncated {
			reason = ReasonBody
		} else if i, reason = r.stack.skip(b, i); reason == ReasonNone {
			ev.Index, ev.Body, ev.Raw = index, b[at:i:i], b[start:i:i]
			r.pos = i
			return nil
		}
	}
	return r.fail(start, at, index, reason)
}

// fail builds the error for the event at start and moves behind it if its end
// can be found.
func (r *ChunkReader) fail(start, at, index int, reason Reason) error {
	e := &EventError{Offset: start, Index: index, Reason: reason}
	if at < len(r.chunk) {
		e.TypeByte = r.chunk[at]
	}
	end, broken := skipFlat(r.chunk, start, 1)
	if broken != ReasonNone {
		// What makes the chunk unreadable matters more than what was noticed first.
		e.Reason = broken
		e.TypeByte = 0
		if broken == ReasonTypeByte {
			e.TypeByte = r.chunk[end]
		}
		end = len(r.chunk)
	}
	e.Skippable = broken == ReasonNone
	e.Length = end - start
	r.pos = end
	return e
}

// head reads everything before the body. at is the part that reason is about.
func (r *ChunkReader) head(ev *Event, i int) (next, at int, reason Reason) {
	b := r.chunk
	c, n, next := readHead(b, i)
	switch {
	case c == classTruncated:
		return i, i, ReasonTruncated
	case c != classArray:
		return i, i, ReasonNotArray
	case n != 2:
		return i, i, ReasonElements
	}
	i = next
	c, n, next = readHead(b, i)
	if c != classArray {
		next, ok := ev.setTime(b, i)
		if !ok {
			return i, i, ReasonTimestamp
		}
		ev.Metadata = nil
		return next, i, ReasonNone
	}
	if n != 2 {
		return i, i, ReasonElements
	}
	i = next
	next, ok := ev.setTime(b, i)
	if !ok {
		return i, i, ReasonTimestamp
	}
	return r.metadata(ev, next)
}

func (r *ChunkReader) metadata(ev *Event, i int) (next, at int, reason Reason) {
	b := r.chunk
	if i >= len(b) {
		return i, i, ReasonTruncated
	}
	switch b[i] {
	case 0x80: // what nearly every event has
		ev.Metadata = b[i : i+1 : i+1]
		return i + 1, i, ReasonNone
	case 0xc0:
		ev.Metadata = nil
		return i + 1, i, ReasonNone
	}
	if c, _, _ := readHead(b, i); c != classMap && c != classTruncated {
		return i, i, ReasonMetadata
	}
	end, reason := r.stack.skip(b, i)
	if reason == ReasonNone {
		ev.Metadata = b[i:end:end]
	}
	return end, i, reason
}

// hasEventTime tells whether an event begins as Fluent Bit writes it: an array of the time, an extension of
// eight bytes, and the metadata, of which one byte at least is there; and the body.
func hasEventTime(b []byte) bool {
	return len(b) > 12 && b[0] == 0x92 && b[1] == 0x92 && b[2] == 0xd7 && b[3] == 0
}

// setEventTime takes the eight bytes of an event time: seconds and nanoseconds.
func (ev *Event) setEventTime(p []byte) {
	sec, nsec := binary.BigEndian.Uint32(p), binary.BigEndian.Uint32(p[4:8])
	ev.Kind = KindRecord
	if nsec == 0 && sec >= groupEndSeconds {
		if sec == groupStartSeconds {
			ev.Kind = KindGroupStart
		} else {
			ev.Kind = KindGroupEnd
		}
	}
	ev.Sec, ev.Nsec = int64(sec), int64(nsec)
	if nsec >= 1e9 {
		ev.Sec, ev.Nsec = ev.Sec+ev.Nsec/1e9, ev.Nsec%1e9
	}
}

// setTime reads a timestamp in any of its forms.
func (ev *Event) setTime(b []byte, i int) (next int, ok bool) {
	c, n, p := readHead(b, i)
	ev.Kind = KindRecord
	ev.Nsec = 0
	switch c {
	case classExt:
		if b[p-1] != 0 || n != 8 {
			return i, false
		}
		ev.setEventTime(b[p : p+n])
	case classUint:
		v := uint64(b[i])
		if n > 0 {
			v = bigEndian(b[p : p+n])
		}
		if v > math.MaxInt64 {
			return i, false
		}
		ev.Sec = int64(v)
	case classInt:
		ev.Sec = int64(int8(b[i]))
		if n > 0 {
			ev.Sec = signed(b[p : p+n])
		}
	case classFloat:
		f := float(b[p : p+n])
		whole := math.Floor(f)
		// Not written as a range check on f alone: NaN fails every comparison.
		if !(whole >= -(1<<62) && whole <= 1<<62) {
			return i, false
		}
		ev.Sec = int64(whole)
		ev.Nsec = min(int64(math.Round((f-whole)*1e9)), 999999999)
	default:
		return i, false
	}
	return p + n, true
}

// float reads a float of 4 or 8 bytes.
func float(p []byte) float64 {
	if len(p) == 4 {
		return float64(math.Float32frombits(binary.BigEndian.Uint32(p)))
	}
	return math.Float64frombits(binary.BigEndian.Uint64(p))
}

// SPDX-License-Identifier: Apache-2.0

package body

// The defaults of Limits.
const (
	// DefaultBytes is the default of Limits.CompressedBytes and UnpackedBytes. It is
	// what the OTLP specification recommends, counted after decompression
	// (https://opentelemetry.io/docs/specs/otlp/, checked 2026-11-24), and leaves
	// room for shippers whose batches exceed their own limit.
	DefaultBytes = 64 << 20
	// DefaultConvertedBytes is the default of Limits.ConvertedBytes.
	DefaultConvertedBytes = 4 * DefaultBytes
	// DefaultEvents is the default of Limits.Events.
	DefaultEvents = 1 << 20
	// DefaultDepth is the default of Limits.Depth.
	DefaultDepth = 128
	// MaxDepth is the largest Limits.Depth. What is above is lowered to it.
	MaxDepth = 1024
)

const (
	// maxEncodings is how many encodings may lie on top of each other. Shippers use
	// one; each costs a buffer.
	maxEncodings = 3
	// zstdMaxWindow is the largest window that a zstd frame may ask for. Levels up to
	// 19 need 8 MiB, Vector's "best" 64 MiB.
	zstdMaxWindow = 64 << 20
	// zstdMaxBlock is the largest block of a zstd frame (RFC 8878, section 3.1.1.2).
	zstdMaxBlock = 128 << 10
	// snappyMaxRatio is above what a snappy block can reach: a copy of 3 bytes makes
	// at most 64. It refuses bodies that declare more than they can hold.
	snappyMaxRatio = 22
	// deflateMaxRatio is above what deflate can reach, 1032.
	deflateMaxRatio = 1040
	// lz4Magic begins a frame
	// (https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md).
	lz4Magic = 0x184d2204
	// lz4MaxRatio is above what a block can reach, 255.
	lz4MaxRatio = 256
	// lz4MaxBlock is the largest block. Of a frame of the old format it is twice that.
	lz4MaxBlock = 4 << 20
)

// Limits bound what one body may cost. A zero or negative field takes its default.
type Limits struct {
	// CompressedBytes is the largest body as it comes over the wire. Default
	// DefaultBytes.
	CompressedBytes int
	// UnpackedBytes is the largest body after each decompression. Default
	// DefaultBytes.
	UnpackedBytes int
	// ConvertedBytes bounds the memory of the events that cannot be slices of the
	// body: MessagePack and OTLP, which become JSON, pretty-printed JSON and repaired
	// text. One event may exceed it by its own length. Default DefaultConvertedBytes.
	ConvertedBytes int
	// Events is the largest number of events; each takes 32 bytes of memory whatever
	// its length. Default DefaultEvents.
	Events int
	// Depth is how many arrays and objects may lie inside each other in an event.
	// At most MaxDepth, default DefaultDepth. MessagePack has its own, event.MaxDepth.
	Depth int
}

// withDefaults fills in what is not set.
func (l Limits) withDefaults() Limits {
	set := func(p *int, def int) {
		if *p <= 0 {
			*p = def
		}
	}
	set(&l.CompressedBytes, DefaultBytes)
	set(&l.UnpackedBytes, DefaultBytes)
	set(&l.ConvertedBytes, DefaultConvertedBytes)
	set(&l.Events, DefaultEvents)
	set(&l.Depth, DefaultDepth)
	l.Depth = min(l.Depth, MaxDepth)
	return l
}

// EncoderVersion stands for the events that are made of a body. It is raised whenever the
// same body would give other events, or cut them otherwise: what is remembered by numbers
// of events would mean others.
const EncoderVersion = 1

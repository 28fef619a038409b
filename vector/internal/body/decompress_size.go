// SPDX-License-Identifier: Apache-2.0

package body

import (
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// unpackNeed says what it takes to unpack data, from what it says about itself: size is
// how long it is without its content encodings, 0 if it says nothing; cost is the memory
// beside the result, if it is much. It is the sender's word, for deciding how much memory
// to ask for: the truth may be anything up to the limits.
func unpackNeed(encodings string, data []byte) (size, cost int) {
	list, err := parseEncodings(encodings)
	if err != nil {
		return 0, 0
	}
	for n, e := range list {
		if e == encLZ4 {
			// A block packed and one unpacked. What lies in another encoding cannot be seen.
			block := lz4MaxBlock
			if n == len(list)-1 && len(data) > 5 && binary.LittleEndian.Uint32(data) == lz4Magic {
				block = min(256<<(2*(data[5]>>4&7)), lz4MaxBlock)
			}
			cost = max(cost, 2*block)
		}
	}
	if len(list) != 1 {
		return 0, cost
	}
	switch list[0] {
	case encGzip:
		size = gzipSize(data)
	case encLZ4:
		size = lz4Size(data)
	case encZstd:
		if _, most, err := zstdBounds(data); err == nil {
			size = most
		}
	case encSnappy:
		if n, err := snappy.DecodedLen(data); err == nil && n <= snappyMaxRatio*len(data) {
			size = n
		}
	default: // deflate says nothing of its size
	}
	return size, cost
}

// gzipSize is the length that the last four bytes declare, which are about the last
// member; 0 if it is impossible.
func gzipSize(data []byte) int {
	if len(data) < 4 {
		return 0
	}
	size := int(binary.LittleEndian.Uint32(data[len(data)-4:]))
	if size > deflateMaxRatio*len(data) {
		return 0
	}
	return size
}

// lz4Size is the length that the first frame declares, 0 if it does not or it is
// impossible.
func lz4Size(data []byte) int {
	const hasSize = 1 << 3
	if len(data) < 14 || binary.LittleEndian.Uint32(data) != lz4Magic || data[4]&hasSize == 0 {
		return 0
	}
	size := binary.LittleEndian.Uint64(data[6:])
	if size > uint64(lz4MaxRatio*len(data)) {
		return 0
	}
	return int(size)
}

// zstdBounds walks over the block headers of all frames (RFC 8878, section 3.1.1)
// and returns bounds of the unpacked length. Frames that are not whole are
// io.ErrUnexpectedEOF.
func zstdBounds(data []byte) (least, most int, err error) {
	for len(data) > 0 {
		var h zstd.Header
		if err := h.Decode(data); err != nil {
			return 0, 0, err
		}
		if h.Skippable {
			if n := h.HeaderSize + int(h.SkippableSize); n <= len(data) {
				data = data[n:]
				continue
			}
			return 0, 0, io.ErrUnexpectedEOF
		}
		data = data[h.HeaderSize:]
		low, high := 0, 0
		for last := false; !last; {
			if len(data) < 3 {
				return 0, 0, io.ErrUnexpectedEOF
			}
			head := int(data[0]) | int(data[1])<<8 | int(data[2])<<16
			last = head&1 != 0
			size := head >> 3
			if size > zstdMaxBlock {
				return 0, 0, zstd.ErrCompressedSizeTooBig
			}
			stored := size
			switch head >> 1 & 3 {
			case 0: // as it is
				low, high = low+size, high+size
			case 1: // one byte, repeated
				low, high, stored = low+size, high+size, 1
			default:
				high += zstdMaxBlock
			}
			if len(data) < 3+stored {
				return 0, 0, io.ErrUnexpectedEOF
			}
			data = data[3+stored:]
		}
		if h.HasCheckSum {
			if len(data) < 4 {
				return 0, 0, io.ErrUnexpectedEOF
			}
			data = data[4:]
		}
		if h.HasFCS {
			if h.FrameContentSize < uint64(low) || h.FrameContentSize > uint64(high) {
				return 0, 0, zstd.ErrFrameSizeMismatch
			}
			low, high = int(h.FrameContentSize), int(h.FrameContentSize)
		}
		least, most = least+low, most+high
	}
	return least, most, nil
}

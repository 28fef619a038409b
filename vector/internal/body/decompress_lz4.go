// SPDX-License-Identifier: Apache-2.0

package body

import (
	"encoding/binary"

	"github.com/pierrec/lz4/v4"
)

const (
	// lz4Magic begins a frame
	// (https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md).
	lz4Magic = 0x184d2204
	// lz4MaxRatio is above what a block can reach, 255.
	lz4MaxRatio = 256
	// lz4MaxBlock is the largest block. Of a frame of the old format it is twice that.
	lz4MaxBlock = 4 << 20
)

// unlz4 reads frames. The reader is not kept: what it knows of one body would be there
// for blocks of the next to refer to.
func (d *decoders) unlz4(dst, data []byte, limit int) ([]byte, error) {
	d.in.Reset(data)
	dst = grow(dst, min(lz4Size(data), limit)+1)
	dst, err := readAll(dst, lz4.NewReader(&d.in), limit)
	if err == nil && len(data) < 4 {
		err = errTrailing // not even the beginning of a frame
	}
	return dst, unpackError(err, "lz4 data")
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

// UnpackCost is the memory that Unpack takes for a time besides the result, if the body
// says that it needs much.
func UnpackCost(encodings string, data []byte) int {
	list, err := parseEncodings(encodings)
	if err != nil {
		return 0
	}
	cost := 0
	for n, e := range list {
		if e != encLZ4 {
			continue
		}
		// A block packed and one unpacked. What lies in another encoding cannot be seen.
		block := lz4MaxBlock
		if n == len(list)-1 && len(data) > 5 && binary.LittleEndian.Uint32(data) == lz4Magic {
			block = min(256<<(2*(data[5]>>4&7)), lz4MaxBlock)
		}
		cost = max(cost, 2*block)
	}
	return cost
}

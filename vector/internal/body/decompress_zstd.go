// SPDX-License-Identifier: Apache-2.0

package body

import (
	"errors"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// zstdSlack is room behind the limit: the decoder writes whole blocks, and would
// otherwise move the output to see that the limit is exceeded.
const zstdSlack = 2*zstdMaxBlock + 64

func (d *decoders) unzstd(dst, data []byte, limit int) ([]byte, error) {
	if d.zstd == nil {
		// The output is its own window, so that a large one costs nothing.
		z, err := zstd.NewReader(nil,
			zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderMaxWindow(zstdMaxWindow),
			zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return dst, refuseDeclared("zstd")
		}
		d.zstd = z
	}
	least, most, err := zstdBounds(data)
	if err != nil {
		return dst, unpackError(err, "zstd data")
	}
	if least > limit {
		return dst, refuse(KindTooLarge, "unpacked zstd data")
	}
	dst = grow(dst, min(most, limit)+zstdSlack)
	out, err := d.zstd.DecodeAll(data, dst[:0:min(cap(dst), limit+zstdSlack)])
	switch {
	case len(out) > limit, errors.Is(err, zstd.ErrDecoderSizeExceeded):
		// Not every error of running out of room has a name of its own, but there is
		// always a block behind the limit before it.
		return dst, refuse(KindTooLarge, "unpacked zstd data")
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return dst, refuse(KindTooLarge, DetailWindow)
	case err != nil:
		return dst, unpackError(err, "zstd data")
	}
	return out, nil
}

// snappyMagic begins the framed format of snappy
// (https://github.com/google/snappy/blob/main/framing_format.txt). No block begins
// so: its second tag would copy from before its beginning.
const snappyMagic = "\xff\x06\x00\x00sNaPpY"

func (d *decoders) unsnappy(dst, data []byte, limit int) ([]byte, error) {
	if len(data) >= len(snappyMagic) && string(data[:len(snappyMagic)]) == snappyMagic {
		d.in.Reset(data)
		if d.snappy == nil {
			d.snappy = snappy.NewReader(&d.in)
		} else {
			d.snappy.Reset(&d.in)
		}
		dst, err := readAll(dst, d.snappy, limit)
		return dst, unpackError(err, "snappy data")
	}
	n, err := snappy.DecodedLen(data)
	switch {
	case err != nil || n > snappyMaxRatio*len(data):
		return dst, refuse(KindMalformed, "snappy data")
	case n > limit:
		return dst, refuse(KindTooLarge, "unpacked snappy data")
	}
	dst = grow(dst, n)
	out, err := snappy.Decode(dst[:n], data)
	if err != nil {
		return dst, unpackError(err, "snappy data")
	}
	return out, nil
}

// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Unpacker undoes content encodings. It keeps decoders for reuse; the zero value
// is ready and safe for concurrent use. It must not be copied after first use.
type Unpacker struct {
	pool sync.Pool // of *decoders
}

// decoders are what one call uses; each is made when first needed.
type decoders struct {
	in     bytes.Reader
	gzip   *gzip.Reader
	flate  io.ReadCloser
	zlib   io.ReadCloser
	snappy *snappy.Reader
	zstd   *zstd.Decoder
	spare  []byte // between two encodings
}

// Unpack returns data with its content encodings undone. encodings is the value of
// Content-Encoding, a list in the order in which they were applied; several header
// fields are to be joined with commas.
// Known are gzip (several members), deflate (zlib or raw), zstd (several frames,
// windows up to 64 MiB), snappy (a block, or frames, whatever the name says), lz4
// (several frames) and identity. With nothing to undo data itself is returned, not a copy.
//
// The error is an *Error. At no step more than l.UnpackedBytes are produced, and
// memory is taken in proportion to what is produced, not to what data declares;
// the result grows by doubling up to the limit and may have 512 KiB more.
// Data behind the end of the compressed data is an error, but for zero bytes behind
// gzip, which some writers pad with. Empty data is empty in all encodings.
func (u *Unpacker) Unpack(encodings string, data []byte, l Limits) ([]byte, error) {
	l = l.withDefaults()
	if len(data) > l.CompressedBytes {
		return nil, refuse(KindTooLarge, "compressed body")
	}
	list, err := parseEncodings(encodings)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || len(data) == 0 {
		if len(data) > l.UnpackedBytes {
			return nil, refuse(KindTooLarge, "body")
		}
		return data, nil
	}
	d, _ := u.pool.Get().(*decoders)
	if d == nil {
		d = new(decoders)
	}
	defer u.put(d)
	// The caller's memory and spare take turns, so that the caller's is the last.
	var dst []byte
	for n := len(list) - 1; n >= 0; n-- {
		into := &dst
		if n%2 == 1 {
			into = &d.spare
		}
		out, err := d.undo((*into)[:0], list[n], data, l.UnpackedBytes)
		*into = out
		if err != nil {
			return nil, err
		}
		data = out
	}
	return dst, nil
}

// put gives decoders back, without what they read from.
func (u *Unpacker) put(d *decoders) {
	d.in.Reset(nil)
	if cap(d.spare) > maxKept {
		d.spare = nil
	}
	u.pool.Put(d)
}

type encoding uint8

const (
	encGzip encoding = iota
	encDeflate
	encZstd
	encSnappy
	encLZ4
)

// parseEncodings reads a list of encodings and leaves identity out.
func parseEncodings(s string) ([]encoding, error) {
	var list []encoding
	for name := range strings.SplitSeq(s, ",") {
		switch name = strings.ToLower(strings.TrimSpace(name)); name {
		case "", "identity", "none":
			continue
		case "gzip", "x-gzip":
			list = append(list, encGzip)
		case "deflate", "zlib":
			list = append(list, encDeflate)
		case "zstd":
			list = append(list, encZstd)
		case "snappy", "x-snappy", "x-snappy-framed", "snappy-framed":
			list = append(list, encSnappy)
		case "lz4", "x-lz4":
			list = append(list, encLZ4)
		default:
			return nil, refuseDeclared("content encoding " + printable(name))
		}
		if len(list) > maxEncodings {
			return nil, refuseDeclared("too many content encodings")
		}
	}
	return list, nil
}

func (d *decoders) undo(dst []byte, e encoding, data []byte, limit int) ([]byte, error) {
	switch e {
	case encGzip:
		return d.ungzip(dst, data, limit)
	case encDeflate:
		return d.inflate(dst, data, limit)
	case encZstd:
		return d.unzstd(dst, data, limit)
	case encLZ4:
		return d.unlz4(dst, data, limit)
	default: // snappy has two forms
	}
	return d.unsnappy(dst, data, limit)
}

func (d *decoders) ungzip(dst, data []byte, limit int) ([]byte, error) {
	d.in.Reset(data)
	var err error
	if d.gzip == nil {
		d.gzip, err = gzip.NewReader(&d.in)
	} else {
		err = d.gzip.Reset(&d.in)
	}
	if err != nil {
		return dst, refuse(KindMalformed, "gzip data")
	}
	// With one member this avoids growing. It is the sender's word, hence the bounds.
	dst = grow(dst, min(gzipSize(data), limit)+1)
	for err == nil {
		d.gzip.Multistream(false)
		if dst, err = readAll(dst, d.gzip, limit); err != nil {
			break
		}
		rest := data[len(data)-d.in.Len():]
		if len(bytes.TrimLeft(rest, "\x00")) == 0 {
			break // padded, as by tar
		}
		if err = d.gzip.Reset(&d.in); errors.Is(err, gzip.ErrHeader) {
			err = errTrailing
		}
	}
	return dst, unpackError(err, "gzip data")
}

// inflate reads zlib, which is what the name deflate means (RFC 9110, section
// 8.4.1.2), and raw deflate, which some senders take it for. No raw data begins
// like zlib's header: it would be a stored block with padding that is not zero.
func (d *decoders) inflate(dst, data []byte, limit int) ([]byte, error) {
	d.in.Reset(data)
	var r io.Reader
	var err error
	if len(data) >= 2 && data[0]&0x0f == 8 && data[0]>>4 <= 7 && (int(data[0])<<8|int(data[1]))%31 == 0 {
		if d.zlib == nil {
			d.zlib, err = zlib.NewReader(&d.in)
		} else {
			err = d.zlib.(zlib.Resetter).Reset(&d.in, nil)
		}
		r = d.zlib
	} else {
		if d.flate == nil {
			d.flate = flate.NewReader(&d.in)
		} else {
			err = d.flate.(flate.Resetter).Reset(&d.in, nil)
		}
		r = d.flate
	}
	if err == nil {
		dst, err = readAll(dst, r, limit)
	}
	if err == nil && d.in.Len() > 0 {
		err = errTrailing
	}
	return dst, unpackError(err, "deflate data")
}

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

var (
	errLimit    = errors.New("limit")
	errTrailing = errors.New("trailing data")
)

// unpackError says what a decoder's error means. Its text is not passed on.
func unpackError(err error, what string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errLimit):
		return refuse(KindTooLarge, "unpacked "+what)
	case errors.Is(err, errTrailing):
		return refuse(KindMalformed, "something follows the "+what)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return refuse(KindMalformed, what+" cut off")
	}
	return refuse(KindMalformed, what)
}

// grow makes room for n bytes in an empty slice.
func grow(dst []byte, n int) []byte {
	if cap(dst) < n {
		return make([]byte, 0, n)
	}
	return dst
}

// readAll appends all of r to dst, or says errLimit when that is more than limit.
func readAll(dst []byte, r io.Reader, limit int) ([]byte, error) {
	const least = 16 << 10
	for {
		if len(dst) == cap(dst) {
			n := max(2*cap(dst), least)
			if n >= limit {
				n = limit + 1 // to see that the limit is exceeded
			}
			grown := make([]byte, len(dst), n)
			copy(grown, dst)
			dst = grown
		}
		n, err := r.Read(dst[len(dst):min(cap(dst), limit+1)])
		dst = dst[:len(dst)+n]
		if len(dst) > limit {
			return dst, errLimit
		}
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

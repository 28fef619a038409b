// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// maxPayload bounds what a payload may grow to; a Kinesis record is 10 MiB at most,
// but a small one can hold gigabytes of zeros.
const maxPayload = 256 << 20

var errTooBig = errors.New("it grows above 256 MiB")

// decompressor undoes the compression of payloads. It keeps its readers, because they
// are costly to make.
type decompressor struct {
	mode   string
	gz     *gzip.Reader
	zl     io.ReadCloser
	zs     *zstd.Decoder
	sn     *snappy.Reader
	source bytes.Reader
	failed int
}

// sniff tells a format by its first bytes, "" if it is none of those.
func sniff(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte("\x1f\x8b\x08")):
		return "gzip"
	case bytes.HasPrefix(b, []byte("\x28\xb5\x2f\xfd")):
		return "zstd"
	case bytes.HasPrefix(b, []byte("\xff\x06\x00\x00sNaPpY")):
		return "snappy"
	case len(b) > 6 && b[0]&0x0f == 8 && b[0]>>4 <= 7 && b[1]&0x20 == 0 && (int(b[0])<<8|int(b[1]))%31 == 0:
		return "zlib"
	}
	return ""
}

// open returns the payload as it was before compression, and the format's name. What
// is not compressed, or is damaged, comes back as it is, without a name.
func (d *decompressor) open(b []byte) ([]byte, string) {
	format := d.mode
	switch format {
	case "none":
		return b, ""
	case "auto":
		if format = sniff(b); format == "" {
			return b, ""
		}
	}
	out, err := d.decode(format, b)
	if err != nil {
		// Plain text can begin as zlib does.
		if d.mode != "auto" || format != "zlib" {
			d.failed++
		}
		return b, ""
	}
	return out, format
}

func (d *decompressor) decode(format string, b []byte) ([]byte, error) {
	d.source.Reset(b)
	var r io.Reader
	var err error
	switch format {
	case "gzip":
		if d.gz == nil {
			d.gz = new(gzip.Reader)
		}
		r, err = d.gz, d.gz.Reset(&d.source)
	case "zlib":
		if d.zl == nil {
			d.zl, err = zlib.NewReader(&d.source)
		} else {
			err = d.zl.(zlib.Resetter).Reset(&d.source, nil)
		}
		r = d.zl
	case "zstd":
		if d.zs == nil {
			// One thread: no goroutines stay behind.
			d.zs, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPayload), zstd.WithDecoderLowmem(true))
			if err != nil {
				return nil, err
			}
		}
		r, err = d.zs, d.zs.Reset(&d.source)
	case "snappy":
		if sniff(b) != "snappy" {
			if n, err := snappy.DecodedLen(b); err != nil || n > maxPayload {
				return nil, errors.Join(err, errTooBig)
			}
			return snappy.Decode(nil, b)
		}
		if d.sn == nil {
			d.sn = snappy.NewReader(&d.source)
		}
		d.sn.Reset(&d.source)
		r = d.sn
	}
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(r, maxPayload+1))
	if err == nil && len(out) > maxPayload {
		err = errTooBig
	}
	return out, err
}

// appendPayload appends the field or fields of a payload to a line of JSON.
//
// "data" is a string if the payload is text, and an object or array if it is
// JSON of that kind; so a string is always the payload itself. Only --data=json shows
// scalars as JSON. "data_base64" is for all other bytes.
func appendPayload(dst []byte, form string, payload []byte) []byte {
	switch form {
	case "none":
		return appendInt(append(dst, `,"bytes":`...), int64(len(payload)))
	case "json":
		if isJSON(payload) {
			return appendJSON(dst, payload)
		}
	case "auto":
		if t := bytes.TrimLeft(payload, " \t\r\n"); len(t) > 0 && (t[0] == '{' || t[0] == '[') && isJSON(payload) {
			return appendJSON(dst, payload)
		}
		fallthrough
	case "text":
		if utf8.Valid(payload) {
			return appendString(append(dst, `,"data":`...), string(payload))
		}
	}
	dst = append(dst, `,"data_base64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, payload)
	return append(dst, '"')
}

// isJSON is stricter than json.Valid, which takes strings that are not UTF-8.
func isJSON(b []byte) bool { return utf8.Valid(b) && json.Valid(b) }

// appendJSON appends a valid JSON text as it is but in one line.
func appendJSON(dst, payload []byte) []byte {
	buf := bytes.NewBuffer(append(dst, `,"data":`...))
	_ = json.Compact(buf, payload) // the text is valid
	return buf.Bytes()
}

// SPDX-License-Identifier: Apache-2.0

package combined

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// The values of Decoder.Compression and Decoder.Form.
const (
	// Auto goes by the bytes; the zero value does the same.
	Auto = "auto"
	// None means that records are not compressed.
	None = "none"
	// Gzip, Zlib, Zstd and Snappy are formats of compression. Snappy is a block without
	// a frame, or framed.
	Gzip, Zlib, Zstd, Snappy = "gzip", "zlib", "zstd", "snappy"

	// Lines means that each event ends with a line feed.
	Lines = "lines"
	// JSONArray means that events are the elements of a JSON array.
	JSONArray = "json_array"
	// Single means that a record is one event.
	Single = "single"
)

// DefaultMaxBytes bounds what a record is decompressed to. The largest that the
// producers write is 10 MiB.
const DefaultMaxBytes = 64 << 20

// minWindow is what every zstd decoder should take (RFC 8878, 3.1.1.1.2).
const minWindow = 8 << 20

// ErrTooLarge is in the chain of the error for a record that is larger than
// Decoder.MaxBytes when it is decompressed.
var ErrTooLarge = errors.New("larger than allowed when decompressed")

var (
	compressions = []string{"", Auto, None, Gzip, Zlib, Zstd, Snappy}
	forms        = []string{"", Auto, Lines, JSONArray, Single}
)

// Decoder splits records into events. The zero value is ready; fields are set before the first
// call. It keeps memory for the next record, and is not safe for concurrent use.
type Decoder struct {
	// Compression is how records are compressed: Auto (the default) knows gzip, zlib,
	// zstd and framed snappy by their first bytes, and takes what does not begin like
	// them for not compressed; or one of None, Gzip, Zlib, Zstd and Snappy.
	Compression string
	// Form is how events lie in a record: Auto (the default), Lines, JSONArray or Single.
	// Auto takes a record that ends with a line feed for lines, one that is a JSON array
	// for its elements, and any other one for one event.
	Form string
	// MaxBytes bounds what a record is decompressed to. Default DefaultMaxBytes.
	MaxBytes int

	gzip   *gzip.Reader
	zlib   io.ReadCloser
	zstd   *zstd.Decoder
	zstdAt int // MaxBytes of zstd
	snappy *snappy.Reader
	source bytes.Reader
}

// Record is what Decode finds in a record.
type Record struct {
	// Events are the events, in their order. The index is the number by which an event
	// is known.
	Events [][]byte
	// Data is the record after decompression.
	Data []byte
	// Compression and Form are what was found: None or a format; Lines, JSONArray or
	// Single.
	Compression, Form string
}

// Decode takes a user record apart. What it returns may refer to data, but to nothing
// that the next call changes. On an error nothing is returned.
func (d *Decoder) Decode(data []byte) (Record, error) {
	if !slices.Contains(forms, d.Form) {
		return Record{}, fmt.Errorf("form: %q is not known; allowed: auto, lines, json_array, single", d.Form)
	}
	plain, format, err := d.Decompress(data)
	if err != nil {
		return Record{}, err
	}
	r := Record{Data: plain, Compression: format, Form: d.Form}
	if r.Form == "" || r.Form == Auto {
		r.Form = formOf(plain)
	}
	switch r.Form {
	case Lines:
		r.Events = splitLines(plain)
	case JSONArray:
		if r.Events, err = splitArray(plain); err != nil {
			return Record{}, err
		}
	default:
		r.Events = [][]byte{plain}
	}
	return r, nil
}

// Decompress undoes the compression of a record, and names its format.
func (d *Decoder) Decompress(data []byte) (plain []byte, format string, err error) {
	format = d.Compression
	switch {
	case !slices.Contains(compressions, format):
		return nil, "", fmt.Errorf("compression: %q is not known; allowed: auto, none, gzip, zlib, zstd, snappy", format)
	case format == None:
		return data, None, nil
	case format == "" || format == Auto:
		if format = formatOf(data); format == None {
			return data, None, nil
		}
	}
	plain, err = d.decompress(format, data)
	if err == nil {
		return plain, format, nil
	}
	if format == Zlib && d.Compression != Zlib && !errors.Is(err, ErrTooLarge) {
		return data, None, nil // text can begin like that
	}
	return nil, "", fmt.Errorf("cannot decompress %d bytes of %s: %w", len(data), format, err)
}

func (d *Decoder) maxBytes() int {
	if d.MaxBytes > 0 {
		return d.MaxBytes
	}
	return DefaultMaxBytes
}

// formatOf tells a format by its first bytes.
func formatOf(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte("\x1f\x8b\x08")):
		return Gzip
	case bytes.HasPrefix(b, []byte("\x28\xb5\x2f\xfd")):
		return Zstd
	case bytes.HasPrefix(b, []byte("\xff\x06\x00\x00sNaPpY")):
		return Snappy
	case len(b) > 6 && b[0]&0x0f == 8 && b[0]>>4 <= 7 && b[1]&0x20 == 0 && (int(b[0])<<8|int(b[1]))%31 == 0:
		return Zlib
	}
	return None
}

func (d *Decoder) decompress(format string, b []byte) (out []byte, err error) {
	most := d.maxBytes()
	d.source.Reset(b)
	defer d.source.Reset(nil) // lets go of the record
	var r io.Reader
	switch format {
	case Gzip:
		if d.gzip == nil {
			d.gzip = new(gzip.Reader)
		}
		r, err = d.gzip, d.gzip.Reset(&d.source)
	case Zlib:
		if d.zlib == nil {
			d.zlib, err = zlib.NewReader(&d.source)
		} else {
			err = d.zlib.(zlib.Resetter).Reset(&d.source, nil)
		}
		r = d.zlib
	case Zstd:
		return d.decodeZstd(b, most)
	case Snappy:
		if formatOf(b) != Snappy {
			n, err := snappy.DecodedLen(b)
			if err == nil && n > most {
				err = ErrTooLarge
			}
			if err != nil {
				return nil, err
			}
			return snappy.Decode(nil, b)
		}
		if d.snappy == nil {
			d.snappy = snappy.NewReader(&d.source)
		}
		d.snappy.Reset(&d.source)
		r = d.snappy
	}
	if err != nil {
		return nil, err
	}
	out, err = io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err == nil && len(out) > most {
		return nil, ErrTooLarge
	}
	return out, err
}

func (d *Decoder) decodeZstd(b []byte, most int) ([]byte, error) {
	if d.zstd == nil || d.zstdAt != most {
		// One thread: no goroutines stay behind.
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(uint64(most)), zstd.WithDecoderMaxWindow(uint64(max(most, minWindow))))
		if err != nil {
			return nil, err
		}
		d.zstd, d.zstdAt = z, most
	}
	out, err := d.zstd.DecodeAll(b, nil)
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
		err = ErrTooLarge
	}
	return out, err
}

// formOf tells how events lie in a record that is not compressed any more.
func formOf(b []byte) string {
	switch {
	case len(b) > 0 && b[len(b)-1] == '\n':
		return Lines
	case len(b) > 1 && b[0] == '[' && b[len(b)-1] == ']' && json.Valid(b):
		return JSONArray
	}
	return Single
}

// splitLines returns the events of lines. A line that is a JSON string is an event that
// is text; other ones are events as they are.
func splitLines(b []byte) [][]byte {
	events := make([][]byte, 0, bytes.Count(b, []byte{'\n'})+1)
	for len(b) > 0 {
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line, b = b[:i:i], b[i+1:]
		} else {
			b = nil
		}
		events = append(events, unquote(line))
	}
	return events
}

// unquote returns the text of a JSON string, and anything else as it is.
func unquote(b []byte) []byte {
	if len(b) < 2 || b[0] != '"' {
		return b
	}
	var text string
	if json.Unmarshal(b, &text) != nil {
		return b
	}
	return []byte(text)
}

// splitArray returns the elements of a JSON array.
func splitArray(b []byte) ([][]byte, error) {
	const space = " \t\r\n"
	b = bytes.Trim(b, space)
	if len(b) < 2 || b[0] != '[' || !json.Valid(b) {
		return nil, errors.New("want a JSON array")
	}
	b = bytes.Trim(b[1:len(b)-1], space)
	var events [][]byte
	for len(b) > 0 {
		n := elementEnd(b)
		events = append(events, unquote(bytes.Trim(b[:n:n], space)))
		if n == len(b) {
			break
		}
		b = b[n+1:]
	}
	return events, nil
}

// elementEnd is the place of the comma behind the first value of b, or the end. The
// values are valid.
func elementEnd(b []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted:
			if c == '\\' {
				i++
			} else if c == '"' {
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ',' && depth == 0:
			return i
		}
	}
	return len(b)
}

// SPDX-License-Identifier: Apache-2.0

package body

import (
	"strings"
	"unicode/utf8"

	charset "golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
)

// Charset is an encoding of text other than UTF-8.
type Charset struct{ encoding charset.Encoding }

// CharsetOf returns how the text of an unpacked body is encoded, nil for UTF-8 and for
// formats that are not text. A byte order mark of UTF-16 says it, else the parameter
// charset of the content type, by the names that browsers know; ISO 8859-1 is Windows-1252
// for them. What is valid UTF-8 is left alone where another charset of single bytes is
// named: such text makes no sense in it. A name that is not known means UTF-8.
func CharsetOf(contentType string, f Format, data []byte) *Charset {
	switch f {
	case FormatAuto, FormatJSON, FormatText, FormatOTLPJSON:
	default:
		return nil
	}
	if len(data) >= 2 && (data[0] == 0xff && data[1] == 0xfe || data[0] == 0xfe && data[1] == 0xff) {
		return &Charset{unicode.UTF16(unicode.BigEndian, unicode.UseBOM)}
	}
	switch name := charsetName(contentType); name {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		return nil
	case "utf-16", "utf16", "ucs-2", "iso-10646-ucs-2":
		return &Charset{unicode.UTF16(endianOf(data), unicode.UseBOM)}
	case "utf-16le":
		return &Charset{unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)}
	case "utf-16be":
		return &Charset{unicode.UTF16(unicode.BigEndian, unicode.UseBOM)}
	default:
		e, err := htmlindex.Get(name)
		if err != nil || e == unicode.UTF8 || e == charset.Replacement || utf8.Valid(data) {
			return nil
		}
		return &Charset{e}
	}
}

// charsetName is the parameter charset, in lower case.
func charsetName(contentType string) string {
	_, parameters, _ := strings.Cut(contentType, ";")
	for p := range strings.SplitSeq(parameters, ";") {
		if name, value, _ := strings.Cut(p, "="); strings.EqualFold(strings.TrimSpace(name), "charset") {
			return strings.ToLower(strings.Trim(value, " \t\"'"))
		}
	}
	return ""
}

// endianOf guesses the order of bytes where nothing says it, by where the zeros of ASCII
// are.
func endianOf(data []byte) unicode.Endianness {
	even, odd := 0, 0
	for i, c := range data[:min(len(data), sniffBytes)] {
		if c == 0 && i%2 == 0 {
			even++
		} else if c == 0 {
			odd++
		}
	}
	if even > odd {
		return unicode.BigEndian
	}
	return unicode.LittleEndian
}

// Room is the memory that Decode takes for data of n bytes.
func (*Charset) Room(n int, l Limits) int {
	// No character takes more than three bytes for each of its own.
	return min(3*n+utf8.UTFMax, l.withDefaults().UnpackedBytes+utf8.UTFMax)
}

// Decode returns data as UTF-8. What is no text becomes U+FFFD. The error is an *Error of
// KindTooLarge.
func (c *Charset) Decode(data []byte, l Limits) ([]byte, error) {
	out := make([]byte, c.Room(len(data), l))
	n, read, err := c.encoding.NewDecoder().Transform(out, data, true)
	if err != nil || read < len(data) || n > l.withDefaults().UnpackedBytes {
		return nil, refuse(KindTooLarge, "body as UTF-8")
	}
	return out[:n], nil
}

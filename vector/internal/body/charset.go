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

// allowedCharsets is what CharsetOf says of names that it does not know.
const allowedCharsets = "utf-8, us-ascii, utf-16, utf-16le, utf-16be, iso-8859-1, windows-1252, shift_jis and the others of the WHATWG Encoding Standard"

// CharsetOf returns how the text of an unpacked body is encoded, nil for UTF-8 and for
// formats that are not text. A byte order mark of UTF-16 says it, else the parameter
// charset of the content type, by the names that browsers know; ISO 8859-1 is Windows-1252
// for them. Where these say nothing or UTF-8, the zeros of JSON in UTF-16 say it, since its
// first characters are ASCII. The error is an *Error of KindUnsupported: what is in another
// charset is not UTF-8, and would be stored as something else.
func CharsetOf(contentType string, f Format, data []byte) (*Charset, error) {
	switch f {
	case FormatAuto, FormatJSON, FormatText, FormatOTLPJSON:
	default:
		return nil, nil
	}
	if f != FormatText && isUTF32(data) {
		return nil, refuse(KindUnsupported, "UTF-32; allowed are UTF-8 and UTF-16")
	}
	if len(data) >= 2 && (data[0] == 0xff && data[1] == 0xfe || data[0] == 0xfe && data[1] == 0xff) {
		return &Charset{unicode.UTF16(unicode.BigEndian, unicode.UseBOM)}, nil
	}
	switch name := charsetName(contentType); name {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		if f == FormatText {
			return nil, nil
		}
		return guessUTF16(data), nil
	case "utf-16", "utf16", "ucs-2", "iso-10646-ucs-2":
		return &Charset{unicode.UTF16(endianOf(data), unicode.UseBOM)}, nil
	case "utf-16le":
		return &Charset{unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)}, nil
	case "utf-16be":
		return &Charset{unicode.UTF16(unicode.BigEndian, unicode.UseBOM)}, nil
	default:
		e, err := htmlindex.Get(name)
		switch {
		case err != nil || e == charset.Replacement:
			return nil, refuse(KindUnsupported, "parameter charset of the content type is "+printable(name)+"; allowed are "+allowedCharsets)
		case e == unicode.UTF8:
			return nil, nil
		}
		return &Charset{e}, nil
	}
}

// guessUTF16 knows JSON in UTF-16 by the zeros of its first two characters (RFC 4627,
// section 3).
func guessUTF16(data []byte) *Charset {
	if len(data) < 4 || len(data)%2 != 0 {
		return nil
	}
	switch zero := func(i int) bool { return data[i] == 0 }; {
	case zero(0) && opens(data[1]) && zero(2) && !zero(3):
		return &Charset{unicode.UTF16(unicode.BigEndian, unicode.UseBOM)}
	case opens(data[0]) && zero(1) && !zero(2) && zero(3):
		return &Charset{unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)}
	}
	return nil
}

// isUTF32 knows JSON in UTF-32 by its mark or the zeros of its first character.
func isUTF32(data []byte) bool {
	if len(data) < 4 || len(data)%4 != 0 {
		return false
	}
	switch [4]byte(data) {
	case [4]byte{0xff, 0xfe}, [4]byte{0, 0, 0xfe, 0xff}:
		return true
	}
	return data[1] == 0 && data[2] == 0 && (opens(data[0]) && data[3] == 0 || opens(data[3]) && data[0] == 0)
}

// opens tells whether a body of JSON begins with c, unless of numbers. Those may have a NUL
// between them.
func opens(c byte) bool { return c == '{' || c == '[' || c == '"' }

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

// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// MaxKeyDepth is how many maps or arrays used as map keys may lie inside each
// other. Each of these levels can double the text (quotes are escaped again), so
// the number bounds memory.
const MaxKeyDepth = 3

// ValueError is a MessagePack value that has no JSON text. It carries no content.
type ValueError struct {
	// Offset is where reading stopped, in bytes from the start of the value.
	Offset int
	Reason Reason
}

// Error names the reason and the position.
func (e *ValueError) Error() string {
	return fmt.Sprintf("cannot convert msgpack value to JSON: %s at offset %d", e.Reason, e.Offset)
}

// AppendJSON appends the JSON text of the first MessagePack value in value and
// returns what follows that value. On an error, a *ValueError, it returns dst
// and value as they were. The rules:
//
//   - Keys keep their order. Of keys with the same text the last one is written, at its
//     place, as Fluent Bit's own outputs do it; the lookups of this package take it too.
//     The text counts as it is written, so that 1 and "1" are the same key.
//   - Text (str and bin alike) is written as UTF-8, escaped only where JSON needs
//     it; a byte that is not valid UTF-8 becomes U+FFFD. Fluent Bit's own outputs
//     make no difference between str and bin either.
//   - Integers are exact. Floats have the fewest digits that read back as the same
//     float32 or float64, and at least one decimal or an exponent. NaN and the
//     infinities become null.
//   - Times (ext type 0 of 8 bytes, ext type -1) become seconds with nine
//     decimals, a number. Other extensions become a string with each byte as \xNN.
//   - Map keys that are not text become text: numbers in decimal, maps and arrays
//     their JSON (at most MaxKeyDepth inside each other).
//   - At most MaxDepth levels.
func AppendJSON(dst, value []byte) (out, rest []byte, err error) {
	// Clipped, because text is read by words, which must not reach beyond value.
	out, i, reason := appendValue(dst, slices.Clip(value), 0, 0, &plainJSON)
	if reason != ReasonNone {
		return dst, value, &ValueError{Offset: i, Reason: reason}
	}
	return out, value[i:], nil
}

// AppendMembers is AppendJSON for a map whose members follow those that are written
// already: dst[object:] is the text of an object, without blanks and without the bracket
// at its end, which is appended. If value is another thing than a map, the error says
// ReasonBody.
func AppendMembers(dst []byte, object int, value []byte) (out, rest []byte, err error) {
	b := slices.Clip(value)
	c, n, i := readHead(b, 0)
	reason := ReasonBody
	h := namesSeed
	switch c {
	default:
		i = 0
	case classTruncated:
		i, reason = 0, ReasonTruncated
	case classMap:
		written := append(dst, '}') // only looked at
		for at := object + 1; at < len(dst); at++ {
			colon := skipJSON(written, at)
			h = mixBytes(h, dst[at:colon], 3)
			at = skipJSON(written, colon+1)
		}
		none := len(dst) == object+1
		if none {
			dst = dst[:object]
		}
		out, i, reason = appendPairs(dst, b, i, n, 1, &plainJSON, object, h)
		if none {
			dst = dst[:object+1]
			dst[object] = '{' // a comma may be there
		}
	}
	if reason != ReasonNone {
		return dst, value, &ValueError{Offset: i, Reason: reason}
	}
	return out, value[i:], nil
}

// jsonOptions change how values are written. A value is never modified.
type jsonOptions struct {
	// dots replaces each '.' in map keys, unless empty. It is escaped already.
	dots string
	// keyDepth counts the maps and arrays used as keys around the value.
	keyDepth int

	// special is set if any of the rest is: such values leave the fast path.
	special bool
	// hexIDs writes trace and span ids that are bytes in hexadecimal.
	hexIDs bool
	// cut shortens each text value to about maxText bytes.
	cut     bool
	maxText int
	// Of the text at pieceAt, unless 0, only the bytes from pieceFrom to pieceTo are
	// written.
	pieceAt, pieceFrom, pieceTo int
	// partial is added to the object, unless nil.
	partial *partial
}

var plainJSON jsonOptions

// appendValue appends the value at b[i] and returns the position behind it.
func appendValue(dst, b []byte, i, depth int, o *jsonOptions) ([]byte, int, Reason) {
	c, n, p := readHead(b, i)
	switch c {
	case classString, classBinary:
		if o.special {
			return appendSpecialText(dst, b, p, p+n, o), p + n, ReasonNone
		}
		return AppendQuoted(dst, b[p:p+n]), p + n, ReasonNone
	case classUint, classInt, classFloat:
		var ok bool
		if dst, ok = appendNumber(dst, b, c, i, n, p); !ok {
			dst = append(dst, "null"...)
		}
		return dst, p + n, ReasonNone
	case classMap:
		if depth >= MaxDepth {
			return dst, i, ReasonDepth
		}
		return appendMap(dst, b, p, n, depth+1, o)
	case classArray:
		if depth >= MaxDepth {
			return dst, i, ReasonDepth
		}
		return appendArray(dst, b, p, n, depth+1, o)
	case classNil:
		return append(dst, "null"...), p, ReasonNone
	case classBool:
		return appendBool(dst, b[i]), p, ReasonNone
	case classExt:
		if sec, nsec, ok := extTime(b[p-1], b[p:p+n]); ok {
			return appendSeconds(dst, sec, nsec), p + n, ReasonNone
		}
		return AppendQuoted(dst, appendExtText(nil, b[p:p+n])), p + n, ReasonNone
	case classUnused:
		return dst, i, ReasonTypeByte
	default: // the bytes end inside a value
	}
	return dst, i, ReasonTruncated
}

// shortText returns where the payload of the text at b[i] lies. end is 0 if it is
// something else, or longer than 255 bytes, or cut off.
func shortText(b []byte, i int) (p, end int) {
	if i+1 >= len(b) {
		return 0, 0
	}
	switch t := b[i]; {
	case t&0xe0 == 0xa0:
		p, end = i+1, i+1+int(t&0x1f)
	case t == 0xd9:
		p, end = i+2, i+2+int(b[i+1])
	}
	if end > len(b) {
		return 0, 0
	}
	return p, end
}

func appendBool(dst []byte, t byte) []byte {
	if t == 0xc3 {
		return append(dst, "true"...)
	}
	return append(dst, "false"...)
}

// appendMap appends n pairs that begin at b[i].
func appendMap(dst, b []byte, i, n, depth int, o *jsonOptions) ([]byte, int, Reason) {
	return appendPairs(dst, b, i, n, depth, o, len(dst), namesSeed)
}

// appendPairs is appendMap for an object that begins at dst[object]: what is there already
// is members, the first behind a comma or a bracket. h is the hash of their names.
func appendPairs(dst, b []byte, i, n, depth int, o *jsonOptions, object int, h uint64) ([]byte, int, Reason) {
	var reason Reason
	one := n == 1 && h == namesSeed
	for range n {
		key := i
		// Keys and values are short texts nearly always.
		if p, end := shortText(b, i); end > 0 && (o.dots == "" || !hasDot(b[p:end])) {
			dst, h = appendName(dst, b[p:end], h)
			i = end
		} else {
			dst = append(dst, ',')
			name := len(dst)
			if dst, i, reason = appendKey(dst, b, i, depth, o); reason != ReasonNone {
				return dst, i, reason
			}
			h = mixBytes(h, dst[name:], 2)
			dst = append(dst, ':')
		}
		if p, end := shortText(b, i); end > 0 && !o.special {
			dst, i = AppendQuoted(dst, b[p:end]), end
		} else if o.hexIDs && o.id(b, key, i) != nil {
			dst = append(appendHex(append(dst, '"'), o.id(b, key, i)), '"')
			i, _ = skipFlat(b, i, 1)
		} else if dst, i, reason = appendValue(dst, b, i, depth, o); reason != ReasonNone {
			return dst, i, reason
		}
	}
	dst = closeObject(dst, object)
	if !one {
		dst = endObject(dst, object, h)
	}
	return dst, i, ReasonNone
}

// id returns the bytes at b[value] if they are an id that is to be written in
// hexadecimal.
func (o *jsonOptions) id(b []byte, key, value int) []byte {
	text, _, _ := readKey(b, key)
	return rawID(b, value, string(text))
}

func appendArray(dst, b []byte, i, n, depth int, o *jsonOptions) ([]byte, int, Reason) {
	dst = append(dst, '[')
	var reason Reason
	for k := range n {
		if k > 0 {
			dst = append(dst, ',')
		}
		if dst, i, reason = appendValue(dst, b, i, depth, o); reason != ReasonNone {
			return dst, i, reason
		}
	}
	return append(dst, ']'), i, ReasonNone
}

// appendKey appends the value at b[i] as a key.
func appendKey(dst, b []byte, i, depth int, o *jsonOptions) ([]byte, int, Reason) {
	c, n, p := readHead(b, i)
	if c == classString || c == classBinary {
		return appendKeyText(dst, b[p:p+n], o), p + n, ReasonNone
	}
	text, i, reason := otherKey(b, i, depth, o)
	if reason != ReasonNone {
		return dst, i, reason
	}
	return appendKeyText(dst, text, o), i, ReasonNone
}

func appendKeyText(dst, text []byte, o *jsonOptions) []byte {
	if o.dots == "" || !hasDot(text) {
		return AppendQuoted(dst, text)
	}
	dot := bytes.IndexByte(text, '.')
	// A dot is never part of a longer character, so the pieces can be escaped one by
	// one.
	dst = append(dst, '"')
	for ; dot >= 0; dot = bytes.IndexByte(text, '.') {
		dst = appendEscaped(dst, text[:dot])
		dst = append(dst, o.dots...)
		text = text[dot+1:]
	}
	dst = appendEscaped(dst, text)
	return append(dst, '"')
}

// hasDot is bytes.IndexByte(text, '.') >= 0, faster for the short text of keys.
func hasDot(text []byte) bool {
	for ; len(text) >= 8; text = text[8:] {
		w := binary.LittleEndian.Uint64(text) ^ '.'*eachByte
		if (w-eachByte)&^w&highBits != 0 {
			return true
		}
	}
	for _, c := range text {
		if c == '.' {
			return true
		}
	}
	return false
}

// otherKey makes the text of a key that is neither str nor bin.
func otherKey(b []byte, i, depth int, o *jsonOptions) ([]byte, int, Reason) {
	inner := jsonOptions{dots: o.dots, keyDepth: o.keyDepth}
	switch c, n, p := readHead(b, i); c {
	case classExt:
		if _, _, ok := extTime(b[p-1], b[p:p+n]); !ok {
			return appendExtText(nil, b[p:p+n]), p + n, ReasonNone
		}
	case classMap, classArray:
		if inner.keyDepth++; inner.keyDepth > MaxKeyDepth {
			return nil, i, ReasonKeyDepth
		}
	default: // a value without values of its own
	}
	return appendValue(nil, b, i, depth, &inner)
}

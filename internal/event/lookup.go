// SPDX-License-Identifier: Apache-2.0

package event

// lookup finds the value that p leads to from the value at b[i] and returns its
// position, or -1. Of equal keys the last one counts, as it does for a reader of
// the JSON text. Bytes that cannot be read count as not found: writing the event
// will report them.
func lookup(b []byte, i int, p path) int {
	for _, st := range p {
		if st.index >= 0 {
			i = element(b, i, st.index)
		} else {
			i = member(b, i, st.key)
		}
		if i < 0 {
			return -1
		}
	}
	return i
}

// member is the position of the last value with the given key in the map at b[i],
// or -1.
func member(b []byte, i int, key string) int {
	c, n, i := readHead(b, i)
	if c != classMap {
		return -1
	}
	found := -1
	for k := range n {
		next := 0
		if uint(i) < uint(len(b)) && b[i]&0xe0 == 0xa0 {
			size := int(b[i] & 0x1f)
			if next = i + 1 + size; next > len(b) {
				return -1
			}
			if size == len(key) && string(b[i+1:next]) == key {
				found = next
			}
		} else {
			text, at, reason := readKey(b, i)
			if reason != ReasonNone {
				return -1
			}
			if next = at; string(text) == key {
				found = at
			}
		}
		if k == n-1 {
			break // where the last value ends does not matter
		}
		if _, end := shortText(b, next); end > 0 {
			i = end
			continue
		}
		var reason Reason
		if i, reason = skipFlat(b, next, 1); reason != ReasonNone {
			return -1
		}
	}
	return found
}

// element is the position of element n of the array at b[i], or -1.
func element(b []byte, i, n int) int {
	c, count, i := readHead(b, i)
	if c != classArray || n >= count {
		return -1
	}
	i, reason := skipFlat(b, i, n)
	if reason != ReasonNone {
		return -1
	}
	return i
}

// readKey returns the text of the key at b[i], nil if it is neither str nor bin,
// and the position of its value.
func readKey(b []byte, i int) (text []byte, next int, reason Reason) {
	if uint(i) < uint(len(b)) && b[i]&0xe0 == 0xa0 {
		if end := i + 1 + int(b[i]&0x1f); end <= len(b) {
			return b[i+1 : end], end, ReasonNone
		}
		return nil, i, ReasonTruncated
	}
	c, n, p := readHead(b, i)
	if c == classString || c == classBinary {
		return b[p : p+n], p + n, ReasonNone
	}
	next, reason = skipFlat(b, i, 1)
	return nil, next, reason
}

// appendText appends the value at b[i] as raw text, which may be invalid UTF-8. ok
// is false if it has none: a map, an array, nil, empty text, NaN, an infinity or
// an extension.
func appendText(dst, b []byte, i int) (out []byte, ok bool) {
	c, n, p := readHead(b, i)
	switch c {
	case classString, classBinary:
		return append(dst, b[p:p+n]...), n > 0
	case classUint, classInt, classFloat:
		return appendNumber(dst, b, c, i, n, p)
	case classBool:
		return appendBool(dst, b[i]), true
	default: // not a value that can stand in a text
	}
	return dst, false
}

// appendKeyValue is appendText for a value that is a partition key as a whole.
func appendKeyValue(dst, b []byte, i int) (out []byte, cut, ok bool) {
	if c, n, p := readHead(b, i); n > 0 && (c == classString || c == classBinary) {
		out, cut = appendPartitionKey(dst, b[p:p+n])
		return out, cut, true
	}
	out, ok = appendText(dst, b, i)
	return out, false, ok
}

// rawID returns the bytes of a trace or span id that is stored in binary, as
// OpenTelemetry does: 16 and 8 bytes. Everybody writes them in hexadecimal; as
// text they would be rubbish. It returns nil for all else.
func rawID(b []byte, i int, key string) []byte {
	want := 0
	switch key {
	case "trace_id", "traceId":
		want = 16
	case "span_id", "spanId":
		want = 8
	default:
		return nil
	}
	if c, n, p := readHead(b, i); n == want && (c == classString || c == classBinary) {
		return b[p : p+n]
	}
	return nil
}

func appendHex(dst, p []byte) []byte {
	for _, c := range p {
		dst = append(dst, hexDigits[c>>4], hexDigits[c&0x0f])
	}
	return dst
}

// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/binary"
	"math"
	"strconv"
)

// appendFloat appends the shortest text that reads back as the same number of
// the given size in bits. Whole numbers keep a ".0", as the built-in C plugin
// writes them, so that a reader that guesses types sees a float every time. NaN
// and the infinities have no JSON form: ok is false and nothing is appended.
func appendFloat(dst []byte, f float64, bitSize int) (out []byte, ok bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return dst, false
	}
	if f == math.Trunc(f) && math.Abs(f) < 1e15 && (f != 0 || !math.Signbit(f)) {
		dst = strconv.AppendInt(dst, int64(f), 10)
		return append(dst, '.', '0'), true
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, format, -1, bitSize)
	for _, c := range dst[start:] {
		if c == '.' || c == 'e' {
			return dst, true
		}
	}
	return append(dst, '.', '0'), true
}

// appendNumber appends the decimal text of an integer or float whose head is at
// b[i] and whose payload is b[p:p+n]. ok is false for NaN and the infinities.
func appendNumber(dst, b []byte, c class, i, n, p int) (out []byte, ok bool) {
	switch c {
	case classUint:
		if n == 0 {
			return strconv.AppendUint(dst, uint64(b[i]), 10), true
		}
		return strconv.AppendUint(dst, bigEndian(b[p:p+n]), 10), true
	case classInt:
		if n == 0 {
			return strconv.AppendInt(dst, int64(int8(b[i])), 10), true
		}
		return strconv.AppendInt(dst, signed(b[p:p+n]), 10), true
	default:
		return appendFloat(dst, float(b[p:p+n]), 8*n)
	}
}

// extTime reads the two extensions that are times: Fluent Bit's event time (type
// 0, eight bytes) and MessagePack's own timestamp (type -1; 4, 8 or 12 bytes).
func extTime(typ byte, p []byte) (sec int64, nsec uint32, ok bool) {
	switch {
	case typ == 0 && len(p) == 8:
		sec, nsec = int64(binary.BigEndian.Uint32(p)), binary.BigEndian.Uint32(p[4:])
	case typ == 0xff && len(p) == 4:
		sec = int64(binary.BigEndian.Uint32(p))
	case typ == 0xff && len(p) == 8:
		v := binary.BigEndian.Uint64(p)
		sec, nsec = int64(v&(1<<34-1)), uint32(v>>34)
	case typ == 0xff && len(p) == 12:
		nsec, sec = binary.BigEndian.Uint32(p), int64(binary.BigEndian.Uint64(p[4:]))
	default:
		return 0, 0, false
	}
	return sec, nsec, nsec < 1e9
}

// appendSeconds appends a time as a decimal number with nine decimals.
func appendSeconds(dst []byte, sec int64, nsec uint32) []byte {
	u := uint64(sec)
	if sec < 0 {
		// nsec counts upwards from sec, also before 1970.
		dst = append(dst, '-')
		u = -u
		if nsec > 0 {
			u, nsec = u-1, 1e9-nsec
		}
	}
	dst = strconv.AppendUint(dst, u, 10)
	dst = append(dst, ".000000000"...)
	putFraction(dst[len(dst)-9:], nsec)
	return dst
}

// putFraction fills p, at most nine bytes, with the leading decimals of a second.
func putFraction(p []byte, nsec uint32) {
	for i := len(p); i < 9; i++ {
		nsec /= 10
	}
	for i := len(p) - 1; i >= 0; i-- {
		p[i] = '0' + byte(nsec%10)
		nsec /= 10
	}
}

// appendExtText appends the text of an extension that is not a time: each byte
// of its payload as \xNN, which is what the built-in C plugin shows.
func appendExtText(dst, p []byte) []byte {
	for _, c := range p {
		dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&0x0f])
	}
	return dst
}

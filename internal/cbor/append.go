// SPDX-License-Identifier: Apache-2.0

package cbor

import (
	"encoding/binary"
	"math"
	"time"
	"unicode/utf8"
)

// ContentType is the media type of requests and answers in this format.
const ContentType = "application/x-amz-cbor-1.1"

// Major types, in the upper three bits of a head.
const (
	majorUint   = 0 << 5
	majorNegInt = 1 << 5
	majorBytes  = 2 << 5
	majorText   = 3 << 5
	majorArray  = 4 << 5
	majorMap    = 5 << 5
	majorTag    = 6 << 5
	majorSimple = 7 << 5

	majorMask = 7 << 5
	minorMask = 31

	indefinite = 31 // the minor part of a head without a length

	simpleFalse     = majorSimple | 20
	simpleTrue      = majorSimple | 21
	simpleNull      = majorSimple | 22
	simpleUndefined = majorSimple | 23
	simpleFloat16   = majorSimple | 25
	simpleFloat32   = majorSimple | 26
	simpleFloat64   = majorSimple | 27
	breakMark       = majorSimple | indefinite

	tagEpoch = 1
)

// MaxHead is the most that the head of an item takes.
const MaxHead = 9

func appendHead(buf []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(buf, major|byte(n))
	case n <= math.MaxUint8:
		return append(buf, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(buf, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(buf, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(buf, major|27), n)
}

// AppendMap appends the head of a map of n pairs.
func AppendMap(buf []byte, n int) []byte { return appendHead(buf, majorMap, uint64(n)) }

// AppendArray appends the head of an array of n items.
func AppendArray(buf []byte, n int) []byte { return appendHead(buf, majorArray, uint64(n)) }

// AppendBytes appends bytes.
func AppendBytes(buf, b []byte) []byte {
	return append(appendHead(buf, majorBytes, uint64(len(b))), b...)
}

// AppendText appends a text. Bytes that are not UTF-8 become U+FFFD, as in JSON.
func AppendText(buf []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = string([]rune(s))
	}
	return append(appendHead(buf, majorText, uint64(len(s))), s...)
}

// AppendInt appends an integer.
func AppendInt(buf []byte, n int64) []byte {
	if n < 0 {
		return appendHead(buf, majorNegInt, uint64(-1-n))
	}
	return appendHead(buf, majorUint, uint64(n))
}

// AppendFloat appends a floating-point number.
func AppendFloat(buf []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(append(buf, simpleFloat64), math.Float64bits(f))
}

// AppendBool appends a boolean.
func AppendBool(buf []byte, b bool) []byte {
	if b {
		return append(buf, simpleTrue)
	}
	return append(buf, simpleFalse)
}

// AppendNull appends a null.
func AppendNull(buf []byte) []byte { return append(buf, simpleNull) }

// AppendTime appends a date.
func AppendTime(buf []byte, t time.Time) []byte {
	return AppendInt(appendHead(buf, majorTag, tagEpoch), t.UnixMilli())
}

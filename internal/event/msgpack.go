// SPDX-License-Identifier: Apache-2.0

package event

import "encoding/binary"

// MaxDepth is how many maps and arrays may lie inside each other in one event's
// body or metadata. An empty map or array counts as a level.
const MaxDepth = 64

// class is what a MessagePack head announces.
type class uint8

const (
	classTruncated class = iota
	classUnused          // 0xc1
	classNil
	classBool
	classUint
	classInt
	classFloat
	classString
	classBinary
	classExt
	classArray
	classMap
)

// wideHead describes the heads 0xc0..0xdf: lenBytes of length follow the type
// byte, or the payload has a fixed size.
type wideHead struct {
	class    class
	lenBytes uint8
	size     uint8
}

var wideHeads = [32]wideHead{
	0x00: {classNil, 0, 0}, 0x01: {classUnused, 0, 0}, 0x02: {classBool, 0, 0}, 0x03: {classBool, 0, 0},
	0x04: {classBinary, 1, 0}, 0x05: {classBinary, 2, 0}, 0x06: {classBinary, 4, 0},
	0x07: {classExt, 1, 0}, 0x08: {classExt, 2, 0}, 0x09: {classExt, 4, 0},
	0x0a: {classFloat, 0, 4}, 0x0b: {classFloat, 0, 8},
	0x0c: {classUint, 0, 1}, 0x0d: {classUint, 0, 2}, 0x0e: {classUint, 0, 4}, 0x0f: {classUint, 0, 8},
	0x10: {classInt, 0, 1}, 0x11: {classInt, 0, 2}, 0x12: {classInt, 0, 4}, 0x13: {classInt, 0, 8},
	0x14: {classExt, 0, 1}, 0x15: {classExt, 0, 2}, 0x16: {classExt, 0, 4}, 0x17: {classExt, 0, 8}, 0x18: {classExt, 0, 16},
	0x19: {classString, 1, 0}, 0x1a: {classString, 2, 0}, 0x1b: {classString, 4, 0},
	0x1c: {classArray, 2, 0}, 0x1d: {classArray, 4, 0},
	0x1e: {classMap, 2, 0}, 0x1f: {classMap, 4, 0},
}

// readHead reads the head at b[i]. For arrays and maps n is the number of
// elements or pairs and next the position of the first one. For everything else
// b[next:next+n] is the payload and is known to exist; the type of an extension
// is b[next-1]. Counts and lengths that cannot fit into b are classTruncated, so
// no caller can be talked into a large loop or allocation by a forged length.
func readHead(b []byte, i int) (c class, n, next int) {
	if uint(i) >= uint(len(b)) {
		return classTruncated, 0, i
	}
	t := b[i]
	i++
	switch {
	case t < 0x80:
		return classUint, 0, i
	case t < 0x90:
		c, n = classMap, int(t&0x0f)
	case t < 0xa0:
		c, n = classArray, int(t&0x0f)
	case t < 0xc0:
		c, n = classString, int(t&0x1f)
	case t >= 0xe0:
		return classInt, 0, i
	default:
		w := wideHeads[t&0x1f]
		c, n = w.class, int(w.size)
		if w.lenBytes > 0 {
			if len(b)-i < int(w.lenBytes) {
				return classTruncated, 0, i
			}
			var l uint32
			switch w.lenBytes {
			case 1:
				l = uint32(b[i])
			case 2:
				l = uint32(binary.BigEndian.Uint16(b[i:]))
			default:
				l = binary.BigEndian.Uint32(b[i:])
			}
			i += int(w.lenBytes)
			if uint64(l) > uint64(len(b)-i) {
				return classTruncated, 0, i
			}
			n = int(l)
		}
		if c == classExt {
			i++
		}
	}
	need := n
	if c == classMap {
		need = 2 * n
	}
	if need > len(b)-i {
		return classTruncated, 0, i
	}
	return c, n, i
}

// skipFlat steps over count values starting at b[i], however deep they are: the
// number of values still to come is all that needs to be known.
func skipFlat(b []byte, i, count int) (int, Reason) {
	for count > 0 {
		if uint(i) >= uint(len(b)) {
			return i, ReasonTruncated
		}
		count--
		t := b[i]
		switch {
		case t >= 0xa0 && t < 0xc0:
			i += 1 + int(t&0x1f)
			continue
		case t < 0x80 || t >= 0xe0:
			i++
			continue
		case t == 0xd9 && i+1 < len(b):
			i += 2 + int(b[i+1])
			continue
		}
		c, n, next := readHead(b, i)
		switch c {
		case classTruncated:
			return i, ReasonTruncated
		case classUnused:
			return i, ReasonTypeByte
		case classMap:
			i, count = next, count+2*n
		case classArray:
			i, count = next, count+n
		default:
			i = next + n
			continue
		}
		// Every value takes a byte at least, so the count stays bounded.
		if count > len(b)-i {
			return i, ReasonTruncated
		}
	}
	if i > len(b) {
		return i, ReasonTruncated
	}
	return i, ReasonNone
}

// depthStack holds, for each open map or array, how many values are to come.
// It lives in its user so that it is not cleared for every value.
type depthStack [MaxDepth]int

// skip steps over the value at b[i]. With ReasonDepth the returned end is right
// nevertheless; with every other reason it is where reading stopped.
func (st *depthStack) skip(b []byte, i int) (int, Reason) {
	depth, left := 0, 1
	for {
		if uint(i) >= uint(len(b)) {
			return i, ReasonTruncated
		}
		left--
		t := b[i]
		switch {
		case t >= 0xa0 && t < 0xc0:
			i += 1 + int(t&0x1f)
		case t < 0x80 || t >= 0xe0:
			i++
		case t == 0xd9 && i+1 < len(b):
			i += 2 + int(b[i+1])
		default:
			c, n, next := readHead(b, i)
			switch c {
			case classTruncated:
				return i, ReasonTruncated
			case classUnused:
				return i, ReasonTypeByte
			case classMap, classArray:
				if c == classMap {
					n *= 2
				}
				if depth == MaxDepth {
					for _, k := range st {
						left += k
					}
					end, r := skipFlat(b, next, left+n)
					if r == ReasonNone {
						r = ReasonDepth
					}
					return end, r
				}
				i = next
				if n > 0 {
					st[depth] = left
					depth++
					left = n
				}
			default:
				i = next + n
			}
		}
		for left == 0 {
			if depth == 0 {
				if i > len(b) {
					return i, ReasonTruncated
				}
				return i, ReasonNone
			}
			depth--
			left = st[depth]
		}
	}
}

// bigEndian reads an unsigned integer of 0, 1, 2, 4 or 8 bytes.
func bigEndian(p []byte) uint64 {
	switch len(p) {
	case 1:
		return uint64(p[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(p))
	case 4:
		return uint64(binary.BigEndian.Uint32(p))
	case 8:
		return binary.BigEndian.Uint64(p)
	}
	return 0
}

// signed widens a two's complement integer of 1, 2, 4 or 8 bytes.
func signed(p []byte) int64 {
	v := bigEndian(p)
	switch len(p) {
	case 1:
		return int64(int8(v))
	case 2:
		return int64(int16(v))
	case 4:
		return int64(int32(v))
	}
	return int64(v)
}

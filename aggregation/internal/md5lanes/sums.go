// SPDX-License-Identifier: Apache-2.0

package md5lanes

import (
	"crypto/md5"
	"encoding/binary"
	"unsafe"
)

const (
	lanes     = 8
	blockSize = 64
	// maxShort is the longest message that fits into one block with its padding.
	maxShort = blockSize - 9
	// maxBlocks bounds one call of the assembly, which cannot be preempted, to
	// about a tenth of a millisecond.
	maxBlocks = 1024
)

// state holds A, B, C and D of each lane.
type state [4][lanes]uint32

func (s *state) init(lane int) {
	s[0][lane], s[1][lane], s[2][lane], s[3][lane] = 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476
}

func (s *state) sum(lane int) (sum [16]byte) {
	for i := range s {
		binary.LittleEndian.PutUint32(sum[4*i:], s[i][lane])
	}
	return sum
}

// Sums sets sums[i] to the MD5 of messages[i]. sums must not be shorter than
// messages.
func Sums(sums [][16]byte, messages [][]byte) {
	if !wide || len(messages) == 1 {
		for i, m := range messages {
			sums[i] = md5.Sum(m)
		}
		return
	}
	sumsWide(sums, messages)
}

// job is the message in one lane.
type job struct {
	index   int    // of the message, -1 if the lane is idle
	rest    []byte // whole blocks to do before the tail
	tail    [2 * blockSize]byte
	at, end int // the part of tail still to do
}

// start puts message i into the lane.
func (j *job) start(i int, m []byte) {
	whole := len(m) &^ (blockSize - 1)
	j.index, j.rest = i, m[:whole]
	j.tail = [2 * blockSize]byte{}
	n := copy(j.tail[:], m[whole:])
	j.tail[n] = 0x80
	j.at, j.end = 0, blockSize
	if n > maxShort {
		j.end = 2 * blockSize
	}
	binary.LittleEndian.PutUint64(j.tail[j.end-8:], uint64(len(m))*8)
}

// ready returns how many blocks lie together next; 0 means that all is done.
func (j *job) ready() int {
	if len(j.rest) > 0 {
		return len(j.rest) / blockSize
	}
	return (j.end - j.at) / blockSize
}

// take returns where the next n blocks are.
func (j *job) take(n int) *byte {
	if len(j.rest) > 0 {
		p := &j.rest[0]
		j.rest = j.rest[n*blockSize:]
		return p
	}
	p := &j.tail[j.at]
	j.at += n * blockSize
	return p
}

func sumsWide(sums [][16]byte, messages [][]byte) {
	var s state
	var jobs [lanes]job
	var data [lanes]*byte
	started, active := 0, 0
	for i := range jobs {
		jobs[i].index = -1
		if started < len(messages) {
			jobs[i].start(started, messages[started])
			s.init(i)
			started++
			active++
		}
	}
	for active > 0 {
		// All lanes advance together, by what the shortest has to do.
		n := maxBlocks
		for i := range jobs {
			if jobs[i].index >= 0 {
				n = min(n, jobs[i].ready())
			}
		}
		var some *byte
		for i := range jobs {
			if jobs[i].index >= 0 {
				some = jobs[i].take(n)
				data[i] = some
			}
		}
		for i := range jobs {
			if jobs[i].index < 0 {
				data[i] = some // anything that can be read
			}
		}
		blocks8(&s, &data, n)
		for i := range jobs {
			j := &jobs[i]
			if j.index < 0 || j.ready() > 0 {
				continue
			}
			sums[j.index] = s.sum(i)
			j.index = -1
			active--
			if started < len(messages) {
				j.start(started, messages[started])
				s.init(i)
				started++
				active++
			}
		}
	}
}

// SumStrings sets sums[i] to the MD5 of messages[i]. It is made for short ones,
// such as partition keys. sums must not be shorter than messages.
func SumStrings(sums [][16]byte, messages []string) {
	if !wide {
		for i, m := range messages {
			sums[i] = sumString(m)
		}
		return
	}
	var blocks [lanes][blockSize]byte
	var index [lanes]int
	n := 0
	for i, m := range messages {
		if len(m) > maxShort {
			sums[i] = sumString(m)
			continue
		}
		b := &blocks[n]
		*b = [blockSize]byte{}
		copy(b[:], m)
		b[len(m)] = 0x80
		binary.LittleEndian.PutUint64(b[blockSize-8:], uint64(len(m))*8)
		index[n] = i
		if n++; n == lanes {
			sumBlocks(sums, &blocks, index[:])
			n = 0
		}
	}
	if n == 1 {
		sums[index[0]] = sumString(messages[index[0]])
	} else if n > 0 {
		sumBlocks(sums, &blocks, index[:n])
	}
}

// sumBlocks computes the sums of messages that fill one block each.
func sumBlocks(sums [][16]byte, blocks *[lanes][blockSize]byte, index []int) {
	var s state
	var data [lanes]*byte
	for i := range data {
		s.init(i)
		data[i] = &blocks[i][0]
	}
	blocks8(&s, &data, 1)
	for lane, i := range index {
		sums[i] = s.sum(lane)
	}
}

func sumString(m string) [16]byte {
	return md5.Sum(unsafe.Slice(unsafe.StringData(m), len(m)))
}

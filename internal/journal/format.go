// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/outkpl/outkpl/internal/ledger"
)

// Version is that of the format. docs/journal.md describes it.
const Version = 1

const (
	magic = "KPLJRNL\n"
	// headerBytes are magic, version, flags, two bytes for later, boot, salt, key and a
	// checksum, in every version.
	headerBytes = len(magic) + 4 + len(header{}.boot) + len(header{}.salt) + len(header{}.key) + 4

	flagSync   = 1 << 0
	flagSHA256 = 1 << 1
)

// header is what a file begins with.
type header struct {
	version byte
	flags   byte
	boot    [16]byte // of the machine's start in which it was written, zero if unknown
	salt    [8]byte  // of the checksums: what strangers choose never looks like a frame
	key     [32]byte // of identities
}

func (h *header) append(b []byte) []byte {
	start := len(b)
	b = append(b, magic...)
	b = append(b, h.version, h.flags, 0, 0)
	b = append(b, h.boot[:]...)
	b = append(b, h.salt[:]...)
	b = append(b, h.key[:]...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errTorn is returned for a file whose header was not written to its end.
var errTorn = errors.New("the header is not complete")

// VersionError is returned for a file that a newer version has written.
type VersionError struct{ Version int }

func (e *VersionError) Error() string {
	return fmt.Sprintf("version %d of the format is not known; allowed: 1 to %d", e.Version, Version)
}

func parseHeader(b []byte) (h header, err error) {
	if len(b) < headerBytes {
		return h, errTorn
	}
	if string(b[:len(magic)]) != magic {
		return h, errors.New("it is no journal")
	}
	if crc32.Checksum(b[:headerBytes-4], castagnoli) != binary.LittleEndian.Uint32(b[headerBytes-4:]) {
		return h, errors.New("the checksum of the header is wrong")
	}
	rest := b[len(magic):]
	h.version, h.flags, rest = rest[0], rest[1], rest[4:]
	rest = rest[copy(h.boot[:], rest):]
	rest = rest[copy(h.salt[:], rest):]
	copy(h.key[:], rest)
	if h.version == 0 || h.version > Version {
		return h, &VersionError{int(h.version)}
	}
	return h, nil
}

// kind is what a frame says. Those from optional on may be skipped by who does not know
// them.
type kind uint8

const (
	kindBegin    kind = 1 + iota // an entry begins, or its content has grown
	kindSettled                  // records of entries are settled
	kindSent                     // a call of PutRecords is about to be made
	kindAnswered                 // nothing of a call is uncertain any more
	kindFinished                 // the client hears that a content is done
	kindGone                     // an entry has ended
	kindOptional kind = 0x80
)

// ends tells whether a frame ends an entry. It is written twice.
func (k kind) ends() bool { return k == kindFinished || k == kindGone }

const (
	// frameHead are kind, length of the body and a checksum of both, frameTail a checksum
	// of the body.
	frameHead, frameTail = 8, 4
	maxBody              = 1<<24 - 1
	// leastEnd is the size of the smallest frame that ends an entry. Each of them is written
	// twice, so that no single fault makes an entry look as if it had not ended.
	leastEnd = frameHead + 1 + frameTail
)

func checksum(seed uint32, b []byte) uint32 { return crc32.Update(seed, castagnoli, b) }

func (h *header) seed() uint32 { return crc32.Checksum(h.salt[:], castagnoli) }

// encoder appends frames.
type encoder struct {
	b     []byte
	start int  // of the last frame
	open  bool // it is under way
	seed  uint32
}

func (e *encoder) begin(k kind) {
	e.start, e.open = len(e.b), true
	e.b = append(e.b, byte(k), 0, 0, 0, 0, 0, 0, 0)
}

// end completes a frame. It takes it back if it is too large.
func (e *encoder) end() bool {
	head, body := e.b[e.start:e.start+frameHead], e.b[e.start+frameHead:]
	if len(body) > maxBody {
		e.takeBack()
		return false
	}
	e.open = false
	binary.LittleEndian.PutUint32(head, uint32(head[0])|uint32(len(body))<<8)
	binary.LittleEndian.PutUint32(head[4:], checksum(e.seed, head[:4]))
	e.b = binary.LittleEndian.AppendUint32(e.b, checksum(e.seed, body))
	return true
}

// takeBack takes the frame that is under way back, if there is one.
func (e *encoder) takeBack() {
	if e.open {
		e.b, e.open = e.b[:e.start], false
	}
}

// twice repeats the last frame.
func (e *encoder) twice() { e.b = append(e.b, e.b[e.start:]...) }

func (e *encoder) uint(n uint64)  { e.b = binary.AppendUvarint(e.b, n) }
func (e *encoder) text(s string)  { e.uint(uint64(len(s))); e.b = append(e.b, s...) }
func (e *encoder) bytes(s []byte) { e.uint(uint64(len(s))); e.b = append(e.b, s...) }

// numbers writes numbers as stretches.
type numbers struct {
	first, next int32 // of the stretch under way, empty if they are equal
	before      int32 // the end of the one before
}

func (w *numbers) add(e *encoder, n int32) { w.addRange(e, n, n+1) }

// addRange adds the numbers from first to below next.
func (w *numbers) addRange(e *encoder, first, next int32) {
	if w.next > w.first && first == w.next {
		w.next = next
		return
	}
	w.flush(e)
	w.first, w.next = first, next
}

// end writes what is left and ends the list.
func (w *numbers) end(e *encoder) {
	w.flush(e)
	e.uint(0)
	*w = numbers{}
}

// flush writes a stretch: how far it is behind the last one, with a sign, and whether it is
// longer than one, in one number that is never 0; and then its length if it is.
func (w *numbers) flush(e *encoder) {
	length := w.next - w.first
	if length == 0 {
		return
	}
	gap := int64(w.first) - int64(w.before)
	v := uint64(gap<<1) ^ uint64(gap>>63)
	v <<= 1
	if length > 1 {
		v |= 1
	}
	e.uint(v + 1)
	if length > 1 {
		e.uint(uint64(length))
	}
	w.before, w.first, w.next = w.next, 0, 0
}

// decoder takes values off a frame's body. After an error it gives zeros.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uint() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[size:]
	return n
}

// int is uint for numbers up to most.
func (d *decoder) int(most int) int {
	n := d.uint()
	if n > uint64(most) {
		d.bad, d.b = true, nil
		return 0
	}
	return int(n)
}

func (d *decoder) bytes() []byte {
	n := d.int(len(d.b))
	if n > len(d.b) {
		d.bad, d.b = true, nil
		return nil
	}
	s := d.b[:n]
	d.b = d.b[n:]
	return s
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.bad = true
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

// stretches calls add for each stretch of a list.
func (d *decoder) stretches(add func(first, next int)) {
	before, sum := int64(0), int64(0)
	for {
		v := d.uint()
		if v == 0 {
			return
		}
		v--
		u := v >> 1
		gap := int64(u>>1) ^ -int64(u&1)
		length := int64(1)
		if v&1 != 0 {
			length = int64(d.int(maxRecords))
		}
		first := before + gap
		if sum += length; d.bad || length == 0 || sum > maxRecords || gap > maxRecords || gap < -maxRecords || first < 0 || first+length > maxRecords {
			d.bad, d.b = true, nil
			return
		}
		add(int(first), int(first+length))
		before = first + length
	}
}

// maxRecords bounds the records of one content that is kept here.
const maxRecords = 1 << 24

// Head is what an entry says of its content.
type Head struct {
	Identity ledger.Identity
	// Plan is the written form of the content's plan, nil if there is none.
	Plan []byte
	// Total is the number of its records, DeadLetters that of the dead letters which are
	// known before anything is put, Parts its parts.
	Total, DeadLetters, Parts int
	// Counted and Lost are those of the content.
	Counted, Lost bool
}

func (h *Head) append(e *encoder) {
	flags := byte(0)
	for i, on := range []bool{h.Counted, h.Lost, h.Plan != nil} {
		if on {
			flags |= 1 << i
		}
	}
	e.b = append(e.b, flags)
	start := len(e.b)
	e.b, _ = h.Identity.AppendBinary(e.b) // never fails
	id := len(e.b) - start
	e.uint(uint64(id)) // the length behind it, moved before it
	size := len(e.b) - start - id
	rotateRight(e.b[start:], size)
	e.bytes(h.Plan)
	e.uint(uint64(h.Total))
	e.uint(uint64(h.DeadLetters))
	e.uint(uint64(h.Parts))
}

// rotateRight moves the last n bytes, of which there are few, before the others.
func rotateRight(b []byte, n int) {
	var last [binary.MaxVarintLen64]byte
	copy(last[:n], b[len(b)-n:])
	copy(b[n:], b[:len(b)-n])
	copy(b, last[:n])
}

func (h *Head) read(d *decoder) {
	flags := d.byte()
	h.Counted, h.Lost = flags&1 != 0, flags&2 != 0
	if err := h.Identity.UnmarshalBinary(d.bytes()); err != nil {
		d.bad = true
	}
	if plan := d.bytes(); flags&4 != 0 {
		h.Plan = append([]byte{}, plan...)
	}
	h.Total, h.DeadLetters, h.Parts = d.int(maxRecords), d.int(maxRecords), d.int(1<<40)
}

// Disposition is how records or dead letters of an entry are settled.
type Disposition uint8

// The dispositions, with their values in the file.
const (
	Confirmed    Disposition = iota // the record is in Kinesis
	Kept                            // it is a dead letter
	Dropped                         // it is left out, as configured
	RejectedLate                    // it is left out, and its content would have been rejected
	Lost                            // it is left out, and no option asks for it
	KnownKept                       // a dead letter that was known before is kept
	KnownLost                       // it can never be kept
	dispositions
)

// deadLetters tells whether the numbers are those of dead letters.
func (d Disposition) deadLetters() bool { return d >= KnownKept }

// SPDX-License-Identifier: Apache-2.0

package body

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/outkpl/outkpl/internal/event"
)

// msgpack reads what Fluent Bit sends, [time, record] and [[time, metadata],
// record] one after the other, what Fluentd sends, records one after the other,
// and arrays of any of these. Group markers and metadata are left out, as in the
// JSON of Fluent Bit's own outputs.
func (s *splitter) msgpack() *Error {
	var r event.ChunkReader
	for i := 0; i < len(s.data); {
		end, err := s.packed(&r, i)
		if err == nil {
			i = end
			continue
		}
		if err.Kind != KindMalformed {
			return err
		}
		n, first := packedArray(s.data, i)
		if n == 0 && first > i {
			i = first // an empty array
			continue
		}
		if n == 0 || !packedContainer(s.data, first) {
			if i, err = s.packedBroken(&r, i, err); err != nil {
				return err
			}
			continue
		}
		// An array of events. Whether it is one shows only behind its first element, so
		// it has been taken for an event first.
		start, pair, back := i, n == 2, s.mark()
		for i = first; n > 0; n-- {
			var inner *Error
			if i, inner = s.packed(&r, i); inner == nil {
				continue
			}
			if pair && inner.Kind == KindMalformed {
				// An event is a pair too, and more likely.
				back()
				i, inner = s.packedBroken(&r, start, err)
				n = 1
			} else if inner.Kind == KindMalformed {
				i, inner = s.packedBroken(&r, i, inner)
			}
			if inner != nil {
				return inner
			}
			if i >= len(s.data) {
				break // it says itself that something is missing
			}
		}
	}
	return nil
}

// packedBroken makes an event of the value at b[i], which is not one because of err, and
// returns what is behind it.
func (s *splitter) packedBroken(r *event.ChunkReader, i int, err *Error) (int, *Error) {
	end, known := len(s.data), false
	if i < end {
		var ev event.Event
		var ee *event.EventError
		r.Reset(s.data[i:])
		if e := r.Next(&ev); e == nil {
			end, known = i+r.Offset(), true
		} else if errors.As(e, &ee) && ee.Skippable {
			end, known = i+ee.Length, true
		}
	}
	if n := end - min(i, end); !known && n > 0 {
		err.Detail += fmt.Sprintf("; its end is not known, so that the rest of the body, %d bytes, counts as one event", n)
	}
	return end, s.bad(min(i, end), end, err.Offset, err.Detail)
}

// packed adds the event at b[i] and returns what is behind it.
func (s *splitter) packed(r *event.ChunkReader, i int) (int, *Error) {
	if i >= len(s.data) {
		return i, s.fail(KindMalformed, len(s.data), "MessagePack: "+event.ReasonTruncated.String())
	}
	if isPackedMap(s.data[i]) {
		out, rest, err := event.AppendJSON(s.opt.Arena.begin(0), s.data[i:])
		if err != nil {
			return i, s.packedFailed(i, err)
		}
		return len(s.data) - len(rest), s.converted(out, EventJSON, i)
	}
	var ev event.Event
	r.Reset(s.data[i:])
	if err := r.Next(&ev); err != nil {
		return i, s.packedFailed(i, err)
	}
	end := i + r.Offset()
	if ev.Kind != event.KindRecord {
		return end, nil
	}
	dst := s.opt.Arena.begin(len(ev.Body) + len(ev.Body)/4)
	if s.opt.OmitTime {
		out, _, err := event.AppendJSON(dst, ev.Body)
		if err != nil {
			return i, s.packedFailed(i, err)
		}
		return end, s.converted(out, EventJSON, i)
	}
	object := len(dst)
	dst = append(dst, '{')
	dst = appendString(dst, []byte(s.opt.TimeKey))
	dst = append(dst, ':')
	dst = appendTime(dst, ev.Sec, ev.Nsec)
	out, _, err := event.AppendMembers(dst, object, ev.Body)
	if err != nil {
		return i, s.packedFailed(i, err)
	}
	return end, s.converted(out, EventJSON, i)
}

// packedFailed translates the errors of package event.
func (s *splitter) packedFailed(i int, err error) *Error {
	reason := event.ReasonTruncated
	var ee *event.EventError
	var ve *event.ValueError
	switch {
	case errors.As(err, &ee):
		i, reason = i+ee.Offset, ee.Reason
	case errors.As(err, &ve):
		i, reason = i+ve.Offset, ve.Reason
	}
	return s.fail(KindMalformed, min(i, len(s.data)), "MessagePack: "+reason.String())
}

// appendTime appends seconds with nine decimals, by way of the timestamp type of
// MessagePack, so that times look the same wherever they come from.
func appendTime(dst []byte, sec, nsec int64) []byte {
	t := [15]byte{0xc7, 12, 0xff}
	binary.BigEndian.PutUint32(t[3:], uint32(nsec))
	binary.BigEndian.PutUint64(t[7:], uint64(sec))
	dst, _, _ = event.AppendJSON(dst, t[:]) // cannot fail: the bytes are complete
	return dst
}

func isPackedMap(t byte) bool { return t&0xf0 == 0x80 || t == 0xde || t == 0xdf }

// packedContainer says whether b[i] begins a map or an array.
func packedContainer(b []byte, i int) bool {
	if i >= len(b) {
		return false
	}
	t := b[i]
	return isPackedMap(t) || t&0xf0 == 0x90 || t == 0xdc || t == 0xdd
}

// packedArray returns how many elements the array at b[i] has and where the first
// one lies; next is i if there is no whole head of an array.
func packedArray(b []byte, i int) (n, next int) {
	switch t := b[i]; {
	case t&0xf0 == 0x90:
		return int(t & 0x0f), i + 1
	case t == 0xdc && len(b)-i >= 3:
		return int(binary.BigEndian.Uint16(b[i+1:])), i + 3
	case t == 0xdd && len(b)-i >= 5:
		return int(binary.BigEndian.Uint32(b[i+1:])), i + 5
	}
	return 0, i
}

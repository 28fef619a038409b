// SPDX-License-Identifier: Apache-2.0

package event

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Bounds of Config.MaxRecordBytes. A stream takes records of 1 MiB by default and
// up to 10 MiB on request
// (https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateMaxRecordSize.html,
// checked 2026-11-24).
const (
	DefaultMaxRecordBytes = 1 << 20
	minMaxRecordBytes     = 4 << 10
	maxMaxRecordBytes     = 10 << 20
)

// truncationMark ends a text that was cut. Both other Fluent Bit outputs for
// Kinesis use it.
const truncationMark = "[Truncated...]"

// oversizeRule says what is done with a record over the limit.
type oversizeRule uint8

const (
	oversizeKeep oversizeRule = iota
	oversizeTruncate
	oversizeSplit
)

func parseOversize(cfg *Config, check func(option, value string, err error)) (rule oversizeRule, limit int) {
	switch cfg.Oversize {
	case "", "keep":
	case "truncate":
		rule = oversizeTruncate
	case "split":
		rule = oversizeSplit
	default:
		check("oversize", cfg.Oversize, errors.New("not one of the allowed words; allowed: keep, truncate or split"))
	}
	if limit = cfg.MaxRecordBytes; limit != 0 && (limit < minMaxRecordBytes || limit > maxMaxRecordBytes) {
		check("max_record_size", strconv.Itoa(limit), fmt.Errorf("out of range; allowed: %d to %d", minMaxRecordBytes, maxMaxRecordBytes))
	}
	return rule, limit
}

// partial marks one piece of a split event, with the keys that Docker and Fluentd
// use for the pieces of a long line; Fluent Bit's multiline filter joins them.
type partial struct {
	id      []byte // hexadecimal
	ordinal int    // from 1
	last    bool
}

// outerPartial is the key of an object that has an event's own keys of these names: those
// of a piece that Docker or FireLens has made. Joining the pieces takes away every key
// that begins with partial_, so they must not stay among ours.
const outerPartial = "outer_partial"

// isPartial tells whether the text, a key as it is written with its quotes, is one that a
// piece needs for itself.
func isPartial(name []byte) bool {
	switch string(name) {
	case `"partial_message"`, `"partial_id"`, `"partial_ordinal"`, `"partial_last"`, `"` + outerPartial + `"`:
		return true
	}
	return false
}

// mark adds p to the object at dst[object], with which dst ends.
func (p *partial) mark(dst []byte, object int) []byte {
	rest := []byte{'{'}
	own := []byte(`"` + outerPartial + `":{`)
	before := len(own)
	for i := object + 1; dst[i] != '}'; {
		colon := skipJSON(dst, i)
		end := skipJSON(dst, colon+1)
		if isPartial(dst[i:colon]) {
			own = append(appendComma(own, before), dst[i:end]...)
		} else {
			rest = append(appendComma(rest, 1), dst[i:end]...)
		}
		if i = end; dst[i] == ',' {
			i++
		}
	}
	if len(own) > before {
		rest = append(append(appendComma(rest, 1), own...), '}')
	}
	dst = append(dst[:object], rest...)
	return append(p.append(appendComma(dst, object+1)), '}')
}

func (p *partial) append(dst []byte) []byte {
	dst = append(dst, `"partial_message":"true","partial_id":"`...)
	dst = append(dst, p.id...)
	dst = append(dst, `","partial_ordinal":"`...)
	dst = strconv.AppendInt(dst, int64(p.ordinal), 10)
	dst = append(dst, `","partial_last":"`...)
	return append(strconv.AppendBool(dst, p.last), '"')
}

// appendSpecialText is AppendQuoted for text at b[i:end] under options that cut.
func appendSpecialText(dst, b []byte, i, end int, o *jsonOptions) []byte {
	dst = append(dst, '"')
	dst = appendEscaped(dst, o.piece(b, i, end))
	if o.cuts(end - i) {
		dst = append(dst, truncationMark...)
	}
	return append(dst, '"')
}

// cuts tells whether text of n bytes is cut. What the mark would make longer
// stays whole.
func (o *jsonOptions) cuts(n int) bool {
	return o.cut && n > o.maxText+len(truncationMark)
}

// piece is the part of the text b[i:end] that is to be written.
func (o *jsonOptions) piece(b []byte, i, end int) []byte {
	switch {
	case o.cuts(end - i):
		end = i + runeStart(b[i:end], o.maxText)
	case o.pieceAt == i && i > 0:
		i, end = i+o.pieceFrom, i+o.pieceTo
	}
	return b[i:end:end]
}

// runeStart is the last position up to n at which a character of s begins.
func runeStart(s []byte, n int) int {
	if n >= len(s) {
		return len(s)
	}
	for k := 0; k < utf8.UTFMax-1 && n > 0 && !utf8.RuneStart(s[n]); k++ {
		n--
	}
	return n
}

// keySize is the size of the key of sp. An unkeyed record gets a key of one character
// from the producer.
func keySize(sp *span) int { return max(len(sp.key)+sp.keyEnd-sp.start, 1) }

// recordSize is what Kinesis counts.
func recordSize(sp *span) int { return keySize(sp) + sp.end - sp.keyEnd }

// reshape makes the record sp fit by the Shaper's rule if it is over the limit of its
// stream. It returns 0, and leaves the record as it was, if it is not or if that is
// not possible: the producer then refuses the record.
func (b *Builder) reshape(s *Shaper, ev *Event, sp *span) Outcome {
	most := b.recordLimit(s, sp.stream)
	if recordSize(sp) <= most {
		return 0
	}
	limit := most - keySize(sp)
	if s.oversize == oversizeTruncate && b.truncate(s, ev, sp, limit) {
		return Truncated
	}
	if s.oversize == oversizeSplit && b.split(s, ev, sp, limit) {
		return Split
	}
	return 0
}

// truncate cuts the long texts of the event to one length, the largest found that
// makes the payload fit. Short texts, numbers and keys stay.
func (b *Builder) truncate(s *Shaper, ev *Event, sp *span, limit int) bool {
	o := s.json
	o.special, o.cut = true, true
	size := func(length int) int {
		o.maxText = length
		b.arena, _, _, _ = b.shape(b.arena[:sp.keyEnd], s, ev, &o)
		return len(b.arena) - sp.keyEnd
	}
	if size(0) > limit {
		b.arena, _, _, _ = b.shape(b.arena[:sp.keyEnd], s, ev, &s.json)
		return false
	}
	// fits is a length that fits, over one that may not. Close is good enough:
	// each step writes the event anew.
	fits, over := 0, len(ev.Body)
	for over-fits > 1 {
		length := fits + (over-fits)/2
		n := size(length)
		if n > limit {
			over = length
			continue
		}
		if fits = length; n >= limit-limit/8 {
			break
		}
	}
	size(fits)
	sp.end = len(b.arena)
	b.spans = append(b.spans, *sp)
	return true
}

// split cuts the longest text of the event into pieces and writes a record for
// each: the event with the piece in place of the text, marked as partial. With
// LogKey and text under it, the pieces are plain text.
func (b *Builder) split(s *Shaper, ev *Event, sp *span, limit int) bool {
	if s.pack.codec != codecNone {
		limit -= limit/256 + 128 // what a format may add to bytes that do not compress
	}
	text, raw := s.longestText(ev.Body, b.additions(s, ev))
	if text.n == 0 {
		return false
	}
	sum := sha256.Sum256(ev.Raw)
	mark := partial{id: strconv.AppendInt(append(appendHex(nil, sum[:8]), '-'), int64(ev.Index), 10), ordinal: 1 << 30}
	o := s.json
	o.special, o.pieceAt, o.partial = true, text.at, &mark
	if raw {
		o.partial = nil
	}
	b.text, _, _, _ = s.appendPayload(b.text[:0], ev, b, &o) // with an empty piece
	room := limit - len(b.text)
	if room < limit/4 {
		return false
	}
	key := string(b.arena[sp.start:sp.keyEnd])
	if sp.key+key == "" {
		key = string(mark.id) // pieces that are to be joined should share a shard
		room -= len(key)
	}
	b.arena = b.arena[:sp.start]
	body := ev.Body[text.at : text.at+text.n]
	mark.ordinal = 0
	for from := 0; from < len(body); from = o.pieceTo {
		o.pieceFrom, o.pieceTo = from, from+fitting(body[from:], room, raw && s.combine == nil)
		mark.ordinal++
		mark.last = o.pieceTo == len(body)
		one := span{start: len(b.arena), key: sp.key, stream: sp.stream, alone: sp.alone}
		b.arena = append(b.arena, key...)
		one.keyEnd = len(b.arena)
		b.arena, _, _, _ = b.shape(b.arena, s, ev, &o)
		one.end = len(b.arena)
		b.spans = append(b.spans, one)
	}
	return true
}

// fitting is how many bytes of s, whole characters and at least one, take at most
// room bytes in a JSON string, or as they are.
func fitting(s []byte, room int, raw bool) int {
	if raw {
		return max(runeStart(s, room), 1)
	}
	i := 0
	for i < len(s) {
		n, size := quotedRune(s[i:])
		if room -= size; room < 0 && i > 0 {
			break
		}
		i += n
	}
	return i
}

// quotedRune is how many bytes the first character of s has, and how many in a JSON
// string.
func quotedRune(s []byte) (n, size int) {
	switch c := s[0]; {
	case c >= utf8.RuneSelf:
		if n = runeLen(s); n == 0 {
			return 1, len("\uFFFD")
		}
		return n, n
	case shortEscapes[c] != 0:
		return 1, 2
	case c < 0x20:
		return 1, len(`\u0000`)
	}
	return 1, 1
}

// textAt is a text in a body.
type textAt struct{ at, n int }

// longestText finds the longest text value that goes into the payload and can be cut into
// pieces: not that of a key by which pieces are joined, nor one of an array that is the
// payload, which has no room for such keys. raw means that it is the payload.
func (s *Shaper) longestText(body []byte, add additions) (best textAt, raw bool) {
	if s.logKey != "" {
		if at := member(body, 0, s.logKey); at >= 0 {
			switch c, n, p := readHead(body, at); c {
			case classString, classBinary:
				return textAt{p, n}, true
			case classMap:
				return s.longestMember(body, at, func([]byte) bool { return false }), false
			default: // nothing in it can be cut
			}
			return textAt{}, false
		}
	}
	return s.longestMember(body, 0, func(key []byte) bool { return s.leavesOut(key, add) }), false
}

// longestMember looks through the map at b[i], but for some of its keys.
func (s *Shaper) longestMember(b []byte, i int, leavesOut func(key []byte) bool) (best textAt) {
	c, n, i := readHead(b, i)
	if c != classMap {
		return textAt{}
	}
	for range n {
		key, next, reason := readKey(b, i)
		if reason != ReasonNone {
			return textAt{}
		}
		if leavesOut(key) || isPartial(appendKeyText(nil, key, &s.json)) {
			i, _ = skipFlat(b, next, 1)
		} else {
			i = longest(b, next, &best)
		}
	}
	return best
}

// longest looks through the value at b[i], which is known to be complete.
func longest(b []byte, i int, best *textAt) (next int) {
	c, n, p := readHead(b, i)
	switch c {
	case classString, classBinary:
		if n > best.n {
			*best = textAt{p, n}
		}
		return p + n
	case classMap:
		for range n {
			p, _ = skipFlat(b, p, 1)
			p = longest(b, p, best)
		}
		return p
	case classArray:
		for range n {
			p = longest(b, p, best)
		}
		return p
	default: // nothing in it can be cut
	}
	return p + n
}

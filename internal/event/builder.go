// SPDX-License-Identifier: Apache-2.0

package event

import (
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/outkpl/outkpl/core"
)

// Outcome is a set of warnings about one event, to be counted by the caller.
type Outcome uint16

const (
	// KeyMissing: the event has no partition key, so the missing rule applied.
	KeyMissing Outcome = 1 << iota
	// KeyCut: the partition key was longer than MaxKeyCharacters and was cut.
	KeyCut
	// LogKeyMissing: the event has no such key and was taken whole.
	LogKeyMissing
	// Dropped: a missing rule is "drop"; nothing was added.
	Dropped
	// StreamMissing: Config.Stream has no value for the event, so the rule for that
	// applied.
	StreamMissing
	// StreamRefused: what Config.Stream makes of the event is no stream name, is not
	// allowed, or is one too many; the same rule applied.
	StreamRefused
	// Unroutable: the event has no stream; nothing was added.
	Unroutable
	// Truncated: texts of the event were cut to fit.
	Truncated
	// Split: the event became several records.
	Split
	// GroupLeftOut: the attributes of the event's group were not added, because they
	// are larger than MaxGroupBytes, or because those of a chunk came to more than
	// 64 MiB.
	GroupLeftOut
	// Empty: the event has nothing to send and Config.EmptyEvents is "drop"; nothing was
	// added.
	Empty
)

var outcomeNames = [...]string{
	"key_missing", "key_cut", "log_key_missing", "dropped",
	"stream_missing", "stream_refused", "unroutable", "truncated", "split", "group_left_out", "empty",
}

const (
	// MaxGroupBytes bounds the attributes of a group, as MessagePack. They are repeated
	// in each of its events, and there is no bound on the number of those.
	MaxGroupBytes = 16 << 10
	// maxGroupJSONBytes bounds what all of that comes to in a chunk.
	maxGroupJSONBytes = 64 << 20
)

// maxKeptArenaBytes bounds what Reset keeps of each kind of memory, so that one chunk
// with a giant event, or with very many, does not hold its memory for ever.
const maxKeptArenaBytes = 8 << 20

const (
	spanBytes   = int(unsafe.Sizeof(span{}))
	recordBytes = int(unsafe.Sizeof(core.Record{}))
)

// Builder collects the records of one chunk. Payloads and keys lie in one piece
// of memory, so that adding an event allocates nothing once the Builder has seen
// a chunk of that size. The zero value is ready. Not safe for concurrent use.
//
// The records point into that memory. Reset may be called only when the batch
// that carries them has settled; a Builder whose batch will not settle in time
// has to be left to the garbage collector.
type Builder struct {
	arena []byte
	spans []span
	marks keyMarks // of the keys of the first of spans
	recs  []core.Record
	clock clock

	out      Combined // of recs, with Config.Combine
	combined bool     // out is made
	early    int      // the length of arena from which on full records are made; 0: all are made at the end
	done     int      // events of these

	group      []byte // body of the last group start, empty outside of groups
	groupJSON  []byte // the text of group, made on demand
	groupSpent int    // bytes of groupJSON in all records
	groupLarge bool   // the group was too large and is not in group
	text       []byte // payloads before compression
	scratch    []byte // values of templates
	z          compressor
	layouts    layouts // of the shaper

	plan        *Plan            // of this chunk
	own         Plan             // used without Follow
	streamIndex map[string]int32 // into plan.streams
	lastStream  int32            // likewise, of an event before

	// What the tag means under a Shaper, computed when either changes.
	shaper     *Shaper
	tag        string
	tagKey     fixedKey // Config.PartitionKey, if it does not depend on the event
	missingKey fixedKey // Config.PartitionKeyMissing
	tagRoute   route    // Config.Stream, if it does not depend on the event
	routed     bool     // tagRoute is valid for this chunk
}

// span is one record in the arena: the key's bytes, then the payload.
type span struct {
	start, keyEnd, end int
	key                string // instead of bytes in the arena, if not empty
	stream             int32  // index into Plan.streams
	alone              bool   // a complete record, not to be combined
}

// Reset forgets the records and keeps the memory for the next chunk.
func (b *Builder) Reset() {
	if cap(b.arena) > maxKeptArenaBytes {
		b.arena = nil
	}
	if cap(b.text) > maxKeptArenaBytes {
		b.text = nil
	}
	if (spanBytes+recordBytes)*cap(b.spans) > maxKeptArenaBytes {
		b.spans, b.marks, b.recs = nil, keyMarks{}, nil
	}
	b.arena = b.arena[:0]
	b.setGroup(nil)
	b.groupSpent = 0
	clear(b.spans) // lets go of keys
	b.spans = b.spans[:0]
	b.marks.reset()
	clear(b.recs)
	b.recs = b.recs[:0]
	if b.combined || b.done > 0 {
		b.out.reset()
		b.combined = false
	}
	b.early, b.done = 0, 0
	b.own.reset()
	b.plan, b.routed = nil, false
	clear(b.streamIndex)
}

// Grow makes room for n more bytes. The length of a chunk and a quarter is a good
// guess before its first event; it saves copying while the arena grows.
func (b *Builder) Grow(n int) {
	if b.early > 0 { // most of them do not stay
		n = min(n, b.early+b.early/4)
	}
	if len(b.arena) > 0 {
		b.arena = slices.Grow(b.arena, n)
	} else if cap(b.arena) < n {
		b.arena = make([]byte, 0, n) // slices.Grow would write to all of it
	}
	if b.spans == nil {
		b.spans = make([]span, 0, n/bytesPerSpan)
	}
}

// bytesPerSpan is for how many bytes Grow makes room for an event. Few are larger, and the
// memory for others is small beside that for their bytes.
const bytesPerSpan = 512

// Len is the number of records; with Config.Combine that of events, until Records.
func (b *Builder) Len() int {
	if b.combined {
		return len(b.out.Records)
	}
	return b.done + len(b.spans)
}

// Size is the number of bytes of all payloads and of the keys taken from events.
func (b *Builder) Size() int { return len(b.arena) }

// Memory is what the records hold in memory, in bytes.
func (b *Builder) Memory() int {
	return cap(b.arena) + spanBytes*cap(b.spans) + b.marks.memory() + recordBytes*cap(b.recs) + b.out.memory()
}

// Add appends the record for ev, or the records if it is split. Group markers are
// not records; they are remembered for the events that follow. On an error, a
// *ValueError, nothing was added and Outcome is 0; this happens for an ev that no
// ChunkReader made and for keys that lie too deep in each other. Neither tag nor ev
// is kept.
func (b *Builder) Add(s *Shaper, tag string, ev *Event) (Outcome, error) {
	if ev.Kind != KindRecord {
		if b.setGroup(nil); ev.Kind == KindGroupStart {
			b.setGroup(ev.Body)
		}
		return 0, nil
	}
	if b.shaper != s || b.tag != tag {
		b.setTag(s, tag)
	}
	if b.combined {
		panic("event: Add after Records, without Reset, of combined events")
	}
	if b.early > 0 && len(b.arena) >= b.early {
		b.combineFull(s.combine)
	}
	f := fields{ev: ev, group: b.group}
	route := b.route(s, tag, &f)
	if route.stream < 0 {
		return route.outcome, nil
	}
	sp := span{start: len(b.arena), stream: route.stream}
	outcome := route.outcome | b.addKey(s, tag, &f, &sp)
	if outcome&Dropped != 0 {
		return outcome, nil
	}
	sp.keyEnd = len(b.arena)
	var arena []byte
	var warnings Outcome
	var at int
	var reason Reason
	if s.pack.codec == codecNone || s.combine != nil { // that is compressed later
		arena, warnings, at, reason = s.appendPayload(b.arena, ev, b, &s.json)
	} else {
		arena, warnings, at, reason = b.shape(b.arena, s, ev, &s.json)
	}
	if reason != ReasonNone {
		b.arena = arena[:sp.start]
		return 0, &ValueError{Offset: at, Reason: reason}
	}
	if warnings&Empty != 0 {
		b.arena = arena[:sp.start]
		return outcome | warnings, nil
	}
	b.arena = arena
	b.groupSpent += len(b.groupJSON) // empty if it is not added
	outcome |= warnings
	sp.end = len(arena)
	if s.oversize != oversizeKeep && recordSize(&sp) > s.surelyFits() {
		if s.combine != nil {
			b.finishAlone(s, &sp)
		}
		if done := b.reshape(s, ev, &sp); done != 0 {
			return outcome | done, nil
		}
		sp.end = len(b.arena)
	}
	b.addSpan(s, &sp)
	return outcome, nil
}

// addSpan adds the record of an event.
func (b *Builder) addSpan(s *Shaper, sp *span) {
	b.spans = append(b.spans, *sp)
	if s.marksKeys && len(b.spans) >= b.marks.next {
		b.markKeys()
	}
}

// shape appends the payload for ev as it will be sent, as a record of its own.
func (b *Builder) shape(dst []byte, s *Shaper, ev *Event, o *jsonOptions) ([]byte, Outcome, int, Reason) {
	if s.pack.codec == codecNone {
		return s.appendPayload(dst, ev, b, o)
	}
	text, outcome, at, reason := s.appendPayload(b.text[:0], ev, b, o)
	b.text = text
	if reason != ReasonNone || outcome&Empty != 0 {
		return dst, outcome, at, reason
	}
	return b.z.append(&s.pack, dst, text), outcome, at, reason
}

// setGroup remembers a copy of a group's attributes.
func (b *Builder) setGroup(body []byte) {
	b.group, b.groupJSON = b.group[:0], b.groupJSON[:0]
	if b.groupLarge = len(body) > MaxGroupBytes; !b.groupLarge {
		b.group = append(b.group, body...)
	}
}

// groupText is the group's key and value.
func (b *Builder) groupText(s *Shaper) []byte {
	if len(b.groupJSON) == 0 {
		b.groupJSON = appendSide(append(b.groupJSON, s.groupPrefix...), slices.Clip(b.group), &s.metadataJSON)
	}
	return b.groupJSON
}

// addKey sets sp.key or appends the key to the arena.
func (b *Builder) addKey(s *Shaper, tag string, f *fields, sp *span) Outcome {
	switch s.key.source {
	case keyNone:
		return 0
	case keyField:
		if at := f.find(s.key.path); at >= 0 {
			arena, cut, ok := appendKeyValue(b.arena, f.ev.Body, at)
			if ok {
				b.arena = arena
				return warning(cut, KeyCut)
			}
		}
	case keyTemplate:
		text, ok := s.key.tpl.append(b.scratch[:0], tag, f)
		b.scratch = text
		if ok {
			var cut bool
			b.arena, cut = appendPartitionKey(b.arena, text)
			return warning(cut, KeyCut)
		}
	default:
		if b.tagKey.key != "" {
			sp.key = b.tagKey.key
			return warning(b.tagKey.cut, KeyCut)
		}
	}
	if s.missing.source == keyDrop {
		return KeyMissing | Dropped
	}
	sp.key = b.missingKey.key
	return KeyMissing | warning(b.missingKey.cut, KeyCut)
}

func warning(on bool, o Outcome) Outcome {
	if on {
		return o
	}
	return 0
}

func (b *Builder) setTag(s *Shaper, tag string) {
	if len(b.spans) > 0 {
		b.early = 0 // the key may be another one from here on
	}
	if b.shaper != s {
		// Nothing that another Shaper has decided counts for this one.
		b.z, b.groupJSON, b.layouts = compressor{}, b.groupJSON[:0], layouts{}
	}
	b.shaper, b.tag, b.routed = s, strings.Clone(tag), false
	b.tagKey = s.key.fixed(tag)
	b.missingKey = s.missing.fixed(tag)
}

// Streams returns the streams that Config.Stream has named in this chunk, in order of
// appearance; there are at most Config.MaxStreams. It is empty if that is not set.
// Records refer to it by StreamOf. It is valid until Reset.
func (b *Builder) Streams() []string { return b.planned().streams }

// StreamOf is the index into Streams of the stream of record i of Records.
func (b *Builder) StreamOf(i int) int {
	if b.combined && !b.out.single {
		return int(b.out.streams[i])
	}
	return int(b.spans[i].stream)
}

// EventsOf is how many events record i of Records holds.
func (b *Builder) EventsOf(i int) int {
	if b.combined && !b.out.single {
		return int(b.out.Events[i])
	}
	return 1
}

// Records returns the records in the order in which their events, or the first one of
// each, were added. The slice, the payloads and the keys are valid until Reset or the
// next Add; with Config.Combine nothing can be added then until Reset.
func (b *Builder) Records() []core.Record {
	if b.combined {
		return b.out.Records
	}
	if len(b.spans) > 0 && b.shaper.combine != nil {
		b.combineRecords(b.shaper.combine)
		return b.out.Records
	}
	b.recs = b.listRecords(b.recs[:0])
	return b.recs
}

// listRecords appends the records of the spans.
func (b *Builder) listRecords(recs []core.Record) []core.Record {
	recs = slices.Grow(recs, len(b.spans))
	for i := range b.spans {
		sp := &b.spans[i]
		recs = append(recs, core.Record{PartitionKey: b.keyOf(sp), Data: b.arena[sp.keyEnd:sp.end:sp.end]})
	}
	return recs
}

// keyOf is the partition key of a record. It is no copy: the arena does not change as long as
// the record is in use, which is the Builder's contract.
func (b *Builder) keyOf(sp *span) string {
	if sp.keyEnd > sp.start {
		return unsafe.String(&b.arena[sp.start], sp.keyEnd-sp.start)
	}
	return sp.key
}

// String lists the warnings, for logs.
func (o Outcome) String() string {
	if o == 0 {
		return "none"
	}
	var names []string
	for i, name := range outcomeNames {
		if o&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if unknown := o >> len(outcomeNames) << len(outcomeNames); unknown != 0 {
		names = append(names, fmt.Sprintf("0x%x", uint16(unknown)))
	}
	return strings.Join(names, "+")
}

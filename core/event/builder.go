// SPDX-License-Identifier: Apache-2.0

package event

import (
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/outkpl/outkpl/core"
)

// Outcome is a set of remarks about one event, to be counted by the caller.
type Outcome uint8

const (
	// KeyMissing: the event has no partition key, so the missing rule applied.
	KeyMissing Outcome = 1 << iota
	// KeyCut: the partition key was longer than MaxKeyCharacters and was cut.
	KeyCut
	// LogKeyMissing: the event has no such key and was taken whole.
	LogKeyMissing
	// Dropped: the missing rule is "drop"; nothing was added.
	Dropped
)

// maxKeptArenaBytes bounds what Reset keeps, so that one chunk with a giant event
// does not hold its memory for ever.
const maxKeptArenaBytes = 8 << 20

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
	recs  []core.Record
	clock clock

	// What the tag means under a Shaper, computed when either changes.
	shaper     *Shaper
	tag        string
	tagKey     fixedKey // Config.PartitionKey, if it does not depend on the event
	missingKey fixedKey // Config.PartitionKeyMissing
}

// span is one record in the arena: the key's bytes, then the payload.
type span struct {
	start, keyEnd, end int
	key                string // instead of bytes in the arena, if not empty
}

// fixedKey is a partition key that is the same for all events of a tag.
type fixedKey struct {
	key string // "" if there is none
	cut bool
}

// Reset forgets the records and keeps the memory for the next chunk.
func (b *Builder) Reset() {
	if cap(b.arena) > maxKeptArenaBytes {
		b.arena = nil
	}
	b.arena = b.arena[:0]
	clear(b.spans) // lets go of keys
	b.spans = b.spans[:0]
	clear(b.recs)
	b.recs = b.recs[:0]
}

// Grow makes room for n more bytes. The length of a chunk and a quarter is a good
// guess before its first event; it saves copying while the arena grows.
func (b *Builder) Grow(n int) {
	b.arena = slices.Grow(b.arena, n)
}

// Len is the number of records.
func (b *Builder) Len() int { return len(b.spans) }

// Size is the number of bytes of all payloads and of the keys taken from events.
func (b *Builder) Size() int { return len(b.arena) }

// Add appends the record for ev. Group markers are not records and are ignored.
// On an error, a *ValueError, nothing was added and Outcome is 0; this happens for
// an ev that no ChunkReader made and for keys that lie too deep in each other.
// Neither tag nor ev is kept.
func (b *Builder) Add(s *Shaper, tag string, ev *Event) (Outcome, error) {
	if ev.Kind != KindRecord {
		return 0, nil
	}
	if b.shaper != s || b.tag != tag {
		b.setTag(s, tag)
	}
	sp := span{start: len(b.arena)}
	outcome := b.addKey(s, ev, &sp)
	if outcome&Dropped != 0 {
		return outcome, nil
	}
	sp.keyEnd = len(b.arena)
	arena, remarks, at, reason := s.appendPayload(b.arena, ev, &b.clock)
	if reason != ReasonNone {
		b.arena = arena[:sp.start]
		return 0, &ValueError{Offset: at, Reason: reason}
	}
	b.arena = arena
	sp.end = len(arena)
	b.spans = append(b.spans, sp)
	return outcome | remarks, nil
}

// addKey sets sp.key or appends the key to the arena.
func (b *Builder) addKey(s *Shaper, ev *Event, sp *span) Outcome {
	switch s.key.source {
	case keySpread:
		return 0
	case keyField:
		if at := lookup(ev.Body, 0, s.key.path); at >= 0 {
			arena, cut, ok := appendKeyValue(b.arena, ev.Body, at)
			if ok {
				b.arena = arena
				return remark(cut, KeyCut)
			}
		}
	default:
		if b.tagKey.key != "" {
			sp.key = b.tagKey.key
			return remark(b.tagKey.cut, KeyCut)
		}
	}
	if s.missing.source == keyDrop {
		return KeyMissing | Dropped
	}
	sp.key = b.missingKey.key
	return KeyMissing | remark(b.missingKey.cut, KeyCut)
}

func remark(on bool, o Outcome) Outcome {
	if on {
		return o
	}
	return 0
}

func (b *Builder) setTag(s *Shaper, tag string) {
	b.shaper, b.tag = s, strings.Clone(tag)
	b.tagKey = s.key.fixed(tag)
	b.missingKey = s.missing.fixed(tag)
}

// fixed is the key by a rule that does not look at the event.
func (r *keyRule) fixed(tag string) fixedKey {
	switch r.source {
	case keyConstant:
		return fixedKey{key: r.constant}
	case keyTagPart:
		tag = tagPart(tag, r.tagPart)
	case keyTag:
	default:
		return fixedKey{}
	}
	key, cut := appendPartitionKey(nil, []byte(tag))
	return fixedKey{string(key), cut}
}

// Records returns the records in the order in which their events were added. The
// slice, the payloads and the keys are valid until Reset or the next Add.
func (b *Builder) Records() []core.Record {
	b.recs = slices.Grow(b.recs[:0], len(b.spans))
	for i := range b.spans {
		sp := &b.spans[i]
		rec := core.Record{PartitionKey: sp.key, Data: b.arena[sp.keyEnd:sp.end:sp.end]}
		if sp.keyEnd > sp.start {
			// No copy: the arena does not change as long as the record is in use, which
			// is the Builder's contract.
			rec.PartitionKey = unsafe.String(&b.arena[sp.start], sp.keyEnd-sp.start)
		}
		b.recs = append(b.recs, rec)
	}
	return b.recs
}

// String lists the remarks, for logs.
func (o Outcome) String() string {
	if o == 0 {
		return "none"
	}
	var names []string
	for i, name := range [...]string{"key_missing", "key_cut", "log_key_missing", "dropped"} {
		if o&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if unknown := o >> 4 << 4; unknown != 0 {
		names = append(names, fmt.Sprintf("0x%x", uint8(unknown)))
	}
	return strings.Join(names, "+")
}

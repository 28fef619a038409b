// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// The events of a chunk have the same keys in the same order as a rule. What stands in such
// an event before a value is known then: in MessagePack the heads of maps and the keys, in
// JSON the brackets, the names, the commas and the colons. So it is compared and copied as a
// whole, and only values are read. That takes less than half of the time, and finds the end
// of an event on the way.

// layout is what events with the same keys have in common.
type layout struct {
	steps []layoutStep
	// All that is read, and all that is written, in the order of the steps. Behind that of the
	// last step is what is written at the end, that of the payload included.
	read, write []byte
}

// layoutStep is one value, and where what comes before it ends in read and write.
type layoutStep struct {
	read, write int
	depth       int // maps around the value
}

// Bounds on what is kept of a layout.
const (
	maxLayoutSteps = 64
	maxLayoutBytes = 4 << 10
)

// learnMap adds the steps of the map at b[i], which is not empty.
func (l *layout) learnMap(b []byte, i, depth int, o *jsonOptions) (next int, ok bool) {
	c, n, p := readHead(b, i)
	if c != classMap || n == 0 || depth >= MaxDepth {
		return i, false
	}
	l.read, l.write = append(l.read, b[i:p]...), append(l.write, '{')
	i = p
	for k := range n {
		c, size, p := readHead(b, i)
		if c != classString && c != classBinary || len(l.steps) == maxLayoutSteps || max(len(l.read), len(l.write), size) > maxLayoutBytes {
			return i, false
		}
		if k > 0 {
			l.write = append(l.write, ',')
		}
		l.read = append(l.read, b[i:p+size]...)
		l.write = append(appendKeyText(l.write, b[p:p+size], o), ':')
		i = p + size
		if c, n, _ := readHead(b, i); c == classMap && n > 0 {
			if i, ok = l.learnMap(b, i, depth+1, o); !ok {
				return i, false
			}
			continue
		}
		l.steps = append(l.steps, layoutStep{read: len(l.read), write: len(l.write), depth: depth + 1})
		var reason Reason
		if i, reason = skipFlat(b, i, 1); reason != ReasonNone {
			return i, false
		}
	}
	l.write = append(l.write, '}')
	return i, true
}

// append appends the text of the map at b[i] and returns the position behind it. ok is false
// if it has another layout, or cannot be read; what was appended is of no use then. b has no
// bytes behind its end.
func (l *layout) append(dst, b []byte, i int, o *jsonOptions) (_ []byte, next int, ok bool) {
	read, write := 0, 0
	for k := range l.steps {
		st := &l.steps[k]
		n := st.read - read
		if len(b)-i < n || !bytes.Equal(b[i:i+n], l.read[read:st.read]) {
			return dst, i, false
		}
		i += n
		dst = append(dst, l.write[write:st.write]...)
		read, write = st.read, st.write
		if p, end := shortText(b, i); end > 0 {
			dst, i = AppendQuoted(dst, b[p:end]), end
			continue
		}
		var reason Reason
		if dst, i, reason = appendValue(dst, b, i, st.depth, o); reason != ReasonNone {
			return dst, i, false
		}
	}
	return append(dst, l.write[write:]...), i, true
}

// layouts are those of the events that were seen last. Learning one takes as long as writing
// ten events, so that it is not done for each that has an unknown one.
type layouts struct {
	known   [4]layout // without steps: none
	spare   layout
	check   []byte
	used    [4]int // how often, less what was long ago
	last    int    // the one that fitted last
	rest    int    // events with an unknown layout until one is learned
	unknown int    // grows with them
	pause   int    // events that are not looked at
	asked   bool   // for the event that Add gets next
}

const (
	restAfter = 16
	// When more than a fifth of the events have an unknown layout, none is looked at for a while.
	unknownCost, unknownMost = 4, 64
	pauseAfter               = 1024
)

// look reports whether the next event is to be looked at.
func (ls *layouts) look() bool {
	if ls.pause == 0 {
		return true
	}
	ls.pause--
	return false
}

// append is that of the layout that fits.
func (ls *layouts) append(dst, b []byte, i int, o *jsonOptions) (_ []byte, next int, ok bool) {
	for k := range ls.known {
		n := (ls.last + k) % len(ls.known)
		l := &ls.known[n]
		if len(l.steps) == 0 {
			continue
		}
		if out, next, ok := l.append(dst, b, i, o); ok {
			ls.used[n]++
			ls.last, ls.unknown = n, max(ls.unknown-1, 0)
			return out, next, true
		}
	}
	ls.asked = true
	return dst, i, false
}

// miss is told of an event that was looked at in vain. It reports whether a pause begins.
func (ls *layouts) miss() bool {
	if ls.unknown+unknownCost > unknownMost {
		ls.unknown, ls.pause = unknownMost/2, pauseAfter
		return true
	}
	ls.unknown += unknownCost
	return false
}

// learn is told of the body of an event of the shaper, and of its text. If none has fitted it,
// it is learned.
func (ls *layouts) learn(s *Shaper, body, text []byte) {
	if !ls.asked {
		return
	}
	ls.asked = false
	if ls.miss() {
		return
	}
	if ls.rest > 0 {
		ls.rest--
		return
	}
	if !ls.learnSpare(body, text, &s.json) {
		ls.rest = restAfter
		return
	}
	ls.spare.write = s.appendEnd(ls.spare.write)
	n := 0
	for k := range ls.known {
		if len(ls.known[k].steps) == 0 || len(ls.known[n].steps) > 0 && ls.used[k] < ls.used[n] {
			n = k
		}
		ls.used[k] /= 2
	}
	if len(ls.known[n].steps) > 0 {
		ls.rest = restAfter
	}
	ls.known[n], ls.spare = ls.spare, ls.known[n]
	ls.used[n], ls.last = 1, n
}

// learnSpare makes spare the layout of a body, unless it has none that is of use. Whether
// it gives the text decides: where a name comes twice, or a key is not text, it does not.
func (ls *layouts) learnSpare(body, text []byte, o *jsonOptions) bool {
	l := &ls.spare
	l.steps, l.read, l.write = l.steps[:0], l.read[:0], l.write[:0]
	i, ok := l.learnMap(body, 0, 0, o)
	if !ok || i != len(body) || len(text) > maxCheckBytes {
		return false
	}
	var end int
	ls.check, end, ok = l.append(ls.check[:0], slices.Clip(body), 0, o)
	return ok && end == len(body) && bytes.Equal(ls.check, text)
}

// maxCheckBytes bounds the events of which a layout is learned, and so the memory for that.
const maxCheckBytes = 64 << 10

// AddRun adds the next events of r as long as Add would add them without a warning and they
// have the keys of an event before. It returns how many it has added; r is behind them.
func (b *Builder) AddRun(s *Shaper, tag string, r *ChunkReader) (n int) {
	if b.combined || !s.isPlain() || s.groupKey != "" && (len(b.group) > 0 || b.groupLarge || b.groupSpent >= maxGroupJSONBytes) {
		return 0
	}
	if len(b.spans) > 0 && b.shaper != s {
		return 0 // Add says what that means
	}
	if b.shaper != s || b.tag != tag {
		b.setTag(s, tag)
	}
	chunk := slices.Clip(r.chunk)
	for b.layouts.look() && b.addKnown(s, tag, chunk, r) {
		r.index++
		n++
	}
	return n
}

// isPlain tells whether payloads are the text of bodies.
func (s *Shaper) isPlain() bool {
	return s.whole() && s.logKey == "" && (s.pack.codec == codecNone || s.combine != nil) && (s.streams == nil || s.streams.tpl.fixed()) && !s.json.special
}

// addKnown adds the next event of r if it has a known layout.
func (b *Builder) addKnown(s *Shaper, tag string, chunk []byte, r *ChunkReader) bool {
	var ev Event
	i := ev.plainHead(chunk, r.pos)
	if i == 0 || ev.Kind != KindRecord {
		return false
	}
	if b.early > 0 && len(b.arena) >= b.early {
		b.combineFull(s.combine)
	}
	start := len(b.arena)
	sp := span{start: start}
	if outcome := b.beginKnown(s, tag, chunk[i:], &ev, &sp); outcome != 0 {
		b.arena = b.arena[:start]
		b.layouts.miss() // or each event would be looked at twice
		return false
	}
	sp.keyEnd = len(b.arena)
	arena, next, ok := b.layouts.append(s.combine.begin(b.arena), chunk, i, &s.json)
	if !ok {
		b.arena = arena[:start]
		return false
	}
	b.arena, sp.end = arena, len(arena)
	if s.oversize != oversizeKeep && recordSize(&sp) > s.surelyFits() {
		b.arena = arena[:start]
		return false
	}
	b.addSpan(s, &sp)
	r.pos = next
	return true
}

// plainHead reads what stands before the body of the event at chunk[i], if that is what Fluent Bit
// writes for an event without metadata: an empty map. It returns where the body begins, or 0.
func (ev *Event) plainHead(chunk []byte, i int) (body int) {
	if len(chunk)-i <= 17 || !hasEventTime(chunk[i:]) {
		return 0
	}
	switch chunk[i+12] {
	case 0x80:
		body = i + 13
	case 0xdf: // of tail, in 5.1.1: a map that was begun before its size was known
		if binary.BigEndian.Uint32(chunk[i+13:]) != 0 {
			return 0
		}
		body = i + 17
	default:
		return 0
	}
	ev.setEventTime(chunk[i+4 : i+12])
	return body
}

// beginKnown finds the stream and appends the key. The body is followed by others.
func (b *Builder) beginKnown(s *Shaper, tag string, body []byte, ev *Event, sp *span) Outcome {
	if s.streams == nil && s.key.source == keyNone {
		return 0
	}
	if s.streams != nil && !b.routed {
		// Whether the event is whole is not known yet. A broken one must name no stream.
		return Unroutable
	}
	ev.Body = body
	f := fields{ev: ev, group: b.group}
	route := b.route(s, tag, &f)
	if route.outcome != 0 || route.stream < 0 {
		return Unroutable
	}
	sp.stream = route.stream
	return b.addKey(s, tag, &f, sp)
}

// SPDX-License-Identifier: Apache-2.0

package event

// Plan holds what is decided while a chunk is read and does not follow from its
// bytes and the Shaper: which streams there was room for, and how large their records
// may be. Both change with time. A chunk that is read again by its Plan gives the same
// records as the first time, byte for byte and number for number.
//
// The zero value is ready, and must not be copied once it was used. A Plan belongs to
// one chunk and to one goroutine at a time.
type Plan struct {
	// RecordLimit returns how many bytes a record of a stream may have, data and
	// partition key together, or 0 if it is not known. It is asked once for each stream
	// that has a record which may be too large, with "" without Config.Stream. nil
	// knows nothing.
	RecordLimit func(stream string) int

	// OwnRecords tells whether each record of a stream is a Kinesis record of its own,
	// since it is not aggregated. It is asked once for each stream if Config.Combine is
	// set without Config.CombineSize. nil knows of none.
	OwnRecords func(stream string) bool

	streams []string
	few     [2]string // memory for the first of streams
	limits  []int     // by index of streams, 0 if not asked
	own     []answer  // likewise, of OwnRecords
	// known are the streams that there were when there was no room for another one
	// for the first time, nil before. From then on the chunk gets no others.
	known   map[string]struct{}
	settled bool
}

// Settle ends the first reading: what was not decided in it stays undecided.
func (p *Plan) Settle() { p.settled, p.known = true, nil }

// Bytes is about the memory that p holds.
func (p *Plan) Bytes() int { return 16*cap(p.streams) + 8*cap(p.limits) + cap(p.own) }

// answer is to a question that is asked once.
type answer uint8

const (
	notAsked answer = iota
	no
	yes
)

func (p *Plan) reset() {
	clear(p.streams) // lets go of names
	*p = Plan{streams: p.streams[:0], limits: p.limits[:0], own: p.own[:0]}
}

// Follow makes what is added from here on follow p, and be noted in it. It is called
// before the first Add after a Reset; without it each chunk is read for the first
// time.
func (b *Builder) Follow(s *Shaper, p *Plan) {
	b.plan = p
	if s.combine != nil {
		s.combine.takeSpare(b)
	}
	for i, name := range p.streams {
		b.indexStream(name, int32(i))
		s.streams.use(name)
	}
}

// planned is the Plan in effect.
func (b *Builder) planned() *Plan {
	if b.plan == nil {
		b.plan = &b.own
	}
	return b.plan
}

func (b *Builder) indexStream(name string, i int32) {
	if b.streamIndex == nil {
		b.streamIndex = map[string]int32{}
	}
	b.streamIndex[name] = i
}

func (b *Builder) addStream(name string) int32 {
	p := b.planned()
	i := int32(len(p.streams))
	if p.streams == nil {
		p.streams = p.few[:0]
	}
	p.streams = append(p.streams, name)
	b.indexStream(name, i)
	return i
}

// recordLimit is how large records of a stream may be.
func (b *Builder) recordLimit(s *Shaper, stream int32) int {
	p := b.planned()
	for len(p.limits) <= int(stream) {
		p.limits = append(p.limits, 0)
	}
	if p.limits[stream] == 0 {
		learned := 0
		if p.RecordLimit != nil {
			learned = p.RecordLimit(p.name(s, stream))
		}
		p.limits[stream] = s.recordLimit(learned)
	}
	return p.limits[stream]
}

// ownRecords tells whether records of a stream are Kinesis records.
func (p *Plan) ownRecords(s *Shaper, stream int32) bool {
	for len(p.own) <= int(stream) {
		p.own = append(p.own, notAsked)
	}
	if p.own[stream] == notAsked {
		p.own[stream] = no
		if p.OwnRecords != nil && p.OwnRecords(p.name(s, stream)) {
			p.own[stream] = yes
		}
	}
	return p.own[stream] == yes
}

// name is the name of a stream as the questions have it.
func (p *Plan) name(s *Shaper, stream int32) string {
	if s.streams == nil {
		return ""
	}
	return p.streams[stream]
}

// recordLimit is the lower of what is configured and what is known.
func (s *Shaper) recordLimit(learned int) int {
	switch {
	case learned <= 0 && s.maxRecord == 0:
		return DefaultMaxRecordBytes
	case learned <= 0:
		return s.maxRecord
	case s.maxRecord == 0:
		return learned
	}
	return min(learned, s.maxRecord)
}

// surelyFits is a size up to which the limit of the stream need not be asked for.
func (s *Shaper) surelyFits() int {
	if s.maxRecord == 0 {
		return DefaultMaxRecordBytes
	}
	return min(s.maxRecord, DefaultMaxRecordBytes)
}

// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// EncoderVersion stands for what Builder makes of an event under a Config, and what
// Combine and Compression make of events. It is raised whenever the same events would give
// other records, or be cut into others: what is remembered by numbers of records would
// mean others.
const EncoderVersion = 4

// Plan holds what is decided while a chunk is read and does not follow from its
// bytes and the Shaper: which streams there was room for, how large their records may be,
// and which of them get records that are not aggregated. All of it changes with time. A
// chunk that is read again by its Plan gives the same records as the first time, byte for
// byte and number for number.
//
// The zero value is ready, and must not be copied once it was used. A Plan belongs to
// one chunk and to one goroutine at a time. Once it is settled it has a written form; see
// AppendBinary.
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

// Settle ends the first reading: what was not decided in it stays undecided. It lets go of
// whom it asks, since p may be remembered for long.
func (p *Plan) Settle() {
	p.settled, p.known = true, nil
	p.RecordLimit, p.OwnRecords = nil, nil
}

// Bytes is about the memory that p holds.
func (p *Plan) Bytes() int { return 16*cap(p.streams) + 8*cap(p.limits) + cap(p.own) }

// answer is to a question that is asked once.
type answer uint8

const (
	notAsked answer = iota
	no
	yes
)

// planVersion is the first byte of the written form.
const planVersion = 2

// maxPlanLimit bounds what UnmarshalBinary takes for the limit of a stream, far above
// what any stream has.
const maxPlanLimit = 1 << 30

// AppendBinary appends the written form of a Plan that is settled: a byte with the version
// of the form, which is 2; the number of streams, and for each the length of its name and
// the name; the number of limits, and each limit, 0 if it was not asked for, in the order
// of the streams; the number of answers of OwnRecords, and each, 0 if it was not asked, 1
// for no, 2 for yes, in the same order. Numbers are unsigned varints as of package
// encoding/binary, in as few bytes as possible. RecordLimit and OwnRecords are not part of
// it.
func (p *Plan) AppendBinary(b []byte) ([]byte, error) {
	if !p.settled {
		return b, errors.New("cannot write a plan that is not settled")
	}
	b = append(b, planVersion)
	b = binary.AppendUvarint(b, uint64(len(p.streams)))
	for _, name := range p.streams {
		b = binary.AppendUvarint(b, uint64(len(name)))
		b = append(b, name...)
	}
	b = binary.AppendUvarint(b, uint64(len(p.limits)))
	for _, n := range p.limits {
		b = binary.AppendUvarint(b, uint64(n))
	}
	b = binary.AppendUvarint(b, uint64(len(p.own)))
	for _, a := range p.own {
		b = binary.AppendUvarint(b, uint64(a))
	}
	return b, nil
}

// MarshalBinary is AppendBinary to nothing.
func (p *Plan) MarshalBinary() ([]byte, error) { return p.AppendBinary(nil) }

// UnmarshalBinary makes p, which is new, the settled Plan that was written.
func (p *Plan) UnmarshalBinary(b []byte) error {
	r := planReader{rest: b}
	if v := r.byte(); r.err == nil && v != planVersion {
		return fmt.Errorf("cannot read a plan of version %d; known: %d", v, planVersion)
	}
	streams := make([]string, 0, len(p.few))
	for range r.number(len(r.rest), "streams") {
		streams = append(streams, r.text())
	}
	most := max(len(streams), 1) // without stream names there is one stream all the same
	var limits []int
	for range r.number(most, "limits") {
		limits = append(limits, r.number(maxPlanLimit, "bytes of a record"))
	}
	var own []answer
	for range r.number(most, "answers") {
		own = append(own, answer(r.number(int(yes), "an answer")))
	}
	if r.err == nil && len(r.rest) > 0 {
		r.err = fmt.Errorf("%d bytes behind its end", len(r.rest))
	}
	if r.err != nil {
		return fmt.Errorf("cannot read a plan: %w", r.err)
	}
	p.streams, p.limits, p.own, p.known, p.settled = streams, limits, own, nil, true
	return nil
}

// planReader takes values off a written Plan. After an error it gives zeros.
type planReader struct {
	rest []byte
	err  error
}

func (r *planReader) take(n int) []byte {
	if r.err != nil || n > len(r.rest) {
		if r.err == nil {
			r.err = errors.New("it breaks off")
		}
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *planReader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *planReader) number(most int, what string) int {
	n, length := binary.Uvarint(r.rest)
	switch {
	case r.err != nil:
		return 0
	case length == 0:
		r.err = errors.New("it breaks off")
		return 0
	case length < 0 || n > uint64(most):
		r.err = fmt.Errorf("%s: out of range; allowed: 0 to %d", what, most)
		return 0
	case length > 1 && r.rest[length-1] == 0:
		r.err = fmt.Errorf("%s: in more bytes than needed", what)
		return 0
	}
	r.rest = r.rest[length:]
	return int(n)
}

func (r *planReader) text() string { return string(r.take(r.number(len(r.rest), "bytes of a name"))) }

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
		b.early = s.early()
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

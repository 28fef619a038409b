// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
)

// Decoder makes events of bodies, from the bytes on the wire on. One serves all requests.
// It must not be copied after first use.
type Decoder struct {
	// EventCost is the memory that the caller's records take for each event, the table of
	// events included.
	EventCost int64

	unpacker Unpacker
	tables   sync.Pool // of *[]Event
}

// Form is what a request says of its body.
type Form struct {
	Encodings   string // of Content-Encoding, as for Unpacker.Unpack
	ContentType string
	Format      Format
}

// Memory is what one body may use. It is asked before memory is taken.
type Memory interface {
	// Granted is what the body has, in bytes, and Most the most that it can get.
	Granted() int64
	Most() int64
	// Resize waits until the body has n bytes. Less never fails.
	Resize(ctx context.Context, n int64) error
	// Decoded is told where the body lies now, in UTF-8. If it lies elsewhere than before,
	// nothing reads any more what it was made of.
	Decoded(text []byte)
}

// Decoded is a body as events.
type Decoded struct {
	// Bytes are the unpacked body in UTF-8; after an error, what decoding had got to.
	Bytes []byte
	// Unpacked is the length of the body without its content encodings, 0 if they could
	// not be undone.
	Unpacked int
	// Format is what FormatIn says of the body.
	Format Format
	Events []Event
}

// decoding is the work on one body. The limits of opt are set.
type decoding struct {
	*Decoder
	form Form
	opt  Options
	mem  Memory
}

// Decode undoes content encodings and charset of a body and splits it. The error is an
// *Error, or of m. Options.Arena is not used: events have memory of their own, which they
// keep alive. The table of events may be given back to Reuse.
func (d *Decoder) Decode(ctx context.Context, wire []byte, form Form, opt Options, m Memory) (Decoded, error) {
	opt.Limits = opt.Limits.withDefaults()
	w := decoding{d, form, opt, m}
	raw, err := w.unpack(ctx, wire)
	if err != nil {
		return Decoded{Bytes: wire}, err
	}
	text, err := w.toUTF8(ctx, raw)
	if err != nil {
		return Decoded{Bytes: raw, Unpacked: len(raw)}, err
	}
	out := Decoded{Bytes: text, Unpacked: len(raw), Format: FormatIn(text, form.Format)}
	if out.Events, err = w.split(ctx, text); err == nil {
		m.Decoded(text)
	}
	return out, err
}

// unpack undoes content encodings. It asks for memory for what the body says of itself or
// for a guess, and when that is too little, for more and again. To ask for the largest
// body each time would keep others out.
func (w *decoding) unpack(ctx context.Context, wire []byte) ([]byte, error) {
	limits, encodings := w.opt.Limits, w.form.Encodings
	if len(wire) == 0 || !w.form.packed() {
		return w.unpacker.Unpack(encodings, wire, limits)
	}
	most := limits.UnpackedBytes
	guess := w.guessUnpacked(len(wire))
	size, beside := unpackNeed(encodings, wire)
	if size >= len(wire) {
		guess = min(size, most)
	}
	// Between two encodings there is a result, too.
	results := int64(1 + strings.Count(encodings, ","))
	cost := int64(len(wire)) + int64(beside)
	for {
		// What was asked for before is not given back for a smaller need, and a body is not
		// refused for a guess.
		if err := w.mem.Resize(ctx, max(w.mem.Granted(), min(cost+results*int64(guess), w.mem.Most()))); err != nil {
			return nil, err
		}
		limits.UnpackedBytes = guess
		out, err := w.unpacker.Unpack(encodings, wire, limits)
		if tooLarge(err) && guess < most {
			guess = min(4*guess, most)
			continue
		}
		if err == nil {
			// What was packed is not needed any more.
			_ = w.mem.Resize(ctx, min(w.mem.Granted(), int64(cap(out))+w.guessTables(len(out)))) // less cannot fail
		}
		return out, err
	}
}

// toUTF8 makes UTF-8 of a body in another charset.
func (w *decoding) toUTF8(ctx context.Context, raw []byte) ([]byte, error) {
	charset, err := CharsetOf(w.form.ContentType, w.form.Format, raw)
	if charset == nil || err != nil {
		return raw, err
	}
	if err := w.mem.Resize(ctx, max(w.mem.Granted(), int64(cap(raw))+int64(charset.Room(len(raw), w.opt.Limits)))); err != nil {
		return nil, err
	}
	return charset.Decode(raw, w.opt.Limits)
}

// split finds the events. It asks for memory for what cannot be a slice of the body, and
// for the table of events: first for a guess that fits usual logs, and when that is too
// little, for more and again.
func (w *decoding) split(ctx context.Context, text []byte) ([]Event, error) {
	most := w.opt.Limits
	converted, count := w.guessConverted(len(text)), w.countEvents(text)
	into, _ := w.tables.Get().(*[]Event)
	if into == nil {
		into = new([]Event)
	}
	for {
		opt := w.opt
		opt.Arena = new(Arena)
		opt.Limits.ConvertedBytes, opt.Limits.Events = converted, count
		if err := w.mem.Resize(ctx, int64(cap(text))+int64(converted)+int64(count)*w.EventCost); err != nil {
			return nil, err
		}
		events, err := Split(*into, text, w.form.Format, opt)
		if tooLarge(err) && (converted < most.ConvertedBytes || count < most.Events) {
			converted, count = min(4*converted, most.ConvertedBytes), min(4*count, most.Events)
			continue
		}
		if err == nil {
			_ = w.mem.Resize(ctx, int64(cap(text))+int64(opt.Arena.Size())+int64(len(events))*w.EventCost) // less cannot fail
		}
		return events, err
	}
}

// tooLarge tells whether a larger limit might help.
func tooLarge(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == KindTooLarge
}

// maxKeptEvents bounds the tables of events that are kept for the next body; each entry
// takes 32 bytes.
const maxKeptEvents = 64 << 10

// Reuse keeps a table of events for the next body. Nothing may refer to it any more.
func (d *Decoder) Reuse(events []Event) {
	if cap(events) > maxKeptEvents {
		return
	}
	clear(events) // or the table would hold the body
	events = events[:0]
	d.tables.Put(&events)
}

// Estimate is the memory that a body of that length on the wire usually needs in all.
func (d *Decoder) Estimate(length int, form Form, l Limits) int64 {
	w := decoding{Decoder: d, form: form, opt: Options{Limits: l.withDefaults()}}
	if !form.packed() {
		return int64(length) + w.guessTables(length)
	}
	raw := w.guessUnpacked(length)
	return int64(length) + int64(raw) + w.guessTables(raw)
}

// packed tells whether the body has a content encoding.
func (f *Form) packed() bool {
	return f.Encodings != "" && !strings.EqualFold(f.Encodings, "identity")
}

// guessTables is what the events of an unpacked body usually need besides it.
func (w *decoding) guessTables(raw int) int64 {
	return int64(w.guessConverted(raw)) + int64(w.guessEvents(raw))*w.EventCost
}

// guessConverted is the memory for events that cannot be slices of the body: few of
// usual JSON or text, all of other formats.
func (w *decoding) guessConverted(raw int) int {
	n := 4<<10 + raw/16
	switch w.form.Format {
	case FormatMsgpack, FormatOTLP, FormatOTLPProto, FormatOTLPJSON, FormatVector:
		n += 4 * raw
	case FormatAuto, FormatJSON, FormatText: // slices of the body
	}
	return min(n, w.opt.Limits.ConvertedBytes)
}

// unpackRatio is the first guess of how much larger the unpacked body is.
const unpackRatio = 8

func (w *decoding) guessUnpacked(length int) int {
	return min(max(unpackRatio*length, 64<<10), w.opt.Limits.UnpackedBytes)
}

func (w *decoding) guessEvents(raw int) int {
	return min(64+raw/256, w.opt.Limits.Events)
}

// countEvents is a good guess of how many events a body has, out of what separates them
// in most bodies. Too low a guess means to split twice.
func (w *decoding) countEvents(text []byte) int {
	const sample = 64 << 10
	head := text[:min(len(text), sample)]
	array := 0
	if len(head) > 0 {
		// A quarter more, since events differ in length.
		array = int(int64(bytes.Count(head, []byte("},{"))+1) * int64(len(text)) / int64(len(head)) * 5 / 4)
	}
	lines := bytes.Count(text, []byte{'\n'}) + 1
	return min(max(w.guessEvents(len(text)), array, lines), w.opt.Limits.Events)
}

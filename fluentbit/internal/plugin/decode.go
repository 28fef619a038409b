// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/internal/event"
)

// decode fills d.builder and d.records. Letters about what is no record are written in
// between, unless they are kept already.
func (in *Instance) decode(ctx context.Context, tag string, chunk []byte, d *delivery) {
	var t tally
	if in.letters == nil || d.buried {
		in.read(tag, chunk, d, &t, nil)
		d.buried = true
	} else {
		d.buried = in.readAndBury(ctx, tag, chunk, d, &t)
	}
	d.records = d.builder.Records()
	d.plan.Settle()
	if d.decoded {
		return // counted and reported by the flush that saw the chunk first
	}
	d.decoded, d.total = true, len(d.records)
	d.all = d.total > 0
	d.noted = t.pieces+t.unroutable > 0
	// Broken events of which the end is known have no part in the answer: the host
	// would count the whole chunk as dropped. They are logged as errors.
	d.lost = t.lost > 0 && in.letters == nil || t.unroutable > 0 && !in.buryUnroutable()
	in.report(tag, len(chunk), d.total, &t)
}

// readAndBury is read with letters; true if all are kept.
func (in *Instance) readAndBury(ctx context.Context, tag string, chunk []byte, d *delivery, t *tally) bool {
	kept, err := in.keep(ctx, func(yield func(int, deadletter.Letter) bool) {
		in.read(tag, chunk, d, t, &gravedigger{tag: tag, stream: in.cfg.Stream, done: d.letters, yield: yield})
	})
	in.undelivered(err)
	// They are the first ones, as letters have an order and a write that fails is the
	// last. A sink that keeps some behind one that it does not gets them again.
	for _, n := range kept {
		if n != d.letters {
			break
		}
		d.letters++
	}
	return err == nil
}

// read goes through the events of chunk. g is nil if no letters are wanted.
func (in *Instance) read(tag string, chunk []byte, d *delivery, t *tally, g *gravedigger) {
	b := in.builder()
	d.builder = b
	d.plan.RecordLimit = in.limitOf
	d.plan.OwnRecords = in.ownOf
	b.Follow(in.cfg.shaper, &d.plan)
	b.Grow(len(chunk) + len(chunk)/4)
	var r event.ChunkReader
	var ev event.Event
	for r.Reset(chunk); ; {
		if err := r.Next(&ev); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			broken := t.piece(err)
			g.piece(err, chunk[:broken.Offset+broken.Length], broken.Length)
			continue
		}
		o, err := b.Add(in.cfg.shaper, tag, &ev)
		if err != nil {
			t.broken(err, len(ev.Raw))
			g.piece(err, chunk[:r.Offset()], len(ev.Raw))
			continue
		}
		g.flush()
		if t.outcome(o); o&event.Unroutable != 0 && g != nil && in.buryUnroutable() {
			text, _, _ := event.AppendJSON(nil, ev.Body)
			g.letter("the stream template gives no stream: "+(o&^event.Unroutable).String(), text)
		}
	}
	g.flush()
}

// gravedigger makes letters of what is no record. Pieces that lie side by side become
// one letter, since a chunk may consist of millions.
type gravedigger struct {
	tag, stream string
	done        int // letters that are kept already
	number      int
	yield       func(int, deadletter.Letter) bool // nil: no more letters are taken

	first  error
	pieces int
	data   []byte
}

// piece adds the last length bytes of read.
func (g *gravedigger) piece(err error, read []byte, length int) {
	if g == nil {
		return
	}
	if g.pieces++; g.pieces == 1 {
		g.first, g.data = err, read[len(read)-length:]
		return
	}
	g.data = g.data[:len(g.data)+length]
}

// flush makes a letter of the pieces.
func (g *gravedigger) flush() {
	if g == nil || g.pieces == 0 {
		return
	}
	detail := g.first.Error()
	if g.pieces > 1 {
		detail += fmt.Sprintf("; so are %d more right behind it", g.pieces-1)
	}
	g.letter(detail, g.data)
	g.pieces = 0
}

func (g *gravedigger) letter(detail string, data []byte) {
	if g.number++; g.yield == nil || g.number <= g.done {
		return
	}
	l := deadletter.Letter{Time: time.Now(), Stream: g.stream, Reason: deadletter.ReasonBroken, Detail: detail, Data: data, Source: g.tag}
	if !g.yield(g.number-1, l) {
		g.yield = nil
	}
}

// buryUnroutable tells whether events without a stream go to the dead letter file.
func (in *Instance) buryUnroutable() bool {
	return in.letters != nil && in.cfg.streamMissing != "error"
}

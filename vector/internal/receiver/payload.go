// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"slices"

	"github.com/outkpl/outkpl/internal/event"
	"github.com/outkpl/outkpl/vector/internal/body"
)

// payloads makes the payloads of the events of a body. Most are the event as it lies in
// the body; what has to be rebuilt lies in an arena that lives as long as the records.
type payloads struct {
	logKey  string
	newline bool
	shape   *body.Shape        // nil: keys stay as they are
	dots    *body.Shape        // the same for the value of the log key
	pack    *event.Compression // nil: none, or that of the record of many
	combine *event.Combine     // nil: each event is a record
	text    bool               // the last payload is text and not JSON

	arena   body.Arena
	scratch []byte
	base    int64 // the lease without the arena
	allowed int   // bytes of the arena that the lease covers
}

func newPayloads(u *upload, f body.Format) *payloads {
	r := u.q.route
	keys := r.DataKeys
	if len(keys) > 0 && f == body.FormatMsgpack && r.TimeKey != "" {
		keys = append(slices.Clone(keys), r.TimeKey)
	}
	return &payloads{
		logKey: r.LogKey, newline: r.AppendNewline && r.LogKey != "" && r.combine == nil,
		shape: body.NewShape(keys, r.ReplaceDots), dots: body.NewShape(nil, r.ReplaceDots), pack: r.pack, combine: r.combine, base: u.q.lease.n,
	}
}

// payload is the event, or the value of the log key, shaped and compressed.
func (p *payloads) payload(ev *body.Event) []byte {
	data, shape := ev.Data, p.shape
	p.text = ev.Kind == body.EventText
	if ev.Kind != body.EventJSON {
		shape = nil
	} else if p.logKey != "" {
		if v, kind, ok := body.Lookup(nil, ev.Data, p.logKey); ok {
			data, shape = v, nil
			p.text = kind == body.ValueString
			if kind == body.ValueObject || kind == body.ValueArray {
				shape = p.dots
			}
		}
	}
	if shape == nil && p.pack == nil {
		if p.newline {
			data = append(data[:len(data):len(data)], '\n')
		}
		return data
	}
	build := func(dst []byte) []byte {
		if shape != nil {
			dst = shape.Append(dst, data)
		} else {
			dst = append(dst, data...)
		}
		if p.newline {
			dst = append(dst, '\n')
		}
		return dst
	}
	if p.pack == nil {
		return p.arena.Append(len(data)+1, build)
	}
	p.scratch = build(p.scratch[:0])
	return p.arena.Append(len(p.scratch), func(dst []byte) []byte { return p.pack.Append(dst, p.scratch) })
}

// admit takes memory for the payloads made so far and, so that this is rare, for as many
// again.
func (p *payloads) admit(u *upload) *failure {
	if p.arena.Size() <= p.allowed {
		return nil
	}
	p.allowed = 2*p.arena.Size() + minCharge
	return u.reserve(p.base + int64(p.allowed))
}

// settle gives back what was taken ahead.
func (p *payloads) settle(u *upload) {
	if p.allowed > 0 {
		_ = u.q.lease.resize(context.Background(), p.base+int64(p.arena.Size())) // less cannot fail
	}
}

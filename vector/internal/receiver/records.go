// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/core/delivery"
	"github.com/outkpl/outkpl/vector/internal/body"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// makeContent makes the content of a body as it came, whose memory is l. What cannot be read
// is left out or refused, by the policy for it; the error says why the request as a whole is
// refused.
func (s *Server) makeContent(ctx context.Context, d *destination, wire []byte, l *lease) (*content, error) {
	opt := d.route.body
	opt.Path = d.key.path
	var broken []body.Error
	if d.route.Malformed != config.Reject {
		opt.Broken = &broken
	}
	in, err := s.decoder.Decode(ctx, wire, d.form, opt, l)
	s.counters.bodyBytes.Add(uint64(in.Unpacked))
	d.route.counters.bodyBytes.Add(uint64(in.Unpacked))
	if err == nil {
		defer s.decoder.Reuse(in.Events)
	}
	if err == nil && len(broken) > 0 && len(broken) == len(in.Events) {
		err = &broken[0] // nothing can be read
	}
	c := &content{Content: delivery.Content{Bytes: in.Bytes, Probe: delivery.NoProbe}, s: s, dest: d, events: len(in.Events)}
	var unreadable *body.Error
	policy := d.route.Malformed
	switch {
	case errors.As(err, &unreadable) && unreadable.Kind == body.KindMalformed && (policy == config.DeadLetters || policy == config.Drop):
		c.leaveOut(PoisonMalformed, policy, unreadableEntry(err, in.Bytes))
		c.events, err = 1, nil
	case err == nil:
		err = c.addEvents(ctx, &in, broken, l)
	}
	if err != nil {
		return nil, err
	}
	c.complete(l)
	s.counters.events.Add(uint64(c.events))
	d.route.counters.events.Add(uint64(c.events))
	return c, nil
}

// maker makes the records of one body. Most payloads are the event as it lies in the body;
// what has to be rebuilt lies in an arena that lives as long as the records.
type maker struct {
	c     *content
	rt    *route
	keys  keyFinder
	shape *body.Shape // nil: keys stay as they are
	dots  *body.Shape // the same for the value of the log key
	texts []bool      // with combine: which records are text and not JSON

	arena   arena
	scratch []byte
}

// addEvents makes records of the events of a body, or says why the request as a whole is
// refused. broken says what is wrong with those that cannot be read.
func (c *content) addEvents(ctx context.Context, in *body.Decoded, broken []body.Error, l *lease) error {
	d, rt := c.dest, c.dest.route
	names := rt.DataKeys
	if len(names) > 0 && in.Format == body.FormatMsgpack && rt.TimeKey != "" {
		names = append(slices.Clone(names), rt.TimeKey)
	}
	m := maker{
		c: c, rt: rt, keys: keyFinder{rule: d.key, fields: body.Options{Path: d.key.path}},
		shape: body.NewShape(names, rt.ReplaceDots), dots: body.NewShape(nil, rt.ReplaceDots), arena: newArena(l),
	}
	c.Records = c.s.spares.table(len(in.Events))
	largest := c.surelyTaken()
	for i := range in.Events {
		ev := &in.Events[i]
		if ev.Kind == body.EventBroken {
			c.leaveGap(PoisonMalformed, rt.Malformed, unreadableEntry(&broken[0], ev.Data))
			broken = broken[1:]
			continue
		}
		// The record is made in its place, since to copy it costs as much as to make it.
		at := len(c.Records)
		c.Records = c.Records[:at+1]
		r := &c.Records[at]
		text, left := m.record(r, ev)
		switch {
		case left.policy == config.Reject:
			return unusable(ReasonPoison, fmt.Sprintf("event %d can never be stored: %s", i, left.why))
		case left.policy != "":
			l := deadletter.Entry{Reason: left.why.String(), PartitionKey: r.PartitionKey, Data: r.Data}
			*r = core.Record{}
			c.Records = c.Records[:at]
			c.leaveGap(left.why, left.policy, l)
		default:
			if n := len(r.Data) + len(r.PartitionKey); rt.TooLarge == config.Reject && n > largest {
				c.Probe, largest = at, n
			}
			if rt.combine != nil {
				m.texts = append(m.texts, text)
			}
		}
		if err := m.arena.admit(ctx); err != nil {
			return err
		}
	}
	m.arena.settle(ctx)
	if rt.combine == nil {
		l.table = c.Records
		return nil
	}
	return m.combine(ctx)
}

// leaveGap leaves out the next event, which can never be stored.
func (c *content) leaveGap(why PoisonReason, policy string, l deadletter.Entry) {
	what := -1 - int(why)
	if policy == config.DeadLetters {
		what = len(c.known)
	}
	c.gaps = append(c.gaps, gap{int32(len(c.Records)), int32(what)})
	c.leaveOut(why, policy, l)
}

// leaveOut makes a dead letter of an event, or drops it.
func (c *content) leaveOut(why PoisonReason, policy string, l deadletter.Entry) {
	if policy == config.DeadLetters {
		l.Time, l.Stream, l.Source = time.Now(), c.dest.stream, c.dest.route.source
		c.known = append(c.known, l)
		return
	}
	if c.dropped[why]++; c.detail == "" {
		c.detail = l.Detail
	}
}

// unreadableEntry is the dead letter of what cannot be read.
func unreadableEntry(err error, data []byte) deadletter.Entry {
	return deadletter.Entry{Reason: deadletter.ReasonBroken, Detail: err.Error(), Data: data}
}

// leftOut is why an event becomes no record, and the policy for it, or empty.
type leftOut struct {
	policy string
	why    PoisonReason
}

// record makes the record of an event in r, which is empty, and tells whether it is text. If
// the event can never be stored, the record is what a dead letter keeps.
func (m *maker) record(r *core.Record, ev *body.Event) (text bool, left leftOut) {
	if ev.Kind == body.EventMetric || ev.Kind == body.EventTrace {
		policy := m.c.s.cfg.Native.Metrics
		if ev.Kind == body.EventTrace {
			policy = m.c.s.cfg.Native.Traces
		}
		if policy != config.AsJSON {
			r.Data = ev.Data
			return false, leftOut{policy, PoisonNotLog}
		}
		ev.Kind = body.EventJSON
	}
	r.PartitionKey = m.keys.find(ev)
	r.Data, text = m.payload(ev)
	if len(m.keys.rule.path) > 0 && r.PartitionKey == "" {
		if m.rt.missing.constant == "" && m.rt.PartitionKeyMissing != config.Unkeyed {
			return text, leftOut{m.rt.PartitionKeyMissing, PoisonKeyMissing}
		}
		r.PartitionKey = m.rt.missing.constant
	}
	if alone, ok := m.fits(r, text); !ok {
		r.Data = alone
		return text, leftOut{m.rt.TooLarge, PoisonTooLarge}
	}
	return text, leftOut{}
}

// payload is the event, or the value of the log key, shaped and compressed. It tells
// whether that is text and not JSON.
func (m *maker) payload(ev *body.Event) (data []byte, text bool) {
	data, shape := ev.Data, m.shape
	text = ev.Kind == body.EventText
	if ev.Kind != body.EventJSON {
		shape = nil
	} else if m.rt.LogKey != "" {
		if v, kind, ok := body.Lookup(nil, ev.Data, m.rt.LogKey); ok {
			data, shape = v, nil
			text = kind == body.ValueString
			if kind == body.ValueObject || kind == body.ValueArray {
				shape = m.dots
			}
		}
	}
	newline := m.rt.AppendNewline && m.rt.LogKey != "" && m.rt.combine == nil
	if shape == nil && m.rt.pack == nil {
		if newline {
			data = append(data[:len(data):len(data)], '\n')
		}
		return data, text
	}
	build := func(dst []byte) []byte {
		if shape != nil {
			dst = shape.Append(dst, data)
		} else {
			dst = append(dst, data...)
		}
		if newline {
			dst = append(dst, '\n')
		}
		return dst
	}
	if m.rt.pack == nil {
		return m.arena.Append(len(data)+1, build), text
	}
	m.scratch = build(m.scratch[:0])
	return m.arena.Append(len(m.scratch), func(dst []byte) []byte { return m.rt.pack.Append(dst, m.scratch) }), text
}

// fits tells whether the event can be a record by itself. alone is that record, if it had
// to be made to find out.
func (m *maker) fits(r *core.Record, text bool) (alone []byte, ok bool) {
	n, most := len(r.Data)+len(r.PartitionKey), m.rt.RecordMaxBytes
	if m.rt.combine == nil {
		return r.Data, n <= most
	}
	// What frames an event takes two bytes, and an escape in a text at most six for one.
	if n+2 <= most && !text || 6*n+2 <= most {
		return nil, true
	}
	alone = m.rt.combine.AppendAlone(nil, r.Data, text)
	return alone, len(alone)+len(r.PartitionKey) <= most
}

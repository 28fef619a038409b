// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"fmt"
	"io"
	"time"
	"unsafe"

	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/core/delivery"
	"github.com/outkpl/outkpl/internal/event"
)

// read makes the content of a chunk: its records, and the dead letters about what is no
// record. A chunk that was read before is read by its plan, and not counted again.
func (in *Instance) read(scope delivery.Scope, chunk []byte, d *delivery.Delivery) *delivery.Content {
	b := in.builder()
	c := &content{in: in, builder: b}
	plan, again := d.Plan().(*event.Plan)
	if !again {
		plan = &event.Plan{}
	}
	plan.RecordLimit, plan.OwnRecords = in.limitOf, in.ownOf
	b.Follow(in.cfg.shaper, plan)
	b.Grow(len(chunk) + len(chunk)/4)
	var counts chunkCounts
	c.readEvents(scope.Name, chunk, &counts)
	events, records := b.Len(), b.Records()
	plan.Settle()
	c.Content = delivery.Content{
		Scope: scope, Bytes: chunk, Plan: plan,
		Records: records, Stream: in.cfg.Stream, Streams: b.Streams(), Probe: delivery.NoProbe,
		DeadLetters: len(c.broken), Source: scope.Name,
		Counted: counts.pieces+counts.unroutable > 0,
		// Broken events of which the end is known have no part in the answer: the host
		// would count the whole chunk as dropped. They are logged as errors.
		Lost:   counts.lost > 0 && in.deadLetters == nil || counts.unroutable > 0 && !in.keepsUnroutable(),
		Memory: c, Receiver: in,
	}
	if len(c.Streams) > 0 {
		c.Routes = b
	}
	if in.cfg.event.Combines() {
		c.Events = b
	}
	if len(c.broken) > 0 {
		c.DeadLetter = c.deadLetter
	}
	if !again {
		in.report(scope.Name, len(chunk), events, len(records), &counts)
	}
	return &c.Content
}

// readEvents goes through the events of chunk.
func (c *content) readEvents(tag string, chunk []byte, counts *chunkCounts) {
	in, b := c.in, c.builder
	keep, joins := in.deadLetters != nil, false
	var r event.ChunkReader
	var ev event.Event
	for r.Reset(chunk); ; {
		if b.AddRun(in.cfg.shaper, tag, &r) > 0 {
			joins = false
		}
		if err := r.Next(&ev); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			piece := counts.piece(err)
			if keep {
				c.addBroken(err, piece.Offset+piece.Length, piece.Length, joins)
			}
			joins = true
			continue
		}
		o, err := b.Add(in.cfg.shaper, tag, &ev)
		if err != nil {
			counts.broken(err, len(ev.Raw))
			if keep {
				c.addBroken(err, r.Offset(), len(ev.Raw), joins)
			}
			joins = true
			continue
		}
		joins = false
		if counts.outcome(o); o&event.Unroutable != 0 && in.keepsUnroutable() {
			c.broken = append(c.broken, broken{start: r.Offset() - len(ev.Body), end: r.Offset(), unroutable: o &^ event.Unroutable})
		}
	}
}

// broken is a part of a chunk that is no record, from start to end. Pieces that lie side
// by side are one, since a chunk may consist of millions.
type broken struct {
	start, end int
	err        error // of the first piece; nil for an event without a stream
	more       int   // pieces behind the first
	unroutable event.Outcome
}

const brokenBytes = int(unsafe.Sizeof(broken{}))

// addBroken adds a piece of a certain length. joins tells that it lies right behind the
// last one.
func (c *content) addBroken(err error, end, length int, joins bool) {
	if joins {
		last := &c.broken[len(c.broken)-1]
		last.end, last.more = end, last.more+1
		return
	}
	c.broken = append(c.broken, broken{start: end - length, end: end, err: err})
}

// deadLetter makes number n of those known before anything is put.
func (c *content) deadLetter(n int) deadletter.Entry {
	b := &c.broken[n]
	l := deadletter.Entry{Time: time.Now(), Stream: c.Stream, Reason: deadletter.ReasonBroken, Data: c.Bytes[b.start:b.end], Source: c.Source}
	if b.err == nil {
		l.Detail = "the stream template gives no stream: " + b.unroutable.String()
		l.Data, _, _ = event.AppendJSON(nil, l.Data)
		return l
	}
	if l.Detail = b.err.Error(); b.more > 0 {
		l.Detail += fmt.Sprintf("; so are %d more right behind it", b.more)
	}
	return l
}

// keepsUnroutable tells whether events without a stream go to the dead letter file.
func (in *Instance) keepsUnroutable() bool {
	return in.deadLetters != nil && in.cfg.streamMissing != "error"
}

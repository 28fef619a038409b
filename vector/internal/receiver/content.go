// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/core/delivery"
	"github.com/outkpl/outkpl/vector/internal/body"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// content is a body that was found valid as a whole: its records, and what can never
// become one. The same bytes at the same destination give the same content, so that a
// number is enough to find a record again when the body is sent again. The probe is the
// largest record, if the stream may refuse it and then nothing is to be written.
type content struct {
	delivery.Content // Bytes are the unpacked body

	s      *Server
	dest   *destination
	route  *route
	events int
	// counts are how many events each record holds; nil means one.
	counts []int32
	// own tells that they were made for a stream on which each is a Kinesis record.
	own bool
	// known are the dead letters that are known before anything is put.
	known []deadletter.Entry
	// dropped counts events left out before anything is put, by reason.
	dropped [poisonCount]int
	// detail says what is wrong with the first dropped part that cannot be read.
	detail string
	// gaps are where events are no records, rising.
	gaps    []gap
	scratch []byte // of Hash
}

// gap is an event that is no record: how many records are before it, and the number of
// its dead letter, or less than 0 for a reason to drop it.
type gap struct {
	before, what int32
}

// leastStreamLimit is the least that a stream can be told to take as one record
// (MaxRecordSizeInKiB of UpdateMaxRecordSize, 1024 to 10240,
// https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateMaxRecordSize.html,
// checked 2026-11-24).
const leastStreamLimit = 1 << 20

// surelyTaken is the size up to which a record is certain not to be refused for it: each
// stream takes that much, and so does what is on the way, as far as is known.
func (s *Server) surelyTaken(rt *route, stream string) int {
	if rt.TooLarge != config.Reject {
		return leastStreamLimit
	}
	if n := s.producer.PassingRecordBytes(stream); n >= 0 {
		return min(n, leastStreamLimit)
	}
	return leastStreamLimit
}

// makeContent makes the content of a body, or applies the policy for what cannot be read.
func (u *upload) makeContent(wire []byte) (*content, *failure) {
	raw, err := u.unpackBody(wire)
	var c *content
	if err == nil {
		c, err = u.splitEvents(raw)
	}
	if c == nil && u.leavesOut(err) {
		c = u.brokenContent(raw, err)
	}
	if c == nil {
		return nil, u.q.s.unreadable(err)
	}
	c.complete(u.q.lease)
	u.q.s.counters.events.Add(uint64(c.events))
	u.q.route.counters.events.Add(uint64(c.events))
	return c, nil
}

// leavesOut tells whether a body that cannot be read is left out as a whole, and not
// refused.
func (u *upload) leavesOut(err error) bool {
	var e *body.Error
	policy := u.q.route.Malformed
	return errors.As(err, &e) && e.Kind == body.KindMalformed && (policy == config.DeadLetters || policy == config.Drop)
}

// complete tells package delivery how to deliver c, whose memory is l.
func (c *content) complete(l *lease) {
	c.Scope = delivery.Scope{Name: c.dest.scope, Fingerprint: c.route.fingerprint}
	if c.own {
		c.Scope.Fingerprint = c.route.ownFingerprint
	}
	if c.dest.agent != "" && c.telling() {
		c.Parts = c
	}
	c.Stream, c.Source, c.Memory, c.Receiver = c.dest.stream, c.route.source, l, c
	c.DeadLetters = len(c.known)
	c.DeadLetter = func(n int) deadletter.Entry { return c.known[n] }
}

// splitEvents makes the records of an unpacked body, or says why the request as a whole is
// refused. Nothing was put then.
func (u *upload) splitEvents(raw []byte) (*content, error) {
	d := u.dest
	events, broken, err := u.findEvents(raw)
	if err != nil {
		return nil, err
	}
	defer u.q.s.giveEvents(events)
	if len(broken) > 0 && len(broken) == len(events) {
		return nil, &broken[0] // nothing can be read
	}
	c := &content{Content: delivery.Content{Bytes: raw, Probe: delivery.NoProbe}, s: u.q.s, dest: d, route: u.q.route, events: len(events)}
	finder := &keyFinder{rule: d.key, fields: body.Options{Path: d.key.path}}
	shaper := newPayloads(u, body.FormatIn(raw, d.format))
	largest := u.q.s.surelyTaken(u.q.route, d.stream)
	var texts []bool // with combine: which events are text
	c.Records = make([]core.Record, 0, len(events))
	for i := range events {
		ev := &events[i]
		if ev.Kind == body.EventBroken {
			c.malformed(&broken[0], ev.Data)
			broken = broken[1:]
			continue
		}
		if ev.Kind == body.EventMetric || ev.Kind == body.EventTrace {
			skip, f := u.notLog(c, ev, i)
			if f != nil {
				return nil, f
			}
			if skip {
				continue
			}
		}
		r := core.Record{PartitionKey: finder.find(ev)}
		if len(d.key.path) > 0 && r.PartitionKey == "" {
			if u.q.route.missing.constant == "" && u.q.route.PartitionKeyMissing != config.Unkeyed {
				if f := c.poison(PoisonKeyMissing, u.q.route.PartitionKeyMissing, shaper.payload(ev), "", i); f != nil {
					return nil, f
				}
				continue
			}
			r.PartitionKey = u.q.route.missing.constant
		}
		r.Data = shaper.payload(ev)
		if f := shaper.admit(u); f != nil {
			return nil, f
		}
		if alone, ok := shaper.fits(&r, shaper.text, u.q.route.RecordMaxBytes); !ok {
			if f := c.poison(PoisonTooLarge, u.q.route.TooLarge, alone, r.PartitionKey, i); f != nil {
				return nil, f
			}
			continue
		}
		if n := len(r.Data) + len(r.PartitionKey); u.q.route.TooLarge == config.Reject && n > largest {
			c.Probe, largest = len(c.Records), n
		}
		c.Records = append(c.Records, r)
		if u.q.route.combine != nil {
			texts = append(texts, shaper.text)
		}
	}
	shaper.settle(u)
	if u.q.route.combine != nil {
		if f := c.combine(u, shaper, texts); f != nil {
			return nil, f
		}
	}
	return c, nil
}

// findEvents splits the body. The memory for what cannot be a slice of it, and for the
// table of events, is taken before: first for a guess that fits usual logs, and when
// that is too little, for more and again.
func (u *upload) findEvents(raw []byte) (list []body.Event, broken []body.Error, err error) {
	most := u.q.route.body.Limits
	converted := u.guessConverted(len(raw))
	count := u.countEvents(raw)
	into := u.q.s.takeEvents()
	for {
		opt := u.q.route.body
		opt.Path = u.dest.key.path
		if u.q.route.Malformed != config.Reject {
			opt.Broken = &broken
		}
		opt.Arena = new(body.Arena) // lives as long as the records
		opt.Limits.ConvertedBytes, opt.Limits.Events = converted, count
		fixed := int64(cap(raw)) + minCharge
		if f := u.reserve(fixed + int64(converted) + int64(count)*config.EventCost); f != nil {
			return nil, nil, f
		}
		events, err := body.Split(into, raw, u.dest.format, opt)
		var e *body.Error
		if errors.As(err, &e) && e.Kind == body.KindTooLarge && (converted < most.ConvertedBytes || count < most.Events) {
			converted, count = min(4*converted, most.ConvertedBytes), min(4*count, most.Events)
			continue
		}
		if err == nil {
			_ = u.q.lease.resize(context.Background(), fixed+int64(opt.Arena.Size())+int64(len(events))*config.EventCost) // less cannot fail
		}
		return events, broken, err
	}
}

// countEvents is a good guess of how many events a body has, out of what separates them
// in most bodies. Too low a guess means to split twice.
func (u *upload) countEvents(raw []byte) int {
	const sample = 64 << 10
	head := raw[:min(len(raw), sample)]
	array := 0
	if len(head) > 0 {
		// A quarter more, since events differ in length.
		array = int(int64(bytes.Count(head, []byte("},{"))+1) * int64(len(raw)) / int64(len(head)) * 5 / 4)
	}
	lines := bytes.Count(raw, []byte{'\n'}) + 1
	return min(max(u.guessEvents(len(raw)), array, lines), u.q.route.body.Limits.Events)
}

// maxKeptEvents bounds the tables of events that are kept for the next body; each entry
// takes 32 bytes.
const maxKeptEvents = 64 << 10

// takeEvents returns an empty table. Nothing refers to it once the records are made.
func (s *Server) takeEvents() []body.Event {
	if p, _ := s.tables.Get().(*[]body.Event); p != nil {
		return *p
	}
	return nil
}

func (s *Server) giveEvents(list []body.Event) {
	if cap(list) > maxKeptEvents {
		return
	}
	clear(list) // or the table would hold the body
	list = list[:0]
	s.tables.Put(&list)
}

// poison applies a policy to an event that is known to be impossible before anything
// was put.
func (c *content) poison(why PoisonReason, policy string, data []byte, key string, number int) *failure {
	switch policy {
	case config.Reject:
		return unusable(ReasonPoison, fmt.Sprintf("event %d can never be stored: %s", number, why))
	case config.DeadLetters:
		c.gap(len(c.known))
		c.known = append(c.known, deadletter.Entry{
			Time: time.Now(), Stream: c.dest.stream, PartitionKey: key, Reason: why.String(), Data: data, Source: c.route.source,
		})
	default:
		c.gap(-1 - int(why))
		c.dropped[why]++
	}
	return nil
}

// gap notes that the next event is no record.
func (c *content) gap(what int) {
	c.gaps = append(c.gaps, gap{int32(len(c.Records)), int32(what)})
}

// malformed applies the policy to a part of a body that cannot be read.
func (c *content) malformed(err *body.Error, data []byte) {
	if c.route.Malformed == config.DeadLetters {
		c.gap(len(c.known))
		c.known = append(c.known, c.dest.deadLetter(c.route, err, data))
		return
	}
	c.gap(-1 - int(PoisonMalformed))
	if c.dropped[PoisonMalformed]++; c.detail == "" {
		c.detail = err.Error()
	}
}

// deadLetter is that of what cannot be read.
func (d *destination) deadLetter(rt *route, err error, data []byte) deadletter.Entry {
	return deadletter.Entry{Time: time.Now(), Stream: d.stream, Reason: deadletter.ReasonBroken, Detail: err.Error(), Data: data, Source: rt.source}
}

// brokenContent makes a content of a body that cannot be read: one dead letter, or one event
// that is dropped.
func (u *upload) brokenContent(raw []byte, err error) *content {
	c := &content{Content: delivery.Content{Bytes: raw, Probe: delivery.NoProbe}, s: u.q.s, dest: u.dest, route: u.q.route, events: 1}
	if u.q.route.Malformed == config.DeadLetters {
		c.known = []deadletter.Entry{u.dest.deadLetter(u.q.route, err, raw)}
	} else {
		c.dropped[PoisonMalformed], c.detail = 1, err.Error()
	}
	return c
}

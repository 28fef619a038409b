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
	"github.com/outkpl/outkpl/vector/internal/body"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// content is a body that was found valid as a whole: its records, and what can never
// become one. The same bytes at the same destination give the same content, so that a
// number is enough to find a record again when the body is sent again.
type content struct {
	dest    *destination
	route   *route
	raw     []byte // the unpacked body
	events  int
	records []core.Record
	// counts are how many events each record holds; nil means one.
	counts []int32
	// letters are events for the dead letters that are known before anything is put.
	letters []deadletter.Letter
	// probe is the number of the record that is put before all others, or -1: the
	// largest, if the stream may refuse it and then nothing is to be written.
	probe int
	// dropped counts events left out before anything is put, by reason.
	dropped [poisonCount]int
	// detail says what is wrong with the first dropped part that cannot be read.
	detail string
	// gaps are where events are no records, rising.
	gaps    []gap
	scratch []byte // of Hash
}

// gap is an event that is no record: how many records are before it, and the number of
// its letter, or less than 0 for a reason to drop it.
type gap struct {
	before, what int32
}

// leastStreamLimit is the least that a stream can be told to take as one record
// (MaxRecordSizeInKiB of UpdateMaxRecordSize, 1024 to 10240,
// https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateMaxRecordSize.html,
// checked 2026-11-24).
const leastStreamLimit = 1 << 20

// split makes the records of an unpacked body, or says why the request as a whole is
// refused. Nothing was put then.
func (x *exchange) split(d *destination, raw []byte) (*content, error) {
	events, broken, err := x.events(d, raw)
	if err != nil {
		return nil, err
	}
	defer x.s.giveEvents(events)
	if len(broken) > 0 && len(broken) == len(events) {
		return nil, &broken[0] // nothing can be read
	}
	c := &content{dest: d, route: x.route, raw: raw, events: len(events), probe: -1}
	finder := &keyFinder{rule: d.key, fields: body.Options{Path: d.key.path}}
	shaper := newPayloads(x, body.FormatIn(raw, d.format))
	largest := 0
	var texts []bool // with combine: which events are text
	c.records = make([]core.Record, 0, len(events))
	for i := range events {
		ev := &events[i]
		if ev.Kind == body.EventBroken {
			c.malformed(&broken[0], ev.Data)
			broken = broken[1:]
			continue
		}
		if ev.Kind == body.EventMetric || ev.Kind == body.EventTrace {
			skip, f := x.notLog(c, ev, i)
			if f != nil {
				return nil, f
			}
			if skip {
				continue
			}
		}
		r := core.Record{PartitionKey: finder.find(ev)}
		if len(d.key.path) > 0 && r.PartitionKey == "" {
			if x.route.missing.constant == "" && x.route.PartitionKeyMissing != config.Spread {
				if f := c.poison(PoisonKeyMissing, x.route.PartitionKeyMissing, shaper.payload(ev), "", i); f != nil {
					return nil, f
				}
				continue
			}
			r.PartitionKey = x.route.missing.constant
		}
		r.Data = shaper.payload(ev)
		if f := shaper.admit(x); f != nil {
			return nil, f
		}
		if alone, ok := shaper.fits(&r, shaper.text, x.route.RecordMaxBytes); !ok {
			if f := c.poison(PoisonTooLarge, x.route.TooLarge, alone, r.PartitionKey, i); f != nil {
				return nil, f
			}
			continue
		}
		if n := len(r.Data) + len(r.PartitionKey); x.route.TooLarge == config.Reject && n > max(leastStreamLimit, largest) {
			c.probe, largest = len(c.records), n
		}
		c.records = append(c.records, r)
		if x.route.combine != nil {
			texts = append(texts, shaper.text)
		}
	}
	shaper.settle(x)
	if x.route.combine != nil {
		if f := c.combine(x, shaper, texts); f != nil {
			return nil, f
		}
	}
	return c, nil
}

// events splits the body. The memory for what cannot be a slice of it, and for the
// table of events, is taken before: first for a guess that fits usual logs, and when
// that is too little, for more and again.
func (x *exchange) events(d *destination, raw []byte) (list []body.Event, broken []body.Error, err error) {
	most := x.route.body.Limits
	converted := x.guessConverted(d, len(raw))
	count := x.countEvents(raw)
	into := x.s.takeEvents()
	for {
		opt := x.route.body
		opt.Path = d.key.path
		if x.route.Malformed != config.Reject {
			opt.Broken = &broken
		}
		opt.Arena = new(body.Arena) // lives as long as the records
		opt.Limits.ConvertedBytes, opt.Limits.Events = converted, count
		fixed := int64(cap(raw)) + minCharge
		if f := x.admit(fixed + int64(converted) + int64(count)*config.EventCost); f != nil {
			return nil, nil, f
		}
		events, err := body.Split(into, raw, d.format, opt)
		var e *body.Error
		if errors.As(err, &e) && e.Kind == body.KindTooLarge && (converted < most.ConvertedBytes || count < most.Events) {
			converted, count = min(4*converted, most.ConvertedBytes), min(4*count, most.Events)
			continue
		}
		if err == nil {
			_ = x.lease.resize(context.Background(), fixed+int64(opt.Arena.Size())+int64(len(events))*config.EventCost) // less cannot fail
		}
		return events, broken, err
	}
}

// countEvents is a good guess of how many events a body has, out of what separates them
// in most bodies. Too low a guess means to split twice.
func (x *exchange) countEvents(raw []byte) int {
	const sample = 64 << 10
	head := raw[:min(len(raw), sample)]
	array := 0
	if len(head) > 0 {
		// A quarter more, since events differ in length.
		array = int(int64(bytes.Count(head, []byte("},{"))+1) * int64(len(raw)) / int64(len(head)) * 5 / 4)
	}
	lines := bytes.Count(raw, []byte{'\n'}) + 1
	return min(max(x.guessEvents(len(raw)), array, lines), x.route.body.Limits.Events)
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
		c.gap(len(c.letters))
		c.letters = append(c.letters, deadletter.Letter{
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
	c.gaps = append(c.gaps, gap{int32(len(c.records)), int32(what)})
}

// malformed applies the policy to a part of a body that cannot be read.
func (c *content) malformed(err *body.Error, data []byte) {
	if c.route.Malformed == config.DeadLetters {
		c.gap(len(c.letters))
		c.letters = append(c.letters, c.dest.letter(c.route, err, data))
		return
	}
	c.gap(-1 - int(PoisonMalformed))
	if c.dropped[PoisonMalformed]++; c.detail == "" {
		c.detail = err.Error()
	}
}

// letter is a dead letter of what cannot be read.
func (d *destination) letter(rt *route, err error, data []byte) deadletter.Letter {
	return deadletter.Letter{Time: time.Now(), Stream: d.stream, Reason: deadletter.ReasonBroken, Detail: err.Error(), Data: data, Source: rt.source}
}

// broken makes a content of a body that cannot be read: one dead letter, or one event
// that is dropped.
func (x *exchange) broken(d *destination, raw []byte, err error) *content {
	c := &content{dest: d, route: x.route, raw: raw, events: 1, probe: -1}
	if x.route.Malformed == config.DeadLetters {
		c.letters = []deadletter.Letter{d.letter(x.route, err, raw)}
	} else {
		c.dropped[PoisonMalformed], c.detail = 1, err.Error()
	}
	return c
}

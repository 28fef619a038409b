// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"slices"
	"sync"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/journal"
)

// recovered are the deliveries that an earlier process had under way. Contents are hashed
// only if there is one of their scope and length.
type recovered struct {
	journal  *journal.Journal
	readPlan func([]byte) (Plan, error)
	look     bool // for what is uncertain, before it is resent

	mu      sync.Mutex // guards entries
	entries map[shape][]*journal.Entry
}

type shape struct {
	scope  Scope
	length int
}

func newRecovered(cfg *Config) *recovered {
	r := &recovered{journal: cfg.Journal, readPlan: cfg.ReadPlan, look: cfg.LookFor != nil, entries: map[shape][]*journal.Entry{}}
	for _, e := range cfg.Journal.Recovered() {
		id := e.Identity()
		of := shape{id.Scope, id.Length}
		r.entries[of] = append(r.entries[of], e)
	}
	return r
}

// has tells whether there may be an entry for the content.
func (r *recovered) has(scope Scope, content []byte) bool {
	if r == nil {
		return false
	}
	of := shape{scope, len(content)}
	r.mu.Lock()
	list := slices.Clone(r.entries[of])
	r.mu.Unlock()
	if len(list) == 0 {
		return false
	}
	id := r.journal.Identity(scope, content)
	return slices.ContainsFunc(list, func(e *journal.Entry) bool { return e.Identity() == id && e.Usable() })
}

// take returns how far the content got in an earlier process, or nil. Each entry is
// returned once.
func (r *recovered) take(scope Scope, content []byte) *Delivery {
	if r == nil {
		return nil
	}
	of := shape{scope, len(content)}
	r.mu.Lock()
	none := len(r.entries[of]) == 0
	r.mu.Unlock()
	if none {
		return nil
	}
	id := r.journal.Identity(scope, content)
	for {
		e := r.takeOut(of, id)
		if e == nil {
			return nil
		}
		if _, ok := e.Take(r.look); !ok {
			continue
		}
		if d := r.delivery(e); d != nil {
			return d
		}
		e.End()
	}
}

// takeOut removes the oldest entry of an identity.
func (r *recovered) takeOut(of shape, id Identity) *journal.Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.entries[of]
	i := slices.IndexFunc(list, func(e *journal.Entry) bool { return e.Identity() == id })
	if i < 0 {
		return nil
	}
	e := list[i]
	if list = slices.Delete(list, i, i+1); len(list) == 0 {
		delete(r.entries, of)
	} else {
		r.entries[of] = list
	}
	return e
}

// delivery makes the Delivery of an entry, or nil if its plan cannot be read.
func (r *recovered) delivery(e *journal.Entry) *Delivery {
	p := e.Progress()
	d := &Delivery{
		began: true, total: p.Total, deadLetters: p.DeadLetters, parts: p.Parts, counted: p.Counted,
		missing: p.Missing, unwritten: p.Unwritten,
		kept: p.Events[journal.Kept], dropped: p.Events[journal.Dropped], rejectedLate: p.Events[journal.RejectedLate],
		gone: p.Events[journal.Lost], hopeless: p.Events[journal.KnownLost],
		entry: e,
	}
	d.lost = p.Lost || d.gone+d.hopeless > 0
	d.attempts = d.few[:0]
	if p.Plan != nil {
		if r.readPlan == nil {
			return nil
		}
		var err error
		if d.plan, err = r.readPlan(p.Plan); err != nil {
			return nil
		}
	}
	d.tidy()
	return d
}

// noteContent makes the entry of d, or lets it grow with the content.
func (l *Deliverer) noteContent(d *Delivery, c *Content) {
	grown := d.grown
	if d.grown = false; l.cfg.Journal == nil || d.entry != nil && !grown || len(d.attempts) > 0 && d.entry == nil {
		return
	}
	h := journal.Head{
		Identity: l.cfg.Journal.Identity(c.Scope, c.Bytes),
		Total:    d.total, DeadLetters: d.deadLetters, Parts: d.parts, Counted: d.counted, Lost: d.lost,
	}
	if c.Plan != nil {
		plan, err := c.Plan.AppendBinary([]byte{})
		if err != nil {
			return // nothing could be told about its records later
		}
		h.Plan = plan
	}
	if d.entry == nil {
		d.entry = l.cfg.Journal.Begin(h)
	} else {
		d.entry.Grow(h)
	}
}

// traced returns a context under which the records of an attempt are told to the journal.
func (a *attempt) traced(ctx context.Context, numbers []int32) context.Context {
	if a.entry == nil {
		return ctx
	}
	return core.WithBatchTag(ctx, &journal.Put{Entry: a.entry, Numbers: numbers})
}

// Forgotten implements ledger.Forgettable.
func (d *Delivery) Forgotten() { d.entry.Abandon() }

// noteFinals tells the journal what has become of records that failed for good.
func (a *attempt) noteFinals(list []final) {
	if a.entry == nil {
		return
	}
	for _, d := range []journal.Disposition{journal.Kept, journal.Dropped, journal.RejectedLate, journal.Lost} {
		var numbers []int32
		events := 0
		for _, f := range list {
			if f.as == d {
				numbers, events = append(numbers, f.number), events+f.events
			}
		}
		a.entry.Settle(d, events, numbers)
	}
}

// final is a record that is settled and not stored.
type final struct {
	as     journal.Disposition
	number int32
	events int
}

var journaled = map[Disposition]journal.Disposition{Keep: journal.Kept, Drop: journal.Dropped, RejectLate: journal.RejectedLate, Lose: journal.Lost}

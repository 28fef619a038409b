// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/aws/smithy-go"
)

// Fault makes some calls go wrong. Empty fields match everything. Of several
// faults that match a call, the one added first takes it.
type Fault struct {
	// Operation is a name such as "PutRecords".
	Operation string
	// Stream is a stream's name.
	Stream string
	// Shard is a shard's id. It matches puts that carry an entry for that shard; an
	// effect on entries then touches only those. The shard is not known for
	// other operations, so they do not match.
	Shard string
	// Match is asked last, if set.
	Match func(*Call) bool
	// Skip lets the first matching calls pass.
	Skip int
	// Times is how often the fault strikes. 0 means until it is removed.
	Times int
	// Probability is the share of matching calls that are struck, above 0 and at
	// most 1. 0 means all of them.
	Probability float64
	// Seed seeds the random choices, so that they repeat from run to run.
	Seed uint64
	// Effect is what happens.
	Effect Effect
}

// Call is a call as a fault sees it.
type Call struct {
	// Operation is a name such as "PutRecords".
	Operation string
	// Number counts the calls of this operation, from 1.
	Number int64
	// Stream is the stream's name, if the call carries one.
	Stream string
	// Shards are the ids of the shards that a put's entries go to.
	Shards []string
	// Input is the SDK's input, for instance *kinesis.PutRecordsInput. Read only.
	Input any
	// RequestID is the id that the answer carries.
	RequestID string
	// Header returns a header of the HTTP request; "" in process.
	Header func(key string) string
}

// FaultHandle is an installed fault.
type FaultHandle struct {
	list    *faultList
	fault   Fault
	decide  func(*Call) *Effect // of Intercept
	hits    atomic.Int64
	entries atomic.Int64

	mu   sync.Mutex // guards the fields below
	seen int
	rng  *rand.Rand
}

// Fault installs a fault.
func (s *Server) Fault(f Fault) *FaultHandle {
	return s.faults.add(&FaultHandle{fault: f, rng: rand.New(rand.NewPCG(f.Seed, 0))})
}

// Intercept installs a function that sees every call and may return an effect
// for it, or nil. It is called without any lock held, from many goroutines at once.
func (s *Server) Intercept(decide func(*Call) *Effect) *FaultHandle {
	return s.faults.add(&FaultHandle{decide: decide, rng: rand.New(rand.NewPCG(0, 0))})
}

// Hits returns how many calls were struck.
func (h *FaultHandle) Hits() int { return int(h.hits.Load()) }

// Entries returns how many entries of puts were refused by the effect.
func (h *FaultHandle) Entries() int { return int(h.entries.Load()) }

// Remove ends the fault for calls that come later.
func (h *FaultHandle) Remove() { h.list.remove(h) }

// ClearFaults removes all faults and interceptors.
func (s *Server) ClearFaults() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.active.Store(nil)
}

// faultList is read by every call, so reading takes no lock.
type faultList struct {
	mu     sync.Mutex // serialises changes
	active atomic.Pointer[[]*FaultHandle]
}

func (l *faultList) any() bool { p := l.active.Load(); return p != nil && len(*p) > 0 }

func (l *faultList) add(h *FaultHandle) *FaultHandle {
	l.mu.Lock()
	defer l.mu.Unlock()
	h.list = l
	var next []*FaultHandle
	if p := l.active.Load(); p != nil {
		next = slices.Clone(*p)
	}
	next = append(next, h)
	l.active.Store(&next)
	return h
}

func (l *faultList) remove(h *FaultHandle) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.active.Load()
	if p == nil {
		return
	}
	next := slices.DeleteFunc(slices.Clone(*p), func(o *FaultHandle) bool { return o == h })
	l.active.Store(&next)
}

// match returns the effect for a call, or nil.
func (l *faultList) match(r *request, number int64) *firedEffect {
	p := l.active.Load()
	if p == nil {
		return nil
	}
	c := &Call{Operation: opNames[r.op], Number: number, Input: r.in, RequestID: r.id, Header: r.header.Get}
	c.Stream = streamOf(r.in)
	if r.put != nil {
		for _, sh := range r.put.distinct {
			c.Shards = append(c.Shards, sh.id)
		}
	}
	for _, h := range *p {
		if e := h.strike(c); e != nil {
			return &firedEffect{Effect: e, h: h}
		}
	}
	return nil
}

func (h *FaultHandle) strike(c *Call) *Effect {
	if h.decide != nil {
		e := h.decide(c)
		if e != nil {
			h.hits.Add(1)
		}
		return e
	}
	f := &h.fault
	if f.Operation != "" && f.Operation != c.Operation || f.Stream != "" && f.Stream != c.Stream ||
		f.Shard != "" && !slices.Contains(c.Shards, f.Shard) || f.Match != nil && !f.Match(c) {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen++; h.seen <= f.Skip {
		return nil
	}
	if f.Times > 0 && h.hits.Load() >= int64(f.Times) {
		return nil
	}
	if f.Probability > 0 && h.rng.Float64() >= f.Probability {
		return nil
	}
	h.hits.Add(1) // under the lock, or a one-shot fault could strike twice
	return &f.Effect
}

// firedEffect is an effect that struck a call.
type firedEffect struct {
	*Effect
	h *FaultHandle
}

// entry tells whether the effect refuses entry i, which goes to shard sh.
func (e *firedEffect) entry(s *Server, st *stream, sh *shard, i int) (code, message string, refused bool) {
	if e.EntryCode == "" || e.h.fault.Shard != "" && e.h.fault.Shard != sh.id {
		return "", "", false
	}
	if len(e.Entries) > 0 && !slices.Contains(e.Entries, i) {
		return "", "", false
	}
	if e.EntryShare > 0 {
		e.h.mu.Lock()
		miss := e.h.rng.Float64() >= e.EntryShare
		e.h.mu.Unlock()
		if miss {
			return "", "", false
		}
	}
	e.h.entries.Add(1)
	message = e.EntryMessage
	if message == "" && e.EntryCode == codeThroughput {
		message = s.rateMessage(st, sh)
	} else if message == "" {
		message = "Internal service failure."
	}
	return e.EntryCode, message, true
}

// before does what comes before the call is executed.
func (e *firedEffect) before(ctx context.Context) *failure {
	if e.Do != nil {
		e.Do()
	}
	if f := wait(ctx, e.Delay, e.Hold, e.Hang); f != nil {
		return f
	}
	switch {
	case e.ErrorCode != "":
		f := fail(e.ErrorCode, "%s", e.ErrorMessage)
		if e.HTTPStatus != 0 {
			f.status = e.HTTPStatus
		}
		return f
	case e.HTTPStatus != 0:
		return &failure{status: e.HTTPStatus, emptyBody: true}
	case e.Reset:
		return &failure{reset: true}
	}
	return nil
}

// after does what comes between the execution and the answer.
func (e *firedEffect) after(ctx context.Context, out smithy.Serializable, f *failure) (smithy.Serializable, *failure) {
	if w := wait(ctx, e.DelayReply, nil, e.HangReply); w != nil {
		return nil, w
	}
	if e.LoseReply {
		return nil, &failure{reset: true}
	}
	if e.DropLastEntry && f == nil {
		dropLast(out)
	}
	return out, f
}

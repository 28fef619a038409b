// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/delivery"
	"github.com/outkpl/outkpl/internal/event"
	"github.com/outkpl/outkpl/internal/ledger"
)

const (
	// maxLedgerEntries bounds the chunks remembered. A chunk whose payloads are not
	// needed takes some hundred bytes.
	maxLedgerEntries = 16384
	// maxLedgerAge is how long a chunk is remembered. The host waits at most
	// scheduler.cap (default 2000 s) and a second between two attempts, and never
	// says that it has given up.
	maxLedgerAge = 2 * time.Hour
	// deadLetterGrace is what writing to the dead letter file may take beyond
	// flush_timeout.
	deadLetterGrace = time.Second
)

// newDeliverer makes what delivers chunks and remembers those that the host was told to
// retry. The host passes the same bytes under the same tag at each attempt, but gives
// them no name, and their address changes.
func (in *Instance) newDeliverer(limits ledger.Limits) *delivery.Deliverer {
	cfg := delivery.Config{
		PutBatch:        in.producer.PutBatch,
		DeadLetters:     in.deadLetters,
		DeadLetterGrace: deadLetterGrace,
		Ledger:          limits,
		Journal:         in.journal,
		ReadPlan:        readPlan,
	}
	if p, ok := in.producer.(looker); ok && in.cfg.Producer.VerifyUncertain {
		cfg.LookFor = p.LookFor
	}
	if in.reloads != nil {
		cfg.Earlier = in.reloads.take(in.name, in.fingerprint, in.log)
	}
	if in.hostStopping != nil {
		cfg.GivenUp = in.givenUp
	}
	return delivery.New(cfg)
}

// looker is a Producer that looks for records in its streams.
type looker interface {
	LookFor(ctx context.Context, stream string, list []core.Unanswered) []core.Found
}

func ledgerLimits(cfg *Config) ledger.Limits {
	return ledger.Limits{Entries: maxLedgerEntries, Bytes: 2 * int64(cfg.BufferBytes), Age: maxLedgerAge}
}

// deliver brings a chunk forward until every record is settled for good, or ctx ends, or
// a failure calls for a later attempt.
func (in *Instance) deliver(ctx context.Context, tag string, chunk []byte) Code {
	// A worker of the host brings one chunk after the other, and the host hears of an answer
	// once its worker has done the next one.
	defer in.journal.Leave(in.journal.Enter())
	scope := delivery.Scope{Name: tag, Fingerprint: in.fingerprint}
	d, known := in.deliverer.Take(scope, chunk)
	if known {
		in.n.resumed.Add(1)
	}
	if d.Finished() {
		out := d.Outcome() // everything was confirmed between the flushes, or before a crash
		return in.answer(d, &out)
	}
	c := d.Content()
	if c == nil {
		c = in.read(scope, chunk, d)
	} else {
		c.Bytes = chunk
		c.Memory.Hold()
	}
	out := in.deliverer.Deliver(ctx, d, c)
	c.Memory.Release()
	in.evicted(out.Evicted)
	return in.answer(d, &out)
}

// readPlan makes a plan of what the journal has of it.
func readPlan(b []byte) (delivery.Plan, error) {
	p := new(event.Plan)
	if err := p.UnmarshalBinary(b); err != nil {
		return nil, err
	}
	return p, nil
}

// answer is answerTo, noted in the journal: the host may not hear it if it is killed, and
// flushes the chunk again when it is started.
func (in *Instance) answer(d *delivery.Delivery, out *delivery.Outcome) Code {
	code := answerTo(out)
	if code != Retry {
		in.deliverer.Answered(d, true)
	}
	return code
}

// answerTo is the answer for a chunk.
//
// What is lost makes it Error, although everything else of the chunk is delivered:
// only so does the loss show in the host's own counters, and the host can keep the
// chunk in its dead letter folder, which OK would prevent. The host does not retry
// after Error, so nothing is sent twice. Its dropped counter counts all records of
// the chunk then; the log line has the exact number.
func answerTo(out *delivery.Outcome) Code {
	switch out.State {
	case delivery.Stored:
		return OK
	case delivery.Lost:
		return Error
	default:
		return Retry
	}
}

// content is a chunk and the memory of its records, which is used again when nobody reads
// it; that of a batch which is never evaluated is left to the garbage collector.
type content struct {
	delivery.Content

	in      *Instance
	builder *event.Builder
	broken  []broken
	holders atomic.Int32 // besides the first
	spoilt  atomic.Bool
}

// Spoil implements delivery.Memory.
func (c *content) Spoil() { c.spoilt.Store(true) }

// Hold implements delivery.Memory.
func (c *content) Hold() { c.holders.Add(1) }

// Release implements delivery.Memory.
func (c *content) Release() {
	if c.holders.Add(-1) >= 0 || c.spoilt.Load() {
		return
	}
	c.builder.Reset()
	select {
	case c.in.builders <- c.builder:
	default:
	}
}

// Size implements delivery.Memory.
func (c *content) Size() int { return c.builder.Memory() + brokenBytes*cap(c.broken) }

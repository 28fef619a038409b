// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"encoding"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/internal/ledger"
)

// Scope is within what contents are told apart: a tag, or a route and a client, and
// the Fingerprint of what shapes their records.
type Scope = ledger.Scope

// Parts is content as a row of parts, for clients that put more behind what failed
// and send it all again.
type Parts = ledger.Parts

// NoProbe is the Content.Probe of a content that can be delivered in any order.
const NoProbe = -1

// Content is what came to a receiver in one piece, made into records. The same Bytes in
// the same Scope give the same records and dead letters, read by the same Plan, so that
// their numbers identify them across attempts.
type Content struct {
	// Scope and Bytes are what the content is known by when it comes again. Bytes are
	// not kept; the caller sets them again in a content that Delivery.Content returns.
	Scope Scope
	Bytes []byte
	// Parts, if set, let a content be known by what it begins with.
	Parts Parts
	// Plan, if set, is what was decided while the records were made and does not follow
	// from Bytes and Scope.
	Plan Plan

	Records []core.Record
	// Stream is where all records go. If Routes is set, record n goes to
	// Streams[Routes.StreamOf(n)] instead.
	Stream  string
	Streams []string
	Routes  interface{ StreamOf(n int) int }
	// Events, if set, tells how many events record n holds. Without it each holds one, and
	// dead letters do not say so.
	Events interface{ EventsOf(n int) int }
	// Probe is the number of a record that is put alone and before anything else is
	// written, so that the content can still be rejected, or NoProbe. A content with a
	// probe has one stream, and its attempts are detached.
	Probe int

	// DeadLetters is the number of dead letters that are known before anything is put,
	// and DeadLetter makes one of them.
	DeadLetters int
	DeadLetter  func(n int) deadletter.Entry
	// Source is the Source of the other dead letters.
	Source string

	// Counted tells that the receiver has counted something that a second first reading
	// would count again.
	Counted bool
	// Lost tells that a part of the content became neither a record nor a dead letter,
	// and no option asks to drop it.
	Lost bool

	// Memory, if set, is what the records lie in.
	Memory   Memory
	Receiver Receiver
}

// eventsOf is how many events a record holds.
func (c *Content) eventsOf(n int32) int {
	if c.Events == nil {
		return 1
	}
	return c.Events.EventsOf(int(n))
}

// Plan is the part of what shapes records that is decided while they are made; see
// event.Plan. To make the records again takes the same Plan.
type Plan interface {
	// AppendBinary appends its written form.
	encoding.BinaryAppender
	// Bytes is about the memory that it holds.
	Bytes() int
}

// Memory is kept for as long as something reads the records of a content. Its first owner
// is the caller that makes the content, or finds it by Delivery.Content. It is safe for concurrent
// use.
type Memory interface {
	// Hold adds an owner.
	Hold()
	// Release takes one away. When the last one is gone the memory may be used again, unless
	// it is spoilt.
	Release()
	// Spoil is called after a panic, when nobody knows who still reads the records. The
	// caller is an owner.
	Spoil()
	// Size is what the ledger counts for it, in bytes.
	Size() int
}

// Disposition is what becomes of a record that was not stored.
type Disposition uint8

const (
	// Retry: the failure may pass; the record is retried.
	Retry Disposition = iota
	// Keep: the record becomes a dead letter; if that cannot be written it is retried.
	Keep
	// Drop: it is left out, as configured.
	Drop
	// Lose: it is left out, and no option asks for it.
	Lose
	// Reject: the whole content is rejected. Only for the probe.
	Reject
	// RejectLate: it is left out, and the whole content would be rejected, had others not
	// been put already.
	RejectLate
)

// Receiver is what a receiver decides, and what it is told to count and log. Its methods
// are called by the goroutine that delivers, for detached attempts by that of the
// attempt.
type Receiver interface {
	// Dispose says what becomes of record number n that failed.
	Dispose(c *Content, n int, err *core.RecordError) Disposition
	// Settled tells what became of records that were put.
	Settled(c *Content, r *Report)
	// Written tells what became of dead letters that were known before anything was put:
	// the numbers of those that are kept, of those that can never be kept and are lost,
	// and of those that are to be retried. err says why not all are kept.
	Written(c *Content, kept, hopeless, again []int32, err error)
	// Waiting is called at the end of a call for a batch that is still under way, not
	// for detached attempts. progress tells that more of it is confirmed than before.
	Waiting(stream string, b Batch, progress bool)
}

// Report is what became of the records of one content that were put into one stream.
type Report struct {
	Stream string
	// Refused is why the producer took none of them, or nil.
	Refused error
	// Confirmed is the number of records in Kinesis, Progress whether it has grown.
	Confirmed int
	Progress  bool
	// Failures are the records that are settled, but not stored.
	Failures []Failure
	// Missing is the number of records to be retried, Worst the most telling of their
	// errors.
	Missing int
	Worst   core.RecordError
	// DeadLetterErr is why records that should become dead letters are missing, or nil.
	DeadLetterErr error
	// Late tells that the batch settled between two calls, so that what its errors say of
	// the stream is old.
	Late bool
}

// Failure is a record that is settled and not stored.
type Failure struct {
	// Disposition is Keep for one that is kept as a dead letter, Drop, RejectLate or Lose. What was
	// to be kept and can never be is Lose.
	Disposition Disposition
	// Err is why Kinesis did not store it.
	Err *core.RecordError
	// Events is how many events it holds, Bytes are its data and partition key.
	Events, Bytes int
	// DeadLetterErr is why it can never be kept.
	DeadLetterErr error
}

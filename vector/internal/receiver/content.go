// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"slices"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/core/delivery"
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
func (c *content) surelyTaken() int {
	if c.dest.route.TooLarge != config.Reject {
		return leastStreamLimit
	}
	if n := c.s.producer.PassingRecordBytes(c.dest.stream); n >= 0 {
		return min(n, leastStreamLimit)
	}
	return leastStreamLimit
}

// complete tells package delivery how to deliver c, whose memory is l.
func (c *content) complete(l *lease) {
	c.Scope = delivery.Scope{Name: c.dest.scope, Fingerprint: c.dest.route.fingerprint}
	if c.own {
		c.Scope.Fingerprint = c.dest.route.ownFingerprint
	}
	if c.dest.agent != "" && c.telling() {
		c.Parts = c
	}
	c.Stream, c.Source, c.Memory, c.Receiver = c.dest.stream, c.dest.route.source, l, c
	c.DeadLetters = len(c.known)
	c.DeadLetter = func(n int) deadletter.Entry { return c.known[n] }
}

// telling tells whether the events are more than words. Without a single digit there is no
// time and no counter in them; the next body that begins like that is as likely another
// one, and is written whole.
func (c *content) telling() bool {
	const digits = "0123456789"
	return slices.ContainsFunc(c.Records, func(r core.Record) bool { return bytes.ContainsAny(r.Data, digits) }) ||
		slices.ContainsFunc(c.known, func(l deadletter.Entry) bool { return bytes.ContainsAny(l.Data, digits) })
}

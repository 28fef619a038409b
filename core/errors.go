// SPDX-License-Identifier: Apache-2.0

package core

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is returned by every call that hands records over after Close.
	ErrClosed = errors.New("producer is closed")
	// ErrTooManyStreams is returned when a stream would be opened beyond
	// WithMaxStreams while all others have records that are not settled.
	ErrTooManyStreams = errors.New("too many streams")
	// ErrBufferFull is returned by TryPutBatch when the records do not fit into
	// the buffer at this moment. Nothing of the batch was taken.
	ErrBufferFull = errors.New("buffer is full")
)

// Reason says why a user record was not confirmed. The set is closed; the
// string form is stable and serves as metric label and log field.
type Reason uint8

// Reasons of failure. Permanent ones fail again however often the record is
// handed over; the others may pass.
const (
	// ReasonNone is the reason of a confirmed record.
	ReasonNone Reason = iota
	// ReasonTooLarge: data plus partition key exceed the stream's record size
	// limit. Permanent.
	ReasonTooLarge
	// ReasonInvalid: a key out of range, or Kinesis refused exactly this record
	// as invalid. Permanent.
	ReasonInvalid
	// ReasonExpired: the record's TTL passed (see WithRecordTTL).
	ReasonExpired
	// ReasonThrottled: the shard's limit was reached and WithFailIfThrottled is set.
	ReasonThrottled
	// ReasonStreamNotFound: the stream does not exist.
	ReasonStreamNotFound
	// ReasonAccessDenied: the credentials may not do what is needed; the
	// error text names the IAM action.
	ReasonAccessDenied
	// ReasonCountMismatch: Kinesis answered with another number of results than
	// records were sent, so that no result can be trusted. The records may
	// be stored.
	ReasonCountMismatch
	// ReasonRefused: Kinesis refuses requests as invalid and has not taken a
	// single record of this stream so far, so that the cause is likely the
	// configuration and not the record.
	// See ReasonRefusedAlone for a stream that has.
	ReasonRefused
	// ReasonNotAccepted: the record was never taken over, because the context
	// ended while the batch waited for room in the buffer.
	ReasonNotAccepted
	// ReasonClosed: the producer was closed before the record was confirmed.
	ReasonClosed
	// ReasonInternal: a defect of the producer stopped its work for this stream;
	// the log has the stack. The record may be stored.
	ReasonInternal
	// ReasonRefusedAlone: the record was refused alone for a minute, while nothing else
	// was sent to its stream, so that nothing tells whether the record is at fault. The
	// stream has taken others within the last hour. Not permanent; who can keep it for
	// people to look at (a dead letter) should, and who cannot should try again.
	ReasonRefusedAlone
	reasonCount
)

var reasonNames = [reasonCount]string{
	"none", "too_large", "invalid", "expired", "throttled", "stream_not_found",
	"access_denied", "count_mismatch", "refused", "not_accepted", "closed", "internal",
	"refused_alone",
}

// String returns the stable name, for example "too_large".
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "unknown"
}

// Permanent reports whether handing the same record over again must fail again.
func (r Reason) Permanent() bool { return r == ReasonTooLarge || r == ReasonInvalid }

// DeadLetter reports whether a record that failed for this reason belongs with the dead
// letters, where there is a place for them: it failed for good, or it is to be expected.
// Without such a place, only permanent failures may be given up.
func (r Reason) DeadLetter() bool { return r.Permanent() || r == ReasonRefusedAlone }

// RecordError is the error of a user record that was not confirmed.
type RecordError struct {
	// Stream is the name of the stream.
	Stream string
	// Reason is the class of the failure.
	Reason Reason
	// Code is the error code of Kinesis, or empty.
	Code string
	// Detail is a text for people. It never holds record data.
	Detail string
}

// Error implements error.
func (e *RecordError) Error() string {
	s := fmt.Sprintf("cannot deliver record to stream %s: %s", e.Stream, e.Reason)
	if e.Code != "" {
		s += " (" + e.Code + ")"
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

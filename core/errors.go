// SPDX-License-Identifier: Apache-2.0

package core

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/outkpl/outkpl/internal/plural"
)

var (
	// ErrClosed is returned by every call that submits records after Close.
	ErrClosed = errors.New("producer is closed")
	// ErrTooManyStreams is returned when a stream would be opened beyond
	// WithMaxStreams while all others have records that are not settled.
	ErrTooManyStreams = errors.New("too many streams")
	// ErrBufferFull is returned by TryPut and TryPutBatch when the records do not fit
	// into the buffer at this moment. Nothing of the batch was taken.
	ErrBufferFull = errors.New("buffer is full")
)

// Reason says why a user record was not confirmed. The string form is stable and
// serves as metric label and log field. A Reason is an error only to be compared with:
//
//	errors.Is(err, core.ReasonThrottled)
//
// holds for a RecordError with this reason, and for a BatchError if one of its records
// failed for it.
type Reason uint8

// Reasons of failure. Permanent ones fail again however often the record is
// submitted; the others may pass.
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
	// ReasonRefusedAlone: the record was refused in a call of its own for a minute, while
	// nothing else was sent to its stream, so that it is not known whether the record is at
	// fault. The stream has taken others within the last hour. Not permanent; a caller that
	// can keep it for people to look at (a dead letter) should, another should retry.
	ReasonRefusedAlone
	// ReasonAborted: Producer.Abort gave up on the record before it was confirmed.
	ReasonAborted
	reasonCount
)

var reasonNames = [reasonCount]string{
	"none", "too_large", "invalid", "expired", "throttled", "stream_not_found",
	"access_denied", "count_mismatch", "refused", "not_accepted", "closed", "internal",
	"refused_alone", "aborted",
}

// String returns the stable name, for example "too_large".
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "unknown"
}

// Error implements error; see Reason.
func (r Reason) Error() string { return r.String() }

// Permanent reports whether submitting the same record again must fail again.
func (r Reason) Permanent() bool { return r == ReasonTooLarge || r == ReasonInvalid }

// DeadLetter reports whether a record that failed for this reason belongs with the dead
// dead letters, where there is a place for them: it failed for good, or it is to be expected.
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
	// Detail is a text for people. It never contains record data.
	Detail string
	// Err is what caused the failure, as far as it is known: the error of a context,
	// ErrClosed, a smithy.APIError, or an error of package net. What the service says in
	// it may repeat partition keys, which Detail does not.
	Err error
}

// Unwrap returns Err.
func (e *RecordError) Unwrap() error { return e.Err }

// Is reports whether target is the Reason of e.
func (e *RecordError) Is(target error) bool {
	r, ok := target.(Reason)
	return ok && r == e.Reason
}

// Error implements error.
func (e *RecordError) Error() string {
	return fmt.Sprintf("cannot deliver record to stream %s: %s", e.Stream, e.text())
}

// text says why, without the stream.
func (e *RecordError) text() string {
	s := e.Reason.String()
	if e.Code != "" {
		s += " (" + e.Code + ")"
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// maxBatchErrors is how many different errors a BatchError names.
const maxBatchErrors = 8

// BatchError is the error of a batch of which some records failed. errors.Is finds the
// Reason of each of them; errors.As finds the first *RecordError.
type BatchError struct {
	// Stream is the name of the stream.
	Stream string
	// Records is the size of the batch, Failed the number of those that failed.
	Records, Failed int
	// Errors are the first errors that differ, at most 8. Records that failed together
	// share one.
	Errors []*RecordError

	reasons [reasonCount]int
}

// Error implements error. It names the number of failed records by reason, and the first
// error.
func (e *BatchError) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "cannot deliver %d of %s to stream %s", e.Failed, plural.Count(e.Records, "record"), e.Stream)
	separator := " ("
	for r, n := range e.reasons {
		if n > 0 {
			fmt.Fprintf(&s, "%s%d %s", separator, n, Reason(r))
			separator = ", "
		}
	}
	s.WriteString("); the first: ")
	s.WriteString(e.Errors[0].text())
	return s.String()
}

// Unwrap returns Errors.
func (e *BatchError) Unwrap() []error {
	list := make([]error, len(e.Errors))
	for i, err := range e.Errors {
		list[i] = err
	}
	return list
}

// Is reports whether target is the Reason of a failed record, named in Errors or not.
func (e *BatchError) Is(target error) bool {
	r, ok := target.(Reason)
	return ok && r < reasonCount && e.reasons[r] > 0
}

// recordError makes the error of records that failed with v.
func (pl *pipeline) recordError(v classification) *RecordError {
	err := v.cause
	if v.entry && v.code != "" {
		err = &smithy.GenericAPIError{Code: v.code, Message: v.message}
	}
	return &RecordError{Stream: pl.stream.name, Reason: v.reason, Code: v.code, Detail: v.message, Err: err}
}

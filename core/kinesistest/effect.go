// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
)

// Effect is what a fault does to a call. The zero value does nothing but count.
// Waiting comes first; then at most one of error, status and reset, each of
// which means that nothing is stored; then the call is executed, with its
// entries refused as told; then comes what happens to the reply. The functions
// [ThrottleEntries], [FailEntries], [Fail], [Status], [Reset], [LoseReply],
// [Delay], [Hang] and [DropLastEntry] make the usual ones.
type Effect struct {
	// Do is called first, if set, without any lock held.
	Do func()
	// Delay waits before the call is executed.
	Delay time.Duration
	// Hold waits until the channel is closed, if set.
	Hold <-chan struct{}
	// Hang waits for the caller to give up; nothing is stored.
	Hang bool

	// ErrorCode answers the whole call with this code, ErrorMessage and HTTPStatus
	// (0 means what goes with the code: 400, or 500 and 503 for the server's faults).
	ErrorCode, ErrorMessage string
	// HTTPStatus without ErrorCode answers with that status and an empty body.
	HTTPStatus int
	// Reset breaks the connection; nothing is stored.
	Reset bool

	// EntryCode refuses entries of a put with this code, EntryMessage (by
	// default the service's text) and HTTP status 200.
	EntryCode, EntryMessage string
	// Entries are the indexes of the entries to refuse. Empty means all.
	Entries []int
	// EntryShare is the share of entries to refuse, above 0 and at most 1. 0 means
	// all of them.
	EntryShare float64

	// DelayReply waits after the call was executed: a caller that gives up
	// meanwhile does not know that its records are stored.
	DelayReply time.Duration
	// HangReply waits for the caller to give up after the call was executed.
	HangReply bool
	// LoseReply breaks the connection after the call was executed.
	LoseReply bool
	// DropLastEntry takes the last entry out of the reply of PutRecords, so that
	// it has fewer than the request.
	DropLastEntry bool
}

// ThrottleEntries refuses entries as a shard over its limits does.
func ThrottleEntries() Effect { return Effect{EntryCode: codeThroughput} }

// FailEntries refuses entries with a code, for instance "InternalFailure". An
// empty message means "Internal service failure.".
func FailEntries(code, message string) Effect { return Effect{EntryCode: code, EntryMessage: message} }

// Fail answers the whole call with an error code such as
// "LimitExceededException", "ResourceNotFoundException", "AccessDeniedException"
// or "ExpiredTokenException".
func Fail(code, message string) Effect { return Effect{ErrorCode: code, ErrorMessage: message} }

// Status answers with an HTTP status and an empty body, for instance 500 or 503.
func Status(code int) Effect { return Effect{HTTPStatus: code} }

// Reset breaks the connection before anything is stored.
func Reset() Effect { return Effect{Reset: true} }

// LoseReply stores everything and breaks the connection.
func LoseReply() Effect { return Effect{LoseReply: true} }

// Delay executes the call after d.
func Delay(d time.Duration) Effect { return Effect{Delay: d} }

// Hang never answers. In process it ends with the caller's context only; over
// HTTP also with [Server.Close].
func Hang() Effect { return Effect{Hang: true} }

// DropLastEntry answers with one entry too few.
func DropLastEntry() Effect { return Effect{DropLastEntry: true} }

// wait waits as an effect says. It returns a failure if the caller gave up.
func wait(ctx context.Context, d time.Duration, hold <-chan struct{}, hang bool) *failure {
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return canceled(ctx)
		}
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return canceled(ctx)
		}
	}
	if hang {
		<-ctx.Done()
		return canceled(ctx)
	}
	return nil
}

func dropLast(out smithy.Serializable) {
	if o, ok := out.(*kinesis.PutRecordsOutput); ok && len(o.Records) > 0 {
		o.Records = o.Records[:len(o.Records)-1]
	}
}

// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"log/slog"

	"github.com/outkpl/outkpl/internal/remedy"
)

// The IAM actions of the calls.
const (
	actionPut      = "kinesis:PutRecords"
	actionList     = "kinesis:ListShards"
	actionDescribe = "kinesis:DescribeStreamSummary"
)

// remedyOf says what is known about a failure.
func remedyOf(v *classification) *remedy.Remedy {
	r := remedy.Find(v.code, v.message, v.cause)
	if r.Kind == remedy.Unknown && v.reason == ReasonAccessDenied {
		return remedy.Of(remedy.AccessDenied)
	}
	return r
}

// failureArgs are what a line says about a failed call: the code, what that means, what to
// do, and the permission that is missing.
func (c *config) failureArgs(v classification, action string) []any {
	r := remedyOf(&v)
	args := []any{"code", v.code, "cause", r.Cause}
	if needs := r.Permission(action); needs != "" {
		args = append(args, "needs", needs)
	}
	return append(args, "advice", r.Advice(c.names, action), "detail", v.message)
}

// streamLog is what is logged of a stream.
type streamLog struct {
	lines    []line // to log after the lock
	outage   outage
	lastCode string // the last that was logged, and when
	lastAt   int64
}

// line is one line for the log.
type line struct {
	level   slog.Level
	message string
	args    []any
}

// log has unlock log a line about the stream.
func (pl *pipeline) log(level slog.Level, message string, args ...any) {
	pl.logs.lines = append(pl.logs.lines, line{level, message, append([]any{"stream", pl.stream.name}, args...)})
}

// writeTo logs the line. A logger that panics loses it, and nothing else.
func (l line) writeTo(to *slog.Logger) {
	defer func() { _ = recover() }()
	to.Log(context.Background(), l.level, l.message, l.args...)
}

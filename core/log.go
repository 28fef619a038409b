// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"log/slog"
)

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

// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"log/slog"
)

// line is one line for the log.
type line struct {
	level   slog.Level
	message string
	args    []any
}

// log has unlock log a line about the stream.
func (pl *pipeline) log(level slog.Level, message string, args ...any) {
	pl.lines = append(pl.lines, line{level, message, append([]any{"stream", pl.stream.name}, args...)})
}

// write logs the line. A logger that panics loses it, and harms nobody else.
func (l line) write(to *slog.Logger) {
	defer func() { _ = recover() }()
	to.Log(context.Background(), l.level, l.message, l.args...)
}

// SPDX-License-Identifier: Apache-2.0

package status

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of a Log.
const (
	// Lines is how many kinds of lines are kept.
	Lines = 50
	// maxDetail is the most bytes of a line's attributes.
	maxDetail = 512
)

// Line is what was logged with one level and message.
type Line struct {
	Level   string    `json:"level"`
	Message string    `json:"message"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Count   uint64    `json:"count"`
	// Detail holds the attributes of the last such line.
	Detail string `json:"detail"`
}

// Log is a slog.Handler that passes lines on and keeps those of level warn and above.
// Lines of one level and message are kept as one, with their number, so that a line
// that is repeated does not push out others. It is safe for concurrent use.
type Log struct {
	next  slog.Handler
	attrs []slog.Attr // of With, with the names of groups before them
	group string
	kept  *kept
}

type kept struct {
	mu    sync.Mutex // guards lines
	lines []Line     // the newest last
}

// NewLog makes a handler that passes on to next.
func NewLog(next slog.Handler) *Log { return &Log{next: next, kept: &kept{}} }

// Enabled implements slog.Handler.
func (l *Log) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || l.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (l *Log) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		l.keep(&r)
	}
	if !l.next.Enabled(ctx, r.Level) {
		return nil
	}
	return l.next.Handle(ctx, r)
}

func (l *Log) keep(r *slog.Record) {
	var b strings.Builder
	add := func(group string, a slog.Attr) {
		if b.Len() > maxDetail {
			return
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(group + a.Key + "=" + a.Value.Resolve().String())
	}
	for _, a := range l.attrs {
		add("", a)
	}
	r.Attrs(func(a slog.Attr) bool {
		add(l.group, a)
		return true
	})
	detail := strings.ToValidUTF8(b.String()[:min(b.Len(), maxDetail)], "")
	k := l.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	line := Line{Level: r.Level.String(), Message: r.Message, First: r.Time}
	if i := slices.IndexFunc(k.lines, func(o Line) bool { return o.Level == line.Level && o.Message == line.Message }); i >= 0 {
		line = k.lines[i]
		k.lines = slices.Delete(k.lines, i, i+1)
	} else if len(k.lines) >= Lines {
		k.lines = slices.Delete(k.lines, 0, 1)
	}
	line.Last, line.Detail = r.Time, detail
	line.Count++
	k.lines = append(k.lines, line)
}

// WithAttrs implements slog.Handler.
func (l *Log) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *l
	c.next = l.next.WithAttrs(attrs)
	c.attrs = slices.Clone(l.attrs)
	for _, a := range attrs {
		a.Key = l.group + a.Key
		c.attrs = append(c.attrs, a)
	}
	return &c
}

// WithGroup implements slog.Handler.
func (l *Log) WithGroup(name string) slog.Handler {
	c := *l
	c.next = l.next.WithGroup(name)
	c.group = l.group + name + "."
	return &c
}

// Lines returns what is kept, the newest first.
func (l *Log) Lines() []Line {
	l.kept.mu.Lock()
	list := append([]Line{}, l.kept.lines...)
	l.kept.mu.Unlock()
	slices.Reverse(list)
	return list
}

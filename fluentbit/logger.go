// SPDX-License-Identifier: Apache-2.0

package main

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
	"unsafe"
)

// maxLineBytes keeps a line with its prefix below the 4 KiB that the host prints.
const maxLineBytes = 3900

// logSink is the way to the host's log for as long as the instance exists. Lines of
// goroutines that outlive it go nowhere.
type logSink struct {
	mu     sync.RWMutex // guards in; locked for reading while the host is called
	in     *C.struct_kpl_instance
	timing atomic.Bool // lines wait for a flush, and a timer runs
}

// maxHold is how long lines wait for a flush, whose thread the host knows. After it they
// are printed from a thread of ours, past the host's log_file.
const maxHold = 5 * time.Second

func (s *logSink) close() {
	s.mu.Lock()
	s.in = nil
	s.mu.Unlock()
}

func (s *logSink) enabled(level slog.Level) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.in != nil && C.kpl_log_enabled(s.in, hostLevel(level)) != 0
}

func (s *logSink) write(level slog.Level, line string) {
	c := C.CString(line)
	defer C.free(unsafe.Pointer(c))
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.in != nil && C.kpl_log(s.in, hostLevel(level), c) != 0 && s.timing.CompareAndSwap(false, true) {
		time.AfterFunc(maxHold, s.drain)
	}
}

func (s *logSink) drain() {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.timing.Store(false)
	if s.in != nil {
		C.kpl_log_drain(s.in)
	}
}

func hostLevel(l slog.Level) C.int {
	switch {
	case l >= slog.LevelError:
		return C.KPL_LOG_ERROR
	case l >= slog.LevelWarn:
		return C.KPL_LOG_WARN
	case l >= slog.LevelInfo:
		return C.KPL_LOG_INFO
	}
	return C.KPL_LOG_DEBUG
}

// logHandler writes the message and its attributes as key=value. Time and level
// are the host's business.
type logHandler struct {
	sink   *logSink
	attrs  string // of WithAttrs, formatted
	groups string // of WithGroup, each followed by a dot
}

// Enabled implements slog.Handler.
func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool {
	return h.sink.enabled(level)
}

// Handle implements slog.Handler.
func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message)
	b.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		appendAttr(&b, h.groups, a)
		return true
	})
	line := b.String()
	if len(line) > maxLineBytes {
		cut := maxLineBytes
		for cut > 0 && !utf8.RuneStart(line[cut]) {
			cut--
		}
		line = line[:cut] + "..."
	}
	h.sink.write(r.Level, line)
	return nil
}

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	var b strings.Builder
	b.WriteString(h.attrs)
	for _, a := range attrs {
		appendAttr(&b, h.groups, a)
	}
	return &logHandler{h.sink, b.String(), h.groups}
}

// WithGroup implements slog.Handler.
func (h *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &logHandler{h.sink, h.attrs, h.groups + name + "."}
}

func appendAttr(b *strings.Builder, groups string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			groups += a.Key + "."
		}
		for _, inner := range v.Group() {
			appendAttr(b, groups, inner)
		}
		return
	}
	if a.Key == "" {
		return
	}
	b.WriteByte(' ')
	b.WriteString(groups)
	b.WriteString(a.Key)
	b.WriteByte('=')
	s := v.String()
	if s == "" || strings.ContainsAny(s, " \"=\t\n\r") || strconv.Quote(s) != `"`+s+`"` {
		s = strconv.Quote(s)
	}
	b.WriteString(s)
}

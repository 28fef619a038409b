// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestAppendAttr(t *testing.T) {
	for _, c := range []struct {
		name string
		attr slog.Attr
		want string
	}{
		{"plain", slog.String("stream", "logs"), " stream=logs"},
		{"blank is quoted", slog.String("k", "a b"), ` k="a b"`},
		{"empty is quoted", slog.String("k", ""), ` k=""`},
		{"line break cannot forge a line", slog.String("k", "a\n[error] b"), ` k="a\n[error] b"`},
		{"control character is quoted", slog.String("k", "a\x1b[0m"), ` k="a\x1b[0m"`},
		{"number", slog.Int("n", 3), " n=3"},
		{"duration", slog.Duration("d", 4*time.Second), " d=4s"},
		{"error", slog.Any("error", errors.New("cannot x: y")), ` error="cannot x: y"`},
		{"group", slog.Group("g", slog.Int("a", 1), slog.Int("b", 2)), " p.g.a=1 p.g.b=2"},
		{"no key", slog.Attr{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			groups := ""
			if c.name == "group" {
				groups = "p."
			}
			appendAttr(&b, groups, c.attr)
			if got := b.String(); got != c.want {
				t.Errorf("unexpected text; got %q; want %q", got, c.want)
			}
		})
	}
}

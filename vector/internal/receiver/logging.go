// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/outkpl/outkpl/vector/internal/config"
)

// logInterval is the least time between two lines of a kind.
const logInterval = 10 * time.Second

// throttle lets one line of each kind through in logInterval. Kinds are from a fixed
// set, so the map is bounded.
type throttle struct {
	mu    sync.Mutex // guards kinds
	kinds map[string]*lineKind
}

type lineKind struct {
	last    time.Time
	skipped int
}

// log calls line with the number of lines that were suppressed, unless it is too early.
func (t *throttle) log(kind string, line func(skipped int)) {
	now := time.Now()
	t.mu.Lock()
	if t.kinds == nil {
		t.kinds = map[string]*lineKind{}
	}
	k := t.kinds[kind]
	if k == nil {
		k = &lineKind{}
		t.kinds[kind] = k
	}
	if !k.last.IsZero() && now.Sub(k.last) < logInterval {
		k.skipped++
		t.mu.Unlock()
		return
	}
	skipped := k.skipped
	k.last, k.skipped = now, 0
	t.mu.Unlock()
	line(skipped)
}

// NewLogger makes the program's logger.
func NewLogger(cfg *config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Level)) // config has checked it
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

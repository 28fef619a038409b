// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/outkpl/outkpl/vector/internal/config"
)

// logInterval is the least time between two lines of a kind.
const logInterval = 10 * time.Second

// throttle lets one line of each kind through in logInterval. What it suppresses is told by
// the next line of the kind, or at the end. Kinds are from a fixed set, so the map is bounded.
type throttle struct {
	mu    sync.Mutex // guards kinds
	kinds map[string]*lineKind
}

type lineKind struct {
	last    time.Time // of the last line
	skipped skipped
	// rest writes the line that was suppressed last, and n is what it counts itself; nil: none.
	rest func(skipped)
	n    int
}

// skipped is what was suppressed since the last line of a kind: lines, and what they count.
type skipped struct{ lines, n int }

// log calls line with what was suppressed, unless it is too early. n is what the line counts,
// or 0. The line may be kept, so it must not hold a request or its body.
func (t *throttle) log(kind string, n int, line func(skipped)) {
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
		k.skipped.lines++
		k.skipped.n += n
		k.rest, k.n = line, n
		t.mu.Unlock()
		return
	}
	before := k.skipped
	*k = lineKind{last: now}
	t.mu.Unlock()
	line(before)
}

// flush writes what is suppressed, a line for each kind.
func (t *throttle) flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, kind := range slices.Sorted(maps.Keys(t.kinds)) {
		k := t.kinds[kind]
		if k.rest != nil {
			k.rest(skipped{k.skipped.lines - 1, k.skipped.n - k.n}) // it tells of itself
		}
		k.skipped, k.rest, k.n = skipped{}, nil, 0
	}
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

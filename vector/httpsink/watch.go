// SPDX-License-Identifier: Apache-2.0

package httpsink

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// watchInterval is how old what is known about files may be.
const watchInterval = time.Second

// watched is something made out of files, made again when one of them changes. Files
// are looked at when the thing is used, at most once in watchInterval, so that no
// goroutine is needed. What cannot be made again stays as it was: a half-written file
// must not lock everybody out.
type watched[T any] struct {
	what  string // for the log
	paths []string
	make  func() (T, error)
	log   *slog.Logger
	now   func() time.Time

	mu      sync.Mutex // guards all below
	value   T
	seen    []fileState
	checked time.Time
	failed  bool
}

type fileState struct {
	modified time.Time
	size     int64
}

// newWatched makes the thing for the first time.
func newWatched[T any](what string, paths []string, log *slog.Logger, build func() (T, error)) (*watched[T], error) {
	w := &watched[T]{what: what, paths: paths, make: build, log: log, now: time.Now}
	w.seen, _ = w.look()
	w.checked = w.now()
	var err error
	w.value, err = build()
	return w, err
}

// get returns the thing as the files say now.
func (w *watched[T]) get() T {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	if len(w.paths) == 0 || now.Sub(w.checked) < watchInterval && !now.Before(w.checked) {
		return w.value
	}
	w.checked = now
	seen, err := w.look()
	if err == nil && equalStates(seen, w.seen) {
		return w.value
	}
	var v T
	if err == nil {
		v, err = w.make()
	}
	if err != nil {
		if !w.failed {
			w.log.Error("cannot read changed files again; what was read before stays in use", "what", w.what, "error", err)
		}
		w.failed = true
		return w.value
	}
	w.value, w.seen, w.failed = v, seen, false
	w.log.Info("changed files were read again", "what", w.what)
	return v
}

func (w *watched[T]) look() ([]fileState, error) {
	list := make([]fileState, len(w.paths))
	for i, p := range w.paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, fmt.Errorf("cannot look at a file: %w", err)
		}
		list[i] = fileState{info.ModTime(), info.Size()}
	}
	return list, nil
}

func equalStates(a, b []fileState) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].modified.Equal(b[i].modified) || a[i].size != b[i].size {
			return false
		}
	}
	return true
}

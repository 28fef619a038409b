// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
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

// fileState is a digest of the contents. Times and sizes are not enough: a token has the
// length of the one before, copies keep times, and what a symbolic link points to, as in
// volumes of Kubernetes, may be older than what it pointed to.
type fileState [sha256.Size]byte

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
	if err == nil && slices.Equal(seen, w.seen) {
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
		data, err := os.ReadFile(p)
		if err != nil {
			return nil, fmt.Errorf("cannot look at a file: %w", err)
		}
		list[i] = sha256.Sum256(data)
	}
	return list, nil
}

// readText reads the file of an option.
func readText(option, path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", option, err)
	}
	if data, err = plainText(data); err != nil {
		return nil, fmt.Errorf("cannot use %s %s: %w", option, path, err)
	}
	return data, nil
}

// plainText takes off the mark that editors on Windows put before UTF-8. It would be
// part of the first token, or hide the first certificate.
func plainText(data []byte) ([]byte, error) {
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return nil, errors.New("it is UTF-16; allowed: UTF-8")
	}
	return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), nil
}

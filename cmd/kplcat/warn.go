// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/outkpl/outkpl/internal/plural"
)

// warner writes warnings, not more than a few a second, because a thousand shards
// can fail in the same way at once.
type warner struct {
	mu      sync.Mutex // guards all
	w       io.Writer
	began   time.Time
	written int
	hidden  int
}

const (
	warnWindow = 10 * time.Second
	warnBurst  = 5
)

func newWarner(w io.Writer) *warner { return &warner{w: w} }

func (w *warner) warn(message string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now(); now.Sub(w.began) >= warnWindow {
		w.report()
		w.began, w.written = now, 0
	}
	if w.written == warnBurst {
		w.hidden++
		return
	}
	w.written++
	fmt.Fprintln(w.w, "kplcat: warning: "+message)
}

// report says how many warnings were kept back. Called with mu locked.
func (w *warner) report() {
	if w.hidden > 0 {
		fmt.Fprintf(w.w, "kplcat: warning: %s like these\n", plural.Count(w.hidden, "more warning"))
		w.hidden = 0
	}
}

func (w *warner) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.report()
}

// prefixLines puts the program's name before each line of an error.
func prefixLines(err error) string {
	return "kplcat: " + strings.ReplaceAll(err.Error(), "\n", "\nkplcat: ")
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/outkpl/outkpl/internal/plural"
)

// waiting is a line on a terminal that says what kplcat does while it shows nothing: it
// waits for records, or reads many that are not shown. Output takes its place.
type waiting struct {
	mu    sync.Mutex // guards all, and what is written to out and errs
	term  io.Writer  // nil: there is no terminal, and so no line
	width int
	on    bool // the line stands there
	last  time.Time
}

const (
	// silence is for how long nothing was shown before the line comes.
	silence   = time.Second
	clearLine = "\r\x1b[2K"
)

// newWaiting returns a line on stderr, if that is a terminal.
func newWaiting(o *options, stderr io.Writer, now time.Time) *waiting {
	w := &waiting{last: now}
	if f, ok := stderr.(*os.File); ok && isTerminal(stderr) && !o.quiet && os.Getenv("TERM") != "dumb" {
		w.term, w.width = stderr, 80
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			w.width = n
		}
	}
	return w
}

// over wraps a writer whose output takes the place of the line.
func (w *waiting) over(out io.Writer) io.Writer {
	if w.term == nil {
		return out
	}
	return &overWriter{w, out}
}

type overWriter struct {
	w   *waiting
	out io.Writer
}

func (o *overWriter) Write(p []byte) (int, error) {
	o.w.mu.Lock()
	defer o.w.mu.Unlock()
	o.w.clear()
	o.w.last = time.Now()
	return o.out.Write(p)
}

// clear takes the line away. Called with mu locked.
func (w *waiting) clear() {
	if w.on {
		w.on = false
		_, _ = io.WriteString(w.term, clearLine)
	}
}

// end takes the line away for good.
func (w *waiting) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clear()
	w.term = nil
}

// say shows a text if nothing else was shown lately.
func (w *waiting) say(text string, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.term == nil || now.Sub(w.last) < silence {
		return
	}
	if len(text) >= w.width { // it is ASCII
		text = text[:max(0, w.width-1)]
	}
	w.on = true
	_, _ = io.WriteString(w.term, clearLine+text)
}

// progress is what is known of reading while it goes on.
type progress struct {
	records, users, shown, shards int
	arrival                       time.Time // of the latest record; zero: none yet
	follow                        bool
	counting                      bool // nothing is to be shown
	idle                          bool // nothing came since the line before
}

// text is the line about it.
func (p *progress) text(now time.Time) string {
	s := "kplcat: "
	behind := now.Sub(p.arrival)
	switch {
	case p.records == 0 && p.follow:
		return s + "waiting for records; Ctrl-C ends"
	case p.records == 0:
		return s + "looking for records"
	case p.follow && p.idle:
		s += "waiting for more"
	default:
		s += "reading"
	}
	s += fmt.Sprintf(": %s in %s of %s", plural.Grouped(p.users, "user record"), plural.Grouped(p.records, "Kinesis record"), plural.Count(p.shards, "shard"))
	if p.shown != p.users && !p.counting {
		s += fmt.Sprintf(", %d shown", p.shown)
	}
	if !p.arrival.IsZero() {
		s += ", at " + p.arrival.UTC().Format("2006-01-02 15:04:05")
		if behind >= 5*time.Second {
			s += ", " + behind.Truncate(time.Second).String() + " ago"
		}
	}
	return s
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"runtime"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// isTerminal tells whether a person looks at what is written.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// useColors says whether to colour; see https://no-color.org (2026-11-29).
func useColors(when string, tty bool) bool {
	switch when {
	case "always":
		return true
	case "never":
		return false
	}
	// The old console of Windows shows the codes.
	old := runtime.GOOS == "windows" && os.Getenv("WT_SESSION") == "" && os.Getenv("TERM") == ""
	return tty && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && !old
}

// style is a code of colours, or "".
type style string

const (
	dim    style = "\x1b[2m"
	red    style = "\x1b[31m"
	yellow style = "\x1b[33m"
	cyan   style = "\x1b[36m"
)

const plain = "\x1b[0m"

// compact writes a record in a line: time, shard, key, text.
type compact struct {
	colors bool
	shard  int // width of the column
	key    int
}

// keyWidth is how far the column of keys grows. A longer key stands as it is.
const keyWidth = 24

func newCompact(colors bool) *compact { return &compact{colors: colors} }

func (c *compact) append(b []byte, s *shown) ([]byte, error) {
	if !s.r.arrival.IsZero() {
		b = c.styled(b, dim, s.r.arrival.UTC().Format("01-02 15:04:05.000"))
		b = append(b, ' ')
	}
	where := shortShard(s.r.shard.ID)
	if where == "" {
		where = s.r.source
	}
	c.shard = max(c.shard, len(where))
	b = c.column(b, cyan, []byte(where), c.shard)
	key := printable(nil, []byte(s.u.PartitionKey))
	if n := utf8.RuneCount(key); n <= keyWidth {
		c.key = max(c.key, n)
	}
	b = c.column(b, yellow, key, c.key)
	for _, m := range s.m.words() {
		b = append(c.styled(b, red, "["+m+"]"), ' ')
	}
	return append(printable(b, s.payload), '\n'), nil
}

// words are the marks of a record that deserve a second look.
func (m *mark) words() (words []string) {
	switch {
	case m.outOfRange:
		words = append(words, "out of range")
	case m.misplaced:
		words = append(words, "misplaced")
	}
	if m.kclError != "" {
		words = append(words, "KCL: "+m.kclError)
	}
	if m.damaged {
		words = append(words, "damaged aggregate")
	}
	return words
}

// column appends text and pads it.
func (c *compact) column(b []byte, as style, text []byte, width int) []byte {
	b = c.styled(b, as, string(text))
	for n := utf8.RuneCount(text); n <= width; n++ {
		b = append(b, ' ')
	}
	if utf8.RuneCount(text) > width {
		b = append(b, ' ')
	}
	return b
}

func (c *compact) styled(b []byte, as style, text string) []byte {
	if !c.colors || text == "" {
		return append(b, text...)
	}
	return append(append(append(b, as...), text...), plain...)
}

// shortShard is the number of a shard, or its id if that has another form.
func shortShard(id string) string {
	number, ok := strings.CutPrefix(id, "shardId-")
	if !ok || strings.Trim(number, "0123456789") != "" {
		return id
	}
	if number = strings.TrimLeft(number, "0"); number == "" {
		return "0"
	}
	return number
}

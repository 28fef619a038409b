// SPDX-License-Identifier: Apache-2.0

package option

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Grammar is how the users of a program write values.
type Grammar struct {
	on, off []string  // words for booleans
	bools   [2]string // those that are written: off and on
	fold    bool      // words and units in any case
	strict  bool      // no empty entry in a list
	blanks  bool      // between a number and its unit

	sizes     []unit // the longer suffix first
	shown     []unit // the sizes that are written, the largest first
	sizeForm  string // what a size is, for errors
	durations []unit // nil: as of time.ParseDuration
	timeForm  string
}

type unit struct {
	suffix string
	n      int64
}

// Plain is the grammar of files, variables and flags: true and false, sizes in steps of
// 1024 (KiB) or 1000 (KB), times as Go writes them.
var Plain = &Grammar{
	on: []string{"true"}, off: []string{"false"}, bools: [2]string{"false", "true"}, blanks: true,
	sizes:    []unit{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1}, {"", 1}},
	shown:    []unit{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}},
	sizeForm: "not a size such as 65536, 64KiB or 10MB",
	timeForm: "not a duration such as 250ms, 9s or 2m",
}

// FluentBit is the grammar of the host (Fluent Bit 5.1.1, flb_utils.c, checked
// 2026-11-24), but what the host would read as 0 is an error. The host knows no ms.
var FluentBit = &Grammar{
	on: []string{"true", "on", "yes"}, off: []string{"false", "off", "no"}, bools: [2]string{"off", "on"}, fold: true, strict: true,
	sizes:     []unit{{"gb", 1e9}, {"mb", 1e6}, {"kb", 1e3}, {"g", 1e9}, {"m", 1e6}, {"k", 1e3}, {"b", 1}, {"", 1}},
	shown:     []unit{{"G", 1e9}, {"M", 1e6}},
	sizeForm:  "not a number of bytes, optionally with K, M or G (1000 each), such as 51200 or 64M",
	durations: []unit{{"ms", int64(time.Millisecond)}, {"s", int64(time.Second)}, {"m", int64(time.Minute)}, {"h", int64(time.Hour)}, {"d", 24 * int64(time.Hour)}, {"", int64(time.Second)}},
	timeForm:  "not a whole number with ms, s, m, h or d, such as 500ms or 4s; a plain number is seconds",
}

// boolean reads a boolean.
func (g *Grammar) boolean(text string) (value, ok bool) {
	if g.fold {
		text = strings.ToLower(text)
	}
	value = slices.Contains(g.on, text)
	return value, value || slices.Contains(g.off, text)
}

func (g *Grammar) formatBool(v bool) string {
	if v {
		return g.bools[1]
	}
	return g.bools[0]
}

// quantity reads a whole number with a unit.
func (g *Grammar) quantity(text string, units []unit, form string) (int64, error) {
	if g.fold {
		text = strings.ToLower(text)
	}
	digits, u := text, unit{n: 1}
	for _, u = range units {
		var ok bool
		if digits, ok = strings.CutSuffix(text, u.suffix); ok {
			break
		}
	}
	if g.blanks {
		digits = strings.TrimRight(digits, " ")
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, errors.New(form)
	}
	if n > uint64(math.MaxInt64/u.n) {
		return 0, errors.New("the number is too large")
	}
	return int64(n) * u.n, nil
}

func (g *Grammar) size(text string) (int64, error) { return g.quantity(text, g.sizes, g.sizeForm) }

// ParseDuration reads a time.
func (g *Grammar) ParseDuration(text string) (time.Duration, error) {
	if g.durations != nil {
		n, err := g.quantity(text, g.durations, g.timeForm)
		return time.Duration(n), err
	}
	if text == "0" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errors.New(g.timeForm)
	}
	return d, nil
}

// FormatSize writes bytes as the grammar reads them: 64KiB or 64M, or 65537.
func (g *Grammar) FormatSize(n int64) string {
	for _, u := range g.shown {
		if n >= u.n && n%u.n == 0 {
			return fmt.Sprintf("%d%s", n/u.n, u.suffix)
		}
	}
	return strconv.FormatInt(n, 10)
}

// FormatDuration writes a time as both grammars read it: 10m and not 10m0s.
func FormatDuration(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// format writes a number of the option's kind.
func (s *Spec) format(g *Grammar, n int64) string {
	switch s.Kind {
	case Size:
		return g.FormatSize(n)
	case Duration:
		return FormatDuration(time.Duration(n))
	default:
		return strconv.FormatInt(n, 10)
	}
}

// list splits a text with commas.
func (g *Grammar) list(text string) ([]string, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	list := strings.Split(text, ",")
	for i := range list {
		if list[i] = strings.TrimSpace(list[i]); list[i] == "" && g.strict {
			return nil, errors.New("a name is empty; want names separated by single commas")
		}
	}
	return list, nil
}

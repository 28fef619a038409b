// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/outkpl/outkpl/internal/event"
	"github.com/outkpl/outkpl/internal/nearmiss"
)

// The grammar of values is the host's (Fluent Bit 5.1.1, flb_utils.c, checked
// 2026-11-24), but what the host would read as 0 is an error here.

func parseBool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "true", "on", "yes":
		return true, nil
	case "false", "off", "no":
		return false, nil
	}
	return false, errors.New("want true, on, yes, false, off or no")
}

// parseSize reads bytes with an optional unit: K, M or G, in steps of 1000, as
// the host counts, followed by an optional B.
func parseSize(s string) (int, error) {
	bad := errors.New("want a number of bytes, optionally with K, M or G (1000 each), such as 51200 or 64M")
	num := strings.TrimRight(s, "bB")
	if len(s)-len(num) > 1 {
		return 0, bad
	}
	unit := 1
	if num != "" {
		switch num[len(num)-1] {
		case 'k', 'K':
			unit = 1e3
		case 'm', 'M':
			unit = 1e6
		case 'g', 'G':
			unit = 1e9
		}
		if unit > 1 {
			num = num[:len(num)-1]
		}
	}
	n, err := strconv.ParseUint(num, 10, 63)
	if err != nil {
		return 0, bad
	}
	if n > math.MaxInt64/uint64(unit) {
		return 0, errors.New("the number is too large")
	}
	return int(n) * unit, nil
}

// parseDuration reads a whole number with a unit: ms, s, m, h or d. A plain number
// is seconds. The host knows no ms.
func parseDuration(s string) (time.Duration, error) {
	num, unit := s, time.Second
	for _, u := range []struct {
		suffix string
		unit   time.Duration
	}{{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}} {
		if n, ok := strings.CutSuffix(strings.ToLower(s), u.suffix); ok {
			num, unit = n, u.unit
			break
		}
	}
	n, err := strconv.ParseUint(num, 10, 63)
	if err != nil {
		return 0, errors.New("want a whole number with ms, s, m, h or d, such as 500ms or 4s; a plain number is seconds")
	}
	if n > uint64(math.MaxInt64/unit) {
		return 0, errors.New("the number is too large")
	}
	return time.Duration(n) * unit, nil
}

// parseNames splits a comma list and trims the names.
func parseNames(s string) []string {
	names := strings.Split(s, ",")
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	return names
}

// parseChoice reads one of a few words, without regard to case.
func parseChoice(s string, words ...string) (string, error) {
	l := strings.ToLower(s)
	best, distance := "", 3
	for _, w := range words {
		if l == w {
			return w, nil
		}
		d := nearmiss.Distance(l, w)
		if strings.HasPrefix(l, w) || strings.HasPrefix(w, l) {
			d = min(d, 2)
		}
		if d < distance {
			best, distance = w, d
		}
	}
	last := len(words) - 1
	want := "want " + strings.Join(words[:last], ", ") + " or " + words[last]
	if best != "" {
		want += "; did you mean " + best + "?"
	}
	return "", errors.New(want)
}

func checkRange[T int | time.Duration](v, lo, hi T) error {
	if v < lo || v > hi {
		return fmt.Errorf("out of range; allowed: %s to %s", spelled(lo), spelled(hi))
	}
	return nil
}

// spelled is v as it may be written in the configuration: 10m, not 10m0s.
func spelled(v any) string {
	s := fmt.Sprint(v)
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// arnRegion is the region in the ARN of a stream,
// arn:PARTITION:kinesis:REGION:ACCOUNT:stream/NAME, or "".
func arnRegion(s string) string {
	if parts := strings.SplitN(s, ":", 6); len(parts) == 6 && parts[0] == "arn" {
		return parts[3]
	}
	return ""
}

// parseStream checks the name or ARN of a stream. What has a $ in it is a template
// and checked by the shaper.
func parseStream(s string) error {
	if strings.Contains(s, "$") || event.ValidStream(s) {
		return nil
	}
	return errors.New("want the name of a stream (1 to 128 of a-z A-Z 0-9 _ . -), its ARN (arn:aws:kinesis:REGION:ACCOUNT:stream/NAME), or a template such as logs-$kubernetes['namespace_name']")
}

// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
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

func checkRange[T int | time.Duration](v, lo, hi T) error {
	if v < lo || v > hi {
		return fmt.Errorf("out of range; allowed: %v to %v", lo, hi)
	}
	return nil
}

// streamARN is what an ARN of a stream says:
// arn:PARTITION:kinesis:REGION:ACCOUNT:stream/NAME.
type streamARN struct{ region, name string }

func parseStream(s string) (streamARN, error) {
	bad := errors.New("want the name of a stream (1 to 128 of a-z A-Z 0-9 _ . -) or its ARN (arn:aws:kinesis:REGION:ACCOUNT:stream/NAME)")
	var a streamARN
	name := s
	if strings.HasPrefix(s, "arn:") {
		parts := strings.SplitN(s, ":", 6)
		if len(parts) != 6 || parts[2] != "kinesis" || parts[3] == "" || parts[4] == "" {
			return a, bad
		}
		var ok bool
		if name, ok = strings.CutPrefix(parts[5], "stream/"); !ok {
			return a, bad
		}
		a.region = parts[3]
	}
	if len(name) < 1 || len(name) > 128 || strings.Trim(name, nameChars) != "" {
		return a, bad
	}
	for i := range len(name) {
		if strings.IndexByte(nameChars, name[i]) < 0 {
			return a, bad
		}
	}
	a.name = name
	return a, nil
}

const nameChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

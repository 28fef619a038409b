// SPDX-License-Identifier: Apache-2.0

// Package plural puts counts before nouns as people write them: 1 shard, 2 shards, 1 body,
// 2 bodies. Package internal/termscheck finds texts that do it by themselves.
package plural

import (
	"strconv"
	"strings"
)

// Integer is what counts.
type Integer interface {
	~int | ~int32 | ~int64 | ~uint | ~uint32 | ~uint64
}

// Count returns the count and the noun, which is given in the singular; its last word gets the
// ending: Count(2, "dead letter") is "2 dead letters".
func Count[N Integer](n N, noun string) string {
	return digits(n) + " " + Noun(n, noun)
}

// Grouped is Count with the digits of a large number in threes: 1,234 shards.
func Grouped[N Integer](n N, noun string) string {
	d := digits(n)
	for i := len(d) - 3; i > 0 && d[i-1] != '-'; i -= 3 {
		d = d[:i] + "," + d[i:]
	}
	return d + " " + Noun(n, noun)
}

// Noun returns the noun in the form for n of it.
func Noun[N Integer](n N, noun string) string {
	if n == 1 {
		return noun
	}
	stem, isY := strings.CutSuffix(noun, "y")
	switch {
	case isY && stem != "" && !strings.ContainsRune("aeiou", rune(stem[len(stem)-1])):
		return stem + "ies"
	case strings.HasSuffix(noun, "s"), strings.HasSuffix(noun, "x"), strings.HasSuffix(noun, "ch"), strings.HasSuffix(noun, "sh"):
		return noun + "es"
	}
	return noun + "s"
}

// Verb returns the form of a verb, or whatever else depends on n: Verb(n, "was", "were").
func Verb[N Integer](n N, one, several string) string {
	if n == 1 {
		return one
	}
	return several
}

func digits[N Integer](n N) string {
	if n < 0 {
		return strconv.FormatInt(int64(n), 10)
	}
	return strconv.FormatUint(uint64(n), 10)
}

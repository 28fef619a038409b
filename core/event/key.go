// SPDX-License-Identifier: Apache-2.0

package event

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxKeyCharacters is the longest partition key that Kinesis takes, in Unicode
// characters (https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecordsRequestEntry.html,
// 2026-11-24).
const MaxKeyCharacters = 256

// keySource says where a partition key comes from.
type keySource uint8

const (
	keySpread keySource = iota
	keyTag
	keyTagPart
	keyConstant
	keyField
	keyDrop // only as the rule for a missing key
)

// keyRule is a parsed partition key expression or missing rule.
type keyRule struct {
	source   keySource
	tagPart  int
	constant string
	path     path
}

const constantPrefix = "constant:"

// parseKey reads a partition key expression; see Config.PartitionKey.
func parseKey(s string) (keyRule, error) {
	switch {
	case s == "":
		return keyRule{source: keySpread}, nil
	case s == "$TAG":
		return keyRule{source: keyTag}, nil
	case strings.HasPrefix(s, "$TAG["):
		st, tail, err := parseBracket(s[len("$TAG"):])
		if err == nil && (tail != "" || st.key != "") {
			err = errors.New("want $TAG or $TAG[0]; a field of that name is $['TAG']")
		}
		return keyRule{source: keyTagPart, tagPart: st.index}, err
	case strings.HasPrefix(s, constantPrefix):
		return parseConstant(s)
	}
	p, err := parsePath(s)
	return keyRule{source: keyField, path: p}, err
}

// parseMissing reads the rule for events without a key; see
// Config.PartitionKeyMissing.
func parseMissing(s string) (keyRule, error) {
	switch {
	case s == "" || s == "spread":
		return keyRule{source: keySpread}, nil
	case s == "tag":
		return keyRule{source: keyTag}, nil
	case s == "drop":
		return keyRule{source: keyDrop}, nil
	case strings.HasPrefix(s, constantPrefix):
		return parseConstant(s)
	}
	return keyRule{}, errors.New("want spread, tag, drop or constant:TEXT")
}

func parseConstant(s string) (keyRule, error) {
	text := s[len(constantPrefix):]
	n := utf8.RuneCountInString(text)
	if n < 1 || n > MaxKeyCharacters {
		return keyRule{}, fmt.Errorf("%d characters after constant:; want 1 to %d", n, MaxKeyCharacters)
	}
	if !utf8.ValidString(text) {
		return keyRule{}, errors.New("the text after constant: is not valid UTF-8")
	}
	return keyRule{source: keyConstant, constant: text}, nil
}

// appendPartitionKey appends raw as Kinesis will take it: valid UTF-8 of at most
// MaxKeyCharacters characters. cut tells that something was cut off.
func appendPartitionKey(dst, raw []byte) (out []byte, cut bool) {
	// A character takes a byte at least, and an invalid byte becomes a character.
	if len(raw) > MaxKeyCharacters {
		end, n := 0, 0
		for end < len(raw) && n < MaxKeyCharacters {
			_, size := utf8.DecodeRune(raw[end:])
			end += size
			n++
		}
		cut = end < len(raw)
		raw = raw[:end]
	}
	if utf8.Valid(raw) {
		return append(dst, raw...), cut
	}
	return appendValid(dst, raw), cut
}

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
	keyNone     keySource = iota
	keyFixed              // a template that depends on nothing but the tag
	keyField              // one field of the body, the common case
	keyTemplate           // any other template
	keyDrop               // only as the rule for a missing key
)

// keyRule is a parsed partition key expression or missing rule.
type keyRule struct {
	source keySource
	tpl    template // keyFixed, keyTemplate
	path   path     // keyField
}

const constantPrefix = "constant:"

// parseKey reads a partition key expression; see Config.PartitionKey.
func parseKey(s string) (keyRule, error) {
	if s == "" {
		return keyRule{source: keyNone}, nil
	}
	if text, ok := strings.CutPrefix(s, constantPrefix); ok {
		return parseConstant(text)
	}
	if !strings.Contains(s, "$") {
		p, err := parsePath(s)
		return keyRule{source: keyField, path: p}, err
	}
	t, err := parseTemplate(s)
	switch {
	case err != nil:
		return keyRule{}, err
	case t.fixed():
		return keyRule{source: keyFixed, tpl: t}, nil
	case len(t) == 1 && t[0].source == partField:
		return keyRule{source: keyField, path: t[0].path}, nil
	}
	return keyRule{source: keyTemplate, tpl: t}, nil
}

// parseMissing reads the rule for events without a key; see
// Config.PartitionKeyMissing.
func parseMissing(s string) (keyRule, error) {
	switch s {
	case "", "unkeyed":
		return keyRule{source: keyNone}, nil
	case "tag":
		return keyRule{source: keyFixed, tpl: template{{source: partTag}}}, nil
	case "drop":
		return keyRule{source: keyDrop}, nil
	}
	if text, ok := strings.CutPrefix(s, constantPrefix); ok {
		return parseConstant(text)
	}
	return keyRule{}, errors.New("not one of the allowed words; allowed: unkeyed, tag, drop or constant:TEXT")
}

func parseConstant(text string) (keyRule, error) {
	n := utf8.RuneCountInString(text)
	if n < 1 || n > MaxKeyCharacters {
		return keyRule{}, fmt.Errorf("%d characters after constant:; allowed: 1 to %d", n, MaxKeyCharacters)
	}
	if !utf8.ValidString(text) {
		return keyRule{}, errors.New("the text after constant: is not valid UTF-8")
	}
	return keyRule{source: keyFixed, tpl: template{{literal: text}}}, nil
}

// fixedKey is a partition key that is the same for all events of a tag.
type fixedKey struct {
	key string // "" if there is none
	cut bool
}

// fixed is the key by a rule that does not look at the event.
func (r *keyRule) fixed(tag string) fixedKey {
	if r.source != keyFixed {
		return fixedKey{}
	}
	text, ok := r.tpl.append(nil, tag, nil)
	if !ok {
		return fixedKey{}
	}
	key, cut := appendPartitionKey(nil, text)
	return fixedKey{string(key), cut}
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

// SPDX-License-Identifier: Apache-2.0

package event

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/outkpl/outkpl/internal/plural"
)

// step is one step of a path: into a map by key, or into an array by index.
type step struct {
	key   string
	index int // used if >= 0
}

// path leads from an event's body to a value inside it.
type path []step

// parsePath reads the spellings a and a->b->c.
func parsePath(s string) (path, error) {
	var p path
	for _, key := range strings.Split(s, "->") {
		if key == "" {
			return nil, errors.New("an empty name before, between or after ->")
		}
		if key != strings.TrimSpace(key) {
			return nil, fmt.Errorf("blanks around %q; write a->b, or $['%s'] if they belong to the name", strings.TrimSpace(key), key)
		}
		p = append(p, step{key: key, index: -1})
	}
	return p, p.check()
}

// parseBracket reads one ['key'], ["key"] or [number] at the start of s.
func parseBracket(s string) (step, string, error) {
	if s[0] != '[' {
		return step{}, "", fmt.Errorf("unexpected %q; want [ or the end", s[0])
	}
	s = s[1:]
	if s != "" && (s[0] == '\'' || s[0] == '"') {
		end := strings.Index(s[1:], s[:1]+"]")
		switch {
		case end < 0:
			return step{}, "", errors.New("a quote or ] is missing")
		case end == 0:
			return step{}, "", errors.New("an empty name between quotes")
		}
		return step{key: s[1 : 1+end], index: -1}, s[end+3:], nil
	}
	end := strings.IndexByte(s, ']')
	if end < 0 {
		return step{}, "", errors.New("a ] is missing")
	}
	n, ok := parseIndex(s[:end])
	if !ok {
		return step{}, "", fmt.Errorf("%q is neither a quoted name nor an index from 0 to %d", s[:end], maxIndex)
	}
	return step{index: n}, s[end+1:], nil
}

const maxIndex = 1<<31 - 1

func parseIndex(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	// ParseUint refuses signs and blanks, which is wanted.
	return int(n), err == nil
}

func (p path) check() error {
	if len(p) > MaxDepth {
		return fmt.Errorf("%s; at most %d are possible", plural.Count(len(p), "step"), MaxDepth)
	}
	for _, st := range p {
		if !utf8.ValidString(st.key) {
			return errors.New("a name is not valid UTF-8")
		}
	}
	return nil
}

// tagPart is the nth part of a tag between its dots, or "".
func tagPart(tag string, n int) string {
	for ; n > 0; n-- {
		dot := strings.IndexByte(tag, '.')
		if dot < 0 {
			return ""
		}
		tag = tag[dot+1:]
	}
	if dot := strings.IndexByte(tag, '.'); dot >= 0 {
		return tag[:dot]
	}
	return tag
}

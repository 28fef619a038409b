// SPDX-License-Identifier: Apache-2.0

package event

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// partSource says where a part of a template gets its text.
type partSource uint8

const (
	partLiteral  partSource = iota
	partTag                 // $TAG
	partTagPart             // $TAG[1]
	partField               // $name['x'][0]
	partMetadata            // $metadata['x'], with the field metadata behind it
	partGroup               // $group['x'], with the field group behind it
)

// part is one piece of a template.
type part struct {
	source  partSource
	literal string
	tagPart int
	path    path // from the body; its first step names metadata or group
}

// template is text with references to the tag and to fields, in the spelling of
// Fluent Bit's record accessors. It is immutable.
type template []part

// parseTemplate reads text in which each $ begins a reference:
//
//	$TAG  $TAG[1]          the tag, a part of it
//	$a  $a['b']["c"][0]    a field of the event
//	$['any name']['b']     the same for names with other characters
//	$metadata['a']['b']    the metadata of the event
//	$group['resource'][..] what the event's group says (OTLP: resource, scope)
//
// A name without brackets ends where a character follows that is not a letter, a
// digit, '_', '-' or '@'.
func parseTemplate(s string) (template, error) {
	if !utf8.ValidString(s) {
		return nil, errors.New("not valid UTF-8")
	}
	var t template
	for s != "" {
		at := strings.IndexByte(s, '$')
		if at < 0 {
			at = len(s)
		}
		if at > 0 {
			t = append(t, part{literal: s[:at]})
			s = s[at:]
			continue
		}
		p, rest, err := parseReference(s[1:])
		if err != nil {
			return nil, err
		}
		t, s = append(t, p), rest
	}
	return t, nil
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '@' || c >= utf8.RuneSelf
}

// parseReference reads what follows a $.
func parseReference(s string) (part, string, error) {
	if tail, ok := strings.CutPrefix(s, "TAG"); ok && (tail == "" || tail[0] == '-' || !isNameByte(tail[0])) {
		if !strings.HasPrefix(tail, "[") {
			return part{source: partTag}, tail, nil
		}
		st, rest, err := parseBracket(tail)
		if err == nil && st.key != "" {
			err = errors.New("not a reference; allowed: $TAG or $TAG[0]; a field of that name is $['TAG']")
		}
		return part{source: partTagPart, tagPart: st.index}, rest, err
	}
	n := 0
	for n < len(s) && isNameByte(s[n]) {
		n++
	}
	name, rest := s[:n], s[n:]
	var p path
	if name != "" {
		if name[0] >= '0' && name[0] <= '9' {
			return part{}, "", fmt.Errorf("$%s would be a capture of a regular expression, which there is not here; a field of that name is $['%s']", name, name)
		}
		p = append(p, step{key: name, index: -1})
	}
	bare := !strings.HasPrefix(rest, "[")
	for strings.HasPrefix(rest, "[") {
		st, tail, err := parseBracket(rest)
		if err != nil {
			return part{}, "", err
		}
		p, rest = append(p, st), tail
	}
	switch {
	case len(p) == 0:
		return part{}, "", errors.New("no name after $")
	case p[0].index >= 0:
		return part{}, "", errors.New("the body of an event is a map, so the first step must be a name")
	case strings.HasPrefix(rest, "]"), bare && rest != "" && strings.IndexByte("'\"", rest[0]) >= 0:
		return part{}, "", fmt.Errorf("unexpected %q after $%s; write $a['b'] for a nested key", rest[0], name)
	case strings.HasPrefix(rest, "->"), strings.HasPrefix(rest, ">") && strings.HasSuffix(name, "-"):
		return part{}, "", errors.New("$ and -> cannot be mixed; write a->b or $a['b']")
	case bare && len(rest) > 1 && rest[0] == '.' && isNameByte(rest[1]):
		// The host takes it for the text of a and ".b", which nobody means who writes it.
		return part{}, "", fmt.Errorf("$%s.%c is ambiguous; write $a['b'] for a nested key, or $['a'].b for the value of a followed by .b", name, rest[1])
	}
	source := partField
	if len(p) > 1 && name == "metadata" {
		source = partMetadata
	}
	if len(p) > 1 && name == "group" {
		source = partGroup
	}
	return part{source: source, path: p}, rest, p.check()
}

// fixed tells whether the text depends on nothing but the tag.
func (t template) fixed() bool {
	for i := range t {
		if t[i].source > partTagPart {
			return false
		}
	}
	return true
}

// append appends the text for an event. ok is false, and dst returned as it was,
// if a part has no value: the field is missing or cannot be text.
func (t template) append(dst []byte, tag string, f *fields) (out []byte, ok bool) {
	out = dst
	for i := range t {
		p := &t[i]
		before := len(out)
		switch p.source {
		case partLiteral:
			out = append(out, p.literal...)
		case partTag:
			out = append(out, tag...)
		case partTagPart:
			out = append(out, tagPart(tag, p.tagPart)...)
		default:
			if out, ok = p.appendValue(out, f); !ok {
				return dst, false
			}
		}
		if len(out) == before {
			return dst, false
		}
	}
	return out, len(t) > 0
}

func (p *part) appendValue(dst []byte, f *fields) ([]byte, bool) {
	var side []byte
	switch p.source {
	case partMetadata:
		side = f.ev.Metadata
	case partGroup:
		side = f.group
	default: // the body
	}
	if len(side) > 0 {
		if at := lookup(side, 0, p.path[1:]); at >= 0 {
			if id := rawID(side, at, p.path[len(p.path)-1].key); id != nil {
				return appendHex(dst, id), true
			}
			if out, ok := appendPart(dst, side, at); ok {
				return out, true
			}
		}
	}
	if at := f.find(p.path); at >= 0 {
		return appendPart(dst, f.ev.Body, at)
	}
	return dst, false
}

// appendPart is appendText for text of which no more is needed than a partition key
// can hold, and one character to show that there is more.
func appendPart(dst, b []byte, i int) ([]byte, bool) {
	const enough = (MaxKeyCharacters + 1) * utf8.UTFMax
	if c, n, p := readHead(b, i); n > enough && (c == classString || c == classBinary) {
		return append(dst, b[p:p+enough]...), true
	}
	return appendText(dst, b, i)
}

// fields looks up fields of one event. Several paths often begin with the same key,
// and looking for that takes most of the time.
type fields struct {
	ev    *Event
	group []byte // body of the group start before ev
	n     int    // of seen that are in use
	seen  [2]struct {
		key string
		at  int // as from member
	}
}

// find returns the position in the body that p leads to, or -1.
func (f *fields) find(p path) int {
	key := p[0].key
	for i := range f.seen[:f.n] {
		if f.seen[i].key == key {
			return f.below(f.seen[i].at, p)
		}
	}
	at := member(f.ev.Body, 0, key)
	if f.n < len(f.seen) {
		f.seen[f.n].key, f.seen[f.n].at = key, at
		f.n++
	}
	return f.below(at, p)
}

func (f *fields) below(at int, p path) int {
	if at < 0 || len(p) == 1 {
		return at
	}
	return lookup(f.ev.Body, at, p[1:])
}

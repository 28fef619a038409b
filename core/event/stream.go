// SPDX-License-Identifier: Apache-2.0

package event

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// MaxStreams is the highest Config.MaxStreams, DefaultMaxStreams what 0 means.
const (
	MaxStreams        = 1024
	DefaultMaxStreams = 64
)

// streamRule says which stream an event goes to. It is nil if all go to one stream
// that is not the Shaper's business. It is safe for concurrent use.
type streamRule struct {
	tpl      template
	allow    []string // patterns; empty allows all
	fallback string   // instead of a stream that is missing or refused
	drop     bool
	max      int

	mu    sync.Mutex // guards known
	known map[string]struct{}
}

// admit tells whether the name may be used. Each stream costs memory and a
// goroutine in the producer, and names come from events, so their number is
// bounded. The answer for a name never changes from yes to no, nor from no to yes,
// so a chunk that is read again is divided as before.
func (r *streamRule) admit(name string) bool {
	if !ValidStream(name) || !allowed(r.allow, name) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.known[name]; ok {
		return true
	}
	if len(r.known) >= r.max {
		return false
	}
	r.known[strings.Clone(name)] = struct{}{}
	return true
}

// ValidStream tells whether s can be the name or the ARN of a Kinesis stream:
// 1 to 128 of a-z A-Z 0-9 _ . -
// (https://docs.aws.amazon.com/kinesis/latest/APIReference/API_CreateStream.html,
// checked 2026-11-24).
func ValidStream(s string) bool {
	if strings.HasPrefix(s, "arn:") {
		parts := strings.SplitN(s, ":", 6)
		if len(parts) != 6 || parts[2] != "kinesis" || parts[3] == "" || parts[4] == "" || !strings.HasPrefix(parts[5], "stream/") {
			return false
		}
		s = streamName(s)
	}
	if len(s) < 1 || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-') {
			return false
		}
	}
	return true
}

// streamName is the name in an ARN, or s itself.
func streamName(s string) string {
	return s[strings.LastIndexByte(s, '/')+1:]
}

func allowed(patterns []string, name string) bool {
	if len(patterns) == 0 {
		return true
	}
	name = streamName(name)
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, name) })
}

// match compares a whole name with a pattern in which * stands for any text and ?
// for one character. It takes time in proportion to the product of the lengths.
func match(pattern, s string) bool {
	star, mark, i, j := -1, 0, 0, 0
	for j < len(s) {
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, mark, i = i, j, i+1
		case i < len(pattern) && (pattern[i] == '?' || pattern[i] == s[j]):
			i, j = i+1, j+1
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[i:], "*") == ""
}

const patternChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-*?"

// parseStreams reads the stream options of a Config; see there.
func parseStreams(cfg *Config, check func(option, value string, err error)) *streamRule {
	r := &streamRule{allow: slices.Clone(cfg.StreamAllow), max: cfg.MaxStreams, known: map[string]struct{}{}}
	if r.max == 0 {
		r.max = DefaultMaxStreams
	}
	if r.max < 1 || r.max > MaxStreams {
		check("max_streams", fmt.Sprint(r.max), fmt.Errorf("out of range; allowed: 1 to %d", MaxStreams))
	}
	for _, p := range r.allow {
		if p == "" || strings.Trim(p, patternChars) != "" || strings.ContainsFunc(p, func(c rune) bool { return !strings.ContainsRune(patternChars, c) }) {
			check("stream_allow", p, errors.New("want patterns of stream names, separated by commas: a-z A-Z 0-9 _ . - with * for any text and ? for one character"))
		}
	}
	switch cfg.StreamMissing {
	case "", "refuse":
	case "drop":
		r.drop = true
	default:
		name, ok := strings.CutPrefix(cfg.StreamMissing, constantPrefix)
		switch {
		case !ok:
			check("stream_missing", cfg.StreamMissing, errors.New("want refuse, drop or constant:NAME"))
		case !ValidStream(name):
			check("stream_missing", cfg.StreamMissing, errors.New("want constant: and the name or ARN of a stream"))
		}
		r.fallback = name
		r.known[name] = struct{}{} // whether it matches a pattern or not
	}
	if cfg.Stream == "" {
		return nil
	}
	var err error
	if r.tpl, err = parseTemplate(cfg.Stream); err == nil {
		err = checkStreamLiterals(r.tpl)
	}
	check("stream", cfg.Stream, err)
	return r
}

// checkStreamLiterals refuses text that can never be part of a stream's name. An
// ARN has other characters before the name.
func checkStreamLiterals(t template) error {
	for i := range t {
		text := t[i].literal
		if i == 0 && strings.HasPrefix(text, "arn:") {
			if !ValidStream(text + "x") {
				return errors.New("want arn:aws:kinesis:REGION:ACCOUNT:stream/ before the first $")
			}
			continue
		}
		if text != "" && !ValidStream(text) {
			return fmt.Errorf("%q cannot be part of a stream's name; want a-z A-Z 0-9 _ . -", text)
		}
	}
	return nil
}

// route is where an event goes.
type route struct {
	stream  int32 // index into Builder.streams, -1 for nowhere
	outcome Outcome
}

// route finds the stream for an event. The common case is one map access.
func (b *Builder) route(s *Shaper, tag string, f *fields) route {
	if s.streams == nil {
		return route{}
	}
	if s.streams.tpl.fixed() {
		return b.tagRoute
	}
	return b.findRoute(s.streams, tag, f)
}

func (b *Builder) findRoute(r *streamRule, tag string, f *fields) route {
	name, ok := r.tpl.append(b.scratch[:0], tag, f)
	b.scratch = name
	out := route{outcome: StreamMissing}
	if ok {
		if i, ok := b.streamIndex[string(name)]; ok {
			return route{stream: i}
		}
		if r.admit(string(name)) {
			return route{stream: b.addStream(string(name))}
		}
		out.outcome = StreamRefused
	}
	switch {
	case r.fallback != "":
		i, ok := b.streamIndex[r.fallback]
		if !ok {
			i = b.addStream(r.fallback)
		}
		out.stream = i
	case r.drop:
		out.stream, out.outcome = -1, out.outcome|Dropped
	default:
		out.stream, out.outcome = -1, out.outcome|Unroutable
	}
	return out
}

func (b *Builder) addStream(name string) int32 {
	i := int32(len(b.streams))
	b.streams = append(b.streams, name)
	b.streamIndex[name] = i
	return i
}

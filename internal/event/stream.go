// SPDX-License-Identifier: Apache-2.0

package event

import (
	"errors"
	"fmt"
	glob "path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/outkpl/outkpl/internal/arn"
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
	isARN    bool     // tpl begins as an ARN
	allow    []string // patterns; empty allows all
	fallback string   // instead of a stream that is missing or refused
	drop     bool
	max      int
	idle     time.Duration

	mu    sync.Mutex // guards known
	known map[string]*knownStream
}

type knownStream struct {
	name string
	used time.Time
}

// valid tells whether the name may be used as far as its text says. An ARN says in
// which account and region the stream is; that is for the configuration to say and
// not for an event.
func (r *streamRule) valid(name string) bool {
	bare, _, ok := arn.Stream(name)
	return ok && r.isARN == strings.HasPrefix(name, arn.Prefix) && allowed(r.allow, bare)
}

// admit takes a valid name if there is room, and returns it in memory of its own. Each
// stream costs memory and a goroutine in the producer, and names come from events, so
// their number is bounded. A stream that has not been used for a while makes room.
func (r *streamRule) admit(name []byte) (own string, ok bool) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.known[string(name)]; k != nil {
		k.used = now
		return k.name, true
	}
	if len(r.known) >= r.max && !r.makeRoom(now) {
		return "", false
	}
	k := &knownStream{name: string(name), used: now}
	r.known[k.name] = k
	return k.name, true
}

// makeRoom forgets the stream that has been idle longest. mu is locked.
func (r *streamRule) makeRoom(now time.Time) bool {
	var oldest *knownStream
	for _, k := range r.known {
		if k.name != r.fallback && (oldest == nil || k.used.Before(oldest.used)) {
			oldest = k
		}
	}
	if r.idle <= 0 || oldest == nil || now.Sub(oldest.used) < r.idle {
		return false
	}
	delete(r.known, oldest.name)
	return true
}

// snapshot copies the names.
func (r *streamRule) snapshot() map[string]struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := make(map[string]struct{}, len(r.known))
	for name := range r.known {
		names[name] = struct{}{}
	}
	return names
}

// use notes that a stream is in use, if it is known.
func (r *streamRule) use(name string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.known[name]; k != nil {
		k.used = time.Now()
	}
}

// ValidStream tells whether s can be the name or the ARN of a Kinesis stream.
func ValidStream(s string) bool {
	_, _, ok := arn.Stream(s)
	return ok
}

func allowed(patterns []string, name string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return match(p, name) })
}

// match compares a whole name with a pattern of path.Match. It takes time in proportion to
// the product of the lengths.
func match(pattern, s string) bool {
	ok, _ := glob.Match(pattern, s) // checked with the configuration
	return ok
}

const patternChars = `abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-*?[]^`

// parseStreams reads the stream options of a Config; see there.
func parseStreams(cfg *Config, check func(option, value string, err error)) *streamRule {
	r := &streamRule{allow: slices.Clone(cfg.StreamAllow), max: cfg.MaxStreams, idle: cfg.StreamIdle, known: map[string]*knownStream{}}
	if r.max == 0 {
		r.max = DefaultMaxStreams
	}
	if r.max < 1 || r.max > MaxStreams {
		check("max_streams", fmt.Sprint(r.max), fmt.Errorf("out of range; allowed: 1 to %d", MaxStreams))
	}
	for _, p := range r.allow {
		if _, err := glob.Match(p, ""); err != nil || p == "" || strings.ContainsFunc(p, func(c rune) bool { return !strings.ContainsRune(patternChars, c) }) {
			check("stream_allow", p, errors.New("not a pattern; allowed: patterns of stream names, separated by commas: a-z A-Z 0-9 _ . - with * for any text, ? for one character and [a-c] for one of these"))
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
			check("stream_missing", cfg.StreamMissing, errors.New("not one of the allowed words; allowed: refuse, drop or constant:NAME"))
		case !ValidStream(name):
			check("stream_missing", cfg.StreamMissing, errors.New("constant: without the name or ARN of a stream"))
		}
		r.fallback = name
		r.known[name] = &knownStream{name: name} // whether it matches a pattern or not
	}
	if cfg.Stream == "" {
		return nil
	}
	var err error
	if r.tpl, err = parseTemplate(cfg.Stream); err == nil {
		err = checkStreamLiterals(r.tpl)
	}
	check("stream", cfg.Stream, err)
	r.isARN = strings.HasPrefix(cfg.Stream, arn.Prefix)
	return r
}

// checkStreamLiterals refuses text that can never be part of a stream's name. An
// ARN has other characters before the name.
func checkStreamLiterals(t template) error {
	for i := range t {
		text := t[i].literal
		if i == 0 && strings.HasPrefix(text, arn.Prefix) {
			if !ValidStream(text + "x") {
				return errors.New("not an ARN; allowed: arn:aws:kinesis:REGION:ACCOUNT:stream/ before the first $")
			}
			continue
		}
		if text != "" && !ValidStream(text) {
			return fmt.Errorf("%q cannot be part of a stream's name; allowed: a-z A-Z 0-9 _ . -", text)
		}
	}
	return nil
}

// route is where an event goes.
type route struct {
	stream  int32 // index into Plan.streams, -1 for nowhere
	outcome Outcome
}

// route finds the stream for an event. The common case is one map access.
func (b *Builder) route(s *Shaper, tag string, f *fields) route {
	if s.streams == nil {
		return route{}
	}
	if !s.streams.tpl.fixed() {
		return b.findRoute(s.streams, tag, f)
	}
	if !b.routed {
		b.tagRoute, b.routed = b.findRoute(s.streams, tag, f), true
	}
	return b.tagRoute
}

func (b *Builder) findRoute(r *streamRule, tag string, f *fields) route {
	name, ok := r.tpl.append(b.scratch[:0], tag, f)
	b.scratch = name
	out := route{outcome: StreamMissing}
	if ok {
		// Neighbours often go to the same stream.
		if streams := b.planned().streams; int(b.lastStream) < len(streams) && streams[b.lastStream] == string(name) {
			return route{stream: b.lastStream}
		}
		if i, ok := b.streamIndex[string(name)]; ok {
			b.lastStream = i
			return route{stream: i}
		}
		if i, ok := b.newStream(r, name); ok {
			return route{stream: i}
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

// newStream takes a name that the chunk has not had before.
func (b *Builder) newStream(r *streamRule, name []byte) (int32, bool) {
	p := b.planned()
	if p.settled || !r.valid(string(name)) {
		return 0, false
	}
	if p.known != nil {
		if _, ok := p.known[string(name)]; !ok {
			return 0, false
		}
		own := string(name)
		r.use(own)
		return b.addStream(own), true
	}
	own, ok := r.admit(name)
	if !ok {
		p.known = r.snapshot()
		return 0, false
	}
	return b.addStream(own), true
}

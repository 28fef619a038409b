// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"unicode/utf8"

	"github.com/outkpl/outkpl/internal/plural"
)

const (
	// maxGivenLine bounds a line of the file of --verify; a Kinesis record is 10 MiB at most.
	maxGivenLine = 16 << 20
	// maxGivenLines bounds the lines of that file, of which the numbers are kept.
	maxGivenLines = math.MaxUint32
)

// given are the events that --verify looks for. Of each there is a fingerprint only.
type given struct {
	at     map[fingerprint]uint32 // the place in events
	events []givenEvent
	lines  uint64
	others uint64 // events of the stream that were not given
	// objects and otherObject: there is a JSON object in the file, and in others.
	objects, otherObject bool
}

// givenEvent is a line that differs from those before it.
type givenEvent struct{ line, given, found uint32 }

// givenCounts is what --verify --json prints last.
type givenCounts struct {
	// Given are the lines, Different those of them that differ.
	Given     uint64 `json:"given"`
	Different uint64 `json:"different"`
	// AsGiven are the different events that are in the stream as often as they were
	// given, Missing those that are less often there, More those that are more often there.
	AsGiven uint64 `json:"as_given"`
	Missing uint64 `json:"missing"`
	More    uint64 `json:"more"`
	// MissingCopies and MoreCopies are by how many.
	MissingCopies uint64 `json:"missing_copies"`
	MoreCopies    uint64 `json:"more_copies"`
	// NotGiven are the events of the stream that were not given.
	NotGiven uint64 `json:"not_given"`
}

// readGiven reads the file of --verify.
func readGiven(ctx context.Context, name string, stdin io.Reader) (*given, error) {
	in := io.Reader(ctxReader{ctx, stdin})
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("--verify: cannot read events: %w", err)
		}
		defer f.Close() // nothing was written
		in = f
	} else {
		name = "stdin"
	}
	g := &given{at: map[fingerprint]uint32{}}
	if err := g.read(in); err != nil {
		return nil, fmt.Errorf("--verify: cannot read events from %s: %w", name, err)
	}
	return g, nil
}

func (g *given) read(in io.Reader) error {
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 0, 64<<10), maxGivenLine+2) // with the end of the line
	n := uint64(0)
	for s.Scan() {
		n++
		line := s.Bytes()
		if n == 1 {
			if bytes.HasPrefix(line, []byte("\xff\xfe")) || bytes.HasPrefix(line, []byte("\xfe\xff")) {
				return errors.New("it is UTF-16; allowed: lines of UTF-8")
			}
			line = bytes.TrimPrefix(line, utf8BOM)
		}
		if n > maxGivenLines {
			return fmt.Errorf("it has more than %d lines", uint64(maxGivenLines))
		}
		if len(bytes.TrimSpace(line)) > 0 {
			g.add(line, uint32(n))
		}
	}
	switch err := s.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("line %d is longer than %d MiB", n+1, maxGivenLine>>20)
	case err != nil:
		return err
	case g.lines == 0:
		return errors.New("no line has an event")
	}
	return nil
}

func (g *given) add(line []byte, number uint32) {
	g.lines++
	g.objects = g.objects || isObject(line)
	f := eventFingerprint(line)
	if i, known := g.at[f]; known {
		g.events[i].given++
		return
	}
	g.at[f] = uint32(len(g.events))
	g.events = append(g.events, givenEvent{line: number, given: 1})
}

// eventFingerprint is the same for an event with and without an end of line, and for a
// text and the JSON string of it: a text of several lines can only be given as one.
func eventFingerprint(b []byte) fingerprint {
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if len(b) > 1 && b[0] == '"' && utf8.Valid(b) {
		var text string
		if json.Unmarshal(b, &text) == nil {
			return fingerprintOf(text)
		}
	}
	return fingerprintOf(string(b))
}

// find counts an event of the stream, and reports whether it was given.
func (g *given) find(event []byte) bool {
	i, known := g.at[eventFingerprint(event)]
	if known && g.events[i].found < math.MaxUint32 {
		g.events[i].found++
	}
	return known
}

// verify looks at a user record: at its payload as it is, which may look like a record of
// many events, or else at its events.
func (v *view) verify(data []byte) {
	payload, _ := v.open.open(data)
	events, _ := v.open.events(payload)
	if len(events) != 1 && v.given.find(payload) {
		v.events++
		return
	}
	v.events += len(events)
	for _, e := range events {
		if !v.given.find(fieldOf(e, v.o.verifyField)) {
			v.given.others++
			v.given.otherObject = v.given.otherObject || isObject(e)
		}
	}
}

// isObject reports whether an event is a JSON object.
func isObject(b []byte) bool {
	b = bytes.TrimSpace(b)
	return len(b) > 0 && b[0] == '{' && json.Valid(b)
}

// fieldOf is the value of a key of a JSON object, or the event as it is if it has none.
func fieldOf(event []byte, name string) []byte {
	var fields map[string]json.RawMessage
	if name == "" || json.Unmarshal(event, &fields) != nil || fields[name] == nil {
		return event
	}
	var text string
	if json.Unmarshal(fields[name], &text) == nil {
		return []byte(text) // the end of a line in it does not count
	}
	return fields[name]
}

// hint says what probably is the matter if nothing else was compared than texts and objects.
func (g *given) hint(o *options) string {
	if d := g.count(); d.Missing == 0 || g.objects || !g.otherObject {
		return ""
	}
	if o.verifyField != "" {
		return fmt.Sprintf("the stream holds JSON objects without the key %q of --verify-field, or with other values of it", o.verifyField)
	}
	return "the stream holds JSON objects, the file none: --verify-field log compares the value of their key log"
}

func (g *given) count() givenCounts {
	out := givenCounts{Given: g.lines, Different: uint64(len(g.events)), NotGiven: g.others}
	for _, e := range g.events {
		switch {
		case e.found < e.given:
			out.Missing++
			out.MissingCopies += uint64(e.given - e.found)
		case e.found > e.given:
			out.More++
			out.MoreCopies += uint64(e.found - e.given)
		default:
			out.AsGiven++
		}
	}
	return out
}

// exact reports whether each event is in the stream as often as it was given.
func (g *given) exact() bool {
	d := g.count()
	return d.Missing == 0 && d.More == 0
}

// print writes a line for each event that is not in the stream as often as it was given,
// and what that comes to.
func (g *given) print(w io.Writer, asJSON bool) error {
	for _, e := range g.events {
		if e.found == e.given {
			continue
		}
		what := "missing"
		if e.found > e.given {
			what = "more"
		}
		form := "line %d: %s: given %d, in the stream %d\n"
		if asJSON {
			form = `{"line":%d,"what":%q,"given":%d,"found":%d}` + "\n"
		}
		if _, err := fmt.Fprintf(w, form, e.line, what, e.given, e.found); err != nil {
			return err
		}
	}
	d := g.count()
	if asJSON {
		return json.NewEncoder(w).Encode(d)
	}
	_, err := fmt.Fprintf(w, "%s given, %d different: %d as often as given, %d missing (by %d), %d more (by %d); %d in the stream not given\n",
		plural.Count(int(d.Given), "event"), d.Different, d.AsGiven, d.Missing, d.MissingCopies, d.More, d.MoreCopies, d.NotGiven)
	return err
}

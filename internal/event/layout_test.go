// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// buildAll has a Builder read a chunk, as the plugin does it or event by event. It returns what
// came of it as text, and how many events were known.
func buildAll(b *Builder, s *Shaper, tag string, chunk []byte, runs bool) (got []string, known int) {
	var r ChunkReader
	var ev Event
	for r.Reset(chunk); ; {
		if runs {
			known += b.AddRun(s, tag, &r)
		}
		err := r.Next(&ev)
		if err == io.EOF {
			break
		}
		if err != nil {
			var e *EventError
			if errors.As(err, &e) {
				got = append(got, fmt.Sprintf("error %d %d %v", e.Index, e.Offset, e.Reason))
			}
			continue
		}
		outcome, err := b.Add(s, tag, &ev)
		if outcome != 0 || err != nil {
			got = append(got, fmt.Sprint("event ", ev.Index, outcome, err))
		}
	}
	for i, rec := range b.Records() {
		got = append(got, fmt.Sprintf("%d %d %q %q", b.StreamOf(i), b.EventsOf(i), rec.PartitionKey, rec.Data))
	}
	return got, known
}

var layoutConfigs = map[string]Config{
	"whole":     {},
	"key":       {PartitionKey: "kubernetes->pod_name"},
	"missing":   {PartitionKey: "$kubernetes['labels']['tier']", PartitionKeyMissing: "tag"},
	"newline":   {AppendNewline: true, PartitionKey: "$TAG"},
	"dots":      {ReplaceDots: "_"},
	"lines":     {Combine: "lines", CombineSize: 4096},
	"array":     {Combine: "json_array", PartitionKey: "log"},
	"zstd":      {Combine: "lines", Compression: "zstd", CombineSize: 2048},
	"alone":     {Compression: "gzip"},
	"time":      {TimeKey: "time"},
	"keys":      {DataKeys: []string{"log"}},
	"log":       {LogKey: "log"},
	"group":     {GroupKey: "g", MetadataKey: "m"},
	"drop":      {EmptyEvents: "drop"},
	"truncate":  {Oversize: "truncate", MaxRecordBytes: 4096},
	"split":     {Oversize: "split", MaxRecordBytes: 4096},
	"stream":    {Stream: "logs-$TAG"},
	"by stream": {Stream: "logs-$log", StreamMissing: "constant:rest"},
}

// withMetadata gives the events of a chunk that have an empty map as their metadata these bytes in its
// place.
func withMetadata(chunk, metadata []byte) (out []byte) {
	var r ChunkReader
	var ev Event
	for r.Reset(chunk); ; {
		start := r.Offset()
		err := r.Next(&ev)
		if err == io.EOF {
			return append(out, chunk[start:]...)
		}
		raw := chunk[start:r.Offset()]
		if err == nil && len(raw) > 13 && bytes.HasPrefix(raw, []byte{0x92, 0x92, 0xd7, 0}) && raw[12] == 0x80 {
			raw = cat(raw[:12], metadata, raw[13:])
		}
		out = append(out, raw...)
	}
}

// In Fluent Bit 5.1.1 tail begins a map of metadata before it knows its size, and writes none into it: a
// map of 32 bits without pairs; dummy writes a byte (both run on 2026-11-30). Other lengths are no such map.
func TestRunsAreOfEventsWithoutMetadata(t *testing.T) {
	plain := kubernetesChunk(20 << 10)
	s := mustShaper(t, Config{PartitionKey: "kubernetes->pod_name"})
	for _, c := range []struct {
		name     string
		metadata []byte
		runs     bool
	}{
		{"fixmap", []byte{0x80}, true},
		{"map32", []byte{0xdf, 0, 0, 0, 0}, true},
		{"map16", []byte{0xde, 0, 0}, false}, // nothing writes it
		{"map32 with a pair", cat([]byte{0xdf, 0, 0, 0, 1}, str("otlp"), fixmap()), false},
		{"fixmap with a pair", fixmap(str("otlp"), fixmap()), false},
	} {
		known := compareRuns(t, c.name, s, withMetadata(plain, c.metadata))
		if (known > 100) != c.runs {
			t.Errorf("%s: unexpected number of events with a known layout; got %d; want some: %t", c.name, known, c.runs)
		}
	}
	whole := withMetadata(plain, []byte{0xdf, 0, 0, 0, 0})
	for n := len(whole) - 1000; n < len(whole); n++ { // the last event is cut off
		compareRuns(t, fmt.Sprint("cut at ", n), s, whole[:n])
	}
}

// compareRuns compares a chunk that is read with runs, three times with one Builder, with one read
// event by event.
func compareRuns(t *testing.T, name string, s *Shaper, chunk []byte) (known int) {
	t.Helper()
	var b Builder
	for round := range 3 {
		var plain Builder
		want, _ := buildAll(&plain, s, "a.b", chunk, false)
		b.Reset()
		b.Follow(s, &Plan{})
		got, n := buildAll(&b, s, "a.b", chunk, true)
		if known += n; !slices.Equal(got, want) {
			t.Fatalf("%s, round %d: unexpected records; got %.2000q\nwant %.2000q", name, round, got, want)
		}
	}
	return known
}

func TestRunsOfEventsAreReadAsOneByOne(t *testing.T) {
	plain := kubernetesChunk(20 << 10)
	odd := cat(
		v2(1, 2, fixmap(str("log"), str("a\"\n\xff\u20ac"), str("n"), []byte{7}, str("list"), fixarray(fixmap(str("a"), str("b")), []byte{0xc0}), str("none"), fixmap())),
		v2(1, 2, fixmap(str("log"), []byte{0xc2}, str("n"), f64(1.5), str("list"), str(strings.Repeat("x", 300)), str("none"), fixmap(str("not"), []byte{1}))),
		v2(0xffffffff, 0, fixmap(str("resource"), fixmap(str("log"), str("x")))), // a group
		v2(1, 2, fixmap(str("log"), str("in a group"))),
		v2(1, 2, fixmap(str("log"), str("in a group, too"))),
		v2(0xfffffffe, 0, fixmap()),
		v2(1, 2, fixmap(str("a"), str("1"), str("b"), str("2"), str("a"), str("3"))), // twice
		v2(1, 2, fixmap(str("a"), str("4"), str("b"), str("5"), str("a"), str("6"))),
		v2(1, 2, fixmap([]byte{1}, str("not text"), bin("bin"), str("text"))),
		v2(1, 2, fixmap()), v2(1, 2, fixmap()),
		v2(1, 2, fixmap(str("log"), fixmap())), v2(1, 2, fixmap(str("log"), fixmap())),
		v2(1, 2, fixmap(str("kubernetes"), fixmap(str("labels"), fixmap(str("a.b"), str("x"), str("tier"), str("y"))))),
		v2(1, 2, fixmap(str("kubernetes"), fixmap(str("labels"), fixmap(str("a.b"), str("x"), str("tier"), []byte{0xc0})))),
		v2(1, 2, fixmap(str("log"), str(strings.Repeat("long ", 900)), str("n"), []byte{1})),
		cat([]byte{0x92, 0x05}, fixmap(str("log"), str("another time"))),
	)
	for name, cfg := range layoutConfigs {
		s := mustShaper(t, cfg)
		known := compareRuns(t, name, s, plain)
		if fits := s.isPlain(); fits != (known > 100) {
			t.Errorf("%s: unexpected number of events with a known layout; got %d; want some: %t", name, known, fits)
		}
		compareRuns(t, name, s, cat(odd, odd, plain, odd))
		compareRuns(t, name, s, withMetadata(cat(odd, plain, odd), []byte{0xdf, 0, 0, 0, 0}))
		for end := 0; end < len(odd); end += 211 {
			compareRuns(t, name, s, cat(plain[:4000], odd[:end]))
		}
	}
}

// An event that is cut or damaged behind its keys is left to Next, which says what it lacks.
func TestRunEndsBeforeADamagedEvent(t *testing.T) {
	whole := v2(1, 2, fixmap(str("log"), str("some text"), str("labels"), fixmap(str("a"), str("b")), str("n"), []byte{1}))
	s := mustShaper(t, Config{})
	for end := range len(whole) {
		compareRuns(t, fmt.Sprint("cut at ", end), s, cat(whole, whole, whole[:end]))
		compareRuns(t, fmt.Sprint("cut at ", end, ", and more"), s, cat(whole, whole, whole[:end], whole))
		for _, c := range []byte{0x00, 0xc1, 0x81, 0xdf, 0xdb, 0xff} {
			damaged := bytes.Clone(whole)
			damaged[end] = c
			compareRuns(t, fmt.Sprintf("%#x at %d", c, end), s, cat(whole, whole, damaged, whole))
		}
	}
}

func TestDeepEventsAreReadAsOneByOne(t *testing.T) {
	s := mustShaper(t, Config{})
	for depth := MaxDepth - 3; depth < MaxDepth+2; depth++ {
		for _, leaf := range [][]byte{str("x"), fixmap(), fixarray()} {
			body := leaf
			for range depth {
				body = fixmap(str("k"), body)
			}
			e := v2(1, 2, body)
			compareRuns(t, fmt.Sprint(depth), s, cat(e, e, v2(1, 2, fixmap(str("k"), body))))
		}
	}
}

func TestEventsWhoseKeysDoNotComeAgainAreNotLearned(t *testing.T) {
	var chunk []byte
	for i := range 20_000 {
		chunk = append(chunk, v2(1, 2, fixmap(str(fmt.Sprint("key ", i)), str("x")))...)
	}
	s := mustShaper(t, Config{})
	var b Builder
	var r ChunkReader
	var ev Event
	learned, tries := 0, 0
	for r.Reset(chunk); ; {
		before := b.layouts.used
		if b.layouts.pause == 0 {
			tries++
		}
		b.AddRun(s, "", &r)
		if r.Next(&ev) == io.EOF {
			break
		}
		if _, err := b.Add(s, "", &ev); err != nil {
			t.Fatal(err)
		}
		if b.layouts.used != before {
			learned++
		}
	}
	if learned > 20 || tries > 400 {
		t.Errorf("unexpected work for 20000 events with keys of their own; got %d layouts learned, %d events looked at; want at most 20 and 400", learned, tries)
	}
	// Those that come again are known again after the pause.
	if _, known := buildAll(&b, s, "", kubernetesChunk(2<<20), true); known < 1000 {
		t.Errorf("unexpected number of events known after a pause; got %d", known)
	}
}

func TestLayoutsAreOfOneShaper(t *testing.T) {
	chunk := v2(1, 2, fixmap(str("a.b"), str("x")))
	chunk = cat(chunk, chunk, chunk)
	var b Builder
	for _, dots := range []string{"", "_", "-", ""} {
		s := mustShaper(t, Config{ReplaceDots: dots})
		var plain Builder
		want, _ := buildAll(&plain, s, "", chunk, false)
		b.Reset()
		if got, known := buildAll(&b, s, "", chunk, true); !slices.Equal(got, want) || known != 2 {
			t.Errorf("unexpected records with replace_dots %q; got %q, %d known; want %q, 2", dots, got, known, want)
		}
	}
}

func FuzzRuns(f *testing.F) {
	for _, s := range fuzzSeeds(f) {
		f.Add(s, []byte{})
		f.Add(s, s)
	}
	var shapers []*Shaper
	for _, name := range []string{"whole", "key", "dots", "lines", "array", "split"} {
		shapers = append(shapers, mustShaper(f, layoutConfigs[name]))
	}
	f.Fuzz(func(t *testing.T, chunk, more []byte) {
		for _, s := range shapers {
			compareRuns(t, "", s, cat(chunk, chunk, more))
		}
	})
}

func TestBrokenEventNamesNoStream(t *testing.T) {
	s := mustShaper(t, Config{Stream: "logs-$TAG", MaxStreams: 1})
	var b Builder
	buildAll(&b, s, "a", v2(1, 2, fixmap(str("log"), []byte{0xc1})), true)
	if got := b.Streams(); len(got) != 0 {
		t.Errorf("unexpected streams of a broken chunk; got %q", got)
	}
	b.Reset()
	got, _ := buildAll(&b, s, "b", v2(1, 2, fixmap(str("log"), str("x"))), true)
	if len(got) != 1 || strings.HasPrefix(got[0], "event") {
		t.Errorf("unexpected result; got %q; want one record", got)
	}
}

func TestRunOfAnotherShaperAddsNothingToEventsOfTheFirst(t *testing.T) {
	first, other := mustShaper(t, Config{}), mustShaper(t, Config{Combine: "lines"})
	e := v2(1, 2, fixmap(str("log"), str("x")))
	var b Builder
	buildAll(&b, first, "t", cat(e, e), true)
	b.Reset()
	var r ChunkReader
	var ev Event
	for r.Reset(cat(e, e)); r.Next(&ev) == nil; {
		if _, err := b.Add(first, "t", &ev); err != nil {
			t.Fatal(err)
		}
	}
	r.Reset(cat(e, e))
	if n := b.AddRun(other, "t", &r); n != 0 {
		t.Errorf("unexpected events; got %d; want 0", n)
	}
	if n := len(b.Records()); n != 2 {
		t.Errorf("unexpected records; got %d; want 2", n)
	}
}

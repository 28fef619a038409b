// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"context"
	"errors"
	"testing"
)

// allMemory grants memory up to most and notes the largest need.
type allMemory struct{ granted, most, peak int64 }

var errNoMemory = errors.New("no memory")

func (m *allMemory) Granted() int64 { return m.granted }

func (m *allMemory) Decoded([]byte) {}
func (m *allMemory) Most() int64    { return m.most }
func (m *allMemory) Resize(_ context.Context, n int64) error {
	if n > m.granted && n > m.most {
		return errNoMemory
	}
	m.granted, m.peak = n, max(m.peak, n)
	return nil
}

// Usual bodies are split once, and odd ones do not cost more than the limits say.
func TestGuessesSaveWork(t *testing.T) {
	w := &decoding{opt: Options{Limits: Limits{Events: 10_000}}}
	lines := ndjson(1 << 20)
	array := append(append([]byte{'['}, bytes.ReplaceAll(bytes.TrimSpace(lines), []byte{'\n'}, []byte{','})...), ']')
	n := bytes.Count(lines, []byte{'\n'})
	for _, text := range [][]byte{lines, array} {
		if got := w.countEvents(text); got < n || got > 2*n {
			t.Errorf("unexpected guess; got %d; want %d to %d", got, n, 2*n)
		}
	}
	if got := w.countEvents(bytes.Repeat([]byte{'\n'}, 100_000)); got != 10_000 {
		t.Errorf("unexpected guess; got %d; want the limit", got)
	}
}

// What is known of a body after an error is what becomes its dead letter.
func TestDecodeReturnsWhatItGotTo(t *testing.T) {
	text := []byte(`{"a":1}` + "\n" + `{"b":}`)
	utf16 := []byte{'{', 0, '"', 0, 'a', 0, '"', 0, ':', 0, '1', 0, '}', 0}
	for _, c := range []struct {
		name     string
		wire     []byte
		form     Form
		most     int64
		want     []byte
		unpacked int
		events   int
		fails    bool
		kind     Kind
	}{
		{name: "whole", wire: gzipped(utf16), form: Form{Encodings: "gzip", Format: FormatJSON}, want: []byte(`{"a":1}`), unpacked: len(utf16), events: 1},
		{name: "not the encoding it is said to have", wire: text, form: Form{Encodings: "gzip"}, want: text, fails: true, kind: KindMalformed},
		{name: "another charset than allowed", wire: gzipped(text), form: Form{Encodings: "gzip", ContentType: "text/plain; charset=x", Format: FormatText}, want: text, unpacked: len(text), fails: true, kind: KindUnsupported},
		{name: "an event that is broken", wire: gzipped(text), form: Form{Encodings: "gzip", Format: FormatJSON}, want: text, unpacked: len(text), fails: true, kind: KindMalformed},
		{name: "no memory for the table of events", wire: text, form: Form{Format: FormatJSON}, most: 1, want: text, unpacked: len(text), fails: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Decoder{EventCost: 256}
			m := &allMemory{most: 1 << 30}
			if c.most > 0 {
				m.most = c.most
			}
			got, err := d.Decode(t.Context(), c.wire, c.form, Options{}, m)
			var e *Error
			if errors.As(err, &e) && e.Kind != c.kind || (err != nil) != c.fails || c.fails && c.kind == KindNone && !errors.Is(err, errNoMemory) {
				t.Errorf("unexpected error; got %v; want %v, kind %v", err, c.fails, c.kind)
			}
			if !bytes.Equal(got.Bytes, c.want) || got.Unpacked != c.unpacked || len(got.Events) != c.events {
				t.Errorf("unexpected result; got %q, %d bytes unpacked, %d events; want %q, %d, %d", got.Bytes, got.Unpacked, len(got.Events), c.want, c.unpacked, c.events)
			}
		})
	}
}

// A status that tells the sender to mend its settings is for what the settings say.
func TestOnlyWhatTheRequestSaysIsDeclared(t *testing.T) {
	_, byType := FormatOf("image/png", "/")
	_, byPath := FormatOf("text/plain", "/v1/logs")
	var d Decoder
	decode := func(form Form, wire string) error {
		_, err := d.Decode(t.Context(), []byte(wire), form, Options{}, &allMemory{most: 1 << 30})
		return err
	}
	for _, c := range []struct {
		name     string
		err      error
		declared bool
	}{
		{"content type", byType, true},
		{"content type on the path of OTLP", byPath, true},
		{"content encoding", decode(Form{Encodings: "br"}, "x"), true},
		{"too many content encodings", decode(Form{Encodings: "gzip,gzip,gzip,gzip"}, "x"), true},
		{"charset", decode(Form{ContentType: "text/plain; charset=x", Format: FormatText}, "x"), false},
		{"binary data", decode(Form{}, "x\x00"), false},
	} {
		var e *Error
		if !errors.As(c.err, &e) || e.Kind != KindUnsupported || e.Declared != c.declared {
			t.Errorf("%s: unexpected error; got %v; want one that is unsupported, declared %v", c.name, c.err, c.declared)
		}
	}
}

// What decoding takes is asked for before, and what it does not need is given back.
func TestDecodeKeepsOnlyTheMemoryItNeeds(t *testing.T) {
	text := ndjson(300_000)
	var d Decoder
	m := &allMemory{most: 1 << 30}
	got, err := d.Decode(t.Context(), gzipped(text), Form{Encodings: "gzip", Format: FormatJSON}, Options{}, m)
	if err != nil {
		t.Fatal(err)
	}
	if m.granted < int64(len(text)) || m.granted > int64(cap(got.Bytes)) || m.peak < m.granted+int64(len(text))/16 {
		t.Errorf("unexpected memory; got %d granted, %d at most; want about %d and more", m.granted, m.peak, len(text))
	}
}

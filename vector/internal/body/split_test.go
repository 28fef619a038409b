// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestSplitDoesNotAllocate(t *testing.T) {
	lines := ndjson(100 << 10)
	events := make([]Event, 0, 4096)
	arena := new(Arena)
	for _, tc := range []struct {
		name string
		opt  Options
		f    Format
	}{
		{"lines", Options{}, FormatJSON},
		{"lines with newlines", Options{AppendNewline: true}, FormatJSON},
		{"text", Options{}, FormatText},
	} {
		tc.opt.Arena = arena
		n := testing.AllocsPerRun(20, func() {
			if got, err := Split(events[:0], lines, tc.f, tc.opt); err != nil || len(got) < 100 {
				t.Errorf("unexpected result; got %d events, %v; want more", len(got), err)
			}
		})
		if n > 2 {
			t.Errorf("unexpected allocations for %s; got %v; want at most 2 for the body", tc.name, n)
		}
	}
}

func TestArenaKeepsEvents(t *testing.T) {
	var a Arena
	for round := range 3 {
		var got [][]byte
		var want []string
		size := 0
		for i := range 2000 {
			text := strings.Repeat(fmt.Sprint(i%10), i*i%3001)
			if i%500 == 0 {
				text = strings.Repeat("x", 5<<20)
			}
			ev := a.begin(i % 7)
			for rest := text; rest != ""; {
				n := min(len(rest), 700)
				ev = append(ev, rest[:n]...)
				rest = rest[n:]
			}
			got = append(got, a.done(ev))
			want = append(want, text)
			size += len(text)
		}
		for i := range want {
			if string(got[i]) != want[i] {
				t.Fatalf("unexpected event %d in round %d; got %d bytes; want %d", i, round, len(got[i]), len(want[i]))
			}
			if cap(got[i]) != len(got[i]) {
				t.Fatalf("unexpected capacity of event %d; got %d; want %d", i, cap(got[i]), len(got[i]))
			}
		}
		if a.Size() != size {
			t.Errorf("unexpected size; got %d; want %d", a.Size(), size)
		}
		a.Reset()
		if a.Size() != 0 || cap(a.block) > maxKept {
			t.Errorf("unexpected arena after Reset; got size %d, capacity %d; want 0 and at most %d", a.Size(), cap(a.block), maxKept)
		}
	}
}

// The bytes behind an event are the caller's.
func TestEventsAreClipped(t *testing.T) {
	body := []byte("[1,22,\"\xff\"]")
	events, err := Split(nil, body, FormatJSON, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range events {
		_ = append(ev.Data, "overwritten"...)
	}
	if !bytes.Equal(body, []byte("[1,22,\"\xff\"]")) || string(events[2].Data) != "\"\ufffd\"" {
		t.Errorf("unexpected body; got %q, %q; want no change", body, events[2].Data)
	}
}

func TestErrorsShowNoContent(t *testing.T) {
	for _, f := range []Format{FormatAuto, FormatJSON, FormatMsgpack, FormatOTLPProto, FormatOTLPJSON} {
		for _, body := range []string{`{"password":"secret"`, `[{"resourceLogs":"secret"}]`, "\x82\xa6secret", "\x0a\x09\x12\x10secret"} {
			if _, err := Split(nil, []byte(body), f, Options{}); err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("unexpected content in an error; got %q", err)
			}
		}
	}
}

// A body of the smallest events costs no more than the limit on events says.
func TestManySmallEvents(t *testing.T) {
	const limit = 10000
	for name, tc := range map[string]struct {
		body []byte
		f    Format
	}{
		"array":    {append(append([]byte("["), bytes.Repeat([]byte("1,"), 1<<20)...), "1]"...), FormatJSON},
		"lines":    {bytes.Repeat([]byte("1\n"), 1<<20), FormatJSON},
		"text":     {bytes.Repeat([]byte("1\n"), 1<<20), FormatText},
		"msgpack":  {bytes.Repeat([]byte{0x80}, 1<<20), FormatMsgpack},
		"otlp":     {otlpEmptyRecords(1 << 20), FormatOTLPProto},
		"otlpJSON": {[]byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}` + strings.Repeat(",{}", 1<<20) + `]}]}]}`), FormatOTLPJSON},
	} {
		var err error
		n := allocated(func() { _, err = Split(nil, tc.body, tc.f, Options{Limits: Limits{Events: limit}}) })
		wantKind(t, err, KindTooLarge)
		if n > 4*limit*64 {
			t.Errorf("unexpected allocation for %s; got %d bytes; want at most %d", name, n, 4*limit*64)
		}
	}
}

// A large resource is repeated for each record, so many small records would cost
// a multiple of the body.
func TestConvertedBytesAreBounded(t *testing.T) {
	body := []byte(`{"resourceLogs":[{"resource":{"attributes":[{"key":"k","value":{"stringValue":"` + strings.Repeat("x", 100<<10) +
		`"}}]},"scopeLogs":[{"logRecords":[{}` + strings.Repeat(",{}", 10000) + `]}]}]}`)
	var err error
	const limit = 4 << 20
	n := allocated(func() { _, err = Split(nil, body, FormatOTLPJSON, Options{Limits: Limits{ConvertedBytes: limit}}) })
	wantKind(t, err, KindTooLarge)
	if n > 3*limit {
		t.Errorf("unexpected allocation; got %d bytes; want at most %d", n, 3*limit)
	}
}

func otlpEmptyRecords(n int) []byte {
	records := bytes.Repeat([]byte{0x12, 0}, n)
	wrap := func(tag byte, b []byte) []byte { return append(appendVarint([]byte{tag}, len(b)), b...) }
	return wrap(0x0a, wrap(0x12, records))
}

func appendVarint(b []byte, n int) []byte {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

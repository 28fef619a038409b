// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

// readAll returns the events and errors of a chunk. Event slices stay valid, as
// they point into chunk.
func readAll(t testing.TB, chunk []byte) (events []Event, problems []*EventError) {
	t.Helper()
	r := NewChunkReader(chunk)
	for range len(chunk) + 2 {
		var ev Event
		err := r.Next(&ev)
		if err == io.EOF {
			return events, problems
		}
		var e *EventError
		switch {
		case err == nil:
			events = append(events, ev)
		case errors.As(err, &e):
			problems = append(problems, e)
		default:
			t.Fatalf("unexpected error type; got %T; want *EventError", err)
		}
	}
	t.Fatalf("reader does not end")
	return nil, nil
}

func TestChunkReaderReadsEveryEventForm(t *testing.T) {
	body := fixmap(str("log"), str("x"))
	arr16 := func(n uint16) []byte { return binary.BigEndian.AppendUint16([]byte{0xdc}, n) }
	arr32 := func(n uint32) []byte { return binary.BigEndian.AppendUint32([]byte{0xdd}, n) }
	map16 := func(n uint16) []byte { return binary.BigEndian.AppendUint16([]byte{0xde}, n) }
	map32 := func(n uint32) []byte { return binary.BigEndian.AppendUint32([]byte{0xdf}, n) }
	u32 := binary.BigEndian.AppendUint32
	u64 := binary.BigEndian.AppendUint64
	meta := fixmap(str("otlp"), fixmap(str("severity_number"), []byte{9}))
	ext8 := append([]byte{0xc7, 8, 0}, eventTime(7, 8)[2:]...)

	tests := []struct {
		name  string
		chunk []byte
		kind  Kind
		sec   int64
		nsec  int64
		meta  []byte
		body  []byte
	}{
		{"v2 as the fast encoder writes it", v2(1700000000, 5, body), KindRecord, 1700000000, 5, []byte{0x80}, body},
		{"v2 with metadata", cat([]byte{0x92, 0x92}, eventTime(1, 2), meta, body), KindRecord, 1, 2, meta, body},
		{"v2 with nil metadata", cat([]byte{0x92, 0x92}, eventTime(1, 2), []byte{0xc0}, body), KindRecord, 1, 2, nil, body},
		{"v2 with array32 and map32 heads", cat(arr32(2), arr32(2), eventTime(1, 2), map32(0), map32(1), body[1:]), KindRecord, 1, 2, map32(0), cat(map32(1), body[1:])},
		{"v2 with array16 and map16 heads", cat(arr16(2), arr16(2), eventTime(1, 2), map16(0), map16(1), body[1:]), KindRecord, 1, 2, map16(0), cat(map16(1), body[1:])},
		{"v2 with ext8 event time", cat([]byte{0x92, 0x92}, ext8, []byte{0x80}, body), KindRecord, 7, 8, []byte{0x80}, body},
		{"v2 with integer seconds", cat([]byte{0x92, 0x92, 0x05, 0x80}, body), KindRecord, 5, 0, []byte{0x80}, body},
		{"v2 with float seconds", cat([]byte{0x92, 0x92}, f64(1.25), []byte{0x80}, body), KindRecord, 1, 250000000, []byte{0x80}, body},
		{"v2 with empty body", v2(1, 2, []byte{0x80}), KindRecord, 1, 2, []byte{0x80}, []byte{0x80}},
		{"v1 with event time", cat([]byte{0x92}, eventTime(3, 4), body), KindRecord, 3, 4, nil, body},
		{"v1 with ext8 event time", cat([]byte{0x92}, ext8, body), KindRecord, 7, 8, nil, body},
		{"v1 with array32 head", cat(arr32(2), eventTime(3, 4), body), KindRecord, 3, 4, nil, body},
		{"v1 with fixint seconds", cat([]byte{0x92, 0x7f}, body), KindRecord, 127, 0, nil, body},
		{"v1 with negative fixint seconds", cat([]byte{0x92, 0xff}, body), KindRecord, -1, 0, nil, body},
		{"v1 with uint8 seconds", cat([]byte{0x92, 0xcc, 200}, body), KindRecord, 200, 0, nil, body},
		{"v1 with uint16 seconds", cat([]byte{0x92, 0xcd, 1, 0}, body), KindRecord, 256, 0, nil, body},
		{"v1 with uint32 seconds", cat(u32([]byte{0x92, 0xce}, 1700000000), body), KindRecord, 1700000000, 0, nil, body},
		{"v1 with uint64 seconds", cat(u64([]byte{0x92, 0xcf}, 1700000000), body), KindRecord, 1700000000, 0, nil, body},
		{"v1 with int32 seconds", cat(u32([]byte{0x92, 0xd2}, 0xfffffffe), body), KindRecord, -2, 0, nil, body},
		{"v1 with int64 seconds", cat(u64([]byte{0x92, 0xd3}, 1700000000), body), KindRecord, 1700000000, 0, nil, body},
		{"v1 with float32 seconds", cat([]byte{0x92}, f32(2.5), body), KindRecord, 2, 500000000, nil, body},
		{"v1 with negative float seconds", cat([]byte{0x92}, f64(-0.25), body), KindRecord, -1, 750000000, nil, body},
		{"float just below a second stays below it", cat([]byte{0x92}, f64(math.Nextafter(5, 0)), body), KindRecord, 4, 999999999, nil, body},
		{"nanoseconds over a second are carried", v2(10, 2000000001, body), KindRecord, 12, 1, []byte{0x80}, body},

		{"group start", v2(0xffffffff, 0, body), KindGroupStart, 0xffffffff, 0, []byte{0x80}, body},
		{"group end", v2(0xfffffffe, 0, []byte{0x80}), KindGroupEnd, 0xfffffffe, 0, []byte{0x80}, []byte{0x80}},
		{"group start with wide heads", cat(arr32(2), arr32(2), eventTime(0xffffffff, 0), map32(0), body), KindGroupStart, 0xffffffff, 0, map32(0), body},
		{"group start in v1", cat([]byte{0x92}, eventTime(0xffffffff, 0), body), KindGroupStart, 0xffffffff, 0, nil, body},
		{"last second with nanoseconds is a record", v2(0xffffffff, 1, body), KindRecord, 0xffffffff, 1, []byte{0x80}, body},
		{"last but one second with nanoseconds is a record", v2(0xfffffffe, 1, body), KindRecord, 0xfffffffe, 1, []byte{0x80}, body},
		{"0xfffffffd is a record", v2(0xfffffffd, 0, body), KindRecord, 0xfffffffd, 0, []byte{0x80}, body},
		{"the same seconds as an integer are a record", cat(u32([]byte{0x92, 0xce}, 0xffffffff), body), KindRecord, 0xffffffff, 0, nil, body},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// A record before it would show state that is not reset, one behind it a
			// wrong extent.
			first, last := v2(0xffffffff, 0, meta), v2(42, 0, body)
			events, problems := readAll(t, cat(first, tt.chunk, last))
			if len(problems) > 0 || len(events) != 3 {
				t.Fatalf("unexpected result; got %d events, problems %v; want 3 events", len(events), problems)
			}
			ev := events[1]
			if ev.Kind != tt.kind || ev.Sec != tt.sec || ev.Nsec != tt.nsec {
				t.Errorf("unexpected head; got kind %d, %d.%09d; want kind %d, %d.%09d", ev.Kind, ev.Sec, ev.Nsec, tt.kind, tt.sec, tt.nsec)
			}
			if !bytes.Equal(ev.Metadata, tt.meta) || (ev.Metadata == nil) != (tt.meta == nil) {
				t.Errorf("unexpected metadata; got %x; want %x", ev.Metadata, tt.meta)
			}
			if !bytes.Equal(ev.Body, tt.body) {
				t.Errorf("unexpected body; got %x; want %x", ev.Body, tt.body)
			}
			if !bytes.Equal(ev.Raw, tt.chunk) || ev.Index != 1 {
				t.Errorf("unexpected extent; got index %d, %x; want index 1, %x", ev.Index, ev.Raw, tt.chunk)
			}
		})
	}
}

func TestChunkReaderOverwritesAnEventThatIsUsedAgain(t *testing.T) {
	body := fixmap(str("k"), str("v"))
	chunk := cat(
		[]byte{0x92, 0x92}, eventTime(0xffffffff, 0), body, body, // sets everything
		[]byte{0x92, 0x05}, body,
		[]byte{0x92, 0x92, 0x06, 0xc0}, body,
	)
	r := NewChunkReader(chunk)
	var ev Event
	for i, want := range []Event{{Kind: KindGroupStart, Sec: 0xffffffff, Metadata: body}, {Sec: 5}, {Sec: 6}} {
		if err := r.Next(&ev); err != nil {
			t.Fatal(err)
		}
		if ev.Index != i || ev.Kind != want.Kind || ev.Sec != want.Sec || ev.Nsec != 0 || !bytes.Equal(ev.Metadata, want.Metadata) {
			t.Errorf("unexpected event %d; got %+v; want %+v", i, ev, want)
		}
	}
}

func TestChunkReaderSkipsBrokenEvents(t *testing.T) {
	body := fixmap(str("log"), str("x"))
	tests := []struct {
		name   string
		event  []byte
		reason Reason
		typ    byte
	}{
		{"top-level nil", []byte{0xc0}, ReasonNotArray, 0xc0},
		{"top-level integer", []byte{0x07}, ReasonNotArray, 0x07},
		{"top-level map", body, ReasonNotArray, 0x81},
		{"top-level text", str("hello"), ReasonNotArray, 0xa5},
		{"empty array", []byte{0x90}, ReasonElements, 0x90},
		{"one element", []byte{0x91, 0x01}, ReasonElements, 0x91},
		{"three elements", cat([]byte{0x93, 0x01}, body, []byte{0x01}), ReasonElements, 0x93},
		{"head of three elements", cat([]byte{0x92, 0x93, 0x01, 0x80, 0x01}, body), ReasonElements, 0x93},
		{"head of one element", cat([]byte{0x92, 0x91, 0x01}, body), ReasonElements, 0x91},
		{"body is nil", v2(1, 0, []byte{0xc0}), ReasonBody, 0xc0},
		{"body is an array", v2(1, 0, []byte{0x91, 0x01}), ReasonBody, 0x91},
		{"body is text", cat([]byte{0x92, 0x01}, str("abc")), ReasonBody, 0xa3},
		{"timestamp is text", cat([]byte{0x92}, str("now"), body), ReasonTimestamp, 0xa3},
		{"timestamp is nil", cat([]byte{0x92, 0xc0}, body), ReasonTimestamp, 0xc0},
		{"timestamp is a map", cat([]byte{0x92, 0x80}, body), ReasonTimestamp, 0x80},
		{"timestamp is NaN", cat([]byte{0x92}, f64(math.NaN()), body), ReasonTimestamp, 0xcb},
		{"timestamp is infinite", cat([]byte{0x92, 0x92}, f64(math.Inf(-1)), []byte{0x80}, body), ReasonTimestamp, 0xcb},
		{"timestamp is a giant float", cat([]byte{0x92}, f64(1e300), body), ReasonTimestamp, 0xcb},
		{"timestamp is over int64", cat([]byte{0x92, 0xcf, 0xff, 0, 0, 0, 0, 0, 0, 0}, body), ReasonTimestamp, 0xcf},
		{"timestamp is an ext of another type", cat([]byte{0x92, 0xd7, 1}, make([]byte, 8), body), ReasonTimestamp, 0xd7},
		{"timestamp is an ext of another length", cat([]byte{0x92, 0xd6, 0}, make([]byte, 4), body), ReasonTimestamp, 0xd6},
		{"metadata is text", cat([]byte{0x92, 0x92, 0x01}, str("m"), body), ReasonMetadata, 0xa1},
		{"metadata too deep", cat([]byte{0x92, 0x92, 0x01, 0x81, 0x01}, nested(64), body), ReasonDepth, 0x81},
		{"body too deep by one", v2(1, 0, cat([]byte{0x81, 0x01}, nested(64))), ReasonDepth, 0x81},
		{"body too deep by an empty map", v2(1, 0, cat([]byte{0x81, 0x01}, nested(63)[:63], []byte{0x80})), ReasonDepth, 0x81},
		{"body of 100,000 levels", v2(1, 0, cat([]byte{0x81, 0x01}, nested(100000))), ReasonDepth, 0x81},
		{"body too deep with siblings behind", v2(1, 0, cat([]byte{0x82, 0x01}, nested(64), []byte{0x02, 0x03})), ReasonDepth, 0x82},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			good := v2(1, 0, body)
			events, problems := readAll(t, cat(good, tt.event, good))
			if len(events) != 2 || len(problems) != 1 {
				t.Fatalf("unexpected counts; got %d events, problems %v; want 2 events and 1 problem", len(events), problems)
			}
			want := EventError{Offset: len(good), Index: 1, Length: len(tt.event), Skippable: true, Reason: tt.reason, TypeByte: tt.typ}
			if *problems[0] != want {
				t.Errorf("unexpected error; got %+v; want %+v", *problems[0], want)
			}
			if events[1].Index != 2 {
				t.Errorf("unexpected index behind the broken event; got %d; want 2", events[1].Index)
			}
		})
	}
}

func TestChunkReaderAcceptsDepth64(t *testing.T) {
	// The body is the first level.
	events, problems := readAll(t, v2(1, 0, cat([]byte{0x81, 0x01}, nested(63))))
	if len(events) != 1 || len(problems) != 0 {
		t.Fatalf("unexpected result; got %d events, problems %v; want 1 event", len(events), problems)
	}
	if _, _, err := AppendJSON(nil, events[0].Body); err != nil {
		t.Fatalf("unexpected error; got %v; want none", err)
	}
}

func TestChunkReaderStopsWhereTheBytesEnd(t *testing.T) {
	good := v2(1, 0, fixmap(str("log"), str("x")))
	meta := fixmap(str("k"), cat([]byte{0x92, 0x01}, str("v")))
	whole := [][]byte{
		cat([]byte{0x92, 0x92}, eventTime(1, 2), meta, fixmap(str("log"), str(strings.Repeat("y", 300)), bin("b"), f64(1.5))),
		cat([]byte{0xdd, 0, 0, 0, 2, 0xdc, 0, 2, 0xc7, 8, 0}, eventTime(1, 2)[2:], []byte{0xdf, 0, 0, 0, 0, 0xde, 0, 1, 0x01, 0xd4, 5, 6}),
		cat([]byte{0x92, 0xce, 1, 2, 3, 4}, fixmap(str("a"), []byte{0xd3, 1, 2, 3, 4, 5, 6, 7, 8})),
	}
	for _, ev := range whole {
		for cut := 1; cut < len(ev); cut++ {
			events, problems := readAll(t, cat(good, ev[:cut]))
			if len(events) != 1 || len(problems) != 1 {
				t.Fatalf("unexpected counts at cut %d of %x; got %d events, problems %v; want 1 and 1", cut, ev, len(events), problems)
			}
			want := EventError{Offset: len(good), Index: 1, Length: cut, Reason: ReasonTruncated}
			if *problems[0] != want {
				t.Errorf("unexpected error at cut %d of %x; got %+v; want %+v", cut, ev, *problems[0], want)
			}
		}
	}
}

func TestChunkReaderCannotResynchronise(t *testing.T) {
	good := v2(1, 0, fixmap(str("log"), str("x")))
	tests := []struct {
		name   string
		bytes  []byte
		reason Reason
		typ    byte
	}{
		{"unused type byte as an event", []byte{0xc1}, ReasonTypeByte, 0xc1},
		{"unused type byte in a body", v2(1, 0, []byte{0x81, 0x01, 0xc1}), ReasonTypeByte, 0xc1},
		{"unused type byte as a body", v2(1, 0, []byte{0xc1}), ReasonTypeByte, 0xc1},
		{"unused type byte below the depth limit", v2(1, 0, cat([]byte{0x81, 0x01}, nested(70)[:70], []byte{0xc1})), ReasonTypeByte, 0xc1},
		{"array of four billion", []byte{0xdd, 0xff, 0xff, 0xff, 0xff, 0x01}, ReasonTruncated, 0},
		{"map of four billion", []byte{0x92, 0x01, 0xdf, 0xff, 0xff, 0xff, 0xff, 0x01}, ReasonTruncated, 0},
		{"text of four gigabytes", []byte{0x92, 0x01, 0x81, 0x01, 0xdb, 0xff, 0xff, 0xff, 0xff, 0x01}, ReasonTruncated, 0},
		{"arrays that promise more and more", bytes.Repeat([]byte{0xdd, 0, 0, 0, 9}, 1000), ReasonTruncated, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tail := []byte{}
			if tt.reason == ReasonTypeByte {
				tail = good // must not be taken for an event
			}
			events, problems := readAll(t, cat(good, tt.bytes, tail))
			if len(events) != 1 || len(problems) != 1 {
				t.Fatalf("unexpected counts; got %d events, problems %v; want 1 and 1", len(events), problems)
			}
			want := EventError{Offset: len(good), Index: 1, Length: len(tt.bytes) + len(tail), Reason: tt.reason, TypeByte: tt.typ}
			if *problems[0] != want {
				t.Errorf("unexpected error; got %+v; want %+v", *problems[0], want)
			}
		})
	}
}

func TestChunkReaderEmptyChunk(t *testing.T) {
	var ev Event
	r := NewChunkReader(nil)
	for range 2 {
		if err := r.Next(&ev); err != io.EOF {
			t.Fatalf("unexpected error; got %v; want EOF", err)
		}
	}
}

func TestChunkReaderTakesANineMegabyteEvent(t *testing.T) {
	text := strings.Repeat("0123456789", 900000)
	chunk := cat(v2(1, 0, fixmap(str("log"), str(text))), v2(2, 0, fixmap(str("log"), str("x"))))
	events, problems := readAll(t, chunk)
	if len(events) != 2 || len(problems) != 0 {
		t.Fatalf("unexpected result; got %d events, problems %v; want 2 events", len(events), problems)
	}
	out, rest, err := AppendJSON(nil, events[0].Body)
	if err != nil || len(rest) != 0 || string(out) != `{"log":"`+text+`"}` {
		t.Fatalf("unexpected JSON of the large event; got %d bytes, rest %d, error %v", len(out), len(rest), err)
	}
}

func TestEventErrorTellsPlaceButNoContent(t *testing.T) {
	_, problems := readAll(t, cat([]byte{0x92, 0x01}, str("secret")))
	if len(problems) != 1 {
		t.Fatalf("unexpected problems; got %v; want 1", problems)
	}
	got := problems[0].Error()
	want := "cannot decode event 0 at offset 0: body_not_a_map (type byte 0xa6, 9 bytes): the event is skipped"
	if got != want {
		t.Errorf("unexpected text; got %q; want %q", got, want)
	}
}

func TestChunkReaderDoesNotAllocate(t *testing.T) {
	chunk := kubernetesChunk(64 << 10)
	var r ChunkReader
	var ev Event
	n := testing.AllocsPerRun(10, func() {
		r.Reset(chunk)
		for r.Next(&ev) != io.EOF {
		}
	})
	if n != 0 {
		t.Errorf("unexpected allocations per chunk; got %v; want 0", n)
	}
}

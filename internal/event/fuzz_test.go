// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func fuzzSeeds(f *testing.F) [][]byte {
	chunk := kubernetesChunk(2 << 10)
	return [][]byte{
		nil,
		chunk,
		chunk[:len(chunk)-7],
		v2(0xffffffff, 0, fixmap(str("resource"), fixmap())),
		cat([]byte{0x92, 0x05}, fixmap(str("k"), f64(math.NaN()))),
		cat([]byte{0xdd, 0, 0, 0, 2, 0xdd, 0, 0, 0, 2}, eventTime(1, 2), []byte{0xdf, 0, 0, 0, 0}, fixmap(bin("\xff"), []byte{0xc7, 1, 7, 9})),
		nested(70),
		{0xc1},
		fixmap(fixarray(str("\x00\"")), fixmap(fixmap(), []byte{1})),
		str(strings.Repeat("\"\u20ac\xe2\x82x", 9)),
		eventTime(1, 2),
		{0xc7, 12, 0xff, 0, 0, 0, 1, 0x80, 0, 0, 0, 0, 0, 0, 0},
	}
}

func FuzzChunkReader(f *testing.F) {
	for _, s := range fuzzSeeds(f) {
		f.Add(s)
	}
	shapers := []*Shaper{
		mustShaper(f, Config{}),
		mustShaper(f, Config{PartitionKey: "$k[0]['x']", DataKeys: []string{"k", "log"}, TimeKey: "log", TimeKeyFormat: "%N", ReplaceDots: "_"}),
		mustShaper(f, Config{PartitionKey: "kubernetes->pod_name", LogKey: "log", PartitionKeyMissing: "tag"}),
		mustShaper(f, Config{PartitionKey: "$metadata['otlp']['trace_id']-$k", Stream: "logs-$log", StreamMissing: "constant:rest", MetadataKey: "m", GroupKey: "g"}),
		mustShaper(f, Config{Oversize: "truncate", MaxRecordBytes: 4096, TimeKey: "t"}),
		mustShaper(f, Config{Oversize: "split", MaxRecordBytes: 4096}),
	}
	for _, s := range shapers[len(shapers)-2:] {
		s.maxRecord = 64 // so that small inputs are oversized
	}
	f.Fuzz(func(t *testing.T, chunk []byte) {
		r := NewChunkReader(chunk)
		var b Builder
		covered := 0
		for index := 0; ; index++ {
			var ev Event
			err := r.Next(&ev)
			if err == io.EOF {
				break
			}
			if err != nil {
				var e *EventError
				if !errors.As(err, &e) || e.Offset != covered || e.Index != index || e.Length <= 0 {
					t.Fatalf("unexpected error at %d, event %d; got %#v", covered, index, err)
				}
				covered += e.Length
				continue
			}
			if ev.Index != index || len(ev.Raw) == 0 || ev.Nsec < 0 || ev.Nsec > 999999999 {
				t.Fatalf("unexpected event %d; got %+v", index, ev)
			}
			covered += len(ev.Raw)
			for _, s := range shapers {
				if b.Reset(); ev.Kind == KindRecord {
					if _, err := b.Add(s, "a.b", &Event{Kind: KindGroupStart, Body: ev.Body}); err != nil {
						t.Fatal(err)
					}
				}
				outcome, err := b.Add(s, "a.b", &ev)
				if err != nil {
					var e *ValueError
					if !errors.As(err, &e) || e.Reason != ReasonKeyDepth {
						t.Fatalf("unexpected error for an event that was read; got %v", err)
					}
					continue
				}
				for _, rec := range b.Records() {
					if outcome&(Truncated|Split) != 0 && len(rec.Data)+max(len(rec.PartitionKey), 1) > s.maxRecord {
						t.Fatalf("unexpected size; got %d bytes; want at most %d", len(rec.Data), s.maxRecord)
					}
					if s.logKey == "" || outcome&LogKeyMissing != 0 {
						if !json.Valid(rec.Data) {
							t.Fatalf("unexpected payload; got %q; want JSON", rec.Data)
						}
					}
				}
			}
		}
		if covered != len(chunk) {
			t.Fatalf("unexpected coverage; got %d bytes in events and errors; want %d", covered, len(chunk))
		}
	})
}

func FuzzAppendJSON(f *testing.F) {
	for _, s := range fuzzSeeds(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		out, rest, err := AppendJSON(nil, value)
		end, reason := skipFlat(value, 0, 1)
		var stack depthStack
		if deepEnd, deepReason := stack.skip(value, 0); deepReason != ReasonDepth && (deepEnd != end || deepReason != reason) && reason == ReasonNone {
			t.Fatalf("unexpected extent; got %d (%v); want %d (%v)", deepEnd, deepReason, end, reason)
		}
		if err != nil {
			var e *ValueError
			if !errors.As(err, &e) {
				t.Fatalf("unexpected error type %T", err)
			}
			if reason == ReasonNone && e.Reason != ReasonDepth && e.Reason != ReasonKeyDepth {
				t.Fatalf("unexpected error for a well-formed value; got %v", err)
			}
			return
		}
		if reason != ReasonNone || len(value)-len(rest) != end {
			t.Fatalf("unexpected extent; got %d bytes read; want %d (%v)", len(value)-len(rest), end, reason)
		}
		if !json.Valid(out) {
			t.Fatalf("unexpected text; got %q; want JSON", out)
		}
	})
}

func FuzzAppendJSONText(f *testing.F) {
	f.Add("plain", "x")
	f.Add("\"quoted\\ \x00\x1f", "\xff")
	f.Add("\u0441\u0442\u0440\u043e\u043a\u0430 \u20ac\U0001F600\xed\xa0\x80\xc0\xaf", "\"")
	f.Fuzz(func(t *testing.T, text, behind string) {
		checkText(t, text, behind)
	})
}

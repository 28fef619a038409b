// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func mustShaper(t testing.TB, cfg Config) *Shaper {
	t.Helper()
	s, err := NewShaper(cfg)
	if err != nil {
		t.Fatalf("unexpected error; got %v; want none", err)
	}
	return s
}

func TestBuilderKeepsRecordsApart(t *testing.T) {
	s := mustShaper(t, Config{PartitionKey: "k", PartitionKeyMissing: "tag", TimeKey: "t", TimeKeyFormat: "%S.%L"})
	var b Builder
	for round := range 3 { // the later ones reuse memory
		b.Reset()
		if b.Len() != 0 || b.Size() != 0 || len(b.Records()) != 0 {
			t.Fatalf("unexpected leftovers after Reset; got %d records", b.Len())
		}
		for i := range 100 {
			body := fixmap(str("k"), str(fmt.Sprintf("key-%d-%d", round, i)), str("n"), []byte{byte(i)})
			if i%3 == 0 {
				body = fixmap(str("n"), []byte{byte(i)})
			}
			if _, err := b.Add(s, fmt.Sprintf("tag-%d", i%2), &Event{Sec: int64(i / 10), Nsec: int64(i) * 1e6, Body: body}); err != nil {
				t.Fatal(err)
			}
		}
		recs := b.Records()
		if len(recs) != 100 || b.Len() != 100 {
			t.Fatalf("unexpected number of records; got %d; want 100", len(recs))
		}
		for i, r := range recs {
			wantKey := fmt.Sprintf("key-%d-%d", round, i)
			wantData := fmt.Sprintf(`{"k":"%s","n":%d,"t":"%02d.%03d"}`, wantKey, i, i/10, i)
			if i%3 == 0 {
				wantKey = fmt.Sprintf("tag-%d", i%2)
				wantData = fmt.Sprintf(`{"n":%d,"t":"%02d.%03d"}`, i, i/10, i)
			}
			if r.PartitionKey != wantKey || string(r.Data) != wantData {
				t.Fatalf("unexpected record %d; got %q %q; want %q %q", i, r.PartitionKey, r.Data, wantKey, wantData)
			}
			if cap(r.Data) != len(r.Data) {
				t.Fatalf("appending to record %d would overwrite the next one", i)
			}
		}
	}
}

func TestBuilderAddsNothingOnError(t *testing.T) {
	good := fixmap(str("k"), str("key"))
	bad := map[string][]byte{
		"truncated":        good[:len(good)-1],
		"empty":            nil,
		"not a map":        str("text"),
		"too deep":         fixmap(str("k"), nested(64)),
		"keys too deep":    fixmap(fixmap(fixmap(fixmap(fixmap(str("a"), []byte{1}), []byte{1}), []byte{1}), []byte{1}), []byte{1}),
		"cut in a dropped": fixmap(str("x"), []byte{0xa5}),
	}
	for name, body := range bad {
		for _, cfg := range []Config{{PartitionKey: "k", TimeKey: "t"}, {PartitionKey: "k", DataKeys: []string{"k"}}} {
			if name == "keys too deep" && cfg.DataKeys != nil {
				continue // that key is not kept
			}
			s := mustShaper(t, cfg)
			var b Builder
			for _, ev := range [][]byte{good, body, good} {
				outcome, err := b.Add(s, "tag", &Event{Body: ev})
				var e *ValueError
				if isBad := bytes.Equal(ev, body); isBad != errors.As(err, &e) || isBad && outcome != 0 {
					t.Errorf("unexpected result for %s; got %v, %v", name, outcome, err)
				}
			}
			recs := b.Records()
			size := 0
			for _, r := range recs {
				size += len(r.PartitionKey) + len(r.Data)
			}
			if b.Size() != size {
				t.Errorf("unexpected size with %s; got %d; want %d", name, b.Size(), size)
			}
			if len(recs) != 2 || recs[0].PartitionKey != "key" || recs[1].PartitionKey != "key" || !bytes.Equal(recs[0].Data, recs[1].Data) && cfg.TimeKey == "" {
				t.Errorf("unexpected records around %s; got %+v", name, recs)
			}
		}
	}
}

func TestBuilderIgnoresGroupMarkers(t *testing.T) {
	s := mustShaper(t, Config{})
	var b Builder
	for _, k := range []Kind{KindGroupStart, KindGroupEnd} {
		if outcome, err := b.Add(s, "tag", &Event{Kind: k, Body: fixmap()}); outcome != 0 || err != nil || b.Len() != 0 {
			t.Errorf("unexpected result for kind %d; got %v, %v, %d records; want none", k, outcome, err, b.Len())
		}
	}
}

func TestBuilderFollowsAChangeOfShaper(t *testing.T) {
	var b Builder
	ev := &Event{Sec: 5, Body: fixmap()}
	for _, tt := range []struct{ cfg, want string }{{"a", `{"a":"05"}`}, {"b", `{"b":"05"}`}} {
		s := mustShaper(t, Config{TimeKey: tt.cfg, TimeKeyFormat: "%S", PartitionKey: "constant:" + tt.cfg})
		if _, err := b.Add(s, "tag", ev); err != nil {
			t.Fatal(err)
		}
		r := b.Records()[b.Len()-1]
		if string(r.Data) != tt.want || r.PartitionKey != tt.cfg {
			t.Errorf("unexpected record; got %q %q; want %q %q", r.PartitionKey, r.Data, tt.cfg, tt.want)
		}
	}
}

func TestBuilderLetsGoOfAGiantArena(t *testing.T) {
	s := mustShaper(t, Config{})
	var b Builder
	if _, err := b.Add(s, "", &Event{Body: fixmap(str("k"), str(strings.Repeat("x", maxKeptArenaBytes)))}); err != nil {
		t.Fatal(err)
	}
	b.Reset()
	if cap(b.arena) > maxKeptArenaBytes {
		t.Errorf("unexpected memory kept; got %d bytes; want at most %d", cap(b.arena), maxKeptArenaBytes)
	}
}

func TestBuilderDoesNotAllocatePerEvent(t *testing.T) {
	events, _ := readAll(t, kubernetesChunk(256<<10))
	for _, cfg := range []Config{
		{},
		{AppendNewline: true, PartitionKey: "kubernetes->pod_name", TimeKey: "time", TimeKeyFormat: "%FT%T.%LZ"},
		{PartitionKey: "$TAG[1]", DataKeys: []string{"log", "kubernetes"}},
		{PartitionKey: "missing", PartitionKeyMissing: "tag", LogKey: "log"},
	} {
		s := mustShaper(t, cfg)
		var b Builder
		n := testing.AllocsPerRun(5, func() {
			b.Reset()
			for i := range events {
				if _, err := b.Add(s, "kube.var.log", &events[i]); err != nil {
					t.Fatal(err)
				}
			}
			b.Records()
		})
		if n != 0 {
			t.Errorf("unexpected allocations per chunk with %+v; got %v; want 0", cfg, n)
		}
	}
}

func TestOutcomeString(t *testing.T) {
	for o, want := range map[Outcome]string{
		0:                            "none",
		KeyMissing | Dropped:         "key_missing+dropped",
		KeyCut | LogKeyMissing:       "key_cut+log_key_missing",
		KeyMissing | KeyCut | 0x4000: "key_missing+key_cut+0x4000",
	} {
		if got := o.String(); got != want {
			t.Errorf("unexpected text; got %q; want %q", got, want)
		}
	}
}

// Reset keeps memory for the next chunk, but not that of an exceptional one, be it for
// long events or for very many.
func TestResetLetsGoOfExceptionalMemory(t *testing.T) {
	s := mustShaper(t, Config{})
	for _, tt := range []struct {
		name     string
		n, bytes int
	}{{"long", 3, 4 << 20}, {"many", 400000, 1}} {
		var b Builder
		body := fixmap(str("a"), str(strings.Repeat("x", tt.bytes)))
		for range tt.n {
			if _, err := b.Add(s, "t", &Event{Body: body}); err != nil {
				t.Fatal(err)
			}
		}
		if b.Records(); b.Memory() < 12<<20 {
			t.Errorf("unexpected memory of %s events; got %d bytes; want what they hold", tt.name, b.Memory())
		}
		if b.Reset(); b.Memory() > 2*maxKeptArenaBytes {
			t.Errorf("unexpected memory after Reset of %s events; got %d bytes", tt.name, b.Memory())
		}
	}
}

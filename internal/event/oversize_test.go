// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// oversizeRecords shapes one event and checks what holds for every rule.
func oversizeRecords(t *testing.T, cfg Config, body []byte) (payloads []string, keys []string, outcome Outcome) {
	t.Helper()
	s := mustShaper(t, cfg)
	var b Builder
	for range 2 { // the second time with what the first has left
		b.Reset()
		ev := &Event{Sec: 1, Index: 3, Body: body, Raw: body}
		var err error
		if outcome, err = b.Add(s, "tag", ev); err != nil {
			t.Fatal(err)
		}
		payloads, keys = nil, nil
		for _, r := range b.Records() {
			if n := len(r.Data) + max(len(r.PartitionKey), 1); outcome&(Truncated|Split) != 0 && n > s.maxRecord { // set by every test
				t.Errorf("unexpected size; got %d; want at most %d", n, s.maxRecord)
			}
			text := unpack(t, cfg.Compression, r.Data)
			if cfg.LogKey == "" && !json.Valid(text) {
				t.Fatalf("unexpected payload of %d bytes; want JSON", len(text))
			}
			if !utf8.Valid(text) {
				t.Errorf("unexpected payload of %d bytes; want UTF-8", len(text))
			}
			payloads, keys = append(payloads, string(text)), append(keys, strings.Clone(r.PartitionKey))
		}
	}
	return payloads, keys, outcome
}

// noise does not compress.
func noise(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = " !#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}"[r.IntN(92)]
	}
	return string(b)
}

var longTexts = map[string]string{
	"plain":   strings.Repeat("x", 20000),
	"noise":   noise(30000),
	"wide":    strings.Repeat("\u20ac\U0001F600", 4000),
	"escapes": strings.Repeat("\"\\\n\x01", 5000),
	"mixed":   strings.Repeat("a\u0416\u20ac\"\U0001F600\n", 3000),
}

func TestOversizeTextIsTruncatedAtACharacter(t *testing.T) {
	for name, text := range longTexts {
		for _, codec := range codecNames {
			body := fixmap(str("level"), str("info"), str("log"), str(text), str("n"), []byte{1}, str("m"), fixmap(str("also"), str(text[:2000])))
			cfg := Config{Oversize: "truncate", MaxRecordBytes: 4096, TimeKey: "t", Compression: codec, AppendNewline: true}
			got, _, outcome := oversizeRecords(t, cfg, body)
			if outcome&Truncated == 0 {
				if codec == "none" {
					t.Errorf("unexpected outcome for %s; got %v; want truncated", name, outcome)
				}
				continue
			}
			var ev struct {
				Level, Log, T string
				N             int
				M             struct{ Also string }
			}
			if err := json.Unmarshal([]byte(got[0]), &ev); err != nil || len(got) != 1 {
				t.Fatalf("unexpected records; got %d, %v; want 1", len(got), err)
			}
			kept, cut := strings.CutSuffix(ev.Log, truncationMark)
			if !cut || !strings.HasPrefix(text, kept) || ev.Level != "info" || ev.N != 1 || ev.T == "" || !strings.HasSuffix(got[0], "}\n") {
				t.Errorf("unexpected event for %s, %s; got level %q, n %d, %d bytes of text", name, codec, ev.Level, ev.N, len(kept))
			}
			if codec == "none" && len(got[0]) < 3000 {
				t.Errorf("unexpected size for %s; got %d; want most of 4096 used", name, len(got[0]))
			}
		}
	}
}

func TestOversizeTextIsSplitWithoutLoss(t *testing.T) {
	for name, text := range longTexts {
		for _, codec := range codecNames {
			body := fixmap(str("level"), str("info"), str("m"), fixmap(str("log"), str(text)))
			cfg := Config{Oversize: "split", MaxRecordBytes: 4096, TimeKey: "t", Compression: codec}
			got, keys, outcome := oversizeRecords(t, cfg, body)
			if outcome&Split == 0 {
				if codec == "none" {
					t.Errorf("unexpected outcome for %s; got %v; want split", name, outcome)
				}
				continue
			}
			var joined strings.Builder
			ids := map[string]bool{}
			for i, p := range got {
				var ev struct {
					Level   string
					M       struct{ Log string }
					Message string `json:"partial_message"`
					ID      string `json:"partial_id"`
					Ordinal string `json:"partial_ordinal"`
					Last    string `json:"partial_last"`
				}
				if err := json.Unmarshal([]byte(p), &ev); err != nil {
					t.Fatal(err)
				}
				if ev.Level != "info" || ev.Message != "true" || ev.Ordinal != fmt.Sprint(i+1) || ev.Last != fmt.Sprint(i == len(got)-1) || keys[i] != ev.ID {
					t.Errorf("unexpected piece %d of %s; got %+v, key %q", i, name, ev, keys[i])
				}
				ids[ev.ID] = true
				joined.WriteString(ev.M.Log)
			}
			if joined.String() != text || len(ids) != 1 || len(got) < 2 {
				t.Errorf("unexpected text from %d pieces of %s, %s; got %d bytes; want %d", len(got), name, codec, joined.Len(), len(text))
			}
		}
	}
}

func TestOversizeLogKeyText(t *testing.T) {
	text := strings.Repeat("\u20acabc", 3000)
	body := fixmap(str("k"), str("key"), str("log"), str(text))
	cfg := Config{LogKey: "log", PartitionKey: "k", Oversize: "split", MaxRecordBytes: 4096}
	got, keys, _ := oversizeRecords(t, cfg, body)
	if strings.Join(got, "") != text || len(got) != 5 || strings.Join(keys, "") != strings.Repeat("key", 5) {
		t.Errorf("unexpected pieces; got %d with keys %v; want 5 that make up the text", len(got), keys)
	}
	cfg.Oversize = "truncate"
	got, _, _ = oversizeRecords(t, cfg, body)
	if kept, ok := strings.CutSuffix(got[0], truncationMark); len(got) != 1 || !ok || !strings.HasPrefix(text, kept) {
		t.Errorf("unexpected text; got %d records, %d bytes", len(got), len(got[0]))
	}
}

// Docker and FireLens mark the pieces of a long line with the same keys.
func TestSplitKeepsKeysOfAnOuterSplit(t *testing.T) {
	text := strings.Repeat("x", 9000)
	own := [][]byte{str("partial_message"), str("true"), str("partial_id"), str("docker"), str("partial_ordinal"), {7}, str("partial.last"), str("false")}
	body := cat([]byte{0x86}, bytes.Join(own, nil), str("log"), str(text), str("outer_partial"), str("older"))
	for _, c := range []struct {
		name string
		cfg  Config
		body []byte
	}{
		{"whole", Config{ReplaceDots: "_"}, body},
		{"log_key", Config{ReplaceDots: "_", LogKey: "m"}, fixmap(str("m"), body, str("log"), str(text))},
		{"time", Config{ReplaceDots: "_", TimeKey: "t"}, body},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.Oversize, c.cfg.MaxRecordBytes = "split", 4096
			got, _, outcome := oversizeRecords(t, c.cfg, c.body)
			if outcome&Split == 0 || len(got) < 3 {
				t.Fatalf("unexpected result; got %v, %d records; want pieces", outcome, len(got))
			}
			joined := ""
			for i, p := range got {
				var ev struct {
					Log     string
					Outer   map[string]any `json:"outer_partial"`
					ID      string         `json:"partial_id"`
					Ordinal string         `json:"partial_ordinal"`
					Last    string         `json:"partial_last"`
				}
				namesOnce(t, []byte(p))
				if err := json.Unmarshal([]byte(p), &ev); err != nil {
					t.Fatalf("unexpected piece; got %s: %v", p, err)
				}
				if ev.ID == "docker" || ev.Ordinal != fmt.Sprint(i+1) || ev.Last != fmt.Sprint(i == len(got)-1) {
					t.Errorf("unexpected piece %d; got %+v; want keys of its own", i, ev)
				}
				if want := "map[outer_partial:older partial_id:docker partial_last:false partial_message:true partial_ordinal:7]"; fmt.Sprint(ev.Outer) != want {
					t.Errorf("unexpected outer keys; got %v; want %v", ev.Outer, want)
				}
				joined += ev.Log
			}
			if joined != text {
				t.Errorf("unexpected text; got %d bytes; want %d", len(joined), len(text))
			}
		})
	}
}

// There is nowhere to put the marks, or the text is one of them.
func TestWhatCannotBeJoinedIsNotSplit(t *testing.T) {
	long := str(strings.Repeat("x", 9000))
	for _, c := range []struct {
		cfg  Config
		body []byte
	}{
		{Config{}, fixmap(str("partial_id"), long)},
		{Config{LogKey: "l"}, fixmap(str("l"), fixarray(long))},
		{Config{LogKey: "l"}, fixmap(str("l"), fixmap(str("partial_message"), long))},
	} {
		c.cfg.Oversize, c.cfg.MaxRecordBytes = "split", 4096
		if got, _, outcome := oversizeRecords(t, c.cfg, c.body); len(got) != 1 || outcome&Split != 0 || len(got[0]) < 9000 {
			t.Errorf("unexpected result; got %d records, %v; want the event whole", len(got), outcome)
		}
	}
}

func TestKeysAreNeverCut(t *testing.T) {
	key := fixmap(str("in a key"), str(strings.Repeat("k", 200)))
	body := cat([]byte{0x82}, key, []byte{1}, str("log"), str(strings.Repeat("x", 20000)))
	got, _, outcome := oversizeRecords(t, Config{Oversize: "truncate", MaxRecordBytes: 4096}, body)
	if outcome != Truncated || !strings.Contains(got[0], strings.Repeat("k", 200)) {
		t.Errorf("unexpected event; got %v, %.300s; want the key whole", outcome, got[0])
	}
	s := mustShaper(t, Config{Oversize: "truncate", MaxRecordBytes: 4096})
	s.maxRecord = 300 // so that texts of 200 bytes are cut
	var b Builder
	body = cat([]byte{0x82}, key, []byte{1}, str("log"), str(strings.Repeat("x", 200)))
	if o, err := b.Add(s, "t", &Event{Body: body}); err != nil || o != Truncated || !strings.Contains(string(b.Records()[0].Data), strings.Repeat("k", 200)) {
		t.Errorf("unexpected event; got %v, %v, %s; want the key whole", o, err, b.Records()[0].Data)
	}
}

func TestOversizeIsKeptWhenNothingHelps(t *testing.T) {
	var numbers bytes.Buffer
	numbers.Write([]byte{0xdc, 0x20, 0x00})
	numbers.Write(bytes.Repeat([]byte{7}, 0x2000))
	body := fixmap(str("log"), str("short"), str("n"), numbers.Bytes())
	for _, rule := range []string{"", "keep", "truncate", "split"} {
		got, _, outcome := oversizeRecords(t, Config{Oversize: rule, MaxRecordBytes: 4096}, body)
		if len(got) != 1 || len(got[0]) < 0x4000 || outcome != 0 {
			t.Errorf("unexpected result with %q; got %d records, %v; want the whole event", rule, len(got), outcome)
		}
	}
}

func TestWhatFitsIsNotTouched(t *testing.T) {
	for _, rule := range []string{"truncate", "split"} {
		// {"log":"..."} takes 10 bytes besides the text, and the key of an unkeyed record one.
		text := strings.Repeat("x", 4096-11)
		got, _, outcome := oversizeRecords(t, Config{Oversize: rule, MaxRecordBytes: 4096}, fixmap(str("log"), str(text)))
		if outcome != 0 || len(got) != 1 || len(got[0]) != 4095 {
			t.Errorf("unexpected result with %s at the limit; got %d records, %v", rule, len(got), outcome)
		}
		if _, _, outcome = oversizeRecords(t, Config{Oversize: rule, MaxRecordBytes: 4096}, fixmap(str("log"), str(text+"x"))); outcome == 0 {
			t.Errorf("unexpected result with %s above the limit; got %v", rule, outcome)
		}
	}
}

func TestOversizeIsChecked(t *testing.T) {
	for _, cfg := range []Config{{Oversize: "cut"}, {MaxRecordBytes: 4095}, {MaxRecordBytes: 10<<20 + 1}} {
		if _, err := NewShaper(cfg); err == nil {
			t.Errorf("unexpected success for %+v", cfg)
		}
	}
}

func TestOversizeFollowsTheLimitOfTheStream(t *testing.T) {
	body := func(n int) []byte { return fixmap(str("log"), str(strings.Repeat("x", n))) }
	for _, tt := range []struct {
		name              string
		configured, known int
		want              int
	}{
		{"nothing known", 0, 0, 1 << 20},
		{"a higher limit", 0, 2 << 20, 2 << 20},
		{"configured below it", 100 << 10, 2 << 20, 100 << 10},
		{"configured above it", 5 << 20, 2 << 20, 2 << 20},
		{"configured, not known", 3 << 20, 0, 3 << 20},
	} {
		for _, rule := range []string{"truncate", "split"} {
			s := mustShaper(t, Config{Oversize: rule, MaxRecordBytes: tt.configured})
			var b Builder
			asked := 0
			p := Plan{RecordLimit: func(stream string) int { asked++; return tt.known }}
			b.Follow(s, &p)
			for n, want := range map[int]Outcome{tt.want - 11: 0, tt.want - 10: Truncated} {
				if rule == "split" && want != 0 {
					want = Split
				}
				if got, err := b.Add(s, "t", &Event{Body: body(n), Raw: body(n)}); err != nil || got != want {
					t.Errorf("unexpected outcome for %d bytes, %s, %s; got %v, %v; want %v", n, tt.name, rule, got, err, want)
				}
			}
			for _, r := range b.Records() {
				if n := len(r.Data) + max(len(r.PartitionKey), 1); n > tt.want {
					t.Errorf("unexpected size, %s, %s; got %d; want at most %d", tt.name, rule, n, tt.want)
				}
			}
			if asked > 1 {
				t.Errorf("unexpected number of questions; got %d; want 1", asked)
			}
		}
	}
}

// The limit may be learned or changed between two readings of a chunk.
func TestAPlanKeepsTheLimit(t *testing.T) {
	for _, first := range []int{1 << 20, 2 << 20} {
		limits := map[string]int{"a": first, "b": 3 << 20 / 2}
		s := mustShaper(t, Config{Oversize: "split", Stream: "$s"})
		p := Plan{RecordLimit: func(stream string) int { return limits[stream] }}
		var b Builder
		read := func() (out []string) {
			b.Reset()
			b.Follow(s, &p)
			for _, stream := range []string{"a", "b", "a"} {
				ev := Event{Body: fixmap(str("s"), str(stream), str("log"), str(strings.Repeat("x", 3<<19)))}
				if _, err := b.Add(s, "t", &ev); err != nil {
					t.Fatal(err)
				}
			}
			p.Settle()
			for i, r := range b.Records() {
				out = append(out, fmt.Sprint(b.Streams()[b.StreamOf(i)], len(r.Data)))
			}
			return out
		}
		want := read()
		limits["a"], limits["b"] = 3<<20-first, 10<<20
		if got := read(); !slices.Equal(got, want) {
			t.Errorf("unexpected records at the second reading; got %v; want %v", got, want)
		}
	}
}

// The longest text may be one that metadata takes the place of.
func TestSplitPassesOverTextThatIsReplaced(t *testing.T) {
	s := mustShaper(t, Config{Oversize: "split", MaxRecordBytes: 4096, MetadataKey: "m"})
	var b Builder
	ev := &Event{Metadata: fixmap(str("a"), str("b")), Body: fixmap(str("m"), str(strings.Repeat("m", 30000)), str("log"), str(strings.Repeat("x", 9000)))}
	o, err := b.Add(s, "t", ev)
	var text int
	for _, r := range b.Records() {
		text += strings.Count(string(r.Data), "x")
	}
	if err != nil || o != Split || text != 9000 {
		t.Errorf("unexpected result; got %v, %v, %d bytes of text; want it split", o, err, text)
	}
}

// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/combined"
	"github.com/outkpl/outkpl/core"
)

// record is a copy of what a Builder has made.
type shaped struct {
	key, stream string
	data        []byte
	events      int
}

// readChunk returns the records of a chunk, and the Builder that made them.
func readChunk(tb testing.TB, s *Shaper, p *Plan, chunk []byte) ([]shaped, *Builder) {
	tb.Helper()
	b := &Builder{}
	b.Follow(s, p)
	addChunk(tb, b, s, chunk)
	return copyRecords(b), b
}

func copyRecords(b *Builder) (out []shaped) {
	for i, r := range b.Records() {
		one := shaped{key: strings.Clone(r.PartitionKey), data: bytes.Clone(r.Data), events: b.EventsOf(i)}
		if streams := b.Streams(); len(streams) > 0 {
			one.stream = streams[b.StreamOf(i)]
		}
		out = append(out, one)
	}
	return out
}

// eventsOf returns the events of a record as a consumer sees them.
func eventsOf(tb testing.TB, form, compression string, data []byte) [][]byte {
	tb.Helper()
	d := combined.Decoder{Compression: compression, Form: form}
	r, err := d.Decode(data)
	if err != nil {
		tb.Fatalf("cannot decode a record of %d bytes: %v", len(data), err)
	}
	return r.Events
}

// byKey returns the events of records by stream and key, in their order.
func byKey(tb testing.TB, cfg *Config, records []shaped) map[string][]string {
	tb.Helper()
	out := map[string][]string{}
	for i, r := range records {
		events := [][]byte{r.data}
		if cfg.Combine != "" {
			events = eventsOf(tb, cfg.Combine, cfg.Compression, r.data)
		} else if cfg.Compression != "" {
			tb.Fatal("compare with events that are not compressed")
		}
		if len(events) != r.events {
			tb.Fatalf("unexpected number of events in record %d; got %d; EventsOf says %d", i, len(events), r.events)
		}
		for _, e := range events {
			k := r.stream + "/" + r.key
			out[k] = append(out[k], string(e))
		}
	}
	return out
}

func equalByKey(tb testing.TB, got, want map[string][]string) {
	tb.Helper()
	for k := range want {
		if !slices.Equal(got[k], want[k]) {
			tb.Fatalf("unexpected events of %q; got %d; want %d, in their order: %.200q", k, len(got[k]), len(want[k]), want[k])
		}
	}
	if len(got) != len(want) {
		tb.Fatalf("unexpected keys; got %d; want %d", len(got), len(want))
	}
}

// What decides which events make a record must not change from one reading of a chunk to
// the next, or the number of a record would mean other events.
func TestASecondReadingCombinesTheSameEvents(t *testing.T) {
	noise := rand.New(rand.NewPCG(1, 2))
	chunk := kubernetesChunk(2 << 20)
	for i := range 2000 { // incompressible
		text := make([]byte, 1500)
		for k := range text {
			text[k] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[noise.IntN(64)]
		}
		chunk = append(chunk, v2(1, uint32(i), fixmap(str("log"), str(string(text)), str("kubernetes"), fixmap(str("pod_name"), str("pod-"+strconv.Itoa(i%7)))))...)
	}
	for _, cfg := range []Config{
		{Combine: "lines", Compression: "zstd", PartitionKey: "kubernetes->pod_name"},
		{Combine: "lines", Compression: "zstd", CombineSize: 4 << 20},
		{Combine: "json_array", Compression: "gzip", CombineSize: 4 << 20, CompressionLevel: 1},
		{Combine: "lines", Compression: "snappy", CombineSize: 4 << 20},
		{Combine: "json_array", CombineSize: 4 << 20},
		{Combine: "lines", CombineCount: 100},
		{Combine: "lines"},
		{Combine: "json_array", Compression: "zlib", Stream: "s-$stream", PartitionKey: "kubernetes->pod_name"},
	} {
		s := mustShaper(t, cfg)
		limit, own, asked := 1<<20, false, 0
		p := &Plan{RecordLimit: func(string) int { asked++; return limit }, OwnRecords: func(string) bool { asked++; return own }}
		first, _ := readChunk(t, s, p, chunk)
		p.Settle()
		before := asked
		for round := range 3 {
			// The stream has another limit now, and is distributed otherwise; there are
			// other threads, and the pools hold what other chunks have left.
			limit, own = 300<<10, true
			old := runtime.GOMAXPROCS(1 + round)
			if round == 1 {
				s = mustShaper(t, cfg)
			} else {
				readChunk(t, s, &Plan{}, kubernetesChunk(50<<10*(round+1)))
			}
			again, _ := readChunk(t, s, p, chunk)
			runtime.GOMAXPROCS(old)
			if !slices.EqualFunc(first, again, func(a, b shaped) bool {
				return a.key == b.key && a.stream == b.stream && a.events == b.events && bytes.Equal(a.data, b.data)
			}) {
				t.Fatalf("unexpected records in reading %d with %+v; got %d; want the %d of the first reading, byte for byte", round+2, cfg, len(again), len(first))
			}
		}
		if asked != before {
			t.Errorf("unexpected questions in later readings with %+v; got %d", cfg, asked-before)
		}
	}
}

// A chunk may be read a second time by another process. Which keys lose their place in the
// table must not depend on it either.
func TestRecordsAreTheSameInEveryProcess(t *testing.T) {
	recs := make([]core.Record, 300_000)
	for i := range recs {
		recs[i] = core.Record{PartitionKey: strconv.Itoa(i * 7 % 150_000), Data: []byte(strconv.Itoa(i))}
	}
	c, err := NewCombine(CombineConfig{Combine: "lines"})
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	out := c.Records(recs, nil, false, 1<<20)
	for i, r := range out.Records {
		fmt.Fprintf(h, "%s %d %s", r.PartitionKey, out.Events[i], r.Data)
	}
	const want = "163438 11fda08f55099502"
	if got := fmt.Sprintf("%d %x", len(out.Records), h.Sum(nil)[:8]); got != want {
		t.Errorf("unexpected records; got %s; want %s, as in each process", got, want)
	}
}

func TestTextCannotBeTakenForOtherEvents(t *testing.T) {
	texts := []string{"", "plain", "two\nlines", "old mac\rline", `"quoted"`, `{"json":true}`, "[Sun Dec 04] error", "\t", "\n", `"`, `\`, "é\u2028", "ends\n", "\xff\xfe", "7"}
	var chunk []byte
	for i, s := range texts {
		chunk = append(chunk, v2(1, uint32(i), fixmap(str("log"), str(s)))...)
	}
	chunk = append(chunk, v2(1, 99, fixmap(str("log"), fixmap(str("a"), str("\n"))))...)
	chunk = append(chunk, v2(1, 99, fixmap(str("nolog"), str("x")))...)
	want := append(slices.Clone(texts), `{"a":"\n"}`, `{"nolog":"x"}`)
	for _, tt := range []struct{ form, ff string }{{"lines", "\xff\xfe"}, {"json_array", "\uFFFD\uFFFD"}} {
		want[13] = tt.ff // no JSON has bytes that are not UTF-8
		cfg := Config{Combine: tt.form, LogKey: "log"}
		got, _ := readChunk(t, mustShaper(t, cfg), &Plan{}, chunk)
		// A reader of lines may end one at a carriage return, too.
		if i := bytes.IndexByte(got[0].data, '\r'); i >= 0 {
			t.Errorf("unexpected carriage return in %s; got %q", tt.form, got[0].data)
		}
		if events := byKey(t, &cfg, got)["/"]; len(got) != 1 || !slices.Equal(events, want) {
			t.Errorf("unexpected events in %s; got %q in %d records; want %q in one", tt.form, events, len(got), want)
		}
	}
}

func TestBrokenEventsCostNoneOfTheirNeighbours(t *testing.T) {
	good := func(i int) []byte { return v2(1, uint32(i), fixmap(str("log"), str("event "+strconv.Itoa(i)))) }
	deep := []byte{1}
	for range MaxKeyDepth + 2 {
		deep = fixmap(deep, []byte{1})
	}
	chunk := cat(good(0), v2(1, 1, fixmap(deep, []byte{1})), good(2), []byte{0x92, 0x01, 0x02}, good(4))
	cfg := Config{Combine: "lines"}
	s := mustShaper(t, cfg)
	var b Builder
	var p Plan
	b.Follow(s, &p)
	var ev Event
	errs := 0
	for r := NewChunkReader(chunk); ; {
		err := r.Next(&ev)
		if err == nil {
			_, err = b.Add(s, "t", &ev)
		} else if err.Error() == "EOF" {
			break
		}
		if err != nil {
			errs++
		}
	}
	got := copyRecords(&b)
	if want := "{\"log\":\"event 0\"}\n{\"log\":\"event 2\"}\n{\"log\":\"event 4\"}\n"; errs != 2 || len(got) != 1 || string(got[0].data) != want {
		t.Errorf("unexpected records; got %d errors and %+v; want 2 and %q", errs, got, want)
	}
}

// These are the bytes of Fluent Bit's own output with simple_aggregation.
func TestLinesAreThoseOfSimpleAggregation(t *testing.T) {
	chunk := cat(v2(1, 0, fixmap(str("log"), str("a\n\"b\""))), v2(1, 0, fixmap(str("n"), []byte{7}, str("f"), f64(0.5))))
	got, _ := readChunk(t, mustShaper(t, Config{Combine: "lines", AppendNewline: true}), &Plan{}, chunk)
	if want := "{\"log\":\"a\\n\\\"b\\\"\"}\n{\"n\":7,\"f\":0.5}\n"; len(got) != 1 || string(got[0].data) != want {
		t.Errorf("unexpected records; got %+v; want %q", got, want)
	}
}

func TestOneEventLooksLikeMany(t *testing.T) {
	chunk := v2(1, 0, fixmap(str("a"), []byte{1}))
	for form, want := range map[string]string{"lines": "{\"a\":1}\n", "json_array": `[{"a":1}]`} {
		for _, compression := range codecNames {
			got, _ := readChunk(t, mustShaper(t, Config{Combine: form, Compression: compression}), &Plan{}, chunk)
			if len(got) != 1 || got[0].events != 1 || string(unpack(t, compression, got[0].data)) != want {
				t.Errorf("unexpected records with %s and %s; got %+v", form, compression, got)
			}
		}
	}
}

func TestEventsThatAreNotFramedAreCombined(t *testing.T) {
	events := []struct {
		data string
		text bool
		want string
	}{
		{`{"a":1}`, false, `{"a":1}`},
		{"{\r\n  \"a\" : \"x \\\" y\",\n\t\"b\":[1,\n2]\n}", false, `{"a":"x \" y","b":[1,2]}`},
		{"{\"a\": 1}", false, `{"a": 1}`},
		{`"a string"`, false, `"a string"`},
		{"two\nlines", true, "two\nlines"},
		{"plain", true, "plain"},
		{"", true, ""},
		{"", false, ""},
		{"{\"raw\nbreak\":\"a\rb\"\n}", false, `{"raw\nbreak":"a\rb"}`},
	}
	for _, form := range []string{"lines", "json_array"} {
		for _, compression := range codecNames {
			c, err := NewCombine(CombineConfig{Combine: form, Compression: compression})
			if err != nil {
				t.Fatal(err)
			}
			var recs []core.Record
			var texts []bool
			for i, e := range events {
				if form == "json_array" && i == 8 {
					continue // not JSON
				}
				recs, texts = append(recs, core.Record{PartitionKey: "k", Data: []byte(e.data)}), append(texts, e.text)
			}
			out := c.Records(recs, texts, true, 1<<20)
			if len(out.Records) != 1 || out.Records[0].PartitionKey != "k" || int(out.Events[0]) != len(recs) {
				t.Fatalf("unexpected records; got %d with %v events", len(out.Records), out.Events)
			}
			for i, got := range eventsOf(t, form, compression, out.Records[0].Data) {
				want := events[i].want
				if form == "json_array" && !events[i].text && want != "" {
					want = events[i].data
				}
				if string(got) != want {
					t.Errorf("unexpected event %d in %s and %s; got %q; want %q", i, form, compression, got, want)
				}
				alone := eventsOf(t, form, compression, c.AppendAlone(nil, recs[i].Data, texts[i]))
				if len(alone) != 1 || string(alone[0]) != want {
					t.Errorf("unexpected event %d alone; got %q; want %q", i, alone, want)
				}
			}
		}
	}
}

func TestMemoryOfEventsIsGivenBack(t *testing.T) {
	chunk := kubernetesChunk(2 << 20)
	cfg := Config{Combine: "lines", Compression: "zstd"}
	got, b := readChunk(t, mustShaper(t, cfg), &Plan{}, chunk)
	payload := 0
	for _, r := range got {
		payload += len(r.data)
	}
	if n := b.Memory(); n < payload || n > payload+96<<10 {
		t.Errorf("unexpected memory; got %d bytes for %d of payloads", n, payload)
	}
	if b.Len() != len(got) {
		t.Errorf("unexpected length; got %d; want %d", b.Len(), len(got))
	}
	b.Reset()
	if b.Len() != 0 || len(b.Records()) != 0 {
		t.Errorf("unexpected records after Reset; got %d", b.Len())
	}
}

func TestCombineOptionsAreChecked(t *testing.T) {
	for _, tt := range []struct {
		cfg  Config
		want string
	}{
		{Config{Combine: "line"}, `combine: "line": not one of the allowed words; allowed: off, lines or json_array`},
		{Config{Combine: "lines", CombineSize: 1023}, `combine_size: "1023": out of range; allowed: 1024 to 10485760`},
		{Config{Combine: "lines", CombineSize: 10<<20 + 1}, "1024 to 10485760"},
		{Config{Combine: "json_array", CombineCount: -1}, `combine_count: "-1": out of range; allowed: 1 to 1000000`},
		{Config{CombineSize: 4096}, "combine_size has no use with combine off"},
		{Config{Combine: "off", CombineCount: 5}, "combine_count"},
		{Config{Combine: "lines", Compression: "lz4"}, "none, gzip, zlib, zstd or snappy"},
	} {
		if _, err := NewShaper(tt.cfg); err == nil || !strings.Contains(err.Error(), strings.Replace(tt.want, "combine_size has no use", "has no use", 1)) {
			t.Errorf("unexpected error for %+v; got %v; want one with %q", tt.cfg, err, tt.want)
		}
		if _, err := NewCombine(CombineConfig{Combine: tt.cfg.Combine, CombineSize: tt.cfg.CombineSize, CombineCount: tt.cfg.CombineCount, Compression: tt.cfg.Compression}); err == nil {
			t.Errorf("unexpected success of NewCombine for %+v", tt.cfg)
		}
	}
	if c, err := NewCombine(CombineConfig{Combine: "off"}); c != nil || err != nil {
		t.Errorf("unexpected result for off; got %v and %v; want nil", c, err)
	}
}

func FuzzCombine(f *testing.F) {
	f.Add([]byte("{\"a\":1}\x00two\nlines\x00\"q\x00\x00[x]"), byte(0), uint16(1024), byte(0))
	f.Add(bytes.Repeat([]byte("k\x01abc\x00"), 200), byte(7), uint16(1), byte(3))
	var shapers []*Shaper // costly to make
	for _, form := range formNames[1:] {
		for _, compression := range codecNames {
			shapers = append(shapers, mustShaper(f, Config{Combine: form, Compression: compression, LogKey: "log", PartitionKey: "k"}))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, mode byte, size uint16, count byte) {
		s := shapers[int(mode)%len(shapers)]
		c := s.combine
		c.size, c.count = minCombineSize+int(size), int(count)
		cfg := Config{Combine: formNames[c.form], Compression: codecNames[c.pack.codec]}
		var recs []core.Record
		var texts []bool
		want := map[string][]string{}
		var chunk []byte
		for _, piece := range bytes.Split(data, []byte{0}) {
			key := ""
			if len(piece) > 1 && piece[1] == 1 {
				key, piece = string(piece[:1]), piece[2:]
			}
			body := fixmap(str("log"), str(string(piece)))
			if key != "" {
				body = fixmap(str("log"), str(string(piece)), str("k"), str(key))
			}
			chunk = append(chunk, v2(1, 0, body)...)
			text := string(piece)
			if cfg.Combine == "json_array" || mustQuote(piece) {
				text = validText(piece)
			}
			recs, texts = append(recs, core.Record{PartitionKey: key, Data: piece}), append(texts, true)
			want["/"+key] = append(want["/"+key], text)
		}
		limit := 1 << 20
		out := c.Records(recs, texts, mode&128 != 0, limit)
		var got []shaped
		for i, r := range out.Records {
			got = append(got, shaped{key: r.PartitionKey, data: r.Data, events: int(out.Events[i])})
		}
		equalByKey(t, byKey(t, &cfg, got), want)
		if !keysAreText(want) {
			return // a partition key of an event is repaired
		}
		// The Builder, which frames events one by one, gives the same bytes.
		framed, _ := readChunk(t, s, &Plan{}, chunk)
		if !slices.EqualFunc(framed, got, func(a, b shaped) bool { return a.key == b.key && a.events == b.events && bytes.Equal(a.data, b.data) }) {
			t.Fatalf("unexpected records of a Builder; got %+v; want %+v", framed, got)
		}
	})
}

// validText is text as a JSON string has it.
func validText(b []byte) string {
	var s string
	if err := json.Unmarshal(AppendQuoted(nil, slices.Clip(b)), &s); err != nil {
		panic(fmt.Sprintf("not a JSON string: %q", b))
	}
	return s
}

func keysAreText(byKey map[string][]string) bool {
	for k := range byKey {
		if len(k) > 1 && k[1] >= 0x80 {
			return false
		}
	}
	return true
}

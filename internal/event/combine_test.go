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

func TestCombinedEventsComeBackInTheOrderOfTheirKey(t *testing.T) {
	chunk := kubernetesChunk(700 << 10)
	for _, base := range []Config{
		{},
		{PartitionKey: "kubernetes->pod_name"},
		{PartitionKey: "$TAG"},
		{PartitionKey: "$kubernetes['pod_name']", Stream: "logs-$kubernetes['namespace_name'].$logtag"},
		{LogKey: "log", PartitionKey: "kubernetes->pod_name"},
		{TimeKey: "time", DataKeys: []string{"log", "kubernetes"}},
	} {
		plain, _ := readChunk(t, mustShaper(t, base), &Plan{}, chunk)
		want := byKey(t, &base, plain)
		for _, form := range []string{"lines", "json_array"} {
			for _, compression := range codecNames {
				cfg := base
				cfg.Combine, cfg.Compression, cfg.CombineSize = form, compression, 100<<10
				got, _ := readChunk(t, mustShaper(t, cfg), &Plan{}, chunk)
				equalByKey(t, byKey(t, &cfg, got), want)
				if least := max(len(want), 700>>7); len(got) < least || len(got) > 2*least+8 {
					t.Errorf("unexpected number of records with %s, %s and %+v; got %d; want about %d", form, compression, base, len(got), least)
				}
			}
		}
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

func TestTheDefaultSizeIsThatOfTheStream(t *testing.T) {
	chunk := kubernetesChunk(3 << 20)
	cfg := Config{Combine: "lines", Stream: "s-$stream"}
	plan := func(own bool) *Plan {
		return &Plan{OwnRecords: func(name string) bool { return own && name == "s-stdout" }}
	}
	few, _ := readChunk(t, mustShaper(t, cfg), plan(true), chunk)
	many, _ := readChunk(t, mustShaper(t, cfg), plan(false), chunk)
	for _, tt := range []struct {
		got         []shaped
		least, most int
	}{{few, DefaultCombineSizeAlone - 2000, DefaultCombineSizeAlone - 1}, {many, DefaultCombineSize - 2000, DefaultCombineSize}} {
		for i, r := range tt.got[:len(tt.got)-1] {
			if len(r.data) < tt.least || len(r.data) > tt.most {
				t.Errorf("unexpected size of record %d; got %d; want %d to %d", i, len(r.data), tt.least, tt.most)
			}
		}
	}
}

func TestRecordsKeepToTheLimitWhateverCombineSizeSays(t *testing.T) {
	noise := rand.New(rand.NewPCG(3, 4))
	var chunk []byte
	for i := range 300 {
		text := make([]byte, 1000+noise.IntN(9000))
		for k := range text {
			text[k] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[noise.IntN(64)]
		}
		chunk = append(chunk, v2(1, uint32(i), fixmap(str("log"), str(string(text)), str("k"), str(strings.Repeat("k", 1+i%3*100))))...)
	}
	for _, base := range []Config{{}, {PartitionKey: "k"}, {LogKey: "log"}} {
		plain, _ := readChunk(t, mustShaper(t, base), &Plan{}, chunk)
		want := byKey(t, &base, plain)
		for _, compression := range codecNames {
			for _, learned := range []int{0, 1 << 20, 2 << 20} {
				for _, most := range []int{0, 64 << 10} {
					cfg := base
					cfg.Combine, cfg.CombineSize, cfg.Compression, cfg.MaxRecordBytes = "lines", 8<<20, compression, most
					got, _ := readChunk(t, mustShaper(t, cfg), &Plan{RecordLimit: func(string) int { return learned }}, chunk)
					limit := mustShaper(t, cfg).recordLimit(learned)
					for i, r := range got {
						if n := len(r.data) + max(len(r.key), 1); n > limit {
							t.Fatalf("unexpected size of record %d with %+v; got %d; want at most %d", i, cfg, n, limit)
						}
					}
					equalByKey(t, byKey(t, &cfg, got), want)
					if least := 1600 << 10 / limit; len(got) > 4*least+8 {
						t.Errorf("unexpected number of records with %s and a limit of %d; got %d; want at most %d", compression, limit, len(got), 4*least+8)
					}
				}
			}
		}
	}
}

func TestALargerEventIsARecordOfItsOwn(t *testing.T) {
	text := func(n int) []byte {
		return v2(1, 2, fixmap(str("log"), str(strings.Repeat("x", n)), str("k"), str("a")))
	}
	chunk := cat(text(10), text(20), text(3000), text(30), text(40))
	cfg := Config{Combine: "lines", CombineSize: 2048, PartitionKey: "k"}
	got, _ := readChunk(t, mustShaper(t, cfg), &Plan{}, chunk)
	var counts []int
	for _, r := range got {
		counts = append(counts, r.events)
	}
	// What comes behind it does not go before it.
	if !slices.Equal(counts, []int{2, 1, 2}) {
		t.Errorf("unexpected events of the records; got %v; want 2, 1 and 2", counts)
	}
}

func TestOversizeAppliesToAnEventThatIsARecordOfItsOwn(t *testing.T) {
	noise := rand.New(rand.NewPCG(5, 6))
	long := make([]byte, 30_000)
	for i := range long {
		long[i] = byte('!' + noise.IntN(90))
	}
	small := fixmap(str("log"), str("small"))
	chunk := cat(v2(1, 1, small), v2(1, 2, fixmap(str("log"), str(string(long)))), v2(1, 3, small),
		v2(1, 4, fixmap(str("log"), str(strings.Repeat("compressible ", 2000)))), v2(1, 5, small))
	for _, oversize := range []string{"truncate", "split"} {
		for _, form := range []string{"lines", "json_array"} {
			for _, compression := range codecNames {
				for _, logKey := range []string{"", "log"} {
					cfg := Config{Combine: form, Compression: compression, Oversize: oversize, MaxRecordBytes: 8192, LogKey: logKey}
					got, _ := readChunk(t, mustShaper(t, cfg), &Plan{}, chunk)
					var all [][]byte
					for i, r := range got {
						if n := len(r.data) + max(len(r.key), 1); n > 8192 {
							t.Fatalf("unexpected size of record %d with %+v; got %d; want at most 8192", i, cfg, n)
						}
						all = append(all, eventsOf(t, form, compression, r.data)...)
					}
					smalls, text := 0, ""
					for _, e := range all {
						if !bytes.Contains(e, []byte("compressible")) && bytes.Contains(e, []byte("small")) {
							smalls++
							continue
						}
						if logKey != "" {
							text += string(e)
							continue
						}
						var m struct {
							Log string `json:"log"`
						}
						if err := json.Unmarshal(e, &m); err != nil {
							t.Fatalf("unexpected event with %+v; got %.80q; want JSON", cfg, e)
						}
						text += m.Log
					}
					if smalls != 3 {
						t.Errorf("unexpected neighbours with %+v; got %d; want 3", cfg, smalls)
					}
					if oversize == "split" && !strings.Contains(text, string(long)) {
						t.Errorf("unexpected text of the pieces with %+v; got %d bytes without the %d of the event", cfg, len(text), len(long))
					}
					if oversize == "truncate" && !strings.Contains(text, truncationMark) {
						t.Errorf("unexpected text with %+v; got no mark", cfg)
					}
				}
			}
		}
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

func TestManyTinyEventsAndManyKeys(t *testing.T) {
	var tiny, keys []byte
	for i := range 1_000_000 {
		tiny = append(tiny, v2(1, 0, []byte{0x81, 0xa1, 'a', byte(i & 127)})...)
	}
	for i := range 100_000 {
		keys = append(keys, v2(1, 0, fixmap(str("k"), str("key "+strconv.Itoa(i))))...)
	}
	for _, tt := range []struct {
		name        string
		chunk       []byte
		cfg         Config
		least, most int
		events      int
	}{
		{"tiny", tiny, Config{Combine: "lines", Compression: "zstd"}, 30, 40, 1_000_000},
		{"tiny, counted", tiny, Config{Combine: "json_array", CombineCount: 10_000}, 100, 100, 1_000_000},
		{"keys", keys, Config{Combine: "lines", PartitionKey: "k"}, 100_000, 100_000, 100_000},
		{"keys twice", append(slices.Clip(keys), keys...), Config{Combine: "lines", Compression: "snappy", PartitionKey: "k"}, 100_000, 180_000, 200_000},
	} {
		got, _ := readChunk(t, mustShaper(t, tt.cfg), &Plan{}, tt.chunk)
		n := 0
		for _, r := range got {
			n += len(eventsOf(t, tt.cfg.Combine, tt.cfg.Compression, r.data))
		}
		if n != tt.events || len(got) < tt.least || len(got) > tt.most {
			t.Errorf("unexpected result of %s; got %d events in %d records; want %d in %d to %d", tt.name, n, len(got), tt.events, tt.least, tt.most)
		}
	}
}

func TestKeysThatShareAPlaceInTheTableLoseNothing(t *testing.T) {
	// All of them have one bucket, which has no room for half of them.
	w := combiner{}
	var names []string
	in := input{recs: make([]core.Record, 1000)}
	for i := 0; len(names) < 2*ways; i++ {
		r := core.Record{PartitionKey: strconv.Itoa(i)}
		if slot, _ := w.find(&in, &r, 0, keyHash(&r, 0), 1000); slot/ways == 3 {
			names = append(names, r.PartitionKey)
		}
		clear(w.table)
	}
	recs := make([]core.Record, 1000)
	want := map[string][]string{}
	for i := range recs {
		recs[i] = core.Record{PartitionKey: names[i%len(names)], Data: []byte(strconv.Itoa(i))}
		want["/"+recs[i].PartitionKey] = append(want["/"+recs[i].PartitionKey], strconv.Itoa(i))
	}
	c, err := NewCombine(CombineConfig{Combine: "lines"})
	if err != nil {
		t.Fatal(err)
	}
	var got []shaped
	out := c.Records(recs, nil, false, 1<<20)
	for i, r := range out.Records {
		got = append(got, shaped{key: r.PartitionKey, data: r.Data, events: int(out.Events[i])})
	}
	equalByKey(t, byKey(t, &Config{Combine: "lines"}, got), want)
	if len(got) < 500 {
		t.Errorf("unexpected number of records; got %d; want most keys to have lost their place", len(got))
	}
}

// Looking for keys that do not come again would cost more than it saves; those that do come
// again are found wherever they are.
func TestKeysAreLookedForWhereTheyComeAgain(t *testing.T) {
	const n = 9000
	r := rand.New(rand.NewPCG(9, 9))
	unique := func(i int) string { return "unique " + strconv.Itoa(i) }
	for _, tt := range []struct {
		name        string
		key         func(i int) string
		least, most int // records
	}{
		{"all different", unique, n, n},
		{"hardly any twice", func(i int) string { return unique(i - i%1000/999*500) }, n, n},
		{"neighbours", func(i int) string { return unique(i / 2) }, n / 2, n / 2},
		{"10 keys", func(int) string { return unique(r.IntN(10)) }, 10, 10},
		{"1 of 40 keys at each place", func(i int) string { return unique(i % 40) }, 40, 40},
		{"a round of 1,200 keys", func(i int) string { return unique(i % 1200) }, 1200, 1300},
		{"a round of 4,500 keys", func(i int) string { return unique(i % 4500) }, 4500, 5500},
		{"4,500 keys at random", func(int) string { return unique(r.IntN(4500)) }, 3800, 5000},
		{"every other event has one key", func(i int) string {
			if i%2 == 0 {
				return "often"
			}
			return unique(i)
		}, n/2 + 1, n/2 + 1},
		{"first all different", func(i int) string {
			if i >= n/2 {
				i = n + i%100
			}
			return unique(i)
		}, n/2 + 100, n/2 + 100},
		{"no key", func(int) string { return "" }, 1, 1},
	} {
		recs := make([]core.Record, n)
		want := map[string][]string{}
		for i := range recs {
			recs[i] = core.Record{PartitionKey: tt.key(i), Data: []byte(strconv.Itoa(i))}
			want["/"+recs[i].PartitionKey] = append(want["/"+recs[i].PartitionKey], strconv.Itoa(i))
		}
		c, err := NewCombine(CombineConfig{Combine: "lines"})
		if err != nil {
			t.Fatal(err)
		}
		var got []shaped
		out := c.Records(recs, nil, false, 1<<20)
		for i, r := range out.Records {
			got = append(got, shaped{key: r.PartitionKey, data: r.Data, events: int(out.Events[i])})
		}
		equalByKey(t, byKey(t, &Config{Combine: "lines"}, got), want)
		if len(got) < tt.least || len(got) > tt.most {
			t.Errorf("unexpected number of records with %s; got %d; want %d to %d", tt.name, len(got), tt.least, tt.most)
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

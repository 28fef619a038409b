// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/json"
	"math"
	"strings"
	"sync"
	"testing"
)

func TestPayload(t *testing.T) {
	body := fixmap(
		str("log"), str("line \"1\""),
		str("code"), []byte{7},
		str("a.b"), fixmap(str("c.d"), fixarray(fixmap(str("e.f."), str("x.y")))),
		str("time"), str("old"),
	)
	const whole = `{"log":"line \"1\"","code":7,"a.b":{"c.d":[{"e.f.":"x.y"}]},"time":"old"}`
	tests := []struct {
		name    string
		cfg     Config
		body    []byte
		want    string
		outcome Outcome
	}{
		{"nothing set sends the event whole", Config{}, body, whole, 0},
		{"newline", Config{AppendNewline: true}, body, whole + "\n", 0},
		{"empty body", Config{}, fixmap(), "{}", 0},

		{"log_key sends text raw", Config{LogKey: "log"}, body, `line "1"`, 0},
		{"log_key sends bin raw, invalid bytes and all", Config{LogKey: "log"}, fixmap(str("log"), bin("a\xff\x00")), "a\xff\x00", 0},
		{"log_key with newline", Config{LogKey: "log", AppendNewline: true}, body, "line \"1\"\n", 0},
		{"log_key sends a number as JSON", Config{LogKey: "code"}, body, "7", 0},
		{"log_key sends a map as JSON", Config{LogKey: "a.b"}, body, `{"c.d":[{"e.f.":"x.y"}]}`, 0},
		{"log_key sends nil as JSON", Config{LogKey: "log"}, fixmap(str("log"), []byte{0xc0}), "null", 0},
		{"log_key sends NaN as null", Config{LogKey: "log"}, fixmap(str("log"), f64(math.NaN())), "null", 0},
		{"log_key sends empty text", Config{LogKey: "log"}, fixmap(str("log"), str("")), "", 0},
		{"log_key takes the last of equal keys", Config{LogKey: "k"}, fixmap(str("k"), str("1"), str("k"), str("2")), "2", 0},
		{"log_key must match exactly", Config{LogKey: "cod"}, body, whole, LogKeyMissing},
		{"log_key of equal length must match", Config{LogKey: "lag"}, body, whole, LogKeyMissing},
		{"log_key is not a path", Config{LogKey: "a.b->c.d"}, body, whole, LogKeyMissing},
		{"log_key missing sends the event whole with its newline", Config{LogKey: "x", AppendNewline: true}, body, whole + "\n", LogKeyMissing},
		{"log_key missing shapes as usual", Config{LogKey: "x", DataKeys: []string{"code"}, TimeKey: "t", TimeKeyFormat: "%s"}, body, `{"code":7,"t":"1772553909"}`, LogKeyMissing},
		{"log_key found ignores data_keys and time_key", Config{LogKey: "log", DataKeys: []string{"code"}, TimeKey: "t"}, body, `line "1"`, 0},
		{"log_key replaces dots inside its value", Config{LogKey: "a.b", ReplaceDots: "_"}, body, `{"c_d":[{"e_f_":"x.y"}]}`, 0},

		{"data_keys keep the order of the event", Config{DataKeys: []string{"code", "log"}}, body, `{"log":"line \"1\"","code":7}`, 0},
		{"data_keys without a match", Config{DataKeys: []string{"lo", "logs", "c.d"}}, body, `{}`, 0},
		{"data_keys keep the middle", Config{DataKeys: []string{"code"}}, body, `{"code":7}`, 0},
		{"data_keys drop keys that are not text", Config{DataKeys: []string{"1", "b"}}, fixmap([]byte{1}, []byte{2}, str("b"), []byte{3}), `{"b":3}`, 0},

		{"time_key comes last and replaces", Config{TimeKey: "time"}, body, `{"log":"line \"1\"","code":7,"a.b":{"c.d":[{"e.f.":"x.y"}]},"time":"2026-03-03T16:05:09"}`, 0},
		{"time_key replaces at the top level only", Config{TimeKey: "c.d", DataKeys: []string{"a.b"}, TimeKeyFormat: "%Y"}, body, `{"a.b":{"c.d":[{"e.f.":"x.y"}]},"c.d":"2026"}`, 0},
		{"time_key replaces every occurrence", Config{TimeKey: "t", TimeKeyFormat: "%Y"}, fixmap(str("t"), []byte{1}, bin("t"), []byte{2}), `{"t":"2026"}`, 0},
		{"time_key in an empty event", Config{TimeKey: "t", TimeKeyFormat: "%N"}, fixmap(), `{"t":"012345678"}`, 0},
		{"time_key stays without being in data_keys", Config{TimeKey: "t", TimeKeyFormat: "%Y", DataKeys: []string{"code"}}, body, `{"code":7,"t":"2026"}`, 0},
		{"time_key may be in data_keys", Config{TimeKey: "time", TimeKeyFormat: "%Y", DataKeys: []string{"code", "time"}}, body, `{"code":7,"time":"2026"}`, 0},
		{"time_key format is escaped", Config{TimeKey: "t\"", TimeKeyFormat: "\"%Y\"%n\\%L"}, fixmap(), `{"t\"":"\"2026\"\n\\012"}`, 0},
		{"keys that are not text survive time_key", Config{TimeKey: "t", TimeKeyFormat: "%Y"}, fixmap([]byte{1}, []byte{2}, fixarray(str("x")), []byte{3}), `{"1":2,"[\"x\"]":3,"t":"2026"}`, 0},

		{"replace_dots at every level, not in values", Config{ReplaceDots: "_"}, body, `{"log":"line \"1\"","code":7,"a_b":{"c_d":[{"e_f_":"x.y"}]},"time":"old"}`, 0},
		{"replace_dots by longer text that needs escaping", Config{ReplaceDots: "\"-"}, fixmap(str("a.b"), []byte{1}), `{"a\"-b":1}`, 0},
		{"replace_dots in keys that are not text", Config{ReplaceDots: "_"}, fixmap(f64(1.5), []byte{1}), `{"1_5":1}`, 0},
		{"replace_dots in time_key", Config{ReplaceDots: "_", TimeKey: "t.x", TimeKeyFormat: "%Y"}, fixmap(str("t.x"), []byte{1}), `{"t_x":"2026"}`, 0},
		{"replace_dots with data_keys named as in the event", Config{ReplaceDots: "_", DataKeys: []string{"a.b"}}, body, `{"a_b":{"c_d":[{"e_f_":"x.y"}]}}`, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := NewShaper(tt.cfg)
			if err != nil {
				t.Fatalf("unexpected error; got %v; want none", err)
			}
			var b Builder
			outcome, err := b.Add(s, "tag", &Event{Sec: 1772553909, Nsec: 12345678, Body: tt.body})
			if err != nil {
				t.Fatalf("unexpected error; got %v; want none", err)
			}
			recs := b.Records()
			if len(recs) != 1 {
				t.Fatalf("unexpected number of records; got %d; want 1", len(recs))
			}
			if got := string(recs[0].Data); got != tt.want || outcome != tt.outcome {
				t.Errorf("unexpected payload; got %q (%v); want %q (%v)", got, outcome, tt.want, tt.outcome)
			}
			if tt.cfg.LogKey == "" && !json.Valid(recs[0].Data) {
				t.Errorf("payload is not valid JSON: %q", recs[0].Data)
			}
		})
	}
}

func TestNewShaperReportsEveryProblem(t *testing.T) {
	_, err := NewShaper(Config{
		LogKey:              "same",
		TimeKey:             "same",
		DataKeys:            []string{"a", ""},
		TimeKeyFormat:       "%Q",
		ReplaceDots:         "\xff",
		PartitionKey:        "a->",
		PartitionKeyMissing: "random",
	})
	if err == nil {
		t.Fatal("unexpected success")
	}
	for _, want := range []string{
		`partition_key: "a->"`,
		`partition_key_missing: "random": not one of the allowed words; allowed: unkeyed, tag, drop or constant:TEXT`,
		`time_key_format: "%Q": unknown "%Q"; allowed: %Y`,
		`replace_dots: `,
		`log_key: "same"`,
		`data_keys: ""`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("unexpected text; got %q; want it to contain %q", err, want)
		}
	}
	if got := strings.Count(err.Error(), "\n") + 1; got != 6 {
		t.Errorf("unexpected number of problems; got %d; want 6:\n%v", got, err)
	}
}

func TestNewShaperCopiesItsConfig(t *testing.T) {
	keys := []string{"a"}
	s, err := NewShaper(Config{DataKeys: keys})
	if err != nil {
		t.Fatal(err)
	}
	keys[0] = "b"
	var b Builder
	if _, err := b.Add(s, "", &Event{Body: fixmap(str("a"), []byte{1}, str("b"), []byte{2})}); err != nil {
		t.Fatal(err)
	}
	if got := string(b.Records()[0].Data); got != `{"a":1}` {
		t.Errorf("unexpected payload; got %q; want only a", got)
	}
}

func TestShaperIsSafeForConcurrentUse(t *testing.T) {
	s, err := NewShaper(Config{PartitionKey: "kubernetes->pod_name", TimeKey: "t", TimeKeyFormat: "%T.%L", ReplaceDots: "_", DataKeys: []string{"log", "kubernetes"}})
	if err != nil {
		t.Fatal(err)
	}
	events, _ := readAll(t, kubernetesChunk(32<<10))
	var wg sync.WaitGroup
	results := make([]string, 4)
	for w := range results {
		wg.Go(func() {
			var b Builder
			for i := range events {
				if _, err := b.Add(s, "tag", &events[i]); err != nil {
					t.Errorf("unexpected error; got %v; want none", err)
				}
			}
			for _, r := range b.Records() {
				results[w] += r.PartitionKey + " " + string(r.Data) + "\n"
			}
		})
	}
	wg.Wait()
	for w := range results {
		if results[w] != results[0] || results[w] == "" {
			t.Errorf("unexpected difference between goroutines 0 and %d", w)
		}
	}
}

func TestEmptyEvents(t *testing.T) {
	meta, group := fixmap(str("m"), []byte{1}), fixmap(str("resource"), fixmap(str("a"), []byte{1}))
	for _, c := range []struct {
		name string
		cfg  Config
		body []byte
		keep string // what is sent with "keep"
		drop bool   // whether "drop" leaves it out
	}{
		{"empty map", Config{}, fixmap(), "{}", true},
		{"empty map32", Config{}, map32(), "{}", true},
		{"with a newline", Config{AppendNewline: true}, fixmap(), "{}\n", true},
		{"compressed", Config{Compression: "snappy"}, fixmap(), "\x02\x04{}", true},
		{"the time does not count", Config{TimeKey: "t", TimeKeyFormat: "%Y"}, fixmap(), `{"t":"2023"}`, true},
		{"a key that makes room for the time", Config{TimeKey: "t", TimeKeyFormat: "%Y"}, fixmap(str("t"), []byte{1}), `{"t":"2023"}`, true},
		{"no key is left", Config{DataKeys: []string{"a"}}, fixmap(str("b"), []byte{1}), "{}", true},
		{"a key is left", Config{DataKeys: []string{"a"}}, fixmap(str("a"), []byte{0xc0}), `{"a":null}`, false},
		{"the group does not count", Config{GroupKey: "g"}, fixmap(), `{"g":{"resource":{"a":1}}}`, true},
		{"metadata counts", Config{MetadataKey: "m"}, fixmap(), `{"m":{"m":1}}`, false},
		{"empty text under log_key", Config{LogKey: "l", AppendNewline: true}, fixmap(str("l"), str(""), str("x"), []byte{1}), "\n", true},
		{"empty map under log_key", Config{LogKey: "l"}, fixmap(str("l"), fixmap()), "{}", true},
		{"empty array under log_key", Config{LogKey: "l"}, fixmap(str("l"), fixarray()), "[]", true},
		{"null under log_key", Config{LogKey: "l"}, fixmap(str("l"), []byte{0xc0}), "null", false},
		{"a digit under log_key", Config{LogKey: "l"}, fixmap(str("l"), []byte{7}), "7", false},
		{"no log_key", Config{LogKey: "l"}, fixmap(), "{}", true},
		{"an empty value", Config{}, fixmap(str(""), str("")), `{"":""}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, rule := range []string{"", "keep", "drop"} {
				c.cfg.EmptyEvents = rule
				s := mustShaper(t, c.cfg)
				var b Builder
				_, _ = b.Add(s, "t", &Event{Kind: KindGroupStart, Body: group})
				full := Event{Body: fixmap(str("l"), str("after"), str("a"), str("after")), Metadata: fixmap()}
				empty := Event{Sec: 1700000000, Body: c.body, Metadata: meta}
				o, err := b.Add(s, "t", &empty)
				if dropped := rule == "drop" && c.drop; err != nil || (o&Empty != 0) != dropped || b.Len() != map[bool]int{true: 0, false: 1}[dropped] {
					t.Fatalf("unexpected result with %q; got %v, %v, %d records; want it dropped: %v", rule, o, err, b.Len(), dropped)
				}
				if _, err := b.Add(s, "t", &full); err != nil || !strings.Contains(string(b.Records()[b.Len()-1].Data), "after") {
					t.Errorf("unexpected next event with %q; got %q, %v", rule, b.Records()[b.Len()-1].Data, err)
				}
				if got := string(b.Records()[0].Data); b.Len() == 2 && got != c.keep {
					t.Errorf("unexpected payload with %q; got %q; want %q", rule, got, c.keep)
				}
			}
		})
	}
	if _, err := NewShaper(Config{EmptyEvents: "send"}); err == nil || !strings.Contains(err.Error(), `empty_events: "send": not one of the allowed words; allowed: keep or drop`) {
		t.Errorf("unexpected error; got %v", err)
	}
}

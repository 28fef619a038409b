// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
)

func TestLookup(t *testing.T) {
	const event = ` {"a":"x", "n" : -1.5e3, "t":true,"z":null, "o":{"a":{"b":["p",{"q":"r"}]},"a.b":1},
		"e\u0041\n":"k", "esc":"\u00e9\"\\\/\b\f\n\r\t\ud83d\ude00", "a":"last", "":"empty", "arr":[[1,2],[]], "s":"", "long key of many bytes":"long value of many bytes"} `
	for _, tc := range []struct {
		path string
		want string
		kind ValueKind
	}{
		{"a", "last", ValueString},
		{"n", "-1.5e3", ValueNumber},
		{"t", "true", ValueBool},
		{"z", "null", ValueNull},
		{"o/a/b/0", "p", ValueString},
		{"o/a/b/1/q", "r", ValueString},
		{"o/a", `{"b":["p",{"q":"r"}]}`, ValueObject},
		{"o/a/b", `["p",{"q":"r"}]`, ValueArray},
		{"o/a.b", "1", ValueNumber},
		{"eA\n", "k", ValueString},
		{"esc", "\u00e9\"\\/\b\f\n\r\t\U0001f600", ValueString},
		{"", "empty", ValueString},
		{"s", "", ValueString},
		{"arr/0/1", "2", ValueNumber},
		{"arr/1", "[]", ValueArray},
		{"long key of many bytes", "long value of many bytes", ValueString},
		{"x", "", ValueNone},
		{"A", "", ValueNone},
		{"a/b", "", ValueNone},
		{"n/0", "", ValueNone},
		{"o/b", "", ValueNone},
		{"arr/2", "", ValueNone},
		{"arr/00", "", ValueNone},
		{"arr/-1", "", ValueNone},
		{"arr/1/0", "", ValueNone},
		{"arr/9999999999", "", ValueNone},
		{"o/a/b/p", "", ValueNone},
	} {
		got, kind, ok := Lookup(nil, []byte(event), strings.Split(tc.path, "/")...)
		if string(got) != tc.want || kind != tc.kind || ok != (kind != ValueNone) {
			t.Errorf("unexpected value at %q; got %q, %d, %v; want %q, %d", tc.path, got, kind, ok, tc.want, tc.kind)
		}
	}
	for event, want := range map[string]string{`"text"`: "text", "12": "12", " [1] ": "[1]", "": "", " ": "", "}": "", `"a`: "", `{"a":1`: ""} {
		if got, _, ok := Lookup(nil, []byte(event)); string(got) != want || ok != (want != "") {
			t.Errorf("unexpected value of %q itself; got %q, %v; want %q", event, got, ok, want)
		}
	}
	for _, event := range []string{`"text"`, "12", "null", "[]"} {
		if got, _, ok := Lookup(nil, []byte(event), "a"); ok {
			t.Errorf("unexpected value in %q; got %q; want none", event, got)
		}
	}
}

func TestField(t *testing.T) {
	const body = `[{"a":{"b":"x"}}, {"c":1,"a":{"b":2},"a":{"b":"\u0061b"}}, {"\u0061":{"b":true}}, {"x":{"a":{"b":1}}}, {}, [{"a":{"b":1}}], "a", 5,
		{"a":1}, {"a" : {"b" : "spaces"}},` + "{\n\"a\":\n{\"b\":\"lines\"}}, {\"z\":\"\xff\",\"a\":{\"b\":\"bad\"}}]"
	for _, opt := range []Options{{}, {AppendNewline: true}, {KeepLayout: true}, {UnquoteStrings: true}} {
		for _, path := range [][]string{{"a", "b"}, {"a"}, {"x", "a", "b"}, {"0", "a", "b"}, {""}, {"none"}, nil} {
			opt.Path = path
			events, err := Split(nil, []byte(body), FormatJSON, opt)
			if err != nil || len(events) != 12 {
				t.Fatalf("unexpected result; got %d events, %v; want 12", len(events), err)
			}
			n := 0
			for i := range events {
				got, kind, ok := opt.Field(nil, &events[i])
				var want []byte
				var wantKind ValueKind
				var wantOK bool
				if events[i].Kind == EventJSON && len(path) > 0 {
					want, wantKind, wantOK = Lookup(nil, events[i].Data, path...)
				}
				if !bytes.Equal(got, want) || kind != wantKind || ok != wantOK {
					t.Errorf("unexpected field %q of %s; got %q, %d, %v; want %q, %d, %v", path, events[i].Data, got, kind, ok, want, wantKind, wantOK)
				}
				if ok {
					n++
				}
			}
			if want := map[int]int{0: 0, 1: 7, 2: 6, 3: 1}[len(path)]; len(path) == 2 && n != 6 || len(path) == 3 && n != want || len(path) == 0 && n != 0 {
				t.Errorf("unexpected number of fields %q; got %d; want %d", path, n, want)
			}
		}
	}
}

// A key that contains what JSON escapes must not make broken JSON look whole.
func TestFieldWithOddNames(t *testing.T) {
	for _, name := range []string{`a"b`, `a\\`, "a\nb", "\u00e9", "\xff"} {
		opt := Options{Path: []string{name}}
		if _, err := Split(nil, []byte(`{"a"b":1}`), FormatJSON, opt); err == nil {
			t.Errorf("unexpected success with %q; want an error", name)
		}
		if _, err := Split(nil, []byte("{\"a\nb\":1}"), FormatJSON, opt); err == nil {
			t.Errorf("unexpected success with %q; want an error", name)
		}
		key, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		events, err := Split(nil, []byte(`{"x":0,`+string(key)+`:1}`), FormatJSON, opt)
		if err != nil || len(events) != 1 {
			t.Fatal(err)
		}
		if v, _, ok := opt.Field(nil, &events[0]); name != "\xff" && (!ok || string(v) != "1") {
			t.Errorf("unexpected field %q; got %q, %v; want 1", name, v, ok)
		}
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	event := []byte(`{"a":{"b":"c\u00e9"},"x":1}`)
	dst := make([]byte, 0, 64)
	n := testing.AllocsPerRun(100, func() {
		if v, _, ok := Lookup(dst, event, "a", "b"); !ok || string(v) != "c\u00e9" {
			t.Errorf("unexpected value; got %q; want c\u00e9", v)
		}
	})
	if n != 0 {
		t.Errorf("unexpected allocations; got %v; want 0", n)
	}
}

// FuzzLookup compares with encoding/json and tries any bytes.
func FuzzLookup(f *testing.F) {
	for _, s := range []string{`{"a":{"b":["p",{"q":"r"}]},"\u0061":1}`, `{"a":"\ud83d\ude00\ud83d"}`, `[1,[2,"x"],{}]`, `{"a" : "b\\" , "c": "\""}`, `{"a":`, `"`, `[,`} {
		f.Add([]byte(s), "a", "b")
		f.Add([]byte(s), "1", "0")
	}
	f.Fuzz(func(t *testing.T, event []byte, a, b string) {
		if _, kind, ok := Lookup(nil, event, a, b); ok != (kind != ValueNone) {
			t.Fatalf("unexpected kind; got %d with ok %v", kind, ok)
		}
		events, err := Split(nil, event, FormatJSON, Options{KeepLayout: true})
		if err != nil || len(events) != 1 || event[0] == '[' {
			return
		}
		event = events[0].Data
		got, kind, ok := Lookup(nil, event, a, b)
		var v any
		dec := json.NewDecoder(bytes.NewReader(event))
		dec.UseNumber()
		if dec.Decode(&v) != nil {
			return // a number or nesting that encoding/json does not take
		}
		for _, step := range []string{a, b} {
			switch x := v.(type) {
			case map[string]any:
				if v = x[step]; v == nil {
					if _, there := x[step]; there && step == b {
						v = "null"
					}
				}
			case []any:
				v = nil
				if n, err := strconv.Atoi(step); err == nil && n >= 0 && n < len(x) && strconv.Itoa(n) == step {
					v = x[n]
				}
			default:
				v = nil
			}
		}
		switch x := v.(type) {
		case string:
			if string(got) != x && kind != ValueNull || !ok {
				t.Fatalf("unexpected value at %q, %q of %q; got %q, %v; want %q", a, b, event, got, ok, x)
			}
		case json.Number:
			if string(got) != x.String() || kind != ValueNumber {
				t.Fatalf("unexpected value at %q, %q of %q; got %q, %v; want %q", a, b, event, got, ok, x)
			}
		case bool:
			if string(got) != strconv.FormatBool(x) || kind != ValueBool {
				t.Fatalf("unexpected value at %q, %q of %q; got %q, %v; want %v", a, b, event, got, ok, x)
			}
		}
	})
}

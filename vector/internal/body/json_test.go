// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// texts returns the data of events.
func texts(events []Event) []string {
	var out []string
	for _, ev := range events {
		out = append(out, string(ev.Data))
	}
	return out
}

func TestSplitJSON(t *testing.T) {
	for _, tc := range []struct {
		name string
		body string
		opt  Options
		want []string
	}{
		{"empty body has no events", "", Options{}, nil},
		{"white space has no events", " \r\n\t", Options{}, nil},
		{"byte order mark is skipped", "\xef\xbb\xbf{}", Options{}, []string{"{}"}},
		{"array", `[{"a":1},{"b":[2,{}]}]`, Options{}, []string{`{"a":1}`, `{"b":[2,{}]}`}},
		{"array with spaces", " [ {\"a\" : 1} ,\n{} ] ", Options{}, []string{`{"a" : 1}`, `{}`}},
		{"empty array", "[]", Options{}, nil},
		{"empty array with space", "[ ]", Options{}, nil},
		{"several arrays", "[1][2,3]\n[]", Options{}, []string{"1", "2", "3"}},
		{"array in array is an event", "[[1,2],[]]", Options{}, []string{"[1,2]", "[]"}},
		{"lines", "{\"a\":1}\n{\"b\":2}", Options{}, []string{`{"a":1}`, `{"b":2}`}},
		{"lines with newline at the end", "{\"a\":1}\r\n{\"b\":2}\r\n", Options{}, []string{`{"a":1}`, `{"b":2}`}},
		{"concatenated", `{"a":"}{"}{"b":2}`, Options{}, []string{`{"a":"}{"}`, `{"b":2}`}},
		{"NUL and record separator", "{}\x00[1]\x00\x1e{}\n", Options{}, []string{"{}", "1", "{}"}},
		{"values with an end of their own need nothing between", `1[2]"a""b"true{}`, Options{}, []string{"1", "2", `"a"`, `"b"`, "true", "{}"}},
		{"commas between objects, as of Vector's native_json", "{},{},\n", Options{}, []string{"{}", "{}"}},
		{"bare values", "\"a\"\"b\" 1 true\nnull -0.5e+7", Options{}, []string{`"a"`, `"b"`, "1", "true", "null", "-0.5e+7"}},
		{"pretty becomes one line", "{\n  \"a b\": \"c d\",\r\n  \"x\": [ 1, 2 ]\n}\n{ \"y\": 1 }", Options{}, []string{`{"a b":"c d","x":[1,2]}`, `{ "y": 1 }`}},
		{"pretty is kept on demand", "{\n \"a\": 1\n}", Options{KeepLayout: true}, []string{"{\n \"a\": 1\n}"}},
		{"invalid UTF-8 is replaced", "[\"a\xff\xfeb\",1]", Options{}, []string{"\"a\ufffd\ufffdb\"", "1"}},
		{"valid UTF-8 is kept", "[\"\u00e9\u4e2d\U0001f600\"]", Options{RejectInvalidUTF8: true}, []string{"\"\u00e9\u4e2d\U0001f600\""}},
		{"strings are unquoted on demand", `["a\n\u00e9\ud83d\ude00\ud800x",{"b":1}]`, Options{UnquoteStrings: true}, []string{"a\n\u00e9\U0001f600\ufffdx", `{"b":1}`}},
		{"newline is appended", "{\"a\":1}\n{\"b\":2}{\"c\":3}", Options{AppendNewline: true}, []string{"{\"a\":1}\n", "{\"b\":2}\n", "{\"c\":3}\n"}},
		{"newline is appended to elements", `[1,2]`, Options{AppendNewline: true}, []string{"1\n", "2\n"}},
		{"wrapper", `{"meta":{"data":[9]},"data":[{"a":1},2],"n":null}`, Options{Wrapper: "data"}, []string{`{"a":1}`, "2"}},
		{"wrapper with one value", `{"data":{"a":1}} {"data":"x"}`, Options{Wrapper: "data"}, []string{`{"a":1}`, `"x"`}},
		{"wrapper with escapes in the key", `{"d\u0061ta":[1]}`, Options{Wrapper: "data"}, []string{"1"}},
		{"wrapper is empty", `{"data":[]}`, Options{Wrapper: "data"}, nil},
		{"object without the wrapper is an event", `{"a":1}{}{ } [{"data":[1]}]`, Options{Wrapper: "data"}, []string{`{"a":1}`, `{}`, `{ }`, `{"data":[1]}`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			body := []byte(tc.body)
			got, err := Split(nil, body, FormatJSON, tc.opt)
			if err != nil {
				t.Fatalf("unexpected error; got %v; want none", err)
			}
			if !slices.Equal(texts(got), tc.want) {
				t.Errorf("unexpected events; got %q; want %q", texts(got), tc.want)
			}
			if string(body) != tc.body {
				t.Errorf("unexpected change of the body; got %q; want %q", body, tc.body)
			}
		})
	}
}

func TestSplitRefusesBrokenJSON(t *testing.T) {
	deep := strings.Repeat("[", 40) + strings.Repeat("]", 40)
	for _, tc := range []struct {
		name   string
		body   string
		opt    Options
		kind   Kind
		offset int
		event  int
	}{
		{"cut object", `{"a":1}{"b":`, Options{}, KindMalformed, 12, 1},
		{"cut string", `["a`, Options{}, KindMalformed, 3, 0},
		{"cut literal", "tru", Options{}, KindMalformed, 3, 0},
		{"cut array", "[1,2", Options{}, KindMalformed, 4, 2},
		{"only a bracket", "[", Options{}, KindMalformed, 1, 0},
		{"trailing comma in an array", "[1,]", Options{}, KindMalformed, 3, 1},
		{"trailing comma in an object", `{"a":1,}`, Options{}, KindMalformed, 7, 0},
		{"doubled comma", "[1,,2]", Options{}, KindMalformed, 3, 1},
		{"comma first", "[,1]", Options{}, KindMalformed, 1, 0},
		{"comma before the first object", ",{}", Options{}, KindMalformed, 0, 0},
		{"closing bracket too many", "[1]]", Options{}, KindMalformed, 3, 1},
		{"wrong bracket", `[{"a":[1}]]`, Options{}, KindMalformed, 8, 0},
		{"no colon", `{"a" 1}`, Options{}, KindMalformed, 5, 0},
		{"key is no value", `{x:1}`, Options{}, KindMalformed, 1, 0},
		{"single quotes", `{'a':1}`, Options{}, KindMalformed, 1, 0},
		{"leading zero", "[01]", Options{}, KindMalformed, 1, 0},
		{"plus", "+1", Options{}, KindMalformed, 0, 0},
		{"no digits behind the point", "1.", Options{}, KindMalformed, 2, 0},
		{"no digits in the exponent", "[1e]", Options{}, KindMalformed, 3, 0},
		{"only a minus", "-", Options{}, KindMalformed, 1, 0},
		{"numbers run together", "1true", Options{}, KindMalformed, 1, 1},
		{"literals run together", "nulltrue", Options{}, KindMalformed, 4, 1},
		{"control character", "[\"a\nb\"]", Options{}, KindMalformed, 3, 0},
		{"unknown escape", `["\x"]`, Options{}, KindMalformed, 2, 0},
		{"cut unicode escape", `["\u12"]`, Options{}, KindMalformed, 2, 0},
		{"text behind", "{} x", Options{}, KindMalformed, 3, 1},
		{"NUL in an object", "{\x00}", Options{}, KindMalformed, 1, 0},
		{"invalid UTF-8 outside strings", "{\"a\":\xff}", Options{}, KindMalformed, 5, 0},
		{"invalid UTF-8 refused", "[1,\"\xff\"]", Options{RejectInvalidUTF8: true}, KindMalformed, 3, 1},
		{"too deep", "[" + deep + "]", Options{Limits: Limits{Depth: 39}}, KindMalformed, 40, 0},
		{"too many events", "[1,2,3]", Options{Limits: Limits{Events: 2}}, KindTooLarge, 5, 2},
		{"too many copies", "[\"\xff\",\"\xff\"]", Options{Limits: Limits{ConvertedBytes: 5}}, KindTooLarge, 5, 1},
		{"wrapper cut in a key", `{"da`, Options{Wrapper: "data"}, KindMalformed, 4, 0},
		{"wrapper cut", `{"data":[1]`, Options{Wrapper: "data"}, KindMalformed, 11, 1},
		{"wrapper without colon", `{"data"[1]}`, Options{Wrapper: "data"}, KindMalformed, 7, 0},
		{"wrapper with trailing comma", `{"data":[1],}`, Options{Wrapper: "data"}, KindMalformed, 12, 1},
		{"broken beside the wrapper", `{"x":tru,"data":[1]}`, Options{Wrapper: "data"}, KindMalformed, 8, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := []Event{{Data: []byte("x")}}
			got, err := Split(before, []byte(tc.body), FormatJSON, tc.opt)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("unexpected error; got %v; want an *Error", err)
			}
			if e.Kind != tc.kind || e.Offset != tc.offset || e.Event != tc.event {
				t.Errorf("unexpected error; got %v, offset %d, event %d (%v); want %v, %d, %d", e.Kind, e.Offset, e.Event, e, tc.kind, tc.offset, tc.event)
			}
			if len(got) != 1 {
				t.Errorf("unexpected number of events; got %d; want 1, the one from before", len(got))
			}
		})
	}
}

// reference splits with encoding/json.
func reference(body []byte, depth int) (events []string, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(body))
	for {
		var raw json.RawMessage
		err := dec.Decode(&raw)
		if err == io.EOF {
			return events, true
		}
		if err != nil || nesting(raw) > depth {
			return nil, false
		}
		// It takes 0.0-00 for three numbers.
		if next := body[dec.InputOffset():]; endless(raw[0]) && len(next) > 0 && !separator(next[0]) && endless(next[0]) {
			return nil, false
		}
		if raw[0] != '[' {
			events = append(events, string(raw))
			continue
		}
		var elements []json.RawMessage
		if json.Unmarshal(raw, &elements) != nil {
			return nil, false
		}
		for _, e := range elements {
			events = append(events, string(e))
		}
	}
}

// nesting is the greatest depth of events, the top-level array not counted.
func nesting(raw []byte) int {
	deepest, depth, quoted := 0, 0, false
	if raw[0] == '[' {
		depth = -1
	}
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

func FuzzSplitJSON(f *testing.F) {
	for _, s := range []string{
		`[{"a":{"b":1}},{"c":{},"\u0061" : {"b":"x"},"a":{"b":"\u0061"}}]`,
		`[{"a":1},{"b":[2,{}]}]`, "{\"a\":1}\n{\"b\":2}\n", `{"a":"}{"}{"b":2}`, "\"a\" 1 true null -0.5e+7",
		"{\n  \"a b\": \"c d\",\r\n  \"x\": [ 1, 2 ]\n}", "[\"a\xff\xfeb\",1]", `["\ud83d\ude00\n\\\"\/"]`, "[1,]", "[[[[[[]]]]]]",
		`{"long string of more than eight bytes":"and\tanother one \u00e9 there 123456789"}`, "1e5 0.1 -0 10 1E-2", "[01]",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if bytes.ContainsAny(body, "\x00\x1e") || bytes.HasPrefix(body, []byte("\xef\xbb\xbf")) {
			t.Skip("encoding/json has no such separators")
		}
		const depth = 8
		want, ok := reference(body, depth)
		got, err := Split(nil, body, FormatJSON, Options{Limits: Limits{Depth: depth}, KeepLayout: true})
		var e *Error
		switch {
		case ok && err != nil:
			t.Fatalf("unexpected error for %q; got %v; want none", body, err)
		case !ok && err == nil:
			s := splitter{opt: &Options{Limits: Limits{Depth: depth}.withDefaults(), Arena: new(Arena)}, data: body, strict: true}
			if s.json() == nil && !closedStrings(texts(s.events)) {
				t.Fatalf("unexpected success for %q; got %q; want an error of the strict reader", body, texts(s.events))
			}
			for _, ev := range got {
				if !json.Valid(ev.Data) || !utf8.Valid(ev.Data) {
					t.Fatalf("unexpected event of %q; got %q; want JSON", body, ev.Data)
				}
			}
			return
		case err != nil:
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(body) {
				t.Fatalf("unexpected error for %q; got %#v; want an offset in the body", body, err)
			}
			return
		}
		if len(got) != len(want) {
			t.Fatalf("unexpected number of events in %q; got %d; want %d", body, len(got), len(want))
		}
		opt := Options{Limits: Limits{Depth: depth}, Path: []string{"a", "b"}}
		compact, err := Split(nil, body, FormatJSON, opt)
		if err != nil || len(compact) != len(want) {
			t.Fatalf("unexpected result for %q; got %d events, %v; want %d", body, len(compact), err, len(want))
		}
		for i, ev := range got {
			if w := strings.ToValidUTF8(want[i], "\ufffd"); utf8.ValidString(want[i]) && string(ev.Data) != w || !utf8.Valid(ev.Data) {
				t.Errorf("unexpected event %d of %q; got %q; want %q", i, body, ev.Data, w)
			}
			if !json.Valid(compact[i].Data) || bytes.ContainsAny(compact[i].Data, "\n\r") {
				t.Errorf("unexpected event %d of %q; got %q; want one line of JSON", i, body, compact[i].Data)
			}
			v, kind, ok := opt.Field(nil, &compact[i])
			if w, wk, wok := Lookup(nil, compact[i].Data, "a", "b"); !bytes.Equal(v, w) || kind != wk || ok != wok {
				t.Errorf("unexpected field of %q; got %q, %d; want %q, %d", compact[i].Data, v, kind, w, wk)
			}
			var a, b bytes.Buffer
			if json.Compact(&a, ev.Data) != nil || json.Compact(&b, compact[i].Data) != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
				t.Errorf("unexpected compact event %d of %q; got %q; want the same as %q", i, body, compact[i].Data, ev.Data)
			}
		}
	})
}

// closedStrings says whether there is a string among the events: encoding/json
// wants a space between top-level strings, this package does not.
func closedStrings(events []string) bool {
	return slices.ContainsFunc(events, func(s string) bool { return s[0] == '"' })
}

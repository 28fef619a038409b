// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// What shippers write for JSON is read as what they mean.
func TestNearlyJSONIsRead(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		opt        Options
		want       []string
	}{
		{"Fluent Bit's floats", "{\"v\":nan}\n{\"v\":-nan}\n{\"v\":inf}\n{\"v\":-inf}", Options{}, []string{`{"v":null}`, `{"v":null}`, `{"v":null}`, `{"v":null}`}},
		{"Python's floats", `[{"v": NaN, "w": [Infinity, -Infinity]}]`, Options{}, []string{`{"v": null, "w": [null, null]}`}},
		{"floats of others", `[+Inf,-nan(ind),nan(0x7ff),INFINITY,NAN]`, Options{}, []string{"null", "null", "null", "null", "null"}},
		{"keys that are numbers", `{1:2,-1.5e3:3,0:4}`, Options{}, []string{`{"1":2,"-1.5e3":3,"0":4}`}},
		{"keys that are literals", `{true:1,false:2,null:3}`, Options{}, []string{`{"true":1,"false":2,"null":3}`}},
		{"keys that are floats without a number", `{nan:1,-inf:2}`, Options{}, []string{`{"nan":1,"-inf":2}`}},
		{"keys that are arrays and objects", `{[1, "a"]:1,{"b":nan}:2}`, Options{}, []string{`{"[1,\"a\"]":1,"{\"b\":null}":2}`}},
		{"inner keys", `[{"a":[{1:{2:3}}]}]`, Options{}, []string{`{"a":[{"1":{"2":3}}]}`}},
		{"bytes", `{"x":"\x61\x22\x5c\x0a\x09\x0d\x01"}`, Options{}, []string{`{"x":"a\"\\\n\t\r\u0001"}`}},
		{"sign-extended bytes", `{"x":"\xffffff80\xffffffff\xfffffffe"}`, Options{}, []string{"{\"x\":\"\u0080\u00ff\u00fe\"}"}},
		{"bytes that are UTF-8", `{"x":"caf\xc3\xa9 \xE2\x82\xAC\xf0\x9f\x98\x80"}`, Options{}, []string{"{\"x\":\"caf\u00e9 \u20ac\U0001f600\"}"}},
		{"bytes that are not UTF-8", `{"x":"caf\xe9 \xff\x41"}`, Options{}, []string{"{\"x\":\"caf\u00e9 \u00ffA\"}"}},
		{"escapes as the documents show them", `["\xC3\xA9","\xff","\xC3"]`, Options{}, []string{"\"\u00e9\"", "\"\u00ff\"", "\"\u00c3\""}},
		{"many bytes", `"` + strings.Repeat(`\xe2\x82\xac`, 50) + `"`, Options{}, []string{`"` + strings.Repeat("\u20ac", 50) + `"`}},
		{"escapes of C", `{"x":"\a\v\'"}`, Options{}, []string{`{"x":"\u0007\u000b'"}`}},
		{"a tabulator in a string", "{\"x\":\"a\tb\rc\"}", Options{}, []string{`{"x":"a\tb\rc"}`}},
		{"invalid UTF-8 beside it", "{\"x\":nan,\"y\":\"\xff\"}", Options{}, []string{"{\"x\":null,\"y\":\"\ufffd\"}"}},
		{"pretty", "{\n  \"x\": nan,\n  1: [ 2 ]\n}\n", Options{}, []string{`{"x":null,"1":[2]}`}},
		{"pretty is kept on demand", "{\n  \"x\": nan\n}", Options{KeepLayout: true}, []string{"{\n  \"x\": null\n}"}},
		{"a name twice, as the last", `{1:"a","b":1,"1":"c","b":nan}`, Options{}, []string{`{"1":"c","b":null}`}},
		{"a name twice, escaped, within", `[{"x":{"a":nan,"\u0061":[{"k":1,"k":2}]}}]`, Options{}, []string{`{"x":{"\u0061":[{"k":2}]}}`}},
		{"many names", `{` + strings.Repeat(`"a":1,"b":2,`, 20) + `1:nan}`, Options{}, []string{`{"a":1,"b":2,"1":null}`}},
		{"names in what is JSON stay", `{"a":1,"a":2}`, Options{}, []string{`{"a":1,"a":2}`}},
		{"a string", `["\x41"]`, Options{UnquoteStrings: true}, []string{"A"}},
		{"newlines", "{\"x\":nan}\n{\"x\":inf}", Options{AppendNewline: true}, []string{"{\"x\":null}\n", "{\"x\":null}\n"}},
		{"wrapper", `{"n":nan,1:inf,"data":[{"x":nan},{2:3}]}`, Options{Wrapper: "data"}, []string{`{"x":null}`, `{"2":3}`}},
		{"no wrapper", `{"n":nan}`, Options{Wrapper: "data"}, []string{`{"n":null}`}},
		{"concatenated", `{"x":nan}{"x":1}nan{}`, Options{}, []string{`{"x":null}`, `{"x":1}`, "null", "{}"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Split(nil, []byte(tc.body), FormatJSON, tc.opt)
			if err != nil || !slices.Equal(texts(got), tc.want) {
				t.Fatalf("unexpected events; got %q, %v; want %q", texts(got), err, tc.want)
			}
		})
	}
}

// The key of an event is found in what was mended, too.
func TestFieldOfNearlyJSON(t *testing.T) {
	opt := Options{Path: []string{"k"}}
	got, err := Split(nil, []byte(`{"x":nan,"k":"a"}{"k":"b"}{"k":"c",1:2}`), FormatJSON, opt)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for i := range got {
		v, _, _ := opt.Field(nil, &got[i])
		keys = append(keys, string(v))
	}
	if !slices.Equal(keys, []string{"a", "b", "c"}) {
		t.Errorf("unexpected keys; got %q; want a, b and c", keys)
	}
}

// What is not clear stays refused.
func TestNotEvenNearlyJSON(t *testing.T) {
	for _, body := range []string{
		`{"v":nanx}`, `{"v":information}`, `{"v":-}`, `{"v":nan(}`, `["\x6"]`, `["\xg1"]`, `["\q"]`, "[\"a\nb\"]", "[\"a\x00b\"]", `{"v":Nan0}`,
		`{[[[{{1:1}:1}]]]:1`, `{{{{{1:1}:1}:1}:1}:1}`, `{"a":undefined}`, `{a:1}`, `{:1}`, `{"a":nan,}`, `{1}`,
	} {
		got, err := Split(nil, []byte(body), FormatJSON, Options{})
		if err == nil {
			t.Errorf("unexpected events of %s; got %q; want an error", body, texts(got))
			continue
		}
		wantKind(t, err, KindMalformed)
	}
	_, err := Split(nil, []byte("[\"\\x41\xff\"]"), FormatJSON, Options{RejectInvalidUTF8: true})
	wantKind(t, err, KindMalformed)
	_, err = Split(nil, []byte(`[{1:[[]]}]`), FormatJSON, Options{Limits: Limits{Depth: 2}})
	wantKind(t, err, KindMalformed)
}

// fluentBitOdd is what a real Fluent Bit 5.1.1 makes of records with floats, keys, bytes
// and extension types that JSON does not have; see TestFluentBitOddRecords of vector.
func fluentBitOdd(t testing.TB, format string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "fluentbit", "odd_"+format+".bin"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFluentBitOddRecords(t *testing.T) {
	const records = 30
	for format, f := range map[string]Format{"json": FormatJSON, "json_lines": FormatJSON, "json_stream": FormatJSON, "msgpack": FormatMsgpack} {
		t.Run(format, func(t *testing.T) {
			got, err := Split(nil, fluentBitOdd(t, format), f, Options{})
			if err != nil || len(got) != records {
				t.Fatalf("unexpected events; got %d, %v; want %d", len(got), err, records)
			}
			for i, ev := range got {
				var v struct{ N int }
				if err := json.Unmarshal(ev.Data, &v); err != nil || v.N != i || ev.Kind != EventJSON {
					t.Errorf("unexpected event %d; got %q, %v; want JSON with its number", i, ev.Data, err)
				}
			}
			want := map[int]string{
				0: `"n":0,"x":null}`, 3: `"n":3,"x":null}`, 4: `"n":4,"1":"x"}`, 6: `"n":6,"true":"x"}`, 8: `"n":8,"null":"x"}`,
				12: `"n":12,"[1,2]":"x"}`, 13: `"n":13,"{\"a\":1}":"x"}`,
			}
			if f == FormatJSON {
				want[14], want[15], want[17] = `"n":14,"x":"a"}`, "\"n\":15,\"x\":\"\u0080\u00ff\"}", "\"n\":17,\"\u0080\\\"\":\"x\"}"
				want[25] = `"n":25,"1":"c"}`
			}
			for i, end := range want {
				if !strings.HasSuffix(string(got[i].Data), end) {
					t.Errorf("unexpected event %d; got %s; want ...%s", i, got[i].Data, end)
				}
			}
		})
	}
}

// brokenSplit splits with Options.Broken and marks what is broken with !.
func brokenSplit(t testing.TB, body []byte, f Format, opt Options) ([]string, []Error, error) {
	t.Helper()
	var broken []Error
	opt.Broken = &broken
	got, err := Split(nil, body, f, opt)
	var out []string
	n := 0
	for _, ev := range got {
		mark := ""
		if ev.Kind == EventBroken {
			mark = "!"
			n++
		}
		out = append(out, mark+string(ev.Data))
	}
	if n != len(broken) {
		t.Errorf("unexpected errors for %q; got %d; want %d", body, len(broken), n)
	}
	return out, broken, err
}

// What cannot be read costs its own line or element only.
func TestBrokenEventsCostThemselves(t *testing.T) {
	deep := strings.Repeat("[", 200) + strings.Repeat("]", 200)
	for _, tc := range []struct {
		name, body string
		f          Format
		opt        Options
		want       []string
	}{
		{"a line", "{\"a\":1}\n{\"v\":x}\n{\"b\":2}\n", FormatJSON, Options{}, []string{`{"a":1}`, `!{"v":x}`, `{"b":2}`}},
		{"a line that is cut off", "{\"a\":1}\n{\"v\":\"x\n{\"b\":2}\n", FormatJSON, Options{}, []string{`{"a":1}`, `!{"v":"x`, `{"b":2}`}},
		{"lines that are cut off", "{\"v\":[\n{\"v\":\"x\r\n\r\n{\"b\":2}", FormatJSON, Options{}, []string{`!{"v":[`, `!{"v":"x`, `{"b":2}`}},
		{"a line of text", "{\"a\":1}\npanic: x [recovered\n{\"b\":2}\n", FormatJSON, Options{}, []string{`{"a":1}`, `!panic: x [recovered`, `{"b":2}`}},
		{"the first line", "panic: x\n{\"b\":2}\n", FormatJSON, Options{}, []string{`!panic: x`, `{"b":2}`}},
		{"the last line", "{\"a\":1}\n{\"b\":", FormatJSON, Options{}, []string{`{"a":1}`, `!{"b":`}},
		{"a line before one of no object", "{\"a\":\n1\n\"x\"\n{}", FormatJSON, Options{}, []string{`!{"a":`, "1", `"x"`, "{}"}},
		{"a bracket too many", "{\"a\":1}}\n{\"b\":2}", FormatJSON, Options{}, []string{`!{"a":1}}`, `{"b":2}`}},
		{"something behind", "{\"a\":1} x y\n{\"b\":2}", FormatJSON, Options{}, []string{`!{"a":1} x y`, `{"b":2}`}},
		{"numbers run together", "1true\n2", FormatJSON, Options{}, []string{"!1true", "2"}},
		{"concatenated", `{"a":1}{"v":x}{"b":2}`, FormatJSON, Options{}, []string{`{"a":1}`, `!{"v":x}`, `{"b":2}`}},
		{"GELF", "{\"a\":1}\x00{\"v\":\"x\x00{\"b\":2}\x00", FormatJSON, Options{}, []string{`{"a":1}`, `!{"v":"x`, `{"b":2}`}},
		{"pretty", "{\n \"a\": {\n  \"b\": x\n }\n}\n{\n \"c\": 1\n}", FormatJSON, Options{}, []string{"!{\n \"a\": {\n  \"b\": x\n }\n}", `{"c":1}`}},
		{"pretty and cut off", "{\n \"a\": {\n  \"b\": \n{\n \"c\": 1\n}", FormatJSON, Options{}, []string{"!{\n \"a\": {\n  \"b\":", `{"c":1}`}},
		{"an element", `[{"a":1},{"v":x},{"b":2}]`, FormatJSON, Options{}, []string{`{"a":1}`, `!{"v":x}`, `{"b":2}`}},
		{"elements", `[ x , {"v":"]},"x} , {"b":2}, y ][{"c":3}]`, FormatJSON, Options{}, []string{"!x", `!{"v":"]},"x}`, `{"b":2}`, "!y", `{"c":3}`}},
		{"no comma", `[{"a":1} {"b":2},{"c":3}]`, FormatJSON, Options{}, []string{`{"a":1}`, `{"b":2}`, `{"c":3}`}},
		{"nothing between commas", `[,{"a":1},,{"b":2},]`, FormatJSON, Options{}, []string{`{"a":1}`, `{"b":2}`}},
		{"pretty elements", "[\n {\"v\": \"x},\n {\"a\": 1}\n]", FormatJSON, Options{}, []string{"!{\"v\": \"x}", `{"a": 1}`}},
		{"an array that is cut off", `[{"a":1},{"b":`, FormatJSON, Options{}, []string{`{"a":1}`, `!{"b":`}},
		{"an array that is cut off between elements", `[{"a":1},{"b":2}`, FormatJSON, Options{}, []string{`{"a":1}`, `{"b":2}`}},
		{"an array that is cut off behind a comma", `[{"a":1},`, FormatJSON, Options{}, []string{`{"a":1}`}},
		{"an array that is cut off within a number", `[{"a":1},12`, FormatJSON, Options{}, []string{`{"a":1}`, "!12"}},
		{"an array that is cut off within a number, with newlines", `[1,12`, FormatJSON, Options{AppendNewline: true}, []string{"1\n", "!12"}},
		{"an array that is cut off at once", "{\"a\":1}\n[ ", FormatJSON, Options{}, []string{`{"a":1}`, "!["}},
		{"a wrapper that is cut off behind an event", `{"data":[{"a":1}`, FormatJSON, Options{Wrapper: "data"}, []string{`{"a":1}`}},
		{"a wrapper that is cut off behind a comma", `{"data":[{"a":1},`, FormatJSON, Options{Wrapper: "data"}, []string{`{"a":1}`}},
		{"a wrapper that is cut off behind its array", `{"data":[{"a":1}]`, FormatJSON, Options{Wrapper: "data"}, []string{`{"a":1}`}},
		{"a wrapper that is cut off behind its value", `{"data":{"a":1}`, FormatJSON, Options{Wrapper: "data"}, []string{`{"a":1}`}},
		{"a wrapper that is cut off within an event", `{"data":[{"a":1},{"b":`, FormatJSON, Options{Wrapper: "data"}, []string{`{"a":1}`, `!{"b":`}},
		{"a wrapper that is cut off within a number", `{"data":[1`, FormatJSON, Options{Wrapper: "data"}, []string{"!1"}},
		{"a wrapper of a number that is cut off", `{"data":12`, FormatJSON, Options{Wrapper: "data"}, []string{"!12"}},
		{"a wrapper that is cut off before its events", `{"data":[1]}{"data":[`, FormatJSON, Options{Wrapper: "data"}, []string{"1", `!{"data":[`}},
		{"a wrapper that is cut off before its value", `{"data":`, FormatJSON, Options{Wrapper: "data"}, []string{`!{"data":`}},
		{"a wrapper of nothing that is cut off", `{"data":[]`, FormatJSON, Options{Wrapper: "data"}, []string{`!{"data":[]`}},
		{"a wrapper whose array is not closed", `{"data":[{"a":1},{"b":2}}`, FormatJSON, Options{Wrapper: "data"}, []string{`{"a":1}`, `!{"b":2}}`}},
		{"a wrapper that is cut off beside its events", `{"data":[{"a":1}],"n":12`, FormatJSON, Options{Wrapper: "data"}, []string{`{"a":1}`}},
		{"too deep", `[{"a":1},` + deep + `,{"b":2}]`, FormatJSON, Options{}, []string{`{"a":1}`, "!" + deep, `{"b":2}`}},
		{"invalid UTF-8", "[{\"a\":1},\"\xff\",{\"b\":2}]", FormatJSON, Options{RejectInvalidUTF8: true}, []string{`{"a":1}`, "!\"\xff\"", `{"b":2}`}},
		{"in a wrapper", `{"n":1,"data":[{"a":1},{"v":x},{"b":2}]}{"c":3}`, FormatJSON, Options{Wrapper: "data"}, []string{`{"a":1}`, `!{"v":x}`, `{"b":2}`, `{"c":3}`}},
		{"one value in a wrapper", `{"data":{"v":x}}{"c":3}`, FormatJSON, Options{Wrapper: "data"}, []string{`!{"v":x}`, `{"c":3}`}},
		{"beside a wrapper", `{"n":x,"data":[1]}{"c":3}`, FormatJSON, Options{Wrapper: "data"}, []string{`!{"n":x,"data":[1]}`, `{"c":3}`}},
		{"behind a wrapper", `{"data":[1],"n":x}{"c":3}`, FormatJSON, Options{Wrapper: "data"}, []string{"1", `!"n":x}`, `{"c":3}`}},
		{"without a content type", `[{"a":1},{"v":x},{"b":2}]`, FormatAuto, Options{}, []string{`{"a":1}`, `!{"v":x}`, `{"b":2}`}},
		{"MessagePack", "\x81\xa1a\x01\x92\x01\x05\x81\xa1b\x02", FormatMsgpack, Options{}, []string{`{"a":1}`, "!\x92\x01\x05", `{"b":2}`}},
		{"MessagePack, cut off", "\x81\xa1a\x01\x81\xa1", FormatMsgpack, Options{}, []string{`{"a":1}`, "!\x81\xa1"}},
		{"MessagePack, in an array", "\x93\x81\xa1a\x01\x92\x01\x05\x81\xa1b\x02", FormatMsgpack, Options{}, []string{`{"a":1}`, "!\x92\x01\x05", `{"b":2}`}},
		{
			"MessagePack, too deep", "\x81\xa1a\x01\x81\xa1v" + strings.Repeat("\x91", 2000) + "\x01\x81\xa1b\x02", FormatMsgpack,
			Options{},
			[]string{`{"a":1}`, "!\x81\xa1v" + strings.Repeat("\x91", 2000) + "\x01", `{"b":2}`},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, broken, err := brokenSplit(t, []byte(tc.body), tc.f, tc.opt)
			if err != nil || !slices.Equal(got, tc.want) {
				t.Fatalf("unexpected events; got %.300q, %v; want %.300q", got, err, tc.want)
			}
			for _, e := range broken {
				if e.Kind != KindMalformed || e.Offset < 0 || e.Offset > len(tc.body) || tc.want[e.Event][0] != '!' {
					t.Errorf("unexpected error; got %+v; want one of a broken event", e)
				}
			}
		})
	}
}

// A limit holds for what is broken, too, and an error leaves nothing behind.
func TestBrokenEventsAreLimited(t *testing.T) {
	broken := []Error{{Detail: "before"}}
	_, err := Split(nil, []byte("x\nx\nx\n"), FormatJSON, Options{Broken: &broken, Limits: Limits{Events: 2}})
	wantKind(t, err, KindTooLarge)
	if len(broken) != 1 {
		t.Errorf("unexpected errors; got %d; want the one from before", len(broken))
	}
}

// Where the first guess of an end is always wrong, a body is not read again and again: each
// line is read by itself then.
func TestBrokenEventsCostLinearTime(t *testing.T) {
	for name, unit := range map[string]string{
		"objects over lines": `{"a":[` + "\n" + strings.Repeat(`[ "xxxxxxxxxxxxxxxx" ],`+"\n", 4000),
		"arrays over lines":  "[\"a\",\n",
		"elements":           `{"id":"1},{"id":2,`,
		"elements by lines":  "{\"id\":\"1},\n",
		"scalars":            "x,",
		"half objects":       `{"a":"1},{`,
	} {
		for _, prefix := range []string{"", "["} {
			n := (1 << 20) / len(unit)
			var broken []Error
			s := splitter{opt: &Options{Limits: Limits{Events: 1 << 22}.withDefaults(), Arena: new(Arena), Broken: &broken}, data: []byte(prefix + strings.Repeat(unit, n))}
			if err := s.json(); err != nil || len(broken) == 0 {
				t.Errorf("unexpected result for %s; got %d broken, %v; want some and no error", name, len(broken), err)
			}
			if most := 4 * s.mayReread(); s.reread > most {
				t.Errorf("unexpected work for %s; got %d bytes read again; want at most %d", name, s.reread, most)
			}
		}
	}
}

// A line that is damaged costs itself, whatever it looks like, and nothing of it is an event.
func TestDamagedLinesCostThemselves(t *testing.T) {
	for _, line := range []string{
		"[", `[{"x":1},{"y":`, `["a" foo`, `["a",`, `{"a":`, `{`, `{"a":[{"x":1},{"y":2}`, `{"id": 1}, "v": {"x":7}}`, "[12:30:01] foo", "[1] foo", "[error] [pid 12]", "[12] [error] x",
		`[12] {"a":1} foo`, `{"m":"5" pipe"}`, `{"m":"a"b}c","d":{"e":1}}`, `{"a":1} took 5 ms`, "panic: x", `"a" "b`, `{"id":2,"l":[{"x":1},{"y":2}],"m":"a"b"}`, `{"a":1}}`, `[{"x":1}`, `[{"x":1},`, `{"a":1,`, `}`, `]`,
	} {
		for _, opt := range []Options{{}, {Wrapper: "data"}} {
			const n = 50
			for _, at := range []int{0, 1, n - 1, n} {
				var body []byte
				var want []string
				for i := range n + 1 {
					if i == at {
						body, want = append(body, line+"\n"...), append(want, "!"+line)
					}
					if i < n {
						one := fmt.Sprintf(`{"id":%d}`, i)
						body, want = append(body, one+"\n"...), append(want, one)
					}
				}
				if at == n {
					want[n] = "!" + line
				}
				got, _, err := brokenSplit(t, body, FormatJSON, opt)
				for i := range got {
					got[i] = strings.TrimRight(got[i], "\n")
				}
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("unexpected events with %q as line %d; got %.200q, %v; want it broken and the others whole", line, at, got, err)
				}
			}
		}
	}
}

// A damaged element costs itself, though quotes and brackets are missing.
func TestDamagedElementsCostThemselves(t *testing.T) {
	for _, tc := range []struct {
		body string
		want []string
	}{
		{`[{"m":"a"},{"m":"5" pipe"},{"m":"c"},{"m":"d"}]`, []string{`{"m":"a"}`, `!{"m":"5" pipe"}`, `{"m":"c"}`, `{"m":"d"}`}},
		{`[{"id":1},{"id":"2},{"id":3},{"id":4}]`, []string{`{"id":1}`, `!{"id":"2}`, `{"id":3}`, `{"id":4}`}},
		{`[{"id":1},{"id":2,{"id":3},{"id":4}]`, []string{`{"id":1}`, `!{"id":2`, `{"id":3}`, `{"id":4}`}},
		{`[{"id":1} {"id":2} {"id":3}]`, []string{`{"id":1}`, `{"id":2}`, `{"id":3}`}},
		{`[{"id":1},{"id":2} {"id":3},{"id":4}]`, []string{`{"id":1}`, `{"id":2}`, `{"id":3}`, `{"id":4}`}},
		{`[{"id":"1},{"id":2},{"id":"3},{"id":4},{"id":"5}]`, []string{`!{"id":"1}`, `{"id":2}`, `!{"id":"3}`, `{"id":4}`, `!{"id":"5}]`}},
		{`[{"v":x},{"v":y},{"id":3}]`, []string{`!{"v":x}`, `!{"v":y}`, `{"id":3}`}},
		{`[{"id":2,"l":[{"x":1},{"y":2},{"z":"a"b"}]},{"id":3}]`, []string{`!{"id":2,"l":[{"x":1},{"y":2},{"z":"a"b"}]}`, `{"id":3}`}},
		{"[\n{\"id\":1},\nfoo\n{\"id\":2},\n{\"id\":3}\n]", []string{`{"id":1}`, "!foo", `{"id":2}`, `{"id":3}`}},
		{"[\n {\"id\":1},\n {\"id\":\"2},\n {\"id\":3}\n]\n", []string{`{"id":1}`, `!{"id":"2}`, `{"id":3}`}},
		{"[{\"id\":1},{\"id\":x},{\"id\":3}]\n[{\"id\":4},{\"id\":5}]\n", []string{`{"id":1}`, `!{"id":x}`, `{"id":3}`, `{"id":4}`, `{"id":5}`}},
		{"[\n {\"id\":1},\n {\"id\":2}\n", []string{"![", `{"id":1}`, `{"id":2}`}},
		{`[1,x,"a"]`, []string{"1", "!x", `"a"`}},
		{`{"id":1}{"id":"2}{"id":3}{"id":4}`, []string{`{"id":1}`, `!{"id":"2}`, `{"id":3}`, `{"id":4}`}},
	} {
		if got, _, err := brokenSplit(t, []byte(tc.body), FormatJSON, Options{}); err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("unexpected events of %q; got %q, %v; want %q", tc.body, got, err, tc.want)
		}
	}
}

// Without a content type, what is not JSON as a whole is text as it is, whatever comes first.
func TestTextByTurnsStaysAsItIs(t *testing.T) {
	for body, want := range map[string][]string{
		"{\"a\":1} took 5 ms\n{\"b\":2} took 6 ms\n":              {`{"a":1} took 5 ms`, `{"b":2} took 6 ms`},
		"{\"level\":\"in\npanic: x\ngoroutine 1\n{\"b\":1}\n":     {`{"level":"in`, "panic: x", "goroutine 1", `{"b":1}`},
		"{\"a\":1,\nfoo\n{\"b\":2}\n":                             {`{"a":1,`, "foo", `{"b":2}`},
		"{\n \"a\":1\n}\npanic: x\n{\n \"b\":2\n}\n":              {`{"a":1}`, "panic: x", `{"b":2}`},
		"{\"a\":1\n{\"b\":2}\n{\"c\":3}\n":                        {`{"a":1`, `{"b":2}`, `{"c":3}`},
		"[\n{\"b\":2}\n{\"c\":3}\n":                               {"[", `{"b":2}`, `{"c":3}`},
		"{\"a\":1}\n[1] foo\n{\"id\": 1}, \"v\": {\"x\":7}}\n[\n": {`{"a":1}`, "[1] foo", `{"id": 1}, "v": {"x":7}}`, "["},
		"[{\"a\":1},\n {\"b\":2}]\r\nfoo":                         {`{"a":1}`, `{"b":2}`, "foo"},
		"{\n \"a\":1\n} took 5 ms\nfoo\n":                         {"{", ` "a":1`, "} took 5 ms", "foo"},
	} {
		for _, broken := range []*[]Error{nil, new([]Error)} {
			got, err := Split(nil, []byte(body), FormatAuto, Options{Broken: broken})
			if err != nil || !slices.Equal(texts(got), want) || broken != nil && len(*broken) > 0 {
				t.Errorf("unexpected events of %q; got %q, %v; want %q", body, texts(got), err, want)
			}
		}
	}
}

// Lines whose content type says nothing are lines, whatever the first one looks like.
func TestLinesThatBeginWithJSON(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		opt        Options
		want       []string
		kinds      string
	}{
		{"JSON, then text", "{\"level\":\"info\"}\npanic: x\n", Options{}, []string{`{"level":"info"}`, "panic: x"}, "jt"},
		{
			"text that looks like values", "{\"a\":1}\n 12 \"x\" y\r\n\n[error] z\n\tat (x.go:1)\n{\"b\":2}{\"c\":nan}\n{\"d\":\n",
			Options{},
			[]string{`{"a":1}`, ` 12 "x" y`, "[error] z", "\tat (x.go:1)", `{"b":2}`, `{"c":null}`, `{"d":`},
			"jtttjjt",
		},
		{"empty lines are kept on demand", "{\"a\":1}\n\nx", Options{KeepEmptyLines: true}, []string{`{"a":1}`, "", "x"}, "jtt"},
		{"newlines", "{\"a\":1}\nx", Options{AppendNewline: true}, []string{"{\"a\":1}\n", "x\n"}, "jt"},
		{"an array, then text", "[{\"a\":1},{\"b\":2}]\nx\n", Options{}, []string{`{"a":1}`, `{"b":2}`, "x"}, "jjt"},
		{"a byte order mark", "\ufeff{\"a\":1}\nx\n", Options{}, []string{`{"a":1}`, "x"}, "jt"},
		{"a key that is no string, in text", "\"GET\" {1:2,\"data\":[3]}\n", Options{Wrapper: "data"}, []string{"\"GET\" {1:2,\"data\":[3]}"}, "t"},
		{"braces that are no JSON", "{main} started\n{\"a\":1}\n", Options{}, []string{"{main} started", `{"a":1}`}, "tt"},
		{"white space at the end", "{0\n0\n ", Options{}, []string{"{0", "0", " "}, "ttt"},
		{"pretty JSON", "{\n\"a\": 1\n}\n", Options{}, []string{`{"a":1}`}, "j"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, isolate := range []bool{false, true} {
				if isolate {
					tc.opt.Broken = new([]Error)
				}
				got, err := Split(nil, []byte(tc.body), FormatAuto, tc.opt)
				if err != nil || !slices.Equal(texts(got), tc.want) {
					t.Fatalf("unexpected events; got %q, %v; want %q", texts(got), err, tc.want)
				}
				for i, ev := range got {
					if kind := map[byte]EventKind{'j': EventJSON, 't': EventText}[tc.kinds[i]]; ev.Kind != kind {
						t.Errorf("unexpected kind of %q; got %d; want %d", ev.Data, ev.Kind, kind)
					}
				}
			}
		})
	}
}

// wellFormed tells whether v is JSON in UTF-8, of which all names are strings, and whether
// one may occur twice in its object.
func wellFormed(v []byte) (ok, twice bool) {
	if !json.Valid(v) || !utf8.Valid(v) {
		return false, false
	}
	return true, repeats(v)
}

// FuzzLenient compares the lenient reader with the strict one: what the strict one takes
// has the same bytes, and what the lenient one takes is JSON.
func FuzzLenient(f *testing.F) {
	for _, s := range []string{
		`{"v":nan,1:-inf,true:"\x61\xffffff80",[1]:{null:NaN}}`, `{"a" : [1,2.5e-3,{}],"b":"\u0061\n"}`, "{\n\"a\": Infinity\n}", "{\"a\":\"\t\xff\"}",
		`{"a":1,"\u0061":nan}`, `["\xe2\x82\xac\xe2"]`, "nan(0x1)", `{"a":`, `[1,]`,
	} {
		f.Add([]byte(s))
	}
	for _, format := range []string{"json", "json_lines", "json_stream"} {
		f.Add(fluentBitOdd(f, format))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		const depth = 6
		body = body[skipSpace(body, 0):] // no value is begun at a space
		s := splitter{opt: &Options{Limits: Limits{Depth: depth}.withDefaults(), Arena: new(Arena), KeepLayout: true}, data: body}
		strict := scanner{b: body, limit: depth}
		end := strict.value(0)
		m := mender{b: body, limit: depth, sc: scanner{b: body}}
		got, mended := m.value(nil, 0, 0)
		if end >= 0 {
			want := appendClean(nil, body[:end], false)
			if mended != end || !bytes.Equal(got, want) {
				t.Fatalf("unexpected JSON of %q; got %q to %d; want %q to %d", body, got, mended, want, end)
			}
			return
		}
		if mended < 0 {
			return
		}
		if ok, _ := wellFormed(got); !ok {
			t.Fatalf("unexpected JSON of %q; got %q; want valid JSON with strings as names", body, got)
		}
		sc := scanner{b: body, limit: depth}
		if end, err := s.mend(&sc, 0); err != nil || end != mended {
			t.Fatalf("unexpected end of %q; got %d, %v; want %d", body, end, err, mended)
		}
		if ok, twice := wellFormed(s.events[0].Data); !ok || twice {
			t.Fatalf("unexpected event of %q; got %q; want valid JSON with each name once", body, s.events[0].Data)
		}
	})
}

// FuzzStrict compares whole bodies: the lenient reader makes the events of the strict one,
// whatever the options, and whether a broken part costs the body or only itself.
func FuzzStrict(f *testing.F) {
	for i, s := range []string{
		`[{"a":{"b":1}},{"c":{},"\u0061" : 2}]`, "{\n \"a\": 1\n}\n{\"a\":2}", `{"n":{"a":1},"data":[{"a":1}, "x",[2]],"data":3}{"a":[]}`, "\"x\\ny\" \"\xff\"\r\n1 true",
		"\ufeff{\"a\":1}\x00{\"a\":2}\x00\x1e\ufeff[]", `{"data" : []}`, "{\"a\":1,\"a\":\"\xff\\n\"}", `{"a":1},{"a":2}`, `{"data":{"a":nan}}`,
	} {
		for bit := range 6 {
			f.Add([]byte(s), uint8(1<<bit|i))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, options uint8) {
		on := func(bit int) bool { return options>>bit&1 != 0 }
		opt := Options{Limits: Limits{Depth: 8, Events: 1000}.withDefaults(), KeepLayout: on(0), AppendNewline: on(1), UnquoteStrings: on(2), RejectInvalidUTF8: on(3), Arena: new(Arena)}
		if on(4) {
			opt.Path = []string{"a", "b"}
		}
		if on(5) {
			opt.Wrapper = "data"
		}
		s := splitter{opt: &opt, data: bytes.Clone(body), strict: true}
		if s.json() != nil {
			return
		}
		for _, broken := range []*[]Error{nil, new([]Error)} {
			lenient := opt
			lenient.Arena, lenient.Broken = nil, broken
			got, err := Split(nil, body, FormatJSON, lenient)
			if err != nil || broken != nil && len(*broken) > 0 || len(got) != len(s.events) {
				t.Fatalf("unexpected events of %q, %+v; got %q, %v; want %q", body, lenient, texts(got), err, texts(s.events))
			}
			for i := range got {
				g, w := &got[i], &s.events[i]
				if g.Kind != w.Kind || !bytes.Equal(g.Data, w.Data) {
					t.Fatalf("unexpected event %d of %q, %+v; got %q, %d; want %q, %d", i, body, lenient, g.Data, g.Kind, w.Data, w.Kind)
				}
				v, kind, ok := lenient.Field(nil, g)
				if wv, wk, wok := opt.Field(nil, w); !bytes.Equal(v, wv) || kind != wk || ok != wok {
					t.Fatalf("unexpected field of event %d of %q, %+v; got %q, %d, %t; want %q, %d, %t", i, body, lenient, v, kind, ok, wv, wk, wok)
				}
			}
		}
	})
}

// FuzzBroken splits anything with Options.Broken: what the body has is in an event, the
// rest is JSON.
func FuzzBroken(f *testing.F) {
	for _, s := range []string{
		"{\"a\":1}\n{\"v\":x}\n{\"b\":2}\n", `[{"a":1},{"v":"]},"x},{"b":2}`, "{\"data\":[1,x],\"n\":y}", "\x81\xa1a\x01\x92\x01\x05\x81\xa1b\x02", "{\"a\":1}\npanic: x\n",
	} {
		for f1 := range FormatVector + 1 {
			f.Add([]byte(s), uint8(f1))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, format uint8) {
		f := Format(format % uint8(FormatVector+1))
		for _, wrapper := range []string{"", "data"} {
			opt := Options{Limits: Limits{Depth: 8, Events: 1000}, Wrapper: wrapper, Path: []string{"a"}}
			strict, err := Split(nil, body, f, opt)
			opt.Broken = new([]Error)
			got, isolated := Split(nil, body, f, opt)
			if err == nil && (isolated != nil || !slices.Equal(texts(got), texts(strict))) {
				t.Fatalf("unexpected events of %q; got %q, %v; want %q", body, texts(got), isolated, texts(strict))
			}
			n := 0
			for i := range got {
				ev := &got[i]
				if ev.Kind == EventBroken {
					if len(ev.Data) == 0 {
						t.Fatalf("unexpected broken event of %q; got no data", body)
					}
					if e := (*opt.Broken)[n]; e.Event != i || e.Kind != KindMalformed || !bytes.Contains(body, ev.Data) {
						t.Fatalf("unexpected broken event of %q; got %q, %+v", body, ev.Data, e)
					}
					n++
				}
				if ok, _ := wellFormed(ev.Data); ev.Kind == EventJSON && !ok {
					t.Fatalf("unexpected event of %q; got %q; want JSON", body, ev.Data)
				}
				_, _, _ = opt.Field(nil, ev)
			}
			if n != len(*opt.Broken) {
				t.Fatalf("unexpected errors of %q; got %d; want %d", body, len(*opt.Broken), n)
			}
		}
	})
}

// FuzzDamagedLine puts a line of anything between lines of JSON. None of those is missing.
func FuzzDamagedLine(f *testing.F) {
	for _, s := range []string{"[", `[{"x":1},{"y":`, `["a",`, `{"a":"x`, `{"id": 1}, "v": {"x":7}}`, "[1] foo", "{\x00[", "[{\x00A", `[{"a":1},{"b":"2},{"c":3}]`} {
		f.Add([]byte(s), uint8(0))
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, line []byte, at uint8) {
		if bytes.IndexByte(line, '\n') >= 0 {
			t.Skip("more than a line")
		}
		for _, wrapper := range []string{"", "data"} {
			const n = 4
			var body []byte
			for i := range n + 1 {
				if i == int(at)%(n+1) {
					body = append(append(body, line...), '\n')
				}
				if i < n {
					body = fmt.Appendf(body, "{\"valid\":%d}\n", i)
				}
			}
			got, _, err := brokenSplit(t, body, FormatJSON, Options{Wrapper: wrapper, Limits: Limits{Depth: 8}})
			if err != nil {
				t.Fatalf("unexpected error for %q; got %v; want none", body, err)
			}
			i := 0
			for _, ev := range got {
				if ev == fmt.Sprintf(`{"valid":%d}`, i) {
					i++
				}
			}
			if i < n && !bytes.Contains(line, []byte("valid")) {
				t.Fatalf("unexpected events of %q; got %q; want line %d of JSON", body, got, i)
			}
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package body_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/vector/internal/body"
)

func TestShape(t *testing.T) {
	for _, c := range []struct {
		name string
		keys []string
		dots string
		in   string
		want string
	}{
		{"keys are kept in the order of the event", []string{"c", "a"}, "", `{"a":1,"b":{"a":2},"c":[3]}`, `{"a":1,"c":[3]}`},
		{"the last of equal keys is kept", []string{"a"}, "", `{"a":1,"b":2,"a":3}`, `{"a":3}`},
		{"keys that are equal once dots are replaced", nil, "_", `{"a.b":[{"c.d":1,"x":"\"}","c_d":2}],"a_b" : 3,"a.c":4,"a\u002ec":5}`, `{"a_b":3,"a_c":5}`},
		{"equal keys in nested objects", nil, "_", `{"m":[{"c.d":1,"x":"\"}","c_d":{ "a" : [1 , 2] }}]}`, `{"m":[{"x":"\"}","c_d":{"a":[1,2]}}]}`},
		{"keys are compared without escapes", []string{"a b"}, "", `{"a\u0020b":1,"ab":2}`, `{"a\u0020b":1}`},
		{"nothing is left", []string{"x"}, "", `{"a":1}`, `{}`},
		{"values stay as they came", []string{"n", "s"}, "", `{ "n" : 1.10e+2 , "s": "\u00e9 {" }`, `{"n":1.10e+2,"s":"\u00e9 {"}`},
		{"dots at every level", nil, "_", `{"a.b":{"c.d":[{"e.f":"g.h"}]},"i":1.5}`, `{"a_b":{"c_d":[{"e_f":"g.h"}]},"i":1.5}`},
		{"dots that are escaped", nil, "_", `{"a\u002eb\u002Ec\n\"\\.d":1}`, `{"a_b_c\n\"\\_d":1}`},
		{"text for dots needs escapes", nil, `"`, `{"a.b":1}`, `{"a\"b":1}`},
		{"several bytes for a dot", nil, "->", `{"a.b":[]}`, `{"a->b":[]}`},
		{"keys are named as in the event", []string{"a.b"}, "_", `{"a.b":{"c.d":1},"a_b":2}`, `{"a_b":{"c_d":1}}`},
		{"empty containers", nil, "_", `{"a.b":{},"c.d":[ ],"e":[{}]}`, `{"a_b":{},"c_d":[],"e":[{}]}`},
		{"empty object", []string{"a"}, "_", `{ }`, `{}`},
		{"a newline behind it stays", []string{"a"}, "", "{\"a\":1,\"b\":2}\n", "{\"a\":1}\n"},
		{"an array has no keys to keep", []string{"a"}, "_", `[{"a.b":1}]`, `[{"a_b":1}]`},
		{"a string stays", []string{"a"}, "_", `"a.b"`, `"a.b"`},
		{"a number stays", []string{"a"}, "_", "1.5\n", "1.5\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(body.NewShape(c.keys, c.dots).Append([]byte("x"), []byte(c.in))); got != "x"+c.want {
				t.Errorf("unexpected event; got %s; want %s", got[1:], c.want)
			}
		})
	}
	if s := body.NewShape(nil, ""); s != nil {
		t.Error("unexpected shape that changes nothing; want nil")
	}
}

// shaped is what Shape does, on decoded values. Of equal keys the last one counts.
func shaped(v any, keys []string, dots string) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			if len(keys) > 0 && !strings.Contains("\x00"+strings.Join(keys, "\x00")+"\x00", "\x00"+k+"\x00") {
				continue
			}
			if dots != "" {
				k, e = strings.ReplaceAll(k, ".", dots), shaped(e, nil, dots)
			}
			if _, twice := out[k]; twice {
				return nil // which of them is last is not known here
			}
			out[k] = e
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			if out[i] = shaped(e, nil, dots); out[i] == nil && e != nil {
				return nil
			}
		}
		return out
	}
	return v
}

func FuzzShape(f *testing.F) {
	f.Add([]byte(`{"a.b":{"c.d":[{"e\u002ef":null}]},"k":1}`), "_")
	f.Add([]byte("{ \"k\" : [ 1 , {} ] }\n"), "")
	f.Add([]byte(`{"k":"\\\"","k.":{"..":"."}}`), `"\`)
	f.Fuzz(func(t *testing.T, data []byte, dots string) {
		events, err := body.Split(nil, data, body.FormatJSON, body.Options{})
		if err != nil {
			return
		}
		keys := []string{"k", "a.b"}
		for _, ev := range events {
			for _, s := range []struct {
				keys []string
				dots string
			}{{keys, ""}, {keys, dots}, {nil, dots}} {
				shape := body.NewShape(s.keys, s.dots)
				if shape == nil {
					continue
				}
				got := shape.Append(nil, ev.Data)
				if ev.Data[0] != '{' {
					s.keys = nil // only objects have them
				}
				var in, out any
				if err := json.Unmarshal(got, &out); err != nil {
					t.Fatalf("unexpected text %q of %q: %v", got, ev.Data, err)
				}
				if err := json.Unmarshal(ev.Data, &in); err != nil {
					continue // a number out of the range of a float64
				}
				want := shaped(in, s.keys, string([]rune(s.dots)))
				if dup := strings.Count(string(ev.Data), "\":") != countKeys(in); dup || hasNil(want, in) {
					continue
				}
				if !reflect.DeepEqual(out, want) {
					t.Fatalf("unexpected event of %q; got %q; want %v", ev.Data, got, want)
				}
			}
		}
	})
}

// countKeys and hasNil find the events for which the model cannot tell what is right.
func countKeys(v any) (n int) {
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			n += 1 + countKeys(e)
		}
	case []any:
		for _, e := range v {
			n += countKeys(e)
		}
	}
	return n
}

func hasNil(want, in any) bool {
	switch w := want.(type) {
	case nil:
		return in != nil
	case map[string]any:
		for _, e := range w {
			if e == nil {
				return true
			}
			if hasNil(e, 0) {
				return true
			}
		}
	case []any:
		for _, e := range w {
			if e == nil || hasNil(e, 0) {
				return true
			}
		}
	}
	return false
}

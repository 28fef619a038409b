// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
)

func TestAppendJSON(t *testing.T) {
	u64 := binary.BigEndian.AppendUint64
	tests := []struct {
		name string
		in   []byte
		want string
	}{
		{"nil", []byte{0xc0}, "null"},
		{"false", []byte{0xc2}, "false"},
		{"true", []byte{0xc3}, "true"},
		{"positive fixint", []byte{0x7f}, "127"},
		{"negative fixint", []byte{0xe0}, "-32"},
		{"uint8", []byte{0xcc, 255}, "255"},
		{"uint16", []byte{0xcd, 255, 255}, "65535"},
		{"uint32", []byte{0xce, 255, 255, 255, 255}, "4294967295"},
		{"largest uint64 is exact", u64([]byte{0xcf}, math.MaxUint64), "18446744073709551615"},
		{"int8", []byte{0xd0, 0x80}, "-128"},
		{"int16", []byte{0xd1, 0x80, 0}, "-32768"},
		{"int32", []byte{0xd2, 0x80, 0, 0, 0}, "-2147483648"},
		{"smallest int64 is exact", u64([]byte{0xd3}, 1<<63), "-9223372036854775808"},
		{"whole float keeps a decimal", f64(1), "1.0"},
		{"negative whole float", f64(-120), "-120.0"},
		{"negative zero", f64(math.Copysign(0, -1)), "-0.0"},
		{"fraction", f64(0.1), "0.1"},
		{"shortest float64", f64(1700000000.123456), "1700000000.123456"},
		{"shortest float32", f32(0.1), "0.1"},
		{"whole float32", f32(16777216), "16777216.0"},
		{"whole float beyond 15 digits", f64(1e18), "1000000000000000000.0"},
		{"large float", f64(1e21), "1e+21"},
		{"small float", f64(1e-7), "1e-07"},
		{"NaN", f64(math.NaN()), "null"},
		{"infinity", f64(math.Inf(1)), "null"},
		{"float32 NaN", f32(float32(math.NaN())), "null"},
		{"empty text", str(""), `""`},
		{"text", str("abc"), `"abc"`},
		{"str8", cat([]byte{0xd9, 3}, []byte("abc")), `"abc"`},
		{"str16", cat([]byte{0xda, 0, 3}, []byte("abc")), `"abc"`},
		{"str32", cat([]byte{0xdb, 0, 0, 0, 3}, []byte("abc")), `"abc"`},
		{"bin8 is text", bin("abc"), `"abc"`},
		{"bin16 is text", cat([]byte{0xc5, 0, 3}, []byte("abc")), `"abc"`},
		{"bin32 is text", cat([]byte{0xc6, 0, 0, 0, 3}, []byte("abc")), `"abc"`},
		{"invalid bin is repaired as text is", bin("a\xffb"), "\"a\uFFFDb\""},
		{"HTML is not escaped", str("<a href='x'>&</a>"), `"<a href='x'>&</a>"`},
		{"UTF-8 stays", str("gr\u00fc\u00df \u20ac \U0001F600 \u2028"), "\"gr\u00fc\u00df \u20ac \U0001F600 \u2028\""},
		{"quotes and backslashes", str(`a"b\c/d`), `"a\"b\\c/d"`},
		{"control characters", str("\x00\x01\b\t\n\v\f\r\x1e\x1f\x7f"), "\"\\u0000\\u0001\\b\\t\\n\\u000b\\f\\r\\u001e\\u001f\x7f\""},
		{"each invalid byte is replaced", str("\xff\xc0\xafok\xe2\x82"), "\"\uFFFD\uFFFD\uFFFDok\uFFFD\uFFFD\""},
		{"surrogates are invalid", str("\xed\xa0\x80"), "\"\uFFFD\uFFFD\uFFFD\""},
		{"the replacement character itself stays", str("\uFFFD"), "\"\uFFFD\""},
		{"empty array", []byte{0x90}, "[]"},
		{"array", []byte{0x92, 0x01, 0xc0}, "[1,null]"},
		{"array16", []byte{0xdc, 0, 1, 0x01}, "[1]"},
		{"array32", []byte{0xdd, 0, 0, 0, 1, 0x01}, "[1]"},
		{"empty map", []byte{0x80}, "{}"},
		{"order of keys is kept", fixmap(str("z"), []byte{1}, str("a"), []byte{2}), `{"z":1,"a":2}`},
		{"map16", cat([]byte{0xde, 0, 1}, str("a"), []byte{2}), `{"a":2}`},
		{"map32", cat([]byte{0xdf, 0, 0, 0, 1}, str("a"), []byte{2}), `{"a":2}`},
		{"the last of equal keys is written, at its place", fixmap(str("a"), []byte{1}, str("b"), []byte{2}, str("a"), []byte{3}), `{"b":2,"a":3}`},
		{"equal keys in a nested map", fixmap(str("m"), fixarray(fixmap(str("a"), fixmap(str("x"), []byte{1}), str("a"), str(`}",:{`)))), `{"m":[{"a":"}\",:{"}]}`},
		{"a number and its text are equal keys", fixmap([]byte{1}, str("n"), str("1"), str("t"), []byte{2}, str("u")), `{"1":"t","2":"u"}`},
		{"bin and str are equal keys", fixmap(bin("a"), []byte{1}, str("a"), []byte{2}), `{"a":2}`},
		{"keys that are equal once repaired", fixmap(str("\xff"), []byte{1}, str("\xfe"), []byte{2}, str("\uFFFD"), []byte{3}), "{\"\uFFFD\":3}"},
		{"equal keys with escapes", fixmap(str("a\"\n"), []byte{1}, str("a\"\n"), []byte{2}), `{"a\"\n":2}`},
		{"equal empty keys", fixmap(str(""), []byte{1}, str("a"), []byte{2}, str(""), []byte{3}), `{"a":2,"":3}`},
		{"equal keys of map and array form", fixmap(fixarray([]byte{1}), []byte{1}, str("[1]"), []byte{2}), `{"[1]":2}`},
		{"nested", fixmap(str("a"), fixarray(fixmap(str("b"), str("c")), []byte{0x80})), `{"a":[{"b":"c"},{}]}`},
		{"bin key", fixmap(bin("k"), []byte{1}), `{"k":1}`},
		{"empty key", fixmap(str(""), []byte{1}), `{"":1}`},
		{"key with escapes", fixmap(str("a\"\n\xff"), []byte{1}), "{\"a\\\"\\n\uFFFD\":1}"},
		{"integer key", fixmap([]byte{0xff}, []byte{1}), `{"-1":1}`},
		{"float key", fixmap(f64(1.5), []byte{1}), `{"1.5":1}`},
		{"nil and boolean keys", fixmap([]byte{0xc0}, []byte{1}, []byte{0xc3}, []byte{2}), `{"null":1,"true":2}`},
		{"array key", fixmap(fixarray([]byte{1}, str("x")), []byte{1}), `{"[1,\"x\"]":1}`},
		{"map key", fixmap(fixmap(str("x"), []byte{1}), []byte{1}), `{"{\"x\":1}":1}`},
		{"time key", fixmap(eventTime(5, 6), []byte{1}), `{"5.000000006":1}`},
		{"ext key", fixmap([]byte{0xd4, 5, 0xab}, []byte{1}), `{"\\xab":1}`},
		{"event time", eventTime(1700000000, 123), "1700000000.000000123"},
		{"event time as ext8", cat([]byte{0xc7, 8, 0}, eventTime(4294967295, 999999999)[2:]), "4294967295.999999999"},
		{"event time with too many nanoseconds is plain ext", cat([]byte{0xd7, 0, 0, 0, 0, 0}, []byte{0xff, 0, 0, 0}), `"\\x00\\x00\\x00\\x00\\xff\\x00\\x00\\x00"`},
		{"timestamp 32", []byte{0xd6, 0xff, 0, 0, 0, 9}, "9.000000000"},
		{"timestamp 64", u64([]byte{0xd7, 0xff}, 5<<34|7), "7.000000005"},
		{"timestamp 96 before 1970", u64([]byte{0xc7, 12, 0xff, 0x1d, 0xcd, 0x65, 0x00}, math.MaxUint64), "-0.500000000"},
		{"timestamp 96 at the far end", u64([]byte{0xc7, 12, 0xff, 0, 0, 0, 0}, 1<<63), "-9223372036854775808.000000000"},
		{"unknown ext", []byte{0xd5, 42, 0x00, 0xff}, `"\\x00\\xff"`},
		{"empty ext", []byte{0xc7, 0, 42}, `""`},
		{"ext type 0 of another length", []byte{0xd4, 0, 0x0a}, `"\\x0a"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tail := []byte{0x2a, 0xc1}
			got, rest, err := AppendJSON([]byte("before "), cat(tt.in, tail))
			if err != nil {
				t.Fatalf("unexpected error; got %v; want none", err)
			}
			if string(got) != "before "+tt.want {
				t.Errorf("unexpected text; got %q; want %q", got[7:], tt.want)
			}
			if !bytes.Equal(rest, tail) {
				t.Errorf("unexpected rest; got %x; want %x", rest, tail)
			}
			if !json.Valid(got[7:]) {
				t.Errorf("text is not valid JSON: %q", got[7:])
			}
		})
	}
}

func TestAppendJSONRefuses(t *testing.T) {
	keys := func(n int) []byte { // maps used as keys, n inside each other
		b := []byte{0x01}
		for range n + 1 {
			b = fixmap(b, []byte{0x02})
		}
		return b
	}
	tests := []struct {
		name   string
		in     []byte
		reason Reason
	}{
		{"nothing", nil, ReasonTruncated},
		{"short text", []byte{0xa3, 'a'}, ReasonTruncated},
		{"short length", []byte{0xda, 0}, ReasonTruncated},
		{"short number", []byte{0xcf, 0, 0}, ReasonTruncated},
		{"short ext", []byte{0xd7, 0, 1}, ReasonTruncated},
		{"ext without its type", []byte{0xc7, 0}, ReasonTruncated},
		{"missing element", []byte{0x92, 0x01}, ReasonTruncated},
		{"missing value", cat([]byte{0x82}, str("a"), []byte{1}, str("b")), ReasonTruncated},
		{"map of four billion", []byte{0xdf, 0xff, 0xff, 0xff, 0xff, 0x01}, ReasonTruncated},
		{"unused type byte", []byte{0x91, 0xc1}, ReasonTypeByte},
		{"unused type byte as key", []byte{0x81, 0xc1, 0x01}, ReasonTypeByte},
		{"65 levels", nested(65), ReasonDepth},
		{"100,000 levels", nested(100000), ReasonDepth},
		{"65 levels of keys", keys(65), ReasonKeyDepth},
		{"one map too many as key", keys(MaxKeyDepth + 1), ReasonKeyDepth},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dst := []byte("before")
			got, rest, err := AppendJSON(dst, tt.in)
			var e *ValueError
			if !errors.As(err, &e) || e.Reason != tt.reason {
				t.Fatalf("unexpected error; got %v; want reason %v", err, tt.reason)
			}
			if string(got) != "before" || !bytes.Equal(rest, tt.in) {
				t.Errorf("unexpected output on error; got %q and %d bytes of rest", got, len(rest))
			}
		})
	}
	for _, in := range [][]byte{nested(64), keys(MaxKeyDepth)} {
		if _, _, err := AppendJSON(nil, in); err != nil {
			t.Errorf("unexpected error at the limit; got %v; want none", err)
		}
	}
}

func TestAppendJSONGrowsForControlCharacters(t *testing.T) {
	s := strings.Repeat("\x01", 1000)
	got, _, err := AppendJSON(nil, str(s))
	if want := `"` + strings.Repeat(`\u0001`, 1000) + `"`; err != nil || string(got) != want {
		t.Fatalf("unexpected text; got %d bytes, error %v; want %d bytes", len(got), err, len(want))
	}
}

// randomValue makes values for which a library's decoder and encoding/json agree
// on what equality means: no NaN, no ext, text keys.
func randomValue(r *rand.Rand, depth int) any {
	kinds := 9
	if depth == 0 {
		kinds = 7
	}
	switch r.IntN(kinds) {
	case 0:
		return nil
	case 1:
		return r.IntN(2) == 0
	case 2:
		return int64(r.Uint64()) >> r.IntN(64)
	case 3:
		return r.Uint64() >> r.IntN(64)
	case 4:
		return math.Float64frombits(r.Uint64()>>2) / 3 // finite
	case 5:
		return float32(r.NormFloat64())
	case 6:
		return randomText(r)
	case 7:
		a := make([]any, r.IntN(20))
		for i := range a {
			a[i] = randomValue(r, depth-1)
		}
		return a
	default:
		m := map[string]any{}
		for range r.IntN(20) {
			m[randomText(r)] = randomValue(r, depth-1)
		}
		return m
	}
}

func randomText(r *rand.Rand) string {
	var sb strings.Builder
	for range r.IntN(40) {
		switch r.IntN(12) {
		case 0:
			sb.WriteRune(rune(r.IntN(0x20)))
		case 1:
			sb.WriteRune(rune(r.IntN(utf8.MaxRune)))
		case 2:
			sb.WriteString("\"")
		case 3:
			sb.WriteString("\\")
		default:
			sb.WriteByte(byte(0x20 + r.IntN(0x60)))
		}
	}
	return sb.String()
}

func decodeJSON(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return normal(v), err
}

// normal makes numbers comparable: integers by their text, floats by value.
func normal(v any) any {
	switch v := v.(type) {
	case json.Number:
		if !strings.ContainsAny(string(v), ".eE") {
			return string(v)
		}
		f, _ := v.Float64()
		if f == math.Trunc(f) && math.Abs(f) < 1e18 {
			return fmt.Sprintf("%d", int64(f)) // encoding/json writes 1 for 1.0
		}
		return f
	case []any:
		for i := range v {
			v[i] = normal(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = normal(v[k])
		}
	}
	return v
}

func TestAppendJSONEqualsLibrary(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		packed := pack(t, randomValue(r, 4))
		decoded, err := msgpack.NewDecoder(bytes.NewReader(packed)).DecodeInterface()
		if err != nil {
			t.Fatalf("library cannot decode: %v", err)
		}
		text, err := json.Marshal(decoded)
		if err != nil {
			t.Fatalf("library cannot encode: %v", err)
		}
		want, err := decodeJSON(text)
		if err != nil {
			t.Fatal(err)
		}
		out, rest, err := AppendJSON(nil, packed)
		if err != nil || len(rest) != 0 {
			t.Fatalf("unexpected error; got %v, %d bytes of rest for %x", err, len(rest), packed)
		}
		got, err := decodeJSON(out)
		if err != nil {
			t.Fatalf("invalid JSON %q: %v", out, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("unexpected value for %x; got %s; want %s", packed, out, text)
		}
		end, reason := new(depthStack).skip(packed, 0)
		if flat, flatReason := skipFlat(packed, 0, 1); end != len(packed) || reason != ReasonNone || flat != end || flatReason != ReasonNone {
			t.Fatalf("unexpected extent; got %d (%v) and %d (%v); want %d", end, reason, flat, flatReason, len(packed))
		}
	}
}

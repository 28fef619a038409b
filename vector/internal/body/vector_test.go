// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/outkpl/outkpl/vector/internal/vectorpb"
)

// push is a request as Vector sends it: maps are sorted.
func push(t testing.TB, events ...string) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(pb.Request(events...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVectorEvents(t *testing.T) {
	for _, c := range []struct {
		name  string
		event string
		want  string
		kind  EventKind
	}{
		{
			"log of a source", pb.Log("", map[string]string{"timestamp": pb.Time(1_787_352_356, 123456789), "host": pb.Text("h1"), "message": pb.Text("hello"), "source_type": pb.Text("stdin")}),
			`{"host":"h1","message":"hello","source_type":"stdin","timestamp":"2026-08-21T22:45:56.123456789Z"}`, EventJSON,
		},
		{"empty log", pb.Log("", nil), `{}`, EventJSON},
		{"log that is a text", pb.Log(pb.Text("line one"), map[string]string{".": pb.Null}), `"line one"`, EventJSON},
		{"log that is null", pb.Log(pb.Null, nil), `null`, EventJSON},
		{
			"times are as short as they can be", pb.Log(pb.List(pb.Time(0, 0), pb.Time(0, 120_000_000), pb.Time(0, 120_000), pb.Time(-1, 1)), nil),
			`["1970-01-01T00:00:00Z","1970-01-01T00:00:00.120Z","1970-01-01T00:00:00.000120Z","1969-12-31T23:59:59.000000001Z"]`, EventJSON,
		},
		{
			"numbers", pb.Log(pb.List(pb.Integer(math.MinInt64), pb.Integer(9007199254740993), pb.Float(1), pb.Float(0.1), pb.Float(1e300), pb.Float(math.Inf(-1))), nil),
			`[-9223372036854775808,9007199254740993,1.0,0.1,1e+300,"-Infinity"]`, EventJSON,
		},
		{
			"booleans and nulls", pb.Log(pb.List(pb.Boolean(true), pb.Boolean(false), pb.Null, ""), nil),
			`[true,false,null,null]`, EventJSON,
		},
		{"what is not UTF-8", pb.Log("", map[string]string{"message": pb.Text("a\xffb\n\"")}), "{\"message\":\"a\ufffdb\\n\\\"\"}", EventJSON},
		{
			"what is not UTF-8, as Vector's own JSON", pb.Log("", map[string]string{"message": pb.Text("\xe2\x82\xc3\x9f\xf0\x9f\x98x\xed\xa0\x80\xc0\xaf\xf4\x90\xe0\x9f\xf0\x80\xe2\x82")}),
			"{\"message\":\"\ufffd\u00df\ufffdx\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\"}", EventJSON,
		},
		{"nested", pb.Log("", map[string]string{"a": pb.Map(map[string]string{"b": pb.List(pb.Map(nil), pb.Integer(1))})}), `{"a":{"b":[{},1]}}`, EventJSON},
		{"trace", pb.Trace(map[string]string{"span": pb.Integer(1)}), `{"span":1}`, EventTrace},
		{
			"counter", pb.Metric(`name: "hits" namespace: "app" tags_v1 { key: "host" value: "h" } tags_v1 { key: "az" value: "a" } timestamp { seconds: 1 } interval_ms: 10000 counter { value: 1 }`),
			`{"name":"hits","namespace":"app","tags":{"az":"a","host":"h"},"timestamp":"1970-01-01T00:00:01Z","interval_ms":10000,"kind":"incremental","counter":{"value":1.0}}`, EventMetric,
		},
		{
			"gauge of zero", pb.Metric(`name: "g" kind: ABSOLUTE gauge {}`),
			`{"name":"g","kind":"absolute","gauge":{"value":0.0}}`, EventMetric,
		},
		{"set", pb.Metric(`name: "s" set { values: ["a", "b"] }`), `{"name":"s","kind":"incremental","set":{"values":["a","b"]}}`, EventMetric},
		{
			"distribution", pb.Metric(`name: "d" distribution { samples { value: 1 rate: 2 } samples { value: 3 rate: 4 } statistic: SUMMARY }`),
			`{"name":"d","kind":"incremental","distribution":{"samples":[{"value":1.0,"rate":2},{"value":3.0,"rate":4}],"statistic":"summary"}}`, EventMetric,
		},
		{
			"histogram", pb.Metric(`name: "h" histogram { buckets { upper_limit: 1 count: 1099511627776 } count: 1099511627776 sum: 2 }`),
			`{"name":"h","kind":"incremental","aggregated_histogram":{"buckets":[{"upper_limit":1.0,"count":1099511627776}],"count":1099511627776,"sum":2.0}}`, EventMetric,
		},
		{
			"summary", pb.Metric(`name: "y" summary { quantiles { quantile: 0.5 value: 1 } count: 2 sum: 3 }`),
			`{"name":"y","kind":"incremental","aggregated_summary":{"quantiles":[{"quantile":0.5,"value":1.0}],"count":2,"sum":3.0}}`, EventMetric,
		},
		{
			"sketch", pb.Metric(`name: "k" sketch { agent_dd_sketch { count: 3 min: 1 max: 2 sum: 4 avg: 1.5 k: [-3, 7] n: [1, 2] } }`),
			`{"name":"k","kind":"incremental","sketch":{"agent_dd_sketch":{"count":3,"min":1.0,"max":2.0,"sum":4.0,"avg":1.5,"k":[-3,7],"n":[1,2]}}}`, EventMetric,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			events, err := Split(nil, push(t, c.event, c.event), FormatVector, Options{})
			if err != nil || len(events) != 2 || string(events[0].Data) != c.want || events[0].Kind != c.kind || string(events[1].Data) != c.want {
				t.Errorf("unexpected events; got %q, error %v; want twice %q", dataOf(events), err, c.want)
			}
			if !json.Valid([]byte(c.want)) {
				t.Errorf("unexpected JSON in the test; got %q; want a valid one", c.want)
			}
		})
	}
}

func dataOf(events []Event) []string {
	var list []string
	for i := range events {
		list = append(list, string(events[i].Data))
	}
	return list
}

func TestVectorRefuses(t *testing.T) {
	deep := pb.Integer(1)
	for range 200 {
		deep = pb.List(deep)
	}
	good := pb.Log("", map[string]string{"a": pb.Text("\xff")})
	for _, c := range []struct {
		name string
		data []byte
		opt  Options
		want string
	}{
		{"no protobuf", []byte("abc"), Options{}, "malformed: " + wrongVector},
		{"half a request", push(t, good)[:10], Options{}, "malformed: " + wrongVector},
		{"event of no kind", push(t, ""), Options{}, "malformed: " + wrongKind},
		{"metric without a value", push(t, pb.Metric(`name: "m"`)), Options{}, "malformed: " + wrongKind},
		{"too deep", push(t, pb.Log(deep, nil)), Options{}, "malformed: " + wrongTooDeep},
		{"too many events", push(t, good, good), Options{Limits: Limits{Events: 1}}, "too_large: too many events"},
		{"too much", push(t, good, good), Options{Limits: Limits{ConvertedBytes: 12}}, "too_large: converted events are too large"},
		{"not UTF-8 and not wanted", push(t, good), Options{RejectInvalidUTF8: true}, "malformed: " + wrongText},
	} {
		t.Run(c.name, func(t *testing.T) {
			events, err := Split(nil, c.data, FormatVector, c.opt)
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) || len(events) > 0 {
				t.Errorf("unexpected result; got %d events, error %v; want error %q", len(events), err, c.want)
			}
		})
	}
}

// FuzzVector compares with the protobuf library: what this refuses is refused, and what
// it reads means the same.
func FuzzVector(f *testing.F) {
	f.Add(push(f, pb.Log("", map[string]string{"a": pb.Text("b"), "t": pb.Time(5, 6), "l": pb.List(pb.Integer(1), pb.Float(2))})))
	f.Add(push(f, pb.Metric(`name: "m" gauge { value: 1 }`)))
	f.Add(push(f, pb.Log(pb.Text("x"), map[string]string{".": ""})))
	f.Fuzz(func(t *testing.T, data []byte) {
		events, err := Split(nil, data, FormatVector, Options{})
		req := pb.New("PushEventsRequest")
		if (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, req) != nil {
			return // the library refuses what is not UTF-8, too
		}
		if err != nil {
			return // no kind, too deep, or broken where the library does not look
		}
		list := fieldOf(req.ProtoReflect(), "events").List()
		if len(events) != list.Len() {
			t.Fatalf("unexpected number of events; got %d; want %d", len(events), list.Len())
		}
		for i := range events {
			if !json.Valid(events[i].Data) || !utf8.Valid(events[i].Data) || bytes.ContainsRune(events[i].Data, '\n') {
				t.Fatalf("unexpected event; got %q; want JSON on one line", events[i].Data)
			}
			event := list.Get(i).Message()
			if chosen(event) != "log" {
				continue
			}
			l := fieldOf(event, "log").Message()
			want := plainFields(fieldOf(l, "fields").Map())
			if value := fieldOf(l, "value").Message(); value.IsValid() {
				want = plainValue(value)
			}
			var got any
			d := json.NewDecoder(bytes.NewReader(events[i].Data))
			d.UseNumber()
			if err := d.Decode(&got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("unexpected event; got %#v; want %#v", got, want)
			}
		}
	})
}

// fieldOf returns what a field of a message has.
func fieldOf(m protoreflect.Message, name protoreflect.Name) protoreflect.Value {
	return m.Get(m.Descriptor().Fields().ByName(name))
}

// chosen names the field that is set of the first oneof of a message.
func chosen(m protoreflect.Message) protoreflect.Name {
	if f := m.WhichOneof(m.Descriptor().Oneofs().Get(0)); f != nil {
		return f.Name()
	}
	return ""
}

// plainValue is what a JSON reader makes of a value.
func plainValue(m protoreflect.Message) any {
	kind := chosen(m)
	if kind == "" || kind == "null" {
		return nil
	}
	v := fieldOf(m, kind)
	switch kind {
	case "raw_bytes":
		return repaired(v.Bytes())
	case "timestamp":
		nanos := fieldOf(v.Message(), "nanos").Int()
		s := time.Unix(fieldOf(v.Message(), "seconds").Int(), nanos).UTC().Format("2006-01-02T15:04:05.000000000")
		switch {
		case nanos == 0:
			s = s[:len(s)-10]
		case nanos%1e6 == 0:
			s = s[:len(s)-6]
		case nanos%1e3 == 0:
			s = s[:len(s)-3]
		}
		return s + "Z"
	case "integer":
		return json.Number(fmt.Sprint(v.Int()))
	case "float":
		text := string(appendDouble(nil, v.Float()))
		if text[0] == '"' {
			return strings.Trim(text, `"`)
		}
		return json.Number(text)
	case "boolean":
		return v.Bool()
	case "map":
		return plainFields(fieldOf(v.Message(), "fields").Map())
	case "array":
		list := []any{}
		items := fieldOf(v.Message(), "items").List()
		for i := range items.Len() {
			list = append(list, plainValue(items.Get(i).Message()))
		}
		return list
	}
	panic("unexpected kind of value: " + kind)
}

func plainFields(fields protoreflect.Map) any {
	m := map[string]any{}
	fields.Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
		m[repaired([]byte(key.String()))] = plainValue(value.Message())
		return true
	})
	return m
}

// repaired is text with each byte that is not UTF-8 replaced.
func repaired(b []byte) string { return string(appendValid(nil, b)) }

func BenchmarkVector(b *testing.B) {
	var events []string
	for i := range 1000 {
		events = append(events, pb.Log("", map[string]string{
			"host": pb.Text("ip-10-0-1-7"), "message": pb.Text(fmt.Sprintf("GET /api/v1/items/%d 200 in %d ms", i, i%97)),
			"source_type": pb.Text("file"), "timestamp": pb.Time(1_787_352_356, int64(i)), "status": pb.Integer(200),
		}))
	}
	data := push(b, events...)
	var arena Arena
	var list []Event
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		arena.Reset()
		var err error
		if list, err = Split(list[:0], data, FormatVector, Options{Arena: &arena}); err != nil {
			b.Fatal(err)
		}
	}
}

// An event that cannot be read costs only itself, as its length is known.
func TestVectorBrokenEvents(t *testing.T) {
	deep := pb.Integer(1)
	for range 200 {
		deep = pb.List(deep)
	}
	body := push(t, pb.Log("", map[string]string{"n": pb.Integer(0)}), "", pb.Log(deep, nil), pb.Log("", map[string]string{"n": pb.Integer(1)}))
	got, broken, err := brokenSplit(t, body, FormatVector, Options{})
	if err != nil || len(got) != 4 || got[0] != `{"n":0}` || got[3] != `{"n":1}` || len(broken) != 2 || broken[0].Detail != wrongKind || broken[1].Detail != wrongTooDeep {
		t.Errorf("unexpected events; got %.200q, %v, %v; want the two good ones", got, broken, err)
	}
}

// The replacement of what is not UTF-8 is that of other libraries.
func TestLossyText(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	bytesOf := []byte{'a', 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf3, 0xf4, 0xf5, 0xff}
	for range 20_000 {
		text := make([]byte, r.IntN(8))
		for i := range text {
			text[i] = bytesOf[r.IntN(len(bytesOf))]
		}
		want, err := unicode.UTF8.NewDecoder().Bytes(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendLossy(nil, text); !bytes.Equal(got, want) {
			t.Fatalf("unexpected text of %x; got %q; want %q", text, got, want)
		}
	}
}

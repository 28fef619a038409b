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
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/outkpl/outkpl/vector/internal/vectorpb"
)

func vText(s string) *pb.Value { return &pb.Value{Kind: &pb.Value_RawBytes{RawBytes: []byte(s)}} }
func vInt(n int64) *pb.Value   { return &pb.Value{Kind: &pb.Value_Integer{Integer: n}} }
func vTime(s, n int64) *pb.Value {
	return &pb.Value{Kind: &pb.Value_Timestamp{Timestamp: &timestamppb.Timestamp{Seconds: s, Nanos: int32(n)}}}
}
func vFloat(f float64) *pb.Value { return &pb.Value{Kind: &pb.Value_Float{Float: f}} }
func vMap(m map[string]*pb.Value) *pb.Value {
	return &pb.Value{Kind: &pb.Value_Map{Map: &pb.ValueMap{Fields: m}}}
}
func vList(items ...*pb.Value) *pb.Value {
	return &pb.Value{Kind: &pb.Value_Array{Array: &pb.ValueArray{Items: items}}}
}
func vLog(value *pb.Value, fields map[string]*pb.Value) *pb.Event {
	return &pb.Event{Event: &pb.Event_Log{Log: &pb.Log{Fields: fields, Value: value, Metadata: vText("m"),
		MetadataFull: &pb.Metadata{Value: vMap(nil), SourceEventId: []byte("0123456789abcdef")}}}}
}

// push is a request as Vector sends it: maps are sorted.
func push(t testing.TB, events ...*pb.Event) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(&pb.PushEventsRequest{Events: events})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVectorEvents(t *testing.T) {
	for _, c := range []struct {
		name  string
		event *pb.Event
		want  string
		kind  EventKind
	}{
		{"log of a source", vLog(nil, map[string]*pb.Value{"timestamp": vTime(1_787_352_356, 123456789), "host": vText("h1"), "message": vText("hello"), "source_type": vText("stdin")}),
			`{"host":"h1","message":"hello","source_type":"stdin","timestamp":"2026-08-21T22:45:56.123456789Z"}`, EventJSON},
		{"empty log", vLog(nil, nil), `{}`, EventJSON},
		{"log that is a text", vLog(vText("line one"), map[string]*pb.Value{".": {Kind: &pb.Value_Null{}}}), `"line one"`, EventJSON},
		{"log that is null", vLog(&pb.Value{Kind: &pb.Value_Null{}}, nil), `null`, EventJSON},
		{"times are as short as they can be", vLog(vList(vTime(0, 0), vTime(0, 120_000_000), vTime(0, 120_000), vTime(-1, 1)), nil),
			`["1970-01-01T00:00:00Z","1970-01-01T00:00:00.120Z","1970-01-01T00:00:00.000120Z","1969-12-31T23:59:59.000000001Z"]`, EventJSON},
		{"numbers", vLog(vList(vInt(math.MinInt64), vInt(9007199254740993), vFloat(1), vFloat(0.1), vFloat(1e300), vFloat(math.Inf(-1))), nil),
			`[-9223372036854775808,9007199254740993,1.0,0.1,1e+300,"-Infinity"]`, EventJSON},
		{"booleans and nulls", vLog(vList(&pb.Value{Kind: &pb.Value_Boolean{Boolean: true}}, &pb.Value{Kind: &pb.Value_Boolean{}}, &pb.Value{Kind: &pb.Value_Null{}}, &pb.Value{}), nil),
			`[true,false,null,null]`, EventJSON},
		{"what is not UTF-8", vLog(nil, map[string]*pb.Value{"message": vText("a\xffb\n\"")}), "{\"message\":\"a\ufffdb\\n\\\"\"}", EventJSON},
		{"what is not UTF-8, as Vector's own JSON", vLog(nil, map[string]*pb.Value{"message": vText("\xe2\x82\xc3\x9f\xf0\x9f\x98x\xed\xa0\x80\xc0\xaf\xf4\x90\xe0\x9f\xf0\x80\xe2\x82")}),
			"{\"message\":\"\ufffd\u00df\ufffdx\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\"}", EventJSON},
		{"nested", vLog(nil, map[string]*pb.Value{"a": vMap(map[string]*pb.Value{"b": vList(vMap(nil), vInt(1))})}), `{"a":{"b":[{},1]}}`, EventJSON},
		{"trace", &pb.Event{Event: &pb.Event_Trace{Trace: &pb.Trace{Fields: map[string]*pb.Value{"span": vInt(1)}}}}, `{"span":1}`, EventTrace},
		{"counter", metric(&pb.Metric{Name: "hits", Namespace: "app", TagsV1: map[string]string{"host": "h", "az": "a"}, Timestamp: &timestamppb.Timestamp{Seconds: 1}, IntervalMs: 10000,
			Value: &pb.Metric_Counter{Counter: &pb.Number{Value: 1}}}),
			`{"name":"hits","namespace":"app","tags":{"az":"a","host":"h"},"timestamp":"1970-01-01T00:00:01Z","interval_ms":10000,"kind":"incremental","counter":{"value":1.0}}`, EventMetric},
		{"gauge of zero", metric(&pb.Metric{Name: "g", Kind: pb.Metric_ABSOLUTE, Value: &pb.Metric_Gauge{Gauge: &pb.Number{}}}),
			`{"name":"g","kind":"absolute","gauge":{"value":0.0}}`, EventMetric},
		{"set", metric(&pb.Metric{Name: "s", Value: &pb.Metric_Set{Set: &pb.Set{Values: []string{"a", "b"}}}}), `{"name":"s","kind":"incremental","set":{"values":["a","b"]}}`, EventMetric},
		{"distribution", metric(&pb.Metric{Name: "d", Value: &pb.Metric_Distribution{Distribution: &pb.Distribution{Samples: []*pb.Distribution_Sample{{Value: 1, Rate: 2}, {Value: 3, Rate: 4}}, Statistic: pb.Distribution_SUMMARY}}}),
			`{"name":"d","kind":"incremental","distribution":{"samples":[{"value":1.0,"rate":2},{"value":3.0,"rate":4}],"statistic":"summary"}}`, EventMetric},
		{"histogram", metric(&pb.Metric{Name: "h", Value: &pb.Metric_Histogram{Histogram: &pb.Histogram{Buckets: []*pb.Histogram_Bucket{{UpperLimit: 1, Count: 1 << 40}}, Count: 1 << 40, Sum: 2}}}),
			`{"name":"h","kind":"incremental","aggregated_histogram":{"buckets":[{"upper_limit":1.0,"count":1099511627776}],"count":1099511627776,"sum":2.0}}`, EventMetric},
		{"summary", metric(&pb.Metric{Name: "y", Value: &pb.Metric_Summary{Summary: &pb.Summary{Quantiles: []*pb.Summary_Quantile{{Quantile: 0.5, Value: 1}}, Count: 2, Sum: 3}}}),
			`{"name":"y","kind":"incremental","aggregated_summary":{"quantiles":[{"quantile":0.5,"value":1.0}],"count":2,"sum":3.0}}`, EventMetric},
		{"sketch", metric(&pb.Metric{Name: "k", Value: &pb.Metric_Sketch{Sketch: &pb.Sketch{AgentDdSketch: &pb.Sketch_Bins{Count: 3, Min: 1, Max: 2, Sum: 4, Avg: 1.5, K: []int32{-3, 7}, N: []uint32{1, 2}}}}}),
			`{"name":"k","kind":"incremental","sketch":{"agent_dd_sketch":{"count":3,"min":1.0,"max":2.0,"sum":4.0,"avg":1.5,"k":[-3,7],"n":[1,2]}}}`, EventMetric},
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

func metric(m *pb.Metric) *pb.Event {
	m.MetadataFull = &pb.Metadata{}
	return &pb.Event{Event: &pb.Event_Metric{Metric: m}}
}

func dataOf(events []Event) []string {
	var list []string
	for i := range events {
		list = append(list, string(events[i].Data))
	}
	return list
}

func TestVectorRefuses(t *testing.T) {
	deep := vInt(1)
	for range 200 {
		deep = vList(deep)
	}
	good := vLog(nil, map[string]*pb.Value{"a": vText("\xff")})
	for _, c := range []struct {
		name string
		data []byte
		opt  Options
		want string
	}{
		{"no protobuf", []byte("abc"), Options{}, "malformed: " + wrongVector},
		{"half a request", push(t, good)[:10], Options{}, "malformed: " + wrongVector},
		{"event of no kind", push(t, &pb.Event{}), Options{}, "malformed: " + wrongKind},
		{"metric without a value", push(t, metric(&pb.Metric{Name: "m"})), Options{}, "malformed: " + wrongKind},
		{"too deep", push(t, vLog(deep, nil)), Options{}, "malformed: " + wrongTooDeep},
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

// FuzzVector compares with the generated types: what these refuse is refused, and what
// they read means the same.
func FuzzVector(f *testing.F) {
	f.Add(push(f, vLog(nil, map[string]*pb.Value{"a": vText("b"), "t": vTime(5, 6), "l": vList(vInt(1), vFloat(2))})))
	f.Add(push(f, metric(&pb.Metric{Name: "m", Value: &pb.Metric_Gauge{Gauge: &pb.Number{Value: 1}}})))
	f.Add(push(f, vLog(vText("x"), map[string]*pb.Value{".": {}})))
	f.Fuzz(func(t *testing.T, data []byte) {
		events, err := Split(nil, data, FormatVector, Options{})
		var req pb.PushEventsRequest
		if (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, &req) != nil {
			return // the generated types refuse what is not UTF-8, too
		}
		if err != nil {
			return // no kind, too deep, or broken where the generated types do not look
		}
		if len(events) != len(req.Events) {
			t.Fatalf("unexpected number of events; got %d; want %d", len(events), len(req.Events))
		}
		for i := range events {
			if !json.Valid(events[i].Data) || !utf8.Valid(events[i].Data) || bytes.ContainsRune(events[i].Data, '\n') {
				t.Fatalf("unexpected event; got %q; want JSON on one line", events[i].Data)
			}
			l := req.Events[i].GetLog()
			if l == nil {
				continue
			}
			value := l.Value
			if value == nil {
				value = vMap(l.Fields)
			}
			var got any
			d := json.NewDecoder(bytes.NewReader(events[i].Data))
			d.UseNumber()
			if err := d.Decode(&got); err != nil {
				t.Fatal(err)
			}
			if want := plainValue(value); !reflect.DeepEqual(got, want) {
				t.Fatalf("unexpected event; got %#v; want %#v", got, want)
			}
		}
	})
}

// plainValue is what a JSON reader makes of a value.
func plainValue(v *pb.Value) any {
	switch k := v.GetKind().(type) {
	case *pb.Value_RawBytes:
		return repaired(k.RawBytes)
	case *pb.Value_Timestamp:
		s := time.Unix(k.Timestamp.GetSeconds(), int64(k.Timestamp.GetNanos())).UTC().Format("2006-01-02T15:04:05.000000000")
		switch n := k.Timestamp.GetNanos(); {
		case n == 0:
			s = s[:len(s)-10]
		case n%1e6 == 0:
			s = s[:len(s)-6]
		case n%1e3 == 0:
			s = s[:len(s)-3]
		}
		return s + "Z"
	case *pb.Value_Integer:
		return json.Number(fmt.Sprint(k.Integer))
	case *pb.Value_Float:
		text := string(appendDouble(nil, k.Float))
		if text[0] == '"' {
			return strings.Trim(text, `"`)
		}
		return json.Number(text)
	case *pb.Value_Boolean:
		return k.Boolean
	case *pb.Value_Map:
		m := map[string]any{}
		for key, value := range k.Map.GetFields() {
			m[repaired([]byte(key))] = plainValue(value)
		}
		return m
	case *pb.Value_Array:
		list := []any{}
		for _, item := range k.Array.GetItems() {
			list = append(list, plainValue(item))
		}
		return list
	}
	return nil
}

// repaired is text with each byte that is not UTF-8 replaced.
func repaired(b []byte) string { return string(appendValid(nil, b)) }

func BenchmarkVector(b *testing.B) {
	var events []*pb.Event
	for i := range 1000 {
		events = append(events, vLog(nil, map[string]*pb.Value{"host": vText("ip-10-0-1-7"), "message": vText(fmt.Sprintf("GET /api/v1/items/%d 200 in %d ms", i, i%97)),
			"source_type": vText("file"), "timestamp": vTime(1_787_352_356, int64(i)), "status": vInt(200)}))
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
	deep := vInt(1)
	for range 200 {
		deep = vList(deep)
	}
	body := push(t, vLog(nil, map[string]*pb.Value{"n": vInt(0)}), &pb.Event{}, vLog(deep, nil), vLog(nil, map[string]*pb.Value{"n": vInt(1)}))
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

// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

func str(s string) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s}}
}

func list(values ...*commonpb.AnyValue) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: values}}}
}

func object(pairs ...*commonpb.KeyValue) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_KvlistValue{KvlistValue: &commonpb.KeyValueList{Values: pairs}}}
}

func pair(k string, v *commonpb.AnyValue) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: k, Value: v}
}

func double(f float64) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: f}}
}

func integer(n int64) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: n}}
}

func boolean(b bool) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: b}}
}

func binaryValue(b []byte) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_BytesValue{BytesValue: b}}
}

var (
	traceID = []byte("\x5b\x8e\xff\xf7\x98\x03\x81\x03\xd2\x69\xb6\x33\x81\x3f\xc6\x0c")
	spanID  = []byte("\xee\xe1\x9b\x7e\xc3\xc1\xb1\x74")
)

func sampleLogs() *logspb.LogsData {
	return &logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{
		Resource: &resourcepb.Resource{
			Attributes:             []*commonpb.KeyValue{pair("service.name", str("shop")), pair("host.id", integer(math.MinInt64))},
			DroppedAttributesCount: 2,
		},
		SchemaUrl: "https://example.com/r",
		ScopeLogs: []*logspb.ScopeLogs{{
			Scope:     &commonpb.InstrumentationScope{Name: "lib", Version: "1.2", Attributes: []*commonpb.KeyValue{pair("x", boolean(true))}, DroppedAttributesCount: 1},
			SchemaUrl: "https://example.com/s",
			LogRecords: []*logspb.LogRecord{{
				TimeUnixNano: 1755892276123456789, ObservedTimeUnixNano: 1755892277000000001,
				SeverityNumber: logspb.SeverityNumber_SEVERITY_NUMBER_INFO2, SeverityText: "Info",
				EventName: "clicked", Body: str("he said \"hi\"\n\u00e9"),
				Attributes: []*commonpb.KeyValue{
					pair("list", list(integer(1), double(2), double(math.NaN()), nil, object())),
					pair("map", object(pair("a", double(math.Inf(-1))), pair("b", binaryValue([]byte("\x00\x01\xff"))))),
					pair("none", nil), pair("", double(1e300)),
				},
				DroppedAttributesCount: 3, Flags: 1, TraceId: traceID, SpanId: spanID,
			}, {}},
		}, {LogRecords: []*logspb.LogRecord{{ObservedTimeUnixNano: 5, Body: list()}}}},
	}, {ScopeLogs: []*logspb.ScopeLogs{{LogRecords: []*logspb.LogRecord{{Body: object()}, {TimeUnixNano: math.MaxUint64, Body: str("")}}}}}}}
}

const sampleTail = `"resource":{"service.name":"shop","host.id":-9223372036854775808},"resource_dropped_attributes_count":2,"resource_schema_url":"https://example.com/r"`

const sampleScope = `"scope_name":"lib","scope_version":"1.2","scope_attributes":{"x":true},"scope_dropped_attributes_count":1,"scope_schema_url":"https://example.com/s"`

var sampleEvents = []string{
	`{"timestamp":"2025-08-22T19:51:16.123456789Z","observed_timestamp":"2025-08-22T19:51:17.000000001Z","severity_number":10,"severity_text":"Info",` +
		`"event_name":"clicked","body":"he said \"hi\"\n` + "\u00e9" + `","attributes":{"list":[1,2.0,"NaN",null,{}],"map":{"a":"-Infinity","b":"AAH/"},"none":null,"":1e+300},` +
		`"dropped_attributes_count":3,"trace_id":"5b8efff798038103d269b633813fc60c","span_id":"eee19b7ec3c1b174","flags":1,` + sampleTail + `,` + sampleScope + `}`,
	`{` + sampleTail + `,` + sampleScope + `}`,
	`{"timestamp":"1970-01-01T00:00:00.000000005Z","observed_timestamp":"1970-01-01T00:00:00.000000005Z","body":[],` + sampleTail + `}`,
	`{"body":{}}`,
	`{"timestamp":"2554-07-21T23:34:33.709551615Z","body":""}`,
}

// asJSON is the JSON form of OTLP: that of protobuf, but ids in hexadecimal.
func asJSON(t testing.TB, logs *logspb.LogsData) []byte {
	t.Helper()
	b, err := protojson.MarshalOptions{UseEnumNumbers: true}.Marshal(logs)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range [][]byte{traceID, spanID} {
		b = bytes.ReplaceAll(b, []byte(base64.StdEncoding.EncodeToString(id)), []byte(strings.ToUpper(hex.EncodeToString(id))))
	}
	return b
}

func asProto(t testing.TB, logs *logspb.LogsData) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(logs)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSplitOTLP(t *testing.T) {
	logs := sampleLogs()
	pb, js := asProto(t, logs), asJSON(t, logs)
	twice := append(slices.Clone(sampleEvents), sampleEvents...)
	for _, tc := range []struct {
		name string
		body []byte
		f    Format
		want []string
	}{
		{"protobuf", pb, FormatOTLPProto, sampleEvents},
		{"protobuf, found out", pb, FormatOTLP, sampleEvents},
		{"two requests as protobuf", append(slices.Clone(pb), pb...), FormatOTLPProto, twice},
		{"empty request", nil, FormatOTLPProto, nil},
		{"JSON", js, FormatOTLPJSON, sampleEvents},
		{"JSON, found out", append([]byte(" \n"), js...), FormatOTLP, sampleEvents},
		{"array of requests", slices.Concat([]byte("["), js, []byte(",\n"), js, []byte("]")), FormatOTLPJSON, twice},
		{"array of requests, found out", slices.Concat([]byte("["), js, []byte("]")), FormatOTLP, sampleEvents},
		{"lines of requests", slices.Concat(js, []byte("\n"), js, []byte("\n")), FormatOTLPJSON, twice},
		{"empty request as JSON", []byte("{}"), FormatOTLPJSON, nil},
		{"empty array", []byte("[]"), FormatOTLPJSON, nil},
		{"request without records", []byte(`{"resourceLogs":[{"scopeLogs":[]},{}]}`), FormatOTLPJSON, nil},
		{"null instead of lists", []byte(`{"resourceLogs":null}`), FormatOTLPJSON, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Split(nil, tc.body, tc.f, Options{Wrapper: "resourceLogs", UnquoteStrings: true})
			if err != nil {
				t.Fatalf("unexpected error; got %v; want none", err)
			}
			if !slices.Equal(texts(got), tc.want) {
				t.Errorf("unexpected events; got\n%s\nwant\n%s", strings.Join(texts(got), "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
	for _, f := range []Format{FormatOTLPProto, FormatOTLPJSON} {
		body := pb
		if f == FormatOTLPJSON {
			body = js
		}
		got, err := Split(nil, body, f, Options{OmitResource: true, OmitScope: true, AppendNewline: true})
		if err != nil || len(got) != 5 || string(got[1].Data) != "{}\n" || string(got[3].Data) != "{\"body\":{}}\n" {
			t.Errorf("unexpected events; got %q, %v; want some without resource and scope", texts(got), err)
		}
	}
}

// What senders write beside what the specification says.
func TestOTLPJSONForms(t *testing.T) {
	for _, tc := range []struct{ name, record, want string }{
		{"numbers as strings", `{"timeUnixNano":"1755892276000000000","flags":"1","body":{"intValue":"-5"}}`, `{"timestamp":"2025-08-22T19:51:16.000000000Z","body":-5,"flags":1}`},
		{"numbers as numbers", `{"timeUnixNano":1755892276000000001,"flags":1,"body":{"intValue":-5}}`, `{"timestamp":"2025-08-22T19:51:16.000000001Z","body":-5,"flags":1}`},
		{"numbers with exponents", `{"timeUnixNano":1e9,"body":{"intValue":5.0}}`, `{"timestamp":"1970-01-01T00:00:01.000000000Z","body":5}`},
		{"integers are exact", `{"body":{"intValue":"9223372036854775807"}}`, `{"body":9223372036854775807}`},
		{"doubles", `{"body":{"arrayValue":{"values":[{"doubleValue":1},{"doubleValue":"1.5"},{"doubleValue":"NaN"},{"doubleValue":"Infinity"}]}}}`, `{"body":[1.0,1.5,"NaN","Infinity"]}`},
		{"severity by name", `{"severityNumber":"SEVERITY_NUMBER_ERROR3","severityText":""}`, `{"severity_number":19}`},
		{"severity by plain name", `{"severityNumber":"SEVERITY_NUMBER_TRACE"}`, `{"severity_number":1}`},
		{"severity unspecified", `{"severityNumber":"SEVERITY_NUMBER_UNSPECIFIED"}`, `{}`},
		{"severity number as a string", `{"severityNumber":"9"}`, `{"severity_number":9}`},
		{"names with underscores", `{"time_unix_nano":"1","severity_text":"x","trace_id":"AB","body":{"string_value":"y"}}`, `{"timestamp":"1970-01-01T00:00:00.000000001Z","severity_text":"x","body":"y","trace_id":"ab"}`},
		{"unknown fields", `{"x":{"y":[1]},"body":{"zValue":1,"stringValue":"b"},"attributes":[{"key":"a","other":1,"value":{"boolValue":false}}]}`, `{"body":"b","attributes":{"a":false}}`},
		{"nulls", `{"timeUnixNano":null,"body":null,"attributes":null,"traceId":null,"severityNumber":null}`, `{}`},
		{"body of nothing", `{"body":{}}`, `{"body":null}`},
		{"spread over lines", "{\n \"body\": {\n \"kvlistValue\": { \"values\" :\n [ { \"key\" : \"a b\" ,\n\"value\": { \"stringValue\" : \"c\\nd\" } } ] } } }", `{"body":{"a b":"c\nd"}}`},
		{"escapes stay", `{"body":{"stringValue":"\u00e9\/"},"attributes":[{"key":"\u0061","value":{"bytesValue":"AA=="}}]}`, `{"body":"\u00e9\/","attributes":{"\u0061":"AA=="}}`},
		{"invalid UTF-8", "{\"body\":{\"stringValue\":\"\xff\"}}", "{\"body\":\"\ufffd\"}"},
		{"value before its key", `{"attributes":[{"value":{"arrayValue":{"values":[{"intValue":1}]}},"key":"a"},{"value":{"intValue":2}},{"key":"c"},{}]}`, `{"attributes":{"a":[1],"":2,"c":null,"":null}}`},
		{"members of a pair twice", `{"attributes":[{"key":"a","value":{"intValue":1},"key":"b","value":{"intValue":2}},{"key":"c","value":{}}]}`, `{"attributes":{"b":2,"c":null}}`},
		{"values twice", `{"body":{"arrayValue":{"values":[{"intValue":1}],"x":[[]],"values":[{"intValue":2},{}]}}}`, `{"body":[2,null]}`},
		{"null lists", `{"body":{"kvlistValue":{"values":null}},"attributes":[{"key":"a","value":{"arrayValue":{}}},{"key":"b","value":null}]}`, `{"body":{},"attributes":{"a":[],"b":null}}`},
		{"key twice", `{"body":{"stringValue":"a"},"body":{"stringValue":"b"}}`, `{"body":"b"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			body := `{"resourceLogs":[{"scopeLogs":[{"logRecords":[` + tc.record + `]}]}]}`
			got, err := Split(nil, []byte(body), FormatOTLPJSON, Options{})
			if err != nil || len(got) != 1 || string(got[0].Data) != tc.want {
				t.Errorf("unexpected events; got %s, %v; want %s", texts(got), err, tc.want)
			}
		})
	}
}

func TestSplitRefusesBrokenOTLPJSON(t *testing.T) {
	record := func(s string) string { return `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{},` + s + `]}]}]}` }
	for _, tc := range []struct{ name, body string }{
		{"not JSON", `{"resourceLogs":`},
		{"another signal", `{"resourceSpans":[{}]}`},
		{"plain event", `{"message":"x"}`},
		{"second request is another signal", "{}\n{\"resourceMetrics\":[]}"},
		{"number", "1"},
		{"text", `["x"]`},
		{"resourceLogs is no array", `{"resourceLogs":{}}`},
		{"resourceLogs of numbers", `{"resourceLogs":[1]}`},
		{"record is no object", record("1")},
		{"resource is no object", `{"resourceLogs":[{"resource":[]}]}`},
		{"time is text", record(`{"timeUnixNano":"now"}`)},
		{"time below zero", record(`{"timeUnixNano":-1}`)},
		{"time too large", record(`{"timeUnixNano":"18446744073709551616"}`)},
		{"time is an object", record(`{"timeUnixNano":{}}`)},
		{"integer too large", record(`{"body":{"intValue":"9223372036854775808"}}`)},
		{"integer with decimals", record(`{"body":{"intValue":1.5}}`)},
		{"string is a number", record(`{"body":{"stringValue":1}}`)},
		{"bool is a string", record(`{"body":{"boolValue":"true"}}`)},
		{"double is a bool", record(`{"body":{"doubleValue":true}}`)},
		{"body is a string", record(`{"body":"x"}`)},
		{"attributes are an object", record(`{"attributes":{"a":1}}`)},
		{"key is a number", record(`{"attributes":[{"key":1}]}`)},
		{"trace id is a number", record(`{"traceId":1}`)},
		{"text in a list", record(`{"body":{"arrayValue":[]}}`)},
	} {
		got, err := Split(nil, []byte(tc.body), FormatOTLPJSON, Options{})
		if wantKind(t, err, KindMalformed); len(got) > 0 || err == nil {
			t.Errorf("unexpected events for %q; got %q; want none", tc.name, texts(got))
		}
	}
	_, err := Split(nil, []byte(record("{\"body\":{\"stringValue\":\"\xff\"}}")), FormatOTLPJSON, Options{RejectInvalidUTF8: true})
	wantKind(t, err, KindMalformed)
}

func TestSplitRefusesBrokenOTLPProto(t *testing.T) {
	pb := asProto(t, sampleLogs())
	// A cut anywhere is seen: each message says its length.
	for n := 1; n < len(pb); n++ {
		got, err := Split(nil, pb[:n], FormatOTLPProto, Options{})
		var e *Error
		if err == nil {
			// At the end of a top-level field nothing is missing.
			if proto.Unmarshal(pb[:n], new(logspb.LogsData)) == nil {
				continue
			}
			t.Fatalf("unexpected success with %d of %d bytes; got %q; want an error", n, len(pb), texts(got))
		}
		if !errors.As(err, &e) || e.Kind != KindMalformed || e.Offset > n || e.Offset < 0 {
			t.Fatalf("unexpected error; got %v; want malformed, within %d", err, n)
		}
	}
	deep := str("x")
	for range 20 {
		deep = list(deep)
	}
	logs := &logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{ScopeLogs: []*logspb.ScopeLogs{{LogRecords: []*logspb.LogRecord{{Body: deep}}}}}}}
	_, err := Split(nil, asProto(t, logs), FormatOTLPProto, Options{Limits: Limits{Depth: 20}})
	wantKind(t, err, KindMalformed)
	if _, err := Split(nil, asProto(t, logs), FormatOTLPProto, Options{Limits: Limits{Depth: 21}}); err != nil {
		t.Errorf("unexpected error at the limit; got %v; want none", err)
	}
	_, err = Split(nil, []byte("hello, this is not protobuf"), FormatOTLPProto, Options{})
	wantKind(t, err, KindMalformed)
	// Invalid UTF-8, which the generated types refuse to write.
	bad := appendField(nil, 1, appendField(nil, 2, appendField(nil, 2, appendField(nil, 5, appendField(nil, 1, []byte("a\xff"))))))
	got, err := Split(nil, bad, FormatOTLPProto, Options{})
	if err != nil || len(got) != 1 || string(got[0].Data) != "{\"body\":\"a\ufffd\"}" {
		t.Errorf("unexpected events; got %q, %v; want a repaired one", texts(got), err)
	}
	_, err = Split(nil, bad, FormatOTLPProto, Options{RejectInvalidUTF8: true})
	wantKind(t, err, KindMalformed)
}

func appendField(dst []byte, num protowire.Number, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, num, protowire.BytesType), b)
}

// Protobuf allows every message in pieces; together they mean one.
func TestOTLPProtoInPieces(t *testing.T) {
	cat := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	field := func(num protowire.Number, parts ...[]byte) []byte { return appendField(nil, num, cat(parts...)) }
	text := func(num protowire.Number, s string) []byte { return field(num, []byte(s)) }
	key := func(s string) []byte { return text(1, s) }
	array := func(s string) []byte { return field(5, field(1, text(1, s))) }
	group := protowire.AppendTag(protowire.AppendTag(nil, 77, protowire.StartGroupType), 77, protowire.EndGroupType)
	wrongType := protowire.AppendVarint(protowire.AppendTag(nil, 6, protowire.VarintType), 5)
	body := field(1,
		field(2,
			field(1, text(1, "old"), text(2, "1")), // scope
			field(1, text(1, "new"), field(3, key("s"))),
			field(2, // record
				field(5, array("a")), field(5, array("b"), array("c")), field(5, text(1, "x"), array("d")),
				field(6, key("k"), key("l"), field(2, text(1, "v")), field(2, array("w"))),
				wrongType, group,
				text(3, "old"), text(3, ""), text(12, "\t\r\x01"),
				text(9, "id"), text(9, ""),
			),
			text(3, "url"), group,
		),
		field(1, field(1, key("r1"))), // resource
		field(1, field(1, key("r2")), wrongType),
		field(1, field(1, key("r3"))),
	)
	got, err := Split(nil, body, FormatOTLPProto, Options{RejectInvalidUTF8: true})
	want := `{"event_name":"\t\r\u0001","body":["d"],"attributes":{"l":["w"]},"resource":{"r1":null,"r2":null,"r3":null},` +
		`"scope_name":"new","scope_version":"1","scope_attributes":{"s":null},"scope_schema_url":"url"}`
	if err != nil || len(got) != 1 || string(got[0].Data) != want {
		t.Errorf("unexpected events; got %s, %v; want %s", texts(got), err, want)
	}
	var logs logspb.LogsData
	if err := proto.Unmarshal(body, &logs); err != nil {
		t.Fatal(err)
	}
	compareOTLP(t, got, &logs)
	// Invalid UTF-8 is seen wherever text is used.
	for _, bad := range [][]byte{
		field(1, text(3, "\xff")),
		field(1, field(1, field(1, key("\xff")))),
		field(1, field(2, text(3, "\xff"))),
		field(1, field(2, field(1, text(1, "\xff")))),
		field(1, field(2, field(1, field(3, key("\xff"))))),
		field(1, field(2, field(2, text(3, "\xff")))),
		field(1, field(2, field(2, field(6, key("\xff"))))),
		field(1, field(2, field(2, field(6, field(2, array("\xff")))))),
	} {
		_, err := Split(nil, bad, FormatOTLPProto, Options{RejectInvalidUTF8: true})
		wantKind(t, err, KindMalformed)
		// And cut off anywhere it is no protobuf.
		for _, cut := range [][]byte{bad[:len(bad)-1], append(slices.Clone(bad), 0xff)} {
			_, err := Split(nil, cut, FormatOTLPProto, Options{})
			wantKind(t, err, KindMalformed)
		}
	}
}

func TestOTLPJSONNesting(t *testing.T) {
	body := `{"stringValue":"x"}`
	for range 10 {
		body = `{"arrayValue":{"values":[` + body + `]}}`
	}
	body = `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":` + body + `}]}]}]}`
	for limit, want := range map[int]Kind{37: KindMalformed, 38: KindNone} {
		_, err := Split(nil, []byte(body), FormatOTLPJSON, Options{Limits: Limits{Depth: limit}})
		if want != KindNone {
			wantKind(t, err, want)
		} else if err != nil {
			t.Errorf("unexpected error with a limit of %d; got %v; want none", limit, err)
		}
	}
}

// expected makes the events of logs by way of the generated types.
func expected(logs *logspb.LogsData) []map[string]any {
	var out []map[string]any
	for _, rl := range logs.GetResourceLogs() {
		for _, sl := range rl.GetScopeLogs() {
			for _, r := range sl.GetLogRecords() {
				ev := map[string]any{}
				stamp := func(key string, ns uint64) {
					if ns != 0 {
						ev[key] = time.Unix(int64(ns/1e9), int64(ns%1e9)).UTC().Format("2006-01-02T15:04:05.000000000Z")
					}
				}
				text := func(key, s string) {
					if s != "" {
						ev[key] = s
					}
				}
				count := func(key string, n int64) {
					if n != 0 {
						ev[key] = json.Number(strconv.FormatInt(n, 10))
					}
				}
				attributes := func(key string, pairs []*commonpb.KeyValue) {
					if len(pairs) > 0 {
						ev[key] = expectedPairs(pairs)
					}
				}
				if stamp("timestamp", r.TimeUnixNano); r.TimeUnixNano == 0 {
					stamp("timestamp", r.ObservedTimeUnixNano)
				}
				stamp("observed_timestamp", r.ObservedTimeUnixNano)
				count("severity_number", int64(r.SeverityNumber))
				text("severity_text", r.SeverityText)
				text("event_name", r.EventName)
				if r.Body != nil {
					ev["body"] = expectedValue(r.Body)
				}
				attributes("attributes", r.Attributes)
				count("dropped_attributes_count", int64(r.DroppedAttributesCount))
				text("trace_id", hex.EncodeToString(r.TraceId))
				text("span_id", hex.EncodeToString(r.SpanId))
				count("flags", int64(r.Flags))
				attributes("resource", rl.GetResource().GetAttributes())
				count("resource_dropped_attributes_count", int64(rl.GetResource().GetDroppedAttributesCount()))
				text("resource_schema_url", rl.SchemaUrl)
				text("scope_name", sl.GetScope().GetName())
				text("scope_version", sl.GetScope().GetVersion())
				attributes("scope_attributes", sl.GetScope().GetAttributes())
				count("scope_dropped_attributes_count", int64(sl.GetScope().GetDroppedAttributesCount()))
				text("scope_schema_url", sl.SchemaUrl)
				out = append(out, ev)
			}
		}
	}
	return out
}

func expectedPairs(pairs []*commonpb.KeyValue) map[string]any {
	m := map[string]any{}
	for _, p := range pairs {
		m[p.GetKey()] = expectedValue(p.GetValue())
	}
	return m
}

func expectedValue(v *commonpb.AnyValue) any {
	switch v := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue
	case *commonpb.AnyValue_BoolValue:
		return v.BoolValue
	case *commonpb.AnyValue_IntValue:
		return json.Number(strconv.FormatInt(v.IntValue, 10))
	case *commonpb.AnyValue_DoubleValue:
		if f := v.DoubleValue; math.IsNaN(f) || math.IsInf(f, 0) {
			return strings.Replace(strings.Replace(fmt.Sprint(f), "Inf", "Infinity", 1), "+", "", 1)
		}
		return v.DoubleValue
	case *commonpb.AnyValue_BytesValue:
		return base64.StdEncoding.EncodeToString(v.BytesValue)
	case *commonpb.AnyValue_ArrayValue:
		out := []any{}
		for _, e := range v.ArrayValue.GetValues() {
			out = append(out, expectedValue(e))
		}
		return out
	case *commonpb.AnyValue_KvlistValue:
		return expectedPairs(v.KvlistValue.GetValues())
	}
	return nil
}

// sameValue compares decoded JSON with what is expected; doubles by value.
func sameValue(got, want any) bool {
	switch w := want.(type) {
	case float64:
		n, ok := got.(json.Number)
		f, err := n.Float64()
		return ok && err == nil && f == w && strings.ContainsAny(n.String(), ".e")
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for k := range w {
			if v, there := g[k]; !there || !sameValue(v, w[k]) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		return ok && slices.EqualFunc(g, w, sameValue)
	}
	return reflect.DeepEqual(got, want)
}

func compareOTLP(t *testing.T, got []Event, logs *logspb.LogsData) {
	t.Helper()
	want := expected(logs)
	if len(got) != len(want) {
		t.Fatalf("unexpected number of events; got %d; want %d", len(got), len(want))
	}
	for i, ev := range got {
		var v any
		dec := json.NewDecoder(bytes.NewReader(ev.Data))
		dec.UseNumber()
		if err := dec.Decode(&v); err != nil || !sameValue(v, want[i]) {
			t.Fatalf("unexpected event %d; got %s, %v; want %v", i, ev.Data, err, want[i])
		}
	}
}

// randomLogs makes a request with everything that can be in one.
func randomLogs(r *rand.Rand) *logspb.LogsData {
	text := func() string {
		const parts = "a\"\\\n\x00\x1f\u00e9\u4e2d\U0001f600 /<&\u2028x.longer"
		runes := []rune(parts)
		var b strings.Builder
		for range r.IntN(12) {
			b.WriteRune(runes[r.IntN(len(runes))])
		}
		return b.String()
	}
	var value func(depth int) *commonpb.AnyValue
	pairs := func(depth int) (out []*commonpb.KeyValue) {
		for range r.IntN(4) {
			out = append(out, pair(text(), value(depth+1)))
		}
		return out
	}
	doubles := []float64{0, 1, -1.5, math.NaN(), math.Inf(1), math.Inf(-1), 1e300, 5e-324, 1e15, 1e21, 0.1, math.Copysign(0, -1)}
	value = func(depth int) *commonpb.AnyValue {
		n := 9
		if depth > 4 {
			n = 6
		}
		switch r.IntN(n) {
		case 0:
			return str(text())
		case 1:
			return boolean(r.IntN(2) == 0)
		case 2:
			return integer(int64(r.Uint64()))
		case 3:
			return double(doubles[r.IntN(len(doubles))])
		case 4:
			return binaryValue([]byte(text()))
		case 5:
			return &commonpb.AnyValue{}
		case 6:
			return list(value(depth+1), value(depth+1))
		case 7:
			return object(pairs(depth + 1)...)
		}
		return list()
	}
	logs := &logspb.LogsData{}
	for range r.IntN(3) {
		rl := &logspb.ResourceLogs{SchemaUrl: text()}
		if r.IntN(3) > 0 {
			rl.Resource = &resourcepb.Resource{Attributes: pairs(0), DroppedAttributesCount: r.Uint32N(2)}
		}
		for range r.IntN(3) {
			sl := &logspb.ScopeLogs{SchemaUrl: text()}
			if r.IntN(3) > 0 {
				sl.Scope = &commonpb.InstrumentationScope{Name: text(), Version: text(), Attributes: pairs(0), DroppedAttributesCount: r.Uint32N(2)}
			}
			for range r.IntN(4) {
				lr := &logspb.LogRecord{
					SeverityNumber: logspb.SeverityNumber(r.IntN(25)), SeverityText: text(), EventName: text(),
					Attributes: pairs(0), DroppedAttributesCount: r.Uint32N(2), Flags: r.Uint32N(3),
				}
				if r.IntN(2) == 0 {
					lr.TimeUnixNano, lr.TraceId, lr.SpanId = r.Uint64(), traceID, spanID
				}
				if r.IntN(2) == 0 {
					lr.ObservedTimeUnixNano = r.Uint64()
				}
				if r.IntN(4) > 0 {
					lr.Body = value(0)
				}
				sl.LogRecords = append(sl.LogRecords, lr)
			}
			rl.ScopeLogs = append(rl.ScopeLogs, sl)
		}
		logs.ResourceLogs = append(logs.ResourceLogs, rl)
	}
	return logs
}

func TestBothEncodingsOfOTLPGiveTheSame(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	arena := new(Arena)
	for range 300 {
		logs := randomLogs(r)
		arena.Reset()
		pb, err := Split(nil, asProto(t, logs), FormatOTLPProto, Options{Arena: arena, RejectInvalidUTF8: true})
		if err != nil {
			t.Fatal(err)
		}
		compareOTLP(t, pb, logs)
		js, err := Split(nil, asJSON(t, logs), FormatOTLPJSON, Options{Arena: arena, RejectInvalidUTF8: true})
		if err != nil {
			t.Fatal(err)
		}
		compareOTLP(t, js, logs)
	}
}

func FuzzSplitOTLPProto(f *testing.F) {
	f.Add(asProto(f, sampleLogs()))
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		f.Add(asProto(f, randomLogs(r)))
	}
	// Messages in pieces, which are to be merged.
	body := appendField(appendField(nil, 5, []byte{0x2a, 0}), 5, []byte{0x2a, 2, 0x0a, 0})
	f.Add(appendField(nil, 1, appendField(appendField(nil, 2, appendField(nil, 2, body)), 1, appendField(nil, 1, []byte{0x12, 0, 0x12, 0}))))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := Split(nil, body, FormatOTLPProto, Options{})
		checkConverted(t, body, got, err)
		got, err = Split(nil, body, FormatOTLPProto, Options{RejectInvalidUTF8: true})
		var logs logspb.LogsData
		if proto.Unmarshal(body, &logs) != nil {
			return // this package does not look at everything
		}
		var e *Error
		if errors.As(err, &e) && e.Detail == wrongNesting {
			return
		}
		if err != nil {
			t.Fatalf("unexpected error; got %v; want none, as protobuf has none", err)
		}
		compareOTLP(t, got, &logs)
	})
}

func FuzzSplitOTLPJSON(f *testing.F) {
	f.Add(asJSON(f, sampleLogs()))
	r := rand.New(rand.NewPCG(5, 6))
	for range 20 {
		f.Add(asJSON(f, randomLogs(r)))
	}
	f.Add([]byte(`[{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":"SEVERITY_NUMBER_WARN2","body":{"doubleValue":"NaN"}}]}]}]}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := Split(nil, body, FormatOTLPJSON, Options{})
		checkConverted(t, body, got, err)
		var logs logspb.LogsData
		if protojson.Unmarshal(body, &logs) != nil || err != nil {
			return // this package takes more, and ids in another form
		}
		if want := expected(&logs); len(got) != len(want) {
			t.Fatalf("unexpected number of events; got %d; want %d", len(got), len(want))
		}
	})
}

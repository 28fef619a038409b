// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

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
		{"over several lines", "{\n \"body\": {\n \"kvlistValue\": { \"values\" :\n [ { \"key\" : \"a b\" ,\n\"value\": { \"stringValue\" : \"c\\nd\" } } ] } } }", `{"body":{"a b":"c\nd"}}`},
		{"escapes of values stay", `{"body":{"stringValue":"\u00e9\/"},"attributes":[{"key":"\u0061","value":{"bytesValue":"AA=="}}]}`, `{"body":"\u00e9\/","attributes":{"a":"AA=="}}`},
		{"invalid UTF-8", "{\"body\":{\"stringValue\":\"\xff\"}}", "{\"body\":\"\ufffd\"}"},
		{"value before its key", `{"attributes":[{"value":{"arrayValue":{"values":[{"intValue":1}]}},"key":"a"},{"value":{"intValue":2}},{"key":"c"},{}]}`, `{"attributes":{"a":[1],"c":null,"":null}}`},
		{"members of a pair twice", `{"attributes":[{"key":"a","value":{"intValue":1},"key":"b","value":{"intValue":2}},{"key":"c","value":{}}]}`, `{"attributes":{"b":2,"c":null}}`},
		{"values twice", `{"body":{"arrayValue":{"values":[{"intValue":1}],"x":[[]],"values":[{"intValue":2},{}]}}}`, `{"body":[2,null]}`},
		{"null lists", `{"body":{"kvlistValue":{"values":null}},"attributes":[{"key":"a","value":{"arrayValue":{}}},{"key":"b","value":null}]}`, `{"body":{},"attributes":{"a":[],"b":null}}`},
		{"time is empty text", `{"timeUnixNano":"","severityNumber":"","droppedAttributesCount":"","body":{"intValue":1}}`, `{"body":1}`},
		{"bool in quotes", `{"body":{"boolValue":"true"},"attributes":[{"key":"a","value":{"boolValue":"false"}}]}`, `{"body":true,"attributes":{"a":false}}`},
		{"plain values", `{"body":"a\"b","attributes":[{"key":"a","value":-1.5},{"value":true,"key":"b"},{"key":"c","value":"x"}]}`, `{"body":"a\"b","attributes":{"a":-1.5,"b":true,"c":"x"}}`},
		{"null among attributes", `{"body":{"kvlistValue":{"values":[null]}},"attributes":[null,{"key":"a","value":{"intValue":1}},null]}`, `{"body":{},"attributes":{"a":1}}`},
		{"null in an array", `{"body":{"arrayValue":{"values":[null,{"intValue":1},null]}}}`, `{"body":[null,1,null]}`},
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
		{"bool is text", record(`{"body":{"boolValue":"yes"}}`)},
		{"record is null", record("null")},
		{"double is a bool", record(`{"body":{"doubleValue":true}}`)},
		{"body is an array", record(`{"body":["x"]}`)},
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
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 14, protowire.VarintType), 5)
	body := field(1,
		field(2,
			field(1, text(1, "old"), text(2, "1")), // scope
			field(1, text(1, "new"), field(3, key("s"))),
			field(2, // record
				field(5, array("a")), field(5, array("b"), array("c")), field(5, text(1, "x"), array("d")),
				field(6, key("k"), key("l"), field(2, text(1, "v")), field(2, array("w"))),
				unknown, group,
				text(3, "old"), text(3, ""), text(12, "\t\r\x01"),
				text(9, "id"), text(9, ""),
			),
			text(3, "url"), group,
		),
		field(1, field(1, key("r1"))), // resource
		field(1, field(1, key("r2")), unknown),
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
	for limit, want := range map[int]Kind{10: KindMalformed, 11: KindNone} {
		_, err := Split(nil, []byte(body), FormatOTLPJSON, Options{Limits: Limits{Depth: limit}})
		if want != KindNone {
			wantKind(t, err, want)
		} else if err != nil {
			t.Errorf("unexpected error with a limit of %d; got %v; want none", limit, err)
		}
	}
}

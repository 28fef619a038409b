// SPDX-License-Identifier: Apache-2.0

package body

import (
	"slices"
	"testing"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Metrics and traces that are sent where logs go are refused, and make no events.
func TestOtherSignalsAreRefused(t *testing.T) {
	metric := func(m *metricspb.Metric) proto.Message {
		m.Name = "requests"
		return &metricspb.MetricsData{ResourceMetrics: []*metricspb.ResourceMetrics{{ScopeMetrics: []*metricspb.ScopeMetrics{{Metrics: []*metricspb.Metric{m}}}}}}
	}
	number := []*metricspb.NumberDataPoint{{TimeUnixNano: 1, Value: &metricspb.NumberDataPoint_AsInt{AsInt: 5}}}
	for name, m := range map[string]proto.Message{
		"gauge":                 metric(&metricspb.Metric{Data: &metricspb.Metric_Gauge{Gauge: &metricspb.Gauge{DataPoints: number}}}),
		"sum":                   metric(&metricspb.Metric{Data: &metricspb.Metric_Sum{Sum: &metricspb.Sum{DataPoints: number}}}),
		"histogram":             metric(&metricspb.Metric{Data: &metricspb.Metric_Histogram{Histogram: &metricspb.Histogram{DataPoints: []*metricspb.HistogramDataPoint{{Count: 1}}}}}),
		"exponential histogram": metric(&metricspb.Metric{Data: &metricspb.Metric_ExponentialHistogram{ExponentialHistogram: &metricspb.ExponentialHistogram{}}}),
		"summary":               metric(&metricspb.Metric{Data: &metricspb.Metric_Summary{Summary: &metricspb.Summary{}}}),
		"span": &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{
			{TraceId: traceID, SpanId: spanID, Name: "GET", StartTimeUnixNano: 1},
		}}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			pb, err := proto.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			js, err := protojson.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			for f, data := range map[Format][]byte{FormatOTLPProto: pb, FormatOTLPJSON: js} {
				for _, opt := range []Options{{}, {Broken: new([]Error)}} {
					got, err := Split(nil, data, f, opt)
					wantKind(t, err, KindMalformed)
					if len(got) > 0 {
						t.Errorf("unexpected events of %v; got %q; want none", f, texts(got))
					}
				}
			}
		})
	}
}

// A known field with another wire type is no log, in any message; an unknown one is
// skipped, but a request of nothing else is not passed over in silence.
func TestWireTypesOfOTLP(t *testing.T) {
	field := func(num protowire.Number, parts ...[]byte) []byte {
		var b []byte
		for _, p := range parts {
			b = append(b, p...)
		}
		return appendField(nil, num, b)
	}
	varint := func(num protowire.Number) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), 1)
	}
	fixed32 := func(num protowire.Number) []byte {
		return protowire.AppendFixed32(protowire.AppendTag(nil, num, protowire.Fixed32Type), 1)
	}
	record := func(parts ...[]byte) []byte { return field(1, field(2, field(2, parts...))) }
	value := func(parts ...[]byte) []byte { return record(field(5, parts...)) }
	for name, bad := range map[string][]byte{
		"request":           varint(1),
		"only unknown":      append(varint(2), field(9, []byte("x"))...),
		"resource logs":     field(1, varint(2)),
		"schema":            field(1, fixed32(3)),
		"resource":          field(1, field(1, varint(1))),
		"dropped count":     field(1, field(1, fixed32(2))),
		"scope logs":        field(1, field(2, varint(2))),
		"scope":             field(1, field(2, field(1, varint(1)))),
		"time":              record(varint(1)),
		"severity":          record(field(2)),
		"severity text":     record(varint(3)),
		"body":              record(fixed32(5)),
		"attributes":        record(varint(6)),
		"dropped":           record(field(7)),
		"flags":             record(varint(8)),
		"trace id":          record(varint(9)),
		"span id":           record(varint(10)),
		"observed time":     record(varint(11)),
		"event name":        record(varint(12)),
		"key":               record(field(6, varint(1))),
		"value":             record(field(6, varint(2))),
		"string":            value(varint(1)),
		"int":               value(field(3)),
		"double":            value(fixed32(4)),
		"bytes":             value(varint(7)),
		"elements of array": value(field(5, varint(1))),
		"pairs of a list":   value(field(6, varint(1))),
	} {
		_, err := Split(nil, bad, FormatOTLPProto, Options{})
		if err == nil {
			t.Errorf("unexpected success for %s; want an error", name)
			continue
		}
		wantKind(t, err, KindMalformed)
	}
	for name, good := range map[string][]byte{
		"nothing":     nil,
		"no records":  field(1),
		"a new field": append(record(varint(13), varint(14), varint(200)), varint(7)...),
	} {
		if _, err := Split(nil, good, FormatOTLPProto, Options{}); err != nil {
			t.Errorf("unexpected error for %s; got %v; want none", name, err)
		}
	}
}

// Ids in OTLP/JSON are hexadecimal; some write base64, as protobuf's usual JSON does.
func TestIDsOfOTLPJSON(t *testing.T) {
	const trace, span = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"
	for given, want := range map[[2]string][2]string{
		{trace, span}: {trace, span},
		{"5B8EFFF798038103D269B633813FC60C", "EEE19B7EC3C1B174"}: {trace, span},
		{"W47/95gDgQPSabYzgT/GDA==", "7uGbfsPBsXQ="}:             {trace, span},
		{`W47\/95gDgQPSabYzgT\/GDA==`, "7uGbfsPBsXQ"}:            {trace, span},
		{"W47_95gDgQPSabYzgT_GDA", "7uGbfsPBsXQ"}:                {trace, span},
		{"\\u0035B8EFFF798038103D269B633813FC60C", span}:         {trace, span},
		{"AAAAAAAAAAAAAAAAAAAAAAAA", "ABCD"}:                     {"aaaaaaaaaaaaaaaaaaaaaaaa", "abcd"},
		{"W47/95gDgQPSabYzgT/GDA==AA", "7uGbfsPBsXQAAA"}:         {"W47/95gDgQPSabYzgT/GDA==AA", "7uGbfsPBsXQAAA"},
		{"Request-7", "Span 1"}:                                  {"Request-7", "Span 1"},
		{"W47/95gDgQPSabYzgT-GDA==", "7uGbfsPB"}:                 {"W47/95gDgQPSabYzgT-GDA==", "7uGbfsPB"},
	} {
		body := `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":"` + given[0] + `","spanId":"` + given[1] + `"}]}]}]}`
		got, err := Split(nil, []byte(body), FormatOTLPJSON, Options{})
		if text := `{"trace_id":"` + want[0] + `","span_id":"` + want[1] + `"}`; err != nil || len(got) != 1 || string(got[0].Data) != text {
			t.Errorf("unexpected event of %q; got %q, %v; want %s", given, texts(got), err, text)
		}
	}
}

// A log record that cannot be put costs only itself.
func TestOTLPBrokenRecords(t *testing.T) {
	deep := integer(1)
	for range 200 {
		deep = list(deep)
	}
	logs := &logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{ScopeLogs: []*logspb.ScopeLogs{{LogRecords: []*logspb.LogRecord{
		{SeverityText: "a"}, {Body: deep}, {SeverityText: "b"},
	}}}}}}
	got, broken, err := brokenSplit(t, asProto(t, logs), FormatOTLPProto, Options{})
	if err != nil || len(got) != 3 || got[0] != `{"severity_text":"a"}` || got[2] != `{"severity_text":"b"}` || len(broken) != 1 || broken[0].Event != 1 {
		t.Errorf("unexpected events; got %.200q, %v, %v; want the two good ones", got, broken, err)
	}
}

// A key that occurs twice in attributes is one name in the event, with the last value, at
// every level and in both encodings.
func TestOTLPKeysTwice(t *testing.T) {
	twice := func(v ...*commonpb.AnyValue) []*commonpb.KeyValue {
		return []*commonpb.KeyValue{pair("a", v[0]), pair("b", integer(0)), pair("a", v[len(v)-1])}
	}
	logs := &logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{
		Resource: &resourcepb.Resource{Attributes: twice(str("x"), str("y"))},
		ScopeLogs: []*logspb.ScopeLogs{{
			Scope: &commonpb.InstrumentationScope{Attributes: twice(integer(1), integer(2))},
			LogRecords: []*logspb.LogRecord{
				{Attributes: twice(integer(1), object(twice(str("c"), str("d"))...)), Body: list(object(twice(integer(3), integer(4))...))},
				{Attributes: []*commonpb.KeyValue{pair("\"", integer(1)), pair("\u00e9", integer(2))}},
			},
		}},
	}}}
	const tail = `"resource":{"b":0,"a":"y"},"scope_attributes":{"b":0,"a":2}}`
	want := []string{
		`{"body":[{"b":0,"a":4}],"attributes":{"b":0,"a":{"b":0,"a":"d"}},` + tail,
		"{\"attributes\":{\"\\\"\":1,\"\u00e9\":2}," + tail,
	}
	for f, data := range map[Format][]byte{FormatOTLPProto: asProto(t, logs), FormatOTLPJSON: asJSON(t, logs)} {
		got, err := Split(nil, data, f, Options{})
		if err != nil || !slices.Equal(texts(got), want) {
			t.Errorf("unexpected events of %v; got %s, %v; want %s", f, texts(got), err, want)
		}
	}
	// Keys that become the same only in JSON.
	keys := [][]byte{[]byte("k\xff"), []byte("k\xfe")}
	var record []byte
	for i, k := range keys {
		record = appendField(record, 6, appendField(appendField(nil, 1, k), 2, []byte{0x18, byte(i)}))
	}
	got, err := Split(nil, appendField(nil, 1, appendField(nil, 2, appendField(nil, 2, record))), FormatOTLPProto, Options{})
	if w := "{\"attributes\":{\"k\ufffd\":1}}"; err != nil || len(got) != 1 || string(got[0].Data) != w {
		t.Errorf("unexpected event; got %s, %v; want %s", texts(got), err, w)
	}
}

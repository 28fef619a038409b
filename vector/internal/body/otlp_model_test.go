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
	"google.golang.org/protobuf/proto"
)

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
		if repeats(ev.Data) {
			t.Fatalf("unexpected event %d; got %s; want each name once", i, ev.Data)
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
			key := text()
			if r.IntN(4) == 0 {
				key = "k"
			}
			out = append(out, pair(key, value(depth+1)))
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
		if errors.As(err, &e) && (e.Detail == wrongNesting || e.Detail == wrongWire || e.Detail == wrongRequest) {
			return // what the collector refuses, too, or what is another signal
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

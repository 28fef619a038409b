// SPDX-License-Identifier: Apache-2.0

package body

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// protoField appends a field that is text or a message.
func protoField(b []byte, num protowire.Number, parts ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), slices.Concat(parts...))
}

// A request may say a name twice wherever names are data: attributes, lists of pairs,
// fields, tags.
func TestConvertedObjectsHaveEachNameOnce(t *testing.T) {
	pair := func(key, value string) []byte { // a KeyValue, or an entry of a map
		return protoField(protoField(nil, 1, []byte(key)), 2, protoField(nil, 1, []byte(value)))
	}
	list := func(num protowire.Number) []byte {
		return slices.Concat(protoField(nil, num, pair("a", "1")), protoField(nil, num, pair("b", "2")), protoField(nil, num, pair("a", "3")))
	}
	kvlist := protoField(nil, 6, list(1)) // an AnyValue
	record := slices.Concat(protoField(nil, 5, kvlist), list(6))
	otlp := protoField(nil, 1, protoField(nil, 1, list(1)), protoField(nil, 2, protoField(nil, 1, list(3)), protoField(nil, 2, record)))
	const pairs = `[{"key":"a","value":{"stringValue":"1"}},{"key":"b","value":{"stringValue":"2"}},{"key":"\u0061","value":{"stringValue":"3"}}]`
	otlpJSON := `{"resourceLogs":[{"resource":{"attributes":` + pairs + `},"scopeLogs":[{"scope":{"attributes":` + pairs +
		`},"logRecords":[{"body":{"kvlistValue":{"values":` + pairs + `}},"attributes":` + pairs + `}]}]}]}`
	const want = `{"body":{"b":"2","a":"3"},"attributes":{"b":"2","a":"3"},"resource":{"b":"2","a":"3"},"scope_attributes":{"b":"2","a":"3"}}`

	inner := protoField(protoField(nil, 1, []byte("m")), 2, protoField(nil, 7, list(1)))
	vectorLog := protoField(nil, 1, protoField(nil, 1, list(1), protoField(nil, 1, inner)))
	tag := func(key, value string) []byte {
		return protoField(nil, 3, protoField(protoField(nil, 1, []byte(key)), 2, []byte(value)))
	}
	vectorMetric := protoField(nil, 1, protoField(nil, 2, protoField(nil, 1, []byte("hits")), tag("a", "1"), tag("b", "2"), tag("a", "3"), protoField(nil, 5)))
	for _, c := range []struct {
		name   string
		body   []byte
		format Format
		want   string
	}{
		{"OTLP", otlp, FormatOTLPProto, want},
		{"OTLP in JSON", []byte(otlpJSON), FormatOTLPJSON, want},
		{"log of Vector", vectorLog, FormatVector, `{"b":"2","a":"3","m":{"b":"2","a":"3"}}`},
		{"metric of Vector", vectorMetric, FormatVector, `{"name":"hits","tags":{"b":"2","a":"3"},"kind":"incremental","counter":{"value":0.0}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 { // the second time the same keys were seen
				got, err := Split(nil, c.body, c.format, Options{})
				if err != nil || len(got) != 1 || string(got[0].Data) != c.want {
					t.Fatalf("unexpected events; got %s, %v; want %s", texts(got), err, c.want)
				}
			}
		})
	}
}

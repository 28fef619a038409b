// SPDX-License-Identifier: Apache-2.0

package body

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// A log record of OTLP/JSON that cannot be read costs only itself.
func TestBrokenRecordOfOTLPJSONCostsItself(t *testing.T) {
	for name, bad := range map[string]string{
		"time is text":             `{"timeUnixNano":"xx","body":{"stringValue":"2"}}`,
		"time below zero":          `{"timeUnixNano":"-1"}`,
		"time above 64 bits":       `{"observedTimeUnixNano":"18446744073709551616"}`,
		"integer with decimals":    `{"body":{"intValue":1.5}}`,
		"bool is a number":         `{"body":{"boolValue":1}}`,
		"string is a number":       `{"body":{"stringValue":1}}`,
		"double is text":           `{"body":{"doubleValue":"x"}}`,
		"attributes are an object": `{"attributes":{"a":"]"}}`,
		"attribute is a number":    `{"attributes":[1]}`,
		"key is a number":          `{"attributes":[{"key":1}]}`,
		"body is an array":         `{"body":["x"]}`,
		"severity is a list":       `{"severityNumber":[]}`,
		"trace id is a number":     `{"traceId":1}`,
		"null":                     `null`,
		"a number":                 `17`,
		"text":                     `"a]}"`,
		"an array":                 `[{"body":{"stringValue":"x"}}]`,
		"too deep":                 `{"body":` + strings.Repeat(`{"arrayValue":{"values":[`, 200) + strings.Repeat(`]}}`, 200) + `}`,
		"too deep, pairs":          `{"attributes":[{"key":"a","value":` + strings.Repeat(`{"kvlistValue":{"values":[{"key":"b","value":`, 150) + `{}` + strings.Repeat(`}]}}`, 150) + `}]}`,
	} {
		for _, form := range []string{
			`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"1"}},BAD,{"body":{"stringValue":"3"}}]}]}]}`,
			"{\"resourceLogs\":[null,{\"scopeLogs\":[null,\n{\"logRecords\":[{\"body\":{\"stringValue\":\"1\"}},BAD ]},{\"logRecords\":[{\"body\":{\"stringValue\":\"3\"}}]}]}]}",
		} {
			request := strings.Replace(form, "BAD", bad, 1)
			var broken []Error
			got, err := Split(nil, []byte(request), FormatOTLPJSON, Options{Broken: &broken})
			want := []string{`{"body":"1"}`, bad, `{"body":"3"}`}
			if err != nil || !slices.Equal(texts(got), want) || got[1].Kind != EventBroken || got[0].Kind != EventJSON || got[2].Kind != EventJSON {
				t.Errorf("%s: unexpected events; got %q, %v; want %q", name, texts(got), err, want)
				continue
			}
			if len(broken) != 1 || broken[0].Kind != KindMalformed || broken[0].Event != 1 {
				t.Errorf("%s: unexpected errors; got %v; want one of event 1", name, broken)
			}
			_, err = Split(nil, []byte(request), FormatOTLPJSON, Options{})
			wantKind(t, err, KindMalformed)
		}
	}
	// What is broken counts for the limit of events, too.
	_, err := Split(nil, []byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[1,2,3]}]}]}`), FormatOTLPJSON, Options{Broken: new([]Error), Limits: Limits{Events: 2}})
	wantKind(t, err, KindTooLarge)
}

// A log record of OTLP as protobuf that cannot be read costs only itself, since its length is
// known.
func TestBrokenRecordOfOTLPProtoCostsItself(t *testing.T) {
	field := func(num protowire.Number, parts ...[]byte) []byte {
		return appendField(nil, num, slices.Concat(parts...))
	}
	text := func(s string) []byte { return field(5, field(1, []byte(s))) }
	request := func(records ...[]byte) []byte {
		var b []byte
		for _, r := range records {
			b = appendField(b, 2, r)
		}
		return field(1, field(2, b))
	}
	for name, bad := range map[string][]byte{
		"no protobuf":             []byte("\xff\xff\xff"),
		"cut":                     text("2")[:3],
		"cut in an attribute":     field(6, []byte("\x0a\x05ab")),
		"cut in the body":         field(5, []byte("\x0a\x05ab")),
		"cut in a body in pieces": slices.Concat(text("a"), field(5, []byte("\x0a\x05ab"))),
		"another wire type":       field(1, []byte("x")),
	} {
		var broken []Error
		got, err := Split(nil, request(text("1"), bad, text("3")), FormatOTLPProto, Options{Broken: &broken})
		want := []string{`{"body":"1"}`, string(bad), `{"body":"3"}`}
		if err != nil || !slices.Equal(texts(got), want) || got[1].Kind != EventBroken {
			t.Errorf("%s: unexpected events; got %q, %v; want %q", name, texts(got), err, want)
			continue
		}
		if len(broken) != 1 || broken[0].Kind != KindMalformed || broken[0].Event != 1 {
			t.Errorf("%s: unexpected errors; got %v; want one of event 1", name, broken)
		}
	}
	// Nothing but records of other types is another signal, which is refused as a whole.
	_, err := Split(nil, request(field(1, []byte("x")), field(1, []byte("y"))), FormatOTLPProto, Options{Broken: new([]Error)})
	wantKind(t, err, KindMalformed)
	// So is what is around the records.
	_, err = Split(nil, slices.Concat(request(text("1")), []byte{0xff}), FormatOTLPProto, Options{Broken: new([]Error)})
	var e *Error
	if !errors.As(err, &e) || e.Kind != KindMalformed {
		t.Errorf("unexpected error; got %v; want malformed", err)
	}
}

// So does one that is no JSON, whatever is wrong with it and wherever it stands.
func TestDamagedRecordOfOTLPJSONCostsItself(t *testing.T) {
	for name, bad := range map[string]string{
		"an escape that JSON does not know": `{"body":{"stringValue":"C:\dir"}}`,
		"with attributes behind":            `{"body":{"stringValue":"C:\dir"},"attributes":[{"key":"a","value":{"stringValue":"b"}},{"key":"c","value":{"arrayValue":{"values":[{"intValue":1}]}}}]}`,
		"a string that is not closed":       `{"body":{"stringValue":"a}}`,
		"a comma too many":                  `{"body":{"stringValue":"t"},}`,
		"another bracket":                   `{"body":{"stringValue":[1}}`,
		"a bracket too few":                 `{"body":{"stringValue":"x"}`,
		"a bracket too many":                `{"body":{"stringValue":"x"}}}`,
		"a value is missing":                `{"body":}`,
		"no JSON at all":                    `panic: x`,
		"quotes within":                     `{"body":{"stringValue":"a "b" {"c":[1]},{"d":2}"}}`,
		"a name without quotes":             `{body:{"stringValue":"x"}}`,
	} {
		for _, form := range []string{
			`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"1"}},BAD,{"body":{"stringValue":"3"}}]}]}]}`,
			`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"1"}},BAD]},{"scope":{},"logRecords":[{"body":{"stringValue":"3"}}]}]}]}`,
			`{"resourceLogs":[{"scopeLogs":[{"log_records":[{"body":{"stringValue":"1"}},BAD],"schemaUrl":""}]},{"resource":{},"scopeLogs":[{"logRecords":[{"body":{"stringValue":"3"}}]}]}]}`,
			"[{\"resourceLogs\":[{\"scopeLogs\":[{\n\"logRecords\" : [\n{\"body\":{\"stringValue\":\"1\"}},\nBAD,\n{\"body\":{\"stringValue\":\"3\"}}\n]}]}]}]",
			"{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"body\":{\"stringValue\":\"1\"}},BAD]}]}]}\n{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"body\":{\"stringValue\":\"3\"}}]}]}]}\n",
		} {
			request := strings.Replace(form, "BAD", bad, 1)
			got, broken, err := brokenSplit(t, []byte(request), FormatOTLPJSON, Options{OmitScope: true, OmitResource: true})
			if want := []string{`{"body":"1"}`, "!" + bad, `{"body":"3"}`}; err != nil || !slices.Equal(got, want) || broken[0].Event != 1 || broken[0].Offset <= 0 {
				t.Errorf("%s: unexpected events of %s; got %q, %+v, %v; want %q", name, request, got, broken, err, want)
			}
			_, err = Split(nil, []byte(request), FormatOTLPJSON, Options{})
			wantKind(t, err, KindMalformed)
		}
	}
	for _, c := range []struct {
		name, request string
		want          []string
	}{
		{"cut off within a record", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"1"}},{"body":{"st`, []string{`{"body":"1"}`, `!{"body":{"st`}},
		{"cut off behind a record", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"1"}},`, []string{`{"body":"1"}`}},
		{"two of them, and what is no record", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":x},{"body":{"stringValue":"2"}},7,{"body":y}]}]}]}`, []string{`!{"body":x}`, `{"body":"2"}`, "!7", `!{"body":y}`}},
		{"one that quotes another", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"{\"logRecords\":[x]}"}},{"body":y}]}]}]}`, []string{`{"body":"{\"logRecords\":[x]}"}`, `!{"body":y}`}},
	} {
		got, _, err := brokenSplit(t, []byte(c.request), FormatOTLPJSON, Options{})
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: unexpected events; got %q, %v; want %q", c.name, got, err, c.want)
		}
	}
	// What lies around the records costs the request.
	_, _, err := brokenSplit(t, []byte(`{"resourceLogs":[{"resource":x,"scopeLogs":[{"logRecords":[{"body":{"stringValue":"1"}},{"body":y}]}]}]}`), FormatOTLPJSON, Options{})
	wantKind(t, err, KindMalformed)
}

// To look for the next record costs no more than some passes over the body.
func TestDamagedRecordsOfOTLPJSONCostLittle(t *testing.T) {
	for name, unit := range map[string]string{
		"arrays":              `{"logRecords":[x]},`,
		"strings":             `{"logRecords":["x]},`,
		"objects":             `{"body":[1,`,
		"objects that end":    `{"body":x},`,
		"brackets":            `]}`,
		"arrays of nothing":   `{"logRecords":[]},`,
		"arrays and brackets": `{"logRecords":[{"a":"]}]},`,
	} {
		body := `{"resourceLogs":[{"scopeLogs":[{"logRecords":[x,` + strings.Repeat(unit, 200_000) + "\n"
		opt := Options{Broken: new([]Error), Arena: new(Arena), Limits: Limits{}.withDefaults()}
		sp := splitter{opt: &opt, data: []byte(body)}
		sp.isolateRecords()
		// What is looked at last may have gone to the end.
		if most := sp.mayReread() + 2*len(body); sp.reread > most {
			t.Errorf("%s: unexpected work; got %d bytes read again of %d; want at most %d", name, sp.reread, len(body), most)
		}
	}
}

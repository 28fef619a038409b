// SPDX-License-Identifier: Apache-2.0

package body

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Pieces of MessagePack.
const (
	packedTime   = "\xd7\x00\x68\xa8\xca\x34\x07\x5b\xcd\x15" // event time 1755892276.123456789
	packedRecord = "\x82\xa3log\xa5hello\xa1n\x07"
	fluentBitV2  = "\x92\x92" + packedTime + "\x80" + packedRecord
	fluentBitV1  = "\x92" + packedTime + packedRecord
	groupStart   = "\x92\x92\xd7\x00\xff\xff\xff\xff\x00\x00\x00\x00\x81\xa1g\x01\x81\xa8resource\x80"
	groupEnd     = "\x92\x92\xd7\x00\xff\xff\xff\xfe\x00\x00\x00\x00\x80\x80"

	jsonRecord = `{"log":"hello","n":7}`
	jsonTimed  = `{"date":1755892276.123456789,"log":"hello","n":7}`
)

func TestSplitMsgpack(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		opt        Options
		want       []string
	}{
		{"nothing", "", Options{}, nil},
		{"Fluent Bit, new layout", fluentBitV2 + fluentBitV2, Options{}, []string{jsonTimed, jsonTimed}},
		{"Fluent Bit, old layout", fluentBitV1 + fluentBitV1, Options{}, []string{jsonTimed, jsonTimed}},
		{"integer time", "\x92\xce\x68\xa8\xca\x34" + packedRecord, Options{}, []string{`{"date":1755892276.000000000,"log":"hello","n":7}`}},
		{"time before 1970", "\x92\xff" + packedRecord, Options{}, []string{`{"date":-1.000000000,"log":"hello","n":7}`}},
		{"empty record", "\x92" + packedTime + "\x80", Options{}, []string{`{"date":1755892276.123456789}`}},
		{"a time of its own", "\x92" + packedTime + "\x82\xa4date\x01\xa1a\x81\xa4date\x02", Options{}, []string{`{"date":1,"a":{"date":2}}`}},
		{"the name of the time within", "\x92" + packedTime + "\x81\xa1a\x81\xa4date\x02", Options{}, []string{`{"date":1755892276.123456789,"a":{"date":2}}`}},
		{"empty record without time", "\x92" + packedTime + "\x80", Options{OmitTime: true}, []string{`{}`}},
		{"other time key", fluentBitV2, Options{TimeKey: "@\"t"}, []string{`{"@\"t":1755892276.123456789,"log":"hello","n":7}`}},
		{"an event with the time key", "\x92" + packedTime + "\x82\xa4date\xa1x\xa1n\x07", Options{}, []string{`{"date":"x","n":7}`}},
		{"equal keys", "\x92" + packedTime + "\x82\xa1n\x01\xa1n\x02", Options{}, []string{`{"date":1755892276.123456789,"n":2}`}},
		{"equal keys of Fluentd", "\x82\x01\x01\xa11\x02", Options{}, []string{`{"1":2}`}},
		{"groups are left out", groupStart + fluentBitV2 + groupEnd, Options{}, []string{jsonTimed}},
		{"Fluentd", packedRecord + packedRecord + "\x80", Options{}, []string{jsonRecord, jsonRecord, "{}"}},
		{"array of events", "\x93" + fluentBitV1 + fluentBitV2 + fluentBitV1, Options{}, []string{jsonTimed, jsonTimed, jsonTimed}},
		{"array of one event", "\x91" + fluentBitV1, Options{}, []string{jsonTimed}},
		{"array of two events", "\x92" + fluentBitV1 + fluentBitV1, Options{}, []string{jsonTimed, jsonTimed}},
		{"array of two records", "\xdc\x00\x02" + packedRecord + packedRecord, Options{}, []string{jsonRecord, jsonRecord}},
		{"wide array", "\xdd\x00\x00\x00\x01" + fluentBitV2, Options{}, []string{jsonTimed}},
		{"empty arrays", "\x90\xdc\x00\x00" + packedRecord, Options{}, []string{jsonRecord}},
		{"newline", fluentBitV2 + packedRecord, Options{AppendNewline: true}, []string{jsonTimed + "\n", jsonRecord + "\n"}},
		{"invalid UTF-8", "\x81\xa1a\xa1\xff", Options{}, []string{"{\"a\":\"\ufffd\"}"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Split(nil, []byte(tc.body), FormatMsgpack, tc.opt)
			if err != nil || !slices.Equal(texts(got), tc.want) {
				t.Errorf("unexpected events; got %q, %v; want %q", texts(got), err, tc.want)
			}
		})
	}
}

func TestSplitRefusesBrokenMsgpack(t *testing.T) {
	for _, tc := range []struct {
		name, body    string
		offset, event int
	}{
		{"cut event", fluentBitV2 + fluentBitV2[:20], len(fluentBitV2), 1},
		{"third of three events cut", "\x93" + fluentBitV2 + fluentBitV2 + fluentBitV2[:20], 1 + 2*len(fluentBitV2), 2},
		{"cut record", packedRecord + packedRecord[:9], len(packedRecord) + 5, 1},
		{"only a time", "\x91" + packedTime, 0, 0},
		{"three elements", "\x93" + packedTime + packedRecord + packedRecord, 0, 0},
		{"no record", "\x92" + packedTime + "\x07", 0, 0},
		{"number", "\x07", 0, 0},
		{"unused byte", "\xc1", 0, 0},
		{"array of other things", "\x92" + fluentBitV1 + "\x07", 0, 0},
		{"array cut", "\x92" + fluentBitV1, 0, 0},
		{"array of three cut", "\x93" + fluentBitV1, len(fluentBitV1) + 1, 1},
		{"array that says it is long", "\xdd\xff\xff\xff\xff" + fluentBitV1, 5 + len(fluentBitV1), 1},
		{"array of arrays of events", "\x91\x91" + fluentBitV1, 1, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Split(nil, []byte(tc.body), FormatMsgpack, Options{})
			var e *Error
			if !errors.As(err, &e) || e.Kind != KindMalformed || len(got) > 0 {
				t.Fatalf("unexpected result; got %q, %v; want a malformed body", texts(got), err)
			}
			if e.Offset != tc.offset || e.Event != tc.event {
				t.Errorf("unexpected place; got offset %d, event %d (%v); want %d, %d", e.Offset, e.Event, e, tc.offset, tc.event)
			}
		})
	}
	_, err := Split(nil, []byte(fluentBitV2+fluentBitV2), FormatMsgpack, Options{Limits: Limits{Events: 1}})
	wantKind(t, err, KindTooLarge)
	_, err = Split(nil, []byte(fluentBitV2+fluentBitV2), FormatMsgpack, Options{Limits: Limits{ConvertedBytes: 60}})
	wantKind(t, err, KindTooLarge)
}

func FuzzSplitMsgpack(f *testing.F) {
	for _, s := range []string{fluentBitV2, fluentBitV1, groupStart + fluentBitV2 + groupEnd, packedRecord + "\x80", "\x92" + fluentBitV1 + fluentBitV1, "\x93" + fluentBitV1, "\xdd\x00\x00\x00\x01" + fluentBitV2} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := Split(nil, body, FormatMsgpack, Options{})
		checkConverted(t, body, got, err)
		again, err2 := Split(nil, bytes.Clone(body), FormatMsgpack, Options{OmitTime: true})
		if len(again) != len(got) || (err == nil) != (err2 == nil) {
			t.Fatalf("unexpected result without times; got %d events, %v; want %d, %v", len(again), err2, len(got), err)
		}
	})
}

// checkConverted checks what holds for every body that becomes JSON.
func checkConverted(t *testing.T, body []byte, got []Event, err error) {
	t.Helper()
	var e *Error
	if err != nil && (!errors.As(err, &e) || e.Kind == KindNone || e.Offset < -1 || e.Offset > len(body) || len(got) > 0) {
		t.Fatalf("unexpected error for %q; got %#v, %d events; want a place in the body and no events", body, err, len(got))
	}
	for _, ev := range got {
		if !json.Valid(ev.Data) || !utf8.Valid(ev.Data) || bytes.ContainsAny(ev.Data, "\n\r") || ev.Data[0] != '{' {
			t.Fatalf("unexpected event of %q; got %q; want a JSON object on one line", body, ev.Data)
		}
	}
}

// What is behind a byte that MessagePack does not have cannot be told apart: the error says
// how much it is.
func TestMessagePackWithoutAnEndNamesItsBytes(t *testing.T) {
	got, broken, err := brokenSplit(t, []byte("\x81\xa1a\x01\xc1\x81\xa1b\x02"), FormatMsgpack, Options{})
	if err != nil || !slices.Equal(got, []string{`{"a":1}`, "!\xc1\x81\xa1b\x02"}) || len(broken) != 1 || !strings.Contains(broken[0].Error(), "the rest of the body, 5 bytes, counts as one event") {
		t.Errorf("unexpected events; got %q, %v, %v; want one and the rest", got, broken, err)
	}
}

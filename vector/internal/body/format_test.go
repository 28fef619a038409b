// SPDX-License-Identifier: Apache-2.0

package body

import (
	"slices"
	"strings"
	"testing"
)

func TestFormatOf(t *testing.T) {
	for _, tc := range []struct {
		contentType, path string
		want              Format
		ok                bool
	}{
		{"", "/", FormatAuto, true},
		{"application/json", "/streams/x", FormatJSON, true},
		{" Application/JSON ; charset=utf-8", "/", FormatJSON, true},
		{"application/x-ndjson", "/", FormatJSON, true},
		{"application/jsonl", "/", FormatJSON, true},
		{"application/json-seq", "/", FormatJSON, true},
		{"application/cloudevents-batch+json", "/", FormatJSON, true},
		{"application/vnd.api+json", "/", FormatJSON, true},
		{"text/plain", "/", FormatText, true},
		{"text/plain; charset=utf-8", "/", FormatText, true},
		{"text/csv", "/", FormatText, true},
		{"text/tab-separated-values", "/", FormatText, true},
		{"application/msgpack", "/", FormatMsgpack, true},
		{"application/x-msgpack", "/", FormatMsgpack, true},
		{"application/vnd.msgpack", "/", FormatMsgpack, true},
		{"application/x-protobuf", "/streams/x", FormatOTLPProto, true},
		{"application/x-www-form-urlencoded", "/", FormatAuto, true},
		{"application/octet-stream", "/", FormatAuto, true},
		{"application/logplex-1", "/", FormatAuto, true},
		{"application/avro", "/", FormatAuto, false},
		{"application/grpc+proto", "/", FormatAuto, false},
		{"application/xml", "/", FormatAuto, false},
		{"image/png", "/", FormatAuto, false},
		{"multipart/form-data; boundary=x", "/", FormatAuto, false},
		{"json", "/", FormatAuto, true},
		{"*/*", "/", FormatAuto, true},
		{"binary/octet-stream", "/", FormatAuto, true},
		{"x-log/plain", "/", FormatAuto, true},
		{"video/mp4", "/", FormatAuto, false},
		{"message/rfc822", "/", FormatAuto, false},
		{"json", "/v1/logs", FormatOTLP, true},
		{"*/*", "/v1/logs", FormatOTLP, true},
		{"binary/octet-stream", "/v1/logs", FormatOTLP, true},
		{"application/foo", "/v1/logs", FormatOTLP, true},
		{"application/x-www-form-urlencoded", "/v1/logs", FormatOTLP, true},
		{"application/grpc", "/v1/logs", FormatOTLP, false},
		{"image/png", "/v1/logs", FormatOTLP, false},
		{"application/x-protobuf", "/v1/logs", FormatOTLPProto, true},
		{"application/json", "/v1/logs/", FormatOTLPJSON, true},
		{"application/json;charset=utf-8", "/prefix/v1/logs", FormatOTLPJSON, true},
		{"application/x-ndjson", "/v1/logs", FormatOTLPJSON, true},
		{"", "/v1/logs", FormatOTLP, true},
		{"text/plain", "/v1/logs", FormatOTLP, false},
		{"application/msgpack", "/v1/logs", FormatOTLP, false},
	} {
		got, err := FormatOf(tc.contentType, tc.path)
		if got != tc.want || (err == nil) != tc.ok {
			t.Errorf("unexpected format of %q at %q; got %v, %v; want %v, ok %v", tc.contentType, tc.path, got, err, tc.want, tc.ok)
		}
		if err != nil {
			wantKind(t, err, KindUnsupported)
		}
	}
}

func TestFormatErrorIsPrintable(t *testing.T) {
	_, err := FormatOf("image/\x1b[31m\xff"+strings.Repeat("x", 1000), "/")
	if err == nil || len(err.Error()) > 200 || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("unexpected error; got %q; want a short printable one", err)
	}
}

func TestAutomaticFormat(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		want       []string
		kind       EventKind
		format     Format
	}{
		{"object", ` {"a":1}`, []string{`{"a":1}`}, EventJSON, FormatJSON},
		{"array", `[{"a":1}]`, []string{`{"a":1}`}, EventJSON, FormatJSON},
		{"array of numbers", `[1,2]`, []string{"1", "2"}, EventJSON, FormatJSON},
		{"strings", "\"a\"\n\"b\"", []string{`"a"`, `"b"`}, EventJSON, FormatJSON},
		{"lines in brackets", "[2026-11-24 10:00:00] x\n[error] y", []string{"[2026-11-24 10:00:00] x", "[error] y"}, EventText, FormatJSON},
		{"quoted columns", "\"a\",1\n\"b\",2\n", []string{`"a",1`, `"b",2`}, EventText, FormatJSON},
		{"quoted columns after a broken string", "\"a\xff\"\n\"b\",2\n", []string{"\"a\xff\"", `"b",2`}, EventText, FormatJSON},
		{"syslog", "<13>1 2026-11-24T10:00:00Z h a - - - m", []string{"<13>1 2026-11-24T10:00:00Z h a - - - m"}, EventText, FormatText},
		{"numbers", "1\n2", []string{"1", "2"}, EventText, FormatText},
		{"Cyrillic", "\u0430\u0431\n\u0432", []string{"\u0430\u0431", "\u0432"}, EventText, FormatText},
		{"Armenian and Hebrew", "\u0700\n\u07ff", []string{"\u0700", "\u07ff"}, EventText, FormatText},
		{"Latin-1", "\xe9t\xe9\n", []string{"\xe9t\xe9"}, EventText, FormatText},
		{"map", "\x81\xa1a\x01\x80", []string{`{"a":1}`, `{}`}, EventJSON, FormatMsgpack},
		{"large map", "\xde\x00\x01\xa1a\x01", []string{`{"a":1}`}, EventJSON, FormatMsgpack},
		{"nothing", "", nil, EventJSON, FormatJSON},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Split(nil, []byte(tc.body), FormatAuto, Options{})
			if err != nil || !slices.Equal(texts(got), tc.want) {
				t.Fatalf("unexpected events; got %q, %v; want %q", texts(got), err, tc.want)
			}
			for _, ev := range got {
				if ev.Kind != tc.kind {
					t.Errorf("unexpected kind; got %d; want %d", ev.Kind, tc.kind)
				}
			}
			if f := FormatIn([]byte(tc.body), FormatAuto); f != tc.format {
				t.Errorf("unexpected format; got %v; want %v", f, tc.format)
			}
		})
	}
	for _, tc := range []struct {
		name, body string
		want       Kind
	}{
		{"broken object", `{"a":`, KindMalformed},
		{"broken array of objects", `[{"a":1},`, KindMalformed},
		{"length-prefixed binary", "\x00\x00\x00\x05\x0a\x03abc", KindUnsupported},
		{"broken map", "\x82\xa1a\x01", KindMalformed},
	} {
		_, err := Split(nil, []byte(tc.body), FormatAuto, Options{})
		wantKind(t, err, tc.want)
	}
	// A limit is a limit; the body is not tried as text.
	_, err := Split(nil, []byte("[1,2,3]"), FormatAuto, Options{Limits: Limits{Events: 2}})
	wantKind(t, err, KindTooLarge)
	_, err = Split(nil, nil, Format(99), Options{})
	wantKind(t, err, KindUnsupported)
}

func TestFormatIn(t *testing.T) {
	for body, want := range map[string]Format{" {}": FormatOTLPJSON, "[": FormatOTLPJSON, "": FormatOTLPProto, "\x0a\x00": FormatOTLPProto} {
		if got := FormatIn([]byte(body), FormatOTLP); got != want {
			t.Errorf("unexpected format of %q; got %v; want %v", body, got, want)
		}
	}
	if got := FormatIn([]byte("{}"), FormatText); got != FormatText {
		t.Errorf("unexpected format; got %v; want the one that was given", got)
	}
	if got := FormatIn([]byte("\x00"), FormatAuto); got != FormatAuto {
		t.Errorf("unexpected format; got %v; want %v, as it is none", got, FormatAuto)
	}
}

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for f := FormatAuto; f <= FormatOTLP+1; f++ {
		if s := f.String(); s == "" || seen[s] {
			t.Errorf("unexpected name of format %d; got %q; want one of its own", f, s)
		} else {
			seen[s] = true
		}
	}
	for k := KindNone; k <= KindUnsupported; k++ {
		if s := k.String(); s == "" || seen[s] {
			t.Errorf("unexpected name of kind %d; got %q; want one of its own", k, s)
		} else {
			seen[s] = true
		}
	}
}

func TestSplitText(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		opt        Options
		want       []string
	}{
		{"lines", "a\nb\n", Options{}, []string{"a", "b"}},
		{"no newline at the end", "a\nb", Options{}, []string{"a", "b"}},
		{"carriage returns", "a\r\nb\r\n\r\nc\rd", Options{}, []string{"a", "b", "c\rd"}},
		{"empty lines are skipped", "\n\na\n\n", Options{}, []string{"a"}},
		{"empty lines are kept on demand", "\na\r\n\r\n\n", Options{KeepEmptyLines: true}, []string{"", "a", "", ""}},
		{"newlines are appended", "a\nb\r\nc", Options{AppendNewline: true}, []string{"a\n", "b\n", "c\n"}},
		{"newlines are appended to empty lines", "\n\r\n", Options{AppendNewline: true, KeepEmptyLines: true}, []string{"\n", "\n"}},
		{"JSON is a line", "{\"a\":\n1}", Options{}, []string{`{"a":`, "1}"}},
		{"any bytes", "\xff\x00\n\x80", Options{RejectInvalidUTF8: true}, []string{"\xff\x00", "\x80"}},
		{"byte order mark is skipped", "\xef\xbb\xbfa", Options{}, []string{"a"}},
		{"nothing", "", Options{KeepEmptyLines: true}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Split(nil, []byte(tc.body), FormatText, tc.opt)
			if err != nil || !slices.Equal(texts(got), tc.want) {
				t.Errorf("unexpected events; got %q, %v; want %q", texts(got), err, tc.want)
			}
		})
	}
	_, err := Split(nil, []byte("a\nb\nc"), FormatText, Options{Limits: Limits{Events: 2}})
	wantKind(t, err, KindTooLarge)
	_, err = Split(nil, []byte("a\r\nb\r\nc"), FormatText, Options{AppendNewline: true, Limits: Limits{ConvertedBytes: 3}})
	wantKind(t, err, KindTooLarge)
}

// SPDX-License-Identifier: Apache-2.0

package body

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// utf16Of encodes text, with a byte order mark if bom is set.
func utf16Of(text string, big, bom bool) []byte {
	if bom {
		text = "\ufeff" + text
	}
	var out []byte
	for _, u := range utf16.Encode([]rune(text)) {
		if big {
			out = append(out, byte(u>>8), byte(u))
		} else {
			out = append(out, byte(u), byte(u>>8))
		}
	}
	return out
}

func TestCharsets(t *testing.T) {
	const text = "{\"a\":\"caf\u00e9 \u20ac\U0001f600\"}\n{\"b\":2}\n"
	want := []string{"{\"a\":\"caf\u00e9 \u20ac\U0001f600\"}", `{"b":2}`}
	latin := []string{"{\"a\":\"caf\u00e9\"}"}
	for _, tc := range []struct {
		name, contentType string
		data              []byte
		want              []string
	}{
		{"UTF-8", "application/json; charset=utf-8", []byte(text), want},
		{"UTF-8 with a byte order mark", "application/json; charset=utf-8", []byte("\ufeff" + text), want},
		{"UTF-16 with a byte order mark", "application/json; charset=utf-16", utf16Of(text, true, true), want},
		{"UTF-16 with the other", "application/json; charset=\"UTF-16\"", utf16Of(text, false, true), want},
		{"UTF-16 that says nothing else", "application/json", utf16Of(text, false, true), want},
		{"UTF-16 without a content type", "", utf16Of(text, true, true), want},
		{"UTF-16 without a mark", "application/json;charset=UTF-16", utf16Of(text, true, false), want},
		{"UTF-16LE", "application/json; boundary=x; Charset = utf-16le", utf16Of(text, false, false), want},
		{"UTF-16BE", "text/plain; charset=utf-16be", utf16Of(text, true, false), want},
		{"ISO 8859-1", "application/json; charset=ISO-8859-1", []byte("{\"a\":\"caf\xe9\"}"), latin},
		{"Windows-1252", "text/plain; charset=windows-1252", []byte("caf\xe9 \x80"), []string{"caf\u00e9 \u20ac"}},
		{"Shift JIS", "text/plain; charset=shift_jis", []byte("\x83\x65"), []string{"\u30c6"}},
		{"ISO 8859-1 that could be UTF-8", "application/json; charset=latin1", []byte("{\"a\":\"\u00e9\"}"), []string{"{\"a\":\"\u00c3\u00a9\"}"}},
		{"UTF-16LE that says nothing", "application/json", utf16Of(text, false, false), want},
		{"UTF-16BE that says nothing", "application/x-ndjson", utf16Of(text, true, false), want},
		{"UTF-16LE without a content type", "", utf16Of(text, false, false), want},
		{"UTF-16LE that says UTF-8", "application/json; charset=utf-8", utf16Of(text, false, false), want},
		{"numbers between NULs", "application/json", []byte("1\x002\x00"), []string{"1", "2"}},
		{"GELF", "application/json", []byte("{\"b\":2}\x00"), []string{`{"b":2}`}},
		{"half a character", "text/plain; charset=utf-16le", []byte("a\x00b"), []string{"a\ufffd"}},
		{"nothing", "text/plain; charset=utf-16le", nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := FormatOf(tc.contentType, "/")
			if err != nil {
				t.Fatal(err)
			}
			data := tc.data
			c, err := CharsetOf(tc.contentType, f, data)
			if err != nil {
				t.Fatal(err)
			}
			if c != nil {
				if data, err = c.Decode(data, Limits{}); err != nil {
					t.Fatal(err)
				}
				if room := c.Room(len(tc.data), Limits{}); cap(data) > room {
					t.Errorf("unexpected memory; got %d; want at most %d", cap(data), room)
				}
			}
			got, err := Split(nil, data, f, Options{})
			if err != nil || !slices.Equal(texts(got), tc.want) {
				t.Errorf("unexpected events; got %q, %v; want %q", texts(got), err, tc.want)
			}
		})
	}
	if c, err := CharsetOf("application/msgpack; charset=utf-16", FormatMsgpack, []byte("\xff\xfe")); c != nil || err != nil {
		t.Errorf("unexpected charset of MessagePack; got %v, %v; want none", c, err)
	}
	c, err := CharsetOf("text/plain; charset=latin1", FormatText, []byte("\xe9"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Decode([]byte(strings.Repeat("\xe9", 6)), Limits{UnpackedBytes: 11})
	wantKind(t, err, KindTooLarge)
	if got, err := c.Decode([]byte(strings.Repeat("\xe9", 6)), Limits{UnpackedBytes: 12}); err != nil || len(got) != 12 {
		t.Errorf("unexpected result at the limit; got %d bytes, %v; want 12", len(got), err)
	}
}

// A byte order mark before a later value, as of files one behind the other, is none
// of it.
func TestByteOrderMarksBetweenValues(t *testing.T) {
	got, err := Split(nil, []byte("\ufeff{\"a\":1}\n\ufeff{\"b\":2}\n\ufeff[3]"), FormatJSON, Options{})
	if want := []string{`{"a":1}`, `{"b":2}`, "3"}; err != nil || !slices.Equal(texts(got), want) {
		t.Errorf("unexpected events; got %q, %v; want %q", texts(got), err, want)
	}
}

// What is in a charset that is not known is refused, and not taken for UTF-8.
func TestUnknownCharsetsAreRefused(t *testing.T) {
	for _, tc := range []struct {
		contentType, data, want string
	}{
		{"application/json; charset=klingon", "{}", `charset of the content type is "klingon"`},
		{"application/json; charset=utf-32", "{}", `"utf-32"; allowed are utf-8`},
		{"text/plain; charset=utf-7", "x", `"utf-7"`},
		{"application/json; charset=iso-2022-kr", "{}", `"iso-2022-kr"`},
		{"application/json", "{\x00\x00\x00}\x00\x00\x00", "UTF-32"},
		{"", "\x00\x00\x00[\x00\x00\x00]", "UTF-32"},
		{"application/json; charset=utf-16", "\xff\xfe\x00\x00{\x00\x00\x00", "UTF-32"},
	} {
		f, err := FormatOf(tc.contentType, "/")
		if err != nil {
			t.Fatal(err)
		}
		c, err := CharsetOf(tc.contentType, f, []byte(tc.data))
		if c != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("unexpected charset for %q; got %v, %v; want an error with %q", tc.contentType, c, err, tc.want)
			continue
		}
		wantKind(t, err, KindUnsupported)
	}
}

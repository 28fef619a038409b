// SPDX-License-Identifier: Apache-2.0

package combined

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// packed returns data compressed in each way; the names of snappy say whether it is framed.
func packed(t testing.TB, data []byte) map[string][]byte {
	t.Helper()
	out := map[string][]byte{None: data, Snappy: snappy.Encode(nil, data)}
	var buf bytes.Buffer
	g := gzip.NewWriter(&buf)
	_, err := g.Write(data)
	out[Gzip] = finish(t, &buf, err, g.Close())
	z := zlib.NewWriter(&buf)
	_, err = z.Write(data)
	out[Zlib] = finish(t, &buf, err, z.Close())
	s := snappy.NewBufferedWriter(&buf)
	_, err = s.Write(data)
	out["framed"] = finish(t, &buf, err, s.Close())
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	out[Zstd] = e.EncodeAll(data, nil)
	return out
}

func finish(t testing.TB, buf *bytes.Buffer, errs ...error) []byte {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	out := bytes.Clone(buf.Bytes())
	buf.Reset()
	return out
}

func TestFormsAndCompressionsAreFoundByTheBytes(t *testing.T) {
	for _, tt := range []struct {
		data, form string
		want       []string
	}{
		{"{\"a\":1}\n", Lines, []string{`{"a":1}`}},
		{"{\"a\":1}\n{\"b\":\"\\n\"}\n", Lines, []string{`{"a":1}`, `{"b":"\n"}`}},
		{"[Sun Dec 04] [error] x\n\"two\\nlines\"\n\"\"\n\"\\\"q\\\"\"\n", Lines, []string{"[Sun Dec 04] [error] x", "two\nlines", "", `"q"`}},
		{"\"not JSON\n\n", Lines, []string{`"not JSON`, ""}},
		{`[{"a":[1,2]},"x,y",3,"",null,"\u00e9\"]"]`, JSONArray, []string{`{"a":[1,2]}`, "x,y", "3", "", "null", "é\"]"}},
		{`[ {"a" : "]"} , [ 1 , 2 ] ]`, JSONArray, []string{`{"a" : "]"}`, "[ 1 , 2 ]"}},
		{`[]`, JSONArray, nil},
		{`[Sun Dec 04]`, Single, []string{`[Sun Dec 04]`}},
		{`{"a":1}`, Single, []string{`{"a":1}`}},
		{"x^ text that begins like zlib", Single, []string{"x^ text that begins like zlib"}},
	} {
		for name, data := range packed(t, []byte(tt.data)) {
			var d Decoder
			format := name
			switch name {
			case Snappy:
				d.Compression = Snappy
			case "framed":
				format = Snappy
			}
			r, err := d.Decode(data)
			if err != nil {
				t.Fatalf("unexpected error for %q in %s: %v", tt.data, name, err)
			}
			if r.Form != tt.form || r.Compression != format || string(r.Data) != tt.data || !slices.Equal(texts(r.Events), tt.want) {
				t.Errorf("unexpected record for %q in %s; got %s, %s and %q; want %s, %s and %q", tt.data, name, r.Form, r.Compression, r.Events, tt.form, format, tt.want)
			}
		}
	}
}

func texts(events [][]byte) (out []string) {
	for _, e := range events {
		out = append(out, string(e))
	}
	return out
}

func TestFormAndCompressionCanBeSaid(t *testing.T) {
	for _, tt := range []struct {
		d    Decoder
		data string
		want []string
	}{
		{Decoder{Form: Single}, "[1,2]", []string{"[1,2]"}},
		{Decoder{Form: Single}, "a\nb\n", []string{"a\nb\n"}},
		{Decoder{Form: Lines}, "a\nb", []string{"a", "b"}},
		{Decoder{Form: JSONArray}, " [1] \n", []string{"1"}},
		{Decoder{Compression: None, Form: Lines}, "\x1f\x8b\x08\n", []string{"\x1f\x8b\x08"}},
	} {
		r, err := tt.d.Decode([]byte(tt.data))
		if err != nil || !slices.Equal(texts(r.Events), tt.want) {
			t.Errorf("unexpected events of %q; got %q and %v; want %q", tt.data, r.Events, err, tt.want)
		}
	}
}

func TestWhatCannotBeDecodedIsAnError(t *testing.T) {
	whole := packed(t, []byte(strings.Repeat("{\"a\":1}\n", 100)))
	for _, tt := range []struct {
		d    Decoder
		data []byte
		want string
	}{
		{Decoder{}, whole[Gzip][:30], "cannot decompress 30 bytes of gzip"},
		{Decoder{}, whole[Zstd][:15], "cannot decompress 15 bytes of zstd"},
		{Decoder{Compression: Zlib}, whole[Zlib][:15], "of zlib"},
		{Decoder{Compression: Snappy}, []byte("\xff\xff\xff\xff\xff"), "of snappy"},
		{Decoder{Compression: Gzip}, []byte("plain"), "of gzip"},
		{Decoder{Compression: "lz4"}, nil, `compression: "lz4" is not known; allowed: auto, none, gzip, zlib, zstd, snappy`},
		{Decoder{Form: "array"}, nil, `form: "array" is not known; allowed: auto, lines, json_array, single`},
		{Decoder{Form: JSONArray}, []byte("{}\n"), "want a JSON array"},
		{Decoder{Form: JSONArray}, []byte("[1,]"), "want a JSON array"},
	} {
		if r, err := tt.d.Decode(tt.data); err == nil || !strings.Contains(err.Error(), tt.want) || r.Events != nil {
			t.Errorf("unexpected result for %q; got %q and %v; want an error with %q", tt.data, r.Events, err, tt.want)
		}
	}
}

func TestARecordCannotTakeMoreMemoryThanAllowed(t *testing.T) {
	data := bytes.Repeat([]byte{'0'}, 9<<20)
	for name, data := range packed(t, data) {
		d := Decoder{MaxBytes: 1 << 20}
		if name == Snappy {
			d.Compression = Snappy
		}
		_, err := d.Decode(data)
		if want := name != None; errors.Is(err, ErrTooLarge) != want {
			t.Errorf("unexpected error for %s; got %v; want ErrTooLarge: %v", name, err, want)
		}
		d.MaxBytes = 9 << 20
		if r, err := d.Decode(data); err != nil || len(r.Data) != 9<<20 {
			t.Errorf("unexpected result for %s within the bound; got %d bytes and %v", name, len(r.Data), err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, data := range packed(f, []byte("{\"a\":1}\n\"x\\ny\"\n[]\n")) {
		f.Add(data)
	}
	f.Add([]byte(`["a",{"b":[1,"]"]},3]`))
	decoders := []*Decoder{{}, {Form: Lines}, {Form: JSONArray}, {Compression: Snappy}, {Compression: Zlib, Form: Single}}
	for _, d := range decoders {
		d.MaxBytes = 1 << 20
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, d := range decoders {
			r, err := d.Decode(data)
			if err != nil {
				continue
			}
			if r.Compression != None && len(r.Data) > d.MaxBytes {
				t.Fatalf("unexpected size; got %d", len(r.Data))
			}
			if r.Form == Lines && !bytes.Contains(data, []byte{'"'}) && r.Compression == None {
				if got := bytes.Join(r.Events, []byte{'\n'}); string(got) != strings.TrimSuffix(string(data), "\n") {
					t.Fatalf("unexpected lines; got %q; want %q", got, data)
				}
			}
		}
	})
}

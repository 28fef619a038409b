// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// captured are blobs that the KPL wrote, with what is in them.
func captured(t *testing.T) (out []struct {
	Name        string
	BlobHex     string `json:"blob_hex"`
	UserRecords []struct {
		PartitionKey    string `json:"partition_key"`
		ExplicitHashKey string `json:"explicit_hash_key"`
		DataHex         string `json:"data_hex"`
	} `json:"user_records"`
},
) {
	t.Helper()
	b, err := os.ReadFile("../../aggregation/testdata/captured.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// wrap breaks text into lines.
func wrap(s string, width int) string {
	var b strings.Builder
	for ; len(s) > width; s = s[width:] {
		b.WriteString(s[:width] + "\n")
	}
	return b.String() + s + "\n"
}

func TestWrappedAggregatesBesideOtherLines(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString
	one := aggregate(t, ur{"k", "", strings.Repeat("v", 300)}, ur{"k", "", "w"})
	short := aggregate(t, ur{"s", "", "x"})
	plain := b64([]byte(strings.Repeat("p", 57))) // 76 columns, like the lines of an aggregate
	cut := b64(one[:57])
	in := strings.Join([]string{wrap(b64(one), 76), b64(short), plain, plain, wrap(b64(one), 76), wrap(b64(one), 76), plain, cut, plain, b64(short)}, "\n") + "\n"
	got := ""
	for _, r := range kplcat(t, in, "-", "--input", "base64", "--data", "base64").ok(t).lines(t) {
		if got += r.Key + string(r.DataBase64[:1]) + " "; r.Key == "" && string(r.DataBase64[:1]) != "p" && !bytes.Equal(r.DataBase64, one[:57]) {
			t.Errorf("unexpected record; got %q", r.DataBase64)
		}
	}
	if want := "kv kw sx p p kv kw kv kw p \xf3 p sx "; got != want {
		t.Errorf("unexpected records; got %q; want %q", got, want)
	}
}

func TestBlobsOfTheKPLInEveryForm(t *testing.T) {
	for _, c := range captured(t) {
		blob, err := hex.DecodeString(c.BlobHex)
		if err != nil {
			t.Fatal(err)
		}
		b64 := base64.StdEncoding.EncodeToString(blob)
		page := fmt.Sprintf(`{"Records":[{"SequenceNumber":"17","ApproximateArrivalTimestamp":"2026-11-24T10:00:00.250000+01:00","Data":%q,"PartitionKey":"a"}],"NextShardIterator":"AAA","MillisBehindLatest":0}`, b64)
		for form, in := range map[string]string{
			"raw":            string(blob),
			"base64":         b64 + "\n",
			"base64 no end":  b64,
			"base64 url":     base64.RawURLEncoding.EncodeToString(blob),
			"hex":            c.BlobHex,
			"hex crlf":       "\r\n" + strings.ToUpper(c.BlobHex) + "\r\n\r\n",
			"hex 0x":         "0x" + c.BlobHex + "\n",
			"hex bytea":      `\x` + c.BlobHex,
			"json page":      page,
			"json list":      fmt.Sprintf(`[{"Data":%q}]`, b64),
			"json one":       fmt.Sprintf("\n {\"data\":%q}\n", b64),
			"lambda event":   fmt.Sprintf(`{"Records":[{"eventID":"shardId-000000000006:17","kinesis":{"data":%q,"partitionKey":"a","sequenceNumber":"17","approximateArrivalTimestamp":1795510800.25}}]}`, b64),
			"forced base64":  b64,
			"base64 wrapped": wrap(b64, 76),
			"base64 as PEM":  "\r\n" + strings.ReplaceAll(wrap(b64, 64), "\n", "\r\n"),
			"base64 unended": strings.TrimRight(wrap(b64, 76), "=\n"),
			"hex wrapped":    wrap(c.BlobHex, 60),
			"BOM, base64":    "\ufeff" + wrap(b64, 76),
			"BOM, hex":       "\ufeff" + c.BlobHex,
			"BOM, json":      "\ufeff" + page,
			"json in pieces": strings.ReplaceAll(page, ",", ",\n\t"),
		} {
			t.Run(c.Name+"/"+form, func(t *testing.T) {
				args := []string{"-", "--data", "base64"}
				if form == "forced base64" {
					args = append(args, "--input", "base64")
				}
				got := kplcat(t, in, args...).ok(t).lines(t)
				if len(got) != len(c.UserRecords) {
					t.Fatalf("unexpected number of user records; got %d; want %d", len(got), len(c.UserRecords))
				}
				for i, w := range c.UserRecords {
					g := got[i]
					if g.Key != w.PartitionKey || g.ExplicitHashKey != w.ExplicitHashKey || hex.EncodeToString(g.DataBase64) != w.DataHex || g.Misplaced {
						t.Errorf("unexpected user record %d; got %+v; want %+v", i, g, w)
					}
				}
				switch form {
				case "json page", "lambda event":
					if g := got[0]; g.Sequence != "17" || g.Arrival.Format("05.000") != "00.250" {
						t.Errorf("unexpected record; got %+v; want sequence number and arrival", g)
					}
				}
				if form == "lambda event" && got[0].Shard != "shardId-000000000006" {
					t.Errorf("unexpected shard; got %q; want shardId-000000000006", got[0].Shard)
				}
			})
		}
	}
}

func TestBadPartsOfFilesAreNamedAndLeftOut(t *testing.T) {
	agg := base64.StdEncoding.EncodeToString(aggregate(t, ur{"k", "", "v"}, ur{"k", "", "w"}))
	for _, tc := range []struct {
		name, in string
		records  int
		want     string
	}{
		{"a bad line", agg + "\nnot base64\n" + agg + "\n", 4, "stdin: line 2 is not base64"},
		{"a record without data", fmt.Sprintf(`[{"x":1},{"Data":%q}]`, agg), 2, "stdin:1[0] has neither Records nor Data"},
		{"a wrong type", fmt.Sprintf(`[{"Data":7},{"Data":%q}]`, agg), 2, "stdin:1[0] is not a Kinesis record"},
		{"other JSON", `{"a":1}` + "\n" + fmt.Sprintf(`{"Data":%q}`, agg), 2, "stdin:1 has neither Records nor Data"},
		{"broken JSON", fmt.Sprintf(`{"Data":%q} {`, agg), 2, "cannot read JSON from stdin, document 2"},
		{"nothing", "", 0, "stdin: it is empty"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := kplcat(t, tc.in, "-")
			if r.code != exitError || len(r.lines(t)) != tc.records || !strings.Contains(r.stderr, tc.want) {
				t.Errorf("unexpected result; got %+v; want code 1, %d records and %q", r, tc.records, tc.want)
			}
		})
	}
}

func TestSeveralFiles(t *testing.T) {
	one := write(t, "one", string(aggregate(t, ur{"k", "", "1"}, ur{"k", "", "2"})))
	two := write(t, "two", hex.EncodeToString(aggregate(t, ur{"k", "", "3"}, ur{"k", "", "4"})))
	r := kplcat(t, "plain text", one, two+".missing", two, "-", "--raw")
	if r.code != exitError || r.stdout != "1\n2\n3\n4\nplain text\n" || !strings.Contains(r.stderr, "two.missing: no such file") {
		t.Errorf("unexpected result; got %+v; want all that can be read, and code 1", r)
	}
	if r := kplcat(t, "", "--stats", one, two).ok(t); !strings.Contains(r.stdout, "total        2     4           2       2.0") {
		t.Errorf("unexpected table; got\n%s", r.stdout)
	}
	if r := kplcat(t, "", "--limit", "3", "--raw", one, two).ok(t); r.stdout != "1\n2\n3\n" {
		t.Errorf("unexpected output; got %q; want three records", r.stdout)
	}
}

func TestFormIsDetected(t *testing.T) {
	for in, want := range map[string]string{
		"\xf3\x89\x9a\xc2rest": "raw", "84mawgo=": "base64", "f3899ac2\n": "hex", "ABCD": "hex", "ABCDEF==": "base64", "QUJD": "base64",
		"{}": "json", " \n[": "json", "hello world": "raw", "\n": "raw", "aGVsbG8=\nx": "base64",
		strings.Repeat("Q", 4096): "base64", strings.Repeat("a", 4096): "hex",
	} {
		if got := detect([]byte(in)); got != want {
			t.Errorf("unexpected form of %.20q; got %s; want %s", in, got, want)
		}
	}
}

func TestPayloadsAreShownWithoutAmbiguity(t *testing.T) {
	for _, tc := range []struct{ payload, auto, text, json string }{
		{"text", `"data":"text"`, `"data":"text"`, `"data_base64":"dGV4dA=="`},
		{"", `"data":""`, `"data":""`, `"data_base64":""`},
		{`{"b": 1, "a":[ ]}`, `"data":{"b":1,"a":[]}`, `"data":"{\"b\": 1, \"a\":[ ]}"`, `"data":{"b":1,"a":[]}`},
		{"\n[1,\n2]\n", `"data":[1,2]`, `"data":"\n[1,\n2]\n"`, `"data":[1,2]`},
		{`"text"`, `"data":"\"text\""`, `"data":"\"text\""`, `"data":"text"`},
		{"17", `"data":"17"`, `"data":"17"`, `"data":17`},
		{"{broken", `"data":"{broken"`, `"data":"{broken"`, `"data_base64":"e2Jyb2tlbg=="`},
		{"{\"a\":\"\xff\"}", `"data_base64":"eyJhIjoi/yJ9"`, `"data_base64":"eyJhIjoi/yJ9"`, `"data_base64":"eyJhIjoi/yJ9"`},
		{"{\"n\":1e999,\"n\":12345678901234567890123}", `"data":{"n":1e999,"n":12345678901234567890123}`, "", ""},
	} {
		for form, want := range map[string]string{"auto": tc.auto, "text": tc.text, "json": tc.json} {
			if got := string(appendPayload(nil, form, []byte(tc.payload))); want != "" && got != ","+want {
				t.Errorf("unexpected %s form of %q; got %s; want %s", form, tc.payload, got, want)
			}
		}
	}
	if got := string(appendPayload(nil, "none", []byte("abc"))); got != `,"bytes":3` {
		t.Errorf("unexpected form without data; got %s", got)
	}
}

func TestPayloadsAreDecompressed(t *testing.T) {
	const text = `{"compressed":true}`
	packed := map[string][]byte{"gzip": pack(t, "gzip", text), "zlib": pack(t, "zlib", text), "zstd": pack(t, "zstd", text), "snappy": pack(t, "snappy", text)}
	block := snappy.Encode(nil, []byte(text))
	for name, b := range packed {
		for _, mode := range []string{"auto", name} {
			d := decompressor{mode: mode}
			for range 3 { // readers are used again
				if got, format := d.open(b); string(got) != text || format != name {
					t.Errorf("unexpected payload of %s with %s; got %q, %q", name, mode, got, format)
				}
				if _, format := d.open(b[:len(b)-5]); format != "" {
					t.Errorf("unexpected success with damaged %s", name)
				}
			}
			if d.failed == 0 && (name != "zlib" || mode != "auto") {
				t.Errorf("unexpected count of damaged %s with %s; got 0", name, mode)
			}
		}
		if got, format := (&decompressor{mode: "none"}).open(b); !bytes.Equal(got, b) || format != "" {
			t.Errorf("unexpected change of %s; got %q", name, got)
		}
	}
	if got, format := (&decompressor{mode: "snappy"}).open(block); string(got) != text || format != "snappy" {
		t.Errorf("unexpected payload of a snappy block; got %q, %q", got, format)
	}
	for _, plain := range []string{"", "x", "x^ and more text", "plain"} {
		d := decompressor{mode: "auto"}
		if got, format := d.open([]byte(plain)); string(got) != plain || format != "" || d.failed != 0 {
			t.Errorf("unexpected change of %q; got %q, %q", plain, got, format)
		}
	}
	r := kplcat(t, string(packed["gzip"]), "-", "--input", "raw", "--decompress", "auto", "--grep", "compressed").ok(t)
	if l := r.lines(t); len(l) != 1 || l[0].Compression != "gzip" || string(l[0].Data) != text {
		t.Errorf("unexpected output; got %s", r.stdout)
	}
}

func pack(t *testing.T, format, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	var w interface {
		Write([]byte) (int, error)
		Close() error
	}
	switch format {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zlib":
		w = zlib.NewWriter(&b)
	case "zstd":
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	case "snappy":
		w = snappy.NewBufferedWriter(&b)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func frame(msg []byte) []byte {
	sum := md5.Sum(msg)
	return slices.Concat(aggregateMagic, msg, sum[:])
}

func TestTagsAndOddKeysAreShown(t *testing.T) {
	// Fields: a key that is not UTF-8, and a record with a tag.
	msg := []byte("\x0a\x02\xff\xfe\x1a\x0d\x08\x00\x1a\x01v\x22\x06\x0a\x01t\x12\x01u")
	r := kplcat(t, string(frame(msg)), "-").ok(t)
	if want := `{"source":"stdin","subsequence":0,"key_base64":"//4=","aggregated":true,"tags":[{"key":"t","value":"u"}],"data":"v"}` + "\n"; r.stdout != want {
		t.Errorf("unexpected line; got %s; want %s", r.stdout, want)
	}
	bad := frame(msg)
	bad[len(bad)-1] ^= 1
	r = kplcat(t, string(bad), "-").ok(t)
	if l := r.lines(t); len(l) != 1 || !l[0].DamagedAggregate || l[0].Aggregated || !bytes.Equal(l[0].DataBase64, bad) || !strings.Contains(r.stderr, "1 aggregate damaged") {
		t.Errorf("unexpected output of a damaged aggregate; got %+v", r)
	}
}

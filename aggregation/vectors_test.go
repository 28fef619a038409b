// SPDX-License-Identifier: Apache-2.0

package aggregation

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// vector is a blob with the records in it and its published check figures.
type vector struct {
	name   string
	recs   []UserRecord
	length int
	md5    string // of the message
	sha256 string // of the blob
	blob   []byte
}

// vectorRecords holds the records and check figures of testdata/vectors.tsv, by
// the first word of the name.
var vectorRecords = map[string]vector{
	"V1": {
		recs:   []UserRecord{record("a", "", "x"), record("b", "", "y")},
		md5:    "b0031909ae75891ca94acec2ecce3125",
		sha256: "a093bc256f1d5289012a9d112496c6185dedee5760e6030e701244d19c407418",
	},
	"V2": {
		recs:   []UserRecord{record("pk", "", "hello"), record("pk", "", "world")},
		md5:    "4747b0d63591c416fdae617529bdda27",
		sha256: "670c05694baf319f12a33ee7bf82fe6ce401e638f04c436123c765605068e87f",
	},
	"V3": {
		recs:   []UserRecord{record("pk", "", ""), record("pk", "", "")},
		md5:    "3df9cc0ec060375c2b020b74c647f1cf",
		sha256: "ab333848ac6f1fa86a62225c70576812b618b335a70f15ae1dd8a3d7c7f29fa2",
	},
	"V4": {
		recs: []UserRecord{
			record("a", "", "1"), record("a", "0", "2"),
			record("b", "340282366920938463463374607431768211455", "3"), record("a", "0", "4"),
		},
		md5:    "42cf6a6f5913a17c821c993b68b44fab",
		sha256: "a52267ab2e9c774942b8d26c6a156dc62814e7a3a616baab60073d721f48f0f4",
	},
	"V5": {
		recs:   numberedRecords(130),
		md5:    "442a1b5e7099fe8b613ea9f6a2abba79",
		sha256: "b33e81c4c60dcb3fbc954fbf4c2e78d4f573c64c8751e42f86ffd8778cb178f8",
	},
	"V6": {
		recs: []UserRecord{
			record("a", "", strings.Repeat("z", 128)), record("a", "", strings.Repeat("z", 127)),
		},
		md5:    "ff27df12a72ff708cf39914c617a1e89",
		sha256: "4a068f60f66aeeb7a954b36c76fb60a40689a7751857738a46dba84dd6059092",
	},
	"V7": {
		recs:   []UserRecord{record("\u00e9", "", "1"), record("\u611b", "", "2")},
		md5:    "bc1944aa8ab05324a2a9f98e0bd5a496",
		sha256: "f306b5f0ed9d201f09638cf1c2173de20bf73bb9b794a09d7b61a4a4d2576a89",
	},
}

// capturedFigures are the check figures of testdata/captured.json, in order.
var capturedFigures = []vector{
	{length: 495, md5: "51c153d0de0a34ca9e18ea4bccd2add5", sha256: "63fa50b2eee27ca2"},
	{length: 628, md5: "bd5d6bacb754f92cb6bfcc64819e5868", sha256: "bd5f7efd8b9c0b1c"},
	{length: 240, md5: "07acba97020a49393f2fd65a7cd6033f", sha256: "085e3deaf0081603"},
	{length: 3466, md5: "d08f16bf0103262183e18b222887d43b", sha256: "ed3ce51ba006d3e4"},
}

func record(pk, ehk, data string) UserRecord {
	return UserRecord{PartitionKey: pk, ExplicitHashKey: ehk, Data: []byte(data)}
}

// numberedRecords returns records with keys k0, k1... and one byte of data each.
func numberedRecords(n int) []UserRecord {
	recs := make([]UserRecord, n)
	for i := range recs {
		recs[i] = UserRecord{PartitionKey: "k" + strconv.Itoa(i), Data: []byte{byte(i)}}
	}
	return recs
}

// frame puts magic and MD5 around a message.
func frame(msg []byte) []byte {
	sum := md5.Sum(msg)
	return slices.Concat([]byte("\xf3\x89\x9a\xc2"), msg, sum[:])
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatalf("cannot decode hex: %v", err)
	}
	return b
}

// vectors loads every golden blob.
func vectors(tb testing.TB) []vector {
	tb.Helper()
	return append(generatedVectors(tb), capturedVectors(tb)...)
}

func generatedVectors(tb testing.TB) []vector {
	tb.Helper()
	table, err := os.ReadFile("testdata/vectors.tsv")
	if err != nil {
		tb.Fatalf("cannot read vectors: %v", err)
	}
	var vs []vector
	for line := range strings.Lines(string(table)) {
		cols := strings.Split(strings.TrimSpace(line), "\t")
		if len(cols) != 4 {
			tb.Fatalf("unexpected columns in vectors.tsv; got %d; want 4", len(cols))
		}
		id, _, _ := strings.Cut(cols[0], " ")
		v, ok := vectorRecords[id]
		if !ok {
			tb.Fatalf("no records for vector %q", cols[0])
		}
		v.name = cols[0]
		if v.length, err = strconv.Atoi(cols[2]); err != nil {
			tb.Fatalf("cannot parse length of %q: %v", cols[0], err)
		}
		v.blob = frame(unhex(tb, cols[3]))
		vs = append(vs, v)
	}
	if len(vs) != len(vectorRecords) {
		tb.Fatalf("unexpected number of vectors; got %d; want %d", len(vs), len(vectorRecords))
	}
	return vs
}

func capturedVectors(tb testing.TB) []vector {
	tb.Helper()
	doc, err := os.ReadFile("testdata/captured.json")
	if err != nil {
		tb.Fatalf("cannot read captured blobs: %v", err)
	}
	var captured []struct {
		Name    string `json:"name"`
		BlobHex string `json:"blob_hex"`
		SHA256  string `json:"sha256"`
		Records []struct {
			PartitionKey    string `json:"partition_key"`
			ExplicitHashKey string `json:"explicit_hash_key"`
			DataHex         string `json:"data_hex"`
		} `json:"user_records"`
	}
	if err := json.Unmarshal(doc, &captured); err != nil {
		tb.Fatalf("cannot parse captured blobs: %v", err)
	}
	if len(captured) != len(capturedFigures) {
		tb.Fatalf("unexpected number of captured blobs; got %d; want %d", len(captured), len(capturedFigures))
	}
	var vs []vector
	for i, c := range captured {
		v := capturedFigures[i]
		if !strings.HasPrefix(c.SHA256, v.sha256) {
			tb.Fatalf("unexpected sha256 of %q; got %s; want prefix %s", c.Name, c.SHA256, v.sha256)
		}
		v.name, v.sha256, v.blob = c.Name, c.SHA256, unhex(tb, c.BlobHex)
		for _, r := range c.Records {
			v.recs = append(v.recs, UserRecord{
				PartitionKey:    r.PartitionKey,
				ExplicitHashKey: r.ExplicitHashKey,
				Data:            unhex(tb, r.DataHex),
			})
		}
		vs = append(vs, v)
	}
	return vs
}

// addAll adds records that have canonical explicit hash keys or none.
func addAll(tb testing.TB, b *Builder, recs []UserRecord) {
	tb.Helper()
	for _, r := range recs {
		if r.ExplicitHashKey == "" {
			b.Add(r.PartitionKey, r.Data)
			continue
		}
		ehk, err := ParseHashKey(r.ExplicitHashKey)
		if err != nil {
			tb.Fatal(err)
		}
		b.AddExplicit(r.PartitionKey, ehk, r.Data)
	}
}

// diff describes the first difference between two lists of records, "" if none.
func diff(got, want []UserRecord) string {
	if len(got) != len(want) {
		return fmt.Sprintf("unexpected number of records; got %d; want %d", len(got), len(want))
	}
	for i := range got {
		g, w := got[i], want[i]
		if g.PartitionKey != w.PartitionKey || g.ExplicitHashKey != w.ExplicitHashKey ||
			!bytes.Equal(g.Data, w.Data) || !slices.Equal(g.Tags, w.Tags) {
			return fmt.Sprintf("unexpected record %d; got %q; want %q", i, g, w)
		}
	}
	return ""
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run("encode "+v.name, func(t *testing.T) {
			var b Builder
			addAll(t, &b, v.recs)
			blob := b.AppendTo(nil)
			if !bytes.Equal(blob, v.blob) {
				t.Fatalf("unexpected blob\n got %x\nwant %x", blob, v.blob)
			}
			if len(blob) != v.length || b.Size() != v.length {
				t.Errorf("unexpected length; got %d, Size %d; want %d", len(blob), b.Size(), v.length)
			}
			if got := hex.EncodeToString(blob[len(blob)-digestBytes:]); got != v.md5 {
				t.Errorf("unexpected trailer; got %s; want %s", got, v.md5)
			}
			if got := fmt.Sprintf("%x", sha256.Sum256(blob)); got != v.sha256 {
				t.Errorf("unexpected sha256; got %s; want %s", got, v.sha256)
			}
		})
		t.Run("decode "+v.name, func(t *testing.T) {
			recs, aggregated := Deaggregate("a", "", v.blob)
			if !aggregated {
				t.Fatal("unexpected plain record; want an aggregate")
			}
			if d := diff(recs, v.recs); d != "" {
				t.Error(d)
			}
		})
	}
}

// Exact message lengths known from another encoder: 18-byte key and 10 bytes of
// data, then a 20-byte key and 12 bytes of data.
func TestMessageLength(t *testing.T) {
	var b Builder
	b.Add(strings.Repeat("k", 18), make([]byte, 10))
	if got := b.Size() - frameBytes; got != 36 {
		t.Errorf("unexpected message length of one record; got %d; want 36", got)
	}
	b.Add(strings.Repeat("l", 20), make([]byte, 12))
	if got := b.Size() - frameBytes; got != 76 {
		t.Errorf("unexpected message length of two records; got %d; want 76", got)
	}
}

// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// unpack reads one payload as a consumer does.
func unpack(t testing.TB, name string, data []byte) []byte {
	t.Helper()
	var r io.Reader
	var err error
	switch name {
	case "gzip":
		r, err = gzip.NewReader(bytes.NewReader(data))
	case "zlib":
		r, err = zlib.NewReader(bytes.NewReader(data))
	case "zstd":
		r, err = zstd.NewReader(bytes.NewReader(data))
	case "snappy":
		var out []byte
		out, err = snappy.Decode(nil, data)
		r = bytes.NewReader(out)
	default:
		r = bytes.NewReader(data)
	}
	if err != nil {
		t.Fatalf("cannot unpack %s: %v", name, err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("cannot unpack %s: %v", name, err)
	}
	return out
}

func TestEachPayloadIsCompressedByItself(t *testing.T) {
	chunk := kubernetesChunk(64 << 10)
	plain := shapeAll(t, &Builder{}, Config{PartitionKey: "kubernetes->pod_name", AppendNewline: true}, chunk)
	for _, name := range codecNames {
		for _, level := range []int{0, 1, 9, 19} {
			if name == "none" && level > 0 || name == "snappy" && level > 0 || level > 9 && name != "zstd" {
				continue
			}
			var b Builder
			cfg := Config{PartitionKey: "kubernetes->pod_name", AppendNewline: true, Compression: name, CompressionLevel: level}
			got := shapeAll(t, &b, cfg, chunk)
			if len(got) != len(plain) {
				t.Fatalf("unexpected number of records with %s; got %d; want %d", name, len(got), len(plain))
			}
			for i := range got {
				if !bytes.Equal(unpack(t, name, got[i]), plain[i]) {
					t.Fatalf("unexpected payload %d with %s", i, name)
				}
			}
			again := shapeAll(t, &b, cfg, chunk)
			for i := range got {
				if !bytes.Equal(got[i], again[i]) {
					t.Fatalf("unexpected bytes of payload %d with %s; want the same as the first time", i, name)
				}
			}
		}
	}
}

// shapeAll returns copies of the payloads of a chunk.
func shapeAll(t testing.TB, b *Builder, cfg Config, chunk []byte) (out [][]byte) {
	t.Helper()
	s := mustShaper(t, cfg)
	b.Reset()
	var ev Event
	for r := NewChunkReader(chunk); r.Next(&ev) != io.EOF; {
		if _, err := b.Add(s, "kube.shop", &ev); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range b.Records() {
		out = append(out, bytes.Clone(r.Data))
	}
	return out
}

func TestCompressionIsChecked(t *testing.T) {
	for _, tt := range []struct {
		cfg  Config
		want string
	}{
		{Config{Compression: "lz4"}, "none, gzip, zlib, zstd or snappy"},
		{Config{Compression: "gzip", CompressionLevel: 10}, "1 to 9"},
		{Config{Compression: "zstd", CompressionLevel: 23}, "1 to 22"},
		{Config{Compression: "snappy", CompressionLevel: 1}, "no levels"},
		{Config{CompressionLevel: 1}, "no levels"},
		{Config{Compression: "gzip", CompressionLevel: -1}, "1 to 9"},
	} {
		if _, err := NewShaper(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("unexpected error for %+v; got %v; want one with %q", tt.cfg, err, tt.want)
		}
	}
}

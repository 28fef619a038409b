// SPDX-License-Identifier: Apache-2.0

package event

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

const benchChunkBytes = 2 << 20

func BenchmarkChunkReader(b *testing.B) {
	chunk := kubernetesChunk(benchChunkBytes)
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	var r ChunkReader
	var ev Event
	for b.Loop() {
		r.Reset(chunk)
		for r.Next(&ev) != io.EOF {
		}
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	chunk := kubernetesChunk(benchChunkBytes)
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	var r ChunkReader
	var ev Event
	var dst []byte
	for b.Loop() {
		r.Reset(chunk)
		dst = dst[:0]
		for r.Next(&ev) != io.EOF {
			dst, _, _ = AppendJSON(dst, ev.Body)
		}
	}
}

// Keys in maps: the usual ones, which were seen before; ones never seen; two equal ones.
func BenchmarkAppendJSONNames(b *testing.B) {
	object := func(n, from, same int) []byte {
		var pairs [][]byte
		for i := range n {
			pairs = append(pairs, str(fmt.Sprint("some_key_", from+i%(n-same))), str("some value of usual length"))
		}
		return map32(pairs...)
	}
	for _, bm := range []struct {
		name             string
		n, objects, same int
	}{{"seen/10", 10, 1, 0}, {"new/10", 10, 100_000, 0}, {"equal/10", 10, 1, 1}, {"seen/100", 100, 1, 0}, {"equal/100", 100, 1, 1}, {"equal/100000", 100_000, 1, 50_000}} {
		b.Run(bm.name, func(b *testing.B) {
			var all [][]byte
			for i := range bm.objects {
				all = append(all, object(bm.n, i, bm.same))
			}
			b.SetBytes(int64(len(all[0])))
			b.ReportAllocs()
			var dst []byte
			for i := 0; b.Loop(); i++ {
				dst, _, _ = AppendJSON(dst[:0], all[i%len(all)])
			}
		})
	}
}

func BenchmarkAppendJSONText(b *testing.B) {
	for name, text := range map[string]string{
		"ascii":    strings.Repeat("plain text without anything to escape ", 100),
		"quotes":   strings.Repeat(`{"level":"info","n":1}`, 100),
		"cyrillic": strings.Repeat("\u0441\u0442\u0440\u043e\u043a\u0430 ", 300),
	} {
		b.Run(name, func(b *testing.B) {
			v := str(text)
			b.SetBytes(int64(len(v)))
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				dst, _, _ = AppendJSON(dst[:0], v)
			}
		})
	}
}

func BenchmarkBuilderAdd(b *testing.B) {
	for _, bm := range []struct {
		name string
		cfg  Config
	}{
		{"whole", Config{}},
		{"key", Config{PartitionKey: "kubernetes->pod_name"}},
		{"key+time", Config{PartitionKey: "kubernetes->pod_name", TimeKey: "time", TimeKeyFormat: "%FT%T.%LZ", AppendNewline: true}},
		{"data_keys", Config{PartitionKey: "$TAG[1]", DataKeys: []string{"log", "kubernetes"}}},
		{"dots", Config{ReplaceDots: "_"}},
		{"log_key", Config{LogKey: "log"}},
		{"stream", Config{Stream: "logs-$kubernetes['namespace_name']", PartitionKey: "$kubernetes['pod_name']/$stream"}},
		{"all", Config{
			Stream: "logs-$kubernetes['namespace_name']", StreamAllow: []string{"logs-*"}, PartitionKey: "$kubernetes['pod_name']/$stream",
			TimeKey: "time", TimeKeyFormat: "%FT%T.%LZ", AppendNewline: true, ReplaceDots: "_", MetadataKey: "meta", GroupKey: "group", Oversize: "split",
			DataKeys: []string{"log", "stream", "logtag", "kubernetes"},
		}},
		{"gzip", Config{Compression: "gzip"}},
		{"gzip1", Config{Compression: "gzip", CompressionLevel: 1}},
		{"zlib", Config{Compression: "zlib"}},
		{"zstd", Config{Compression: "zstd"}},
		{"snappy", Config{Compression: "snappy"}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			chunk := kubernetesChunk(benchChunkBytes)
			s := mustShaper(b, bm.cfg)
			b.SetBytes(int64(len(chunk)))
			b.ReportAllocs()
			var r ChunkReader
			var ev Event
			var builder Builder
			for b.Loop() {
				builder.Reset()
				for r.Reset(chunk); ; {
					builder.AddRun(s, "kube.shop", &r)
					if r.Next(&ev) == io.EOF {
						break
					}
					if _, err := builder.Add(s, "kube.shop", &ev); err != nil {
						b.Fatal(err)
					}
				}
				builder.Records()
			}
		})
	}
}

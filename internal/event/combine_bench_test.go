// SPDX-License-Identifier: Apache-2.0

package event

import (
	"fmt"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// BenchmarkCombine measures what a chunk costs with its events combined, and beside it
// the least that it can cost: the same events, and one pass of zstd over them.
func BenchmarkCombine(b *testing.B) {
	chunk := kubernetesChunk(benchChunkBytes)
	for _, bm := range []struct {
		name string
		cfg  Config
	}{
		{"off", Config{}},
		{"lines", Config{Combine: "lines"}},
		{"json_array", Config{Combine: "json_array"}},
		{"zstd", Config{Combine: "lines", Compression: "zstd"}},
		{"zstd/json_array", Config{Combine: "json_array", Compression: "zstd"}},
		{"zstd/key", Config{Combine: "lines", Compression: "zstd", PartitionKey: "kubernetes->pod_name"}},
		{"gzip", Config{Combine: "lines", Compression: "gzip"}},
	} {
		b.Run(bm.name, func(b *testing.B) { benchmarkBuilder(b, bm.cfg, chunk) })
	}
	b.Run("yardstick", func(b *testing.B) {
		s := mustShaper(b, Config{AppendNewline: true})
		z, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(chunk)))
		b.ReportAllocs()
		var builder Builder
		var out []byte
		for b.Loop() {
			builder.Reset()
			addChunk(b, &builder, s, chunk)
			out = z.EncodeAll(builder.arena, out[:0])
		}
		b.ReportMetric(float64(len(out)), "out-bytes")
	})
}

// BenchmarkCombineKeys measures events that are nearly all alone with their keys.
func BenchmarkCombineKeys(b *testing.B) {
	var chunk []byte
	for i := range 100_000 {
		chunk = append(chunk, v2(1795505462, uint32(i), fixmap(str("trace"), str(fmt.Sprintf("%032x", i*7919)),
			str("log"), str("10.244.0.17 - - [24/Nov/2026:07:31:02 +0000] \"GET /api/v1/orders HTTP/1.1\" 200 5316"),
			str("stream"), str("stdout"), str("host"), str("ip-10-0-17-23.eu-central-1.compute.internal")))...)
	}
	for _, compression := range []string{"none", "zstd"} {
		for _, combine := range []string{"off", "lines", "json_array"} {
			b.Run(compression+"/"+combine, func(b *testing.B) {
				benchmarkBuilder(b, Config{Combine: combine, Compression: compression, PartitionKey: "trace"}, chunk)
			})
		}
	}
}

func benchmarkBuilder(b *testing.B, cfg Config, chunk []byte) {
	s := mustShaper(b, cfg)
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	var builder Builder
	bytes := 0
	for b.Loop() {
		builder.Reset()
		var p Plan
		builder.Follow(s, &p)
		addChunk(b, &builder, s, chunk)
		bytes = 0
		for _, r := range builder.Records() {
			bytes += len(r.Data)
		}
	}
	b.ReportMetric(float64(builder.Len()), "records")
	b.ReportMetric(float64(bytes), "out-bytes")
}

func addChunk(tb testing.TB, b *Builder, s *Shaper, chunk []byte) {
	tb.Helper()
	var r ChunkReader
	var ev Event
	for r.Reset(chunk); r.Next(&ev) != io.EOF; {
		if _, err := b.Add(s, "kube.shop", &ev); err != nil {
			tb.Fatal(err)
		}
	}
}

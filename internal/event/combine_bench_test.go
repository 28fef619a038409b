// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// BenchmarkCombine measures what a chunk costs with its events combined, and how many times
// the yardstick that is, which is one pass of zstd over the same bytes: combining alone, and
// with what makes JSON of the events.
func BenchmarkCombine(b *testing.B) {
	chunk := mixedChunk(benchChunkBytes)
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
	// Turn by turn in one run, so that only the ratio counts.
	b.Run("yardstick", func(b *testing.B) {
		z, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
		if err != nil {
			b.Fatal(err)
		}
		var builder Builder
		addChunk(b, &builder, mustShaper(b, Config{AppendNewline: true}), chunk)
		plain := bytes.Clone(builder.arena)
		builder = Builder{}
		s := mustShaper(b, Config{Combine: "lines", Compression: "zstd"})
		b.SetBytes(int64(len(chunk)))
		var out []byte
		var events, combine, pass time.Duration
		for b.Loop() {
			builder.Reset()
			builder.Follow(s, &Plan{})
			t0 := time.Now()
			addChunk(b, &builder, s, chunk)
			t1 := time.Now()
			builder.Records()
			t2 := time.Now()
			out = z.EncodeAll(plain, out[:0])
			events, combine, pass = events+t1.Sub(t0), combine+t2.Sub(t1), pass+time.Since(t2)
		}
		b.ReportMetric(float64(len(out)), "out-bytes")
		b.ReportMetric(float64(combine)/float64(pass), "x-zstd")
		b.ReportMetric(float64(events+combine)/float64(events+pass), "x-events+zstd")
	})
}

// mixedChunk is about size bytes of events that compress as logs do: names and words come
// again, numbers and ids do not.
func mixedChunk(size int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 0, size+2048)
	for i := 0; len(b) < size; i++ {
		pod := r.IntN(50)
		body := fixmap(
			str("stream"), str("stdout"),
			str("log"), str(fmt.Sprintf("10.244.%d.%d - - [24/Nov/2026:07:31:%02d +0000] \"GET /api/v1/orders/%d?page=%d HTTP/1.1\" 200 %d \"-\" \"curl/8.5.0\" rt=0.%03d trace=%016x",
				r.IntN(256), r.IntN(256), i%60, r.IntN(1e6), r.IntN(50), r.IntN(1e5), r.IntN(1000), r.Uint64())),
			str("kubernetes"), fixmap(str("pod_name"), str(fmt.Sprintf("orders-6f9c8d7b54-x%04d", pod)), str("namespace_name"), str("shop"),
				str("host"), str(fmt.Sprintf("ip-10-0-17-%d.eu-central-1.compute.internal", pod%7))),
		)
		b = append(b, v2(1795505462+uint32(i/500), uint32(r.IntN(1e9)), body)...)
	}
	return b
}

// BenchmarkCombineKeys measures events that are alone with their keys.
func BenchmarkCombineKeys(b *testing.B) {
	chunks := differentKeys()
	for _, compression := range []string{"none", "zstd"} {
		for _, combine := range []string{"off", "lines", "json_array"} {
			b.Run(compression+"/"+combine, func(b *testing.B) {
				benchmarkBuilder(b, Config{Combine: combine, Compression: compression, PartitionKey: "trace"}, chunks...)
			})
		}
	}
}

func benchmarkBuilder(b *testing.B, cfg Config, chunks ...[]byte) {
	s := mustShaper(b, cfg)
	b.SetBytes(int64(len(slices.Concat(chunks...))))
	b.ReportAllocs()
	var builder Builder
	size, records := 0, 0
	for b.Loop() {
		size, records = 0, 0
		for _, chunk := range chunks {
			builder.Reset()
			var p Plan
			builder.Follow(s, &p)
			addChunk(b, &builder, s, chunk)
			for _, r := range builder.Records() {
				size += len(r.Data)
			}
			records += builder.Len()
		}
	}
	b.ReportMetric(float64(records), "records")
	b.ReportMetric(float64(size), "out-bytes")
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

// differentKeys are 100,000 events that are alone with their keys.
func differentKeys() [][]byte {
	return chunksOf(100_000, func(i int) []byte {
		return fixmap(str("trace"), str(fmt.Sprintf("%032x", i*7919)),
			str("log"), str("10.244.0.17 - - [24/Nov/2026:07:31:02 +0000] \"GET /api/v1/orders HTTP/1.1\" 200 5316"),
			str("stream"), str("stdout"), str("host"), str("ip-10-0-17-23.eu-central-1.compute.internal"))
	})
}

// chunksOf are n events in chunks as large as those of Fluent Bit.
func chunksOf(n int, body func(i int) []byte) (chunks [][]byte) {
	var chunk []byte
	for i := range n {
		chunk = append(chunk, v2(1795505462, uint32(i), body(i))...)
		if len(chunk) > benchChunkBytes || i == n-1 {
			chunks, chunk = append(chunks, chunk), nil
		}
	}
	return chunks
}

// SPDX-License-Identifier: Apache-2.0

package event

import (
	"fmt"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// BenchmarkCombineKeysDelivered takes 100,000 events with as many keys from their chunks into
// a stream, without combine and with it turn by turn, and shows how many times the time
// and the payload units of the former the latter has. With -cpu 1 the time is that of the
// processor.
func BenchmarkCombineKeysDelivered(b *testing.B) {
	chunks := differentKeys()
	for _, compression := range []string{"none", "zstd"} {
		b.Run(compression, func(b *testing.B) {
			var builders [2]Builder
			var took [2]time.Duration
			var units [2]uint64
			var shapers [2]*Shaper
			var producers [2]*core.Producer
			for i, combine := range []string{"off", "lines"} {
				shapers[i] = mustShaper(b, Config{Combine: combine, Compression: compression, PartitionKey: "trace"})
				srv := kinesistest.New(kinesistest.WithStream("logs", 16), kinesistest.WithCountOnly(), kinesistest.WithLimits(kinesistest.Limits{}))
				p, err := core.New(srv.Client(), core.WithRateLimit(1_000_000))
				if err != nil {
					b.Fatal(err)
				}
				producers[i] = p
			}
			for lap := 0; b.Loop(); lap++ {
				for turn := range producers {
					// The second in a lap takes longer, even if it does the same.
					i := (lap + turn) % len(producers)
					p, builder, begun := producers[i], &builders[i], time.Now()
					for _, chunk := range chunks {
						builder.Reset()
						builder.Follow(shapers[i], &Plan{})
						addChunk(b, builder, shapers[i], chunk)
						batch, err := p.PutBatch(b.Context(), "logs", builder.Records())
						if err == nil {
							err = batch.Wait(b.Context())
						}
						if err != nil {
							b.Fatal(err)
						}
					}
					took[i] += time.Since(begun)
				}
			}
			for i, p := range producers {
				if err := p.Close(b.Context()); err != nil {
					b.Fatal(err)
				}
				units[i] = p.Stats().PutPayloadUnits
			}
			b.ReportMetric(float64(took[1])/float64(took[0]), "x-time")
			b.ReportMetric(float64(units[1])/float64(units[0]), "x-units")
		})
	}
}

// differentKeys are 100,000 events that are alone with their keys, in chunks as large as
// those of Fluent Bit.
func differentKeys() (chunks [][]byte) {
	var chunk []byte
	for i := range 100_000 {
		chunk = append(chunk, v2(1795505462, uint32(i), fixmap(str("trace"), str(fmt.Sprintf("%032x", i*7919)),
			str("log"), str("10.244.0.17 - - [24/Nov/2026:07:31:02 +0000] \"GET /api/v1/orders HTTP/1.1\" 200 5316"),
			str("stream"), str("stdout"), str("host"), str("ip-10-0-17-23.eu-central-1.compute.internal")))...)
		if len(chunk) > benchChunkBytes || i == 99_999 {
			chunks, chunk = append(chunks, chunk), nil
		}
	}
	return chunks
}

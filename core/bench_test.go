// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// benchRecords makes n records of 200 bytes with keys drawn from a set.
func benchRecords(n, keys int) []core.Record {
	rng := rand.New(rand.NewPCG(1, 2))
	names := make([]string, keys)
	for i := range names {
		names[i] = fmt.Sprintf("%016x", rng.Uint64())
	}
	records := make([]core.Record, n)
	for i := range records {
		data := make([]byte, 200)
		for j := range data {
			data[j] = byte(rng.Uint32())
		}
		records[i] = core.Record{PartitionKey: names[i%keys], Data: data}
	}
	return records
}

const benchBatch = 8192

// BenchmarkPutBatch is the whole way from submission to result, with a client
// in the same process that only counts. One operation is one record.
func BenchmarkPutBatch(b *testing.B) {
	for _, c := range []struct {
		name         string
		shards, keys int // no keys: records are unkeyed and not aggregated
	}{
		{"shards=16/keys=distinct", 16, benchBatch},
		{"shards=16/keys=100", 16, 100},
		{"shards=10000/keys=distinct", 10000, benchBatch},
		{"shards=512/aggregation off", 512, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := kinesistest.New(kinesistest.WithStream(stream, c.shards), kinesistest.WithCountOnly())
			p := newProducer(b, s.Client(), core.WithRateLimit(1_000_000), core.WithAggregation(c.keys > 0))
			records := benchRecords(benchBatch, max(c.keys, 1))
			for i := range records {
				if c.keys == 0 {
					records[i].PartitionKey = ""
				}
			}
			ctx := context.Background()
			warm, err := p.PutBatch(ctx, stream, records)
			if err != nil {
				b.Fatal(err)
			}
			wait(b, warm)
			b.SetBytes(200)
			b.ReportAllocs()
			b.ResetTimer()
			// Two batches in flight, as from a host with several workers.
			var last *core.Batch
			for n := 0; n < b.N; n += benchBatch {
				batch, err := p.PutBatch(ctx, stream, records[:min(benchBatch, b.N-n)])
				if err != nil {
					b.Fatal(err)
				}
				if last != nil {
					wait(b, last)
				}
				last = batch
			}
			wait(b, last)
			b.StopTimer()
			if err := last.Err(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkReadBack is what read-back costs while no answer is lost: with one caller, and with
// two batches in flight.
func BenchmarkReadBack(b *testing.B) {
	for _, c := range []struct {
		inFlight int
		on       bool
	}{{1, false}, {1, true}, {2, false}, {2, true}} {
		b.Run(fmt.Sprintf("in flight=%d/on=%t", c.inFlight, c.on), func(b *testing.B) {
			s := kinesistest.New(kinesistest.WithStream(stream, 16), kinesistest.WithCountOnly())
			opts := []core.Option{core.WithRateLimit(1_000_000), core.WithVerifyUncertain(c.on)}
			if c.inFlight == 1 {
				opts = append(opts, core.WithLinger(0)) // there is nobody to wait for
			}
			p := newProducer(b, s.Client(), opts...)
			records := benchRecords(benchBatch, benchBatch)
			b.SetBytes(200)
			b.ReportAllocs()
			var open []*core.Batch
			for n := 0; n < b.N; n += benchBatch {
				if open = append(open, put(b, p, records[:min(benchBatch, b.N-n)])); len(open) == c.inFlight {
					wait(b, open[0])
					open = open[1:]
				}
			}
			for _, batch := range open {
				wait(b, batch)
			}
			b.ReportMetric(float64(s.Stats().Records)/float64(b.N)*1000, "kinesis_records/k")
		})
	}
}

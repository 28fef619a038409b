// SPDX-License-Identifier: Apache-2.0

//go:build unix

package event

import (
	"encoding/base64"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// BenchmarkCombineKeysDelivered takes 100,000 events with as many keys from their chunks into
// a stream, without combine and with it, and shows how many times the CPU time, the
// payload units and the allocated bytes of the former the latter has. A difference of one
// percent counts, so:
//
//   - The sides take turns with a chunk, of a few milliseconds, in each order once. That is
//     a lap, which makes one ratio. The median of all counts; a quarter of them are below
//     "x-cpu-25%", and a quarter above "x-cpu-75%".
//   - Each lap has other memory from the system, since places cost more or less.
//   - Garbage is collected between the laps, and shown as bytes in place of time.
//   - "x-same" is what comes out for a second side without combine. It should be 1.
//
// Use -cpu 1 and a fixed number of laps, such as -benchtime 200x.
func BenchmarkCombineKeysDelivered(b *testing.B) {
	chunks := differentKeys()
	for _, compression := range []string{"none", "zstd", "gzip"} {
		b.Run(compression, func(b *testing.B) {
			benchmarkDelivered(b, Config{Combine: "lines", Compression: compression, PartitionKey: "trace"}, chunks)
		})
	}
}

// BenchmarkCombineBadInputDelivered does the same with 1,000,000 tiny events, and with 20,000
// that hardly compress: without a key, and each with its own.
func BenchmarkCombineBadInputDelivered(b *testing.B) {
	for _, input := range []struct {
		name   string
		events int
		text   func(r *rand.Rand) string
	}{
		{"tiny", 1_000_000, func(r *rand.Rand) string { return string(rune('a' + r.IntN(26))) }},
		{"incompressible", 20_000, func(r *rand.Rand) string {
			noise := make([]byte, 750)
			for i := range noise {
				noise[i] = byte(r.Uint32())
			}
			return base64.StdEncoding.EncodeToString(noise)
		}},
	} {
		r := rand.New(rand.NewPCG(3, 4))
		chunks := chunksOf(input.events, func(i int) []byte {
			return fixmap(str("k"), str(strconv.Itoa(i)), str("log"), str(input.text(r)))
		})
		for _, key := range []string{"", "k"} {
			for _, compression := range []string{"none", "zstd"} {
				name := input.name + "/" + compression
				if key != "" {
					name += "/key"
				}
				b.Run(name, func(b *testing.B) {
					benchmarkDelivered(b, Config{Combine: "lines", Compression: compression, PartitionKey: key}, chunks)
				})
			}
		}
	}
}

// deliveredSide takes chunks into a stream.
type deliveredSide struct {
	shaper   *Shaper
	builder  Builder
	producer *core.Producer
	cpu      time.Duration
}

func newDeliveredSide(b *testing.B, cfg Config) *deliveredSide {
	srv := kinesistest.New(kinesistest.WithStream("logs", 16), kinesistest.WithCountOnly(), kinesistest.WithLimits(kinesistest.Limits{}))
	p, err := core.New(srv.Client(), core.WithRateLimit(1_000_000))
	if err != nil {
		b.Fatal(err)
	}
	return &deliveredSide{shaper: mustShaper(b, cfg), producer: p}
}

func (s *deliveredSide) deliver(b *testing.B, chunk []byte) {
	before := processTime(b)
	s.builder.Reset()
	s.builder.Follow(s.shaper, &Plan{})
	s.builder.Grow(len(chunk) + len(chunk)/4)
	addChunk(b, &s.builder, s.shaper, chunk)
	batch, err := s.producer.PutBatch(b.Context(), "logs", s.builder.Records())
	if err == nil {
		err = batch.Wait(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
	s.cpu += processTime(b) - before
}

// end returns the payload units.
func (s *deliveredSide) end(b *testing.B) float64 {
	if err := s.producer.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	return float64(s.producer.Stats().PutPayloadUnits)
}

// processTime is what this process has used of the processors.
func processTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchmarkDelivered compares cfg with what it is without combine.
func benchmarkDelivered(b *testing.B, cfg Config, chunks [][]byte) {
	const off, on, same = 0, 1, 2
	orders := [][3]int{{off, on, same}, {same, on, off}, {on, same, off}, {off, same, on}, {same, off, on}, {on, off, same}}
	plain := cfg
	plain.Combine = ""
	configs := [3]Config{off: plain, on: cfg, same: plain}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var ratios, sames []float64
	var units, allocated [3]float64
	for lap := 0; b.Loop(); lap++ {
		chunk := chunks[lap%len(chunks)]
		var sides [3]*deliveredSide
		debug.FreeOSMemory()
		for _, i := range orders[lap%len(orders)] {
			sides[i] = newDeliveredSide(b, configs[i])
			for range 2 { // fills what is used again
				sides[i].deliver(b, chunk)
			}
			before := allocatedBytes()
			sides[i].deliver(b, chunk)
			allocated[i] += allocatedBytes() - before
			sides[i].cpu = 0
		}
		runtime.GC()
		for _, order := range orders {
			for _, i := range order {
				sides[i].deliver(b, chunk)
			}
		}
		ratios = append(ratios, float64(sides[on].cpu)/float64(sides[off].cpu))
		sames = append(sames, float64(sides[same].cpu)/float64(sides[off].cpu))
		for i, s := range sides {
			units[i] += s.end(b)
		}
	}
	slices.Sort(ratios)
	slices.Sort(sames)
	n := len(ratios)
	b.ReportMetric(ratios[n/2], "x-cpu")
	b.ReportMetric(ratios[n/4], "x-cpu-25%")
	b.ReportMetric(ratios[n*3/4], "x-cpu-75%")
	b.ReportMetric(sames[n/2], "x-same")
	b.ReportMetric(units[on]/units[off], "x-units")
	b.ReportMetric(allocated[on]/allocated[off], "x-allocated")
	b.ReportMetric(0, "ns/op")
}

func allocatedBytes() float64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.TotalAlloc)
}

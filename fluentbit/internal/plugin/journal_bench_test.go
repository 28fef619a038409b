// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// BenchmarkJournal compares the CPU time of chunks with and without a journal, flushed by
// four workers with the producer into a Kinesis of the process that counts.
func BenchmarkJournal(b *testing.B) {
	for _, keys := range []string{"", "$TAG-$kubernetes['pod_name']"} {
		for _, c := range []struct{ name, journal string }{{"off", ""}, {"on", "off"}, {"sync", "on"}} {
			name := "unkeyed/" + c.name
			kv := []string{"rate_limit", "1000000", "flush_timeout", "1m"}
			if keys != "" {
				name = "keys/" + c.name
				kv = append(kv, "partition_key", keys)
			}
			b.Run(name, func(b *testing.B) {
				chunk := kubernetesChunk(b)
				if c.journal != "" {
					kv = append(kv, "journal_dir", b.TempDir(), "journal_sync", c.journal)
				}
				s := kinesistest.New(kinesistest.WithStream("logs", 16), kinesistest.WithCountOnly())
				cfg, err := ParseConfig(with(kv...), noEnv)
				if err != nil {
					b.Fatal(err)
				}
				in, err := New(cfg, Deps{NewProducer: func(cfg *Config, logger *slog.Logger) (Producer, error) {
					p, err := core.New(s.Client(), producerOptions(cfg, logger)...)
					return coreProducer{p}, err
				}})
				if err != nil {
					b.Fatal(err)
				}
				in.Flush("kube.shop", chunk)
				b.SetBytes(int64(len(chunk)))
				before := cpuTime(b)
				b.ResetTimer()
				var left atomic.Int64
				left.Store(int64(b.N))
				var wg sync.WaitGroup
				for range 4 {
					wg.Go(func() {
						for left.Add(-1) >= 0 {
							if in.Flush("kube.shop", chunk) != OK {
								b.Error("not confirmed")
							}
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N)/float64(len(chunk)), "cpu-ns/B")
				_ = in.Close(b.Context())
			})
		}
	}
}

func cpuTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

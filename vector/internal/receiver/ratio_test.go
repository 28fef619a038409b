// SPDX-License-Identifier: Apache-2.0

//go:build unix

package receiver

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/vector/internal/body"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// BenchmarkHTTPRatio puts what a body costs from socket to Kinesis in relation to what
// cannot be avoided: to unpack it and to look at each byte once. They take turns, and
// the best round of each counts; what counts is time of processors, which changes little
// with what else the machine does. The client's work is in it, too, as it runs in the
// same process; it is small, since its bodies are packed once. The metrics are:
//
//	unkeyed/yardstick   no partition keys
//	key/yardstick      keys out of the events
//	producer/yardstick the producer alone, with the same records
//	floor/yardstick    what nothing that delivers events can leave out: to unpack them, to
//	                   find them, to copy them into aggregates, and the MD5 of these
//	MB/cpu-s           unpacked bytes with keys for each second of one processor
func BenchmarkHTTPRatio(b *testing.B) {
	raw := benchBody()
	packed := gzipped(raw)
	events := bytes.Split(bytes.TrimSpace(raw), []byte{'\n'})
	const rounds, bodies = 3, 30
	unkeyed, key := benchServer(b), benchServer(b, "--route.partition_key=user->id")
	kinesis := kinesistest.New(kinesistest.WithStream("logs", 16), kinesistest.WithCountOnly())
	producer, err := core.New(kinesis.Client(), core.WithRateLimit(1_000_000))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = producer.Close(b.Context()) }()
	var unpacker body.Unpacker
	var found []body.Event
	blob, aggregates := make([]byte, 0, len(raw)), [][]byte(nil)
	floor := func() {
		data, err := unpacker.Unpack("gzip", packed, body.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		if found, err = body.Split(found[:0], data, body.FormatJSON, body.Options{}); err != nil {
			b.Fatal(err)
		}
		blob, aggregates = blob[:0], aggregates[:0]
		for i := range found {
			blob = append(blob, found[i].Data...)
		}
		for rest := range slices.Chunk(blob, 2*core.PutPayloadUnit) {
			aggregates = append(aggregates, rest)
		}
		aggregation.Seal(aggregates...)
	}
	best := map[string]time.Duration{}
	measure := func(name string, f func()) {
		before := cpuTime(b)
		for range bodies {
			f()
		}
		cost := (cpuTime(b) - before) / bodies
		if old, ok := best[name]; !ok || cost < old {
			best[name] = cost
		}
	}
	for b.Loop() {
		for range rounds {
			measure("yardstick", func() { yardstick(b, packed) })
			measure("floor", floor)
			measure("unkeyed", func() { unkeyed(packed) })
			measure("key", func() { key(packed) })
			measure("producer", func() {
				records := make([]core.Record, len(events))
				for i := range events {
					records[i].Data = events[i]
				}
				batch, err := producer.PutBatch(b.Context(), "logs", records)
				if err != nil {
					b.Fatal(err)
				}
				if err := batch.Wait(b.Context()); err != nil || batch.Err() != nil {
					b.Fatal(err, batch.Err())
				}
			})
		}
	}
	for name, cost := range best {
		b.Logf("%-10s %8.0f us of CPU per body of %d events, %d bytes", name, float64(cost.Nanoseconds())/1e3, len(events), len(raw))
	}
	ratio := func(name string) float64 { return float64(best[name]) / float64(best["yardstick"]) }
	b.ReportMetric(ratio("unkeyed"), "unkeyed/yardstick")
	b.ReportMetric(ratio("key"), "key/yardstick")
	b.ReportMetric(ratio("producer"), "producer/yardstick")
	b.ReportMetric(ratio("floor"), "floor/yardstick")
	b.ReportMetric(float64(len(raw))/1e6/best["key"].Seconds(), "MB/cpu-s")
	b.ReportMetric(0, "ns/op")
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// yardstick unpacks with the usual library, and looks for line ends.
func yardstick(b *testing.B, packed []byte) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		b.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil || bytes.Count(data, []byte{'\n'}) == 0 {
		b.Fatal(err)
	}
}

// benchServer serves on the loopback; what it returns posts one body.
func benchServer(b *testing.B, flags ...string) (post func(packed []byte)) {
	kinesis := kinesistest.New(kinesistest.WithStream("logs", 16), kinesistest.WithCountOnly())
	cfg, err := config.Load(config.Sources{Args: append([]string{
		"--route.stream=logs", "--producer.rate_limit=1000000", "--server.admin_listen=off",
		"--server.drain_delay=0", "--server.connection_max_age=0",
	}, flags...)})
	if err != nil {
		b.Fatal(err)
	}
	producer, err := core.New(kinesis.Client(), cfg.Producer.Options()...)
	if err != nil {
		b.Fatal(err)
	}
	s, err := New(cfg, producer, Deps{Listen: func(string, string) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Start(); err != nil {
		b.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	b.Cleanup(func() {
		client.CloseIdleConnections()
		_ = s.Shutdown(b.Context())
	})
	return func(packed []byte) {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://"+s.Addr()+"/", bytes.NewReader(packed))
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-ndjson")
		req.Header.Set("Content-Encoding", "gzip")
		res, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			b.Fatal(res.Status)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

//go:build unix

package receiver

import (
	"bytes"
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/delivery"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/vector/internal/body"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// settled is a batch that Kinesis has confirmed.
type settled struct{}

func (settled) WaitSettled(context.Context) error          { return nil }
func (settled) Done() <-chan struct{}                      { return nil }
func (settled) Counts() (confirmed, failed, pending int)   { return 0, 0, 0 }
func (settled) Failures(func(int, *core.RecordError) bool) {}
func (settled) Result(int) core.Result                     { return core.Result{} }

// sink is the least of a ResponseWriter.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) Flush()                      {}

// BenchmarkReceiverRatio puts the CPU time of the receiver, with a producer that confirms at
// once, in relation to what cannot be avoided: to unpack the body and to find its
// events. Both take turns in one run, and the best round of each counts.
func BenchmarkReceiverRatio(b *testing.B) {
	raw := benchBody()
	for _, c := range []struct {
		name, encoding string
		packed         []byte
		flags          []string
	}{
		{"gzip", "gzip", gzipped(raw), nil},
		{"gzip,key", "gzip", gzipped(raw), []string{"--route.partition_key=user->id"}},
		{"zstd", "zstd", zstded(raw), nil},
		{"plain", "", raw, nil},
	} {
		b.Run(c.name, func(b *testing.B) {
			cfg, err := config.Load(config.Sources{Args: append([]string{"--route.stream=logs"}, c.flags...)})
			if err != nil {
				b.Fatal(err)
			}
			producer, err := core.New(kinesistest.New().Client())
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = producer.Close(b.Context()) }()
			s, err := New(cfg, producer, Deps{})
			if err != nil {
				b.Fatal(err)
			}
			s.putBatch = func(context.Context, string, []core.Record) (delivery.Batch, error) { return settled{}, nil }
			h := s.Handler()
			var u body.Unpacker
			rounds := map[string]func(){
				"scan": func() {
					data, err := u.Unpack(c.encoding, c.packed, body.Limits{})
					if err != nil {
						b.Fatal(err)
					}
					if _, err := body.Split(nil, data, body.FormatJSON, body.Options{}); err != nil {
						b.Fatal(err)
					}
				},
				"receiver": func() {
					r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "/", bytes.NewReader(c.packed))
					if err != nil {
						b.Fatal(err)
					}
					r.Header.Set("Content-Type", "application/x-ndjson")
					r.Header.Set("Content-Encoding", c.encoding)
					w := &sink{header: http.Header{}}
					if h.ServeHTTP(w, r); w.status != 200 {
						b.Fatal(w.status)
					}
				},
			}
			best := map[string]time.Duration{}
			const bodies = 40
			for b.Loop() {
				for name, f := range rounds {
					before := cpuTime(b)
					for range bodies {
						f()
					}
					if took := (cpuTime(b) - before) / bodies; best[name] == 0 || took < best[name] {
						best[name] = took
					}
				}
			}
			b.ReportMetric(float64(best["receiver"])/float64(best["scan"]), "receiver/scan")
			b.ReportMetric(float64(best["receiver"].Microseconds()), "us-CPU/MiB")
			b.ReportMetric(0, "ns/op")
		})
	}
}

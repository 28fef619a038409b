// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/vector/internal/body"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// benchBody is NDJSON with events of some 200 bytes.
func benchBody() []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < 1<<20; i++ {
		fmt.Fprintf(&b, `{"timestamp":"2026-11-24T10:00:%02d.%06dZ","level":"info","host":"ip-10-0-%d-%d","user":{"id":"u%d"},"message":"GET /api/v1/items/%d 200 in %d ms"}`+"\n",
			i%60, i*7919%1000000, i%4, i%250, i%1000, i*31, i%977)
	}
	return b.Bytes()
}

// BenchmarkUnpackAndSplit is the yardstick: what cannot be avoided of the receiver's work.
func BenchmarkUnpackAndSplit(b *testing.B) {
	raw := benchBody()
	packed := gzipped(raw)
	var u body.Unpacker
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		data, err := u.Unpack("gzip", packed, body.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := body.Split(nil, data, body.FormatJSON, body.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRequest is a whole request, with the producer and a Kinesis that counts.
func BenchmarkRequest(b *testing.B) {
	for _, c := range []struct{ name, flags string }{
		{"unkeyed", ""},
		{"key", "--route.partition_key=user->id"},
		{"combine", "--route.combine=lines --route.compression=zstd"},
	} {
		b.Run(c.name, func(b *testing.B) {
			raw := benchBody()
			packed := gzipped(raw)
			kinesis := kinesistest.New(kinesistest.WithStream("logs", 16), kinesistest.WithCountOnly())
			cfg, err := config.Load(config.Sources{Args: append([]string{"--route.stream=logs", "--producer.rate_limit=1000000"}, strings.Fields(c.flags)...)})
			if err != nil {
				b.Fatal(err)
			}
			producer, err := core.New(kinesis.Client(), cfg.Producer.Options()...)
			if err != nil {
				b.Fatal(err)
			}
			s, err := New(cfg, producer, Deps{})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = producer.Close(b.Context()) }()
			h := s.Handler()
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), "POST", "/", bytes.NewReader(packed))
				r.Header.Set("Content-Type", "application/x-ndjson")
				r.Header.Set("Content-Encoding", "gzip")
				w := httptest.NewRecorder()
				if h.ServeHTTP(w, r); w.Code != 200 {
					b.Fatal(w.Body.String())
				}
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/ledger"
)

func newTest(t *testing.T, put func(number int, b *fakeBatch) error, kv ...string) (*Instance, *fakeProducer, *bytes.Buffer) {
	t.Helper()
	cfg, err := ParseConfig(with(kv...), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	p := &fakeProducer{put: put}
	log := &bytes.Buffer{}
	in, err := New(cfg, Deps{
		Logger:      slog.New(slog.NewTextHandler(log, nil)),
		NewProducer: func(*Config, *slog.Logger) (Producer, error) { return p, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return in, p, log
}

// chunkOf has an event {"n":i} for each number.
func chunkOf(numbers ...int) []byte {
	var c []byte
	for _, n := range numbers {
		c = append(c, 0x92, 0x92, 0xd7, 0x00)
		c = binary.BigEndian.AppendUint32(c, 1795514400)
		c = append(c, 0, 0, 0, 0, 0x80, 0x81, 0xa1, 'n', byte(n))
	}
	return c
}

func payloads(numbers ...int) []string {
	var out []string
	for _, n := range numbers {
		out = append(out, fmt.Sprintf(`{"n":%d}`, n))
	}
	return out
}

func wantBatches(t *testing.T, p *fakeProducer, want ...[]string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.batches) != len(want) {
		t.Fatalf("unexpected number of batches; got %d; want %d", len(p.batches), len(want))
	}
	for i, b := range p.batches {
		if !slices.Equal(b.records, want[i]) {
			t.Errorf("unexpected batch %d; got %v; want %v", i, b.records, want[i])
		}
	}
}

func wantCode(t *testing.T, got, want Code) {
	t.Helper()
	if got != want {
		t.Errorf("unexpected answer; got %d; want %d", got, want)
	}
}

// footprint is what the memory of a chunk with an open batch takes.
func footprint(t *testing.T, chunk []byte) int64 {
	t.Helper()
	in, _, _ := newTest(t, func(int, *fakeBatch) error { return nil })
	wantCode(t, in.Flush("tag", chunk), Retry)
	return in.deliverer.Ledger().Bytes
}

// shrunken is what a chunk takes whose memory was given back.
const shrunken = 256 + 8

func confirmAll(_ int, b *fakeBatch) error { b.settleAll(core.ReasonNone); return nil }

func TestFlush(t *testing.T) {
	t.Run("confirmed chunk is OK and not remembered", func(t *testing.T) {
		in, p, _ := newTest(t, confirmAll)
		wantCode(t, in.Flush("tag", chunkOf(1, 2)), OK)
		wantCode(t, in.Flush("tag", chunkOf(1, 2)), OK) // another chunk with the same bytes
		wantBatches(t, p, payloads(1, 2), payloads(1, 2))
		if in.deliverer.Ledger().Entries != 0 {
			t.Errorf("unexpected ledger; got %d entries; want 0", in.deliverer.Ledger().Entries)
		}
	})
	t.Run("empty chunk is OK without a batch", func(t *testing.T) {
		in, p, _ := newTest(t, confirmAll)
		wantCode(t, in.Flush("tag", nil), OK)
		wantBatches(t, p)
	})
	t.Run("failed records alone are retried", func(t *testing.T) {
		in, p, _ := newTest(t, func(n int, b *fakeBatch) error {
			for i := range b.results {
				if n <= 2 && i%2 == 1 {
					b.settle(i, core.ReasonStreamNotFound)
				} else {
					b.settle(i, core.ReasonNone)
				}
			}
			return nil
		})
		c := chunkOf(0, 1, 2, 3, 4, 5, 6, 7)
		wantCode(t, in.Flush("tag", c), Retry)
		wantCode(t, in.Flush("tag", c), Retry)
		wantCode(t, in.Flush("tag", c), OK)
		wantBatches(t, p, payloads(0, 1, 2, 3, 4, 5, 6, 7), payloads(1, 3, 5, 7), payloads(3, 7))
	})
	t.Run("nothing is remembered when nothing was confirmed", func(t *testing.T) {
		in, p, _ := newTest(t, func(n int, b *fakeBatch) error { b.settleAll(core.ReasonNotAccepted); return nil })
		c := chunkOf(1, 2)
		wantCode(t, in.Flush("tag", c), Retry)
		wantCode(t, in.Flush("tag", c), Retry)
		wantBatches(t, p, payloads(1, 2), payloads(1, 2))
		if in.deliverer.Ledger().Entries != 0 {
			t.Errorf("unexpected ledger; got %d entries; want 0", in.deliverer.Ledger().Entries)
		}
	})
	t.Run("a batch that is open at the end of a flush is waited for in the next", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			in, p, _ := newTest(t, func(int, *fakeBatch) error { return nil })
			c := chunkOf(1, 2)
			begun := time.Now()
			wantCode(t, in.Flush("tag", c), Retry)
			if took := time.Since(begun); took != 4*time.Second {
				t.Errorf("unexpected duration; got %v; want 4s", took)
			}
			go func() {
				<-time.After(time.Second)
				p.batches[0].settleAll(core.ReasonNone)
			}()
			wantCode(t, in.Flush("tag", c), OK)
			wantBatches(t, p, payloads(1, 2))
			if s := in.Stats(); s.Resumed != 1 || s.Records != 2 {
				t.Errorf("unexpected counters; got %+v", s)
			}
		})
	})
	t.Run("a batch that failed in part between flushes is completed in the next", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			in, p, _ := newTest(t, func(n int, b *fakeBatch) error {
				if n == 2 {
					b.settleAll(core.ReasonNone)
				}
				return nil
			})
			c := chunkOf(1, 2, 3)
			wantCode(t, in.Flush("tag", c), Retry)
			p.batches[0].settle(0, core.ReasonNone)
			p.batches[0].settle(1, core.ReasonAccessDenied)
			p.batches[0].settle(2, core.ReasonNone)
			wantCode(t, in.Flush("tag", c), OK)
			wantBatches(t, p, payloads(1, 2, 3), payloads(2))
		})
	})
	t.Run("a batch confirmed between flushes sends nothing, even after its memory was given back", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			in, p, _ := newTest(t, func(int, *fakeBatch) error { return nil })
			in.deliverer = in.newDeliverer(ledger.Limits{Bytes: footprint(t, chunkOf(1, 2)) + shrunken})
			c1, c2 := chunkOf(1, 2), chunkOf(3)
			wantCode(t, in.Flush("tag", c1), Retry)
			p.batches[0].settleAll(core.ReasonNone)
			wantCode(t, in.Flush("tag", c2), Retry) // needs the room
			wantCode(t, in.Flush("tag", c1), OK)
			p.batches[1].settleAll(core.ReasonNone)
			wantCode(t, in.Flush("tag", c2), OK)
			wantBatches(t, p, payloads(1, 2), payloads(3))
			if s := in.Stats(); s.Evicted != 0 {
				t.Errorf("unexpected number evicted; got %d; want 0", s.Evicted)
			}
		})
	})
	t.Run("an equal chunk in flight is a chunk of its own", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			in, p, _ := newTest(t, func(int, *fakeBatch) error { return nil })
			c := chunkOf(1)
			codes := make(chan Code, 2)
			for range 2 {
				go func() { codes <- in.Flush("tag", c) }()
			}
			synctest.Wait()
			wantBatches(t, p, payloads(1), payloads(1))
			p.batches[0].settleAll(core.ReasonNone)
			wantCode(t, <-codes, OK)
			wantCode(t, <-codes, Retry)
			p.batches[1].settleAll(core.ReasonNone)
			wantCode(t, in.Flush("tag", c), OK)
			wantBatches(t, p, payloads(1), payloads(1))
		})
	})
	t.Run("refused records are logged by size and do not hold up the chunk", func(t *testing.T) {
		in, _, log := newTest(t, func(_ int, b *fakeBatch) error {
			b.settle(0, core.ReasonTooLarge)
			b.settle(1, core.ReasonNone)
			return nil
		})
		wantCode(t, in.Flush("tag", chunkOf(1, 2)), Error)
		if s := in.Stats(); s.Refused != 1 || !strings.Contains(log.String(), "reason=too_large") || !strings.Contains(log.String(), "largest_bytes=7") {
			t.Errorf("unexpected report; got %d refused; log:\n%s", s.Refused, log)
		}
	})
	t.Run("closed producer means retry", func(t *testing.T) {
		in, _, _ := newTest(t, func(int, *fakeBatch) error { return core.ErrClosed })
		wantCode(t, in.Flush("tag", chunkOf(1)), Retry)
	})
	t.Run("panic means retry and is logged", func(t *testing.T) {
		in, _, log := newTest(t, func(int, *fakeBatch) error { panic("boom") })
		wantCode(t, in.Flush("tag", chunkOf(1)), Retry)
		if !strings.Contains(log.String(), "boom") {
			t.Errorf("unexpected log:\n%s", log)
		}
	})
}

func TestBadChunks(t *testing.T) {
	bad := []byte{0x92, 0xc3, 0x80} // time is a boolean
	t.Run("broken event is counted and left out", func(t *testing.T) {
		in, p, log := newTest(t, confirmAll)
		wantCode(t, in.Flush("tag", slices.Concat(chunkOf(1), bad, chunkOf(2))), OK)
		wantBatches(t, p, payloads(1, 2))
		if s := in.Stats(); s.Broken != 1 || s.BrokenBytes != 3 || s.LostBytes != 0 || strings.Count(log.String(), "level=ERROR") != 1 {
			t.Errorf("unexpected report; got %+v; log:\n%s", s, log)
		}
	})
	t.Run("unreadable end is an error once the rest is confirmed", func(t *testing.T) {
		first := true
		in, p, log := newTest(t, func(_ int, b *fakeBatch) error {
			if first {
				first = false
				b.settleAll(core.ReasonAccessDenied)
			} else {
				b.settleAll(core.ReasonNone)
			}
			return nil
		})
		c := slices.Concat(chunkOf(1), []byte{0xc1, 7, 7})
		wantCode(t, in.Flush("tag", c), Retry)
		wantCode(t, in.Flush("tag", c), Error)
		wantBatches(t, p, payloads(1), payloads(1))
		if s := in.Stats(); s.LostBytes != 3 || s.Records != 1 || strings.Count(log.String(), "bytes_lost=3") != 1 {
			t.Errorf("unexpected report; got %+v; log:\n%s", s, log)
		}
	})
	t.Run("only rubbish is an error without a batch", func(t *testing.T) {
		in, p, _ := newTest(t, confirmAll)
		wantCode(t, in.Flush("tag", []byte{0xc1}), Error)
		wantBatches(t, p)
	})
	t.Run("dropped by rule is OK and counted", func(t *testing.T) {
		in, p, log := newTest(t, confirmAll, "partition_key", "key", "partition_key_missing", "drop")
		wantCode(t, in.Flush("tag", chunkOf(1)), OK)
		wantBatches(t, p)
		if s := in.Stats(); s.Dropped != 1 || !strings.Contains(log.String(), "dropped") {
			t.Errorf("unexpected report; got %+v; log:\n%s", s, log)
		}
	})
}

func TestHealthLogsChangesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ok := false
		in, _, log := newTest(t, func(_ int, b *fakeBatch) error {
			if ok {
				b.settleAll(core.ReasonNone)
			} else {
				b.settleAll(core.ReasonStreamNotFound)
			}
			return nil
		})
		count := func(text string) int { return strings.Count(log.String(), text) }
		for range 100 {
			in.Flush("tag", chunkOf(1))
		}
		if n := count("will be retried"); n != 1 {
			t.Errorf("unexpected lines about the failure; got %d; want 1; log:\n%s", n, log)
		}
		<-time.After(repeatAfter)
		in.Flush("tag", chunkOf(1))
		if n := count("will be retried"); n != 2 || count("retries=101") != 1 {
			t.Errorf("unexpected lines after a while; got %d; want 2; log:\n%s", n, log)
		}
		ok = true
		for range 3 {
			in.Flush("tag", chunkOf(1))
		}
		if n := count("delivery works again"); n != 1 {
			t.Errorf("unexpected lines about the recovery; got %d; want 1; log:\n%s", n, log)
		}
	})
}

func FuzzFlush(f *testing.F) {
	f.Add(chunkOf(1, 2))
	f.Add([]byte{0x92, 0xc3, 0x80, 0xc1})
	f.Fuzz(func(t *testing.T, chunk []byte) {
		in, p, log := newTest(t, confirmAll)
		code := in.Flush("tag", chunk)
		s := in.Stats()
		if (code == Error) != (s.LostBytes > 0) || code == Retry {
			t.Errorf("unexpected answer %d with %d bytes lost; log:\n%s", code, s.LostBytes, log)
		}
		var handed uint64
		for _, b := range p.batches {
			handed += uint64(len(b.records))
		}
		if handed != s.Records {
			t.Errorf("unexpected records; got %d submitted; want %d", handed, s.Records)
		}
	})
}

// kubernetesChunk is about 2 MB of container logs.
func kubernetesChunk(t testing.TB) []byte {
	t.Helper()
	var c []byte
	var text bytes.Buffer
	for i := 0; len(c) < 2<<20; i++ {
		text.Reset()
		enc := msgpack.NewEncoder(&text)
		enc.SetSortMapKeys(true) // events of one input have their keys in one order
		err := enc.Encode(map[string]any{
			"stream": "stdout", "logtag": "F",
			"log": fmt.Sprintf("{\"level\":\"info\",\"ts\":\"2026-11-24T07:31:02.%06dZ\",\"msg\":\"request handled\",\"status\":200,\"id\":%d}", i, i),
			"kubernetes": map[string]any{
				"pod_name": fmt.Sprintf("orders-6f9c8d7b54-x%04d", i%97), "namespace_name": "shop", "pod_id": "7d0f6f0c-6c6e-4e6b-9d2d-0c5b1a2e3f40",
				"labels": map[string]any{"app.kubernetes.io/name": "orders", "pod-template-hash": "6f9c8d7b54", "tier": "backend"},
				"host":   "ip-10-0-17-23.eu-central-1.compute.internal", "container_name": "orders",
				"docker_id": "b6c1c3f1d2a94f0e8a7c6b5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f", "container_image": "registry.example.com/shop/orders:1.42.0",
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		c = append(c, 0x92, 0x92, 0xd7, 0x00)
		c = binary.BigEndian.AppendUint32(c, 1795514400+uint32(i/500))
		c = binary.BigEndian.AppendUint32(c, uint32(i%1000)*1e6)
		c = append(append(c, 0xdf, 0, 0, 0, 0), text.Bytes()...) // no metadata, as tail writes it
	}
	return c
}

var flushConfigs = []struct {
	name string
	kv   []string
}{
	{"default", nil},
	{"key+time", []string{"partition_key", "kubernetes->pod_name", "time_key", "time", "time_key_format", "%FT%T.%LZ"}},
	{"all", []string{
		"stream", "logs-$kubernetes['namespace_name']", "stream_allow", "logs-*", "partition_key", "$kubernetes['pod_name']/$stream",
		"time_key", "time", "time_key_format", "%FT%T.%LZ", "append_newline", "on", "replace_dots", "_", "data_keys", "log,stream,logtag,kubernetes",
		"metadata_key", "meta", "group_key", "group", "oversize", "split",
	}},
}

func newInstant(t testing.TB, kv ...string) *Instance {
	t.Helper()
	cfg, err := ParseConfig(with(kv...), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	in, err := New(cfg, Deps{NewProducer: func(*Config, *slog.Logger) (Producer, error) { return instant{}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func TestAFlushAllocatesNextToNothing(t *testing.T) {
	chunk := kubernetesChunk(t)
	for _, c := range flushConfigs {
		in := newInstant(t, c.kv...)
		in.Flush("kube.shop", chunk) // fills the reserves
		if n := testing.AllocsPerRun(3, func() { wantCode(t, in.Flush("kube.shop", chunk), OK) }); n > 10 {
			t.Errorf("unexpected allocations for each chunk, %s; got %v; want at most 10", c.name, n)
		}
	}
}

func BenchmarkFlush(b *testing.B) {
	chunk := kubernetesChunk(b)
	for _, c := range flushConfigs {
		b.Run(c.name, func(b *testing.B) {
			in := newInstant(b, c.kv...)
			b.SetBytes(int64(len(chunk)))
			b.ReportAllocs()
			for b.Loop() {
				if in.Flush("kube.shop", chunk) != OK {
					b.Fatal("not confirmed")
				}
			}
		})
	}
}

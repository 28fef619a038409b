// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"context"
	"encoding/binary"
	"log/slog"
	"sync"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// logBuffer takes lines from several goroutines.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// newReal starts an instance whose producer writes to an in-process Kinesis.
func newReal(t *testing.T, s *kinesistest.Server, kv ...string) (*Instance, *logBuffer) {
	t.Helper()
	return newRealWithSink(t, s, nil, kv...)
}

func newRealWithSink(t *testing.T, s *kinesistest.Server, sink deadletter.Sink, kv ...string) (*Instance, *logBuffer) {
	t.Helper()
	cfg, err := ParseConfig(with(append([]string{"startup_check", "off"}, kv...)...), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	log := &logBuffer{}
	in, err := New(cfg, Deps{
		DeadLetters: sink,
		Logger:      slog.New(slog.NewTextHandler(log, nil)),
		NewProducer: func(cfg *Config, logger *slog.Logger) (Producer, error) {
			p, err := core.New(s.Client(), append(producerOptions(cfg, logger), core.WithRetryBackoff(1e6, 1e7))...)
			return coreProducer{p}, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // what is left does not matter
		_ = in.Close(ctx)
	})
	return in, log
}

func pack(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := msgpack.NewEncoder(&b)
	e.SetSortMapKeys(true)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type fields = map[string]any

// eventAt is an event as the host writes it since 2.1.
func eventAt(t *testing.T, sec, nsec uint32, metadata, body any) []byte {
	t.Helper()
	b := binary.BigEndian.AppendUint32([]byte{0x92, 0x92, 0xd7, 0}, sec)
	b = binary.BigEndian.AppendUint32(b, nsec)
	return append(append(b, pack(t, metadata)...), pack(t, body)...)
}

func eventOf(t *testing.T, body fields) []byte {
	return eventAt(t, 1577934245, 6000000, fields{}, body)
}

// untilOK flushes a chunk as the host does until it is OK.
func untilOK(t *testing.T, in *Instance, tag string, chunk []byte) (flushes int) {
	t.Helper()
	for flushes = 1; flushes <= 100; flushes++ {
		switch code := in.Flush(tag, chunk); code {
		case OK:
			return flushes
		case Error:
			t.Fatalf("unexpected answer; got error; want OK")
		}
	}
	t.Fatal("not OK after 100 flushes")
	return 0
}

// consumed returns the payloads that a consumer reads.
func consumed(t *testing.T, s *kinesistest.Server, stream string) []string {
	t.Helper()
	c := s.Consume(stream)
	if len(c.Dropped) > 0 {
		t.Errorf("unexpected loss at the consumer; got %d user records that KCL drops", len(c.Dropped))
	}
	var out []string
	for _, r := range c.Records {
		out = append(out, string(r.Data))
	}
	return out
}

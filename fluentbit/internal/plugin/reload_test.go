// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// life is an output between two hot reloads.
type life struct {
	*Instance
	log *logBuffer
}

func startLife(t *testing.T, s *kinesistest.Server, h *Reloads, name string, kv ...string) *life {
	t.Helper()
	l := &life{log: &logBuffer{}}
	cfg, err := ParseConfig(with(append([]string{"flush_timeout", "300ms", "aggregation", "off", "partition_key", "k"}, kv...)...), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	l.Instance, err = New(cfg, Deps{
		Name: name, Reloads: h, Logger: slog.New(slog.NewTextHandler(l.log, nil)),
		NewProducer: func(cfg *Config, logger *slog.Logger) (Producer, error) {
			made, err := core.New(s.Client(), append(producerOptions(cfg, logger), core.WithRetryBackoff(1e6, 1e7))...)
			return coreProducer{made}, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// end is what the host does at a reload. Nothing more is delivered.
func (l *life) end() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = l.Close(ctx)
	l.Retire()
}

func TestHotReloadWithoutAJournalKeepsProgress(t *testing.T) {
	s, throttle := halfStored(t)
	var h Reloads
	a := startLife(t, s, &h, "kpl.0")
	chunk := chunkFromTo(t, 0, 60)
	if code := a.Flush("tag", chunk); code != Retry {
		t.Fatalf("unexpected answer; got %v; want retry", code)
	}
	a.end()
	before := len(consumed(t, s, "logs"))
	b := startLife(t, s, &h, "kpl.0") // reloaded again before the chunk comes
	b.end()
	throttle.Remove()
	c := startLife(t, s, &h, "kpl.0")
	defer c.end()
	untilOK(t, c.Instance, "tag", chunk)
	if n := len(consumed(t, s, "logs")); n != 60 || before == 0 || before == 60 {
		t.Errorf("unexpected events; got %d, %d of them before the reload; want 60", n, before)
	}
	if st := c.Stats(); st.Resumed != 1 || st.Events != 0 || !strings.Contains(c.log.String(), "are continued\" chunks=1") {
		t.Errorf("unexpected counts; got %+v; log:\n%s", st, c.log.String())
	}
	untilOK(t, c.Instance, "tag", chunk) // the same bytes once more are another chunk
	if n := len(consumed(t, s, "logs")); n != 120 {
		t.Errorf("unexpected events; got %d; want the second chunk whole", n)
	}
}

func TestChunkIsSentWholeIfTheOutputIsAnotherOneAfterAReload(t *testing.T) {
	for name, c := range map[string]struct {
		output string
		kv     []string
		line   bool
	}{
		"another stream":     {"kpl.0", []string{"stream", "other"}, true},
		"another key":        {"kpl.0", []string{"partition_key", "text"}, true},
		"another endpoint":   {"kpl.0", []string{"endpoint", "http://127.0.0.1:1"}, true},
		"another output":     {"kpl.1", nil, false},
		"another log_key":    {"kpl.0", []string{"log_key", "text"}, true},
		"another compressor": {"kpl.0", []string{"compression", "gzip"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithStream("logs", 2), kinesistest.WithStream("other", 2))
			throttle := s.Fault(kinesistest.Fault{Operation: "PutRecords", Shard: "shardId-000000000000", Effect: kinesistest.ThrottleEntries()})
			var h Reloads
			a := startLife(t, s, &h, "kpl.0")
			chunk := chunkFromTo(t, 0, 60)
			a.Flush("tag", chunk)
			a.end()
			before := s.Stats().Records
			throttle.Remove()
			b := startLife(t, s, &h, c.output, c.kv...)
			defer b.end()
			untilOK(t, b.Instance, "tag", chunk)
			if n := s.Stats().Records - before; n != 60 {
				t.Errorf("unexpected records; got %d after the reload; want all 60", n)
			}
			if got := strings.Contains(b.log.String(), "are sent whole and may be written twice, since other options shape records now\" chunks=1"); got != c.line {
				t.Errorf("unexpected log; got\n%s", b.log.String())
			}
		})
	}
}

func TestNothingIsKeptOverAReloadBesideAJournal(t *testing.T) {
	s, throttle := halfStored(t)
	dir := t.TempDir()
	var h Reloads
	a := startLife(t, s, &h, "kpl.0", "journal_dir", dir)
	chunk := chunkFromTo(t, 0, 60)
	a.Flush("tag", chunk)
	a.end()
	if len(h.outputs) != 0 {
		t.Errorf("unexpected outputs; got %d; want none: the journal has it", len(h.outputs))
	}
	throttle.Remove()
	b := startLife(t, s, &h, "kpl.0", "journal_dir", dir)
	defer b.end()
	untilOK(t, b.Instance, "tag", chunk)
	if n := len(consumed(t, s, "logs")); n != 60 {
		t.Errorf("unexpected events; got %d; want 60", n)
	}
}

func TestOutputsThatDoNotComeBackTakeBoundedMemory(t *testing.T) {
	s, _ := halfStored(t)
	var h Reloads
	h.outputs = map[string]retired{}
	for n := range maxRetired {
		h.outputs[fmt.Sprint("gone.", n)] = retired{}
	}
	a := startLife(t, s, &h, "kpl.0")
	a.Flush("tag", chunkFromTo(t, 0, 20))
	a.end()
	if len(h.outputs) != maxRetired {
		t.Fatalf("unexpected number of outputs; got %d; want %d", len(h.outputs), maxRetired)
	}
}

// What is remembered of chunks does not keep the producer and the memory of the output before.
func TestReloadLetsGoOfTheOutputBefore(t *testing.T) {
	s, throttle := halfStored(t)
	var h Reloads
	gone := make(chan struct{})
	func() {
		a := startLife(t, s, &h, "kpl.0")
		runtime.AddCleanup(a.Instance, func(c chan struct{}) { close(c) }, gone)
		a.Flush("tag", chunkFromTo(t, 0, 60))
		a.end()
	}()
	b := startLife(t, s, &h, "kpl.0")
	throttle.Remove()
	for deadline := time.Now().Add(10 * time.Second); ; {
		runtime.GC()
		select {
		case <-gone:
		default:
			if time.Now().Before(deadline) {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			t.Error("the output before is still in memory")
		}
		break
	}
	b.end()
}

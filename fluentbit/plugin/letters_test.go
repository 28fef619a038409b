// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
)

// readLetters reads a dead letter file.
func readLetters(t *testing.T, path string) (letters []deadletter.Letter) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for l, err := range deadletter.Read(f) {
		if err != nil {
			t.Fatal(err)
		}
		letters = append(letters, l)
	}
	return letters
}

// fakeSink keeps letters, or fails as often as told.
type fakeSink struct {
	mu      sync.Mutex
	fail    int
	letters []deadletter.Letter
	closed  bool
}

func (s *fakeSink) Write(_ context.Context, letters []deadletter.Letter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail > 0 {
		s.fail--
		return errors.New("no space left")
	}
	for _, l := range letters {
		l.Data = bytes.Clone(l.Data)
		l.PartitionKey = strings.Clone(l.PartitionKey)
		s.letters = append(s.letters, l)
	}
	return nil
}

func (s *fakeSink) Close(context.Context) error { s.closed = true; return nil }

func (s *fakeSink) data() (out []string) {
	for _, l := range s.letters {
		out = append(out, string(l.Data))
	}
	return out
}

func newWithSink(t *testing.T, sink *fakeSink, put func(number int, b *fakeBatch) error, kv ...string) (*Instance, *fakeProducer, *bytes.Buffer) {
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
		Letters:     sink,
	})
	if err != nil {
		t.Fatal(err)
	}
	return in, p, log
}

// refuseSome settles the records at odd places with a reason, the others well.
func refuseSome(reason core.Reason) func(int, *fakeBatch) error {
	return func(_ int, b *fakeBatch) error {
		for i := range b.results {
			if i%2 == 1 {
				b.settle(i, reason)
			} else {
				b.settle(i, core.ReasonNone)
			}
		}
		return nil
	}
}

func TestDeadLetters(t *testing.T) {
	broken := []byte{0x92, 0xc3, 0x80}
	t.Run("a refused record is kept, and the chunk is OK", func(t *testing.T) {
		sink := &fakeSink{}
		in, p, _ := newWithSink(t, sink, refuseSome(core.ReasonTooLarge), "partition_key", "n")
		wantCode(t, in.Flush("tag", chunkOf(1, 2, 3)), OK)
		wantBatches(t, p, payloads(1, 2, 3))
		if len(sink.letters) != 1 {
			t.Fatalf("unexpected letters: %+v", sink.letters)
		}
		l := sink.letters[0]
		if string(l.Data) != `{"n":2}` || l.PartitionKey != "2" || l.Stream != "logs" || l.Reason != "too_large" || l.Source != "tag" || l.Time.IsZero() {
			t.Errorf("unexpected letter: %+v", l)
		}
	})
	t.Run("a letter that cannot be written is tried again with its record alone", func(t *testing.T) {
		sink := &fakeSink{fail: 2}
		in, p, log := newWithSink(t, sink, refuseSome(core.ReasonInvalid))
		c := chunkOf(1, 2, 3)
		wantCode(t, in.Flush("tag", c), Retry)
		p.put = func(_ int, b *fakeBatch) error { b.settleAll(core.ReasonInvalid); return nil }
		wantCode(t, in.Flush("tag", c), Retry)
		wantCode(t, in.Flush("tag", c), OK)
		wantBatches(t, p, payloads(1, 2, 3), payloads(2), payloads(2))
		if got := sink.data(); !slices.Equal(got, payloads(2)) || in.Stats().Refused != 1 || !strings.Contains(log.String(), "no space left") {
			t.Errorf("unexpected letters: %v, %d refused; log:\n%s", got, in.Stats().Refused, log)
		}
	})
	t.Run("broken events are kept once, whatever happens to the rest", func(t *testing.T) {
		sink := &fakeSink{fail: 1}
		in, p, _ := newWithSink(t, sink, func(n int, b *fakeBatch) error {
			if n == 2 {
				b.settleAll(core.ReasonAccessDenied)
			} else {
				b.settleAll(core.ReasonNone)
			}
			return nil
		})
		c := slices.Concat(chunkOf(1), broken, chunkOf(2), []byte{0xc1, 9, 9})
		wantCode(t, in.Flush("tag", c), Retry) // the records are in, the letters are not
		wantCode(t, in.Flush("tag", c), OK)
		wantBatches(t, p, payloads(1, 2))
		want := []string{string(broken), "\xc1\x09\x09"}
		if got := sink.data(); !slices.Equal(got, want) || sink.letters[0].Reason != deadletter.ReasonBroken {
			t.Errorf("unexpected letters; got %q; want %q", got, want)
		}
		c = slices.Concat(broken, chunkOf(4))
		wantCode(t, in.Flush("tag", c), Retry) // the letter is in, the record is not
		wantCode(t, in.Flush("tag", c), OK)
		if got := sink.data(); !slices.Equal(got, append(want, string(broken))) || in.Stats().Broken != 3 {
			t.Errorf("unexpected letters; got %q, %d broken; want each once", got, in.Stats().Broken)
		}
	})
	t.Run("events without a stream", func(t *testing.T) {
		for _, tt := range []struct {
			rule string
			code Code
			kept int
		}{{"", OK, 1}, {"dead_letter", OK, 1}, {"error", Error, 0}, {"drop", OK, 0}, {"constant:rest", OK, 0}} {
			sink := &fakeSink{}
			kv := []string{"stream", "$none", "stream_missing", tt.rule, "dead_letter_file", "x"}
			in, p, _ := newWithSink(t, sink, confirmAll, kv...)
			wantCode(t, in.Flush("tag", chunkOf(1)), tt.code)
			if len(sink.letters) != tt.kept || tt.kept == 1 && string(sink.letters[0].Data) != `{"n":1}` {
				t.Errorf("unexpected letters with %q: %+v", tt.rule, sink.letters)
			}
			if rest := tt.rule == "constant:rest"; rest != (len(p.batches) == 1 && p.batches[0].stream == "rest") {
				t.Errorf("unexpected batches with %q", tt.rule)
			}
		}
	})
	t.Run("policy by reason", func(t *testing.T) {
		for _, tt := range []struct {
			reason core.Reason
			sink   bool
			kv     []string
			code   Code
			kept   int
		}{
			{core.ReasonTooLarge, false, nil, Error, 0},
			{core.ReasonTooLarge, true, []string{"oversize", "error"}, Error, 0},
			{core.ReasonTooLarge, true, []string{"oversize", "drop"}, OK, 0},
			{core.ReasonTooLarge, true, []string{"oversize", "split"}, OK, 1},
			{core.ReasonInvalid, false, nil, Error, 0},
			{core.ReasonInvalid, true, []string{"oversize", "drop"}, OK, 1},
			{core.ReasonExpired, false, []string{"record_ttl", "1m"}, OK, 0},
			{core.ReasonExpired, true, []string{"record_ttl", "1m"}, OK, 1},
			{core.ReasonExpired, true, nil, Retry, 0},
			{core.ReasonThrottled, true, []string{"fail_if_throttled", "on"}, Retry, 0},
		} {
			sink := &fakeSink{}
			var in *Instance
			if tt.sink {
				in, _, _ = newWithSink(t, sink, refuseSome(tt.reason), tt.kv...)
			} else {
				in, _, _ = newTest(t, refuseSome(tt.reason), tt.kv...)
			}
			if code := in.Flush("tag", chunkOf(1, 2)); code != tt.code || len(sink.letters) != tt.kept {
				t.Errorf("unexpected result for %+v; got answer %d, %d letters", tt, code, len(sink.letters))
			}
		}
	})
	t.Run("many letters are written in pieces", func(t *testing.T) {
		sink := &fakeSink{}
		in, _, _ := newWithSink(t, sink, refuseSome(core.ReasonTooLarge))
		wantCode(t, in.Flush("tag", bytes.Repeat(chunkOf(1, 2), 2000)), OK)
		if len(sink.letters) != 2000 || in.Stats().Letters != 2000 || in.Stats().Refused != 2000 {
			t.Errorf("unexpected letters; got %d, counters %+v; want 2000", len(sink.letters), in.Stats())
		}
	})
	t.Run("the file is closed last, and a wrong path is an error at start", func(t *testing.T) {
		sink := &fakeSink{}
		in, p, _ := newWithSink(t, sink, confirmAll)
		if err := in.Close(t.Context()); err != nil || !sink.closed || !p.closed {
			t.Errorf("unexpected end; got %v, closed %v %v", err, sink.closed, p.closed)
		}
		cfg, err := ParseConfig(with("dead_letter_file", filepath.Join(t.TempDir(), "none", "x")), noEnv)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(cfg, Deps{}); err == nil || !strings.Contains(err.Error(), "none") {
			t.Errorf("unexpected error; got %v; want one that names the path", err)
		}
	})
}

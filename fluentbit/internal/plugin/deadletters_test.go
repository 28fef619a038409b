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
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
)

// readDeadLetters reads a dead letter file.
func readDeadLetters(t *testing.T, path string) (deadLetters []deadletter.Entry) {
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
		deadLetters = append(deadLetters, l)
	}
	return deadLetters
}

// fakeSink keeps dead letters, or fails as often as told.
type fakeSink struct {
	mu          sync.Mutex
	fail        int
	deadLetters []deadletter.Entry
	closed      bool
}

func (s *fakeSink) Write(_ context.Context, deadLetters []deadletter.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail > 0 {
		s.fail--
		return errors.New("no space left")
	}
	for _, l := range deadLetters {
		l.Data = bytes.Clone(l.Data)
		l.PartitionKey = strings.Clone(l.PartitionKey)
		s.deadLetters = append(s.deadLetters, l)
	}
	return nil
}

func (s *fakeSink) Close(context.Context) error { s.closed = true; return nil }

func (s *fakeSink) data() (out []string) {
	for _, l := range s.deadLetters {
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
	deps := Deps{
		Logger:      slog.New(slog.NewTextHandler(log, nil)),
		NewProducer: func(*Config, *slog.Logger) (Producer, error) { return p, nil },
	}
	if sink != nil {
		deps.DeadLetters = sink
	}
	in, err := New(cfg, deps)
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
		if len(sink.deadLetters) != 1 {
			t.Fatalf("unexpected dead letters: %+v", sink.deadLetters)
		}
		l := sink.deadLetters[0]
		if string(l.Data) != `{"n":2}` || l.PartitionKey != "2" || l.Stream != "logs" || l.Reason != "too_large" || l.Source != "tag" || l.Time.IsZero() {
			t.Errorf("unexpected dead letter: %+v", l)
		}
	})
	t.Run("a dead letter that cannot be written is tried again with its record alone", func(t *testing.T) {
		sink := &fakeSink{fail: 2}
		in, p, log := newWithSink(t, sink, refuseSome(core.ReasonInvalid))
		c := chunkOf(1, 2, 3)
		wantCode(t, in.Flush("tag", c), Retry)
		p.put = func(_ int, b *fakeBatch) error { b.settleAll(core.ReasonInvalid); return nil }
		wantCode(t, in.Flush("tag", c), Retry)
		wantCode(t, in.Flush("tag", c), OK)
		wantBatches(t, p, payloads(1, 2, 3), payloads(2), payloads(2))
		if got := sink.data(); !slices.Equal(got, payloads(2)) || in.Stats().Refused != 1 || !strings.Contains(log.String(), "no space left") {
			t.Errorf("unexpected dead letters: %v, %d refused; log:\n%s", got, in.Stats().Refused, log)
		}
	})
	t.Run("what is tried again keeps the order of the chunk", func(t *testing.T) {
		sink := &fakeSink{fail: 1}
		in, p, _ := newWithSink(t, sink, func(n int, b *fakeBatch) error {
			if n > 1 {
				b.settleAll(core.ReasonNone)
				return nil
			}
			b.settle(0, core.ReasonInvalid) // its dead letter is not kept
			b.settle(1, core.ReasonAccessDenied)
			b.settle(2, core.ReasonNone)
			return nil
		})
		c := chunkOf(1, 2, 3)
		wantCode(t, in.Flush("tag", c), Retry)
		wantCode(t, in.Flush("tag", c), OK)
		wantBatches(t, p, payloads(1, 2, 3), payloads(1, 2))
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
		wantCode(t, in.Flush("tag", c), Retry) // the records are in, the dead letters are not
		wantCode(t, in.Flush("tag", c), OK)
		wantBatches(t, p, payloads(1, 2))
		want := []string{string(broken), "\xc1\x09\x09"}
		if got := sink.data(); !slices.Equal(got, want) || sink.deadLetters[0].Reason != deadletter.ReasonBroken {
			t.Errorf("unexpected dead letters; got %q; want %q", got, want)
		}
		c = slices.Concat(broken, chunkOf(4))
		wantCode(t, in.Flush("tag", c), Retry) // the dead letter is in, the record is not
		wantCode(t, in.Flush("tag", c), OK)
		if got := sink.data(); !slices.Equal(got, append(want, string(broken))) || in.Stats().Broken != 3 {
			t.Errorf("unexpected dead letters; got %q, %d broken; want each once", got, in.Stats().Broken)
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
			if len(sink.deadLetters) != tt.kept || tt.kept == 1 && string(sink.deadLetters[0].Data) != `{"n":1}` {
				t.Errorf("unexpected dead letters with %q: %+v", tt.rule, sink.deadLetters)
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
			{core.ReasonRefusedAlone, false, nil, Retry, 0},
			{core.ReasonRefusedAlone, true, []string{"oversize", "drop"}, OK, 1},
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
			if code := in.Flush("tag", chunkOf(1, 2)); code != tt.code || len(sink.deadLetters) != tt.kept {
				t.Errorf("unexpected result for %+v; got answer %d, %d dead letters", tt, code, len(sink.deadLetters))
			}
		}
	})
	t.Run("many dead letters are written in pieces", func(t *testing.T) {
		sink := &fakeSink{}
		in, _, _ := newWithSink(t, sink, refuseSome(core.ReasonTooLarge))
		wantCode(t, in.Flush("tag", bytes.Repeat(chunkOf(1, 2), 2000)), OK)
		if len(sink.deadLetters) != 2000 || in.Stats().DeadLetters != 2000 || in.Stats().Refused != 2000 {
			t.Errorf("unexpected dead letters; got %d, counters %+v; want 2000", len(sink.deadLetters), in.Stats())
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

// A stream that does not answer takes all the time of each flush.
func TestDeadLettersOfOneStreamDoNotWaitForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{}
		in, p, log := newWithSink(t, sink, func(n int, b *fakeBatch) error {
			if b.stream == "bad" {
				b.settleAll(core.ReasonTooLarge)
			}
			return nil
		}, "stream", "$s")
		wantCode(t, in.Flush("tag", streamed(t, "slow", "bad")), Retry)
		if len(sink.deadLetters) != 1 || sink.deadLetters[0].Stream != "bad" {
			t.Errorf("unexpected dead letters after the first flush; got %d; want 1; log:\n%s", len(sink.deadLetters), log)
		}
		p.batches[0].settleAll(core.ReasonNone)
		wantCode(t, in.Flush("tag", streamed(t, "slow", "bad")), OK)
		wantSent(t, p, "slow:0", "bad:1")
	})
}

// useSink makes another place for dead letters.
func (in *Instance) useSink(s deadletter.Sink) {
	in.deadLetters = s
	in.deliverer = in.newDeliverer(ledgerLimits(&in.cfg))
}

// hangingSink does not come back before it has to.
type hangingSink struct{ fakeSink }

func (s *hangingSink) Write(ctx context.Context, _ []deadletter.Entry) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestADiskThatHangsEndsTheFlushSoonAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, _, log := newWithSink(t, nil, refuseSome(core.ReasonTooLarge), "flush_timeout", "2s")
		in.useSink(&hangingSink{})
		begun := time.Now()
		wantCode(t, in.Flush("tag", slices.Concat(chunkOf(1), []byte{0xc1}, chunkOf(2))), Retry)
		if took := time.Since(begun); took != 2*time.Second+deadLetterGrace || !strings.Contains(log.String(), "not written in time") {
			t.Errorf("unexpected duration; got %v; want 2s and %v; log:\n%s", took, deadLetterGrace, log)
		}
	})
}

// A reload starts the next instance right after Close, and the file must be free.
func TestTheDeadLetterFileIsFreeAfterACloseThatIsCutShort(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dead.ndjson")
	cfg, err := ParseConfig(with("dead_letter_file", path), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		in, err := New(cfg, Deps{NewProducer: func(*Config, *slog.Logger) (Producer, error) { return instant{}, nil }})
		if err != nil {
			t.Fatalf("unexpected error; got %v; want a file that is free", err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := in.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// Millions of broken events are no reason for millions of dead letters.
func TestBrokenEventsSideBySideAreOneDeadLetter(t *testing.T) {
	sink := &fakeSink{}
	in, p, _ := newWithSink(t, sink, confirmAll)
	rubbish := bytes.Repeat([]byte{1}, 100000)
	wantCode(t, in.Flush("tag", slices.Concat(rubbish, chunkOf(1), rubbish[:2], []byte{0xc1, 3})), OK)
	wantBatches(t, p, payloads(1))
	if got := sink.data(); len(got) != 2 || got[0] != string(rubbish) || got[1] != "\x01\x01\xc1\x03" {
		t.Fatalf("unexpected dead letters; got %d", len(got))
	}
	if d := sink.deadLetters[0].Detail; !strings.Contains(d, "99999 more") || in.Stats().Broken != 100003 {
		t.Errorf("unexpected detail; got %q, %d broken", d, in.Stats().Broken)
	}
}

// fullSink takes a number of writes and no more.
type fullSink struct {
	fakeSink
	room int
}

func (s *fullSink) Write(ctx context.Context, deadLetters []deadletter.Entry) error {
	if s.room--; s.room < 0 {
		return deadletter.ErrFull
	}
	return s.fakeSink.Write(ctx, deadLetters)
}

// What is written in one flush is not rewritten in the next.
func TestDeadLettersOfBrokenEventsGoOnWhereTheyStopped(t *testing.T) {
	in, _, _ := newWithSink(t, nil, confirmAll)
	sink := &fullSink{}
	in.useSink(sink)
	chunk := bytes.Repeat(slices.Concat([]byte{0x92, 0xc3, 0x80}, chunkOf(1)), 1200)
	for range 2 { // three writes of up to 500
		sink.room = 1
		wantCode(t, in.Flush("tag", chunk), Retry)
	}
	sink.room = 1
	wantCode(t, in.Flush("tag", chunk), OK)
	if len(sink.deadLetters) != 1200 {
		t.Errorf("unexpected dead letters; got %d; want 1200", len(sink.deadLetters))
	}
}

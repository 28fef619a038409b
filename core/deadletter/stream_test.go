// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

func startStream(t *testing.T, s *kinesistest.Server) *Stream {
	t.Helper()
	p, err := core.New(s.Client())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = p.Close(ctx) // what a test holds up need not be delivered
	})
	return NewStream(p, "dead-letters")
}

func TestStream(t *testing.T) {
	t.Run("each dead letter is a record and reads back", func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("dead-letters", 4))
		sink := startStream(t, s)
		l1, l2 := entry("1"), entry("2")
		l2.PartitionKey = long(300)
		if err := sink.Write(t.Context(), []Entry{l1, l2}); err != nil {
			t.Fatal(err)
		}
		got := map[string]Entry{}
		for _, r := range s.Consume("dead-letters").Records {
			if strings.ContainsRune(string(r.Data), '\n') {
				t.Errorf("unexpected line end in record %q", r.Data)
			}
			for l, err := range Read(strings.NewReader(string(r.Data))) {
				if err != nil {
					t.Fatal(err)
				}
				got[string(l.Data)] = l
			}
		}
		if want := (map[string]Entry{"1": l1, "2": l2}); !reflect.DeepEqual(got, want) {
			t.Errorf("unexpected dead letters; got %+v; want %+v", got, want)
		}
	})
	t.Run("no dead letters, no request", func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("dead-letters", 1))
		sink := startStream(t, s)
		if err := sink.Write(t.Context(), nil); err != nil || s.Calls("PutRecords") != 0 {
			t.Errorf("unexpected result; got %v, %d requests; want none", err, s.Calls("PutRecords"))
		}
		if err := sink.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("dead letters that are too large or cannot be encoded are named, the others are kept", func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("dead-letters", 1))
		sink := startStream(t, s)
		undated := entry("4")
		undated.Time = undated.Time.AddDate(9000, 0, 0)
		err := sink.Write(t.Context(), []Entry{entry("0"), entry(long(1 << 20)), entry("2"), undated})
		var part *WriteError
		if !errors.As(err, &part) || !reflect.DeepEqual(part.Failed, []int{1, 3}) || !reflect.DeepEqual(part.Hopeless, []int{1, 3}) {
			t.Fatalf("unexpected error; got %v; want one of dead letters 1 and 3, without hope", err)
		}
		if text := err.Error(); !strings.Contains(text, "dead letter 1") || !strings.Contains(text, "too_large") || !strings.Contains(text, "dead letter 3") || len(text) > 1000 {
			t.Errorf("unexpected error; got %q", text)
		}
		if got := len(s.Consume("dead-letters").Records); got != 2 {
			t.Errorf("unexpected number of records; got %d; want 2", got)
		}
	})
	t.Run("what no stream takes is not even encoded", func(t *testing.T) {
		sink := startStream(t, kinesistest.New(kinesistest.WithStream("dead-letters", 1)))
		list := []Entry{entry(long(64 << 20))}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := sink.Write(t.Context(), list)
		runtime.ReadMemStats(&after)
		var part *WriteError
		if !errors.As(err, &part) || !reflect.DeepEqual(part.Hopeless, []int{0}) || !strings.Contains(err.Error(), "too_large") {
			t.Errorf("unexpected error; got %v; want one of dead letter 0, without hope", err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
			t.Errorf("unexpected memory; got %d bytes; want less than 8 MiB", n)
		}
	})
	t.Run("a missing stream is an error", func(t *testing.T) {
		sink := startStream(t, kinesistest.New())
		var failed *core.RecordError
		if err := sink.Write(t.Context(), []Entry{entry("1")}); !errors.As(err, &failed) || failed.Reason != core.ReasonStreamNotFound {
			t.Errorf("unexpected error; got %v; want %v", err, core.ReasonStreamNotFound)
		}
		var part *WriteError
		if err := sink.Write(t.Context(), []Entry{entry("1")}); !errors.As(err, &part) || len(part.Failed) != 1 || len(part.Hopeless) != 0 {
			t.Errorf("unexpected error; got %v; want one of dead letter 0, which may be tried again when there is a stream", err)
		}
	})
	t.Run("what is not confirmed when the context ends is not kept", func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("dead-letters", 1))
		sink := startStream(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Do: cancel, Hang: true}})
		err := sink.Write(ctx, []Entry{entry("1")})
		wantErr(t, err, context.Canceled)
		var part *WriteError
		if !errors.As(err, &part) || !reflect.DeepEqual(part.Failed, []int{0}) || len(part.Hopeless) > 0 {
			t.Errorf("unexpected error; got %v; want one of dead letter 0, which may be tried again", err)
		}
	})
	t.Run("a closed producer is an error", func(t *testing.T) {
		p, err := core.New(kinesistest.New(kinesistest.WithStream("dead-letters", 1)).Client())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantErr(t, NewStream(p, "dead-letters").Write(t.Context(), []Entry{entry("1")}), core.ErrClosed)
	})
}

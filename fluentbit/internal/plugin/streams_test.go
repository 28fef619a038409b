// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/delivery"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// streamed has an event {"n":i,"s":stream} for each stream.
func streamed(t *testing.T, streams ...string) []byte {
	t.Helper()
	var c []byte
	for i, s := range streams {
		c = append(c, eventOf(t, fields{"n": i, "s": s})...)
	}
	return c
}

// sent lists the batches as stream:n,n.
func sent(p *fakeProducer) (out []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.batches {
		var n []string
		for _, r := range b.records {
			n = append(n, strings.TrimPrefix(r[:strings.IndexByte(r, ',')], `{"n":`))
		}
		out = append(out, b.stream+":"+strings.Join(n, ","))
	}
	return out
}

func wantSent(t *testing.T, p *fakeProducer, want ...string) {
	t.Helper()
	if got := sent(p); !slices.Equal(got, want) {
		t.Errorf("unexpected batches; got %v; want %v", got, want)
	}
}

func TestStreams(t *testing.T) {
	t.Run("a batch for each stream", func(t *testing.T) {
		in, p, _ := newTest(t, confirmAll, "stream", "$s")
		wantCode(t, in.Flush("tag", streamed(t, "a", "b", "a", "c")), OK)
		wantSent(t, p, "a:0,2", "b:1", "c:3")
		wantCode(t, in.Flush("tag", streamed(t, "b", "b")), OK)
		wantSent(t, p, "a:0,2", "b:1", "c:3", "b:0,1")
	})
	t.Run("a missing stream holds up only its own events", func(t *testing.T) {
		in, p, log := newTest(t, func(n int, b *fakeBatch) error {
			if b.stream == "b" && n < 5 {
				b.settleAll(core.ReasonStreamNotFound)
			} else {
				b.settleAll(core.ReasonNone)
			}
			return nil
		}, "stream", "$s")
		c := streamed(t, "a", "b", "a", "b", "c")
		wantCode(t, in.Flush("tag", c), Retry)
		wantCode(t, in.Flush("tag", c), Retry)
		wantCode(t, in.Flush("tag", c), OK)
		wantSent(t, p, "a:0,2", "b:1,3", "c:4", "b:1,3", "b:1,3")
		if strings.Count(log.String(), "will be retried") != 1 || !strings.Contains(log.String(), "stream=b") || strings.Contains(log.String(), "works again\" stream=a") {
			t.Errorf("unexpected log; want one line about b and none about the others:\n%s", log)
		}
		if in.Stats().Records != 5 {
			t.Errorf("unexpected number of records; got %d; want 5", in.Stats().Records)
		}
	})
	t.Run("a stream that is not taken does not hold up the others", func(t *testing.T) {
		in, p, _ := newTest(t, func(n int, b *fakeBatch) error {
			if n == 1 {
				return core.ErrTooManyStreams
			}
			b.settleAll(core.ReasonNone)
			return nil
		}, "stream", "$s")
		c := streamed(t, "a", "b", "a")
		wantCode(t, in.Flush("tag", c), Retry)
		wantCode(t, in.Flush("tag", c), OK)
		wantSent(t, p, "a:0,2", "b:1", "a:0,2")
	})
	t.Run("some open, some failed, some confirmed: each goes on from where it is", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			in, p, _ := newTest(t, func(n int, b *fakeBatch) error {
				switch {
				case b.stream == "failed" && n < 4:
					b.settleAll(core.ReasonAccessDenied)
				case b.stream == "open":
				default:
					b.settleAll(core.ReasonNone)
				}
				return nil
			}, "stream", "$s")
			c := streamed(t, "open", "failed", "good", "open")
			begun := time.Now()
			wantCode(t, in.Flush("tag", c), Retry)
			if took := time.Since(begun); took != 4*time.Second {
				t.Errorf("unexpected duration; got %v; want 4s", took)
			}
			wantSent(t, p, "open:0,3", "failed:1", "good:2")
			open := p.batches[0]
			go func() {
				<-time.After(time.Second)
				open.settleAll(core.ReasonNone)
			}()
			wantCode(t, in.Flush("tag", c), OK)
			wantSent(t, p, "open:0,3", "failed:1", "good:2", "failed:1")
		})
	})
	t.Run("memory can be given back while one stream is open", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			in, p, _ := newTest(t, func(_ int, b *fakeBatch) error {
				if b.stream == "good" {
					b.settleAll(core.ReasonNone)
				}
				return nil
			}, "stream", "$s")
			c := streamed(t, "good", "x", "y")
			wantCode(t, in.Flush("tag", c), Retry)
			p.batches[1].settleAll(core.ReasonTooLarge)
			scope := delivery.Scope{Name: "tag", Fingerprint: in.fingerprint}
			d, ok := in.deliverer.Take(scope, c)
			if !ok {
				t.Fatal("unexpected ledger; want the chunk in it")
			}
			d.Shrink()
			content := d.Content()
			if content == nil || d.Open() != 1 || d.Outcome().Lost != 1 || d.Saved() != 3 {
				t.Fatalf("unexpected state with y open: %+v", d)
			}
			p.batches[2].settleAll(core.ReasonStreamNotFound)
			d.Shrink()
			if d.Content() != nil || d.Open() != 0 || d.Saved() != 2 {
				t.Errorf("unexpected state with nothing open: %+v", d)
			}
			content.Bytes = c
			in.deliverer.Park(d, content)
			p.put = confirmAll
			wantCode(t, in.Flush("tag", c), Error) // x was lost
			wantSent(t, p, "good:0", "x:1", "y:2", "y:2")
		})
	})
	t.Run("without a stream and without a rule the chunk is an error once all else is in", func(t *testing.T) {
		in, p, log := newTest(t, confirmAll, "stream", "$s", "stream_allow", "a,b")
		wantCode(t, in.Flush("tag", streamed(t, "a", "x", "b")), Error)
		wantSent(t, p, "a:0", "b:2")
		if st := in.Stats(); st.Unroutable != 1 || st.StreamRefused != 1 || !strings.Contains(log.String(), "events have no stream") {
			t.Errorf("unexpected report; got %+v; log:\n%s", st, log)
		}
	})
	t.Run("streams stay bounded", func(t *testing.T) {
		in, p, _ := newTest(t, confirmAll, "stream", "$s", "max_streams", "3", "stream_missing", "constant:rest")
		for i := range 10 {
			wantCode(t, in.Flush("tag", streamed(t, fmt.Sprint("s", i))), OK)
		}
		if got := sent(p); got[0] != "s0:0" || got[1] != "s1:0" || got[2] != "rest:0" || got[9] != "rest:0" || len(in.healths) > 3 {
			t.Errorf("unexpected batches: %v", got)
		}
	})
}

func TestStreamsDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("a", 1), kinesistest.WithStream("b", 1), kinesistest.WithStream("c", 1))
		in, _ := newReal(t, s, "stream", "$s", "max_buffered_time", "3s", "flush_timeout", "10s")
		untilOK(t, in, "tag", streamed(t, "a", "b", "c")) // learns the shards
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Delay(time.Second)})
		begun := time.Now()
		untilOK(t, in, "tag", streamed(t, "a", "b", "a", "c"))
		if took := time.Since(begun); took != time.Second {
			t.Errorf("unexpected duration; got %v; want 1s, the time of one request", took)
		}
	})
}

func TestStreamsInKinesis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("logs-a", 2), kinesistest.WithStream("logs-b", 1))
		in, _ := newReal(t, s, "stream", "logs-$s")
		var names, a, b []string
		for i := range 300 {
			names = append(names, []string{"a", "b", "none"}[i%3])
			switch i % 3 {
			case 0:
				a = append(a, fmt.Sprintf(`{"n":%d,"s":"a"}`, i))
			case 1:
				b = append(b, fmt.Sprintf(`{"n":%d,"s":"b"}`, i))
			}
		}
		c := streamed(t, names...)
		for range 3 {
			wantCode(t, in.Flush("tag", c), Retry)
			wantExactly(t, consumed(t, s, "logs-a"), a)
			wantExactly(t, consumed(t, s, "logs-b"), b)
		}
		if err := s.CreateStream("logs-none", kinesistest.StreamConfig{Shards: 1}); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute) // as the host would wait
		untilOK(t, in, "tag", c)
		if n := len(consumed(t, s, "logs-none")); n != 100 {
			t.Errorf("unexpected number of events in the late stream; got %d; want 100", n)
		}
		wantExactly(t, consumed(t, s, "logs-a"), a)
		wantExactly(t, consumed(t, s, "logs-b"), b)
	})
}

func TestEmptyEvents(t *testing.T) {
	c := slices.Concat(eventOf(t, fields{}), eventOf(t, fields{"n": 1}), eventOf(t, fields{}))
	t.Run("are dropped and counted", func(t *testing.T) {
		in, p, log := newTest(t, confirmAll)
		wantCode(t, in.Flush("tag", c), OK)
		if s := in.Stats(); len(p.batches) != 1 || len(p.batches[0].records) != 1 || s.Empty != 2 || s.Records != 1 {
			t.Errorf("unexpected result; got %d batches, %+v; want one record, 2 empty", len(p.batches), s)
		}
		if !strings.Contains(log.String(), "empty events dropped") || !strings.Contains(log.String(), "count=2") || !strings.Contains(log.String(), "see empty_events") {
			t.Errorf("unexpected log:\n%s", log.String())
		}
	})
	t.Run("are sent if they are to be kept", func(t *testing.T) {
		in, p, _ := newTest(t, confirmAll, "empty_events", "keep")
		wantCode(t, in.Flush("tag", c), OK)
		if got := p.batches[0].records; len(got) != 3 || got[0] != "{}" || in.Stats().Empty != 0 {
			t.Errorf("unexpected records; got %q; want {} twice", got)
		}
	})
	t.Run("a chunk of nothing else is done", func(t *testing.T) {
		in, p, _ := newTest(t, confirmAll, "log_key", "log")
		wantCode(t, in.Flush("tag", eventOf(t, fields{"log": ""})), OK)
		if len(p.batches) != 0 || in.Stats().Empty != 1 {
			t.Errorf("unexpected result; got %d batches, %d empty; want none and 1", len(p.batches), in.Stats().Empty)
		}
	})
}

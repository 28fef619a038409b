// SPDX-License-Identifier: Apache-2.0

package status

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
)

// fakeProducer is a producer in a state of the test's choice.
type fakeProducer struct {
	snapshot core.Snapshot
	asked    int
}

func (f *fakeProducer) Snapshot() core.Snapshot {
	f.asked++
	return f.snapshot
}

func (f *fakeProducer) Stats() core.Stats { return core.Stats{} }

func ask(t *testing.T, p *Page) *Document {
	t.Helper()
	var d Document
	if err := json.Unmarshal(p.json(), &d); err != nil {
		t.Fatal(err)
	}
	return &d
}

func TestLogKeepsWarningsByKind(t *testing.T) {
	l := NewLog(slog.DiscardHandler)
	log := slog.New(l).With("stream", "a").WithGroup("g").With("x", 1)
	log.Info("not kept")
	log.Warn("twice", "n", 1)
	log.Error("once", "long", strings.Repeat("\u00e9", maxDetail))
	log.Warn("twice", "n", 2)
	lines := l.Lines()
	if len(lines) != 2 || lines[0].Message != "twice" || lines[0].Count != 2 || lines[0].Detail != "stream=a g.x=1 g.n=2" || lines[0].Level != "WARN" {
		t.Fatalf("unexpected lines; got %+v; want one of two and one", lines)
	}
	if d := lines[1].Detail; len(d) > maxDetail || !strings.HasPrefix(d, "stream=a g.x=1 g.long=\u00e9") || strings.Contains(d, "\ufffd") {
		t.Errorf("unexpected detail; got %d bytes %q; want at most %d of valid text", len(d), d, maxDetail)
	}
	for i := range 2 * Lines {
		log.Warn(fmt.Sprint("kind ", i))
	}
	if lines := l.Lines(); len(lines) != Lines || lines[0].Message != fmt.Sprint("kind ", 2*Lines-1) {
		t.Errorf("unexpected number of lines; got %d, newest %q; want %d", len(lines), lines[0].Message, Lines)
	}
}

func TestLogLeavesLevelsToTheNextHandler(t *testing.T) {
	var b strings.Builder
	l := NewLog(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelError}))
	log := slog.New(l)
	log.Debug("a")
	log.Warn("b")
	log.Error("c")
	if l.Enabled(context.Background(), slog.LevelInfo) || strings.Contains(b.String(), "msg=b") || !strings.Contains(b.String(), "msg=c") || len(l.Lines()) != 2 {
		t.Errorf("unexpected lines; got %q, %d kept; want c alone, 2 kept", b.String(), len(l.Lines()))
	}
}

func TestRatesAreOfTheTimeSinceAnEarlierState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeProducer{}
		p := New(Config{Producer: f, Server: func() Server { return Server{} }})
		set := func(confirmed, stored, bytes, throttled uint64) {
			f.snapshot = core.Snapshot{Streams: []core.StreamSnapshot{{
				Stream: "logs", Stats: core.Stats{Confirmed: confirmed, PutPayloadUnits: 1, PutPayloadUnitsSaved: 3}, MapAge: -1,
				Shards: []core.ShardSnapshot{{ID: "shardId-000000000000", Stored: stored, StoredBytes: bytes, Throttled: throttled, Share: 1}},
			}}}
		}
		set(0, 0, 0, 0)
		if d := ask(t, p); d.Streams[0].Rate != nil || d.Streams[0].Shards.Load != nil || d.Streams[0].MapAgeSeconds != -1 || d.Producer.PutUnitsSaved != 3 {
			t.Errorf("unexpected first document; got %+v; want no rates", d.Streams[0])
		}
		<-time.After(2 * time.Second)
		set(1000, 100, 1<<20, 4)
		d := ask(t, p)
		if r := d.Streams[0].Rate; r == nil || r.Confirmed != 500 {
			t.Errorf("unexpected rate; got %+v; want 500 a second", r)
		}
		if s := d.Streams[0].Shards; s.Load[0] != 0.5 || s.ThrottledRate[0] != 2 {
			t.Errorf("unexpected shard; got load %v, %v throttled; want 0.5 and 2", s.Load, s.ThrottledRate)
		}
		// A page that nobody looked at for long has no present rate.
		<-time.After(time.Minute)
		if d := ask(t, p); d.Streams[0].Rate != nil {
			t.Errorf("unexpected rate; got %+v; want none", d.Streams[0].Rate)
		}
		asked := f.asked
		for range 100 {
			ask(t, p)
		}
		if f.asked != asked {
			t.Errorf("unexpected number of snapshots; got %d more; want none within half a second", f.asked-asked)
		}
		// A shard that came with a reshard, and one that is gone.
		<-time.After(2 * time.Second)
		f.snapshot = core.Snapshot{Streams: []core.StreamSnapshot{{Stream: "logs", Shards: []core.ShardSnapshot{{ID: "shardId-000000000001", Stored: 2000, StoredBytes: 10}}}}}
		if s := ask(t, p).Streams[0].Shards; len(s.ID) != 1 || s.Load[0] != 1 {
			t.Errorf("unexpected shards; got %+v; want one at its limit of records", s)
		}
		if len(p.states) > keptStates {
			t.Errorf("unexpected number of states; got %d; want at most %d", len(p.states), keptStates)
		}
	})
}

func TestHistoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := uint64(0)
		p := New(Config{Producer: &fakeProducer{}, Bounds: []float64{1, 2}, Server: func() Server {
			n++
			return Server{Events: 10 * n, Requests: map[string]uint64{"200": n, "503": n}, Buckets: []uint64{n, 3 * n, 0}}
		}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			p.Run(ctx)
			close(done)
		}()
		<-time.After(10*time.Minute + time.Millisecond)
		d := ask(t, p)
		if len(d.History.Events) != samples-1 || d.History.Events[0] != 10 || d.History.Unavailable[5] != 1 || d.History.Requests[5] != 2 {
			t.Errorf("unexpected history; got %d samples, %+v; want %d", len(d.History.Events), d.History, samples-1)
		}
		if l := d.Server.AckLatency; l.Count != 4*(samples-1) || math.Abs(l.P50-4.0/3) > 1e-9 || l.P99 < 1.9 || l.P99 > 2 {
			t.Errorf("unexpected latency; got %+v; want a median of 1.33 s", l)
		}
		cancel()
		<-done
	})
}

func TestQuantile(t *testing.T) {
	bounds := []float64{1, 2}
	for _, c := range []struct {
		counts []uint64
		q      float64
		want   float64
	}{{[]uint64{0, 0, 0}, 0.5, 0}, {[]uint64{0, 0, 5}, 0.5, 2}, {[]uint64{4, 0, 0}, 0.5, 0.5}, {[]uint64{0, 4, 0}, 1, 2}, {nil, 0.5, 0}} {
		if got := quantile(bounds, c.counts, c.q); got != c.want {
			t.Errorf("unexpected quantile %v of %v; got %v; want %v", c.q, c.counts, got, c.want)
		}
	}
}

// TestDocumentOfManyShardsIsSmall bounds what a browser gets each second.
func TestDocumentOfManyShardsIsSmall(t *testing.T) {
	f := &fakeProducer{snapshot: core.Snapshot{Streams: []core.StreamSnapshot{{Stream: "logs"}}}}
	for i := range 2000 {
		f.snapshot.Streams[0].Shards = append(f.snapshot.Streams[0].Shards, core.ShardSnapshot{ID: fmt.Sprintf("shardId-%012d", i), Share: 1, Stored: 1 << 40, Throttled: 1 << 20})
	}
	p := New(Config{Producer: f, Server: func() Server { return Server{} }})
	if n := len(p.json()); n > 150<<10 {
		t.Errorf("unexpected size of the document; got %d; want at most 150 KiB", n)
	}
}

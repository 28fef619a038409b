// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/delivery"
)

// openBatch is a batch that settles when it is told to.
type openBatch struct {
	settled
	records []core.Record
	done    chan struct{}
}

func (b *openBatch) WaitSettled(ctx context.Context) error {
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *openBatch) Done() <-chan struct{} { return b.done }

// settleLater has the batches of a server settle when the test tells them to.
func settleLater(r *rig) <-chan *openBatch {
	batches := make(chan *openBatch, 64)
	r.server.putBatch = func(_ context.Context, _ string, records []core.Record) (delivery.Batch, error) {
		b := &openBatch{records: records, done: make(chan struct{})}
		batches <- b
		return b, nil
	}
	return batches
}

// bodyOf has 32 KiB, each time with other text and keys.
func bodyOf(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < 32<<10; i++ {
		fmt.Fprintf(&b, `{"k":"key-%06d-%04d","text":"%s"}`+"\n", n, i, strings.Repeat(string(rune('a'+n%26)), 100))
	}
	return b.Bytes()
}

// The memory of a body is used again only when its last record is settled, although its
// client has got an answer or is gone before that.
func TestRecordsUnderWayKeepTheirMemoryWhileOtherBodiesCome(t *testing.T) {
	for _, c := range []struct{ name, encoding string }{{"as it comes", ""}, {"packed", "gzip"}} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, "--route.partition_key=k", "--route.ack_timeout=100ms")
			defer r.stop()
			batches := settleLater(r)
			send := func(n int) *openBatch {
				data := bodyOf(n)
				if c.encoding != "" {
					data = gzipped(data)
				}
				if got := r.post(t.Context(), "/", data, "Content-Type", "application/x-ndjson", "Content-Encoding", c.encoding); got.status != 503 {
					t.Fatalf("unexpected status; got %d %s; want 503 after ack_timeout", got.status, got.body)
				}
				return <-batches
			}
			var open []*openBatch
			for n := range 10 {
				open = append(open, send(n))
			}
			for n, b := range open {
				lines := bytes.Split(bytes.TrimSpace(bodyOf(n)), []byte("\n"))
				if len(b.records) != len(lines) {
					t.Errorf("unexpected number of records of body %d; got %d; want %d", n, len(b.records), len(lines))
				}
				for i := range min(len(b.records), len(lines)) {
					got := b.records[i]
					if want := fmt.Sprintf("key-%06d-%04d", n, i); !bytes.Equal(got.Data, lines[i]) || got.PartitionKey != want {
						t.Errorf("record %d of body %d has changed; got key %q, %q; want %q, %q", i, n, got.PartitionKey, got.Data, want, lines[i])
						break
					}
				}
				close(b.done)
			}
		})
	}
}

// Bodies of one size one after the other need no memory for what is read and for records.
func TestTheMemoryOfASettledBodyServesTheNextOne(t *testing.T) {
	r := newRig(t)
	defer r.stop()
	var mu sync.Mutex
	first := map[*byte]int{}
	r.server.putBatch = func(_ context.Context, _ string, records []core.Record) (delivery.Batch, error) {
		mu.Lock()
		defer mu.Unlock()
		first[&records[0].Data[0]]++
		return settled{}, nil
	}
	const bodies = 50
	for n := range bodies {
		if got := r.post(t.Context(), "/", bodyOf(n), "Content-Type", "application/x-ndjson"); got.status != 200 {
			t.Fatalf("unexpected status; got %d %s; want 200", got.status, got.body)
		}
	}
	if len(first) > bodies/2 { // the collector may take some
		t.Errorf("unexpected number of pieces of memory for %d bodies; got %d; want less than half", bodies, len(first))
	}
}

// Combined records are no events of their body, so the table of these is free at once.
func TestTheTableOfCombinedEventsServesTheNextBody(t *testing.T) {
	r := newRig(t, "--route.combine=lines", "--route.compression=zstd")
	defer r.stop()
	lines := bytes.Count(bodyOf(0), []byte{'\n'})
	var kept []core.Record
	r.server.putBatch = func(context.Context, string, []core.Record) (delivery.Batch, error) {
		if t := r.server.spares.tables.take(lines); t != nil {
			kept = t[:lines]
		}
		return settled{}, nil
	}
	for n := range 50 { // the collector or the race detector may have the pool forget some
		if got := r.post(t.Context(), "/", bodyOf(n), "Content-Type", "application/x-ndjson"); got.status != 200 {
			t.Fatalf("unexpected status; got %d %s; want 200", got.status, got.body)
		}
	}
	if kept == nil {
		t.Fatal("unexpected lack of a table while combined records are under way; want that of their events")
	}
	for i := range kept {
		if r := &kept[i]; r.PartitionKey != "" || r.Data != nil {
			t.Fatalf("unexpected record in a table that is kept; got %+v; want none, or it would hold a body", r)
		}
	}
}

func TestMemoryIsNotUsedAgainWhileTheServerDrains(t *testing.T) {
	draining := false
	s := spares{draining: func() bool { return draining }}
	body, table := make([]byte, 20, 10_000), make([]core.Record, 3, 40)
	draining = true
	s.keepAll(&lease{body: body, table: table})
	draining = false
	if got := s.body(10_000); got != nil {
		t.Error("unexpected memory that was kept while the server drained; want none")
	}
	for range 100 { // the race detector has a pool forget some
		s.keepAll(&lease{body: body})
	}
	draining = true
	for range 100 {
		if got := s.body(10_000); got != nil {
			t.Fatal("unexpected memory of another body while the server drains; want none")
		}
	}
}

func TestMemoryThatIsMuchLargerIsNotUsed(t *testing.T) {
	s := spares{draining: func() bool { return false }}
	for _, n := range []int{8000, 8889, 10_001, 100} {
		for range 20 {
			s.keepAll(&lease{body: make([]byte, 5, 10_000)})
			if got := s.body(n); got != nil && (cap(got) < n || cap(got) > n+n/8 || len(got) != 0) {
				t.Errorf("unexpected memory for %d bytes; got %d of %d; want an eighth more at most", n, len(got), cap(got))
			}
		}
	}
}

// Records may be under way behind a panic.
func TestMemoryIsNotUsedAgainAfterAPanicInAnAttempt(t *testing.T) {
	r := newRig(t, "--route.partition_key=k")
	defer r.stop()
	var first []core.Record
	var want [][]byte
	r.server.putBatch = func(_ context.Context, _ string, records []core.Record) (delivery.Batch, error) {
		if first == nil {
			first = records
			for i := range records {
				want = append(want, bytes.Clone(records[i].Data))
			}
			panic("a bug behind the submission")
		}
		return settled{}, nil
	}
	for n := range 6 {
		r.post(t.Context(), "/", bodyOf(n), "Content-Type", "application/x-ndjson")
	}
	for i := range first {
		if !bytes.Equal(first[i].Data, want[i]) {
			t.Fatalf("unexpected record %d; got %q; want %q", i, first[i].Data, want[i])
		}
	}
}

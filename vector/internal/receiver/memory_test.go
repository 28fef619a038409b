// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/vector/internal/config"
)

func TestMemoryForBodiesIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "--limits.memory=8MiB", "--limits.wire_max_size=1MiB", "--limits.body_max_size=1MiB", "--limits.events=10000",
			"--producer.request_timeout=1m")
		defer r.stop()
		hold := make(chan struct{})
		r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Hold: hold}})
		// Each body takes something above 1 MiB until Kinesis has it.
		body := func(i int) []byte {
			return append(bytes.Repeat([]byte(" "), 1000<<10), []byte(eventText(i))...)
		}
		const requests = 32
		first := make(chan reply, requests)
		for i := range requests {
			go func() { first <- r.post(t.Context(), "/", body(i)) }()
		}
		for range requests {
			rp := <-first
			rp.want(t, 503, "")
			if used := r.server.Stats().BudgetUsed; used > 8<<20 {
				t.Errorf("unexpected memory; got %d; want at most 8 MiB", used)
			}
		}
		synctest.Wait()
		st := r.server.Stats()
		if st.Rejected[ReasonBudget] == 0 || st.Rejected[ReasonAckTimeout] == 0 || st.Rejected[ReasonBudget]+st.Rejected[ReasonAckTimeout] != requests {
			t.Errorf("unexpected reasons; got %v; want some for want of memory and some for want of an answer", st.Rejected)
		}
		close(hold)
		synctest.Wait()
		for i := range requests {
			r.post(t.Context(), "/", body(i)).want(t, 200, "")
		}
		r.account("logs", requests, 0)
		synctest.Wait()
		if used := r.server.Stats().BudgetUsed; used != 0 {
			t.Errorf("unexpected memory at rest; got %d; want 0", used)
		}
	})
}

func TestBombs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "--limits.memory=8MiB", "--limits.wire_max_size=1MiB", "--limits.body_max_size=2MiB", "--limits.events=10000")
		defer r.stop()
		zeros := bytes.Repeat([]byte(" "), 50<<20)
		for _, c := range []struct {
			name, encoding string
			body           []byte
		}{
			{"gzip", "gzip", gzipped(zeros)},
			{"zstd", "zstd", zstded(zeros)},
			{"twice", "gzip, gzip", gzipped(gzipped(zeros))},
			{"snappy that declares 4 GiB", "snappy", []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0}},
		} {
			rp := r.post(t.Context(), "/", c.body, "Content-Encoding", c.encoding)
			if rp.status != 422 {
				t.Errorf("%s: unexpected answer; got %d %s; want 422", c.name, rp.status, rp.body)
			}
		}
	})
}

// Memory that is just enough for the largest body lets it in, although more is asked for
// ahead where the body says nothing of its size: 422 would lose it.
func TestLargestBodyFitsIntoTheLeastMemory(t *testing.T) {
	const size = 20 << 20
	limits := config.Limits{WireMaxBytes: size, BodyMaxBytes: size, MaxEvents: 1000}
	r := socketRig(t, []kinesistest.Option{kinesistest.WithStream("logs", 1)}, "--limits.wire_max_size=20MiB", "--limits.body_max_size=20MiB",
		"--limits.events=1000", "--limits.memory="+strconv.FormatInt(limits.Need(), 10))
	defer r.stop()
	raw := bytes.Repeat([]byte(" "), size-4096)
	var stored bytes.Buffer
	w, err := gzip.NewWriterLevel(&stored, gzip.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(raw)
	_ = w.Close()
	if stored.Len() > size {
		t.Fatalf("unexpected size; got %d; want at most %d", stored.Len(), size)
	}
	r.post(t.Context(), "/", raw).want(t, 200, `{"events":0}`)
	r.post(t.Context(), "/", stored.Bytes(), "Content-Encoding", "gzip").want(t, 200, `{"events":0}`)
}

func TestBudgetIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(10, 0)
		l := &lease{b: b}
		if err := l.resize(t.Context(), 11); err != errTooMuch {
			t.Errorf("unexpected error; got %v; want %v", err, errTooMuch)
		}
		if err := l.resize(t.Context(), 8); err != nil {
			t.Fatal(err)
		}
		order := make(chan string, 2)
		large, small := &lease{b: b}, &lease{b: b}
		go func() {
			if large.resize(t.Context(), 9) == nil {
				order <- "large"
			}
		}()
		synctest.Wait()
		go func() {
			if small.resize(t.Context(), 1) == nil { // there would be room, but it is not its turn
				order <- "small"
			}
		}()
		synctest.Wait()
		if used, waiting := b.state(); used != 8 || waiting != 2 {
			t.Errorf("unexpected state; got %d used, %d waiting; want 8, 2", used, waiting)
		}
		l.Release()
		if a := <-order; a != "large" && a != "small" {
			t.Error(a)
		}
		<-order
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.resize(ctx, 1); err == nil {
			t.Errorf("unexpected success; want the context's error")
		}
		large.Release()
		small.Release()
		large.Release()
		if used, waiting := b.state(); used != 0 || waiting != 0 {
			t.Errorf("unexpected state; got %d used, %d waiting; want nothing", used, waiting)
		}
	})
}

// A request that holds memory and needs more goes before those that hold none: these could only get
// what it gives back in the end.
func TestGrowingGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(10, 0)
		one, two, late := &lease{b: b}, &lease{b: b}, &lease{b: b}
		resize := func(l *lease, n int64, want error) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := l.resize(ctx, n); err != want {
				t.Errorf("unexpected error; got %v; want %v", err, want)
			}
		}
		resize(one, 3, nil)
		resize(two, 3, nil)
		go resize(&lease{b: b}, 5, context.DeadlineExceeded)
		synctest.Wait()
		resize(one, 4, nil) // at once, though another was there before
		time.Sleep(2 * time.Second)

		resizeLater := func(l *lease, n int64, want error) {
			go resize(l, n, want)
			synctest.Wait()
		}
		state := func(used int64, waiting int) {
			t.Helper()
			synctest.Wait()
			if u, w := b.state(); u != used || w != waiting {
				t.Errorf("unexpected state; got %d used, %d waiting; want %d, %d", u, w, used, waiting)
			}
		}
		resizeLater(one, 8, nil)  // 7 of 10 are taken
		resizeLater(late, 1, nil) // there is room, but not for who is new
		resize(two, 6, nil)       // there is room for this one
		state(10, 2)
		two.Release()
		state(9, 0)

		// A request that gives up growing lets new ones in.
		resizeLater(one, 10, context.DeadlineExceeded) // 1 of 10 is free, and 2 are wanted
		time.Sleep(500 * time.Millisecond)
		resizeLater(two, 1, nil) // waits for longer
		state(9, 2)
		time.Sleep(2 * time.Second)
		state(10, 0)
		for _, l := range []*lease{one, two, late} {
			l.Release()
		}
		state(0, 0)
	})
}

// A request that gives up waiting lets those behind go on.
func TestWaitersBehindOneThatGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(10, 0)
		taken, large, small := &lease{b: b}, &lease{b: b}, &lease{b: b}
		if err := taken.resize(t.Context(), 8); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() { _ = large.resize(ctx, 9) }()
		synctest.Wait()
		longer, cancelLonger := context.WithTimeout(t.Context(), time.Minute)
		defer cancelLonger()
		if err := small.resize(longer, 1); err != nil {
			t.Errorf("unexpected error; got %v; want room once the large one has given up", err)
		}
	})
}

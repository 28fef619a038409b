// SPDX-License-Identifier: Apache-2.0

package readback

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Reads do not take more of a shard than they may, however much others write.
func TestReadsLeaveTheBytesOfAShardToOthers(t *testing.T) {
	w := newWorld(1)
	r := New(Config{Settle: second, Calls: 2, Concurrent: 4})
	start := w.now
	e := &Entry{Key: "0000000000000000", Shard: "shard-0", Began: w.now, Ended: w.now, Until: w.now + 100*second, Bytes: 50_000, Since: time.Unix(0, w.now)}
	r.Add(e, w.now)
	for range 6000 {
		w.now += int64(10 * time.Millisecond)
		w.put(1, "other-0000000000", 10_000) // 1 MB/s
		if c := r.Next(w.now); c != nil {
			r.Done(c, c.Do(context.Background(), w, aws.String("s"), nil), w.now)
		}
	}
	seconds := int((w.now - start) / second)
	if got, most := w.bytes["shard-0"], 2*BytesPerCall*(seconds+burst)+50_000; got > most || got < most/2 {
		t.Errorf("unexpected bytes read in %d s; got %d; want at most %d, and most of it", seconds, got, most)
	}
}

// The first read of a shard takes little, however much larger the records of others are than the one
// that is looked for. Otherwise nothing could be read for as long as that makes up for.
func TestTheFirstReadOfAShardTakesLittle(t *testing.T) {
	for _, c := range []struct{ own, others int }{{100, 50_000}, {250_000, 250_000}} {
		w := newWorld(1)
		r := New(Config{Settle: second, Calls: 2, Concurrent: 4})
		r.Add(&Entry{Key: "0000000000000000", Shard: "shard-0", Began: w.now, Ended: w.now, Until: w.now + 10*second, Bytes: c.own, Since: time.Unix(0, w.now)}, w.now)
		for range 1000 {
			w.put(1, "other-0000000000", c.others)
		}
		for c := r.Next(w.now); c != nil; c = r.Next(w.now) {
			r.Done(c, c.Do(context.Background(), w, aws.String("s"), nil), w.now)
		}
		if n := w.bytes["shard-0"]; n == 0 || n > 3*BytesPerCall {
			t.Errorf("unexpected bytes of the first read with records of %d; got %d; want at most %d", c.others, n, 3*BytesPerCall)
		}
	}
}

// A place that cannot be read ends the search at once.
func TestShardsThatCannotBeReadEndTheSearch(t *testing.T) {
	for _, code := range []string{"ResourceNotFoundException", "InvalidArgumentException"} {
		r := New(Config{Settle: second, Calls: 2, Concurrent: 4})
		e := &Entry{Key: "0000000000000000", Shard: "s", Began: second, Ended: second, Until: 100 * second, Bytes: 1, After: "5"}
		r.Add(e, second)
		settled := r.Done(r.Next(second), Result{Err: fmt.Errorf("operation: %w", apiError(code))}, second)
		if len(settled) != 1 || settled[0].Outcome != Unknown || r.Len() != 0 {
			t.Errorf("%s: unexpected outcome %v", code, settled)
		}
	}
	// A number of another stream: the time is left.
	r := New(Config{Settle: second, Calls: 2, Concurrent: 4})
	e := &Entry{Key: "0000000000000000", Shard: "s", Began: second, Ended: second, Until: 100 * second, Bytes: 1, After: "5", Since: time.Unix(1, 0)}
	r.Add(e, second)
	if settled := r.Done(r.Next(second), Result{Err: apiError("InvalidArgumentException")}, second); len(settled) != 0 {
		t.Fatalf("unexpected outcome %v; want a read from the time", settled)
	}
	if c := r.Next(10 * second); c == nil || c.from.after != "" || c.from.since.IsZero() {
		t.Errorf("unexpected next read %+v; want one from the time", c)
	}
	if code(errors.New("x")) != "" {
		t.Error("unexpected code of an error without one")
	}
}

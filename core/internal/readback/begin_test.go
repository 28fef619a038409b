// SPDX-License-Identifier: Apache-2.0

package readback

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// The clock by which an entry says when its call began may be ahead of that of the shards. What a
// read from such a time has left out is not missing.
func TestAReadFromATimeThatIsNotYetProvesNothingOfEarlierRecords(t *testing.T) {
	w := newWorld(1)
	w.behind = second
	for range 3000 {
		w.now += second / 100
		w.put(1, "other-0000000000", 8000)
	}
	r := New(Config{Settle: second, Calls: 5, Concurrent: 4})
	r.Add(&Entry{Key: "0000000000000000", Shard: "shard-0", Earlier: true, Ended: w.now, Until: w.now + 9*second, Bytes: 8000, Since: time.Unix(0, w.now-int64(time.Minute)), Near: time.Unix(0, w.now)}, w.now)
	stored := map[string]bool{}
	missing := 0
	note := func(list []Settled) {
		for _, s := range list {
			if s.Outcome == Missing && stored[s.Key] {
				missing++
			}
		}
	}
	var list []*Entry
	for i := range 1000 {
		w.now += second / 100
		if i < 50 {
			e := &Entry{Key: fmt.Sprintf("%016d", i+1), Shard: "shard-0", Began: w.now, Bytes: 8000, Since: time.Unix(0, w.now-int64(time.Minute)), Near: time.Unix(0, w.now)}
			w.put(1, e.Key, 300)
			stored[e.Key] = true
			list = append(list, e)
		}
		if i >= 60 {
			w.put(1, "other-0000000000", 1000)
		}
		if i >= 200 && i < 250 { // the answer comes late
			e := list[i-200]
			e.Ended, e.Until = w.now, w.now+9*second
			note(r.Add(e, w.now))
		}
		for c := r.Next(w.now); c != nil; c = r.Next(w.now) {
			note(r.Done(c, c.Do(context.Background(), w, aws.String("s"), nil), w.now))
			if have := r.shards["shard-0"].bytes; have < -5*BytesPerCall {
				t.Fatalf("a read has taken %.0f bytes more than it might, since records elsewhere are smaller", -have)
			}
		}
	}
	if missing > 0 {
		t.Errorf("%d records are missing that are stored", missing)
	}
}

// A time that a shard does not take ends the read that begins there, and no search.
func TestATimeThatAShardDoesNotTakeEndsNoSearch(t *testing.T) {
	w := newWorld(1)
	for range 3000 {
		w.now += second / 100
		w.put(1, "other-0000000000", 8000)
	}
	r := New(Config{Settle: second, Calls: 5, Concurrent: 4})
	r.Add(&Entry{Key: "0000000000000000", Shard: "shard-0", Earlier: true, Ended: w.now, Until: w.now + 100*second, Bytes: 8000, Since: time.Unix(0, w.now-int64(time.Minute)), Near: time.Unix(0, w.now)}, w.now)
	refused := 0
	for range 500 {
		w.now += second / 100
		for c := r.Next(w.now); c != nil; c = r.Next(w.now) {
			res := c.Do(context.Background(), w, aws.String("s"), nil)
			if c.iterator == "" && c.from.since.After(time.Unix(0, w.now-10*second)) {
				refused, res = refused+1, Result{Err: apiError("InvalidArgumentException")}
			}
			if settled := r.Done(c, res, w.now); len(settled) > 0 {
				t.Fatalf("unexpected outcome %+v", settled)
			}
		}
	}
	if refused != 1 || r.Len() != 1 {
		t.Errorf("unexpected reads from a time that is not yet; got %d, %d entries; want 1, 1", refused, r.Len())
	}
}

// A number of a stream that was created anew is of no use: what is read then begins before all calls for
// which it is read, and covers no calls before.
func TestReadsOfAStreamThatWasCreatedAnewBeginBeforeAllCalls(t *testing.T) {
	r := New(Config{Settle: second, Calls: 5, Concurrent: 4})
	early, late := time.Unix(1000, 0), time.Unix(1060, 0)
	gone := &Entry{Key: key(9), Shard: "A", After: "4", Since: early.Add(-time.Second), Began: 1, Ended: second, Until: 100 * second, Bytes: 1}
	r.Add(gone, second)
	for i, since := range []time.Time{late, early} {
		r.Add(&Entry{Key: key(i), Shard: "A", After: fmt.Sprint(5 + i), Since: since, Began: int64(2 + i), Ended: second, Until: 100 * second, Bytes: 1}, second)
	}
	r.Remove(gone)
	r.Done(r.Next(second), Result{Err: apiError("InvalidArgumentException")}, second)
	c := r.Next(10 * second)
	if c == nil || c.from.after != "" || !c.from.since.Equal(early) {
		t.Fatalf("unexpected next read %+v; want one from the earlier time", c)
	}
	if c.p.began != 2 {
		t.Errorf("unexpected begin of what is covered; got %d; want 2, when the first call began", c.p.began)
	}
}

// An entry whose read has no chance to come to an end keeps no other from being found, and is found
// itself if its record is where its call began.
func TestRecordsAreFoundNearTheirCallsBehindABacklog(t *testing.T) {
	for _, known := range []bool{true, false} { // the shard has confirmed something lately
		w := newWorld(1)
		r := New(Config{Settle: second, Calls: 2, Concurrent: 4})
		write := func() {
			w.now += int64(10 * time.Millisecond)
			w.put(1, "other-0000000000", 5000) // 500 kB/s
		}
		for range 7000 {
			write()
		}
		entry := func(i int, earlier bool) *Entry {
			e := &Entry{
				Key: fmt.Sprintf("%016d", i), Shard: "shard-0", Since: time.Unix(0, w.now-int64(time.Minute)), Near: time.Unix(0, w.now-second/5), Bytes: 5000,
				Began: w.now, Ended: w.now + second/10, Until: w.now + 10*second, Earlier: earlier,
			}
			if known {
				e.After = fmt.Sprint(w.number)
			}
			return e
		}
		late, found := 0, map[string]Outcome{}
		note := func(list []Settled) {
			for _, s := range list {
				found[s.Key] = s.Outcome
			}
		}
		r.Add(entry(0, true), w.now) // is not there
		for step := range 4000 {
			if write(); step%300 == 0 && step < 3000 {
				e := entry(1+step/300, false)
				for range 10 {
					write()
				}
				if step != 1500 {
					w.put(1, e.Key, 5000)
				}
				note(r.Add(e, w.now))
			}
			if c := r.Next(w.now); c != nil {
				note(r.Done(c, c.Do(context.Background(), w, aws.String("s"), nil), w.now))
			}
			late += len(r.Late(w.now))
		}
		stored := 0
		for _, o := range found {
			if o == Stored {
				stored++
			}
		}
		if stored != 9 || late+len(found) != 11 || r.Len() != 0 {
			t.Errorf("known %t: unexpected outcomes; got %d stored of %d, %d late, %d open; want 9 stored, 2 that are not there", known, stored, len(found), late, r.Len())
		}
		for i := r.cfg.Calls; i < len(w.reads["shard-0"]); i++ {
			if list := w.reads["shard-0"]; list[i]-list[i-r.cfg.Calls] < second {
				t.Fatalf("known %t: more than %d calls in a second", known, r.cfg.Calls)
			}
		}
	}
}

// Records of an earlier process are looked for from the earliest place on, in whatever order they
// come, also after more keys were read than are remembered.
func TestEarlierEntriesAreLookedForFromTheEarliestOn(t *testing.T) {
	for _, overflow := range []bool{false, true} {
		w := newWorld(1)
		r := New(Config{Settle: second, Calls: 5, Concurrent: 4})
		start := time.Unix(0, w.now)
		var list []Entry
		for i := range 6 {
			key := fmt.Sprintf("%016d", i)
			list = append(list, Entry{Key: key, Shard: "shard-0", After: fmt.Sprint(w.number), Since: start, Earlier: true, Bytes: 10})
			w.put(1, key, 300)
			for n := range 10 {
				w.put(1, fmt.Sprintf("other-%d-%08d", i, n), 300)
			}
			if overflow && i == 2 {
				for n := range 2 * maxSeen {
					w.put(1, fmt.Sprintf("many-%011d", n), 20)
				}
			}
		}
		stored := 0
		note := func(list []Settled) {
			for _, s := range list {
				if s.Outcome != Stored {
					t.Errorf("overflow %t: unexpected outcome %d of %s", overflow, s.Outcome, s.Key)
				}
				stored++
			}
		}
		for _, i := range []int{4, 1, 1, 5, 0, 3, 2, 0} {
			e := list[i]
			e.Ended, e.Until = w.now, w.now+100*second
			note(r.Add(&e, w.now))
			if c := r.Next(w.now); c != nil {
				c.limit = min(c.limit, 3)
				note(r.Done(c, c.Do(context.Background(), w, aws.String("s"), nil), w.now))
			}
			w.now += second / 10
		}
		for range 2000 {
			w.now += second / 10
			if c := r.Next(w.now); c != nil {
				note(r.Done(c, c.Do(context.Background(), w, aws.String("s"), nil), w.now))
			}
		}
		if stored != 8 || r.Len() != 0 {
			t.Errorf("overflow %t: unexpected outcomes; got %d stored, %d open; want 8, 0", overflow, stored, r.Len())
		}
	}
}

func TestPositionsAreCompared(t *testing.T) {
	a, b := time.Unix(1, 0), time.Unix(2, 0)
	for _, c := range []struct {
		p, o    position
		covers  bool
		earlier position
	}{
		{position{}, position{after: "5"}, true, position{}},
		{position{after: "5"}, position{}, false, position{}},
		{position{after: "5", since: b}, position{after: "10", since: a}, true, position{after: "5", since: a}},
		{position{after: "10", since: a}, position{after: "5", since: b}, false, position{after: "5", since: a}},
		{position{after: "10", since: b}, position{since: a}, false, position{since: a}},
		{position{since: a}, position{after: "10", since: b}, true, position{since: a}},
		{position{since: b}, position{after: "10", since: a}, false, position{since: a}},
		{position{since: a}, position{since: a}, true, position{since: a}},
		{position{since: a}, position{after: "1"}, false, position{}},
		{position{after: "1"}, position{since: a}, false, position{}},
		{position{after: "5", since: a}, position{after: "10"}, true, position{after: "5"}},
	} {
		if got := c.p.covers(c.o); got != c.covers {
			t.Errorf("unexpected cover of %+v by %+v; got %t", c.o, c.p, got)
		}
		if got := c.p.earlier(c.o); got != c.earlier {
			t.Errorf("unexpected earlier of %+v and %+v; got %+v; want %+v", c.p, c.o, got, c.earlier)
		}
	}
}

// The look for what an earlier process has sent last proves nothing of a call before it.
func TestALookForALateCallProvesNothingOfOthers(t *testing.T) {
	w := newWorld(1)
	r := New(Config{Settle: second, Calls: 2, Concurrent: 4})
	id, begun := w.order[0], w.now
	w.put(1, "0000000000000001", 300)
	w.now += 3 * second
	w.put(1, "0000000000000002", 300)
	since := func(now int64) time.Time { return time.Unix(0, now-int64(time.Minute)) }
	r.Add(&Entry{Key: "0000000000000003", Shard: id, After: "2", Since: since(w.now), Earlier: true, Ended: w.now, Until: w.now + 60*second, Bytes: 300}, w.now)
	r.Add(&Entry{Key: "0000000000000001", Shard: id, Since: since(begun), Began: begun, Ended: w.now, Until: w.now + 60*second, Bytes: 300}, w.now)
	got := map[string]Outcome{}
	for range 3000 {
		w.now += int64(10 * time.Millisecond)
		for c := r.Next(w.now); c != nil; c = r.Next(w.now) {
			for _, s := range r.Done(c, c.Do(t.Context(), w, aws.String("s"), nil), w.now) {
				got[s.Key] = s.Outcome
			}
		}
	}
	if got["0000000000000001"] != Stored || got["0000000000000003"] != Missing {
		t.Errorf("unexpected outcomes; got %v; want the first stored, the third missing", got)
	}
}

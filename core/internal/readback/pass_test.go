// SPDX-License-Identifier: Apache-2.0

package readback

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Searches for many calls of an earlier process keep to the bound of passes, and each of them comes to its turn.
func TestManyEarlierCallsAreLookedForWithFewPasses(t *testing.T) {
	for _, known := range []bool{true, false} {
		w := newWorld(1)
		r := New(Config{Settle: second, Calls: 5, Concurrent: 4})
		const calls = 30
		var list []Entry
		for i := range calls {
			e := Entry{Key: fmt.Sprintf("%016d", i), Shard: "shard-0", Since: time.Unix(0, w.now-int64(time.Minute)), Near: time.Unix(0, w.now), Earlier: true, Bytes: 10}
			if known {
				e.After = fmt.Sprint(w.number)
				e.NearAfter = e.After
			}
			list = append(list, e)
			w.put(1, e.Key, 300)
			for range 300 { // 600 kB/s for 5 s
				w.now += 5 * second / 300
				w.put(1, "other-0000000000", 10_000)
			}
		}
		found := 0
		note := func(settled []Settled) {
			for _, s := range settled {
				if s.Outcome == Stored {
					found++
				}
			}
		}
		for i := range list { // the latest first
			e := list[calls-1-i]
			e.Ended, e.Until = w.now, w.now+30*second
			note(r.Add(&e, w.now))
		}
		for range 3000 {
			w.now += second / 100
			w.put(1, "other-0000000000", 6000)
			for c := r.Next(w.now); c != nil; c = r.Next(w.now) {
				note(r.Done(c, c.Do(context.Background(), w, aws.String("s"), nil), w.now))
				checkBounds(t, r)
			}
		}
		if found != calls {
			t.Errorf("known %t: unexpected number of records found; got %d; want %d", known, found, calls)
		}
	}
}

// What is before a chapter was stored before its read ended: it may come after the read has begun.
func TestAChapterBeginsWhenItsReadHasEnded(t *testing.T) {
	r := New(Config{Settle: second, Calls: 5, Concurrent: 4})
	r.seen = chapters // one key each
	r.Add(&Entry{Key: key(0), Shard: "A", After: "4", Began: 1, Ended: second, Until: 100 * second, Bytes: 1}, second)
	c := nextRead(r, second)
	r.Done(c, Result{records: 2, first: "5", last: "6", keys: []found{{key(5), "5"}, {key(6), "6"}}, next: "it"}, 3*second)
	if got := c.p.seen; len(got) != 2 || got[1].began != 3*second || got[1].after != "5" {
		t.Errorf("unexpected chapters %+v; want a second one that begins when the read has ended", got)
	}
}

// Passes that have met go on at once, though the one that is left was at rest at the tip: it reads for
// the others' entries, too.
func TestAPassAtRestGoesOnForThoseThatMeetIt(t *testing.T) {
	s := &shard{id: "A", entries: map[*Entry]bool{}}
	low, high := s.open(position{after: "100"}, 10, time.Time{}, 0), s.open(position{after: "200"}, 50, time.Time{}, 0)
	low.last, high.last, high.next = "250", "500", NoMoment
	e := &Entry{}
	low.use(e, true, 0)
	if p := s.meet(low, 61); p != high || p.next != 61 || !p.users[e] {
		t.Errorf("unexpected pass: next read at %d, for the entry %t; want 61, true", p.next, p.users[e])
	}
}

// A pass that begins anew covers the calls of those that it reads all for, and no others.
func TestAPassThatBeginsAnewCoversOnlyThoseItReadsAllFor(t *testing.T) {
	early, late := &Entry{Began: 1, Since: time.Unix(1000, 0)}, &Entry{Began: 2, Since: time.Unix(1060, 0)}
	p := &pass{users: map[*Entry]bool{early: false, late: true}}
	if p.leastBegan() != 2 || !p.since().Equal(late.Since) {
		t.Errorf("unexpected begin at %d, from %v; want those of the late entry", p.leastBegan(), p.since())
	}
}

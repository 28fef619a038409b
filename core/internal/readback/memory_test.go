// SPDX-License-Identifier: Apache-2.0

package readback

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// What was read is forgotten piece by piece: an entry whose record was read lately is known at once,
// however much was read before.
func TestRecordsThatWereReadLatelyAreKnown(t *testing.T) {
	w := newWorld(1)
	r := New(Config{Settle: second, Calls: 5, Concurrent: 4})
	add := func(key string, began int64) []Settled {
		return r.Add(&Entry{Key: key, Shard: "shard-0", Began: began, Ended: w.now, Until: w.now + 4*second, Bytes: 100, Since: time.Unix(0, began-60*second), Near: time.Unix(0, began)}, w.now)
	}
	keys, again := 0, 0
	for step := range 2000 { // 1,000 short records a second
		w.now += second / 100
		if step%100 == 0 { // is not there
			add(fmt.Sprintf("%016d", step), w.now)
		}
		r.Late(w.now)
		for range 10 {
			w.put(1, fmt.Sprintf("key-%012d", keys), 90)
			keys++
		}
		for c := r.Next(w.now); c != nil; c = r.Next(w.now) {
			r.Done(c, c.Do(context.Background(), w, aws.String("s"), nil), w.now)
			checkBounds(t, r)
		}
		if keys <= 2000 {
			continue
		}
		// Its call began two seconds ago.
		if settled := add(fmt.Sprintf("key-%012d", keys-2000), w.now-2*second); len(settled) != 1 || settled[0].Outcome != Stored {
			again++
		}
	}
	if again > 0 {
		t.Errorf("unexpected searches for %d of %d records that were read 2 s ago; want none", again, keys)
	}
}

// Of passes that have met, what is forgotten first is what comes first.
func TestPassesThatHaveMetForgetInOrder(t *testing.T) {
	s := &shard{id: "A", entries: map[*Entry]bool{}}
	keys := func(first, n int) (list []found) {
		for i := range n {
			list = append(list, found{key(first + i), fmt.Sprint(first + i)})
		}
		return list
	}
	low := s.open(position{after: "100"}, 10, time.Time{}, 0)
	high := s.open(position{since: time.Unix(5, 0)}, 50, time.Time{}, 0)
	high.first, high.last = "250", "500"
	high.remember(keys(250, 200), "", 100, 51)
	low.first, low.last = "101", "260"
	low.remember(keys(101, 160), "", 100, 60)
	p := s.meet(low, 61)
	if len(s.passes) != 1 || p.began != 10 || p.from.after != "100" || p.last != "500" {
		t.Fatalf("unexpected passes: %+v", s.passes)
	}
	s.forget(270, 62)
	if p.began != 60 || p.from.after != "200" {
		t.Errorf("unexpected begin %d after %s; want that of the second part, 60 after 200", p.began, p.from.after)
	}
	s.forget(210, 63)
	if p.began != 50 || p.from.after != "250" {
		t.Errorf("unexpected begin %d after %s; want that of the pass that was met, 50 after 250", p.began, p.from.after)
	}
	s.forget(0, 64)
	if p.began != 64 || p.from.after != "500" {
		t.Errorf("unexpected begin %d after %s; want where the pass is", p.began, p.from.after)
	}
}

// What was forgotten is read again before anything is missing.
func TestWhatWasForgottenIsNotMissing(t *testing.T) {
	for _, earlier := range []bool{false, true} {
		w := newWorld(1)
		r := New(Config{Settle: second, Calls: 5, Concurrent: 4})
		r.Add(&Entry{Key: "0000000000000000", Shard: "shard-0", Began: w.now, Ended: w.now + 1000*second, Until: w.now + 2000*second, Bytes: 100, Since: time.Unix(0, w.now), Near: time.Unix(0, w.now)}, w.now)
		var list []Entry
		for n := range 2 * maxSeen {
			w.now += second / 1000
			e := Entry{Key: fmt.Sprintf("key-%012d", n), Shard: "shard-0", Began: w.now, After: fmt.Sprint(w.number), Since: time.Unix(0, w.now), Near: time.Unix(0, w.now), Bytes: 100}
			if e.Earlier = earlier; earlier {
				e.Began = 0
			}
			list = append(list, e)
			w.put(1, e.Key, 90)
		}
		run := func() (settled []Settled) {
			for range 1500 {
				w.now += second / 100
				for c := r.Next(w.now); c != nil; c = r.Next(w.now) {
					settled = append(settled, r.Done(c, c.Do(context.Background(), w, aws.String("s"), nil), w.now)...)
				}
			}
			return settled
		}
		run()
		for _, n := range []int{2*maxSeen - 1, maxSeen * 5 / 4, maxSeen / 2, 0} {
			e := list[n]
			e.Ended, e.Until = w.now, w.now+100*second
			settled := r.Add(&e, w.now)
			if at := len(settled) > 0; at != (n > maxSeen) {
				t.Errorf("earlier %t: record %d known at once: %t", earlier, n, at)
			}
			if settled = append(settled, run()...); len(settled) != 1 || settled[0].Outcome != Stored {
				t.Errorf("earlier %t: unexpected outcome of record %d: %+v", earlier, n, settled)
			}
		}
	}
}

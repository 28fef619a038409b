// SPDX-License-Identifier: Apache-2.0

package readback

import (
	"fmt"
	"testing"
	"time"
)

// closedShard plays a shard with a pass that stays behind and one that comes to the end of the
// shard at once. Of its entries 1 has time enough for the first pass when it comes, and no longer
// later; 2 is read by the second; 3 comes when that has ended. So many seconds are played.
func closedShard(children []child, seconds int) (r *Reader, outcomes map[string]Outcome) {
	r, outcomes = New(Config{Settle: second, Calls: 2, Concurrent: 16}), map[string]Outcome{}
	base, now := time.Unix(5000, 0), 100*second
	note := func(list []Settled) {
		for _, s := range list {
			outcomes[s.Key] = s.Outcome
		}
	}
	add := func(n int, after string, began int64, near, life int) {
		hit := r.Add(&Entry{
			Key: key(n), Shard: "A", After: after, Since: base.Add(-time.Hour), Near: base.Add(time.Duration(near) * time.Second), NearAfter: nearAfter(n, after),
			Began: began, Ended: began + second, Until: now + int64(life)*second, Bytes: 100,
		}, now)
		note(hit)
	}
	add(0, "100", second, 0, 500)
	note(r.Done(nextRead(r, now), Result{records: 1, bytes: 200_000, first: "101", last: "101", at: base, span: time.Second, next: "it"}, now))
	now += second
	add(1, "100", 60*second, 20, 200)
	add(2, "900", 50*second, 20, 40)
	for step := range seconds {
		now += second
		for _, e := range r.Late(now) {
			outcomes[e.Key] = Unknown
		}
		for c := nextRead(r, now); c != nil; c = nextRead(r, now) {
			res := Result{next: "itB", tip: true, records: 1, bytes: 10, first: "2000", last: "2000", keys: []found{{key(1), "2000"}}}
			switch {
			case c.Shard == "A" && c.p.from.after == "900":
				res = Result{records: 1, bytes: 10, first: "901", last: "999", at: base.Add(20 * time.Second), tip: true, children: children}
			case c.Shard == "A":
				res = Result{records: 1, bytes: 200_000, first: "102", last: fmt.Sprint(110 + step), at: base.Add(time.Second), span: time.Second, next: "it"}
			}
			note(r.Done(c, res, now))
		}
		if step == 20 {
			add(3, "100", 70*second, 20, 100)
		}
	}
	return r, outcomes
}

// nearAfter is the number near entry n: that of 1 is old.
func nearAfter(n int, after string) string {
	if n == 1 {
		return ""
	}
	return after
}

// nextRead returns the next call of GetRecords. All calls for iterators are answered at once.
func nextRead(r *Reader, now int64) *Call {
	for {
		c := r.Next(now)
		if c == nil || c.iterator != "" {
			return c
		}
		r.Done(c, Result{iterator: "it"}, now)
	}
}

func key(n int) string { return fmt.Sprintf("%016d", n) }

// What is nowhere in a shard may be in a child that is not known.
func TestNothingIsMissingWhereChildrenAreNotKnown(t *testing.T) {
	_, outcomes := closedShard(nil, 220)
	for n := 1; n <= 3; n++ {
		if got, ok := outcomes[key(n)]; !ok || got != Unknown {
			t.Errorf("unexpected outcome of entry %d; got %v, %v; want %v", n, got, ok, Unknown)
		}
	}
}

// Its children were looked at for those who used it when it ended.
func TestEntryIsNotMovedToAPassThatHasEnded(t *testing.T) {
	r, _ := closedShard([]child{{id: "B"}}, 190)
	for _, s := range r.shards {
		for _, p := range s.passes {
			for e := range p.users {
				if p.ended && len(e.shards) < 2 {
					t.Errorf("entry %s is left to a pass of shard %s that has ended, and no child is read for it", e.Key, s.id)
				}
			}
		}
	}
}

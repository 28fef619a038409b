// SPDX-License-Identifier: Apache-2.0

package readback

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/outkpl/outkpl/aggregation"
)

// Whatever happens to shards and reads, an outcome is right: a record that is reported as
// stored is where it was reported, one that is reported as missing is nowhere. Each entry
// gets one outcome, in time, and the rate holds.
func TestOutcomesAreRightWhateverHappens(t *testing.T) {
	outcomes := map[Outcome]int{}
	for seed := range uint64(60) {
		w := newWorld(seed)
		r := New(Config{Settle: second, Calls: 2 + int(seed%3), Concurrent: 1 + int(seed%5)})
		if seed%2 == 1 {
			w.fails = 0.15
		}
		size := 2000
		if seed%5 > 2 {
			r.seen = 20 // so that much is forgotten
		}
		heavy := seed%3 == 2 // more is written than may be read
		if heavy {
			size = 20_000
		}
		if seed%4 == 3 {
			w.behind = second / 2
		}
		stored := map[string]bool{}
		began := map[*Entry]bool{}
		var past []Entry                 // what an earlier process may have put
		confirmed := map[string]string{} // by shard
		check := func(list []Settled) {
			for _, s := range list {
				e := s.Entry
				if !began[e] {
					t.Fatalf("seed %d: entry %s has a second outcome", seed, s.Key)
				}
				delete(began, e)
				outcomes[s.Outcome]++
				switch s.Outcome {
				case Stored:
					if !slices.ContainsFunc(w.shards[s.InShard].records, func(r worldRecord) bool { return r.key == s.Key && fmt.Sprint(r.number) == s.Number }) {
						t.Fatalf("seed %d: %s is not where it was found: %s in %s", seed, s.Key, s.Number, s.InShard)
					}
				case Missing:
					if stored[s.Key] {
						t.Fatalf("seed %d: %s is missing, but it is stored", seed, s.Key)
					}
				case Unknown:
					t.Fatalf("seed %d: %s cannot be found out", seed, s.Key)
				}
			}
		}
		type pending struct {
			c   *Call
			res Result
			at  int64
		}
		var calls []pending
		shards := map[string]string{} // where the caller believes a hash to be
		for step := 0; step < 2500 || r.Len() > 0; step++ {
			w.now += int64(10 * time.Millisecond)
			for range w.rng.IntN(3) { // other producers
				w.put(w.rng.Uint64(), fmt.Sprintf("other-%010d", w.rng.IntN(1e9)), 100+w.rng.IntN(size))
			}
			if w.rng.IntN(400) == 0 {
				w.split()
			}
			if step < 2500 && w.rng.IntN(20) == 0 {
				hash := w.rng.Uint64()
				key := fmt.Sprintf("%016d", w.rng.Uint64()%1e16)
				root := w.shardOf(hash).id
				if w.rng.IntN(5) == 0 { // a map that is old
					if old := shards[fmt.Sprint(hash>>62)]; old != "" && w.shards[old].first <= hash && hash <= w.shards[old].last {
						root = old
					}
				}
				shards[fmt.Sprint(hash>>62)] = root
				e := &Entry{Key: key, Shard: root, Hash: aggregation.HashKey{Hi: hash}, Began: w.now, Bytes: 300, Since: time.Unix(0, w.now-int64(time.Minute)), Near: time.Unix(0, w.now/second*second)}
				if w.rng.IntN(2) == 0 {
					if e.After = confirmed[root]; w.rng.IntN(2) == 0 {
						e.NearAfter = e.After
					}
				}
				if w.rng.IntN(3) > 0 {
					w.put(hash, key, 300)
					stored[key] = true
					if w.rng.IntN(3) == 0 { // another one is confirmed
						s := w.shardOf(hash)
						confirmed[s.id] = fmt.Sprint(w.number)
					}
				}
				e.Ended = w.now + int64(w.rng.IntN(400))*int64(time.Millisecond)
				e.Until = w.now + 60*second
				began[e] = true
				check(r.Add(e, w.now))
				old := Entry{Key: key, Shard: root, Hash: e.Hash, After: e.After, Since: e.Since, Near: e.Near, NearAfter: e.NearAfter, Earlier: true, Bytes: 300}
				past = append(past, old)
			}
			// Several contents have parts of one record of an earlier process.
			if step < 2500 && len(past) > 0 && w.rng.IntN(60) == 0 {
				for range 1 + w.rng.IntN(3) {
					e := past[w.rng.IntN(len(past))]
					e.Ended, e.Until = w.now, w.now+60*second
					began[&e] = true
					check(r.Add(&e, w.now))
				}
			}
			calls = slices.DeleteFunc(calls, func(p pending) bool {
				if p.at > w.now {
					return false
				}
				check(r.Done(p.c, p.res, w.now))
				checkBounds(t, r)
				return true
			})
			if due := r.Due(w.now); due <= w.now {
				for c := r.Next(w.now); c != nil; c = r.Next(w.now) {
					res := c.Do(context.Background(), w, aws.String("s"), nil)
					calls = append(calls, pending{c, res, w.now + int64(w.rng.IntN(300))*int64(time.Millisecond)})
				}
				for _, e := range r.Late(w.now) {
					if w.fails == 0 && !heavy && r.seen == maxSeen {
						t.Fatalf("seed %d: %s has no outcome in its time", seed, e.Key)
					}
					delete(began, e)
					outcomes[Unknown]++
				}
			}
		}
		if len(began) > 0 {
			t.Fatalf("seed %d: %d entries got no outcome", seed, len(began))
		}
		if r.Bytes() != 0 {
			t.Fatalf("seed %d: %d bytes are left of no entries", seed, r.Bytes())
		}
		for id, list := range w.reads {
			for i := r.cfg.Calls; i < len(list); i++ {
				if list[i]-list[i-r.cfg.Calls] < second {
					t.Fatalf("seed %d: more than %d calls for %s in a second", seed, r.cfg.Calls, id)
				}
			}
		}
	}
	if outcomes[Stored] < 100 || outcomes[Missing] < 100 {
		t.Errorf("unexpected outcomes %v; want many stored and missing", outcomes)
	}
	t.Log(outcomes)
}

// checkBounds fails if a shard has more passes that have read something, or remembers more, than it may.
func checkBounds(t *testing.T, r *Reader) {
	t.Helper()
	for id, s := range r.shards {
		used, keys := 0, 0
		for _, p := range s.passes {
			if p.used {
				used++
			}
			for _, c := range p.seen {
				keys += len(c.keys)
			}
		}
		for e := range s.entries {
			if !slices.ContainsFunc(s.passes, func(p *pass) bool { return p.users[e] }) {
				t.Fatalf("shard %s has no pass that reads all of entry %s", id, e.Key)
			}
		}
		if used > maxPasses || keys > r.seen {
			t.Fatalf("shard %s has %d passes that have read, and %d keys; want at most %d and %d", id, used, keys, maxPasses, r.seen)
		}
	}
}

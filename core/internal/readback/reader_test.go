// SPDX-License-Identifier: Apache-2.0

package readback

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/outkpl/outkpl/aggregation"
)

// world is a stream with a clock of its own, whose shards split.
type world struct {
	now    int64
	rng    *rand.Rand
	shards map[string]*worldShard
	order  []string
	number int
	fails  float64
	behind int64 // how far the clock of its shards is behind that by which entries say when
	reads  map[string][]int64
	bytes  map[string]int
}

type worldShard struct {
	id          string
	first, last uint64 // of the high half of hash keys
	records     []worldRecord
	closed      bool
	children    []string
}

type worldRecord struct {
	key    string
	number int
	at     int64
	size   int
}

func newWorld(seed uint64) *world {
	w := &world{now: int64(time.Hour), rng: rand.New(rand.NewPCG(seed, 0)), shards: map[string]*worldShard{}, reads: map[string][]int64{}, bytes: map[string]int{}}
	w.open(0, 1<<63-1)
	w.open(1<<63, 1<<64-1)
	return w
}

func (w *world) open(first, last uint64) string {
	id := fmt.Sprintf("shard-%d", len(w.order))
	w.shards[id] = &worldShard{id: id, first: first, last: last}
	w.order = append(w.order, id)
	return id
}

func (w *world) shardOf(hash uint64) *worldShard {
	for _, id := range w.order {
		if s := w.shards[id]; !s.closed && s.first <= hash && hash <= s.last {
			return s
		}
	}
	panic("no shard")
}

func (w *world) put(hash uint64, key string, size int) {
	s := w.shardOf(hash)
	w.number++
	s.records = append(s.records, worldRecord{key, w.number, w.now - w.behind, size})
}

func (w *world) split() {
	id := w.order[w.rng.IntN(len(w.order))]
	s := w.shards[id]
	if s.closed || s.last-s.first < 1000 {
		return
	}
	mid := s.first + (s.last-s.first)/2
	s.closed = true
	s.children = []string{w.open(s.first, mid), w.open(mid+1, s.last)}
}

func apiError(code string) error { return &smithy.GenericAPIError{Code: code} }

// GetShardIterator implements API.
func (w *world) GetShardIterator(_ context.Context, in *kinesis.GetShardIteratorInput, _ ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error) {
	w.reads[*in.ShardId] = append(w.reads[*in.ShardId], w.now)
	if w.rng.Float64() < w.fails {
		return nil, apiError([]string{"LimitExceededException", "InternalFailure"}[w.rng.IntN(2)])
	}
	s, pos := w.shards[*in.ShardId], 0
	switch in.ShardIteratorType {
	case types.ShardIteratorTypeAfterSequenceNumber:
		var n int
		_, _ = fmt.Sscan(*in.StartingSequenceNumber, &n)
		for pos < len(s.records) && s.records[pos].number <= n {
			pos++
		}
	case types.ShardIteratorTypeAtTimestamp:
		return &kinesis.GetShardIteratorOutput{ShardIterator: aws.String(fmt.Sprint(s.id, " 0 ", in.Timestamp.UnixNano()))}, nil
	}
	return &kinesis.GetShardIteratorOutput{ShardIterator: aws.String(fmt.Sprint(s.id, " ", pos))}, nil
}

// GetRecords implements API. It has empty pages.
func (w *world) GetRecords(_ context.Context, in *kinesis.GetRecordsInput, _ ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	var id string
	var pos int
	var since int64 // of an iterator that has come to nothing yet
	_, _ = fmt.Sscan(*in.ShardIterator, &id, &pos, &since)
	w.reads[id] = append(w.reads[id], w.now)
	if w.rng.Float64() < w.fails {
		return nil, apiError([]string{"ProvisionedThroughputExceededException", "ExpiredIteratorException", "InternalFailure"}[w.rng.IntN(3)])
	}
	s, out := w.shards[id], &kinesis.GetRecordsOutput{}
	most := int(*in.Limit)
	if w.rng.IntN(4) == 0 {
		most = 0
	}
	for since != 0 && pos < len(s.records) && s.records[pos].at < since {
		pos++
	}
	if pos == len(s.records) && since != 0 && !s.closed {
		out.NextShardIterator, out.MillisBehindLatest = in.ShardIterator, aws.Int64(0)
		return out, nil
	}
	for ; pos < len(s.records) && len(out.Records) < most; pos++ {
		r := s.records[pos]
		w.bytes[id] += r.size
		out.Records = append(out.Records, types.Record{PartitionKey: &r.key, ApproximateArrivalTimestamp: aws.Time(time.Unix(0, r.at)), SequenceNumber: aws.String(fmt.Sprint(r.number)), Data: make([]byte, r.size-len(r.key))})
	}
	behind := int64(len(s.records) - pos)
	out.MillisBehindLatest = &behind
	if pos == len(s.records) && s.closed {
		for _, c := range s.children {
			first, last := aggregation.HashKey{Hi: w.shards[c].first}, aggregation.HashKey{Hi: w.shards[c].last, Lo: 1<<64 - 1}
			out.ChildShards = append(out.ChildShards, types.ChildShard{ShardId: aws.String(c), HashKeyRange: &types.HashKeyRange{
				StartingHashKey: aws.String(string(first.AppendDecimal(nil))), EndingHashKey: aws.String(string(last.AppendDecimal(nil))),
			}})
		}
		return out, nil
	}
	out.NextShardIterator = aws.String(fmt.Sprint(id, " ", pos))
	return out, nil
}

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
		for step := 0; step < 4000; step++ {
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
					delete(began, e)
					outcomes[Unknown]++
				}
			}
		}
		if len(began) != r.Len() || w.fails == 0 && !heavy && r.seen == maxSeen && r.Len() > 0 {
			t.Fatalf("seed %d: entries without an outcome; got %d, the reader has %d", seed, len(began), r.Len())
		}
		if r.Len() == 0 && r.Bytes() != 0 {
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

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
	s.records = append(s.records, worldRecord{key, w.number, w.now, size})
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
		for pos < len(s.records) && s.records[pos].at < in.Timestamp.UnixNano() {
			pos++
		}
	}
	return &kinesis.GetShardIteratorOutput{ShardIterator: aws.String(fmt.Sprint(s.id, " ", pos))}, nil
}

// GetRecords implements API. It has empty pages.
func (w *world) GetRecords(_ context.Context, in *kinesis.GetRecordsInput, _ ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	var id string
	var pos int
	_, _ = fmt.Sscan(*in.ShardIterator, &id, &pos)
	w.reads[id] = append(w.reads[id], w.now)
	if w.rng.Float64() < w.fails {
		return nil, apiError([]string{"ProvisionedThroughputExceededException", "ExpiredIteratorException", "InternalFailure"}[w.rng.IntN(3)])
	}
	s, out := w.shards[id], &kinesis.GetRecordsOutput{}
	most := int(*in.Limit)
	if w.rng.IntN(4) == 0 {
		most = 0
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
		heavy := seed%3 == 2 // more is written than may be read
		if heavy {
			size = 20_000
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
					e.After = confirmed[root]
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
				old := Entry{Key: key, Shard: root, Hash: e.Hash, After: e.After, Since: e.Since, Near: e.Near, Earlier: true, Bytes: 300}
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
		if len(began) != r.Len() || w.fails == 0 && !heavy && r.Len() > 0 {
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
				for n := range maxSeen {
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
		{position{since: a}, position{after: "1"}, false, position{since: a}},
	} {
		if got := c.p.covers(c.o); got != c.covers {
			t.Errorf("unexpected cover of %+v by %+v; got %t", c.o, c.p, got)
		}
		if got := c.p.earlier(c.o); got != c.earlier {
			t.Errorf("unexpected earlier of %+v and %+v; got %+v; want %+v", c.p, c.o, got, c.earlier)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// tracedProducer is one whose calls j is told of.
func tracedProducer(t *testing.T, s *kinesistest.Server, j *Journal, opts ...core.Option) *core.Producer {
	t.Helper()
	p, err := core.New(s.Client(), append(j.Options(), opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = p.Close(ctx)
	})
	return p
}

func putTraced(t *testing.T, p *core.Producer, e *Entry, records []core.Record, numbers []int32) *core.Batch {
	t.Helper()
	b, err := p.PutBatch(core.WithBatchTag(t.Context(), &Put{Entry: e, Numbers: numbers}), "logs", records)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Without aggregation a call has 500 Kinesis records, and what is written of it is short all the same,
// whatever the order of answers. All of them are uncertain as long as no answer is heard.
func TestCallsWithoutAggregationAreShort(t *testing.T) {
	for name, key := range map[string]string{"no key": "", "keys": "key %d"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				j := mustOpen(t, Config{Dir: dir})
				s := kinesistest.New(kinesistest.WithStream("logs", 4), kinesistest.WithLimits(kinesistest.Limits{}))
				p := tracedProducer(t, s, j, core.WithAggregation(false), core.WithRateLimit(100_000))
				e, second := begin(t, j, "content", 2000), begin(t, j, "second", 100)
				records := make([]core.Record, 2000)
				for i := range records {
					records[i].Data = fmt.Append(nil, i)
					if key != "" {
						records[i].PartitionKey = fmt.Sprintf(key, i)
					}
				}
				before := j.Stats().Written
				if err := putTraced(t, p, e, records, nil).Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := j.Stats().Written - before; got > 1000 {
					t.Errorf("unexpected bytes for 2,000 records in calls of 500; got %d; want at most 1000", got)
				}
				s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Hang()})
				numbers := make([]int32, 50)
				for i := range numbers {
					numbers[i] = int32(2 * i)
				}
				putTraced(t, p, second, records[:50], numbers)
				time.Sleep(time.Second)
				synctest.Wait()
				crash(j)
				recovered := mustOpen(t, Config{Dir: dir}).Recovered()
				if len(recovered) != 2 {
					t.Fatalf("unexpected entries; got %d; want 2", len(recovered))
				}
				if missing := recovered[0].Progress().Missing; len(missing) != 0 {
					t.Errorf("unexpected missing records; got %d; want none, all are confirmed", len(missing))
				}
				var uncertain []int32
				for _, q := range recovered[1].Uncertain() {
					if q.Unanswered != nil {
						t.Errorf("unexpected record that can be looked for; got %v", q.Numbers)
					}
					uncertain = append(uncertain, q.Numbers...)
				}
				slices.Sort(uncertain)
				if !slices.Equal(uncertain, numbers) || len(recovered[1].Progress().Missing) != 100 {
					t.Errorf("unexpected uncertain records; got %v; want %v", uncertain, numbers)
				}
			})
		})
	}
}

// A batch whose records cannot be told of costs what is noted of the calls it is in. The records of others
// in these calls must not become confirmed with the next answer.
func TestWhatIsSentIsNotConfirmedAfterAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		j := mustOpen(t, Config{Dir: dir})
		s := kinesistest.New(kinesistest.WithStream("logs", 1), kinesistest.WithLimits(kinesistest.Limits{}))
		p := tracedProducer(t, s, j)
		var list []*Entry
		for _, content := range []string{"first", "second", "third"} {
			list = append(list, begin(t, j, content, 10))
		}
		records := make([]core.Record, 10)
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Hang()})
		putTraced(t, p, list[0], records, nil)
		putTraced(t, p, list[1], records, []int32{0}) // it has no more numbers
		time.Sleep(time.Second)
		if err := putTraced(t, p, list[2], records, nil).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		crash(j)
		// Of the others nothing is known.
		log, logged := lines()
		recovered := mustOpen(t, Config{Dir: dir, Logger: log}).Recovered()
		if len(recovered) != 1 || recovered[0].Progress().Identity != list[2].state.head.Identity || len(recovered[0].Progress().Missing) != 0 {
			t.Errorf("unexpected entries; got %d; want that of the third content, all of it confirmed", len(recovered))
		}
		if strings.Contains(logged(), "level=WARN") {
			t.Errorf("unexpected journal; got %s; want no damage", logged())
		}
	})
}

// Records that cannot be looked for lie between others that can, and each of these has its own records
// and no more: what is looked for and found is not sent again.
func TestRecordsThatCanBeLookedForAreWrittenOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		j := mustOpen(t, Config{Dir: dir})
		s := kinesistest.New(kinesistest.WithStream("logs", 8), kinesistest.WithLimits(kinesistest.Limits{}))
		p := tracedProducer(t, s, j, core.WithVerifyUncertain(true), core.WithRateLimit(100_000))
		var inner aggregation.Builder // is not wrapped once more
		inner.Add("k", []byte("x"))
		inner.Add("l", []byte("y"))
		aggregate := inner.AppendOpen(nil)
		aggregation.Seal(aggregate)
		var records []core.Record
		for i, sh := range s.Shards("logs") {
			if i%2 == 0 { // alone in its shard, so that it goes as it is
				records = append(records, core.Record{PartitionKey: "k", ExplicitHashKey: sh.StartingHashKey, Data: aggregate})
				continue
			}
			for k := range 10 {
				records = append(records, core.Record{PartitionKey: "k", ExplicitHashKey: sh.StartingHashKey, Data: fmt.Append(nil, "record ", k)})
			}
		}
		if err := putTraced(t, p, begin(t, j, "before", len(records)), records, nil).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		last := map[string]string{}
		for _, r := range s.Records("logs") {
			last[r.ShardID] = max(last[r.ShardID], r.SequenceNumber)
		}
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.LoseReply()})
		s.Fault(kinesistest.Fault{Operation: "GetShardIterator", Effect: kinesistest.Hang()}) // or they would be found at once
		e := begin(t, j, "content", len(records))
		putTraced(t, p, e, records, nil)
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		for _, c := range j.calls {
			times := map[int32]int{}
			d := decoder{b: c.frame[frameHead : len(c.frame)-frameTail]}
			if _, _, ok := readSent(&d, func(q *UncertainRecord, entry uint64, numbers []int32) {
				if len(numbers) == 0 {
					t.Errorf("unexpected Kinesis record %q; it has entry %d without records", q.PartitionKey, entry)
				}
				for _, n := range numbers {
					if times[n]++; times[n] > 1 {
						t.Errorf("unexpected Kinesis record %q; it has record %d, which another one of the call has", q.PartitionKey, n)
					}
				}
			}); !ok {
				t.Error("unexpected frame; it cannot be read")
			}
		}
		crash(j)
		byKey := map[string]kinesistest.Record{}
		for _, r := range s.Records("logs") {
			if r.SequenceNumber > last[r.ShardID] {
				byKey[r.PartitionKey] = r
			}
		}
		recovered := mustOpen(t, Config{Dir: dir}).Recovered()
		e = recovered[len(recovered)-1]
		seen := map[int32]int{}
		can := 0
		for _, q := range e.Uncertain() {
			for _, n := range q.Numbers {
				seen[n]++
			}
			if q.Unanswered == nil {
				continue
			}
			can++
			r, ok := byKey[q.PartitionKey]
			if !ok || q.ShardID != r.ShardID || q.Unanswered.ShardID != r.ShardID || q.Unanswered.After != last[r.ShardID] {
				t.Fatalf("unexpected place of %q; got %s after %s; want %s after %s", q.PartitionKey, q.ShardID, q.Unanswered.After, r.ShardID, last[r.ShardID])
			}
			list, whole := aggregation.Deaggregate(r.PartitionKey, "", r.Data)
			if !whole || len(list) != len(q.Numbers) {
				t.Fatalf("unexpected number of user records of %q; got %d; want the %d that are stored", q.PartitionKey, len(q.Numbers), len(list))
			}
			for k, n := range q.Numbers {
				if !bytes.Equal(list[k].Data, records[n].Data) {
					t.Fatalf("unexpected user record %d of %q; got %q; want %q", k, q.PartitionKey, records[n].Data, list[k].Data)
				}
			}
		}
		if can != 4 || len(seen) != len(records) {
			t.Errorf("unexpected uncertain records; got %d, and %d Kinesis records that can be looked for; want %d and 4", len(seen), can, len(records))
		}
	})
}

// What has no entry that is under way here is not written, and no call is kept for it.
func TestRecordsOfNoEntryAreNotWritten(t *testing.T) {
	for _, aggregation := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			j, other := mustOpen(t, Config{Dir: t.TempDir()}), mustOpen(t, Config{Dir: t.TempDir()})
			s := kinesistest.New(kinesistest.WithStream("logs", 1), kinesistest.WithLimits(kinesistest.Limits{}))
			p := tracedProducer(t, s, j, core.WithAggregation(aggregation), core.WithVerifyUncertain(aggregation))
			ended := begin(t, j, "content", 10)
			ended.End()
			j.mu.Lock()
			j.flush()
			j.mu.Unlock()
			before := j.Stats().Written
			for name, e := range map[string]*Entry{"none": nil, "ended": ended, "of another journal": begin(t, other, "content", 10)} {
				b := putTraced(t, p, e, make([]core.Record, 10), nil)
				if err := b.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				settled := 0
				if e != nil {
					settled = e.state.settled.n
				}
				if n := j.Stats().Written - before; n != 0 || len(j.calls) != 0 || settled != 0 {
					t.Errorf("unexpected note of an entry that is %s; got %d bytes, %d calls, %d settled; want none", name, n, len(j.calls), settled)
				}
			}
		})
	}
}

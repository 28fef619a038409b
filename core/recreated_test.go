// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// place is where a record was confirmed.
type place struct{ shardID, sequenceNumber string }

// placedLoad submits batches from several goroutines, each with a pause in between,
// until stop is closed, and returns where each payload was confirmed.
func placedLoad(t *testing.T, p *core.Producer, stop <-chan struct{}, pause time.Duration, workers, perBatch int, unkeyed bool) map[string]place {
	places := map[string]place{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for round := 0; ; round++ {
				select {
				case <-stop:
					return
				case <-time.After(pause):
				}
				records := batchOf(fmt.Sprintf("w%d-%d", w, round), perBatch)
				if unkeyed {
					for i := range records {
						records[i].PartitionKey = ""
					}
				}
				b, err := p.PutBatch(context.Background(), stream, records)
				if err == nil {
					err = b.WaitSettled(context.Background())
				}
				if err == nil {
					err = b.Err()
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for i := range records {
					r := b.Result(i)
					places[string(records[i].Data)] = place{r.ShardID, r.SequenceNumber}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return places
}

// recreate deletes the stream and creates it again, before anybody can see that it
// is missing: all others sleep meanwhile.
func recreate(t *testing.T, s *kinesistest.Server, shards int) {
	t.Helper()
	synctest.Wait()
	if err := s.DeleteStream(stream); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateStream(stream, kinesistest.StreamConfig{Shards: shards}); err != nil {
		t.Fatal(err)
	}
}

// A recreated stream has shards with the same ids and other ranges. An answer from
// the predicted id then proves nothing by itself.
func TestRecordsConfirmedByARecreatedStreamAreSeenByItsConsumers(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to int
		lag      time.Duration // of ListShards
		opts     []core.Option
	}{
		{name: "4 to 7 shards", from: 4, to: 7},
		{name: "4 to 3 shards", from: 4, to: 3},
		{name: "1 to 4 shards", from: 1, to: 4},
		{name: "4 to 1 shards", from: 4, to: 1},
		{name: "4 to 7 shards, stale ListShards", from: 4, to: 7, lag: 2 * time.Second},
		{name: "4 to 3 shards, strict ordering", from: 4, to: 3, opts: []core.Option{core.WithOrdering(core.OrderingStrict)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, c.from), kinesistest.WithListShardsLag(c.lag))
				s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: 10 * time.Millisecond, DelayReply: 10 * time.Millisecond}})
				var log logText
				p := newProducer(t, s.Client(), append(c.opts, log.option())...)
				stop := make(chan struct{})
				ended := make(chan map[string]place)
				go func() { ended <- placedLoad(t, p, stop, 50*time.Millisecond, 4, 50, false) }()
				time.Sleep(5 * time.Second)
				recreate(t, s, c.to)
				first := aws.ToString(shardsOf(t, s)[0].SequenceNumberRange.StartingSequenceNumber)
				time.Sleep(10 * time.Second)
				close(stop)
				places := <-ended
				closeProducer(t, p)
				st := checkAccounts(t, p)
				m, fresh := seen(s), 0
				for payload, at := range places {
					if at.sequenceNumber < first {
						continue // in the stream that is deleted
					}
					if fresh++; m[payload] != 1 {
						t.Fatalf("unexpected number of deliveries of %q, confirmed at %+v; got %d; want 1", payload, at, m[payload])
					}
				}
				if fresh < 10_000 || st.AutoInferred != 0 || st.Uncertain != 0 {
					t.Errorf("unexpected outcome: %d records in the new stream, %d times taken for AUTO, %d uncertain", fresh, st.AutoInferred, st.Uncertain)
				}
				if got := strings.Count(log.String(), "recreated"); got != 1 {
					t.Errorf("unexpected number of log lines on the recreated stream; got %d; want 1 in %s", got, log.String())
				}
			})
		})
	}
}

// shardsOf returns the shards that the stream has now, closed ones too.
func shardsOf(t *testing.T, s *kinesistest.Server) []types.Shard {
	t.Helper()
	out, err := s.Client().DescribeStream(context.Background(), &kinesis.DescribeStreamInput{StreamName: aws.String(stream)})
	if err != nil {
		t.Fatal(err)
	}
	return out.StreamDescription.Shards
}

// An answer of the deleted stream may come when the map of the new one is there. What it
// confirms is gone with the stream, so it is resent; no need to wait and see.
func TestLateAnswersOfADeletedStreamAreResentAtOnce(t *testing.T) {
	for _, to := range []int{3, 4, 7} {
		synctest.Test(t, func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithStream(stream, 4))
			p := newProducer(t, s.Client())
			wait(t, put(t, p, batchOf("warm", 100)))
			late := s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Effect{DelayReply: 2 * time.Second}})
			records := batchOf("late", 10)
			for i := range records {
				records[i].ExplicitHashKey = fmt.Sprint("3000000000000000000000000000000000000", i) // of the last shard
			}
			b := put(t, p, records)
			time.Sleep(100 * time.Millisecond)
			recreate(t, s, to)
			other := batchOf("other", 100)
			wait(t, put(t, p, other))
			start := time.Now()
			wait(t, b)
			if got := time.Since(start); got > 3500*time.Millisecond {
				t.Errorf("%d shards: unexpected wait for the late answer's records; got %v; want the 2 s of its delay and two lists", to, got)
			}
			closeProducer(t, p)
			if late.Hits() != 1 {
				t.Errorf("unexpected number of late answers; got %d; want 1", late.Hits())
			}
			checkDelivered(t, s, records, other)
			if st := checkAccounts(t, p); st.Uncertain != 0 {
				t.Errorf("%d shards: unexpected number of uncertain records; got %d; want 0", to, st.Uncertain)
			}
		})
	}
}

// checkConfirmed fails unless consumers see each record that the present stream has
// confirmed, and only those more than once of which an attempt is uncertain.
func checkConfirmed(t *testing.T, s *kinesistest.Server, records []core.Record, batches []*core.Batch) {
	t.Helper()
	first := aws.ToString(shardsOf(t, s)[0].SequenceNumberRange.StartingSequenceNumber)
	m := seen(s)
	n := 0
	for _, b := range batches {
		for i := range b.Len() {
			r, data := b.Result(i), string(records[n].Data)
			n++
			if r.Err != nil {
				t.Fatalf("unexpected error of %q: %v", data, r.Err)
			}
			unsure := slices.ContainsFunc(r.Attempts, func(a core.Attempt) bool { return a.Uncertain })
			if got := m[data]; r.SequenceNumber >= first && (got == 0 || got > 1 && !unsure) {
				t.Fatalf("unexpected number of deliveries of %q; got %d with %+v; want 1", data, got, r.Attempts)
			}
		}
	}
}

// steady submits a batch each 50 ms, without waiting for outcomes, for some time.
func steady(t *testing.T, p *core.Producer, name string, d time.Duration) (records []core.Record, batches []*core.Batch) {
	for i := range int(d / (50 * time.Millisecond)) {
		some := batchOf(fmt.Sprint(name, "-", i), 40)
		records, batches = append(records, some...), append(batches, put(t, p, some))
		time.Sleep(50 * time.Millisecond)
	}
	return records, batches
}

// A list of shards that is behind may be the first one that a producer gets, or be
// behind for longer than it waits; and streams may be recreated more than once. No list
// that does not fit the answers may make it believe in the old ranges.
func TestListOfADeletedStreamIsNeverBelieved(t *testing.T) {
	for _, c := range []struct {
		name string
		from int
		to   []int // recreated with so many shards, one after the other
		lag  time.Duration
		warm bool // the producer has confirmed records of the first stream
		opts []core.Option
	}{
		{name: "producer starts behind", from: 4, to: []int{7}, lag: 2 * time.Second},
		{name: "producer starts far behind", from: 4, to: []int{3}, lag: 5 * time.Second},
		{name: "producer starts behind, strict ordering", from: 4, to: []int{7}, lag: 5 * time.Second, opts: []core.Option{core.WithOrdering(core.OrderingStrict)}},
		{name: "list is behind for longer than answers wait", from: 4, to: []int{7}, lag: 14 * time.Second, warm: true},
		{name: "list is behind for long after the start", from: 4, to: []int{3}, lag: 25 * time.Second},
		{name: "recreated twice within the lag", from: 4, to: []int{7, 5}, lag: 13 * time.Second, warm: true},
		{name: "recreated twice", from: 4, to: []int{7, 3}, warm: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, c.from), kinesistest.WithListShardsLag(c.lag))
				s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: 5 * time.Millisecond, DelayReply: 5 * time.Millisecond}})
				time.Sleep(time.Minute)
				var p *core.Producer
				var records []core.Record
				var batches []*core.Batch
				load := func(name string, d time.Duration) {
					r, b := steady(t, p, name, d)
					records, batches = append(records, r...), append(batches, b...)
				}
				if c.warm {
					p = newProducer(t, s.Client(), c.opts...)
					load("warm", 3*time.Second)
				}
				for i, n := range c.to {
					recreate(t, s, n)
					if p == nil {
						p = newProducer(t, s.Client(), c.opts...)
					}
					load(fmt.Sprint("new", i), 4*time.Second)
				}
				load("end", 2*c.lag+5*time.Second)
				closeProducer(t, p)
				checkConfirmed(t, s, records, batches)
				checkAccounts(t, p)
			})
		})
	}
}

// A pipeline's first answer may come late, from a stream that is deleted meanwhile. That
// must not make it blind to what comes then.
func TestFirstAnswerOfADeletedStreamLeavesTheEyesOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Effect{DelayReply: 2 * time.Second}})
		p := newProducer(t, s.Client())
		one := batchOf("one", 100)
		records, batches := one, []*core.Batch{put(t, p, one)}
		time.Sleep(time.Second)
		recreate(t, s, 5)
		for i, n := range []int{0, 8} {
			if n > 0 {
				recreate(t, s, n)
			}
			r, b := steady(t, p, fmt.Sprint(i), 5*time.Second)
			records, batches = append(records, r...), append(batches, b...)
		}
		closeProducer(t, p)
		checkConfirmed(t, s, records, batches)
		if st := checkAccounts(t, p); st.Uncertain != 0 {
			t.Errorf("unexpected number of uncertain records; got %d; want 0", st.Uncertain)
		}
	})
}

// An endpoint may make sequence numbers in ways of its own. If they are of another kind,
// nothing changes.
func TestSequenceNumbersOfAnotherKindProveNothing(t *testing.T) {
	for _, start := range []string{"1", "", "49000000000000000000000000000000000000000000000000000001"} {
		synctest.Test(t, func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithStream(stream, 4))
			p := newProducer(t, renumbering{s.Client(), func(string) string { return start }})
			var all [][]core.Record
			for i := range 20 {
				records := batchOf(fmt.Sprint(i), 50)
				all = append(all, records)
				wait(t, put(t, p, records))
				if i == 10 {
					if err := s.SplitEven(stream, "shardId-000000000001"); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Millisecond)
				}
			}
			closeProducer(t, p)
			checkDelivered(t, s, all...)
			if st := checkAccounts(t, p); st.Uncertain != 0 || st.WrongShard == 0 || st.WrongShard > 50 || st.MapRefreshes > 4 {
				t.Errorf("unexpected counters; got %d uncertain, %d in a wrong shard, %d maps; want 0, some of one batch, at most 4", st.Uncertain, st.WrongShard, st.MapRefreshes)
			}
		})
	}
}

// If list and answers never fit, the producer waits at first, says so, and then does without
// aggregates: a record that is not aggregated is right whatever the list is of.
func TestListThatNeverFitsCostsTheAggregation(t *testing.T) {
	for name, start := range map[string]func(string) string{
		"the list is older": func(s string) string { return "4930" + s[4:] },
		"the list is newer": func(s string) string { return "4990" + s[4:] },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 4))
				var log logText
				p := newProducer(t, renumbering{s.Client(), start}, log.option())
				first := batchOf("first", 200)
				b := put(t, p, first)
				wait(t, b)
				records, batches := first, []*core.Batch{b}
				began := time.Now()
				for i := range 50 {
					some := batchOf(fmt.Sprint(i), 50)
					b := put(t, p, some)
					wait(t, b)
					records, batches = append(records, some...), append(batches, b)
				}
				if d := time.Since(began); d > time.Minute {
					t.Errorf("unexpected time for 50 batches; got %v; want a few waits at most", d)
				}
				closeProducer(t, p)
				checkConfirmed(t, s, records, batches)
				st := checkAccounts(t, p)
				if st.Uncertain > 1000 || st.MapRefreshes > 500 {
					t.Errorf("unexpected counters; got %d uncertain, %d maps; want some attempts of the first batches at most, and 500", st.Uncertain, st.MapRefreshes)
				}
				if strings.Count(log.String(), "does not fit") != 1 {
					t.Errorf("unexpected log; got %q; want one line on the list", log.String())
				}
			})
		})
	}
}

// renumbering is a client whose ListShards gives other sequence numbers.
type renumbering struct {
	core.Client
	start func(string) string
}

// ListShards implements core.Client.
func (c renumbering) ListShards(ctx context.Context, in *kinesis.ListShardsInput, opts ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	out, err := c.Client.ListShards(ctx, in, opts...)
	if err != nil {
		return nil, err
	}
	out.Shards = slices.Clone(out.Shards)
	for i := range out.Shards {
		r := *out.Shards[i].SequenceNumberRange
		r.StartingSequenceNumber = aws.String(c.start(aws.ToString(r.StartingSequenceNumber)))
		out.Shards[i].SequenceNumberRange = &r
	}
	return out, nil
}

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

// placedLoad is load that returns where each payload was confirmed.
func placedLoad(t *testing.T, p *core.Producer, stop <-chan struct{}, workers, perBatch int, unkeyed bool) map[string]place {
	places := map[string]place{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for round := 0; ; round++ {
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Millisecond):
				}
				records := batchOf(fmt.Sprintf("w%d-%d", w, round), perBatch)
				if unkeyed {
					for i := range records {
						records[i].PartitionKey = ""
					}
				}
				b, err := p.PutBatch(context.Background(), stream, records)
				if err == nil {
					err = b.Wait(context.Background())
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
// is missing.
func recreate(t *testing.T, s *kinesistest.Server, shards int) {
	t.Helper()
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
				go func() { ended <- placedLoad(t, p, stop, 4, 50, false) }()
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

// An endpoint may make sequence numbers in ways of its own. Then they must not keep
// records from being confirmed, nor have them resent.
func TestSequenceNumbersOfAnotherKindAreNotBelieved(t *testing.T) {
	for _, c := range []struct {
		name  string
		start func(string) string // of StartingSequenceNumber
	}{
		{"short ones", func(string) string { return "1" }},
		{"none", func(string) string { return "" }},
		{"of another time", func(s string) string { return "49100000000000000000" + s[20:] }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 4))
				p := newProducer(t, renumbering{s.Client(), c.start})
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
		})
	}
}

// renumbering is a client whose ListShards tells other sequence numbers.
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

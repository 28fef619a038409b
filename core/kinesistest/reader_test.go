// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"context"
	"crypto/md5"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/aggregation"
)

// aggregate packs records of the form key=data.
func aggregate(t *testing.T, ehk string, add func(b *aggregation.Builder)) types.PutRecordsRequestEntry {
	t.Helper()
	var b aggregation.Builder
	add(&b)
	return types.PutRecordsRequestEntry{PartitionKey: aws.String("a"), ExplicitHashKey: aws.String(ehk), Data: b.AppendTo(nil)}
}

// frame makes an aggregate of a message that the builder cannot make.
func frame(message string) []byte {
	sum := md5.Sum([]byte(message))
	return slices.Concat([]byte("\xf3\x89\x9a\xc2"), []byte(message), sum[:])
}

func TestReadersDropAggregatesWithARecordOutsideTheirShard(t *testing.T) {
	mid := must[aggregation.HashKey](t)(aggregation.ParseHashKey(middle))
	const notUTF8 = "k9\xff\xfe"
	raw, text := aggregation.HashPartitionKey(notUTF8), aggregation.HashPartitionKey("k9\ufffd\ufffd")
	if raw.Compare(mid) >= 0 || text.Compare(mid) < 0 {
		t.Fatal("the key is in the same shard as bytes and as text")
	}
	bothClients(t, func(t *testing.T, s *Server, c api) {
		misplaced := aggregate(t, "0", func(b *aggregation.Builder) {
			b.AddExplicit("k1", aggregation.HashKey{}, []byte("in range, before"))
			b.AddExplicit("k2", mid, []byte("out of range"))
			b.AddExplicit("k3", aggregation.HashKey{Lo: 1}, []byte("in range, after"))
		})
		right := aggregate(t, "0", func(b *aggregation.Builder) {
			b.AddExplicit("k4", aggregation.HashKey{}, []byte("first"))
			b.AddExplicit("k5", aggregation.HashKey{Hi: mid.Hi - 1, Lo: ^uint64(0)}, []byte("last"))
		})
		bytes := aggregate(t, "0", func(b *aggregation.Builder) {
			b.AddExplicit("k6", aggregation.HashKey{}, []byte("neighbour"))
			b.Add(notUTF8, []byte("bytes"))
		})
		upper := aggregate(t, middle, func(b *aggregation.Builder) { b.Add(notUTF8, []byte("text")) })
		plain := entryAt("0", "plain")
		plain.PartitionKey = aws.String("key-of-the-other-shard") // plain records are never dropped
		noNumber, noTable := entryAt("0", ""), entryAt("0", "")
		noNumber.Data = frame("\x0a\x01a\x12\x01x\x1a\x07\x08\x00\x10\x00\x1a\x01z") // explicit hash key "x"
		noTable.Data = frame("\x0a\x01a\x1a\x05\x08\x01\x1a\x01z")                   // partition key 1 of 1
		must[*kinesis.PutRecordsOutput](t)(c.PutRecords(context.Background(), puts(misplaced, right, bytes, plain, noNumber, noTable, upper)))
		read := must[Consumed](t)(ReadAll(context.Background(), c, "demo"))
		for name, got := range map[string]Consumed{"Consume": s.Consume("demo"), "ReadAll": read} {
			show := func(records []UserRecord) (lines []string) {
				for _, r := range records {
					lines = append(lines, fmt.Sprintf("%s %d %t %s %s", r.ShardID, r.SubSequenceNumber, r.Aggregated, r.PartitionKey, r.Data))
				}
				return lines
			}
			equalSlices(t, "records of "+name, show(got.Records), []string{
				shard0 + " 0 true k4 first", shard0 + " 1 true k5 last", shard0 + " 0 false key-of-the-other-shard plain",
				shard1 + " 0 true k9\ufffd\ufffd text",
			})
			equalSlices(t, "dropped by "+name, show(got.Dropped), []string{
				shard0 + " 0 true k1 in range, before", shard0 + " 1 true k2 out of range", shard0 + " 2 true k3 in range, after",
				shard0 + " 0 true k6 neighbour", shard0 + " 1 true k9\ufffd\ufffd bytes",
				shard0 + " 0 true a z", shard0 + " 0 false " + *noTable.PartitionKey + " " + string(noTable.Data),
			})
			equal(t, "dropped key of "+name, got.Dropped[1].ExplicitHashKey, middle)
			equal(t, "records out of range of "+name, got.OutOfRange, 2)
			equal(t, "dropped aggregates of "+name, got.DroppedAggregates, 4)
			equal(t, "Kinesis records of "+name, got.KinesisRecords, 7)
			equal(t, "aggregates of "+name, got.Aggregates, 5)
		}
	}, WithStream("demo", 2))
}

func TestReadAllFollowsResharding(t *testing.T) {
	bothClients(t, func(t *testing.T, s *Server, c api) {
		for i := range 4 {
			must[*kinesis.PutRecordsOutput](t)(c.PutRecords(context.Background(), puts(entryAt("0", fmt.Sprintf("low %d", i)), entryAt(middle, fmt.Sprintf("high %d", i)))))
			switch i {
			case 0:
				noError(t, s.SplitEven("demo", shard0))
			case 1:
				noError(t, s.Merge("demo", shard1, shard2))
			case 2:
				// After the first listing of ReadAll: an open shard closes while being read.
				h := s.Intercept(onFirstRead(sync.OnceFunc(func() { noError(t, s.SplitEven("demo", "shardId-000000000003")) })))
				t.Cleanup(h.Remove)
			}
		}
		got := must[Consumed](t)(ReadAll(context.Background(), c, "demo"))
		noError(t, errIf(len(s.Shards("demo")) != 6, "the last split did not happen"))
		order := map[string]int{}
		var low []string
		for i, r := range got.Records {
			order[string(r.Data)] = i
			if string(r.Data[:3]) == "low" {
				low = append(low, string(r.Data))
			}
		}
		equal(t, "records", len(order), 8)
		equalSlices(t, "records of one key, parents first", low, []string{"low 0", "low 1", "low 2", "low 3"})
	}, WithStream("demo", 1))
}

// onFirstRead makes an interceptor that runs do at the first GetRecords.
func onFirstRead(do func()) func(*Call) *Effect {
	return func(c *Call) *Effect {
		if c.Operation == "GetRecords" {
			do()
		}
		return nil
	}
}

func errIf(bad bool, text string) error {
	if bad {
		return fmt.Errorf("%s", text)
	}
	return nil
}

func TestShardIterators(t *testing.T) {
	clk := newClock()
	bothClients(t, func(t *testing.T, s *Server, c api) {
		ctx := context.Background()
		var seqs []string
		var times []time.Time
		for i := range 4 {
			clk.advance(time.Second)
			times = append(times, clk.now())
			seqs = append(seqs, *must[*kinesis.PutRecordsOutput](t)(c.PutRecords(ctx, puts(entry("k", fmt.Sprint(i))))).Records[0].SequenceNumber)
		}
		clk.advance(time.Second)
		for _, tt := range []struct {
			in   kinesis.GetShardIteratorInput
			want []string
		}{
			{kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon}, []string{"0", "1", "2", "3"}},
			{kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeLatest}, nil},
			{kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: &seqs[2]}, []string{"2", "3"}},
			{kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: &seqs[2]}, []string{"3"}},
			{kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: &times[1]}, []string{"1", "2", "3"}},
		} {
			tt.in.StreamName, tt.in.ShardId = aws.String("demo"), aws.String(shard0)
			it := must[*kinesis.GetShardIteratorOutput](t)(c.GetShardIterator(ctx, &tt.in)).ShardIterator
			var got []string
			for range 5 {
				out := must[*kinesis.GetRecordsOutput](t)(c.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it, Limit: aws.Int32(1)}))
				for _, r := range out.Records {
					got = append(got, string(r.Data))
				}
				left := len(tt.want) - len(got)
				want := int64(0)
				if left > 0 {
					want = int64(left) * 1000
				}
				equal(t, "MillisBehindLatest", aws.ToInt64(out.MillisBehindLatest), want)
				it = out.NextShardIterator
			}
			equalSlices(t, "records from "+string(tt.in.ShardIteratorType), got, tt.want)
		}
		it := must[*kinesis.GetShardIteratorOutput](t)(c.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
			StreamName: aws.String("demo"), ShardId: aws.String(shard0), ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
		})).ShardIterator
		noError(t, s.SplitEven("demo", shard0))
		out := must[*kinesis.GetRecordsOutput](t)(c.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it}))
		equal(t, "iterator at the end of a closed shard", out.NextShardIterator, nil)
		equal(t, "children", len(out.ChildShards), 2)
		equal(t, "child", aws.ToString(out.ChildShards[1].ShardId), shard2)
		equal(t, "start of the child", aws.ToString(out.ChildShards[1].HashKeyRange.StartingHashKey), middle)
		clk.advance(301 * time.Second)
		if _, err := c.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it}); fingerprintCode(err) != "ExpiredIteratorException" {
			t.Errorf("unexpected error; got %v; want ExpiredIteratorException", err)
		}
	}, WithStream("demo", 1), WithClock(clk.now))
}

// TestNothingIsLostUnderLoadAndResharding is the fake's own invariant: what was
// confirmed is what is stored and what a consumer sees, in order.
func TestNothingIsLostUnderLoadAndResharding(t *testing.T) {
	bothClients(t, func(t *testing.T, s *Server, c api) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		confirmed := map[string]string{} // by sequence number: shard
		stop := make(chan struct{})
		for w := range 4 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(w), 1))
				for range 40 {
					in := puts()
					for range 1 + rng.IntN(50) {
						in.Records = append(in.Records, entry(fmt.Sprint(rng.IntN(100)), "x"))
					}
					out, err := c.PutRecords(context.Background(), in)
					if err != nil {
						t.Errorf("unexpected error: %s", err)
						return
					}
					mu.Lock()
					for _, r := range out.Records {
						confirmed[*r.SequenceNumber] = *r.ShardId
					}
					mu.Unlock()
				}
			})
		}
		go func() { wg.Wait(); close(stop) }()
		rng := rand.New(rand.NewPCG(9, 9))
		for running := true; running; {
			select {
			case <-stop:
				running = false
			default:
				open := s.OpenShards("demo")
				if i := rng.IntN(len(open)); len(open) < 6 {
					noError(t, s.SplitEven("demo", open[i].ID))
				} else {
					noError(t, s.Merge("demo", open[i%5].ID, open[i%5+1].ID))
				}
				must[*kinesis.ListShardsOutput](t)(c.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String("demo")}))
			}
		}
		got := must[Consumed](t)(ReadAll(context.Background(), c, "demo"))
		equal(t, "records", len(got.Records), len(confirmed))
		last := map[string]string{}
		for _, r := range got.Records {
			equal(t, "shard of "+r.SequenceNumber, r.ShardID, confirmed[r.SequenceNumber])
			if r.SequenceNumber <= last[r.ShardID] {
				t.Errorf("unexpected order in %s", r.ShardID)
			}
			last[r.ShardID] = r.SequenceNumber
		}
	}, WithStream("demo", 2))
}

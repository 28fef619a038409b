// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// TestReadBackUnderAllFaults lets three producers write to one stream while answers are
// lost in all ways, entries fail and are throttled, reads fail, and shards are split and
// merged; nothing is lost, and nothing is there twice but for records of which the accounts
// say that it could not be found out. VERIFY_ROUNDS repeats it with other seeds.
func TestReadBackUnderAllFaults(t *testing.T) {
	rounds := 3
	if s := os.Getenv("VERIFY_ROUNDS"); s != "" {
		var err error
		if rounds, err = strconv.Atoi(s); err != nil {
			t.Fatalf("VERIFY_ROUNDS=%q is not a number", s)
		}
	}
	var sum core.Stats
	records, doubled := 0, 0
	for seed := range uint64(rounds) {
		synctest.Test(t, func(t *testing.T) {
			n, twice, s := verifyRound(t, seed)
			records, doubled = records+n, doubled+twice
			sum.VerifyOpened += s.VerifyOpened
			sum.VerifyStored += s.VerifyStored
			sum.VerifyMissing += s.VerifyMissing
			sum.VerifyGivenUp += s.VerifyGivenUp
			sum.WrongShard += s.WrongShard
		})
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
	t.Logf("records %d, doubled %d, looked for %d: stored %d, missing %d, given up %d; wrong shard %d",
		records, doubled, sum.VerifyOpened, sum.VerifyStored, sum.VerifyMissing, sum.VerifyGivenUp, sum.WrongShard)
	if sum.VerifyStored == 0 || sum.VerifyMissing == 0 || sum.WrongShard == 0 {
		t.Errorf("some kind of outcome did not happen: %+v", sum)
	}
}

func verifyRound(t *testing.T, seed uint64) (records, doubled int, stats core.Stats) {
	const batches, perBatch = 150, 60
	rng := rand.New(rand.NewPCG(seed, 5))
	skew := time.Duration(rng.IntN(600)-300) * time.Second
	s := kinesistest.New(kinesistest.WithStream(stream, 4), kinesistest.WithLimits(kinesistest.AWSLimits),
		kinesistest.WithClock(func() time.Time { return time.Now().Add(skew) }))
	for i, e := range []kinesistest.Effect{
		kinesistest.LoseReply(),
		{HangReply: true},
		kinesistest.Hang(), kinesistest.Reset(), kinesistest.Status(500), kinesistest.Status(503),
		{EntryCode: "InternalFailure", EntryShare: 0.5},
		{EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.5},
		kinesistest.Delay(200 * time.Millisecond),
	} {
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.02, Seed: seed*100 + uint64(i), Effect: e})
	}
	for i, e := range []kinesistest.Effect{
		kinesistest.Fail("ProvisionedThroughputExceededException", ""), kinesistest.Fail("ExpiredIteratorException", ""), kinesistest.Status(500), kinesistest.Delay(300 * time.Millisecond),
	} {
		s.Fault(kinesistest.Fault{Operation: "GetRecords", Probability: 0.03, Seed: seed*100 + 50 + uint64(i), Effect: e})
	}
	var producers []*core.Producer
	for i, opts := range [][]core.Option{
		{}, {core.WithOrdering(core.OrderingStrict), core.WithAggregationMaxBytes(3000)}, {core.WithMaxInFlight(3), core.WithMaxBufferedTime(20 * time.Millisecond)},
	} {
		opts = append(opts, core.WithVerifyUncertain(true), core.WithRequestTimeout(time.Duration(1+2*i)*time.Second))
		producers = append(producers, newProducer(t, s.Client(), opts...))
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	var faults sync.WaitGroup
	faults.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(500+rng.IntN(3000)) * time.Millisecond):
			}
			open := s.OpenShards(stream)
			if i := rng.IntN(len(open)); len(open) < 6 {
				_ = s.SplitEven(stream, open[i].ID)
			} else if i > 0 {
				_ = s.Merge(stream, open[i-1].ID, open[i].ID)
			}
		}
	})
	for i, p := range producers {
		for w := range 2 {
			rng := rand.New(rand.NewPCG(seed, uint64(10+2*i+w)))
			wg.Go(func() {
				for range batches {
					n := 1 + rng.IntN(perBatch)
					first := int(next.Add(int64(n))) - n
					list := make([]core.Record, n)
					for k := range list {
						list[k].Data = binary.BigEndian.AppendUint64(nil, uint64(first+k))
						if w == 0 {
							list[k].PartitionKey = fmt.Sprint("pod-", rng.IntN(300))
						}
					}
					b, err := p.PutBatch(context.Background(), stream, list)
					if err != nil {
						t.Error(err)
						return
					}
					wait(t, b)
					if err := b.Err(); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
				}
			})
		}
	}
	wg.Wait()
	close(stop)
	faults.Wait()
	for _, p := range producers {
		closeProducer(t, p)
		o := checkAccounts(t, p)
		if o.VerifyOpened != o.VerifyStored+o.VerifyMissing+o.VerifyGivenUp {
			t.Errorf("accounts of what was looked for do not add up: %+v", o)
		}
		stats.VerifyOpened += o.VerifyOpened
		stats.VerifyStored += o.VerifyStored
		stats.VerifyMissing += o.VerifyMissing
		stats.VerifyGivenUp += o.VerifyGivenUp
		stats.WrongShard += o.WrongShard
		stats.Uncertain += o.Uncertain
	}
	count := make([]int, next.Load())
	for _, r := range s.Consume(stream).Records {
		count[binary.BigEndian.Uint64(r.Data)]++
	}
	for id, n := range count {
		if n == 0 {
			t.Errorf("record %d is lost", id)
		}
		doubled += max(0, n-1)
	}
	if doubled > int(stats.Uncertain) {
		t.Errorf("unexplained duplicates; got %d; want at most the %d uncertain records", doubled, stats.Uncertain)
	}
	return len(count), doubled, stats
}

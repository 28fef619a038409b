// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// TestNothingIsLostUnderFaults is the accounting invariant with everything
// going wrong at once: throttles, internal failures, lost replies, a split and a
// merge under load. Every record must be confirmed and seen by a consumer;
// duplicates may only come from lost replies, and are counted.
func TestNothingIsLostUnderFaults(t *testing.T) {
	total := 200_000
	if s := os.Getenv("CHAOS_RECORDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("CHAOS_RECORDS=%q is not a number", s)
		}
		total = n
	}
	const workers, perBatch = 8, 1000
	s := kinesistest.New(kinesistest.WithStream(stream, 4))
	// In all 1 % of the calls, 5 % and 30 % of the entries: the first fault that
	// matches a call takes it.
	lost := s.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.01, Seed: 1, Effect: kinesistest.LoseReply()})
	internal := s.Fault(kinesistest.Fault{
		Operation: "PutRecords", Probability: 0.14, Seed: 2,
		Effect: kinesistest.Effect{EntryCode: "InternalFailure", EntryShare: 0.35},
	})
	throttle := s.Fault(kinesistest.Fault{
		Operation: "PutRecords", Seed: 3,
		Effect: kinesistest.Effect{EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.35},
	})
	p := newProducer(t, s.Client(), core.WithRateLimit(1000), core.WithAdaptiveRate(false), // these throttles do not follow the rate
		core.WithRetryBackoff(time.Millisecond, 20*time.Millisecond))
	payload := func(i int) []byte {
		b := make([]byte, 8, 60)
		binary.BigEndian.PutUint64(b, uint64(i))
		return append(b, "a log line of some length, as they come from a host"...)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for w := range workers {
		wg.Go(func() {
			for first := w * perBatch; first < total; first += workers * perBatch {
				records := make([]core.Record, min(perBatch, total-first))
				for i := range records {
					records[i] = core.Record{PartitionKey: fmt.Sprintf("pod-%d", (first+i)%977), Data: payload(first + i)}
				}
				b, err := p.PutBatch(context.Background(), stream, records)
				if err != nil {
					t.Error(err)
					return
				}
				if err := b.WaitSettled(context.Background()); err != nil {
					t.Error(err)
				}
				if err := b.Err(); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				before := done
				done += len(records)
				after := done
				mu.Unlock()
				if at := total / 3; before < at && after >= at {
					if err := s.SplitEven(stream, "shardId-000000000001"); err != nil {
						t.Error(err)
					}
				}
				if at := 2 * total / 3; before < at && after >= at {
					if err := s.Merge(stream, "shardId-000000000002", "shardId-000000000003"); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	closeProducer(t, p)
	stats := checkAccounts(t, p)
	if stats.Confirmed != uint64(total) {
		t.Errorf("unexpected number of confirmed records; got %d; want %d", stats.Confirmed, total)
	}
	count := make([]int, total)
	for _, r := range s.Consume(stream).Records {
		count[binary.BigEndian.Uint64(r.Data)]++
	}
	missing, doubled := 0, 0
	for _, n := range count {
		if n == 0 {
			missing++
		}
		if n > 1 {
			doubled += n - 1
		}
	}
	if missing > 0 {
		t.Errorf("unexpected number of lost records; got %d; want 0", missing)
	}
	if doubled > int(stats.Uncertain) {
		t.Errorf("unexplained duplicates; got %d; want at most the %d records sent again after an uncertain outcome", doubled, stats.Uncertain)
	}
	if lost.Hits() == 0 || internal.Entries() == 0 || throttle.Entries() == 0 {
		t.Errorf("a fault did not strike: lost replies %d, internal failures %d, throttles %d", lost.Hits(), internal.Entries(), throttle.Entries())
	}
	t.Logf("records %d, duplicates %d of at most %d, Kinesis records %d, requests %d, throttled %d, wrong shard %d, map refreshes %d",
		total, doubled, stats.Uncertain, stats.KinesisRecords, stats.Requests, stats.Throttled, stats.WrongShard, stats.MapRefreshes)
}

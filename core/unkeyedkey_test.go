// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// Records without a key are in the shard that was chosen for them, whether a short key leads there or an
// explicit hash key: the largest that get such a key and the next ones, in few shards and in more than
// there are keys.
func TestUnkeyedRecordsWithoutAggregationAreWhereTheyWerePredicted(t *testing.T) {
	for _, shards := range []int{1, 3, 64, 512, 5000} {
		t.Run(fmt.Sprint(shards), func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithStream(stream, shards), kinesistest.WithLimits(kinesistest.Limits{}))
			var predicted places
			p := newProducer(t, s.Client(), core.WithAggregation(false), core.WithTrace(&predicted), core.WithRateLimit(100_000))
			records := make([]core.Record, 2_000)
			for i := range records {
				records[i].Data = fmt.Appendf(nil, "%d ", i)
				if i%50 == 0 { // around the size up to which records get one
					records[i].Data = append(records[i].Data, make([]byte, 8<<10+i/50%3-1-len(records[i].Data))...)
				}
			}
			b := put(t, p, records)
			wait(t, b)
			st := checkAccounts(t, p)
			if st.MapRefreshes != 1 || st.Confirmed != uint64(len(records)) {
				t.Errorf("unexpected fetches of the shard map; got %d; want 1, since no answer contradicts it", st.MapRefreshes)
			}
			short, bytes, used := 0, 0, map[string]bool{}
			for _, r := range s.Records(stream) {
				switch {
				case r.ExplicitHashKey != "":
					if r.PartitionKey != "a" {
						t.Errorf("unexpected key beside an explicit hash key; got %q; want a", r.PartitionKey)
					}
				case len(r.PartitionKey) != 2 || len(r.Data) > 8<<10:
					t.Errorf("unexpected record of %d bytes with key %q and no explicit hash key", len(r.Data), r.PartitionKey)
				default:
					short++
					used[r.PartitionKey] = true
				}
				bytes += len(r.Data) + len(r.PartitionKey)
			}
			if uint64(bytes) != st.KinesisBytes {
				t.Errorf("unexpected bytes; got %d counted; want %d", st.KinesisBytes, bytes)
			}
			least := len(records) * 9 / 10
			if shards > 1000 {
				least = len(records) / 3 // 4096 keys for 5000 shards
			}
			if short < least || len(used) < least/32 {
				t.Errorf("unexpected short keys; got %d records with %d keys; want %d and more, of runs of 16", short, len(used), least)
			}
			for i := range records {
				if r := b.Result(i); r.ShardID != predicted.of(i) {
					t.Fatalf("unexpected shard of record %d; got %s; want the predicted %s", i, r.ShardID, predicted.of(i))
				}
			}
		})
	}
}

// places is a core.Trace that notes where records should go.
type places struct {
	calls
	shards [8000]string
}

func (p *places) of(i int) string { return p.shards[i] }

func (p *places) Sending(call *core.TracedCall) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range call.Len() {
		call.UserRecords(i, func(_ any, first, n int) {
			for k := range n {
				p.shards[first+k] = call.ShardID(i)
			}
		})
	}
	return 0
}

func (p *places) Confirmed(*core.ConfirmedRuns) {}

// A stream that is split while records without a key come gets each of them once.
func TestUnkeyedRecordsWithoutAggregationSurviveASplit(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 2), kinesistest.WithLimits(kinesistest.Limits{}))
	p := newProducer(t, s.Client(), core.WithAggregation(false), core.WithRateLimit(100_000))
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 8 {
		records := make([]core.Record, 600)
		for i := range records {
			records[i].Data = fmt.Appendf(nil, "%d %d", round, i)
		}
		b := put(t, p, records)
		open := s.OpenShards(stream)
		sh := open[rng.IntN(len(open))]
		if err := s.SplitEven(stream, sh.ID); err != nil {
			t.Fatal(err)
		}
		wait(t, b)
	}
	for data, n := range seen(s) {
		if n != 1 {
			t.Errorf("unexpected copies of %q; got %d; want 1", data, n)
		}
	}
	if st := checkAccounts(t, p); st.Confirmed != 8*600 || len(seen(s)) != 8*600 {
		t.Errorf("unexpected records; got %d confirmed and %d in the stream; want %d", st.Confirmed, len(seen(s)), 8*600)
	}
}

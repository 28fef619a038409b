// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/emulators/emulatorstest"
	"github.com/outkpl/outkpl/internal/emulators/kcltest"
)

const (
	kclStream  = "kcl"
	kclBatches = 1000
	kclWriters = 8
	// kclLife is the time between two changes. It is so short that many shards are gone
	// before the producer has listed them.
	kclLife = 500 * time.Millisecond
	// kclSeed makes a failure repeatable, as far as goroutines are.
	kclSeed = 20261128
)

// The KCL delivers each record that the producer has confirmed, and each once, whatever
// happens to the shards meanwhile.
func TestKCLDeliversEachRecordOnceThroughResharding(t *testing.T) {
	emulatorstest.RequireJVM(t)
	for _, shards := range []int{1, 16, 64} {
		for _, kind := range []string{"keyed", "unkeyed", "explicit", "mixed"} {
			t.Run(fmt.Sprintf("%d shards, %s", shards, kind), func(t *testing.T) {
				var fake *kinesistest.Server
				synctest.Test(t, func(t *testing.T) { fake = writeWhileResharding(t, shards, kind) })
				if t.Failed() {
					return
				}
				checkKCL(t, fake)
			})
		}
	}
}

// writeWhileResharding has several writers put kclBatches batches in all, while
// shards are split and merged all the time. It runs in virtual time.
func writeWhileResharding(t *testing.T, shards int, kind string) *kinesistest.Server {
	fake := kinesistest.New(kinesistest.WithStream(kclStream, shards), kinesistest.WithReshardTime(300*time.Millisecond))
	// Both ways take time, so that shards change with requests and answers under way.
	fake.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: 20 * time.Millisecond, DelayReply: 20 * time.Millisecond}})
	fake.Fault(kinesistest.Fault{Operation: "ListShards", Effect: kinesistest.Effect{Delay: 50 * time.Millisecond}})
	p, err := core.New(fake.Client(), core.WithRateLimit(1_000_000), core.WithMaxBufferedTime(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // of virtual time
	defer cancel()
	stop := make(chan struct{})
	// More shards need more records for aggregates of more than one.
	most := 60 + 2*shards
	var load, reshard sync.WaitGroup
	var next atomic.Int64
	for w := range kclWriters {
		load.Go(func() {
			rnd := rand.New(rand.NewPCG(kclSeed, uint64(w)))
			var batches []*core.Batch
			for i := next.Add(1); i <= kclBatches; i = next.Add(1) {
				b, err := p.PutBatch(ctx, kclStream, kclBatch(rnd, kind, i, most))
				if err != nil {
					t.Errorf("cannot put batch %d: %v", i, err)
					break
				}
				// Nobody waits for the outcome now, so that records gather.
				batches = append(batches, b)
				<-time.After(time.Duration(rnd.IntN(1200)) * time.Millisecond)
			}
			for _, b := range batches {
				if err := b.WaitSettled(ctx); err != nil || b.Err() != nil {
					t.Errorf("cannot deliver a batch: %v, %v", err, b.Err())
				}
			}
		})
	}
	changes := 0
	reshard.Go(func() {
		rnd := rand.New(rand.NewPCG(kclSeed, 1000))
		tick := time.NewTicker(kclLife)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				changeShards(t, fake, rnd)
				changes++
			}
		}
	})
	load.Wait()
	close(stop)
	reshard.Wait()
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
	if s := p.Stats(); s.Accepted != s.Confirmed || s.Uncertain != 0 {
		t.Errorf("unexpected accounts; got %d accepted, %d confirmed, %d uncertain", s.Accepted, s.Confirmed, s.Uncertain)
	}
	if changes < 15 {
		t.Errorf("unexpected number of changes of the shards; got %d; want 15 at least", changes)
	}
	t.Logf("%d user records in %d Kinesis records, %d resent, %d changes of the shards", p.Stats().Accepted, p.Stats().KinesisRecords, p.Stats().WrongShard, changes)
	return fake
}

// kclBatch makes a batch whose data are the numbers of the batch and of the record.
func kclBatch(rnd *rand.Rand, kind string, number int64, most int) []core.Record {
	records := make([]core.Record, 1+rnd.IntN(most))
	for i := range records {
		r := &records[i]
		r.Data = append(fmt.Appendf(nil, "%d/%d ", number, i), bytes.Repeat([]byte("x"), rnd.IntN(200))...)
		of := kind
		if kind == "mixed" {
			of = []string{"keyed", "unkeyed", "explicit"}[rnd.IntN(3)]
		}
		switch of {
		case "keyed":
			r.PartitionKey = fmt.Sprint("key-", rnd.IntN(100_000))
		case "explicit":
			r.PartitionKey = "caf\u00e9"
			r.ExplicitHashKey = aggregation.HashKey{Hi: rnd.Uint64(), Lo: rnd.Uint64()}.String()
		}
	}
	return records
}

// changeShards splits a shard, merges two, or replaces all of them.
func changeShards(t *testing.T, fake *kinesistest.Server, rnd *rand.Rand) {
	open := fake.OpenShards(kclStream)
	i := rnd.IntN(len(open))
	var err error
	switch kind := rnd.IntN(5); {
	case kind == 0:
		err = fake.UpdateShardCount(kclStream, (len(open)+1)/2+rnd.IntN(len(open)))
	case kind < 3 && i+1 < len(open):
		err = fake.Merge(kclStream, open[i].ID, open[i+1].ID)
	default:
		err = fake.SplitEven(kclStream, open[i].ID)
	}
	if err != nil {
		t.Error(err)
	}
}

// checkKCL counts what the KCL delivers. The data of the batches begin with a name
// that is unique.
func checkKCL(t *testing.T, fake *kinesistest.Server) {
	t.Helper()
	name := func(data []byte) string {
		n, _, _ := bytes.Cut(data, []byte(" "))
		return string(n)
	}
	got := map[string]int{}
	for _, u := range kcltest.Consume(t, fake, kclStream) {
		got[name(u.Data)]++
	}
	want := map[string]bool{}
	for _, r := range fake.Records(kclStream) {
		users, _ := aggregation.Deaggregate(r.PartitionKey, r.ExplicitHashKey, r.Data)
		for _, u := range users {
			want[name(u.Data)] = true
		}
	}
	var missing, twice []string
	for n := range want {
		switch got[n] {
		case 0:
			missing = append(missing, n)
		case 1:
		default:
			twice = append(twice, n)
		}
	}
	slices.Sort(missing)
	slices.Sort(twice)
	if len(missing)+len(twice) > 0 || len(want) == 0 {
		t.Errorf("of %d records the KCL delivers %d not at all and %d more than once; such as %q and %q",
			len(want), len(missing), len(twice), missing[:min(3, len(missing))], twice[:min(3, len(twice))])
	}
}

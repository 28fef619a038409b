// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/ledger"
)

// Whatever the answers of Kinesis are, and however contents are divided into batches: what the file has
// as settled is stored, what a batch was notified of is settled, and what is stored is settled or
// uncertain.
func TestAccountsAddUpAfterACrash(t *testing.T) {
	var sum account
	for seed := range uint64(150) {
		synctest.Test(t, func(t *testing.T) { crashAndCount(t, seed, &sum) })
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
	if sum.settled < 1000 || sum.uncertain < 1000 || sum.missing < 1000 {
		t.Errorf("unexpected world; got %+v; want many of each", sum)
	}
}

// account counts records after a crash.
type account struct{ settled, uncertain, missing int }

// piece is a part of a content that is put as one batch.
type piece struct {
	content int
	numbers []int32 // nil for all
	records []core.Record
	batch   *core.Batch
}

// pieces divides contents of random sizes.
func pieces(rng *rand.Rand, contents int) (list []*piece, sizes []int) {
	for content := range contents {
		size, keys := 1+rng.IntN(300), 1+rng.IntN(50)
		sizes = append(sizes, size)
		parts := make([]*piece, 1+rng.IntN(4))
		for i := range parts {
			parts[i] = &piece{content: content}
		}
		order := rng.Perm(size)
		if rng.IntN(2) == 0 {
			slices.Sort(order)
		}
		for _, n := range order {
			r := core.Record{Data: fmt.Appendf(nil, "%d/%d", content, n)}
			if rng.IntN(4) > 0 {
				r.PartitionKey = fmt.Sprint("key ", n%keys)
			}
			p := parts[rng.IntN(len(parts))]
			p.numbers, p.records = append(p.numbers, int32(n)), append(p.records, r)
		}
		if len(parts) == 1 && slices.IsSorted(parts[0].numbers) {
			parts[0].numbers = nil
		}
		list = append(list, slices.DeleteFunc(parts, func(p *piece) bool { return len(p.records) == 0 })...)
	}
	rng.Shuffle(len(list), func(a, b int) { list[a], list[b] = list[b], list[a] })
	return list, sizes
}

func crashAndCount(t *testing.T, seed uint64, sum *account) {
	rng := rand.New(rand.NewPCG(seed, 7))
	dir := t.TempDir()
	log, logged := lines()
	j := mustOpen(t, Config{Dir: dir, Logger: log})
	s := kinesistest.New(kinesistest.WithStream("logs", 1+rng.IntN(4)), kinesistest.WithLimits(kinesistest.Limits{}))
	opts := []core.Option{
		core.WithVerifyUncertain(rng.IntN(2) == 0), core.WithAggregation(rng.IntN(2) == 0), core.WithAdaptiveRate(false), core.WithRateLimit(100_000),
		core.WithCollectionMaxCount(1 + rng.IntN(60)), core.WithRetryBackoff(time.Millisecond, 50*time.Millisecond), core.WithMaxInFlight(1 + rng.IntN(6)),
	}
	if rng.IntN(2) == 0 {
		opts = append(opts, core.WithAggregationMaxCount(2+rng.IntN(10)))
	}
	p := tracedProducer(t, s, j, opts...)
	for i, f := range []kinesistest.Fault{
		{Probability: 0.3, Effect: kinesistest.Effect{EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.3}},
		{Probability: 0.1, Effect: kinesistest.LoseReply()},
		{Probability: 0.05, Effect: kinesistest.Hang()},
		{Probability: 0.3, Effect: kinesistest.Delay(30 * time.Millisecond)},
	} {
		f.Operation, f.Seed = "PutRecords", seed*10+uint64(i)
		s.Fault(f)
	}
	list, sizes := pieces(rng, 1+rng.IntN(6))
	entries, ended := make([]*Entry, len(sizes)), make([]bool, len(sizes))
	for i, size := range sizes {
		entries[i] = begin(t, j, fmt.Sprint("content ", i), size)
	}
	for _, piece := range list {
		piece.batch = putTraced(t, p, entries[piece.content], piece.records, piece.numbers)
		if rng.IntN(2) == 0 {
			time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
		}
		if rng.IntN(6) == 0 {
			j.mu.Lock()
			j.due = 0 // it is written anew
			j.mu.Unlock()
		}
		if i := rng.IntN(len(entries)); rng.IntN(12) == 0 {
			entries[i].End()
			ended[i] = true
		}
	}
	time.Sleep(time.Duration(rng.IntN(800)) * time.Millisecond)
	synctest.Wait()
	crash(j)

	stored, notified := map[string]bool{}, map[string]bool{}
	for _, r := range s.Records("logs") {
		users, _ := aggregation.Deaggregate(r.PartitionKey, "", r.Data)
		for _, u := range users {
			stored[string(u.Data)] = true
		}
	}
	for _, piece := range list {
		select {
		case <-piece.batch.Done():
		default:
			continue
		}
		for i := range piece.records {
			if piece.batch.Result(i).Err == nil {
				notified[string(piece.records[i].Data)] = true
			}
		}
	}
	recovered := map[ledger.Identity]*Entry{}
	for _, e := range mustOpen(t, Config{Dir: dir, Logger: log}).Recovered() {
		recovered[e.Identity()] = e
	}
	if strings.Contains(logged(), "level=WARN") || strings.Contains(logged(), "level=ERROR") {
		t.Errorf("unexpected journal; got %s; want no damage", logged())
	}
	for i, e := range entries {
		known := recovered[e.Identity()]
		if ended[i] {
			if known != nil {
				t.Errorf("content %d had ended and is there", i)
			}
			continue
		}
		var missing, uncertain set
		if known == nil {
			missing.addRange(0, sizes[i])
		} else {
			for _, n := range known.Progress().Missing {
				missing.add(int(n))
			}
			for _, q := range known.Uncertain() {
				for _, n := range q.Numbers {
					uncertain.add(int(n))
				}
			}
		}
		for n := range sizes[i] {
			id := fmt.Sprintf("%d/%d", i, n)
			switch {
			case !missing.has(n) && !stored[id]:
				t.Errorf("record %s is settled and not stored: it would be lost", id)
			case missing.has(n) && notified[id]:
				t.Errorf("record %s is confirmed and not settled", id)
			case missing.has(n) && stored[id] && !uncertain.has(n):
				t.Errorf("record %s is stored, and neither settled nor uncertain", id)
			}
		}
		sum.settled += sizes[i] - missing.n
		sum.uncertain += uncertain.n
		sum.missing += missing.n
	}
}

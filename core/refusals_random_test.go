// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// Refusals of every kind at random, with other faults: every record is confirmed, fails
// with a reason or waits; those confirmed are there, no others but the uncertain twice.
func TestAccountsAddUpUnderRefusalsOfEveryKind(t *testing.T) {
	for _, o := range refusalOptions {
		t.Run(o.name, func(t *testing.T) {
			for seed := range uint64(15) {
				synctest.Test(t, func(t *testing.T) { randomRefusals(t, seed, o.opts) })
			}
		})
	}
}

func randomRefusals(t *testing.T, seed uint64, opts []core.Option) {
	rng := rand.New(rand.NewPCG(seed, 5))
	s := kinesistest.New(kinesistest.WithStream(stream, 1+rng.IntN(6)))
	if rng.IntN(2) == 0 {
		opts = append(slices.Clone(opts), core.WithRecordTTL(time.Duration(5+rng.IntN(60))*time.Second))
	}
	opts = append(slices.Clone(opts), core.WithRetryBackoff(10*time.Millisecond, time.Second), core.WithRequestTimeout(time.Second), core.WithMaxInFlight(1+rng.IntN(8)))
	poison(s, "poison", kinesistest.Fail("ValidationException", "no"))
	limit := 3000 + rng.IntN(200_000)
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Status(413), Match: func(c *kinesistest.Call) bool {
		return wireSize(c.Input.(*kinesis.PutRecordsInput)) > limit
	}})
	for i, e := range []kinesistest.Effect{
		kinesistest.Fail("SerializationException", "x"), kinesistest.Fail("InvalidArgumentException", "x"), kinesistest.Status(403), kinesistest.Status(400), kinesistest.Status(413),
		kinesistest.Status(503), kinesistest.LoseReply(), kinesistest.Reset(),
		{EntryCode: "InternalFailure", EntryShare: 0.3},
		{EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.3},
		{EntryCode: "InvalidArgumentException", EntryShare: 0.02},
		{Hang: true},
		{Delay: time.Millisecond},
	} {
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: e, Probability: 0.02, Seed: seed<<8 + uint64(i)})
	}
	p := newProducer(t, s.Client(), opts...)
	type handed struct {
		b       *core.Batch
		records []core.Record
	}
	var all []handed
	for i := range 40 {
		records := batchOf(fmt.Sprintf("b%02d", i), 1+rng.IntN(300))
		for j := range records {
			if rng.IntN(200) == 0 {
				records[j].Data = append(records[j].Data, "poison"...)
			}
			records[j].Data = append(records[j].Data, bytes.Repeat([]byte("x"), rng.IntN(500))...)
		}
		all = append(all, handed{put(t, p, records), records})
		time.Sleep(time.Duration(rng.IntN(500)) * time.Millisecond)
		switch rng.IntN(8) {
		case 0: // everything is refused for a while
			f := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: refusalOf(refusedCodes[rng.IntN(len(refusedCodes))])})
			time.Sleep(time.Duration(rng.IntN(5000)) * time.Millisecond)
			f.Remove()
		case 1:
			open := s.OpenShards(stream)
			_ = s.SplitEven(stream, open[rng.IntN(len(open))].ID) // refused while it still changes
		}
	}
	time.Sleep(5 * time.Minute)
	s.ClearFaults()
	poison(s, "poison", kinesistest.Fail("ValidationException", "no"))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	err := p.Close(ctx)
	st := checkAccounts(t, p)
	if err != nil || st.Pending != 0 || st.BufferedBytes != 0 {
		t.Fatalf("seed %d: unexpected end; got %v, %d pending, %d bytes buffered", seed, err, st.Pending, st.BufferedBytes)
	}
	m := seen(s)
	doubled, total := 0, 0
	for _, h := range all {
		for i := range h.records {
			r, n := h.b.Result(i), m[string(h.records[i].Data)]
			bad := strings.Contains(string(h.records[i].Data), "poison")
			unsure := slices.ContainsFunc(r.Attempts, func(a core.Attempt) bool { return a.Uncertain })
			total++
			switch {
			case !r.Settled:
				t.Fatalf("seed %d: record %s is not settled", seed, h.records[i].PartitionKey)
			case r.Err == nil && n == 0:
				t.Fatalf("seed %d: confirmed record %s is lost", seed, h.records[i].PartitionKey)
			case r.Err == nil && bad, r.Err != nil && n > 0 && !unsure:
				t.Fatalf("seed %d: unexpected outcome of %s, seen %d times: %v", seed, h.records[i].PartitionKey, n, r.Err)
			case n > 1 && !unsure:
				t.Fatalf("seed %d: record %s is there %d times without reason", seed, h.records[i].PartitionKey, n)
			case n > 1:
				doubled += n - 1
			}
		}
	}
	if st.Accepted != uint64(total) || doubled > int(st.Uncertain) {
		t.Errorf("seed %d: unexpected accounts; got %d accepted of %d, %d doubled of %d uncertain", seed, st.Accepted, total, doubled, st.Uncertain)
	}
	t.Logf("seed %d: %d records, %d confirmed, failed %v, %d doubled, %d calls", seed, total, st.Confirmed, st.Failed, doubled, st.Requests)
}

// In strict ordering a suspect holds up only what has the same key, and that in order.
func TestStrictOrderHoldsWhileRecordsAreRefused(t *testing.T) {
	for _, shards := range []int{1, 3} {
		for _, aggregation := range []bool{true, false} {
			t.Run(fmt.Sprintf("shards=%d/aggregation=%v", shards, aggregation), func(t *testing.T) {
				for seed := range uint64(4) {
					synctest.Test(t, func(t *testing.T) { strictRefusals(t, seed, shards, aggregation) })
				}
			})
		}
	}
}

func strictRefusals(t *testing.T, seed uint64, shards int, aggregation bool) {
	s := kinesistest.New(kinesistest.WithStream(stream, shards))
	keys := make([]*sequence, 30)
	for i := range keys {
		keys[i] = &sequence{key: fmt.Sprint("key-", i)}
	}
	// Two records that a filter refuses; other keys have data of other lengths.
	f := poison(s, "refused", kinesistest.Status(403))
	slow := kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Delay(2 * time.Millisecond), Probability: 0.5, Seed: seed}
	delay := s.Fault(slow)
	p := newProducer(t, s.Client(), core.WithOrdering(core.OrderingStrict), core.WithAggregation(aggregation), core.WithAggregationMaxBytes(600),
		core.WithRateLimit(1000), core.WithAdaptiveRate(false), core.WithRetryBackoff(5*time.Millisecond, 500*time.Millisecond))
	rng := rand.New(rand.NewPCG(seed, 9))
	var open []*core.Batch
	refused := map[string]bool{}
	for i := range 200 {
		records := make([]core.Record, 10)
		for j := range records {
			k := keys[rng.IntN(len(keys))]
			records[j] = k.record()
			if n := i*10 + j; n == 500 || n == 900 {
				records[j].Data = append(records[j].Data, "refused"...)
				refused[k.key] = true
			}
		}
		open = append(open, put(t, p, records))
		time.Sleep(20 * time.Millisecond)
		switch i {
		case 70, 140: // everything is refused for a while
			delay.Remove() // of two faults, the first takes the call
			all := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("ValidationException", "no")})
			time.Sleep(3 * time.Second)
			all.Remove()
			delay = s.Fault(slow)
		case 110:
			if err := s.SplitEven(stream, s.OpenShards(stream)[0].ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	time.Sleep(time.Minute)
	got := map[string]uint64{}
	for _, r := range s.Consume(stream).Records {
		got[r.PartitionKey]++
	}
	for _, k := range keys {
		if !refused[k.key] && got[k.key] < k.next || refused[k.key] && got[k.key] >= k.next-1 {
			t.Errorf("unexpected number of records of %s; got %d of %d, refused %v; want all but those behind a refused one", k.key, got[k.key], k.next, refused[k.key])
		}
	}
	f.Remove()
	for _, b := range open {
		wait(t, b)
		if err := b.Err(); err != nil {
			t.Fatal(err)
		}
	}
	closeProducer(t, p)
	checkOrder(t, s, keys)
	checkAccounts(t, p)
}

// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// scales weighs what goes to Kinesis, and what of it Kinesis confirms.
type scales struct {
	core.Client
	mu            sync.Mutex // guards the fields below
	records       int        // the most of one request
	bytes, alone  int        // the most of one request with several records and with one
	stored, units uint64
	sent          uint64
}

// PutRecords implements core.Client.
func (s *scales) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	out, err := s.Client.PutRecords(ctx, in, opts...)
	s.mu.Lock()
	defer s.mu.Unlock()
	total := 0
	for i, r := range in.Records {
		n := len(r.Data) + len(*r.PartitionKey)
		total += n
		if err == nil && out.Records[i].SequenceNumber != nil {
			s.stored += uint64(n)
			s.units += uint64(max(1, (n+core.PutPayloadUnit-1)/core.PutPayloadUnit))
		}
	}
	s.sent += uint64(total)
	s.records = max(s.records, len(in.Records))
	if len(in.Records) > 1 {
		s.bytes = max(s.bytes, total)
	} else {
		s.alone = max(s.alone, total)
	}
	return out, err
}

// Sizes are bounds until a record is encoded. What is accounted for must be what was
// sent all the same, and nothing above the limits may leave, for records of all kinds
// and through faults and reshards.
func TestSizesAreThoseOfWhatIsSent(t *testing.T) {
	for _, c := range []struct {
		name string
		opts []core.Option
	}{
		{"as it is", nil},
		{"small aggregates", []core.Option{core.WithAggregationMaxBytes(700)}},
		{"few records in aggregates", []core.Option{core.WithAggregationMaxCount(3)}},
		{"small requests", []core.Option{core.WithCollectionMaxBytes(52224)}},
		{"no buffered time", []core.Option{core.WithMaxBufferedTime(0)}},
		{"strict", []core.Option{core.WithOrdering(core.OrderingStrict)}},
		{"strict, pressed shards", []core.Option{core.WithOrdering(core.OrderingStrict), core.WithShardLimit(20, 100_000)}},
		{"records expire, pressed shards", []core.Option{core.WithRecordTTL(700 * time.Millisecond), core.WithShardLimit(20, 100_000)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(4) {
				synctest.Test(t, func(t *testing.T) { weigh(t, seed, c.name, c.opts) })
			}
		})
	}
}

func weigh(t *testing.T, seed uint64, name string, opts []core.Option) {
	rng := rand.New(rand.NewPCG(seed, 3))
	s := kinesistest.New(kinesistest.WithStream(stream, 1+rng.IntN(40)))
	for i, e := range []kinesistest.Effect{
		{EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.4},
		{EntryCode: "InternalFailure", EntryShare: 0.3},
		kinesistest.LoseReply(), kinesistest.Status(503), kinesistest.Fail("ValidationException", ""),
	} {
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.03, Seed: seed*10 + uint64(i), Effect: e})
	}
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: 5 * time.Millisecond}})
	client := &scales{Client: s.Client()}
	p := newProducer(t, client, append([]core.Option{core.WithRetryBackoff(5*time.Millisecond, 100*time.Millisecond)}, opts...)...)
	var batches []*core.Batch
	var first []uint64
	next := uint64(0)
	for i := range 40 {
		records := make([]core.Record, rng.IntN(80))
		first = append(first, next)
		for j := range records {
			r := &records[j]
			r.Data = binary.BigEndian.AppendUint64(nil, next)
			next++
			switch kind := rng.IntN(20); {
			case kind < 6:
				r.PartitionKey = fmt.Sprint("key-", rng.IntN(500))
			case kind < 10:
				r.PartitionKey = strings.Repeat("k", 1+rng.IntN(250))
			case kind < 14:
				r.PartitionKey, r.ExplicitHashKey = fmt.Sprint("k", rng.IntN(3)), fmt.Sprint(rng.Uint64(), rng.Uint64()%1e18)
				r.ExplicitHashKey = strings.ReplaceAll(r.ExplicitHashKey, " ", "")
			case kind == 14:
				r.PartitionKey, r.Data = "large", append(r.Data, make([]byte, rng.IntN(60_000))...)
			} // the others have no key
			r.Data = append(r.Data, make([]byte, rng.IntN(400))...)
		}
		batches = append(batches, put(t, p, records))
		switch rng.IntN(4) {
		case 0:
			wait(t, batches[i])
		case 1:
			<-time.After(time.Duration(rng.IntN(200)) * time.Millisecond)
		}
		open := s.OpenShards(stream)
		switch at := rng.IntN(len(open)); {
		case i%10 == 3:
			_ = s.SplitEven(stream, open[at].ID) // refused while another is under way
		case i%10 == 7 && at > 0:
			_ = s.Merge(stream, open[at-1].ID, open[at].ID)
		}
	}
	for _, b := range batches {
		wait(t, b)
	}
	closeProducer(t, p)
	st := checkAccounts(t, p)
	if st.KinesisBytes != client.stored || st.PutPayloadUnits != client.units {
		t.Errorf("seed %d: unexpected sums; got %d bytes in %d units; want %d in %d", seed, st.KinesisBytes, st.PutPayloadUnits, client.stored, client.units)
	}
	most := 1 << 20
	if name == "small requests" {
		most = 52224
	}
	if client.records > 500 || client.bytes > most || client.alone > 1<<20 {
		t.Errorf("seed %d: unexpected requests; got up to %d records, %d bytes in several and %d in one; want 500, %d and %d", seed, client.records, client.bytes, client.alone, most, 1<<20)
	}

	count := make([]int, next)
	for _, r := range s.Consume(stream).Records {
		count[binary.BigEndian.Uint64(r.Data)]++
	}
	for i, b := range batches {
		for j := range b.Len() {
			r := b.Result(j)
			unsure := false
			for _, a := range r.Attempts {
				unsure = unsure || a.Uncertain
			}
			switch n := count[first[i]+uint64(j)]; {
			case r.Err == nil && n == 0, n > 1 && !unsure, r.Err != nil && n > 0 && !unsure:
				t.Fatalf("seed %d: record %d of batch %d is there %d times; its result is %+v", seed, j, i, n, r)
			}
		}
	}
}

// Tokens are taken for the bound and what was too much comes back. As long as the
// bucket is not full and no time passes, what is missing is what was sent.
func TestTokensThatAreMissingAreTheBytesSent(t *testing.T) {
	same := make([]core.Record, 40)
	for i := range same {
		same[i] = core.Record{PartitionKey: strings.Repeat("k", 250), Data: []byte("0123456789")}
	}
	for _, c := range []struct {
		name  string
		fault *kinesistest.Fault
		opts  []core.Option
	}{
		{name: "all is stored"},
		{name: "strict", opts: []core.Option{core.WithOrdering(core.OrderingStrict)}},
		{name: "a request is taken to pieces", fault: &kinesistest.Fault{Effect: kinesistest.Fail("ValidationException", ""), Times: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 2))
				client := &scales{Client: s.Client()}
				p := newProducer(t, client, c.opts...)
				wait(t, put(t, p, batchOf("a", 20))) // both shards; the map is known
				if c.fault != nil {
					c.fault.Operation = "PutRecords"
					s.Fault(*c.fault)
				}
				for range 5 {
					wait(t, put(t, p, append(batchOf("a", 20), same...)))
				}
				synctest.Wait()
				missing := 0.0
				for _, sh := range p.Snapshot().Streams[0].Shards {
					missing += 1<<20/4 - sh.Tokens
				}
				if missing != float64(client.stored) {
					t.Errorf("unexpected tokens that are missing; got %v; want %d", missing, client.stored)
				}
				closeProducer(t, p)
			})
		})
	}
}

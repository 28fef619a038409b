// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// meter is a client that checks the bounds of requests and adds up what was stored.
type meter struct {
	Client
	t            *testing.T
	record       int // most bytes of an aggregate
	bytes, units int
}

// PutRecords implements Client.
func (m *meter) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	out, err := m.Client.PutRecords(ctx, in, opts...)
	total := 0
	for i, r := range in.Records {
		n := len(r.Data) + len(aws.ToString(r.PartitionKey))
		total += n
		list, _ := aggregation.Deaggregate(aws.ToString(r.PartitionKey), aws.ToString(r.ExplicitHashKey), r.Data)
		if len(list) > 1 && n > m.record {
			m.t.Errorf("unexpected size of an aggregate of %d; got %d bytes; want at most %d", len(list), n, m.record)
		}
		if err == nil && aws.ToString(out.Records[i].SequenceNumber) != "" {
			m.bytes += n
			m.units += payloadUnits(n)
		}
	}
	if total > 1<<20 || len(in.Records) > maxRequestRecords {
		m.t.Errorf("unexpected request of %d records, %d bytes", len(in.Records), total)
	}
	return out, err
}

// randomRecord makes a valid record of any kind.
func randomRecord(rng *rand.Rand, most int) (r Record) {
	r.Data = make([]byte, rng.IntN(most))
	switch rng.IntN(5) {
	case 0: // unkeyed
	case 1:
		r.PartitionKey = fmt.Sprint(rng.IntN(1000))
		r.ExplicitHashKey = strings.Repeat("0", rng.IntN(5)) + aggregation.HashKey{Hi: rng.Uint64(), Lo: rng.Uint64()}.String()
	case 2:
		r.PartitionKey = strings.Repeat("k", 256)
	default:
		r.PartitionKey = fmt.Sprint(rng.IntN(1000))
	}
	return r
}

// Whether an aggregate was counted when it was filled, when it had to wait, or when it was
// encoded: the counters and the pace of its shard get its size to the byte. As long as
// no time passes, what a shard may still send is what it could at first less what it got.
func TestSizesAreExactWhereverTheyAreCounted(t *testing.T) {
	for _, c := range []struct {
		name   string
		most   int // bytes of data, less one
		halved bool
		opts   []Option
	}{
		{"aggregates that leave by time", 100, false, nil},
		{"full aggregates", 4000, false, nil},
		{"records near the size of an aggregate", 60_000, false, nil},
		{"small aggregates", 100, false, []Option{WithAggregationMaxBytes(1000)}},
		{"no aggregates", 1000, false, []Option{WithAggregation(false)}},
		{"strict", 1000, false, []Option{WithOrdering(OrderingStrict)}},
		{"requests that are halved", 100, true, nil},
		{"requests that are halved, strict", 100, true, []Option{WithOrdering(OrderingStrict)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for seed := range uint64(10) {
					exact(t, seed, c.most, c.halved, c.opts)
				}
			})
		})
	}
}

func exact(t *testing.T, seed uint64, most int, halved bool, opts []Option) {
	rng := rand.New(rand.NewPCG(seed, 11))
	s := kinesistest.New(kinesistest.WithStream("s", 1+rng.IntN(8)))
	if halved {
		s.Fault(kinesistest.Fault{
			Operation: "PutRecords", Times: 3, Effect: kinesistest.Fail("ValidationException", ""),
			Match: func(c *kinesistest.Call) bool { return len(c.Input.(*kinesis.PutRecordsInput).Records) > 1 },
		})
	}
	m := &meter{Client: s.Client(), t: t, record: 20 * PutPayloadUnit}
	p, err := New(m, append([]Option{WithRateLimit(1_000_000), WithMaxInFlight(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	if p.cfg.aggregationMaxBytes%PutPayloadUnit != 0 {
		m.record = p.cfg.aggregationMaxBytes
	}
	start := time.Now()
	alone := 0
	for range 5 {
		records := make([]Record, 1+rng.IntN(200))
		buffered := 0
		for i := range records {
			records[i] = randomRecord(rng, most)
			r := &records[i]
			buffered += len(r.Data) + len(r.PartitionKey) + len(r.ExplicitHashKey) + recordOverheadBytes
			alone += payloadUnits(len(r.Data) + max(1, len(r.PartitionKey)))
		}
		b, err := p.PutBatch(context.Background(), "s", records)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := p.buffer.usedRoom(); got > buffered {
			t.Errorf("seed %d: unexpected bytes in the buffer; got %d; want at most %d", seed, got, buffered)
		}
		if err := b.WaitSettled(context.Background()); err != nil || b.Err() != nil {
			t.Fatal(err, b.Err())
		}
		synctest.Wait() // for calls that ended before the last, and are yet to give room back
	}
	if took := time.Since(start); took != 0 {
		t.Fatalf("seed %d: unexpected passage of time: %v", seed, took)
	}
	st := p.Stats()
	if st.KinesisBytes != uint64(m.bytes) || st.PutPayloadUnits != uint64(m.units) || st.PutPayloadUnitsSaved != uint64(alone-m.units) {
		t.Errorf("seed %d: unexpected sums; got %d bytes, %d units, %d saved; want %d, %d, %d",
			seed, st.KinesisBytes, st.PutPayloadUnits, st.PutPayloadUnitsSaved, m.bytes, m.units, alone-m.units)
	}
	for _, sh := range p.Snapshot().Streams[0].Shards {
		full := float64(1_000_000/100) * (1 << 20) / 4 // the burst of a quarter of a second
		if want := full - float64(sh.StoredBytes); sh.Tokens != want {
			t.Errorf("seed %d: unexpected tokens of %s; got %.0f; want %.0f", seed, sh.ID, sh.Tokens, want)
		}
	}
	if left := rest(p, "s"); left != nil {
		t.Errorf("seed %d: unexpected rest: %q", seed, left)
	}
	if err := p.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestBufferCountsDataAndBothKeys(t *testing.T) {
	for _, c := range []struct {
		name string
		r    Record
		want int
	}{
		{"key", Record{PartitionKey: "key", Data: make([]byte, 100)}, 103},
		{"explicit hash key", Record{PartitionKey: "key", ExplicitHashKey: "0012", Data: make([]byte, 100)}, 107},
		{"unkeyed", Record{Data: make([]byte, 100)}, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream("s", 1))
				release := make(chan struct{})
				s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Hold: release}})
				p, err := New(s.Client())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := p.Put(context.Background(), "s", c.r); err != nil {
					t.Fatal(err)
				}
				if got, _ := p.buffer.usedRoom(); got != c.want+recordOverheadBytes {
					t.Errorf("unexpected bytes in the buffer; got %d; want %d and the overhead", got, c.want)
				}
				close(release)
				if err := p.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

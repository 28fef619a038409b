// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

func TestBatchIsAggregatedConfirmedAndReadBack(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 4))
	p := newProducer(t, s.Client())
	records := batchOf("a", 5000)
	b := put(t, p, records)
	wait(t, b)
	if err := b.Err(); err != nil {
		t.Fatal(err)
	}
	closeProducer(t, p)
	checkDelivered(t, s, records)
	stats := checkAccounts(t, p)
	if stats.KinesisRecords > 12 {
		t.Errorf("unexpected number of Kinesis records; got %d; want at most 12", stats.KinesisRecords)
	}
	if got := s.Stats(); uint64(got.PayloadUnits) != stats.PutPayloadUnits || uint64(got.Bytes) != stats.KinesisBytes {
		t.Errorf("unexpected sums; got %d units, %d bytes; the stream has %d, %d", stats.PutPayloadUnits, stats.KinesisBytes, got.PayloadUnits, got.Bytes)
	}
	for i := range records {
		if r := b.Result(i); !r.Confirmed() || r.ShardID == "" || r.SequenceNumber == "" || len(r.Attempts) != 1 {
			t.Fatalf("unexpected result of record %d: %+v", i, r)
		}
	}
}

func TestAggregateNeverMixesShards(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 16))
	p := newProducer(t, s.Client())
	wait(t, put(t, p, batchOf("a", 3000)))
	got := s.Consume(stream)
	if len(got.Dropped) != 0 || len(got.Records) != 3000 || got.Aggregates == 0 {
		t.Errorf("unexpected consumption; got %d records, %d dropped, %d aggregates; want 3000, 0, some",
			len(got.Records), len(got.Dropped), got.Aggregates)
	}
}

func TestSingleRecordGoesRawWithItsKeyAndAnExplicitHashKey(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 2))
	p := newProducer(t, s.Client())
	for _, r := range []core.Record{
		{PartitionKey: "user-123", Data: []byte("x")},
		{PartitionKey: "user-123", ExplicitHashKey: "007", Data: []byte("y")},
		{PartitionKey: "k", Data: nil},
	} {
		if _, err := p.PutSync(context.Background(), stream, r); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string][2]string{
		"x": {"user-123", "250018372642977770877286195909578633128"}, "y": {"user-123", "7"},
		"": {"k", aggregation.HashPartitionKey("k").String()},
	}
	got := s.Records(stream)
	if len(got) != len(want) {
		t.Fatalf("unexpected number of Kinesis records; got %d; want %d", len(got), len(want))
	}
	for _, r := range got {
		if w, ok := want[string(r.Data)]; !ok || r.PartitionKey != w[0] || r.ExplicitHashKey != w[1] {
			t.Errorf("unexpected Kinesis record; got key %q, explicit hash key %q for data %q; want %v", r.PartitionKey, r.ExplicitHashKey, r.Data, w)
		}
	}
}

func TestExplicitHashKeysRouteAndSurvive(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 4))
	p := newProducer(t, s.Client())
	records := batchOf("e", 400)
	for i := range records {
		// All four shards, by the top bits of the hash key.
		records[i].ExplicitHashKey = aggregation.HashKey{Hi: uint64(i%4)<<62 + 5, Lo: uint64(i)}.String()
	}
	wait(t, put(t, p, records))
	checkDelivered(t, s, records)
	for _, r := range s.Consume(stream).Records {
		var i int
		if _, err := fmt.Sscanf(string(r.Data), "e-%d", &i); err != nil {
			t.Fatal(err)
		}
		if r.ExplicitHashKey != records[i].ExplicitHashKey || r.PartitionKey != records[i].PartitionKey {
			t.Fatalf("unexpected keys; got %q, %q; want %q, %q", r.PartitionKey, r.ExplicitHashKey, records[i].PartitionKey, records[i].ExplicitHashKey)
		}
	}
}

func TestInvalidRecordFailsAtOnceAndTheOthersGoOn(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 2))
	p := newProducer(t, s.Client())
	records := batchOf("v", 6)
	records[0].PartitionKey = strings.Repeat("k", 257)
	records[1].ExplicitHashKey = "-1"
	records[2].PartitionKey, records[2].ExplicitHashKey = "", "5"
	records[3].Data = make([]byte, 1<<20)
	records[4].PartitionKey = strings.Repeat("\u611b", 256) // 768 bytes, but 256 characters
	b := put(t, p, records)
	wait(t, b)
	for i, want := range []core.Reason{core.ReasonInvalid, core.ReasonInvalid, core.ReasonInvalid, core.ReasonTooLarge, core.ReasonNone, core.ReasonNone} {
		r := b.Result(i)
		switch {
		case want == core.ReasonNone && r.Err != nil:
			t.Errorf("unexpected error of record %d: %v", i, r.Err)
		case want != core.ReasonNone && (r.Err == nil || r.Err.Reason != want || !r.Err.Reason.Permanent()):
			t.Errorf("unexpected error of record %d; got %v; want reason %v", i, r.Err, want)
		}
	}
	if got := b.Result(0).Err.Error(); !strings.Contains(got, "257 characters; allowed: 1 to 256") {
		t.Errorf("unexpected text; got %q; want value and range", got)
	}
	if got := b.Result(3).Err.Error(); !strings.Contains(got, "at most 1048576") {
		t.Errorf("unexpected text; got %q; want the limit", got)
	}
	checkDelivered(t, s, records[4:])
	if s := checkAccounts(t, p); s.BufferedBytes != 0 {
		t.Errorf("unexpected bytes in the buffer; got %d; want 0", s.BufferedBytes)
	}
}

// Java decodes keys before it hashes them, so that consumers drop the whole aggregate
// of a key that is not UTF-8.
func TestKeyThatIsNotUTF8FailsBeforeAnythingIsSent(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 2))
	p := newProducer(t, s.Client())
	bad := []string{"\xff", "k\xff\xfe", "cut \xe6\x84", "\xed\xa0\x80", "\xc0\xaf", strings.Repeat("k", 255) + "\xff"}
	records := batchOf("v", 40)
	for i, key := range bad {
		records[2*i].PartitionKey = key // twice: the hashes of keys are remembered
		records[2*i+1].PartitionKey, records[2*i+1].ExplicitHashKey = key, "5"
		records[20+i].PartitionKey = key
	}
	b := put(t, p, records)
	wait(t, b)
	var good []core.Record
	for i := range records {
		r := b.Result(i)
		if invalid := i < 2*len(bad) || i >= 20 && i < 20+len(bad); !invalid {
			good = append(good, records[i])
			if r.Err != nil {
				t.Errorf("unexpected error of record %d: %v", i, r.Err)
			}
		} else if r.Err == nil || r.Err.Reason != core.ReasonInvalid || !r.Err.Reason.Permanent() || len(r.Attempts) != 0 || !strings.Contains(r.Err.Error(), "UTF-8") {
			t.Errorf("unexpected result of record %d; got %+v; want an error that says UTF-8, and no attempt", i, r)
		}
	}
	checkDelivered(t, s, good)
	checkAccounts(t, p)
}

func TestAggregateIsBoundedBySizeAndCount(t *testing.T) {
	for _, c := range []struct {
		name      string
		opts      []core.Option
		size, max int // of user data, of a Kinesis record
		count     int
	}{
		{name: "the default size is two payload units", size: 200, max: 51200, count: 1 << 20},
		{name: "size", opts: []core.Option{core.WithAggregationMaxBytes(1000)}, size: 90, max: 1000, count: 1 << 20},
		{name: "count", opts: []core.Option{core.WithAggregationMaxCount(7)}, size: 10, max: 51200, count: 7},
		{name: "a large record is not aggregated", opts: []core.Option{core.WithAggregationMaxBytes(64)}, size: 100, max: 110, count: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithStream(stream, 1))
			p := newProducer(t, s.Client(), append(c.opts, core.WithRateLimit(1_000_000))...)
			records := batchOf("s", 2000)
			for i := range records {
				records[i].Data = append(records[i].Data, make([]byte, c.size-len(records[i].Data))...)
			}
			wait(t, put(t, p, records))
			checkDelivered(t, s, records)
			largest := 0
			for _, r := range s.Records(stream) {
				n := len(r.Data) + len(r.PartitionKey)
				largest = max(largest, n)
				list, _ := aggregation.Deaggregate(r.PartitionKey, r.ExplicitHashKey, r.Data)
				if n > c.max || len(list) > c.count {
					t.Fatalf("unexpected Kinesis record; got %d bytes, %d user records; want at most %d, %d", n, len(list), c.max, c.count)
				}
			}
			if c.max == 51200 && c.count > 2000 && largest < 51200*98/100 {
				t.Errorf("unexpected size of the fullest aggregate; got %d; want nearly %d", largest, c.max)
			}
		})
	}
}

func TestPartialAggregateLeavesAtTheDeadlineWhenNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		p := newProducer(t, s.Client(), core.WithMaxBufferedTime(100*time.Millisecond))
		wait(t, put(t, p, batchOf("warm", 1)))
		start := time.Now()
		first := put(t, p, batchOf("a", 1))
		time.Sleep(50 * time.Millisecond)
		second := put(t, p, batchOf("b", 1))
		<-first.Done()
		<-second.Done()
		if got := time.Since(start); got < 80*time.Millisecond || got > 100*time.Millisecond {
			t.Errorf("unexpected time in the buffer; got %v; want 80 to 100 ms", got)
		}
		if a, b := first.Result(0), second.Result(0); a.SequenceNumber != b.SequenceNumber {
			t.Errorf("unexpected sequence numbers; got %s and %s; want one aggregate", a.SequenceNumber, b.SequenceNumber)
		}
		closeProducer(t, p)
	})
}

func TestPartialAggregateLeavesAtOnceWhenEverybodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		p := newProducer(t, s.Client(), core.WithMaxBufferedTime(30*time.Second))
		start := time.Now()
		wait(t, put(t, p, batchOf("a", 10)))
		wait(t, put(t, p, batchOf("b", 10)))
		if got := time.Since(start); got != 0 {
			t.Errorf("unexpected wait; got %v; want none", got)
		}
		// A batch that nobody waits for could be followed by more: the deadline holds.
		open := put(t, p, batchOf("c", 1))
		wait(t, put(t, p, batchOf("d", 1)))
		if got := time.Since(start); got < 24*time.Second || got > 30*time.Second {
			t.Errorf("unexpected wait; got %v; want the deadline", got)
		}
		wait(t, open)
		closeProducer(t, p)
	})
}

func TestConcurrentSmallBatchesShareAggregates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		p := newProducer(t, s.Client())
		wait(t, put(t, p, batchOf("warm", 1)))
		// Nobody of these waits before all have submitted.
		list := make([]*core.Batch, 20)
		for i := range list {
			list[i] = put(t, p, batchOf(fmt.Sprint("b", i), 3))
		}
		for _, b := range list {
			wait(t, b)
		}
		closeProducer(t, p)
		if got := len(s.Records(stream)); got != 2 {
			t.Errorf("unexpected number of Kinesis records; got %d; want 2 (one for the warm-up)", got)
		}
	})
}

func TestAggregationOffSendsEachRecordAlone(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 2))
	p := newProducer(t, s.Client(), core.WithAggregation(false))
	records := batchOf("a", 700)
	wait(t, put(t, p, records))
	checkDelivered(t, s, records)
	if got := s.Consume(stream); got.Aggregates != 0 || got.KinesisRecords != 700 {
		t.Errorf("unexpected consumption; got %d aggregates, %d Kinesis records; want 0, 700", got.Aggregates, got.KinesisRecords)
	}
}

func TestUnkeyedRecordsFillAggregatesAtLowTrafficOverManyShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 500))
		p := newProducer(t, s.Client(), core.WithMaxBufferedTime(time.Second))
		wait(t, put(t, p, batchOf("warm", 1)))
		records := batchOf("a", 3000)
		for i := range records {
			records[i].PartitionKey = ""
			records[i].Data = append(records[i].Data, make([]byte, 200)...)
		}
		// A trickle, one record at a time, that nobody waits for.
		var list []*core.Batch
		for i := range records {
			list = append(list, put(t, p, records[i:i+1]))
			time.Sleep(time.Millisecond)
		}
		for _, b := range list {
			wait(t, b)
		}
		closeProducer(t, p)
		got := s.Consume(stream)
		if len(got.Dropped) != 0 || len(got.Records) != 3001 {
			t.Fatalf("unexpected consumption; got %d records, %d dropped; want 3001, 0", len(got.Records), len(got.Dropped))
		}
		// 3,000 x 220 B fill 13 aggregates.
		if got.KinesisRecords > 16 {
			t.Errorf("unexpected number of Kinesis records; got %d; want at most 16", got.KinesisRecords)
		}
		shards := map[string]bool{}
		for _, r := range got.Records {
			shards[r.ShardID] = true
		}
		if len(shards) < 8 {
			t.Errorf("unexpected number of shards used; got %d; want the load distributed", len(shards))
		}
	})
}

// The units of 25 KiB that a batch is billed as must be within 2 % of what its
// bytes need at least, framing included, and within 5 % for large records.
func TestPayloadUnitsAreFilled(t *testing.T) {
	const total = 8 << 20
	for _, size := range []int{100, 243, 1500, 4000, 13_000, 17_100, 26_000, 30_000, 60_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithStream(stream, 4))
			p := newProducer(t, s.Client(), core.WithRateLimit(100_000))
			records := batchOf("a", total/size)
			for i := range records {
				records[i].Data = append(records[i].Data, make([]byte, size-len(records[i].Data))...)
			}
			b := put(t, p, records)
			wait(t, b)
			st := p.Stats()
			least := float64(st.KinesisBytes)/core.PutPayloadUnit + 2*4 // each shard ends with one that is not full
			if got := float64(st.PutPayloadUnits); got > 1.02*least && size < 1000 || got > 1.05*least {
				t.Errorf("unexpected payload units; got %v in %d records; want about %.0f", got, st.KinesisRecords, least)
			}
			if st.PutPayloadUnits+st.PutPayloadUnitsSaved != uint64(len(records)*((size+core.PutPayloadUnit+20)/core.PutPayloadUnit)) {
				t.Errorf("unexpected units saved; got %d besides %d used", st.PutPayloadUnitsSaved, st.PutPayloadUnits)
			}
			checkDelivered(t, s, records)
		})
	}
}

// Records that just fit into a unit do not once they are framed. An aggregate of them
// costs more than they would alone.
func TestUnitsSavedAreNotBelowZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		p := newProducer(t, s.Client())
		records := batchOf("a", 40)
		for i := range records {
			records[i].Data = make([]byte, core.PutPayloadUnit-20)
		}
		wait(t, put(t, p, records))
		closeProducer(t, p)
		if st := p.Stats(); st.PutPayloadUnits <= 40 || st.PutPayloadUnitsSaved != 0 {
			t.Errorf("unexpected units; got %d, saved %d; want more than 40, saved 0", st.PutPayloadUnits, st.PutPayloadUnitsSaved)
		}
	})
}

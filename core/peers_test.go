// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// The tests of this file hold what other producers of this kind got wrong. Each
// comment says what went wrong there.

// Without a shard map, records of several shards were put into one aggregate, out of
// which consumers drop those that do not belong there.
func TestPeersNoAggregateWithoutAMap(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 8))
	s.Fault(kinesistest.Fault{Operation: "ListShards", Effect: kinesistest.Fail("AccessDeniedException", "no")})
	p := newProducer(t, s.Client())
	records := batchOf("a", 50)
	wait(t, put(t, p, records))
	if c := s.Consume(stream); c.Aggregates != 0 || len(c.Records) != len(records) {
		t.Errorf("unexpected records; got %d aggregates, %d records; want 0 and %d", c.Aggregates, len(c.Records), len(records))
	}
}

// The map was asked about the shard that answered instead of the predicted one. It
// ignored the unknown child of a split, so that the records went round until they expired.
func TestPeersSplitIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		p := newProducer(t, s.Client())
		one, two := batchOf("a", 50), batchOf("b", 50)
		wait(t, put(t, p, one))
		before := s.Calls("ListShards")
		if err := s.SplitEven(stream, "shardId-000000000000"); err != nil {
			t.Fatal(err)
		}
		b := put(t, p, two)
		wait(t, b)
		checkDelivered(t, s, one, two)
		if n := s.Calls("ListShards") - before; n != 1 {
			t.Errorf("unexpected number of ListShards calls; got %d; want 1", n)
		}
		for i := range two {
			if n := len(b.Result(i).Attempts); n > 2 {
				t.Errorf("unexpected number of attempts of record %d; got %d; want at most 2", i, n)
			}
		}
		closeProducer(t, p)
	})
}

// A retry during close was lost, and its outcome never came.
func TestPeersRetryDuringClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 2, Effect: kinesistest.Effect{Delay: time.Second, ErrorCode: "InternalFailure"}})
		p := newProducer(t, s.Client())
		records := batchOf("a", 50)
		b := put(t, p, records)
		closeProducer(t, p) // with the first call under way
		if confirmed, failed, pending := b.Counts(); confirmed != len(records) || failed+pending != 0 {
			t.Errorf("unexpected counts; got %d confirmed, %d failed, %d pending; want %d confirmed", confirmed, failed, pending, len(records))
		}
		checkDelivered(t, s, records)
	})
}

// The token bucket was no deeper than 1 MiB, below the estimated size of a record of
// exactly that, which so could never be sent.
func TestPeersRecordOfOneMebibyte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, percent := range []int{1, 100, 150} {
			s := kinesistest.New(kinesistest.WithStream(stream, 1), kinesistest.WithLimits(kinesistest.AWSLimits))
			p := newProducer(t, s.Client(), core.WithRateLimit(percent))
			if _, err := p.PutSync(context.Background(), stream, sized("k", 1<<20)); err != nil {
				t.Errorf("rate limit %d: %v", percent, err)
			}
			closeProducer(t, p)
		}
	})
}

// An answer with another number of results was retried, though nobody knows which
// records are stored.
func TestPeersCountMismatchFails(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 4))
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.DropLastEntry()})
	p := newProducer(t, s.Client())
	b := put(t, p, batchOf("a", 50))
	wait(t, b)
	if r := b.Result(0); r.Err == nil || r.Err.Reason != core.ReasonCountMismatch || len(r.Attempts) != 1 {
		t.Errorf("unexpected result %+v; want one attempt and reason count_mismatch", r)
	}
}

// A put to a stream that did not exist held a lock that the puts to all others needed.
func TestPeersMissingStreamHoldsNobodyUp(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 1))
	s.Fault(kinesistest.Fault{Stream: "slow", Effect: kinesistest.Hang()})
	p := newProducer(t, s.Client(), core.WithRequestTimeout(time.Minute))
	if _, err := p.Put(context.Background(), "slow", core.Record{PartitionKey: "k", Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	_, err := p.PutSync(context.Background(), "missing", core.Record{PartitionKey: "k", Data: []byte("x")})
	if e, ok := err.(*core.RecordError); !ok || e.Reason != core.ReasonStreamNotFound {
		t.Errorf("unexpected error %v; want reason stream_not_found", err)
	}
	if _, err := p.PutSync(context.Background(), stream, core.Record{PartitionKey: "k", Data: []byte("x")}); err != nil {
		t.Errorf("unexpected error of another stream: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.Close(ctx) // the slow one is given up
}

// The records of a failed aggregate were disaggregated and buffered again for a shorter
// time each round, so that they came back in smaller and smaller ones.
func TestPeersRetryKeepsTheAggregateWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 5, Effect: kinesistest.FailEntries("InternalFailure", "")})
		p := newProducer(t, s.Client())
		wait(t, put(t, p, batchOf("a", 100)))
		if n := len(s.Records(stream)); n != 1 {
			t.Errorf("unexpected number of Kinesis records; got %d; want 1", n)
		}
		closeProducer(t, p)
	})
}

// The map was called stale by the time of the answer instead of that of the request, so
// that every late answer to a request from before the split fetched it once more.
func TestPeersLateAnswersFetchNoMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const late = 8
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		hold := make(chan struct{})
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: late, Effect: kinesistest.Effect{Hold: hold}})
		p := newProducer(t, s.Client())
		var batches []*core.Batch
		var all [][]core.Record
		send := func(name string) *core.Batch {
			all = append(all, batchOf(name, 20))
			b := put(t, p, all[len(all)-1])
			time.Sleep(time.Second) // it has left
			return b
		}
		for i := range late {
			batches = append(batches, send(fmt.Sprint("early", i)))
		}
		if err := s.SplitEven(stream, "shardId-000000000000"); err != nil {
			t.Fatal(err)
		}
		wait(t, send("finds out"))
		before := s.Calls("ListShards")
		close(hold)
		for _, b := range batches {
			wait(t, b)
			time.Sleep(time.Second)
		}
		if n := s.Calls("ListShards") - before; n != 0 {
			t.Errorf("unexpected number of ListShards calls for late answers; got %d; want 0", n)
		}
		checkDelivered(t, s, all...)
		closeProducer(t, p)
	})
}

// Aggregates that were closed by their deadline left the collector at once, each in a
// request of its own.
func TestPeersAggregatesShareRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 64))
		p := newProducer(t, s.Client())
		for i := range 40 { // nobody waits: deadlines close the aggregates
			put(t, p, batchOf(fmt.Sprint("b", i), 50))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		st := p.Stats()
		if st.Confirmed != 2000 || st.KinesisRecords < 64 || st.Requests > st.KinesisRecords/20 {
			t.Errorf("unexpected requests; got %d for %d Kinesis records; want at least 20 records in each", st.Requests, st.KinesisRecords)
		}
		closeProducer(t, p)
	})
}

// The life of a record began again each time it came to the limiter.
func TestPeersLifeOfARecordCountsFromSubmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.ThrottleEntries()})
		p := newProducer(t, s.Client(), core.WithRecordTTL(2*time.Second), core.WithRetryBackoff(10*time.Millisecond, 100*time.Millisecond))
		began := time.Now()
		b := put(t, p, batchOf("a", 20))
		wait(t, b)
		if r := b.Result(0); r.Err == nil || r.Err.Reason != core.ReasonExpired || len(r.Attempts) < 5 {
			t.Errorf("unexpected result %+v; want several attempts and reason expired", r)
		}
		if d := time.Since(began); d < 2*time.Second || d > 2500*time.Millisecond {
			t.Errorf("unexpected life of a record; got %v; want 2s", d)
		}
		closeProducer(t, p)
	})
}

// Sizes were estimated, up to half below the truth for small records, and partition
// keys did not count in the size of a request.
func TestPeersSizesAreExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		const bound = 52224
		largest := 0
		s.Intercept(func(c *kinesistest.Call) *kinesistest.Effect {
			if in, ok := c.Input.(*kinesis.PutRecordsInput); ok {
				n := 0
				for _, r := range in.Records {
					n += len(r.Data) + len(aws.ToString(r.PartitionKey))
				}
				largest = max(largest, n) // one request at a time
			}
			return nil
		})
		p := newProducer(t, s.Client(), core.WithRateLimit(10_000), core.WithMaxInFlight(1))
		tiny := make([]core.Record, 20_000)
		for i := range tiny {
			tiny[i] = core.Record{PartitionKey: fmt.Sprint(i % 50), Data: []byte{byte(i)}}
		}
		wait(t, put(t, p, tiny))
		full := s.Records(stream)
		for _, r := range full[:len(full)-1] {
			if n := len(r.Data) + len(r.PartitionKey); n > 2*core.PutPayloadUnit || n < 2*core.PutPayloadUnit-64 {
				t.Errorf("unexpected size of a full aggregate; got %d; want just below %d", n, 2*core.PutPayloadUnit)
			}
		}
		closeProducer(t, p)

		largest = 0
		p = newProducer(t, s.Client(), core.WithRateLimit(10_000), core.WithMaxInFlight(1), core.WithAggregation(false), core.WithCollectionMaxBytes(bound))
		long := make([]core.Record, 600)
		for i := range long {
			long[i] = core.Record{PartitionKey: fmt.Sprintf("%0256d", i), Data: []byte("x")}
		}
		wait(t, put(t, p, long))
		closeProducer(t, p)
		if largest > bound || largest < bound-257 {
			t.Errorf("unexpected size of the largest request; got %d; want %d or a little less", largest, bound)
		}
	})
}

// A record alone went without an explicit hash key, so that the shard it was counted for
// and the one it went to could differ. One without a key of its own gets a key that leads to
// that shard, or an explicit hash key.
func TestPeersRecordAloneCarriesItsHashKey(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 4))
	p := newProducer(t, s.Client(), core.WithAggregation(false))
	wait(t, put(t, p, append(batchOf("a", 20), core.Record{Data: []byte("unkeyed")}, core.Record{Data: make([]byte, 9<<10)})))
	for _, r := range s.Records(stream) {
		if r.ExplicitHashKey == "" && (string(r.Data) != "unkeyed" || r.PartitionKey == "a") {
			t.Errorf("unexpected record with key %q: it has no explicit hash key", r.PartitionKey)
		}
	}
}

// Explicit hash keys with leading zeros were stored as they came, which Kinesis refuses
// outside of aggregates and consumers may read differently inside.
func TestPeersHashKeysAreStoredInOneForm(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 1))
	p := newProducer(t, s.Client())
	wait(t, put(t, p, []core.Record{
		{PartitionKey: "a", ExplicitHashKey: "007", Data: []byte("1")},
		{PartitionKey: "b", ExplicitHashKey: "0", Data: []byte("2")},
	}))
	c := s.Consume(stream)
	if len(c.Records) != 2 || c.Records[0].ExplicitHashKey != "7" || c.Records[1].ExplicitHashKey != "0" {
		t.Errorf("unexpected records %+v; want explicit hash keys 7 and 0", c.Records)
	}
}

// The wait between failed map fetches doubled without measure and began again with
// each answer that contradicted the map.
func TestPeersMapIsFetchedWithBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		p := newProducer(t, s.Client())
		wait(t, put(t, p, batchOf("a", 20)))
		var at []time.Time
		s.Intercept(func(c *kinesistest.Call) *kinesistest.Effect {
			if c.Operation != "ListShards" {
				return nil
			}
			at = append(at, time.Now())
			return &kinesistest.Effect{ErrorCode: "InternalFailure"}
		})
		if err := s.SplitEven(stream, "shardId-000000000000"); err != nil {
			t.Fatal(err)
		}
		for i := range 300 { // each answer comes from a child that the map does not know
			put(t, p, batchOf(fmt.Sprint("b", i), 2))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if len(at) < 10 || len(at) > 30 {
			t.Fatalf("unexpected number of fetches in five minutes; got %d; want some 17", len(at))
		}
		for i := 2; i < len(at); i++ {
			if d := at[i].Sub(at[i-1]); d < time.Second || d > 37*time.Second {
				t.Errorf("unexpected wait before fetch %d; got %v; want 1s to 36s", i, d)
			}
		}
		s.ClearFaults()
		closeProducer(t, p)
	})
}

// The SDK made attempts of its own below those that were counted.
func TestPeersNoHiddenAttempts(t *testing.T) {
	for k, v := range map[string]string{
		"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_CA_BUNDLE": "",
	} {
		t.Setenv(k, v)
	}
	s := kinesistest.New(kinesistest.WithStream(stream, 1))
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 3, Effect: kinesistest.Status(503)})
	client, err := awsclient.New(context.Background(), awsclient.Config{Region: "us-east-1", Endpoint: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	p := newProducer(t, client, fastRetry)
	b := put(t, p, batchOf("a", 5))
	wait(t, b)
	if n := len(b.Result(0).Attempts); n != 4 || s.Calls("PutRecords") != 4 {
		t.Errorf("unexpected attempts; got %d in the result and %d at the server; want 4 and 4", n, s.Calls("PutRecords"))
	}
	closeProducer(t, p)
}

// Cancelling was caught together with the errors of a request and had no effect.
func TestPeersCancellingIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Hang()})
		p := newProducer(t, s.Client(), core.WithRequestTimeout(10*time.Minute), core.WithBufferRecords(10))
		began := time.Now()
		in := func(d time.Duration) context.Context {
			ctx, cancel := context.WithTimeout(context.Background(), d)
			t.Cleanup(cancel)
			return ctx
		}
		b := put(t, p, batchOf("a", 10))
		if err := b.WaitSettled(in(time.Second)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("unexpected error of Wait: %v", err)
		}
		if _, err := p.PutBatch(in(time.Second), stream, batchOf("b", 10)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("unexpected error of PutBatch on a full buffer: %v", err)
		}
		if err := p.Close(in(time.Second)); err == nil || !strings.Contains(err.Error(), "10 records") {
			t.Errorf("unexpected error of Close: %v", err)
		}
		if d := time.Since(began); d != 3*time.Second {
			t.Errorf("unexpected time; got %v; want 3s", d)
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package core

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/internal/kcl"
)

// withVerify switches the keys of aggregates on.
var withVerify = optionFunc(func(c *config) { c.verify = true })

// sentData returns what a Kinesis record is sent as.
func sentData(t *testing.T, req *request, i int) (data []byte, key string) {
	t.Helper()
	e := req.encode()[i]
	if e.PartitionKey == nil {
		t.Fatal("unexpected entry without a partition key")
	}
	if kr := req.records[i]; kr.size != len(e.Data)+len(*e.PartitionKey) {
		t.Errorf("unexpected size of a record; got %d; want the %d bytes that are sent", kr.size, len(e.Data)+len(*e.PartitionKey))
	}
	return e.Data, *e.PartitionKey
}

func TestOnlyARecordThatMayBeWrappedAloneIs(t *testing.T) {
	t.Parallel()
	limit := defaultMaxRecordBytes
	plain := Record{PartitionKey: "key", Data: []byte("data")}
	var b aggregation.Builder
	b.Add("k", []byte("x"))
	for _, c := range []struct {
		name    string
		opts    []Option
		record  Record
		prepare func(pl *pipeline)
		wrapped bool
	}{
		{name: "with a key", record: plain, wrapped: true},
		{name: "with a hash key", record: Record{PartitionKey: "key", ExplicitHashKey: "17", Data: []byte("data")}, wrapped: true},
		{name: "unkeyed", record: Record{Data: []byte("data")}, wrapped: true},
		{name: "empty", record: Record{PartitionKey: "key"}, wrapped: true},
		{name: "in strict ordering", opts: []Option{WithOrdering(OrderingStrict)}, record: plain, wrapped: true},
		{name: "larger than aggregates are", record: Record{PartitionKey: "key", Data: make([]byte, 300_000)}, wrapped: true},
		{name: "with room for the frame", record: Record{PartitionKey: "key", Data: make([]byte, limit-80)}, wrapped: true},
		{name: "without room for the frame", record: Record{PartitionKey: "key", Data: make([]byte, limit-20)}},
		{name: "unkeyed without room for the frame", record: Record{Data: make([]byte, limit-60)}},
		{name: "that is an aggregate itself", record: Record{PartitionKey: "key", Data: b.AppendTo(nil)}},
		{name: "without aggregation", opts: []Option{WithAggregation(false)}, record: plain},
		{name: "with aggregates of one", opts: []Option{WithAggregationMaxCount(1)}, record: plain},
		{name: "in an AUTO stream", opts: []Option{WithDistribution(DistributionAuto)}, record: plain},
		{name: "of a stream that is not described", record: plain, prepare: func(pl *pipeline) { pl.meta.undescribed = true }},
		{name: "without a map", record: plain, prepare: func(pl *pipeline) { pl.dropMap(); pl.shards.unavailable = true }},
	} {
		for _, on := range []bool{true, false} {
			opts := c.opts
			if on {
				opts = append([]Option{withVerify}, opts...)
			}
			pl := halted(t, opts...)
			pl.lock()
			pl.cfg.maxInFlight = 0 // nothing leaves by itself
			if c.prepare != nil {
				c.prepare(pl)
			}
			pl.mu.Unlock()
			submitOne(t, pl, c.record)
			req := takenAlone(t, pl)
			kr := req.records[0]
			data, key := sentData(t, req, 0)
			want := c.wrapped && on
			users, ok := aggregation.Deaggregate("", "", data)
			if isOne := ok && !bytes.Equal(data, c.record.Data); kr.wrapped != want || isOne != want {
				t.Errorf("%s, read-back %t: unexpected record; got wrapped %t, aggregate of one %t; want %t", c.name, on, kr.wrapped, isOne, want)
			}
			if want {
				if !regexp.MustCompile(`^[A-Za-z0-9]{16}$`).MatchString(key) {
					t.Errorf("%s: unexpected key of the aggregate %q; want 16 characters", c.name, key)
				}
				if len(users) != 1 || !bytes.Equal(users[0].Data, c.record.Data) {
					t.Errorf("%s: unexpected user records in the aggregate; got %d; want the one submitted", c.name, len(users))
				}
				if res := kcl.Read(data, kr.shard.start, kr.shard.end); res.Dropped() {
					t.Errorf("%s: KCL drops the aggregate: %+v", c.name, res)
				}
			} else if c.record.PartitionKey != "" && key != c.record.PartitionKey {
				t.Errorf("%s, read-back %t: unexpected key; got %q; want the record's", c.name, on, key)
			}
			if again, same := sentAgain(req); !bytes.Equal(again, data) || same != key {
				t.Errorf("%s: the record is sent again with other bytes or another key", c.name)
			}
		}
	}
}

// sentAgain returns what the first record of a request is sent as in another request.
func sentAgain(req *request) (data []byte, key string) {
	next := &request{records: req.records, bytes: req.bytes}
	e := next.encode()[0]
	return e.Data, *e.PartitionKey
}

// An aggregate of one that is refused is not proof against its user record until that was
// refused as it is.
func TestARefusedAggregateOfOneIsSentUnwrapped(t *testing.T) {
	t.Parallel()
	for _, opts := range [][]Option{{withVerify}, {withVerify, WithOrdering(OrderingStrict)}} {
		for _, code := range []string{"ValidationException", "RequestEntityTooLarge"} {
			pl := halted(t, opts...)
			submitOne(t, pl, Record{PartitionKey: "key", Data: []byte("data")})
			req := takenAlone(t, pl)
			data, _ := sentData(t, req, 0)
			if !aggregation.IsAggregated(data) {
				t.Fatal("unexpected record that is not wrapped")
			}
			pl.lock()
			pl.requestFailed(req, codes[code], Attempt{})
			pl.admitFreed()
			if c := &pl.collector; len(c.requests) > 0 {
				req = c.requests[0]
			} else {
				req = pl.formRequest()
			}
			pl.mu.Unlock()
			if len(req.records) != 1 || len(pl.refusals.suspects) > 0 {
				t.Fatalf("%s: unexpected records after a refusal; got %d, suspects %d; want 1 and none", code, len(req.records), len(pl.refusals.suspects))
			}
			if data, key := sentData(t, req, 0); string(data) != "data" || key != "key" {
				t.Errorf("%s: unexpected record after a refusal of its aggregate; got %q with key %q; want it unwrapped", code, data, key)
			}
		}
	}
}

// KCL drops an aggregate of one that is out of the range of its shard, as any other.
func TestAnAggregateOfOneInAForeignShardIsResent(t *testing.T) {
	t.Parallel()
	pl := halted(t, withVerify)
	b := submitOne(t, pl, Record{PartitionKey: "key", Data: []byte("data")})
	pl.lock()
	defer pl.unlock()
	answered(pl, taken(pl), numberOf(1), pl.now, pl.now, next)
	fetched(pl, equalShards(0, 4, ""), nil)
	if b.items[0].has(itemSettled) || pl.stats.WrongShard != 1 {
		t.Errorf("unexpected outcome of an aggregate of one in another shard; settled %t, wrong shard %d; want it resent", b.items[0].has(itemSettled), pl.stats.WrongShard)
	}
}

// AUTO streams get nothing that is wrapped.
func TestAnAggregateOfOneIsUnwrappedWhenItsStreamBecomesAuto(t *testing.T) {
	t.Parallel()
	pl := halted(t, withVerify)
	submitOne(t, pl, Record{PartitionKey: "key", Data: []byte("data")})
	pl.lock()
	defer pl.mu.Unlock()
	req := taken(pl)
	pl.meta.auto = true
	if again := pl.disaggregateRequest(req); len(again) != 1 || len(req.records) != 0 {
		t.Fatalf("unexpected records that leave a request to an AUTO stream; got %d; want 1", len(again))
	}
}

// Two aggregates have different keys.
func TestKeysOfAggregatesDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 10_000 {
		key := string(appendVerifyKey(nil))
		if len(key) != verifyKeyBytes || seen[key] {
			t.Fatalf("unexpected key %q after %d others", key, len(seen))
		}
		seen[key] = true
	}
}

// submitOne submits a record to a halted pipeline.
func submitOne(t *testing.T, pl *pipeline, r Record) *Batch {
	t.Helper()
	b := pl.newSingleBatch(r)
	if !pl.p.buffer.reserveAll(b.items) {
		t.Fatal("no room in the buffer")
	}
	pl.submitReserved(b)
	return b
}

// takenAlone closes what is open and takes the next request, which has one record.
func takenAlone(t *testing.T, pl *pipeline) *request {
	t.Helper()
	pl.lock()
	defer pl.mu.Unlock()
	req := taken(pl)
	if len(req.records) != 1 {
		t.Fatalf("unexpected number of records in the request; got %d; want 1", len(req.records))
	}
	return req
}

// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/outkpl/outkpl/core"
)

// runSuite runs every test against one server.
func runSuite(t *testing.T, endpoint string, c capabilities) {
	g := newTarget(t, endpoint, c)
	t.Run("keyed records are aggregated by shard", g.testKeyed)
	t.Run("unkeyed records fill few Kinesis records", g.testUnkeyed)
	t.Run("explicit hash keys decide the shard", g.testExplicit)
	t.Run("without aggregation each record is a Kinesis record", g.testUnaggregated)
	t.Run("odd keys and empty data arrive unchanged", g.testOddKeys)
	t.Run("a stream is found by its ARN", g.testARN)
	t.Run("a missing stream fails at once by its reason", g.testMissingStream)
	t.Run("a check at start writes nothing", g.testCheck)
	t.Run("an invalid record does not hold up the others", g.testInvalid)
	t.Run("nothing is lost by a split and a merge under load", g.testReshard)
	if c.large {
		t.Run("records of nearly 1 MiB arrive", g.testLarge)
	}
}

// keyed makes n records with data that is unique by prefix and index.
func keyed(prefix string, n int) []core.Record {
	records := make([]core.Record, n)
	for i := range records {
		records[i] = core.Record{
			PartitionKey: fmt.Sprintf("pod-%d", i%97),
			Data:         fmt.Appendf(nil, `{"n":"%s-%d","log":"GET /health 200 in 3 ms"}`, prefix, i),
		}
	}
	return records
}

func (g *target) testKeyed(t *testing.T) {
	const stream = "keyed"
	g.createStream(t, stream, 4)
	p := g.newProducer(t)
	a := put(t, p, stream, keyed("a", g.records))
	b := put(t, p, stream, keyed("b", g.records))
	got := g.verify(t, p, stream, a, b)
	wantNoneDropped(t, p, got)
	if n := len(shardIDs(got)); n != 4 {
		t.Errorf("unexpected number of shards used; got %d; want 4", n)
	}
	if got.KinesisRecords*10 > len(got.Records) || got.Aggregates == 0 {
		t.Errorf("unexpected aggregation; got %d Kinesis records for %d user records; want a tenth at most", got.KinesisRecords, len(got.Records))
	}
}

func (g *target) testUnkeyed(t *testing.T) {
	const stream = "unkeyed"
	g.createStream(t, stream, 3)
	p := g.newProducer(t)
	records := keyed("s", g.records)
	for i := range records {
		records[i].PartitionKey = ""
	}
	got := g.verify(t, p, stream, put(t, p, stream, records))
	wantNoneDropped(t, p, got)
	size := 0
	for _, r := range records {
		size += len(r.Data) + 40
	}
	if limit := size/(2*core.PutPayloadUnit) + 4; got.KinesisRecords > limit {
		t.Errorf("unexpected number of Kinesis records; got %d; want at most %d", got.KinesisRecords, limit)
	}
}

func (g *target) testExplicit(t *testing.T) {
	const stream = "explicit"
	g.createStream(t, stream, 4)
	p := g.newProducer(t)
	var records []core.Record
	var want []string
	for _, s := range g.openShards(t, stream) {
		for i, hash := range []string{aws.ToString(s.HashKeyRange.StartingHashKey), aws.ToString(s.HashKeyRange.EndingHashKey)} {
			for j := range 5 {
				records = append(records, core.Record{
					PartitionKey: "one key", ExplicitHashKey: hash, Data: fmt.Appendf(nil, "%s-%d-%d", aws.ToString(s.ShardId), i, j),
				})
				want = append(want, aws.ToString(s.ShardId))
			}
		}
	}
	for _, aggregate := range []bool{true, false} {
		q := p
		if !aggregate {
			q = g.newProducer(t, core.WithAggregation(false))
		}
		s := put(t, q, stream, records)
		for i := range records {
			if got := s.batch.Result(i).ShardID; got != want[i] {
				t.Errorf("aggregation %t: unexpected shard of hash key %s; got %s; want %s", aggregate, records[i].ExplicitHashKey, got, want[i])
			}
		}
		if aggregate {
			wantNoneDropped(t, q, g.verify(t, q, stream, s))
		}
	}
	t.Run("leading zeros are taken off", func(t *testing.T) {
		// Kinesis wants a number in canonical form.
		s := put(t, p, stream, []core.Record{{PartitionKey: "k", ExplicitHashKey: "007", Data: []byte("zeros")}})
		if got := s.batch.Result(0).ShardID; got != want[0] {
			t.Errorf("unexpected shard; got %s; want %s", got, want[0])
		}
	})
}

func (g *target) testUnaggregated(t *testing.T) {
	const stream = "unaggregated"
	g.createStream(t, stream, 2)
	p := g.newProducer(t, core.WithAggregation(false))
	records := keyed("u", min(g.records, 1200)) // more than two requests where possible
	for i := range records {
		if i%3 == 0 {
			records[i].PartitionKey = "" // unkeyed
		}
	}
	got := g.verify(t, p, stream, put(t, p, stream, records))
	wantNoneDropped(t, p, got)
	if got.Aggregates != 0 || got.KinesisRecords != len(records) {
		t.Errorf("unexpected form; got %d aggregates, %d Kinesis records; want none and %d", got.Aggregates, got.KinesisRecords, len(records))
	}
	// The short keys of records without a key lead there as others hash them, too.
	if st := p.Stats(); st.AutoInferred != 0 || p.Auto(stream) {
		t.Errorf("unexpected distribution; got AUTO, inferred %d times from shards that keys do not lead to", st.AutoInferred)
	}
}

func (g *target) testOddKeys(t *testing.T) {
	const stream = "odd"
	g.createStream(t, stream, 2)
	keys := []string{
		"k", "10", "9", " ", "\x01", "caf\u00e9", "\u043a\u043b\u044e\u0447", "\U0001f600", "line\u2028break", "<&>\"\\",
		strings.Repeat("k", 256), strings.Repeat("\u00e9", 256),
	}
	for _, aggregate := range []bool{true, false} {
		t.Run(fmt.Sprintf("aggregation %t", aggregate), func(t *testing.T) {
			p := g.newProducer(t, core.WithAggregation(aggregate))
			name := fmt.Sprintf("%s-%t", stream, aggregate)
			g.createStream(t, name, 2)
			records := make([]core.Record, 0, 2*len(keys)+1)
			for i, k := range keys {
				records = append(records, core.Record{PartitionKey: k, Data: fmt.Appendf(nil, "\xff\x00%d", i)})
			}
			records = append(records,
				core.Record{PartitionKey: "empty", Data: nil},
				core.Record{PartitionKey: "binary", Data: []byte("\xf3\x89\x9a\xc2 looks like an aggregate")})
			got := g.verify(t, p, name, put(t, p, name, records))
			wantNoneDropped(t, p, got)
		})
	}
}

func (g *target) testARN(t *testing.T) {
	const stream = "by-arn"
	g.createStream(t, stream, 2)
	arn := aws.ToString(g.waitActive(t, stream).StreamARN)
	p := g.newProducer(t)
	got := g.verify(t, p, stream, put(t, p, arn, keyed("n", 100)))
	wantNoneDropped(t, p, got)
}

func (g *target) testMissingStream(t *testing.T) {
	p := g.newProducer(t)
	ctx, cancel := context.WithTimeout(t.Context(), maxWait)
	defer cancel()
	b, err := p.PutBatch(ctx, "no-such-stream", keyed("m", 10))
	if err == nil {
		err = b.WaitSettled(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i := range b.Len() {
		if e := b.Result(i).Err; e == nil || e.Reason != core.ReasonStreamNotFound {
			t.Fatalf("unexpected outcome of record %d; got %v; want reason %s", i, e, core.ReasonStreamNotFound)
		}
	}
}

func (g *target) testInvalid(t *testing.T) {
	const stream = "invalid"
	g.createStream(t, stream, 1)
	p := g.newProducer(t)
	records := keyed("i", 20)
	records[3].PartitionKey = strings.Repeat("k", 257)
	records[7].ExplicitHashKey = "340282366920938463463374607431768211456" // 2^128
	records[11].Data = bytes.Repeat([]byte("x"), 1<<20+1)
	want := map[int]core.Reason{3: core.ReasonInvalid, 7: core.ReasonInvalid, 11: core.ReasonTooLarge}
	ctx, cancel := context.WithTimeout(t.Context(), maxWait)
	defer cancel()
	b, err := p.PutBatch(ctx, stream, records)
	if err == nil {
		err = b.WaitSettled(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i := range records {
		res := b.Result(i)
		got := core.ReasonNone
		if res.Err != nil {
			got = res.Err.Reason
		}
		if got != want[i] {
			t.Errorf("unexpected outcome of record %d; got %s (%v); want %s", i, got, res.Err, want[i])
		}
	}
}

func (g *target) testLarge(t *testing.T) {
	const stream = "large"
	g.createStream(t, stream, 2)
	p := g.newProducer(t)
	records := keyed("l", 50)
	for i := range 6 {
		key := fmt.Sprintf("large-%d", i)
		data := bytes.Repeat([]byte{byte('a' + i)}, 1<<20-len(key)) // the limit exactly
		records = append(records, core.Record{PartitionKey: key, Data: data})
	}
	got := g.verify(t, p, stream, put(t, p, stream, records))
	wantNoneDropped(t, p, got)
}

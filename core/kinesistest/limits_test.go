// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

func TestShardsOverTheirLimitsRefuseEntriesOneByOne(t *testing.T) {
	clk := newClock()
	bothClients(t, func(t *testing.T, s *Server, c api) {
		put := func(in *kinesis.PutRecordsInput) (ok, throttled int) {
			out := must[*kinesis.PutRecordsOutput](t)(c.PutRecords(context.Background(), in))
			for _, r := range out.Records {
				if r.ErrorCode == nil {
					ok++
					continue
				}
				throttled++
				equal(t, "code", *r.ErrorCode, "ProvisionedThroughputExceededException")
				equal(t, "message", *r.ErrorMessage, "Rate exceeded for shard shardId-000000000000 in stream demo under account 123456789012.")
				if r.SequenceNumber != nil || r.ShardId != nil {
					t.Errorf("unexpected shard %v and sequence number %v of a refused entry", r.ShardId, r.SequenceNumber)
				}
			}
			equal(t, "FailedRecordCount", int(aws.ToInt32(out.FailedRecordCount)), throttled)
			return ok, throttled
		}
		in := puts()
		for range 15 {
			in.Records = append(in.Records, entryAt("0", "x"))
		}
		in.Records = append(in.Records, entryAt("340282366920938463463374607431768211455", "other shard"))
		ok, throttled := put(in)
		equal(t, "stored at first", ok, 11)
		equal(t, "throttled at first", throttled, 5)
		clk.advance(500 * time.Millisecond)
		ok, _ = put(in)
		equal(t, "stored after half a second", ok, 6)
		clk.advance(time.Hour)
		ok, _ = put(in)
		equal(t, "stored after a long time: one second's worth", ok, 11)
		clk.advance(time.Hour)
		ok, _ = put(puts(entryAt("0", string(make([]byte, 999))), entryAt("0", "")))
		equal(t, "stored of 1001 bytes", ok, 1)
		clk.advance(time.Hour)
		ok, _ = put(puts(entryAt("0", string(make([]byte, 1999)))))
		equal(t, "a record above the whole bucket is stored", ok, 1)
		clk.advance(time.Second)
		ok, _ = put(puts(entryAt("0", "x")))
		equal(t, "and leaves a debt of a second", ok, 0)
		equal(t, "throttled in the statistics", s.Shards("demo")[0].Throttled, 22)
		equal(t, "throttled in the other shard", s.Shards("demo")[1].Throttled, 0)
	}, WithStream("demo", 2), WithLimits(Limits{RecordsPerSecond: 10, BytesPerSecond: 1000}), WithClock(clk.now))
}

func TestNoLimitsByDefault(t *testing.T) {
	s := New(WithStream("demo", 1))
	for range 10 {
		out := must[*kinesis.PutRecordsOutput](t)(s.Client().PutRecords(context.Background(), many(500, 10000)))
		equal(t, "failed", aws.ToInt32(out.FailedRecordCount), 0)
	}
}

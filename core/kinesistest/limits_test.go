// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
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

func TestShardsOverTheirLimitsRefuseReads(t *testing.T) {
	clk := newClock()
	bothClients(t, func(t *testing.T, s *Server, c api) {
		for range 3 {
			must[*kinesis.PutRecordsOutput](t)(c.PutRecords(context.Background(), puts(entryAt("0", string(make([]byte, 999))))))
		}
		iterator := func(shard string) *string {
			return must[*kinesis.GetShardIteratorOutput](t)(c.GetShardIterator(context.Background(), &kinesis.GetShardIteratorInput{
				StreamName: aws.String("demo"), ShardId: &shard, ShardIteratorType: "TRIM_HORIZON",
			})).ShardIterator
		}
		read := func(it *string, limit int32) string {
			_, err := c.GetRecords(context.Background(), &kinesis.GetRecordsInput{ShardIterator: it, Limit: &limit})
			if err == nil {
				return ""
			}
			var ae smithy.APIError
			if !errors.As(err, &ae) || ae.ErrorCode() != "ProvisionedThroughputExceededException" {
				t.Errorf("unexpected error %v; want that of a throttle", err)
			}
			return err.Error()
		}
		first, other := iterator("shardId-000000000000"), iterator("shardId-000000000001")
		clk.advance(time.Minute)
		got := ""
		for range 7 {
			got += map[bool]string{true: "+", false: "-"}[read(other, 10) == ""]
		}
		equal(t, "calls of empty reads", got, "+++++--")
		clk.advance(200 * time.Millisecond)
		equal(t, "a call after a fifth of a second", read(other, 10), "")
		clk.advance(time.Minute)
		equal(t, "a read that is larger than the bucket", read(first, 10), "") // of 3,000 bytes
		clk.advance(time.Second)
		if m := read(first, 1); !strings.Contains(m, "bytes of a second") {
			t.Errorf("unexpected answer; got %q; want the debt of the bytes", m)
		}
		clk.advance(1100 * time.Millisecond)
		equal(t, "a read when there is no debt", read(first, 1), "")
	}, WithStream("demo", 2), WithReadLimits(ReadLimits{CallsPerSecond: 5, BytesPerSecond: 1000}), WithClock(clk.now))
}

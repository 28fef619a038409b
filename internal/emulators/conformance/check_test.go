// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// createStream makes a stream and waits until it can be used.
func (g *target) createStream(t *testing.T, name string, shards int32) {
	t.Helper()
	if _, err := g.api.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &name, ShardCount: &shards}); err != nil {
		t.Fatal(err)
	}
	g.waitActive(t, name)
}

// waitActive waits until the stream is neither being made nor resharded.
func (g *target) waitActive(t *testing.T, name string) *types.StreamDescriptionSummary {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(maxWait)
	for {
		out, err := g.api.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: &name})
		if err == nil && out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive {
			return out.StreamDescriptionSummary
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("stream %s is not ACTIVE after %v (last error: %v)", name, maxWait, err)
		}
	}
}

// openShards lists the shards that take records.
func (g *target) openShards(t *testing.T, name string) []types.Shard {
	t.Helper()
	out, err := g.api.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: &name})
	if err != nil {
		t.Fatal(err)
	}
	var open []types.Shard
	for _, s := range out.Shards {
		if s.SequenceNumberRange == nil || s.SequenceNumberRange.EndingSequenceNumber == nil {
			open = append(open, s)
		}
	}
	return open
}

// sent is a batch with what was put into it.
type sent struct {
	records []core.Record
	batch   *core.Batch
}

// put hands records over and waits for their outcomes.
func put(t *testing.T, p *core.Producer, stream string, records []core.Record) sent {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), maxWait)
	defer cancel()
	b, err := p.PutBatch(ctx, stream, records)
	if err == nil {
		err = b.WaitSettled(ctx)
	}
	if err == nil {
		err = b.Err()
	}
	if err != nil {
		t.Errorf("cannot deliver %d records to %s: %v", len(records), stream, err)
	}
	return sent{records, b}
}

// place is what identifies a stored user record.
type place struct {
	shard, sequence, data string
}

// verify reads a stream back and compares it with everything that was sent to it.
// Within a shard and a Kinesis record, user records are told apart by their data,
// so the data of a test must be distinct, or the records apart.
func (g *target) verify(t *testing.T, p *core.Producer, stream string, batches ...sent) kinesistest.Consumed {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), maxWait)
	defer cancel()
	got, err := kinesistest.ReadAll(ctx, g.api, stream)
	if err != nil {
		t.Fatal(err)
	}
	stored := map[place][]kinesistest.UserRecord{}
	for _, r := range got.Records {
		k := place{r.ShardID, r.SequenceNumber, string(r.Data)}
		stored[k] = append(stored[k], r)
	}
	total, missing, otherKeys := 0, 0, 0
	for _, s := range batches {
		for i, want := range s.records {
			total++
			res := s.batch.Result(i)
			if !res.Confirmed() {
				t.Fatalf("record %d is not confirmed: %v", i, res.Err)
			}
			k := place{res.ShardID, res.SequenceNumber, string(want.Data)}
			found := stored[k]
			if len(found) == 0 {
				missing++
				continue
			}
			stored[k] = found[1:]
			if r := found[0]; want.PartitionKey != "" && r.PartitionKey != want.PartitionKey || !bytes.Equal(r.Data, want.Data) {
				otherKeys++
			}
		}
	}
	extra := 0
	for _, left := range stored {
		extra += len(left)
	}
	stats := p.Stats()
	if missing != 0 || extra != 0 || otherKeys != 0 {
		t.Errorf("unexpected content of stream %s; got %d of %d records missing where their results say, %d that no result names, %d with another key; want none",
			stream, missing, total, extra, otherKeys)
	}
	if len(got.Records) != total {
		t.Errorf("unexpected number of user records in stream %s; got %d; want %d", stream, len(got.Records), total)
	}
	if stats.Accepted != stats.Confirmed || stats.Uncertain != 0 {
		t.Errorf("unexpected statistics; got %d accepted, %d confirmed, %d uncertain; want all confirmed and none uncertain",
			stats.Accepted, stats.Confirmed, stats.Uncertain)
	}
	return got
}

// wantNoneDropped fails if a KCL consumer would drop something. Only a stream that is
// resharded under load may hold such records, and each is stored again.
func wantNoneDropped(t *testing.T, p *core.Producer, got kinesistest.Consumed) {
	t.Helper()
	if len(got.Dropped) != 0 {
		t.Errorf("unexpected records that KCL drops; got %d, the first in %s; want none", len(got.Dropped), got.Dropped[0].ShardID)
	}
	if n := p.Stats().KinesisRecords; n != uint64(got.KinesisRecords) {
		t.Errorf("unexpected number of Kinesis records; got %d stored; want the %d that were counted", got.KinesisRecords, n)
	}
}

// shardIDs returns the shards in which records were stored.
func shardIDs(c kinesistest.Consumed) map[string]int {
	m := map[string]int{}
	for _, r := range c.Records {
		m[r.ShardID]++
	}
	return m
}

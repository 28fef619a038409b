// SPDX-License-Identifier: Apache-2.0

package core

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// saboteur damages the pipeline of stream "s" once, before the answer to a call.
type saboteur struct {
	Client
	operation string
	skip      atomic.Int32
	damage    func(pl *pipeline)
	p         *Producer
}

func (c *saboteur) strike(operation string, stream *string) {
	if stream == nil || *stream != "s" || operation != c.operation || c.skip.Add(-1) != -1 {
		return
	}
	c.p.mu.Lock()
	pl := c.p.pipelines["s"]
	c.p.mu.Unlock()
	pl.mu.Lock()
	if pl.checks != nil {
		pl.checks.suspended = true
	}
	c.damage(pl)
	pl.mu.Unlock()
}

// PutRecords implements Client.
func (c *saboteur) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	out, err := c.Client.PutRecords(ctx, in, opts...)
	c.strike("PutRecords", in.StreamName)
	return out, err
}

// ListShards implements Client.
func (c *saboteur) ListShards(ctx context.Context, in *kinesis.ListShardsInput, opts ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	out, err := c.Client.ListShards(ctx, in, opts...)
	c.strike("ListShards", in.StreamName)
	return out, err
}

// DescribeStreamSummary implements Client.
func (c *saboteur) DescribeStreamSummary(ctx context.Context, in *kinesis.DescribeStreamSummaryInput, opts ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error) {
	out, err := c.Client.DescribeStreamSummary(ctx, in, opts...)
	c.strike("DescribeStreamSummary", in.StreamName)
	return out, err
}

// A panic in the producer's own work must not take the host down, nor leave
// anybody waiting.
func TestPanicInThePipelineFailsItsRecordsAndSparesTheHost(t *testing.T) {
	for _, c := range []*saboteur{
		{operation: "PutRecords", damage: func(pl *pipeline) {
			for b := pl.batches.oldest; b != nil; b = b.next {
				for i := range b.items {
					b.items[i].last = &attemptNode{Attempt: &Attempt{}}
					b.items[i].tries = math.MaxUint16 // its history cannot be as long
				}
			}
		}},
		{operation: "ListShards", damage: func(pl *pipeline) { pl.shards.byID = map[string]*shard{"shardId-000000000000": nil} }},
		{operation: "DescribeStreamSummary", damage: func(pl *pipeline) { pl.awaiting.items = append([]*item{nil}, pl.awaiting.items...) }},
	} {
		for skip := range int32(4) {
			if skip > 0 && c.operation != "PutRecords" {
				continue
			}
			t.Run(fmt.Sprint(c.operation, skip), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := kinesistest.New(kinesistest.WithStream("s", 4), kinesistest.WithStream("other", 1))
					s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: 5 * time.Millisecond}})
					client := &saboteur{Client: s.Client(), operation: c.operation, damage: c.damage}
					client.skip.Store(skip)
					var log bytes.Buffer // nothing else logs
					p, err := New(client, WithLogger(slog.New(slog.NewTextHandler(&log, nil))), WithBufferRecords(300))
					if err != nil {
						t.Fatal(err)
					}
					client.p = p
					brokenBySabotage(t, p)
					if !strings.Contains(log.String(), "guarded") {
						t.Errorf("unexpected log; got %q; want a stack", log.String())
					}
				})
			})
		}
	}
}

func brokenBySabotage(t *testing.T, p *Producer) {
	ctx := context.Background()
	records := make([]Record, 100)
	for i := range records {
		records[i] = Record{PartitionKey: fmt.Sprint("k", i), Data: []byte("x")}
	}
	var batches []*Batch
	for range 20 {
		b, err := p.PutBatch(ctx, "s", records)
		if err != nil {
			t.Fatal(err)
		}
		batches = append(batches, b)
	}
	internal := 0
	for _, b := range batches {
		<-b.Done()
		for i := range b.Len() {
			switch r := b.Result(i); {
			case r.Confirmed():
			case r.Err != nil && r.Err.Reason == ReasonInternal && !r.Err.Reason.Permanent():
				internal++
			default:
				t.Fatalf("unexpected result %+v; want confirmed or reason internal", r)
			}
		}
	}
	if internal == 0 {
		t.Error("unexpected success of all records")
	}
	if _, err := p.PutSync(ctx, "s", records[0]); err == nil {
		t.Error("unexpected success of a record after the panic")
	}
	if _, err := p.PutSync(ctx, "other", records[0]); err != nil {
		t.Errorf("unexpected error on another stream: %v", err)
	}
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
	if st := p.Stats(); st.Pending != 0 || st.BufferedBytes != 0 || st.Accepted != st.Confirmed+st.FailedTotal() {
		t.Errorf("unexpected rest: %+v", st)
	}
}

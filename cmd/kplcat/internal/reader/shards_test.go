// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/core/kinesistest"
)

func TestOnlyTheShardsAskedForAreRead(t *testing.T) {
	bubble(t, 4, func(t *testing.T, tr *trial) {
		tr.send(100)
		must(t, tr.s.SplitEven(stream, "shardId-000000000002"))
		tr.send(100)
		c := tr.config()
		c.Shards = []string{"shardId-000000000002", "shardId-000000000004"}
		run1(t, c)
		if len(tr.shards) != 2 || len(tr.shards[c.Shards[0]]) != len(tr.s.ShardRecords(stream, c.Shards[0])) ||
			len(tr.shards[c.Shards[1]]) != len(tr.s.ShardRecords(stream, c.Shards[1])) {
			t.Errorf("unexpected shards; got %v; want all of %v", tr.shards, c.Shards)
		}
		c.Shards = append(c.Shards, "shardId-000000000077")
		if err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "no shard shardId-000000000077; it has shardId-000000000000, ") {
			t.Errorf("unexpected error; got %v; want the shard that is missing and those there are", err)
		}
	})
}

func TestStreamWithoutShardsIsAnError(t *testing.T) {
	bubble(t, 1, func(t *testing.T, tr *trial) {
		c := tr.config()
		c.API = noShards{c.API}
		if err := Run(t.Context(), c); !errors.Is(err, errNoShards) {
			t.Errorf("unexpected error; got %v; want %v", err, errNoShards)
		}
	})
}

type noShards struct{ API }

func (noShards) ListShards(context.Context, *kinesis.ListShardsInput, ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	return &kinesis.ListShardsOutput{}, nil
}

func TestShardThatLeavesTheStreamIsLeftOut(t *testing.T) {
	bubble(t, 1, func(t *testing.T, tr *trial) {
		tr.send(10)
		c := tr.config()
		c.API = &ghost{API: c.API}
		run1(t, c)
		tr.wantAll(0, 10)
		if len(tr.warning) != 1 || !strings.Contains(tr.warning[0], "no longer in the stream") {
			t.Errorf("unexpected warnings; got %q; want that a shard has gone", tr.warning)
		}
	})
}

// ghost lists a shard once that does not exist.
type ghost struct {
	API
	listed int
}

func (g *ghost) ListShards(ctx context.Context, in *kinesis.ListShardsInput, opts ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	out, err := g.API.ListShards(ctx, in, opts...)
	if g.listed++; err == nil && g.listed == 1 {
		out.Shards = append(out.Shards, types.Shard{ShardId: aws.String("shardId-000000000099")})
	}
	return out, err
}

func TestShardThatLeavesTheStreamWhileItIsReadIsLeftOut(t *testing.T) {
	bubble(t, 2, func(t *testing.T, tr *trial) {
		c := tr.config()
		late := &late{API: c.API}
		c.API = late
		stop := tr.follow(c)
		tr.send(40)
		settle(10 * time.Second)
		late.gone.Store(true)
		tr.s.Fault(kinesistest.Fault{Operation: "GetRecords", Times: 4, Effect: kinesistest.Fail("ExpiredIteratorException", "Iterator expired.")})
		settle(10 * time.Second)
		tr.mu.Lock()
		before := len(tr.shards["shardId-000000000000"])
		tr.mu.Unlock()
		tr.send(40)
		settle(10 * time.Second)
		_ = stop()
		if len(tr.warning) != 1 || len(tr.shards["shardId-000000000000"]) <= before || len(tr.got) == 80 {
			t.Errorf("unexpected end; got %d records, warnings %q; want that only the other shard is read on", len(tr.got), tr.warning)
		}
	})
}

// late loses the second shard when told.
type late struct {
	API
	gone atomic.Bool
}

func (l *late) ListShards(ctx context.Context, in *kinesis.ListShardsInput, opts ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	out, err := l.API.ListShards(ctx, in, opts...)
	if err == nil && l.gone.Load() {
		out.Shards = out.Shards[:1]
	}
	return out, err
}

func (l *late) GetShardIterator(ctx context.Context, in *kinesis.GetShardIteratorInput, opts ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error) {
	if l.gone.Load() && *in.ShardId == "shardId-000000000001" {
		return nil, &types.ResourceNotFoundException{}
	}
	return l.API.GetShardIterator(ctx, in, opts...)
}

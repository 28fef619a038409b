// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

func TestChildrenAreReadAfterTheirParents(t *testing.T) {
	bubble(t, 2, func(t *testing.T, tr *trial) {
		tr.send(50)
		must(t, tr.s.SplitEven(stream, "shardId-000000000000"))
		tr.send(50)
		must(t, tr.s.Merge(stream, "shardId-000000000003", "shardId-000000000001"))
		tr.send(50)
		run1(t, tr.config())
		tr.wantAll(0, 150)
		at := func(id string) int { return slices.Index(tr.order, fmt.Sprintf("shardId-%012s", id)) }
		if len(tr.order) != 5 || at("0") > at("2") || at("0") > at("3") || at("3") > at("4") || at("1") > at("4") {
			t.Errorf("unexpected order of shards; got %v; want each after its parents", tr.order)
		}
	})
}

// Kinesalite answers so between the last record of a closed shard and its end.
func TestTipOfAClosedShardIsNotItsEnd(t *testing.T) {
	for _, until := range []bool{false, true} {
		t.Run(fmt.Sprintf("with a time %t", until), func(t *testing.T) {
			bubble(t, 2, func(t *testing.T, tr *trial) {
				tr.send(20)
				must(t, tr.s.SplitEven(stream, "shardId-000000000000"))
				tr.send(20)
				c := tr.config()
				c.API = &falseTip{API: c.API, answered: map[string]bool{}}
				if until {
					c.UntilNow, c.Until = false, time.Now()
					settle(time.Minute)
				}
				run1(t, c)
				tr.wantAll(0, 40)
			})
		})
	}
}

// falseTip puts an empty page without a lag before the end of each closed shard.
type falseTip struct {
	API
	mu       sync.Mutex // guards answered
	answered map[string]bool
}

func (f *falseTip) GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	out, err := f.API.GetRecords(ctx, in, opts...)
	if err != nil || out.NextShardIterator != nil {
		return out, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, step := range []string{"records", "tip"} {
		if key := step + *in.ShardIterator; !f.answered[key] {
			f.answered[key] = true
			out.NextShardIterator, out.ChildShards = in.ShardIterator, nil
			if step == "tip" {
				out.Records = nil
			}
			return out, nil
		}
	}
	out.Records = nil
	return out, nil
}

func TestReshardingIsFollowed(t *testing.T) {
	for _, answered := range []bool{true, false} {
		t.Run(fmt.Sprintf("children listed by GetRecords %t", answered), func(t *testing.T) {
			bubble(t, 2, func(t *testing.T, tr *trial) {
				c := tr.config()
				c.From = From{At: Latest}
				if !answered {
					c.API = noChildren{tr.s.Client()}
				}
				tr.send(20) // before: not wanted
				must(t, tr.s.SplitEven(stream, "shardId-000000000001"))
				tr.send(20)
				stop := tr.follow(c)
				settle(5 * time.Second)
				tr.send(20)
				must(t, tr.s.SplitEven(stream, "shardId-000000000000"))
				tr.send(20)
				settle(30 * time.Second)
				must(t, tr.s.Merge(stream, "shardId-000000000005", "shardId-000000000002"))
				tr.send(20)
				must(t, tr.s.UpdateShardCount(stream, 3))
				tr.send(20)
				settle(30 * time.Second)
				tr.send(5)
				settle(5 * time.Second)
				if err := stop(); !errors.Is(err, context.Canceled) {
					t.Errorf("unexpected end; got %v; want context.Canceled", err)
				}
				tr.wantAll(40, 125)
				if tr.warning != nil {
					t.Errorf("unexpected warnings; got %q; want none", tr.warning)
				}
			})
		})
	}
}

// noChildren leaves out ChildShards, as some emulators do.
type noChildren struct{ API }

func (n noChildren) GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	out, err := n.API.GetRecords(ctx, in, opts...)
	if err == nil {
		out.ChildShards = nil
	}
	return out, err
}

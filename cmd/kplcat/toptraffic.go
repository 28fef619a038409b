// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/cmd/kplcat/internal/reader"
)

// What kplcat top counts of a stream.

// counting is the API of a stream that counts the reads that were refused, and keeps what calls
// failed with.
type counting struct {
	reader.API
	st *traffic
}

// ListShards is the operation of that name.
func (c *counting) ListShards(ctx context.Context, in *kinesis.ListShardsInput, opts ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	out, err := c.API.ListShards(ctx, in, opts...)
	c.st.noteFailure(ctx, err)
	return out, err
}

// GetShardIterator is the operation of that name.
func (c *counting) GetShardIterator(ctx context.Context, in *kinesis.GetShardIteratorInput, opts ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error) {
	out, err := c.API.GetShardIterator(ctx, in, opts...)
	c.st.noteFailure(ctx, err)
	return out, err
}

func (t *traffic) noteFailure(ctx context.Context, err error) {
	if err == nil || errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = err
}

// GetRecords is the operation of that name.
func (c *counting) GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	out, err := c.API.GetRecords(ctx, in, opts...)
	c.st.noteFailure(ctx, err)
	c.st.mu.Lock()
	defer c.st.mu.Unlock()
	if reader.Throttled(err) {
		c.st.throttled++
	}
	if err == nil || reader.Throttled(err) { // the throttled reads are in the table
		c.st.answered = true
	}
	return out, err
}

// rate is what came in an interval.
type rate struct {
	kinesis, users int64
	bytes          int64 // of the Kinesis records, with their keys
}

func (r *rate) add(o rate) {
	r.kinesis += o.kinesis
	r.users += o.users
	r.bytes += o.bytes
}

// traffic is what comes into a stream.
type traffic struct {
	name string

	mu        sync.Mutex // guards the fields below
	shards    map[string]*shardTraffic
	keys      heavy
	throttled int64 // reads
	answered  bool  // a shard
	failed    error // of the last call that failed
}

type shardTraffic struct {
	now, last rate // of this interval, of the one before
	latest    time.Time
}

func newTraffic(name string) *traffic {
	return &traffic{name: name, shards: map[string]*shardTraffic{}, keys: newHeavy()}
}

// add takes a page.
func (t *traffic) add(b reader.Batch) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	sh := t.shards[b.Shard.ID]
	if sh == nil {
		sh = &shardTraffic{}
		t.shards[b.Shard.ID] = sh
	}
	for i := range b.Records {
		r := &b.Records[i]
		key := aws.ToString(r.PartitionKey)
		users, _ := aggregation.Deaggregate(key, "", r.Data)
		sh.now.add(rate{1, int64(len(users)), int64(len(r.Data) + len(key))})
		for j := range users {
			t.keys.add(users[j].PartitionKey, int64(len(users[j].Data)+len(users[j].PartitionKey)))
		}
		if at := aws.ToTime(r.ApproximateArrivalTimestamp); at.After(sh.latest) {
			sh.latest = at
		}
	}
	return nil
}

// heavy counts the bytes of keys, in bounded memory: when there are too many, the
// lightest leave (Metwally et al., Efficient Computation of Frequent and Top-k Elements, 2005,
// in a simple form: half at a time).
type heavy struct{ bytes map[string]int64 }

const maxHeavy = 20_000

func newHeavy() heavy { return heavy{map[string]int64{}} }

func (h *heavy) add(key string, bytes int64) {
	h.bytes[key] += bytes
	if len(h.bytes) <= maxHeavy {
		return
	}
	all := h.most(len(h.bytes))
	for _, k := range all[maxHeavy/2:] {
		delete(h.bytes, k.key)
	}
}

type keyBytes struct {
	key   string
	bytes int64
}

// most returns the n keys with most bytes.
func (h *heavy) most(n int) []keyBytes {
	all := make([]keyBytes, 0, len(h.bytes))
	for k, b := range h.bytes {
		all = append(all, keyBytes{k, b})
	}
	slices.SortFunc(all, func(a, b keyBytes) int { return cmp.Or(cmp.Compare(b.bytes, a.bytes), strings.Compare(a.key, b.key)) })
	return all[:min(n, len(all))]
}

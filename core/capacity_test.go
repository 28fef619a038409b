// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// oneShard takes what one shard does in a second.
func oneShard(shards int) *kinesistest.Server {
	return kinesistest.New(kinesistest.WithStream(stream, shards), kinesistest.WithLimits(kinesistest.Limits{RecordsPerSecond: 1000, BytesPerSecond: 1 << 20}))
}

// write puts so many bytes a second in records of 10 kB, for so long, and does not wait for
// what is not stored by then. The key is the same for all, or there is none.
func write(t *testing.T, p *core.Producer, key string, bytesPerSecond int, d time.Duration) {
	t.Helper()
	const size = 10_000
	for end := time.Now().Add(d); time.Now().Before(end); {
		records := make([]core.Record, bytesPerSecond/size/10)
		for i := range records {
			records[i] = core.Record{PartitionKey: key, Data: make([]byte, size)}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, _ = p.PutBatch(ctx, stream, records) // a full buffer is part of it
		cancel()
		<-time.After(100 * time.Millisecond)
	}
}

func TestStreamThatIsTooSmallIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logText
		s := oneShard(1)
		p := newProducer(t, s.Client(), log.option(), core.WithBufferBytes(16<<20))
		write(t, p, "", 3<<20, 25*time.Second)
		got := log.String()
		if strings.Count(got, "records wait for the capacity of the shards") != 1 {
			t.Fatalf("unexpected log; got %q; want one line about capacity", got)
		}
		for _, want := range []string{"level=WARN", "shards=1", "full=1", "shardId-000000000000", "shards_that_would_do=", "add shards", "update-shard-count"} {
			if !strings.Contains(got, want) {
				t.Errorf("unexpected log; got %q; want %q in it", got, want)
			}
		}
		snap := p.Snapshot().Streams[0]
		if snap.InUse < 0.9 || snap.Backlog < 5*time.Second || snap.ShardsNeeded < 3 || snap.ShardsNeeded > 5 {
			t.Errorf("unexpected state; got %.2f in use, a backlog of %v, %d shards needed; want all of it, more than 5 s, 3 to 5", snap.InUse, snap.Backlog, snap.ShardsNeeded)
		}
		<-time.After(40 * time.Second) // all is stored, and the shard idle
		synctest.Wait()
		if got := log.String(); strings.Count(got, "the shards have room again") != 1 || strings.Count(got, "records wait") != 1 {
			t.Errorf("unexpected log; got %q; want one line about the end", got)
		}
		if snap := p.Snapshot().Streams[0]; snap.InUse != 0 || snap.Backlog != 0 || snap.ShardsNeeded != 1 {
			t.Errorf("unexpected state at rest; got %+v", snap)
		}
	})
}

func TestShortageIsSaidOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logText
		p := newProducer(t, oneShard(1).Client(), log.option(), core.WithBufferBytes(8<<20))
		write(t, p, "", 3<<20, 3*time.Minute)
		synctest.Wait()
		if n := strings.Count(log.String(), "records wait for the capacity of the shards"); n < 2 || n > 3 {
			t.Errorf("unexpected number of lines in three minutes; got %d; want 2 or 3:\n%s", n, log.String())
		}
	})
}

// A shard that is nearly full may have records wait for a moment and none at the next look.
func TestNothingIsSaidWhileNothingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logText
		p := newProducer(t, oneShard(1).Client(), log.option(), core.WithBufferBytes(16<<20))
		write(t, p, "", 1_300_000, 6*time.Second)
		write(t, p, "", 1_000_000, 90*time.Second)
		synctest.Wait()
		if got := log.String(); strings.Contains(got, "waiting_bytes=0") {
			t.Errorf("unexpected log; got %q; want no line about a capacity for which nothing waits", got)
		}
	})
}

// A stream that has room, and one that is full for a moment, are not too small.
func TestStreamWithRoomIsNotTooSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logText
		p := newProducer(t, oneShard(4).Client(), log.option())
		write(t, p, "", 2<<20, time.Minute)
		if snap := p.Snapshot().Streams[0]; snap.InUse < 0.3 || snap.InUse > 0.8 || snap.ShardsNeeded > 4 {
			t.Errorf("unexpected state; got %.2f in use, %d shards needed; want half, and at most the 4 that there are", snap.InUse, snap.ShardsNeeded)
		}
		write(t, p, "", 8<<20, 2*time.Second)
		<-time.After(20 * time.Second)
		if got := log.String(); strings.Contains(got, "capacity") {
			t.Errorf("unexpected log; got %q; want nothing about capacity", got)
		}
	})
}

// One key in one shard: the line names that shard, and that it is the only one.
func TestHotShardIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logText
		p := newProducer(t, oneShard(4).Client(), log.option(), core.WithBufferBytes(8<<20))
		write(t, p, "hot", 2<<20, 25*time.Second)
		got := log.String()
		if !strings.Contains(got, "shards=4 full=1 ") || !strings.Contains(got, "PartitionKey more varied") {
			t.Errorf("unexpected log; got %q; want one full shard of four, and advice about keys", got)
		}
	})
}

// The limit that the settings give is not that of the shard, and to add shards is not the
// first thing to do.
func TestLimitOfTheSettingsIsToldFromTheShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logText
		p := newProducer(t, oneShard(1).Client(), log.option(), core.WithRateLimit(20), core.WithBufferBytes(8<<20))
		write(t, p, "", 1<<20, 25*time.Second)
		if got := log.String(); !strings.Contains(got, "raise WithRateLimit") {
			t.Errorf("unexpected log; got %q; want the option of the limit", got)
		}
	})
}

// Without a shard map, or on a stream that distributes records itself, no shard tells of its
// capacity; that everything is throttled is said all the same.
func TestThrottlesWithoutAShardAreSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		s.Fault(kinesistest.Fault{Operation: "ListShards", Effect: kinesistest.Fail("AccessDeniedException", "no")})
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.ThrottleEntries()})
		var log logText
		p := newProducer(t, s.Client(), log.option())
		put(t, p, batchOf("a", 10))
		<-time.After(20 * time.Second)
		synctest.Wait()
		if got := log.String(); !strings.Contains(got, "cannot put records") || !strings.Contains(got, "a shard is at its limit") {
			t.Errorf("unexpected log; got %q; want a line about throttles", got)
		}
	})
}

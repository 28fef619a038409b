// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/emulators"
	"github.com/outkpl/outkpl/internal/emulators/emulatorstest"
)

// besideFor is how long each row of TestKCLBesideReadBack reads.
const besideFor = 15 * time.Second

// beside is what a consumer has got while a producer wrote.
type beside struct {
	calls, throttled int
	bytes            int64
	behind           int64 // of the last call, in ms, the worst of the shards
	reads            uint64
	opened, givenUp  uint64
	lost             int // calls whose reply was lost
}

// TestKCLBesideReadBack tells what read-back takes from consumers that read the same shards: a
// producer writes 400 kB/s into each of two shards, 2 % of the replies are lost, and the KCL's own
// classes read. The fake has the limits of Kinesis for reads. It takes two minutes and is for a
// machine without other work, so it runs with KCL_BESIDE=1 only.
func TestKCLBesideReadBack(t *testing.T) {
	if os.Getenv("KCL_BESIDE") == "" {
		t.Skip("takes two minutes of a machine without other work; set KCL_BESIDE=1")
	}
	emulatorstest.RequireJVM(t)
	const mb = 1e6
	for _, c := range []struct {
		name    string
		pause   time.Duration
		backlog int // bytes in each shard before it begins
	}{
		{name: "the KCL's own pause", pause: 0},
		{name: "five calls a second", pause: 200 * time.Millisecond},
		{name: "a backlog, the KCL's own pause", pause: 0, backlog: 120 << 20},
	} {
		var got [2]beside
		for i, on := range []bool{false, true} {
			got[i] = readBeside(t, on, c.pause, c.backlog)
			b := &got[i]
			seconds := besideFor.Seconds() * 2 // and shards
			t.Logf("%-32s read-back %-5t: a shard %.2f calls/s, %.2f throttled/s, %.3f MB/s, %d ms behind at the end; the producer lost %d replies, looked for %d records (%d given up) in %d reads (%.2f/s a shard)",
				c.name, on, float64(b.calls)/seconds, float64(b.throttled)/seconds, float64(b.bytes)/mb/seconds, b.behind, b.lost, b.opened, b.givenUp, b.reads, float64(b.reads)/seconds)
			if b.bytes == 0 || on && (b.opened == 0 || b.reads == 0) || !on && b.reads > 0 {
				t.Errorf("unexpected run of %s; it shows nothing: %+v", c.name, b)
			}
		}
		if off, on := got[0].bytes, got[1].bytes; float64(on) < 0.9*float64(off) {
			t.Errorf("unexpected rate of %s beside read-back; got %d bytes; want at least 0.9 of %d", c.name, on, off)
		}
	}
}

func readBeside(t *testing.T, on bool, pause time.Duration, backlog int) beside {
	b := &beside{}
	fake := kinesistest.New(kinesistest.WithStream("beside", 2), kinesistest.WithReadLimits(kinesistest.AWSReadLimits))
	if err := fake.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = fake.Close() }()
	p, err := core.New(fake.SDK(), core.WithDefaultStream("beside"), core.WithVerifyUncertain(on), core.WithMaxBufferedTime(100*time.Millisecond), core.WithCollectionMaxBytes(64<<10))
	if err != nil {
		t.Fatal(err)
	}
	payload := strings.Repeat("x", 1000)
	put := func(p *core.Producer, n int) {
		records := make([]core.Record, n)
		for i := range records {
			records[i] = core.Record{PartitionKey: fmt.Sprint(i), Data: []byte(payload)}
		}
		if _, err := p.PutBatch(t.Context(), "beside", records); err != nil {
			t.Error(err)
		}
	}
	before, err := core.New(fake.Client(), core.WithDefaultStream("beside"), core.WithRateLimit(1_000_000))
	if err != nil {
		t.Fatal(err)
	}
	for done := 0; done < 2*backlog; done += 1000 * len(payload) {
		put(before, 1000)
	}
	if err := before.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	lost := fake.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.02, Seed: 7, Effect: kinesistest.LoseReply()})
	var mu sync.Mutex // guards what the reader's calls change

	ctx, cancel := context.WithCancel(t.Context())
	read, began := make(chan error, 1), make(chan struct{}, 1)
	var from, until time.Time
	worst := map[string]int64{}
	go func() {
		read <- emulators.ReadKCL(ctx, fake.URL(), "beside", []string{"shardId-000000000000", "shardId-000000000001"}, pause, func(c emulators.KCLCall) {
			mu.Lock()
			defer mu.Unlock()
			select {
			case began <- struct{}{}:
				from = c.At
				until = from.Add(besideFor)
			default:
			}
			if c.At.After(until) {
				return
			}
			if b.calls++; c.Throttled {
				b.throttled++
				return
			}
			b.bytes += c.Bytes
			worst[c.ShardID] = c.Behind
		})
	}()
	tick := time.NewTicker(50 * time.Millisecond) // 40 records of 1,000 B: 400 kB/s a shard
	defer tick.Stop()
	end := time.After(besideFor + 3*time.Second)
	for running := true; running; {
		select {
		case <-tick.C:
			put(p, 40)
		case err := <-read:
			t.Fatalf("the KCL has ended: %v", err)
		case <-end:
			running = false
		}
	}
	cancel()
	if err := <-read; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	lost.Remove()
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	st := p.Stats()
	b.reads, b.opened, b.givenUp, b.lost = st.VerifyReads, st.VerifyOpened, st.VerifyGivenUp, lost.Hits()
	for _, v := range worst {
		b.behind = max(b.behind, v)
	}
	return *b
}

// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/emulators"
	"github.com/outkpl/outkpl/internal/emulators/emulatorstest"
)

// besideKPL is a shard that producers of ours share with a real KPL with its defaults, which
// has more to send than its limit of 150 % of the shard.
type besideKPL struct {
	producers int
	adaptive  bool
	size      int  // of the user records, which ours send alone or as full aggregates
	alone     bool // ours do not aggregate
	bySecond  bool // the shard counts anew at every full second, and holds no reserve
	settle    time.Duration
	measure   time.Duration
}

// sharedWithKPL is what was seen: parts of what the shard takes, and parts throttled of what was sent.
type sharedWithKPL struct{ ours, used, throttled, throttledAll float64 }

// countBySecond refuses what comes late in a second that is full.
func countBySecond() func(*kinesis.PutRecordsInput) []int {
	var mu sync.Mutex
	var second int64
	var records, bytes int
	return func(in *kinesis.PutRecordsInput) (refused []int) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now().Unix(); now != second {
			second, records, bytes = now, 1000, 1<<20
		}
		for i := range in.Records {
			n := len(in.Records[i].Data) + len(aws.ToString(in.Records[i].PartitionKey))
			if records == 0 || bytes < n {
				refused = append(refused, i)
				continue
			}
			records, bytes = records-1, bytes-n
		}
		return refused
	}
}

func (b besideKPL) run(t *testing.T) sharedWithKPL {
	t.Helper()
	limits := kinesistest.AWSLimits
	if b.bySecond {
		limits = kinesistest.Limits{}
	}
	fake := kinesistest.New(kinesistest.WithStream(kplStream, 1), kinesistest.WithTLS(), kinesistest.WithLimits(limits), kinesistest.WithCountOnly())
	if err := fake.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = fake.Close()
		time.Sleep(time.Second) // connections that the KPL has left end by themselves
	}()
	refuse := countBySecond()
	byCounting := fake.Intercept(func(c *kinesistest.Call) *kinesistest.Effect {
		e := kinesistest.Delay(time.Duration(rand.Int64N(int64(30 * time.Millisecond))))
		if in, ok := c.Input.(*kinesis.PutRecordsInput); ok && b.bySecond {
			time.Sleep(e.Delay) // the shard counts when the call has arrived
			e.Delay = 0
			if e.Entries = refuse(in); len(e.Entries) > 0 {
				e.EntryCode = kinesistest.ThrottleEntries().EntryCode
			}
		}
		return &e
	})
	ctx, cancel := context.WithCancel(t.Context())
	var g sync.WaitGroup
	defer g.Wait()
	defer cancel()
	g.Go(func() {
		_, err := emulators.FeedKPL(ctx, emulators.KPLConfig{Endpoint: fake.URL(), Stream: kplStream, Options: map[string]string{"LogLevel": "error"}}, atRate(ctx, 2<<20, b.size))
		if ctx.Err() == nil {
			t.Errorf("unexpected end of the KPL: %v", err)
		}
	})
	var list []*core.Producer
	for i := range b.producers {
		p, err := core.New(fake.Client(), core.WithAdaptiveRate(b.adaptive), core.WithAggregation(!b.alone), core.WithBufferBytes(2<<20))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
		records := make([]core.Record, 50)
		for j := range records {
			records[j] = core.Record{PartitionKey: fmt.Sprint(i, "-", j), Data: make([]byte, b.size)}
		}
		g.Go(func() {
			for ctx.Err() == nil {
				_, _ = p.PutBatch(ctx, kplStream, records) // ends with ctx
			}
			end, stop := context.WithCancel(context.Background())
			stop() // what waits is given up
			_ = p.Close(end)
		})
	}
	counts := func() (s sharedWithKPL) {
		for _, p := range list {
			st := p.Stats()
			part := float64(st.KinesisBytes) / (1 << 20)
			if b.alone && b.size < 1<<10 {
				part = float64(st.KinesisRecords) / 1000
			}
			s.ours += part
			s.throttled += float64(st.Throttled)
			s.used += float64(st.KinesisRecords + st.Throttled)
		}
		return s
	}
	shard := func() (part, stored, refused float64) {
		sh := fake.Shards(kplStream)[0]
		return float64(sh.Bytes) / (1 << 20), float64(sh.Records), float64(sh.Throttled) + float64(byCounting.Entries())
	}
	time.Sleep(b.settle)
	c0 := counts()
	p0, s0, r0 := shard()
	began := time.Now()
	time.Sleep(b.measure)
	c1 := counts()
	p1, s1, r1 := shard()
	span := time.Since(began).Seconds()
	return sharedWithKPL{
		ours: (c1.ours - c0.ours) / span, used: (p1 - p0) / span,
		throttled: (c1.throttled - c0.throttled) / (c1.used - c0.used), throttledAll: (r1 - r0) / (r1 - r0 + s1 - s0),
	}
}

// atRate gives records at so many bytes a second until ctx ends.
func atRate(ctx context.Context, bytesPerSecond, size int) iter.Seq[emulators.Record] {
	return func(yield func(emulators.Record) bool) {
		began, sent := time.Now(), 0
		data := make([]byte, size)
		for i := 0; ctx.Err() == nil; i++ {
			if sent > int(time.Since(began).Seconds()*float64(bytesPerSecond)) {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			sent += size
			if !yield(emulators.Record{PartitionKey: fmt.Sprint("key-", i%100), Data: data}) {
				return
			}
		}
	}
}

// Every move from the KPL has this neighbour. KPL_SHARE is how long each case is measured, such
// as 60s; it takes that and a third for each of them.
func TestShareOfAShardBesideTheKPL(t *testing.T) {
	emulatorstest.RequireJVM(t)
	measure, err := time.ParseDuration(os.Getenv("KPL_SHARE"))
	if err != nil {
		t.Skip("NOT MEASURED: set KPL_SHARE=60s to write beside the real KPL for so long")
	}
	for _, bySecond := range []bool{false, true} {
		for _, alone := range []bool{false, true} {
			for _, n := range []int{1, 2, 10} {
				name := fmt.Sprintf("%d of ours, alone=%v, bySecond=%v", n, alone, bySecond)
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					b := besideKPL{producers: n, adaptive: true, size: 1000, alone: alone, bySecond: bySecond, settle: 20 * time.Second, measure: measure}
					got := b.run(t)
					b.adaptive = false
					fixed := b.run(t)
					t.Logf("%s: ours %.1f %%, used %.1f %%, throttled %.1f %% of ours, %.1f %% of all; fixed rate: %.1f %%, %.1f %%, %.1f %%, %.1f %%", name,
						100*got.ours, 100*got.used, 100*got.throttled, 100*got.throttledAll,
						100*fixed.ours, 100*fixed.used, 100*fixed.throttled, 100*fixed.throttledAll)
				})
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"go.uber.org/goleak"

	"github.com/outkpl/outkpl/core/kinesistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const stream = "logs"

// trial is a stream in a bubble, and what was read of it.
type trial struct {
	t       *testing.T
	s       *kinesistest.Server
	put     int
	mu      sync.Mutex // guards what follows
	got     []string   // payloads
	shards  map[string][]string
	order   []string // shards by first page
	warning []string
}

func newTrial(t *testing.T, shards int) *trial {
	return &trial{t: t, s: kinesistest.New(kinesistest.WithStream(stream, shards)), shards: map[string][]string{}}
}

// config reads everything there is.
func (tr *trial) config() Config {
	return Config{
		API: tr.s.Client(), Stream: stream, From: From{At: TrimHorizon}, UntilNow: true,
		Handle: func(b Batch) error {
			tr.mu.Lock()
			defer tr.mu.Unlock()
			if !slices.Contains(tr.order, b.Shard.ID) {
				tr.order = append(tr.order, b.Shard.ID)
			}
			for _, r := range b.Records {
				tr.got = append(tr.got, string(r.Data))
				tr.shards[b.Shard.ID] = append(tr.shards[b.Shard.ID], string(r.Data))
			}
			return nil
		},
		Warn: func(m string) {
			tr.mu.Lock()
			defer tr.mu.Unlock()
			tr.warning = append(tr.warning, m)
		},
	}
}

// send puts n records, distributed over the stream.
func (tr *trial) send(n int) {
	tr.t.Helper()
	for range n {
		_, err := tr.s.Client().PutRecord(tr.t.Context(), &kinesis.PutRecordInput{
			StreamName: aws.String(stream), PartitionKey: aws.String(fmt.Sprint("key-", tr.put)), Data: fmt.Append(nil, tr.put),
		})
		if err != nil {
			tr.t.Fatal(err)
		}
		tr.put++
	}
}

// wantAll checks that the records from first to last were read once each.
func (tr *trial) wantAll(first, last int) {
	tr.t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var want []string
	for i := first; i < last; i++ {
		want = append(want, fmt.Sprint(i))
	}
	got := slices.Sorted(slices.Values(tr.got))
	slices.Sort(want)
	if !slices.Equal(got, want) {
		tr.t.Errorf("unexpected records; got %v; want %v", got, want)
	}
}

// follow runs until stop is called, which returns what Run did.
func (tr *trial) follow(c Config) (stop func() error) {
	c.UntilNow = false
	ctx, cancel := context.WithCancel(tr.t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, c) }()
	return func() error {
		cancel()
		return <-done
	}
}

// bubble runs a test with the clock of synctest.
func bubble(t *testing.T, shards int, test func(t *testing.T, tr *trial)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newTrial(t, shards)) })
}

func run1(t *testing.T, c Config) {
	t.Helper()
	if err := Run(t.Context(), c); err != nil {
		t.Errorf("unexpected error; got %v; want none", err)
	}
}

func TestAllShardsAreReadToTheTip(t *testing.T) {
	bubble(t, 5, func(t *testing.T, tr *trial) {
		tr.send(200)
		began := time.Now()
		run1(t, tr.config())
		tr.wantAll(0, 200)
		if d := time.Since(began); d > time.Second {
			t.Errorf("unexpected time; got %v; want a second at most", d)
		}
		if len(tr.shards) != 5 {
			t.Errorf("unexpected number of shards; got %d; want 5", len(tr.shards))
		}
	})
}

func TestTimesBoundWhatIsRead(t *testing.T) {
	bubble(t, 3, func(t *testing.T, tr *trial) {
		tr.send(30)
		settle(time.Minute)
		from := time.Now()
		tr.send(30)
		must(t, tr.s.SplitEven(stream, "shardId-000000000000"))
		tr.send(30)
		settle(time.Minute)
		until := time.Now()
		settle(time.Minute)
		tr.send(30)
		must(t, tr.s.SplitEven(stream, "shardId-000000000001"))
		tr.send(30)
		c := tr.config()
		c.From, c.UntilNow, c.Until = From{At: Timestamp, Time: from}, false, until
		c.ScanTimes = true
		run1(t, c)
		tr.wantAll(30, 90)
		tr.got = nil
		c.ScanTimes = false
		before := tr.s.Calls("GetShardIterator")
		run1(t, c)
		tr.wantAll(30, 90)
		if n := tr.s.Calls("GetShardIterator") - before; n != 5 {
			t.Errorf("unexpected number of shards read; got %d; want 5, without the children of the last split", n)
		}
	})
}

func TestEndInTheFutureIsWaitedFor(t *testing.T) {
	bubble(t, 2, func(t *testing.T, tr *trial) {
		until := time.Now().Add(time.Minute)
		c := tr.config()
		c.UntilNow, c.Until = false, until
		done := make(chan error, 1)
		go func() { done <- Run(t.Context(), c) }()
		settle(30 * time.Second)
		tr.send(10)
		settle(40 * time.Second)
		tr.send(10) // too late
		if err := <-done; err != nil {
			t.Errorf("unexpected error; got %v; want none", err)
		}
		if d := time.Since(until); d < 0 || d > 15*time.Second {
			t.Errorf("unexpected end; got %v after the time; want within 15s", d)
		}
		tr.wantAll(0, 10)
	})
}

func TestNowEndsOnAStreamThatNeverRests(t *testing.T) {
	bubble(t, 1, func(t *testing.T, tr *trial) {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			for ctx.Err() == nil {
				tr.send(1)
				settle(50 * time.Millisecond)
			}
		})
		settle(time.Minute)
		began := time.Now()
		run1(t, tr.config())
		if d := time.Since(began); d > 10*time.Second {
			t.Errorf("unexpected time; got %v; want 10s at most", d)
		}
		cancel()
		wg.Wait()
		if len(tr.got) < 1190 || len(tr.got) > 1230 { // the time of the service is in whole seconds
			t.Errorf("unexpected records; got %d; want about 1200", len(tr.got))
		}
	})
}

func TestErrorOfHandleEndsRun(t *testing.T) {
	bubble(t, 8, func(t *testing.T, tr *trial) {
		tr.send(100)
		want := errors.New("enough")
		c := tr.config()
		c.Handle = func(Batch) error { return want }
		if err := Run(t.Context(), c); err != want {
			t.Errorf("unexpected error; got %v; want %v", err, want)
		}
	})
}

func TestIdleComesAfterEachBurst(t *testing.T) {
	bubble(t, 1, func(t *testing.T, tr *trial) {
		c := tr.config()
		idle, ticks := 0, 0
		c.Idle = func() error { idle++; return nil }
		c.Tick, c.Every = func() error { ticks++; return nil }, 4*time.Second
		stop := tr.follow(c)
		settle(500 * time.Millisecond) // a burst between two reads is not divided by one
		for range 3 {
			tr.send(5)
			settle(10 * time.Second)
		}
		_ = stop()
		if idle != 3 || ticks != 7 {
			t.Errorf("unexpected calls; got %d of Idle and %d of Tick; want 3 and 7", idle, ticks)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// settle lets the clock of the bubble run.
func settle(d time.Duration) { <-time.After(d) }

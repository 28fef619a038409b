// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
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

// send puts n records, spread over the stream.
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
				c.API = &falseTip{API: c.API, told: map[string]bool{}}
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
	mu   sync.Mutex // guards told
	told map[string]bool
}

func (f *falseTip) GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	out, err := f.API.GetRecords(ctx, in, opts...)
	if err != nil || out.NextShardIterator != nil {
		return out, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, step := range []string{"records", "tip"} {
		if key := step + *in.ShardIterator; !f.told[key] {
			f.told[key] = true
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
	for _, told := range []bool{true, false} {
		t.Run(fmt.Sprintf("children told by GetRecords %t", told), func(t *testing.T) {
			bubble(t, 2, func(t *testing.T, tr *trial) {
				c := tr.config()
				c.From = From{At: Latest}
				if !told {
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
		if len(tr.got) < 1190 || len(tr.got) > 1210 {
			t.Errorf("unexpected records; got %d; want about 1200", len(tr.got))
		}
	})
}

func TestExpiredIteratorGoesOnWhereItStopped(t *testing.T) {
	for i, at := range []At{Latest, TrimHorizon, Timestamp, Latest, Timestamp} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			bubble(t, 2, func(t *testing.T, tr *trial) {
				c := tr.config()
				if at != TrimHorizon {
					tr.send(20) // before: not wanted
					tr.put = 0
					settle(time.Second)
				}
				c.From, c.ScanTimes = From{At: at, Time: time.Now()}, i > 2
				stop := tr.follow(c)
				settle(10 * time.Second)
				f := tr.s.Fault(kinesistest.Fault{Operation: "GetRecords", Times: 4, Effect: kinesistest.Fail("ExpiredIteratorException", "Iterator expired.")})
				tr.send(20)
				settle(10 * time.Second)
				tr.s.Fault(kinesistest.Fault{Operation: "GetRecords", Times: 3, Effect: kinesistest.Fail("ExpiredIteratorException", "Iterator expired.")})
				tr.send(20)
				settle(10 * time.Second)
				_ = stop()
				tr.wantAll(0, 40)
				if f.Hits() != 4 {
					t.Errorf("unexpected faults; got %d; want 4", f.Hits())
				}
			})
		})
	}
}

// The iterator of a page that waits for the reader of the output expires after five
// minutes.
func TestSlowConsumerLosesNothing(t *testing.T) {
	bubble(t, 20, func(t *testing.T, tr *trial) {
		tr.send(400)
		c := tr.config()
		handle := c.Handle
		c.Handle = func(b Batch) error {
			settle(2 * time.Minute)
			return handle(b)
		}
		run1(t, c)
		tr.wantAll(0, 400)
	})
}

func TestThrottledCallsAreRepeated(t *testing.T) {
	bubble(t, 2, func(t *testing.T, tr *trial) {
		tr.send(50)
		for _, op := range []string{"ListShards", "GetShardIterator", "GetRecords"} {
			code := "ProvisionedThroughputExceededException"
			if op == "ListShards" {
				code = "LimitExceededException"
			}
			tr.s.Fault(kinesistest.Fault{Operation: op, Times: 30, Effect: kinesistest.Fail(code, "Rate exceeded")})
		}
		run1(t, tr.config())
		tr.wantAll(0, 50)
		if len(tr.warning) == 0 || !strings.Contains(tr.warning[0], "throttled") {
			t.Errorf("unexpected warnings; got %q; want one of throttling", tr.warning)
		}
	})
}

func TestPassingFaultsAreRepeatedSoOften(t *testing.T) {
	for _, tc := range []struct {
		name    string
		effect  kinesistest.Effect
		times   int
		retries int
		ok      bool
	}{
		{"a few 503", kinesistest.Status(503), 3, 3, true},
		{"a few resets", kinesistest.Reset(), 3, 3, true},
		{"too many", kinesistest.Fail("InternalFailure", "x"), 4, 3, false},
		{"access denied at once", kinesistest.Fail("AccessDeniedException", "no"), 1, 3, false},
		{"a token that was replaced", kinesistest.Fail("ExpiredTokenException", "old"), 1, 0, true},
		{"a token that stays old", kinesistest.Fail("ExpiredTokenException", "old"), 0, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, tr *trial) {
				tr.send(10)
				tr.s.Fault(kinesistest.Fault{Operation: "GetRecords", Times: tc.times, Effect: tc.effect})
				c := tr.config()
				c.Retries = tc.retries
				err := Run(t.Context(), c)
				if (err == nil) != tc.ok {
					t.Fatalf("unexpected result; got %v; want success %t", err, tc.ok)
				}
				if tc.ok {
					tr.wantAll(0, 10)
				} else if !strings.HasPrefix(err.Error(), "cannot get records of shard shardId-000000000000: ") {
					t.Errorf("unexpected error; got %q; want it to say what failed", err)
				}
			})
		})
	}
}

func TestLongOutageIsWaitedForWithoutAnEnd(t *testing.T) {
	bubble(t, 2, func(t *testing.T, tr *trial) {
		stop := tr.follow(tr.config())
		settle(5 * time.Second)
		for _, op := range []string{"GetRecords", "ListShards", "GetShardIterator"} {
			tr.s.Fault(kinesistest.Fault{Operation: op, Times: 100, Effect: kinesistest.Status(503)})
		}
		tr.send(20)
		must(t, tr.s.SplitEven(stream, "shardId-000000000000"))
		tr.send(20)
		settle(time.Hour)
		_ = stop()
		tr.wantAll(0, 40)
		if n := len(tr.warning); n < 20 || n > 40 {
			t.Errorf("unexpected number of warnings; got %d; want one for ten attempts", n)
		}
	})
	bubble(t, 2, func(t *testing.T, tr *trial) {
		tr.s.Fault(kinesistest.Fault{Operation: "ListShards", Effect: kinesistest.Status(503)})
		c := tr.config()
		c.UntilNow, c.Retries = false, 3
		if err := Run(t.Context(), c); err == nil || tr.s.Calls("ListShards") != 4 {
			t.Errorf("unexpected end of a start without service; got %v after %d calls; want an error after 4", err, tr.s.Calls("ListShards"))
		}
	})
}

func TestCallsOfAShardKeepTheirDistance(t *testing.T) {
	bubble(t, 1, func(t *testing.T, tr *trial) {
		tr.send(25)
		var last time.Time
		calls := 0
		tr.s.Intercept(func(c *kinesistest.Call) *kinesistest.Effect {
			if c.Operation != "GetRecords" {
				return nil
			}
			if now := time.Now(); now.Sub(last) < 200*time.Millisecond {
				t.Errorf("unexpected call %d after %v; want 200ms at least", calls, now.Sub(last))
			} else {
				last = now
			}
			calls++
			return nil
		})
		c := tr.config()
		c.API = onePerPage{tr.s.Client()}
		run1(t, c)
		tr.wantAll(0, 25)
		if calls != 26 {
			t.Errorf("unexpected number of calls; got %d; want 26", calls)
		}
	})
}

// onePerPage makes pages of one record.
type onePerPage struct{ API }

func (o onePerPage) GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	one := *in
	one.Limit = aws.Int32(1)
	return o.API.GetRecords(ctx, &one, opts...)
}

func TestBytesPerSecondSlowReadingDown(t *testing.T) {
	bubble(t, 1, func(t *testing.T, tr *trial) {
		tr.send(1000) // 2890 bytes
		c := tr.config()
		c.BytesPerSecond = 289
		began := time.Now()
		run1(t, c)
		if d := time.Since(began); d < 9*time.Second || d > 12*time.Second {
			t.Errorf("unexpected time; got %v; want about 10s", d)
		}
	})
}

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

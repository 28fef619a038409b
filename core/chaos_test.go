// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/invariants"
)

// TestChaos lets three producers write to one stream over HTTP while everything
// goes wrong at random: mixed faults, splits, merges, changes of the shard count and
// of the record distribution, and restarts of the server. It goes in rounds, each
// with a stream of its own, for the time in CHAOS (default one short round). After
// a round every record must have been confirmed and be seen by a consumer that
// drops what KCL drops, and each record that is seen twice must have an attempt
// whose outcome was unknown. CHAOS_SEED repeats a run, as far as the scheduler lets it.
func TestChaos(t *testing.T) {
	t.Logf("assertions on: %t", invariants.Enabled)
	if info, ok := debug.ReadBuildInfo(); ok && !invariants.Enabled && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Fatal("the assertions are off although the race detector is on")
	}
	total, round := 6*time.Second, 5*time.Second
	if s := os.Getenv("CHAOS"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatalf("cannot parse CHAOS=%q: %v", s, err)
		}
		total, round = d, min(d, 20*time.Second)
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("CHAOS_SEED"); s != "" {
		if _, err := fmt.Sscan(s, &seed); err != nil {
			t.Fatalf("cannot parse CHAOS_SEED=%q: %v", s, err)
		}
	}
	t.Logf("CHAOS_SEED=%d", seed)
	c := newChaos(t, seed)
	var sum counts
	began := time.Now()
	for i := 0; i == 0 || time.Since(began)+round <= total; i++ {
		r := c.round(t, fmt.Sprintf("chaos-%d", i), round)
		sum.add(r)
		if t.Failed() {
			break
		}
	}
	t.Logf("in %v: %+v", time.Since(began).Round(time.Second), sum)
	if sum.Restarts == 0 || sum.Reshards == 0 || sum.Modes == 0 || sum.Uncertain == 0 {
		t.Errorf("some kind of fault did not happen: %+v", sum)
	}
}

// counts is what happened in a round.
type counts struct {
	Records, Duplicates, Uncertain, WrongShard, Throttled, Failures int
	Restarts, Reshards, Modes                                       int
}

func (t *counts) add(o counts) {
	t.Records += o.Records
	t.Duplicates += o.Duplicates
	t.Uncertain += o.Uncertain
	t.WrongShard += o.WrongShard
	t.Throttled += o.Throttled
	t.Failures += o.Failures
	t.Restarts += o.Restarts
	t.Reshards += o.Reshards
	t.Modes += o.Modes
}

type chaos struct {
	fake      *kinesistest.Server
	endpoint  *endpoint
	producers []*core.Producer
	rng       *rand.Rand // of the goroutine that makes faults
}

func newChaos(t *testing.T, seed uint64) *chaos {
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	c := &chaos{fake: kinesistest.New(kinesistest.WithLimits(kinesistest.AWSLimits)), rng: rand.New(rand.NewPCG(seed, 1))}
	c.endpoint = newEndpoint(t, c.fake.Handler())
	for i, opts := range [][]core.Option{
		{},
		{core.WithAggregationMaxBytes(3000), core.WithOrdering(core.OrderingStrict)},
		{core.WithMaxBufferedTime(20 * time.Millisecond), core.WithMaxInFlight(3)},
	} {
		client, err := awsclient.New(context.Background(), awsclient.Config{Region: "us-east-1", Endpoint: "http://" + c.endpoint.address})
		if err != nil {
			t.Fatal(err)
		}
		var api core.Client = client
		if i == 2 {
			api = blind{client}
		}
		opts = append(opts, core.WithRequestTimeout(time.Second), core.WithRetryBackoff(5*time.Millisecond, 200*time.Millisecond))
		if testing.Verbose() && os.Getenv("CHAOS_LOG") != "" {
			opts = append(opts, core.WithLogger(slog.New(slog.NewTextHandler(t.Output(), nil)).With("producer", i)))
		}
		c.producers = append(c.producers, newProducer(t, api, opts...))
	}
	return c
}

// blind is a client that may not describe streams, so that its producer has to
// find out about the distribution strategy by itself.
type blind struct{ core.Client }

// DescribeStreamSummary implements core.Client.
func (blind) DescribeStreamSummary(context.Context, *kinesis.DescribeStreamSummaryInput, ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error) {
	return nil, &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "not authorized to perform kinesis:DescribeStreamSummary"}
}

// round delivers records for some time and checks what became of them.
func (c *chaos) round(t *testing.T, name string, d time.Duration) (sum counts) {
	t.Helper()
	if err := c.fake.CreateStream(name, kinesistest.StreamConfig{Shards: 4, OnDemand: true}); err != nil {
		t.Fatal(err)
	}
	before := c.stats()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var next atomic.Uint64
	var mu sync.Mutex
	unsure := map[uint64]bool{} // records that may be stored twice
	var wg sync.WaitGroup
	for i, p := range c.producers {
		for worker := range 2 {
			rng := rand.New(rand.NewPCG(uint64(i), uint64(worker)))
			wg.Go(func() {
				for ctx.Err() == nil {
					ids, records := c.records(rng, &next, i == 2 && worker == 1)
					b, err := p.PutBatch(context.Background(), name, records)
					if err != nil {
						t.Errorf("cannot put: %v", err)
						return
					}
					bound, stop := context.WithTimeout(context.Background(), time.Minute)
					err = b.WaitSettled(bound)
					stop()
					if err = errors.Join(err, b.Err()); err != nil {
						t.Errorf("producer %d: %v", i, err)
						return
					}
					mu.Lock()
					for k, id := range ids {
						if slices.ContainsFunc(b.Result(k).Attempts, func(a core.Attempt) bool { return a.Uncertain }) {
							unsure[id] = true
						}
					}
					mu.Unlock()
				}
			})
		}
	}
	c.faults(ctx, t, name, &sum)
	wg.Wait()
	c.fake.ClearFaults()
	if err := c.fake.FinishReshard(name); err != nil {
		t.Error(err)
	}

	count := make([]int, next.Load())
	for _, r := range c.fake.Consume(name).Records {
		count[binary.BigEndian.Uint64(r.Data)]++
	}
	lost, unexplained := 0, 0
	for id, n := range count {
		switch {
		case n == 0:
			lost++
		case n > 1:
			sum.Duplicates += n - 1
			if !unsure[uint64(id)] {
				unexplained++
			}
		}
	}
	if lost > 0 || unexplained > 0 {
		t.Errorf("%s: of %d records, %d are lost, and %d are there more than once without reason; want 0", name, len(count), lost, unexplained)
	}
	if err := c.fake.DeleteStream(name); err != nil {
		t.Error(err)
	}
	after := c.stats()
	sum.Records = len(count)
	sum.Uncertain = int(after.Uncertain - before.Uncertain)
	sum.WrongShard = int(after.WrongShard - before.WrongShard)
	sum.Throttled = int(after.Throttled - before.Throttled)
	sum.Failures = int(after.InternalFailures + after.RequestErrors - before.InternalFailures - before.RequestErrors)
	if after.Pending != 0 || after.Accepted != after.Confirmed {
		t.Errorf("%s: accounts do not add up: %+v", name, after)
	}
	return sum
}

// records makes a batch whose data are numbers of their own.
func (c *chaos) records(rng *rand.Rand, next *atomic.Uint64, unkeyed bool) (ids []uint64, records []core.Record) {
	n := 1 + rng.IntN(200)
	first := next.Add(uint64(n)) - uint64(n)
	for id := first; id < first+uint64(n); id++ {
		r := core.Record{Data: append(binary.BigEndian.AppendUint64(nil, id), "a log line as they come from a host"...)}
		if !unkeyed {
			r.PartitionKey = fmt.Sprint("pod-", rng.IntN(300))
		}
		ids, records = append(ids, id), append(records, r)
	}
	return ids, records
}

func (c *chaos) stats() (s core.Stats) {
	for _, p := range c.producers {
		o := p.Stats()
		s.Accepted += o.Accepted
		s.Confirmed += o.Confirmed
		s.Pending += o.Pending
		s.Uncertain += o.Uncertain
		s.WrongShard += o.WrongShard
		s.Throttled += o.Throttled
		s.InternalFailures += o.InternalFailures
		s.RequestErrors += o.RequestErrors
	}
	return s
}

// faults makes something go wrong every now and then until ctx ends.
func (c *chaos) faults(ctx context.Context, t *testing.T, name string, sum *counts) {
	faults := []kinesistest.Effect{
		{EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.3},
		{EntryCode: "InternalFailure", EntryShare: 0.1},
		kinesistest.LoseReply(), kinesistest.Reset(), kinesistest.Hang(),
		{HangReply: true},
		kinesistest.Status(500), kinesistest.Status(503),
		kinesistest.Fail("ExpiredTokenException", ""), kinesistest.Fail("LimitExceededException", ""),
		kinesistest.Delay(100 * time.Millisecond),
	}
	for i, e := range faults {
		c.fake.Fault(kinesistest.Fault{Operation: "PutRecords", Stream: name, Probability: 0.02, Seed: c.rng.Uint64(), Effect: e})
		if i >= 2 {
			c.fake.Fault(kinesistest.Fault{Operation: "ListShards", Stream: name, Probability: 0.03, Seed: c.rng.Uint64(), Effect: e})
		}
	}
	reshard := func(f func(open []kinesistest.Shard) error) func() {
		return func() {
			// An operation on a stream that is still changing is refused.
			if err := f(c.fake.OpenShards(name)); err == nil {
				sum.Reshards++
			}
		}
	}
	actions := []func(){
		reshard(func(open []kinesistest.Shard) error {
			if len(open) > 12 {
				return c.fake.UpdateShardCount(name, 4)
			}
			return c.fake.SplitEven(name, open[c.rng.IntN(len(open))].ID)
		}),
		reshard(func(open []kinesistest.Shard) error {
			if len(open) < 3 {
				return c.fake.UpdateShardCount(name, 4)
			}
			i := c.rng.IntN(len(open) - 1)
			return c.fake.Merge(name, open[i].ID, open[i+1].ID)
		}),
		reshard(func([]kinesistest.Shard) error { return c.fake.UpdateShardCount(name, 3+c.rng.IntN(5)) }),
		func() {
			d := types.RecordDistributionStrategyAuto
			if sum.Modes%2 == 1 {
				d = types.RecordDistributionStrategyUserPartitionKey
			}
			if err := c.fake.SetDistribution(name, d); err != nil {
				t.Error(err)
				return
			}
			sum.Modes++
		},
		func() {
			c.endpoint.restart(t, time.Duration(c.rng.IntN(300))*time.Millisecond)
			sum.Restarts++
		},
	}
	for i := 0; ; i++ {
		pause := time.NewTimer(time.Duration(50+c.rng.IntN(500)) * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
		// Each kind once before chance decides, so that short rounds have all.
		if i < len(actions) {
			actions[len(actions)-1-i]()
		} else {
			actions[c.rng.IntN(len(actions))]()
		}
	}
}

// endpoint is an HTTP server that can be restarted at the same address.
type endpoint struct {
	handler http.Handler
	address string
	server  *http.Server
	ended   chan struct{}
}

func newEndpoint(t *testing.T, h http.Handler) *endpoint {
	f := &endpoint{handler: h, address: "127.0.0.1:0"}
	f.start(t)
	t.Cleanup(f.stop)
	return f
}

func (f *endpoint) start(t *testing.T) {
	l, err := net.Listen("tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	f.address = l.Addr().String()
	f.server = &http.Server{Handler: f.handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	f.ended = make(chan struct{})
	go func(s *http.Server, ended chan struct{}) {
		defer close(ended)
		_ = s.Serve(l) // ends with stop
	}(f.server, f.ended)
}

// stop breaks off every call that is under way.
func (f *endpoint) stop() {
	_ = f.server.Close()
	<-f.ended
}

func (f *endpoint) restart(t *testing.T, down time.Duration) {
	f.stop()
	<-time.After(down)
	f.start(t)
}

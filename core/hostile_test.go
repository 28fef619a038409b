// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// A list of shards whose pages are from both sides of a split has the parent and a child
// of it, so that a key would have two queues; or it lacks a child.
func TestStrictOrderHoldsWhenTheListOfShardsIsTorn(t *testing.T) {
	for _, c := range []struct {
		name string
		torn func(before, after []types.Shard) []types.Shard
	}{
		{"overlap", func(before, after []types.Shard) []types.Shard {
			return append(before[:len(before):len(before)], after...)
		}},
		{"gap", func(_, after []types.Shard) []types.Shard { return after[1:] }},
	} {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(5) {
				synctest.Test(t, func(t *testing.T) {
					s := kinesistest.New(kinesistest.WithStream(stream, 1))
					s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: 20 * time.Millisecond, DelayReply: 20 * time.Millisecond}})
					s.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.4, Seed: seed, Effect: kinesistest.Effect{EntryCode: "InternalFailure", EntryShare: 0.6}})
					var mu sync.Mutex // guards the two
					var before []types.Shard
					var tornUntil time.Time
					client := listClient{Client: s.Client(), list: func(in *kinesis.ListShardsInput) (*kinesis.ListShardsOutput, error) {
						out, err := s.Client().ListShards(context.Background(), in)
						if err != nil {
							return nil, err
						}
						mu.Lock()
						defer mu.Unlock()
						if time.Now().Before(tornUntil) {
							return &kinesis.ListShardsOutput{Shards: c.torn(before, out.Shards)}, nil
						}
						before = out.Shards
						return out, nil
					}}
					p := newProducer(t, client, core.WithOrdering(core.OrderingStrict), core.WithAggregationMaxBytes(500),
						core.WithRateLimit(1000), core.WithAdaptiveRate(false), core.WithRetryBackoff(time.Millisecond, 50*time.Millisecond))
					keys := make([]*sequence, 20)
					for i := range keys {
						keys[i] = &sequence{key: fmt.Sprint("key-", i)}
					}
					for i := range 300 {
						records := make([]core.Record, 10)
						for j := range records {
							records[j] = keys[(i+j*7)%len(keys)].record()
						}
						put(t, p, records)
						if i == 100 || i == 200 {
							open := s.OpenShards(stream)
							if err := s.SplitEven(stream, open[0].ID); err != nil {
								t.Fatal(err)
							}
							mu.Lock()
							tornUntil = time.Now().Add(700 * time.Millisecond)
							mu.Unlock()
						}
						time.Sleep(10 * time.Millisecond)
					}
					closeProducer(t, p)
					checkOrder(t, s, keys)
					checkAccounts(t, p)
				})
			}
		})
	}
}

// In an outage with input that goes on, records wait behind others, and for the budget of
// retries. They must expire at their time all the same.
func TestRecordsExpireInTimeWhereverTheyWait(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault kinesistest.Effect
		opts  []core.Option
	}{
		{"outage", kinesistest.Status(503), nil},
		{"every entry fails", kinesistest.FailEntries("InternalFailure", ""), nil},
		{"every entry is throttled", kinesistest.FailEntries("ProvisionedThroughputExceededException", ""), nil},
		{"outage, without aggregation", kinesistest.Status(503), []core.Option{core.WithAggregation(false)}},
		{"outage, strict ordering", kinesistest.Status(503), []core.Option{core.WithOrdering(core.OrderingStrict)}},
		{"throttled, strict ordering", kinesistest.FailEntries("ProvisionedThroughputExceededException", ""), []core.Option{core.WithOrdering(core.OrderingStrict)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const ttl, tick = 5 * time.Second, 200 * time.Millisecond
				s := kinesistest.New(kinesistest.WithStream(stream, 4))
				p := newProducer(t, s.Client(), append(c.opts, core.WithRecordTTL(ttl))...)
				wait(t, put(t, p, batchOf("warm", 10)))
				s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: c.fault})
				latest := make(chan time.Duration, 200)
				for i := range cap(latest) {
					b := put(t, p, batchOf(fmt.Sprint(i), 20))
					at := time.Now()
					go func() {
						<-b.Done()
						latest <- time.Since(at)
					}()
					time.Sleep(100 * time.Millisecond)
				}
				worst := time.Duration(0)
				for range cap(latest) {
					worst = max(worst, <-latest)
				}
				if worst > ttl+tick {
					t.Errorf("unexpected life of a record in an outage; got %v; want %v and a tick", worst, ttl)
				}
				s.ClearFaults()
				closeProducer(t, p)
				if st := checkAccounts(t, p); st.Failed[core.ReasonExpired] == 0 {
					t.Errorf("nothing has expired: %+v", st)
				}
			})
		})
	}
}

// Records that were never sent must not wait for a call that hangs, although in strict
// ordering they come behind what it carries. What it carries keeps its chance.
func TestRecordsBehindACallThatHangsExpireInTime(t *testing.T) {
	for _, opts := range [][]core.Option{
		{core.WithMaxInFlight(1)},
		{core.WithOrdering(core.OrderingStrict)},
		{core.WithOrdering(core.OrderingStrict), core.WithMaxInFlight(1)},
		{core.WithOrdering(core.OrderingStrict), core.WithAggregation(false)},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithStream(stream, 2))
			p := newProducer(t, s.Client(), append(opts, core.WithRecordTTL(time.Second))...)
			wait(t, put(t, p, batchOf("warm", 10)))
			s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Hang()})
			put(t, p, batchOf("a", 100))
			time.Sleep(500 * time.Millisecond)
			b := put(t, p, batchOf("b", 3000))
			at := time.Now()
			time.Sleep(1200 * time.Millisecond)
			expired := 0
			for i := range b.Len() {
				if r := b.Result(i); r.Settled && r.Err != nil && r.Err.Reason == core.ReasonExpired && len(r.Attempts) == 1 {
					expired++
				}
			}
			if expired < 2900 {
				t.Errorf("unexpected number of records that have expired %v after they were submitted; got %d of 3000; want all that were not sent", time.Since(at), expired)
			}
			s.ClearFaults()
			closeProducer(t, p)
			checkAccounts(t, p)
		})
	}
}

// As long as DescribeStreamSummary has not answered, the stream may be one that places
// records itself. After a while records go, but singly; and the snapshot says so.
func TestStreamThatIsNotDescribedInTimeGetsSingleRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		s.Fault(kinesistest.Fault{Operation: "DescribeStreamSummary", Times: 1, Effect: kinesistest.Effect{Delay: 25 * time.Second}})
		p := newProducer(t, s.Client(), core.WithRequestTimeout(time.Minute))
		start := time.Now()
		first := batchOf("a", 100)
		wait(t, put(t, p, first))
		if got := time.Since(start); got < 10*time.Second || got > 11*time.Second {
			t.Errorf("unexpected wait; got %v; want 10 s", got)
		}
		second := batchOf("b", 100)
		wait(t, put(t, p, second))
		if c := s.Consume(stream); c.Aggregates != 0 || p.Snapshot().Streams[0].Aggregating {
			t.Errorf("unexpected aggregates before the stream is described; got %d, and %v in the snapshot", c.Aggregates, p.Snapshot().Streams[0].Aggregating)
		}
		time.Sleep(20 * time.Second) // the call has ended
		third := batchOf("c", 100)
		wait(t, put(t, p, third))
		if c := s.Consume(stream); c.Aggregates == 0 || !p.Snapshot().Streams[0].Aggregating {
			t.Errorf("unexpected absence of aggregates; got %d, and %v in the snapshot", c.Aggregates, p.Snapshot().Streams[0].Aggregating)
		}
		checkDelivered(t, s, first, second, third)
		closeProducer(t, p)
	})
}

// An answer with another number of results leaves open what is stored.
func TestAnswerWithAnotherNumberOfResultsCountsAsUncertain(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 1))
	p := newProducer(t, miscounting{s.Client()})
	b := put(t, p, batchOf("a", 50))
	wait(t, b)
	if st := checkAccounts(t, p); st.Uncertain != 50 || st.Failed[core.ReasonCountMismatch] != 50 {
		t.Errorf("unexpected counters; got %d uncertain, %d failed; want 50 each", st.Uncertain, st.Failed[core.ReasonCountMismatch])
	}
	if r := b.Result(7); len(r.Attempts) != 1 || !r.Attempts[0].Uncertain {
		t.Errorf("unexpected result %+v; want an uncertain attempt", r)
	}
}

// miscounting is a client whose PutRecords answers with a result too many.
type miscounting struct{ core.Client }

// PutRecords implements core.Client.
func (c miscounting) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	out, err := c.Client.PutRecords(ctx, in, opts...)
	if err == nil {
		out.Records = append(out.Records, out.Records[0])
	}
	return out, err
}

// doublePanic panics as observer and as handler of the logger.
type doublePanic struct{ calls atomic.Int32 }

func (p *doublePanic) Observe([]core.Observation) { p.calls.Add(1); panic("observer") }

func (p *doublePanic) Enabled(context.Context, slog.Level) bool { return true }

func (p *doublePanic) Handle(context.Context, slog.Record) error { p.calls.Add(1); panic("logger") }

func (p *doublePanic) WithAttrs([]slog.Attr) slog.Handler { return p }

func (p *doublePanic) WithGroup(string) slog.Handler { return p }

func TestObserverAndLoggerThatBothPanicHarmNobody(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 2))
	var bad doublePanic
	p := newProducer(t, s.Client(), core.WithObserver(&bad), core.WithLogger(slog.New(&bad)))
	records := batchOf("a", 100)
	wait(t, put(t, p, records))
	closeProducer(t, p)
	checkDelivered(t, s, records)
	if bad.calls.Load() < 2 {
		t.Errorf("unexpected number of calls; got %d; want some of the observer and the logger", bad.calls.Load())
	}
}

// A list of shards that never ends must neither grow for ever nor keep records.
func TestListOfShardsWithoutEndIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		pages := 0
		client := listClient{Client: s.Client(), list: func(*kinesis.ListShardsInput) (*kinesis.ListShardsOutput, error) {
			if pages++; pages > 100_000 {
				return nil, errors.New("too many pages")
			}
			out, err := s.Client().ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String(stream)})
			if err == nil {
				out.NextToken = aws.String("on and on")
			}
			return out, err
		}}
		var log logText
		p := newProducer(t, client, log.option())
		records := batchOf("a", 100)
		wait(t, put(t, p, records))
		closeProducer(t, p)
		checkDelivered(t, s, records)
		if c := s.Consume(stream); c.Aggregates != 0 {
			t.Errorf("unexpected aggregates without a map; got %d", c.Aggregates)
		}
		if !strings.Contains(log.String(), "does not end after 1000 pages") || pages > 20_000 {
			t.Errorf("unexpected outcome; got %d pages, log %q; want a line on 1000 pages", pages, log.String())
		}
	})
}

// What is submitted while a Flush lasts is aggregated as if there were none.
func TestFlushLeavesLaterRecordsAlone(t *testing.T) {
	for _, flushers := range []int{0, 1, 2} {
		synctest.Test(t, func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithStream(stream, 8))
			s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: 30 * time.Millisecond, DelayReply: 30 * time.Millisecond}})
			p := newProducer(t, s.Client(), core.WithMaxBufferedTime(time.Second), core.WithRateLimit(10_000))
			stop := make(chan struct{})
			ended := make(chan struct{})
			var flushes atomic.Int64
			for range flushers {
				go func() {
					defer func() { ended <- struct{}{} }()
					for {
						select {
						case <-stop:
							return
						default:
						}
						if err := p.Flush(context.Background()); err != nil {
							t.Error(err)
						}
						flushes.Add(1)
						if flushers == 1 {
							return
						}
					}
				}()
			}
			var batches []*core.Batch
			for i := range 8000 {
				b, err := p.Put(context.Background(), stream, core.Record{PartitionKey: fmt.Sprint(i), Data: fmt.Appendf(nil, "%0200d", i)})
				if err != nil {
					t.Fatal(err)
				}
				batches = append(batches, b)
				if i%10 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			close(stop)
			for range flushers {
				<-ended
			}
			closeProducer(t, p)
			for _, b := range batches {
				if err := b.Err(); err != nil {
					t.Fatal(err)
				}
			}
			got := s.Consume(stream).KinesisRecords
			// A Flush closes one aggregate of each shard.
			if want := 60 + 8*(int(flushes.Load())+1); got > want {
				t.Errorf("unexpected number of Kinesis records with %d calls of Flush, by %d callers; got %d; want at most %d", flushes.Load(), flushers, got, want)
			}
			t.Logf("%d callers of Flush, %d calls: %d Kinesis records", flushers, flushes.Load(), got)
		})
	}
}

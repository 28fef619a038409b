// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

func TestOneShotFaultStrikesOnce(t *testing.T) {
	bothClients(t, func(t *testing.T, s *Server, c api) {
		h := s.Fault(Fault{Operation: "PutRecords", Skip: 1, Times: 1, Effect: Fail("LimitExceededException", "x")})
		var failed []bool
		for range 4 {
			_, err := c.PutRecords(context.Background(), puts(entry("a", "x")))
			failed = append(failed, err != nil)
		}
		equalSlices(t, "failures", failed, []bool{false, true, false, false})
		equal(t, "hits", h.Hits(), 1)
		equal(t, "stored", s.Stats().Records, 3)
		equal(t, "calls", s.Calls("PutRecords"), 4)
	}, WithStream("demo", 1))
}

func TestEntriesOfOneShardAreRefused(t *testing.T) {
	bothClients(t, func(t *testing.T, s *Server, c api) {
		h := s.Fault(Fault{Shard: shard1, Effect: ThrottleEntries()})
		out := must[*kinesis.PutRecordsOutput](t)(c.PutRecords(context.Background(), puts(entryAt("0", "x"), entryAt(middle, "y"), entryAt("0", "z"))))
		equal(t, "failed", aws.ToInt32(out.FailedRecordCount), 1)
		equal(t, "message", aws.ToString(out.Records[1].ErrorMessage), "Rate exceeded for shard "+shard1+" in stream demo under account 123456789012.")
		must[*kinesis.PutRecordsOutput](t)(c.PutRecords(context.Background(), puts(entryAt("0", "x"))))
		equal(t, "hits: calls with an entry for the shard", h.Hits(), 1)
		equal(t, "entries", h.Entries(), 1)
		h.Remove()
		out = must[*kinesis.PutRecordsOutput](t)(c.PutRecords(context.Background(), puts(entryAt(middle, "y"))))
		equal(t, "failed after removal", aws.ToInt32(out.FailedRecordCount), 0)

		s.Fault(Fault{Effect: Effect{EntryCode: "InternalFailure", Entries: []int{0, 2}}})
		out = must[*kinesis.PutRecordsOutput](t)(c.PutRecords(context.Background(), many(4, 1)))
		var codes []string
		for _, r := range out.Records {
			codes = append(codes, aws.ToString(r.ErrorCode))
		}
		equalSlices(t, "codes", codes, []string{"InternalFailure", "", "InternalFailure", ""})
		equal(t, "message", aws.ToString(out.Records[0].ErrorMessage), "Internal service failure.")
		s.ClearFaults()
		out = must[*kinesis.PutRecordsOutput](t)(c.PutRecords(context.Background(), many(4, 1)))
		equal(t, "failed after ClearFaults", aws.ToInt32(out.FailedRecordCount), 0)
	}, WithStream("demo", 2))
}

func TestSharesRepeatWithTheirSeed(t *testing.T) {
	run := func(seed uint64) (pattern []bool, entries int) {
		s := New(WithStream("demo", 1))
		h := s.Fault(Fault{Operation: "PutRecords", Probability: 0.5, Seed: seed, Effect: Effect{EntryCode: "InternalFailure", EntryShare: 0.25}})
		for range 40 {
			out := must[*kinesis.PutRecordsOutput](t)(s.Client().PutRecords(context.Background(), many(100, 1)))
			pattern = append(pattern, aws.ToInt32(out.FailedRecordCount) > 0)
		}
		if h.Hits() < 10 || h.Hits() > 30 {
			t.Errorf("unexpected hits; got %d; want about 20 of 40", h.Hits())
		}
		share := float64(h.Entries()) / float64(100*h.Hits())
		if share < 0.15 || share > 0.35 {
			t.Errorf("unexpected share of entries; got %v; want about 0.25", share)
		}
		return pattern, h.Entries()
	}
	p1, e1 := run(1)
	p2, e2 := run(1)
	p3, _ := run(2)
	equalSlices(t, "pattern", p1, p2)
	equal(t, "entries", e1, e2)
	if slices.Equal(p1, p3) {
		t.Error("unexpected equal patterns for different seeds")
	}
}

func TestLostReplyIsStoredAndResetIsNot(t *testing.T) {
	bothClients(t, func(t *testing.T, s *Server, c api) {
		for _, tt := range []struct {
			name   string
			effect Effect
			stored int64
		}{{"lost reply", LoseReply(), 1}, {"reset", Reset(), 0}} {
			before := s.Stats().Records
			s.Fault(Fault{Operation: "PutRecords", Times: 1, Effect: tt.effect})
			_, err := c.PutRecords(context.Background(), puts(entry("a", "x")))
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("unexpected error for %s; got %v; want a connection reset", tt.name, err)
			}
			equal(t, "stored after "+tt.name, s.Stats().Records-before, tt.stored)
		}
	}, WithStream("demo", 1))
}

func TestReplyMayLackAnEntry(t *testing.T) {
	bothClients(t, func(t *testing.T, s *Server, c api) {
		s.Fault(Fault{Operation: "PutRecords", Times: 1, Effect: DropLastEntry()})
		out := must[*kinesis.PutRecordsOutput](t)(c.PutRecords(context.Background(), many(3, 1)))
		equal(t, "results", len(out.Records), 2)
		equal(t, "stored", s.Stats().Records, 3)
	}, WithStream("demo", 1))
}

func TestInterceptSeesTheCall(t *testing.T) {
	bothClients(t, func(t *testing.T, s *Server, c api) {
		var mu sync.Mutex
		var seen []string
		h := s.Intercept(func(call *Call) *Effect {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, call.Operation, call.Stream)
			seen = append(seen, call.Shards...)
			if in, ok := call.Input.(*kinesis.PutRecordsInput); ok && len(in.Records) == 3 {
				return &Effect{ErrorCode: "ResourceNotFoundException", ErrorMessage: "in the middle"}
			}
			return nil
		})
		must[*kinesis.PutRecordsOutput](t)(c.PutRecords(context.Background(), puts(entryAt(middle, "x"), entryAt("0", "x"))))
		_, err := c.PutRecords(context.Background(), many(3, 1))
		var nf *types.ResourceNotFoundException
		if !errors.As(err, &nf) {
			t.Errorf("unexpected error; got %v; want ResourceNotFoundException", err)
		}
		must[*kinesis.ListShardsOutput](t)(c.ListShards(context.Background(), &kinesis.ListShardsInput{StreamARN: aws.String(s.ARN("demo"))}))
		h.Remove()
		must[*kinesis.PutRecordsOutput](t)(c.PutRecords(context.Background(), many(3, 1)))
		mu.Lock()
		defer mu.Unlock()
		equalSlices(t, "first call", seen[:4], []string{"PutRecords", "demo", shard1, shard0})
		equalSlices(t, "last call", seen[len(seen)-2:], []string{"ListShards", "demo"})
		equal(t, "hits", h.Hits(), 1)
	}, WithStream("demo", 2))
}

func TestHeadersAreSeenOverHTTPOnly(t *testing.T) {
	bothClients(t, func(t *testing.T, s *Server, c api) {
		var got string
		s.Intercept(func(call *Call) *Effect { got = call.Header("X-Amz-Target"); return nil })
		must[*kinesis.ListShardsOutput](t)(c.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String("demo")}))
		want := ""
		if _, http := c.(*kinesis.Client); http {
			want = "Kinesis_20131202.ListShards"
		}
		equal(t, "header", got, want)
	}, WithStream("demo", 1))
}

func TestPeakConcurrencyIsCounted(t *testing.T) {
	bothClients(t, func(t *testing.T, s *Server, c api) {
		hold, arrived := make(chan struct{}), make(chan struct{}, 3)
		s.Fault(Fault{Operation: "PutRecords", Effect: Effect{Hold: hold, Do: func() { arrived <- struct{}{} }}})
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				hash := "0"
				if i == 0 {
					hash = middle
				}
				if _, err := c.PutRecords(context.Background(), puts(entryAt(hash, "x"))); err != nil {
					t.Errorf("unexpected error: %s", err)
				}
			})
		}
		for range 3 {
			<-arrived
		}
		equal(t, "in flight", s.Stats().InFlight, 3)
		equal(t, "stored", s.Stats().Records, 0)
		close(hold)
		wg.Wait()
		equal(t, "peak", s.Stats().PeakConcurrency, 3)
		equal(t, "peak of shard 0", s.Shards("demo")[0].PeakConcurrency, 2)
		equal(t, "peak of shard 1", s.Shards("demo")[1].PeakConcurrency, 1)
	}, WithStream("demo", 2))
}

func TestCallDelayedOverAReshardGoesToTheChildren(t *testing.T) {
	s := New(WithStream("demo", 1))
	hold, arrived := make(chan struct{}), make(chan struct{}, 1)
	s.Fault(Fault{Operation: "PutRecords", Effect: Effect{Hold: hold, Do: func() { arrived <- struct{}{} }}})
	done := make(chan *kinesis.PutRecordsOutput, 1)
	go func() {
		out, err := s.Client().PutRecords(context.Background(), puts(entryAt("0", "x"), entryAt(middle, "y")))
		if err != nil {
			t.Errorf("unexpected error: %s", err)
		}
		done <- out
	}()
	<-arrived
	noError(t, s.SplitEven("demo", shard0))
	close(hold)
	out := <-done
	equal(t, "first shard", *out.Records[0].ShardId, shard1)
	equal(t, "second shard", *out.Records[1].ShardId, shard2)
	for _, sh := range s.OpenShards("demo") {
		equal(t, "peak", sh.PeakConcurrency, 1)
	}
	equal(t, "in flight", s.Stats().InFlight, 0)
}

func TestDelaysRunOnTheBubblesClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(WithStream("demo", 1), WithLimits(AWSLimits))
		start := time.Now()
		s.Fault(Fault{Operation: "PutRecords", Times: 1, Effect: Delay(7 * time.Second)})
		must[*kinesis.PutRecordsOutput](t)(s.Client().PutRecords(context.Background(), puts(entry("a", "x"))))
		equal(t, "time of a delayed call", time.Since(start), 7*time.Second)
		equal(t, "arrival", s.Records("demo")[0].ArrivalTime, time.Now())

		s.Fault(Fault{Operation: "ListShards", Times: 1, Effect: Delay(time.Minute)})
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		start = time.Now()
		_, err := s.Client().ListShards(ctx, &kinesis.ListShardsInput{StreamName: aws.String("demo")})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("unexpected error; got %v; want a deadline", err)
		}
		equal(t, "time of a slow ListShards", time.Since(start), 5*time.Second)

		for name, effect := range map[string]Effect{"hang": Hang(), "hang after storing": {HangReply: true}, "slow reply": {DelayReply: time.Minute}} {
			before := s.Stats().Records
			s.Fault(Fault{Operation: "PutRecords", Times: 1, Effect: effect})
			ctx, cancel := context.WithTimeout(context.Background(), 6*time.Second)
			start = time.Now()
			_, err := s.Client().PutRecords(ctx, puts(entry("a", "x")))
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("unexpected error for %s; got %v; want a deadline", name, err)
			}
			equal(t, "time of "+name, time.Since(start), 6*time.Second)
			equal(t, name+" stores", s.Stats().Records-before > 0, name != "hang")
		}
	})
}

func TestEndedContextIsRefused(t *testing.T) {
	s := New(WithStream("demo", 1))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Client().PutRecords(ctx, puts(entry("a", "x"))); !errors.Is(err, context.Canceled) {
		t.Errorf("unexpected error; got %v; want context.Canceled", err)
	}
	equal(t, "stored", s.Stats().Records, 0)
}

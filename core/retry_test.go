// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// fastRetry makes retries follow within milliseconds.
var fastRetry = core.WithRetryBackoff(time.Millisecond, 10*time.Millisecond)

func TestFailuresThatPassAreRetriedUntilConfirmed(t *testing.T) {
	for _, c := range []struct {
		name      string
		effect    kinesistest.Effect
		code      string
		uncertain bool
		doubled   bool
	}{
		{name: "entry: internal failure", effect: kinesistest.FailEntries("InternalFailure", ""), code: "InternalFailure"},
		{name: "entry: KMS throttling", effect: kinesistest.FailEntries("KMSThrottlingException", "slow"), code: "KMSThrottlingException"},
		{name: "entry: unknown code", effect: kinesistest.FailEntries("NewCode", "x"), code: "NewCode"},
		{name: "call: throttled", effect: kinesistest.Fail("ProvisionedThroughputExceededException", "x"), code: "ProvisionedThroughputExceededException"},
		{name: "call: limit exceeded", effect: kinesistest.Fail("LimitExceededException", "x"), code: "LimitExceededException"},
		{name: "call: expired token", effect: kinesistest.Fail("ExpiredTokenException", "x"), code: "ExpiredTokenException"},
		{name: "call: stream in change", effect: kinesistest.Fail("ResourceInUseException", "x"), code: "ResourceInUseException"},
		{name: "call: unknown code", effect: kinesistest.Fail("NewException", "x"), code: "NewException"},
		{name: "call: 500", effect: kinesistest.Status(500), code: "HTTP500", uncertain: true},
		{name: "call: 503", effect: kinesistest.Status(503), code: "HTTP503", uncertain: true},
		{name: "connection reset before", effect: kinesistest.Reset(), code: "RequestFailed", uncertain: true},
		{name: "reply lost", effect: kinesistest.LoseReply(), code: "RequestFailed", uncertain: true, doubled: true},
		{name: "hang", effect: kinesistest.Hang(), code: "RequestFailed", uncertain: true},
		{name: "reply after the timeout", effect: kinesistest.Effect{HangReply: true}, code: "RequestFailed", uncertain: true, doubled: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 2))
				f := s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 2, Effect: c.effect})
				p := newProducer(t, s.Client(), core.WithRequestTimeout(time.Second))
				records := batchOf("a", 100)
				b := put(t, p, records)
				wait(t, b)
				if err := b.Err(); err != nil {
					t.Fatal(err)
				}
				closeProducer(t, p)
				if f.Hits() != 2 {
					t.Errorf("unexpected number of faults; got %d; want 2", f.Hits())
				}
				if c.doubled {
					for data, n := range seen(s) {
						if n < 2 {
							t.Fatalf("unexpected number of deliveries of %q; got %d; want at least 2: the fault did not store", data, n)
						}
					}
				} else {
					checkDelivered(t, s, records)
				}
				st := checkAccounts(t, p)
				if (st.Uncertain > 0) != c.uncertain {
					t.Errorf("unexpected number of uncertain records; got %d; want any: %v", st.Uncertain, c.uncertain)
				}
				r := b.Result(0)
				if len(r.Attempts) < 2 || r.Attempts[0].Code != c.code || r.Attempts[0].Uncertain != c.uncertain {
					t.Errorf("unexpected attempts: %+v; want the first with code %s", r.Attempts, c.code)
				}
				last := r.Attempts[len(r.Attempts)-1]
				if last.Code != "" || last.SequenceNumber == "" || last.Start.Before(r.Attempts[0].End) {
					t.Errorf("unexpected last attempt: %+v", last)
				}
			})
		})
	}
}

func TestFailuresOfTheStreamSurfaceAtOnce(t *testing.T) {
	for _, c := range []struct {
		name   string
		effect kinesistest.Effect
		reason core.Reason
		logged string
	}{
		{name: "access denied", effect: kinesistest.Fail("AccessDeniedException", "User x is not authorized"), reason: core.ReasonAccessDenied, logged: "needs=kinesis:PutRecords"},
		{name: "KMS denied", effect: kinesistest.Fail("KMSAccessDeniedException", "x"), reason: core.ReasonAccessDenied, logged: "kms:GenerateDataKey"},
		{name: "not found in the middle", effect: kinesistest.Fail("ResourceNotFoundException", "x"), reason: core.ReasonStreamNotFound, logged: "ResourceNotFoundException"},
		{name: "entries: KMS disabled", effect: kinesistest.FailEntries("KMSDisabledException", "x"), reason: core.ReasonAccessDenied, logged: "KMSDisabledException"},
		{name: "count mismatch", effect: kinesistest.DropLastEntry(), reason: core.ReasonCountMismatch, logged: "Record Count Mismatch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 2))
				s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: c.effect})
				var log logText
				p := newProducer(t, s.Client(), log.option())
				b := put(t, p, batchOf("a", 10))
				wait(t, b)
				n := 0
				for i, err := range b.Failures {
					n++
					if err.Reason != c.reason || err.Reason.Permanent() || err.Stream != stream || err.Code == "" {
						t.Fatalf("unexpected error of record %d: %v; want reason %v", i, err, c.reason)
					}
				}
				if n != 10 {
					t.Errorf("unexpected number of failures; got %d; want 10", n)
				}
				var re *core.RecordError
				if err := b.Err(); !errors.As(err, &re) {
					t.Errorf("unexpected error; got %v; want a RecordError", err)
				}
				synctest.Wait() // a line is written after the lock is given back
				if got := log.String(); strings.Count(got, "cannot put records") != 1 || !strings.Contains(got, c.logged) {
					t.Errorf("unexpected log; got %q; want one line with %q", got, c.logged)
				}
				if st := checkAccounts(t, p); st.Failed[c.reason] != 10 || st.BufferedBytes != 0 {
					t.Errorf("unexpected counters; got %d failed, %d bytes buffered; want 10, 0", st.Failed[c.reason], st.BufferedBytes)
				}
			})
		})
	}
}

func TestOutageIsLoggedOnceAndItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 20, Effect: kinesistest.Status(503)})
		var log logText
		p := newProducer(t, s.Client(), log.option(), fastRetry)
		wait(t, put(t, p, batchOf("a", 10)))
		closeProducer(t, p)
		synctest.Wait() // a line is written after the lock is given back
		if got := log.String(); strings.Count(got, "cannot put records") != 1 || strings.Count(got, "records are accepted again") != 1 {
			t.Errorf("unexpected log; got %q; want one line at the beginning and one at the end", got)
		}
	})
}

func TestOneRecordThatKinesisRefusesDoesNotPoisonTheOthers(t *testing.T) {
	for _, aggregated := range []bool{true, false} {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		refuse := kinesistest.Fail("ValidationException", "1 validation error detected")
		s.Intercept(func(c *kinesistest.Call) *kinesistest.Effect {
			if in, ok := c.Input.(*kinesis.PutRecordsInput); ok {
				for _, r := range in.Records {
					if strings.Contains(string(r.Data), "a-77!") {
						return &refuse
					}
				}
			}
			return nil
		})
		p := newProducer(t, s.Client(), core.WithAggregation(aggregated))
		// Otherwise the culprit may come to its end before the stream has taken anything,
		// and then it is not found.
		before := batchOf("before", 1)
		wait(t, put(t, p, before))
		records := batchOf("a", 400)
		for i := range records {
			records[i].Data = append(records[i].Data, '!')
		}
		b := put(t, p, records)
		wait(t, b)
		for i := range records {
			r := b.Result(i)
			switch {
			case i == 77 && (r.Err == nil || r.Err.Reason != core.ReasonInvalid || r.Err.Code != "ValidationException"):
				t.Errorf("unexpected error of the culprit; got %v; want reason invalid", r.Err)
			case i != 77 && r.Err != nil:
				t.Fatalf("unexpected error of record %d: %v", i, r.Err)
			}
		}
		checkDelivered(t, s, before, records[:77], records[78:])
		if got := s.Calls("PutRecords"); got > 31 {
			t.Errorf("unexpected number of calls; got %d; want a bisection", got)
		}
	}
}

func TestStreamThatRefusesEverythingCountsAgainstNoRecord(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 4))
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("ValidationException", "x")})
	p := newProducer(t, s.Client())
	b := put(t, p, batchOf("a", 20))
	wait(t, b)
	for i, err := range b.Failures {
		if err.Reason != core.ReasonRefused || err.Reason.Permanent() {
			t.Fatalf("unexpected error of record %d; got %v; want reason refused", i, err)
		}
	}
	if _, failed, _ := b.Counts(); failed != 20 {
		t.Errorf("unexpected number of failures; got %d; want 20", failed)
	}
}

func TestOutageThatComesAndGoesIsLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Match: func(c *kinesistest.Call) bool { return c.Number%2 == 1 }, Effect: kinesistest.Status(503)})
		var log logText
		p := newProducer(t, s.Client(), log.option(), fastRetry)
		for i := range 70 {
			wait(t, put(t, p, batchOf(fmt.Sprint("b", i), 1)))
			time.Sleep(time.Second)
		}
		closeProducer(t, p)
		synctest.Wait() // a line is written after the lock is given back
		if got := strings.Count(log.String(), "cannot put records"); got != 2 {
			t.Errorf("unexpected number of lines in 70 seconds of short outages; got %d; want 2", got)
		}
		if got := strings.Count(log.String(), "records are accepted again"); got != 2 {
			t.Errorf("unexpected number of lines on recoveries; got %d; want 2", got)
		}
	})
}

func TestFailIfThrottled(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 1))
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.ThrottleEntries()})
	p := newProducer(t, s.Client(), core.WithFailIfThrottled(true))
	b := put(t, p, batchOf("a", 5))
	wait(t, b)
	if err := b.Result(4).Err; err == nil || err.Reason != core.ReasonThrottled {
		t.Errorf("unexpected error; got %v; want reason throttled", err)
	}
}

func TestRecordExpiresWithItsHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, fault := range []kinesistest.Effect{kinesistest.ThrottleEntries(), kinesistest.FailEntries("InternalFailure", "")} {
			s := kinesistest.New(kinesistest.WithStream(stream, 1))
			f := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: fault})
			p := newProducer(t, s.Client(), core.WithRecordTTL(3*time.Second))
			start := time.Now()
			b := put(t, p, batchOf("a", 5))
			wait(t, b)
			if got := time.Since(start); got < 3*time.Second || got > 10*time.Second {
				t.Errorf("unexpected time; got %v; want the TTL of 3 s and a backoff at most", got)
			}
			r := b.Result(0)
			n := len(r.Attempts)
			if r.Err == nil || r.Err.Reason != core.ReasonExpired || n < 2 || r.Attempts[n-1].Code != "Expired" || r.Attempts[n-2].Code != fault.EntryCode {
				t.Errorf("unexpected result: %+v", r)
			}
			f.Remove()
			// A record that is stored does not expire.
			wait(t, put(t, p, batchOf("b", 5)))
			closeProducer(t, p)
			if st := checkAccounts(t, p); st.Failed[core.ReasonExpired] != 5 || st.Confirmed != 5 {
				t.Errorf("unexpected counters; got %d expired, %d confirmed; want 5, 5", st.Failed[core.ReasonExpired], st.Confirmed)
			}
		}
	})
}

// panicClient panics in the first call of each operation.
type panicClient struct {
	core.Client
	puts, lists, describes atomic.Int32
}

func (c *panicClient) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, o ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	if c.puts.Add(1) == 1 {
		panic("put")
	}
	return c.Client.PutRecords(ctx, in, o...)
}

func (c *panicClient) ListShards(ctx context.Context, in *kinesis.ListShardsInput, o ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	if c.lists.Add(1) == 1 {
		panic("list")
	}
	return c.Client.ListShards(ctx, in, o...)
}

func (c *panicClient) DescribeStreamSummary(ctx context.Context, in *kinesis.DescribeStreamSummaryInput, o ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error) {
	if c.describes.Add(1) == 1 {
		panic("describe")
	}
	return c.Client.DescribeStreamSummary(ctx, in, o...)
}

func TestPanicOfTheClientIsAFailedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		p := newProducer(t, &panicClient{Client: s.Client()})
		records := batchOf("a", 10)
		wait(t, put(t, p, records))
		closeProducer(t, p)
		checkDelivered(t, s, records)
	})
}

// The history of a record must not grow for as long as an outage lasts.
func TestLongOutageLeavesAShortHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		lost := s.Fault(kinesistest.Fault{Operation: "PutRecords", Skip: 40, Times: 1, Effect: kinesistest.LoseReply()})
		outage := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("LimitExceededException", "")})
		p := newProducer(t, s.Client(), core.WithRetryBackoff(10*time.Millisecond, time.Second))
		b := put(t, p, batchOf("a", 3))
		<-time.After(10 * time.Minute)
		outage.Remove()
		wait(t, b)
		r := b.Result(2)
		if !r.Confirmed() || lost.Hits() != 1 || p.Stats().Retries < 1000 {
			t.Fatalf("unexpected outcome: confirmed %v, %d replies lost, %d retries", r.Confirmed(), lost.Hits(), p.Stats().Retries)
		}
		n := len(r.Attempts)
		if n != 32 {
			t.Fatalf("unexpected length of the history; got %d; want 32", n)
		}
		if a := r.Attempts[n-1]; a.Code != "" || a.Uncertain || a.ShardID == "" {
			t.Errorf("unexpected last attempt %+v", a)
		}
		if a := r.Attempts[n-2]; !a.Uncertain || a.Code != "LimitExceededException" || a.Delay < time.Minute {
			t.Errorf("unexpected attempt in place of those left out: %+v", a)
		}
		for i := 1; i < n; i++ {
			if r.Attempts[i].Start.Before(r.Attempts[i-1].End) {
				t.Errorf("attempt %d begins before the one before has ended", i)
			}
		}
	})
}

// A record that waits, for whatever reason, is given up when its time is up and not
// when its wait is over.
func TestExpiryDoesNotWaitForBackoffOrCapacity(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault kinesistest.Effect
	}{
		{"throttled", kinesistest.ThrottleEntries()},
		{"entry failed", kinesistest.FailEntries("InternalFailure", "")},
		{"call failed", kinesistest.Status(503)},
	} {
		for _, order := range []core.Ordering{core.OrderingNone, core.OrderingStrict} {
			t.Run(fmt.Sprint(c.name, "/ordering=", order), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := kinesistest.New(kinesistest.WithStream(stream, 1))
					f := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: c.fault})
					p := newProducer(t, s.Client(), core.WithRecordTTL(2*time.Second), core.WithOrdering(order),
						core.WithRetryBackoff(time.Minute, time.Minute), core.WithMaxBufferedTime(time.Millisecond))
					start := time.Now()
					var batches []*core.Batch
					for i := range 4 { // the later ones wait behind the first
						batches = append(batches, put(t, p, batchOf(fmt.Sprint("a", i), 10)))
						<-time.After(100 * time.Millisecond)
					}
					for i, b := range batches {
						wait(t, b)
						if r := b.Result(0); r.Err == nil || r.Err.Reason != core.ReasonExpired {
							t.Fatalf("unexpected result %+v; want expired", r)
						}
						if got := time.Since(start) - time.Duration(i)*100*time.Millisecond; got < 2*time.Second || got > 2100*time.Millisecond {
							t.Errorf("batch %d: unexpected time until it was given up; got %v; want 2 s", i, got)
						}
					}
					f.Remove()
					closeProducer(t, p)
					if st := checkAccounts(t, p); st.BufferedBytes != 0 {
						t.Errorf("unexpected rest of %d bytes in the buffer", st.BufferedBytes)
					}
				})
			})
		}
	}
}

func TestRecordExpiresWhileTheShardsAreUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		s.Fault(kinesistest.Fault{Operation: "ListShards", Effect: kinesistest.Fail("InternalFailure", "down")})
		s.Fault(kinesistest.Fault{Operation: "DescribeStreamSummary", Effect: kinesistest.Fail("InternalFailure", "down")})
		p := newProducer(t, s.Client(), core.WithRecordTTL(500*time.Millisecond))
		start := time.Now()
		b, err := p.PutBatch(context.Background(), stream, batchOf("a", 10))
		if err != nil {
			t.Fatal(err)
		}
		wait(t, b)
		if got := time.Since(start); got < 500*time.Millisecond || got > 600*time.Millisecond {
			t.Errorf("unexpected time; got %v; want 500 to 600 ms", got)
		}
		for i := range b.Len() {
			if err := b.Result(i).Err; err == nil || err.Reason != core.ReasonExpired {
				t.Fatalf("unexpected error of record %d; got %v; want reason expired", i, err)
			}
		}
		closeProducer(t, p)
		checkAccounts(t, p)
	})
}

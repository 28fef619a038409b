// SPDX-License-Identifier: Apache-2.0

package core_test

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

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// The clock of the service, and that of this machine, may be wrong.
func TestReadBackDoesNotNeedARightClock(t *testing.T) {
	for _, skew := range []time.Duration{-5 * time.Minute, 5 * time.Minute, -48 * time.Hour, 48 * time.Hour} {
		for _, c := range lostAnswers {
			t.Run(fmt.Sprint(skew, " ", c.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := kinesistest.New(kinesistest.WithStream(stream, 2), kinesistest.WithClock(func() time.Time { return time.Now().Add(skew) }))
					p := newVerified(t, s)
					strike(s, 1, c.effect)
					records := batchOf("r", 100)
					b := put(t, p.Producer, records)
					wait(t, b)
					closeProducer(t, p.Producer)
					checkDelivered(t, s, records)
					if st := p.Stats(); b.Err() != nil || st.VerifyGivenUp != 0 || st.VerifyOpened == 0 {
						t.Errorf("unexpected outcome %v with counts %+v", b.Err(), st)
					}
				})
			})
		}
	}
}

// reads is a client whose reads a test changes.
type reads struct {
	*kinesistest.Client
	get      func(n int64, in *kinesis.GetRecordsInput, out *kinesis.GetRecordsOutput, err error) (*kinesis.GetRecordsOutput, error)
	n        atomic.Int64
	mu       sync.Mutex
	moments  []time.Time
	iterator []*kinesis.GetShardIteratorInput
}

// GetRecords implements core.ReadClient.
func (c *reads) GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	c.mu.Lock()
	c.moments = append(c.moments, time.Now())
	c.mu.Unlock()
	out, err := c.Client.GetRecords(ctx, in, opts...)
	if c.get == nil {
		return out, err
	}
	return c.get(c.n.Add(1), in, out, err)
}

// GetShardIterator implements core.ReadClient.
func (c *reads) GetShardIterator(ctx context.Context, in *kinesis.GetShardIteratorInput, opts ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error) {
	c.mu.Lock()
	c.moments = append(c.moments, time.Now())
	c.iterator = append(c.iterator, in)
	c.mu.Unlock()
	return c.Client.GetShardIterator(ctx, in, opts...)
}

// An empty page that is behind the tip proves nothing.
func TestEmptyPagesProveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		c := &reads{Client: s.Client()}
		c.get = func(n int64, in *kinesis.GetRecordsInput, out *kinesis.GetRecordsOutput, err error) (*kinesis.GetRecordsOutput, error) {
			if n <= 5 && err == nil {
				return &kinesis.GetRecordsOutput{NextShardIterator: in.ShardIterator, MillisBehindLatest: aws.Int64(1000)}, nil
			}
			return out, err
		}
		p := newProducer(t, c, core.WithVerifyUncertain(true))
		strike(s, 1, kinesistest.LoseReply())
		records := batchOf("r", 10)
		wait(t, put(t, p, records))
		closeProducer(t, p)
		checkDelivered(t, s, records)
		checkVerified(t, p, 10, 10, 0, 0)
	})
}

// Throttled reads step back, and what cannot be read in time is sent again and counted.
func TestThrottledReadsStepBackAndEndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		s.Fault(kinesistest.Fault{Operation: "GetRecords", Effect: kinesistest.Fail("ProvisionedThroughputExceededException", "")})
		c := &reads{Client: s.Client()}
		p := newProducer(t, c, core.WithVerifyUncertain(true))
		strike(s, 1, kinesistest.LoseReply())
		began := time.Now()
		b := put(t, p, batchOf("r", 10))
		wait(t, b)
		if took := time.Since(began); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("unexpected time; got %v; want 10s", took)
		}
		closeProducer(t, p)
		if err := b.Err(); err != nil {
			t.Error(err)
		}
		checkVerified(t, p, 10, 0, 0, 10)
		if n := len(c.moments); n > 6 {
			t.Errorf("unexpected number of calls while reads are throttled; got %d; want at most 6 in 10 s", n)
		}
		if !slices.ContainsFunc(b.Result(0).Attempts, func(a core.Attempt) bool { return a.Uncertain }) {
			t.Errorf("unexpected attempts %+v; want one that is uncertain", b.Result(0).Attempts)
		}
	})
}

// Without the permission there is one warning, and things are as without read-back.
func TestWithoutPermissionToReadThereIsOneWarning(t *testing.T) {
	for _, op := range []string{"GetRecords", "GetShardIterator"} {
		synctest.Test(t, func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithStream(stream, 4))
			denied := s.Fault(kinesistest.Fault{Operation: op, Effect: kinesistest.Fail("AccessDeniedException", "not authorized")})
			// Iterators that come after a read was denied say nothing of it.
			s.Fault(kinesistest.Fault{Operation: "GetShardIterator", Skip: 1, Effect: kinesistest.Delay(100 * time.Millisecond)})
			p := newVerified(t, s)
			for i := range 5 {
				strike(s, 1, kinesistest.LoseReply())
				began := time.Now()
				b := put(t, p.Producer, batchOf(fmt.Sprint("r", i), 50))
				wait(t, b)
				if took := time.Since(began); took > time.Second || b.Err() != nil {
					t.Errorf("unexpected outcome %v after %v; want it as without read-back", b.Err(), took)
				}
			}
			if n := strings.Count(p.logged(), "cannot be looked for"); n != 1 || strings.Contains(p.logged(), "can be looked for again") {
				t.Errorf("unexpected number of warnings, or their end; got %d; want 1 that lasts:\n%s", n, p.logged())
			}
			time.Sleep(11 * time.Minute)
			denied.Remove()
			strike(s, 1, kinesistest.LoseReply())
			records := batchOf("after", 50)
			wait(t, put(t, p.Producer, records))
			closeProducer(t, p.Producer)
			if st := p.Stats(); st.VerifyStored != 50 || !strings.Contains(p.logged(), "can be looked for again") {
				t.Errorf("unexpected counts when reads are allowed again: %+v", st)
			}
		})
	}
}

// Expired iterators are replaced where the read has come to.
func TestExpiredIteratorsAreReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		p := newVerified(t, s)
		wait(t, put(t, p.Producer, batchOf("before", 10)))
		s.Fault(kinesistest.Fault{Operation: "GetRecords", Skip: 1, Times: 1, Effect: kinesistest.Fail("ExpiredIteratorException", "")})
		strike(s, 1, kinesistest.Reset())
		records := batchOf("r", 10)
		wait(t, put(t, p.Producer, records))
		closeProducer(t, p.Producer)
		checkVerified(t, p.Producer, 10, 0, 10, 0)
	})
}

// An idle shard is read from a time that the service has told, not from the last record.
func TestAnIdleShardIsReadFromALateTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		c := &reads{Client: s.Client()}
		p := newProducer(t, c, core.WithVerifyUncertain(true), core.WithStreamIdle(24*time.Hour))
		before := batchOf("before", 10)
		wait(t, put(t, p, before))
		time.Sleep(3 * time.Hour)
		strike(s, 1, kinesistest.LoseReply())
		sent := time.Now()
		records := batchOf("r", 10)
		wait(t, put(t, p, records))
		strike(s, 1, kinesistest.LoseReply())
		more := batchOf("more", 10)
		wait(t, put(t, p, more))
		closeProducer(t, p)
		checkDelivered(t, s, before, records, more)
		if len(c.iterator) != 2 {
			t.Fatalf("unexpected number of iterators; got %d; want 2", len(c.iterator))
		}
		if at := aws.ToTime(c.iterator[0].Timestamp); sent.Sub(at) < 59*time.Second || sent.Sub(at) > 63*time.Second {
			t.Errorf("unexpected start of the first read: %v before its call; want a minute", sent.Sub(at))
		}
		if c.iterator[1].ShardIteratorType != types.ShardIteratorTypeAfterSequenceNumber {
			t.Errorf("unexpected start of the second read %s; want after the record that was confirmed", c.iterator[1].ShardIteratorType)
		}
	})
}

// At most two calls a second go to a shard, whatever is open, and one reader serves all.
func TestReadsKeepToTheirRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		c := &reads{Client: s.Client()}
		p := newProducer(t, c, core.WithVerifyUncertain(true))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.5, Seed: 3, Effect: kinesistest.Effect{HangReply: true}})
		var wg sync.WaitGroup
		var all [][]core.Record
		for i := range 40 {
			records := batchOf(fmt.Sprint("b", i), 20)
			all = append(all, records)
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 250 * time.Millisecond)
				wait(t, put(t, p, records))
			})
		}
		wg.Wait()
		closeProducer(t, p)
		checkDelivered(t, s, all...)
		for i := 2; i < len(c.moments); i++ {
			if d := c.moments[i].Sub(c.moments[i-2]); d < time.Second {
				t.Fatalf("unexpected calls: three within %v; want at most two in a second", d)
			}
		}
		if st := checkAccounts(t, p); st.VerifyOpened == 0 || st.Uncertain != 0 {
			t.Errorf("unexpected counts %+v", st)
		}
	})
}

// A client that cannot read is refused at the start.
func TestReadBackNeedsAClientThatReads(t *testing.T) {
	if _, err := core.New(struct{ core.Client }{kinesistest.New().Client()}, core.WithVerifyUncertain(true)); err == nil || !strings.Contains(err.Error(), "VerifyUncertain") {
		t.Errorf("unexpected error %v; want one that names VerifyUncertain", err)
	}
}

// An iterator that comes late brings the calls behind it no closer together.
func TestASlowIteratorKeepsCallsToTheirRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		s.Fault(kinesistest.Fault{Operation: "GetShardIterator", Effect: kinesistest.Delay(900 * time.Millisecond)})
		c := &reads{Client: s.Client()}
		c.get = func(n int64, in *kinesis.GetRecordsInput, out *kinesis.GetRecordsOutput, err error) (*kinesis.GetRecordsOutput, error) {
			if n <= 5 && err == nil {
				return &kinesis.GetRecordsOutput{NextShardIterator: in.ShardIterator, MillisBehindLatest: aws.Int64(1000)}, nil
			}
			return out, err
		}
		p := newProducer(t, c, core.WithVerifyUncertain(true))
		strike(s, 1, kinesistest.LoseReply())
		records := batchOf("r", 10)
		wait(t, put(t, p, records))
		closeProducer(t, p)
		checkDelivered(t, s, records)
		if len(c.moments) < 6 {
			t.Fatalf("unexpected number of calls; got %d; want some more", len(c.moments))
		}
		for i := 2; i < len(c.moments); i++ {
			if d := c.moments[i].Sub(c.moments[i-2]); d < time.Second {
				t.Fatalf("unexpected calls: three within %v; want at most two in a second", d)
			}
		}
	})
}

// othersWrite has others write 900 kB a second to a stream, more than may be read, until it is stopped.
func othersWrite(t *testing.T, s *kinesistest.Server) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		data := make([]byte, 45_000)
		for ctx.Err() == nil {
			if _, err := s.Client().PutRecords(context.Background(), &kinesis.PutRecordsInput{
				StreamName: aws.String(stream), Records: []types.PutRecordsRequestEntry{{Data: data, PartitionKey: aws.String("others")}},
			}); err != nil {
				t.Error(err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// A record of which it stays open whether its first call has stored it is sent again. It is looked
// for where that call began then: the first one is far behind where more is written than may be read.
func TestARecordThatIsSentAgainIsFoundWhereItIs(t *testing.T) {
	for _, dies := range []bool{false, true} {
		for _, recent := range []bool{false, true} { // the shard has confirmed something just before the first call
			t.Run(fmt.Sprintf("dies %t, recent %t", dies, recent), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := kinesistest.New(kinesistest.WithStream(stream, 1))
					l := &lastWords{unanswered: map[uint64][]core.Unanswered{}}
					c := &badLuck{Client: s.Client()}
					p := newProducer(t, c, core.WithVerifyUncertain(true), core.WithTrace(l))
					before := batchOf("before", 10)
					wait(t, put(t, p, before))
					stop := othersWrite(t, s)
					defer stop()
					time.Sleep(20 * time.Second)
					var now [][]core.Record
					if recent {
						now = append(now, batchOf("now", 10))
						wait(t, put(t, p, now[0]))
					}
					c.left.Store(2)
					b := put(t, p, batchOf("r", 10))
					time.Sleep(10500 * time.Millisecond) // the first search is over
					if st := p.Stats(); st.VerifyGivenUp != 10 || st.VerifyOpened != 20 && st.VerifyStored == 0 {
						t.Fatalf("unexpected counts %+v; want the first search given up and a second one", st)
					}
					if !dies {
						wait(t, b)
						stop()
						closeProducer(t, p)
						if st := p.Stats(); st.VerifyStored != 10 || st.VerifyGivenUp != 10 {
							t.Errorf("unexpected counts %+v; want the record found that was sent again", st)
						}
						if n := storedUserRecords(s); n != 20+10*len(now) {
							t.Errorf("unexpected number of records; got %d; want each once", n)
						}
						return
					}
					ctx, cancel := context.WithCancel(t.Context())
					cancel()
					_ = p.Close(ctx)
					time.Sleep(5 * time.Second)
					next := newProducer(t, s.Client(), core.WithVerifyUncertain(true))
					_, stored, _ := outcomesOf(next.LookFor(t.Context(), stream, l.all()))
					stop()
					closeProducer(t, next)
					if stored == 0 {
						t.Errorf("unexpected outcomes; got %d stored of %d; want the record that was sent again", stored, len(l.all()))
					}
				})
			})
		}
	}
}

// badLuck is a client of which, once it is struck, one call is not made and one is, both without an answer.
type badLuck struct {
	*kinesistest.Client
	left atomic.Int64
}

// PutRecords implements core.Client.
func (c *badLuck) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	n := c.left.Add(-1)
	if n == 1 {
		return nil, errors.New("no answer")
	}
	out, err := c.Client.PutRecords(ctx, in, opts...)
	if n == 0 && err == nil {
		return nil, errors.New("no answer")
	}
	return out, err
}

// storedUserRecords counts those of the test in its stream.
func storedUserRecords(s *kinesistest.Server) (n int) {
	for _, r := range s.Consume(stream).Records {
		if r.PartitionKey != "others" {
			n++
		}
	}
	return n
}

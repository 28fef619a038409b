// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
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

// verified is a producer with read-back in a bubble, and its server.
type verified struct {
	*core.Producer
	s   *kinesistest.Server
	log strings.Builder
	mu  sync.Mutex
}

func (v *verified) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.log.Write(p)
}

// logged returns the log as it is once everybody rests: a line is written after the lock is given back.
func (v *verified) logged() string {
	synctest.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.log.String()
}

func newVerified(t *testing.T, s *kinesistest.Server, opts ...core.Option) *verified {
	t.Helper()
	v := &verified{s: s}
	opts = append([]core.Option{core.WithVerifyUncertain(true), core.WithLogger(slog.New(slog.NewTextHandler(v, nil)))}, opts...)
	v.Producer = newProducer(t, s.Client(), opts...)
	return v
}

// strike makes PutRecords calls go wrong, times of them.
func strike(s *kinesistest.Server, times int, e kinesistest.Effect) *kinesistest.FaultHandle {
	return s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: times, Effect: e})
}

// checkVerified fails unless the accounts of what was looked for add up.
func checkVerified(t *testing.T, p *core.Producer, opened, stored, missing, givenUp uint64) {
	t.Helper()
	s := checkAccounts(t, p)
	if s.VerifyOpened != opened || s.VerifyStored != stored || s.VerifyMissing != missing || s.VerifyGivenUp != givenUp {
		t.Errorf("unexpected counts of what was looked for; got opened %d, stored %d, missing %d, given up %d; want %d, %d, %d, %d",
			s.VerifyOpened, s.VerifyStored, s.VerifyMissing, s.VerifyGivenUp, opened, stored, missing, givenUp)
	}
	if s.Uncertain != givenUp {
		t.Errorf("unexpected number of uncertain records; got %d; want the %d given up", s.Uncertain, givenUp)
	}
}

var lostAnswers = []struct {
	name   string
	effect kinesistest.Effect
	stored bool
}{
	{"a lost reply", kinesistest.LoseReply(), true},
	{"a hang after storing", kinesistest.Effect{HangReply: true}, true},
	{"a hang before storing", kinesistest.Hang(), false},
	{"a reset", kinesistest.Reset(), false},
	{"500", kinesistest.Status(500), false},
	{"a result too few", kinesistest.DropLastEntry(), true},
	{"InternalFailure, not stored", kinesistest.FailEntries("InternalFailure", ""), false},
}

// What a lost answer leaves open is found out: nothing is stored twice, nothing is lost.
func TestWhatALostAnswerLeavesOpenIsFoundOut(t *testing.T) {
	for _, c := range lostAnswers {
		for _, first := range []bool{true, false} {
			for _, n := range []int{1, 300} {
				for _, ordering := range []core.Ordering{core.OrderingNone, core.OrderingStrict} {
					t.Run(fmt.Sprintf("%s, first %t, %d records, ordering %d", c.name, first, n, ordering), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							p := newVerified(t, kinesistest.New(kinesistest.WithStream(stream, 4)), core.WithOrdering(ordering))
							before := batchOf("before", 40)
							if first {
								before = nil
							} else {
								wait(t, put(t, p.Producer, before))
							}
							strike(p.s, 1, c.effect)
							records := batchOf("r", n)
							began := time.Now()
							b := put(t, p.Producer, records)
							wait(t, b)
							took := time.Since(began)
							closeProducer(t, p.Producer)
							if err := b.Err(); err != nil {
								t.Fatal(err)
							}
							checkDelivered(t, p.s, before, records)
							st := p.Stats()
							if st.VerifyOpened == 0 || c.stored && st.VerifyStored != st.VerifyOpened || !c.stored && st.VerifyMissing != st.VerifyOpened || st.Uncertain != 0 {
								t.Errorf("unexpected counts: %+v", st)
							}
							if took > 10*time.Second {
								t.Errorf("unexpected time; got %v; want at most 10s", took)
							}
						})
					})
				}
			}
		}
	}
}

// A service that stores a record and answers InternalFailure does not double it.
func TestAnInternalFailureThatStoredDoublesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		var calls atomic.Int64
		p, err := core.New(internalFailure{s.Client(), &calls}, core.WithVerifyUncertain(true))
		if err != nil {
			t.Fatal(err)
		}
		records := batchOf("r", 50)
		b := put(t, p, records)
		wait(t, b)
		closeProducer(t, p)
		if err := b.Err(); err != nil {
			t.Fatal(err)
		}
		checkDelivered(t, s, records)
		checkVerified(t, p, 50, 50, 0, 0)
	})
}

// internalFailure is a client whose first answer is that the entries failed, which are stored.
type internalFailure struct {
	*kinesistest.Client
	calls *atomic.Int64
}

// PutRecords implements core.Client.
func (c internalFailure) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	out, err := c.Client.PutRecords(ctx, in, opts...)
	if c.calls.Add(1) > 1 || err != nil {
		return out, err
	}
	for i := range out.Records {
		out.Records[i] = types.PutRecordsResultEntry{ErrorCode: aws.String("InternalFailure"), ErrorMessage: aws.String("Internal service failure.")}
	}
	out.FailedRecordCount = aws.Int32(int32(len(out.Records)))
	return out, nil
}

// While nothing is open, nothing is called.
func TestNothingIsReadWhileNothingIsUncertain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newVerified(t, kinesistest.New(kinesistest.WithStream(stream, 4)))
		s := p.s
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.3, Seed: 1, Effect: kinesistest.Effect{EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.3}})
		var all [][]core.Record
		for i := range 50 {
			all = append(all, batchOf(fmt.Sprint("b", i), 20))
			wait(t, put(t, p.Producer, all[i]))
		}
		closeProducer(t, p.Producer)
		checkDelivered(t, s, all...)
		checkVerified(t, p.Producer, 0, 0, 0, 0)
		if n := s.Calls("GetRecords") + s.Calls("GetShardIterator") + int64(p.Stats().VerifyReads); n != 0 {
			t.Errorf("unexpected reads; got %d; want none", n)
		}
	})
}

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
			if n := strings.Count(p.logged(), "cannot be looked for"); n != 1 {
				t.Errorf("unexpected number of warnings; got %d; want 1:\n%s", n, p.logged())
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

// A record that was stored before, while or after its shard was split or merged is found,
// and confirmed only where consumers get it.
func TestRecordsAreFoundAcrossAReshard(t *testing.T) {
	for _, c := range lostAnswers {
		for _, when := range []string{"before", "after"} {
			for _, what := range []string{"split", "twice", "merge"} {
				for _, ordering := range []core.Ordering{core.OrderingNone, core.OrderingStrict} {
					t.Run(fmt.Sprintf("%s, %s %s, ordering %d", c.name, what, when, ordering), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							s := kinesistest.New(kinesistest.WithStream(stream, 4))
							p := newVerified(t, s, core.WithOrdering(ordering))
							before := batchOf("before", 40)
							wait(t, put(t, p.Producer, before))
							reshard := func() {
								var err error
								switch open := s.OpenShards(stream); what {
								case "split":
									err = s.SplitEven(stream, open[1].ID)
								case "twice":
									if err = s.SplitEven(stream, open[1].ID); err == nil {
										err = s.SplitEven(stream, s.OpenShards(stream)[1].ID)
									}
								default:
									err = s.Merge(stream, open[1].ID, open[2].ID)
								}
								if err != nil {
									t.Error(err)
								}
							}
							var once sync.Once
							e := c.effect
							if when == "before" { // the call goes to what the map does not have yet
								e.Do = func() { once.Do(reshard) }
							} else { // what was stored is in the parents
								s.Intercept(func(call *kinesistest.Call) *kinesistest.Effect {
									if call.Operation == "GetShardIterator" {
										once.Do(reshard)
									}
									return nil
								})
							}
							strike(s, 1, e)
							records := batchOf("r", 300)
							b := put(t, p.Producer, records)
							wait(t, b)
							closeProducer(t, p.Producer)
							if err := b.Err(); err != nil {
								t.Fatal(err)
							}
							checkDelivered(t, s, before, records)
							if st := p.Stats(); st.VerifyOpened == 0 || st.VerifyGivenUp != 0 {
								t.Errorf("unexpected counts: %+v", st)
							}
						})
					})
				}
			}
		}
	}
}

// Records of 10 MiB, and those so large that the frame has no room.
func TestLargeRecordsAreFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStreamConfig(stream, kinesistest.StreamConfig{Shards: 2, MaxRecordKiB: 10240}))
		p := newVerified(t, s)
		for i, c := range []struct {
			size, want int
		}{{10<<20 - 200, 1}, {10<<20 - 10, 0}} {
			strike(s, 1, kinesistest.LoseReply())
			r := core.Record{PartitionKey: fmt.Sprint("k", i), Data: make([]byte, c.size)}
			r.Data[0] = byte(i)
			found := p.Stats().VerifyStored
			b := put(t, p.Producer, []core.Record{r})
			wait(t, b)
			if err := b.Err(); err != nil {
				t.Fatal(err)
			}
			if n := p.Stats().VerifyStored - found; int(n) != c.want {
				t.Errorf("unexpected number of records found with %d bytes; got %d; want %d", c.size, n, c.want)
			}
		}
		closeProducer(t, p.Producer)
		if st := checkAccounts(t, p.Producer); st.Uncertain != 1 {
			t.Errorf("unexpected number of uncertain records; got %d; want the one without room for the frame", st.Uncertain)
		}
	})
}

// AUTO streams are left alone, which the log says once.
func TestAutoStreamsAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStreamConfig(stream, kinesistest.StreamConfig{Shards: 4, OnDemand: true, Distribution: types.RecordDistributionStrategyAuto}))
		p := newVerified(t, s)
		for range 3 {
			strike(s, 1, kinesistest.LoseReply())
			wait(t, put(t, p.Producer, batchOf("r", 20)))
		}
		closeProducer(t, p.Producer)
		if st := checkAccounts(t, p.Producer); st.VerifyOpened != 0 || st.Uncertain == 0 || s.Calls("GetRecords") != 0 {
			t.Errorf("unexpected counts %+v, reads %d; want none looked for", st, s.Calls("GetRecords"))
		}
		if n := strings.Count(p.logged(), "cannot be looked for"); n != 1 {
			t.Errorf("unexpected number of log lines; got %d; want 1:\n%s", n, p.logged())
		}
	})
}

// A stream that becomes AUTO while records are looked for gets them again, unwrapped.
func TestRecordsAreGivenUpWhenTheirStreamBecomesAuto(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStreamConfig(stream, kinesistest.StreamConfig{Shards: 4, OnDemand: true}))
		p := newVerified(t, s, core.WithDescribeInterval(10*time.Second), core.WithVerifyLimits(time.Minute, 2, 1<<20))
		wait(t, put(t, p.Producer, batchOf("before", 20)))
		s.Fault(kinesistest.Fault{Operation: "GetRecords", Effect: kinesistest.Fail("ProvisionedThroughputExceededException", "")})
		time.Sleep(9 * time.Second)
		strike(s, 1, kinesistest.LoseReply())
		b := put(t, p.Producer, batchOf("r", 20))
		if err := s.SetDistribution(stream, types.RecordDistributionStrategyAuto); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		wait(t, b)
		if took := time.Since(began); took > 30*time.Second || b.Err() != nil {
			t.Errorf("unexpected outcome %v after %v; want the records given up when the stream is AUTO", b.Err(), took)
		}
		closeProducer(t, p.Producer)
		checkVerified(t, p.Producer, 20, 0, 0, 20)
	})
}

// TTL, Abort and Close end a search as they end everything else.
func TestASearchKeepsWhatTTLAbortAndCloseHavePromised(t *testing.T) {
	for _, how := range []string{"ttl", "abort", "close", "flush"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 2))
				s.Fault(kinesistest.Fault{Operation: "GetRecords", Effect: kinesistest.Hang()})
				opts := []core.Option{}
				if how == "ttl" {
					opts = append(opts, core.WithRecordTTL(3*time.Second))
				}
				p := newVerified(t, s, opts...)
				strike(s, 1, kinesistest.LoseReply())
				began := time.Now()
				b := put(t, p.Producer, batchOf("r", 20))
				synctest.Wait()
				ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
				defer cancel()
				reason := core.ReasonExpired
				switch how {
				case "abort":
					time.Sleep(time.Second)
					reason = core.ReasonAborted
					if err := p.Abort(ctx); err != nil {
						t.Error(err)
					}
				case "close":
					reason = core.ReasonClosed
					if err := p.Close(ctx); err == nil {
						t.Error("unexpected end of Close without an error")
					}
				case "flush":
					if err := p.Flush(context.Background()); err != nil {
						t.Error(err)
					}
					if took := time.Since(began); took < 9*time.Second || took > 11*time.Second {
						t.Errorf("unexpected time of a flush; got %v; want the 10s of the search", took)
					}
					closeProducer(t, p.Producer)
					checkVerified(t, p.Producer, 20, 0, 0, 20)
					return
				}
				wait(t, b)
				took := time.Since(began)
				st := checkAccounts(t, p.Producer)
				if st.Failed[reason] != 20 || took > 4100*time.Millisecond || how == "ttl" && took > 3200*time.Millisecond {
					t.Errorf("unexpected outcome after %v: %+v", took, st)
				}
				if how != "close" && st.Uncertain != 20 {
					t.Errorf("unexpected number of uncertain records; got %d; want 20", st.Uncertain)
				}
			})
		})
	}
}

// Of more than the bound, records are sent again at once.
func TestRecordsBeyondTheMemoryAreSentAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 8))
		p := newVerified(t, s, core.WithVerifyLimits(10*time.Second, 2, 64<<10))
		records := make([]core.Record, 8)
		for i, sh := range s.OpenShards(stream) {
			records[i] = core.Record{PartitionKey: fmt.Sprint(i), ExplicitHashKey: sh.StartingHashKey, Data: make([]byte, 30_000)}
			records[i].Data[0] = byte(i)
		}
		strike(s, 1, kinesistest.LoseReply())
		b := put(t, p.Producer, records)
		wait(t, b)
		closeProducer(t, p.Producer)
		st := checkAccounts(t, p.Producer)
		if b.Err() != nil || st.VerifyOpened != 2 || st.VerifyStored != 2 || st.Uncertain != 6 {
			t.Errorf("unexpected outcome %v with counts %+v; want 2 looked for and 6 uncertain", b.Err(), st)
		}
	})
}

// A copy that is stored after our look confirms the record that was sent again. If that is
// stored, too, consumers can tell the two by their key.
func TestALateCopyHasTheSameKey(t *testing.T) {
	for _, both := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithStream(stream, 1))
			late := &lateClient{Client: s.Client(), both: both}
			p := newProducer(t, late, core.WithVerifyUncertain(true), core.WithRequestTimeout(time.Second))
			records := batchOf("r", 10)
			wait(t, put(t, p, records))
			closeProducer(t, p)
			late.wg.Wait()
			all := s.Records(stream)
			if !both {
				checkDelivered(t, s, records)
			} else if len(all) != 2 || all[0].PartitionKey != all[1].PartitionKey || !bytes.Equal(all[0].Data, all[1].Data) {
				t.Errorf("unexpected records: %d; want two with the same key and bytes", len(all))
			}
			checkVerified(t, p, 20, 10, 10, 0)
		})
	}
}

// lateClient has the first call stored late, and the answer to the second one lost.
type lateClient struct {
	*kinesistest.Client
	both bool // the second is stored
	n    atomic.Int64
	wg   sync.WaitGroup
}

// PutRecords implements core.Client.
func (c *lateClient) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	switch n := c.n.Add(1); {
	case n == 1:
		kept := *in
		kept.Records = slices.Clone(in.Records)
		for i := range kept.Records {
			r := &kept.Records[i]
			r.Data, r.PartitionKey, r.ExplicitHashKey = slices.Clone(r.Data), aws.String(*r.PartitionKey), aws.String(*r.ExplicitHashKey)
		}
		c.wg.Go(func() {
			time.Sleep(2500 * time.Millisecond)
			_, _ = c.Client.PutRecords(context.Background(), &kept)
		})
	case n == 2 && !c.both:
	default:
		_, _ = c.Client.PutRecords(ctx, in, opts...)
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// A client that cannot read is refused at the start.
func TestReadBackNeedsAClientThatReads(t *testing.T) {
	if _, err := core.New(struct{ core.Client }{kinesistest.New().Client()}, core.WithVerifyUncertain(true)); err == nil || !strings.Contains(err.Error(), "VerifyUncertain") {
		t.Errorf("unexpected error %v; want one that names VerifyUncertain", err)
	}
}

// Of 50,000 events with 2 % of the answers lost, in each way, none is lost and none doubled.
func TestNoDuplicatesWithLostAnswers(t *testing.T) {
	for _, c := range lostAnswers {
		for _, on := range []bool{true, false} {
			if !on && c.name != "a lost reply" || c.name == "a result too few" {
				continue
			}
			t.Run(fmt.Sprintf("%s, read-back %t", c.name, on), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					const total, perBatch, workers = 50_000, 100, 8
					s := kinesistest.New(kinesistest.WithStream(stream, 4))
					s.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.02, Seed: 7, Effect: c.effect})
					p := newProducer(t, s.Client(), core.WithVerifyUncertain(on))
					var next atomic.Int64
					var wg sync.WaitGroup
					for w := range workers {
						rng := rand.New(rand.NewPCG(uint64(w), 1))
						wg.Go(func() {
							for {
								first := int(next.Add(perBatch)) - perBatch
								if first >= total {
									return
								}
								records := make([]core.Record, perBatch)
								for i := range records {
									records[i] = core.Record{PartitionKey: fmt.Sprint("pod-", rng.IntN(500)), Data: binary.BigEndian.AppendUint64(nil, uint64(first+i))}
								}
								b := put(t, p, records)
								wait(t, b)
								if err := b.Err(); err != nil {
									t.Error(err)
								}
								time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
							}
						})
					}
					wg.Wait()
					closeProducer(t, p)
					count := make([]int, total)
					for _, r := range s.Consume(stream).Records {
						count[binary.BigEndian.Uint64(r.Data)]++
					}
					lost, doubled := 0, 0
					for _, n := range count {
						if n == 0 {
							lost++
						}
						doubled += max(0, n-1)
					}
					st := checkAccounts(t, p)
					t.Logf("lost %d, doubled %d, %+v", lost, doubled, st)
					if lost != 0 || on && doubled != 0 || !on && doubled == 0 {
						t.Errorf("unexpected numbers of records; lost %d, doubled %d", lost, doubled)
					}
					if on && (st.VerifyOpened == 0 || st.VerifyOpened != st.VerifyStored+st.VerifyMissing || st.Uncertain != 0) {
						t.Errorf("accounts of what was looked for do not add up: %+v", st)
					}
				})
			})
		}
	}
}

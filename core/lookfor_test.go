// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// lastWords keeps the records of calls that were not answered.
type lastWords struct {
	mu         sync.Mutex
	calls      int
	unanswered map[uint64][]core.Unanswered
	none       int // records that cannot be looked for
}

func (l *lastWords) Sending(c *core.TracedCall) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	token := uint64(l.calls)
	for i := range c.Len() {
		if d, ok := c.Unanswered(i); ok {
			l.unanswered[token] = append(l.unanswered[token], d)
		} else {
			l.none++
		}
	}
	return token
}

func (l *lastWords) Confirmed(*core.ConfirmedRuns) {}

func (l *lastWords) Answered(token uint64, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known {
		delete(l.unanswered, token)
	}
}

func (l *lastWords) all() (list []core.Unanswered) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.unanswered {
		list = append(list, d...)
	}
	return list
}

// leave has a producer put records, of which the last batch hears no answer, and die.
func leave(t *testing.T, s *kinesistest.Server, e kinesistest.Effect, opts ...core.Option) *lastWords {
	t.Helper()
	l := &lastWords{unanswered: map[uint64][]core.Unanswered{}}
	p := newProducer(t, s.Client(), append([]core.Option{core.WithVerifyUncertain(true), core.WithTrace(l)}, opts...)...)
	wait(t, put(t, p, batchOf("before", 40)))
	synctest.Wait() // the trace is told after the batch
	if got := l.all(); len(got) != 0 {
		t.Fatalf("unexpected records after an answer: %+v", got)
	}
	f := strike(s, 100, e)
	put(t, p, batchOf("r", 200))
	time.Sleep(300 * time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = p.Close(ctx)
	f.Remove()
	return l
}

func outcomesOf(found []core.Found) (open, stored, missing int) {
	for _, f := range found {
		switch f.Outcome {
		case core.LookOpen:
			open++
		case core.LookStored:
			stored++
		case core.LookMissing:
			missing++
		}
	}
	return open, stored, missing
}

func TestWhatAnEarlierProcessHasSentIsFoundOut(t *testing.T) {
	for _, stored := range []bool{true, false} {
		for _, reshard := range []string{"", "split", "merge"} {
			for _, later := range []time.Duration{0, time.Hour} {
				t.Run(fmt.Sprintf("stored %t, %s, after %v", stored, reshard, later), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := kinesistest.New(kinesistest.WithStream(stream, 2))
						e := kinesistest.Hang()
						if stored {
							e = kinesistest.Effect{HangReply: true}
						}
						l := leave(t, s, e)
						list := l.all()
						if len(list) == 0 || l.none > 0 {
							t.Fatalf("unexpected records; got %d that can be looked for, %d that cannot; want some, none", len(list), l.none)
						}
						switch reshard {
						case "split":
							split(t, s)
						case "merge":
							merge(t, s)
						}
						time.Sleep(later)
						client := &reads{Client: s.Client()}
						p := newProducer(t, client, core.WithVerifyUncertain(true))
						list = append(list, list...) // two contents have parts of each
						began := time.Now()
						open, there, missing := outcomesOf(p.LookFor(t.Context(), stream, list))
						took := time.Since(began)
						closeProducer(t, p)
						if stored && there != len(list) || !stored && missing != len(list) || open != 0 {
							t.Errorf("unexpected outcomes; got %d open, %d stored, %d missing of %d", open, there, missing, len(list))
						}
						if took > 5*time.Second || !stored && took < time.Second {
							t.Errorf("unexpected time; got %v", took)
						}
						for _, it := range client.iterator {
							if strings.HasSuffix(list[0].ShardID, *it.ShardId) && it.ShardIteratorType != types.ShardIteratorTypeAfterSequenceNumber {
								t.Errorf("unexpected begin of a read; got %s; want it behind what was confirmed", it.ShardIteratorType)
							}
						}
						st := p.Stats()
						if st.VerifyOpened != st.VerifyStored+st.VerifyMissing || st.VerifyOpened == 0 {
							t.Errorf("unexpected counts: %+v", st)
						}
					})
				})
			}
		}
	}
}

// An aggregate that was stored in a shard out of whose range some of its records are is
// dropped by consumers.
func TestAnEarlierAggregateInAForeignShardIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		l := &lastWords{unanswered: map[uint64][]core.Unanswered{}}
		p := newProducer(t, s.Client(), core.WithVerifyUncertain(true), core.WithTrace(l))
		wait(t, put(t, p, batchOf("before", 40)))
		split(t, s) // the map is old
		f := strike(s, 100, kinesistest.Effect{HangReply: true})
		put(t, p, batchOf("r", 200))
		time.Sleep(300 * time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = p.Close(ctx)
		f.Remove()
		next := newProducer(t, s.Client(), core.WithVerifyUncertain(true))
		open, stored, missing := outcomesOf(next.LookFor(t.Context(), stream, l.all()))
		closeProducer(t, next)
		if open != 0 || stored != 0 || missing == 0 {
			t.Errorf("unexpected outcomes; got %d open, %d stored, %d missing; want all missing", open, stored, missing)
		}
		if next.Stats().WrongShard == 0 {
			t.Error("unexpected counts; want records in a wrong shard")
		}
	})
}

func TestWhatCannotBeFoundOutStaysOpen(t *testing.T) {
	throttled := kinesistest.Fault{Operation: "GetRecords", Effect: kinesistest.Fail("ProvisionedThroughputExceededException", "")}
	denied := kinesistest.Fault{Operation: "GetShardIterator", Effect: kinesistest.Fail("AccessDeniedException", "not authorized")}
	unknown := kinesistest.Fault{Operation: "GetShardIterator", Effect: kinesistest.Fail("ResourceNotFoundException", "")}
	for _, c := range []struct {
		name  string
		fault *kinesistest.Fault
		opts  []core.Option
		spoil func(d *core.Unanswered)
		most  time.Duration
	}{
		{"reads are throttled", &throttled, nil, nil, 12 * time.Second},
		{"reads are denied", &denied, nil, nil, time.Second},
		{"no such shard", &unknown, nil, nil, time.Second},
		{"read-back is off", nil, []core.Option{core.WithVerifyUncertain(false)}, nil, 0},
		{"an AUTO stream", nil, []core.Option{core.WithDistribution(core.DistributionAuto)}, nil, 0},
		{"another stream", nil, nil, func(d *core.Unanswered) { d.Stream = "other" }, 0},
		{"no shard", nil, nil, func(d *core.Unanswered) { d.ShardID = "" }, 0},
		{"no key", nil, nil, func(d *core.Unanswered) { d.PartitionKey = "a" }, 0},
		{"no time", nil, nil, func(d *core.Unanswered) { d.Since = time.Time{} }, 0},
		{"no memory", nil, []core.Option{core.WithVerifyLimits(10*time.Second, 2, 64<<10)}, nil, 10 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 2))
				list := leave(t, s, kinesistest.Effect{HangReply: true}).all()
				if c.name == "no memory" {
					for len(list) < 400 {
						list = append(list, list[0])
					}
				}
				for i := range list {
					if c.spoil != nil {
						c.spoil(&list[i])
					}
				}
				if c.fault != nil {
					s.Fault(*c.fault)
				}
				p := newProducer(t, s.Client(), append([]core.Option{core.WithVerifyUncertain(true)}, c.opts...)...)
				began := time.Now()
				open, _, missing := outcomesOf(p.LookFor(t.Context(), stream, list))
				took := time.Since(began)
				closeProducer(t, p)
				if c.name == "no memory" {
					list = list[128:] // the others fit
				}
				if open != len(list) || missing != 0 || took > c.most {
					t.Errorf("unexpected outcome; got %d open, %d missing after %v; want %d open after %v at most", open, missing, took, len(list), c.most)
				}
			})
		})
	}
}

// A record that is looked for while the process lives is uncertain, should that die.
func TestACallWhoseRecordsAreLookedForIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		s.Fault(kinesistest.Fault{Operation: "GetRecords", Effect: kinesistest.Hang()})
		l := leave(t, s, kinesistest.LoseReply())
		if len(l.all()) == 0 {
			t.Error("unexpected trace; want that the calls are uncertain")
		}
	})
}

func TestALookEndsWithItsContextAndWithClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		list := leave(t, s, kinesistest.Hang()).all()
		p := newProducer(t, s.Client(), core.WithVerifyUncertain(true))
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			began := time.Now()
			open, _, _ := outcomesOf(p.LookFor(ctx, stream, list))
			if took := time.Since(began); open != len(list) || took > 400*time.Millisecond {
				t.Errorf("unexpected outcome; got %d open of %d after %v", open, len(list), took)
			}
			cancel()
		}
		before := s.Calls("GetRecords")
		time.Sleep(5 * time.Second)
		if n := s.Calls("GetRecords") - before; n > 0 {
			t.Errorf("unexpected reads after the end; got %d", n)
		}
		done := make(chan int)
		go func() {
			open, _, _ := outcomesOf(p.LookFor(t.Context(), stream, list))
			done <- open
		}()
		time.Sleep(10 * time.Millisecond)
		closeProducer(t, p)
		if open := <-done; open != len(list) {
			t.Errorf("unexpected outcome after Close; got %d open of %d", open, len(list))
		}
		if st := p.Stats(); st.VerifyOpened != st.VerifyGivenUp {
			t.Errorf("unexpected counts: %+v", st)
		}
	})
}

func split(t *testing.T, s *kinesistest.Server) {
	t.Helper()
	if err := s.SplitEven(stream, "shardId-000000000000"); err != nil {
		t.Fatal(err)
	}
}

func merge(t *testing.T, s *kinesistest.Server) {
	t.Helper()
	if err := s.Merge(stream, "shardId-000000000000", "shardId-000000000001"); err != nil {
		t.Fatal(err)
	}
}

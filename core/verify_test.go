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

// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// poison refuses every call that holds a record with the word in it.
func poison(s *kinesistest.Server, word string, e kinesistest.Effect) *kinesistest.FaultHandle {
	return s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: e, Match: holds(word)})
}

func holds(word string) func(*kinesistest.Call) bool {
	return func(c *kinesistest.Call) bool {
		in, ok := c.Input.(*kinesis.PutRecordsInput)
		return ok && slices.ContainsFunc(in.Records, func(r types.PutRecordsRequestEntry) bool { return bytes.Contains(r.Data, []byte(word)) })
	}
}

// refusedCodes are those with which a call is refused as a whole.
var refusedCodes = []string{"ValidationException", "InvalidArgumentException", "SerializationException", "RequestEntityTooLarge", "UnknownOperationException", "HTTP 400", "HTTP 403", "HTTP 413"}

func refusalOf(code string) kinesistest.Effect {
	var status int
	if _, err := fmt.Sscanf(code, "HTTP %d", &status); err == nil {
		return kinesistest.Status(status)
	}
	return kinesistest.Fail(code, "no")
}

var refusalOptions = []struct {
	name string
	opts []core.Option
}{
	{"aggregation", nil},
	{"single records", []core.Option{core.WithAggregation(false)}},
	{"strict ordering", []core.Option{core.WithOrdering(core.OrderingStrict)}},
}

// The field case: a stream takes a record, then refuses everything for four seconds.
func TestRefusalOfEverythingIsNobodysFault(t *testing.T) {
	for _, code := range refusedCodes {
		for _, o := range refusalOptions {
			t.Run(code+"/"+o.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := kinesistest.New(kinesistest.WithStream(stream, 2))
					p := newProducer(t, s.Client(), o.opts...)
					batches := [][]core.Record{batchOf("before", 1)}
					wait(t, put(t, p, batches[0]))
					f := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: refusalOf(code)})
					var open []*core.Batch
					for i := range 10 {
						records := batchOf(fmt.Sprint("b", i), 3)
						batches = append(batches, records)
						open = append(open, put(t, p, records))
						time.Sleep(400 * time.Millisecond)
					}
					f.Remove()
					for _, b := range open {
						wait(t, b)
						if err := b.Err(); err != nil {
							t.Errorf("unexpected failure; got %v; want none", err)
						}
					}
					closeProducer(t, p)
					checkDelivered(t, s, batches...)
					if st := checkAccounts(t, p); st.FailedTotal() != 0 || st.Uncertain != 0 {
						t.Errorf("unexpected counters; got %d failed, %d uncertain; want none", st.FailedTotal(), st.Uncertain)
					}
				})
			})
		}
	}
}

// An outage that looks like a refusal and lasts meets one call at a time, with pauses, and
// what is submitted waits.
func TestLongRefusalOfEverythingMeetsFewCalls(t *testing.T) {
	for _, o := range refusalOptions {
		t.Run(o.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 4))
				var log logText
				p := newProducer(t, s.Client(), append(o.opts, log.option(), fastRetry)...)
				batches := [][]core.Record{batchOf("before", 1)}
				wait(t, put(t, p, batches[0]))
				f := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{ErrorCode: "SerializationException", Delay: time.Millisecond}})
				var open []*core.Batch
				for i := range 60 {
					records := batchOf(fmt.Sprintf("b%02d", i), 100)
					batches = append(batches, records)
					open = append(open, put(t, p, records))
					time.Sleep(time.Minute)
				}
				if got := f.Hits(); got > 4000 || got < 300 {
					t.Errorf("unexpected number of calls in an hour; got %d; want 300 to 4000", got)
				}
				if lines := strings.Count(log.String(), "cannot put records"); lines < 30 || lines > 61 {
					t.Errorf("unexpected number of lines; got %d; want one a minute at most", lines)
				}
				f.Remove()
				began := time.Now()
				for _, b := range open {
					wait(t, b)
					if err := b.Err(); err != nil {
						t.Fatalf("unexpected failure; got %v; want none", err)
					}
				}
				if got := time.Since(began); got > 40*time.Second {
					t.Errorf("unexpected time until all is delivered; got %v; want little more than the longest pause", got)
				}
				closeProducer(t, p)
				checkDelivered(t, s, batches...)
				checkAccounts(t, p)
			})
		})
	}
}

// A record that is refused while others pass is at fault, soon.
func TestRecordRefusedWhileOthersPassFails(t *testing.T) {
	for _, code := range []string{"ValidationException", "RequestEntityTooLarge", "HTTP 413"} {
		want := core.ReasonTooLarge
		if code == "ValidationException" {
			want = core.ReasonInvalid
		}
		for _, o := range refusalOptions {
			t.Run(code+"/"+o.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := kinesistest.New(kinesistest.WithStream(stream, 2))
					s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Delay(10 * time.Millisecond), Match: func(c *kinesistest.Call) bool { return !holds("bad")(c) }})
					f := poison(s, "bad", refusalOf(code))
					p := newProducer(t, s.Client(), o.opts...)
					batches := [][]core.Record{batchOf("before", 1)}
					wait(t, put(t, p, batches[0]))
					var open []*core.Batch
					for i := range 50 {
						records := batchOf(fmt.Sprintf("b%02d", i), 20)
						batches = append(batches, records)
						if i == 5 {
							records[7].Data = []byte("bad")
							batches[len(batches)-1] = slices.Delete(slices.Clone(records), 7, 8)
						}
						open = append(open, put(t, p, records))
						time.Sleep(100 * time.Millisecond)
					}
					for i, b := range open {
						wait(t, b)
						if _, failed, _ := b.Counts(); i != 5 && failed != 0 {
							t.Errorf("unexpected failure in batch %d: %v", i, b.Err())
						}
					}
					r := open[5].Result(7)
					if r.Err == nil || r.Err.Reason != want || !r.Err.Reason.Permanent() {
						t.Fatalf("unexpected outcome of the culprit; got %v; want %v", r.Err, want)
					}
					if want == core.ReasonTooLarge && !strings.Contains(r.Err.Detail, "data plus partition key have") {
						t.Errorf("unexpected detail %q; want the sizes", r.Err.Detail)
					}
					last := r.Attempts[len(r.Attempts)-1]
					if got := last.End.Sub(r.Attempts[0].Start); got > 5*time.Second && o.name != "strict ordering" {
						t.Errorf("unexpected time until the culprit failed; got %v; want at most 5 s", got)
					}
					if f.Hits() > 40 {
						t.Errorf("unexpected number of refused calls; got %d; want at most 40", f.Hits())
					}
					closeProducer(t, p)
					checkDelivered(t, s, batches...)
					checkAccounts(t, p)
				})
			})
		}
	}
}

// Where others of the same call are taken, nothing has to be proved.
func TestEntryRefusedBesideOthersFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		p := newProducer(t, s.Client(), core.WithAggregation(false))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Effect{EntryCode: "InvalidArgumentException", Entries: []int{2}}})
		b := put(t, p, batchOf("a", 5))
		wait(t, b)
		failed := 0
		for i, err := range b.Failures {
			if failed++; err.Reason != core.ReasonInvalid || len(b.Result(i).Attempts) != 1 {
				t.Errorf("unexpected failure of record %d: %v", i, err)
			}
		}
		if failed != 1 {
			t.Errorf("unexpected number of failures; got %d; want 1", failed)
		}
	})
}

// If a refused record is all that its stream has, nothing can be proved.
func TestRecordRefusedWhileItIsAloneIsLeftToTheReceiver(t *testing.T) {
	for _, c := range []struct {
		name string
		idle time.Duration // since the last record that was taken
		want core.Reason   // none: it goes on
	}{
		{"the stream took something of late", time.Minute, core.ReasonRefusedAlone},
		{"the stream took nothing of late", 2 * time.Hour, core.ReasonNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 2))
				p := newProducer(t, s.Client(), core.WithStreamIdle(24*time.Hour))
				wait(t, put(t, p, batchOf("before", 1)))
				time.Sleep(c.idle)
				f := poison(s, "a-0", kinesistest.Fail("ValidationException", "no"))
				began := time.Now()
				b := put(t, p, batchOf("a", 1))
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
				defer cancel()
				err := b.WaitSettled(ctx)
				r := b.Result(0)
				if c.want == core.ReasonNone {
					if err == nil || r.Settled || f.Hits() < 100 || f.Hits() > 300 {
						t.Fatalf("unexpected outcome; got %v, %d calls; want it to wait, and a call every few seconds", r.Err, f.Hits())
					}
					f.Remove()
					wait(t, b)
					checkAccounts(t, p)
					return
				}
				if r.Err == nil || r.Err.Reason != c.want || r.Err.Reason.Permanent() || r.Err.Code != "ValidationException" {
					t.Fatalf("unexpected outcome; got %v; want %v", r.Err, c.want)
				}
				if got := time.Since(began); got < time.Minute || got > 70*time.Second {
					t.Errorf("unexpected time; got %v; want a minute", got)
				}
				if f.Hits() > 40 {
					t.Errorf("unexpected number of calls; got %d; want at most 40", f.Hits())
				}
				checkAccounts(t, p)
			})
		})
	}
}

// Two records that are refused, and nothing else, may both be good.
func TestRecordsRefusedWhileNothingPassesGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		p := newProducer(t, s.Client())
		before, records := batchOf("before", 1), batchOf("a", 2)
		wait(t, put(t, p, before))
		f := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("ValidationException", "no")})
		b := put(t, p, records)
		time.Sleep(30 * time.Minute)
		if _, failed, pending := b.Counts(); failed != 0 || pending != 2 {
			t.Fatalf("unexpected outcome; got %d failed, %d open; want 2 open", failed, pending)
		}
		f.Remove()
		wait(t, b)
		checkDelivered(t, s, before, records)
	})
}

// A suspect that is all that is open does not hold up what comes later.
func TestSuspectDoesNotHoldUpFreshRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		p := newProducer(t, s.Client())
		wait(t, put(t, p, batchOf("before", 1)))
		poison(s, "bad-0", kinesistest.Fail("ValidationException", "no"))
		bad := put(t, p, batchOf("bad", 1))
		time.Sleep(40 * time.Second)
		for i := range 5 {
			began := time.Now()
			wait(t, put(t, p, batchOf(fmt.Sprint("b", i), 1)))
			if got := time.Since(began); got > 200*time.Millisecond {
				t.Errorf("unexpected time until a fresh record is delivered; got %v; want next to none", got)
			}
			time.Sleep(5 * time.Second)
		}
		wait(t, bad)
		if err := bad.Result(0).Err; err == nil || err.Reason != core.ReasonInvalid {
			t.Errorf("unexpected outcome of the suspect; got %v; want invalid", err)
		}
	})
}

// Where suspects turned out to be good, it takes more to convict one.
func TestSuspectsAreConvictedSlowlyWhereRefusalsComeAndGo(t *testing.T) {
	for _, flaky := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithStream(stream, 1))
			p := newProducer(t, s.Client())
			wait(t, put(t, p, batchOf("before", 1)))
			if flaky {
				poison(s, "good-0", kinesistest.Fail("ValidationException", "no")).Remove()
				f := s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 2, Effect: kinesistest.Fail("ValidationException", "no")})
				wait(t, put(t, p, batchOf("good", 1)))
				if f.Hits() != 2 {
					t.Fatalf("unexpected number of faults; got %d; want 2", f.Hits())
				}
			}
			f := poison(s, "bad-0", kinesistest.Fail("ValidationException", "no"))
			bad := put(t, p, batchOf("bad", 1))
			for i := 0; !isDone(bad) && i < 1000; i++ {
				put(t, p, batchOf(fmt.Sprint("b", i), 1))
				time.Sleep(100 * time.Millisecond)
			}
			wait(t, bad)
			if err := bad.Result(0).Err; err == nil || err.Reason != core.ReasonInvalid {
				t.Errorf("unexpected outcome; got %v; want invalid", err)
			}
			want := 3
			if flaky {
				want = 9
			}
			if f.Hits() < want || f.Hits() > want+6 {
				t.Errorf("flaky %v: unexpected number of refusals; got %d; want %d or little more", flaky, f.Hits(), want)
			}
		})
	}
}

func isDone(b *core.Batch) bool {
	select {
	case <-b.Done():
		return true
	default:
		return false
	}
}

// What a proxy or filter refuses without a code of Kinesis is tried again for ever, and
// the others pass.
func TestAnswersThatAreNotOfKinesisCountAgainstNoRecord(t *testing.T) {
	for _, status := range []int{400, 403, 406, 422} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 2))
				p := newProducer(t, s.Client())
				f := poison(s, "bad", kinesistest.Status(status))
				records := batchOf("a", 50)
				records[20].Data = []byte("bad")
				b := put(t, p, records)
				time.Sleep(10 * time.Second)
				for i := range 20 {
					wait(t, put(t, p, batchOf(fmt.Sprint("b", i), 1)))
					time.Sleep(5 * time.Minute)
				}
				if confirmed, failed, pending := b.Counts(); confirmed != 49 || failed != 0 || pending != 1 {
					t.Fatalf("unexpected outcome; got %d confirmed, %d failed, %d open; want 49, 0, 1", confirmed, failed, pending)
				}
				if f.Hits() > 3000 {
					t.Errorf("unexpected number of calls; got %d; want one every few seconds", f.Hits())
				}
				f.Remove()
				wait(t, b)
				checkAccounts(t, p)
			})
		})
	}
}

// The end of a record that waits as a suspect, or behind one, comes in time.
func TestSuspectsEndInTime(t *testing.T) {
	for _, o := range refusalOptions {
		t.Run(o.name+"/ttl", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 2))
				p := newProducer(t, s.Client(), append(o.opts, core.WithRecordTTL(3*time.Second))...)
				wait(t, put(t, p, batchOf("before", 1)))
				s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("ValidationException", "no")})
				began := time.Now()
				b := put(t, p, batchOf("a", 2000))
				wait(t, b)
				if got := time.Since(began); got < 3*time.Second || got > 3200*time.Millisecond {
					t.Errorf("unexpected time; got %v; want the TTL of 3 s", got)
				}
				if st := checkAccounts(t, p); st.Failed[core.ReasonExpired] != 2000 || st.BufferedBytes != 0 {
					t.Errorf("unexpected counters; got %d expired, %d bytes buffered; want 2000, 0", st.Failed[core.ReasonExpired], st.BufferedBytes)
				}
			})
		})
		t.Run(o.name+"/close", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 2))
				p := newProducer(t, s.Client(), o.opts...)
				wait(t, put(t, p, batchOf("before", 1)))
				s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("ValidationException", "no")})
				b := put(t, p, batchOf("a", 100))
				time.Sleep(10 * time.Second)
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				defer cancel()
				if err := p.Flush(ctx); err == nil {
					t.Error("unexpected success of Flush")
				}
				ctx, cancel = context.WithTimeout(context.Background(), 2*time.Second)
				defer cancel()
				if err := p.Close(ctx); err == nil || !strings.Contains(err.Error(), "100") {
					t.Errorf("unexpected error of Close; got %v; want the number of records left", err)
				}
				for i, err := range b.Failures {
					if err.Reason != core.ReasonClosed {
						t.Fatalf("unexpected error of record %d; got %v; want closed", i, err)
					}
				}
				if st := checkAccounts(t, p); st.Failed[core.ReasonClosed] != 100 || st.BufferedBytes != 0 {
					t.Errorf("unexpected counters; got %d closed, %d bytes buffered; want 100, 0", st.Failed[core.ReasonClosed], st.BufferedBytes)
				}
			})
		})
	}
}

// A stream that has never taken anything fails what it was given, and no more calls are
// made for it than a search needs.
func TestStreamThatNeverTookAnythingFailsItsRecords(t *testing.T) {
	for _, o := range refusalOptions {
		for _, n := range []int{1, 20, 5000} {
			t.Run(fmt.Sprint(o.name, "/", n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := kinesistest.New(kinesistest.WithStream(stream, 4))
					f := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{ErrorCode: "ValidationException", Delay: time.Millisecond}})
					p := newProducer(t, s.Client(), o.opts...)
					records := batchOf("a", n)
					b := put(t, p, records)
					ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
					defer cancel()
					if err := b.WaitSettled(ctx); err != nil {
						t.Fatal(err)
					}
					if err := b.Err(); err == nil || b.Result(n-1).Err.Reason != core.ReasonRefused {
						t.Fatalf("unexpected outcome; got %v; want refused", b.Err())
					}
					if f.Hits() > 40+n/4 || p.Stats().Failed[core.ReasonRefused] != uint64(n) {
						t.Errorf("unexpected effort; got %d calls, %d refused; want a search at most", f.Hits(), p.Stats().Failed[core.ReasonRefused])
					}
					f.Remove()
					wait(t, put(t, p, records))
					checkDelivered(t, s, records)
					checkAccounts(t, p)
				})
			})
		}
	}
}

// The first batch of a stream may hold a bad record.
func TestBadRecordInTheFirstBatchOfAStream(t *testing.T) {
	for _, o := range refusalOptions {
		t.Run(o.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 2))
				p := newProducer(t, s.Client(), o.opts...)
				poison(s, "bad", kinesistest.Fail("ValidationException", "no"))
				records := batchOf("a", 300)
				for _, i := range []int{0, 100, 299} {
					records[i].Data = []byte("bad")
				}
				b := put(t, p, records)
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
				defer cancel()
				if err := b.WaitSettled(ctx); err != nil {
					t.Fatal(err)
				}
				for i, err := range b.Failures {
					if i != 0 && i != 100 && i != 299 {
						t.Errorf("unexpected failure of record %d: %v", i, err)
					}
				}
				if confirmed, failed, _ := b.Counts(); confirmed != 297 || failed != 3 {
					t.Errorf("unexpected outcome; got %d confirmed, %d failed; want 297, 3", confirmed, failed)
				}
				checkAccounts(t, p)
			})
		})
	}
}

// wireSize is the size of a call as an HTTP body.
func wireSize(in *kinesis.PutRecordsInput) int {
	n := 60
	for _, r := range in.Records {
		n += (len(r.Data)+2)/3*4 + 70
		if r.PartitionKey != nil {
			n += len(*r.PartitionKey)
		}
		if r.ExplicitHashKey != nil {
			n += len(*r.ExplicitHashKey)
		}
	}
	return n
}

// A proxy refuses bodies above a size. Nothing is lost, requests stay below it, and they
// grow again when the bound is gone.
func TestRequestsStayBelowTheSizeThatPasses(t *testing.T) {
	for _, limit := range []int{20_000, 100_000, 700_000} {
		for _, o := range refusalOptions {
			t.Run(fmt.Sprint(limit, "/", o.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := kinesistest.New(kinesistest.WithStream(stream, 8))
					var mu sync.Mutex
					largest, largestPassed, calls := 0, 0, 0
					f := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Status(413), Match: func(c *kinesistest.Call) bool {
						n := wireSize(c.Input.(*kinesis.PutRecordsInput))
						mu.Lock()
						defer mu.Unlock()
						calls++
						if largest = max(largest, n); n <= limit {
							largestPassed = max(largestPassed, n)
						}
						return n > limit
					}})
					var log logText
					p := newProducer(t, s.Client(), append(o.opts, log.option(), core.WithRateLimit(100_000), core.WithAdaptiveRate(false), core.WithStreamIdle(24*time.Hour))...)
					fill := func(name string) []core.Record {
						records := batchOf(name, 3000)
						for i := range records {
							records[i].Data = append(records[i].Data, bytes.Repeat([]byte("x"), 1000)...)
						}
						b := put(t, p, records)
						wait(t, b)
						if err := b.Err(); err != nil {
							t.Fatal(err)
						}
						return records
					}
					first := fill("a")
					refused := f.Hits()
					if limit == 700_000 && o.name == "strict ordering" {
						return // one aggregate of each shard makes no such request
					}
					if largest <= limit || refused == 0 || refused > 200 {
						t.Fatalf("unexpected load; got %d refused calls, the largest with %d bytes", refused, largest)
					}
					second := fill("b")
					if got := f.Hits() - refused; got > 12 {
						t.Errorf("unexpected number of refused calls once the size is known; got %d; want at most 12", got)
					}
					known := f.Hits()
					more := [][]core.Record{first, second}
					for i := range 4 {
						more = append(more, fill(fmt.Sprint("e", i)))
					}
					if got := f.Hits() - known; got > 3 {
						t.Errorf("unexpected number of refused calls for 12 MB; got %d; want hardly any", got)
					}
					if o.name != "strict ordering" && largestPassed < limit/2 {
						t.Errorf("unexpected size of requests; got %d at most; want more than half of %d", largestPassed, limit)
					}
					if got := log.String(); !strings.Contains(got, "something on the way to Kinesis refuses large requests") || strings.Count(got, "something on the way to Kinesis refuses large requests") > 4 {
						t.Errorf("unexpected log %q; want a line or two on the size of requests", got)
					}
					f.Remove()
					time.Sleep(2 * time.Hour)
					third, fourth := fill("c"), fill("d")
					if got := log.String(); !strings.Contains(got, "limit on the size of requests is dropped") {
						t.Errorf("unexpected log %q; want a line on the end of the limit", got)
					}
					closeProducer(t, p)
					checkDelivered(t, s, append(more, third, fourth)...)
					checkAccounts(t, p)
				})
			})
		}
	}
}

// A record that alone is above the bound of the proxy fails with the sizes, the others pass.
func TestRecordAboveTheSizeThatPassesFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Status(413), Match: func(c *kinesistest.Call) bool {
			return wireSize(c.Input.(*kinesis.PutRecordsInput)) > 100_000
		}})
		p := newProducer(t, s.Client())
		records := batchOf("a", 100)
		records[30].Data = bytes.Repeat([]byte("x"), 200_000)
		b := put(t, p, records)
		wait(t, b)
		for i, err := range b.Failures {
			if i != 30 || err.Reason != core.ReasonTooLarge || err.Code != "HTTP413" || !strings.Contains(err.Detail, "have 200008 bytes") {
				t.Errorf("unexpected failure of record %d: %v", i, err)
			}
		}
		closeProducer(t, p)
		checkDelivered(t, s, records[:30], records[31:])
	})
}

// A size that was refused without a bound, because all was, is not remembered.
func TestRefusalOfAllSizesTeachesNoBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 4))
		p := newProducer(t, s.Client(), core.WithRateLimit(100_000), core.WithAdaptiveRate(false))
		wait(t, put(t, p, batchOf("before", 1)))
		f := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Status(413)})
		b := put(t, p, batchOf("a", 2000))
		time.Sleep(time.Minute)
		f.Remove()
		wait(t, b)
		if err := b.Err(); err != nil {
			t.Fatal(err)
		}
		before := s.Calls("PutRecords")
		records := batchOf("b", 5000)
		for i := range records {
			records[i].Data = append(records[i].Data, bytes.Repeat([]byte("x"), 1000)...)
		}
		wait(t, put(t, p, records))
		if got := s.Calls("PutRecords") - before; got > 25 {
			t.Errorf("unexpected number of calls for 5 MB; got %d; want at most 25", got)
		}
		checkAccounts(t, p)
	})
}

// Refusals of every kind at random, with other faults: every record is confirmed, fails
// with a reason or waits; those confirmed are there, no others but the uncertain twice.
func TestAccountsAddUpUnderRefusalsOfEveryKind(t *testing.T) {
	for _, o := range refusalOptions {
		t.Run(o.name, func(t *testing.T) {
			for seed := range uint64(15) {
				synctest.Test(t, func(t *testing.T) { randomRefusals(t, seed, o.opts) })
			}
		})
	}
}

func randomRefusals(t *testing.T, seed uint64, opts []core.Option) {
	rng := rand.New(rand.NewPCG(seed, 5))
	s := kinesistest.New(kinesistest.WithStream(stream, 1+rng.IntN(6)))
	if rng.IntN(2) == 0 {
		opts = append(slices.Clone(opts), core.WithRecordTTL(time.Duration(5+rng.IntN(60))*time.Second))
	}
	opts = append(slices.Clone(opts), core.WithRetryBackoff(10*time.Millisecond, time.Second), core.WithRequestTimeout(time.Second), core.WithMaxInFlight(1+rng.IntN(8)))
	poison(s, "poison", kinesistest.Fail("ValidationException", "no"))
	limit := 3000 + rng.IntN(200_000)
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Status(413), Match: func(c *kinesistest.Call) bool {
		return wireSize(c.Input.(*kinesis.PutRecordsInput)) > limit
	}})
	for i, e := range []kinesistest.Effect{
		kinesistest.Fail("SerializationException", "x"), kinesistest.Fail("InvalidArgumentException", "x"), kinesistest.Status(403), kinesistest.Status(400), kinesistest.Status(413),
		kinesistest.Status(503), kinesistest.LoseReply(), kinesistest.Reset(), {EntryCode: "InternalFailure", EntryShare: 0.3},
		{EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.3}, {EntryCode: "InvalidArgumentException", EntryShare: 0.02}, {Hang: true}, {Delay: time.Millisecond},
	} {
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: e, Probability: 0.02, Seed: seed<<8 + uint64(i)})
	}
	p := newProducer(t, s.Client(), opts...)
	type handed struct {
		b       *core.Batch
		records []core.Record
	}
	var all []handed
	for i := range 40 {
		records := batchOf(fmt.Sprintf("b%02d", i), 1+rng.IntN(300))
		for j := range records {
			if rng.IntN(200) == 0 {
				records[j].Data = append(records[j].Data, "poison"...)
			}
			records[j].Data = append(records[j].Data, bytes.Repeat([]byte("x"), rng.IntN(500))...)
		}
		all = append(all, handed{put(t, p, records), records})
		time.Sleep(time.Duration(rng.IntN(500)) * time.Millisecond)
		switch rng.IntN(8) {
		case 0: // everything is refused for a while
			f := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: refusalOf(refusedCodes[rng.IntN(len(refusedCodes))])})
			time.Sleep(time.Duration(rng.IntN(5000)) * time.Millisecond)
			f.Remove()
		case 1:
			open := s.OpenShards(stream)
			_ = s.SplitEven(stream, open[rng.IntN(len(open))].ID) // refused while it still changes
		}
	}
	time.Sleep(5 * time.Minute)
	s.ClearFaults()
	poison(s, "poison", kinesistest.Fail("ValidationException", "no"))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	err := p.Close(ctx)
	st := checkAccounts(t, p)
	if err != nil || st.Pending != 0 || st.BufferedBytes != 0 {
		t.Fatalf("seed %d: unexpected end; got %v, %d pending, %d bytes buffered", seed, err, st.Pending, st.BufferedBytes)
	}
	m := seen(s)
	doubled, total := 0, 0
	for _, h := range all {
		for i := range h.records {
			r, n := h.b.Result(i), m[string(h.records[i].Data)]
			bad := strings.Contains(string(h.records[i].Data), "poison")
			unsure := slices.ContainsFunc(r.Attempts, func(a core.Attempt) bool { return a.Uncertain })
			total++
			switch {
			case !r.Settled:
				t.Fatalf("seed %d: record %s is not settled", seed, h.records[i].PartitionKey)
			case r.Err == nil && n == 0:
				t.Fatalf("seed %d: confirmed record %s is lost", seed, h.records[i].PartitionKey)
			case r.Err == nil && bad, r.Err != nil && n > 0 && !unsure:
				t.Fatalf("seed %d: unexpected outcome of %s, seen %d times: %v", seed, h.records[i].PartitionKey, n, r.Err)
			case n > 1 && !unsure:
				t.Fatalf("seed %d: record %s is there %d times without reason", seed, h.records[i].PartitionKey, n)
			case n > 1:
				doubled += n - 1
			}
		}
	}
	if st.Accepted != uint64(total) || doubled > int(st.Uncertain) {
		t.Errorf("seed %d: unexpected accounts; got %d accepted of %d, %d doubled of %d uncertain", seed, st.Accepted, total, doubled, st.Uncertain)
	}
	t.Logf("seed %d: %d records, %d confirmed, failed %v, %d doubled, %d calls", seed, total, st.Confirmed, st.Failed, doubled, st.Requests)
}

// In strict ordering a suspect holds up only what has the same key, and that in order.
func TestStrictOrderHoldsWhileRecordsAreRefused(t *testing.T) {
	for _, shards := range []int{1, 3} {
		for _, aggregation := range []bool{true, false} {
			t.Run(fmt.Sprintf("shards=%d/aggregation=%v", shards, aggregation), func(t *testing.T) {
				for seed := range uint64(4) {
					synctest.Test(t, func(t *testing.T) { strictRefusals(t, seed, shards, aggregation) })
				}
			})
		}
	}
}

func strictRefusals(t *testing.T, seed uint64, shards int, aggregation bool) {
	s := kinesistest.New(kinesistest.WithStream(stream, shards))
	keys := make([]*sequence, 30)
	for i := range keys {
		keys[i] = &sequence{key: fmt.Sprint("key-", i)}
	}
	// Two records that a filter refuses; other keys have data of other lengths.
	f := poison(s, "refused", kinesistest.Status(403))
	slow := kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Delay(2 * time.Millisecond), Probability: 0.5, Seed: seed}
	delay := s.Fault(slow)
	p := newProducer(t, s.Client(), core.WithOrdering(core.OrderingStrict), core.WithAggregation(aggregation), core.WithAggregationMaxBytes(600),
		core.WithRateLimit(1000), core.WithAdaptiveRate(false), core.WithRetryBackoff(5*time.Millisecond, 500*time.Millisecond))
	rng := rand.New(rand.NewPCG(seed, 9))
	var open []*core.Batch
	refused := map[string]bool{}
	for i := range 200 {
		records := make([]core.Record, 10)
		for j := range records {
			k := keys[rng.IntN(len(keys))]
			records[j] = k.record()
			if n := i*10 + j; n == 500 || n == 900 {
				records[j].Data = append(records[j].Data, "refused"...)
				refused[k.key] = true
			}
		}
		open = append(open, put(t, p, records))
		time.Sleep(20 * time.Millisecond)
		switch i {
		case 70, 140: // everything is refused for a while
			delay.Remove() // of two faults, the first takes the call
			all := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("ValidationException", "no")})
			time.Sleep(3 * time.Second)
			all.Remove()
			delay = s.Fault(slow)
		case 110:
			if err := s.SplitEven(stream, s.OpenShards(stream)[0].ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	time.Sleep(time.Minute)
	got := map[string]uint64{}
	for _, r := range s.Consume(stream).Records {
		got[r.PartitionKey]++
	}
	for _, k := range keys {
		if !refused[k.key] && got[k.key] < k.next || refused[k.key] && got[k.key] >= k.next-1 {
			t.Errorf("unexpected number of records of %s; got %d of %d, refused %v; want all but those behind a refused one", k.key, got[k.key], k.next, refused[k.key])
		}
	}
	f.Remove()
	for _, b := range open {
		wait(t, b)
		if err := b.Err(); err != nil {
			t.Fatal(err)
		}
	}
	closeProducer(t, p)
	checkOrder(t, s, keys)
	checkAccounts(t, p)
}

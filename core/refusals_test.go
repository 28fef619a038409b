// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
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

// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

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
					// Each refused call halves what lies between the sizes that passed and that did not.
					if got := f.Hits() - known; got > 8 {
						t.Errorf("unexpected number of refused calls for 12 MB; got %d; want at most 8", got)
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

// behindSizeLimit is a stream behind a proxy that refuses what is above 100,000 bytes.
func behindSizeLimit(t *testing.T, shards int) (*kinesistest.Server, *core.Producer) {
	t.Helper()
	s := kinesistest.New(kinesistest.WithStream(stream, shards))
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Status(413), Match: func(c *kinesistest.Call) bool {
		return wireSize(c.Input.(*kinesis.PutRecordsInput)) > 100_000
	}})
	return s, newProducer(t, s.Client())
}

// A record that alone is above the bound of the proxy fails with the sizes, the others pass.
func TestRecordAboveTheSizeThatPassesFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := behindSizeLimit(t, 2)
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

// What has passed after a refusal is the size of the call, although its records are in use again.
func TestSizeOfTheCallThatPassedIsLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := behindSizeLimit(t, 1)
		records := batchOf("a", 120)
		for i := range records {
			records[i].Data = bytes.Repeat([]byte("x"), 1000)
		}
		wait(t, put(t, p, records))
		if n := p.PassingRecordBytes(stream); n < 10_000 || n > 100_000 {
			t.Errorf("unexpected size; got %d; want that of a call with tens of records", n)
		}
		closeProducer(t, p)
	})
}

// Once the size is known, a record above it fails although nothing else is put that could pass.
func TestRecordAboveAKnownSizeFailsWithoutOtherCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := behindSizeLimit(t, 1)
		if n := p.PassingRecordBytes(stream); n >= 0 {
			t.Errorf("unexpected size before anything was refused; got %d; want none", n)
		}
		first := batchOf("a", 2)
		first[1].Data = bytes.Repeat([]byte("x"), 200_000)
		wait(t, put(t, p, first))
		if n := p.PassingRecordBytes(stream); n < 0 || n > 100_000 {
			t.Errorf("unexpected size; got %d; want what has passed", n)
		}
		for _, size := range []int{200_000, 150_000} {
			alone := batchOf("b", 1)
			alone[0].Data = bytes.Repeat([]byte("x"), size)
			begun := time.Now()
			b := put(t, p, alone)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if err := b.WaitSettled(ctx); err != nil {
				t.Fatalf("unexpected state of %d bytes after %v: %v; want too_large", size, time.Since(begun), err)
			}
			cancel()
			for _, err := range b.Failures {
				if err.Reason != core.ReasonTooLarge {
					t.Errorf("unexpected failure: %v; want too_large", err)
				}
			}
		}
		closeProducer(t, p)
		checkDelivered(t, s, first[:1])
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

// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// Without places a confirmed record tells nothing of how it came there, and one that failed tells
// as much as ever.
func TestResultsWithoutPlaces(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 4))
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 2, Effect: kinesistest.Effect{EntryCode: "InternalFailure", EntryShare: 0.5}})
	var mu sync.Mutex
	var outcomes []core.Outcome
	p := newProducer(t, s.Client(), core.WithAggregation(false), core.WithPlaces(false), core.WithMaxInFlight(1), core.WithFailIfThrottled(true),
		core.WithOutcomeFunc(func(list []core.Outcome) {
			mu.Lock()
			defer mu.Unlock()
			outcomes = append(outcomes, list...)
		}))
	wait(t, put(t, p, batchOf("a", 100))) // some at the second or third attempt
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Effect{EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.5}})
	b := put(t, p, batchOf("b", 100))
	if b.Wait(t.Context()) == nil {
		t.Fatal("unexpected success; the fault has not worked")
	}
	failed := 0
	for i := range b.Len() {
		r := b.Result(i)
		switch {
		case r.Confirmed():
			if r.ShardID+r.SequenceNumber != "" || len(r.Attempts) != 0 {
				t.Fatalf("unexpected result of a confirmed record: %+v", r)
			}
		case len(r.Attempts) != 1 || !strings.Contains(r.Attempts[0].Code, "Throughput"):
			t.Fatalf("unexpected attempts of a failed record: %+v", r.Attempts)
		default:
			failed++
		}
	}
	closeProducer(t, p)
	if st := p.Stats(); failed == 0 || st.InternalFailures == 0 || st.Retries == 0 || len(outcomes) != 200 {
		t.Errorf("unexpected account; got %d failed, %d outcomes, counters %+v", failed, len(outcomes), st)
	}
	for _, o := range outcomes {
		if o.ShardID+o.SequenceNumber != "" {
			t.Fatalf("unexpected outcome: %+v", o)
		}
	}
}

// Requests are shared by all producers of the process, and what one without places uses again is not
// what another one keeps.
func TestPlacesOutliveTheCallsOfAProducerWithoutThem(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 4), kinesistest.WithLimits(kinesistest.Limits{}))
	opts := []core.Option{core.WithAggregation(false), core.WithRateLimit(100_000)}
	without := newProducer(t, s.Client(), append(opts, core.WithPlaces(false))...)
	with := newProducer(t, s.Client(), opts...)
	var batches []*core.Batch
	var numbers [][]string
	for round := range 30 {
		wait(t, put(t, without, batchOf(fmt.Sprint("without", round), 200)))
		b := put(t, with, batchOf(fmt.Sprint("with", round), 200))
		wait(t, b)
		list := make([]string, b.Len())
		for i := range list {
			list[i] = b.Result(i).SequenceNumber
		}
		batches, numbers = append(batches, b), append(numbers, list)
	}
	for k, b := range batches {
		for i, want := range numbers[k] {
			if got := b.Result(i); got.SequenceNumber != want || len(got.Attempts) != 1 {
				t.Fatalf("unexpected result of record %d of batch %d; got %s, %d attempts; want %s, 1", i, k, got.SequenceNumber, len(got.Attempts), want)
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"strings"
	"testing"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// Without places a confirmed record tells nothing of how it came there, and one that failed tells
// as much as ever.
func TestResultsWithoutPlaces(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 4))
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 2, Effect: kinesistest.Effect{EntryCode: "InternalFailure", EntryShare: 0.5}})
	var outcomes []core.Outcome
	p := newProducer(t, s.Client(), core.WithAggregation(false), core.WithPlaces(false), core.WithMaxInFlight(1), core.WithFailIfThrottled(true),
		core.WithOutcomeFunc(func(list []core.Outcome) { outcomes = append(outcomes, list...) }))
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
